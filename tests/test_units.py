"""Units that a beta file lost when it was saved again: refused in one line that says what to set, and then right."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

import nsd_imagery
from nsd_imagery.checks.report import Finding
from nsd_imagery.errors import DataError
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas
from nsd_imagery.volumes.betas import BetaHeader, Scaling
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.scale import scale_fault

pytestmark = pytest.mark.slow

BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")
CORE = expected_nsd_betas("fithrf_GLMdenoise_RR", "subj01")

Change = Callable[[NDArray[np.int16]], NDArray[np.generic]]


def save_hdf5(root: Path, change: Change, **options: object) -> Path:
    """Betas saved again as an HDF5, and no .nii.gz beside it."""
    path = root / f"{BETAS}.hdf5"
    (root / f"{BETAS}.nii.gz").unlink(missing_ok=True)
    with h5py.File(path) as file:
        betas = file["betas"][:]
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=change(betas), **options)
    return path


def save_nifti(root: Path, change: Change, *, slope: float | None = None, name: str = "") -> Path:
    """Betas saved again as a NIfTI by nibabel, and no .hdf5 beside it."""
    (root / f"{BETAS}.hdf5").unlink()
    path = root / (name or f"{BETAS}.nii.gz")
    image = nib.load(root / f"{BETAS}.nii.gz")
    changed = nib.Nifti1Image(change(np.asarray(image.dataobj)), image.affine)
    (root / f"{BETAS}.nii.gz").unlink()
    if slope is not None:
        changed.header.set_slope_inter(slope, 0)
    nib.save(changed, path)
    return path


def big(betas: NDArray[np.int16]) -> NDArray[np.generic]:
    return betas.astype(">i2")


def percent_in_float16(betas: NDArray[np.int16]) -> NDArray[np.generic]:
    return (betas / 300).astype(np.float16)


def percent_rounded(betas: NDArray[np.int16]) -> NDArray[np.generic]:
    return np.rint(betas / 300).astype(np.int16)


def fractions(betas: NDArray[np.int16]) -> NDArray[np.generic]:
    return (betas / 30_000).astype(np.float32)


def as_floats(betas: NDArray[np.int16]) -> NDArray[np.generic]:
    return betas.astype(np.float32)


LOST: dict[str, tuple[Callable[[Path], Path], str]] = {
    "float32 x 300 in a .hdf5": (lambda root: save_hdf5(root, as_floats, chunks=(90, 4, 4, 4)), "300"),
    "float64 x 300 in a .nii": (lambda root: save_nifti(root, np.float64, name=f"{BETAS}.nii"), "300"),
    "int16 x 300 with a slope of 1 and a bit": (lambda root: save_nifti(root, np.asarray, slope=1.0001), "300"),
    "int16 of percent": (lambda root: save_hdf5(root, percent_rounded), "1"),
    "fractions of the signal": (lambda root: save_nifti(root, fractions), "0.01"),
    "floats x 5000": (lambda root: save_hdf5(root, lambda betas: betas / np.float32(0.06)), "[3-9]000"),
}


@pytest.mark.parametrize(("save", "scale"), LOST.values(), ids=LOST)
def test_a_lost_unit_is_refused_wherever_betas_are_read_and_the_line_says_what_to_set(
    own_release: Path, tmp_path: Path, save: Callable[[Path], Path], scale: str
) -> None:
    path, out, subject = save(own_release), tmp_path / "d", ["subj01"]
    line = re.compile(rf"{path}: mean \|beta\| is [\d.e+-]+ percent signal change, .*; set beta_scale to {scale} \(")
    with pytest.raises(DataError, match=line) as caught:
        nsd_imagery.build(own_release, out, subjects=subject)
    assert "\n" not in str(caught.value)
    assert not (out / "manifest.json").exists()
    with pytest.raises(DataError, match=line):
        nsd_imagery.NSDImageryDataset(own_release, subject="subj01", condition="imagery")
    builder = nsd_imagery.NSDImagery("subj01-vision", root=own_release, cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=line):
        next(iter(builder.as_streaming_dataset(split="test")))
    found = {finding.id for finding in failed(own_release)} - {"data.mean-map"}  # which is of other numbers
    assert found == {"data.scale"}


@pytest.mark.parametrize("kind", [kind for kind in LOST if kind != "fractions of the signal"])
def test_a_preview_refuses_it_by_a_few_betas(own_release: Path, tmp_path: Path, kind: str) -> None:
    """But for what ten or twenty voxels cannot tell."""
    save, scale = LOST[kind]
    save(own_release)
    with pytest.raises(DataError, match=f"set beta_scale to {scale} "):
        nsd_imagery.preview(own_release, tmp_path / "d", subjects=["subj01"])
    assert len(nsd_imagery.preview(own_release, tmp_path / "d", subjects=["subj02"]).pieces) == 1


@pytest.mark.parametrize("kind", ["float32 x 300 in a .hdf5", "float64 x 300 in a .nii", "fractions of the signal"])
def test_what_the_line_says_gives_the_betas_of_the_release(
    own_release: Path, dataset: Path, tmp_path: Path, kind: str
) -> None:
    save, scale = LOST[kind]
    path = save(own_release)
    sidecar = path.with_name("betas_nsdimagery.json")
    sidecar.write_text("\ufeff" + json.dumps({"Units": "percent", "beta_scale": float(scale)}))
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], conditions=["vision"])
    mine, theirs = (
        nsd_imagery.load(d, "subj01-vision", "test").with_format("numpy")["betas"] for d in (folder, dataset)
    )
    np.testing.assert_allclose(mine, theirs, atol=2e-3)
    assert failed(own_release) == []


@pytest.mark.parametrize(
    "said", ['{"beta_scale": "300"}', '{"beta_scale": 0}', '{"beta_scale": NaN}', "{", '{"a": 1, "a": 2}']
)
def test_a_scale_that_cannot_be_is_one_line(own_release: Path, tmp_path: Path, said: str) -> None:
    sidecar = (own_release / BETAS).with_suffix(".json")
    sidecar.write_text(said)
    with pytest.raises(DataError, match=rf"^{sidecar}: ") as caught:
        nsd_imagery.preview(own_release, tmp_path / "d", subjects=["subj01"])
    assert "\n" not in str(caught.value)


def test_a_session_of_core_has_a_scale_of_its_own(own_core_release: Path, core_dataset: Path, tmp_path: Path) -> None:
    path = own_core_release / f"{CORE}02.hdf5"
    with h5py.File(path) as file:
        betas = file["betas"][:].astype(np.float32)
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=betas, chunks=(750, 1, 1, 1))
    with pytest.raises(DataError, match=r"betas_session02\.hdf5: .* set beta_scale to 300") as caught:
        nsd_imagery.build(own_core_release, tmp_path / "d", zscore="none", conditions=["perception"])
    assert "kept" in caught.value.__notes__[0]
    (own_core_release / f"{CORE}02.json").write_text('{"beta_scale": 300}')
    folder = nsd_imagery.build(own_core_release, tmp_path / "d", zscore="none", conditions=["perception"])
    name = "subj01-perception"
    mine, theirs = (nsd_imagery.load(d, name, "train").with_format("numpy")["betas"] for d in (folder, core_dataset))
    np.testing.assert_allclose(mine, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("save", "dtype"),
    [
        (lambda root: save_hdf5(root, percent_in_float16, chunks=(720, 2, 2, 2), compression="gzip"), "float16"),
        (lambda root: save_hdf5(root, np.int64), "int64"),
        (lambda root: save_hdf5(root, big, chunks=(1, 17, 23, 19)), "int16"),
        (lambda root: save_hdf5(root, lambda betas: betas), "int16"),
        (lambda root: save_nifti(root, lambda betas: betas / 300), "float64"),
        (lambda root: save_nifti(root, lambda betas: betas, slope=1 / 300), "int16"),
    ],
)
def test_sound_numbers_pass_verify_in_any_layout(
    own_release: Path, tmp_path: Path, save: Callable[[Path], Path], dtype: str
) -> None:
    path = save(own_release)
    report = nsd_imagery.verify(own_release, ["subj01"], deep=True)
    assert report.passed, report.to_text()
    (form,) = (finding for finding in report.findings if finding.id == "files.betas-sound")
    assert form.evidence.startswith(f"{path.name}: 720 volumes")
    assert dtype in form.evidence
    assert nsd_imagery.preview(own_release, tmp_path / "d", subjects=["subj01"]).pieces


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "pass"), (0.1, "fail")])
def test_two_formats_of_the_same_betas_are_compared_as_percent(own_release: Path, shift: float, outcome: str) -> None:
    path = own_release / f"{BETAS}.nii.gz"
    image = nib.load(path)
    percent = (np.asarray(image.dataobj) / 300).astype(np.float32)
    voxel = np.argwhere(np.asarray(nib.load(nsdgeneral(own_release)).dataobj) == 1)[0]
    percent[*voxel, 100] += shift
    path.unlink()
    nib.save(nib.Nifti1Image(percent, image.affine), path)
    report = nsd_imagery.verify(own_release, ["subj01"], deep=True)
    assert [finding.outcome for finding in report.findings if finding.id == "data.formats"] == [outcome]


def test_a_mask_of_one_voxel_is_no_lost_unit(own_release: Path, tmp_path: Path) -> None:
    image = nib.load(nsdgeneral(own_release))
    one = np.zeros(image.shape, np.int16)
    one[tuple(np.argwhere(np.asarray(image.dataobj) == 1)[7])] = 1
    nib.save(nib.Nifti1Image(one, image.affine), tmp_path / "one.nii.gz")
    assert nsd_imagery.build(
        own_release, tmp_path / "d", subjects=["subj01"], roi=str(tmp_path / "one.nii.gz")
    ).is_dir()


@pytest.mark.parametrize("n_voxels", [1, 16, 99, 100, 15_724])
@pytest.mark.parametrize("factor", [0.1, 0.3, 1, 3, 10])
def test_a_subject_whose_signal_is_ten_times_that_of_subj01_or_a_tenth_is_not_refused(
    n_voxels: int, factor: float
) -> None:
    """Mean 0.68 and sd 1.9 are what subj01's nsdgeneral has (RELEASE.md, section 4)."""
    percent = np.random.default_rng(0).normal(0.68, 1.9, (64, n_voxels)) * factor
    stored = np.clip(np.rint(percent * 300), -32768, 32767).astype(np.int16)
    header = BetaHeader(Grid((n_voxels, 1, 1), None), 64, stored.dtype, Scaling.of(stored.dtype))
    assert scale_fault(Path("betas.hdf5"), stored, header) is None
    assert scale_fault(Path("betas.hdf5"), stored, header, sampled=True) is None


@pytest.mark.parametrize("n_voxels", [1, 100, 15_724])
def test_what_the_release_cannot_hold_is_refused_whatever_the_mask(n_voxels: int) -> None:
    stored = np.full((720, n_voxels), 110.0)
    header = BetaHeader(Grid((n_voxels, 1, 1), None), 720, stored.dtype, Scaling.of(stored.dtype))
    assert "beta_scale" in str(scale_fault(Path("betas.hdf5"), stored, header))
    assert scale_fault(Path("betas.hdf5"), np.zeros_like(stored), header) is None


def nsdgeneral(root: Path) -> Path:
    return root / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"


def failed(root: Path) -> list[Finding]:
    report = nsd_imagery.verify(root, ["subj01"])
    return [finding for finding in report.findings if finding.outcome == "fail"]
