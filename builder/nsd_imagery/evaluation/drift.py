"""What drifts alike in two runs, shown on pairs of trials that have no target in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

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


class Sums(NamedTuple):
    """Similarities of the pairs of two runs that are of different targets, summed by how far apart the positions are.

    Attributes:
        found: (48,) sums, by |i - j|.
        n_pairs: (48,) pairs.
        drawn: (draws, 48) sums under drawn orders.
        n_drawn: (draws, 48) pairs under these.
    """

    found: Matrix
    n_pairs: NDArray[np.int64]
    drawn: Matrix
    n_drawn: NDArray[np.int64]


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
        drawn: (draws, 48) `similarity` under each drawn order.
    """

    first: str
    second: str
    apart: NDArray[np.int64]
    similarity: Matrix
    low: Matrix
    high: Matrix
    n_pairs: NDArray[np.int64]
    drawn: Matrix


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
    return drift_of(first.name, second.name, [drift_sums(first, second, gram, draws)])


def drift_sums(first: Run, second: Run, gram: Gram, draws: int = DRAWS) -> Sums:
    """What `drift_of` makes a curve of; see `drift`."""
    counted = np.outer(first.is_valid, second.is_valid) & (first.order[:, None] != second.order)
    early, late = np.nonzero(counted)
    similarity = gram.similarity(first, second)[counted]

    def sums(places: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.int64]]:
        at = np.abs(early - places[:, late]) + np.arange(len(places))[:, None] * TRIALS_PER_RUN
        size = len(places) * TRIALS_PER_RUN
        of_distance = np.bincount(at.ravel(), np.tile(similarity, len(places)), size).astype(np.float64)
        n_pairs = np.bincount(at.ravel(), minlength=size)
        return of_distance.reshape(-1, TRIALS_PER_RUN), n_pairs.reshape(-1, TRIALS_PER_RUN)

    found, n_pairs = sums(np.arange(TRIALS_PER_RUN)[None])
    places = _drawn_places(second, draws)
    parts = [sums(places[start : start + _AT_ONCE]) for start in range(0, len(places), _AT_ONCE)]
    return Sums(found[0], n_pairs[0], *(np.vstack(part) for part in zip(*parts, strict=True)))


def drift_of(first: str, second: str, sums: Sequence[Sums]) -> Drift:
    """The curve of one or more pairs of runs together, each pair of trials counted once.

    Args:
        first: What to call the first runs: "visA", or "visX" over sets.
        second: The same of the second.
        sums: Of each pair of runs, of as many draws.
    """
    n_pairs = np.sum([one.n_pairs for one in sums], axis=0)
    similarity = _mean(np.sum([one.found for one in sums], axis=0), n_pairs)
    drawn = _mean(np.sum([one.drawn for one in sums], axis=0), np.sum([one.n_drawn for one in sums], axis=0))
    low, high = band_of(drawn)
    return Drift(first, second, np.arange(TRIALS_PER_RUN), similarity, low, high, n_pairs, drawn)


def band_of(drawn: Matrix) -> tuple[Matrix, Matrix]:
    """(48,) and (48,) what `BAND` of the draws lie between; NaN where no draw has a pair."""
    band = np.full((2, drawn.shape[1]), np.nan)
    known = np.isfinite(drawn).any(axis=0)
    band[:, known] = np.nanquantile(drawn[:, known], BAND, axis=0)
    return band[0], band[1]


def _mean(sums: Matrix, n_pairs: NDArray[np.int64]) -> Matrix:
    return np.divide(sums, n_pairs, out=np.full(sums.shape, np.nan), where=n_pairs > 0)


def _drawn_places(run: Run, draws: int) -> NDArray[np.int64]:
    """(draws, 48) where each trial of a run is put: at random among its target's places in a drawn order."""
    orders = drawn_orders(run, draws)
    rng = np.random.default_rng(_SEED)
    by_target = np.argsort(orders + rng.random(orders.shape), axis=1)
    places = np.empty(orders.shape, np.int64)
    places[:, np.argsort(run.order, kind="stable")] = by_target
    return places
