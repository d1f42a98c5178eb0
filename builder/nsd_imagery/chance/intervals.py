"""Intervals: of one subject's accuracy, of a sum over runs, of a mean over subjects."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

LEVEL: Final = 0.95
"""Of all intervals."""

FEWEST_SUBJECTS: Final = 3
"""Subjects without which a mean over them has no interval."""


class Interval(NamedTuple):
    """The two ends of an interval."""

    low: float
    high: float


def wilson(hits: float, n_trials: int) -> Interval:
    """Interval of a share of trials (Wilson 1927, JASA 22:209, 10.1080/01621459.1927.10502953).

    Args:
        hits: Trials that were right; ties may count in parts.
        n_trials: All trials, at least one.
    """
    z = float(norm.ppf((1 + LEVEL) / 2))
    share, shrink = hits / n_trials, 1 + z**2 / n_trials
    middle = (share + z**2 / (2 * n_trials)) / shrink
    half = z / shrink * (share * (1 - share) / n_trials + z**2 / (4 * n_trials**2)) ** 0.5
    return Interval(min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def jackknife_variance(left_out: ArrayLike) -> float:
    """Variance of an estimate from what it is without each of n blocks: (n - 1)/n sum of squared deviations.

    Tukey (1958), Ann. Math. Stat. 29:614. That of a sum over runs is the sum of what its runs give.

    Args:
        left_out: (n_blocks,) the estimate without each block.
    """
    values = np.asarray(left_out, np.float64)
    n_blocks = len(values)
    return float((n_blocks - 1) / n_blocks * np.square(values - values.mean()).sum())


def around(value: float, variance: float, n_blocks: float) -> Interval:
    """Interval of an estimate with a variance that is itself estimated from so many blocks: t on n_blocks - 1.

    Where blocks are of several kinds, n_blocks - 1 need not be whole (Welch 1947, Biometrika 34:28).
    """
    half = float(t.ppf((1 + LEVEL) / 2, n_blocks - 1)) * variance**0.5
    return Interval(value - half, value + half)


def over_subjects(values: Sequence[float] | NDArray[np.float64], shared_variance: float = 0.0) -> Interval | None:
    """Interval of a mean over subjects, half-width t sqrt(s²/n + v); None for fewer than `FEWEST_SUBJECTS`.

    Args:
        values: (n,) one a subject.
        shared_variance: v, what subjects share through the schedule; see `shared_by_schedule`.
    """
    of_each = np.asarray(values, np.float64)
    if len(of_each) < FEWEST_SUBJECTS:
        return None
    variance = float(of_each.var(ddof=1)) / len(of_each) + shared_variance
    return around(float(of_each.mean()), variance, len(of_each))


def shared_by_schedule(null: NDArray[np.float64]) -> float:
    """Variance of a mean over subjects that their one schedule gives, and their scatter does not show.

    v = max(0, Var_d(mean_j null_jd) - mean_j Var_d(null_jd) / n): draws d of the order are the same for all subjects
    j, and where nothing is shared, the variance of the mean is that of one subject by n.

    Args:
        null: (n_subjects, n_draws) of the statistic in its own unit.
    """
    return max(0.0, float(null.mean(axis=0).var() - null.var(axis=1).mean() / len(null)))
