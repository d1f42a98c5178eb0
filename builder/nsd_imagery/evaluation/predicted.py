"""Anybody's predictions by the scorer of transfer: the same tests, candidates, measures and draws as a decoder's.

What a decoder knows and a table does not is what its vectors lie near, so each condition's vectors are centred by their
own mean, and candidates by that of all pictures in their space.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.evaluation.known import known_stimuli
from nsd_imagery.evaluation.predictions import Key, Predictions, named
from nsd_imagery.evaluation.runs import Run, Runs, digest, load_runs
from nsd_imagery.evaluation.score import Measured
from nsd_imagery.evaluation.scoring import About, chance_rows, missing
from nsd_imagery.evaluation.space import Space
from nsd_imagery.evaluation.tested import (
    BOTH,
    PERMUTATIONS,
    TESTS,
    Tested,
    of_averages,
    of_pictures,
    of_runs,
    shared_rows,
)
from nsd_imagery.evaluation.transfer import DECODE, pooled, scored_vectors
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table
from nsd_imagery.volumes.roi import DEFAULT_ROI

_LABELS: Final = ("session", "run_number", "trial_in_session", "condition", "trial_id", "target")

TRAIN: Final = "predictions"
"""What `train` of these scores says."""


@dataclass(frozen=True, eq=False)
class _Vectors:
    """Vectors of one subject by key, and where each stands in the table."""

    predictions: Predictions
    row_of: Mapping[Key, int]
    used: set[Key]
    partial: bool

    def take(self, keys: Sequence[Key], what: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n, d) the vectors of keys, 0 where there is none, and (n,) where there is one."""
        there = np.array([key in self.row_of for key in keys], bool)
        if not self.partial and not there.all() and there.any():
            lacking = keys[int(np.flatnonzero(~there)[0])]
            msg = (
                f"{self.predictions.path}: {int((~there).sum())} of {len(keys)} {what} have no prediction, first "
                f"{named(lacking)}: predict them, or allow it with partial"
            )
            raise DataError(msg)
        vectors = np.zeros((len(keys), self.predictions.vectors.shape[1]))
        found = [key for key in keys if key in self.row_of]
        vectors[there] = self.predictions.vectors[[self.row_of[key] for key in found]]
        self.used.update(found)
        return vectors, there

    def refuse_unknown(self) -> None:
        """Raise DataError where a row is of nothing that is tested."""
        for key, row in self.row_of.items():
            if key not in self.used:
                msg = f"{self.predictions.at(row)}: {named(key)} is nothing that the folder has for a test"
                raise DataError(msg)


def score_predictions(
    folder: Path | str,
    subject: str,
    predictions: Predictions,
    targets: Space,
    roi: str = DEFAULT_ROI,
    *,
    partial: bool = False,
    draws: int = N_DRAWS,
    permutations: int = PERMUTATIONS,
) -> list[Measured]:
    """All decoding scores of a subject's predictions.

    Args:
        folder: A built folder, whose labels say what was seen and imagined.
        subject: "subj01" to "subj08".
        predictions: Of this subject, and of others perhaps.
        targets: Vectors of the candidates, in the space of the predictions.
        roi: What the predictions were made from; it only names the configs whose labels are read.
        partial: Whether a test set may lack predictions; n says how many there are.
        draws: Drawn orders of the tested runs.
        permutations: Of pictures.

    Raises:
        UsageError: There are no predictions of this subject.
        DataError: A row is of no trial or stimulus that is tested, a trial has none, or vectors of the candidates have
            another length.
        MissingDataError: No built folder, or a shard is gone.
    """
    place = Path(folder).expanduser().resolve()
    manifest = open_manifest(place)
    mine = [row for row, name in enumerate(predictions.subject) if name == subject]
    if not mine:
        msg = f"{predictions.path}: has no rows of {subject}; it has {', '.join(predictions.subjects)}"
        raise UsageError(msg)
    width, length = predictions.vectors.shape[1], _length(targets)
    if width != length:
        msg = f"{predictions.path}: vectors have {width} numbers, those of the candidates {length}"
        raise DataError(msg)
    vectors = _Vectors(predictions, {predictions.keys[row]: row for row in mine}, set(), partial)
    about = About(subject, roi, manifest.recipe.beta_version, digest(manifest), None, TRAIN)
    has_runs = any(config_name(subject, name, roi) in manifest.configs for name in TESTS)
    runs = load_runs(place, subject, roi) if has_runs else None
    stimulus_of = known_stimuli(place, manifest, subject, roi).stimulus_of
    test_of = _of_trials if predictions.by_trial else _of_averages
    tests = test_of(_Place(place, manifest, subject, roi), runs, stimulus_of, vectors, (draws, permutations))
    vectors.refuse_unknown()
    center = np.asarray(np.mean([targets.pictures[name] for name in targets.pictures], axis=0, dtype=np.float64))
    found = [one for tested in tests for one in _scored(about, tested, targets, center)]
    found += pooled(found)
    return [*found, *chance_rows([one for one in found if one.score.train == TRAIN])]


@dataclass(frozen=True)
class _Place:
    folder: Path
    manifest: Manifest
    subject: str
    roi: str

    def config(self, condition: str) -> str:
        return config_name(self.subject, condition, self.roi)

    @property
    def has_shared(self) -> bool:
        config = self.manifest.configs.get(self.config("perception"))
        return config is not None and "test" in config.splits


