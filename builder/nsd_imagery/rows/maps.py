"""A value a voxel, back in the volume that it came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, UsageError, reason
from nsd_imagery.rows.grids import grid_of, grids_of_folder
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.nifti import read_header


def to_nifti(vector: ArrayLike, voxels: Any, like: Path | str | None = None, fill: float = 0) -> nib.Nifti1Image:
    """Put one value a voxel into a volume; exact, in the type of `vector`.

    Args:
        vector: (n_voxels,) values in the order of the columns of `betas`.
        voxels: The rows of `-voxels`: a Dataset, a DataFrame or a mapping with columns i, j, k, x, y, z.
        like: Whose grid the image gets: a dataset folder that has these voxels, or a volume of the subject. Default:
            the one that `voxels` remember, as those of `load` and `restrict` do; `load_dataset` forgets it.
        fill: What stands outside the voxels.

    Returns:
        An image of the shape and the affine of the subject's volumes.

    Raises:
        UsageError: `voxels` do not remember their grid.
        DataError: Not a value a voxel, or the voxels are not of the grid of `like` (another subject's).
    """
    values = np.asarray(vector)
    ijk, xyz = _columns(voxels, "ijk"), _columns(voxels, "xyz")
    if values.shape != (len(ijk),):
        msg = f"vector has shape {values.shape}, but -voxels has {len(ijk)} rows: give one value a voxel"
        raise DataError(msg)
    grid = _grid(voxels, like, ijk, xyz)
    if not grid.holds(ijk, xyz):
        msg = f"{like or 'voxels'}: the voxels do not lie on this grid; give a volume of the same subject and space"
        raise DataError(msg)
    volume = np.full(grid.shape, fill, values.dtype)
    volume[tuple(ijk.astype(np.int64).T)] = values
    return nib.Nifti1Image(volume, grid.affine, dtype=values.dtype)


def _grid(voxels: Any, like: Path | str | None, ijk: NDArray[Any], xyz: NDArray[Any]) -> Grid:
    if like is None:
        grid = grid_of(voxels)
        if grid is None:
            msg = "these voxels do not say of which grid they are: give like=, their dataset folder or a volume"
            raise UsageError(f"{msg} of the subject (those of nsd_imagery.load remember it)")
        return grid
    place = Path(like).expanduser()
    if not place.is_dir():
        return read_header(place).grid
    grids = grids_of_folder(place, ijk, xyz)
    if len(grids) != 1:
        msg = f"{place}: these voxels lie on {len(grids) or 'none'} of the grids that it remembers"
        raise DataError(f"{msg}: give a volume of their subject, or build the folder again, if it is an older one")
    return grids[0]


def _columns(voxels: Mapping[str, Any], names: str) -> NDArray[Any]:
    try:
        return np.stack([np.asarray(voxels[name][:]) for name in names], axis=1)
    except (KeyError, ValueError) as error:  # of a mapping; of a Dataset
        msg = f"voxels lack a column ({reason(error)}): give the rows of -voxels, with i, j, k, x, y and z"
        raise DataError(msg) from error
