"""What can be told apart without any model: a second presentation of a picture among the first ones of all pictures."""

from dataclasses import replace

import numpy as np

from nsd_imagery.evaluation.score import Measured
from nsd_imagery.evaluation.transfer.compared import Side
from nsd_imagery.evaluation.transfer.scoring import About, decoding_measures, scored
from nsd_imagery.evaluation.transfer.tested import Tested, permutations

REPEATS = "repeats"
"""What `train` of these scores says."""

HOW = "second presentation among first ones"


def repeat_retrieval(about: About, tested: Tested) -> list[Measured]:
    """Retrieval and two-way identification by the correlation of patterns, of pictures with two valid presentations.

    Args:
        about: What stands beside each.
        tested: Single presentations of the shared pictures, in order of time.
    """
    order = np.argsort(tested.own, kind="stable")
    start = np.searchsorted(tested.own[order], np.arange(len(tested.stimuli)))
    shown = np.flatnonzero(tested.counts > 1)
    if len(shown) < 2:
        return []
    first, second = (tested.betas[order[start[shown] + number]].astype(np.float64) for number in (0, 1))
    every = np.arange(len(shown))
    pairs = replace(
        tested,
        n_trials=2 * len(shown),
        stimuli=tuple(tested.stimuli[picture] for picture in shown),
        own=every,
        drawn=permutations(len(shown), len(tested.drawn)),
        counts=np.ones(len(shown), np.int64),
    )
    side = Side(*(rows - rows.mean(axis=1, keepdims=True) for rows in (second, first)))
    measures = [measure for measure in decoding_measures(pairs) if measure.name not in ("cosine", "two_way_mirage")]
    found = scored(replace(about, train=REPEATS, notes=()), pairs, measures, side, side, HOW)
    said = {"condition": "perception", "candidates": f"the {len(shown)} pictures of shared1000 with two presentations"}
    return [replace(one, score=replace(one.score, **said)) for one in found]
