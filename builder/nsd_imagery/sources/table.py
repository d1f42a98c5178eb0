"""Text tables line by line: fields by column, as numbers where they must be, and errors that name line and value."""

import csv
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TextIO

from nsd_imagery.errors import DataError, MissingDataError, shown
from nsd_imagery.links import refuse_without_content, without_content

ABSENT = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
        "NULL", "NaN", "None", "n/a", "nan", "null",
    )
)  # fmt: skip
"""How tables spell that a value is absent: what pandas reads as such unless it is told otherwise."""

_MOST = 2**31 - 1
"""Columns of whole numbers are int32."""

_WHOLE = re.compile(r"[+-]?[0-9]{1,12}(\.0*)?")
"""A whole number, also as a float column has it; 7.3e4 has lost digits, or is of another column."""

_DELIMITERS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def _is_utf8(text: str) -> bool:
    """Whether no byte of a text had to be escaped when it was read."""
    return text.isascii() or not any("\udc80" <= letter <= "\udcff" for letter in text)


_INDEX = re.compile(r"(Unnamed: \d+)?")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Attributes:
        path: The file.
        number: Number of the line, 1-based, as editors count.
        fields: Text by column.
    """

    path: Path
    number: int
    fields: dict[str, str]

    def error(self, column: str, why: str) -> DataError:
        """An error that names file, line, column and value."""
        return DataError(f"{self.path}, line {self.number}: {column} is {shown(self.fields.get(column, ''))}, {why}")

    def text(self, column: str) -> str | None:
        """The field without blanks around it; None where it is absent (`ABSENT`) or the table has no such column."""
        text = self.fields.get(column, "").strip()
        if not _is_utf8(text):
            raise self.error(column, "which is not UTF-8: save the table again as UTF-8")
        return None if text in ABSENT else text

    def decimal(self, column: str) -> float | None:
        """A number; None where it is absent."""
        text = self.text(column)
        if text is None:
            return None
        try:
            # Python would also read 1_0, and the digits of other scripts.
            value = float(text if text.isascii() and "_" not in text else "")
        except ValueError:
            raise self.error(column, "not a number") from None
        if math.isinf(value):
            raise self.error(column, "not a finite number")
        return None if math.isnan(value) else value

    def whole(self, column: str) -> int | None:
        """A whole number, also where it is written as 3.0, but not as 3e0; None where it is absent."""
        text = self.text(column)
        if text is not None and _WHOLE.fullmatch(text):
            value = int(text.partition(".")[0])
            if abs(value) <= _MOST:
                return value
        elif text is None or self.decimal(column) is None:
            return None
        raise self.error(column, "not a whole number")

    def required(self, column: str) -> int:
        """A whole number that must be there."""
        value = self.whole(column)
        if value is None:
            raise self.error(column, "but must have a value")
        return value

    def flag(self, column: str) -> bool | None:
        """True or False, also as 1 and 0; None where it is absent."""
        text = self.text(column)
        if text is None:
            return None
        if text.lower() not in _FLAGS:
            raise self.error(column, "not True or False")
        return _FLAGS[text.lower()]

    def letter(self, column: str) -> str:
        """A cue letter."""
        text = self.text(column) or ""
        if len(text) != 1 or not text.isascii() or not text.isupper():
            raise self.error(column, "not a cue letter")
        return text


_FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def read_lines(path: Path, delimiter: str, required: Sequence[str], what: str) -> list[Line]:
    """The lines of a table whose first line names the columns; blank lines are passed over.

    Fields may stand in double quotes. An index that was saved along is left out: columns without a name, pandas'
    `Unnamed: 0`, and the row names of R's write.table, for which the first line has no field.

    Args:
        path: A UTF-8 text file.
        delimiter: Between the fields.
        required: Columns that must be there.
        what: What the file should be, for messages.

    Raises:
        MissingDataError: It is a link without content.
        DataError: Not such a table: a column is missing or twice, a line is too short or too long.
    """
    header, *rows = read_rows(path, delimiter, required, what)
    named = [at for at, name in enumerate(header.fields) if not _INDEX.fullmatch(name)]
    return [Line(path, row.number, {header.fields[at]: row.fields[at] for at in named}) for row in rows]


class Row(NamedTuple):
    """The number of a line, 1-based, and its fields."""

    number: int
    fields: list[str]


def read_rows(path: Path, delimiter: str, required: Sequence[str], what: str) -> Iterator[Row]:
    """The names of the columns, then the other lines, each with as many fields; see `read_lines`."""
    with _opened(path, what) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = _named(path, next(reader, []), delimiter, required, what)
        yield Row(1, header)
        rows = (row for row in reader if any(field.strip() for field in row))
        has_row_names = False
        for number, row in enumerate(rows, start=1):
            if number == 1:
                has_row_names = len(row) == len(header) + 1 and row[0] == "1"
            fields = row[1:] if has_row_names and row[0] == str(number) else row
            if len(fields) != len(header):
                msg = f"{path}, line {reader.line_num}: has {len(fields)} fields, line 1 has {len(header)}"
                raise DataError(msg)
            yield Row(reader.line_num, fields)


@contextmanager
def _opened(path: Path, what: str) -> Iterator[TextIO]:
    refuse_without_content(path)
    # In a column that nobody reads, any bytes may stand; see `Line.text`.
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
    except csv.Error as error:
        msg = f"{path}: is not a text table of {what} ({error})"
        raise DataError(msg) from error


def _named(path: Path, first: list[str], delimiter: str, required: Sequence[str], what: str) -> list[str]:
    if not all(map(_is_utf8, first)):
        msg = f"{path}, line 1: is not UTF-8, but must name the columns of {what}; save it again as UTF-8"
        raise DataError(msg)
    header = [name.strip() for name in first]
    missing = [column for column in required if column not in header]
    text = delimiter.join(header)
    if missing or len(header) == 1:
        for other, name in _DELIMITERS.items():
            if text.count(other) > text.count(delimiter):
                msg = f"{path}: has {name} between its fields, not {_DELIMITERS[delimiter]}; save it again with these"
                raise DataError(msg)
    twice = sorted({name for name in header if header.count(name) > 1 and not _INDEX.fullmatch(name)})
    if missing or twice:
        fault = f"missing: {', '.join(missing)}" if missing else f"twice: {shown(twice[0])}"
        msg = f"{path}: has not the columns of {what} ({fault}; line 1: {text[:60]!r})"
        raise DataError(msg)
    return header


def named_file(root: Path, line: Line, column: str, text: str) -> Path:
    """The file in the root that a field of a table names, relative to the root and with /.

    What the table says may not lead out of the root; links there are the user's own, and lead where they lead.

    Raises:
        DataError: The path is absolute, has "..", or is no regular file.
        MissingDataError: There is no such file, or only a link without content.
    """
    relative = PurePosixPath(text)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in text:
        raise line.error(column, "but must be a path inside the root, relative to it")
    where = f"{line.path}, line {line.number}: {column} is {shown(text)}"
    path = root / os.fsdecode(str(relative).encode())  # tables are UTF-8 whatever this locale calls letters
    if said := without_content(path):
        raise MissingDataError(f"{where}; {said}")
    try:
        mode = path.stat().st_mode
    except OSError:
        msg = f"{where}, but {root} has no such file: copy it there"
        raise MissingDataError(msg) from None
    if not stat.S_ISREG(mode):
        raise line.error(column, "which is no regular file")
    return path
