"""Labels are proven, not assumed: each trial's letters against the frame file, and its order against the design matrix.

A proof is a small function that finds contradictions between files. A build raises the first one, because a row that
one of two files calls something else cannot be given a label; `verify` lists them all.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class SessionFiles:
    """What the files of a subject's NSD-Imagery session say.

    Attributes:
        behaviours: The 12 runs, in the order of their RUN column.
        targets: The targets of each stimulus set by letter.
        design: The onsets of each run, in the order of the design matrix.
        design_path: Its file.
    """

    behaviours: Sequence[RunBehaviour]
    targets: Mapping[str, Mapping[str, Target]]
    design: Sequence[RunDesign]
    design_path: Path

    def runs(self, *conditions: str) -> Iterator[tuple[RunBehaviour, Trial]]:
        """The trials of the runs of some conditions, in order."""
        for behaviour in self.behaviours:
            if behaviour.run.condition in conditions:
                for trial in behaviour.trials:
                    yield behaviour, trial

    def with_design(self) -> Iterator[tuple[RunBehaviour, RunDesign]]:
        """Each run with the design of its RUN number."""
        for behaviour in self.behaviours:
            if 1 <= behaviour.run.number <= len(self.design):
                yield behaviour, self.design[behaviour.run.number - 1]


@dataclass(frozen=True)
class Contradiction:
    """Where two files disagree, and on what."""

    path: Path
    what: str
    trial: int | None = None

    def __str__(self) -> str:
        where = "" if self.trial is None else f", TRIAL {self.trial}"
        return f"{self.path}{where}: {self.what}"


@dataclass(frozen=True)
class Proof:
    """One thing that must hold.

    Attributes:
        id: Its name in reports.
        proves: The thing, in a sentence.
        find: Yields what contradicts it.
    """

    id: str
    proves: str
    find: Callable[[SessionFiles], Iterator[Contradiction]]


def prove_session(files: SessionFiles) -> None:
    """Check a subject's session by all `PROOFS`.

    Raises:
        DataError: Two files contradict each other; names file, trial, and both values.
    """
    for proof in PROOFS:
        for contradiction in proof.find(files):
            raise DataError(str(contradiction))


def run_numbers(files: SessionFiles) -> Iterator[Contradiction]:
    """RUN is 1 to 12, each once."""
    numbers = [behaviour.run.number for behaviour in files.behaviours]
    if numbers != list(range(1, len(RUNS) + 1)):
        where = ", ".join(f"{behaviour.run.name} {behaviour.run.number}" for behaviour in files.behaviours)
        what = f"RUN must be 1 to {len(RUNS)}, each once, but is: {where}"
        yield Contradiction(files.behaviours[0].path.parent, what)


def letters(files: SessionFiles) -> Iterator[Contradiction]:
    """CONDITION and CUE are letters of the run's stimulus set."""
    for behaviour, trial in files.runs("vision", "attention", "imagery"):
        targets = files.targets[behaviour.run.stimulus_set]
        for column, letter in (("CONDITION", trial.condition), ("CUE", trial.cue)):
            if letter not in targets:
                what = f"{column} is {letter!r}, but set {behaviour.run.stimulus_set} has {' '.join(targets)}"
                yield Contradiction(behaviour.path, what, trial.number)


def cue_shown(files: SessionFiles) -> Iterator[Contradiction]:
    """CUE is the letter that FRAMEFILE shows."""
    for behaviour, trial in files.runs("vision", "attention", "imagery"):
        if trial.cue != trial.frame_cue:
            what = f"FRAMEFILE is {trial.picture}_cue{trial.frame_cue}.png, but CUE is {trial.cue!r}"
            yield Contradiction(behaviour.path, what, trial.number)


def seen_picture(files: SessionFiles) -> Iterator[Contradiction]:
    """CONDITION is the picture that FRAMEFILE shows in vision runs; elsewhere it shows none."""
    for behaviour, trial in files.runs("vision"):
        target = files.targets[behaviour.run.stimulus_set].get(trial.condition)
        if behaviour.run.stimulus_set == "C":
            if nsd_id_of_name(trial.picture) is None:
                what = f"FRAMEFILE shows {trial.picture!r}, not an NSD photograph"
                yield Contradiction(behaviour.path, what, trial.number)
        elif target is not None and trial.picture != target.name:
            what = f"CONDITION is {trial.condition!r} ({target.name}), but FRAMEFILE shows {trial.picture!r}"
            yield Contradiction(behaviour.path, what, trial.number)
    for behaviour, trial in files.runs("attention", "imagery"):
        if not trial.picture.startswith(BLANK):
            what = f"FRAMEFILE shows {trial.picture!r}, but in {behaviour.run.condition} runs it is blank"
            yield Contradiction(behaviour.path, what, trial.number)


def photographs(files: SessionFiles) -> Iterator[Contradiction]:
    """The vision run of set C shows a photograph once."""
    for behaviour in files.behaviours:
        if behaviour.run.condition == "vision" and behaviour.run.stimulus_set == "C":
            first: dict[str, int] = {}
            for trial in behaviour.trials:
                if first.setdefault(trial.picture, trial.number) != trial.number:
                    what = f"FRAMEFILE shows {trial.picture!r}, as in TRIAL {first[trial.picture]}"
                    yield Contradiction(behaviour.path, what, trial.number)


