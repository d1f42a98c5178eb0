"""What a caller may pass as `progress`, to be told how far a long call is; of builds see `dataset.state.BuildState`.

`progress` is called often and from the thread of the call, so it should take no time: it notes what it is told, and
whatever shows it does so at a pace of its own (see `display`).
"""

import time
from collections.abc import Callable, MutableSequence
from functools import partial
from itertools import count

StepProgress = Callable[[str], object]
"""Called with what is begun now."""

CountProgress = Callable[[float, int, str], None]
"""Called with how many are done, of which one that is begun may be a part; how many there are; what is done now."""

ShareProgress = Callable[[float], None]
"""Called often, with the share that is done, 0 to 1."""

Begin = Callable[[str], ShareProgress]
"""Called with what is begun now; gives what may be told how much of it is done. See `counted`."""

PULSE = 0.2
"""Seconds between what is said of one thing that is being read: a short one says nothing."""

MOST_TASKS = 1024
"""Of which a pool of processes says how far each is: NSD has some 300 beta files."""


def unwatched(_share: float) -> None:
    """For a caller that asks for no progress."""


def counted(total: int, progress: CountProgress | None) -> Begin:
    """Count the steps of a call, one after the other.

    Args:
        total: How many there are.
        progress: Is told.
    """
    numbers = count()

    if progress is None:
        return lambda _: unwatched
    tell = progress

    def begin(what: str) -> ShareProgress:
        number, said = next(numbers), time.monotonic()
        tell(min(number, total), total, what)

        def part(share: float) -> None:
            nonlocal said
            if (now := time.monotonic()) - said >= PULSE:
                said = now
                tell(min(number + share, total), total, what)

        return part

    return begin


_told: MutableSequence[float] | None = None
"""In a process of a pool: where it says how far its tasks are, for the parent to read; see `tell_in`."""


def tell_in(shares: MutableSequence[float]) -> None:
    """Say in shared memory, from now on, how far the tasks of this process are: nothing is sent, nobody waits."""
    global _told
    _told = shares


def teller(number: int) -> ShareProgress:
    """What a task tells how much of it is done: by its number, in the memory that `tell_in` was given, if it was."""
    return unwatched if _told is None or number >= len(_told) else partial(_told.__setitem__, number)
