"""Runs out of a built folder: the same however it was scaled, with right labels, and a reason for what is left out."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from datasets import Dataset

import nsd_imagery
from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.ceiling import ceilings
from nsd_imagery.evaluation.runs import Run, Runs, for_across_runs, load_runs
from nsd_imagery.sources.release_files import expected_betas
from nsd_imagery.synthetic.schedule import draw_schedule

pytestmark = pytest.mark.slow

BETAS = "fithrf_GLMdenoise_RR"
NAMES = "visA imgA_1 visB imgB_1 visC imgC_1 imgA_2 imgB_2 imgC_2".split()
DRAWS = 99


@pytest.fixture(scope="module")
def runs(dataset: Path) -> Runs:
    """Of subj01, z-scored by run."""
    return load_runs(dataset, "subj01")


@pytest.fixture(scope="module")
def built(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds vision and imagery of subj01."""

    def build(**options: object) -> Path:
        folder = tmp_path_factory.mktemp("built") / "nsd_imagery"
        return nsd_imagery.build(
            release, folder, subjects=["subj01"], **{"conditions": ["vision", "imagery"], **options}
        )

    return build


def named(runs: Runs, name: str) -> Run:
    run = runs.find(name)
    assert run is not None
    return run


def test_runs_are_in_order_of_time_and_each_voxel_is_zscored_within_them(runs: Runs) -> None:
    assert [run.name for run in runs] == NAMES
    assert runs.left_out == {}
    for run in runs:
        assert run.betas.shape == (48, 280)
        assert run.betas.dtype == np.float32
        varies = run.betas.any(axis=0)
        np.testing.assert_allclose(run.betas.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(run.betas.std(axis=0, ddof=1)[varies], 1, atol=1e-5)
    assert runs.n_voxels == int(np.any([run.betas.any(axis=0) for run in runs], axis=0).sum()) < 280


def test_runs_are_a_sequence_of_their_runs(runs: Runs) -> None:
    assert (runs[0].name, runs[-1].name, len(runs)) == ("visA", "imgC_2", 9)
    assert [run.name for run in runs] == NAMES


def test_labels_are_the_target_seen_or_imagined_and_the_letter_that_was_on_the_screen(runs: Runs) -> None:
    for planted in draw_schedule(0):
        if planted.run.condition == "attention":
            continue
        run = named(runs, planted.run.name)
        names = [target.name for target in planted.targets]
        assert [run.targets[number] for number in run.order] == [names[number] for number in planted.conditions]
        assert [run.targets[number] for number in run.cued] == [names[number] for number in planted.cues]
        assert run.matched.sum() == (24 if planted.run.condition == "vision" else 48)
    assert named(runs, "visC").targets == named(runs, "imgC_2").targets


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        ({"zscore": "session"}, 2e-5),
        ({"zscore": "none"}, 2e-5),
        ({"dtype": "float16"}, 5e-3),
    ],
)
def test_however_the_folder_was_scaled_betas_variances_and_scores_are_the_same(
    built: Callable[..., Path], runs: Runs, options: dict[str, str], tolerance: float
) -> None:
    others = load_runs(built(**options), "subj01")
    for one, other in zip(runs, others, strict=True):
        np.testing.assert_allclose(one.betas, other.betas, atol=tolerance)
        np.testing.assert_allclose(one.variance, other.variance, rtol=tolerance)
    for one, other in zip(ceilings(runs, draws=DRAWS), ceilings(others, draws=DRAWS), strict=True):
        assert (one.measure, one.stimulus_set, one.how) == (other.measure, other.stimulus_set, other.how)
        assert (one.value is None) == (other.value is None) == (one.how == "across")
        assert one.value is None or one.value == pytest.approx(other.value, abs=tolerance, rel=10 * tolerance)


def without_stats(manifest: dict[str, Any]) -> dict[str, Any]:
    configs = {name: config for name, config in manifest["configs"].items() if name != "subj01-stats"}
    return {**manifest, "configs": configs}


def test_without_statistics_there_is_no_ratio_of_percent_signal_change_and_a_reason(
    dataset: Path, tmp_path: Path, rewrite: Callable[[Path, Callable[[str], str]], None]
) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d", symlinks=True))
    rewrite(folder / "manifest.json", lambda text: json.dumps(without_stats(json.loads(text))))
    runs = load_runs(folder, "subj01")
    assert all(run.variance is None for run in runs)
    ratio = [score for score in ceilings(runs, draws=DRAWS) if score.condition == "imagery/vision"]
    assert {score.value for score in ratio} == {None}
    assert all("statistics" in score.reason for score in ratio)


def zero_volumes(release: Path, volumes: list[int]) -> None:
    path = release / f"{expected_betas(BETAS, 'subj01')}.hdf5"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    (path.parent / "meanbeta_nsdimagery.nii.gz").unlink()  # it would say that these are other betas
    with h5py.File(path, "r+") as file:
        for volume in volumes:
            file["betas"][volume] = 0


def test_a_run_of_fewer_than_36_valid_trials_is_left_out_and_a_few_invalid_ones_are_not_counted(
    own_release: Path, tmp_path: Path
) -> None:
    zero_volumes(own_release, [3, 17, *range(144, 157)])
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], conditions=["vision", "imagery"])
    runs = load_runs(folder, "subj01")
    assert runs.left_out == {"imgA_1": "35 of its 48 trials are valid, fewer than 36"}
    seen = named(runs, "visA")
    assert np.flatnonzero(~seen.is_valid).tolist() == [3, 17]
    assert not seen.betas[[3, 17]].any()
    np.testing.assert_allclose(seen.betas[seen.is_valid].std(axis=0, ddof=1)[seen.betas.any(axis=0)], 1, atol=1e-5)
    scores = {(s.condition, s.stimulus_set, s.how): s for s in ceilings(runs, draws=DRAWS) if s.measure == "ncsnr"}
    assert scores["vision", "A", "within"].n_trials == 46
    assert scores["imagery", "A", "within"].n_trials == 48  # of imgA_2 alone


Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nsd_imagery.synth(tmp_path_factory.mktemp("cache") / "cache", layout="cache")


