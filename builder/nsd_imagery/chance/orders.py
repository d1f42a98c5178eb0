"""Orders of trials that the experiment could have had, to compare the real one with.

A run shows each of six targets eight times and none twice in a row; in vision, half of each target's trials show
another target's letter, and each letter is shown eight times. A test that shuffled trials freely, or only renamed
targets, would compare the data with orders that the no-repeat rule forbids or that are the same order again.

Every statistic here is a weighted sum over pairs of trials, so one product of a matrix of weights, a row for each
drawn order, with the similarities of the pairs gives all its null values at once.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN

N_DRAWS: Final = 9_999
"""Drawn orders: the smallest p-value is 1e-4."""

REPEATS_PER_RUN: Final = TRIALS_PER_RUN // TARGETS_PER_SET

NEIGHBOURS: Final = 2
"""Trials so near in time are never compared: their noise is alike."""

ENOUGH_TRIALS: Final = 36
"""Valid trials, of the 48 of a run, without which it is left out."""

FIRST, SECOND = np.triu_indices(TRIALS_PER_RUN, k=1)
"""(n_pairs,) the earlier and the later trial of each pair of trials of a run."""

Order = NDArray[np.int8]
Weights = NDArray[np.float32]

SEED: Final = 720
"""Of all drawn orders."""

_SPARE_DRAWS = 500


@dataclass(frozen=True, eq=False)
class NullOrders:
    """Drawn orders and the weights of pairs under each.

    Attributes:
        targets: (n_draws, 48) target of each trial, 0 to 5.
        same_target: (n_draws, n_pairs), see `same_target`.
        seen_against_cued: (n_draws, n_pairs), see `seen_against_cued`.
    """

    targets: Order
    same_target: Weights
    seen_against_cued: Weights


@cache
def null_orders() -> NullOrders:
    """The same draws for every subject and in every process, so that results repeat and subjects can be pooled."""
    targets, cued = _drawn()
    return NullOrders(targets, same_target(targets), seen_against_cued(targets, cued))


def null_targets() -> Order:
    """(n_draws, 48) the targets of `null_orders`, without weights of pairs."""
    return _drawn()[0]


def null_cued() -> Order:
    """(n_draws, 48) the targets that the letters name, in vision, beside each of `null_targets`."""
    return _drawn()[1]


@cache
def _drawn() -> tuple[Order, Order]:
    rng = np.random.default_rng(SEED)
    targets = draw_targets(rng, N_DRAWS)
    return targets, draw_cued(rng, targets)


def same_target(targets: Order) -> Weights:
    """(..., n_pairs) 1 for pairs of trials of one target, else 0; from (..., 48) targets."""
    return (targets[..., FIRST] == targets[..., SECOND]).astype(np.float32)


def seen_against_cued(targets: Order, cued: Order) -> Weights:
    """Weights that ask whether mismatched trials are like the target seen or like the target cued.

    Only pairs of a mismatched with a matched trial count: what a matched trial shows is the same under both
    labellings, so it is a fair template for either.

    Args:
        targets: (..., 48) target seen.
        cued: (..., 48) target whose letter was shown.

    Returns:
        (..., n_pairs) 1 where the matched trial shows what the mismatched one saw, -1 where what it was cued, else 0.
    """
    matched = targets == cued
    mixed = matched[..., FIRST] != matched[..., SECOND]
    seen = targets[..., FIRST] == targets[..., SECOND]
    named = cued[..., FIRST] == cued[..., SECOND]
    return np.where(mixed, seen.astype(np.float32) - named, np.float32(0))


def draw_targets(rng: np.random.Generator, n_draws: int) -> Order:
    """(n_draws, 48) orders of six targets, each eight times and none twice in a row."""
    kept: list[Order] = []
    while sum(map(len, kept)) < n_draws:
        kept.append(_try_targets(rng, n_draws + _SPARE_DRAWS))
    return np.concatenate(kept)[:n_draws]


def _try_targets(rng: np.random.Generator, n_draws: int) -> Order:
    """Draw trial after trial among what is left; an order that ends with nothing but repeats is dropped."""
    every = np.arange(n_draws)
    left = np.full((n_draws, TARGETS_PER_SET), float(REPEATS_PER_RUN))
    targets = np.empty((n_draws, TRIALS_PER_RUN), np.int8)
    alive = np.ones(n_draws, bool)
    for trial in range(TRIALS_PER_RUN):
        allowed = left.copy()
        if trial:
            allowed[every, targets[:, trial - 1]] = 0
        steps = allowed.cumsum(axis=1)
        alive &= steps[:, -1] > 0
        drawn = (rng.random((n_draws, 1)) * steps[:, -1:] >= steps).sum(axis=1)
        targets[:, trial] = np.minimum(drawn, TARGETS_PER_SET - 1)
        left[every, targets[:, trial]] -= 1
    return targets[alive]


def draw_cued(rng: np.random.Generator, targets: Order) -> Order:
    """(n_draws, 48) targets named by the letters: another one in half of each target's trials, all equally often."""
    n_draws, n_mismatched = len(targets), REPEATS_PER_RUN // 2
    by_target = np.argsort(targets + rng.random(targets.shape), axis=1)
    mismatched = by_target.reshape(n_draws, TARGETS_PER_SET, REPEATS_PER_RUN)[:, :, :n_mismatched]
    seen = np.repeat(np.arange(TARGETS_PER_SET, dtype=np.int8), n_mismatched)
    letters = np.tile(seen, (n_draws, 1))
    wrong = np.arange(n_draws)
    while len(wrong):
        letters[wrong] = rng.permuted(letters[wrong], axis=1)
        wrong = wrong[(letters[wrong] == seen).any(axis=1)]
    cued = targets.copy()
    np.put_along_axis(cued, mismatched.reshape(n_draws, -1), letters, axis=1)
    return cued
