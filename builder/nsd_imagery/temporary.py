"""A temporary folder a process, gone with the last process that uses it: at its exit, or by the next one that looks.

    TMP/nsd-imagery-<16 hex>/lock     locked as long as its maker, or a fork of it, lives

A folder gets that name only when it is locked. Locks hold across containers, where numbers of processes mean nothing.
"""

import atexit
import contextlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import BinaryIO

from nsd_imagery import locks

_LOCK = "lock"
_READY = re.compile(r"nsd-imagery-[0-9a-f]{16}")
_UNREADY = re.compile(r"\.nsd-imagery-[0-9a-f]{16}")

_OLD_SECONDS = 24 * 60 * 60
"""Age at which a folder without a lock has no owner any more."""


def own_folder() -> Path:
    """This process's temporary folder; a fork has its own, and keeps that of its parent until both have ended."""
    return _folder_of(os.getpid())


@cache
def _folder_of(process: int) -> Path:
    base = Path(tempfile.gettempdir())
    _sweep(base)
    path, lock, is_locked = _made(base)
    atexit.register(_leave, base, lock, None if is_locked else (process, path))
    return path


def _made(base: Path) -> tuple[Path, BinaryIO, bool]:
    """A folder, its lock, and whether that is one: some file systems have none."""
    name = f"nsd-imagery-{secrets.token_hex(8)}"
    unready = base / f".{name}"
    unready.mkdir(mode=0o700)
    lock = (unready / _LOCK).open("xb")
    is_locked = bool(locks.flocked(lock))
    return unready.rename(base / name), lock, is_locked


def _leave(base: Path, lock: BinaryIO, unlocked: tuple[int, Path] | None) -> None:
    # Without locks nobody can tell which folders are of the dead: then each process removes its own.
    if unlocked is not None and unlocked[0] == os.getpid():
        shutil.rmtree(unlocked[1], ignore_errors=True)
    # Not the folder itself: where a fork still lives, the lock is still held, and the folder is that fork's to remove.
    lock.close()
    _sweep(base)


def _sweep(base: Path) -> None:
    """Remove the folders that this user's dead processes left."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        for path in base.iterdir():
            if "nsd-imagery-" in path.name:
                with contextlib.suppress(FileNotFoundError, PermissionError):
                    _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return
    if _READY.fullmatch(path.name) and (path / _LOCK).is_file():
        with (path / _LOCK).open("rb+") as lock:
            if locks.taken(lock, unknown=False):
                shutil.rmtree(path, ignore_errors=True)
    elif time.time() - found.st_mtime > _OLD_SECONDS and (_READY.fullmatch(path.name) or _UNREADY.fullmatch(path.name)):
        shutil.rmtree(path, ignore_errors=True)  # left before it had a lock, or while it was removed
