"""How targets lie to one another in vision and in imagery: distances, their likeness, and what patterns share.

Distances are cross-validated squared Euclidean: the two factors of each product come from different runs, or within a
run from different trials as far apart as those they are held against, so that noise adds nothing on average and a
distance may be below 0. It is what "crossnobis" is with noise normalisation (Walther et al. 2016, NeuroImage 137:188).
"""

from collections.abc import Sequence
from itertools import permutations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import trend_removal
from nsd_imagery.chance.orders import FIRST, N_DRAWS, NEIGHBOURS, SECOND
from nsd_imagery.chance.pairs import drawn_signal, pair_weights, target_contrasts, target_means
from nsd_imagery.evaluation.gram import Gram, Matrix
from nsd_imagery.evaluation.identify import Drawn, drawn_orders, in_step
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.evaluation.templates import templates
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.volumes.roi import Mask

ROWS, COLUMNS = np.triu_indices(TARGETS_PER_SET, k=1)
"""(15,) the two targets of each distance."""

SEED: Final = 15
"""Of the order of relabelings."""

_AT_ONCE: Final = 1_000
_DISTANCE: Final = SECOND - FIRST


class Ceiling(NamedTuple):
    """How like the true one an RDM can be, between two bounds."""

    lower: float
    upper: float


class Shared(NamedTuple):
    """What vision and imagery of one subject and set share, all in units of a voxel of z-scores.

    Attributes:
        covariance: c = Σₖ (v̂ₖ - v̂)(ȳₖ - ȳ) / 5 of letter-free vision v̂ and imgX_2, mean over voxels; drawn by the
            order of imgX_2.
        vision: ŝ within visX, see `variance.pair_weights`; drawn by its order.
        imagery: ŝ of what imgX_1 and imgX_2 share, see `variance.across_runs`; drawn by the order of imgX_2.
    """

    covariance: Drawn
    vision: Drawn
    imagery: Drawn


def rdm(first: NDArray[np.floating], second: NDArray[np.floating]) -> Matrix:
    """Cross-validated squared distances, d(k, l) = (b¹ₖ - b¹ₗ)·(b²ₖ - b²ₗ) / V.

    Args:
        first: (6, n_voxels) patterns of one run.
        second: (6, n_voxels) of another.

    Returns:
        (6, 6), symmetric, 0 on the diagonal.
    """
    products = first.astype(np.float64) @ second.astype(np.float64).T
    return _distances(products) / max(first.shape[1], 1)


def rdm_across(first: Run, second: Run, gram: Gram) -> Matrix:
    """(6, 6) cross-validated distances of two runs' mean patterns, by voxel; see `rdm`.

    Of imagery only from betas of fithrf: in fithrf_GLMdenoise_RR these labels chose the regularisation.
    """
    one, other = (target_means(run.order, run.is_valid) for run in (first, second))
    return _distances(one @ gram.block(first, second) @ other.T) / max(gram.n_voxels, 1)


def rdm_within(run: Run, gram: Gram) -> Matrix:
    """(6, 6) distances of targets within one run, by voxel, from products of its trials.

    Trials lie more than two apart. A polynomial of time is out of the run, without the targets; from each product goes
    the mean of the products of different targets that lie as far apart; d(k, l) = Pₖₖ + Pₗₗ - 2 Pₖₗ of what is left,
    scaled so that targets that are equally far from one another have their distance.
    """
    removal = trend_removal(run.is_valid)
    found = _lag_matched(removal @ gram.block(run, run) @ removal, run.order, run.is_valid)
    members = np.eye(TARGETS_PER_SET)[run.order] * run.is_valid[:, None]
    planted = removal @ members
    scale = _lag_matched(planted @ planted.T, run.order, run.is_valid)[ROWS, COLUMNS].mean() / 2
    return found / (scale * max(gram.n_voxels, 1)) if scale > 0 else np.zeros_like(found)


def rdm_similarity(one: Matrix, other: Matrix, stimulus_set: str = STIMULUS_SETS[0]) -> Drawn:
    """Cosine of the fifteen distances of two RDMs, and of all 719 other ways to name the targets of the second.

    Args:
        one: (6, 6).
        other: (6, 6).
        stimulus_set: Sets are relabelled independently, each in an order of its own.

    Returns:
        The cosine, 0 where there is no distance at all, with (719,) null.
    """
    names = np.array(list(permutations(range(TARGETS_PER_SET))))
    rng = np.random.default_rng([SEED, STIMULUS_SETS.index(stimulus_set)])
    names[1:] = names[1 + rng.permutation(len(names) - 1)]
    vectors = other[names[:, ROWS], names[:, COLUMNS]]
    found = _cosines(vectors, one[ROWS, COLUMNS])
    return Drawn(float(found[0]), found[1:])


