"""Variables of MATLAB files of version 5 (and 7: compressed): cells, numbers, text and sparse matrices.

`scipy.io.loadmat` takes types and lengths as a file says them, and reads beyond its memory where they are wrong: one
flipped byte can end the process. Here each is checked against what is there, so that a damaged file is an error.
"""

import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError

_HEADER_BYTES = 128
_VERSION = 1
"""The high byte of version 5 to 7; 7.3 has 2 and is HDF5."""

_MOST_BYTES = 1 << 25
"""Of a file, and of a variable when inflated; the design files of the release have a few megabytes at most."""

_MOST_VALUES, _MOST_CELLS, _MOST_SPARSE = 1 << 21, 64, 1 << 18
"""Of a matrix, of an array of cells, and of a sparse matrix with its zeros, whose size nothing in the file bounds."""

_DEEPEST = 2
"""Cells within the cells of a variable."""

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of elements that hold numbers."""

_TEXT = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
"""Types of elements that hold characters."""

_CELL, _CHAR, _SPARSE = 1, 4, 5
_NUMERIC = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Classes of matrices of numbers, which may be stored as a smaller type."""

_LOGICAL, _COMPLEX = 0x200, 0x800


class _DamageError(Exception):
    """What is wrong with the file, without its name; becomes a DataError."""


@dataclass(frozen=True, eq=False)
class _Element:
    """A piece of the file: its type, its bytes, and the byte order "<" or ">" of the file."""

    type: int
    data: memoryview
    order: str

    def parts(self) -> Iterator["_Element"]:
        """The elements that this one consists of, one after the other."""
        at = 0
        while at + 8 <= len(self.data):
            kind, n_bytes = np.frombuffer(self.data[at : at + 8], f"{self.order}u4").tolist()
            start, end = at + 8, at + 8 + n_bytes
            if kind >> 16:  # up to four bytes, within the eight of the tag
                kind, n_bytes = kind & 0xFFFF, kind >> 16
                start, end = at + 4, at + 4 + n_bytes
                _check(n_bytes <= 4, f"an element has {n_bytes} bytes in the place of 4")
            _check(end <= len(self.data), "it is cut short")
            yield _Element(kind, self.data[start:end], self.order)
            at = end if kind == _COMPRESSED else end + -end % 8

    def numbers(self) -> NDArray[Any]:
        """The numbers that it holds."""
        kind = _NUMBERS.get(self.type, "")
        _check(
            kind != "" and len(self.data) % int(kind[1]) == 0,
            f"an element of type {self.type} with {len(self.data)} bytes holds no numbers",
        )
        return np.frombuffer(self.data, self.order + kind)

    def whole_numbers(self) -> NDArray[Any]:
        """The numbers that it holds, if they are whole ones."""
        numbers = self.numbers()
        _check(numbers.dtype.kind in "iu", "an element holds fractions in the place of whole numbers")
        return numbers


@dataclass(frozen=True, eq=False)
class _Matrix:
    """A matrix: its name, its class with its flags, its shape, and the elements that hold its values."""

    name: str
    flags: int
    shape: tuple[int, ...]
    parts: tuple[_Element, ...]

    @property
    def kind(self) -> int:
        return self.flags & 0xFF

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def read_variable(path: Path, name: str) -> NDArray[Any]:
    """A variable of a MATLAB file; see `read_variables`."""
    return read_variables(path, (name,))[name]


