"""Columns of the rows of a dataset, read where they lie in its Arrow memory, whatever was done to it.

Rows that were in other hands (pandas, polars, `class_encode_column`, `from_dict`) say the same in other Arrow types:
words as large strings, views or classes, vectors as lists that could be of any length. They are read as rows as built.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.schema import TRIAL_COLUMNS, index_schema, voxels_schema

Rows = NDArray[np.int64]

_FIELDS: Final = {field.name: field for field in (*voxels_schema(()), *index_schema())}
_ABSENT: Final = {column.name: column.absent for column in TRIAL_COLUMNS}


def table_of(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Some columns of numbers and words, whatever was done to the dataset; words as strings, classes by number."""
    rows = _rows_of_table(dataset)
    table = _gathered(dataset, names) if rows is None else dataset.data.table
    plain = pa.table([_plain(table.column(name)) for name in names], list(names))
    return plain if rows is None else plain.take(rows)


def label_table(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Some label columns of trials or of `-voxels`, in the types of a build, with what it has where a value is absent.

    Raises:
        UsageError: Not rows of one split, or they lack a column.
        DataError: A column cannot be of its type, or lacks a value that is never absent.
    """
    refuse_splits(dataset)
    if lacking := [name for name in names if name not in dataset.column_names]:
        msg = f"these rows have no column {', '.join(lacking)}: load them with all columns of their config"
        raise UsageError(msg)
    table = table_of(dataset, names)
    return pa.table([_as_built(name, table.column(name), dataset.features[name]) for name in names], list(names))


def refuse_splits(dataset: object) -> None:
    """Raise UsageError where it is no Dataset: several splits by name, or a stream."""
    if isinstance(dataset, Mapping) or not hasattr(dataset, "data"):
        msg = f"rows are a Dataset, not a {type(dataset).__name__}: name a split, for example split='test'"
        raise UsageError(msg)


def is_number(arrow_type: pa.DataType) -> bool:
    """Whether a column of this type is integers, floats or truth values."""
    return any(test(arrow_type) for test in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean))


def is_word(arrow_type: pa.DataType) -> bool:
    """Whether a column of this type is words."""
    return any(test(arrow_type) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def has_vectors(arrow_type: pa.DataType) -> bool:
    """Whether a column of this type is lists of numbers."""
    lists = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    return any(test(arrow_type) for test in lists) and is_number(arrow_type.value_type)


def vector_length(dataset: Dataset, column: str) -> int:
    """How many numbers each row of a column of vectors holds.

    Raises:
        UsageError: Not rows of one split, there is no such column, or it is no vectors of numbers.
        DataError: A row has no vector, or one of another length.
    """
    refuse_splits(dataset)
    if column not in dataset.column_names:
        msg = f"these rows have no column {column}: load them with all columns of their config"
        raise UsageError(msg)
    arrow_type = dataset.data.schema.field(column).type
    if not has_vectors(arrow_type):
        msg = f"column {column!r} is {arrow_type}, not vectors of numbers: load the rows again, and keep it as it is"
        raise UsageError(msg)
    chunked, rows = _lying(dataset, column)
    lengths = pc.call_function("list_value_length", [chunked]).fill_null(-1).to_numpy()[rows]
    if n_without := int((lengths < 0).sum()):
        msg = f"column {column!r}: {n_without} rows have no vector"
        raise DataError(msg)
    found = np.unique(lengths)
    if len(found) > 1:
        msg = f"column {column!r}: rows have vectors of {found[0]} to {found[-1]} numbers: keep those of one ROI"
        raise DataError(msg)
    return int(found[0]) if len(found) else getattr(arrow_type, "list_size", 0)


def row_vectors(dataset: Dataset, column: str) -> list[NDArray[Any]]:
    """(length,) views of the Arrow memory, one a row of a dataset; nothing is copied, and no Python number is made.

    Args:
        dataset: Filtered, shuffled or not.
        column: A column of lists of numbers, all of one length.

    Raises:
        UsageError, DataError: As `vector_length`; or a number is absent.
    """
    length = vector_length(dataset, column)
    chunked, rows = _lying(dataset, column)
    views = [row for chunk in chunked.chunks for row in _views(column, chunk, length)]
    return [views[row] for row in rows.tolist()]


def _views(column: str, chunk: pa.Array, length: int) -> Sequence[NDArray[Any]]:
    """The vector of each row of a chunk; of a row that is another length, or none, some others."""
    values = chunk.values
    if values.null_count and not pa.types.is_floating(values.type):
        msg = f"column {column!r}: {values.null_count} numbers of its vectors are absent"
        raise DataError(msg)
    numbers = values.to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(chunk.type):
        return list(numbers[chunk.offset * length : (chunk.offset + len(chunk)) * length].reshape(-1, length))
    return [numbers[start : start + length] for start in chunk.offsets.to_numpy()[:-1].tolist()]


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if is_word(column.type) else column


def _as_built(name: str, column: pa.ChunkedArray, feature: object) -> pa.ChunkedArray:
    """A label column as a build writes it: words of classes, its own type, nothing absent."""
    if isinstance(feature, ClassLabel):
        codes = column.combine_chunks()
        column = pa.chunked_array([pa.array(feature.names, pa.string()).take(codes.filter(codes.is_valid()))])
        if len(column) < len(codes):
            msg = f"column {name!r}: {len(codes) - len(column)} rows have no class"
            raise DataError(msg)
    field = _FIELDS.get(name)
    if field is None:
        return column
    try:
        column = column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        msg = f"column {name!r} is {column.type} and cannot be read as {field.type}: load the rows again ({error})"
        raise DataError(msg) from error
    if _ABSENT.get(name) is not None:
        return column.fill_null(pa.scalar(_ABSENT[name], field.type))
    if column.null_count and (name in _ABSENT or pa.types.is_integer(field.type)):
        msg = f"column {name!r}: {column.null_count} rows have no value"
        raise DataError(msg)
    return column


def _lying(dataset: Dataset, column: str) -> tuple[pa.ChunkedArray, Rows]:
    """A column in memory, and (n_rows,) the row of it that each row of a dataset is."""
    rows = _rows_of_table(dataset)
    if rows is None:
        return _gathered(dataset, [column]).column(column), np.arange(dataset.num_rows)
    return dataset.data.column(column), rows


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
