"""Columns of the rows of a dataset, read where they lie in its Arrow memory, whatever was done to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError

Rows = NDArray[np.int64]


def table_of(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Some columns of the rows of a dataset, filtered, shuffled or not: numbers and words, for vectors are copied."""
    rows = _rows_of_table(dataset)
    return _gathered(dataset, names) if rows is None else dataset.data.table.select(list(names)).take(rows)


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
    rows = _rows_of_table(dataset)
    lying = _gathered(dataset, [column]).column(column) if rows is None else chunked
    views = [row for chunk in lying.chunks for row in chunk.flatten().to_numpy().reshape(-1, length)]
    return views if rows is None else [views[row] for row in rows.tolist()]


def _rows_of_table(dataset: Dataset) -> Rows | None:
    """(n_rows,) the row of `dataset.data` that each row of a dataset is; None where the datasets library hides it."""
    # A dataset that was filtered keeps its table and notes which rows of it are left; there is no public name for that,
    # and what is public reads row by row: half a second for the 30,000 of a subject's NSD core.
    try:
        indices = dataset._indices  # noqa: SLF001
        return np.arange(dataset.num_rows) if indices is None else indices.column(0).to_numpy().astype(np.int64)
    except AttributeError:
        return None


def _gathered(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """As `table_of`, by public names alone. Each row is a chunk that lies where it lay."""
    return dataset.select_columns(list(names)).with_format("arrow")[:]
