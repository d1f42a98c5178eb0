"""How much of a beta is its target's and how much is not: variances of signal and noise from one run, or across two.

No target comes twice in a row and a run's mean is taken out, so trials of a target lie farther apart than others and
their noise is less alike: analysis of variance and what rests on it are biased downward. Here every pair of one target
is held against the pairs of two targets that lie as far apart, so that what depends on distance alone is gone. The
idea is the shuffle estimator's (Benjamini and Yu 2013, AOAS 7:2007, 10.1214/13-AOAS681), with distances matched
exactly.

What a trial carries over from the one before is multiplicative: signal is underestimated by some 4 % for each 0.1 of
the previous target's response, and nothing is found where there is nothing. Slow drift is noise, as it is to a decoder.

Of betas as they come both are unbiased. Of z-scores, sums over voxels are divided by variances that the same trials
gave: to second order that takes 2/47 off ŝ/n̂ in white noise, and less the more neighbours are alike. ncsnr is 2.0 % low
in white noise, 0.9 % at the autocorrelation of these betas (0.34), and 0.5 % high at 0.5 (benchmarks/EVALUATION.md);
what would correct one makes another worse.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import Matrix, trend_removal, trends
from nsd_imagery.chance.orders import FIRST, N_DRAWS, NEIGHBOURS, SECOND, Order, null_targets, same_target
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN

N_BLOCKS: Final = 12
"""Blocks of consecutive trials that a run's jackknife leaves out, one after the other."""

Mask = NDArray[np.bool_]

_DISTANCE = SECOND - FIRST
_BY_DISTANCE = (_DISTANCE[:, None] == np.arange(TRIALS_PER_RUN)).astype(np.float32)
_DRAWS_AT_ONCE: Final = 500
_VOXELS_AT_ONCE: Final = 1_024


class Variances(NamedTuple):
    """Variances of the betas of a run.

    Attributes:
        signal: (n_voxels,) of the responses to the six targets (ddof 1); unbiased, so it may be below 0.
        noise: (n_voxels,) of a trial about its target's response.
    """

    signal: Matrix
    noise: Matrix


def pair_weights(order: NDArray[np.integer], is_valid: Mask) -> tuple[Matrix, Matrix]:
    """The quadratic forms of signal and noise variance of one run.

    S: pairs i < j of one target with j - i > 2; O: the other pairs with j - i > 2; by distance l there are nₛ(l) and
    nₒ(l), and only distances with both count. W has 1/|S| on S and -nₛ(l)/(|S| nₒ(l)) on O. Q takes {1, t, t²} out of
    the run, without the targets in the model. Then

        signal   ŝ = yᵀ M y, M = Q W Q / c,  c so that targets' responses of unit variance (ddof 1) give 1
        noise    n̂ = yᵀ N y = (1/2|S|) Σ_S (yᵢ - yⱼ)²

    Args:
        order: (48,) target of each trial, 0 to 5.
        is_valid: (48,) trials that count.

    Returns:
        (48, 48) M and (48, 48) N, symmetric; 0 where no two pairs can be compared.
    """
    forms = _forms(np.asarray(order, np.int8).tobytes(), np.asarray(is_valid, np.bool_).tobytes())
    return forms[0].copy(), forms[1].copy()


@lru_cache(maxsize=256)  # 37 kB each: a schedule's runs and their blocks, which all subjects, ROIs and measures share
def _forms(order: bytes, valid: bytes) -> tuple[Matrix, Matrix]:
    """M and N of `pair_weights`."""
    orders, is_valid = np.frombuffer(order, np.int8)[None], np.frombuffer(valid, np.bool_)
    pairs, same = _pairs(orders, is_valid)
    weights = _square(pairs[0])
    scale = float(_scales(orders, weights[None], trends(is_valid), is_valid)[0])
    removal = trend_removal(is_valid)
    signal = removal @ weights @ removal / scale if scale > 0 else np.zeros_like(weights)
    members = 2 * _square(same[0].astype(np.float64))
    n_pairs = max(members.sum(), 1)  # each pair twice
    return signal, (np.diag(members.sum(axis=1)) - members) / n_pairs


