"""MATLAB files: what scipy reads is read alike, and what is damaged is an error, where scipy would crash."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.io import loadmat, savemat
from scipy.sparse import csc_array, issparse

from nsd_imagery.errors import DataError
from nsd_imagery.sources.matlab import read_variable

SHAPES = arrays.array_shapes(min_dims=2, max_dims=3, max_side=5)
DTYPES = st.sampled_from("float64 float32 int8 uint8 int16 uint16 int32 uint32 int64 uint64".split())
NUMBERS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES))
WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), min_size=1, max_size=30)
SPARSE = arrays.arrays("float64", arrays.array_shapes(min_dims=2, max_dims=2, max_side=6), fill=st.just(0)).map(
    csc_array
)
VALUES = NUMBERS | WORDS | SPARSE


def cell(values: list[Any]) -> np.ndarray:
    cells = np.empty((len(values), 1), object)
    cells[:, 0] = values
    return cells


def alike(mine: np.ndarray, theirs: Any) -> bool:
    theirs = theirs.toarray() if issparse(theirs) else theirs
    if mine.dtype == object:
        return mine.shape == theirs.shape and all(map(alike, mine.flat, theirs.flat))
    if mine.dtype.kind == "U":
        return mine.tolist() == theirs.tolist()
    return mine.shape == theirs.shape and mine.dtype == theirs.dtype and np.array_equal(mine, theirs, equal_nan=True)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matlab") / "file.mat"


@pytest.mark.filterwarnings("ignore:The default value for `spmatrix`:DeprecationWarning")  # scipy 1.18
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    value=VALUES | st.lists(VALUES | st.lists(NUMBERS | WORDS, max_size=2).map(cell), max_size=4).map(cell),
    packed=st.booleans(),
)
def test_what_scipy_writes_is_read_as_scipy_reads_it(file: Path, value: Any, packed: bool) -> None:
    savemat(file, {"other": np.eye(2), "value": value, "last": "text"}, do_compression=packed)
    assert alike(read_variable(file, "value"), loadmat(file)["value"])


def test_empty_text_and_rows_of_text(file: Path) -> None:
    savemat(file, {"value": np.array(["one", "three"]), "empty": ""})
    assert read_variable(file, "value").tolist() == ["one  ", "three"]
    assert read_variable(file, "empty").size == 0


def test_a_logical_sparse_matrix_has_ones(file: Path) -> None:
    full = np.arange(12).reshape(3, 4) % 5 == 1
    savemat(file, {"value": csc_array(full)})
    np.testing.assert_array_equal(read_variable(file, "value"), full)


@pytest.mark.parametrize("kind", [0, 8, 11, 0x7F, 0xFF])
def test_a_type_that_there_is_not_is_an_error(file: Path, kind: int) -> None:
    savemat(file, {"value": np.arange(5.0)})
    contents = bytearray(file.read_bytes())
    contents[contents.index(b"\x09\0\0\0\x28\0\0\0")] = kind
    file.write_bytes(contents)
    with pytest.raises(DataError, match=f"file.mat: is not a sound MATLAB file .*type {kind} "):
        read_variable(file, "value")


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "is not a small MATLAB file of version 5 to 7"),
        (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM", "is not a small MATLAB file of version 5 to 7"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM", "has no variable 'value'"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0e\0\0\0\xff\0\0\0", "is cut short"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + b"\x0f\0\0\0\x04\0\0\0abcd", "not a sound MATLAB file"),
    ],
)
def test_what_is_no_such_file_is_named(file: Path, contents: bytes, words: str) -> None:
    file.write_bytes(contents)
    with pytest.raises(DataError, match=words):
        read_variable(file, "value")
