"""Rows by what they are, and as arrays with their labels and voxels."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import concatenate_datasets

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError, UsageError

load, arrays = nsd_imagery.load, nsd_imagery.arrays


@pytest.fixture(scope="module")
def v1(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01's V1, in a folder of letters that an address has not."""
    folder = tmp_path_factory.mktemp("built") / "a #ü%20 folder"
    return nsd_imagery.build(release, folder, subjects=1, conditions="imagery,vision", roi="V1")


def test_rows_of_a_set_and_run_are_those_of_the_config(dataset: Path) -> None:
    rows = load(dataset, subject=1, condition="imagery", stimulus_set="B", run="imgb_2")
    betas, labels, voxels = arrays(rows)
    config = load(dataset, "subj01-imagery", "test").with_format("numpy")[:]
    mine = config["run_name"] == "imgB_2"
    assert betas.dtype == np.float32
    assert np.array_equal(betas, config["betas"][mine])
    assert labels["trial_id"].tolist() == config["trial_id"][mine].tolist()
    assert set(labels["stimulus_set"]) == {"B"}
    assert "betas" not in labels
    assert voxels.equals(load(dataset, "subj01-voxels", "train").to_pandas())


def test_sets_runs_and_sessions_are_one_or_several_by_name_or_number(dataset: Path, core_dataset: Path) -> None:
    def runs(**asked: object) -> list[str]:
        return sorted(set(load(dataset, subject="sub-01", **asked)["run_name"]))

    assert runs(stimulus_set="A,C", condition="vision") == ["visA", "visC"]
    assert runs(run=["visA", "imgA_1"]) == ["imgA_1", "visA"]
    assert runs(run=1) == ["visA"]
    assert runs(run="1,imgC_2") == ["imgC_2", "visA"]
    core = load(core_dataset, session=[1, 3], run=12, split="train")
    assert set(core["condition"]) == {"perception"}
    assert (set(core["session"]), set(core["run_number"])) == ({1, 3}, {12})
    assert not any(core["shared1000"])
    assert load(core_dataset).num_rows == 720 + 3 * 750


def test_averages_are_of_the_rows_that_were_asked_for(dataset: Path) -> None:
    betas, labels, voxels = arrays(load(dataset, subject=2, condition="imagery", run="imgB_1", average=True))
    single, of_single, _ = arrays(load(dataset, subject=2, condition="imagery", run="imgB_1"))
    assert labels["n_repeats"].tolist() == [8] * 6
    for mean, target in zip(betas, labels["target"], strict=True):
        assert np.allclose(mean, single[of_single["target"] == target].mean(axis=0), atol=1e-6)
    assert len(voxels) == betas.shape[1]


def test_rows_know_their_voxels_whatever_was_done_to_them_and_wherever_they_lie(v1: Path, release: Path) -> None:
    rows = load(v1, condition="imagery", roi="v1")
    both = concatenate_datasets([load(v1, "subj01-vision-V1", "test"), rows])
    kept = rows.filter(lambda run: run == "imgA_1", input_columns="run_name")
    for some in (rows, both, kept, pickle.loads(pickle.dumps(kept)), nsd_imagery.average_repeats(kept)):
        assert arrays(some).voxels["prf-visualrois"].isin(["V1v", "V1d"]).all()
    assert len(arrays(kept).betas) == len(arrays(kept).labels) == 48
    assert repr(arrays(kept)) == "<Arrays: betas (48, 26) float32, labels 48 x 29, voxels 26 x 24>"
    smaller = nsd_imagery.restrict(rows, load(v1, "subj01-voxels-V1", "train"), "lh.V1", root=release)
    with pytest.raises(UsageError, match="these rows do not know their voxels"):
        arrays(smaller.dataset)
    assert arrays(smaller.dataset, smaller.voxels).betas.shape == (288, smaller.voxels.num_rows)


def test_voxels_of_another_roi_are_refused(dataset: Path, v1: Path) -> None:
    rows = load(dataset, subject=1, condition="vision")
    with pytest.raises(DataError, match="betas have 280 columns, but -voxels 26 rows"):
        arrays(rows, load(v1, "subj01-voxels-V1", "train"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"subject": 1, "run": "imgD_1"}, "no run 'imgD_1' .did you mean 'imgC_1'?"),
        ({"subject": 1, "stimulus_set": "D"}, "no stimulus_set 'D'"),
        ({"subject": 1, "session": 7}, "no session 7; there are: 1"),
        ({"subject": 1, "condition": "vision", "run": "imgA_1"}, "no row is of condition vision, run imgA_1"),
        ({"condition": "vision"}, "holds subj01, subj02: name one with subject="),
        ({"subject": 1, "roi": "V1"}, "no config 'subj01-imagery-V1'"),
        ({"config": "subj01-imagery", "run": "imgA_1", "roi": "V1"}, r"what its rows are to be \(run, roi\)"),
    ],
)
def test_what_cannot_be_meant_is_said(dataset: Path, asked: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(dataset, **asked)


def test_rows_are_of_a_built_folder(release: Path) -> None:
    with pytest.raises(MissingDataError, match="no dataset here"):
        load(release, subject=1)
