"""Chunks of an HDF5 dataset, unpacked here.

HDF5 (2.0) does not hold what a chunk unpacks to against what a chunk holds: of a damaged one it gives whatever lies
behind it in memory, or crashes. Chunks that went through deflate, shuffle and fletcher32 are therefore unpacked here,
and must be of their size; what other filters packed is left to HDF5 where its memory for it is known to be enough.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5t, h5z  # type: ignore[attr-defined]
from isal import isal_zlib
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, reason

_BROKEN: tuple[type[Exception], ...] = (ValueError, isal_zlib.error)  # type: ignore[assignment]
_CHECKSUM_BYTES = 4
_CHECKSUM_WORDS = 1 << 16
"""Summed at a time: float64 holds the sums of so many exactly."""

_MAX_GROWTH = 4096
"""More than any filter adds to a chunk that it cannot shrink, beside a tenth of it."""

_SCALEOFFSET_HEADER = 21
"""Bytes before the numbers: how many bits each has, and the smallest (H5Zscaleoffset.c)."""

Filter = tuple[int, tuple[int, ...]]
"""Its number, and its parameters."""


class Chunks:
    """The chunks of a dataset of numbers.

    Attributes:
        shape: Of a chunk; those at the edge of the dataset are stored as large, too.
    """

    def __init__(self, dataset: h5py.Dataset, path: Path) -> None:
        assert dataset.chunks is not None
        plist = dataset.id.get_create_plist()
        self.shape: tuple[int, ...] = dataset.chunks
        self._dataset, self._path = dataset, path
        self._filters: list[Filter] = [plist.get_filter(n)[0:3:2] for n in range(plist.get_nfilters())]
        self._bytes = math.prod(self.shape) * dataset.dtype.itemsize
        most = self._bytes + self._bytes // 10 + _MAX_GROWTH
        self._packed = np.empty(min(most, path.stat().st_size), np.uint8).data
        # Others (of fewer bits than bytes, say) are for HDF5 to convert.
        self._is_of_numpy = h5t.py_create(dataset.dtype).equal(dataset.id.get_type())

    def read(self, at: tuple[int, ...]) -> NDArray[Any]:
        """The numbers of the chunk whose first is at `at`, in its shape or in what of it lies in the dataset.

        They are overwritten by the next chunk.

        Raises:
            DataError: The chunk is damaged.
        """
        try:
            mask, packed = self._dataset.id.read_direct_chunk(at, out=self._packed)
        except RuntimeError:  # it was never written: HDF5 gives the fill value
            return self._by_hdf5(at)
        except ValueError as error:
            raise self._damaged(at, reason(error)) from error
        unpacked = self._unpacked(at, mask, packed)
        if unpacked is None or not self._is_of_numpy:
            return self._by_hdf5(at)
        return np.frombuffer(unpacked, self._dataset.dtype).reshape(self.shape)

    def read_line(self, at: tuple[int, ...], out: NDArray[Any]) -> None:
        """The numbers of a chunk of one voxel, into an array of as many as lie in the dataset; see `read`."""
        if self._filters or not self._is_of_numpy or out.nbytes != self._bytes:
            out[:] = self.read(at)[: out.size, 0, 0, 0]
            return
        try:
            _, stored = self._dataset.id.read_direct_chunk(at, out=out.data.cast("B"))
        except RuntimeError:  # as in `read`
            out[:] = self._by_hdf5(at)[:, 0, 0, 0]
        except ValueError as error:
            raise self._damaged(at, reason(error)) from error
        else:
            if len(stored) != self._bytes:
                raise self._damaged(at, f"{len(stored)} bytes, not {self._bytes}")

    def _by_hdf5(self, at: tuple[int, ...]) -> NDArray[Any]:
        return self._dataset[tuple(slice(first, first + size) for first, size in zip(at, self.shape, strict=True))]

    def _unpacked(self, at: tuple[int, ...], mask: int, packed: memoryview) -> bytes | memoryview | None:
        """The bytes of a chunk; None where HDF5 has to unpack it, and can."""
        # Of an optional filter that would not have shrunk the chunk, a bit says that it was left out.
        filters = [used for number, used in enumerate(self._filters) if not mask >> number & 1]
        # HDF5 can be told to leave chunks at the edge as they are, and alone knows whether it was.
        may_be_bare = len(packed) == self._bytes >= _CHECKSUM_BYTES and self._is_at_edge(at)
        if filters and may_be_bare and _take_no_more_memory(filters):
            return None
        data: bytes | memoryview = packed
        while filters:
            code, values = filters.pop()
            if code not in _UNDO:
                self._check_other(at, code, values, data, filters)
                return None
            try:
                data = _UNDO[code](data, values, self._bytes)
            except _BROKEN as error:
                if may_be_bare and (data is packed or code == h5z.FILTER_DEFLATE):  # HDF5 refuses it, too, or takes it
                    return None
                raise self._damaged(at, reason(error)) from error
        if len(data) != self._bytes:
            raise self._damaged(at, f"{len(data)} bytes, not {self._bytes}")
        return data

    def _is_at_edge(self, at: tuple[int, ...]) -> bool:
        return any(first + size > end for first, size, end in zip(at, self.shape, self._dataset.shape, strict=True))

    def _check_other(
        self, at: tuple[int, ...], code: int, values: Sequence[int], data: bytes | memoryview, before: list[Filter]
    ) -> None:
        made = _OTHERS[code](values, data) if code in _OTHERS else self._bytes
        if made != self._bytes or any(other != h5z.FILTER_SHUFFLE for other, _ in before):
            raise self._damaged(at, f"filter {code} does not unpack it to {self._bytes} bytes")

    def _damaged(self, at: tuple[int, ...], why: str) -> DataError:
        where = tuple(map(int, at))
        return DataError(
            f"{self._path}: the chunk of {self._dataset.name!r} at {where} is damaged ({why}): copy the file again"
        )


def _take_no_more_memory(filters: Sequence[Filter]) -> bool:
    return all(code in (h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32) for code, _ in filters)


def _inflated(data: bytes | memoryview, _values: Sequence[int], most: int) -> bytes:
    stream = isal_zlib.decompressobj()
    # Beyond the chunk itself, there may be checksums in it.
    made = stream.decompress(data, most + 1024)
    if not stream.eof:
        msg = "the deflated data is cut short, or of more than a chunk"
        raise ValueError(msg)
    return made


def _unshuffled(data: bytes | memoryview, values: Sequence[int], _most: int) -> bytes | memoryview:
    """Numbers whose first bytes lay together, then their second bytes; what is no whole number lies behind."""
    size = values[0] if values else 1
    count = len(data) // size if size else 0
    if size < 2 or count < 2:
        return data
    numbers = np.empty(len(data), np.uint8)
    for byte in range(size):
        numbers[byte : count * size : size] = np.frombuffer(data, np.uint8, count, byte * count)
    numbers[count * size :] = np.frombuffer(data, np.uint8)[count * size :]
    return numbers.data


def _without_checksum(data: bytes | memoryview, _values: Sequence[int], _most: int) -> memoryview:
    """What lies before its checksum.

    HDF5 before 1.6.3 swapped the bytes in both halves of the checksum.
    """
    if len(data) <= _CHECKSUM_BYTES:
        msg = "it is smaller than its checksum"
        raise ValueError(msg)
    checked = memoryview(data)[:-_CHECKSUM_BYTES]
    sums = _fletcher32(checked)
    stored = [np.frombuffer(data, order, 2, len(checked)) for order in ("<u2", ">u2")]
    if sums not in [tuple(int(half) % 65535 for half in halves) for halves in stored]:
        msg = "its checksum is wrong"
        raise ValueError(msg)
    return checked


def _fletcher32(data: memoryview) -> tuple[int, int]:
    """The sum of the data's big-endian 16-bit words, and that of all its partial sums, modulo 65535."""
    even = len(data) & ~1
    words = np.frombuffer(data[:even], ">u2")
    first = second = 0
    for start in range(0, words.size, _CHECKSUM_WORDS):
        part = words[start : start + _CHECKSUM_WORDS].astype(np.float64)
        second += part.size * first + int(part @ np.arange(part.size, 0, -1, dtype=np.float64))
        first += int(part.sum())
    if even < len(data):
        first += data[even] << 8
        second += first
    return first % 65535, second % 65535


