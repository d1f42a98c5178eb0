"""Predictions of anybody's model, as a table: a vector a trial or a stimulus, of any feature space."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray
from pyarrow import csv

from nsd_imagery.embeddings import KINDS, read_embeddings
from nsd_imagery.errors import DataError, MissingDataError, UsageError, reason, shown
from nsd_imagery.evaluation.transfer.space import Space
from nsd_imagery.evaluation.transfer.tested import TESTS
from nsd_imagery.rows.vectors import has_vectors, is_number, is_word
from nsd_imagery.spelling import subject_of

CONDITIONS: Final = ("perception", *TESTS)
VECTOR: Final = "vector"

_LEAST: Final = float(np.finfo(np.float32).tiny)
_LARGEST: Final = float(np.finfo(np.float32).max)
"""Of a vector's numbers: of other ones the squares, by which vectors are compared, are 0 or not finite."""

Key = int | tuple[str, str]
"""A trial_id, or condition and stimulus."""

_HOW: Final = "columns are subject, trial_id (or stimulus and condition, for averages), and vector, or v0, v1 and so on"


@dataclass(frozen=True, eq=False)
class Predictions:
    """Vectors by trial, or by condition and stimulus.

    Attributes:
        path: Where they come from.
        subject: (n,) "subj01" to "subj08".
        by_trial: Whether rows are trials, and not averages.
        keys: (n,) the trial_id of each; of an average condition ("perception", "vision", "imagery") and stimulus.
        vectors: (n, d) float64.
        is_csv: Whether rows are lines of text.
    """

    path: Path
    subject: tuple[str, ...]
    by_trial: bool
    keys: tuple[Key, ...]
    vectors: NDArray[np.float64]
    is_csv: bool

    @property
    def subjects(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(self.subject))

    def at(self, row: int) -> str:
        """What a message calls a row, from 0."""
        return _at(self.path, row, self.is_csv)


def read_predictions(path: Path | str) -> Predictions:
    """Read a table of predictions, .parquet or .csv.

    Its columns are `subject`, `trial_id` (or, of averages, `stimulus` and `condition`), and `vector`, a list of
    numbers, or a column a number, `v0`, `v1` and so on. Nothing is unpickled: of a checkpoint, export what the model
    predicts.

    Raises:
        MissingDataError: There is no such file.
        UsageError: It is neither Parquet nor CSV.
        DataError: A column is not there, a value is absent or cannot be meant, a vector is of another length, has
            numbers that are not finite or is 0 throughout, or a row is there twice: names the row.
    """
    place = Path(path).expanduser()
    table, is_csv = _table(place)
    names = table.column_names
    by_trial = "trial_id" in names
    needed = ("subject", "trial_id") if by_trial else ("subject", "stimulus", "condition")
    lacking = [name for name in needed if name not in names]
    if lacking or (by_trial and "stimulus" in names and "condition" in names):
        what = f"has no column {', '.join(lacking)}" if lacking else "is by trial_id and by stimulus"
        msg = f"{place}: {what}: {_HOW}"
        raise DataError(msg)
    vectors = _vectors(place, table, is_csv)
    subject = tuple(_subjects(place, _words(place, table, "subject", is_csv), is_csv))
    keys = tuple(_numbers(place, table, is_csv) if by_trial else _averages(place, table, is_csv))
    _refuse_twice(place, subject, keys, is_csv)
    return Predictions(place, subject, by_trial, keys, vectors, is_csv)


def read_targets(path: Path | str) -> Space:
    """Read the candidates of predictions: a file of embeddings, or a table of `stimulus` and `vector` (or v0, v1...).

    A table may say the `kind` of each vector, "image" or "text" (for the words of set C); default image.

    Raises:
        MissingDataError: There is no such file.
        UsageError: It is neither Parquet nor CSV.
        DataError: As of `read_predictions`.
    """
    place = Path(path).expanduser()
    table, is_csv = _table(place)
    if "embedding" in table.column_names:
        maker, rows = read_embeddings(place)
        vectors = {kind: {name: row.vector for (of, name), row in rows.items() if of == kind} for kind in KINDS}
        return Space(vectors["image"], vectors["text"], maker.digest)
    if "stimulus" not in table.column_names:
        msg = f"{place}: has no column stimulus: columns of targets are stimulus, vector (or v0, v1...), and kind"
        raise DataError(msg)
    values, stimuli = _vectors(place, table, is_csv), _words(place, table, "stimulus", is_csv)
    has_kinds = "kind" in table.column_names
    kinds = _words(place, table, "kind", is_csv) if has_kinds else ["image"] * len(stimuli)
    for row, kind in enumerate(kinds):
        if kind not in KINDS:
            msg = f"{_at(place, row, is_csv)}: kind {shown(kind)} is none of {', '.join(KINDS)}"
            raise DataError(msg)
    _refuse_twice(place, [f"kind {kind}" for kind in kinds], stimuli, is_csv)
    of_kind = {
        kind: {name: vector for name, vector, of in zip(stimuli, values, kinds, strict=True) if of == kind}
        for kind in KINDS
    }
    return Space(of_kind["image"], of_kind["text"], xxhash.xxh3_128_hexdigest(values.tobytes()))


def _table(path: Path) -> tuple[pa.Table, bool]:
    is_csv = path.suffix.lower() == ".csv"
    if not is_csv and path.suffix.lower() != ".parquet":
        msg = (
            f"{path}: predictions are a .parquet or .csv file; of a checkpoint of torch, which is a pickle and is not "
            f"opened, export what the model predicts: {_HOW}"
        )
        raise UsageError(msg)
    try:
        table = csv.read_csv(path) if is_csv else pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        msg = f"{path}: no such file"
        raise MissingDataError(msg) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        msg = f"{path}: is no table of predictions ({reason(error)}): {_HOW}"
        raise DataError(msg) from error
    if len(set(table.column_names)) < table.num_columns or not table.num_rows:
        msg = f"{path}: {'has no rows' if not table.num_rows else 'has a column twice'}: {_HOW}"
        raise DataError(msg)
    return table, is_csv


