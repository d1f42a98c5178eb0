"""Options that a function does not take: what is meant by those that only the command has, and by mistyped ones."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from nsd_imagery.errors import UsageError, shown
from nsd_imagery.suggest import did_you_mean

_P = ParamSpec("_P")
_R = TypeVar("_R")

_INSTEAD = {
    "workers": "the library starts no process; pass an executor: with concurrent.futures.ProcessPoolExecutor({value}) "
    "as executor: nsd_imagery.{verb}(..., executor=executor); or run nsd-imagery {verb} --workers {value}",
    "scheduler": "the library starts no cluster; pass executor=distributed.Client({value}).get_executor(pure=False); "
    "or run nsd-imagery {verb} --scheduler {value}",
    "dry_run": "nsd_imagery.preview(...) says what a build would do",
}


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, which answers an argument that it does not have with one line of what is meant.

    Raises:
        UsageError: It was called with such an argument.
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def called(*arguments: _P.args, **options: _P.kwargs) -> _R:
        for name, value in options.items():
            if name not in known:
                raise _unknown(function.__name__, name, value, known)
        return function(*arguments, **options)

    return called


def _unknown(function: str, name: str, value: Any, known: list[str]) -> UsageError:
    if name in _INSTEAD:
        verb = "evaluate" if function == "evaluate" else "build"
        return UsageError(f"{function} has no argument {name}: {_INSTEAD[name].format(value=shown(value), verb=verb)}")
    return UsageError(f"{function} has no argument {name}{did_you_mean(name, known)}; there are: {', '.join(known)}")