def left_out(tree: Path, place: Path, change: Callable[[Rows], Rows]) -> Runs:
    own = Path(shutil.copytree(tree, place / "cache"))
    path = own / "nsd_imagery/metadata/trial_manifest_subj01.csv"
    with path.open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return load_runs(nsd_imagery.build(own, place / "d", conditions=["vision", "imagery"]), "subj01")


def test_a_run_that_lacks_a_row_or_its_targets_is_left_out_by_name_with_the_reason(tree: Path, tmp_path: Path) -> None:
    def change(rows: Rows) -> Rows:
        kept = [row for row in rows if row["beta_index"] != "150"]
        return [{**row, "target": "" if row["run_name"] == "imgC_2" else row["target"]} for row in kept]

    runs = left_out(tree, tmp_path, change)
    assert runs.left_out == {
        "imgA_1": "its 47 rows are not 48 trials in a row",
        "imgC_2": "its schedule is not 8 trials of each of 6 targets",
    }
    assert [run.name for run in runs] == [name for name in NAMES if name not in runs.left_out]


def test_runs_without_a_name_are_named_by_condition_set_and_order(tree: Path, tmp_path: Path) -> None:
    runs = left_out(tree, tmp_path, lambda rows: [{**row, "run_name": ""} for row in rows])
    assert [run.name for run in runs] == NAMES


def test_rows_without_a_run_are_left_out_and_nothing_is_estimated(tree: Path, tmp_path: Path) -> None:
    runs = left_out(tree, tmp_path, lambda rows: [{**row, "run_number": ""} for row in rows])
    assert len(runs) == 0
    assert runs.left_out["rows without a run in session 1"] == "they have no run_number"
    assert {score.value for score in ceilings(runs, draws=DRAWS)} == {None}


def test_a_folder_with_one_condition_says_so_of_each_run_that_is_not_there(built: Callable[..., Path]) -> None:
    runs = load_runs(built(conditions=["imagery"]), "subj01")
    assert [run.name for run in runs] == [name for name in NAMES if name.startswith("img")]
    assert runs.left_out == dict.fromkeys(("visA", "visB", "visC"), "the folder has no subj01-vision")
    scores = ceilings(runs, draws=DRAWS)
    assert {s.value is None for s in scores if s.condition == "vision"} == {True}
    assert {s.value is None for s in scores if s.condition == "imagery" and s.how == "within"} == {False}
    assert "the folder has no subj01-vision" in next(s.reason for s in scores if s.condition == "vision")


def test_attention_is_off_unless_asked_for_and_then_two_conditions(dataset: Path) -> None:
    runs = load_runs(dataset, "subj01", attention=True)
    assert [run.name for run in runs if run.name.startswith("attA")] == ["attA-cue", "attA-detection"]
    assert len(runs.of("attention-cue")) == len(runs.of("attention-detection")) == 3
    conditions = {score.condition for score in ceilings(runs, draws=DRAWS) if score.value is not None}
    assert {"attention-cue", "attention-detection"} < conditions


def test_a_mistyped_subject_or_roi_gets_the_nearest(dataset: Path) -> None:
    with pytest.raises(UsageError, match="subj1"):
        load_runs(dataset, "subj1")
    with pytest.raises(UsageError, match="did you mean 'nsdgeneral'"):
        load_runs(dataset, "subj01", "nsdgenral")


def test_imagery_across_runs_takes_fithrf_alone(dataset: Path, built: Callable[..., Path], runs: Runs) -> None:
    found, why = for_across_runs(runs, None)
    assert found is None
    assert "--betas fithrf" in why
    assert "--across" in why
    assert for_across_runs(runs, load_runs(dataset, "subj01"))[0] is None
    plain = load_runs(built(betas="fithrf"), "subj01")
    assert for_across_runs(runs, plain) == (plain, "")
    assert for_across_runs(plain, None) == (plain, "")
    scores = [score for score in ceilings(runs, plain, draws=DRAWS) if score.how == "across"]
    assert {score.beta_version for score in scores} == {"fithrf"}
    assert {score.dataset for score in scores} == {plain.dataset} != {runs.dataset}
    assert {score.value is None for score in scores} == {False}
    without = [score for score in ceilings(runs, draws=DRAWS) if score.how == "across"]
    assert {(score.value, score.p, score.reason) for score in without} == {(None, None, why)}


def test_the_digest_changes_with_what_the_folder_holds(runs: Runs, dataset: Path, built: Callable[..., Path]) -> None:
    assert runs.dataset == load_runs(dataset, "subj02").dataset
    assert runs.dataset != load_runs(built(), "subj01").dataset


def test_rows_are_read_where_they_lie(dataset: Path) -> None:
    rows = nsd_imagery.load(dataset, "subj01-vision", "test")
    assert isinstance(rows, Dataset)
    betas = rows.with_format("numpy")["betas"][:48]
    np.testing.assert_allclose(load_runs(dataset, "subj01").runs[0].betas, betas, atol=1e-5)
