"""The trial manifests of the Guide's cache tree: trial_manifest_subjAA.csv and imagery_stimuli_info.csv, line by line.

The columns are the fields of the Guide's `ImageryTrial` and, where they stand, this package's own. Names are taken
whatever their capitals and underscores are: `nsdId` is `nsd_id`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nsd_imagery.errors import DataError, shown
from nsd_imagery.experiment import N_NSD_PICTURES, RUNS, SUBJECTS
from nsd_imagery.sources.table import Line, read_lines

REQUIRED = ("session", "trial_in_session", "condition", "nsd_id", "beta_index")
"""Columns that a manifest must have; `nsd_id` may be blank."""

_SYNONYMS = {
    "run": "run_number",
    "subj": "subject",
    "subjectid": "subject",
    "snr": "snr_estimate",
    "repeat": "repeat_index",
}


def _cue(line: Line, column: str) -> str | None:
    return None if line.text(column) is None else line.letter(column)


_READERS: Mapping[str, Callable[[Line, str], Any]] = {
    "trial_id": Line.text,
    "subject": Line.text,
    "session": Line.required,
    "trial_in_session": Line.required,
    "condition": Line.text,
    "nsd_id": Line.whole,
    "coco_id": Line.whole,
    "beta_path": Line.text,
    "beta_index": Line.required,
    "roi_mask_path": Line.text,
    "repeat_index": Line.whole,
    "caption": Line.text,
    "run_number": Line.whole,
    "is_valid": Line.flag,
    "snr_estimate": Line.decimal,
    "run_name": Line.text,
    "stimulus_set": Line.text,
    "epoch": Line.text,
    "target": Line.text,
    "cue": _cue,
    "cue_matches": Line.flag,
    "target_present": Line.flag,
    "response": Line.whole,
    "response_time": Line.decimal,
    "beta_version": Line.text,
    "beta_scale": Line.decimal,
}
"""How the field of each column is read; all other columns are passed over."""

EPOCHS = ("cue", "detection")
"""The two betas of an attention trial, in order."""

_WORDS = {
    "condition": ("imagery", "vision", "attention", "perception"),
    "epoch": EPOCHS,
    "stimulus_set": ("A", "B", "C"),
    "run_name": tuple(run.name for run in RUNS),
    "subject": SUBJECTS,
}
_OF_STIMULUS = ("nsd_id", "coco_id", "caption", "target", "stimulus_set")
"""What the stimulus table can say of a trial."""

_AT_LEAST = {"trial_in_session": 0, "beta_index": 0, "repeat_index": 0, "nsd_id": 0, "coco_id": 1, "session": 1,
             "run_number": 1}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Entry:
    """One line of a manifest: values by column; a column that the table does not have is absent from `values`."""

    line: Line
    values: dict[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values.get(column)

    def error(self, column: str, why: str) -> DataError:
        """An error that names file, line, column and value."""
        return self.line.error(column, why)


@dataclass(frozen=True, eq=False)
class TrialTable:
    """A table of trials or stimuli.

    Attributes:
        path: The file.
        header: Its columns; empty for a table without lines.
        names: Our name of each column that is read, and the name in the file.
        lines: The lines of the file.
    """

    path: Path
    header: list[str]
    names: dict[str, str]
    lines: list[Line]

    @cached_property
    def entries(self) -> list[Entry]:
        """The lines by this package's column names, each value of its type and in its range.

        Raises:
            DataError: A value cannot be.
        """
        return [
            _entry(Line(line.path, line.number, {new: line.fields[old] for new, old in self.names.items()}))
            for line in self.lines
        ]

    @property
    def unused(self) -> list[str]:
        """Columns of the file that are no columns here."""
        return [name for name in self.header if name not in self.names.values()]


def read_table(path: Path) -> TrialTable:
    """Read a table of trials or stimuli.

    Raises:
        DataError: Not a table, or two columns are the same.
    """
    lines = read_lines(path, ",", (), "trials")
    header = list(lines[0].fields) if lines else []
    return TrialTable(path, header, _names(path, header), lines)


def trials_of(table: TrialTable, subject: str, info: Sequence[Entry] = ()) -> list[Entry]:
    """The trials of a subject, checked one by one and for duplicates.

    Args:
        table: trial_manifest_subjAA.csv, or imagery_stimuli_info.csv where it has the trials.
        subject: Whose they are.
        info: Lines of imagery_stimuli_info.csv, from which blank fields are filled.

    Raises:
        DataError: A required column is missing, a value cannot be, a trial comes twice, or the two tables contradict
            each other.
    """
    path = table.path
    if missing := [column for column in REQUIRED if table.lines and column not in table.names]:
        msg = f"{path}: has no column {', '.join(missing)} (it has: {shown(', '.join(table.header))})"
        raise DataError(msg)
    entries = table.entries
    others = [entry for entry in entries if entry["subject"] not in (None, subject)]
    if others and subject in path.name:
        raise others[0].error("subject", f"but the file's name says {subject}")
    entries = [entry for entry in entries if entry["subject"] in (None, subject)]
    if not entries:
        msg = f"{path}: has no trial of {subject}"
        raise DataError(msg)
    entries = _with_epochs(_filled(entries, info, subject))
    for entry in entries:
        for column in ("session", "trial_in_session", "condition", "beta_index"):
            if entry[column] is None:
                raise entry.error(column, "but must have a value")
    _refuse_twice(entries, "trial_id", lambda entry: entry["trial_id"])
    _refuse_twice(entries, "trial_in_session", lambda e: (e["session"], _kind(e), e["trial_in_session"], e["epoch"]))
    _refuse_twice(entries, "beta_index", lambda e: (e["session"], e["beta_path"], e["beta_index"]))
    return entries


def _names(path: Path, header: Sequence[str]) -> dict[str, str]:
    """Our name of each column that is read, and the name in the file."""
    ours = {_plain(column): column for column in _READERS} | _SYNONYMS
    names: dict[str, str] = {}
    for name in header:
        column = ours.get(_plain(name))
        if column is not None and names.setdefault(column, name) != name:
            msg = f"{path}: columns {names[column]} and {name} are both {column}: remove one"
            raise DataError(msg)
    return names


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace(" ", "")


def _entry(line: Line) -> Entry:
    entry = Entry(line, {column: _READERS[column](line, column) for column in line.fields})
    for column, value in entry.values.items():
        if value is None:
            continue
        if column in _WORDS and value not in _WORDS[column]:
            raise line.error(column, f"not one of {', '.join(_WORDS[column])}")
        if column in _AT_LEAST and value < _AT_LEAST[column]:
            raise line.error(column, f"but must be {_AT_LEAST[column]} or more")
    if (entry["nsd_id"] or 0) >= N_NSD_PICTURES:
        raise line.error("nsd_id", f"but NSD has pictures 0 to {N_NSD_PICTURES - 1}; ids are 0-based here")
    if entry["beta_scale"] is not None and entry["beta_scale"] <= 0:
        raise line.error("beta_scale", "but must be more than 0")
    return entry


def _with_epochs(entries: list[Entry]) -> list[Entry]:
    """Name the epochs of attention trials where the table does not: of two betas of a trial, the cue's comes first."""
    of_trial: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry["condition"] == "attention" and entry["epoch"] is None:
            of_trial[entry["session"], entry["trial_in_session"]].append(entry)
    epochs = {
        id(entry): epoch
        for pair in of_trial.values()
        if len(pair) == len(EPOCHS)
        for entry, epoch in zip(sorted(pair, key=lambda entry: entry["beta_index"]), EPOCHS, strict=True)
    }
    return [
        replace(entry, values={**entry.values, "epoch": epochs[id(entry)]}) if id(entry) in epochs else entry
        for entry in entries
    ]


