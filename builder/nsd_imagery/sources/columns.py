"""Columns of NSD's two large tables as arrays: by Arrow where a table is as the release has it, else line by line."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from nsd_imagery.errors import DataError
from nsd_imagery.sources.table import ABSENT, Line, Row, read_rows

_BLOCK = 1 << 20
"""Blocks of a whole file at once, one a thread, would be the peak of a small build's memory."""

_EXACT = 1e5
"""A number that is smaller may stand as 1.0 in a column that has absent values; above, programs write 1e5."""


@dataclass(frozen=True)
class Kind:
    """What a column holds.

    Attributes:
        arrow: Its type where the table is as the release has it.
        numpy: Of the array; float64, in which NaN is absent, for a column whose values may be.
        of_line: Reads one field, or raises DataError.
    """

    arrow: pa.DataType
    numpy: type
    of_line: Callable[[Line, str], Any]

    def is_as_released(self, values: pa.ChunkedArray) -> bool:
        """Whether `of_line` would read the same: nothing that must be there is absent, nothing infinite or 12.5."""
        if self.numpy is not np.float64:
            return values.null_count == 0
        numbers = values.drop_null().to_numpy()
        if self is WHOLE_OR_ABSENT:
            return bool((np.abs(numbers) < _EXACT).all() and (numbers == np.floor(numbers)).all())
        return bool(np.isfinite(numbers).all())


def _flag(line: Line, column: str) -> bool:
    value = line.flag(column)
    if value is None:
        raise line.error(column, "but must have a value")
    return value


WHOLE: Final = Kind(pa.int64(), np.int64, Line.required)
WHOLE_OR_ABSENT: Final = Kind(pa.float64(), np.float64, Line.whole)
DECIMAL_OR_ABSENT: Final = Kind(pa.float64(), np.float64, Line.decimal)
FLAG: Final = Kind(pa.bool_(), np.bool_, _flag)

Columns = dict[str, NDArray[Any]]


def read_columns(path: Path, delimiter: str, kinds: Mapping[str, Kind], what: str) -> tuple[Columns, NDArray[np.int64]]:
    """Some columns of a table; see `table.read_lines`.

    Args:
        path: A UTF-8 text file.
        delimiter: Between the fields.
        kinds: What each column holds that is to be read.
        what: What the file should be, for messages.

    Returns:
        Each column, (n_lines,), and the number of each line in the file, 1-based.

    Raises:
        DataError: Not such a table, or a value cannot be; names line, column and value.
    """
    rows = read_rows(path, delimiter, list(kinds), what)
    header = next(rows).fields
    table = _as_released(path, delimiter, header, kinds)
    if table is not None:
        columns = {name: table[name].to_numpy().astype(kind.numpy, copy=False) for name, kind in kinds.items()}
        return columns, np.arange(len(table)) + 2
    return _by_line(path, header, rows, kinds)


def _by_line(
    path: Path, header: list[str], rows: Iterator[Row], kinds: Mapping[str, Kind]
) -> tuple[Columns, NDArray[np.int64]]:
    needed = itemgetter(*(header.index(name) for name in kinds))
    numbers, fields = [], []
    for row in rows:
        numbers.append(row.number)
        fields.append(needed(row.fields))
    texts = dict(zip(kinds, zip(*fields, strict=True), strict=True)) if fields else dict.fromkeys(kinds, ())
    columns = {name: _column(path, name, kind, texts[name], numbers) for name, kind in kinds.items()}
    return columns, np.array(numbers, np.int64)


def _column(path: Path, name: str, kind: Kind, texts: tuple[str, ...], numbers: list[int]) -> NDArray[Any]:
    """A column by Arrow where nothing in it is unusual; else each text by the reader of fields, once."""
    with suppress(pa.ArrowInvalid, UnicodeEncodeError):
        values = pa.chunked_array([pa.array(texts, pa.string())]).cast(kind.arrow)
        if kind.is_as_released(values):
            return values.to_numpy().astype(kind.numpy, copy=False)
    known: dict[str, Any] = {}
    for text in dict.fromkeys(texts):
        try:
            known[text] = kind.of_line(Line(path, 0, {name: text}), name)
        except DataError:  # again, with the number of the line, which takes a while to find
            known[text] = kind.of_line(Line(path, numbers[texts.index(text)], {name: text}), name)
    return np.array([known[text] for text in texts], kind.numpy)


def _as_released(path: Path, delimiter: str, header: list[str], kinds: Mapping[str, Kind]) -> pa.Table | None:
    """The table by Arrow, ten times faster than line by line; None where it is not as Arrow's types have it."""
    try:
        table = csv.read_csv(
            pa.OSFile(os.fsencode(path)),  # a path as text must be UTF-8 for pyarrow
            # A column without a name, or one that is not read and comes twice, needs a name of its own.
            read_options=csv.ReadOptions(
                use_threads=False,
                block_size=_BLOCK,
                skip_rows=1,
                column_names=[name if name in kinds else f"column {at}" for at, name in enumerate(header)],
            ),
            parse_options=csv.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types={name: kind.arrow for name, kind in kinds.items()},
                include_columns=list(kinds),
                null_values=sorted(ABSENT),
            ),
        )
    except pa.ArrowInvalid:
        return None
    return table if all(kind.is_as_released(table[name]) for name, kind in kinds.items()) else None
