"""The dataset folder: what load_dataset opens, whose numbers it holds, and that it is never a mixture."""

import fcntl
import json
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, Features, concatenate_datasets, load_dataset
from nilearn.masking import apply_mask
from torch.utils.data import DataLoader

import nsd_imagery
from nsd_imagery.dataset.folder import read_manifest, shard_files
from nsd_imagery.dataset.shards import LogicalHash
from nsd_imagery.errors import BusyError, DataError, FolderError, MissingDataError, UsageError
from nsd_imagery.sources.release_files import expected_betas

BETAS = "fithrf_GLMdenoise_RR"
CONDITIONS = {"imagery": 288, "vision": 144, "attention": 288}


def load(folder: Path, config: str, cache: str) -> Dataset:
    return load_dataset(
        str(folder), config, split="test" if config.split("-")[1] in CONDITIONS else "train", cache_dir=cache
    )


def numbers(dataset: Dataset, column: str = "betas") -> np.ndarray:
    return np.asarray(dataset.with_format("numpy")[column][:])


def in_file(root: Path, subject: str = "subj01", betas: str = BETAS) -> np.ndarray:
    """(720, n_voxels) int16 of nsdgeneral, read by nibabel alone."""
    mask = np.asarray(nib.load(root / f"nsddata/ppdata/{subject}/func1pt8mm/roi/nsdgeneral.nii.gz").dataobj) == 1
    return np.asarray(nib.load(root / f"{expected_betas(betas, subject)}.nii.gz").dataobj)[mask].T


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize(("condition", "rows"), CONDITIONS.items())
def test_each_condition_opens_with_all_rows_and_no_nulls(
    dataset: Path, hf_cache: str, condition: str, rows: int
) -> None:
    trials = load(dataset, f"subj01-{condition}", hf_cache)
    assert trials.num_rows == rows
    assert set(Counter(trials["target"]).values()) == {8 if condition == "vision" else 16}
    assert all(column.null_count == 0 for column in trials.data.table.columns)
    assert trials.features["betas"].length == load(dataset, "subj01-voxels", hf_cache).num_rows
    if condition == "attention":
        assert Counter(trials["epoch"]) == {"cue": 144, "detection": 144}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_default_collate_of_a_dataloader_takes_every_trial_config(
    dataset: Path, hf_cache: str, condition: str
) -> None:
    trials = load(dataset, f"subj01-{condition}", hf_cache).with_format("torch")
    batch = next(iter(DataLoader(trials, batch_size=8)))
    assert batch["betas"].shape == (8, trials.features["betas"].length)
    assert batch["betas"].dtype == torch.float32
    assert batch["nsd_id"].dtype == torch.int64