def _length(targets: Space) -> int:
    first = next(iter(targets.pictures), None)
    if first is None:
        msg = "there are no vectors of candidates: pass the embeddings, or a file of targets"
        raise UsageError(msg)
    return len(targets.pictures[first])


def _of_trials(
    place: _Place, runs: Runs | None, stimulus_of: Mapping[str, str], vectors: _Vectors, draws: tuple[int, int]
) -> list[Tested]:
    """Tests whose rows are predictions of trials in the place of betas."""
    found: list[Tested] = []
    if place.has_shared:
        shared = shared_rows(place.folder, place.subject, place.roi)
        values, there = vectors.take(shared.trial_id.tolist(), "valid trials of the shared pictures")
        vectors.used.update(label_table(shared.rows, ["trial_id"])["trial_id"].to_pylist())
        if there.any():
            found += of_pictures(shared.stimulus[there], values[there], draws[1])
    if runs is not None:
        configs = [place.config(name) for name in TESTS if place.config(name) in place.manifest.configs]
        rows = _rows(place.folder, configs)
        vectors.used.update(row["trial_id"] for row in rows)
        said = trial_ids(rows, runs)
        predicted = replace(runs, runs=tuple(_predicted(run, said[run.name], vectors) for run in runs))
        columns = np.arange(vectors.predictions.vectors.shape[1])
        kept = [run for run in predicted if run.is_valid.any()]
        left_out = {**runs.left_out, **{run.name: "no predictions of it" for run in predicted if run not in kept}}
        predicted = replace(predicted, runs=tuple(kept), left_out=left_out)
        found += of_runs(predicted, stimulus_of, columns, draws[0])
    return found


def _predicted(run: Run, ids: Sequence[int], vectors: _Vectors) -> Run:
    """A run with predictions in the place of betas."""
    valid = np.flatnonzero(run.is_valid)
    values = np.zeros((len(run.order), vectors.predictions.vectors.shape[1]))
    is_valid = np.zeros(len(run.order), bool)
    values[valid], is_valid[valid] = vectors.take(
        [ids[trial] for trial in valid.tolist()], f"valid trials of {run.name}"
    )
    return replace(run, betas=values, is_valid=is_valid)


def _rows(folder: Path, configs: Sequence[str]) -> list[dict[str, Any]]:
    """Labels of all trials of some configs, in order of time."""
    rows = [row for config in configs for row in label_table(load(folder, config, "test"), _LABELS).to_pylist()]
    return sorted(rows, key=lambda row: tuple(row[name] for name in _LABELS[:3]))


def trial_ids(rows: Sequence[Mapping[str, Any]], runs: Runs) -> dict[str, list[int]]:
    """(48,) trial ids of each run, in order of time.

    Args:
        rows: Labels of the trials that the runs are of, in order of time.
        runs: Of one subject.

    Raises:
        DataError: The labels are not those that the runs were made of.
    """
    groups: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["session"], row["run_number"]), []).append(row)
    of_run: dict[tuple[str, ...], list[list[int]]] = {}
    for members in groups.values():
        key = (members[0]["condition"], *(row["target"] for row in members))
        of_run.setdefault(key, []).append([row["trial_id"] for row in members])
    found: dict[str, list[int]] = {}
    for run in runs:
        key = (run.condition, *(run.targets[code] for code in run.order.tolist()))
        if not of_run.get(key):
            msg = (
                f"{runs.subject}, {runs.roi}: labels of {run.name} are not those that were read before; evaluate again"
            )
            raise DataError(msg)
        found[run.name] = of_run[key].pop(0)
    return found


def _of_averages(
    place: _Place, runs: Runs | None, stimulus_of: Mapping[str, str], vectors: _Vectors, draws: tuple[int, int]
) -> list[Tested]:
    """Tests whose rows are predictions of averages, a candidate each."""
    found: list[Tested] = []
    if place.has_shared:
        names = np.unique(shared_rows(place.folder, place.subject, place.roi).stimulus).tolist()
        found += _averages(vectors, "perception", "", names, draws[1])
    for condition in TESTS if runs is not None else ():
        targets = {run.stimulus_set: run.targets for run in (runs.of(condition) if runs else ())}
        for stimulus_set in (*targets, *((BOTH,) if {"A", "B"} <= set(targets) else ())):
            names = [stimulus_of[target] for part in stimulus_set.split("+") for target in targets[part]]
            found += _averages(vectors, condition, stimulus_set, names, draws[1])
    return found


def _averages(vectors: _Vectors, condition: str, stimulus_set: str, names: Sequence[str], draws: int) -> list[Tested]:
    values, there = vectors.take([(condition, name) for name in names], f"stimuli of {condition} {stimulus_set}")
    own = np.flatnonzero(there)
    return [of_averages(condition, stimulus_set, tuple(names), own, values[there], draws)] if len(own) > 1 else []


def _scored(about: About, tested: Tested, targets: Space, center: NDArray[np.float64]) -> list[Measured]:
    reason = tested.reason or targets.lacking(tested.stimuli, tested.kind)
    if reason:
        return missing(about, tested, ["cosine", "two_way"], reason, DECODE)
    values = np.asarray(tested.betas, np.float64)
    candidates = targets.stack(tested.stimuli, tested.kind)
    return scored_vectors(about, tested, values, candidates, center, DECODE, near=values.mean(axis=0))
