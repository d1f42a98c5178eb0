"""Folders of the format before: they are read as they were, and a build makes them anew."""

import json
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, load_dataset

import hub as loopback
import nsd_imagery
from folders import files
from nsd_imagery.errors import FolderError
from nsd_imagery.schema import recipe_of
from older import as_format_2

CONDITIONS = ["imagery", "vision", "attention"]
ATTENTION_RUN = 2
"""Of set A."""


@pytest.fixture(scope="module", params=["auto", "run"])
def older(request: pytest.FixtureRequest, release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "nsd_imagery"
    nsd_imagery.build(release, folder, subjects=["subj01"], conditions=CONDITIONS, roi=["nsdgeneral", "V1"])
    return as_format_2(folder, request.param)


def betas(rows: Dataset) -> np.ndarray:
    return np.asarray(rows.with_format("numpy")["betas"][:])


def raw(release: Path, tmp_path: Path) -> tuple[np.ndarray, list[dict]]:
    """The betas of attention in percent signal change, and their labels."""
    folder = nsd_imagery.build(release, tmp_path / "raw", subjects=["subj01"], conditions=["attention"], zscore="none")
    rows = nsd_imagery.load(folder, "subj01-attention", "test")
    return betas(rows).astype(np.float64), rows.remove_columns("betas").to_list()


def scored(percent: np.ndarray) -> np.ndarray:
    """Each voxel over these rows; 0 where it has no variance."""
    sd = percent.std(axis=0, ddof=1)
    return np.where(sd > 0, (percent - percent.mean(axis=0)) / np.where(sd > 0, sd, 1), 0)


def test_it_is_loaded_told_and_verified_as_it_was(older: Path, release: Path, tmp_path: Path) -> None:
    before = files(older)
    assert nsd_imagery.info(older)["format_version"] == 2
    for config in ("subj01-attention", "subj01-imagery-V1"):
        mine = nsd_imagery.load(older, config, "test")
        theirs = load_dataset(str(older), config, split="test", cache_dir=str(tmp_path / "hf"))
        assert mine.features == theirs.features
        np.testing.assert_array_equal(betas(mine), betas(theirs))
    assert nsd_imagery.NSDImageryDataset(older, condition="imagery")[0]["betas"].ndim == 1
    for root in (None, release):
        report = nsd_imagery.verify(older, root=root, deep=True)
        assert report.passed, report.to_text()
    assert files(older) == before


def test_its_runs_of_attention_were_two_groups(older: Path, release: Path, tmp_path: Path) -> None:
    percent, labels = raw(release, tmp_path)
    stats = nsd_imagery.load(older, "subj01-stats", "train").to_list()
    assert {row["epoch"] for row in stats if row["run_number"] == ATTENTION_RUN} == {"cue", "detection"}
    found = betas(nsd_imagery.load(older, "subj01-attention", "test"))
    for epoch in ("cue", "detection"):
        mine = [at for at, row in enumerate(labels) if (row["run_number"], row["epoch"]) == (ATTENTION_RUN, epoch)]
        np.testing.assert_allclose(found[mine], scored(percent[mine]), atol=1e-4)


def test_a_run_of_attention_is_one_group_now_and_auto_keeps_its_epochs_apart(release: Path, tmp_path: Path) -> None:
    """As published code z-scores: over all rows of the run, whatever their epoch."""
    percent, labels = raw(release, tmp_path)
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["attention"], zscore="run")
    found = betas(nsd_imagery.load(folder, "subj01-attention", "test"))
    mine = [at for at, row in enumerate(labels) if row["run_number"] == ATTENTION_RUN]
    assert len(mine) == 96
    np.testing.assert_allclose(found[mine], scored(percent[mine]), atol=1e-4)
    (row,) = [row for row in nsd_imagery.load(folder, "subj01-stats", "train") if row["run_number"] == ATTENTION_RUN]
    assert (row["epoch"], row["n_trials"]) == ("", 96)
    np.testing.assert_allclose(found[mine] * row["sd"] + row["mean"], percent[mine], atol=1e-4)
    assert nsd_imagery.verify(folder, root=release).passed


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_it_is_pushed_and_pulled_as_it_is(older: Path, tmp_path: Path, hub: loopback.Hub) -> None:
    nsd_imagery.push(older, "me/nsd-imagery")
    pulled = nsd_imagery.pull("me/nsd-imagery", tmp_path / "pulled")
    sealed = {name: held for name, held in files(older).items() if not name.startswith(".build")}
    assert {name: held for name, held in files(pulled).items() if not name.startswith(".build")} == sealed


def test_a_rerun_makes_it_anew_and_says_so_first(
    older: Path, release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "nsd_imagery"
    for name, held in files(older).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held)
    zscore = json.loads((older / "manifest.json").read_text())["recipe"]["zscore"]
    options = {"subjects": ["subj01"], "roi": ["nsdgeneral", "V1"], "zscore": zscore}
    with pytest.raises(FolderError, match=r"built with format_version 2, now it is 3") as refused:
        nsd_imagery.build(release, folder, conditions=["imagery"], **options)
    assert "\n" not in str(refused.value)
    (note,) = nsd_imagery.preview(release, folder, conditions=CONDITIONS, **options).notes
    with caplog.at_level(logging.WARNING):
        nsd_imagery.build(release, folder, conditions=CONDITIONS, **options)
    assert [record.getMessage() for record in caplog.records] == [f"{folder}: {note}"]
    assert "format 2, and 3 is written now" in note
    fresh = nsd_imagery.build(release, tmp_path / "fresh", conditions=CONDITIONS, **options)
    sealed = ({name: held for name, held in files(one).items() if ".build" not in name} for one in (folder, fresh))
    assert next(sealed) == next(sealed)
    assert nsd_imagery.preview(release, folder, conditions=CONDITIONS, **options).notes == ()


@pytest.mark.parametrize(
    "recipe", [{}, {"zscore": "none"}, {"zscore": "session", "dtype": "float16"}, {"smoothing_fwhm": 3.0}]
)
def test_the_shards_of_trials_carry_their_recipe(release: Path, tmp_path: Path, recipe: dict) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["imagery"], **recipe)
    said = json.loads((folder / "manifest.json").read_text())["recipe"]
    for path in folder.rglob("*.arrow"):
        with pa.ipc.open_stream(path) as reader:
            assert recipe_of(reader.schema) == (said if path.parent.name == "subj01-imagery" else None)


def test_two_recipes_of_the_same_rows_are_two_shards(release: Path, tmp_path: Path) -> None:
    """Imagery has no epochs: `auto` and `run` are the same numbers, of files that say different things."""
    shards = []
    for zscore in ("auto", "run"):
        folder = tmp_path / zscore
        nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["imagery"], zscore=zscore)
        (shard,) = (folder / "subj01-imagery").iterdir()
        shards.append(shard)
    assert shards[0].name != shards[1].name
    one, other = (betas(nsd_imagery.load(path.parents[1], "subj01-imagery", "test")) for path in shards)
    np.testing.assert_array_equal(one, other)
