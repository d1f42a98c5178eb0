"""One file while it is being fetched: data on disk, and a journal of the parts that are in it, to go on from."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nsd_imagery.atomic import naming_full_disk
from nsd_imagery.fetch.etags import PART, etag_of, etag_of_parts, is_md5, md5_of, part_sizes
from nsd_imagery.fetch.growing import Growing
from nsd_imagery.fetch.reads import Object, Read

_JOURNAL = "parts.jsonl"

_NO_ROOM_TAKEN = (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""Of file systems that give files their room as they are written."""


class PartialFile:
    """A file of the bucket that is being fetched, part by part, in any order; a part comes in order of its bytes.

    Attributes:
        object: The file.
        path: Its data. The ending is that of the key, so that readers know what it is.
        parts: Reads of the parts that were not there when it was opened.
    """

    def __init__(self, folder: Path, wanted: Object) -> None:
        self.object = wanted
        self._folder = folder
        self.path = _data(folder, wanted.key)
        self._sizes = part_sizes(wanted.size, wanted.etag)
        self._part = PART if is_md5(wanted.etag) or not self._sizes else self._sizes[0]
        self._done: dict[int, bytes] = {}
        self._digests: dict[int, Any] = {}
        self._file = -1
        self._follower: Growing | None = None
        self.parts: list[Read] = []

    def open(self) -> None:
        """Take up what is there, each part of it checked, and make room for the rest.

        Raises:
            OSError: The disk is full, or the root may not be written to.
        """
        self._done = dict(self._kept())
        if not self._done:
            self._start()
        self._file = os.open(self.path, os.O_RDWR)
        self.parts = [self.read_of(number) for number in range(self._n_parts) if number not in self._done]

    def begin_again(self) -> None:
        """Forget what is there.

        Raises:
            OSError: The root may not be written to.
        """
        self.remove()
        self.open()

    def write(self, read: Read, start: int, data: memoryview) -> None:
        """Take the next bytes of a part.

        Raises:
            OSError: The disk is full.
        """
        number = read.start // self._part
        if start == read.start:
            self._digests[number] = hashlib.md5(usedforsecurity=False)
        self._digests[number].update(data)
        stop = start + len(data)
        try:
            while data:
                data = data[os.pwrite(self._file, data, stop - len(data)) :]
        except OSError as error:  # which names no file
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        if stop == read.stop:
            self._done[number] = self._digests.pop(number).digest()
            self._note({"part": number, "md5": self._done[number].hex()})
            self._tell()

    def follow(self) -> Growing | None:
        """Its bytes in order, as they come; None for a file of one part, which is whole at once."""
        if self._n_parts > 1:
            self._follower = Growing(self.path, self.object.size)
            self._tell()
        return self._follower

    def _tell(self) -> None:
        if self._follower is not None:
            first = next((number for number in range(self._n_parts) if number not in self._done), self._n_parts)
            self._follower.grow(min(first * self._part, self.object.size))

    @property
    def is_whole(self) -> bool:
        """Whether all parts are there."""
        return len(self._done) == self._n_parts

    def agrees(self) -> bool | None:
        """Whether the whole file is what its ETag stands for; None where the ETag does not say."""
        if not self._sizes:
            return None
        etag = self.object.etag.strip('"')
        if is_md5(etag):
            return self.md5().hex() == etag
        ours = etag_of_parts([self._done[number] for number in range(self._n_parts)])
        return ours == etag or any(etag_of(self.path, part, etag) == etag for part in self._sizes[1:])

    def md5(self) -> bytes:
        """Of the whole."""
        return self._done[0] if self._n_parts == 1 else md5_of(self.path)

    def sync(self) -> None:
        """Have the data on disk for good."""
        os.fsync(self._file)

    def close(self) -> None:
        """Let the data be; what is there stays for the next time."""
        if self._follower is not None:
            self._follower.end()
        self._follower = None
        if self._file >= 0:
            os.close(self._file)
        self._file = -1
        self._digests.clear()

    def remove(self) -> None:
        """Remove what there is of it here."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _n_parts(self) -> int:
        return -(-self.object.size // self._part)

    def read_of(self, number: int) -> Read:
        """What is asked for a part."""
        start = number * self._part
        return Read(self.object.key, self.object.etag, start, min(start + self._part, self.object.size))

    @property
    def _head(self) -> dict[str, Any]:
        there = self.object
        return {"key": there.key, "size": there.size, "etag": there.etag, "part_size": self._part}

    def _start(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        _make_room(self.path, self.object.size)
        self._done.clear()
        self._note(self._head)

    def _note(self, line: dict[str, Any]) -> None:
        path = self._folder / _JOURNAL
        with naming_full_disk(path), path.open("ab") as journal:
            journal.write(json.dumps(line).encode() + b"\n")

    def _kept(self) -> Iterator[tuple[int, bytes]]:
        """The parts that the journal names and that are still what they were: a power cut may have taken their data."""
        for number, md5 in self.journal().items():
            read = self.read_of(number)
            if md5_of(self.path, read.start, read.stop) == md5:
                yield number, md5

    def journal(self) -> dict[int, bytes]:
        """Parts that are said to be there, with their MD5s; nothing where the state is of another file."""
        try:
            head, *lines = (self._folder / _JOURNAL).read_bytes().splitlines()
            if json.loads(head) != self._head or self.path.stat().st_size != self.object.size:
                return {}
        except (OSError, ValueError):
            return {}
        noted: dict[int, bytes] = {}
        for line in lines:
            try:
                said = json.loads(line)
                noted[int(said["part"])] = bytes.fromhex(said["md5"])
            except (ValueError, KeyError, TypeError):  # the process was killed, or the power cut, in this line
                continue
        return {number: md5 for number, md5 in noted.items() if 0 <= number < self._n_parts}


def n_bytes_begun(folder: Path, wanted: Object) -> int:
    """Bytes of a file that a download that was stopped left, as its journal says."""
    partial = PartialFile(folder, wanted)
    return sum(read.stop - read.start for read in map(partial.read_of, partial.journal()))


def _data(folder: Path, key: str) -> Path:
    name = key.rpartition("/")[2]
    return folder / f"data{'.nii.gz' if name.endswith('.nii.gz') else Path(name).suffix}"


def _make_room(path: Path, size: int) -> None:
    """Make a file of a size, and take the room for it, where the system can, so that a full disk is known now.

    Raises:
        OSError: It is full.
    """
    with path.open("wb") as file:
        try:
            if size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
                return
        except OSError as error:
            if error.errno not in _NO_ROOM_TAKEN:
                raise OSError(error.errno, error.strerror, str(path)) from error
        os.ftruncate(file.fileno(), size)
