"""What a check is: declared once, in `catalogue`, and asked of as many scopes as a path holds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nsd_imagery.checks.report import Finding, Outcome
from nsd_imagery.errors import printable

_MOST = 5
"""Offending rows that a finding keeps; it counts them all."""


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        id: Its name in reports, a kind and a word: "folder.shards".
        proves: What holds if it passes, in a sentence.
        remedy: What to do when it fails, for the researcher whose data it is.
    """

    id: str
    proves: str
    remedy: str

    def judged(self, scope: str, offending: Iterable[Any], evidence: str | Callable[[], str]) -> Finding:
        """Fail if anything contradicts, else pass.

        Args:
            scope: What was looked at.
            offending: What contradicts; each is shown by `str`.
            evidence: What a pass rests on, or a function that says so.
        """
        rows = [str(row) for row in offending]
        if rows:
            count = "1 contradiction" if len(rows) == 1 else f"{len(rows)} contradictions"
            return self.found(scope, "fail", count, rows)
        return self.found(scope, "pass", evidence if isinstance(evidence, str) else evidence())

    def skipped(self, scope: str, reason: str) -> Finding:
        """A check that could not be made, with the reason."""
        return self.found(scope, "skipped", reason)

    def found(self, scope: str, outcome: Outcome, evidence: str, offending: Iterable[str] = ()) -> Finding:
        """A finding whose outcome was decided elsewhere, or that only informs."""
        rows = tuple(offending)
        told = tuple(printable(row) for row in rows[:_MOST])
        return Finding(
            self.id, self.proves, printable(scope), outcome, printable(evidence), told, len(rows), self.remedy
        )


def to_markdown(checks: Iterable[Check]) -> str:
    """Checks as a table for people."""
    lines = ["| check | what it proves | what to do when it fails |", "|---|---|---|"]
    lines += [f"| `{check.id}` | {check.proves} | {check.remedy.replace('<', '&lt;')} |" for check in checks]
    return "\n".join(lines)