def test_unscored_betas_are_the_integers_of_the_file_over_300_from_either_format(
    release: Path, own_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    stored = in_file(release)
    from_hdf5 = nsd_imagery.build(release, tmp_path / "a", subjects=["subj01"], zscore="none")
    for subject in ("subj01", "subj02"):
        (own_release / f"{expected_betas(BETAS, subject)}.hdf5").unlink()
    from_nifti = nsd_imagery.build(own_release, tmp_path / "b", subjects=["subj01"], zscore="none")
    for condition in CONDITIONS:
        one, other = (load(folder, f"subj01-{condition}", hf_cache) for folder in (from_hdf5, from_nifti))
        expected = (stored[one["beta_index"]] / 300).astype(np.float32)
        np.testing.assert_array_equal(numbers(one), expected)
        np.testing.assert_array_equal(numbers(other), expected)
        assert {path.endswith(".hdf5") for path in one["beta_path"]} == {True}
        assert {path.endswith(".nii.gz") for path in other["beta_path"]} == {True}


def test_columns_are_the_voxels_that_the_sidecar_says(release: Path, dataset: Path, hf_cache: str) -> None:
    voxels = load(dataset, "subj01-voxels", hf_cache).to_pandas()
    image = nib.load(release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz")
    ijk = voxels[["i", "j", "k"]].to_numpy()
    np.testing.assert_array_equal(ijk, np.argwhere(np.asarray(image.dataobj) == 1))
    np.testing.assert_allclose(voxels[["x", "y", "z"]], nib.affines.apply_affine(image.affine, ijk), atol=1e-4)
    assert voxels["column"].tolist() == list(range(len(voxels)))
    assert set(voxels["hemisphere"]) <= {"left", "right", ""}
    assert {"left", "right"} <= set(voxels["hemisphere"])
    assert (voxels["nsdgeneral"] == "nsdgeneral").all()
    assert 0 < (~voxels["valid_nsdimagery"]).sum() < len(voxels) / 10
    with h5py.File(release / f"{expected_betas(BETAS, 'subj01')}.hdf5") as file:
        i, j, k = ijk[5]
        np.testing.assert_array_equal(file["betas"][:, k, j, i], in_file(release)[:, 5])


def test_a_voxel_is_left_or_right_where_just_one_hemisphere_has_it(own_release: Path, tmp_path: Path) -> None:
    roi = own_release / "nsddata/ppdata/subj01/func1pt8mm/roi"
    whole = nsd_imagery.build(own_release, tmp_path / "a", subjects=["subj01"], conditions=["vision"])
    before = nsd_imagery.load(whole, "subj01-voxels", "train")["hemisphere"][:]
    assert set(before) == {"left", "right"}
    for path in [*roi.glob("lh.*"), *roi.glob("rh.*")]:  # 0 is no label, as -1 is none
        image = nib.load(path)
        values = np.maximum(np.asarray(image.dataobj), 0)
        path.unlink()
        nib.save(nib.Nifti1Image(values, image.affine), path)
    same = nsd_imagery.build(own_release, tmp_path / "same", subjects=["subj01"], conditions=["vision"])
    assert nsd_imagery.load(same, "subj01-voxels", "train")["hemisphere"][:] == before
    for path in roi.glob("lh.*"):
        path.unlink()
    without = nsd_imagery.build(own_release, tmp_path / "b", subjects=["subj01"], conditions=["vision"])
    after = nsd_imagery.load(without, "subj01-voxels", "train")["hemisphere"][:]
    assert after == ["right" if side == "right" else "" for side in before]
    for path in roi.glob("rh.*"):
        shutil.copy(path, path.with_name(path.name.replace("rh.", "lh.")))
    both = nsd_imagery.build(own_release, tmp_path / "c", subjects=["subj01"], conditions=["vision"])
    assert set(nsd_imagery.load(both, "subj01-voxels", "train")["hemisphere"][:]) == {""}


def test_scores_have_mean_0_and_sd_1_over_each_run_and_the_stats_undo_them(
    release: Path, dataset: Path, hf_cache: str
) -> None:
    stats = load(dataset, "subj01-stats", hf_cache)
    by_group = {
        (run, epoch): (m, s)
        for run, epoch, m, s in zip(
            stats["run_number"], stats["epoch"], numbers(stats, "mean"), numbers(stats, "sd"), strict=True
        )
    }
    assert len(by_group) == 15
    percent = in_file(release) / 300
    for condition in CONDITIONS:
        trials = load(dataset, f"subj01-{condition}", hf_cache)
        scores = numbers(trials)
        groups = list(zip(trials["run_number"], trials["epoch"], strict=True))
        mean = np.stack([by_group[group][0] for group in groups])
        sd = np.stack([by_group[group][1] for group in groups])
        np.testing.assert_allclose(scores * sd + mean, percent[trials["beta_index"]], atol=1e-5)
        for group in set(groups):
            part = scores[[other == group for other in groups]].astype(float)
            varies = by_group[group][1] > 0
            np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-6)
            np.testing.assert_allclose(part[:, varies].std(axis=0, ddof=1), 1, atol=1e-6)
            assert not part[:, ~varies].any()
            assert (~varies).any()


def test_scores_do_not_depend_on_the_conditions_that_are_built(release: Path, dataset: Path, tmp_path: Path) -> None:
    alone = nsd_imagery.build(release, tmp_path / "alone", subjects=["subj01"], conditions=["vision"])
    mine, whole = files(alone), files(dataset)
    arrow = [name for name in mine if name.endswith(".arrow")]
    assert {name.split("/")[0] for name in arrow} == {"subj01-vision", "subj01-stats", "subj01-voxels", "stimuli"}
    assert all(mine[name] == whole[name] for name in arrow)


def test_session_scores_are_over_the_whole_session(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "s", subjects=["subj01"], zscore="session")
    rows = np.empty((720, load(folder, "subj01-voxels", hf_cache).num_rows))
    for condition in CONDITIONS:
        trials = load(folder, f"subj01-{condition}", hf_cache)
        rows[trials["beta_index"]] = numbers(trials)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-6)
    stats = load(folder, "subj01-stats", hf_cache)
    assert stats["run_number"][:] == [-1]


