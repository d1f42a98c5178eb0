"""Rows that were in other hands say the same in other column types, and are taken as the rows that a build gave."""

import pickle
from collections.abc import Callable
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, List, Value, concatenate_datasets

import nsd_imagery
from nsd_imagery.errors import DataError, UsageError

pytestmark = pytest.mark.slow


def recast(rows: Dataset, cast: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> Dataset:
    columns = {name: cast(rows.data.column(name)) for name in rows.column_names}
    return Dataset(pa.table(columns))


def words_as(arrow_type: pa.DataType) -> Callable[[Dataset], Dataset]:
    return lambda rows: recast(rows, lambda one: one.cast(arrow_type) if pa.types.is_string(one.type) else one)


def vectors_as(arrow_type: pa.DataType) -> Callable[[Dataset], Dataset]:
    return lambda rows: recast(rows, lambda one: one.cast(arrow_type) if pa.types.is_fixed_size_list(one.type) else one)


def numbers_wider(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.float64()) if pa.types.is_int32(column.type) else column


def coded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.dictionary_encode() if pa.types.is_string(column.type) else column


def classes(rows: Dataset) -> Dataset:
    names = ("subject", "condition", "target", "stimulus", "epoch", "stimulus_set", "is_valid", "run_number", "nsd_id")
    return reduce(lambda left, name: left.class_encode_column(name), names, rows)


FORMS: dict[str, Callable[[Dataset], Dataset]] = {
    "pandas": lambda rows: Dataset.from_pandas(rows.to_pandas()),
    "a list": lambda rows: Dataset.from_list(rows.to_list()),
    "classes": classes,
    "large strings": words_as(pa.large_string()),
    "string views": words_as(pa.string_view()),
    "dictionaries": lambda rows: recast(rows, coded),
    "lists": vectors_as(pa.list_(pa.float32())),
    "large lists": vectors_as(pa.large_list(pa.float32())),
    "lists of float64": lambda rows: rows.cast_column("betas", List(Value("float64"))),
    "float64": lambda rows: rows.cast_column("betas", List(Value("float64"), length=rows.features["betas"].length)),
    "wider numbers": lambda rows: recast(rows, numbers_wider),
}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Dataset], Dataset]:
    return FORMS[request.param]


@pytest.fixture(scope="module")
def rows(dataset: Path) -> Dataset:
    """Of all conditions, some of which have an epoch."""
    return concatenate_datasets(
        [nsd_imagery.load(dataset, f"subj01-{condition}", "test") for condition in ("imagery", "attention")]
    )


@pytest.fixture(scope="module")
def voxels(dataset: Path) -> Dataset:
    return nsd_imagery.load(dataset, "subj01-voxels", "train")


def chosen(rows: Dataset) -> Dataset:
    return rows.shuffle(seed=1).select(range(200))


def test_averages_are_those_of_the_rows_as_built(rows: Dataset, form: Callable[[Dataset], Dataset]) -> None:
    for change in (chosen, lambda rows: rows):
        averages, expected = (nsd_imagery.average_repeats(change(one)) for one in (form(rows), rows))
        assert averages.features == expected.features
        assert averages.data.table.equals(expected.data.table)


def test_a_view_leaves_nothing_out_and_gives_the_same(rows: Dataset, form: Callable[[Dataset], Dataset]) -> None:
    other = chosen(form(rows))
    view, expected = nsd_imagery.torch_view(other), nsd_imagery.torch_view(chosen(rows))[:]
    for batch in (view[:], pickle.loads(pickle.dumps(view))[:]):
        assert list(batch) == list(expected)
        torch.testing.assert_close(batch["betas"].to(torch.float32), expected["betas"], rtol=0, atol=0)
        assert batch["cue"] == expected["cue"]
        for name in ("target", "is_valid", "nsd_id", "session"):
            given = batch[name]
            if hasattr(other.features[name], "names"):
                given = [other.features[name].int2str(int(number)) for number in given]
                assert given == [str(value.item() if hasattr(value, "item") else value) for value in expected[name]]
            else:
                assert list(given) == list(expected[name])


def test_restricted_rows_are_the_same_and_keep_their_types(
    rows: Dataset, voxels: Dataset, core_release: Path, form: Callable[[Dataset], Dataset]
) -> None:
    other = chosen(form(rows))
    restricted = nsd_imagery.restrict(other, voxels, "V1", root=core_release)
    expected = nsd_imagery.restrict(chosen(rows), voxels, "V1", root=core_release)
    assert restricted.voxels.data.table.equals(expected.voxels.data.table)
    assert restricted.dataset.features["betas"].length == expected.voxels.num_rows
    kept = {name: feature for name, feature in restricted.dataset.features.items() if name != "betas"}
    assert kept == {name: feature for name, feature in other.features.items() if name != "betas"}
    given, wanted = (one.dataset.with_format("numpy")[:]["betas"] for one in (restricted, expected))
    np.testing.assert_array_equal(given, wanted)


