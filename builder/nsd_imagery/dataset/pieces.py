"""The one row generator: a beta file and its rows become tables of dataset rows, config by config.

A piece is one beta file with all ROIs and configs that are made of it in one pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from nsd_imagery.dataset.shards import ROWS_PER_BATCH
from nsd_imagery.schema import dataset_rows, stats_schema, trial_schema
from nsd_imagery.sources.session import Session
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.normalize import Moments, moments, zscore
from nsd_imagery.volumes.read import read_betas
from nsd_imagery.volumes.roi import Roi

ZSCORES = ("auto", "run", "session", "none")
DTYPES = ("float32", "float16")

FORMAT_VERSION = 1
"""Of the dataset folder; goes up when the same input gives other rows or files."""


@dataclass(frozen=True)
class Recipe:
    """The options that decide the numbers in a dataset.

    Attributes:
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        zscore: "run", "session", "none", or "auto": by run in nsdimagery, by session in NSD core.
        dtype: Of `betas`.
    """

    beta_version: str
    zscore: str = "auto"
    dtype: str = "float32"


@dataclass(frozen=True, eq=False)
class Piece:
    """What is made of one beta file in one pass. Small, and safe to send to another process.

    Attributes:
        session: The beta file and its rows.
        conditions: The conditions to make configs of.
        rois: The ROIs to make configs of, all on one grid.
        brain: C-order flat indices of the brain, None for the whole volume.
        recipe: The options.
    """

    session: Session
    conditions: tuple[str, ...]
    rois: tuple[Roi, ...]
    brain: FlatIndex | None = field(repr=False)
    recipe: Recipe

    @property
    def key(self) -> str:
        """Names the piece: "subj01/nsdimagery/01"."""
        return f"{self.session.subject}/{self.session.experiment}/{self.session.session:02d}"


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


def read_piece(piece: Piece) -> Betas:
    """The betas of a piece at the voxels of all its ROIs (their union, sorted)."""
    grid = piece.rois[0].grid
    return read_betas(piece.session.beta_path, grid, _union(piece.rois), piece.brain)


def parts(piece: Piece, betas: Betas, roi: Roi) -> Iterator[Part]:
    """All parts of a piece for one of its ROIs: the configs of its conditions, then `-stats`.

    Args:
        piece: The piece.
        betas: What `read_piece` gave.
        roi: One of the piece's ROIs.
    """
    rows = piece.session.rows
    order = rows["beta_index"].to_numpy()
    union = _union(piece.rois)
    columns = slice(None) if roi.flat.size == union.size else np.searchsorted(union, roi.flat)
    stored = betas.stored[:, columns]
    is_valid = betas.is_valid[order]
    groups = _Groups.of(rows, piece.recipe.zscore)
    scaling = betas.header.scaling
    by = moments(stored[order], groups.of_row, len(groups.names), is_valid, scaling)
    trial_columns = dataset_rows(
        rows.set_column(rows.schema.get_field_index("is_valid"), "is_valid", pa.array(is_valid))
    )
    schema = trial_schema(roi.flat.size, piece.recipe.dtype)
    for condition in piece.conditions:
        for split, chosen in split_rows(rows, condition).items():
            table = trial_columns.take(chosen)

            def values(part: NDArray[np.int64], chosen: NDArray[np.int64] = chosen) -> NDArray[np.float64]:
                at = chosen[part]
                if piece.recipe.zscore == "none":
                    return np.where(is_valid[at, None], scaling.percent(stored[order[at]]), 0.0)
                return zscore(stored[order[at]], groups.of_row[at], is_valid[at], by)

            yield Part(
                f"{piece.session.subject}-{condition}{roi.suffix}",
                split,
                schema,
                _batches(table, schema, values),
            )
    stats = _stats_table(piece, groups, by)
    yield Part(f"{piece.session.subject}-stats{roi.suffix}", "train", stats.schema, iter([stats]))


def split_rows(rows: pa.Table, condition: str) -> dict[str, NDArray[np.int64]]:
    """Positions of a condition's rows by split; NSD-Imagery is a test set, NSD core is split by shared1000."""
    chosen = rows["condition"].to_numpy() == condition
    if condition != "perception":
        splits = {"test": chosen}
    else:
        shared = rows["shared1000"].to_numpy()
        splits = {"train": chosen & ~shared, "test": chosen & shared}
    return {split: np.flatnonzero(mask) for split, mask in splits.items() if mask.any()}


