"""Files that are whole or not there: written beside their place, synced, then renamed."""

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from nsd_imagery import locks

_PREFIX = ".partial-"
_PARTIAL = re.compile(rf"{re.escape(_PREFIX)}[0-9a-f]{{16}}")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error."""
    with naming_later(path.parent) as (file, name):
        yield file
        name(path)
    sync_folder(path.parent)


@contextmanager
def naming_later(folder: Path, *, synced: bool = True) -> Iterator[tuple[BinaryIO, Callable[[Path], None]]]:
    """A file to write to in a folder, and what gives it its name, on the same disk, when its contents are whole.

    It is locked as long as it is open, so that `remove_partial` tells it from what a killed process left. Only what
    can be made again need not be synced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = _new_partial(folder)
    partial = Path(file.name)
    try:
        with file:

            def name(path: Path) -> None:
                file.flush()
                if synced:
                    os.fsync(file.fileno())
                partial.replace(path)

            yield file, name
    finally:
        partial.unlink(missing_ok=True)


def _new_partial(folder: Path) -> BinaryIO:
    while True:
        try:
            file = (folder / f"{_PREFIX}{secrets.token_hex(8)}").open("xb")
        except OSError as error:  # of a name that means nothing to anybody
            raise type(error)(error.errno, error.strerror, str(folder)) from error
        if locks.taken(file) and os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept by another process before it was locked


def replace_text(path: Path, text: str) -> None:
    """Give `path` the contents `text` (UTF-8)."""
    with replacing(path) as file:
        file.write(text.encode())


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_partial(folder: Path) -> None:
    """Remove what killed processes left half-written directly in `folder`; what a living one is writing stays."""
    for path in folder.glob(f"{_PREFIX}*"):
        if _PARTIAL.fullmatch(path.name) and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError, PermissionError), path.open("rb+") as file:
                if locks.taken(file):
                    path.unlink()
