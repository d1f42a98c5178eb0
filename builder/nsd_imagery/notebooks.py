"""A bar in a notebook, where nobody passes a `progress` and nothing else would be seen of a long call.

The one place of the library that shows anything: a notebook has no command that could do it. Elsewhere, and with a
`progress` of one's own (`progress=lambda *_: None` for none), nothing is shown.
"""

import contextvars
import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from nsd_imagery.display import Line, drawn

_P = ParamSpec("_P")
_R = TypeVar("_R")

_PACE = 0.5
"""Seconds: a shorter call shows nothing."""

_COLUMNS = 100


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


def barred(told: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Let a function with the keyword `progress` show a bar in a notebook, where it is given none.

    Args:
        told: The method of `display.Line` that takes what it tells.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def called(*arguments: _P.args, **options: _P.kwargs) -> _R:
            if options.get("progress") is not None or not in_notebook():
                return function(*arguments, **options)
            with _bar(function.__name__) as line:
                options["progress"] = getattr(line, told)
                return function(*arguments, **options)

        return called

    return decorate


@contextmanager
def _bar(verb: str) -> Iterator[Line]:
    line = Line(verb)
    shown: list[Any] = []
    here = contextvars.copy_context()  # in which the kernel knows the cell

    def put(text: str) -> None:
        if shown:
            shown[0].update({"text/plain": text}, raw=True)
        else:
            shown.append(sys.modules["IPython"].display.display({"text/plain": text}, raw=True, display_id=True))

    def draw() -> None:
        here.run(put, line.bar(_COLUMNS))

    is_done = False
    try:
        with drawn(line, draw, _PACE):
            yield line
        is_done = True
    finally:
        if shown:
            put(line.end(is_done=is_done))
