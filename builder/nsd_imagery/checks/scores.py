"""The z-scores of a built folder: mean 0 and sd 1 over the rows of each group, a batch of rows in memory at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.groups import Group, groups_of_stats, positions_among
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.shards import Shard, matrix, open_shard, read_batches
from nsd_imagery.schema import BETAS

_TOLERANCE = 1e-3
"""Of mean and sd of float32 scores; float16 has 11 bits."""


def score_faults(folder: Path, manifest: Manifest, stats: Config, trials: Sequence[Config]) -> Iterator[str]:
    """Groups of rows whose mean is not 0 or whose sd is not 1, and rows without a group.

    Args:
        folder: The dataset folder.
        manifest: Of the folder.
        stats: Its `-stats` of a subject and ROI.
        trials: Its trial configs of the same subject and ROI.
    """
    tolerance = _TOLERANCE if manifest.recipe.dtype == "float32" else 30 * _TOLERANCE
    for shard in stats.shards:
        mine = [other for config in trials for other in config.shards if other.piece == shard.piece]
        if mine:
            zscore = manifest.zscore_of(str(shard.piece).split("/")[1])
            yield from _faults_of_piece(folder, shard, mine, zscore, tolerance)


def _faults_of_piece(
    folder: Path, stats: Shard, trials: Sequence[Shard], zscore: str, tolerance: float
) -> Iterator[str]:
    table = open_shard(folder / stats.file)
    groups, sd = groups_of_stats(table), matrix(table["sd"])
    count, lost = np.zeros(len(groups), np.int64), 0
    total, squares = np.zeros(sd.shape), np.zeros(sd.shape)
    for shard in trials:
        for batch in read_batches(folder / shard.file):
            of_row = positions_among(groups, pa.Table.from_batches([batch]).drop_columns([BETAS.name]), zscore)
            lost += int((of_row < 0).sum())
            is_counted = batch["is_valid"].to_numpy(zero_copy_only=False) & (of_row >= 0)
            betas = batch[BETAS.name].flatten().to_numpy().reshape(batch.num_rows, -1)
            for row in np.flatnonzero(is_counted):
                _add(betas[row].astype(np.float64), total[of_row[row]], squares[of_row[row]])
            count += np.bincount(of_row[is_counted], minlength=len(groups))
    if lost:
        yield f"{stats.piece}: -stats has no group of {lost} rows; build again"
    for at, (group, n_trials) in enumerate(zip(groups, table["n_trials"].to_pylist(), strict=True)):
        # Where there are fewer, configs of this session that are not in the folder hold the rest of the group.
        if count[at] == n_trials > 1:
            where = f"{stats.piece} {_named(group)}"
            yield from _moment_faults(n_trials, total[at], squares[at], sd[at], where, tolerance)


def _add(scores: NDArray[np.float64], total: NDArray[np.float64], squares: NDArray[np.float64]) -> None:
    total += scores
    squares += np.square(scores, out=scores)


def _moment_faults(n: int, total: NDArray[np.float64], squares: NDArray[np.float64], sd: NDArray[np.float64],
                   where: str, tolerance: float) -> Iterator[str]:  # fmt: skip
    mean = total / n
    spread = np.sqrt(np.maximum(squares - total * mean, 0) / (n - 1))
    varies = sd > 0
    worst = np.abs(spread[varies] - 1).max(initial=0)
    if not (np.abs(mean).max() <= tolerance and worst <= tolerance):
        yield f"{where}: means up to {np.abs(mean).max():.2g} from 0, sds up to {worst:.2g} from 1"
    if n_flat := int((squares[~varies] != 0).sum()):
        yield f"{where}: {n_flat} voxels without variance are not 0"


def _named(group: Group) -> str:
    run = f"run {group.run_number}" if group.run_number >= 0 else "session"
    return f"{run} {group.epoch}".rstrip()
