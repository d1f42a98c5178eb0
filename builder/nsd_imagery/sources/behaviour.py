"""The behaviour files of NSD-Imagery, nsdimagery_subjAA_<run>.tsv: one line a trial, 48 a run."""

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import RUNS, SUBJECTS, TRIALS_PER_RUN, Run

COLUMNS = (
    "SUBJECT SESSION RUN TRIAL CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 BUTTON "
    "TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT"
).split()

_FRAME_FILE = re.compile(r"(?P<picture>.+)_cue(?P<cue>[A-Z])\.png")


@dataclass(frozen=True)
class Trial:
    """One line of a behaviour file.

    Attributes:
        number: The TRIAL column, 1 to 48.
        condition: Letter of the target that was seen (vision), attended or imagined.
        cue: Letter that was shown.
        picture: What FRAMEFILE says was on the screen: a file's stem, or "blank...".
        ground_truth: Vision: target and letter match. Attention: the target was present. None if blank.
        button: The button, None where nobody pressed.
        response_time: RT in s, None where nobody pressed.
        onset: TRIALONSET, s from the start of the run.
    """

    number: int
    condition: str
    cue: str
    picture: str
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
    lines = _lines(path)
    numbers = {line.number("RUN") for line in lines}
    subjects = {line.subject() for line in lines}
    sessions = {line.number("SESSION") for line in lines}
    if subjects != {subject} or sessions != {1} or len(numbers) != 1:
        msg = (
            f"{path}: SUBJECT, SESSION, RUN are {_set(subjects)}, {_set(sessions)}, {_set(numbers)}; "
            f"the file's name says {subject}, session 1, and one run"
        )
        raise DataError(msg)
    trials = sorted((line.trial() for line in lines), key=lambda trial: trial.number)
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


@dataclass(frozen=True)
class _Line:
    path: Path
    line_number: int
    fields: dict[str, str]

    def error(self, column: str, why: str) -> DataError:
        return DataError(f"{self.path}, line {self.line_number}: {column} is {self.fields[column]!r}, {why}")

    def optional(self, column: str) -> float | None:
        text = self.fields[column].strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise self.error(column, "not a number") from None
        if math.isinf(value):
            raise self.error(column, "not a finite number")
        return None if math.isnan(value) else value

    def whole(self, column: str) -> int | None:
        value = self.optional(column)
        if value is not None and (value != int(value) or abs(value) > 1e6):
            raise self.error(column, "not a whole number")
        return None if value is None else int(value)

    def number(self, column: str) -> int:
        value = self.whole(column)
        if value is None:
            raise self.error(column, "but must have a value")
        return value

    def subject(self) -> str:
        text = self.fields["SUBJECT"].strip()
        return text if text in SUBJECTS else f"subj{self.number('SUBJECT'):02d}"

    def letter(self, column: str) -> str:
        text = self.fields[column].strip()
        if len(text) != 1 or not text.isascii() or not text.isupper():
            raise self.error(column, "not a cue letter")
        return text

    def trial(self) -> Trial:
        frame = _FRAME_FILE.fullmatch(self.fields["FRAMEFILE"].strip().replace("\\", "/").rpartition("/")[2])
        if frame is None:
            raise self.error("FRAMEFILE", "not <picture>_cue<LETTER>.png")
        cue = self.letter("CUE")
        if frame["cue"] != cue:
            raise self.error("FRAMEFILE", f"but CUE is {cue!r}")
        truth = self.whole("GROUNDTRUTH")
        if truth not in (None, 0, 1):
            raise self.error("GROUNDTRUTH", "not 0 or 1")
        rt = self.optional("RT")
        return Trial(
            number=self.number("TRIAL"),
            condition=self.letter("CONDITION"),
            cue=cue,
            picture=frame["picture"],
            ground_truth=None if truth is None else bool(truth),
            button=self.whole("BUTTON"),
            response_time=None if rt is None else rt / 1000,
            onset=self.optional("TRIALONSET"),
        )


def _lines(path: Path) -> list[_Line]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: is not a tab-separated text file ({error})"
        raise DataError(msg) from error
    missing = [column for column in COLUMNS if column not in header]
    if missing or len(set(header)) != len(header):
        found = "\t".join(header)[:60]
        msg = (
            f"{path}: has not the columns of NSD-Imagery's behaviour (missing: {', '.join(missing)}; line 1: {found!r})"
        )
        raise DataError(msg)
    for number, row in rows:
        if len(row) != len(header):
            msg = f"{path}, line {number}: has {len(row)} fields, line 1 has {len(header)}"
            raise DataError(msg)
    return [_Line(path, number, dict(zip(header, row, strict=True))) for number, row in rows]


def _set(values: object) -> str:
    items = sorted(values, key=str)  # type: ignore[call-overload]
    shown = ", ".join(map(str, items[:6]))
    return shown + (", ..." if len(items) > 6 else "") if items else "none"
