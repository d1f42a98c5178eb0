"""NIfTI files as a stream: one volume in memory at a time, read on to the end so that a gzip checksum is checked."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, reason
from nsd_imagery.progress import ShareProgress, unwatched
from nsd_imagery.volumes.betas import LARGEST, BetaHeader, Betas, Scaling, holds_data, refuse_unlikely, without_nan
from nsd_imagery.volumes.formats import READ_ENDINGS, refuse_other_format
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.unpacked import unpacked

_NIFTI2_BYTES = 540
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_MAX_HEADER_BYTES = 1 << 24
_FURTHEST_MM = 1e6
"""Far outside any scanner."""


@dataclass(frozen=True, eq=False)
class _Header:
    grid: Grid
    n_volumes: int
    dtype: np.dtype
    slope: float
    intercept: float

    @property
    def volume_bytes(self) -> int:
        return self.grid.n_voxels * self.dtype.itemsize


def is_nifti(path: Path) -> bool:
    """Whether a file's name says that it is NIfTI, packed or not."""
    return path.name.endswith(READ_ENDINGS)


def read_header(path: Path) -> BetaHeader:
    """The header of a 4-D NIfTI file; see `read.read_header`."""
    with unpacked(path) as (stream, _):
        return _beta_header(_read_header(stream, path))


def read_betas(
    path: Path, grid: Grid, voxels: FlatIndex, brain: FlatIndex | None, progress: ShareProgress = unwatched
) -> Betas:
    """Stream the volumes of a NIfTI file past a mask; see `read.read_betas`."""
    with unpacked(path) as (stream, source):
        header = _read_header(stream, path)
        header.grid.check_same(grid, str(path), "the mask")
        positions = grid.file_order(voxels)
        brain_positions = slice(None) if brain is None else grid.file_order(brain)
        stored = np.empty((header.n_volumes, voxels.size), header.dtype.newbyteorder("="))
        is_valid = np.empty(header.n_volumes, np.bool_)
        with np.errstate(invalid="ignore"):  # a NaN that says so when it is looked at is a NaN
            for row, volume in enumerate(_volumes(stream, header, path)):
                # Indices are known to be inside; "clip" spares numpy a checked, buffered copy.
                stored[row] = volume.take(positions, mode="clip")
                is_valid[row] = holds_data(stored[row]) or holds_data(volume[brain_positions])
                progress((row + 1) / header.n_volumes)
            return Betas(_beta_header(header), without_nan(stored, path), is_valid, source.digest.hexdigest())


def bytes_to_unpack(path: Path, grid: Grid, voxels: FlatIndex) -> int:
    """Of all volumes, which lie one behind the other; see `read.bytes_to_unpack`."""
    header = read_header(path)
    header.grid.check_same(grid, str(path), "the mask")
    return header.n_volumes * header.grid.n_voxels * header.dtype.itemsize


def read_sample(path: Path, grid: Grid, voxels: FlatIndex) -> tuple[BetaHeader, NDArray[Any]]:
    """The first volume past a mask; see `read.read_sample`."""
    with unpacked(path) as (stream, _):
        header = _read_header(stream, path)
        header.grid.check_same(grid, str(path), "the mask")
        first = next(_volumes(stream, header, path))
        stored = first.take(grid.file_order(voxels), mode="clip").astype(header.dtype.newbyteorder("="))
        return _beta_header(header), stored[np.newaxis]


def read_volume(path: Path) -> tuple[NDArray[Any], Grid]:
    """A whole 3-D volume, scaled by its header where it has a scaling, as an (x, y, z) array.

    Raises:
        DataError: Not a 3-D NIfTI file, or damaged.
    """
    refuse_other_format(path)
    with unpacked(path) as (stream, _):
        header = _read_header(stream, path)
        if header.n_volumes != 1:
            msg = f"{path}: has {header.n_volumes} volumes; a mask or map has one"
            raise DataError(msg)
        (volume,) = (volume.copy() for volume in _volumes(stream, header, path))
    values = volume.astype(header.dtype.newbyteorder("=")).reshape(header.grid.shape, order="F")
    scaling = Scaling.of(np.dtype(np.float64), header.slope, header.intercept)
    return (values if scaling == Scaling() else scaling.percent(values)), header.grid


