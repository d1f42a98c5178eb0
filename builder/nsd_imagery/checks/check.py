"""What a check is: declared once, in `catalogue`, and asked of as many scopes as a path holds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nsd_imagery.checks.finding import Finding, Outcome, counted
from nsd_imagery.errors import printable

_MOST = 5
"""Rows of data that a finding keeps; it counts them all. Of files it keeps each."""


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
            return self.found(scope, "fail", counted(len(rows)), rows)
        return self.found(scope, "pass", evidence if isinstance(evidence, str) else evidence())

    def skipped(self, scope: str, reason: str) -> Finding:
        """A check that could not be made, with the reason."""
        return self.found(scope, "skipped", reason)

    def found(self, scope: str, outcome: Outcome, evidence: str, offending: Iterable[str] = ()) -> Finding:
        """A finding whose outcome was decided elsewhere, or that only informs."""
        rows = tuple(offending)
        kept = rows if self.is_of_files else rows[:_MOST]
        told = tuple(printable(_on_one_line(row)) for row in kept)
        said = printable(_on_one_line(evidence))
        return Finding(self.id, self.proves, printable(scope), outcome, said, told, len(rows), self.remedy)

    @property
    def is_of_files(self) -> bool:
        """Whether what contradicts is a file each time, to be copied again: then none may go unnamed."""
        return self.id.startswith("files.") or self.id == "folder.shards"


def _on_one_line(text: str) -> str:
    """What an error says in several lines, as the one that a finding has."""
    first, *others = text.split("\n  ")
    return f"{first} {'; '.join(others)}" if others else first


def to_markdown(checks: Iterable[Check]) -> str:
    """Checks as a table for people."""
    lines = ["| check | what it proves | what to do when it fails |", "|---|---|---|"]
    lines += [f"| `{check.id}` | {check.proves} | {check.remedy.replace('<', '&lt;')} |" for check in checks]
    return "\n".join(lines)
