"""A column of vectors, such as `betas`, read out of the Arrow chunks that hold it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector a row. Opening it copies nothing, and reading it makes no Python numbers.

    Attributes:
        chunks: (n_rows, length) views of the Arrow memory, one a chunk.
        starts: (n_chunks,) the row that each chunk begins with.
    """

    chunks: tuple[NDArray[Any], ...]
    starts: Rows

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Vectors":
        """The vectors of a column of fixed-size lists of numbers.

        Raises:
            DataError: A row has no vector.
        """
        if column.null_count:
            msg = f"{column.null_count} rows have no vector"
            raise DataError(msg)
        length, empty = column.type.list_size, np.empty(0, column.type.value_type.to_pandas_dtype())
        values = [chunk.flatten().to_numpy() for chunk in column.chunks if len(chunk)] or [empty]
        chunks = tuple(value.reshape(-1, length) for value in values)
        return cls(chunks, np.cumsum([0, *(len(chunk) for chunk in chunks[:-1])]))

    @property
    def length(self) -> int:
        """Numbers in a vector."""
        return self.chunks[0].shape[1]

    def row(self, row: int) -> NDArray[Any]:
        """(length,) a view of one row."""
        chunk = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.chunks[chunk][row - self.starts[chunk]]

    def take(self, rows: Rows) -> NDArray[Any]:
        """(n, length) a copy of some rows, in the order given."""
        taken = np.empty((len(rows), self.length), self.chunks[0].dtype)
        which = np.searchsorted(self.starts, rows, side="right") - 1
        for at, (chunk, row) in enumerate(zip(which.tolist(), (rows - self.starts[which]).tolist(), strict=True)):
            taken[at] = self.chunks[chunk][row]
        return taken


def table_rows(dataset: Dataset) -> Rows:
    """(n_rows,) the row of `dataset.data` that each row of a dataset is, whether it was filtered, shuffled or not."""
    # A dataset that was filtered keeps its table and notes which rows of it are left; there is no public name for that.
    indices = dataset._indices
    return np.arange(dataset.num_rows) if indices is None else indices.column(0).to_numpy().astype(np.int64)
