"""Numbers that mean labels, as people's tools save them again; and masks that are not on the subject's grid."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nsd_imagery
from folders import files
from nsd_imagery.errors import DataError
from nsd_imagery.volumes.labels import read_labels

FUNC = "nsddata/ppdata/subj01/func1pt8mm"
ROIS = ["nsdgeneral", "V3", "higher", "streams:ventral"]
LABELS = [f"{FUNC}/roi/nsdgeneral.nii.gz", f"{FUNC}/roi/prf-visualrois.nii.gz", f"{FUNC}/roi/streams.nii.gz",
          f"{FUNC}/roi/lh.streams.nii.gz", f"{FUNC}/brainmask.nii.gz", f"{FUNC}/valid_nsdimagery.nii.gz"]  # fmt: skip


def save(path: Path, values: np.ndarray, affine: np.ndarray, stored: type = np.float64) -> Path:
    """As nibabel does: floats for an integer type get a slope and an intercept."""
    path.unlink(missing_ok=True)
    image = nib.Nifti1Image(values, affine)
    image.set_data_dtype(stored)
    nib.save(image, path)
    return path


def floats_as_int16(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    save(path, values.astype(np.float64), affine, np.int16)


def floats_as_uint8(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    save(path, np.maximum(values, 0).astype(np.float64), affine, np.uint8)


def nan_outside(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    save(path, np.where(values > 0, values, np.nan), affine, np.float32)


def a_little_off(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    off = np.random.default_rng(0).uniform(-9e-4, 9e-4, values.shape)
    save(path, values + off, affine)


def five_axes(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    save(path, values.astype(np.int16)[..., None, None], affine, np.int16)


WAYS = [floats_as_int16, nan_outside, a_little_off, five_axes]
Way = Callable[[Path, np.ndarray, np.ndarray], None]


def build(root: Path, folder: Path) -> dict[str, bytes]:
    """The shards, by name."""
    nsd_imagery.build(root, folder, subjects=["subj01"], conditions=["imagery"], roi=ROIS)
    return {name: held for name, held in files(folder).items() if name.endswith(".arrow")}


@pytest.fixture(scope="module")
def plain(release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return build(release, tmp_path_factory.mktemp("plain") / "d")


@pytest.mark.parametrize("way", WAYS)
def test_labels_that_went_through_floats_have_the_voxels_and_names_of_the_plain_files(
    own_release: Path, tmp_path: Path, plain: dict[str, bytes], way: Way
) -> None:
    for name in LABELS:
        image = nib.load(own_release / name)
        values = np.asarray(image.dataobj)
        (own_release / name).unlink()  # it is a link
        way(own_release / name, values, image.affine)
    assert build(own_release, tmp_path / "d") == plain


@pytest.mark.parametrize("way", [*WAYS, floats_as_uint8])
def test_a_mask_of_ones_and_zeros_is_read_however_it_was_saved(release: Path, tmp_path: Path, way: Way) -> None:
    image = nib.load(release / LABELS[0])
    way(tmp_path / "mine.nii.gz", (np.asarray(image.dataobj) == 1).astype(int), image.affine)
    roi = nsd_imagery.find_roi(release, "subj01", str(tmp_path / "mine.nii.gz"))
    np.testing.assert_array_equal(roi.flat, nsd_imagery.find_roi(release, "subj01", "nsdgeneral").flat)


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("other", [0.4, 1.0011, 2.5, np.inf, -np.inf])
def test_numbers_that_are_no_labels_stop_a_build_and_verify_in_one_line_that_names_the_file(
    own_release: Path, tmp_path: Path, name: str, other: float
) -> None:
    image = nib.load(own_release / name)
    values = np.asarray(image.dataobj).astype(np.float64)
    values[np.unravel_index(np.flatnonzero(values > 0)[3], values.shape)] = other
    save(own_release / name, values, image.affine)
    with pytest.raises(DataError, match=r"labels are not whole numbers \(there is .*") as raised:
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], roi=ROIS)
    assert Path(name).name in str(raised.value)
    findings = nsd_imagery.verify(own_release, subjects=["subj01"]).findings
    (found,) = [finding for finding in findings if finding.id == "files.one-grid"]
    assert found.outcome == "fail"
    assert any(Path(name).name in line and "not whole numbers" in line for line in found.offending)


def test_a_label_beyond_32_bits_is_no_label(tmp_path: Path) -> None:
    values = np.zeros((2, 3, 4))
    values[1, 1, 1] = 3e9
    with pytest.raises(DataError, match="too large"):
        read_labels(save(tmp_path / "a.nii.gz", values, np.eye(4)))


@given(labels=hnp.arrays(np.int32, (2, 3, 4), elements=st.integers(-(2**31) + 1, 2**31 - 1)))
def test_any_labels_are_read_as_they_are(tmp_path_factory: pytest.TempPathFactory, labels: np.ndarray) -> None:
    path = save(tmp_path_factory.mktemp("labels") / "a.nii", labels, np.eye(4), np.int32)
    np.testing.assert_array_equal(read_labels(path)[0], labels)


def turned(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The same box with x to the other side, as a mask in LAS of a subject in RAS."""
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = shape[0] - 1
    return affine @ flip


