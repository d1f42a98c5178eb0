"""What each test would score were each candidate its own: all measures of ranking at once, and under redrawn labels.

Similarity is (n tests, k candidates). A table of that shape, of what a test scores with each candidate for its own,
gives a measure as the mean of the entries at the own candidates, and its null as that at drawn ones.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom, rankdata

Matrix = NDArray[np.float64]
Table = Callable[[Matrix], Matrix]

_FEW = 32
"""Candidates up to which comparing all with all is faster than to sort."""


class Places(NamedTuple):
    """Where candidates stand.

    Attributes:
        above: (n, k) how many candidates are more alike than each.
        tied: (n, k) how many others are as alike.
    """

    above: NDArray[np.int64]
    tied: NDArray[np.int64]


def places(similarity: Matrix) -> Places:
    """The places of all candidates of each test."""
    n_candidates = similarity.shape[1]
    if n_candidates <= _FEW:
        above = (similarity[:, None, :] > similarity[:, :, None]).sum(axis=2)
        return Places(above, (similarity[:, None, :] == similarity[:, :, None]).sum(axis=2) - 1)
    least, most = (rankdata(similarity, method, axis=1).astype(np.int64) for method in ("min", "max"))
    return Places(n_candidates - most, most - least)


def two_way(found: Places) -> Matrix:
    """As `ranking.two_way`."""
    return 1 - (found.above + found.tied / 2) / (found.above.shape[1] - 1)


def two_way_mirage(found: Places) -> Matrix:
    """As `ranking.two_way_mirage`."""
    others = found.above.shape[1] - 1
    return (others - found.above - found.tied - 1) / others


def retrieval_at(found: Places, k: int) -> Matrix:
    """As `ranking.retrieval_at` of one k."""
    return np.clip((k - found.above) / (found.tied + 1), 0.0, 1.0)


def retrieval_among(found: Places, k: int, n_candidates: int) -> Matrix:
    """As `retrieval_at` among the own candidate and random others, the mean over all choices of these.

    How many of those above are chosen is hypergeometric, so no choice has to be drawn.

    Args:
        found: Of at least as many candidates.
        k: At least 1.
        n_candidates: How many are chosen, with the own one.
    """
    others = found.above.shape[1] - 1
    at = np.concatenate([[0.0], np.cumsum(hypergeom.cdf(k - 1, others, np.arange(others + 1), n_candidates - 1))])
    return (at[found.above + found.tied + 1] - at[found.above]) / (found.tied + 1)
