"""How far a call is, in one line that is drawn again and again, whatever draws it: a terminal, a log or a notebook.

What a call says is only noted; a thread draws it, so that the line moves from the first second on, also where a call
says nothing for a while, and no call waits for a screen.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nsd_imagery.errors import printable

LETTERS = "█░…", "#.~"
"""Of a bar, full and empty, and for what was cut off; and where a screen has only the letters of ASCII."""

_NARROWEST, _WIDEST = 10, 30
"""Letters of a bar."""

_SETTLED = 2.0
"""Seconds of work before it is said how long the rest takes."""

_BYTES = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


class Line:
    """What a call said last; `step`, `count`, `pieces` and `files` are what it may be given as `progress`.

    Args:
        verb: The call.
    """

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.share: float | None = None
        self._what = self._amount = ""
        self._begun = time.monotonic()
        self._first: tuple[float, float] | None = None

    def step(self, what: str) -> None:
        """See `progress.StepProgress`."""
        self._what = what

    def count(self, done: float, total: int, what: str) -> None:
        """See `progress.CountProgress`."""
        self._what, self._amount = what, f"{int(done)}/{total}"
        self.share = done / total if total else None

    def pieces(self, state: Any) -> None:
        """See `dataset.state.BuildState`: the bytes of pieces, which are what the time that is left is told by."""
        self._bytes(state, f"{state.n_done}/{state.n_pieces} {state.name}")

    def files(self, state: Any) -> None:
        """See `fetch.transfer.DownloadState`: bytes, and how many come in a second."""
        self._bytes(state, f"{state.n_done}/{state.n_files} {state.name}")
        if self._first is not None and self.share is not None:
            began, before = self._first
            if (seconds := time.monotonic() - began) >= _SETTLED:
                self._amount += f"  {(self.share - before) * state.n_bytes / seconds / 1e6:,.1f} MB/s"

    def _bytes(self, state: Any, what: str) -> None:
        self.share = state.bytes_done / state.n_bytes if state.n_bytes else None
        self._what, self._amount = what, _of_bytes(state.bytes_done, state.n_bytes)
        if self._first is None and self.share is not None:
            self._first = time.monotonic(), self.share

    @property
    def seconds(self) -> float:
        """Since the call was begun."""
        return time.monotonic() - self._begun

    def bar(self, columns: int, letters: str = LETTERS[0]) -> str:
        """For a screen: no more than so many letters, of which the name of what is done is the first to go."""
        full, empty, more = letters
        what, text = printable(self._what), f"{self.verb}  {_clock(self.seconds)}"
        if self.share is not None:
            text = f"{self.verb} {self.share:4.0%}  {self._amount}  {self._times()}"
            width = min(max(columns - len(text) - len(what) - len("   "), _NARROWEST), _WIDEST)
            n_full = int(self.share * width)
            text = text.replace("%  ", f"% {full * n_full}{empty * (width - n_full)} ", 1)
        text = f"{text}  {what}".rstrip()
        return text if len(text) <= columns else f"{text[: columns - 1]}{more}"

    def sentence(self) -> str:
        """For a log: everything, whatever its length."""
        share = "" if self.share is None else f"{self.share:.0%} ({self._amount}), "
        return f"{self.verb}: {share}{printable(self._what) or 'begun'}; {self._times()}"

    def end(self, *, is_done: bool) -> str:
        """For when the call is over."""
        return f"{self.verb}: {'done' if is_done else 'stopped'}, {_clock(self.seconds)}"

    def _times(self) -> str:
        left = self._left()
        return _clock(self.seconds) + ("" if left is None else f", {_clock(left)} left")

    def _left(self) -> float | None:
        """Seconds, by how fast it went since it was first told."""
        if self._first is None or self.share is None:
            return None
        began, before = self._first
        if self.share <= before or time.monotonic() - began < _SETTLED:
            return None
        return (time.monotonic() - began) * (1 - self.share) / (self.share - before)


@contextmanager
def drawn(line: Line, draw: Callable[[], None], pace: float) -> Iterator[Line]:
    """Draw a line at a pace while the block runs, by a thread that ends with it.

    Args:
        line: Is told how far the block is.
        draw: Draws it; where it cannot any more, since a terminal or a kernel is gone, nothing is drawn.
        pace: Seconds before it is drawn first, and between.
    """
    over = threading.Event()

    def keep_drawing() -> None:
        with suppress(OSError, ValueError):
            while not over.wait(pace):
                draw()

    thread = threading.Thread(target=keep_drawing, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        over.set()
        thread.join()


def _of_bytes(done: int, total: int) -> str:
    unit, size = next((one for one in _BYTES if total >= one[1]), _BYTES[-1])
    digits = 1 if total < 100 * size else 0
    return f"{done / size:,.{digits}f}/{total / size:,.{digits}f} {unit}"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
