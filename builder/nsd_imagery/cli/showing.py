"""How far a command is, on standard error: a line that moves on a terminal, and one each half minute in a log.

What takes less than that says nothing in a log.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import click

from nsd_imagery.cli import interrupts
from nsd_imagery.display import LETTERS, Line, drawn

_PACE = 0.2
"""Seconds between two looks at what there is to show."""

_LOG_PACE = 30.0
"""Seconds before the first line of a log, and between two."""

_WIDEST = 110
_UNKNOWN = 80
"""Letters of a line of a terminal that are used, and of one that does not say how many it has."""

_drawing = threading.RLock()
_lines: list["_Terminal"] = []
"""Those that are on the terminal: one or none."""


def say(text: str) -> None:
    """Say something to people while a command works: above the line that moves, if there is one."""
    with _drawing:
        for line in _lines:
            line.clear()
        click.echo(text, err=True)


@contextmanager
def still() -> Iterator[None]:
    """Nothing is drawn while the block runs, for one in which standard error is another file."""
    with _drawing:
        yield


@contextmanager
def progress_line(verb: str) -> Iterator[Callable[[str], None]]:
    """Says what is being worked on."""
    with _showing(verb) as line:
        yield line.step


@contextmanager
def progress_count(verb: str) -> Iterator[Callable[[float, int, str], None]]:
    """Says how many are done, and what is being worked on."""
    with _showing(verb) as line:
        yield line.count


@contextmanager
def progress_bar(verb: str) -> Iterator[Callable[[Any], None]]:
    """Says how many bytes of beta files are done, and how long the others will take."""
    with _showing(verb) as line:
        yield line.pieces


@contextmanager
def progress_files(verb: str) -> Iterator[Callable[[Any], None]]:
    """Says how many bytes of files came, and how many a second."""
    with _showing(verb) as line:
        yield line.files


@contextmanager
def _showing(verb: str) -> Iterator[Line]:
    line = Line(verb)
    with ExitStack() as stack:
        draw = stack.enter_context(_Terminal(line)).draw if sys.stderr.isatty() else _Log(line).draw
        with interrupts.held_back():  # Ctrl-C is the main thread's
            stack.enter_context(drawn(line, draw, _PACE))
        yield line


class _Log:
    def __init__(self, line: Line) -> None:
        self._line, self._due = line, _LOG_PACE

    def draw(self) -> None:
        if self._line.seconds >= self._due:
            self._due = self._line.seconds + _LOG_PACE
            with _drawing:
                click.echo(self._line.sentence(), err=True)


class _Terminal(logging.Handler):
    """A line at the bottom of a terminal; and, of warnings that nobody else takes, what puts them above it."""

    def __init__(self, line: Line) -> None:
        super().__init__(logging.WARNING)
        self._line, self._n_drawn = line, 0
        self._letters = next(letters for letters in LETTERS if _can_show(letters))

    def __enter__(self) -> "_Terminal":
        self._usual, logging.lastResort = logging.lastResort, self
        _lines.append(self)
        self.draw()
        return self

    def __exit__(self, *_: object) -> None:
        with _drawing:
            _lines.remove(self)
            self.clear()
        logging.lastResort = self._usual

    def emit(self, record: logging.LogRecord) -> None:
        say(self.format(record))

    def draw(self) -> None:
        with _drawing:
            columns = min(os.get_terminal_size(sys.stderr.fileno()).columns or _UNKNOWN, _WIDEST) - 1
            text = self._line.bar(columns, self._letters)
            self._write(f"\r{text:<{min(self._n_drawn, columns)}}")
            self._n_drawn = len(text)

    def clear(self) -> None:
        self._write(f"\r{' ' * self._n_drawn}\r")
        self._n_drawn = 0

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal is gone, and the command goes on
            sys.stderr.write(text)
            sys.stderr.flush()


def _can_show(letters: str) -> bool:
    try:
        letters.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
