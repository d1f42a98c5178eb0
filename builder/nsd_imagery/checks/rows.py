"""Checks of rows, wherever they come from: a tree, an index, or the shards of a built folder.

A check is a function of the rows that yields what contradicts it; `ROW_CHECKS` lists them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from nsd_imagery.checks.report import Finding, judged
from nsd_imagery.experiment import (
    CORE_REPEATS,
    N_NSD_PICTURES,
    REPEATS,
    RUNS,
    TARGETS_PER_SET,
    TRIALS_PER_RUN,
)
from nsd_imagery.schema import TRIAL_COLUMNS, trial_id
from nsd_imagery.sources.design import nsd_id_of_name, stimulus_key

Row = dict[str, Any]
RowCheck = Callable[[Sequence[Row]], Iterator[str]]


def plain_rows(table: pa.Table) -> list[Row]:
    """Rows as values by column, with None where a value is absent, be it an index or a dataset."""
    absent = {column.name: column.absent for column in TRIAL_COLUMNS if column.absent is not None}
    columns = {name: table[name].to_pylist() for name in table.column_names if name != "betas"}
    for name, none in absent.items():
        is_absent = (lambda value: value != value) if none != none else (lambda value, none=none: value == none)
        columns[name] = [None if value is None or is_absent(value) else value for value in columns[name]]
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def unique_ids(rows: Sequence[Row]) -> Iterator[str]:
    """No trial_id comes twice, and each is that of its formula."""
    seen: set[int] = set()
    for row in rows:
        if row["trial_id"] in seen:
            yield f"{_where(row)}: trial_id {row['trial_id']} comes twice"
        seen.add(row["trial_id"])
        epoch = int(row["epoch"] == "detection")
        expected = trial_id(row["experiment"], row["subject"], row["session"], row["trial_in_session"], epoch)
        if row["trial_id"] != expected:
            yield f"{_where(row)}: trial_id is {row['trial_id']}, its formula gives {expected}"


def volumes_once(rows: Sequence[Row]) -> Iterator[str]:
    """No volume of a beta file is two rows."""
    seen: dict[tuple[str, int], Row] = {}
    for row in rows:
        first = seen.setdefault((row["beta_path"], row["beta_index"]), row)
        if first is not row:
            yield f"{_where(row)}: is volume {row['beta_index']} of {row['beta_path']}, as trial_id {first['trial_id']}"


def picture_ids(rows: Sequence[Row]) -> Iterator[str]:
    """nsd_id is 0 to 72,999 and the picture that the target's name says, and stimulus is its key."""
    for row in rows:
        nsd_id, target = row["nsd_id"], row["target"]
        if nsd_id is not None and not 0 <= nsd_id < N_NSD_PICTURES:
            yield f"{_where(row)}: nsd_id is {nsd_id}, NSD has 0 to {N_NSD_PICTURES - 1}"
        named = nsd_id_of_name(target or "")
        if named is not None and named != nsd_id:
            yield f"{_where(row)}: nsd_id is {nsd_id}, but target {target!r} is {named} (a name's number is 1-based)"
        if (nsd_id is not None or target) and row["stimulus"] != stimulus_key(nsd_id, target or ""):
            yield f"{_where(row)}: stimulus is {row['stimulus']!r}, but nsd_id {nsd_id} and target {target!r}"


def run_structure(rows: Sequence[Row]) -> Iterator[str]:
    """The runs of NSD-Imagery have the task, the stimulus set and the number of betas of their number."""
    for (where, number), mine in _groups(rows, "run_number"):
        run = RUNS[number - 1] if 1 <= number <= len(RUNS) else None
        found = {(row["condition"], row["stimulus_set"]) for row in mine}
        if run is None or not {(run.condition, run.stimulus_set), (run.condition, None)} >= found:
            what = "; ".join(sorted(f"{condition} {name}" for condition, name in found))
            yield f"{where}, run {number}: rows are {what}, but {_of(run)}"
        elif len(mine) > run.n_betas:
            yield f"{where}, run {number}: has {len(mine)} rows, {run.name} has {run.n_betas}"


def row_order(rows: Sequence[Row]) -> Iterator[str]:
    """Volumes are in the order of runs and trials, the cue epoch of an attention trial before its detection epoch."""
    for (where, _), mine in _groups(rows, "experiment"):
        ordered = sorted(mine, key=lambda row: row["beta_index"])
        order = [(row["run_number"] or 0, row["trial_in_session"], row["epoch"] == "detection") for row in ordered]
        for before, this, row in zip(order, order[1:], ordered[1:], strict=False):
            by = 0 if this[0] and before[0] else 1  # a row without a run number is placed by its trial alone
            if this[by:] < before[by:]:
                yield f"{where}: volume {row['beta_index']} is trial {this[1]}, but the volume before is {before[1]}"


