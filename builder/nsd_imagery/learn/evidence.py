"""What numbers show of betas that do not say how they were made; where they show nothing, that is the answer."""

from typing import Final

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.rows.vectors import Rows, row_vectors, vector_length
from nsd_imagery.schema import BETAS
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.normalize import moments

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

_SOME_VOXELS: Final = 64
"""That lie together: of rows that are mapped, a page or two each."""

_FEWEST_VOXELS: Final = 3
"""That vary. One voxel in percent signal change has mean 0 and sd 1 by chance once in a million groups."""

_ROUNDING: Final = 1e-3
"""Of a mean or an sd of z-scores in float16; float32 is far within. z-scores with ddof 0 are not."""

_PER_PERCENT: Final = 300
_LARGEST: Final = 32768
_ON_A_STEP: Final = 0.01
"""Of a step. float32 of percent signal change is off by 0.002 at most, float16 by 0.01 from 6 percent on."""

_FEWEST_STEPS: Final = 16
"""Numbers of a row that are not 0. One that lies anywhere is on a step by chance once in fifty."""


def some_betas(trials: Dataset, rows: Rows) -> Matrix:
    """(n_rows, up to 64) some columns of betas, the same of each row."""
    start = max(vector_length(trials, BETAS.name) - _SOME_VOXELS, 0) // 2
    vectors = row_vectors(trials, BETAS.name)
    return np.stack([vectors[row][start : start + _SOME_VOXELS] for row in rows.tolist()]).astype(np.float64)


def are_zscores(betas: Matrix, of_row: Rows, n_groups: int) -> Mask:
    """(n_groups,) whether the rows of a group are, together, a whole group that was z-scored.

    Args:
        betas: (n_rows, n_voxels) of valid rows.
        of_row: (n_rows,) the group of each row.
        n_groups: Number of groups.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        by = moments(betas, of_row, n_groups, np.ones(len(betas), np.bool_), Scaling())
        varies = by.sd > 0
        is_scored = (np.abs(by.mean) < _ROUNDING) & (~varies | (np.abs(by.sd - 1) < _ROUNDING))
    return is_scored.all(axis=1) & (varies.sum(axis=1) >= _FEWEST_VOXELS)


def are_steps(betas: Matrix) -> Mask:
    """(n_rows,) whether the numbers of a row are integers x 1/300, as percent signal change of the release is."""
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.rint(betas * _PER_PERCENT)
        is_step = (np.abs(betas * _PER_PERCENT - steps) < _ON_A_STEP) & (np.abs(steps) <= _LARGEST)
    whole = np.where(is_step, steps, 0).astype(np.int64)
    # Numbers that somebody rounded, to a hundredth say, are on steps too, but on every third alone.
    finest = np.gcd.reduce(whole, axis=1) == 1
    return is_step.all(axis=1) & (np.count_nonzero(whole, axis=1) >= _FEWEST_STEPS) & finest
