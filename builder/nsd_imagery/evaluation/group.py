"""Scores of several sets, subjects and ROIs together, all draw by draw.

Subjects share a schedule, so they share each draw: errors that the schedule makes in all of them add up in the null as
they do in the data. Sets are different runs, whose draws are independent. Across measures nothing is corrected.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.evidence import against_draws, total
from nsd_imagery.chance.intervals import FEWEST_SUBJECTS, Interval, of_share, over_subjects, shared_by_schedule
from nsd_imagery.evaluation.cells import RELIABLE, value_of
from nsd_imagery.evaluation.score import GROUP, Measured, Score

PUBLISHED_SUBJECTS: Final = ("subj01", "subj02", "subj05", "subj07")
"""Those of most papers, for whom group scores stand beside those of all subjects."""

WILSON: Final = "Wilson, over "
"""How an interval of shares of tests is named, before what was tested."""

_SHARES: Final = (
    "identification",
    "two_way",
    "retrieval_at_1",
    "retrieval_at_5",
    "retrieval_at_10",
    "encoding_identification",
)
"""Measures that are shares of tests, or means of them."""

_LESS: Final = " − "
"""Between the names of two tests whose difference a score is."""

_OVER_SUBJECTS: Final = "t over subjects, with what the schedule makes them share"
_DECIMALS: Final = 12
"""Means over sets of shares of trials are equal, where they are, but for rounding."""


def over_sets(measured: Sequence[Measured]) -> Measured:
    """One measure of one subject over stimulus sets: the mean, and p of it by independent draws of the sets.

    Args:
        measured: One a set, alike in all else; those without a value are left out, and named.
    """
    there = [one for one in measured if one.score.value is not None]
    if not there:
        reason = "; ".join(dict.fromkeys(one.score.reason for one in measured))
        score = replace(measured[0].score, stimulus_set="", candidates="the 6 of each set", reason=reason)
        return replace(measured[0], score=score)
    scores, first = [one.score for one in there], there[0].score
    missing = [one.score.stimulus_set for one in measured if one.score.value is None]
    statistic = round(float(np.mean([one.statistic for one in there])), _DECIMALS)
    null = _mean_null(there)
    has_p = len(null) > 0 and all(score.p is not None for score in scores)
    low, high = _over_trials(statistic, scores, null)
    notes = dict.fromkeys([*(score.reason for score in scores if score.reason), *(f"without set {m}" for m in missing)])
    score = replace(
        first,
        stimulus_set="",
        value=statistic,
        low=low,
        high=high,
        chance=_mean([score.chance for score in scores]),
        reference=_mean([score.reference for score in scores]),
        p=_tail(statistic, null) if has_p else None,
        n_trials=sum(score.n_trials or 0 for score in scores),
        candidates=f"the 6 of each set ({', '.join(score.stimulus_set for score in scores)})",
        reason="; ".join(notes),
    )
    return Measured(score, statistic, null)


def interval_over(tests: str, null: NDArray[np.float64]) -> str:
    """How the interval of a share of tests was got ("trials")."""
    return f"{WILSON}{tests}{', by the design effect of the draws' if len(null) > 1 else ''}"


def grouped(measured: Sequence[Measured], subject: str = GROUP) -> Measured:
    """One measure over subjects: the mean, an interval over subjects, and p of fixed effects.

    p is of the sum of z over subjects and sets, draw by draw: "some subject in some set", not "subjects". The interval
    is t sqrt(s²/n + v) around the mean over subjects of their means over sets, with v what subjects share through the
    schedule (`chance.intervals.shared_by_schedule`); that of a share ends at 0 and 1. ncsnr and noise ceilings are of
    the mean of the unclipped ratios of signal to noise.

    Args:
        measured: One a subject, or one a subject and set, alike in all else, of the same draws. Those without a value
            are left out.
        subject: What the score calls them.

    Returns:
        The score, with the sum of z as its statistic, so that `corrected` takes it as it takes those of one subject.
    """
    there = [one for one in measured if one.score.value is not None]
    if not there:
        return Measured(replace(measured[0].score, subject=subject, n_subjects=0), np.nan, np.zeros(0))
    of_subject = [_of_one([one for one in there if one.score.subject == name]) for name in _subjects(there)]
    has_p = all(one.score.p is not None and len(one.null) for one in there)
    together = total([against_draws(one.statistic, one.null) for one in there]) if has_p else None
    statistics = np.array([one.statistic for one in of_subject])
    ends = _possible(over_subjects(statistics, _shared(of_subject)), of_subject[0].score)
    scores, first = [one.score for one in of_subject], of_subject[0].score

    def value(statistic: float) -> float:
        return value_of(first.measure, first.n_repeats, statistic)

    score = replace(
        first,
        subject=subject,
        value=value(float(statistics.mean())),
        low=None if ends is None else value(ends.low),
        high=None if ends is None else value(ends.high),
        interval=_OVER_SUBJECTS if ends else f"needs {FEWEST_SUBJECTS} subjects",
        chance=_mean([score.chance for score in scores]),
        chance_method=_said(scores) if has_p else first.chance_method,
        reference=_mean([score.reference for score in scores]),
        p=together.p if together else None,
        p_corrected=None,
        family="",
        n_trials=sum(score.n_trials or 0 for score in scores),
        n_subjects=len(scores),
        **_candidates(scores),
        n_voxels=None,
        reason="; ".join(dict.fromkeys(score.reason for score in scores if score.reason)),
    )
    return Measured(score, together.z, together.null) if together else Measured(score, np.nan, np.zeros(0))


def corrected(measured: Sequence[Measured]) -> list[Measured]:
    """One measure in several ROIs, with p of the greatest z of any of them (Westfall and Young 1993).

    Args:
        measured: One a ROI, alike in all else, of the same draws; those without p stay as they are.
    """
    drawn = [place for place, one in enumerate(measured) if one.score.p is not None and len(one.null)]
    if not drawn:
        return list(measured)
    evidence = {place: against_draws(measured[place].statistic, measured[place].null) for place in drawn}
    greatest = np.max([found.null for found in evidence.values()], axis=0)
    family = ", ".join(measured[place].score.roi for place in drawn)
    return [
        replace(one, score=replace(one.score, p_corrected=_tail(evidence[place].z, greatest), family=family))
        if place in evidence
        else one
        for place, one in enumerate(measured)
    ]


def difference(this: Measured, that: Measured) -> Measured:
    """How much more one test run gives than another, of one measure and the same templates; without p.

    Of one subject's accuracies the interval is Newcombe's (1998, Stat. Med. 17:873, method 10), from the two of Wilson.

    Args:
        this: Of one test run.
        that: Of another, of the same subject, ROI and set.
    """
    score, other = this.score, that.score
    test = f"{score.test}{_LESS}{other.test}"
    why = next((one.reason for one in (score, other) if one.value is None), "")
    if score.value is None or other.value is None:
        return Measured(
            replace(score, test=test, value=None, low=None, high=None, p=None, reason=why), np.nan, this.null
        )
    found = score.value - other.value
    low, high = _newcombe(score, other)
    null = this.null - that.null if len(this.null) == len(that.null) else np.zeros(0)
    score = replace(
        score,
        test=test,
        value=found,
        low=low,
        high=high,
        interval="Newcombe, over trials" if low is not None else "",
        chance=0.0,
        chance_method="0, did the runs not differ",
        reference=None,
        reference_method="",
        p=None,
        n_trials=(score.n_trials or 0) + (other.n_trials or 0),
        reason=score.reason,
    )
    return Measured(score, found, null)


def _newcombe(this: Score, that: Score) -> Interval | tuple[None, None]:
    """Interval of the difference of two shares of trials, from the interval of each."""
    if this.value is None or this.low is None or this.high is None:
        return None, None
    if that.value is None or that.low is None or that.high is None:
        return None, None
    found = this.value - that.value
    return Interval(
        found - math.hypot(this.value - this.low, that.high - that.value),
        found + math.hypot(this.high - this.value, that.value - that.low),
    )


def _possible(ends: Interval | None, score: Score) -> Interval | None:
    """An interval over subjects without what a share cannot be; t knows of no bounds."""
    if ends is None or score.measure not in _SHARES or _LESS in score.test:
        return ends
    return Interval(max(0.0, ends.low), min(1.0, ends.high))


def _of_one(measured: Sequence[Measured]) -> Measured:
    return measured[0] if len(measured) == 1 else over_sets(measured)


def _shared(of_subject: Sequence[Measured]) -> float:
    """What the schedule makes subjects share, where all have as many draws, be there a p or not."""
    sizes = {len(one.null) for one in of_subject}
    return shared_by_schedule(np.array([one.null for one in of_subject])) if len(sizes) == 1 and 0 not in sizes else 0.0


def _subjects(measured: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(one.score.subject for one in measured))


def _over_trials(statistic: float, scores: Sequence[Score], null: NDArray[np.float64]) -> Interval | tuple[None, None]:
    """Wilson's interval of what was Wilson's in each set; none else."""
    if not all(score.interval.startswith(WILSON) for score in scores):
        return None, None
    n_tests = sum((score.n_trials if score.unit == "trial" else score.n_candidates) or 0 for score in scores)
    return of_share(statistic, n_tests, null)


def _mean_null(measured: Sequence[Measured]) -> NDArray[np.float64]:
    """(draws,) the mean of what each gives, where all have as many draws."""
    sizes = {len(one.null) for one in measured}
    return np.round(np.mean([one.null for one in measured], axis=0), _DECIMALS) if len(sizes) == 1 else np.zeros(0)


def _tail(value: float, null: NDArray[np.float64]) -> float:
    return float((1 + np.count_nonzero(null >= value)) / (1 + len(null)))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def _candidates(scores: Sequence[Score]) -> dict[str, Any]:
    """What is told apart; the pictures of shared1000 that a folder has are not as many for each subject."""
    if len({score.n_candidates for score in scores}) == 1:
        return {}
    counts = sorted(score.n_candidates or 0 for score in scores)
    return {"n_candidates": None, "candidates": f"those of each subject, {counts[0]} to {counts[-1]}"}


def _said(scores: Sequence[Score]) -> str:
    n_reliable = sum(score.p is not None and score.p <= RELIABLE for score in scores)
    there = f"{n_reliable} of {len(scores)} subjects at p ≤ {RELIABLE}"
    return f"{scores[0].chance_method}; fixed effects: sum of z over subjects and sets; {there}"
