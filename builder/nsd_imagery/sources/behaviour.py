"""The behaviour files of NSD-Imagery, nsdimagery_subjAA_<run>.tsv: one line a trial, 48 a run."""

import re
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import RUNS, SUBJECTS, TRIALS_PER_RUN, Run
from nsd_imagery.sources.table import Line, read_lines

COLUMNS = (
    "SUBJECT SESSION RUN TRIAL CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 BUTTON "
    "TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT"
).split()

_FRAME_FILE = re.compile(r"(?P<picture>.{1,100})_cue(?P<cue>[A-Z])\.png")


@dataclass(frozen=True)
class Trial:
    """One line of a behaviour file.

    Attributes:
        number: The TRIAL column, 1 to 48.
        condition: Letter of the target that was seen (vision), attended or imagined.
        cue: Letter that was shown, by the CUE column.
        frame_cue: The same by FRAMEFILE.
        picture: What FRAMEFILE says was on the screen: a file's stem, or "blank...".
        image: What IMAGEFILE names, in attention the target's frame where it was present: a file's stem.
        ground_truth: Vision: target and letter match. Attention: the target was present. None if blank.
        button: The button, None where nobody pressed.
        response_time: RT in s, None where nobody pressed.
        onset: TRIALONSET, s from the start of the run.
    """

    number: int
    condition: str
    cue: str
    frame_cue: str
    picture: str
    image: str | None
    ground_truth: bool | None
    button: int | None
    response_time: float | None
    onset: float | None


@dataclass(frozen=True)
class RunBehaviour:
    """The behaviour of one run.

    Attributes:
        path: The file.
        run: The run that the file's name says, with the number that its RUN column says.
        trials: In order of TRIAL, 48 of them.
    """

    path: Path
    run: Run
    trials: tuple[Trial, ...]


def read_behaviour(path: Path, subject: str, name: str) -> RunBehaviour:
    """Read one run; lines may stand in any order.

    Args:
        path: The file.
        subject: Whose it is to be.
        name: The run that the file's name says.

    Raises:
        DataError: A column or a trial is missing or twice, or a value cannot be.
    """
    lines = read_lines(path, "\t", COLUMNS, "NSD-Imagery's behaviour")
    numbers = {line.required("RUN") for line in lines}
    subjects = {_subject(line) for line in lines}
    sessions = {line.required("SESSION") for line in lines}
    if subjects != {subject} or sessions != {1} or len(numbers) != 1:
        msg = (
            f"{path}: SUBJECT, SESSION, RUN are {_set(subjects)}, {_set(sessions)}, {_set(numbers)}; "
            f"the file's name says {subject}, session 1, and one run"
        )
        raise DataError(msg)
    trials = sorted((_trial(line) for line in lines), key=lambda trial: trial.number)
    expected = range(1, TRIALS_PER_RUN + 1)
    got = [trial.number for trial in trials]
    if got != list(expected):
        twice = sorted({number for number in got if got.count(number) > 1})
        missing = sorted(set(expected) - set(got))
        other = sorted(set(got) - set(expected))
        what = [
            f"{word} {_set(found)}"
            for word, found in (("twice:", twice), ("missing:", missing), ("unknown:", other))
            if found
        ]
        msg = f"{path}: TRIAL must be 1 to {TRIALS_PER_RUN}, each once ({'; '.join(what)}): copy the file again"
        raise DataError(msg)
    known = next(run for run in RUNS if run.name == name)
    (number,) = numbers
    return RunBehaviour(
        path, Run(number, name, known.condition, known.stimulus_set, known.design_columns), tuple(trials)
    )


def _subject(line: Line) -> str:
    text = line.text("SUBJECT")
    return text if text in SUBJECTS else f"subj{line.required('SUBJECT'):02d}"


def _trial(line: Line) -> Trial:
    frame = _FRAME_FILE.fullmatch(_name(line.text("FRAMEFILE") or ""))
    if frame is None:
        raise line.error("FRAMEFILE", "not <picture>_cue<LETTER>.png")
    truth = line.whole("GROUNDTRUTH")
    if truth not in (None, 0, 1):
        raise line.error("GROUNDTRUTH", "not 0 or 1")
    rt = line.decimal("RT")
    return Trial(
        number=line.required("TRIAL"),
        condition=line.letter("CONDITION"),
        cue=line.letter("CUE"),
        frame_cue=frame["cue"],
        picture=frame["picture"],
        image=_stem(line.text("IMAGEFILE")),
        ground_truth=None if truth is None else bool(truth),
        button=line.whole("BUTTON"),
        response_time=None if rt is None else rt / 1000,
        onset=line.decimal("TRIALONSET"),
    )


def _name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _stem(path: str | None) -> str | None:
    return None if path is None else _name(path).removesuffix(".png")


def _set(values: object) -> str:
    items = sorted(values, key=str)  # type: ignore[call-overload]
    shown = ", ".join(map(str, items[:6]))
    return shown + (", ..." if len(items) > 6 else "") if items else "none"