def source_id(betas: Betas, piece: Piece, roi: Roi) -> str:
    """What the numbers of a ROI came from: the file's bytes, or (HDF5) its geometry and the ROI's block."""
    size = piece.session.beta_path.stat().st_size
    if betas.file_digest is not None:
        return f"nifti:{size}:xxh3_128:{betas.file_digest}"
    block = betas.stored[:, np.searchsorted(_union(piece.rois), roi.flat)]
    shape = "x".join(map(str, (betas.header.n_volumes, *betas.header.grid.shape)))
    digest = xxhash.xxh3_128(np.ascontiguousarray(block).data).hexdigest()
    return f"hdf5:{size}:{shape}:{betas.header.dtype.str}:xxh3_128:{digest}"


@dataclass(frozen=True, eq=False)
class _Groups:
    """The trials whose mean and sd a trial is z-scored by.

    Attributes:
        names: (run_number, epoch) of each group, -1 and "" for a whole session.
        of_row: (n_rows,) the group of each row.
    """

    names: list[tuple[int, str]]
    of_row: NDArray[np.int64]

    @classmethod
    def of(cls, rows: pa.Table, zscore: str) -> "_Groups":
        runs, epochs = rows["run_number"].to_pylist(), rows["epoch"].to_pylist()
        nsdimagery = rows["experiment"][0].as_py() == "nsdimagery"
        by_run = zscore == "run" or (zscore != "session" and nsdimagery)
        keys = [
            (run or -1, epoch or "") if by_run and run else (-1, "") for run, epoch in zip(runs, epochs, strict=True)
        ]
        names = sorted(set(keys))
        return cls(names, np.array([names.index(key) for key in keys], np.int64))


def _union(rois: tuple[Roi, ...]) -> FlatIndex:
    return rois[0].flat if len(rois) == 1 else np.unique(np.concatenate([roi.flat for roi in rois]))


def _batches(
    table: pa.Table, schema: pa.Schema, values: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> Iterator[pa.RecordBatch]:
    betas = schema.field("betas").type
    dtype = betas.value_type.to_pandas_dtype()
    for start in range(0, table.num_rows, ROWS_PER_BATCH):
        part = np.arange(start, min(start + ROWS_PER_BATCH, table.num_rows))
        numbers = np.ascontiguousarray(values(part).astype(dtype, copy=False))
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=betas)
        rows = table.slice(start, len(part)).combine_chunks().to_batches()[0]
        yield pa.record_batch([*rows.columns, vectors], schema=schema)


def _stats_table(piece: Piece, groups: _Groups, by: Moments) -> pa.RecordBatch:
    schema = stats_schema(by.mean.shape[1])
    n = len(groups.names)
    columns = {
        "experiment": [piece.session.experiment] * n,
        "session": [piece.session.session] * n,
        "run_number": [run for run, _ in groups.names],
        "epoch": [epoch for _, epoch in groups.names],
        "n_trials": by.n_trials,
        "mean": _vectors(by.percent_mean, schema.field("mean").type),
        "sd": _vectors(by.percent_sd, schema.field("sd").type),
    }
    return pa.record_batch(
        [values if isinstance(values := columns[f.name], pa.Array) else pa.array(values, f.type) for f in schema],
        schema=schema,
    )


def _vectors(values: NDArray[np.float64], arrow_type: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), type=arrow_type)
