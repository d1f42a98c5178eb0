"""Checks of rows, wherever they come from: a tree, an index, or the shards of a built folder.

What contradicts a check is found by a function of the rows; `ROW_CHECKS` has both.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pyarrow as pa

from nsd_imagery.checks.catalogue import (
    ROWS_MATCHED_HALF,
    ROWS_NO_TARGET_TWICE,
    ROWS_PICTURE_IDS,
    ROWS_REPEATS,
    ROWS_ROW_ORDER,
    ROWS_RUN_STRUCTURE,
    ROWS_UNIQUE_IDS,
    ROWS_VOLUMES_ONCE,
)
from nsd_imagery.checks.check import Check
from nsd_imagery.checks.finding import Finding
from nsd_imagery.experiment import (
    CORE_REPEATS,
    N_NSD_PICTURES,
    REPEATS,
    RUNS,
    TARGETS_PER_SET,
    TRIALS_PER_RUN,
)
from nsd_imagery.schema import TRIAL_COLUMNS
from nsd_imagery.sources.design import nsd_id_of_name, stimulus_key
from nsd_imagery.trial_ids import trial_id

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
    """Rows whose trial_id came before, or is not that of its formula."""
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
    """Rows of a volume that is another row already."""
    seen: dict[tuple[str, int], Row] = {}
    for row in rows:
        first = seen.setdefault((row["beta_path"], row["beta_index"]), row)
        if first is not row:
            yield f"{_where(row)}: is volume {row['beta_index']} of {row['beta_path']}, as trial_id {first['trial_id']}"


def picture_ids(rows: Sequence[Row]) -> Iterator[str]:
    """Rows whose nsd_id is no picture of NSD's, or not that of the target's name, or has another stimulus."""
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
    """Runs of NSD-Imagery of another task, stimulus set or number of betas than their number says."""
    for (where, number), mine in _groups(rows, "run_number"):
        run = RUNS[number - 1] if 1 <= number <= len(RUNS) else None
        found = {(row["condition"], row["stimulus_set"]) for row in mine}
        if run is None or not {(run.condition, run.stimulus_set), (run.condition, None)} >= found:
            what = "; ".join(sorted(f"{condition} {name}" for condition, name in found))
            yield f"{where}, run {number}: rows are {what}, but {_of(run)}"
        elif len(mine) > run.n_betas:
            yield f"{where}, run {number}: has {len(mine)} rows, {run.name} has {run.n_betas}"


def row_order(rows: Sequence[Row]) -> Iterator[str]:
    """Volumes of an earlier trial, or an earlier epoch, than the volume before."""
    for (where, _), mine in _groups(rows, "experiment"):
        ordered = sorted(mine, key=lambda row: row["beta_index"])
        order = [(row["run_number"] or 0, row["trial_in_session"], row["epoch"] == "detection") for row in ordered]
        for before, this, row in zip(order, order[1:], ordered[1:], strict=False):
            by = 0 if this[0] and before[0] else 1  # a row without a run number is placed by its trial alone
            if this[by:] < before[by:]:
                yield f"{where}: volume {row['beta_index']} is trial {this[1]}, but the volume before is {before[1]}"


def matched_half(rows: Sequence[Row]) -> Iterator[str]:
    """Whole vision runs of which more or less than half of the trials show the target's own letter."""
    for (where, number), mine in _groups(rows, "run_number"):
        vision = [row for row in mine if row["condition"] == "vision" and row["cue_matches"] is not None]
        if len(vision) == TRIALS_PER_RUN and 2 * sum(row["cue_matches"] for row in vision) != TRIALS_PER_RUN:
            yield f"{where}, run {number}: {sum(row['cue_matches'] for row in vision)} of {TRIALS_PER_RUN} cues match"


def repeats(rows: Sequence[Row]) -> Iterator[str]:
    """Targets whose repeat_index does not rise, or that whole sessions have too often or too rarely."""
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
    """Trials of the same target as the trial before in their run."""
    for (where, number), mine in _groups(rows, "run_number"):
        trials = sorted((row for row in mine if row["epoch"] != "detection"), key=lambda row: row["trial_in_session"])
        for before, row in pairwise(trials):
            beside = row["trial_in_session"] == before["trial_in_session"] + 1
            if beside and row["target"] is not None and row["target"] == before["target"]:
                yield f"{where}, run {number}, trial {row['trial_in_session']}: {row['target']}, as in the trial before"


ROW_CHECKS: tuple[tuple[Check, RowCheck], ...] = (
    (ROWS_UNIQUE_IDS, unique_ids),
    (ROWS_VOLUMES_ONCE, volumes_once),
    (ROWS_PICTURE_IDS, picture_ids),
    (ROWS_RUN_STRUCTURE, run_structure),
    (ROWS_ROW_ORDER, row_order),
    (ROWS_MATCHED_HALF, matched_half),
    (ROWS_REPEATS, repeats),
    (ROWS_NO_TARGET_TWICE, no_target_twice_in_a_row),
)


def check_rows(table: pa.Table, scope: str) -> list[Finding]:
    """All checks of rows."""
    rows = plain_rows(table)
    return [check.judged(scope, find(rows), f"{len(rows):,} rows") for check, find in ROW_CHECKS]


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
