"""All identification of a subject and ROI, as scores: accuracies and margins with interval, chance, p, reference."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from nsd_imagery.chance.orders import N_DRAWS, REPEATS_PER_RUN
from nsd_imagery.evaluation.comparisons import (
    AT_EQUAL_SIZE,
    BY_DRAWS,
    COMPARISONS,
    DIFFERENCE,
    NO_PLAIN_BETAS,
    POOLED_SETS,
    Comparison,
    notes_of,
    plain_betas,
    run_names,
)
from nsd_imagery.evaluation.gram import Gram, gram
from nsd_imagery.evaluation.group import difference, interval_over, over_sets
from nsd_imagery.evaluation.identify import ByTarget, Drawn, Identified, between, both_ways, within
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.score import Items, Measured, Score, unestimated
from nsd_imagery.evaluation.templates import fault_of
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET

N_SUBSETS: Final = 20
"""Random subsets of voxels of which an accuracy at equal ROI size is the mean."""

_SUBSET_DRAWS: Final = 199
"""Drawn orders of each, for chance."""

SEED: Final = 1_801
"""Of the subsets of voxels."""


def identifications(runs: Runs, across: Runs | None = None, *, draws: int = N_DRAWS) -> list[Score]:
    """The scores of `measured_identifications`."""
    return [measured.score for measured in measured_identifications(runs, across, draws=draws)]


def measured_identifications(
    runs: Runs,
    across: Runs | None = None,
    *,
    products: Gram | None = None,
    draws: int = N_DRAWS,
    why: str = NO_PLAIN_BETAS,
) -> list[Measured]:
    """`identification` and `margin` of each of `COMPARISONS`, by set and over `POOLED_SETS`.

    Args:
        runs: Of one subject and ROI.
        across: The same subject and ROI in fithrf, for imagery across runs: in fithrf_GLMdenoise_RR the regularisation
            of each voxel was chosen by agreement of the labels tested. Default: `runs`, where they are of fithrf.
        products: The Gram matrix of `runs`, where it is there already.
        draws: Drawn orders.
        why: Why imagery across runs has no value without `across`.
    """
    products = gram(runs) if products is None else products
    plain = plain_betas(runs, across)
    of_plain = products if plain is runs else gram(plain.of("imagery")) if plain else None
    found: dict[tuple[Comparison, str], list[Measured]] = {}
    for stimulus_set in STIMULUS_SETS:
        for comparison in COMPARISONS:
            of, of_gram = (plain, of_plain) if comparison.how == "across" else (runs, products)
            if of is None or of_gram is None:
                both = [_without(runs, comparison, stimulus_set, name, why) for name in ("identification", "margin")]
            else:
                both = _measured(of, of_gram, comparison, stimulus_set, draws)
                both = _beside(both, of, of_gram, comparison, stimulus_set)
            found[comparison, stimulus_set] = both
    for comparison in COMPARISONS:
        parts = [found[comparison, stimulus_set] for stimulus_set in POOLED_SETS]
        found[comparison, ""] = [over_sets(pair) for pair in zip(*parts, strict=True)]
    one, two = (Comparison("visX", test, "detrended") for test in ("imgX_1", "imgX_2"))
    for name in (*STIMULUS_SETS, ""):
        pairs = zip(found[one, name], found[two, name], strict=True)
        found[DIFFERENCE, name] = [difference(this, that) for this, that in pairs]
    return [one for both in found.values() for one in both]


def at_equal_size(runs: Runs, n_voxels: int) -> list[Measured]:
    """Accuracies as they are with fewer voxels, `identification_at_equal_size`: by set and over `POOLED_SETS`.

    The mean of `N_SUBSETS` random subsets; without p and interval, which are those of the whole ROI.

    Args:
        runs: Of one subject and ROI.
        n_voxels: Size of the smallest ROI that is compared.
    """
    found: dict[tuple[Comparison, str], Measured] = {}
    for stimulus_set in STIMULUS_SETS:
        rng = np.random.default_rng([SEED, STIMULUS_SETS.index(stimulus_set)])
        mine = [run for run in runs if run.stimulus_set == stimulus_set and not run.name.endswith("_1")]
        values: dict[Comparison, list[Measured]] = {comparison: [] for comparison in AT_EQUAL_SIZE}
        for _ in range(N_SUBSETS if mine else 1):
            n_all = mine[0].betas.shape[1] if mine else 0
            columns = np.sort(rng.choice(n_all, min(n_voxels, n_all), replace=False))
            products = gram(mine, columns)
            for comparison, of_subset in values.items():
                of_subset.append(_measured(runs, products, comparison, stimulus_set, _SUBSET_DRAWS)[0])
        for comparison, of_subset in values.items():
            found[comparison, stimulus_set] = _mean_of_subsets(of_subset, n_voxels)
    pooled = [over_sets([found[comparison, name] for name in POOLED_SETS]) for comparison in AT_EQUAL_SIZE]
    return [*found.values(), *pooled]


def _measured(runs: Runs, products: Gram, comparison: Comparison, stimulus_set: str, draws: int) -> list[Measured]:
    """Accuracy and margin of one comparison in one set."""
    measures = ("identification", "margin")
    train, test = (_find(runs, name, stimulus_set) for name in run_names(comparison))
    fault = _fault(runs, comparison, stimulus_set, train, test)
    if fault or train is None or test is None:
        return [_without(runs, comparison, stimulus_set, measure, fault) for measure in measures]
    if comparison.how == "within":
        found = within(test, products, draws)
    elif comparison.train == comparison.test:
        found = both_ways(train, test, products, draws)
    else:
        found = between(train, test, products, draws, comparison.how, comparison.unit)
    of_measure = zip(measures, (found.accuracy, found.margin), _items(test, found.by_target), strict=True)
    return [
        replace(_score(runs, comparison, test, measure, drawn, found), items=items)
        for measure, drawn, items in of_measure
    ]


def _items(test: Run, found: ByTarget) -> list[Items]:
    """Of accuracy and of margin, by the stimulus of each target; of visC, whose photographs differ, by the word."""
    names = test.stimuli or test.targets
    stimuli = tuple(names[target] for target in found.targets.tolist())
    return [Items(stimuli, values, found.n_tests) for values in found.means]


def _find(runs: Runs, name: str, stimulus_set: str) -> Run | None:
    return runs.find(name.replace("X", stimulus_set))


def _fault(runs: Runs, comparison: Comparison, stimulus_set: str, train: Run | None, test: Run | None) -> str:
    """Why a comparison cannot be made; nothing where it can."""
    for name, run in zip(run_names(comparison), (train, test), strict=True):
        if run is None:
            own = name.replace("X", stimulus_set)
            return f"{own}: {runs.left_out.get(own, 'the folder has no such run')}"
    if train is None or test is None or comparison.how == "within":
        return ""
    return fault_of(train, test, comparison.how)


def _score(runs: Runs, comparison: Comparison, test: Run, measure: str, drawn: Drawn, found: Identified) -> Measured:
    """One measure of a comparison, with its interval and chance."""
    is_accuracy, has_draws = measure == "identification", len(drawn.null) > 0
    chance, said = (1 / TARGETS_PER_SET, "1/6") if is_accuracy else (0.0, "0")
    if has_draws and comparison.how in BY_DRAWS:
        chance, said = float(drawn.null.mean()), f"mean of drawn orders, and not {said}"
    if has_draws and not found.order_confounded:
        said += "; p by drawn orders of the tested run"
    low, high = found.interval if is_accuracy else (None, None)
    score = replace(
        _without(runs, comparison, test.stimulus_set, measure, "-").score,
        value=drawn.value,
        low=low,
        high=high,
        interval=interval_over(f"{comparison.unit}s", drawn.null) if is_accuracy else "",
        chance=chance,
        chance_method=said,
        p=None if found.order_confounded else drawn.p,
        n_trials=found.n_trials,
        draws=len(drawn.null) or None,
        reason=notes_of(comparison, test.condition, test.stimulus_set),
    )
    return Measured(score, drawn.value, drawn.null)


def _without(runs: Runs, comparison: Comparison, stimulus_set: str, measure: str, reason: str) -> Measured:
    """A score without a value."""
    conditions = ["vision" if name == "visX" else "imagery" for name in (comparison.train, comparison.test)]
    score = unestimated(
        measure=measure,
        subject=runs.subject,
        roi=runs.roi,
        condition=" → ".join(dict.fromkeys(conditions)),
        stimulus_set=stimulus_set,
        train=comparison.train,
        test=comparison.test,
        unit=comparison.unit,
        n_repeats=REPEATS_PER_RUN if comparison.unit == "mean" else 1,
        n_trials=None,
        n_subjects=1,
        n_candidates=TARGETS_PER_SET,
        candidates=f"the {TARGETS_PER_SET} {'concepts' if stimulus_set == 'C' else 'targets'} of set {stimulus_set}",
        n_voxels=runs.n_voxels,
        how=comparison.how,
        beta_version=runs.beta_version,
        dataset=runs.dataset,
        reason=reason,
    )
    return Measured(score, np.nan, np.zeros(0))


def _beside(
    both: list[Measured], runs: Runs, products: Gram, comparison: Comparison, stimulus_set: str
) -> list[Measured]:
    """The same, with within-run accuracy of the same betas as the reference of an accuracy of single trials.

    That of the tested run; beside what is within a run of imagery, that of vision.
    """
    name = run_names(comparison)[1] if comparison.how != "within" else "visX"
    run = _find(runs, name, stimulus_set)
    if run is None or comparison == Comparison("visX", "visX", "within"):
        return both
    if comparison.unit != "trial" or both[0].score.value is None:
        return both
    said = f"within-run identification of {name}, same ROI"
    value = within(run, products, 0).accuracy.value
    return [replace(both[0], score=replace(both[0].score, reference=value, reference_method=said)), *both[1:]]


def _mean_of_subsets(of_subset: Sequence[Measured], n_voxels: int) -> Measured:
    """One accuracy at equal ROI size."""
    first = replace(of_subset[0].score, measure="identification_at_equal_size", n_voxels=n_voxels)
    if first.value is None:
        return Measured(first, np.nan, np.zeros(0))
    value = float(np.mean([one.statistic for one in of_subset]))
    chance = float(np.mean([one.score.chance for one in of_subset if one.score.chance is not None]))
    said = f"mean of {N_SUBSETS} random subsets of voxels, to compare ROIs of unlike size"
    notes = "; ".join(filter(None, [first.reason, said]))
    method = first.chance_method.partition(";")[0]
    score = replace(first, value=value, low=None, high=None, interval="", chance=chance, chance_method=method, p=None)
    return Measured(replace(score, draws=None, reason=notes), value, np.zeros(0))
