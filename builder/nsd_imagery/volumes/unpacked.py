"""The bytes of a file, unpacked where it is gzip, and a digest of what lies on disk, in one pass."""

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import xxhash
from isal import igzip, isal_zlib

from nsd_imagery.errors import DataError
from nsd_imagery.links import refuse_without_content

_BROKEN: tuple[type[Exception], ...] = (gzip.BadGzipFile, zlib.error, isal_zlib.error, EOFError)  # type: ignore[assignment]
_BLOCK = 1 << 22
_UNPACKED_BLOCK = 112 << 10
"""Of isal's public reader: from 128 KiB on, malloc may take what it makes from the system and give it back each time,
as Dask sets it for its workers: a quarter longer."""

_ZLIB_BLOCK = 1 << 18


def file_digest(path: Path) -> str:
    """xxh3_128 of the bytes of a file as they lie on disk, as `read_betas` gives it."""
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def unpacked(path: Path, opened: io.RawIOBase | None = None) -> Iterator[tuple[io.BufferedIOBase, "_Source"]]:
    """The decompressed stream and the digested source; every way in which a file can be broken becomes a DataError.

    Args:
        path: The file.
        opened: What its bytes are read from instead, and is closed then: a file that is still growing.
    """
    refuse_without_content(path)
    try:
        with opened or path.open("rb", buffering=0) as file:
            source = _Source(file)
            with io.BufferedReader(_Unpacked(source) if path.suffix == ".gz" else source) as stream:
                yield stream, source
    except _BROKEN as error:
        msg = f"{path}: the gzip data is damaged or cut short ({error}): copy the file again"
        raise DataError(msg) from error


class _Source(io.RawIOBase):
    """The bytes of a file on disk, digested as they are read."""

    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file
        self.digest = xxhash.xxh3_128()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        return count

    def restart(self) -> None:
        """Go back to the first byte, and digest from there."""
        self._file.seek(0)
        self.digest.reset()


class _Unpacked(io.RawIOBase):
    """The bytes that are packed in a source.

    isal is fastest, but takes no member whose gzip header is beyond its buffer; zlib takes a header of any length
    (RFC 1952 has no limit on a name or a comment), a piece at a time.
    """

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._reader, self._step = _isal_reader(source)
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self._step]
        try:
            count = self._reader.readinto(view)
        except OverflowError:
            self._source.restart()
            self._reader = io.BufferedReader(_Inflated(self._source))
            _skip(self._reader, self._given)
            count = self._reader.readinto(view)
        self._given += count
        return count


class _Inflated(io.RawIOBase):
    """The bytes that are packed in a source, by zlib: in a few blocks of memory whatever the members' headers hold."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._packed = b""
        self._member = _gzip_member()
        self._is_between = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while self._has_packed():
            if self._is_between:
                self._packed = self._packed.lstrip(b"\0")  # padding, as the gzip readers take it
                self._is_between = not self._packed
                continue
            made = self._member.decompress(self._packed, len(view))
            self._packed = self._member.unconsumed_tail
            if self._member.eof:
                self._packed, self._member, self._is_between = self._member.unused_data, _gzip_member(), True
            if made:
                view[: len(made)] = made
                return len(made)
        if not self._is_between:
            msg = "Compressed file ended before the end-of-stream marker was reached"
            raise EOFError(msg)
        return 0

    def _has_packed(self) -> bool:
        self._packed = self._packed or self._source.read(_ZLIB_BLOCK) or b""
        return bool(self._packed)


def _isal_reader(source: _Source) -> tuple[Any, int | None]:
    """What unpacks a source, and how much of it at a time is best.

    isal's public reader makes bytes first, and copies them: 5 % longer for a session of betas.
    """
    try:
        return isal_zlib._GzipReader(cast(BinaryIO, source), igzip.READ_BUFFER_SIZE), None  # noqa: SLF001
    except (AttributeError, TypeError):  # another version of isal
        return igzip.IGzipFile(fileobj=source, mode="rb"), _UNPACKED_BLOCK


def _gzip_member() -> Any:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)


def _skip(stream: io.BufferedIOBase, count: int) -> None:
    while count and (skipped := len(stream.read(min(count, _ZLIB_BLOCK)))):
        count -= skipped
