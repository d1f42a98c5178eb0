"""The primary test on the imagery trials that were called vivid: post hoc, so of no family and in no table.

Which trials are kept follows from what was answered, and that may go with the target; labels are redrawn for the whole
run, and the kept trials stay where they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.evaluation.comparisons import POOLED_SETS, PRIMARY
from nsd_imagery.evaluation.gram import Gram
from nsd_imagery.evaluation.group import WILSON, over_sets
from nsd_imagery.evaluation.identify import Drawn, between
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.score import Measured

VIVID: Final = 1
"""The button of imagery."""

FEWEST: Final = 12
"""Vivid trials of a run, of 48, without which it is not tested: two a target."""

HOW: Final = "letter-free, vivid"

_NOTE: Final = "post hoc, of trials that were called vivid: which these are may go with the target"


def vivid_trials(runs: Runs, products: Gram, whole: Sequence[Measured], draws: int = N_DRAWS) -> list[Measured]:
    """`identification` and `margin` of the primary test on vivid trials, by set and over `POOLED_SETS`.

    Args:
        runs: Of one subject and ROI.
        products: Their Gram matrix.
        whole: The scores of the subject and ROI, with those of the primary test on all trials, which these stand
            beside.
        draws: Drawn orders.
    """
    comparison = PRIMARY.comparison
    own = {(one.score.measure, one.score.stimulus_set): one for one in whole if comparison.is_of(one.score)}
    found: list[list[Measured]] = []
    for stimulus_set in POOLED_SETS:
        every = [own[measure, stimulus_set] for measure in ("identification", "margin")]
        train, test = (runs.find(name.replace("X", stimulus_set)) for name in (comparison.train, comparison.test))
        if every[0].score.value is None or train is None or test is None:
            found.append([_without(one, one.score.reason) for one in every])
        else:
            found.append(_of_set(every, train, test, products, draws))
    return [*(one for both in found for one in both), *(over_sets(parts) for parts in zip(*found, strict=True))]


def _of_set(every: Sequence[Measured], train: Run, test: Run, products: Gram, draws: int) -> list[Measured]:
    if test.response is None or (test.response < 0).all():
        return [_without(one, f"{test.name}: no button was pressed") for one in every]
    kept = replace(test, is_valid=test.is_valid & (test.response == VIVID))
    if kept.n_valid < FEWEST:
        why = f"{test.name}: {kept.n_valid} valid trials were called vivid, fewer than {FEWEST}"
        return [_without(one, why) for one in every]
    found = between(train, kept, products, draws, "letter-free")
    low, high = found.interval
    ends = {"low": low, "high": high, "interval": f"{WILSON}trials"}
    return [
        _with(every[0], found.accuracy, found.n_trials, ends),
        _with(every[1], found.margin, found.n_trials, {}),
    ]


def _with(one: Measured, drawn: Drawn, n_trials: int, ends: Mapping[str, Any]) -> Measured:
    """The same score, of the kept trials."""
    score = replace(
        _without(one, _NOTE).score,
        value=drawn.value,
        chance=one.score.chance,
        chance_method=one.score.chance_method,
        reference=one.score.value,
        reference_method="all trials",
        p=drawn.p,
        n_trials=n_trials,
        draws=len(drawn.null) or None,
        **ends,
    )
    return Measured(score, drawn.value, drawn.null)


def _without(one: Measured, reason: str) -> Measured:
    """The same score without its numbers."""
    score = replace(
        one.score,
        how=HOW,
        **dict.fromkeys(("value", "low", "high", "chance", "reference", "p", "p_corrected", "draws", "n_trials")),
        **dict.fromkeys(("interval", "chance_method", "reference_method", "family"), ""),
        reason=reason,
    )
    return Measured(score, np.nan, np.zeros(0))