def read_variables(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Variables of a MATLAB file: cells as an array of objects, text as one string a row, else numbers.

    Raises:
        DataError: The file is damaged, of another version, or lacks one of them.
    """
    with path.open("rb") as file:
        contents = file.read(_MOST_BYTES + 1)
    order = {b"IM": "<", b"MI": ">"}.get(contents[126:_HEADER_BYTES])
    if order is None or contents[125 if order == "<" else 124] != _VERSION or len(contents) > _MOST_BYTES:
        msg = f"{path}: is not a small MATLAB file of version 5 to 7 (it starts with {contents[:20]!r})"
        raise DataError(msg)
    found: dict[str, NDArray[Any]] = {}
    try:
        for element in _Element(0, memoryview(contents)[_HEADER_BYTES:], order).parts():
            matrix = _matrix(element)
            if matrix.name in names and matrix.name not in found:
                found[matrix.name] = _values(matrix)
            if len(found) == len(names):
                return found
    except (_DamageError, zlib.error) as error:
        msg = f"{path}: is not a sound MATLAB file ({error}): copy the file again"
        raise DataError(msg) from error
    missing = next(name for name in names if name not in found)
    msg = f"{path}: has no variable {missing!r}"
    raise DataError(msg)


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _DamageError(otherwise)


def _matrix(element: _Element) -> _Matrix:
    if element.type == _COMPRESSED:
        parts = tuple(_Element(0, _inflate(element.data), element.order).parts())
        _check(len(parts) == 1, f"its compressed data holds {len(parts)} elements in the place of one")
        (element,) = parts
    _check(element.type == _MATRIX, f"an element of type {element.type} is in the place of a matrix")
    if not len(element.data):  # how MATLAB writes an empty cell
        return _Matrix("", 6, (0, 0), ())
    flags, shape, name, *parts = _at_least(3, element.parts())
    _check(len(flags.data) == 8, "a matrix has no flags")
    dimensions = tuple(shape.whole_numbers().tolist())
    _check(2 <= len(dimensions) <= 8 and min(dimensions) >= 0, f"a matrix has the shape {dimensions[:8]}")
    said = int(np.frombuffer(flags.data, f"{element.order}u4")[0])
    return _Matrix(bytes(name.data).decode("latin-1"), said, dimensions, tuple(parts))


def _at_least(number: int, parts: Iterator[_Element]) -> tuple[_Element, ...]:
    found = tuple(parts)
    _check(len(found) >= number, f"a matrix has {len(found)} parts, not {number}")
    return found


def _values(matrix: _Matrix, depth: int = 0) -> NDArray[Any]:
    _check(matrix.size <= _MOST_VALUES, f"a matrix has the shape {matrix.shape}")
    _check(not matrix.flags & _COMPLEX, "a matrix is complex")
    if matrix.kind == _CELL and depth <= _DEEPEST:
        return _cells(matrix, depth)
    if matrix.kind == _CHAR:
        return _text(matrix)
    if matrix.kind == _SPARSE and depth <= 1:
        return _sparse(matrix)
    _check(matrix.kind in _NUMERIC, f"a matrix is of class {matrix.kind}, not of cells, text or numbers")
    values = matrix.parts[0].numbers() if matrix.parts else np.empty(0)
    _check(len(values) == matrix.size, f"a matrix of shape {matrix.shape} has {len(values)} numbers")
    return values.astype(_NUMERIC[matrix.kind]).reshape(matrix.shape, order="F")


def _cells(matrix: _Matrix, depth: int) -> NDArray[np.object_]:
    _check(
        len(matrix.parts) == matrix.size <= _MOST_CELLS,
        f"an array of shape {matrix.shape} has {len(matrix.parts)} cells; the most are {_MOST_CELLS}",
    )
    cells = np.empty(matrix.size, object)
    for at, part in enumerate(matrix.parts):
        cells[at] = _values(_matrix(part), depth + 1)
    return cells.reshape(matrix.shape, order="F")


def _text(matrix: _Matrix) -> NDArray[np.str_]:
    """One string a row; letters are stored column by column."""
    letters = _letters(matrix.parts[0]) if matrix.parts else ""
    _check(len(letters) == matrix.size, f"a text of shape {matrix.shape} has {len(letters)} letters")
    n_rows = matrix.shape[0] if matrix.size else 0
    return np.array([letters[row::n_rows] for row in range(n_rows)], np.str_)


def _letters(element: _Element) -> str:
    codec = _TEXT.get(element.type)
    if codec is None:
        msg = f"an element of type {element.type} holds no text"
        raise _DamageError(msg)
    if codec in ("utf-16", "utf-32"):
        codec += {"<": "-le", ">": "-be"}[element.order]
    try:
        return bytes(element.data).decode(codec)
    except UnicodeDecodeError as error:
        msg = f"a text cannot be read: {error}"
        raise _DamageError(msg) from error


def _sparse(matrix: _Matrix) -> NDArray[np.float64]:
    """A sparse matrix, filled up with zeros: the row of each value, where each column starts, the values."""
    n_rows, n_columns = matrix.shape[0], math.prod(matrix.shape[1:])
    _check(len(matrix.parts) == 3 and matrix.size <= _MOST_SPARSE, f"a sparse matrix has the shape {matrix.shape}")
    rows, starts = (part.whole_numbers() for part in matrix.parts[:2])
    # MATLAB calls the values of a logical one doubles, and writes bytes; they are all true.
    values = np.ones(len(rows)) if matrix.flags & _LOGICAL else matrix.parts[2].numbers()
    counts = np.diff(starts.astype(np.int64))
    _check(
        len(counts) == n_columns and bool((counts >= 0).all()) and starts[0] == 0,
        "the columns of a sparse matrix overlap",
    )
    n_values = int(counts.sum())
    _check(n_values <= min(len(rows), len(values)), "a sparse matrix lacks values")
    rows, values = rows[:n_values].astype(np.int64), values[:n_values]
    _check(bool(((rows >= 0) & (rows < n_rows)).all()), "a sparse matrix has values in rows that it has not")
    full = np.zeros((n_rows, n_columns))
    full[rows, np.repeat(np.arange(n_columns), counts)] = values
    return full


def _inflate(data: memoryview) -> memoryview:
    inflater = zlib.decompressobj()
    inflated = inflater.decompress(data, _MOST_BYTES)
    _check(inflater.eof, "its compressed data is cut short, or far too long")  # the checksum stands at the end
    return memoryview(inflated)
