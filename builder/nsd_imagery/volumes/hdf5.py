"""The release's HDF5 betas: dataset `betas`, seen from h5py as (n_volumes, Z, Y, X), one chunk a voxel.

The axes are those of the NIfTI reversed: volume (x, y, z) is `betas[:, z, y, x]`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, NSDImageryError, reason, shown
from nsd_imagery.links import refuse_without_content
from nsd_imagery.progress import ShareProgress, unwatched
from nsd_imagery.volumes.betas import BetaHeader, Betas, Scaling, holds_data, refuse_unlikely, without_nan
from nsd_imagery.volumes.chunks import Chunks
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.hdf5_file import unlocked
from nsd_imagery.volumes.masked import Held, block_of, held_by

_VOXELS_AT_A_TIME = 256
"""Chunks that are gathered before they are turned into columns: small enough to stay in the processor's cache."""

_BLOCK = 1 << 22
"""Bytes of volumes that are read at once where there are no chunks."""

_SAMPLED = 16
"""Voxels of a sample, each of one chunk."""


def read_header(path: Path) -> BetaHeader:
    """The shape and type of the dataset `betas`; see `read.read_header`."""
    with _open(path) as (_, header):
        return header


def read_betas(
    path: Path, grid: Grid, voxels: FlatIndex, brain: FlatIndex | None, progress: ShareProgress = unwatched
) -> Betas:
    """Read the chunks of some voxels; see `read.read_betas`.

    Raises:
        MissingDataError: It is a masked file, and does not hold all of them.
        DataError: The file is damaged, or of another grid.
    """
    with _open(path) as (dataset, header):
        _refuse_others(header, path, grid, voxels)
        stored = without_nan(_read_voxels(dataset, path, grid, voxels, progress), path)
        is_valid = holds_data(stored)
        brain = np.arange(grid.n_voxels) if brain is None else brain
        brain = brain if header.held is None else header.held.judging(grid, brain)
        _find_in_brain(is_valid, dataset, path, grid, brain)
        return Betas(header, stored, is_valid, None)