def test_a_row_without_data_keeps_its_place_and_counts_for_nothing(
    own_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    path = own_release / f"{expected_betas(BETAS, 'subj01')}.hdf5"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    with h5py.File(path, "r+") as file:
        file["betas"][150] = 0
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    trials = load(folder, "subj01-imagery", hf_cache)
    at = trials["beta_index"][:].index(150)
    assert [n for n, valid in enumerate(trials["is_valid"]) if not valid] == [at]
    scores = numbers(trials)
    assert not scores[at].any()
    run = [n for n, name in enumerate(trials["run_name"]) if name == "imgA_1" and n != at]
    np.testing.assert_allclose(scores[run].mean(axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("ending", ["hdf5", "nii.gz"])
def test_a_volume_of_nan_counts_for_nothing_too(own_release: Path, tmp_path: Path, hf_cache: str, ending: str) -> None:
    image = nib.load(own_release / f"{expected_betas(BETAS, 'subj01')}.nii.gz")
    betas = np.asarray(image.dataobj).astype(np.float32) / 300
    betas[..., 150] = np.nan
    for path in (own_release / f"{expected_betas(BETAS, 'subj01')}").parent.glob("betas_nsdimagery.*"):
        path.unlink()
    path = own_release / f"{expected_betas(BETAS, 'subj01')}.{ending}"
    if ending == "hdf5":
        with h5py.File(path, "w") as file:
            file.create_dataset("betas", data=betas.T, chunks=(720, 1, 1, 1))
    else:
        nib.save(nib.Nifti1Image(betas, image.affine), path)
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], conditions=["imagery"])
    trials = load(folder, "subj01-imagery", hf_cache)
    volume = np.asarray(trials["beta_index"][:])
    assert volume[~np.asarray(trials["is_valid"][:])].tolist() == [150]
    scores = numbers(trials)
    assert not scores[volume == 150].any()
    run = (np.asarray(trials["run_name"][:]) == "imgA_1") & (volume != 150)
    mask = np.asarray(nib.load(own_release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz").dataobj) == 1
    values = betas[mask].T[volume[run]].astype(np.float64)
    sd = values.std(axis=0, ddof=1)
    expected = np.divide(values - values.mean(axis=0), sd, out=np.zeros_like(values), where=sd > 1e-9)
    np.testing.assert_allclose(scores[run], expected, atol=1e-6)


def test_two_builds_of_one_input_are_the_same_bytes_whatever_runs_them(
    release: Path, dataset: Path, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as executor:
        again = nsd_imagery.build(release, tmp_path / "elsewhere" / "nsd_imagery", executor=executor)
    assert files(again) == files(dataset)


def test_sealed_files_hold_no_path_and_no_host(dataset: Path, release: Path) -> None:
    for name in ("README.md", "manifest.json"):
        text = (dataset / name).read_text()
        for secret in (str(release), str(dataset), os.uname().nodename):
            assert secret not in text


def test_the_readme_names_exactly_the_shards_with_the_hash_of_their_rows(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert manifest is not None
    named = sorted(shard_files(manifest))
    assert named == sorted(path.relative_to(dataset).as_posix() for path in dataset.rglob("*.arrow"))
    readme = (dataset / "README.md").read_text()
    for config in manifest.configs.values():
        for shard in config.shards:
            assert f"- {shard.file}\n" in readme
            assert shard.hash[:12] in shard.file
            with pa.ipc.open_stream(dataset / shard.file) as reader:
                table = reader.read_all()
            logical = LogicalHash(table.schema)
            for batch in table.to_batches(max_chunksize=7):
                logical.update(batch)
            assert logical.hexdigest() == shard.hash
            assert table.num_rows == shard.rows
    assert manifest.synthetic is True


def test_the_hash_of_rows_sees_every_value_and_no_batch(dataset: Path) -> None:
    """Pictures are bytes in a struct, captions words in a list: each is part of the name of the shard."""
    (path,) = (dataset / "stimuli").iterdir()
    table = Dataset.from_file(str(path)).data.table

    def logical(rows: list[dict], size: int = 100) -> str:
        changed = pa.Table.from_pylist(rows, schema=table.schema)
        digest = LogicalHash(table.schema)
        for batch in changed.to_batches(max_chunksize=size):
            digest.update(batch)
        return digest.hexdigest()

    rows = table.to_pylist()
    at = next(number for number, row in enumerate(rows) if row["image"] and row["captions"])
    image, captions = rows[at]["image"], rows[at]["captions"]
    others = [
        {"image": {**image, "bytes": image["bytes"][:-1] + b"?"}},
        {"image": None},
        {"image": {**image, "bytes": None}},
        {"captions": [*captions[:-1], captions[-1] + "."]},
        {"captions": captions[:-1]},
        {"captions": [captions[0] + captions[1], *captions[2:]]},
        {"caption": ""},
        {"nsd_id": rows[at]["nsd_id"] + 1},
    ]
    found = {logical([*rows[:at], {**rows[at], **other}, *rows[at + 1 :]]) for other in others}
    assert len(found | {logical(rows)}) == 1 + len(others)
    assert logical(rows, 7) == logical(rows)


def test_shards_are_numbered_from_0_among_those_of_their_split(core_dataset: Path) -> None:
    manifest = read_manifest(core_dataset)
    assert manifest is not None
    for name, config in manifest.configs.items():
        for split, shards in config.splits.items():
            for number, shard in enumerate(shards):
                start = f"{name}/{split}-{number:05d}-of-{len(shards):05d}-{shard.hash[:12]}"
                assert shard.file == f"{start}.arrow"
    assert len(manifest.configs["subj01-perception"].splits["train"]) == 3


def test_features_of_the_readme_are_those_of_the_shards(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    assert manifest is not None
    for config in manifest.configs.values():
        for file in (shard.file for shard in config.shards):
            assert Dataset.from_file(str(dataset / file)).features == Features._from_yaml_list(list(config.features))


def test_all_conditions_of_a_subject_concatenate(dataset: Path, hf_cache: str) -> None:
    parts = [load(dataset, f"subj01-{condition}", hf_cache) for condition in CONDITIONS]
    assert concatenate_datasets(parts).num_rows == 720


def test_a_rebuild_with_other_data_is_what_the_next_load_opens(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "nsd_imagery", subjects=["subj01"])
    first = numbers(load(folder, "subj01-imagery", hf_cache))
    other = nsd_imagery.synth(tmp_path / "other", seed=5, format="nii.gz")
    nsd_imagery.build(other, folder, subjects=["subj01"])
    second = load(folder, "subj01-imagery", hf_cache)
    assert not np.array_equal(numbers(second), first)
    stats = load(folder, "subj01-stats", hf_cache)
    assert stats.num_rows == 15
    assert len(list((folder / "subj01-imagery").iterdir())) == 1


def test_changed_betas_are_read_again_though_their_rows_are_the_same(
    own_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    folder = nsd_imagery.build(own_release, tmp_path / "nsd_imagery", subjects=["subj01"], zscore="none")
    first = numbers(load(folder, "subj01-vision", hf_cache))
    path = own_release / f"{expected_betas(BETAS, 'subj01')}.hdf5"
    path.with_name("meanbeta_nsdimagery.nii.gz").unlink()
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    voxel = load(folder, "subj01-voxels", hf_cache)[4]
    with h5py.File(path, "r+") as file:
        file["betas"][3, voxel["k"], voxel["j"], voxel["i"]] = 30_000
    nsd_imagery.build(own_release, folder, subjects=["subj01"], zscore="none")
    second = numbers(load(folder, "subj01-vision", hf_cache))
    assert np.argwhere(first != second).tolist() == [[3, 4]]
    assert second[3, 4] == 100


def test_a_second_folder_of_the_same_name_is_what_its_load_opens(release: Path, tmp_path: Path, hf_cache: str) -> None:
    one = nsd_imagery.build(release, tmp_path / "one" / "nsd_imagery", subjects=["subj01"])
    two = nsd_imagery.build(release, tmp_path / "two" / "nsd_imagery", subjects=["subj01"], betas="fithrf")
    assert set(load(one, "subj01-vision", hf_cache)["beta_version"]) == {BETAS}
    assert set(load(two, "subj01-vision", hf_cache)["beta_version"]) == {"fithrf"}
    assert set(load(one, "subj01-vision", hf_cache)["beta_version"]) == {BETAS}


def test_a_rerun_keeps_what_is_finished_and_a_second_subject_leaves_the_first(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "nsd_imagery", subjects=["subj01"])
    before = {path: path.stat().st_ino for path in folder.rglob("*.arrow") if "voxels" not in str(path)}
    nsd_imagery.build(release, folder)
    assert {path: path.stat().st_ino for path in before} == before
    manifest = read_manifest(folder)
    assert manifest is not None
    assert {name.split("-")[0] for name in manifest.configs} == {"subj01", "subj02", "stimuli"}


def test_other_rois_are_configs_beside_the_first(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(
        release, tmp_path / "nsd_imagery", subjects=["subj01"], roi=["nsdgeneral", "V1", "nsdgeneral&streams:early"]
    )
    general = load(folder, "subj01-vision", hf_cache)
    area = load(folder, "subj01-vision-V1", hf_cache)
    voxels, area_voxels = (load(folder, f"subj01-voxels{suffix}", hf_cache).to_pandas() for suffix in ("", "-V1"))
    assert set(area_voxels["prf-visualrois"]) == {"V1v", "V1d"}
    both = voxels.merge(area_voxels, on=["i", "j", "k"])
    assert len(both) > 5
    np.testing.assert_array_equal(numbers(general)[:, both["column_x"]], numbers(area)[:, both["column_y"]])
    assert set(load(folder, "subj01-voxels-nsdgeneral&streams.early", hf_cache)["streams"]) == {"early"}


@pytest.mark.parametrize("name", ["V3", "OFA", "streams:ventral"])
def test_the_betas_of_a_roi_are_those_that_nilearn_selects(
    release: Path, tmp_path: Path, hf_cache: str, name: str
) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], roi=name, zscore="none")
    suffix = name.replace(":", ".")
    trials = load(folder, f"subj01-vision-{suffix}", hf_cache)
    voxels = load(folder, f"subj01-voxels-{suffix}", hf_cache).to_pandas()
    like = nib.load(release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz")
    mask = np.zeros(like.shape, np.int8)
    mask[tuple(voxels[["i", "j", "k"]].to_numpy().T)] = 1
    betas = release / f"{expected_betas(BETAS, 'subj01')}.nii.gz"
    selected = apply_mask(str(betas), nib.Nifti1Image(mask, like.affine))
    np.testing.assert_allclose(numbers(trials), selected[trials["beta_index"]] / 300, rtol=1e-6)


def test_a_mask_file_is_a_roi(release: Path, tmp_path: Path, hf_cache: str) -> None:
    source = nib.load(release / "nsddata/ppdata/subj01/func1pt8mm/roi/prf-visualrois.nii.gz")
    mask = (np.asarray(source.dataobj) == 2).astype(np.int16)
    nib.save(nib.Nifti1Image(mask, source.affine), tmp_path / "my_area.nii.gz")
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], roi=str(tmp_path / "my_area.nii.gz"))
    assert set(load(folder, "subj01-voxels-my_area", hf_cache)["prf-visualrois"]) == {"V1d"}
    assert not any(str(tmp_path).encode() in contents for contents in files(folder).values())
    assert b"my_area.nii.gz" in files(folder)["manifest.json"]
    nib.save(source, tmp_path / "atlas.nii.gz")
    with pytest.raises(DataError, match=r"atlas.nii.gz: has values like 2; a mask has"):
        nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], roi=str(tmp_path / "atlas.nii.gz"))


def test_float16_is_only_the_betas(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], dtype="float16")
    trials = load(folder, "subj01-vision", hf_cache)
    assert trials.features["betas"].feature.dtype == "float16"
    assert trials.features["nsd_id"].dtype == "int32"


def test_one_folder_never_mixes_recipes(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    before = files(folder)
    for options in ({"zscore": "session"}, {"betas": "fithrf"}, {"dtype": "float16"}):
        with pytest.raises(FolderError, match="one folder holds one"):
            nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["vision"], **options)
    assert {name: data for name, data in files(folder).items() if name in before} == before


@pytest.mark.parametrize(
    "options", [{"zscore": "none"}, {"betas": "fithrf"}, {"dtype": "float16"}, {"smoothing_fwhm": 3.0}]
)
def test_another_recipe_takes_the_place_of_what_is_there_only_if_that_is_said(
    release: Path, tmp_path: Path, options: dict
) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["imagery"])
    before = files(folder)
    what = {"betas": "beta_version"}.get(*options, *options)
    for verb in (nsd_imagery.preview, nsd_imagery.build):
        with pytest.raises(
            FolderError, match=rf"subj01-imagery: built by another recipe \({what} was .*--replace"
        ) as no:
            verb(release, folder, subjects=["subj01"], conditions=["imagery"], **options)
        assert "\n" not in str(no.value)
    assert {name: held for name, held in files(folder).items() if ".build" not in name} == {
        name: held for name, held in before.items() if ".build" not in name
    }
    nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["imagery"], replace=True, **options)
    fresh = nsd_imagery.build(release, tmp_path / "e", subjects=["subj01"], conditions=["imagery"], **options)
    sealed = ({name: held for name, held in files(one).items() if ".build" not in name} for one in (folder, fresh))
    assert next(sealed) == next(sealed)
    nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["imagery"], **options)  # the same recipe again


