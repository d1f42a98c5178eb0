"""What checks find, and the report of it: text for people, JSON for programs, Markdown for the card."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from nsd_imagery.errors import printable

Outcome = Literal["pass", "fail", "skipped", "not decidable"]

OUTCOMES: Final[tuple[Outcome, ...]] = ("fail", "not decidable", "skipped", "pass")
"""In the order of the report: what needs looking at comes first."""


@dataclass(frozen=True)
class Finding:
    """What one check found for one subject, session or file.

    Attributes:
        id: The check, for example "labels.seen-picture".
        proves: What holds if it passes, in a sentence.
        scope: What it looked at: "subj01", "subj01 session 3", a config.
        outcome: "pass", "fail", "skipped" or "not decidable".
        evidence: Counts and figures, or the reason.
        offending: The first rows that contradict, each with file, place and values.
        n_offending: How many there are.
        remedy: What to do if it fails.
    """

    id: str
    proves: str
    scope: str
    outcome: Outcome
    evidence: str = ""
    offending: tuple[str, ...] = ()
    n_offending: int = 0
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it; remedies are for people."""
        return {name: value for name, value in asdict(self).items() if name != "remedy"}


@dataclass(frozen=True)
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

    def counts(self) -> dict[Outcome, int]:
        """Findings by outcome."""
        return {outcome: sum(f.outcome == outcome for f in self.findings) for outcome in OUTCOMES}

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

    def to_text(self) -> str:
        """For a terminal: what failed first, with its rows; what passed a line a kind, but for the figures of data."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self.counts().items() if count)
        what = f"{self.kind}{', synthetic' if self.synthetic else ''}"
        lines = [f"{printable(self.path)} ({what}): {'passed' if self.passed else 'FAILED'}; {counts or 'no check'}"]
        for outcome in OUTCOMES:
            mine = [finding for finding in self.findings if finding.outcome == outcome]
            told = [f for f in mine if outcome != "pass" or f.id.startswith("data.")]
            groups = _grouped(told)
            last = dict(groups.keys())  # of each check, the evidence that comes last
            for (check, evidence), findings in groups.items():
                scopes = _spans([finding.scope for finding in findings])
                lines.append(f"  {outcome:<13} {check:<27} {scopes}: {evidence or findings[0].proves}")
                for finding in findings:
                    lines += [f"      {row}" for row in finding.offending]
                    if finding.n_offending > len(finding.offending):
                        lines.append(f"      and {finding.n_offending - len(finding.offending)} more")
                if outcome == "fail" and last[check] == evidence and findings[0].remedy:
                    lines.append(f"      What to do: {findings[0].remedy}.")
            lines += _summary([finding for finding in mine if finding not in told])
        return "\n".join(lines)

    def to_markdown(self) -> str:
        """A table for a dataset card: one row a check."""
        lines = ["| check | what it proves | outcome |", "|---|---|---|"]
        for check in dict.fromkeys(finding.id for finding in self.findings):
            mine = [finding for finding in self.findings if finding.id == check]
            outcomes = ", ".join(
                f"{outcome} ({_spans([f.scope for f in mine if f.outcome == outcome])})"
                for outcome in OUTCOMES
                if any(f.outcome == outcome for f in mine)
            )
            lines.append(f"| {check} | {_cell(mine[0].proves)} | {_cell(outcomes)} |")
        return "\n".join(lines)

    def dumps(self) -> str:
        """`to_json` as text."""
        return json.dumps(self.to_json(), indent=1) + "\n"


def _summary(findings: Sequence[Finding]) -> list[str]:
    """Checks that passed, a line for each kind."""
    lines = []
    for kind in dict.fromkeys(finding.id.partition(".")[0] for finding in findings):
        mine = [finding for finding in findings if finding.id.startswith(f"{kind}.")]
        names = ", ".join(dict.fromkeys(finding.id.partition(".")[2] for finding in mine))
        lines.append(f"  pass          {kind:<27} {_spans([finding.scope for finding in mine])}: {names}")
    return lines


def _grouped(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """Findings that say the same of several subjects, together."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.id, finding.evidence), []).append(finding)
    return groups


def _spans(scopes: Sequence[str]) -> str:
    """Scopes by name, or their number where there are many."""
    names = list(dict.fromkeys(scope for scope in scopes if scope))
    return ", ".join(names) if len(names) <= 8 else f"{names[0]} to {names[-1]} ({len(names)})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
