"""The header of a beta file that is read in parts: shape, type, and where the tree of its chunks begins.

HDF5's own parser reads it. What that does not say, the address of the tree's root, is in the dataset's object header.
"""

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import h5py
import numpy as np
from h5py import h5g  # type: ignore[attr-defined]

from nsd_imagery.errors import DataError, NSDImageryError, UnknownLayoutError, reason, shown
from nsd_imagery.volumes.betas import MOST_VOXELS
from nsd_imagery.volumes.grid import Grid

Range = tuple[int, int]
"""The first byte, and the one behind the last."""

Get = Callable[[Sequence[Range]], list[bytes]]
"""Gives the bytes of some ranges, in the order that they are asked for."""

BLOCK = 1 << 16
"""Bytes that are asked for at once; the first block has all of a release's header, or all but a node of 328 bytes."""

NODE_BYTES = 3656
"""Of a node of the tree of a dataset with four axes."""

_NO_BLOCK = bytes(BLOCK)
_MOST_BLOCKS = 16
_LAYOUT, _CONTINUED = 8, 16
"""Types of messages of an object header."""

_NOWHERE = 2**64 - 1


@dataclass(frozen=True)
class Header:
    """A dataset `betas` of the release: int16, one chunk a voxel, not compressed, a version 1 B-tree of 64 children.

    Attributes:
        name: Of the file, for messages.
        size: Of the file, in bytes.
        shape: (n_volumes, Z, Y, X).
        root: Address of the tree's root.
    """

    name: str
    size: int
    shape: tuple[int, int, int, int]
    root: int

    @property
    def n_chunks(self) -> int:
        """Voxels of a volume, each a chunk; they are counted in the order of the file: x is fastest, then y, then z."""
        return self.shape[1] * self.shape[2] * self.shape[3]

    @property
    def chunk_bytes(self) -> int:
        """Of a chunk: all volumes of a voxel."""
        return self.shape[0] * np.dtype(np.int16).itemsize

    @property
    def grid(self) -> Grid:
        """Of the volumes."""
        _, z, y, x = self.shape
        return Grid((x, y, z), None)


def read_header(get: Get, size: int, name: str, first: bytes | None = None) -> Header:
    """Read the header of a beta file.

    Args:
        get: Gives parts of the file.
        size: Of the file, in bytes.
        name: Of the file, for messages.
        first: The first `BLOCK` bytes of the file, where they are there already.

    Raises:
        UnknownLayoutError: The chunks are of another form than the release's, or kept in another kind of tree.
        DataError: The file is damaged, or has no dataset `betas`.
    """
    parts = _Parts(size, name, first)
    found = _parsed(parts, size, name)
    while parts.lacking:
        parts.fetch(get)
        found = _parsed(parts, size, name)
    if isinstance(found, NSDImageryError):
        raise found
    return found


def _parsed(parts: "_Parts", size: int, name: str) -> Header | NSDImageryError:
    """The header, or why there is none; of no meaning where parts were lacking.

    Nothing is raised through HDF5, or with what h5py raised: a traceback from there has h5py's settings of the file in
    it, which HDF5 gives back by a call into Python, and where they live to the end, there is no Python any more.
    """
    try:
        with h5py.File(parts, "r") as file:
            dataset = _dataset(file, name)
            _refuse_other_forms(file, dataset, name)
            # Not by h5o.get_info, which goes through the whole tree to tell how large that is.
            shape, (at, _) = dataset.shape, h5g.get_objinfo(file.id, b"betas").objno
            return Header(name, size, shape, _root(_layout_message(parts, at, name), shape, size, name))
    except NSDImageryError as error:
        return error.with_traceback(None)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, struct.error) as error:
        return DataError(f"{name}: is not a sound HDF5 file ({reason(error)})")


def _dataset(file: h5py.File, name: str) -> h5py.Dataset:
    # A link could lead out of the file.
    inside = isinstance(file.get("betas", getlink=True), h5py.HardLink)
    dataset = file["betas"] if inside else None
    if not isinstance(dataset, h5py.Dataset):
        msg = f"{name}: has no dataset 'betas' of its own (it has: {shown(', '.join(map(str, file)) or 'nothing')})"
        raise DataError(msg)
    return dataset


