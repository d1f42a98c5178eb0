"""Back to the volume, and to smaller ROIs, after loading."""

import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from datasets import Dataset, load_dataset

import nsd_imagery
from nsd_imagery.errors import DataError, UsageError

NSDGENERAL = "nsddata/ppdata/{}/func1pt8mm/roi/nsdgeneral.nii.gz"


def load(folder: Path, config: str, cache: str) -> Dataset:
    split = "train" if "voxels" in config else "test"
    return load_dataset(str(folder), config, split=split, cache_dir=cache)


def betas(dataset: Dataset) -> np.ndarray:
    return np.asarray(dataset.with_format("numpy")["betas"][:])


def test_a_value_a_voxel_goes_back_exactly_and_lies_on_the_mask(release: Path, dataset: Path, hf_cache: str) -> None:
    voxels = load(dataset, "subj01-voxels", hf_cache)
    like = release / NSDGENERAL.format("subj01")
    vector = np.random.default_rng(0).standard_normal(voxels.num_rows).astype(np.float32)
    image = nsd_imagery.to_nifti(vector, voxels, like)
    mask = nib.load(like)
    inside = np.asarray(mask.dataobj) == 1
    np.testing.assert_array_equal(image.affine, mask.affine)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[inside], vector)
    assert not np.asarray(image.dataobj)[~inside].any()
    frame = nsd_imagery.to_nifti(vector, voxels.to_pandas(), like, fill=np.nan)
    assert np.isnan(np.asarray(frame.dataobj)[~inside]).all()


def test_the_volume_of_another_subject_is_refused(release: Path, dataset: Path, hf_cache: str) -> None:
    voxels = load(dataset, "subj01-voxels", hf_cache)
    vector = np.zeros(voxels.num_rows)
    with pytest.raises(DataError, match="do not lie on this grid"):
        nsd_imagery.to_nifti(vector, voxels, release / NSDGENERAL.format("subj02"))
    with pytest.raises(DataError, match="one value a voxel"):
        nsd_imagery.to_nifti(vector[1:], voxels, release / NSDGENERAL.format("subj01"))


def test_a_volume_that_voxels_lie_outside_of_is_refused(release: Path, dataset: Path, tmp_path: Path) -> None:
    voxels = nsd_imagery.load(dataset, "subj01-voxels", "train")
    part = nib.load(release / NSDGENERAL.format("subj01")).slicer[:, : max(voxels["j"])]
    part.to_filename(tmp_path / "part.nii.gz")
    with pytest.raises(DataError, match="do not lie on this grid"):
        nsd_imagery.to_nifti(np.zeros(voxels.num_rows), voxels, tmp_path / "part.nii.gz")


def test_voxels_of_load_of_restrict_and_of_a_root_remember_the_grid(release: Path, dataset: Path) -> None:
    voxels = nsd_imagery.load(dataset, "subj01-voxels", "train")
    trials = nsd_imagery.load(dataset, "subj01-vision", "test")
    mask = nib.load(release / NSDGENERAL.format("subj01"))
    restricted = nsd_imagery.restrict(trials, voxels, "v1", root=release).voxels
    of_root = nsd_imagery.NSDImageryDataset(release, 1, "vision").voxels
    some = voxels.filter(lambda i: i > 3, input_columns="i")
    for rows in (voxels, some, pickle.loads(pickle.dumps(voxels)), restricted, of_root):
        vector = np.arange(1, rows.num_rows + 1)
        image = nsd_imagery.to_nifti(vector, rows)
        assert image.shape == mask.shape
        np.testing.assert_array_equal(image.affine, mask.affine)
        places = tuple(np.array([rows[axis][:] for axis in "ijk"]))
        np.testing.assert_array_equal(np.asarray(image.dataobj)[places], vector)


def test_voxels_of_load_dataset_need_only_their_folder(
    release: Path, dataset: Path, tmp_path: Path, hf_cache: str
) -> None:
    voxels = load(dataset, "subj02-voxels", hf_cache)
    vector = np.ones(voxels.num_rows)
    mask = nib.load(release / NSDGENERAL.format("subj02"))
    image = nsd_imagery.to_nifti(vector, voxels, dataset)
    assert image.shape == mask.shape
    np.testing.assert_array_equal(image.affine, mask.affine)
    with pytest.raises(UsageError, match="give like=, their dataset folder or a volume of the subject"):
        nsd_imagery.to_nifti(vector, voxels)
    other = nsd_imagery.build(release, tmp_path / "d", subjects="1", conditions="vision", roi="V1")
    with pytest.raises(DataError, match="lie on none of the grids that it remembers"):
        nsd_imagery.to_nifti(vector, voxels, other)


def test_restricted_rows_are_those_of_the_rois_own_build(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], roi=["nsdgeneral", "V3", "nsdgeneral&V3"])
    general, voxels = load(folder, "subj01-vision", hf_cache), load(folder, "subj01-voxels", hf_cache)
    area_voxels = load(folder, "subj01-voxels-V3", hf_cache)
    for roi in (nsd_imagery.find_roi(release, "subj01", "V3"), area_voxels):
        restricted = nsd_imagery.restrict(general, voxels, roi)
        inside = load(folder, "subj01-vision-nsdgeneral&V3", hf_cache)
        np.testing.assert_array_equal(betas(restricted.dataset), betas(inside))
        assert restricted.n_missing == area_voxels.num_rows - inside.features["betas"].length > 0
        assert restricted.dataset.features == inside.features
        expected = load(folder, "subj01-voxels-nsdgeneral&V3", hf_cache)
        np.testing.assert_equal(restricted.voxels.to_dict(), expected.to_dict())


def test_no_rows_restricted_are_no_rows(release: Path, dataset: Path, hf_cache: str) -> None:
    general, voxels = load(dataset, "subj01-vision", hf_cache), load(dataset, "subj01-voxels", hf_cache)
    roi = nsd_imagery.find_roi(release, "subj01", "early")
    some, none = (nsd_imagery.restrict(general.select(range(n)), voxels, roi) for n in (1, 0))
    assert (some.dataset.num_rows, none.dataset.num_rows) == (1, 0)
    assert none.dataset.features == some.dataset.features
    assert none.voxels.to_dict() == some.voxels.to_dict()
    with pytest.raises(
        UsageError, match=r"no row that says whose 'early' is meant: .* find_roi\(root, subject, 'early'"
    ):
        nsd_imagery.restrict(general.select([]), voxels, "early", root=release)


def test_filtered_rows_stay_filtered_when_they_are_restricted(release: Path, dataset: Path, hf_cache: str) -> None:
    general, voxels = load(dataset, "subj01-vision", hf_cache), load(dataset, "subj01-voxels", hf_cache)
    some = general.filter(lambda run: run == "visB", input_columns="run_name")
    restricted = nsd_imagery.restrict(some, voxels, "early", root=release)
    assert set(restricted.dataset["run_name"]) == {"visB"}
    assert restricted.n_missing == 0
    with pytest.raises(DataError, match="-voxels of the same config"):
        nsd_imagery.restrict(restricted.dataset, voxels, nsd_imagery.find_roi(release, "subj01", "V3"))
