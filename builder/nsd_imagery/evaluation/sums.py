"""Sums over voxels and runs: what a run, or a pair of runs, adds to signal and noise, without each block, and by draws.

Everything here is of (48, 48) products, so it costs the same for a hundred voxels and for all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nsd_imagery.chance.intervals import jackknife_variance
from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.chance.pairs import (
    N_BLOCKS,
    blocks_left_out,
    drawn_across,
    drawn_signal,
    pair_weights,
    target_contrasts,
)
from nsd_imagery.evaluation.gram import Gram, Matrix
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET
from nsd_imagery.volumes.roi import Mask

_VOXELS_AT_ONCE: Final = 1_024

Statistic = Callable[[float, float], float]
"""Of the sums of signal and of noise."""


@dataclass(frozen=True, eq=False)
class Part:
    """What one run, or one pair of runs, adds; all summed over voxels.

    Attributes:
        signal: ŝ.
        noise: n̂.
        left_out: (n_runs, 12, 2) both without each block of trials of each run.
        null: (draws,) ŝ under each drawn order; empty where none were drawn.
        n_valid: Valid trials.
    """

    signal: float
    noise: float
    left_out: Matrix
    null: Matrix
    n_valid: int


def within(run: Run, products: Matrix, draws: int = N_DRAWS) -> Part:
    """What a run adds by the pairs of its trials.

    Args:
        run: Its order and valid trials; with another `order`, for example by cue, the same of other labels.
        products: (48, 48) of its trials: of z-scores, or of percent signal change.
        draws: Drawn orders; 0 for none.
    """

    def both(is_valid: Mask) -> list[float]:
        return [float((form * products).sum()) for form in pair_weights(run.order, is_valid)]

    null = np.roll(drawn_signal(products, run.is_valid, draws), _shift(run)) if draws else np.zeros(0)
    left_out = np.array([[both(part) for part in blocks_left_out(run.is_valid)]])
    signal, noise = both(run.is_valid)
    return Part(signal, noise, left_out, null, run.n_valid)


def between(first: Run, second: Run, products: Gram, draws: int = N_DRAWS) -> Part:
    """What two runs of the same targets add by what they share; noise is the mean of the two.

    Args:
        first: A run.
        second: The run whose order is redrawn.
        products: With both runs.
        draws: Drawn orders; 0 for none.
    """
    own = [products.block(run, run) for run in (first, second)]
    crossed = products.block(first, second)

    def both(one: Mask, other: Mask) -> list[float]:
        contrasts = target_contrasts(first.order, one), target_contrasts(second.order, other)
        forms = pair_weights(first.order, one)[1], pair_weights(second.order, other)[1]
        signal = float(((contrasts[0] @ crossed) * contrasts[1]).sum()) / (TARGETS_PER_SET - 1)
        return [signal, float(np.mean([(form * block).sum() for form, block in zip(forms, own, strict=True)]))]

    valid = first.is_valid, second.is_valid
    null = np.roll(drawn_across(crossed, first.order, valid, draws), _shift(second)) if draws else np.zeros(0)
    left_out = np.array(
        [
            [both(part, valid[1]) for part in blocks_left_out(valid[0])],
            [both(valid[0], part) for part in blocks_left_out(valid[1])],
        ]
    )
    signal, noise = both(*valid)
    return Part(signal, noise, left_out, null, first.n_valid + second.n_valid)


def total(parts: Sequence[Part], statistic: Statistic) -> float:
    """A statistic of the sums of signal and noise over parts."""
    return statistic(sum(part.signal for part in parts), sum(part.noise for part in parts))


def variance(parts: Sequence[Part], statistic: Statistic) -> float:
    """Jackknife variance of `total`: over the blocks of a run, summed over runs.

    Blocks that lie side by side share noise and a pair may be of two, so it is conservative: in simulation its root is
    1.4 times the standard error.
    """
    signal, noise = (sum(getattr(part, name) for part in parts) for name in ("signal", "noise"))
    found = 0.0
    for part in parts:
        for run in part.left_out:
            without = [statistic(signal - part.signal + s, noise - part.noise + n) for s, n in run.tolist()]
            found += jackknife_variance(without)
    return found


def n_blocks(parts: Sequence[Part]) -> int:
    """Blocks that `variance` leaves out."""
    return N_BLOCKS * sum(len(part.left_out) for part in parts)


def null(parts: Sequence[Part]) -> Matrix:
    """(draws,) the sum of signal under the drawn orders of all parts at once."""
    return np.sum([part.null for part in parts], axis=0)


def percent_products(run: Run) -> Matrix | None:
    """(48, 48) products of a run's trials in percent signal change; None where its variance is not known."""
    if run.variance is None:
        return None
    found = np.zeros((len(run.order), len(run.order)))
    for start in range(0, run.betas.shape[1], _VOXELS_AT_ONCE):
        part = slice(start, start + _VOXELS_AT_ONCE)
        percent = run.betas[:, part] * np.sqrt(run.variance[part]).astype(np.float32)
        found += percent @ percent.T
    return found


def _shift(run: Run) -> int:
    """By how many the draws of a run are rolled: those of two runs are independent, and subjects share each."""
    return STIMULUS_SETS.index(run.stimulus_set) + len(STIMULUS_SETS) * run.name.endswith("_2")