def _at(path: Path, row: int, is_csv: bool) -> str:
    return f"{path}: row {row + 1}" + (f" (line {row + 2})" if is_csv else "")


def _absent(path: Path, column: pa.ChunkedArray, name: str, is_csv: bool) -> None:
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        msg = f"{_at(path, row, is_csv)}: {name} is absent"
        raise DataError(msg)


def _words(path: Path, table: pa.Table, name: str, is_csv: bool) -> list[str]:
    column = table[name]
    _absent(path, column, name, is_csv)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (is_word(column.type) or (name == "subject" and pa.types.is_integer(column.type))):
        msg = f"{path}: {name} is {column.type}, not words"
        raise DataError(msg)
    return [str(value) for value in column.to_pylist()]


def _numbers(path: Path, table: pa.Table, is_csv: bool) -> list[int]:
    column = table["trial_id"]
    _absent(path, column, "trial_id", is_csv)
    if not pa.types.is_integer(column.type):
        msg = f"{path}: trial_id is {column.type}, not whole numbers; write the trial_id of the dataset's rows"
        raise DataError(msg)
    return column.to_pylist()


def _averages(path: Path, table: pa.Table, is_csv: bool) -> list[tuple[str, str]]:
    conditions, stimuli = (_words(path, table, name, is_csv) for name in ("condition", "stimulus"))
    for row, name in enumerate(conditions):
        if name not in CONDITIONS:
            msg = f"{_at(path, row, is_csv)}: condition {shown(name)} is none of {', '.join(CONDITIONS)}"
            raise DataError(msg)
    return list(zip(conditions, stimuli, strict=True))


def _subjects(path: Path, said: Sequence[str], is_csv: bool) -> list[str]:
    found: list[str] = []
    for row, word in enumerate(said):
        try:
            found.append(subject_of(word))
        except UsageError as error:
            msg = f"{_at(path, row, is_csv)}: {error}"
            raise DataError(msg) from error
    return found


def _vectors(path: Path, table: pa.Table, is_csv: bool) -> NDArray[np.float64]:
    """(n, d), all finite in float32, none 0 throughout."""
    numbered = [name for name in table.column_names if name[:1] == "v" and name[1:].isdecimal()]
    if (VECTOR in table.column_names) == bool(numbered):
        msg = f"{path}: has {'both' if numbered else 'neither'} vector {'and' if numbered else 'nor'} v0: {_HOW}"
        raise DataError(msg)
    values = _numbered(path, table, numbered, is_csv) if numbered else _listed(path, table, is_csv)
    size = np.abs(values)
    faults = (
        (~np.isfinite(size).all(axis=1), "has numbers that are not finite"),
        ((size > _LARGEST).any(axis=1), "has numbers that float32 cannot hold"),
        ((size < _LEAST).all(axis=1), "is 0 throughout"),
    )
    for wrong, what in faults:
        if wrong.any():
            msg = f"{_at(path, int(np.flatnonzero(wrong)[0]), is_csv)}: its vector {what}"
            raise DataError(msg)
    return values


def _numbered(path: Path, table: pa.Table, numbered: Sequence[str], is_csv: bool) -> NDArray[np.float64]:
    names = [f"v{number}" for number in range(len(numbered))]
    if set(names) != set(numbered):
        msg = f"{path}: has {len(numbered)} columns of numbers, which are not v0 to v{len(numbered) - 1}"
        raise DataError(msg)
    for name in names:
        _absent(path, table[name], name, is_csv)
        if not is_number(table[name].type):
            msg = f"{path}: {name} is {table[name].type}, not numbers"
            raise DataError(msg)
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)


def _listed(path: Path, table: pa.Table, is_csv: bool) -> NDArray[np.float64]:
    column = table[VECTOR]
    _absent(path, column, VECTOR, is_csv)
    if not has_vectors(column.type):
        msg = f"{path}: vector is {column.type}, not lists of numbers; in a CSV write v0, v1 and so on"
        raise DataError(msg)
    lengths = pc.call_function("list_value_length", [column]).to_numpy()
    length = int(lengths[0])
    if (wrong := np.flatnonzero((lengths != length) | (lengths == 0))).size:
        row = int(wrong[0])
        msg = f"{_at(path, row, is_csv)}: its vector has {lengths[row]} numbers, that of row 1 {length}"
        raise DataError(msg)
    numbers = pc.call_function("list_flatten", [column])
    if numbers.null_count:
        row = int(np.flatnonzero(numbers.is_null().to_numpy())[0]) // length
        msg = f"{_at(path, row, is_csv)}: a number of its vector is absent"
        raise DataError(msg)
    return numbers.to_numpy().astype(np.float64).reshape(len(lengths), length)


def _refuse_twice(path: Path, whose: Sequence[str], keys: Sequence[Key | str], is_csv: bool) -> None:
    first: dict[tuple[str, Key | str], int] = {}
    for row, of in enumerate(zip(whose, keys, strict=True)):
        if of in first:
            msg = f"{_at(path, row, is_csv)}: {named(of[1])} of {of[0]} is in row {first[of] + 1} already"
            raise DataError(msg)
        first[of] = row


def named(key: Key | str) -> str:
    """What a message calls the key of a row, or a stimulus."""
    if isinstance(key, str):
        return shown(key)
    return f"trial_id {key}" if isinstance(key, int) else f"{shown(key[1])} in {key[0]}"
