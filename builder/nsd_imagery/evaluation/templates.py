"""What trials are compared with: a pattern for each of six candidates, made of the trials of another run.

In imagery the target's own letter is on the screen, and in vision in half of the trials, so mean patterns of vision
hold some of the letter; least squares on target and letter takes it out. Slow drift goes with the targets alike in two
runs of one order, so there it must come out of both before their trials are compared.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import trend_removal
from nsd_imagery.chance.pairs import target_means
from nsd_imagery.evaluation.gram import Gram, Matrix
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.experiment import TARGETS_PER_SET
from nsd_imagery.volumes.roi import Mask

How = Literal["letter-free", "letter", "mismatched", "published", "raw", "detrended", "centred", "across"]
"""Forms of templates.

letter-free: coefficients of the targets, from least squares on target and letter.
letter: coefficients of the letters, from the same fit.
mismatched: trials of vision with another target's letter; as templates, or else as what is tested.
published, raw, across: mean of each target.
detrended: the same, quadratic trends taken out of both runs.
centred: the same, each pair of trials less the mean of the pairs that lie as far apart.
"""

_OF_LETTERS: Final = ("letter-free", "letter")
_SUMMED: Final = np.vstack([np.eye(TARGETS_PER_SET - 1), -np.ones(TARGETS_PER_SET - 1)])
"""(6, 5) sum coding: the sixth is less the sum of the others."""


def target_and_letter(order: NDArray[np.integer], cued: NDArray[np.integer], is_valid: Mask) -> tuple[Matrix, Matrix]:
    """Least squares of betas on six targets and, sum-coded, six letters: 11 parameters.

    Args:
        order: (48,) target of each trial, 0 to 5.
        cued: (48,) target whose letter was on the screen, 0 to 5.
        is_valid: (48,) trials that count.

    Returns:
        (6, 48) what takes the coefficients of the targets, and (6, 48) of the letters, from a run's trials.
    """
    design = np.hstack([np.eye(TARGETS_PER_SET)[order], _SUMMED[cued]]) * is_valid[:, None]
    solved = np.linalg.pinv(design).astype(np.float64)
    return solved[:TARGETS_PER_SET], _SUMMED @ solved[TARGETS_PER_SET:]


def fault_of(train: Run, test: Run, how: How) -> str:
    """Why a form of templates cannot be had from a run, or another not be tested by it; nothing where they can."""
    if train.targets != test.targets:
        return f"{train.name} and {test.name} have other targets"
    lettered = test if by_letter(train, test, how) else train
    if how in (*_OF_LETTERS, "mismatched") and (lettered.cued[lettered.is_valid] < 0).any():
        return f"the letter of some trials of {lettered.name} is not known"
    if how in _OF_LETTERS:
        design = np.hstack([np.eye(TARGETS_PER_SET)[train.order], _SUMMED[train.cued]])[train.is_valid]
        if np.linalg.matrix_rank(design) < design.shape[1]:
            return f"targets and letters of {train.name} cannot be told apart"
    if not members(train, how).any(axis=1).all():
        return f"{train.name} has no such valid trial of one target"
    return "" if tested(train, test, how).any() else f"{test.name} has no such valid trial"


def members(train: Run, how: How) -> NDArray[np.bool_]:
    """(6, 48) trials that a candidate's template is made of, where it is a mean."""
    counted = train.is_valid & ~train.matched if how == "mismatched" and train.condition == "vision" else train.is_valid
    return (np.arange(TARGETS_PER_SET)[:, None] == train.order) & counted


def templates(train: Run, how: How) -> Matrix:
    """(6, 48) what makes the six templates of a run's trials."""
    if how in _OF_LETTERS:
        fitted = target_and_letter(train.order, train.cued, train.is_valid)
        return fitted[_OF_LETTERS.index(how)]
    of_target = members(train, how)
    means = of_target / np.maximum(of_target.sum(axis=1, keepdims=True), 1)
    if how != "detrended":
        return means
    return means @ trend_removal(train.is_valid, 2, train.order if train.condition == "vision" else None)


def similarity(train: Run, test: Run, gram: Gram, how: How, left: Matrix | None = None) -> Matrix:
    """How alike what is tested is to each template: correlation over voxels.

    Of "centred" it is the mean over a template's trials of their centred correlations.

    Args:
        train: The run of which templates are made.
        test: The run that is tested; its labels are not looked at.
        gram: With both.
        how: The form of templates.
        left: (n, 48) what is tested, of the trials of `test`: default, each trial.

    Returns:
        (n, 6), with trials (48, 6).
    """
    if how == "centred":
        centred = gram.position_centred(test, train) @ target_means(train.order, train.is_valid).T
        return centred if left is None else left @ centred
    if how == "detrended":
        removal = trend_removal(test.is_valid)
        left = removal if left is None else left @ removal
    return gram.similarity(test, train, left, templates(train, how))


def tested(train: Run, test: Run, how: How) -> Mask:
    """(48,) trials that are tested: the valid ones; of vision, "mismatched", those with another target's letter."""
    return test.is_valid & ~test.matched if by_letter(train, test, how) else test.is_valid


def by_letter(train: Run, test: Run, how: How) -> bool:
    """Whether the schedule of letters says which trials are tested."""
    return how == "mismatched" and train.condition != "vision" and test.condition == "vision"


def repeats_order(train: Run, test: Run) -> bool:
    """Whether one run has the order of the other, as imgX_1 has that of visX: what drifts in both is alike then."""
    return bool(np.mean(train.order == test.order) > 0.5)
