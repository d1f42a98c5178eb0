"""Anybody's predictions by the scorer of transfer: the same tests, candidates, measures and draws as a decoder's.

What a decoder knows and a table does not is what its vectors lie near, so each condition's vectors are centred by their
own mean, and candidates by that of all pictures in their space.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
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
from nsd_imagery.evaluation.predictions import Key, Predictions, named
from nsd_imagery.evaluation.runs import Run, Runs, digest, load_runs
from nsd_imagery.evaluation.score import Measured
from nsd_imagery.evaluation.transfer.baseline import DECODE, TEST_SETS, pooled, scored_vectors
from nsd_imagery.evaluation.transfer.known import known_stimuli
from nsd_imagery.evaluation.transfer.scoring import About, chance_rows, decoding_names, missing
from nsd_imagery.evaluation.transfer.space import Space
from nsd_imagery.evaluation.transfer.tested import (
    BOTH,
    PERMUTATIONS,
    TESTS,
    Tested,
    absent,
    of_averages,
    of_pictures,
    of_runs,
    shared_rows,
)
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table
from nsd_imagery.volumes.roi import DEFAULT_ROI

_LABELS: Final = ("session", "run_number", "trial_in_session", "condition", "trial_id", "target")

TRAIN: Final = "predictions"
"""What `train` of these scores says."""

_NONE: Final = "no predictions of it"


@dataclass(frozen=True, eq=False)
class _Vectors:
    """Vectors of one subject by key, and where each stands in the table."""

    predictions: Predictions
    row_of: Mapping[Key, int]
    partial: bool

    def take(self, keys: Sequence[Key], what: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """(n, d) the vectors of keys, 0 where there is none, and (n,) where there is one."""
        there = np.array([key in self.row_of for key in keys], bool)
        if not self.partial and not there.all():
            first = "" if not there.any() else f", first {named(keys[int(np.flatnonzero(~there)[0])])}"
            msg = (
                f"{self.predictions.path}: {int((~there).sum())} of {len(keys)} {what} have no prediction{first}: "
                "predict them, choose other test sets with --test-sets, or allow it with --partial"
            )
            raise DataError(msg)
        vectors = np.zeros((len(keys), self.predictions.vectors.shape[1]))
        vectors[there] = self.predictions.vectors[[self.row_of[key] for key in keys if key in self.row_of]]
        return vectors, there

    def refuse_unknown(self, known: Container[Key]) -> None:
        """Raise DataError where a row is of nothing that is tested."""
        for key, row in self.row_of.items():
            if key not in known:
                msg = f"{self.predictions.at(row)}: {named(key)} is nothing that the folder has for a test"
                raise DataError(msg)


def score_predictions(
    folder: Path | str,
    subject: str,
    predictions: Predictions,
    targets: Space,
    roi: str = DEFAULT_ROI,
    *,
    test_sets: Sequence[str] = TEST_SETS,
    runs: Runs | None = None,
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
        test_sets: Some of `TEST_SETS`; predictions of others are not looked at.
        runs: Of the subject and ROI, where they are there already; of their betas nothing is used.
        partial: Whether a test set, or all of a subject, may lack predictions; n says how many there are.
        draws: Drawn orders of the tested runs.
        permutations: Of pictures.

    Raises:
        UsageError: There are no predictions of this subject.
        DataError: A row is of no trial or stimulus that is tested, a trial has none, or vectors of the candidates have
            another length.
        MissingDataError: No built folder, or a shard is gone.
    """
    folder = Path(folder).expanduser().resolve()
    manifest = open_manifest(folder)
    mine = [row for row, name in enumerate(predictions.subject) if name == subject]
    if not mine and not partial:
        msg = f"{predictions.path}: has no rows of {subject}; it has {', '.join(predictions.subjects)}"
        raise UsageError(msg)
    width, length = predictions.vectors.shape[1], _length(targets)
    if width != length:
        msg = f"{predictions.path}: vectors have {width} numbers, those of the candidates {length}"
        raise DataError(msg)
    if runs is None and any(config_name(subject, name, roi) in manifest.configs for name in TESTS):
        runs = load_runs(folder, subject, roi)
    vectors = _Vectors(predictions, {predictions.keys[row]: row for row in mine}, partial)
    place = _Place(folder, manifest, subject, roi, runs, tuple(test_sets), (draws, permutations))
    about = About(subject, roi, manifest.recipe.beta_version, digest(manifest), None, TRAIN)
    tests = list((_of_trials if predictions.by_trial else _of_averages)(place, vectors))
    center = np.asarray(np.mean([targets.pictures[name] for name in targets.pictures], axis=0, dtype=np.float64))
    found = [one for tested in tests for one in _scored(about, tested, targets, center)]
    found += pooled(found)
    return [*found, *chance_rows([one for one in found if one.score.train == TRAIN])]


@dataclass(frozen=True, eq=False)
class _Place:
    """What is tested of a folder; draws are of runs, and of pictures."""

    folder: Path
    manifest: Manifest
    subject: str
    roi: str
    runs: Runs | None
    test_sets: tuple[str, ...]
    draws: tuple[int, int]

    def config(self, condition: str) -> str:
        return config_name(self.subject, condition, self.roi)

    def has(self, condition: str) -> bool:
        config = self.manifest.configs.get(self.config(condition))
        return config is not None and "test" in config.splits

    @property
    def targets(self) -> Mapping[str, str]:
        """The key of each target."""
        return known_stimuli(self.folder, self.manifest, self.subject, self.roi).stimulus_of


