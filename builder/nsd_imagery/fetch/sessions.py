"""Sessions of NSD core as people write them: 1-3,7."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from nsd_imagery.errors import UsageError, shown
from nsd_imagery.experiment import CORE_SESSIONS

_SPAN = re.compile(r"\s*(\d{1,3})\s*(?:-\s*(\d{1,3})\s*)?")


def sessions_of(said: Any, subjects: Iterable[str]) -> tuple[int, ...]:
    """The sessions that are meant, each once, in rising order: "1-3,7", [1, 2], 5.

    Args:
        said: What was written.
        subjects: Of whom; one of them must have had each session.

    Raises:
        UsageError: It is no number, or of a session that nobody of them had.
    """
    words = [said] if isinstance(said, int | str) else list(said)
    numbers = sorted({number for word in words for part in str(word).split(",") for number in _span(part, said)})
    most = {subject: CORE_SESSIONS[subject] for subject in subjects}
    if not numbers or numbers[0] < 1 or numbers[-1] > max(most.values()):
        had = ", ".join(f"{subject} had {count}" for subject, count in most.items())
        msg = f"sessions: {shown(said)}: NSD core's are counted from 1; {had}"
        raise UsageError(msg)
    return tuple(numbers)


def _span(part: str, said: Any) -> Iterator[int]:
    found = _SPAN.fullmatch(part)
    if found is None:
        msg = f"sessions: {shown(said)} is no list of numbers; write them as 1-3,7"
        raise UsageError(msg)
    yield from range(int(found[1]), int(found[2] or found[1]) + 1)
