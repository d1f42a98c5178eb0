"""Rows as arrays: betas, their labels, and where their voxels lie."""

from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.rows.config import open_config
from nsd_imagery.rows.homes import home_of
from nsd_imagery.rows.vectors import has_vectors, row_vectors, table_of, vector_length
from nsd_imagery.schema import BETAS


class Arrays(NamedTuple):
    """What `arrays` gives.

    Attributes:
        betas: (n_rows, n_voxels).
        labels: A row a row of betas: all columns of the rows that are numbers and words.
        voxels: A row a column of betas: the rows of `-voxels`.
    """

    betas: NDArray[Any]
    labels: pd.DataFrame
    voxels: pd.DataFrame

    def __repr__(self) -> str:
        labels, voxels = ("{} x {}".format(*frame.shape) for frame in (self.labels, self.voxels))
        return f"<Arrays: betas {self.betas.shape} {self.betas.dtype}, labels {labels}, voxels {voxels}>"


def arrays(rows: Dataset, voxels: Dataset | None = None) -> Arrays:
    """Betas, labels and voxels of rows, in memory.

        betas, labels, voxels = arrays(load("./nsd_imagery", subject=1, condition="imagery"))

    Args:
        rows: Of trials, filtered, averaged or not.
        voxels: The `-voxels` of the same columns of betas. Rows that `load` gave know where these are; those of
            `restrict`, `load_dataset` and `NSDImageryDataset` are passed with theirs.

    Returns:
        `.betas`, `.labels` and `.voxels`.

    Raises:
        UsageError: Not rows of one split of trials; or they do not know their voxels, and none were given.
        MissingDataError: The folder that the rows are of is gone.
        DataError: `betas` are not of one length, or not those of `voxels`.
    """
    n_voxels = vector_length(rows, BETAS.name)
    voxels = _voxels_of(rows) if voxels is None else voxels
    if voxels.num_rows != n_voxels:
        msg = (
            f"betas have {n_voxels} columns, but -voxels {voxels.num_rows} rows: pass those of the same ROI as voxels="
        )
        raise DataError(msg)
    vectors = row_vectors(rows, BETAS.name)
    betas = np.stack(vectors) if vectors else np.empty((0, n_voxels), np.float32)
    return Arrays(betas, _frame(rows), _frame(voxels))


def _voxels_of(rows: Dataset) -> Dataset:
    home = home_of(rows)
    if home is None:
        msg = "these rows do not know their voxels, as those of nsd_imagery.load do: pass the -voxels as voxels="
        raise UsageError(msg)
    return cast(Dataset, open_config(*home, "train"))


def _frame(rows: Dataset) -> pd.DataFrame:
    schema = rows.data.schema
    return table_of(rows, [name for name in rows.column_names if not has_vectors(schema.field(name).type)]).to_pandas()
