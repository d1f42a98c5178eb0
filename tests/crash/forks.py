"""Processes that may die: forked from a warm one, so that starting one takes milliseconds."""

import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

SECONDS = 120
"""After which a process is taken to hang, and ended."""


def forked(work: Callable[[], object], said: Path) -> int:
    """Do some work in a process of its own, and end all that it left behind, as a power cut does.

    Args:
        work: The work.
        said: Gets what it prints, and the traceback if it raises.

    Returns:
        0, 1 if the work raised, or the negative number of the signal that ended the process.
    """
    if (threads := _threads()) != [os.getpid()]:
        msg = f"{len(threads)} threads run here, and a fork would copy their locks in whatever state they are"
        raise RuntimeError(msg)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work(work, said)
    os.close(write)
    status = os.waitpid(pid, 0)[1]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.read(read, 1)  # ends when the last process that inherited the other end is gone
    os.close(read)
    return os.waitstatus_to_exitcode(status)


def _threads() -> list[int]:
    """Of this process, but the one that pyarrow's allocator starts at its import and looks after in forks."""
    tasks = Path("/proc/self/task")
    return [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text() != "jemalloc_bg_thd\n"]


def _work(work: Callable[[], object], said: Path) -> None:
    status = 1
    try:
        os.setpgid(0, 0)
        signal.alarm(SECONDS)
        handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        work()
        status = 0
    except BaseException:  # noqa: BLE001 (whatever it is, the caller reads it in `said`)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def warm(work: Callable[[], object], said: Path) -> None:
    """Import here what some work imports, so that forks find it there.

    Raises:
        RuntimeError: The work failed.
    """
    names = said.with_suffix(".modules")

    def imports() -> None:
        work()
        names.write_text("\n".join(sorted(sys.modules)))

    if forked(imports, said):
        raise RuntimeError(said.read_text())
    for name in names.read_text().splitlines():
        if name not in sys.modules and not name.startswith("__"):
            with contextlib.suppress(ImportError):  # some modules only another module can import
                importlib.import_module(name)
