"""A value a voxel, back in the volume that it came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, reason
from nsd_imagery.volumes.grid import SAME_PLACE_MM
from nsd_imagery.volumes.nifti import read_header


def to_nifti(vector: ArrayLike, voxels: Any, like: Path | str, fill: float = 0) -> nib.Nifti1Image:
    """Put one value a voxel into a volume; exact, in the type of `vector`.

    Args:
        vector: (n_voxels,) values in the order of the columns of `betas`.
        voxels: The rows of `-voxels`: a Dataset, a DataFrame or a mapping with columns i, j, k, x, y, z.
        like: A volume of the subject, for example its nsdgeneral.nii.gz, whose grid the image gets.
        fill: What stands outside the voxels.

    Returns:
        An image of the shape and the affine of `like`.

    Raises:
        DataError: Not a value a voxel, or the voxels are not of the grid of `like` (another subject's).
    """
    values = np.asarray(vector)
    ijk, xyz = _columns(voxels, "ijk"), _columns(voxels, "xyz")
    if values.shape != (len(ijk),):
        msg = f"vector has shape {values.shape}, but -voxels has {len(ijk)} rows: give one value a voxel"
        raise DataError(msg)
    grid = read_header(Path(like)).grid
    if (ijk >= grid.shape).any() or not np.allclose(grid.xyz(ijk), xyz, rtol=0, atol=SAME_PLACE_MM):
        msg = f"{like}: the voxels do not lie on this grid; give a volume of the same subject and space"
        raise DataError(msg)
    volume = np.full(grid.shape, fill, values.dtype)
    volume[tuple(ijk.astype(np.int64).T)] = values
    return nib.Nifti1Image(volume, grid.affine, dtype=values.dtype)


def _columns(voxels: Mapping[str, Any], names: str) -> NDArray[Any]:
    try:
        return np.stack([np.asarray(voxels[name][:]) for name in names], axis=1)
    except (KeyError, ValueError) as error:  # of a mapping; of a Dataset
        msg = f"voxels lack a column ({reason(error)}): give the rows of -voxels, with i, j, k, x, y and z"
        raise DataError(msg) from error