def moved(affine: np.ndarray, _shape: tuple[int, ...]) -> np.ndarray:
    return affine + np.array([[0, 0, 0, 1.8], [0] * 4, [0] * 4, [0] * 4])


def of_numbers(_affine: np.ndarray, _shape: tuple[int, ...]) -> np.ndarray:
    return np.eye(4)


PLACES = [turned, moved, of_numbers]


@pytest.fixture(params=PLACES, ids=lambda place: place.__name__)
def elsewhere(request: pytest.FixtureRequest, release: Path, tmp_path: Path) -> Path:
    """A mask of the right shape in another place."""
    image = nib.load(release / LABELS[0])
    mask = (np.asarray(image.dataobj) == 1).astype(np.uint8)
    return save(tmp_path / "mine.nii.gz", mask, request.param(image.affine, mask.shape), np.uint8)


@pytest.mark.parametrize("has_brain", [True, False])
def test_a_mask_in_another_place_is_refused_wherever_a_roi_is_named(
    own_release: Path, tmp_path: Path, elsewhere: Path, has_brain: bool
) -> None:
    index = nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices")
    (file,) = index.rglob("subj01.parquet")
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], conditions=["imagery"])
    imagery, voxels = (
        nsd_imagery.load(folder, "subj01-imagery", "test"),
        nsd_imagery.load(folder, "subj01-voxels", "train"),
    )
    if not has_brain:
        (own_release / LABELS[4]).unlink()
    mask = str(elsewhere)
    for use in (
        lambda: nsd_imagery.build(own_release, tmp_path / "e", subjects=["subj01"], roi=[mask]),
        lambda: nsd_imagery.preview(own_release, subjects=["subj01"], roi=[mask]),
        lambda: nsd_imagery.find_roi(own_release, "subj01", mask),
        lambda: nsd_imagery.restrict(imagery, voxels, mask, own_release),
        lambda: nsd_imagery.NSDImageryDataset(own_release, subject="subj01", condition="imagery", roi=mask),
        lambda: nsd_imagery.NSDImageryDataset(file, root=own_release, condition="imagery", roi=mask),
    ):
        with pytest.raises(
            DataError, match=r"mine\.nii\.gz.*affine is not that of|affine is not that of .*mine\.nii\.gz"
        ):
            use()


def test_voxels_of_another_place_restrict_nothing(release: Path, dataset: Path) -> None:
    imagery, voxels = (
        nsd_imagery.load(dataset, "subj01-imagery", "test"),
        nsd_imagery.load(dataset, "subj01-voxels", "train"),
    )
    away = voxels.map(lambda row: {"x": row["x"] + 1.8})
    with pytest.raises(DataError, match=r"lie up to 1\.8 mm from those of the same i, j, k"):
        nsd_imagery.restrict(imagery, voxels, away)
    assert nsd_imagery.restrict(imagery, voxels, voxels).n_missing == 0
