"""Rows of a dataset as torch tensors, read straight from the Arrow memory that holds them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import MissingExtraError, UsageError
from nsd_imagery.extras import how_to_install
from nsd_imagery.markup import Shown, some
from nsd_imagery.rows.mapped import carried
from nsd_imagery.rows.vectors import Rows, refuse_splits
from nsd_imagery.schema import BETAS
from nsd_imagery.suggest import one_of

try:
    import torch
except ModuleNotFoundError as error:
    message = f"torch_view and NSDImageryDataset need torch: {how_to_install('torch')}"
    raise MissingExtraError(message) from error

from nsd_imagery.learn.columns import Values, is_readable, is_vector, single_values, vectors_of

Batch = dict[str, Values]
"""Columns by name."""

TorchRow = dict[str, torch.Tensor | str]


class BatchDataset(torch.utils.data.Dataset[Any]):
    """A map-style dataset that reads many rows at a time.

    `dataset[3]` is a row, `dataset[[3, 1, 4]]` (a list, slice or array) a batch, and `dataset["betas"]` a column of all
    rows. A DataLoader that collates gets the rows of a batch from one read.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, rows: Rows) -> Batch:
        """The batch of some rows; negative numbers count from the end.

        Raises:
            IndexError: There is no such row.
        """

    @property
    @abstractmethod
    def column_names(self) -> list[str]:
        """Of a batch, in order."""

    def __getitem__(self, index: int | str | slice | Sequence[int] | NDArray[np.integer] | torch.Tensor) -> Any:
        if isinstance(index, str):
            return self[:][one_of("column", index, self.column_names)]
        rows = np.arange(len(self))[index] if isinstance(index, slice) else np.asarray(index)
        rows = rows if rows.size else rows.astype(np.int64)
        if rows.dtype.kind not in "iu" or rows.ndim > 1:
            msg = f"rows are chosen by whole numbers, not by {rows.dtype} of {rows.ndim} dimensions"
            raise TypeError(msg)
        if rows.ndim:
            return self.read(rows)
        return {name: values[0] for name, values in self.read(rows[None]).items()}

    def __getitems__(self, indices: Sequence[int]) -> list[TorchRow]:
        batch = self[list(indices)]
        columns = {name: one.unbind() if isinstance(one, torch.Tensor) else one for name, one in batch.items()}
        return [{name: values[at] for name, values in columns.items()} for at in range(len(indices))]


def positions(rows: Rows, n_rows: int) -> Rows:
    """Rows by their numbers from 0, where negative ones may have counted from the end.

    Raises:
        IndexError: There is no such row.
    """
    if ((rows < -n_rows) | (rows >= n_rows)).any():
        wrong = rows[(rows < -n_rows) | (rows >= n_rows)][0]
        msg = f"row {wrong}: there are {n_rows}"
        raise IndexError(msg)
    return np.where(rows < 0, rows + n_rows, rows).astype(np.int64, copy=False)


class TorchView(Shown, BatchDataset):
    """What `torch_view` gives."""

    def __init__(self, dataset: Dataset, columns: Sequence[str], dtype: torch.dtype | None) -> None:
        self._arguments = (dataset, tuple(columns), dtype)
        self._n_rows = dataset.num_rows
        vectors = [name for name in columns if is_vector(dataset, name)]
        named = single_values(dataset, [name for name in columns if name not in vectors])
        named += [([name], vectors_of(dataset, name, dtype if name == BETAS.name else None)) for name in vectors]
        self._readers = [reader for _, reader in named]
        stacked = [name for names, _ in named for name in names]
        self._position = {name: stacked.index(name) for name in columns}

    def _said(self) -> dict[str, object]:
        return {"rows": len(self), "columns": some(self.column_names)}

    def __len__(self) -> int:
        return self._n_rows

    @property
    def column_names(self) -> list[str]:
        """See `BatchDataset.column_names`."""
        return list(self._position)

    def read(self, rows: Rows) -> Batch:
        """See `BatchDataset.read`."""
        rows = positions(rows, self._n_rows)
        values = [of_column for reader in self._readers for of_column in reader(rows)]
        return {name: values[position] for name, position in self._position.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        # Rows in files pickle as the paths of these, so a spawned worker maps them anew.
        dataset, columns, dtype = self._arguments
        return TorchView, (carried(dataset, columns or dataset.column_names[:1]), columns, dtype)


def torch_view(dataset: Dataset, columns: Sequence[str] | None = None, dtype: torch.dtype | None = None) -> TorchView:
    """See the rows of a dataset as torch tensors, without Python numbers in between.

    `view[[3, 1, 4]]` is a batch: vectors as (n, length) tensors, numbers as (n,) tensors, strings as lists. `view[3]`
    is a row, and `view["betas"]` the column of all rows. The fast way to train:

        DataLoader(view, batch_size=None, sampler=BatchSampler(RandomSampler(view), 32, drop_last=False))

    `DataLoader(view, batch_size=32, shuffle=True)` gives the same batches and copies betas once more. Workers map the
    same files; nothing is sent to them but which rows they are. Rows in memory are sent, and none but these.

    Args:
        dataset: What `load` or `load_dataset` gave, filtered, shuffled or not. Its format is ignored.
        columns: Default: all columns of numbers, strings, and vectors of numbers that are of one length.
        dtype: Of `betas` alone; default: as stored.

    Returns:
        A map-style torch dataset. Integers are int64 and classes their numbers, as from `with_format("torch")`; all
        else is as stored.

    Raises:
        UsageError: Not a dataset with one split, no such column, or a column that makes no tensor.
        DataError: A column of integers or strings has nulls, or `betas` are not of one length.
        MissingExtraError: torch is not installed.
    """
    refuse_splits(dataset)
    columns = (columns,) if isinstance(columns, str) else columns
    names = dataset.column_names
    for name in columns or ():
        one_of("column", name, names)
        if not is_readable(dataset, name):
            arrow_type = dataset.data.schema.field(name).type
            msg = f"column {name!r} is {arrow_type}: no tensor and no string; leave it out of columns"
            raise UsageError(msg)
    chosen = [name for name in names if is_readable(dataset, name)] if columns is None else columns
    return TorchView(dataset, chosen, dtype)
