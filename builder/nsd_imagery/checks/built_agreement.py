"""The questions of `checks.data` asked of a built folder: its betas, with their scaling undone, against its labels."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.checks.agreement.verdicts import Judgement
from nsd_imagery.checks.data import check_agreement, check_pooled, labelled_betas, no_agreement
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.rows import plain_rows
from nsd_imagery.dataset.groups import groups_of_stats, positions_among
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.shards import matrix, open_shard
from nsd_imagery.errors import DataError
from nsd_imagery.experiment import NSDIMAGERY_CONDITIONS
from nsd_imagery.progress import Begin
from nsd_imagery.volumes.roi import DEFAULT_ROI, VISUAL_ATLAS


def check_built_agreement(
    folder: Path, manifest: Manifest, subjects: Sequence[str] | None, begin: Begin
) -> Iterator[Finding]:
    """The questions about each subject whose nsdgeneral is in the folder, with whom `begin` is called; then of all."""
    judgements: list[Judgement] = []
    configs = manifest.configs
    for subject in manifest.subjects:
        if subjects and subject not in subjects:
            continue
        begin(f"{subject}: betas against labels")
        names = {kind: config_name(subject, kind, DEFAULT_ROI) for kind in ("vision", "voxels", "stats")}
        needed = [name for kind, name in names.items() if kind != "stats" or manifest.recipe.zscore != "none"]
        if lacking := [name for name in needed if name not in configs]:
            yield from no_agreement(subject, f"{', '.join(lacking)} of {DEFAULT_ROI} is not in the folder")
            continue
        voxels = _table(folder, configs[names["voxels"]])
        if VISUAL_ATLAS not in voxels.column_names:
            yield from no_agreement(subject, f"-voxels has no column {VISUAL_ATLAS}")
            continue
        areas = _areas(voxels)
        for piece in dict.fromkeys(str(shard.piece) for shard in configs[names["vision"]].shards):
            try:
                rows, percent = percent_betas(folder, manifest, subject, piece)
            except DataError as error:
                yield from no_agreement(piece, str(error))
                continue
            is_valid = rows["is_valid"].to_numpy()
            found, judgement = check_agreement(labelled_betas(plain_rows(rows), percent, is_valid, areas), piece)
            judgements.append(judgement)
            yield from found
    if len(judgements) > 1:
        yield from check_pooled(judgements)


def _areas(voxels: pa.Table) -> dict[str, NDArray[np.bool_]]:
    labels = np.array([label or "" for label in voxels[VISUAL_ATLAS].to_pylist()])
    areas = {name: np.char.startswith(labels, name) for name in ("V1", "V2", "V3")}
    return {**areas, "early": labels != "", "higher": labels == ""}


def percent_betas(folder: Path, manifest: Manifest, subject: str, piece: str) -> tuple[pa.Table, NDArray[np.float32]]:
    """The rows of a session in all conditions of NSD-Imagery, and their betas as percent signal change.

    Raises:
        DataError: -stats has no group of a row, or nothing of the session.
    """
    configs, zscore = manifest.configs, manifest.zscore_of("nsdimagery")
    names = [config_name(subject, condition, DEFAULT_ROI) for condition in NSDIMAGERY_CONDITIONS]
    trials = [configs[name] for name in names if name in configs]
    tables = [_table(folder, config, piece) for config in trials if any(piece == s.piece for s in config.shards)]
    rows = pa.concat_tables([table.drop_columns(["betas"]) for table in tables])
    betas = np.concatenate([matrix(table["betas"]).astype(np.float32) for table in tables])
    if zscore == "none":
        return rows, betas
    stats = _table(folder, configs[config_name(subject, "stats", DEFAULT_ROI)], piece)
    of_row = positions_among(groups_of_stats(stats), rows, zscore)
    if (of_row < 0).any():
        msg = f"{folder}: -stats has no group of {int((of_row < 0).sum())} rows of {piece}; build again"
        raise DataError(msg)
    mean, sd = matrix(stats["mean"]), matrix(stats["sd"])
    for at, group in enumerate(of_row):
        betas[at] = betas[at] * sd[group] + mean[group]
    return rows, betas


def _table(folder: Path, config: Config, piece: str | None = None) -> pa.Table:
    """The shards of a config, or those of one piece."""
    shards = [shard for shard in config.shards if piece in (None, shard.piece)]
    if not shards:
        msg = f"{folder}: -{config.kind} has no shard of {piece}; build again"
        raise DataError(msg)
    return pa.concat_tables([open_shard(folder / shard.file).replace_schema_metadata() for shard in shards])
