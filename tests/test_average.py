"""`average_repeats`: the mean of what is valid, a row a target or picture, with the labels that repeats share."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, concatenate_datasets, load_dataset

import nsd_imagery
from nsd_imagery.errors import UsageError

pytestmark = pytest.mark.slow

CONDITIONS = ("imagery", "vision", "attention", "perception")


def trials_of(folder: Path, condition: str) -> Dataset:
    return concatenate_datasets(list(nsd_imagery.load(folder, f"subj01-{condition}").values()))


def expected(trials: Dataset) -> pd.DataFrame:
    """By pandas: mean and number of the valid rows of each target, or of each picture in NSD core."""
    frame = trials.with_format(None).to_pandas()
    assert isinstance(frame, pd.DataFrame)
    frame["about"] = frame["target"].where(frame["target"] != "", frame["nsd_id"].astype(str))
    names = ["subject", "condition", "epoch", "about"]
    rows = []
    for key, group in frame.groupby(names, sort=False):
        valid = [*group["betas"][group["is_valid"]]]
        mean = np.stack(valid).astype(np.float64).mean(axis=0) if valid else np.zeros(len(group["betas"].iloc[0]))
        rows.append({**dict(zip(names, key, strict=True)), "n": len(valid), "mean": mean})
    return pd.DataFrame(rows)


def check(trials: Dataset) -> Dataset:
    averages, by_pandas = nsd_imagery.average_repeats(trials), expected(trials)
    assert averages["n_repeats"][:] == by_pandas["n"].tolist()
    for name in ("subject", "condition", "epoch"):
        assert averages[name][:] == by_pandas[name].tolist()
    about = [target or str(nsd_id) for target, nsd_id in zip(averages["target"], averages["nsd_id"], strict=True)]
    assert about == by_pandas["about"].tolist()
    assert averages["is_valid"][:] == (by_pandas["n"] > 0).tolist()
    betas = averages.with_format("numpy")[:]["betas"]
    assert betas.dtype == np.float32
    np.testing.assert_allclose(betas, np.stack(by_pandas["mean"].tolist()), rtol=2e-7, atol=1e-12)
    return averages


@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_target_or_picture_is_the_mean_of_its_valid_repeats(core_dataset: Path, condition: str) -> None:
    averages = check(trials_of(core_dataset, condition))
    if condition != "perception":
        n_repeats = 8 if condition in ("vision", "attention") else 16
        assert averages.num_rows == (36 if condition == "attention" else 18)
        assert set(averages["n_repeats"]) == {n_repeats}


def test_filtered_shuffled_and_joined_rows_are_averaged_as_they_are(core_dataset: Path) -> None:
    imagery, core = trials_of(core_dataset, "imagery"), trials_of(core_dataset, "perception")
    first_run = imagery.filter(lambda run: run.endswith("_1"), input_columns="run_name")
    assert set(check(first_run)["n_repeats"]) == {8}
    check(imagery.shuffle(seed=2).select(range(40)))
    check(concatenate_datasets([core.shuffle(seed=1).select([5, 3, 5, 900]), first_run]))


def test_rows_without_data_do_not_count_and_a_target_without_any_is_not_valid(core_dataset: Path) -> None:
    imagery = trials_of(core_dataset, "imagery")
    targets, runs = imagery["target"][:], imagery["run_name"][:]
    is_valid = [target != "zebra" and run != "imgA_1" for target, run in zip(targets, runs, strict=True)]
    averages = check(imagery.remove_columns("is_valid").add_column("is_valid", is_valid))
    by_target = dict(zip(averages["target"], averages["n_repeats"], strict=True))
    assert by_target["zebra"] == 0
    assert set(by_target.values()) == {0, 8, 16}
    zebra = averages.filter(lambda target: target == "zebra", input_columns="target")[0]
    assert not zebra["is_valid"]
    assert not any(zebra["betas"])


def test_the_average_of_a_word_is_about_no_picture(core_dataset: Path) -> None:
    vision = trials_of(core_dataset, "vision")
    assert min(vision.filter(lambda s: s == "C", input_columns="stimulus_set")["nsd_id"]) >= 0
    for trials in (vision, vision.filter(lambda repeat: repeat == 0, input_columns="repeat_index")):
        for row in nsd_imagery.average_repeats(trials).remove_columns("betas"):
            if row["stimulus_set"] == "C":
                assert (row["nsd_id"], row["coco_id"], row["caption"]) == (-1, -1, "")
                assert not row["shared1000"]
                assert row["stimulus"] == row["target"]
            if row["stimulus_set"] == "B" and row["nsd_id"] >= 0:
                assert row["stimulus"] == f"nsd{row['nsd_id']}"
                assert row["is_shared"]


def test_load_dataset_and_half_precision_give_the_same_columns(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["vision"], dtype="float16")
    from_cache = load_dataset(str(folder), "subj01-vision", split="test", cache_dir=hf_cache)
    averages = check(from_cache)
    assert averages.features == check(nsd_imagery.load(folder, "subj01-vision", "test")).features
    assert averages.features["betas"].feature.dtype == "float32"
    assert all(column.null_count == 0 for column in averages.data.table.columns)
    assert averages.with_format("torch")[:3]["betas"].shape == (3, averages.features["betas"].length)


def test_equal_averages_have_one_fingerprint_and_others_another(core_dataset: Path) -> None:
    trials = trials_of(core_dataset, "vision")
    averages = nsd_imagery.average_repeats(trials)
    again = nsd_imagery.average_repeats(trials.select(range(trials.num_rows)))
    assert again._fingerprint == averages._fingerprint
    for other in (trials.select(range(trials.num_rows - 1)), trials_of(core_dataset, "imagery")):
        assert nsd_imagery.average_repeats(other)._fingerprint != averages._fingerprint


def test_what_is_no_trial_config_is_refused(dataset: Path) -> None:
    with pytest.raises(UsageError, match="cannot be averaged, they have no subject"):
        nsd_imagery.average_repeats(nsd_imagery.load(dataset, "subj01-voxels", "train"))
    without = nsd_imagery.load(dataset, "subj01-vision", "test").remove_columns("betas")
    with pytest.raises(UsageError, match="have no betas"):
        nsd_imagery.average_repeats(without)
