"""Labels are proven, not assumed: each trial's letters against the frame file, and its order against the design matrix.

A contradiction is an error, because a row that one of two files calls something else cannot be given a label.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import RUNS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.sources.behaviour import RunBehaviour, Trial
from nsd_imagery.sources.design import RunDesign, Target, nsd_id_of_name

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

BLANK = "blank"
"""How the frame file of a trial begins in which no picture was on the screen."""


def prove_session(behaviours: Sequence[RunBehaviour], targets: Mapping[str, Mapping[str, Target]],
                  design: Sequence[RunDesign], design_path: Path) -> None:  # fmt: skip
    """Check the 12 runs of a subject against the frame files, the pair lists and the design matrix.

    Args:
        behaviours: The 12 runs, in the order of their RUN column.
        targets: The targets of each stimulus set by letter.
        design: The design of each run, in the order of the design matrix.
        design_path: Its file, for messages.

    Raises:
        DataError: Two files contradict each other; names file, trial, and both values.
    """
    numbers = [behaviour.run.number for behaviour in behaviours]
    if numbers != list(range(1, len(RUNS) + 1)):
        where = ", ".join(f"{behaviour.run.name} {behaviour.run.number}" for behaviour in behaviours)
        msg = f"{behaviours[0].path.parent}: RUN must be 1 to {len(RUNS)}, each once, but is: {where}"
        raise DataError(msg)
    for behaviour, run_design in zip(behaviours, design, strict=True):
        for trial in behaviour.trials:
            _prove_trial(behaviour, trial, targets[behaviour.run.stimulus_set])
        _prove_balance(behaviour)
        _prove_order(behaviour, run_design, design_path)


def _contradiction(behaviour: RunBehaviour, trial: Trial, what: str) -> DataError:
    return DataError(f"{behaviour.path}, TRIAL {trial.number}: {what}")


def _prove_trial(behaviour: RunBehaviour, trial: Trial, targets: Mapping[str, Target]) -> None:
    for column, letter in (("CONDITION", trial.condition), ("CUE", trial.cue)):
        if letter not in targets:
            known = " ".join(targets)
            raise _contradiction(
                behaviour, trial, f"{column} is {letter!r}, but set {behaviour.run.stimulus_set} has {known}"
            )
    if behaviour.run.condition == "vision":
        _prove_seen(behaviour, trial, targets[trial.condition])
        matches = trial.condition == trial.cue
        if trial.ground_truth is not None and trial.ground_truth != matches:
            what = (
                f"GROUNDTRUTH is {int(trial.ground_truth)}, but CONDITION is {trial.condition!r} and CUE {trial.cue!r}"
            )
            raise _contradiction(behaviour, trial, what)
    elif not trial.picture.startswith(BLANK):
        what = f"FRAMEFILE shows {trial.picture!r}, but in {behaviour.run.condition} runs it is blank"
        raise _contradiction(behaviour, trial, what)
    elif behaviour.run.condition == "imagery" and trial.condition != trial.cue:
        raise _contradiction(
            behaviour, trial, f"CONDITION is {trial.condition!r}, but FRAMEFILE and CUE say {trial.cue!r}"
        )


def _prove_seen(behaviour: RunBehaviour, trial: Trial, target: Target) -> None:
    if behaviour.run.stimulus_set == "C":
        if nsd_id_of_name(trial.picture) is None:
            raise _contradiction(behaviour, trial, f"FRAMEFILE shows {trial.picture!r}, not an NSD photograph")
    elif trial.picture != target.name:
        what = f"CONDITION is {trial.condition!r} ({target.name}), but FRAMEFILE shows {trial.picture!r}"
        raise _contradiction(behaviour, trial, what)


def _prove_balance(behaviour: RunBehaviour) -> None:
    counts = Counter(trial.condition for trial in behaviour.trials)
    each = TRIALS_PER_RUN // TARGETS_PER_SET
    wrong = {letter: count for letter, count in counts.items() if count != each}
    if wrong or len(counts) != TARGETS_PER_SET:
        got = ", ".join(f"{letter} {count}" for letter, count in sorted(counts.items()))
        msg = f"{behaviour.path}: CONDITION must name each of {TARGETS_PER_SET} targets {each} times, but has {got}"
        raise DataError(msg)


def _prove_order(behaviour: RunBehaviour, design: RunDesign, design_path: Path) -> None:
    """The active columns and the number of onsets fit the run, and each letter has a column of its own."""
    run = behaviour.run
    active = set(design.columns.tolist())
    if not active <= set(run.design_columns) or len(design.columns) != run.n_betas:
        msg = (
            f"{behaviour.path}: RUN is {run.number}, but cell {run.number} of {design_path} has {len(design.columns)} "
            f"onsets in columns {_span(active)}; {run.name} has {run.n_betas} in {_span(run.design_columns)}"
        )
        raise DataError(msg)
    conditions = [trial.condition for trial in behaviour.trials]
    rivals = [conditions]
    if run.condition == "vision":  # the design of vision runs may follow what was seen or what was cued
        rivals.append([trial.cue for trial in behaviour.trials])
    for offset, _ in enumerate(run.epochs):
        columns = design.columns[offset :: len(run.epochs)].tolist()
        misfits = [_first_misfit(letters, columns) for letters in rivals]
        if all(misfit is not None for misfit in misfits):
            row = misfits[0]
            assert row is not None
            trial = behaviour.trials[row]
            onset, usual = row * len(run.epochs) + offset, _usual(columns, conditions, columns[row])
            what = (
                f"CONDITION is {trial.condition!r}, but onset {onset} (from 0) of run {run.number} in {design_path} "
                f"is in column {columns[row]}, which is {usual!r} elsewhere in the run"
            )
            raise _contradiction(behaviour, trial, what)


def _first_misfit(letters: Sequence[str], columns: Sequence[int]) -> int | None:
    """The first row whose letter and column do not go together one to one; None if all do."""
    for row, (letter, column) in enumerate(zip(letters, columns, strict=True)):
        if _usual(columns, letters, column) != letter or _usual(letters, columns, letter) != column:
            return row
    return None


def _usual(keys: Sequence[_Key], values: Sequence[_Value], key: _Key) -> _Value:
    """The value that goes with `key` most often (the smaller one if two do as often)."""
    counts = Counter(value for other, value in zip(keys, values, strict=True) if other == key)
    return min(counts, key=lambda value: (-counts[value], str(value)))


def _span(columns: set[int] | range) -> str:
    return f"{min(columns)}-{max(columns)}" if columns else "none"
