"""The scorer of transfer: vectors or patterns of rows against those of candidates, whoever made them.

Ranking is by centred cosine: what is compared lies near a mean, and raw cosine would rank by that. Every score has its
null under redrawn labels, and chance beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.intervals import of_share
from nsd_imagery.evaluation.group import interval_over
from nsd_imagery.evaluation.identify import Drawn
from nsd_imagery.evaluation.score import Items, Measured, unestimated
from nsd_imagery.evaluation.spread import Spread, over_stimuli
from nsd_imagery.evaluation.transfer.compared import Compared, Measure, Side, of_means, of_rows
from nsd_imagery.evaluation.transfer.places import Matrix, retrieval_among, retrieval_at, two_way, two_way_mirage
from nsd_imagery.evaluation.transfer.tested import BOTH, Tested

COMPARABLE_N: Final = 300
"""Candidates of a retrieval that papers give, beside all that the folder has."""

RETRIEVED: Final = (1, 5, 10)

MIRAGE: Final = (
    "strictly less alike, minus one, as published with MIRAGE (best (N - 2)/(N - 1), chance 1/2 - 1/(N - 1)): add "
    "1/(N - 1) for the standard definition; the published numbers are of reconstructions, ten samples each"
)


@dataclass(frozen=True)
class About:
    """What stands beside every number of a subject and ROI.

    Attributes:
        subject: "subj01" to "subj08".
        roi: The ROI's name.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        dataset: Digest of the folder.
        n_voxels: Voxels that the model takes; None where nobody said.
        train: What the model was made from: "perception", "predictions".
        notes: What its numbers must not be taken for.
    """

    subject: str
    roi: str
    beta_version: str
    dataset: str
    n_voxels: int | None
    train: str
    notes: tuple[str, ...] = ()


def decoding_measures(tested: Tested) -> list[Measure]:
    """Of vectors."""
    n = len(tested.stimuli)
    cosine = Measure("cosine", lambda raw, _: raw, None, False, n)
    ranked = [
        Measure("two_way", lambda _, found: two_way(found), 0.5, False, n, bounds=(0, 1)),
        Measure(
            "two_way_mirage",
            lambda _, found: two_way_mirage(found),
            0.5 - 1 / (n - 1),
            False,
            n,
            MIRAGE,
            (-1 / (n - 1), (n - 2) / (n - 1)),
        ),
    ]
    if tested.condition != "perception":
        more = RETRIEVED[1:] if tested.stimulus_set == BOTH else ()
        return [
            cosine,
            *ranked,
            _retrieval("identification", 1, n),
            *(_retrieval(f"retrieval_at_{k}", k, n) for k in more),
        ]
    retrieved = [_retrieval(f"retrieval_at_{k}", k, n) for k in RETRIEVED if k < n]
    if n > COMPARABLE_N:
        retrieved += [_retrieval(f"retrieval_at_{k}", k, n, COMPARABLE_N) for k in RETRIEVED]
    return [cosine, *ranked, *retrieved]


def decoding_names(tested: Tested) -> list[str]:
    """Of `decoding_measures`, also where there is nothing to measure."""
    retrieved = [f"retrieval_at_{k}" for k in RETRIEVED]
    if tested.condition == "perception":
        return ["cosine", "two_way", "two_way_mirage", *retrieved]
    more = retrieved[1:] if tested.stimulus_set == BOTH else []
    return ["cosine", "two_way", "two_way_mirage", "identification", *more]


def encoding_measures(tested: Tested) -> list[Measure]:
    """Of patterns."""
    n = len(tested.stimuli)
    alike = Measure("brain_correlation", lambda raw, _: raw, None, False, n)
    return [alike, _retrieval("encoding_identification", 1, n)]


def scored(
    about: About, tested: Tested, measures: Sequence[Measure], raw: Side, ranking: Side, how: str
) -> list[Measured]:
    """All measures of what is tested, in each unit.

    Args:
        about: What stands beside each.
        tested: Rows with their candidates, and how labels are redrawn.
        measures: Which.
        raw: What likeness is of.
        ranking: What ranks are of.
        how: "decode" or "encode".
    """
    likeness, ranks = Compared(raw), Compared(ranking)
    found: list[Measured] = []
    for unit in (tested.unit,) if tested.unit else ("trial", "mean"):
        as_they_are = unit == "trial" or bool(tested.unit)
        give = of_rows if as_they_are else of_means
        drawn, each = give(tested, measures, likeness, ranks)
        n_stimuli = np.unique(tested.own)
        for measure, value, of_test in zip(measures, drawn, each, strict=True):
            of = tested.own if as_they_are else n_stimuli
            found.append(_score(about, tested, measure, value, (of_test, of), unit, how))
    return found


def without(about: About, tested: Tested, measure: str, reason: str, how: str, unit: str = "trial") -> Measured:
    """A score without a value."""
    n = tested.n_candidates
    is_both = tested.stimulus_set == BOTH
    perceived = tested.condition == "perception" and about.train == "perception"
    score = unestimated(
        measure=measure,
        subject=about.subject,
        roi=about.roi,
        condition="perception" if perceived else f"{about.train} → {tested.condition}",
        stimulus_set="" if is_both else tested.stimulus_set,
        train=about.train,
        test=tested.test,
        unit=unit,
        n_repeats=1 if unit == "trial" else tested.n_repeats,
        n_trials=tested.n_trials,
        n_subjects=1,
        n_candidates=n,
        candidates=tested.candidates if n or not perceived else "pictures of shared1000",
        n_voxels=about.n_voxels,
        how=how,
        beta_version=about.beta_version,
        dataset=about.dataset,
        reason=reason,
    )
    return Measured(score, np.nan, np.zeros(0))


def reference_row(measured: Measured, train: str, value: float, reason: str) -> Measured:
    """A row of what stands beside a score: of chance, of the constant predictor."""
    nothing: dict[str, Any] = dict.fromkeys(("low", "high", "reference", "p", "p_corrected", "draws"))
    words = dict.fromkeys(("interval", "reference_method", "family"), "")
    score = replace(measured.score, **nothing, **words, train=train, value=value, reason=reason)
    return Measured(score, value, np.zeros(0))


def missing(about: About, tested: Tested, names: Sequence[str], reason: str, how: str) -> list[Measured]:
    """Scores without a value, in each unit."""
    units = (tested.unit,) if tested.unit else ("trial", "mean")
    return [without(about, tested, name, reason, how, unit) for unit in units for name in names]


def chance_rows(measured: Sequence[Measured]) -> list[Measured]:
    """What each score is without signal, as rows told by `train`."""
    return [
        reference_row(one, "chance", one.score.chance, one.score.chance_method)
        for one in measured
        if one.score.value is not None and one.score.chance is not None
    ]


def notes_of(about: About, tested: Tested, measure: Measure) -> str:
    """What a value must not be taken for."""
    notes = [measure.note, *about.notes]
    if tested.condition == "imagery":
        notes.append("includes the letter on the screen")
    if tested.stimulus_set == "C":
        of_vision = ": each trial of visC showed another photograph of the word" if tested.condition == "vision" else ""
        notes.append(f"of the concept, by embeddings of the words{of_vision}")
    return "; ".join(filter(None, notes))


def _retrieval(name: str, k: int, n: int, among: int = 0) -> Measure:
    if among:
        note = f"among {among} of the {n}, mean over all choices of them"
        return Measure(name, lambda _, found: retrieval_among(found, k, among), k / among, True, among, note)
    return Measure(name, lambda _, found: retrieval_at(found, k), k / n, True, n)


def _score(
    about: About,
    tested: Tested,
    measure: Measure,
    drawn: Drawn,
    each: tuple[Matrix, NDArray[np.integer]],
    unit: str,
    how: str,
) -> Measured:
    spread = None if measure.is_share else over_stimuli(*each, measure.bounds)
    tests = "trials" if unit == "trial" else "means"
    said = _interval(drawn, spread, len(each[0]), tests) if spread or measure.is_share else {}
    chance, method = measure.chance, "by the number of candidates" if measure.is_share else "by definition"
    if chance is None and len(drawn.null):
        chance, method = float(drawn.null.mean()), "mean of redrawn labels"
    if len(drawn.null):
        by = "free permutation of pictures" if tested.unit else "drawn orders of the tested runs"
        method += f"; p by {by}"
    score = replace(
        without(about, tested, measure.name, "-", how, unit).score,
        value=drawn.value,
        **said,
        chance=chance,
        chance_method=method if chance is not None else "",
        p=drawn.p,
        n_candidates=measure.n_candidates,
        draws=len(drawn.null) or None,
        reason=notes_of(about, tested, measure),
    )
    return Measured(score, drawn.value, drawn.null, spread, _items(tested, *each))


def _items(tested: Tested, each: Matrix, own: NDArray[np.integer]) -> Items:
    there, at = np.unique(own, return_inverse=True)
    n_tests = np.bincount(at)
    return Items(tuple(tested.stimuli[one] for one in there.tolist()), np.bincount(at, each) / n_tests, n_tests)


def _interval(drawn: Drawn, spread: Spread | None, n_tests: int, tests: str) -> dict[str, Any]:
    """Wilson's of shares; of means over stimuli, that of their spread."""
    ends = of_share(drawn.value, n_tests, drawn.null) if spread is None else spread.around(drawn.value)
    how = interval_over(tests, drawn.null) if spread is None else spread.how
    return {"low": ends.low, "high": ends.high, "interval": how}
