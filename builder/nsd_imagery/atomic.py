"""Files that are whole or not there: written beside their place, synced, then renamed."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from nsd_imagery import locks

_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

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
        with naming_full_disk(folder), file:

            def name(path: Path) -> None:
                _sync(file) if synced else file.flush()
                partial.replace(path)

            yield file, name
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Where the disk of what the block writes is full, the error names a path on it, as that of a write does not."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _new_partial(folder: Path) -> BinaryIO:
    while True:
        try:
            file = (folder / f"{_PREFIX}{secrets.token_hex(8)}").open("xb")
        except OSError as error:  # of a name that means nothing to anybody
            raise type(error)(error.errno, error.strerror, str(folder)) from error
        if locks.taken(file, unknown=True) and os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # swept by another process before it was locked


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def replace_text(path: Path, text: str) -> None:
    """Give `path` the contents `text` (UTF-8)."""
    replace_texts({path: text})


def replace_texts(texts: Mapping[Path, str]) -> None:
    """Give several files their contents, one after the other; all are on disk before the first gets its name."""
    with ExitStack() as stack:
        written = [(path, *stack.enter_context(naming_later(path.parent, synced=False))) for path in texts]
        for path, file, _ in written:
            file.write(texts[path].encode())
            _sync(file)
        for path, _, name in written:
            name(path)
    for folder in {path.parent for path in texts}:
        sync_folder(folder)


def link(old: Path, new: Path, beside: Path) -> None:
    """Give a file a second name, which at no moment is that of nothing; a copy, where a file can have only one name.

    Args:
        old: The file.
        new: The name, of another file until then, or of none.
        beside: A folder for what is unfinished.
    """
    if new.exists() and new.samefile(old):
        return
    partial = beside / f"{_PREFIX}{secrets.token_hex(8)}"
    try:
        os.link(old, partial)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        with naming_later(beside) as (file, name), old.open("rb") as source:
            shutil.copyfileobj(source, file)
            name(new)
        return
    try:
        partial.replace(new)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` survive a power cut, where its file system can sync folders: some shares cannot."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise OSError(error.errno, error.strerror, str(folder)) from error
    finally:
        os.close(handle)


def remove_partial(folder: Path, *, unknown: bool = False) -> None:
    """Remove what killed processes left half-written directly in `folder`; what a living one is writing stays.

    Args:
        folder: The folder.
        unknown: Whether to remove what nobody can tell to be of a living process, where the file system has no locks:
            for who alone may write there.
    """
    for path in folder.glob(f"{_PREFIX}*"):
        if _PARTIAL.fullmatch(path.name) and not path.is_symlink():
            with contextlib.suppress(FileNotFoundError, PermissionError), path.open("rb+") as file:
                if locks.taken(file, unknown=unknown):
                    path.unlink()
