"""Files that are whole or not there: written beside their place, synced, then renamed."""

import os
import secrets
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
    partial = folder / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        file = partial.open("xb")
    except OSError as error:  # of a name that means nothing to anybody
        raise type(error)(error.errno, error.strerror, str(folder)) from error
    try:
        with file:

            def name(path: Path) -> None:
                file.flush()
                os.fsync(file.fileno())
                partial.replace(path)

            yield file, name
    finally:
        partial.unlink(missing_ok=True)


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
