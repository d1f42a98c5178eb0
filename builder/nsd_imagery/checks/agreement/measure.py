"""Do the betas of a session agree with its labels?

Better than chance is not enough: labelled by cue, half of the vision trials are still right. So the labels compete with
rival labellings, each scored by the same rule (see `chance.evidence`) against orders that the experiment could have had
(see `chance.orders`), and `verdicts` says what the outcome proves. The vision runs of sets A and B carry the proof;
visC shows another photograph on each trial. That vision drives early visual cortex more than imagery does, and that
targets are told apart best there, is how Kneeland et al. (2025) found it in these data.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import norm, t, ttest_ind

from nsd_imagery.chance.centring import zscores
from nsd_imagery.chance.evidence import (
    Array,
    Evidence,
    against_draws,
    difference,
    difference_to_best,
    standard_normal,
    total,
)
from nsd_imagery.chance.orders import (
    ENOUGH_TRIALS,
    REPEATS_PER_RUN,
    null_orders,
    same_target,
    seen_against_cued,
)
from nsd_imagery.chance.similarity import (
    block_similarity,
    correlations,
    identification,
    pair_similarity,
    voxel_separation,
)
from nsd_imagery.checks.agreement.session import LabelledRun, SessionBetas, find_run, window
from nsd_imagery.checks.agreement.verdicts import (
    ACQUIT,
    BEST_OTHER_START,
    ROW_RIVALS,
    Judgement,
    Measurements,
    judge,
    over_rival,
)
from nsd_imagery.experiment import BLANKS_PER_RUN, STIMULUS_SETS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.volumes.roi import Mask

_LATE, _EARLY, _GROUPED, _OTHER_RUN = ROW_RIVALS
_ENOUGH_MISMATCHES = 12
_ENOUGH_IMAGERY = 3
_ENOUGH_VOXELS = 20

_Runs = Mapping[str, LabelledRun]
_Measured = tuple[dict[str, Evidence], dict[str, float]]


def check_session(session: SessionBetas) -> Judgement:
    """Answer all questions about one subject; `verdicts.pool` puts several together.

    Deterministic: the orders that labels are compared with are drawn once, the same for all.
    """
    vision = {name: run for name in "AB" if (run := find_run(session, "vision", name)) is not None}
    measures = (_seen, _cue, _reliability, _rows, _voxels)
    parts = [*(measure(session, vision) for measure in measures), _strength(session), _imagery_repeats(session)]
    evidence = {name: found for part, _ in parts for name, found in part.items()}
    numbers = {name: value for _, part in parts for name, value in part.items()}
    return judge(Measurements(evidence, numbers))


def _similarity(session: SessionBetas, start: int, voxels: Mask) -> Array:
    return pair_similarity(*window(session, start, voxels))


def _fits(stimulus_set: str, run: LabelledRun, similarities: Sequence[Array]) -> list[Evidence]:
    """How well the labels of a run tell patterns apart, for each (n_pairs,) of similarities.

    Each set has its own draws.
    """
    stacked = np.stack(similarities).astype(np.float32)
    nulls = np.roll(stacked @ null_orders().same_target.T, STIMULUS_SETS.index(stimulus_set), axis=1)
    return [against_draws(*pair) for pair in zip(stacked @ same_target(run.targets), nulls, strict=True)]


def _seen(session: SessionBetas, vision: _Runs) -> _Measured:
    """Are seen targets told apart, in early visual cortex (by set) and in nsdgeneral (both sets)?"""
    evidence: dict[str, Evidence] = {}
    numbers: dict[str, float] = {}
    anywhere = []
    for name, run in vision.items():
        rois = {"early": session.early, "higher": session.higher, "nsdgeneral": session.nsdgeneral}
        measured = {roi: _similarity(session, run.start, voxels) for roi, voxels in rois.items()}
        # Where no voxel varies there is nothing to compare, and nothing that speaks against the labels.
        similarities = {roi: similarity for roi, similarity in measured.items() if similarity.any()}
        if "early" in similarities:
            evidence[f"seen_{name}"] = _fits(name, run, [similarities["early"]])[0]
        if "nsdgeneral" in similarities:
            anywhere += _fits(name, run, [similarities["nsdgeneral"]])
        for roi, similarity in similarities.items():
            numbers[f"identification_{name}_{roi}"] = identification(similarity, run.targets, run.is_valid)
    return evidence | ({"seen_nsdgeneral": total(anywhere)} if anywhere else {}), numbers


def _cue(session: SessionBetas, vision: _Runs) -> _Measured:
    """Are mismatched vision trials like the target that was seen (positive) or like the one that was cued?"""
    parts, n_trials, n_mismatched = [], 0, 0
    for name, run in vision.items():
        mismatched = np.count_nonzero(run.is_valid & (run.targets != run.cued))
        n_trials += np.count_nonzero(run.is_valid)
        n_mismatched += mismatched
        if mismatched >= _ENOUGH_MISMATCHES:
            similarity = _similarity(session, run.start, session.early).astype(np.float32)
            null = np.roll(null_orders().seen_against_cued @ similarity, STIMULUS_SETS.index(name))
            parts.append(against_draws(float(seen_against_cued(run.targets, run.cued) @ similarity), null))
    evidence = {"seen_or_cued": total(parts)} if parts else {}
    return evidence, {"vision_trials": float(n_trials), "mismatched_trials": float(n_mismatched)}


def _reliability(session: SessionBetas, vision: _Runs) -> _Measured:
    """Are targets told apart better in vision (positive) than in the imagery run that follows it?"""
    parts: list[Evidence] = []
    numbers: dict[str, float] = {}
    for name, run in vision.items():
        imagery = find_run(session, "imagery", name)
        if imagery is None:
            continue
        seen, imagined = (_similarity(session, one.start, session.early) for one in (run, imagery))
        if seen.any() and imagined.any():
            parts.append(difference(_fits(name, run, [seen])[0], _fits(name, imagery, [imagined])[0]))
            share = identification(imagined, imagery.targets, imagery.is_valid)
            numbers[f"imagery_identification_{name}_early"] = share
    return ({"reliability": total(parts)} if parts else {}), numbers


def _strength(session: SessionBetas) -> _Measured:
    """Is the mean response of V1-V3 greater in vision (positive) than in the imagery run that follows it?

    The betas of a run share the error of its baseline, which rests on its blanks, so a run's mean is not more certain
    than 48 trials against 12 blanks can be; neighbouring trials are correlated and count for less than one each.
    """
    conditions = ("vision", "imagery")
    runs = {
        (name, condition): _mean_response(session, run)
        for name in STIMULUS_SETS
        for condition in conditions
        if session.v1_v3.any() and (run := find_run(session, condition, name)) is not None
    }
    sets = [name for name in STIMULUS_SETS if all((name, condition) in runs for condition in conditions)]
    if not sets:
        return {}, {}
    means = {
        condition: float(np.mean([np.nanmean(runs[name, condition]) for name in sets])) for condition in conditions
    }
    error = _variance_of_means([runs[name, condition] for name in sets for condition in conditions]) ** 0.5 / len(sets)
    z = (means["vision"] - means["imagery"]) / error if error > 0 else 0.0
    return {"strength": standard_normal(z)}, {f"response_{condition}": mean for condition, mean in means.items()}


def _variance_of_means(runs: Sequence[Array]) -> float:
    """Variance of the sum of the means of runs of (48,) responses."""
    residuals = [run - np.nanmean(run) for run in runs]
    power = np.mean([np.nanmean(one**2) for one in residuals])
    shared = np.mean([np.nanmean(one[1:] * one[:-1]) for one in residuals])
    lag_one = float(np.clip(shared / power, 0, 0.9)) if power > 0 else 0.0
    per_trial = sum(float(np.nanvar(one, ddof=1)) for one in residuals) * (1 + lag_one) / (1 - lag_one)
    return per_trial * (1 / TRIALS_PER_RUN + 1 / BLANKS_PER_RUN)


def _mean_response(session: SessionBetas, run: LabelledRun) -> Array:
    """(48,) mean over V1-V3, NaN where there are no data."""
    betas, is_valid = window(session, run.start, session.v1_v3)
    return np.where(is_valid, betas.mean(axis=1, dtype=np.float64), np.nan)


def _rows(session: SessionBetas, vision: _Runs) -> _Measured:
    """Do the labels fit their own rows better (positive) than rows one later or earlier, of another run, or grouped?"""
    if not vision:
        return {}, {}
    windows = _windows(session)
    own: list[Evidence] = []
    over: dict[str, list[Evidence]] = {_LATE: [], _EARLY: [], _OTHER_RUN: []}
    numbers: dict[str, float] = {}
    for name, run in vision.items():
        shifted = [_similarity(session, run.start + step, session.early) for step in (0, 1, -1)]
        starts = [start for start in windows if start != run.start]
        fit, late, early, *elsewhere = _fits(name, run, [*shifted, *(windows[start] for start in starts)])
        own.append(fit)
        over[_LATE].append(difference(fit, late))
        over[_EARLY].append(difference(fit, early))
        if elsewhere:
            over[_OTHER_RUN].append(difference_to_best(fit, elsewhere))
            best = int(np.argmax([other.z for other in elsewhere]))
            numbers[BEST_OTHER_START + name] = float(starts[best])
    evidence = {over_rival(rival): total(parts) for rival, parts in over.items() if parts}
    z = _grouped(session, vision)
    if z is not None:
        labels = total(own)
        # Where the labels explain nothing, blocks need only beat chance.
        against = -z if labels.p > ACQUIT else (labels.z - z) / 2**0.5
        evidence[over_rival(_GROUPED)] = standard_normal(against)
    return evidence, numbers


def _windows(session: SessionBetas) -> dict[int, Array]:
    """Similarities, in early visual cortex, of all rows 48 by 48: every run starts at a multiple of 48."""
    similarities = {}
    for start in range(0, int(session.position.max(initial=0)) + 1, TRIALS_PER_RUN):
        betas, is_valid = window(session, start, session.early)
        if np.count_nonzero(is_valid) >= ENOUGH_TRIALS:
            similarities[start] = pair_similarity(betas, is_valid)
    return similarities


def _grouped(session: SessionBetas, vision: _Runs) -> float | None:
    """The z of "each eight rows in a row of a vision run are one target", whatever the labels say.

    Rows near in time are alike for other reasons too, and as much so in imagery, where there is little else that makes
    them alike: chance is what such blocks, in and out of step, show there. None where there are too few imagery runs.
    """
    found = [find_run(session, "imagery", name, number) for name in STIMULUS_SETS for number in (0, 1)]
    imagery = [run for run in found if run is not None]
    if len(imagery) < _ENOUGH_IMAGERY:
        return None
    seen, imagined = (
        [pair_similarity(*window(session, run.start, session.early), by_distance=False) for run in runs]
        for runs in (list(vision.values()), imagery)
    )
    chance = [block_similarity(run, step) for run in imagined for step in range(REPEATS_PER_RUN)]
    excess = np.mean([block_similarity(run) for run in seen]) - np.mean(chance)
    error = np.std(chance, ddof=1) * (1 / len(seen) + 1 / len(imagined)) ** 0.5
    # Blocks moved by three trials share few pairs, so a run is worth about three draws.
    return float(norm.isf(t.sf(excess / error, 3 * len(imagined)))) if error > 0 else None


def _voxels(session: SessionBetas, vision: _Runs) -> _Measured:
    """Do voxels of early visual cortex tell seen targets apart better (positive) than the rest of nsdgeneral?

    Were the columns shuffled, the voxels of both areas would be drawn alike.
    """
    separation = np.zeros(np.count_nonzero(session.nsdgeneral))
    for run in vision.values():
        separation += voxel_separation(*window(session, run.start, session.nsdgeneral), run.targets)
    masks = (area[session.nsdgeneral] & (separation != 0) for area in (session.early, session.higher))
    early, higher = (separation[mask] for mask in masks)
    if min(len(early), len(higher)) < _ENOUGH_VOXELS:
        return {}, {}
    z = ttest_ind(early, higher, equal_var=False)[0]
    return {"early_over_higher": standard_normal(float(np.asarray(z)))}, {}


def _imagery_repeats(session: SessionBetas) -> _Measured:
    """Are trials of one imagery run like those of their target in the other? No neighbours here, so all pairs count."""
    parts: list[Evidence] = []
    numbers: dict[str, float] = {}
    for name in STIMULUS_SETS:
        first, second = (find_run(session, "imagery", name, number) for number in (0, 1))
        if first is None or second is None:
            continue
        scores = [zscores(*window(session, run.start, session.nsdgeneral)) for run in (first, second)]
        similarity = correlations(*scores)
        to_first = similarity.T @ (first.targets[:, None] == np.arange(TARGETS_PER_SET))
        to_second = similarity @ (second.targets[:, None] == np.arange(TARGETS_PER_SET))
        hits = np.concatenate(
            [
                (to_first.argmax(axis=1) == second.targets)[second.is_valid],
                (to_second.argmax(axis=1) == first.targets)[first.is_valid],
            ]
        )
        numbers[f"imagery_repeats_{name}"] = float(hits.mean())
        trials = np.arange(TRIALS_PER_RUN)
        null = to_first[trials, null_orders().targets].sum(axis=1)
        parts.append(against_draws(to_first[trials, second.targets].sum(), np.roll(null, STIMULUS_SETS.index(name))))
    return ({"imagery_repeats": total(parts)} if parts else {}), numbers
