"""One pass over a beta file, whatever its format."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.identity import identity
from nsd_imagery.volumes import hdf5, nifti
from nsd_imagery.volumes.betas import BetaHeader, Betas, without_nan
from nsd_imagery.volumes.grid import FlatIndex, Grid

_MASKS = 4
"""Masks that stay in memory, some 2 MB each: the brain of a subject or two, and where their sessions have data."""

_SAMPLE_STEP = 1000
"""One voxel in so many shows that a row holds data; only rows where none of them does need the whole brain."""


def read_header(path: Path) -> BetaHeader:
    """The header of a beta file (.hdf5, .nii or .nii.gz).

    Raises:
        DataError: The file is not what its name says, or damaged.
    """
    return _format(path).read_header(path)


def read_betas(path: Path, grid: Grid, voxels: FlatIndex, brain: FlatIndex | None) -> Betas:
    """Read some voxels of all volumes, in memory of the result plus one volume.

    Args:
        path: A .hdf5, .nii or .nii.gz beta file.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.
        brain: C-order flat indices by which a row is told to hold data; None for the whole volume.

    Raises:
        DataError: The file is damaged, or of another grid.
    """
    return _format(path).read_betas(path, grid, voxels, brain)


def read_sample(path: Path, grid: Grid, voxels: FlatIndex) -> tuple[BetaHeader, NDArray[Any]]:
    """The header and a few betas: of some of the voxels (.hdf5) or of the first volume (.nii, .nii.gz).

    Args:
        path: A beta file.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.

    Returns:
        The header, and (n_volumes, n_voxels) numbers as stored, NaN as 0; both may be fewer than were asked for.

    Raises:
        DataError: The file is damaged, or of another grid.
    """
    header, stored = _format(path).read_sample(path, grid, voxels)
    return header, without_nan(stored, path)


def brain_voxels(mask: Path | None) -> FlatIndex | None:
    """C-order flat indices of a brain mask; None where there is none, and the whole volume counts.

    Raises:
        DataError: The mask is damaged.
    """
    return None if mask is None else inside_voxels(mask)[0]


def inside_voxels(mask: Path) -> tuple[FlatIndex, Grid]:
    """C-order flat indices of the voxels above 0, not to be changed, and the grid; a file is read once a process.

    Raises:
        DataError: The mask is damaged.
    """
    return _inside(mask, *identity(mask))


def rows_with_data(path: Path, brain: Path | None) -> NDArray[np.bool_]:
    """(n_volumes,) False where every voxel of the brain is 0 or NaN.

    Args:
        path: A beta file.
        brain: The brain mask; None for the whole volume.

    Raises:
        DataError: A file is damaged, or the two are of different grids.
    """
    if brain is None:
        grid, inside = read_header(path).grid, None
    else:
        inside, grid = inside_voxels(brain)
    sample = (np.arange(grid.n_voxels) if inside is None else inside)[::_SAMPLE_STEP]
    return read_betas(path, grid, sample, inside).is_valid


@lru_cache(_MASKS)
def _inside(mask: Path, *_identity: int) -> tuple[FlatIndex, Grid]:
    values, grid = nifti.read_volume(mask)
    flat = np.flatnonzero(values > 0)
    flat.flags.writeable = False
    return flat, grid


def _format(path: Path):
    if path.name.endswith((".hdf5", ".h5")):
        return hdf5
    if nifti.is_nifti(path):
        return nifti
    msg = f"{path}: betas are read from .hdf5, .nii or .nii.gz"
    raise DataError(msg)
