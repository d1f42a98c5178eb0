"""Rows of a dataset as torch tensors, read straight from the Arrow memory that holds them."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.dataset.vectors import Rows, Vectors, table_rows
from nsd_imagery.errors import DataError, MissingExtraError, UsageError
from nsd_imagery.suggest import one_of

try:
    import torch
except ModuleNotFoundError as error:
    message = "torch_view and NSDImageryDataset need torch: pip install 'nsd-imagery[torch]'"
    raise MissingExtraError(message) from error

Batch = dict[str, torch.Tensor | list[str]]
"""Columns by name: tensors whose first axis is the row, or lists of words."""

Row = dict[str, torch.Tensor | str]

_Reader = Callable[[Rows], torch.Tensor | list[str]]


class BatchDataset(torch.utils.data.Dataset[Any]):
    """A map-style dataset that reads many rows at a time.

    `dataset[3]` is a row and `dataset[[3, 1, 4]]` (a list, slice or array) a batch. A DataLoader that collates gets the
    rows of a batch from one read.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, rows: Rows) -> Batch:
        """The batch of some rows, each from 0 to `len(self) - 1`."""

    def __getitem__(self, index: int | slice | Sequence[int] | NDArray[np.integer] | torch.Tensor) -> Any:
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        if rows.ndim == 0:
            return {name: values[0] for name, values in self.read(self._counted(rows[None])).items()}
        return self.read(self._counted(rows))

    def __getitems__(self, indices: Sequence[int]) -> list[Row]:
        batch = self[list(indices)]
        columns = [values.unbind() if isinstance(values, torch.Tensor) else values for values in batch.values()]
        return [dict(zip(batch, values, strict=True)) for values in zip(*columns, strict=True)]

    def _counted(self, rows: NDArray[Any]) -> Rows:
        """Row numbers, where negative ones count from the end."""
        rows = rows if rows.size else rows.astype(np.int64)
        if rows.dtype.kind not in "iu" or rows.ndim != 1:
            msg = f"rows are chosen by whole numbers, not by {rows.dtype} of {rows.ndim} dimensions"
            raise TypeError(msg)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            msg = f"row {rows.max() if rows.max() >= len(self) else rows.min()} of {len(self)}"
            raise IndexError(msg)
        return np.where(rows < 0, rows + len(self), rows)


class TorchView(BatchDataset):
    """What `torch_view` gives."""

    def __init__(self, dataset: Dataset, columns: Sequence[str], dtype: torch.dtype | None) -> None:
        self._arguments = (dataset, tuple(columns), dtype)
        self._rows = table_rows(dataset)
        # A batch is made by numpy alone: Arrow's threads do not survive a fork.
        self._readers = {
            name: _reader(name, dataset.data.column(name), dtype if name == "betas" else None) for name in columns
        }

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, rows: Rows) -> Batch:
        """The batch of some rows, each from 0 to `len(self) - 1`."""
        chosen = self._rows[rows]
        return {name: reader(chosen) for name, reader in self._readers.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        # A dataset pickles as the paths of its files, so a spawned worker maps them anew.
        return TorchView, self._arguments


def torch_view(dataset: Dataset, columns: Sequence[str] | None = None, dtype: torch.dtype | None = None) -> TorchView:
    """See the rows of a dataset as torch tensors, without Python numbers in between.

    `view[[3, 1, 4]]` is a batch: vectors as (n, length) tensors, numbers as (n,) tensors, strings as lists. `view[3]`
    is a row. The fast way to train:

        DataLoader(view, batch_size=None, sampler=BatchSampler(RandomSampler(view), 32, drop_last=False))

    `DataLoader(view, batch_size=32, shuffle=True)` gives the same batches and copies betas once more. Workers map the
    same files; nothing is sent to them.

    Args:
        dataset: What `load` or `load_dataset` gave, filtered, shuffled or not. Its format is ignored.
        columns: Default: all columns of numbers, strings, and vectors of numbers.
        dtype: Of `betas` alone; default: as stored.

    Returns:
        A map-style torch dataset. Integers are int64, as from `with_format("torch")`; all else is as stored.

    Raises:
        UsageError: Not a dataset with one split, no such column, or a column that makes no tensor.
        DataError: A column of integers has nulls.
        MissingExtraError: torch is not installed.
    """
    if not isinstance(dataset, Dataset):
        msg = f"torch_view takes a Dataset, not a {type(dataset).__name__}: name a split, for example split='test'"
        raise UsageError(msg)
    types = {field.name: field.type for field in dataset.data.schema}
    for name in columns or ():
        one_of("column", name, types)
        if not _is_readable(types[name]):
            msg = f"column {name!r} is {types[name]}: no tensor and no string; leave it out of columns"
            raise UsageError(msg)
    chosen = [name for name in types if _is_readable(types[name])] if columns is None else columns
    return TorchView(dataset, chosen, dtype)


def _is_readable(arrow_type: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(arrow_type):
        return _is_number(arrow_type.value_type)
    return _is_number(arrow_type) or pa.types.is_string(arrow_type)


def _is_number(arrow_type: pa.DataType) -> bool:
    return any(test(arrow_type) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean))


def _reader(name: str, column: pa.ChunkedArray, dtype: torch.dtype | None) -> _Reader:
    """Reads rows of a column: vectors from the Arrow memory; single values, which are few, from a copy."""
    if pa.types.is_fixed_size_list(column.type):
        vectors = Vectors.of(column)
        return lambda rows: torch.from_numpy(vectors.take(rows)).to(dtype=dtype)
    if pa.types.is_string(column.type):
        coded = column.combine_chunks().dictionary_encode()
        words, codes = np.array(coded.dictionary.to_pylist(), object), coded.indices.to_numpy(zero_copy_only=False)
        return lambda rows: words[codes[rows]].tolist()
    if column.null_count and not pa.types.is_floating(column.type):
        msg = f"column {name!r} has {column.null_count} rows without a value: leave it out of columns"
        raise DataError(msg)
    values = column.to_numpy()
    values = values.astype(np.int64) if values.dtype.kind in "iu" else values
    return lambda rows: torch.from_numpy(values[rows])