def matched_half(rows: Sequence[Row]) -> Iterator[str]:
    """In a whole vision run half of the trials show the target's own letter."""
    for (where, number), mine in _groups(rows, "run_number"):
        vision = [row for row in mine if row["condition"] == "vision" and row["cue_matches"] is not None]
        if len(vision) == TRIALS_PER_RUN and 2 * sum(row["cue_matches"] for row in vision) != TRIALS_PER_RUN:
            yield f"{where}, run {number}: {sum(row['cue_matches'] for row in vision)} of {TRIALS_PER_RUN} cues match"


def repeats(rows: Sequence[Row]) -> Iterator[str]:
    """repeat_index counts from 0 in order; a whole session has 8 vision, 16 imagery and 8 attention trials a target."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row["experiment"] == "nsdimagery" and row["target"] is not None:
            groups[row["subject"], row["condition"], row["epoch"], row["target"]].append(row)
    for (subject, condition, epoch, target), mine in groups.items():
        got = [row["repeat_index"] for row in sorted(mine, key=lambda row: (row["session"], row["beta_index"]))]
        if got != sorted(set(got)):
            yield f"{subject} {condition}{f' {epoch}' if epoch else ''} {target}: repeat_index is {got}"
    yield from _whole_sessions(rows, groups)
    for row in rows:
        if row["experiment"] == "nsd" and not 0 <= row["repeat_index"] < CORE_REPEATS:
            yield f"{_where(row)}: repeat_index is {row['repeat_index']}, NSD core shows a picture {CORE_REPEATS} times"


def _whole_sessions(rows: Sequence[Row], groups: dict[tuple[Any, ...], list[Row]]) -> Iterator[str]:
    """Of a condition with all its rows, every target has its number of repeats."""
    for subject in dict.fromkeys(row["subject"] for row in rows):
        for condition, each in REPEATS.items():
            counts = {key[2:]: len(mine) for key, mine in groups.items() if key[:2] == (subject, condition)}
            n_targets = 3 * TARGETS_PER_SET * (2 if condition == "attention" else 1)
            sessions = {row["session"] for row in rows if (row["subject"], row["condition"]) == (subject, condition)}
            if sum(counts.values()) == each * n_targets * max(len(sessions), 1):
                for (epoch, target), count in counts.items():
                    if count != each * len(sessions):
                        yield f"{subject} {condition} {epoch or ''}: {target} comes {count} times, not {each}"


def no_target_twice_in_a_row(rows: Sequence[Row]) -> Iterator[str]:
    """No target comes twice in a row in a run."""
    for (where, number), mine in _groups(rows, "run_number"):
        trials = sorted((row for row in mine if row["epoch"] != "detection"), key=lambda row: row["trial_in_session"])
        for before, row in pairwise(trials):
            beside = row["trial_in_session"] == before["trial_in_session"] + 1
            if beside and row["target"] is not None and row["target"] == before["target"]:
                yield f"{where}, run {number}, trial {row['trial_in_session']}: {row['target']}, as in the trial before"


ROW_CHECKS: tuple[RowCheck, ...] = (
    unique_ids, volumes_once, picture_ids, run_structure, row_order, matched_half, repeats, no_target_twice_in_a_row,
)  # fmt: skip


def check_rows(table: pa.Table, scope: str) -> list[Finding]:
    """All checks of rows."""
    rows = plain_rows(table)
    return [
        judged(
            f"rows.{check.__name__.replace('_', '-')}",
            (check.__doc__ or "").rstrip("."),
            scope,
            check(rows),
            f"{len(rows):,} rows",
        )
        for check in ROW_CHECKS
    ]


def _groups(rows: Sequence[Row], column: str) -> Iterator[tuple[tuple[str, Any], list[Row]]]:
    """Rows of NSD-Imagery by session and a column; rows without a value are left out."""
    groups: dict[tuple[str, Any], list[Row]] = defaultdict(list)
    for row in rows:
        if row["experiment"] == "nsdimagery" and row[column] is not None:
            groups[f"{row['subject']} session {row['session']}", row[column]].append(row)
    yield from groups.items()


def _of(run: Any) -> str:
    return "there is no such run" if run is None else f"{run.name} is {run.condition} {run.stimulus_set}"


def _where(row: Row) -> str:
    return f"{row['subject']} {row['experiment']} session {row['session']}, trial {row['trial_in_session']}"
