"""Whether processes that import the user's program first would run it again, instead of what they are started for."""

import ast
import inspect
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

from nsd_imagery.errors import UsageError

_GUARDS = {"__name__", "current_process"}
"""What a condition names that tells the program from a worker's import of it; parent_process is not set by then."""

_GUARD = 'if __name__ == "__main__":'


def refuse_unguarded_main(executor: Executor | None) -> None:
    """Say before a pool starts its processes that they cannot begin to work; nothing where they can, or do not import.

    Started by spawn or forkserver, each imports the file that Python runs. Where that builds again at its top level it
    dies of it, with a traceback a worker; and what was read from standard input is no file.

    Raises:
        UsageError: The program is no file, or its statement that is running now has no main guard.
    """
    if not isinstance(executor, ProcessPoolExecutor) or _start_method(executor) == "fork":
        return
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", "")
    file = getattr(main, "__file__", None)
    if file is None or name.rpartition(".")[2] == "__main__":  # interactive, python -c, or a package's own __main__
        return
    if not Path(file).is_file():
        msg = (
            f"{file}: worker processes import the program that starts them, and this one is no file: save it as one, "
            f"with what it does below {_GUARD}"
        )
        raise UsageError(msg)
    line = _line_of(main, file)
    if line is not None and not _is_guarded(Path(file), line):
        msg = (
            f"{file}, line {line}: worker processes import this file first, and would run this line again: put what it "
            f"does below {_GUARD}"
        )
        raise UsageError(msg)


def _start_method(executor: ProcessPoolExecutor) -> str:
    context = getattr(executor, "_mp_context", None) or multiprocessing.get_context()
    return context.get_start_method()


def _line_of(main: ModuleType, file: str) -> int | None:
    """The line at the top level of the program that is running now; None in a thread, or where it has ended."""
    frame = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename == file and frame.f_globals is vars(main):
            return frame.f_lineno
        frame = frame.f_back
    return None


def _is_guarded(file: Path, line: int) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # it was changed since it was started
        return True
    conditions = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    around = [node for node in conditions if node.lineno <= line <= (node.end_lineno or line)]
    return any(_GUARDS & set(_names(node.test)) for node in around)


def _names(test: ast.expr) -> Iterator[str]:
    for node in ast.walk(test):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
