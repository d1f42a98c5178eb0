"""Scores of several ROIs, corrected for their number, and of several subjects, together; both draw by draw.

Subjects share a schedule, so they share each draw: errors that the schedule makes in all of them add up in the null as
they do in the data. Across measures nothing is corrected.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from nsd_imagery.chance.evidence import against_draws, total
from nsd_imagery.chance.intervals import FEWEST_SUBJECTS, over_subjects, shared_by_schedule
from nsd_imagery.evaluation.cells import RELIABLE, value_of
from nsd_imagery.evaluation.score import GROUP, Measured, Score

_INTERVAL: Final = "t over subjects, with what the schedule makes them share"


def corrected(measured: Sequence[Measured]) -> list[Measured]:
    """One measure in several ROIs, with p of the greatest z of any of them (Westfall and Young 1993).

    Args:
        measured: One a ROI, alike in all else, of the same draws; those without p stay as they are.
    """
    drawn = [one for one in measured if one.score.p is not None and len(one.null)]
    if not drawn:
        return list(measured)
    evidence = [against_draws(one.statistic, one.null) for one in drawn]
    greatest = np.max([one.null for one in evidence], axis=0)
    family = ", ".join(one.score.roi for one in drawn)
    p_of = {
        id(one): float((1 + np.count_nonzero(greatest >= found.z)) / (1 + len(greatest)))
        for one, found in zip(drawn, evidence, strict=True)
    }
    return [
        replace(one, score=replace(one.score, p_corrected=p_of[id(one)], family=family)) if id(one) in p_of else one
        for one in measured
    ]


def grouped(measured: Sequence[Measured]) -> Measured:
    """One measure over subjects: the mean, an interval over subjects, and p of fixed effects.

    p is of the sum of z over subjects: "some subject has it", not "subjects have it". The interval is
    `chance.intervals.over_subjects`, with what subjects share through the schedule. ncsnr and noise ceilings are of the
    mean of the unclipped ratios of signal to noise.

    Args:
        measured: One a subject, alike in all else, of the same draws. Subjects without a value are left out.

    Returns:
        The score, with the sum of z as its statistic, so that `corrected` takes it as it takes those of one subject.
    """
    there = [one for one in measured if one.score.value is not None]
    if not there:
        return Measured(replace(measured[0].score, subject=GROUP, n_subjects=0), np.nan, np.zeros(0))
    drawn = [one for one in there if one.score.p is not None and len(one.null)]
    has_p = len(drawn) == len(there)
    together = total([against_draws(one.statistic, one.null) for one in drawn]) if has_p else None
    scores, first = [one.score for one in there], there[0].score
    statistics = np.array([one.statistic for one in there])
    ends = over_subjects(statistics, shared_by_schedule(np.array([one.null for one in drawn])) if has_p else 0.0)

    def value(statistic: float) -> float:
        return value_of(first.measure, first.n_repeats, statistic)

    score = replace(
        first,
        subject=GROUP,
        value=value(float(statistics.mean())),
        low=None if ends is None else value(ends.low),
        high=None if ends is None else value(ends.high),
        interval=_INTERVAL if ends else f"needs {FEWEST_SUBJECTS} subjects",
        chance=_mean([one.chance for one in scores]),
        chance_method=_said(scores) if has_p else first.chance_method,
        reference=_mean([one.reference for one in scores]),
        p=together.p if together else None,
        p_corrected=None,
        family="",
        n_trials=sum(one.n_trials or 0 for one in scores),
        n_subjects=len(there),
        n_voxels=None,
    )
    return Measured(score, together.z, together.null) if together else Measured(score, np.nan, np.zeros(0))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _said(scores: Sequence[Score]) -> str:
    n_reliable = sum(score.p is not None and score.p <= RELIABLE for score in scores)
    there = f"{n_reliable} of {len(scores)} subjects at p ≤ {RELIABLE}"
    return f"{scores[0].chance_method}; fixed effects: sum of z over subjects; {there}"
