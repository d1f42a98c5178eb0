"""Locks on files: one process works at a time, and what a dead one held is free."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nsd_imagery.errors import BusyError, PlatformError

try:
    import fcntl
except ModuleNotFoundError:
    message = "nsd-imagery needs Linux or macOS; on Windows, install and run it inside WSL: wsl --install"
    raise PlatformError(message) from None

_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


@contextmanager
def holding(path: Path, busy: Callable[[str], str]) -> Iterator[None]:
    """Hold a lock file, made if it is not there, while the block runs.

    Args:
        path: The lock file.
        busy: The message for when another process holds it, of that process's name.

    Raises:
        BusyError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as lock:
        if not taken(lock):
            lock.seek(0)
            raise BusyError(busy(lock.read().strip() or "unnamed"))
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename}")
        lock.flush()
        yield


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold a lock file, made if it is not there, while the block runs, after whoever holds it now: for short work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def taken(file: IO[Any], *, unknown: bool | None = None) -> bool:
    """Take the lock of an open file, until it is closed; False if another open file of it has the lock.

    Args:
        file: The file.
        unknown: The answer where the file system knows no locks; None for its OSError. True marks a file of one's own,
            which then nobody removes; False leaves alone what may be of somebody who lives.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if unknown is None or error.errno not in _NO_LOCKS:
            raise
        return unknown
    return True