def _kind(entry: Entry) -> bool:
    """NSD core and NSD-Imagery both have a session 1."""
    return entry["condition"] == "perception" and not str(entry["beta_path"] or "nsd_imagery/").startswith(
        "nsd_imagery/"
    )


def _refuse_twice(entries: Sequence[Entry], column: str, key: Callable[[Entry], Any]) -> None:
    seen: dict[Any, Entry] = {}
    for entry in entries:
        if entry[column] is None:
            continue
        first = seen.setdefault(key(entry), entry)
        if first is not entry:
            raise entry.error(column, f"as in line {first.line.number}: each trial and each volume comes once")


def _filled(entries: list[Entry], info: Sequence[Entry], subject: str) -> list[Entry]:
    """Blank fields from the stimulus table: by trial where that has trials, else by picture or target."""
    mine = [entry for entry in info if entry["subject"] in (None, subject)]
    by_trial = all(name in entry.values for entry in mine for name in ("session", "trial_in_session"))
    keys = (_trial_key,) if by_trial else (_picture_key, _target_key)
    columns = (*_OF_STIMULUS, "condition") if by_trial else _OF_STIMULUS
    for key in keys:
        table: dict[Any, Entry] = {}
        for entry in mine:
            if key(entry) is not None:
                table[key(entry)] = _merged(table[key(entry)], entry, columns) if key(entry) in table else entry
        entries = [_fill(entry, table[key(entry)], columns) if key(entry) in table else entry for entry in entries]
    return entries


def _merged(one: Entry, other: Entry, columns: Sequence[str]) -> Entry:
    """Two lines on one thing, which must agree; of captions the first in the alphabet, whatever their order is."""
    captions = [caption for caption in (one["caption"], other["caption"]) if caption is not None]
    filled = _fill(one, other, columns)
    return replace(filled, values={**filled.values, "caption": min(captions, default=None)})


def _trial_key(entry: Entry) -> Any:
    return entry["session"], entry["trial_in_session"], entry["epoch"]


def _picture_key(entry: Entry) -> Any:
    return entry["nsd_id"]


def _target_key(entry: Entry) -> Any:
    return entry["target"] if entry["nsd_id"] is None else None


def _fill(entry: Entry, source: Entry, columns: Sequence[str]) -> Entry:
    """Fill what is blank; what both say must agree, but for captions, of which a picture has five."""
    filled = dict(entry.values)
    for column in columns:
        said, other = entry[column], source[column]
        if column == "condition" and {said, other} <= {"perception", "vision"}:
            continue
        if said is None:
            filled[column] = other
        elif other is not None and said != other and column != "caption":
            raise entry.error(column, f"but {source.line.path}, line {source.line.number} says {shown(other)}")
    return replace(entry, values=filled)
