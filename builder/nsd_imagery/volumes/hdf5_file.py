"""HDF5 files opened without locks: what another process does with a file is told by whether it changes meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import h5py

_OF_LOCKS = ("lock", "already open for write")
"""In what HDF5 says of a file that is locked elsewhere, or marked as open for writing."""


@contextmanager
def unlocked(path: Path, mode: Literal["r", "w"] = "r") -> Iterator[h5py.File]:
    """An HDF5 file as long as the block runs; its error if it cannot be opened is h5py's.

    $HDF5_USE_FILE_LOCKING overrides what a program asks for, the same file opened with locks in this process rules out
    opening it without, and a writer that was killed leaves its mark in a file for good. None of these is asked where
    HDF5 reads through a Python file, which costs some microseconds a chunk.

    Args:
        path: The file.
        mode: "r", or "w" for a new file in the place of one that is there.
    """
    try:
        file = h5py.File(path, mode, locking=False)
    except OSError as error:
        if not any(words in str(error) for words in _OF_LOCKS):
            raise
        with path.open("rb" if mode == "r" else "w+b") as raw, h5py.File(raw, mode) as file:
            yield file
        return
    with file:
        yield file