_UNDO: dict[int, Callable[[bytes | memoryview, Sequence[int], int], bytes | memoryview]] = {
    h5z.FILTER_DEFLATE: _inflated,
    h5z.FILTER_SHUFFLE: _unshuffled,
    h5z.FILTER_FLETCHER32: _without_checksum,
}


def _lzf_bytes(values: Sequence[int], _data: bytes | memoryview) -> int:
    return values[2] if len(values) > 2 else 0


def _szip_bytes(_values: Sequence[int], data: bytes | memoryview) -> int:
    return int.from_bytes(data[:4], "little")


def _scaled_bytes(values: Sequence[int], data: bytes | memoryview) -> int:
    """0 where there are fewer bytes than the numbers take: some HDF5 (1.14.2) reads on behind them."""
    bits = int.from_bytes(data[:4], "little")
    count = values[2] if len(values) > 2 else 0
    return _counted_bytes(values, data) if len(data) >= _SCALEOFFSET_HEADER + (count * bits + 7) // 8 else 0


def _counted_bytes(values: Sequence[int], _data: bytes | memoryview) -> int:
    return values[2] * values[4] if len(values) > 4 else 0


_OTHERS: dict[int, Callable[[Sequence[int], bytes | memoryview], int]] = {
    h5z.FILTER_LZF: _lzf_bytes,
    h5z.FILTER_SZIP: _szip_bytes,
    h5z.FILTER_SCALEOFFSET: _scaled_bytes,
    h5z.FILTER_NBIT: _counted_bytes,
}
"""The memory that HDF5 takes for what such a filter unpacks, by the filter's parameters and what it is given."""
