"""The rows of one session out of a dataset folder, in the order of its beta file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.shards import Shard, open_shard, read_batches, shard_fault
from nsd_imagery.errors import DataError
from nsd_imagery.schema import BETAS

BETA_INDEX = "beta_index"

LABELS = (
    "experiment",
    "session",
    "run_number",
    "epoch",
    "run_name",
    "stimulus_set",
    "target",
    "cue",
    "cue_matches",
    "is_valid",
)


def prove(folder: Path, shards: Sequence[Shard]) -> None:
    """Raise DataError unless the files of shards hold what was built."""
    for shard in shards:
        if fault := shard_fault(folder, shard):
            raise DataError(fault)


def read_labels(folder: Path, shards: Sequence[Shard], n_rows: int, names: Sequence[str] = LABELS) -> pa.Table:
    """The labels of all rows of a session; row i is volume i of the beta file.

    Args:
        folder: The dataset folder.
        shards: Of one session, all its conditions or splits.
        n_rows: How many volumes the beta file has.
        names: The columns, beside `beta_index`. Words are read from proven shards alone.

    Raises:
        DataError: Rows are missing, or there are too many.
    """
    tables = [open_shard(folder / shard.file).select([BETA_INDEX, *names]) for shard in shards]
    labels = pa.concat_tables(tables).sort_by(BETA_INDEX).combine_chunks()
    if not np.array_equal(labels[BETA_INDEX].to_numpy(), np.arange(n_rows)):
        msg = (
            f"{folder}: {shards[0].piece} has {labels.num_rows} rows that are not the {n_rows} volumes of a beta file "
            "of the release, each once; build from the release"
        )
        raise DataError(msg)
    return labels


def read_betas(folder: Path, shards: Sequence[Shard], n_rows: int, n_voxels: int) -> NDArray[np.float32]:
    """(n_rows, n_voxels) the betas of a session; row i is volume i of the beta file.

    A batch of rows is in memory beside them. The arguments are those of `read_labels`, which has
    checked them.
    """
    betas = np.empty((n_rows, n_voxels), np.float32)
    for shard in shards:
        for batch in read_batches(folder / shard.file):
            vectors = batch.column(BETAS.name).flatten().to_numpy()
            betas[batch.column(BETA_INDEX).to_numpy()] = vectors.reshape(-1, n_voxels)
    return betas
