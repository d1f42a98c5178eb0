"""Rows where they lie: the same by the private name that is fast and by the public way where that name is gone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, List, Value, concatenate_datasets

import nsd_imagery
from nsd_imagery.errors import DataError
from nsd_imagery.rows.vectors import row_vectors, table_of

CHANGES: dict[str, Callable[[Dataset], Dataset]] = {
    "as loaded": lambda trials: trials,
    "filtered": lambda trials: trials.filter(lambda target: target < "c", input_columns="target"),
    "all filtered out": lambda trials: trials.filter(lambda target: False, input_columns="target"),
    "shuffled": lambda trials: trials.shuffle(seed=1),
    "selected": lambda trials: trials.select([7, 7, 3]),
    "a range": lambda trials: trials.select(range(90, 230)),
    "a range of a shuffle": lambda trials: trials.shuffle(seed=3).select(range(10, 60)),
    "none": lambda trials: trials.select([]),
    "a shard": lambda trials: trials.shard(num_shards=3, index=1, contiguous=False),
    "a contiguous shard": lambda trials: trials.shard(num_shards=3, index=1, contiguous=True),
    "joined": lambda trials: concatenate_datasets([trials.shuffle(seed=4), trials.select(range(5)), trials]),
    "formatted": lambda trials: trials.shuffle(seed=5).with_format("torch", columns=["trial_id"]),
}


class Public:
    """A dataset without its private names, as a later version of the library may have others."""

    def __init__(self, dataset: Dataset) -> None:
        self.__dataset = dataset

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.__dataset, name)


class Renamed(Public):
    """A dataset whose private name stands for another thing."""

    _indices = np.arange(3)


@pytest.fixture(scope="module")
def trials(dataset: Path) -> Dataset:
    return nsd_imagery.load(dataset, "subj01-imagery", "test")


@pytest.fixture(scope="module", params=CHANGES)
def changed(request: pytest.FixtureRequest, trials: Dataset) -> Dataset:
    return CHANGES[request.param](trials)


@pytest.mark.parametrize("seen_as", [lambda trials: trials, Public, Renamed], ids=["as it is", "public", "renamed"])
def test_rows_are_those_of_the_dataset_whatever_was_done_to_it(
    changed: Dataset, seen_as: Callable[[Dataset], Any]
) -> None:
    expected = changed.with_format(None).to_dict()
    names = ["target", "trial_id", "response_time", "is_valid"]
    table = table_of(seen_as(changed), names)
    assert table.column_names == names
    assert repr(table.to_pydict()) == repr({name: expected[name] for name in names})  # a NaN is itself in words alone

    found = row_vectors(seen_as(changed), "betas")
    assert [vector.dtype for vector in found] == [np.float32] * changed.num_rows
    assert [vector.tolist() for vector in found] == expected["betas"]


@pytest.mark.parametrize("seen_as", [lambda trials: trials, Public], ids=["as it is", "public"])
def test_vectors_are_views_of_the_files(trials: Dataset, seen_as: Callable[[Dataset], Any]) -> None:
    in_files = {vector.ctypes.data for vector in row_vectors(trials, "betas")}
    assert len(in_files) == trials.num_rows
    assert {vector.ctypes.data for vector in row_vectors(seen_as(trials.shuffle(seed=1)), "betas")} == in_files


@pytest.mark.parametrize("seen_as", [lambda trials: trials, Public], ids=["as it is", "public"])
def test_a_row_without_a_vector_is_an_error(seen_as: Callable[[Dataset], Any]) -> None:
    rows = Dataset.from_dict({"v": [[1.0, 2.0], None]}).cast_column("v", List(Value("float32"), length=2))
    with pytest.raises(DataError, match="column 'v': 1 rows have no vector"):
        row_vectors(seen_as(rows), "v")