def _beta_header(header: _Header) -> BetaHeader:
    scaling = Scaling.of(header.dtype, header.slope, header.intercept)
    return BetaHeader(header.grid, header.n_volumes, header.dtype.newbyteorder("="), scaling)


def _read_header(stream: io.BufferedIOBase, path: Path) -> _Header:
    start = stream.read(4)
    kind = Nifti2Header if _NIFTI2_BYTES in (int.from_bytes(start, order) for order in _ORDERS) else Nifti1Header
    start += stream.read(kind.template_dtype.itemsize - 4)
    if not kind.may_contain_header(start):
        msg = f"{path}: is not a NIfTI file (it starts with {start[:12]!r})"
        raise DataError(msg)
    try:
        with np.errstate(all="ignore"):  # an affine out of damaged numbers; see below
            header = kind(start, check=False)
            shape = tuple(int(n) for n in header.get_data_shape())
            dtype = header.get_data_dtype()
            affine = np.asarray(header.get_best_affine(), np.float64)
    except (HeaderDataError, ValueError, KeyError) as error:
        msg = f"{path}: the NIfTI header is damaged ({reason(error)})"
        raise DataError(msg) from error
    while len(shape) > 4 and shape[-1] == 1:  # some tools end a shape with axes of one
        shape = shape[:-1]
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    offset = float(header["vox_offset"])
    if header["magic"].item()[:2] != b"n+" or not len(start) <= offset <= _MAX_HEADER_BYTES:
        msg = f"{path}: is not a single-file NIfTI with its data at a sound place (vox_offset {offset:g})"
        raise DataError(msg)
    is_number = dtype.kind in "iuf" and dtype.itemsize <= 8
    if not is_number or len(shape) not in (3, 4):
        msg = f"{path}: holds {dtype} of shape {shape}; betas and masks are real numbers in 3 or 4 dimensions"
        raise DataError(msg)
    refuse_unlikely(path, shape, dtype)
    is_scaled_away = any(LARGEST < abs(number) < np.inf for number in (slope, intercept))
    if is_scaled_away or not (np.abs(affine) < _FURTHEST_MM).all():
        rows = affine[:3].tolist()
        msg = f"{path}: the NIfTI header is damaged (scl_slope {slope:g}, scl_inter {intercept:g}, affine {rows})"
        raise DataError(msg)
    stream.read(int(offset) - len(start))  # extensions
    n_volumes = shape[3] if len(shape) == 4 else 1
    return _Header(Grid(shape[:3], affine), n_volumes, dtype, slope, intercept)  # type: ignore[arg-type]


def _volumes(stream: io.BufferedIOBase, header: _Header, path: Path) -> Iterator[NDArray[Any]]:
    """Each volume in file order, (n_voxels,), in one buffer that the next overwrites; then the end of the file."""
    buffer = memoryview(bytearray(header.volume_bytes))
    volume = np.frombuffer(buffer, header.dtype)
    for number in range(header.n_volumes):
        if not _fill(stream, buffer):
            msg = f"{path}: ends in volume {number} (from 0) of the {header.n_volumes} that its header names"
            raise DataError(msg)
        yield volume
    # Only a read past the last volume makes the gzip reader compare length and CRC.
    if stream.read(1):
        msg = f"{path}: goes on after the {header.n_volumes} volumes that its header names"
        raise DataError(msg)


def _fill(stream: io.BufferedIOBase, buffer: memoryview) -> bool:
    done = 0
    while done < len(buffer):
        count = stream.readinto(buffer[done:])
        if not count:
            return False
        done += count
    return True