def test_a_preprocessor_learns_and_gives_the_same(
    rows: Dataset, voxels: Dataset, form: Callable[[Dataset], Dataset]
) -> None:
    def transformed(rows: Dataset, voxels: Dataset) -> np.ndarray:
        preprocessor = nsd_imagery.NSDPreprocessor(zscore="run", selection="ncsnr", n_voxels=40, pca=3)
        return preprocessor.fit(rows, voxels).transform(rows, voxels)

    other_voxels = Dataset.from_pandas(voxels.to_pandas())
    np.testing.assert_array_equal(transformed(form(rows), other_voxels), transformed(rows, voxels))


def test_voxels_may_have_been_in_other_hands_too(
    rows: Dataset, voxels: Dataset, core_release: Path, tmp_path: Path
) -> None:
    mask = next(core_release.rglob("nsdgeneral.nii.gz"))
    values = np.arange(voxels.num_rows, dtype=np.float32)
    image = nsd_imagery.to_nifti(values, voxels, mask).get_fdata()
    for form in ("pandas", "large strings", "dictionaries", "wider numbers"):
        other = FORMS[form](voxels)
        restricted = nsd_imagery.restrict(rows, other, "V1", root=core_release)
        assert restricted.voxels["column"][:] == list(range(restricted.voxels.num_rows))
        np.testing.assert_array_equal(nsd_imagery.to_nifti(values, other, mask).get_fdata(), image)
    with pytest.raises(DataError, match=r"voxels lack a column .*k.*: give the rows of -voxels"):
        nsd_imagery.to_nifti(values, voxels.remove_columns("k"), mask)
    with pytest.raises(UsageError, match="these rows have no column k"):
        nsd_imagery.restrict(rows, voxels.remove_columns("k"), "V1", root=core_release)


def ragged(rows: Dataset) -> Dataset:
    vectors = [[1.0, 2.0], [3.0], *([[4.0]] * (rows.num_rows - 2))]
    return rows.remove_columns("betas").add_column("betas", vectors)


def test_betas_that_are_no_vectors_are_named_and_never_left_out(rows: Dataset, voxels: Dataset) -> None:
    few = rows.select(range(5))
    takers: list[Callable[[Dataset], object]] = [
        nsd_imagery.torch_view,
        nsd_imagery.average_repeats,
        lambda rows: nsd_imagery.restrict(rows, voxels, voxels),
        lambda rows: nsd_imagery.NSDPreprocessor(zscore="run").fit(rows, voxels),
    ]
    for take in takers:
        with pytest.raises(DataError, match="column 'betas': rows have vectors of 1 to 2 numbers: keep those of one"):
            take(ragged(few))
        with pytest.raises(UsageError, match="column 'betas' is string, not vectors of numbers"):
            take(few.remove_columns("betas").add_column("betas", ["1"] * 5))
        gap = [*few["betas"][:4], None]
        with pytest.raises(DataError, match="column 'betas': 1 rows have no vector"):
            take(few.remove_columns("betas").add_column("betas", gap))
    left = ragged(few).select(range(2, 5))
    assert nsd_imagery.torch_view(left)[:]["betas"].tolist() == [[4.0]] * 3
    holes = few.remove_columns("betas").add_column("betas", [[1, None]] * 5)
    with pytest.raises(DataError, match="column 'betas': 5 numbers of its vectors are absent"):
        nsd_imagery.torch_view(holes)


def test_labels_that_say_nothing_or_something_else_are_named(rows: Dataset, voxels: Dataset) -> None:
    few = rows.select(range(4))

    def with_labels(name: str, values: list[object]) -> Dataset:
        return few.remove_columns(name).add_column(name, values)

    absent = with_labels("nsd_id", [None, 3.0, None, 4.0])
    assert set(nsd_imagery.average_repeats(absent)["nsd_id"]) <= {-1, 3, 4}
    for name, values, words in (
        ("is_valid", [True, None, True, None], "column 'is_valid': 2 rows have no value"),
        ("subject", ["subj01", None, "subj01", "subj01"], "column 'subject': 1 rows have no value"),
        ("is_valid", ["yes"] * 4, "column 'is_valid' is string and cannot be read as bool"),
        ("nsd_id", [1.5] * 4, "column 'nsd_id' is double and cannot be read as int32"),
    ):
        with pytest.raises(DataError, match=words):
            nsd_imagery.average_repeats(with_labels(name, values))
    with pytest.raises(UsageError, match="these rows have no column run_number"):
        nsd_imagery.NSDPreprocessor(zscore="run").fit(few.remove_columns("run_number"), voxels)


def test_rows_of_several_splits_are_named(dataset: Path, voxels: Dataset) -> None:
    both = nsd_imagery.load(dataset, "subj01-imagery")
    for take in (
        nsd_imagery.average_repeats,
        lambda rows: nsd_imagery.restrict(rows, voxels, voxels),
        lambda rows: nsd_imagery.NSDPreprocessor(zscore="run").fit(rows, voxels),
        lambda rows: nsd_imagery.NSDPreprocessor().transform(rows, voxels),
    ):
        with pytest.raises(UsageError, match="a Dataset, not a DatasetDict: name a split"):
            take(both)
