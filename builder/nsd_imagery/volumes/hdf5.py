"""The release's HDF5 betas: dataset `betas`, seen from h5py as (n_volumes, Z, Y, X), one chunk a voxel.

The axes are those of the NIfTI reversed: volume (x, y, z) is `betas[:, z, y, x]`.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, reason, shown
from nsd_imagery.links import refuse_without_content
from nsd_imagery.volumes.betas import BetaHeader, Betas, Scaling, holds_data, refuse_unlikely, without_nan
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.hdf5_file import unlocked

_VOXELS_AT_A_TIME = 256
"""Chunks that are gathered before they are turned into columns: small enough to stay in the processor's cache."""

_CHECKSUM_BYTES = 4


def read_header(path: Path) -> BetaHeader:
    """The shape and type of the dataset `betas`; see `read.read_header`."""
    with _open(path) as dataset:
        return _header(dataset)


def read_betas(path: Path, grid: Grid, voxels: FlatIndex, brain: FlatIndex | None) -> Betas:
    """Read the chunks of some voxels; see `read.read_betas`.

    Raises:
        DataError: The file is damaged, or of another grid.
    """
    with _open(path) as dataset:
        header = _header(dataset)
        header.grid.check_same(grid, str(path), "the mask")
        _check_chunks(dataset, path)
        stored = without_nan(_read_voxels(dataset, grid, voxels), path)
        is_valid = holds_data(stored)
        if not is_valid.all():
            is_valid[~is_valid] = _any_in_brain(dataset, grid, brain)[~is_valid]
        return Betas(header, stored, is_valid, None)


def _header(dataset: h5py.Dataset) -> BetaHeader:
    n_volumes, *zyx = dataset.shape
    dtype = dataset.dtype.newbyteorder("=")
    return BetaHeader(Grid((zyx[2], zyx[1], zyx[0]), None), n_volumes, dtype, Scaling.of(dtype))


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
    except (OSError, RuntimeError, KeyError) as error:
        msg = f"{path}: is not a sound HDF5 file ({reason(error)}): copy the file again"
        raise DataError(msg) from error


@contextmanager
def _open(path: Path) -> Iterator[h5py.Dataset]:
    """The betas, for a block that does nothing but read them."""
    with open_dataset(path, "betas") as dataset, reading(path):
        yield _checked(dataset, path)


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


def _checked(dataset: h5py.Dataset, path: Path) -> h5py.Dataset:
    if dataset.ndim != 4 or dataset.dtype.kind not in "iuf":
        msg = f"{path}: 'betas' is {dataset.dtype} of shape {dataset.shape}, not numbers of (trials, z, y, x)"
        raise DataError(msg)
    n_volumes, *zyx = dataset.shape
    refuse_unlikely(path, (*zyx, n_volumes), dataset.dtype)
    return dataset


def _check_chunks(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse packed chunks that HDF5 would crash on: unpacked ones, ones outside the file, or smaller than a checksum.

    The release's betas are not packed, and are spared this.
    """
    if not dataset.id.get_create_plist().get_nfilters():
        return
    size = path.stat().st_size

    def check(chunk: h5py.h5d.StoreInfo) -> bool | None:
        is_wrong = chunk.filter_mask or chunk.size <= _CHECKSUM_BYTES or chunk.byte_offset + chunk.size > size
        return True if is_wrong else None

    if dataset.id.chunk_iter(check):
        msg = f"{path}: a chunk of 'betas' is not packed as the others are, or not in the file: copy the file again"
        raise DataError(msg)


def _read_voxels(dataset: h5py.Dataset, grid: Grid, voxels: FlatIndex) -> NDArray[Any]:
    """(n_volumes, n_voxels), read in the order of the file and given in the order of `voxels`."""
    order = np.argsort(grid.file_order(voxels))
    zyx = grid.ijk(voxels[order])[:, ::-1]
    n_volumes = dataset.shape[0]
    stored = np.empty((n_volumes, voxels.size), dataset.dtype.newbyteorder("="))
    block = np.empty((_VOXELS_AT_A_TIME, n_volumes), dataset.dtype)
    read = _read_chunk if _is_one_chunk_a_voxel(dataset) else _read_slice
    for start in range(0, voxels.size, _VOXELS_AT_A_TIME):
        part = zyx[start : start + _VOXELS_AT_A_TIME].tolist()
        for row, voxel in zip(block, part, strict=False):
            read(dataset, voxel, row)
        stored[:, start : start + len(part)] = block[: len(part)].T
    to_asked = np.argsort(order)
    for row in stored:
        row[:] = row[to_asked]
    return stored


def _is_one_chunk_a_voxel(dataset: h5py.Dataset) -> bool:
    plain = dataset.id.get_create_plist().get_nfilters() == 0
    return plain and dataset.chunks == (dataset.shape[0], 1, 1, 1)


def _read_chunk(dataset: h5py.Dataset, zyx: list[int], out: NDArray[Any]) -> None:
    """One voxel's chunk without HDF5's selection machinery: 2 to 3 times faster than a hyperslab a run of voxels."""
    try:
        dataset.id.read_direct_chunk((0, *zyx), out=out.data.cast("B"))
    except RuntimeError:  # the chunk was never written: HDF5 gives the fill value
        _read_slice(dataset, zyx, out)


def _read_slice(dataset: h5py.Dataset, zyx: list[int], out: NDArray[Any]) -> None:
    z, y, x = zyx
    out[:] = dataset[:, z, y, x]


def _any_in_brain(dataset: h5py.Dataset, grid: Grid, brain: FlatIndex | None) -> NDArray[np.bool_]:
    """(n_volumes,) True where a voxel of the brain holds data; stops as soon as every row has shown one."""
    voxels = np.arange(grid.n_voxels) if brain is None else brain
    found = np.zeros(dataset.shape[0], np.bool_)
    for start in range(0, voxels.size, 64 * _VOXELS_AT_A_TIME):
        found |= holds_data(_read_voxels(dataset, grid, voxels[start : start + 64 * _VOXELS_AT_A_TIME]))
        if found.all():
            break
    return found