def test_a_condition_from_other_betas_than_its_neighbours_is_refused(
    release: Path, own_release: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    source = own_release / f"{expected_betas(BETAS, 'subj01')}.hdf5"
    raw = source.read_bytes()
    source.unlink()
    source.write_bytes(raw)
    with h5py.File(source, "r+") as file:
        file["betas"][5] += 1
    with pytest.raises(FolderError, match="was built from other files than"):
        nsd_imagery.build(own_release, folder, subjects=["subj01"], conditions=["vision"])


def test_a_folder_with_foreign_files_is_refused(release: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"notes\.txt"):
        nsd_imagery.build(release, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_hidden_files_are_not_foreign(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"are no dataset of nsd-imagery \(notes\.txt\)"):
        nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["vision"])
    (folder / "notes.txt").unlink()
    assert nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["vision"]) == folder
    assert read_manifest(folder) is not None
    assert (folder / ".DS_Store").is_file()


def test_a_second_build_of_a_folder_is_refused_and_names_the_first(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    with (folder / ".build" / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match=f"process {os.getpid()}"):
            nsd_imagery.build(release, folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subjects": ["subj1"]}, "did you mean 'subj01'"),
        ({"conditions": ["image"]}, "no condition 'image'"),
        ({"roi": "v11"}, "no ROI 'v11' .did you mean"),
        ({"roi": "stream:early"}, "did you mean 'streams'"),
        ({"roi": "streams:erly"}, "no label 'erly' .did you mean 'early'"),
        ({"roi": "lh.strems"}, "did you mean .streams"),
        ({"zscore": "runs"}, "did you mean 'run'"),
        ({"dtype": "float64"}, "no dtype"),
        ({"betas": "b3"}, "no betas 'b3'"),
    ],
)
def test_a_mistyped_option_is_named_with_what_was_meant(
    release: Path, tmp_path: Path, options: dict, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        nsd_imagery.build(release, tmp_path / "d", **options)
    assert not (tmp_path / "d").exists()


def test_damaged_betas_leave_nothing_that_opens(own_release: Path, tmp_path: Path) -> None:
    stem = own_release / expected_betas(BETAS, "subj01")
    stem.with_name(stem.name + ".hdf5").unlink()
    path = stem.with_name(stem.name + ".nii.gz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.unlink()
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"betas_nsdimagery.nii.gz"):
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    for opens in (load_dataset, nsd_imagery.load):
        with pytest.raises((ValueError, MissingDataError)):
            opens(str(tmp_path / "d"), "subj01-imagery")
    written = {path.parent.name for path in (tmp_path / "d").rglob("*.arrow")}
    assert written <= {"subj01-voxels", "stimuli"}, "shards of betas that could not be read to their end"


def test_files_have_the_permissions_that_the_umask_leaves(release: Path, tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(mask)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.arrow")} == {0o640}
    assert (folder / "README.md").stat().st_mode & 0o777 == 0o640


def test_what_a_failed_rebuild_leaves_is_the_old_dataset(release: Path, own_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    before = files(folder)
    (own_release / f"{expected_betas(BETAS, 'subj02')}.hdf5").unlink()
    path = own_release / f"{expected_betas(BETAS, 'subj02')}.nii.gz"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[:-100])
    with pytest.raises(DataError, match="subj02"):
        nsd_imagery.build(own_release, folder)
    after = files(folder)
    assert {name: after[name] for name in before} == before


def test_perception_that_the_root_does_not_hold_is_missing_data(release: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="holds no perception trials"):
        nsd_imagery.build(release, tmp_path / "d", conditions=["perception"])


def test_the_shards_are_plain_arrow_streams_of_batches_of_100_rows(dataset: Path) -> None:
    (path,) = (dataset / "subj01-imagery").glob("*.arrow")
    with pa.ipc.open_stream(path) as reader:
        assert [batch.num_rows for batch in reader] == [100, 100, 88]
    assert json.loads((dataset / "manifest.json").read_text())["format_version"] == 3
