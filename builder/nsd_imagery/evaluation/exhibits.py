"""What is shown beside scores: distances, drift, null distributions, answers. A part of `evaluation.json`.

    "exhibits": {
      "subj01": {                                  and "group", and each other group that has scores
        "runs": [                                  of a subject alone; [] of a group
          {"run": "visA", "condition": "vision", "stimulus_set": "A", "n_trials": 48, "n_valid": 48,
           "targets": ["bar_000...", ...], "n_valid_by_target": [8, ...]}],
        "responses": [                             a row a run and target; of a group, sums over subjects
          {"run": "imgA_1", "condition": "imagery", "stimulus_set": "A", "target": "bar_000...", "n_trials": 8,
           "first": 6, "second": 2, "none": 0,     times each button was pressed: see "buttons"
           "correct": null,                        of vision, answers that were right
           "median_time": 1.9, "n_subjects": 1}],  seconds; of a group, the mean of medians
        "buttons": {"imagery": ["vivid", "not vivid"], "vision": ["letter and target match", ...]},
        "rois": {
          "early": {
            "rdms": [                              one a set
              {"stimulus_set": "A", "targets": [...], "unit": "...",
               "vision": [[...]], "imagery": [[...]],                            (6, 6), or null
               "vision_n_subjects": 1, "imagery_n_subjects": 1,
               "vision_betas": "fithrf", "imagery_betas": "fithrf",
               "vision_reason": "", "imagery_reason": ""}],                      why it is null
            "drift": [                             one a pair of runs, all sets together
              {"first": "visX", "second": "imgX_1", "stimulus_sets": ["A", "B", "C"], "n_subjects": 1,
               "apart": [0, ...], "similarity": [null, ...], "low": [...], "high": [...], "n_pairs": [...],
               "band": [0.025, 0.975], "draws": 999, "reason": ""}],             why these are empty
            "nulls": [                             one a test of `TESTS`, sets A and B together
              {"name": "primary", "measure": "margin", "train": "visX", "test": "imgX_2", "how": "letter-free",
               "unit": "margin" of a subject, "z" (its sum over subjects and sets) of a group,
               "edges": [n + 1], "counts": [n], "observed": 0.031, "p": 0.0001, "draws": 9999, "n_subjects": 1,
               "reason": ""}],                     why these are empty
            "vivid": [                             one a set, and "" over sets: post hoc
              {"stimulus_set": "A", "identification": {...}, "margin": {...}}]
                       the primary test on the imagery trials that were called vivid. Each {...} has the fields of a
                       `Score`, with how = "letter-free, vivid"; these are in no table and no family
          }}}}

No number is NaN. Arrays are rounded to six digits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.evaluation.behaviour import responses_of, trials_of
from nsd_imagery.evaluation.comparisons import PRIMARY, Comparison, plain_betas
from nsd_imagery.evaluation.drift import BAND, DRAWS, drift_of, drift_sums
from nsd_imagery.evaluation.geometry import Matrix
from nsd_imagery.evaluation.gram import Gram
from nsd_imagery.evaluation.relations import Geometry
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.score import Measured
from nsd_imagery.evaluation.vivid import vivid_trials
from nsd_imagery.experiment import STIMULUS_SETS

TESTS: Final = {
    "primary": PRIMARY.comparison,
    "control": Comparison("visX", "imgX_2", "letter"),
    "within vision": Comparison("visX", "visX", "within"),
    "within imagery": Comparison("imgX_2", "imgX_2", "within"),
    "imagery across": Comparison("imgX", "imgX", "across"),
}
"""Whose null distributions are shown, over sets."""

DRIFTS: Final = (("visX", "imgX_1"), ("visX", "imgX_2"), ("imgX_1", "imgX_2"))
"""Runs between which drift is shown."""

RDM_UNIT: Final = "cross-validated squared distance by voxel, in units of the variance of a run's trials"

_BINS: Final = 40
_DIGITS: Final = 6


@dataclass(frozen=True, eq=False)
class Exhibits:
    """What is shown of one subject and ROI.

    Attributes:
        said: "runs" and "responses", which are the same in all ROIs, "rdms", "drift" and "nulls", each as above.
        drawn: (draws, n_apart) similarities under drawn orders behind the band of each of "drift"; None without.
        vivid: What "vivid" is made of, with its draws.
    """

    said: Mapping[str, Any] = field(default_factory=dict)
    drawn: Sequence[Matrix | None] = ()
    vivid: Sequence[Measured] = ()


def exhibits_of(
    runs: Runs,
    across: Runs | None,
    products: Gram,
    geometry: Geometry,
    measured: Sequence[Measured],
    *,
    draws: int = N_DRAWS,
    why: str = "",
) -> Exhibits:
    """What is shown of a subject and ROI.

    Args:
        runs: Its runs.
        across: The same of fithrf, where they are another folder's.
        products: The Gram matrix of `runs`.
        geometry: Of the same.
        measured: Its identifications.
        draws: Drawn orders.
        why: Why nothing is asked across imagery's runs.
    """
    drifts = [_drift(runs, products, first, second, min(draws, DRAWS)) for first, second in DRIFTS]
    said = {
        "runs": trials_of(runs),
        "responses": responses_of(runs),
        "rdms": [_rdm(runs, across, geometry, name, why) for name in STIMULUS_SETS],
        "drift": [shown for shown, _ in drifts],
        "nulls": [_null(name, comparison, measured) for name, comparison in TESTS.items()],
    }
    return Exhibits(said, [drawn for _, drawn in drifts], vivid_trials(runs, products, measured, draws))


def rounded(values: NDArray[np.floating] | Sequence[float]) -> list[Any]:
    """Lists of numbers of six digits, with None where there is none."""
    array = np.asarray(values, np.float64)
    if array.ndim > 1:
        return [rounded(row) for row in array]
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in array.tolist()]


def histogram(one: Measured, unit: str) -> dict[str, Any]:
    """The draws behind a p, counted, with the value that was observed, as in "nulls"; empty where there are none."""
    has_p = one.score.p is not None and len(one.null) > 0
    counts, edges = np.histogram(one.null, _BINS) if has_p else (np.zeros(0, np.int64), np.zeros(0))
    return {
        "measure": one.score.measure,
        "train": one.score.train,
        "test": one.score.test,
        "how": one.score.how,
        "unit": unit,
        "edges": rounded(edges),
        "counts": counts.tolist(),
        "observed": one.statistic if has_p else None,
        "p": one.score.p,
        "draws": len(one.null) if has_p else None,
        "n_subjects": one.score.n_subjects,
        "reason": "" if has_p else one.score.reason,
    }


def _null(name: str, comparison: Comparison, measured: Sequence[Measured]) -> dict[str, Any]:
    own = (one for one in measured if comparison.is_of(one.score))
    pooled = next(one for one in own if one.score.measure == "margin" and one.score.stimulus_set == "")
    return {"name": name, **histogram(pooled, "margin")}


def _rdm(runs: Runs, across: Runs | None, geometry: Geometry, stimulus_set: str, why: str) -> dict[str, Any]:
    plain = plain_betas(runs, across)
    names = {"vision": [f"vis{stimulus_set}"], "imagery": [f"img{stimulus_set}_{number}" for number in (1, 2)]}
    there = [run for of in (runs, plain) if of for run in of.runs if run.stimulus_set == stimulus_set]
    found: dict[str, Any] = {
        "stimulus_set": stimulus_set,
        "targets": list(there[0].targets) if there else [],
        "unit": RDM_UNIT,
    }
    for condition, rdms in (("vision", geometry.vision), ("imagery", geometry.imagery)):
        rdm = rdms.get(stimulus_set)
        of = plain if plain and (condition == "imagery" or plain.find(names[condition][0])) else runs
        absent = "; ".join(f"{name}: {_why(of, name)}" for name in names[condition] if of.find(name) is None)
        reason = why if condition == "imagery" and plain is None else absent
        found[condition] = None if rdm is None else rounded(rdm)
        found[f"{condition}_n_subjects"] = int(rdm is not None)
        found[f"{condition}_betas"] = of.beta_version
        found[f"{condition}_reason"] = (reason or "its runs have other targets") if rdm is None else ""
    return found


def _why(runs: Runs, name: str) -> str:
    return runs.left_out.get(name, "the folder has no such run")


def _drift(runs: Runs, products: Gram, first: str, second: str, draws: int) -> tuple[dict[str, Any], Matrix | None]:
    pairs: dict[str, tuple[Run, Run]] = {}
    absent: list[str] = []
    for name in STIMULUS_SETS:
        own = [run.replace("X", name) for run in (first, second)]
        one, other = (runs.find(run) for run in own)
        absent += [f"{run}: {_why(runs, run)}" for run, there in zip(own, (one, other), strict=True) if there is None]
        if one is not None and other is not None and one.targets == other.targets:
            pairs[name] = one, other
    found: dict[str, Any] = {
        "first": first,
        "second": second,
        "stimulus_sets": list(pairs),
        "n_subjects": 1,
        **{name: [] for name in ("apart", "similarity", "low", "high", "n_pairs")},
        "band": list(BAND),
        "draws": None,
        "reason": "",
    }
    if not pairs or not draws:
        return {**found, "reason": "; ".join(absent) or "its runs have other targets"}, None
    curve = drift_of(first, second, [drift_sums(*pair, products, draws) for pair in pairs.values()])
    for name in ("similarity", "low", "high"):
        found[name] = rounded(getattr(curve, name))
    found |= {"apart": curve.apart.tolist(), "n_pairs": curve.n_pairs.tolist(), "draws": draws}
    return found, curve.drawn