def ground_truth(files: SessionFiles) -> Iterator[Contradiction]:
    """GROUNDTRUTH in vision runs says whether CONDITION is CUE."""
    for behaviour, trial in files.runs("vision"):
        if trial.ground_truth is not None and trial.ground_truth != (trial.condition == trial.cue):
            truth = int(trial.ground_truth)
            what = f"GROUNDTRUTH is {truth}, but CONDITION is {trial.condition!r} and CUE {trial.cue!r}"
            yield Contradiction(behaviour.path, what, trial.number)


def target_present(files: SessionFiles) -> Iterator[Contradiction]:
    """GROUNDTRUTH in attention runs is 1 where IMAGEFILE names the attended target's frame, and only there."""
    for behaviour, trial in files.runs("attention"):
        target = files.targets[behaviour.run.stimulus_set].get(trial.condition)
        if target is not None and bool(trial.ground_truth) != _shows(trial.image, target, behaviour.run.stimulus_set):
            truth = "absent" if trial.ground_truth is None else int(trial.ground_truth)
            image = "absent" if trial.image is None else repr(trial.image)
            what = f"GROUNDTRUTH is {truth}, CONDITION {trial.condition!r} ({target.name}), but IMAGEFILE is {image}"
            yield Contradiction(behaviour.path, what, trial.number)


def imagery_cue(files: SessionFiles) -> Iterator[Contradiction]:
    """The target imagined is the one whose letter was shown."""
    for behaviour, trial in files.runs("imagery"):
        if trial.condition != trial.cue:
            what = f"CONDITION is {trial.condition!r}, but FRAMEFILE and CUE say {trial.cue!r}"
            yield Contradiction(behaviour.path, what, trial.number)


def balance(files: SessionFiles) -> Iterator[Contradiction]:
    """A run has each of its six targets 8 times."""
    each = TRIALS_PER_RUN // TARGETS_PER_SET
    for behaviour in files.behaviours:
        counts = Counter(trial.condition for trial in behaviour.trials)
        if len(counts) != TARGETS_PER_SET or set(counts.values()) != {each}:
            got = ", ".join(f"{letter} {count}" for letter, count in sorted(counts.items()))
            what = f"CONDITION must name each of {TARGETS_PER_SET} targets {each} times, but has {got}"
            yield Contradiction(behaviour.path, what)


def run_order(files: SessionFiles) -> Iterator[Contradiction]:
    """A run's onsets are in the design columns of its task, as many as it has betas."""
    for behaviour, design in files.with_design():
        run = behaviour.run
        active = set(design.columns.tolist())
        if not active <= set(run.design_columns) or len(design.columns) != run.n_betas:
            what = (
                f"RUN is {run.number}, but cell {run.number} of {files.design_path} has {len(design.columns)} onsets "
                f"in columns {_span(active)}; {run.name} has {run.n_betas} in {_span(run.design_columns)}"
            )
            yield Contradiction(behaviour.path, what)


def design_columns(files: SessionFiles) -> Iterator[Contradiction]:
    """Letter and design column are one to one within a run, in vision runs the letter of what was seen or the cue."""
    for behaviour, design in files.with_design():
        run = behaviour.run
        if len(design.columns) != run.n_betas:
            continue
        conditions = [trial.condition for trial in behaviour.trials]
        rivals = [conditions]
        if run.condition == "vision":  # the design of vision runs may follow what was seen or what was cued
            rivals.append([trial.cue for trial in behaviour.trials])
        for offset, _ in enumerate(run.epochs):
            columns = design.columns[offset :: len(run.epochs)].tolist()
            misfits = [_first_misfit(rival, columns) for rival in rivals]
            if misfits[0] is not None and None not in misfits:
                row = misfits[0]
                onset, usual = row * len(run.epochs) + offset, _usual(columns, conditions, columns[row])
                what = (
                    f"CONDITION is {conditions[row]!r}, but onset {onset} (from 0) of run {run.number} in "
                    f"{files.design_path} is in column {columns[row]}, which is {usual!r} elsewhere in the run"
                )
                yield Contradiction(behaviour.path, what, behaviour.trials[row].number)


PROOFS = tuple(
    Proof(find.__name__.replace("_", "-"), (find.__doc__ or "").rstrip("."), find)
    for find in (
        run_numbers, letters, cue_shown, seen_picture, photographs, ground_truth, target_present, imagery_cue, balance,
        run_order, design_columns,
    )
)  # fmt: skip
"""What a build proves of a session, in order: later ones rely on earlier ones."""


def design_follows(behaviour: RunBehaviour, design: RunDesign) -> str:
    """Which letter the design columns of a vision run go with one to one: "CONDITION", "CUE", or "neither"."""
    for name, rival in (
        ("CONDITION", [t.condition for t in behaviour.trials]),
        ("CUE", [t.cue for t in behaviour.trials]),
    ):
        if len(design.columns) == len(rival) and _first_misfit(rival, design.columns.tolist()) is None:
            return name
    return "neither"


def _shows(image: str | None, target: Target, stimulus_set: str) -> bool:
    """Whether a picture of the stream is the target's: for a word (set C), any photograph."""
    return image is not None and (stimulus_set == "C" or image.startswith(target.name))


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
