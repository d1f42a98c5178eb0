"""Smoothing against nilearn's of whole volumes, and builds that are smoothed."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from nilearn.image import smooth_img

import nsd_imagery
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.errors import DataError, FolderError, MissingDataError, UsageError
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.read import read_betas
from nsd_imagery.volumes.smooth import smooth, smoother

pytestmark = pytest.mark.slow

SHAPE = (9, 11, 8)
AFFINE = np.array([[-1.8, 0, 0, 3], [0, 2.5, 0, -4], [0, 0, 1.0, 5], [0, 0, 0, 1.0]])
SPACE = Path("nsddata/ppdata/subj01/func1pt8mm")
BETAS = Path("nsddata_betas/ppdata/subj01/func1pt8mm")
IMAGERY_BETAS = BETAS / "nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery.hdf5"


def by_nilearn(volume: np.ndarray, mask: np.ndarray, affine: np.ndarray, fwhm: float) -> np.ndarray:
    """The same ratio from two smoothed volumes; 0 outside the mask."""
    over, under = (
        smooth_img(nib.Nifti1Image(data, affine, dtype="float64"), fwhm).get_fdata()
        for data in (np.where(mask, volume, 0).astype(np.float64), mask.astype(np.float64))
    )
    return np.divide(over, under, out=np.zeros_like(over), where=mask)


def volumes_of(path: Path) -> np.ndarray:
    """(n, x, y, z) percent signal change."""
    with h5py.File(path) as file:
        return file["betas"][:].transpose(0, 3, 2, 1) / 300


def rows_of(folder: Path, config: str, split: str = "test") -> dict[str, np.ndarray]:
    rows = nsd_imagery.load(folder, config, split).with_format("numpy")[:]
    return {name: rows[name] for name in ("betas", "beta_index", "session")}


def mask_of(root: Path, valid: str) -> np.ndarray:
    return np.logical_and(*(nib.load(root / SPACE / f"{name}.nii.gz").get_fdata() > 0 for name in ("brainmask", valid)))


def shards(folder: Path) -> dict[str, list[str]]:
    configs = open_manifest(folder).configs
    return {name: [shard.hash for shard in config.shards] for name, config in configs.items()}


@pytest.mark.parametrize("fwhm", [0.4, 3.0, 5.0, 30.0])
def test_smoothing_is_the_ratio_that_nilearn_gives_of_whole_volumes(tmp_path: Path, fwhm: float) -> None:
    rng = np.random.default_rng(1)
    data = rng.integers(-3000, 3000, (*SHAPE, 20), dtype=np.int16)
    mask = rng.random(SHAPE) < 0.6
    wanted = rng.random(SHAPE) < 0.3
    voxels, grid = np.flatnonzero(wanted), Grid(SHAPE, AFFINE)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_dataset("betas", data=data.T, chunks=(20, 1, 1, 1))
    by = smoother(grid, voxels, np.flatnonzero(mask), fwhm)
    smoothed = smooth(read_betas(tmp_path / "b.hdf5", grid, by.needs, None), by)
    for volume in range(20):
        expected = by_nilearn(data[..., volume] / 300, mask, AFFINE, fwhm)[wanted]
        np.testing.assert_allclose(smoothed.stored[volume], expected, rtol=1e-5, atol=1e-6)
    assert (smoothed.stored[:, ~mask[wanted]] == 0).all()
    assert smoothed.header.scaling == Scaling()


def test_a_mask_of_one_value_keeps_it_and_voxels_outside_take_no_part() -> None:
    grid, mask = Grid(SHAPE, AFFINE), np.random.default_rng(2).random(SHAPE) < 0.4
    by = smoother(grid, np.arange(grid.n_voxels), np.flatnonzero(mask), 4.0)
    values = np.full((by.needs.size, 1), 2.5)
    for step in by.steps:
        values = step @ values
    np.testing.assert_allclose(values[:, 0], np.where(mask.reshape(-1), 2.5, 0), rtol=1e-12)
    assert np.isin(by.needs, np.flatnonzero(mask)).all()


def test_a_grid_of_unknown_size_cannot_be_smoothed() -> None:
    with pytest.raises(DataError, match="how large its voxels are"):
        smoother(Grid(SHAPE, None), np.arange(4), np.arange(9), 3.0)


def test_a_smoothed_build_is_smoothed_within_brain_and_valid_before_it_is_z_scored(
    release: Path, tmp_path: Path
) -> None:
    percent = nsd_imagery.build(release, tmp_path / "percent", subjects=["subj01"], zscore="none", smoothing_fwhm=3)
    scored = nsd_imagery.build(release, tmp_path / "scored", subjects=["subj01"], smoothing_fwhm=3.0)
    roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
    mask, volumes = mask_of(release, "valid_nsdimagery"), volumes_of(release / IMAGERY_BETAS)
    assert 0 < mask.reshape(-1)[roi.flat].sum() < roi.flat.size  # voxels of the ROI without data
    rows = rows_of(percent, "subj01-vision")
    for betas, volume in zip(rows["betas"], rows["beta_index"], strict=True):
        expected = by_nilearn(volumes[volume], mask, roi.grid.affine, 3.0).reshape(-1)[roi.flat]
        np.testing.assert_allclose(betas, expected, rtol=1e-5, atol=1e-5)
    run = rows["beta_index"] < 48
    sd = rows["betas"][run].std(axis=0, ddof=1, dtype=np.float64)
    scores = (rows["betas"][run] - rows["betas"][run].mean(axis=0, dtype=np.float64)) / np.where(sd > 0, sd, np.inf)
    np.testing.assert_allclose(rows_of(scored, "subj01-vision")["betas"][run], scores, atol=1e-4)


def test_each_session_of_nsd_core_has_a_mask_of_its_own(core_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "built", zscore="none", smoothing_fwhm=2.5, roi="V1")
    roi = nsd_imagery.find_roi(core_release, "subj01", "V1")
    rows = rows_of(folder, "subj01-perception-V1", "train")
    for session in (1, 2, 3):
        mask = mask_of(core_release, f"valid_session{session:02d}")
        volumes = volumes_of(core_release / BETAS / f"betas_fithrf_GLMdenoise_RR/betas_session{session:02d}.hdf5")
        for row in np.flatnonzero(rows["session"] == session)[:3]:
            expected = by_nilearn(volumes[rows["beta_index"][row]], mask, roi.grid.affine, 2.5).reshape(-1)[roi.flat]
            np.testing.assert_allclose(rows["betas"][row], expected, rtol=1e-5, atol=1e-5)


def test_both_formats_and_any_rois_beside_it_give_one_smoothed_dataset(
    release: Path, own_release: Path, tmp_path: Path
) -> None:
    options = {"subjects": ["subj01"], "smoothing_fwhm": 5.0}
    whole = shards(nsd_imagery.build(release, tmp_path / "whole", roi=["nsdgeneral", "V1"], **options))
    v1 = shards(nsd_imagery.build(release, tmp_path / "v1", roi="V1", **options))
    (own_release / IMAGERY_BETAS).unlink()
    nifti = nsd_imagery.build(own_release, tmp_path / "nifti", roi=["nsdgeneral", "V1"], **options)
    for suffix in ("", "-V1"):
        assert shards(nifti)[f"subj01-stats{suffix}"] == whole[f"subj01-stats{suffix}"]
        for condition in ("imagery", "vision", "attention"):  # whose rows also name the beta file
            name = f"subj01-{condition}{suffix}"
            one, other = (rows_of(folder, name)["betas"] for folder in (tmp_path / "whole", nifti))
            np.testing.assert_array_equal(one, other)
    assert {name: whole[name] for name in v1} == v1


def test_the_width_is_in_manifest_and_card_and_decides_what_is_kept(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "nsd_imagery"
    options = {"subjects": ["subj01"], "roi": "V1"}
    plain = shards(nsd_imagery.build(release, folder, conditions=["vision"], **options))
    assert open_manifest(folder).recipe.smoothing_fwhm is None
    assert "Gaussian" not in (folder / "README.md").read_text()
    with pytest.raises(FolderError, match="built with smoothing_fwhm"):
        nsd_imagery.build(release, folder, conditions=["imagery"], smoothing_fwhm=3, **options)
    smoothed = shards(
        nsd_imagery.build(release, folder, conditions=["vision"], smoothing_fwhm=3, replace=True, **options)
    )
    assert smoothed["subj01-vision-V1"] != plain["subj01-vision-V1"]
    assert smoothed["subj01-voxels-V1"] == plain["subj01-voxels-V1"]
    assert open_manifest(folder).recipe.smoothing_fwhm == 3.0
    assert "Gaussian of 3.0 mm" in (folder / "README.md").read_text()
    assert nsd_imagery.verify(folder, root=release, deep=True).passed
    wider = nsd_imagery.build(release, folder, conditions=["vision"], smoothing_fwhm=5, replace=True, **options)
    assert shards(wider)["subj01-vision-V1"] != smoothed["subj01-vision-V1"]


def test_another_mask_is_another_build(own_release: Path, tmp_path: Path) -> None:
    folder, options = tmp_path / "nsd_imagery", {"subjects": ["subj01"], "roi": "V1", "smoothing_fwhm": 3.0}
    before = shards(nsd_imagery.build(own_release, folder, conditions=["vision"], **options))
    path = own_release / SPACE / "valid_nsdimagery.nii.gz"
    image = nib.load(path)
    values = np.asarray(image.dataobj).copy()
    ijk = nsd_imagery.find_roi(own_release, "subj01", "V1")
    values[tuple(ijk.grid.ijk(ijk.flat[:40]).T)] = 0
    path.unlink()
    nib.save(nib.Nifti1Image(values, image.affine), path)
    with pytest.raises(FolderError, match="built from other files"):
        nsd_imagery.build(own_release, folder, conditions=["imagery"], **options)
    after = shards(nsd_imagery.build(own_release, folder, conditions=["vision"], **options))
    assert after["subj01-vision-V1"] != before["subj01-vision-V1"]


def test_the_builder_class_gives_the_rows_of_a_smoothed_folder(release: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = nsd_imagery.build(release, tmp_path / "nsd_imagery", subjects=["subj01"], roi="V1", smoothing_fwhm=3.0)
    of_width = {}
    for width in (None, 3.0):
        builder = nsd_imagery.NSDImagery("subj01-vision-V1", release, smoothing_fwhm=width, cache_dir=hf_cache)
        builder.download_and_prepare()
        of_width[width] = builder.as_dataset(split="test").with_format("numpy")["betas"][:]
    np.testing.assert_array_equal(of_width[3.0], rows_of(folder, "subj01-vision-V1")["betas"])
    assert not np.array_equal(of_width[3.0], of_width[None])


@pytest.mark.parametrize("width", [0, -3.0, float("nan"), float("inf")])
def test_a_width_that_cannot_be_meant_is_refused(release: Path, tmp_path: Path, width: float) -> None:
    with pytest.raises(UsageError, match="smoothing_fwhm is a width in mm"):
        nsd_imagery.build(release, tmp_path / "nsd_imagery", smoothing_fwhm=width)
    assert not (tmp_path / "nsd_imagery").exists()


def test_smoothing_without_any_mask_of_the_brain_is_refused(own_release: Path, tmp_path: Path) -> None:
    for name in ("brainmask", "valid_nsdimagery"):
        (own_release / SPACE / f"{name}.nii.gz").unlink()
    with pytest.raises(MissingDataError, match=r"no brainmask\.nii\.gz"):
        nsd_imagery.build(own_release, tmp_path / "nsd_imagery", subjects=["subj01"], smoothing_fwhm=3.0)


def test_the_command_smooths_and_a_build_that_does_not_imports_no_filter(release: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys; from nsd_imagery.cli.app import cli; cli.main(sys.argv[1:], standalone_mode=False); "
        "print(json.dumps(['scipy.ndimage' in sys.modules, 'torch' in sys.modules, 'datasets' in sys.modules]))"
    )
    found = {}
    for name, options in (("plain", []), ("smoothed", ["--smoothing-fwhm", "3"])):
        command = ["build", release, "--subjects", "subj01", "--roi", "V1", "--out", tmp_path / name, *options]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, command)], capture_output=True, text=True, check=True
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
    assert found == {"plain": [False, False, False], "smoothed": [True, False, False]}
    assert open_manifest(tmp_path / "smoothed").recipe.smoothing_fwhm == 3.0
