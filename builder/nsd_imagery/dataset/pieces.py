"""The one row generator: a beta file and its rows become tables of dataset rows, config by config.

A piece is one beta file with all ROIs and configs that are made of it in one pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.groups import Group, groups_of
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.dataset.shards import ROWS_PER_BATCH
from nsd_imagery.schema import dataset_rows, stats_schema, trial_schema, with_recipe
from nsd_imagery.sources.session import Session
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.normalize import Moments, moments
from nsd_imagery.volumes.roi import Roi, union


@dataclass(frozen=True, eq=False)
class Piece:
    """What is made of one beta file in one pass. Small, and safe to send to another process.

    Attributes:
        session: The beta file and its rows.
        conditions: The conditions to make configs of.
        rois: The ROIs to make configs of, all on one grid.
        brain: The brain mask, None where the whole volume counts.
        recipe: The options.
        valid: A map of the voxels that have data in the session, where there is one.
    """

    session: Session
    conditions: tuple[str, ...]
    rois: tuple[Roi, ...]
    brain: Path | None
    recipe: Recipe
    valid: Path | None = None

    @property
    def key(self) -> str:
        """Names the piece: "subj01/nsdimagery/01"."""
        return self.session.key

    @property
    def maps(self) -> list[Path]:
        """The maps that have a say in what its betas become."""
        return [path for path in (self.brain, self.valid) if path is not None]

    @property
    def files(self) -> list[Path]:
        """The files that its betas are read from: the beta file, then maps; the map of means only proves them."""
        mean_path = self.session.mean_path
        return [self.session.beta_path, *self.maps, *([] if mean_path is None else [mean_path])]


@dataclass(frozen=True, eq=False)
class Part:
    """The rows of one config and split that come from one piece.

    Attributes:
        config: For example "subj01-imagery-V1".
        split: "train" or "test".
        schema: Of the batches.
        batches: The rows, made as they are asked for.
    """

    config: str
    split: str
    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def parts(piece: Piece, betas: Betas, roi: Roi) -> Iterator[Part]:
    """All parts of a piece for one of its ROIs: the configs of its conditions, then `-stats`.

    Args:
        piece: The piece.
        betas: At the voxels of all its ROIs (their union, sorted).
        roi: One of the piece's ROIs.
    """
    rows = piece.session.rows
    numbers = _Numbers.of(piece, betas, roi)
    is_valid = pa.array(numbers.is_valid)
    columns = dataset_rows(rows.set_column(rows.schema.get_field_index("is_valid"), "is_valid", is_valid))
    schema = with_recipe(trial_schema(roi.flat.size, piece.recipe.dtype), piece.recipe.options)
    for condition in piece.conditions:
        config = config_name(piece.session.subject, condition, roi.name)
        for split, chosen in split_rows(rows, condition).items():
            yield Part(config, split, schema, _batches(columns.take(chosen), chosen, numbers, schema))
    stats = _stats(numbers)
    yield Part(config_name(piece.session.subject, "stats", roi.name), "train", stats.schema, iter([stats]))


def config_splits(piece: Piece, roi: Roi) -> list[tuple[str, str]]:
    """Config and split of each part of a piece for one of its ROIs, in the order of `parts`."""
    subject, rows = piece.session.subject, piece.session.rows
    trials = [
        (config_name(subject, condition, roi.name), split)
        for condition in piece.conditions
        for split in split_rows(rows, condition)
    ]
    return [*trials, (config_name(subject, "stats", roi.name), "train")]


def split_rows(rows: pa.Table, condition: str) -> dict[str, NDArray[np.int64]]:
    """Positions of a condition's rows by split; NSD-Imagery is a test set, NSD core is split by shared1000."""
    chosen = rows["condition"].to_numpy() == condition
    if condition != "perception":
        splits = {"test": chosen}
    else:
        shared = rows["shared1000"].to_numpy()
        splits = {"train": chosen & ~shared, "test": chosen & shared}
    return {split: np.flatnonzero(mask) for split, mask in splits.items() if mask.any()}


@dataclass(frozen=True, eq=False)
class _Numbers:
    """The betas of a piece at one ROI, and what they are z-scored by.

    Attributes:
        stored: (n_volumes, n_voxels) as stored.
        volume: (n_rows,) the volume of each row.
        is_valid: (n_rows,) whether it holds data.
        groups: What is z-scored together, sorted.
        group: (n_rows,) the position of each row's group.
        by: Statistics of the groups.
        zscored: Whether the dataset holds z-scores, or percent signal change.
    """

    stored: NDArray[Any]
    volume: NDArray[np.int64]
    is_valid: NDArray[np.bool_]
    groups: list[Group]
    group: NDArray[np.int64]
    by: Moments
    zscored: bool

    @classmethod
    def of(cls, piece: Piece, betas: Betas, roi: Roi) -> "_Numbers":
        stored = betas.stored[:, columns_of(piece, roi)]
        rows, zscore = piece.session.rows, piece.recipe.zscore
        volume = rows["beta_index"].to_numpy()
        groups, group = groups_of(rows, zscore)
        group_of_volume = np.full(len(stored), -1)
        group_of_volume[volume] = group
        is_valid = betas.is_valid[volume] & rows["is_valid"].to_numpy()
        valid_volume = np.zeros(len(stored), np.bool_)
        valid_volume[volume] = is_valid
        by = moments(stored, group_of_volume, len(groups), valid_volume, betas.header.scaling)
        return cls(stored, volume, is_valid, groups, group, by, zscore != "none")

    def fill(self, values: NDArray[np.floating], rows: NDArray[np.int64]) -> None:
        """Put what the dataset holds for some rows into (n, n_voxels) `values`.

        A row at a time stays in the processor's cache, and takes no memory that the system would have to clear.
        """
        scores = np.empty(values.shape[1])
        for out, row in zip(values, rows, strict=True):
            stored = self.stored[self.volume[row]]
            if not self.is_valid[row]:
                out[:] = 0
            elif self.zscored:
                self.by.zscore(stored, int(self.group[row]), scores)
                out[:] = scores
            else:
                out[:] = self.by.scaling.percent(stored)


def columns_of(piece: Piece, roi: Roi) -> slice | NDArray[np.int64]:
    """Where the voxels of a ROI are among those that were read; all of them as a slice, so that nothing is copied."""
    voxels = union(piece.rois)
    return slice(None) if roi.flat.size == voxels.size else np.searchsorted(voxels, roi.flat)


def _batches(
    columns: pa.Table, rows: NDArray[np.int64], numbers: _Numbers, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    betas = schema.field("betas").type
    for start in range(0, len(rows), ROWS_PER_BATCH):
        part = rows[start : start + ROWS_PER_BATCH]
        values = np.empty((len(part), betas.list_size), f"f{betas.value_type.bit_width // 8}")
        numbers.fill(values, part)
        scalars = columns.slice(start, len(part)).combine_chunks().to_batches()[0]
        yield pa.record_batch([*scalars.columns, _vectors(values, betas)], schema=schema)


def _stats(numbers: _Numbers) -> pa.RecordBatch:
    by = numbers.by
    schema = stats_schema(by.mean.shape[1])
    scalars = (*([getattr(group, name) for group in numbers.groups] for name in Group._fields), by.n_trials)
    arrays = [pa.array(values, field.type) for values, field in zip(scalars, schema, strict=False)]
    vectors = [_vectors(by.percent_mean, schema.field("mean").type), _vectors(by.percent_sd, schema.field("sd").type)]
    return pa.record_batch([*arrays, *vectors], schema=schema)


def _vectors(values: NDArray[np.floating], arrow_type: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=arrow_type)
