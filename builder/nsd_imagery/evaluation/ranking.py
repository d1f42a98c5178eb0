"""Where a test's own candidate stands among others: two-way identification and retrieval.

Similarity is (n tests, k candidates) of any kind that is higher for what is more alike, and finite.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def two_way(similarity: Matrix, own: NDArray[np.integer]) -> Matrix:
    """Share of the other candidates that are less like a test than its own is; ties count half. Chance 0.5, best 1.

    Args:
        similarity: (n, k) of n tests with k candidates.
        own: (n,) the candidate of each, 0 to k - 1.

    Returns:
        (n,), of which the mean is two-way identification.
    """
    less, tied = _ranked(similarity, own)
    return (less + tied / 2) / (similarity.shape[1] - 1)


def two_way_mirage(similarity: Matrix, own: NDArray[np.integer]) -> Matrix:
    """Two-way identification as published with MIRAGE: candidates strictly less alike, minus one, of the k - 1 others.

    Its best is (k - 2)/(k - 1) and its chance 1/2 - 1/(k - 1): of 12 candidates .909 and .409. With 1/(k - 1) added it
    is the standard definition, but for ties.

    Args:
        similarity: (n, k) of n tests with k candidates.
        own: (n,) the candidate of each, 0 to k - 1.

    Returns:
        (n,).
    """
    return (_ranked(similarity, own)[0] - 1) / (similarity.shape[1] - 1)


def retrieval_at(similarity: Matrix, own: NDArray[np.integer], ks: Sequence[int]) -> Matrix:
    """Whether the own candidate is among the k most alike, for each of some k; ties in random order, so in parts.

    Args:
        similarity: (n, n_candidates).
        own: (n,) the candidate of each, from 0.
        ks: Each at least 1.

    Returns:
        (n, len(ks)); chance is k / n_candidates.
    """
    less, tied = _ranked(similarity, own)
    more = similarity.shape[1] - 1 - less - tied
    return np.clip((np.asarray(ks) - more[:, None]) / (tied[:, None] + 1), 0.0, 1.0)


def _ranked(similarity: Matrix, own: NDArray[np.integer]) -> tuple[Matrix, Matrix]:
    """(n,) how many others are less alike than the own candidate, and (n,) how many are as alike."""
    of_own = np.take_along_axis(similarity, np.asarray(own, np.int64)[:, None], 1)
    return (similarity < of_own).sum(axis=1).astype(float), (similarity == of_own).sum(axis=1) - 1.0
