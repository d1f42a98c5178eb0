"""Files that are whole or not there: written beside their place, synced, then renamed."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PREFIX = ".partial-"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error."""
    with naming_later(path.parent) as (file, name):
        yield file
        name(path)
    sync_folder(path.parent)


@contextmanager
def naming_later(folder: Path) -> Iterator[tuple[BinaryIO, Callable[[Path], None]]]:
    """A file to write to in a folder, and what gives it its name, on the same disk, when its contents are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handle, partial = tempfile.mkstemp(prefix=_PREFIX, dir=folder)
    except OSError as error:  # of a name that means nothing to anybody
        raise type(error)(error.errno, error.strerror, str(folder)) from error
    try:
        with os.fdopen(handle, "wb") as file:

            def name(path: Path) -> None:
                file.flush()
                os.fsync(file.fileno())
                Path(partial).chmod(0o666 & ~_umask())
                Path(partial).replace(path)

            yield file, name
    finally:
        Path(partial).unlink(missing_ok=True)


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
    """Remove what a killed process left half-written directly in `folder`."""
    for path in folder.glob(f"{_PREFIX}*"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    # The mask can only be read by setting it; mkstemp's 0600 would hide the dataset from a lab's other members.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
