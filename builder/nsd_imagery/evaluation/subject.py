"""All that can be estimated of one subject, in each of its ROIs: the task that an executor is given.

A worker reads and computes, and gives bytes back; what is written is the parent's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.evaluation.ceiling import measured_ceilings
from nsd_imagery.evaluation.exhibits import exhibits_of
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.group import corrected
from nsd_imagery.evaluation.headline import main_roi
from nsd_imagery.evaluation.identifications import at_equal_size, measured_identifications
from nsd_imagery.evaluation.perception import perception
from nsd_imagery.evaluation.record import OfRoi, among, pack
from nsd_imagery.evaluation.relations import measured_geometry
from nsd_imagery.evaluation.runs import Runs, digest, for_across_runs, load_runs
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.selected import n_selected, only, restricted, selected_columns
from nsd_imagery.evaluation.transfer.beside import Beside
from nsd_imagery.evaluation.transfer.inputs import NOTHING, Inputs, Opened, opened
from nsd_imagery.evaluation.transfer.predicted import TRAIN as PREDICTIONS
from nsd_imagery.evaluation.transfer.transferred import predicted, transferred
from nsd_imagery.evaluation.voxels import voxel_bytes, voxel_table
from nsd_imagery.experiment import RUNS
from nsd_imagery.progress import StepProgress

CONDITIONS: Final = ("vision", "imagery")
"""Of NSD-Imagery, that are evaluated."""


class Kind(NamedTuple):
    """What scores of several ROIs, or of several subjects, must have in common to be taken together."""

    measure: str
    condition: str
    stimulus_set: str
    train: str
    test: str
    unit: str
    n_repeats: int | None
    how: str
    among: int | None


@dataclass(frozen=True)
class Task:
    """A subject to be evaluated.

    Attributes:
        folder: The dataset folder, absolute.
        across: The same of fithrf betas, or None.
        subject: "subj01" to "subj08".
        rois: Names, in order.
        draws: Drawn orders.
        inputs: What transfer of the subject is made from.
    """

    folder: Path
    across: Path | None
    subject: str
    rois: tuple[str, ...]
    draws: int
    inputs: Inputs = NOTHING


def kind_of(score: Score) -> Kind:
    """What a score is of, beside subject and ROI."""
    return Kind._make([*(getattr(score, name) for name in Kind._fields[:-1]), among(score)])


def evaluate_subject(task: Task, progress: StepProgress | None = None) -> bytes:
    """What `record.Record` reads: scores with their draws, and maps of voxels, of all ROIs of a subject.

    Args:
        task: The subject.
        progress: Called with each ROI, before it is read.

    Raises:
        MissingDataError: A shard is gone.
        DataError: A shard is damaged.
    """
    manifest = open_manifest(task.folder)
    sizes = [
        n_selected(task.inputs, task.subject, config.roi, config.n_voxels)
        for config in manifest.trials.values()
        if config.subject == task.subject and config.roi in task.rois
    ]
    smallest = min(sizes) if len(task.rois) > 1 else None
    found: dict[str, OfRoi] = {}
    tables, given = [], opened(task.inputs)
    for roi in task.rois:
        if progress is not None:
            progress(roi)
        found[roi], table = _of_roi(task, roi, smallest, given)
        tables.append(table)
    measured = corrected_over_rois({roi: one.measured for roi, one in found.items()})
    found = {roi: replace(one, measured=measured[roi]) for roi, one in found.items()}
    return pack(found, voxel_bytes(tables))


def _of_roi(task: Task, roi: str, smallest: int | None, given: Opened) -> tuple[OfRoi, Mapping[str, object]]:
    """What can be estimated in a ROI, and its map."""
    columns = selected_columns(task.inputs, task.subject, roi)
    runs = restricted(_runs(task.folder, task.subject, roi), columns)
    across = restricted(load_runs(task.across, task.subject, roi), columns) if task.across else None
    of_predictions = predicted(task.folder, runs, given, task.draws) if roi == main_roi(task.rois) else []
    why = for_across_runs(runs, across)[1]
    products = gram(runs)
    geometry = measured_geometry(runs, across, products=products, draws=task.draws, why=why)
    seen = perception(task.folder, task.subject, roi, columns)
    identified = measured_identifications(runs, across, products=products, draws=task.draws, why=why)
    exhibits = exhibits_of(runs, across, products, geometry, identified, draws=task.draws, why=why)
    measured = [
        *measured_ceilings(runs, across, products=products, draws=task.draws),
        *seen.scores,
        *identified,
        *(at_equal_size(only(runs, columns), smallest) if smallest else ()),
        *geometry.scores,
    ]
    beside = [one.score for one in measured]
    learnt = transferred(task.folder, runs, given, beside, task.draws, columns)
    known = Beside(beside, task.subject, roi)
    measured += learnt.scores
    measured += [known.with_within(one) if one.score.train == PREDICTIONS else one for one in of_predictions]
    left_out = dict(runs.left_out)
    if across is not None:
        left_out |= {f"{name} (across)": fault for name, fault in across.left_out.items()}
    found = OfRoi(measured, geometry, left_out, exhibits, learnt.said)
    return found, voxel_table(task.folder, runs, seen.variances)


def _runs(folder: Path, subject: str, roi: str) -> Runs:
    """The runs of a subject and ROI; none, with the reason, where the folder has only perception."""
    manifest = open_manifest(folder)
    names = {condition: config_name(subject, condition, roi) for condition in CONDITIONS}
    if any(name in manifest.configs for name in names.values()):
        return load_runs(folder, subject, roi)
    absent = {run.name: f"the folder has no {names[run.condition]}" for run in RUNS if run.condition in names}
    return Runs(subject, roi, manifest.recipe.beta_version, digest(manifest), 0, (), absent)


def corrected_over_rois(of_roi: Mapping[str, Iterable[Measured]]) -> dict[str, list[Measured]]:
    """The same scores in the same order, with p corrected over the ROIs within each kind of score."""
    measured = {roi: list(many) for roi, many in of_roi.items()}
    places: dict[Kind, list[tuple[str, int]]] = {}
    for roi, many in measured.items():
        for place, one in enumerate(many):
            places.setdefault(kind_of(one.score), []).append((roi, place))
    for family in places.values():
        _put(measured, family, corrected([measured[roi][place] for roi, place in family]))
    return measured


def _put(measured: dict[str, list[Measured]], family: Sequence[tuple[str, int]], found: Sequence[Measured]) -> None:
    for (roi, place), one in zip(family, found, strict=True):
        measured[roi][place] = one
