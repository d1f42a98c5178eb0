"""Numbers stay what they are on their way to people: in the formats of the datasets library, and in pandas."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset, load_dataset

import nsd_imagery
from nsd_imagery.schema import TRIAL_COLUMNS, index_schema

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[1] / "docs" / "how-to" / "scaling.md"


def stored(rows: Dataset, name: str) -> np.ndarray:
    return np.concatenate([chunk.flatten().to_numpy() for chunk in rows.data.column(name).chunks])


def test_trials_keep_whole_numbers_truth_values_words_and_the_digits_of_betas_in_every_format(dataset: Path) -> None:
    rows = nsd_imagery.load(dataset, "subj01-attention", "test")
    raw = rows.data.table
    formats: dict[str, Any] = {name: rows.with_format(name)[:] for name in ("numpy", "torch", "pandas", "arrow")}
    for column in TRIAL_COLUMNS:
        values = raw[column.name].to_pylist()
        for name, batch in formats.items():
            given = batch[column.name]
            given = given.to_pylist() if name == "arrow" else getattr(given, "tolist", lambda given=given: given)()
            np.testing.assert_array_equal(given, values, f"{column.name} as {name}")
            assert {type(value) for value in given} == {type(value) for value in values}
    for name in ("numpy", "torch"):
        assert str(formats[name]["nsd_id"].dtype).endswith("int64")
        assert str(formats[name]["betas"].dtype).endswith("float32")
        assert str(formats[name]["is_valid"].dtype).removeprefix("torch.") == "bool"
        np.testing.assert_array_equal(np.asarray(formats[name]["betas"]).ravel(), stored(rows, "betas"))
    assert formats["pandas"]["nsd_id"].dtype == np.int32
    np.testing.assert_array_equal(np.concatenate(formats["pandas"]["betas"].tolist()), stored(rows, "betas"))


def test_mean_and_sd_of_a_run_keep_their_digits_as_the_readme_says(dataset: Path, hf_cache: str) -> None:
    said = {"numpy": "float64", "torch": torch.float64}
    assert 'with_format("numpy", columns=["mean", "sd"], dtype="float64")' in PAGE.read_text()
    for stats in (
        nsd_imagery.load(dataset, "subj01-stats", "train"),
        load_dataset(str(dataset), "subj01-stats", split="train", cache_dir=hf_cache),
    ):
        taken: list[Any] = [stats.with_format(name, columns=["mean", "sd"], dtype=said[name])[:] for name in said]
        taken += [stats.to_pandas(), stats.with_format("pandas")[:], nsd_imagery.torch_view(stats)[:]]
        for batch in taken:
            for name in ("mean", "sd"):
                values = np.stack([np.asarray(row) for row in batch[name]])
                assert values.dtype == np.float64
                np.testing.assert_array_equal(values.ravel(), stored(stats, name))
        assert (stored(stats, "mean") != stored(stats, "mean").astype(np.float32)).any()


@pytest.fixture(scope="module")
def index(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nsd_imagery.index(core_release, out=tmp_path_factory.mktemp("index") / "indices")


ABSENT = [field.name for field in index_schema() if field.nullable and pa.types.is_integer(field.type)]


def test_whole_numbers_of_an_index_open_in_pandas_as_whole_numbers_though_some_are_absent(index: Path) -> None:
    assert {"nsd_id", "coco_id", "run_number", "response"} <= set(ABSENT)
    for path in sorted(index.rglob("*.parquet")):
        rows, frame = nsd_imagery.read_index(path), pd.read_parquet(path)
        for name in ABSENT:
            width = rows.schema.field(name).type.bit_width
            assert str(frame[name].dtype) == f"Int{width}"
            assert frame[name].isna().sum() == rows[name].null_count
            assert [int(value) for value in frame[name].dropna()] == rows[name].drop_null().to_pylist()
        plain = pq.read_table(path).replace_schema_metadata().to_pandas()
        others = [name for name in rows.column_names if name not in ABSENT]
        pd.testing.assert_frame_equal(frame[others], plain[others])
        assert frame.columns.tolist() == rows.column_names
        assert isinstance(frame.index, pd.RangeIndex)
    known = pd.read_parquet(index / "imagery" / "subj01.parquet")["nsd_id"].dropna()
    assert f"{known.iloc[0]}" == str(int(known.iloc[0]))


def test_what_pandas_is_told_of_an_index_is_what_it_writes_itself(index: Path, tmp_path: Path) -> None:
    """But for words, which it calls something else since version 3, and for versions."""
    path = index / "imagery" / "subj01.parquet"
    frame = pd.read_parquet(path)
    frame.to_parquet(tmp_path / "theirs.parquet")
    mine, theirs = (json.loads(pq.read_schema(one).metadata[b"pandas"]) for one in (path, tmp_path / "theirs.parquet"))
    for one, other in zip(mine["columns"], theirs["columns"], strict=True):
        if pa.types.is_string(index_schema().field(one["name"]).type):
            assert (one["pandas_type"], one["numpy_type"]) == ("unicode", "object")
        else:
            assert one == other
    assert pd.read_parquet(tmp_path / "theirs.parquet").dtypes.equals(frame.dtypes)


def test_the_guides_lines_run_on_whole_numbers(index: Path) -> None:
    imagery_index = pd.read_parquet(index / "imagery" / "subj01.parquet")
    perception_index = pd.read_parquet(index / "perception" / "subj01.parquet")
    nsd_id = int(imagery_index["nsd_id"].dropna().iloc[0])
    imagery_trial = imagery_index[imagery_index["nsd_id"] == nsd_id]
    assert imagery_trial["nsd_id"].tolist() == [nsd_id] * len(imagery_trial) != []
    assert perception_index[perception_index["nsd_id"] == 5234].empty
    repeats = imagery_index[imagery_index["repeat_index"] > 0].groupby("nsd_id").size()
    assert repeats.index.dtype == "Int32"
    valid_imagery_nsd_ids = set(imagery_index["nsd_id"].unique())
    shared_perception = perception_index[perception_index["nsd_id"].isin(valid_imagery_nsd_ids)]
    assert set(shared_perception["nsd_id"]) == set(perception_index["nsd_id"]) & set(imagery_index["nsd_id"].dropna())
    joined = imagery_index.merge(perception_index, on="nsd_id", how="inner")
    assert set(joined["nsd_id"].dropna()) == set(shared_perception["nsd_id"])


def test_an_index_of_before_is_read_and_joined_with_a_new_one(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.index(release, out=tmp_path / "indices") / "imagery"
    for name in ("subj01.parquet", "subj02.parquet", "full_index.parquet"):
        rows = nsd_imagery.read_index(folder / name)
        pq.write_table(rows.replace_schema_metadata(), folder / name)
    old = nsd_imagery.NSDImageryDataset(folder / "subj01.parquet", condition="vision", root=release)[:]["nsd_id"]
    assert nsd_imagery.verify(folder.parent, root=release).passed
    nsd_imagery.index(release, ["subj02"], out=folder.parent)
    assert pd.read_parquet(folder / "subj01.parquet")["nsd_id"].dtype == np.float64
    both = pd.read_parquet(folder / "full_index.parquet")
    assert str(both["nsd_id"].dtype) == "Int32"
    assert set(both["subject"]) == {"subj01", "subj02"}
    new = nsd_imagery.NSDImageryDataset(folder / "full_index.parquet", "subj01", "vision", root=release)[:]["nsd_id"]
    torch.testing.assert_close(old, new)
