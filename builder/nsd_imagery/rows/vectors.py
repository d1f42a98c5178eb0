"""Vectors such as `betas` where they lie in the Arrow memory of a dataset."""

from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError

Rows = NDArray[np.int64]


def table_rows(dataset: Dataset) -> Rows:
    """(n_rows,) the row of `dataset.data` that each row of a dataset is, whether it was filtered, shuffled or not."""
    # A dataset that was filtered keeps its table and notes which rows of it are left; there is no public name for that.
    indices = dataset._indices
    return np.arange(dataset.num_rows) if indices is None else indices.column(0).to_numpy().astype(np.int64)


def row_vectors(dataset: Dataset, column: str) -> list[NDArray[Any]]:
    """(length,) views of the Arrow memory, one a row of a dataset; nothing is copied, and no Python number is made.

    Args:
        dataset: Filtered, shuffled or not.
        column: A column of fixed-size lists of numbers.

    Raises:
        DataError: A row has no vector.
    """
    chunked = dataset.data.column(column)
    if chunked.null_count:
        msg = f"column {column!r}: {chunked.null_count} rows have no vector"
        raise DataError(msg)
    length = chunked.type.list_size
    in_table = [row for chunk in chunked.chunks for row in chunk.flatten().to_numpy().reshape(-1, length)]
    return [in_table[row] for row in table_rows(dataset).tolist()]
