"""Mean and standard deviation of each voxel over groups of trials, from exact sums, and z-scores by them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.volumes.betas import Scaling

Vector = NDArray[np.float64]

_VOXELS_AT_A_TIME = 2048
"""So that the float64 copy of a whole session's trials stays small."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Statistics of each voxel over the valid trials of each group, in the units of the file.

    Attributes:
        n_trials: (n_groups,) valid trials.
        mean: (n_groups, n_voxels) float64.
        rest: (n_groups, n_voxels) what float64 has no digits for in `mean`: of floats, mean + rest is the mean. A voxel
            that varies little about a large mean loses its z-scores without it. 0 for integers.
        sd: (n_groups, n_voxels) float64, ddof 1; 0 where the voxel does not vary or there is no second trial.
        scaling: From the units of the file to percent signal change.
    """

    n_trials: NDArray[np.int64]
    mean: NDArray[np.float64]
    rest: NDArray[np.float64]
    sd: NDArray[np.float64]
    scaling: Scaling

    @cached_property
    def per_sd(self) -> NDArray[np.float64]:
        """1 / sd, 0 where there is no variance; negative where the scaling turns the numbers round."""
        inverse = np.divide(1.0, self.sd, out=np.zeros_like(self.sd), where=self.sd > 0)
        return -inverse if self.scaling.slope < 0 else inverse

    @cached_property
    def _has_rest(self) -> bool:
        return bool(self.rest.any())

    def zscore(self, stored: NDArray[Any], group: int, out: Vector) -> None:
        """Put the (n_voxels,) z-scores of one trial of a group into `out`; 0 where a voxel has no variance."""
        np.subtract(stored, self.mean[group], out=out)
        if self._has_rest:
            out -= self.rest[group]
        out *= self.per_sd[group]

    @property
    def percent_mean(self) -> NDArray[np.float64]:
        """`mean` in percent signal change."""
        return self.scaling.percent(self.mean)

    @property
    def percent_sd(self) -> NDArray[np.float64]:
        """`sd` in percent signal change."""
        return self.sd * abs(self.scaling.slope) / self.scaling.divisor


def moments(
    stored: NDArray[Any],
    group: NDArray[np.int64],
    n_groups: int,
    is_valid: NDArray[np.bool_],
    scaling: Scaling,
) -> Moments:
    """Statistics of each voxel by group.

    Args:
        stored: (n_trials, n_voxels) as stored. Sums are exact for 8- and 16-bit integers, else in float64; those of
            floats are of what they differ by from the group's first trial, so that a large mean costs no digits.
        group: (n_trials,) the group of each trial, 0 to n_groups - 1; -1 for trials that are in none.
        n_groups: Number of groups.
        is_valid: (n_trials,) trials to count.
        scaling: From stored numbers to percent signal change.
    """
    counts = np.zeros(n_groups, np.int64)
    mean, rest, sd = np.zeros((3, n_groups, stored.shape[1]))
    one_group = _integer_moments if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2 else _float_moments
    for number in range(n_groups):
        trials = np.flatnonzero((group == number) & is_valid)
        counts[number] = len(trials)
        if len(trials):
            mean[number], rest[number], sd[number] = one_group(stored, trials)
    return Moments(counts, mean, rest, sd, scaling)


def zscore(
    stored: NDArray[Any], group: NDArray[np.int64], is_valid: NDArray[np.bool_], by: Moments
) -> NDArray[np.float64]:
    """(n_trials, n_voxels) z-scores; 0 where a voxel has no variance or the trial is not valid."""
    scores = np.zeros(stored.shape)
    for trial in np.flatnonzero(is_valid):
        by.zscore(stored[trial], int(group[trial]), scores[trial])
    return scores


def _integer_moments(stored: NDArray[Any], trials: NDArray[np.int64]) -> tuple[Vector, float, Vector]:
    total, squares, square = np.zeros((3, stored.shape[1]), np.int64)
    for trial in trials:
        total += stored[trial]
        squares += np.square(stored[trial], dtype=np.int64, out=square)
    n = len(trials)
    # n * squares - total**2 is an exact integer, so a voxel without variance is exactly 0.
    spread = (n * squares - total**2) / max(n * (n - 1), 1)
    return total / n, 0.0, np.sqrt(spread)


def _float_moments(stored: NDArray[Any], trials: NDArray[np.int64]) -> tuple[Vector, Vector, Vector]:
    mean, rest, sd = np.zeros((3, stored.shape[1]))
    for start in range(0, stored.shape[1], _VOXELS_AT_A_TIME):
        part = slice(start, start + _VOXELS_AT_A_TIME)
        values = stored[trials, part].astype(np.float64)
        is_flat = (values == values[0]).all(axis=0)
        origin = values[0].copy() if stored.dtype.kind == "f" else np.zeros_like(values[0])
        values -= origin
        offset = values.mean(axis=0)
        mean[part] = origin + offset
        rest[part] = offset - (mean[part] - origin)
        sd[part] = np.sqrt(np.square(values - offset).sum(axis=0) / max(len(values) - 1, 1))
        # The mean of equal numbers can be off by a rounding, which would make noise out of nothing.
        sd[part][is_flat] = 0
    return mean, rest, sd