def _refuse_other_forms(file: h5py.File, dataset: h5py.Dataset, name: str) -> None:
    made = file.id.get_create_plist()
    superblock, *_ = made.get_version()
    # Of this version are files whose nodes have HDF5's usual 64 children; of other numbers, a later one would tell.
    if superblock != 0 or made.get_sizes() != (8, 8) or made.get_userblock():
        _unknown(name, f"a superblock of version {superblock}, addresses of {made.get_sizes()[0]} bytes")
    if dataset.ndim != 4 or dataset.dtype != np.dtype("<i2") or not 0 < np.prod(dataset.shape[1:]) <= MOST_VOXELS:
        _unknown(name, f"{dataset.dtype.str} of shape {dataset.shape}")
    if dataset.chunks != (dataset.shape[0], 1, 1, 1):
        _unknown(name, f"chunks of {dataset.chunks}, not one a voxel")
    if dataset.id.get_create_plist().get_nfilters():
        _unknown(name, "its chunks are packed")


def _layout_message(parts: "_Parts", at: int, name: str) -> bytes:
    """The message of an object header of version 1 that says how its dataset is laid out."""
    version, _, _, _, n_bytes = struct.unpack("<BBHII", parts.at(at, 12))
    if version != 1:
        _unknown(name, "an object header of another version")
    blocks = [(at + 16, n_bytes)]
    for start, length in blocks:
        body = parts.at(start, length)
        place = 0
        while place + 8 <= length:
            kind, n_bytes = struct.unpack_from("<HH", body, place)
            message = body[place + 8 : place + 8 + n_bytes]
            if kind == _LAYOUT:
                return message
            if kind == _CONTINUED:
                blocks.append(struct.unpack("<QQ", message[:16]))
            if len(blocks) > _MOST_BLOCKS:
                break
            place += 8 + n_bytes
    return _unknown(name, "no message on its layout")


def _root(message: bytes, shape: tuple[int, ...], size: int, name: str) -> int:
    form = struct.Struct("<BBBQ5I")
    if len(message) < form.size or message[:3] != bytes((3, 2, 5)):
        _unknown(name, f"a layout message that begins with {message[:3].hex(' ')}")
    _, _, _, root, *chunk = form.unpack_from(message)
    if chunk != [shape[0], 1, 1, 1, 2]:
        msg = f"{name}: contradicts itself on its chunks: {chunk}"
        raise DataError(msg)
    if root == _NOWHERE or root + NODE_BYTES > size:
        msg = f"{name}: has no chunks, or is cut short"
        raise DataError(msg)
    return root


def _unknown(name: str, what: str) -> NoReturn:
    msg = f"{name}: has another layout than the release's beta files ({what}), so parts of it cannot be found"
    raise UnknownLayoutError(msg)


class _Parts(io.RawIOBase):
    """A file for h5py of which only what is read is fetched, a block at a time and few in all.

    A block that is not there reads as zeros, and is noted, to be fetched before all is read again.

    Attributes:
        lacking: The blocks that were read first of those that are not there.
    """

    def __init__(self, size: int, name: str, first: bytes | None) -> None:
        self._size, self._name, self._place = size, name, 0
        self._blocks: dict[int, bytes] = {} if first is None else {0: first}
        self.lacking: set[int] = set()

    def fetch(self, get: Get) -> None:
        """Have the blocks that are lacking.

        Raises:
            UnknownLayoutError: There are too many.
        """
        if len(self._blocks) + len(self.lacking) > _MOST_BLOCKS:
            _unknown(self._name, "a header that is scattered, or large")
        numbers = sorted(self.lacking)
        bodies = get([(n * BLOCK, min((n + 1) * BLOCK, self._size)) for n in numbers])
        self._blocks |= dict(zip(numbers, bodies, strict=True))
        self.lacking.clear()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        data = self.at(self._place, len(buffer))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def at(self, start: int, length: int) -> bytes:
        """Bytes from a place on; fewer where the file ends."""
        end = min(start + length, self._size)
        numbers = range(start // BLOCK, -(-end // BLOCK)) if start < end else range(0)
        numbers = numbers[: _MOST_BLOCKS + 1]
        if not self.lacking:  # what is read behind zeros, HDF5 looks for by them
            self.lacking.update(number for number in numbers if number not in self._blocks)
        joined = b"".join(self._blocks.get(number, _NO_BLOCK) for number in numbers)
        return joined[start - numbers.start * BLOCK : end - numbers.start * BLOCK] if numbers else b""
