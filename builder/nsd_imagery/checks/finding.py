"""What one check found."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Outcome = Literal["pass", "fail", "skipped", "not decidable"]

OUTCOMES: Final[tuple[Outcome, ...]] = ("fail", "not decidable", "skipped", "pass")
"""In the order of a report: what needs looking at comes first."""


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

    @property
    def kind(self) -> str:
        """The first part of its id, "files" or "labels"."""
        return self.id.partition(".")[0]

    def to_json(self) -> dict[str, Any]:
        """The finding as JSON holds it; remedies are for people."""
        return {name: value for name, value in asdict(self).items() if name != "remedy"}


def counted(n_offending: int) -> str:
    """How many contradictions there are, in words."""
    return "1 contradiction" if n_offending == 1 else f"{n_offending} contradictions"
