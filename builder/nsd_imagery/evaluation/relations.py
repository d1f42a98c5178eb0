"""How imagery's patterns relate to vision's, as scores: what they share, corrected for noise, and the likeness of RDMs.

All of it takes betas of fithrf: imagery's signal is what its two runs share, and in fithrf_GLMdenoise_RR the
regularisation was chosen by that very agreement. The correlation that is corrected for noise is of the group alone,
because a subject's is too noisy; the covariance stands beside it, because to leave out weak subjects would be a choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from nsd_imagery.chance.evidence import Evidence, against_draws, total
from nsd_imagery.chance.intervals import FEWEST_SUBJECTS, around, jackknife_variance, shared_by_schedule
from nsd_imagery.chance.orders import N_DRAWS, REPEATS_PER_RUN
from nsd_imagery.evaluation.cells import RELIABLE
from nsd_imagery.evaluation.comparisons import NO_PLAIN_BETAS, POOLED_SETS, plain_betas
from nsd_imagery.evaluation.geometry import Shared, noise_corrected, rdm_across, rdm_ceiling, rdm_similarity, rdm_within
from nsd_imagery.evaluation.geometry import shared as shared_by
from nsd_imagery.evaluation.gram import Gram, Matrix, gram
from nsd_imagery.evaluation.group import grouped, over_sets
from nsd_imagery.evaluation.identify import Drawn
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.score import GROUP, Measured, unestimated
from nsd_imagery.evaluation.templates import fault_of
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET

COVARIANCE: Final = "pattern_covariance"
SIMILARITY: Final = "rdm_similarity"
CORRELATION: Final = "pattern_correlation"

_UNIT: Final = "in units of the variance of a run's trials, mean over voxels; vision without the letter"
_RELABELLED: Final = "mean of the 719 other ways to name imagery's targets; p by them"


@dataclass(frozen=True, eq=False)
class Geometry:
    """What is known of one subject and ROI.

    Attributes:
        scores: `pattern_covariance` and `rdm_similarity`, by set and over `POOLED_SETS`.
        vision: By set, (6, 6) distances within visX; of the betas that imagery's are of, where these have visX.
        imagery: By set, (6, 6) distances across imgX_1 and imgX_2, where there are betas of fithrf.
        shared: By set, what `pattern_correlation` of the group is made of; the same.
    """

    scores: list[Measured]
    vision: Mapping[str, Matrix]
    imagery: Mapping[str, Matrix]
    shared: Mapping[str, Shared]


def measured_geometry(
    runs: Runs,
    across: Runs | None = None,
    *,
    products: Gram | None = None,
    draws: int = N_DRAWS,
    why: str = NO_PLAIN_BETAS,
) -> Geometry:
    """Distances of targets, and how vision and imagery are related.

    Args:
        runs: Of one subject and ROI.
        across: The same subject and ROI in fithrf, with vision. Default: `runs`, where they are of fithrf.
        products: The Gram matrix of `runs`, where it is there already.
        draws: Drawn orders.
        why: Why there is nothing of imagery without `across`.
    """
    products = gram(runs) if products is None else products
    plain = plain_betas(runs, across)
    of_plain = products if plain is runs else gram(plain) if plain else None
    seen = {run.stimulus_set: rdm_within(run, products) for run in runs.of("vision")}
    if plain is not None and of_plain is not None and plain is not runs:
        seen |= {run.stimulus_set: rdm_within(run, of_plain) for run in plain.of("vision")}
    imagined: dict[str, Matrix] = {}
    shared: dict[str, Shared] = {}
    found: dict[str, list[Measured]] = {}
    for stimulus_set in STIMULUS_SETS:
        names = [name.replace("X", stimulus_set) for name in ("visX", "imgX_1", "imgX_2")]
        three = [plain.find(name) if plain else None for name in names]
        vision, first, second = three
        fault = why if plain is None else _fault(plain, names)
        if of_plain is not None and first is not None and second is not None and first.targets == second.targets:
            imagined[stimulus_set] = rdm_across(first, second, of_plain)
        if fault or plain is None or of_plain is None or vision is None or first is None or second is None:
            found[stimulus_set] = [_without(runs, name, stimulus_set, fault) for name in (COVARIANCE, SIMILARITY)]
            continue
        shared[stimulus_set] = shared_by(vision, first, second, of_plain, draws)
        alike = rdm_similarity(seen[stimulus_set], imagined[stimulus_set], stimulus_set)
        found[stimulus_set] = [
            _measured(plain, COVARIANCE, second, shared[stimulus_set].covariance),
            _measured(plain, SIMILARITY, second, alike),
        ]
    pooled = [over_sets(parts) for parts in zip(*(found[name] for name in POOLED_SETS), strict=True)]
    return Geometry([*(one for both in found.values() for one in both), *pooled], seen, imagined, shared)


def pattern_correlation(subjects: Sequence[Geometry], stimulus_sets: Sequence[str] = POOLED_SETS) -> Measured:
    """Noise-corrected correlation of the patterns of vision and imagery over subjects; see `geometry.noise_corrected`.

    The interval is t sqrt(j + v): j of the jackknife over subjects, v what the schedule makes them share. p is that of
    the covariance, by the sum of z over subjects and sets.

    Args:
        subjects: One each, of one ROI.
        stimulus_sets: One, or those that are summed.

    Returns:
        Without a value where one of the signals is not above 0 at p ≤ .05, and for fewer than three subjects.
    """
    parts = [[one.shared[name] for name in stimulus_sets if name in one.shared] for one in subjects]
    parts = [of_subject for of_subject in parts if of_subject]
    name = stimulus_sets[0] if len(stimulus_sets) == 1 else ""
    beside = [one.score for subject in subjects for one in subject.scores]
    alike = [one for one in beside if one.measure == COVARIANCE and one.stimulus_set == name]
    first = replace(
        next((one for one in alike if one.value is not None), alike[0]),
        measure=CORRELATION,
        subject=GROUP,
        n_subjects=len(parts),
        n_voxels=None,
        value=None,
        p=None,
        chance=None,
        chance_method="",
    )
    fault = alike[0].reason if not parts else _no_root(parts)
    if fault:
        return Measured(replace(first, reason=fault), np.nan, np.zeros(0))
    whole = [one for of_subject in parts for one in of_subject]
    value = noise_corrected(whole)
    left_out = [noise_corrected([one for other in parts if other is not mine for one in other]) for mine in parts]
    size = float(np.mean([one.vision.value for one in whole]) * np.mean([one.imagery.value for one in whole])) ** 0.5
    null = np.array([np.mean([one.covariance.null for one in of_subject], axis=0) for of_subject in parts]) / size
    together = _together(whole, "covariance")
    v = shared_by_schedule(null) if together else 0.0
    ends = around(value, jackknife_variance(left_out) + v, len(parts)) if np.isfinite(left_out).all() else None
    score = replace(
        first,
        value=value,
        low=None if ends is None else ends.low,
        high=None if ends is None else ends.high,
        interval="jackknife over subjects, t, with what the schedule makes them share" if ends else "",
        chance=0.0,
        chance_method="0; p is that of the covariance, by drawn orders of imgX_2; fixed effects" if together else "0",
        p=together.p if together else None,
        n_trials=sum(one.n_trials or 0 for one in alike),
        reason="corrected for noise, so it may be above 1; see pattern_covariance, of which it is a ratio",
    )
    return Measured(score, together.z, together.null) if together else Measured(score, np.nan, np.zeros(0))


def grouped_similarity(subjects: Sequence[Geometry], stimulus_set: str) -> Measured:
    """`rdm_similarity` over subjects in one set, beside how like one another the subjects' RDMs of imagery are.

    Args:
        subjects: One each, of one ROI.
        stimulus_set: Its name.
    """
    scores = [one for subject in subjects for one in subject.scores]
    found = grouped(
        [one for one in scores if one.score.measure == SIMILARITY and one.score.stimulus_set == stimulus_set]
    )
    ceiling = rdm_ceiling([one.imagery[stimulus_set] for one in subjects if stimulus_set in one.imagery])
    if ceiling is None:
        return found
    said = f"lower noise ceiling of imagery over subjects; upper {ceiling.upper:.3f}"
    return replace(found, score=replace(found.score, reference=ceiling.lower, reference_method=said))


def _no_root(parts: Sequence[Sequence[Shared]]) -> str:
    """Why a group has no correlation that is corrected for noise; nothing where it has."""
    if len(parts) < FEWEST_SUBJECTS:
        return f"of the group alone: needs {FEWEST_SUBJECTS} subjects"
    whole = [one for of_subject in parts for one in of_subject]
    for name in ("vision", "imagery"):
        evidence = _together(whole, name)
        if np.mean([getattr(one, name).value for one in whole]) <= 0 or (evidence and evidence.p > RELIABLE):
            return f"no reliable signal to normalise by: p of {name} is not up to {RELIABLE}"
    return ""


def _together(whole: Sequence[Shared], name: str) -> Evidence | None:
    drawn: list[Drawn] = [getattr(one, name) for one in whole]
    return total([against_draws(*one) for one in drawn]) if all(len(one.null) for one in drawn) else None


def _fault(plain: Runs, names: Sequence[str]) -> str:
    """Why a set has no such number; nothing where it has."""
    found: list[Run] = []
    for name in names:
        run = plain.find(name)
        if run is None:
            return f"{name}: {plain.left_out.get(name, 'the folder has no such run')}"
        found.append(run)
    if len({run.targets for run in found}) > 1:
        return f"{', '.join(names)} have other targets"
    return fault_of(found[0], found[2], "letter-free")


def _measured(runs: Runs, measure: str, test: Run, drawn: Drawn) -> Measured:
    is_distance = measure == SIMILARITY
    notes = [
        "includes the letter on the screen" if is_distance else _UNIT,
        "of the concept: each trial of visC showed another photograph" if test.stimulus_set == "C" else "",
    ]
    chance_method = _RELABELLED if is_distance else "0; p by drawn orders of imgX_2" if len(drawn.null) else "0"
    score = replace(
        _without(runs, measure, test.stimulus_set, "-").score,
        value=drawn.value,
        chance=float(drawn.null.mean()) if is_distance else 0.0,
        chance_method=chance_method,
        p=drawn.p,
        n_trials=test.n_valid,
        draws=len(drawn.null) or None,
        reason="; ".join(filter(None, notes)),
    )
    return Measured(score, drawn.value, drawn.null)


def _without(runs: Runs, measure: str, stimulus_set: str, reason: str) -> Measured:
    """A score without a value."""
    is_distance = measure == SIMILARITY
    score = unestimated(
        measure=measure,
        subject=runs.subject,
        roi=runs.roi,
        condition="vision → imagery",
        stimulus_set=stimulus_set,
        train="visX",
        test="imgX" if is_distance else "imgX_2",
        unit="mean",
        n_repeats=REPEATS_PER_RUN,
        n_trials=None,
        n_subjects=1,
        n_candidates=TARGETS_PER_SET,
        candidates=f"the {TARGETS_PER_SET} {'concepts' if stimulus_set == 'C' else 'targets'} of set {stimulus_set}",
        n_voxels=runs.n_voxels,
        how="across" if is_distance else "letter-free",
        beta_version=runs.beta_version,
        dataset=runs.dataset,
        reason=reason,
    )
    return Measured(score, np.nan, np.zeros(0))
