"""Text tables line by line: fields by column, as numbers where they must be, and errors that name line and value."""

import csv
import math
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nsd_imagery.errors import DataError, MissingDataError, shown
from nsd_imagery.links import refuse_without_content, without_content

_MOST = 2**31 - 1
"""Columns of whole numbers are int32."""


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
        """The field without blanks around it; None where it is blank or the table has no such column."""
        return self.fields.get(column, "").strip() or None

    def decimal(self, column: str) -> float | None:
        """A number; None where it is blank or NaN."""
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
        """A whole number, also where it is written as 3.0; None where it is blank or NaN."""
        value = self.decimal(column)
        if value is not None and (value != int(value) or abs(value) > _MOST):
            raise self.error(column, "not a whole number")
        return None if value is None else int(value)

    def required(self, column: str) -> int:
        """A whole number that must be there."""
        value = self.whole(column)
        if value is None:
            raise self.error(column, "but must have a value")
        return value

    def flag(self, column: str) -> bool | None:
        """True or False, also as 1 and 0; None where it is blank."""
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


def read_lines(path: Path, delimiter: str, required: Sequence[str], what: str, *, quoted: bool = True) -> list[Line]:
    """The lines of a table whose first line names the columns; blank lines are passed over.

    Args:
        path: A UTF-8 text file.
        delimiter: Between the fields.
        required: Columns that must be there.
        what: What the file should be, for messages.
        quoted: Whether fields may stand in double quotes.

    Raises:
        MissingDataError: It is a link without content.
        DataError: Not such a table: a column is missing or twice, a line is too short or too long.
    """
    refuse_without_content(path)
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path}: is not a text table of {what} ({error})"
        raise DataError(msg) from error
    missing = [column for column in required if column not in header]
    if missing or len(set(header)) != len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        fault = f"missing: {', '.join(missing)}" if missing else f"twice: {shown(twice[0])}"
        msg = f"{path}: has not the columns of {what} ({fault}; line 1: {delimiter.join(header)[:60]!r})"
        raise DataError(msg)
    for number, row in rows:
        if len(row) != len(header):
            msg = f"{path}, line {number}: has {len(row)} fields, line 1 has {len(header)}"
            raise DataError(msg)
    return [Line(path, number, dict(zip(header, row, strict=True))) for number, row in rows]


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
