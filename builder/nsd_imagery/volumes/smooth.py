"""Gaussian smoothing of volumes, normalised within a mask, at the voxels of a ROI alone.

smooth(x * m) / smooth(m), as of whole volumes by `scipy.ndimage.gaussian_filter1d` along each axis (nilearn's
`smooth_img` does the same). A Gaussian is separable, so that a voxel of the ROI needs a line of voxels, each of these a
line across it, and so on: three sparse matrices, over far fewer voxels than a volume has.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_array, diags_array

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.betas import Betas, Scaling
from nsd_imagery.volumes.grid import FlatIndex, Grid

_FWHM_OF_SIGMA = float(np.sqrt(8 * np.log(2)))
_VOLUMES_AT_A_TIME = 16


@dataclass(frozen=True, eq=False)
class Smoother:
    """What smooths the voxels of a ROI.

    Attributes:
        needs: C-order flat indices of the voxels whose values it takes: of the mask, within reach of the ROI.
        steps: Sparse matrices, first to last; their product has a row a voxel of the ROI and a column a voxel of
            `needs`. The row of a voxel outside the mask is 0.
        n_voxels: Of the ROI.
    """

    needs: FlatIndex
    steps: tuple[csr_array, ...]
    n_voxels: int


def smoother(grid: Grid, voxels: FlatIndex, inside: FlatIndex, fwhm: float) -> Smoother:
    """Prepare the smoothing of some voxels.

    Args:
        grid: With its affine, which says how large a voxel is.
        voxels: (n_voxels,) C-order flat indices to have values of.
        inside: C-order flat indices of the mask m.
        fwhm: Full width at half maximum of the Gaussian, mm.

    Raises:
        DataError: The grid does not say how large its voxels are.
    """
    steps, needs = [], voxels
    for axis, sigma in reversed(list(enumerate(_sigmas(grid, fwhm)))):
        needs, step = _along(grid, axis, sigma, needs)
        steps.insert(0, step)
    kept = np.isin(needs, inside)
    needs, steps[0] = needs[kept], steps[0][:, kept]
    mass = np.ones(needs.size)
    for step in steps:
        mass = step @ mass
    share = np.divide(1.0, mass, out=np.zeros_like(mass), where=np.isin(voxels, inside))
    steps[-1] = csr_array(diags_array(share) @ steps[-1])
    return Smoother(needs, tuple(steps), voxels.size)


def smooth(betas: Betas, by: Smoother) -> Betas:
    """Percent signal change (float32) at the voxels of a ROI, from betas at the voxels that a smoother needs."""
    scaling = betas.header.scaling
    smoothed = np.empty((len(betas.stored), by.n_voxels), np.float32)
    for start in range(0, len(smoothed), _VOLUMES_AT_A_TIME):
        part = slice(start, start + _VOLUMES_AT_A_TIME)
        values = np.ascontiguousarray(scaling.percent(betas.stored[part]).T)
        for step in by.steps:
            values = step @ values
        smoothed[part] = values.T
    return replace(betas, header=replace(betas.header, scaling=Scaling()), stored=smoothed)


def _sigmas(grid: Grid, fwhm: float) -> list[float]:
    """Standard deviation along each axis, in voxels."""
    if grid.affine is None:
        msg = f"smoothing over {fwhm:g} mm needs a mask whose header says how large its voxels are"
        raise DataError(msg)
    return (fwhm / _FWHM_OF_SIGMA / np.linalg.norm(grid.affine[:3, :3], axis=0)).tolist()


def _along(grid: Grid, axis: int, sigma: float, targets: FlatIndex) -> tuple[FlatIndex, csr_array]:
    """The voxels that targets need along an axis, and the weights: (n_targets, n_needed)."""
    length, stride = grid.shape[axis], int(np.prod(grid.shape[axis + 1 :]))
    # What the filter makes of the identity is its matrix, with its edges (mode "reflect") and its cut at 4 sd.
    line = csr_array(gaussian_filter1d(np.eye(length), sigma, axis=0))
    position = targets // stride % length
    weights = line[position]
    first = np.repeat(targets - position * stride, np.diff(weights.indptr))
    needed, columns = np.unique(first + stride * weights.indices.astype(np.int64), return_inverse=True)
    return needed, csr_array((weights.data, columns, weights.indptr), shape=(targets.size, needed.size))
