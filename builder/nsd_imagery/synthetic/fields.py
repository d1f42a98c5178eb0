"""Smooth random fields over the brain: sums of plane waves, so that they mean the same on any grid."""

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.synthetic.products import product

_CHUNK = 65_536


def plane_waves(
    rng: np.random.Generator, coordinates: NDArray[np.float32], count: int, scale: float
) -> NDArray[np.float32]:
    """Random plane waves.

    Args:
        rng: Draws directions, wavelengths and phases.
        coordinates: (n_voxels, 3), each axis of the grid from -1 to 1.
        count: How many.
        scale: Distance over which a sum of them stays alike, in the units of the coordinates.

    Returns:
        (count, n_voxels), each of about unit variance.
    """
    directions = (rng.standard_normal((count, 3)) / scale).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, (count, 1)).astype(np.float32)
    waves = np.empty((count, len(coordinates)), np.float32)
    for start in range(0, len(coordinates), _CHUNK):
        part = slice(start, start + _CHUNK)
        np.cos(product(directions, coordinates[part].T) + phases, out=waves[:, part])
    waves *= np.float32(np.sqrt(2))
    return waves


def smooth_field(
    rng: np.random.Generator, coordinates: NDArray[np.float32], scale: float, count: int = 24
) -> NDArray[np.float32]:
    """One field of about unit variance, (n_voxels,); arguments as of `plane_waves`."""
    return plane_waves(rng, coordinates, count, scale).sum(axis=0) / np.float32(np.sqrt(count))
