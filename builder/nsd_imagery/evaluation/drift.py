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

_SEED: Final = 48
_AT_ONCE: Final = 200


@dataclass(frozen=True, eq=False)
class Drift:
    """Similarity of trials of two runs that are of different targets, by how far apart their positions are.

    What two runs have in common at like positions, and less so farther apart, is not of targets: with drift the curve
    leaves the band. It does not say what of a result is drift.

    Attributes:
        first: Name of a run.
        second: Name of the other.
        apart: (48,) |i - j|, from 0.
        similarity: (48,) mean correlation over voxels; NaN where there is no such pair, as at 0 between two runs of one
            order.
        low: (48,) of the band of drawn orders.
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

    The band is what the curve would be were a trial's target all that mattered: in each draw the second run's trials,
    each with its target, are put where an order that the run could have had has such trials.

    Args:
        first: A run.
        second: The run whose trials are put elsewhere.
        gram: With both.
        draws: Drawn orders, at least one.
    """
    counted = np.outer(first.is_valid, second.is_valid) & (first.order[:, None] != second.order)
    early, late = np.nonzero(counted)
    similarity = gram.similarity(first, second)[counted]

    def means(places: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.int64]]:
        at = np.abs(early - places[:, late]) + np.arange(len(places))[:, None] * TRIALS_PER_RUN
        size = len(places) * TRIALS_PER_RUN
        sums = np.bincount(at.ravel(), np.tile(similarity, len(places)), size)
        n_pairs = np.bincount(at.ravel(), minlength=size)
        mean = np.divide(sums, n_pairs, out=np.full(size, np.nan), where=n_pairs > 0)
        return mean.reshape(-1, TRIALS_PER_RUN), n_pairs.reshape(-1, TRIALS_PER_RUN)

    found, n_pairs = means(np.arange(TRIALS_PER_RUN)[None])
    places = _drawn_places(second, draws)
    parts = [means(places[start : start + _AT_ONCE])[0] for start in range(0, len(places), _AT_ONCE)]
    drawn = np.vstack(parts)
    known = np.isfinite(drawn).any(axis=0)
    band = np.full((2, TRIALS_PER_RUN), np.nan)
    band[:, known] = np.nanquantile(drawn[:, known], BAND, axis=0)
    return Drift(first.name, second.name, np.arange(TRIALS_PER_RUN), found[0], band[0], band[1], n_pairs[0])


def _drawn_places(run: Run, draws: int) -> NDArray[np.int64]:
    """(draws, 48) where each trial of a run is put: at random among its target's places in a drawn order."""
    orders = drawn_orders(run, draws)
    rng = np.random.default_rng(_SEED)
    by_target = np.argsort(orders + rng.random(orders.shape), axis=1)
    places = np.empty(orders.shape, np.int64)
    places[:, np.argsort(run.order, kind="stable")] = by_target
    return places