def variances(betas: NDArray[np.floating], order: NDArray[np.integer], is_valid: Mask) -> Variances:
    """Signal and noise variance of each voxel in one run; see `pair_weights`.

    Args:
        betas: (48, n_voxels) in order of time; what stands in trials that are not valid does not matter if finite.
        order: (48,) target of each trial, 0 to 5.
        is_valid: (48,).
    """
    signal, noise = pair_weights(order, is_valid)
    found = Variances(*np.empty((2, betas.shape[1])))
    for start in range(0, betas.shape[1], _VOXELS_AT_ONCE):
        part = slice(start, start + _VOXELS_AT_ONCE)
        values = betas[:, part].astype(np.float64)
        for of_voxel, form in zip(found, (signal, noise), strict=True):
            of_voxel[part] = ((form @ values) * values).sum(axis=0)
    return found


def target_means(order: NDArray[np.integer], is_valid: Mask) -> Matrix:
    """(6, 48) what takes the mean of the valid trials of each target; 0 for a target without."""
    members = (np.arange(TARGETS_PER_SET)[:, None] == order) & is_valid
    return members / np.maximum(members.sum(axis=1, keepdims=True), 1)


def target_contrasts(order: NDArray[np.integer], is_valid: Mask) -> Matrix:
    """(6, 48) what takes the mean of each target less the mean of the six means."""
    means = target_means(order, is_valid)
    return means - means.mean(axis=0)


def across_runs(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    orders: tuple[NDArray[np.integer], NDArray[np.integer]],
    is_valid: tuple[Mask, Mask],
) -> Matrix:
    """Signal variance that two runs of the same targets share: ŝ = Σₖ (ȳ¹ₖ - ȳ¹)(ȳ²ₖ - ȳ²) / 5.

    Unbiased whatever the noise within a run, where the betas were estimated without regard to which trials are
    repeats: of b3 they were not.

    Args:
        first: (48, n_voxels) betas of one run.
        second: (48, n_voxels) of the other.
        orders: The target of each trial in either run, (48,), 0 to 5.
        is_valid: Which trials of either run count, (48,).

    Returns:
        (n_voxels,).
    """
    one, other = (
        target_contrasts(order, valid) @ betas.astype(np.float64)
        for betas, order, valid in zip((first, second), orders, is_valid, strict=True)
    )
    return (one * other).sum(axis=0) / (TARGETS_PER_SET - 1)


def noise_ceiling(ncsnr: float, n: float) -> float:
    """Share of the variance of an average of n trials that the stimulus explains: ncsnr² / (ncsnr² + 1/n).

    Allen et al. (2022, Nat. Neurosci. 25:116), Methods. A correlation with such averages is at most its root.

    Args:
        ncsnr: Noise ceiling signal-to-noise ratio, sd of signal over sd of noise.
        n: Trials averaged.
    """
    return ncsnr**2 / (ncsnr**2 + 1 / n)


def blocks_left_out(is_valid: Mask) -> list[Mask]:
    """(48,) what is valid without each of `N_BLOCKS` blocks of consecutive trials."""
    block = np.arange(TRIALS_PER_RUN) * N_BLOCKS // TRIALS_PER_RUN
    return [is_valid & (block != number) for number in range(N_BLOCKS)]


def drawn_signal(products: Matrix, is_valid: Mask, draws: int = N_DRAWS) -> Matrix:
    """(draws,) the signal variance of one run, summed over voxels, had its order been another.

    Args:
        products: (48, 48) of the run's trials, summed over voxels.
        is_valid: (48,).
        draws: How many of `chance.orders.null_targets`.
    """
    removal = trend_removal(is_valid)
    detrended = (removal @ products @ removal)[FIRST, SECOND]
    return (_drawn_weights(is_valid.tobytes(), draws) @ detrended.astype(np.float32)).astype(np.float64)


