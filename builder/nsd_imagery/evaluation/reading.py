"""Rows of NSD-Imagery out of a built folder: which are of one run, what it is called, and whether it can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.chance.orders import ENOUGH_TRIALS, REPEATS_PER_RUN
from nsd_imagery.dataset.groups import groups_of_stats, positions_among
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.shards import matrix
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table, row_vectors

LABELS: Final = (
    *("experiment", "session", "run_number", "run_name", "condition", "stimulus_set", "epoch"),
    *("trial_in_session", "target", "stimulus", "cue", "cue_matches", "is_valid", "response", "response_time"),
)
_SHORT: Final = {"vision": "vis", "imagery": "img", "attention": "att"}


@dataclass(frozen=True, eq=False)
class ImageryRows:
    """Trials of some configs of one subject and ROI.

    Attributes:
        column: (n_rows,) labels by name.
        betas: (n_voxels,) views of Arrow memory, one a row.
        letters: The target of each set's letters.
        sd: (n_groups, n_voxels) by which betas were divided; None where they were not, or where nothing says it.
        group: (n_rows,) the row of `sd`; -1 where there is none.
        is_percent: Whether betas are percent signal change.
    """

    column: Mapping[str, NDArray[Any]]
    betas: Sequence[NDArray[Any]]
    letters: Mapping[tuple[str, str], str]
    sd: NDArray[np.float64] | None
    group: NDArray[np.int64]
    is_percent: bool


def read_rows(folder: Path, manifest: Manifest, configs: Sequence[str]) -> ImageryRows:
    """The rows of some configs of one subject and ROI."""
    loaded = [load(folder, name, "test") for name in configs]
    labels = pa.concat_tables([label_table(rows, LABELS) for rows in loaded])
    betas = [row for rows in loaded for row in row_vectors(rows, "betas")]
    column = {name: np.array(labels[name].to_pylist()) for name in LABELS}
    own = column["cue_matches"] == 1
    letters = dict(
        zip(
            zip(column["stimulus_set"][own].tolist(), column["cue"][own].tolist(), strict=True),
            column["target"][own].tolist(),
            strict=True,
        )
    )
    zscore = manifest.zscore_of("nsdimagery")
    config = manifest.configs[configs[0]]
    stats = config_name(config.subject, "stats", config.roi)
    if zscore == "none" or stats not in manifest.configs:
        return ImageryRows(column, betas, letters, None, np.full(len(betas), -1), zscore == "none")
    table = load(folder, stats, "train").data.table
    group = positions_among(groups_of_stats(table), labels, zscore)
    return ImageryRows(column, betas, letters, matrix(table["sd"]), group, False)


def groups_by_run(rows: ImageryRows) -> list[NDArray[np.int64]]:
    """The rows of each run and epoch, in order of time."""
    order = np.lexsort([rows.column[name] for name in ("epoch", "trial_in_session", "session")])
    groups: dict[tuple[int, int, str], list[int]] = {}
    keys = zip(*(rows.column[name][order].tolist() for name in ("session", "run_number", "epoch")), strict=True)
    for row, key in zip(order.tolist(), keys, strict=True):
        groups.setdefault(key, []).append(row)
    return [np.array(members) for members in groups.values()]


def name_of(rows: ImageryRows, members: NDArray[np.int64], taken: Sequence[str]) -> str:
    """The run's name; where rows have none, that of the next run of their condition and set."""
    said = {name: rows.column[name][members[0]].item() for name in LABELS}
    if said["run_number"] < 1:
        return f"rows without a run in session {said['session']}"
    start = f"{_SHORT[said['condition']]}{said['stimulus_set']}"
    ends = ("_1", "_2") if said["condition"] == "imagery" else ("",)
    epoch = f"-{said['epoch']}" if said["epoch"] else ""
    choices = [f"{said['run_name'] or start + end}{epoch}" for end in ends]
    last = f"run {said['run_number']} of session {said['session']}{epoch}"
    return next((name for name in choices if name not in taken), last)


def fault_of(rows: ImageryRows, members: NDArray[np.int64], targets_of: Mapping[str, tuple[str, ...]]) -> str:
    """Why a run cannot be used; nothing where it can."""
    said = {name: rows.column[name][members] for name in LABELS}
    if said["run_number"][0] < 1:
        return "they have no run_number"
    if said["stimulus_set"][0] not in STIMULUS_SETS:
        return "its rows name no stimulus set"
    trial, n_valid = said["trial_in_session"], int(said["is_valid"].sum())
    if not np.array_equal(trial, trial[0] + np.arange(TRIALS_PER_RUN)):
        return f"its {len(members)} rows are not {TRIALS_PER_RUN} trials in a row"
    targets, counts = np.unique(said["target"], return_counts=True)
    if counts.tolist() != [REPEATS_PER_RUN] * TARGETS_PER_SET:
        return f"its schedule is not {REPEATS_PER_RUN} trials of each of {TARGETS_PER_SET} targets"
    if n_valid < ENOUGH_TRIALS:
        return f"{n_valid} of its {TRIALS_PER_RUN} trials are valid, fewer than {ENOUGH_TRIALS}"
    if targets_of.get(said["stimulus_set"][0], tuple(targets.tolist())) != tuple(targets.tolist()):
        return "its targets are not those of the runs of its set before it"
    return ""


def variance_of(rows: ImageryRows, members: NDArray[np.int64], valid: NDArray[Any]) -> NDArray[np.float64] | None:
    """(n_voxels,) in percent signal change squared: what is left in the folder, by what it was divided by."""
    left = valid.var(axis=0, dtype=np.float64, ddof=1)
    group = rows.group[members]
    if rows.is_percent:
        return left
    if rows.sd is None or group.min() < 0 or group.min() != group.max():
        return None
    return left * np.square(rows.sd[group[0]])
