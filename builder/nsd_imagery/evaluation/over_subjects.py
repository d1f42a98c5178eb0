"""Scores of groups of subjects, made of the records of each: all, and those of most papers where they are a part."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from nsd_imagery.evaluation.comparisons import POOLED_SETS
from nsd_imagery.evaluation.group import PUBLISHED_SUBJECTS, corrected, grouped
from nsd_imagery.evaluation.record import Record, is_over_parts
from nsd_imagery.evaluation.relations import SIMILARITY, grouped_similarity, pattern_correlation
from nsd_imagery.evaluation.score import GROUP, Measured, Score
from nsd_imagery.evaluation.subject import Kind, kind_of
from nsd_imagery.experiment import STIMULUS_SETS

PUBLISHED_GROUP: Final = f"{GROUP} of {', '.join(PUBLISHED_SUBJECTS)}"
"""The subject of scores over `PUBLISHED_SUBJECTS`."""

_Places = Mapping[str, Mapping[str, Mapping[Kind, int]]]
"""By ROI, subject and kind, which of a record's scores."""


def group_scores(records: Mapping[str, Record], rois: Sequence[str]) -> list[Score]:
    """The scores of all subjects together, then those of `PUBLISHED_SUBJECTS` where they are only some of them.

    Args:
        records: By subject.
        rois: In order; a subject may lack some.
    """
    found = _scores_of(GROUP, records, rois)
    if set(PUBLISHED_SUBJECTS) < set(records):
        found += _scores_of(PUBLISHED_GROUP, {name: records[name] for name in PUBLISHED_SUBJECTS}, rois)
    return found


def _scores_of(name: str, records: Mapping[str, Record], rois: Sequence[str]) -> list[Score]:
    """One group's scores, by ROI, with p corrected over ROIs; draws are read a kind of score at a time."""
    places = {
        roi: {
            subject: {kind_of(score): place for place, score in enumerate(record.scores(roi))}
            for subject, record in records.items()
            if roi in record.rois
        }
        for roi in rois
    }
    found: dict[str, list[Score]] = {roi: [] for roi in rois}
    kinds = dict.fromkeys(kind for of_subject in places.values() for mine in of_subject.values() for kind in mine)
    for kind in kinds:
        having = [roi for roi in rois if any(kind in mine for mine in places[roi].values())]
        _add(found, having, name, [_grouped(kind, roi, records, places) for roi in having])
    geometries = {roi: [record.geometry(roi) for record in records.values() if roi in record.rois] for roi in rois}
    for sets in (*((one,) for one in STIMULUS_SETS), POOLED_SETS):
        _add(found, rois, name, [pattern_correlation(geometries[roi], sets) for roi in rois])
    return [score for scores in found.values() for score in scores]


def _add(found: Mapping[str, list[Score]], rois: Sequence[str], name: str, of_rois: Sequence[Measured]) -> None:
    for roi, one in zip(rois, corrected(of_rois), strict=True):
        found[roi].append(replace(one.score, subject=name))


def _grouped(kind: Kind, roi: str, records: Mapping[str, Record], places: _Places) -> Measured:
    sets = POOLED_SETS if is_over_parts(kind.measure, kind.stimulus_set) else (kind.stimulus_set,)
    parts = [
        records[subject].measured(roi, mine[part])
        for subject, mine in places[roi].items()
        for part in (kind._replace(stimulus_set=name) for name in sets)
        if part in mine
    ]
    if kind.measure == SIMILARITY and kind.stimulus_set:
        geometries = [records[subject].geometry(roi) for subject in places[roi]]
        together = grouped_similarity(geometries, kind.stimulus_set)
    else:
        together = grouped(parts)
    reason = reason_of(parts, together.score.reason, by_set=len(sets) > 1)
    return replace(together, score=replace(together.score, stimulus_set=kind.stimulus_set, reason=reason))


def reason_of(parts: Sequence[Measured], said: str, *, by_set: bool) -> str:
    """What a group's number must not be taken for, and who is not in it; where there is none, why."""
    lacking = [one.score for one in parts if one.score.value is None]
    if len(lacking) == len(parts):
        return "; ".join(dict.fromkeys(score.reason for score in lacking))
    who = [f"set {score.stimulus_set} of {score.subject}" if by_set else score.subject for score in lacking]
    return "; ".join(filter(None, [said, f"without {', '.join(who)}" if who else ""]))
