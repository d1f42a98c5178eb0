"""The report of what checks find: text for people, JSON for programs, Markdown for the card."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nsd_imagery import markup
from nsd_imagery.checks import text
from nsd_imagery.checks.finding import OUTCOMES, Finding, Outcome
from nsd_imagery.errors import printable

_MOST = 8
"""Scopes that a cell of a table names."""


@dataclass(frozen=True, repr=False)
class Report:
    """The findings on one path.

    Attributes:
        path: What was verified, as it was named.
        kind: "release", "cache", "index" or "dataset".
        synthetic: Whether the data is of `synth`.
        findings: In the order of the checks.
    """

    path: str
    kind: str
    synthetic: bool
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """No check failed, and at least one passed."""
        outcomes = {finding.outcome for finding in self.findings}
        return "fail" not in outcomes and "pass" in outcomes

    @property
    def headline(self) -> str:
        """What was verified, the verdict, and how many findings there are of each outcome."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.counts().items() if count)
        what = f"{self.kind}{', synthetic' if self.synthetic else ''}"
        return f"{printable(self.path)} ({what}): {'passed' if self.passed else 'FAILED'}; {counts or 'no check'}"

    def __repr__(self) -> str:
        return f"<Report: {self.headline}>"

    def _repr_html_(self) -> str:
        return markup.text(self.headline, text.lines(self.findings, verbose=False, more=".to_text(verbose=True)"))

    def of(self, outcome: Outcome) -> list[Finding]:
        """The findings of one outcome."""
        return [finding for finding in self.findings if finding.outcome == outcome]

    def counts(self) -> dict[Outcome, int]:
        """Findings by outcome."""
        return {outcome: len(self.of(outcome)) for outcome in OUTCOMES}

    def to_json(self) -> dict[str, Any]:
        """The report as JSON holds it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "synthetic": self.synthetic,
            "passed": self.passed,
            "counts": self.counts(),
            "findings": [finding.to_json() for finding in self.findings],
        }

    def to_text(self, *, verbose: bool = False, width: int | None = None) -> str:
        """For a terminal: what failed with what to do, what was not checked, and how much passed.

        Args:
            verbose: Also list what passed, with what was counted and measured.
            width: Columns to break lines at, between words; None for a line a thing, as programs look for words.
        """
        lines = [self.headline, *text.lines(self.findings, verbose=verbose)]
        return "\n".join(lines if width is None else (text.broken(line, width) for line in lines))

    def to_page(self) -> str:
        """A page of Markdown: the verdict, what failed and what to do, what was not checked, and all checks."""
        parts = [f"# {text.plain(self.headline)}", *text.sections(self.findings), "## All checks", self.to_markdown()]
        return "\n\n".join(parts) + "\n"

    def to_markdown(self) -> str:
        """A table for a dataset card: one row a check."""
        lines = ["| check | what it proves | outcome |", "|---|---|---|"]
        for check in dict.fromkeys(finding.id for finding in self.findings):
            mine = [finding for finding in self.findings if finding.id == check]
            outcomes = ", ".join(
                f"{outcome} ({_named(f.scope for f in mine if f.outcome == outcome)})"
                for outcome in OUTCOMES
                if any(f.outcome == outcome for f in mine)
            )
            lines.append(f"| {check} | {_cell(mine[0].proves)} | {_cell(outcomes)} |")
        return "\n".join(lines)

    def dumps(self) -> str:
        """`to_json` as text."""
        return json.dumps(self.to_json(), indent=1) + "\n"


def _named(scopes: Iterable[str]) -> str:
    """Scopes by name; of many the first ones, and how many more there are."""
    names = list(dict.fromkeys(scope for scope in scopes if scope))
    return ", ".join(names if len(names) <= _MOST else [*names[:_MOST], f"and {len(names) - _MOST} more"])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
