"""The exhibits of an evaluation out of its records: of each subject, and of groups of them; see `exhibits`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.evaluation.behaviour import BUTTONS, summed_responses
from nsd_imagery.evaluation.comparisons import POOLED_SETS
from nsd_imagery.evaluation.drift import band_of
from nsd_imagery.evaluation.exhibits import TESTS, Exhibits, histogram, rounded
from nsd_imagery.evaluation.group import PUBLISHED_SUBJECTS, grouped
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP, reason_of
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.score import GROUP, Measured


def exhibited(records: Mapping[str, Record], rois: Sequence[str]) -> dict[str, Any]:
    """The exhibits of each subject, then of the groups that have scores.

    Args:
        records: By subject.
        rois: In order; a subject may lack some.
    """
    found = {subject: _of_subject(record) for subject, record in records.items()}
    groups = {GROUP: list(records)}
    if set(PUBLISHED_SUBJECTS) < set(records):
        groups[PUBLISHED_GROUP] = list(PUBLISHED_SUBJECTS)
    for name, members in groups.items():
        of_members = {subject: records[subject] for subject in members}
        found[name] = {
            "runs": [],
            "responses": summed_responses(found[subject]["responses"] for subject in members),
            "buttons": BUTTONS,
            "rois": {roi: _of_group(of_members, roi, name) for roi in rois},
        }
    return found


def _of_subject(record: Record) -> dict[str, Any]:
    of_roi = {roi: record.exhibits(roi) for roi in record.rois}
    first = next(iter(of_roi.values())).said
    return {
        "runs": first["runs"],
        "responses": first["responses"],
        "buttons": BUTTONS,
        "rois": {
            roi: {**{name: one.said[name] for name in ("rdms", "drift", "nulls")}, "vivid": _vivid(one.vivid)}
            for roi, one in of_roi.items()
        },
    }


def _of_group(records: Mapping[str, Record], roi: str, name: str) -> dict[str, Any]:
    having = [record for record in records.values() if roi in record.rois]
    exhibits = [record.exhibits(roi) for record in having]
    return {
        "rdms": [_mean_rdm(of_set) for of_set in zip(*(one.said["rdms"] for one in exhibits), strict=True)],
        "drift": [_mean_drift(exhibits, place) for place in range(len(exhibits[0].drawn))],
        "nulls": [_null(test, having, roi) for test in TESTS],
        "vivid": _vivid(_grouped_vivid([one for of in exhibits for one in of.vivid], name)),
    }


def _vivid(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """A row a set, of accuracies and margins."""
    rows: dict[str, dict[str, Any]] = {}
    for one in measured:
        rows.setdefault(one.score.stimulus_set, {"stimulus_set": one.score.stimulus_set})
        rows[one.score.stimulus_set][one.score.measure] = asdict(one.score)
    return list(rows.values())


def _grouped_vivid(measured: Sequence[Measured], name: str) -> list[Measured]:
    found: list[Measured] = []
    for sets in (*((one,) for one in POOLED_SETS), POOLED_SETS):
        for measure in ("identification", "margin"):
            parts = [one for one in measured if one.score.measure == measure and one.score.stimulus_set in sets]
            together = grouped(parts, name)
            own = sets[0] if len(sets) == 1 else ""
            reason = reason_of(parts, together.score.reason, by_set=len(sets) > 1)
            found.append(replace(together, score=replace(together.score, stimulus_set=own, reason=reason)))
    return found


def _null(name: str, records: Sequence[Record], roi: str) -> dict[str, Any]:
    """The null distribution of a group's test: of the sum of z, as its p."""
    parts = [
        record.measured(roi, place)
        for record in records
        for place, score in enumerate(record.scores(roi))
        if TESTS[name].is_of(score) and score.measure == "margin" and score.stimulus_set in POOLED_SETS
    ]
    together = grouped(parts)
    reason = reason_of(parts, together.score.reason, by_set=True)
    return {"name": name, **histogram(replace(together, score=replace(together.score, reason=reason)), "z")}


def _mean_rdm(of_subjects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One set's distances, mean over the subjects that have them."""
    found = {**of_subjects[0], "targets": next((one["targets"] for one in of_subjects if one["targets"]), [])}
    for condition in ("vision", "imagery"):
        there = [one for one in of_subjects if one[condition] is not None and one["targets"] == found["targets"]]
        found[condition] = rounded(np.mean([one[condition] for one in there], axis=0)) if there else None
        found[f"{condition}_betas"] = (there or of_subjects)[0][f"{condition}_betas"]
        reasons = "; ".join(dict.fromkeys(filter(None, (one[f"{condition}_reason"] for one in of_subjects))))
        found[f"{condition}_reason"] = "" if there else reasons
        found[f"{condition}_n_subjects"] = len(there)
    return found


def _mean_drift(exhibits: Sequence[Exhibits], place: int) -> dict[str, Any]:
    """One pair of runs, mean over subjects, who share each draw: so is the band."""
    rows = [one.said["drift"][place] for one in exhibits]
    there = [(row, one.drawn[place]) for row, one in zip(rows, exhibits, strict=True) if row["similarity"]]
    if not there:
        return {**rows[0], "reason": "; ".join(dict.fromkeys(row["reason"] for row in rows))}
    curves = np.array([row["similarity"] for row, _ in there], np.float64)
    low, high = band_of(_mean_of_known(np.array([drawn for _, drawn in there])))
    return {
        **there[0][0],
        "stimulus_sets": sorted({name for row, _ in there for name in row["stimulus_sets"]}),
        "n_subjects": len(there),
        "similarity": rounded(_mean_of_known(curves)),
        "low": rounded(low),
        "high": rounded(high),
        "n_pairs": np.sum([row["n_pairs"] for row, _ in there], axis=0).tolist(),
    }


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the first axis of what is no NaN."""
    known = np.isfinite(values)
    n_known = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(sums, n_known, out=np.full(sums.shape, np.nan), where=n_known > 0)