def rdm_ceiling(rdms: Sequence[Matrix]) -> Ceiling | None:
    """How like the true RDM that of a subject can be: noise ceiling across subjects (Nili et al. 2014).

    PLoS Comput. Biol. 10:e1003553, with cosines: upper, the mean cosine of each subject's RDM with the mean of all,
    each of unit length, its own included; lower, with the mean of the others.

    Args:
        rdms: (6, 6) each, one a subject; fewer than two have no ceiling.
    """
    vectors = np.array([one[ROWS, COLUMNS] for one in rdms])
    if len(vectors) < 2:
        return None
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    others = unit.sum(axis=0) - unit
    lower = [_cosines(one[None], other)[0] for one, other in zip(unit, others, strict=True)]
    return Ceiling(float(np.mean(lower)), float(_cosines(unit, unit.sum(axis=0)).mean()))


def shared(vision: Run, first: Run, second: Run, gram: Gram, draws: int = N_DRAWS) -> Shared:
    """What vision and imagery of a set share, and the signal of either.

    Args:
        vision: visX, with its letters known.
        first: imgX_1.
        second: imgX_2, all of betas of fithrf.
        gram: With all three.
        draws: Drawn orders; 0 for none.
    """
    n_voxels = max(gram.n_voxels, 1)
    patterns = templates(vision, "letter-free")
    patterns = patterns - patterns.mean(axis=0)
    of_first = target_contrasts(first.order, first.is_valid)
    own = gram.block(vision, vision)
    signal = float((pair_weights(vision.order, vision.is_valid)[0] * own).sum())
    null = in_step(drawn_signal(own, vision.is_valid)[:draws], vision) if draws else np.zeros(0)
    return Shared(
        _covariance(patterns @ gram.block(vision, second) / n_voxels, second, draws),
        Drawn(signal / n_voxels, null / n_voxels),
        _covariance(of_first @ gram.block(first, second) / n_voxels, second, draws),
    )


def noise_corrected(subjects: Sequence[Shared]) -> float:
    """Noise-corrected pattern correlation, c / √(ŝ of vision ŝ of imagery): never clipped; NaN where there is no root.

    Each is its mean over subjects and sets first, as a ratio of noisy ratios would be biased (Spearman 1904).
    Subjects of unlike gain make it a little less than what each of them has (Cauchy and Schwarz).
    """
    of_all = [float(np.mean([getattr(one, name).value for one in subjects])) for name in Shared._fields]
    size = of_all[1] * of_all[2]
    return of_all[0] / size**0.5 if min(of_all[1:]) > 0 else float("nan")


def _covariance(of_target: Matrix, run: Run, draws: int) -> Drawn:
    """Σₖ of (6, 48) products with the trials of a run, each averaged over the trials of target k, / 5.

    Rows sum to 0, so the mean over targets of the other factor drops out.
    """

    def sums(orders: NDArray[np.integer]) -> Matrix:
        members = (orders[:, None] == np.arange(TARGETS_PER_SET)[:, None]) & run.is_valid
        means = (members * of_target).sum(axis=2) / np.maximum(members.sum(axis=2), 1)
        return means.sum(axis=1) / (TARGETS_PER_SET - 1)

    orders = drawn_orders(run, draws)
    parts = [sums(orders[start : start + _AT_ONCE]) for start in range(0, len(orders), _AT_ONCE)]
    return Drawn(float(sums(run.order[None])[0]), np.concatenate([np.zeros(0), *parts]))


def _distances(products: Matrix) -> Matrix:
    """(6, 6) from (6, 6) products of patterns of two sources."""
    own = np.diagonal(products)
    return own[:, None] + own - products - products.T


def _lag_matched(products: Matrix, order: NDArray[np.integer], is_valid: Mask) -> Matrix:
    """(6, 6) distances from (48, 48) products of a run's trials; see `rdm_within`."""
    pairs = products[FIRST, SECOND]
    counted = is_valid[FIRST] & is_valid[SECOND] & (_DISTANCE > NEIGHBOURS)
    other = counted & (order[FIRST] != order[SECOND])
    n_other = np.bincount(_DISTANCE, other, TRIALS_PER_RUN)
    counted &= n_other[_DISTANCE] > 0
    means = np.bincount(_DISTANCE, pairs * other, TRIALS_PER_RUN) / np.maximum(n_other, 1)
    cell = order[FIRST].astype(np.int64) * TARGETS_PER_SET + order[SECOND]
    size = TARGETS_PER_SET**2
    sums, n_pairs = (
        np.bincount(cell, weights, size).reshape(TARGETS_PER_SET, TARGETS_PER_SET)
        for weights in ((pairs - means[_DISTANCE]) * counted, counted.astype(float))
    )
    return _distances((sums + sums.T) / np.maximum(n_pairs + n_pairs.T, 1))


def _cosines(vectors: Matrix, vector: Matrix) -> Matrix:
    """(n,) cosines of (n, 15) with (15,); 0 where one has no length."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(vector)
    return np.divide(vectors @ vector, lengths, out=np.zeros(len(vectors)), where=lengths > 0)
