"""Columns of a dataset, read many rows at a time as tensors or words.

A batch is made without Arrow, whose threads do not survive a fork. Labels are kept row by row: to look for the values
of a batch in thirty places would take half as long as copying its betas.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.rows.vectors import Rows, has_vectors, is_number, is_word, row_vectors, table_of, vector_length
from nsd_imagery.schema import BETAS

Values = torch.Tensor | list[str]
"""Of one column: a tensor whose first axis is the row, or words."""

Reader = Callable[[Rows], Iterable[Values]]
"""Some rows of one or more columns, in the order of these."""


def is_readable(dataset: Dataset, name: str) -> bool:
    """Whether a column is numbers, words, or vectors of numbers that are all of one length.

    Raises:
        UsageError, DataError: It is `betas`, and these are no such vectors: rows are never read without them unasked.
    """
    arrow_type = dataset.data.schema.field(name).type
    return is_number(arrow_type) or is_word(arrow_type) or is_vector(dataset, name)


def is_vector(dataset: Dataset, name: str) -> bool:
    """Whether a column is vectors of numbers that are all of one length; raises as `is_readable`."""
    arrow_type = dataset.data.schema.field(name).type
    if name == BETAS.name:
        return vector_length(dataset, name) >= 0
    if not has_vectors(arrow_type):
        return False
    if pa.types.is_fixed_size_list(arrow_type):
        return True
    with contextlib.suppress(DataError):
        return vector_length(dataset, name) >= 0
    return False


def single_values(dataset: Dataset, names: Sequence[str]) -> list[tuple[list[str], Reader]]:
    """Readers of columns of numbers and words, from a copy in memory; each with the names of its columns.

    Raises:
        DataError: A column of integers, truth values or words has nulls.
    """
    columns = table_of(dataset, names).combine_chunks()
    numbers: dict[np.dtype, dict[str, NDArray[Any]]] = {}
    words: dict[str, list[str]] = {}
    readers: list[tuple[list[str], Reader]] = []
    for name in names:
        column = columns[name].combine_chunks()
        if column.null_count and not pa.types.is_floating(column.type):
            msg = f"column {name!r} has {column.null_count} rows without a value: leave it out of columns"
            raise DataError(msg)
        if pa.types.is_string(column.type):
            words[name] = _shared(column)
            if len(set(words[name])) == 1:
                readers.append(([name], _constant(words.pop(name)[0])))
        else:
            values = column.to_numpy(zero_copy_only=False)
            values = values.astype(np.int64) if values.dtype.kind in "iu" else values
            numbers.setdefault(values.dtype, {})[name] = values
    readers += [(list(alike), _numbers(list(alike.values()))) for alike in numbers.values()]
    return [*readers, (list(words), _words(list(words.values())))] if words else readers


def vectors_of(dataset: Dataset, name: str, dtype: torch.dtype | None) -> Reader:
    """A reader of one column of vectors, from the Arrow memory; of another type if `dtype` says so.

    Raises:
        DataError: A row has no vector.
    """
    rows_in_memory = row_vectors(dataset, name)
    number = dataset.data.schema.field(name).type.value_type
    empty = np.empty((0, vector_length(dataset, name)), number.to_pandas_dtype())

    def read(rows: Rows) -> list[Values]:
        chosen = [rows_in_memory[row] for row in rows.tolist()]
        values = torch.from_numpy(np.concatenate(chosen).reshape(len(chosen), -1) if chosen else empty.copy())
        return [values if dtype is None else values.to(dtype)]

    return read


def _numbers(columns: Sequence[NDArray[Any]]) -> Reader:
    table = np.stack(columns, axis=1)
    return lambda rows: torch.from_numpy(table.take(rows, axis=0)).unbind(1)


def _constant(word: str) -> Reader:
    return lambda rows: [[word] * len(rows)]


def _words(columns: Sequence[list[str]]) -> Reader:
    lines = list(zip(*columns, strict=True))

    def read(rows: Rows) -> list[Values]:
        chosen = [lines[row] for row in rows.tolist()]
        return [list(words) for words in zip(*chosen, strict=True)] if chosen else [[] for _ in columns]

    return read


def _shared(column: pa.StringArray) -> list[str]:
    """The words of a column, each of which is in memory once."""
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return [words[code] for code in coded.indices.to_pylist()]
