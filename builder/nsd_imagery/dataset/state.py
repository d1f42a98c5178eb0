"""How far a build is, for whoever watches it."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nsd_imagery.dataset.jobs import Job
from nsd_imagery.progress import PULSE


@dataclass(frozen=True)
class BuildState:
    """How far a build is.

    Attributes:
        n_done: Pieces that are made or kept.
        n_pieces: Pieces in all.
        bytes_done: Size of the beta files of the pieces that are done, and of what is read of others, if that is known.
        n_bytes: Of all pieces.
        name: The piece that was finished last, or is begun next where one is made after the other.
    """

    n_done: int
    n_pieces: int
    bytes_done: int
    n_bytes: int
    name: str


BuildProgress = Callable[[BuildState], None]


class Watch:
    """Says how far a build is: at its start, after each piece, and several times a second of reading.

    Args:
        jobs: All jobs.
        kept: Positions of those that have nothing to do.
        progress: Is told.
    """

    def __init__(self, jobs: Sequence[Job], kept: Iterable[int], progress: BuildProgress | None) -> None:
        self._names = [job.piece.key for job in jobs]
        self._sizes = [job.piece.session.beta_path.stat().st_size for job in jobs]
        self._shares = dict.fromkeys(kept, 1.0)
        self._done = set(self._shares)
        self._progress = progress
        self._said = time.monotonic()

    def begin(self) -> None:
        """Say what there is."""
        todo = (name for at, name in enumerate(self._names) if at not in self._done)
        self._say(next(todo, ""))

    def read(self, at: int, share: float) -> None:
        """So much (0 to 1) of the betas of a job is read."""
        self._shares[at] = max(share, self._shares.get(at, 0))
        if time.monotonic() - self._said >= PULSE:
            self._say(self._names[at])

    def done(self, at: int) -> None:
        """A job is done."""
        self._shares[at] = 1
        self._done.add(at)
        self._say(self._names[at])

    def _say(self, name: str) -> None:
        self._said = time.monotonic()
        if self._progress is not None:
            n_bytes = sum(int(share * self._sizes[at]) for at, share in self._shares.items())
            self._progress(BuildState(len(self._done), len(self._names), n_bytes, sum(self._sizes), name))
