"""What drifts alike in two runs, shown on pairs of trials that have no target in common."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.evaluation.gram import Gram, Matrix
from nsd_imagery.evaluation.identify import drawn_orders
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.experiment import TRIALS_PER_RUN

BAND: Final = (0.025, 0.975)
"""Quantiles of the draws that the band is between."""

DRAWS: Final = 999
"""Of a band; it is looked at, not tested."""

_APART: Final = np.abs(np.subtract.outer(np.arange(TRIALS_PER_RUN), np.arange(TRIALS_PER_RUN)))
_AT_ONCE: Final = 200


@dataclass(frozen=True, eq=False)
class Drift:
    """Similarity of trials of two runs that are of different targets, by how far apart their positions are.

    What is alike at like positions of two runs, and less so farther apart, is not of targets. With drift a curve falls;
    it does not say what of a result is drift.

    Attributes:
        first: Name of a run.
        second: Name of the other.
        apart: (48,) |i - j|, from 0.
        similarity: (48,) mean correlation over voxels; NaN where there is no such pair, as at 0 between two runs of one
            order.
        low: (48,) of the band of drawn orders of the second run.
        high: (48,) the same.
        n_pairs: (48,) pairs.
    """

    first: str
    second: str
    apart: NDArray[np.int64]
    similarity: Matrix
    low: Matrix
    high: Matrix
    n_pairs: NDArray[np.int64]


def drift(first: Run, second: Run, gram: Gram, draws: int = DRAWS) -> Drift:
    """The drift exhibit of two runs of the same targets; visX × imgX_1, visX × imgX_2, imgX_1 × imgX_2.

    Args:
        first: A run.
        second: The run whose order is redrawn.
        gram: With both.
        draws: Drawn orders.
    """
    similarity, counted = gram.similarity(first, second), np.outer(first.is_valid, second.is_valid)
    at = [np.flatnonzero((apart == _APART) & counted) for apart in range(TRIALS_PER_RUN)]
    flat = similarity.ravel()

    def means(orders: NDArray[np.integer]) -> tuple[Matrix, NDArray[np.int64]]:
        differ = (first.order[:, None] != orders[:, None, :]).reshape(len(orders), -1)
        n_pairs = np.stack([differ[:, pairs].sum(axis=1) for pairs in at], axis=1)
        sums = np.stack([differ[:, pairs] @ flat[pairs] for pairs in at], axis=1)
        return np.divide(sums, n_pairs, out=np.full(sums.shape, np.nan), where=n_pairs > 0), n_pairs

    found, n_pairs = means(second.order[None])
    orders = drawn_orders(second, draws)
    drawn = np.vstack([means(orders[start : start + _AT_ONCE])[0] for start in range(0, len(orders), _AT_ONCE)])
    low, high = np.nanquantile(drawn, BAND, axis=0)
    return Drift(first.name, second.name, np.arange(TRIALS_PER_RUN), found[0], low, high, n_pairs[0])