def drawn_across(products: Matrix, first: NDArray[np.integer], is_valid: tuple[Mask, Mask], draws: int) -> Matrix:
    """(draws,) the signal variance that two runs share, summed over voxels, had the order of the second been another.

    Args:
        products: (48, 48) of the trials of the first run with those of the second.
        first: (48,) targets of the first run.
        is_valid: Of either run, (48,).
        draws: How many of `chance.orders.null_targets`.
    """
    # One side less its mean over targets is enough: what is the same for all targets of the other drops out.
    of_target = target_contrasts(first, is_valid[0]) @ products * is_valid[1]
    found = np.empty(draws)
    for start in range(0, draws, _DRAWS_AT_ONCE):
        orders = null_targets()[start : min(start + _DRAWS_AT_ONCE, draws)]
        members = (orders[:, None] == np.arange(TARGETS_PER_SET)[:, None]) & is_valid[1]
        means = (members * of_target).sum(axis=2) / np.maximum(members.sum(axis=2), 1)
        found[start : start + len(orders)] = means.sum(axis=1) / (TARGETS_PER_SET - 1)
    return found


@lru_cache(maxsize=2)  # 45 MB each; most runs have all trials
def _drawn_weights(valid: bytes, draws: int) -> NDArray[np.float32]:
    """(draws, n_pairs) W / c of each drawn order."""
    is_valid, orders = np.frombuffer(valid, np.bool_), null_targets()[:draws]
    trend = trends(is_valid)
    weights = np.empty((len(orders), len(FIRST)), np.float32)
    for start in range(0, len(orders), _DRAWS_AT_ONCE):
        part = slice(start, start + _DRAWS_AT_ONCE)
        pairs, _ = _pairs(orders[part], is_valid)
        scale = _scales(orders[part], _square(pairs), trend, is_valid)
        weights[part] = np.divide(pairs, scale[:, None], out=np.zeros_like(pairs), where=scale[:, None] > 0)
    return weights


def _pairs(orders: Order, is_valid: Mask) -> tuple[NDArray[np.float32], Mask]:
    """(n, n_pairs) W of each of (n, 48) orders, and which pairs are its S."""
    counted = is_valid[FIRST] & is_valid[SECOND] & (_DISTANCE > NEIGHBOURS)
    same = same_target(orders) * counted
    n_same = same @ _BY_DISTANCE
    n_other = counted.astype(np.float32) @ _BY_DISTANCE - n_same
    both = (n_same > 0) & (n_other > 0)
    same *= both[:, _DISTANCE]
    n_pairs = np.maximum(same.sum(axis=1, keepdims=True), 1)
    by_distance = np.divide(n_same, n_other, out=np.zeros_like(n_same), where=both)
    other = counted - same
    return (same - other * by_distance[:, _DISTANCE]) / n_pairs, same > 0


def _scales(orders: Order, weights: Matrix, trend: Matrix, is_valid: Mask) -> Matrix:
    """(n,) what responses of unit variance give: c = tr(Dᵀ Q W Q D), D the (48, 6) targets of the trials.

    With Q = I - T Tᵀ and E = D Dᵀ that is tr(W E) - 2 tr(Tᵀ E W T) + tr(Tᵀ W T Tᵀ E T), which needs no product of two
    (48, 48) matrices. W is 0 for trials that are not valid, and so is T.
    """
    members = ((orders[:, None] == np.arange(TARGETS_PER_SET)[:, None]) & is_valid).astype(np.float64)
    on_trend, of_target = weights @ trend, members @ trend
    of_trial = np.take_along_axis(of_target, orders.astype(np.int64)[..., None], axis=1)
    whole = np.where(orders[:, FIRST] == orders[:, SECOND], 2 * weights[:, FIRST, SECOND], 0).sum(axis=1)
    inner = (trend.T @ on_trend) * (np.swapaxes(of_target, 1, 2) @ of_target)
    return whole - 2 * (of_trial * on_trend).sum(axis=(1, 2)) + inner.sum(axis=(1, 2))


def _square(pairs: NDArray[np.floating]) -> Matrix:
    """(..., 48, 48) symmetric, half of each of (..., n_pairs) on either side of the diagonal."""
    square = np.zeros((*pairs.shape[:-1], TRIALS_PER_RUN, TRIALS_PER_RUN))
    square[..., FIRST, SECOND] = square[..., SECOND, FIRST] = pairs / 2
    return square
