"""A file that is read while it is still being fetched, so that little is left to do once it is whole."""

import io
import os
import threading
from pathlib import Path
from typing import Any

from nsd_imagery.errors import SourceError


class Growing(io.RawIOBase):
    """The bytes of a file in order, each as soon as all before it are there; a reader waits for them.

    Args:
        path: The file, which has its size already.
        size: That.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._opened: io.FileIO | None = None
        self._size, self._there, self._at = size, 0, 0
        self._has_ended = False
        self._news = threading.Condition()

    def readable(self) -> bool:
        """It is."""
        return True

    def grow(self, there: int) -> None:
        """So many bytes from the first on are there."""
        with self._news:
            self._there = there
            self._news.notify_all()

    def end(self) -> None:
        """No more comes: who waits for it is stopped."""
        with self._news:
            self._has_ended = True
            self._news.notify_all()

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position from the first byte."""
        self._at = self._file.seek(position, whence)
        return self._at

    @property
    def _file(self) -> io.FileIO:
        """Opened by whoever reads first: nobody may."""
        self._opened = self._opened or self._path.open("rb", buffering=0)
        return self._opened

    def readinto(self, buffer: Any) -> int:
        """Bytes that were read.

        Raises:
            SourceError: No more comes.
        """
        with self._news:
            self._news.wait_for(lambda: self._has_ended or self._at < self._there or self._there == self._size)
            there = self._there
            if self._has_ended and self._at >= there < self._size:
                msg = "the file is not fetched any further"
                raise SourceError(msg)
        count = self._file.readinto(memoryview(buffer)[: there - self._at]) or 0
        self._at += count
        return count

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()
        super().close()