def _length(targets: Space) -> int:
    first = next(iter(targets.pictures), None)
    if first is None:
        msg = "there are no vectors of candidates: pass the embeddings, or a file of targets"
        raise UsageError(msg)
    return len(targets.pictures[first])


def _of_trials(place: _Place, vectors: _Vectors) -> Iterator[Tested]:
    """Tests whose rows are predictions of trials in the place of betas."""
    rows = {name: _rows(place, [name]) for name in TEST_SETS if place.has(name)}
    vectors.refuse_unknown({row["trial_id"] for of_condition in rows.values() for row in of_condition})
    for condition in place.test_sets:
        if condition not in rows:
            yield from absent(condition, f"the folder has no test split of {place.config(condition)}")
        elif condition == "perception":
            yield from _of_shared(place, vectors)
    wanted = [name for name in place.test_sets if name in rows and name in TESTS]
    if place.runs is not None and wanted:
        runs = replace(place.runs, runs=tuple(run for run in place.runs if run.condition in wanted))
        said = trial_ids(_rows(place, wanted), runs)
        predicted = [_predicted(run, said[run.name], vectors) for run in runs]
        kept = tuple(run for run in predicted if run.is_valid.any())
        lacking = {run.name: _NONE for run in predicted if not run.is_valid.any()}
        columns = np.arange(vectors.predictions.vectors.shape[1])
        runs = replace(runs, runs=kept, left_out={**runs.left_out, **lacking})
        yield from of_runs(runs, place.targets, columns, place.draws[0], wanted)


def _of_shared(place: _Place, vectors: _Vectors) -> Iterable[Tested]:
    shared = shared_rows(place.folder, place.subject, place.roi)
    values, there = vectors.take(shared.trial_id.tolist(), "valid trials of perception's shared pictures")
    if not there.any():
        return absent("perception", _NONE)
    return of_pictures(shared.stimulus[there], values[there], place.draws[1])


def _predicted(run: Run, ids: Sequence[int], vectors: _Vectors) -> Run:
    """A run with predictions in the place of betas."""
    valid = np.flatnonzero(run.is_valid)
    values = np.zeros((len(run.order), vectors.predictions.vectors.shape[1]))
    is_valid = np.zeros(len(run.order), bool)
    values[valid], is_valid[valid] = vectors.take(
        [ids[trial] for trial in valid.tolist()], f"valid trials of {run.name}"
    )
    return replace(run, betas=values, is_valid=is_valid)


def _rows(place: _Place, conditions: Iterable[str]) -> list[dict[str, Any]]:
    """Labels of all trials of some conditions, in order of time."""
    configs = map(place.config, conditions)
    rows = [row for name in configs for row in label_table(load(place.folder, name, "test"), _LABELS).to_pylist()]
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


def _of_averages(place: _Place, vectors: _Vectors) -> Iterator[Tested]:
    """Tests whose rows are predictions of averages, a candidate each."""
    groups = {name: dict(_stimuli(place, name)) for name in place.test_sets if place.has(name)}
    known = {(name, stimulus) for name, of_set in groups.items() for names in of_set.values() for stimulus in names}
    others = {key for key in vectors.row_of if not isinstance(key, int) and key[0] not in place.test_sets}
    vectors.refuse_unknown(known | others)
    for condition in place.test_sets:
        if condition not in groups:
            yield from absent(condition, f"the folder has no test split of {place.config(condition)}")
        for stimulus_set, names in groups.get(condition, {}).items():
            yield from _averages(place, vectors, condition, stimulus_set, names)


def _stimuli(place: _Place, condition: str) -> Iterator[tuple[str, Sequence[str]]]:
    """The stimuli of a condition by set, and of `BOTH`; "" of perception."""
    if condition == "perception":
        yield "", np.unique(shared_rows(place.folder, place.subject, place.roi).stimulus).tolist()
        return
    stimulus_of = place.targets
    targets = {run.stimulus_set: run.targets for run in (place.runs.of(condition) if place.runs else ())}
    for stimulus_set in (*targets, *((BOTH,) if {"A", "B"} <= set(targets) else ())):
        yield stimulus_set, [stimulus_of[target] for part in stimulus_set.split("+") for target in targets[part]]


def _averages(
    place: _Place, vectors: _Vectors, condition: str, stimulus_set: str, names: Sequence[str]
) -> Iterator[Tested]:
    what = f"stimuli of {condition} {stimulus_set}".rstrip()
    values, there = vectors.take([(condition, name) for name in names], what)
    own = np.flatnonzero(there)
    found = of_averages(condition, stimulus_set, tuple(names), own, values[there], place.draws[1])
    yield found if len(own) > 1 else replace(found, reason=f"{len(own)} predictions of it, fewer than two")


def _scored(about: About, tested: Tested, targets: Space, center: NDArray[np.float64]) -> list[Measured]:
    lacking = targets.lacking(tested.stimuli, tested.kind)
    reason = tested.reason or (f"{lacking}, or add them to the targets" if lacking else "")
    if reason:
        return missing(about, tested, decoding_names(tested), reason, DECODE)
    values = np.asarray(tested.betas, np.float64)
    candidates = targets.stack(tested.stimuli, tested.kind)
    return scored_vectors(about, tested, values, candidates, center, DECODE, near=values.mean(axis=0))
