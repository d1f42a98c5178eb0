"""How well a voxel tells pictures of NSD core apart, from the rows at hand alone, and the components that rows share.

Repeats of a picture lie far apart, most in other sessions, so their noise is their own. Of rows of NSD-Imagery this
does not hold: see `run_scores`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr
from scipy.sparse import csr_array

from nsd_imagery.errors import UsageError

Matrix = NDArray[np.float64]
Score = Callable[[Matrix], Matrix]
"""(n_voxels,) from (n_rows, n_voxels)."""

FEWEST_STIMULI = 3
"""With repeats, without which a score says too little."""

_NOTHING = 1e-12
"""Of the largest variance along a component. Betas are float32: a millionth of the largest sd is their rounding."""


def reliability(stimulus: NDArray[np.str_], order: NDArray[Any]) -> Score:
    """Correlation over stimuli of two means: of the odd and of the even presentations of each.

    Args:
        stimulus: (n_rows,) what rows must share to be repeats of each other.
        order: (n_rows,) sorts them by time.

    Raises:
        UsageError: Fewer than three stimuli have repeats.
    """
    repeated, number = _repeats(stimulus, order)
    halves = [_mean_of(np.where(number % 2 == half, repeated, -1)) for half in (0, 1)]

    def score(betas: Matrix) -> Matrix:
        one, other = ((mean := half @ betas) - mean.mean(axis=0) for half in halves)
        size = np.sqrt(np.square(one).sum(axis=0) * np.square(other).sum(axis=0))
        return np.divide((one * other).sum(axis=0), size, out=np.zeros_like(size), where=size > 0)

    return score


def ncsnr(stimulus: NDArray[np.str_], order: NDArray[Any]) -> Score:
    """Noise ceiling signal-to-noise ratio: sd of what a stimulus evokes over sd of its repeats about their mean.

    As Allen et al. (2022) define it, whose map the release has: noise variance is that of repeats (ddof 1), mean over
    stimuli; signal variance is what that leaves of the variance of all these rows, and not below 0.

    Args:
        stimulus: (n_rows,) what rows must share to be repeats of each other.
        order: (n_rows,) sorts them by time.

    Raises:
        UsageError: Fewer than three stimuli have repeats.
    """
    repeated, _ = _repeats(stimulus, order)
    rows = np.flatnonzero(repeated >= 0)
    mean_of, counts = _mean_of(repeated[rows]), np.bincount(repeated[rows])

    def score(betas: Matrix) -> Matrix:
        values = betas[rows]
        apart = values - (mean_of @ values)[repeated[rows]]
        noise = ((mean_of @ np.square(apart)) * (counts / (counts - 1))[:, None]).mean(axis=0)
        signal = np.maximum(values.var(axis=0, ddof=1) - noise, 0)
        return np.sqrt(np.divide(signal, noise, out=np.zeros_like(noise), where=noise > 0))

    return score


def principal_components(values: Matrix, n_components: int) -> tuple[Matrix, Matrix]:
    """The mean of rows, (k,), and the directions in which they vary most, (n_components, k), largest first.

    Raises:
        UsageError: The rows do not vary in so many: at most in one less than there are rows, and each group that is
            z-scored, and each repeat that is the same as another, takes one away.
    """
    most = min(len(values) - 1, values.shape[1])
    if not 0 < n_components <= most:
        raise UsageError(_too_many(values, n_components, most, "at the most"))
    center = values.mean(axis=0)
    apart = values - center
    wide = apart.shape[0] < apart.shape[1]
    gram = apart @ apart.T if wide else apart.T @ apart
    size = len(gram)
    variances, vectors = eigh(gram, subset_by_index=[size - n_components, size - 1])
    rank = int((variances > _NOTHING * variances[-1]).sum())
    if n_components > rank:
        raise UsageError(_too_many(values, n_components, rank, "which is their rank"))
    directions = vectors.T[::-1]
    # Of few rows, what is small beside the largest has lost digits, and is orthogonal to it no more.
    components = _orthonormal(directions @ apart) if wide else directions
    # The sign of an eigenvector is arbitrary; the largest weight is made positive.
    largest = np.abs(components).argmax(axis=1)
    return center, components * np.sign(components[np.arange(n_components), largest])[:, None]


def _too_many(values: Matrix, n_components: int, most: int, why: str) -> str:
    there_are = f"1 to {most} components, {why}" if most else "no components, for they are all alike"
    return f"pca={n_components}: {len(values)} rows of {values.shape[1]} voxels have {there_are}"


def _orthonormal(directions: Matrix) -> Matrix:
    basis: Any = qr(directions.T, mode="economic")[0]
    return basis.T


def _repeats(stimulus: NDArray[np.str_], order: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The number of each row's stimulus among those with repeats (else -1), and of the row among its repeats."""
    _, which, counts = np.unique(stimulus, return_inverse=True, return_counts=True)
    number = np.empty(len(which), np.int64)
    by_time = np.lexsort((order, which))
    number[by_time] = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    renumbered = np.where(counts > 1, np.cumsum(counts > 1) - 1, -1)
    if (n_repeated := int((counts > 1).sum())) < FEWEST_STIMULI:
        msg = f"selection needs at least {FEWEST_STIMULI} stimuli with repeats; these rows have {n_repeated}"
        raise UsageError(msg)
    return renumbered[which], number


def _mean_of(which: NDArray[np.int64]) -> csr_array:
    """(n_stimuli, n_rows) what takes the mean over the rows of each stimulus; rows of -1 are left out."""
    rows = np.flatnonzero(which >= 0)
    weights = 1 / np.bincount(which[rows])[which[rows]]
    return csr_array((weights, (which[rows], rows)), shape=(which.max() + 1, len(which)))