def bytes_to_unpack(path: Path, grid: Grid, voxels: FlatIndex) -> int:
    """Of the chunks that some voxels lie in; see `read.bytes_to_unpack`."""
    with _open(path) as (dataset, header):
        _refuse_others(header, path, grid, voxels)
        n_volumes, *zyx = dataset.shape
        if dataset.chunks is None:
            z = voxels % grid.shape[2]
            return (int(z.max()) - int(z.min()) + 1) * math.prod((n_volumes, *zyx[1:])) * dataset.dtype.itemsize
        n_rows, *size = dataset.chunks
        n_boxes = len(np.unique(grid.ijk(voxels)[:, ::-1] // size, axis=0))
        return n_boxes * -(-n_volumes // n_rows) * math.prod(dataset.chunks) * dataset.dtype.itemsize


def read_sample(path: Path, grid: Grid, voxels: FlatIndex) -> tuple[BetaHeader, NDArray[Any]]:
    """The first chunk of volumes at a few voxels; see `read.read_sample`."""
    with _open(path) as (dataset, header):
        _refuse_others(header, path, grid, voxels)
        some = voxels[:: max(1, voxels.size // _SAMPLED)][:_SAMPLED]
        zyx = grid.ijk(some[_order(dataset, grid, some)])[:, ::-1]
        first = [part.read().copy() for part in _parts(dataset, path, zyx) if not part.rows.start]
        return header, np.concatenate(first, axis=1).astype(header.dtype, copy=False)


def read_held(path: Path) -> tuple[Held, NDArray[np.int16]] | None:
    """What a masked file holds, and (n_voxels, n_volumes) all its numbers, proven by its digest; None of a whole file.

    Raises:
        DataError: The file is damaged.
    """
    with _open(path) as (dataset, header):
        return None if header.held is None else (header.held, block_of(dataset, header.held))


def _refuse_others(header: BetaHeader, path: Path, grid: Grid, voxels: FlatIndex) -> None:
    header.grid.check_same(grid, str(path), "the mask")
    if header.held is not None:
        header.held.refuse_others(grid, voxels)


@contextmanager
def open_dataset(path: Path, name: str) -> Iterator[h5py.Dataset]:
    """A dataset of an HDF5 file, open for reading as long as the block runs.

    What the block raises is its own: where it reads from the dataset, it does so in `reading`.

    Raises:
        DataError: The file is damaged, or has no such dataset of its own.
    """
    refuse_without_content(path)
    with path.open("rb"):  # says which file may not be read, as h5py's own error does not
        pass
    with ExitStack() as stack:
        with reading(path):
            file = stack.enter_context(unlocked(path))
            dataset = _own_dataset(file, path, name)
        yield dataset


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A block that does nothing but read from an open HDF5 file, so that any error of h5py's kinds is the file's.

    Raises:
        DataError: The file is damaged.
    """
    try:
        yield
    except NSDImageryError:
        raise
    except (OSError, RuntimeError, KeyError) as error:
        msg = f"{path}: is not a sound HDF5 file ({reason(error)}): copy the file again"
        raise DataError(msg) from error


@contextmanager
def _open(path: Path) -> Iterator[tuple[h5py.Dataset, BetaHeader]]:
    """The betas and what is said of them, for a block that does nothing but read them."""
    with open_dataset(path, "betas") as dataset, reading(path):
        yield dataset, _header(dataset, path)


def _own_dataset(file: h5py.File, path: Path, name: str) -> h5py.Dataset:
    # A link or external storage could lead out of the root.
    inside = isinstance(file.get(name, getlink=True), h5py.HardLink)
    dataset = file[name] if inside else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        has = shown(", ".join(map(str, file))) if len(file) else "nothing"
        msg = f"{path}: has no dataset {name!r} of its own (it has: {has})"
        raise DataError(msg)
    try:
        _ = dataset.dtype
    except TypeError as error:  # HDF5 has types that numpy has not
        msg = f"{path}: {name!r} holds no numbers ({reason(error)})"
        raise DataError(msg) from error
    return dataset


def _header(dataset: h5py.Dataset, path: Path) -> BetaHeader:
    if dataset.ndim != 4 or dataset.dtype.kind not in "iuf":
        msg = f"{path}: 'betas' is {dataset.dtype} of shape {dataset.shape}, not numbers of (trials, z, y, x)"
        raise DataError(msg)
    n_volumes, *zyx = dataset.shape
    held = held_by(dataset, path)
    if held is None:
        refuse_unlikely(path, (*zyx, n_volumes), dataset.dtype)
    dtype = dataset.dtype.newbyteorder("=")
    return BetaHeader(Grid((zyx[2], zyx[1], zyx[0]), None), n_volumes, dtype, Scaling.of(dtype), held)


@dataclass(frozen=True)
class _Part:
    """A part of the result that is read at once.

    Attributes:
        rows: Volumes.
        columns: Voxels, by their position in the order of `_order`.
        read: Gives (n_rows, n_columns) numbers.
    """

    rows: slice
    columns: slice
    read: Callable[[], NDArray[Any]]


def _read_voxels(
    dataset: h5py.Dataset, path: Path, grid: Grid, voxels: FlatIndex, progress: ShareProgress
) -> NDArray[Any]:
    """(n_volumes, n_voxels), read in the order of the file and given in the order of `voxels`."""
    order = _order(dataset, grid, voxels)
    stored = np.empty((dataset.shape[0], voxels.size), dataset.dtype.newbyteorder("="))
    n_read = 0
    for part in _parts(dataset, path, grid.ijk(voxels[order])[:, ::-1]):
        numbers = part.read()
        stored[part.rows, part.columns] = numbers
        n_read += numbers.size
        progress(n_read / stored.size)
    if not (order[1:] > order[:-1]).all():
        to_asked = np.argsort(order)
        for row in stored:
            row[:] = row[to_asked]
    return stored


def _find_in_brain(
    is_valid: NDArray[np.bool_], dataset: h5py.Dataset, path: Path, grid: Grid, brain: FlatIndex
) -> None:
    """Set (n_volumes,) True where a voxel of the brain holds data, reading no more than the other rows need."""
    if is_valid.all():
        return
    zyx = grid.ijk(brain[_order(dataset, grid, brain)])[:, ::-1]
    for part in _parts(dataset, path, zyx):
        if not is_valid[part.rows].all():
            is_valid[part.rows] |= holds_data(part.read())
        elif is_valid.all():
            return


def _order(dataset: h5py.Dataset, grid: Grid, voxels: FlatIndex) -> NDArray[np.int64]:
    """What sorts voxels so that those of a chunk are together, and else as they are in the file.

    Where volumes are read whole, they stay as they are.
    """
    if dataset.chunks is None or np.greater_equal(dataset.chunks, dataset.shape)[1:].all():
        return np.arange(voxels.size)
    in_file = grid.file_order(voxels)
    if dataset.chunks[1:] == (1, 1, 1):
        return np.argsort(in_file)
    z, y, x = grid.ijk(voxels)[:, ::-1].T // np.array(dataset.chunks[1:])[:, None]
    return np.lexsort((in_file, x, y, z))


def _parts(dataset: h5py.Dataset, path: Path, zyx: NDArray[np.int64]) -> Iterator[_Part]:
    """Parts that together are all volumes of some voxels, each chunk in just one of them.

    Args:
        dataset: The betas.
        path: The file.
        zyx: (n_voxels, 3), in the order of `_order`.
    """
    if dataset.chunks is None:
        return _slabs(dataset, zyx)
    chunks = Chunks(dataset, path)
    return _lines(dataset, chunks, zyx) if chunks.shape[1:] == (1, 1, 1) else _boxes(dataset, chunks, zyx)


def _slabs(dataset: h5py.Dataset, zyx: NDArray[np.int64]) -> Iterator[_Part]:
    """Some volumes at a time, from the first z that has a voxel to the last."""
    first, end = int(zyx[:, 0].min()), int(zyx[:, 0].max()) + 1
    shape = end - first, *dataset.shape[2:]
    inside = np.ravel_multi_index((zyx - (first, 0, 0)).T, shape)
    step = max(1, _BLOCK // (math.prod(shape) * dataset.dtype.itemsize))

    def read(rows: slice) -> NDArray[Any]:
        volumes = dataset[rows, first:end]
        return volumes.reshape(len(volumes), -1).take(inside, axis=1, mode="clip")

    for start in range(0, dataset.shape[0], step):
        rows = slice(start, start + step)
        yield _Part(rows, slice(None), partial(read, rows))


def _boxes(dataset: h5py.Dataset, chunks: Chunks, zyx: NDArray[np.int64]) -> Iterator[_Part]:
    """A chunk of several voxels at a time."""
    n_rows, *size = chunks.shape
    starts = zyx - zyx % size

    def read(at: tuple[int, ...], zyx: NDArray[np.int64], flat: NDArray[np.int64]) -> NDArray[Any]:
        box = chunks.read(at)[: dataset.shape[0] - at[0]]
        here = flat if box.shape[1:] == tuple(size) else np.ravel_multi_index(zyx.T, box.shape[1:])
        return box.reshape(len(box), -1).take(here, axis=1, mode="clip")

    bounds = [0, *(np.flatnonzero((starts[1:] != starts[:-1]).any(axis=1)) + 1).tolist(), len(zyx)]
    for first, end in pairwise(bounds):
        inside, corner = zyx[first:end] - starts[first], starts[first].tolist()
        flat = np.ravel_multi_index(inside.T, size)
        for start in range(0, dataset.shape[0], n_rows):
            yield _Part(slice(start, start + n_rows), slice(first, end), partial(read, (start, *corner), inside, flat))


def _lines(dataset: h5py.Dataset, chunks: Chunks, zyx: NDArray[np.int64]) -> Iterator[_Part]:
    """Chunks of one voxel, some at a time."""
    n_volumes, n_rows = dataset.shape[0], chunks.shape[0]
    block = np.empty((min(_VOXELS_AT_A_TIME, len(zyx)), min(n_rows, n_volumes)), dataset.dtype)

    def read(start: int, voxels: list[list[int]]) -> NDArray[Any]:
        count = min(n_rows, n_volumes - start)
        for row, voxel in zip(block, voxels, strict=False):
            chunks.read_line((start, *voxel), row[:count])
        return block[: len(voxels), :count].T

    for first in range(0, len(zyx), _VOXELS_AT_A_TIME):
        voxels = zyx[first : first + _VOXELS_AT_A_TIME].tolist()
        columns = slice(first, first + len(voxels))
        for start in range(0, n_volumes, n_rows):
            yield _Part(slice(start, start + n_rows), columns, partial(read, start, voxels))
