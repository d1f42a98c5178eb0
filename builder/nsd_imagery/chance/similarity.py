"""How alike the trials of a run are.

Similarity is the correlation of two trials' patterns, each voxel z-scored over the run. Betas 4 s apart share noise and
no target comes twice in a row, so a template that holds a neighbour of the tested trial speaks against the right
target: pairs within two trials are left out. Removing a run's mean, and whatever else depends only on how far apart two
trials are, is undone by centring: each pair is compared with the other pairs at the same distance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import zscores
from nsd_imagery.chance.evidence import Array
from nsd_imagery.chance.orders import FIRST, NEIGHBOURS, REPEATS_PER_RUN, SECOND, Order, same_target
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN

_LAG = SECOND - FIRST


def correlations(left: Array, right: Array) -> Array:
    """(n_left, n_right) correlations over voxels of z-scored trials; 0 for a trial without variance."""
    return _unit(left) @ _unit(right).T


def pair_similarity(betas: NDArray[Any], is_valid: NDArray[np.bool_], by_distance: bool = True) -> Array:
    """(n_pairs,) centred similarity of all pairs of trials of a run; 0 for pairs that do not count.

    Args:
        betas: (48, n_voxels), in order of time.
        is_valid: (48,).
        by_distance: Centre on pairs at the same distance in time; else on all pairs.
    """
    scores = zscores(betas, is_valid)
    return _centred(correlations(scores, scores)[FIRST, SECOND], _counted(is_valid), _LAG if by_distance else _LAG * 0)


def identification(similarity: Array, targets: Order, is_valid: NDArray[np.bool_]) -> float:
    """Share of trials that are more like the other trials of their target than like those of the five others.

    Args:
        similarity: (n_pairs,) of `pair_similarity`.
        targets: (48,) 0 to 5.
        is_valid: (48,).
    """
    square = np.zeros((TRIALS_PER_RUN, TRIALS_PER_RUN))
    square[FIRST, SECOND] = similarity
    apart = np.abs(np.subtract.outer(np.arange(TRIALS_PER_RUN), np.arange(TRIALS_PER_RUN))) > NEIGHBOURS
    members = (targets[:, None] == np.arange(TARGETS_PER_SET)) & is_valid[:, None]
    n_trials = apart.astype(float) @ members
    scores = np.where(n_trials > 0, ((square + square.T) @ members) / np.maximum(n_trials, 1), -np.inf)
    return float(np.mean(scores.argmax(axis=1)[is_valid] == targets[is_valid]))


def block_similarity(similarity: Array, step: int = 0) -> float:
    """How alike trials are within blocks of eight in a row, the blocks put out of step by so many trials.

    Divided by the root of the number of pairs, so that its spread does not depend on the step.
    """
    blocks = (np.arange(TRIALS_PER_RUN) + step) // REPEATS_PER_RUN
    weights = same_target(blocks.astype(np.int8))
    return float(weights @ similarity / np.count_nonzero(weights * (_LAG > NEIGHBOURS)) ** 0.5)


def voxel_separation(betas: NDArray[Any], is_valid: NDArray[np.bool_], targets: Order) -> Array:
    """(n_voxels,) what each voxel adds to telling targets apart: products of z-scores, same target minus others."""
    scores = zscores(betas, is_valid)
    weights = np.zeros((TRIALS_PER_RUN, TRIALS_PER_RUN))
    weights[FIRST, SECOND] = _centred(same_target(targets), _counted(is_valid), _LAG)
    return ((weights @ scores) * scores).sum(axis=0)


def _counted(is_valid: NDArray[np.bool_]) -> Array:
    """(n_pairs,) 1 for pairs of valid trials that are no neighbours, else 0."""
    return (is_valid[FIRST] & is_valid[SECOND] & (_LAG > NEIGHBOURS)).astype(float)


def _centred(values: NDArray[Any], counted: Array, group: NDArray[np.integer[Any]]) -> Array:
    """Subtract from each pair the mean of the counted pairs of its group; 0 for the others."""
    n_pairs = np.bincount(group, counted, TRIALS_PER_RUN)
    means = np.bincount(group, values * counted, TRIALS_PER_RUN) / np.maximum(n_pairs, 1)
    return (values - means[group]) * counted


def _unit(scores: Array) -> Array:
    if not scores.size:
        return scores
    centred = scores - scores.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
