"""Locks on files: one process works at a time, and what a dead one held is free.

Where the file system has no locks (Lustre and NFS as some clusters mount them, some shares), a file that only one
process can make stands for one; see `lockfile`.
"""

import errno
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nsd_imagery import lockfile
from nsd_imagery.errors import BusyError, PlatformError

try:
    import fcntl
except ModuleNotFoundError:
    message = "nsd-imagery needs Linux or macOS; on Windows, install and run it inside WSL: wsl --install"
    raise PlatformError(message) from None

logger = logging.getLogger(__name__)

_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)

_PAUSE = 0.05
_PATIENCE = 60.0
"""Seconds in which short work that holds a lock file must be done."""

_noted: set[Path] = set()


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
        is_mine = flocked(lock)
        if is_mine is None:
            with lockfile.taking(_file_for(path)) as mine:
                if mine is None:
                    raise BusyError(busy(_holder(path)))
                yield
            return
        if not is_mine:
            lock.seek(0)
            raise BusyError(busy(lock.read().strip() or "unnamed"))
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename}")
        lock.flush()
        yield


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold a lock file, made if it is not there, while the block runs, after whoever holds it now: for short work.

    Raises:
        BusyError: The file system has no locks, and another process has held the file in its place for a minute.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as lock:
        if flocked(lock, wait=True) is not None:
            yield
            return
        with _waiting_for_file(path):
            yield


@contextmanager
def _waiting_for_file(path: Path) -> Iterator[None]:
    end = time.monotonic() + _PATIENCE
    while True:
        with lockfile.taking(_file_for(path)) as mine:
            if mine is not None:
                yield
                return
        if time.monotonic() > end:
            msg = f"{path.parent}: another process is writing here ({_holder(path)}); run again when it has finished"
            raise BusyError(msg)
        time.sleep(_PAUSE)


def flocked(file: IO[Any], *, wait: bool = False) -> bool | None:
    """Take the lock of an open file, until it is closed; False if another open file of it has the lock.

    None where the file system knows no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def taken(file: IO[Any], *, unknown: bool) -> bool:
    """The same, with an answer for where the file system knows no locks.

    Args:
        file: The file.
        unknown: That answer. True marks a file of one's own, which then nobody removes; False leaves alone what may be
            of somebody who lives.
    """
    is_mine = flocked(file)
    return unknown if is_mine is None else is_mine


def _file_for(path: Path) -> Path:
    """The file that stands for the lock of another one, which is noted once."""
    file = path.with_name(f"{path.name}.held")
    if file not in _noted:
        _noted.add(file)
        logger.warning("%s: the file system has no locks (flock); the file %s stands for one", path.parent, file.name)
    return file


def _holder(path: Path) -> str:
    """Who has the file that stands for a lock, and what to do if that process is not there any more."""
    file = _file_for(path)
    holder = lockfile.holder_of(file)
    if holder is not None and holder.is_here:
        return str(holder)
    return f"{holder or 'unnamed'}; if it runs no more, remove {file}"
