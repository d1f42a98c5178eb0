"""The map of means beside a beta file: what it proves of every voxel, what it cannot see, and maps of other betas."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

import nsd_imagery
from folders import files
from nsd_imagery.checks.report import Finding
from nsd_imagery.errors import DataError
from nsd_imagery.identity import identity
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.meanbeta import MeanMap, hold_against_means
from nsd_imagery.volumes.read import read_betas

pytestmark = pytest.mark.slow

VERSION = "fithrf_GLMdenoise_RR"
BETAS = expected_betas(VERSION, "subj01")
MAP = BETAS.replace("betas_nsdimagery", "meanbeta_nsdimagery") + ".nii.gz"
ROI = "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
ENDINGS = ("hdf5", "nii.gz")
ONE = {"subjects": ["subj01"]}

Array = NDArray[np.generic]


def only(root: Path, ending: str) -> Path:
    """The one beta file of subj01 that is left in a root."""
    for other in ENDINGS:
        if other != ending:
            (root / f"{BETAS}.{other}").unlink()
    return root / f"{BETAS}.{ending}"


def stored(path: Path) -> Array:
    """(x, y, z, n_volumes) numbers of a beta file, read without this package."""
    if path.suffix == ".hdf5":
        with h5py.File(path) as file:
            return file["betas"][:].T
    return np.asarray(nib.load(path).dataobj)


def write(path: Path, betas: Array, affine: Array | None = None) -> None:
    """Put (x, y, z, n_volumes) betas in the place of a file, and in no file that other tests share."""
    affine = nib.load(path).affine if affine is None and path.suffix != ".hdf5" else affine
    path.unlink(missing_ok=True)
    if path.suffix != ".hdf5":
        nib.save(nib.Nifti1Image(betas, affine), path)
        return
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=betas.T, chunks=(betas.shape[3], 1, 1, 1))


def write_map(path: Path, change: Callable[[Array], Array]) -> None:
    image = nib.load(path)
    values = change(np.asarray(image.dataobj))
    path.unlink()
    nib.save(nib.Nifti1Image(values, image.affine), path)


def inside(root: Path) -> tuple[Array, ...]:
    """Three arrays: i, j and k of the voxels of nsdgeneral."""
    return np.nonzero(np.asarray(nib.load(root / ROI).dataobj) == 1)


def finding(path: Path, **options: object) -> Finding:
    """What `verify` finds by the map of means of subj01."""
    found = [one for one in nsd_imagery.verify(path, ["subj01"], **options).findings if one.id == "data.mean-map"]
    assert len(found) == 1
    return found[0]


# Betas that are not those of the map.


def with_two_chunks_exchanged(root: Path, betas: Array) -> Array:
    i, j, k = (axis[[5, 40]] for axis in inside(root))
    betas[i, j, k] = betas[i[::-1], j[::-1], k[::-1]]
    return betas


def with_chunks_in_another_order(root: Path, betas: Array) -> Array:
    at = inside(root)
    order = np.random.default_rng(0).permutation(len(at[0]))
    betas[at] = betas[tuple(axis[order] for axis in at)]
    return betas


def with_the_lowest_bit_of_one_number_flipped(root: Path, betas: Array) -> Array:
    i, j, k = (axis[7] for axis in inside(root))
    betas[i, j, k, 100] ^= 1
    return betas


def with_a_chunk_never_written(root: Path, betas: Array) -> Array:
    i, j, k = (axis[7] for axis in inside(root))
    betas[i, j, k] = 0
    return betas


def with_most_chunks_never_written(root: Path, betas: Array) -> Array:
    """As a copy that stopped early leaves them: what is there is right."""
    i, j, k = (axis[:200] for axis in inside(root))
    betas[i, j, k] = 0
    return betas


def from_left_to_right(_: Path, betas: Array) -> Array:
    return betas[::-1]


def of_another_subject(root: Path, betas: Array) -> Array:
    """On this subject's grid, as somebody resamples it."""
    other = stored(root / f"{expected_betas(VERSION, 'subj02')}.hdf5")
    here = np.zeros_like(betas)
    both = tuple(slice(min(one, two)) for one, two in zip(betas.shape, other.shape, strict=True))
    here[both] = other[both]
    return here


def of_another_version(root: Path, _: Array) -> Array:
    return stored(root / f"{expected_betas('fithrf', 'subj01')}.hdf5")


OTHERS = {
    with_two_chunks_exchanged: r"in 2 of 277 voxels; the first is \[\d+, \d+, \d+\], .* copy the file again",
    with_chunks_in_another_order: "at other voxels: the voxels are in another order; copy the file again",
    with_the_lowest_bit_of_one_number_flipped: "in 1 of 277 voxels",
    with_a_chunk_never_written: r"in 1 of 277 voxels; the first is \[\d+, \d+, \d+\], 0\.0000 and not",
    with_most_chunks_never_written: r"in \d{3} of 277 voxels; the first is .* 0\.0000 and not .*: copy the file again",
    from_left_to_right: {
        "hdf5": r"if the axes are betas\[trial, z, y, -x\], not if they are betas\[trial, z, y, x\]",
        "nii.gz": r"if the axes are \(-x, y, z, trial\), not if they are \(x, y, z, trial\)",
    },
    of_another_subject: "of another subject, or damaged all over",
    of_another_version: "of another beta version, or of another session",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("change", OTHERS, ids=lambda change: change.__name__)
def test_betas_that_are_not_those_of_the_map_stop_a_build_and_fail_their_check(
    own_release: Path, tmp_path: Path, change: Callable[[Path, Array], Array], ending: str
) -> None:
    path = only(own_release, ending)
    write(path, change(own_release, stored(path)))
    words = OTHERS[change] if isinstance(OTHERS[change], str) else OTHERS[change][ending]
    with pytest.raises(DataError, match=words) as caught:
        nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "d/README.md").exists()
    found = finding(own_release)
    assert (found.outcome, found.offending) == ("fail", (str(caught.value),))


def test_the_first_voxel_that_differs_is_named_with_both_means(own_release: Path, tmp_path: Path) -> None:
    path = only(own_release, "hdf5")
    betas = stored(path)
    i, j, k = (axis[7] for axis in inside(own_release))
    right = betas[i, j, k].mean()
    betas[i, j, k, 3] += 720
    write(path, betas)
    words = rf"\[{i}, {j}, {k}\], {right + 1:.4f} and not {np.float32(right):.4f}: copy"
    with pytest.raises(DataError, match=words):
        nsd_imagery.build(own_release, tmp_path / "d", **ONE)


@pytest.mark.parametrize("ending", ENDINGS)
def test_axes_that_are_exchanged_where_the_shape_allows_it_are_named(
    own_release: Path, tmp_path: Path, ending: str
) -> None:
    """All volumes of the subject in a cube of 24 voxels, so that x and z can be exchanged and nothing else tells it."""

    def cube(volume: Array) -> Array:
        return np.pad(volume, [(0, 24 - n) for n in volume.shape[:3]] + [(0, 0)] * (volume.ndim - 3))

    path = only(own_release, ending)
    betas = cube(stored(path))
    for volume in [*own_release.glob("nsddata/ppdata/subj01/func1pt8mm/**/*.nii.gz"), own_release / MAP]:
        write_map(volume, cube)
    affine = nib.load(own_release / MAP).affine
    write(path, betas, affine)
    assert finding(own_release).outcome == "pass"
    write(path, betas.transpose(2, 1, 0, 3), affine)
    said = {"hdf5": "betas[trial, x, y, z], not if they are betas[trial, z, y, x]",
            "nii.gz": "(z, y, x, trial), not if they are (x, y, z, trial)"}[ending]  # fmt: skip
    with pytest.raises(DataError) as caught:
        nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert said in str(caught.value)
    assert said in finding(own_release).offending[0]


def test_the_voxels_that_smoothing_needs_are_held_against_the_map_too(own_release: Path, tmp_path: Path) -> None:
    path = only(own_release, "hdf5")
    betas = stored(path)
    v1 = nsd_imagery.find_roi(own_release, "subj01", "V1")
    in_v1 = np.zeros(v1.grid.shape, bool)
    in_v1.reshape(-1)[v1.flat] = True
    beside = np.roll(in_v1, 1, axis=0) & ~in_v1 & (betas != 0).any(axis=3)
    betas[(*np.argwhere(beside)[0], 100)] ^= 1
    write(path, betas)
    nsd_imagery.build(own_release, tmp_path / "plain", **ONE, roi="V1")
    with pytest.raises(DataError, match=r"in 1 of \d+ voxels"):
        nsd_imagery.build(own_release, tmp_path / "smooth", **ONE, roi="V1", smoothing_fwhm=4)


def test_rows_served_from_a_root_are_held_against_the_map_too(own_release: Path, hf_cache: str) -> None:
    path = only(own_release, "hdf5")
    write(path, with_the_lowest_bit_of_one_number_flipped(own_release, stored(path)))
    with pytest.raises(DataError, match="in 1 of 277 voxels"):
        nsd_imagery.NSDImageryDataset(own_release, subject="subj01", condition="vision")
    builder = nsd_imagery.NSDImagery("subj01-vision", root=own_release, cache_dir=hf_cache)
    with pytest.raises(Exception, match="generating the dataset") as caught:
        builder.download_and_prepare()
    assert "in 1 of 277 voxels" in str(caught.value.__cause__)


def test_a_session_of_nsd_core_is_held_against_its_own_map(own_core_release: Path, tmp_path: Path) -> None:
    stem = own_core_release / expected_nsd_betas(VERSION, "subj01")
    path, beside = Path(f"{stem}02.hdf5"), stem.with_name("meanbeta_session02.nii.gz")
    betas = stored(path)
    affine = nib.load(own_core_release / ROI).affine
    beside.unlink(missing_ok=True)
    nib.save(nib.Nifti1Image(betas.mean(axis=3).astype(np.float32), affine), beside)

    def outcomes() -> dict[str, str]:
        findings = nsd_imagery.verify(own_core_release, deep=True).findings
        return {one.scope: one.outcome for one in findings if one.id == "data.mean-map"}

    assert outcomes()["subj01 NSD core session 2"] == "pass"
    write(path, with_the_lowest_bit_of_one_number_flipped(own_core_release, betas))
    assert outcomes()["subj01 NSD core session 2"] == "fail"
    assert set(outcomes().values()) <= {"pass", "fail", "skipped"}
    with pytest.raises(DataError, match=r"betas_session02\.hdf5: the mean .* in 1 of \d+ voxels"):
        nsd_imagery.build(own_core_release, tmp_path / "d", conditions=["perception"])
    write(path, stored(Path(f"{stem}03.hdf5")))  # whatever NSD core's maps are of, it may not be this
    assert outcomes()["subj01 NSD core session 2"] == "not decidable"
    folder = nsd_imagery.build(own_core_release, tmp_path / "d", conditions=["perception"])
    said = "meanbeta_session02.nii.gz is not of these betas as they are stored, which were not held against it"
    assert f"subj01/nsd/02: {said}" in nsd_imagery.info(folder)["notes"]


# Sound betas, and what the map cannot see.


@pytest.mark.parametrize("ending", ENDINGS)
def test_sound_betas_pass_in_a_root_and_in_a_folder_held_against_it(
    own_release: Path, tmp_path: Path, ending: str
) -> None:
    path = only(own_release, ending)
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert nsd_imagery.info(folder)["notes"] == []
    for found in (finding(own_release), finding(folder, root=own_release)):
        assert found.outcome == "pass"
        assert f"{path.name}: the mean over 720 volumes is that of meanbeta_nsdimagery.nii.gz" in found.evidence
        assert "in each of 277 voxels with data, so its axes are those of the map" in found.evidence


def test_rows_one_late_have_the_same_means_and_pass(own_release: Path, tmp_path: Path) -> None:
    path = only(own_release, "hdf5")
    write(path, np.roll(stored(path), 1, axis=3))
    assert finding(own_release).outcome == "pass"
    assert not nsd_imagery.verify(own_release, ["subj01"]).passed  # by data.row-order
    nsd_imagery.build(own_release, tmp_path / "d", **ONE)


def test_a_folder_of_damaged_betas_is_the_same_again_and_fails_by_the_map(own_release: Path, tmp_path: Path) -> None:
    path = only(own_release, "hdf5")
    write(path, with_the_lowest_bit_of_one_number_flipped(own_release, stored(path)))
    kept = (own_release / MAP).rename(tmp_path / "map")
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    shutil.copy(kept, own_release / MAP)
    report = nsd_imagery.verify(folder, root=own_release)
    assert {one.id for one in report.findings if one.outcome == "fail"} == {"data.mean-map"}


def test_a_root_without_the_map_makes_the_same_folder_and_skips_the_check(own_release: Path, tmp_path: Path) -> None:
    with_map = nsd_imagery.build(own_release, tmp_path / "with/nsd_imagery", **ONE)
    (own_release / MAP).unlink()
    without = nsd_imagery.build(own_release, tmp_path / "without/nsd_imagery", **ONE)
    assert files(with_map) == files(without)
    found = finding(own_release)
    assert (found.outcome, found.evidence) == ("skipped", "there is no map of means beside the betas")
    assert nsd_imagery.verify(own_release, ["subj01"]).passed
    findings = nsd_imagery.verify(without, root=own_release).findings
    assert not [one for one in findings if one.id == "data.mean-map"]


@pytest.mark.parametrize(
    ("ending", "scaled", "form"), [("hdf5", False, "float32"), ("nii.gz", False, "float32"), ("nii.gz", True, "int16")]
)
def test_betas_that_are_not_stored_as_the_release_stores_them_are_not_asked(
    own_release: Path, tmp_path: Path, ending: str, scaled: bool, form: str
) -> None:
    path = only(own_release, ending)
    betas = stored(path)
    if scaled:
        image = nib.Nifti1Image(betas, nib.load(path).affine)
        image.header.set_slope_inter(1 / 300, 0)
        path.unlink()
        nib.save(image, path)
    else:
        write(path, (betas / 300).astype(np.float32))
    found = finding(own_release)
    assert found.outcome == "skipped"
    assert f"{path}: holds {form}" in found.evidence
    assert nsd_imagery.info(nsd_imagery.build(own_release, tmp_path / "d", **ONE))["notes"] == []


# Maps that are not of these betas.


def in_percent(values: Array) -> Array:
    return (values / 300).astype(np.float32)


def in_whole_numbers(values: Array) -> Array:
    return np.rint(values).astype(np.int16)


def of_numbers_that_were_not_rounded(values: Array) -> Array:
    rounded = np.random.default_rng(0).normal(0, 12**-0.5 / 720**0.5, values.shape)
    return np.where(values == 0, 0, values + rounded).astype(np.float32)


def of_all_trials_but_one(values: Array) -> Array:
    of_one = np.random.default_rng(0).normal(0, 570 / 720, values.shape)
    return np.where(values == 0, 0, values + of_one).astype(np.float32)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "change", [in_percent, in_whole_numbers, of_numbers_that_were_not_rounded, of_all_trials_but_one],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_a_map_of_another_export_is_noted_and_all_goes_on_as_without_it(
    own_release: Path, tmp_path: Path, change: Callable[[Array], Array], ending: str
) -> None:
    only(own_release, ending)
    write_map(own_release / MAP, change)
    found = finding(own_release)
    assert found.outcome == "not decidable"
    assert f"{own_release / MAP}: is of another export of these betas: its numbers x " in found.evidence
    assert nsd_imagery.verify(own_release, ["subj01"]).passed
    folder = nsd_imagery.build(own_release, tmp_path / "d/nsd_imagery", **ONE)
    said = "meanbeta_nsdimagery.nii.gz is of another export of these betas, which were not held against it"
    assert nsd_imagery.info(folder)["notes"] == [f"subj01/nsdimagery/01: {said}"]
    (own_release / MAP).unlink()
    assert shards(folder) == shards(nsd_imagery.build(own_release, tmp_path / "e/nsd_imagery", **ONE))


def cut_short(path: Path) -> None:
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[:-20])


def of_another_grid(path: Path) -> None:
    write_map(path, lambda values: values[1:])


def in_another_place(path: Path) -> None:
    image = nib.load(path)
    affine = image.affine.copy()
    affine[0, 3] += 1.8
    values = np.asarray(image.dataobj)
    path.unlink()
    nib.save(nib.Nifti1Image(values, affine), path)


@pytest.mark.parametrize(
    ("damage", "words"),
    [(cut_short, "damaged or cut short"), (of_another_grid, "grid is 18 x"), (in_another_place, "affine is not")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_map_that_cannot_be_used_is_noted_by_a_build_and_fails_a_check_of_files(
    own_release: Path, tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(own_release / MAP)
    (failed,) = nsd_imagery.verify(own_release, "subj01").of("fail")
    assert failed.id.startswith("files.")
    assert failed.offending[0].startswith(f"{own_release / MAP}: ")
    assert finding(own_release).outcome == "skipped"
    assert words in finding(own_release).evidence
    folder = nsd_imagery.build(own_release, tmp_path / "d/nsd_imagery", **ONE)
    said = "meanbeta_nsdimagery.nii.gz is damaged or of another grid: the betas were not held against it"
    assert nsd_imagery.info(folder)["notes"] == [f"subj01/nsdimagery/01: {said}"]
    assert said in (folder / "README.md").read_text()
    (own_release / MAP).unlink()
    assert shards(folder) == shards(nsd_imagery.build(own_release, tmp_path / "e/nsd_imagery", **ONE))


def test_what_is_no_number_in_the_map_is_a_voxel_without_data(own_release: Path) -> None:
    write_map(own_release / MAP, lambda values: np.where(values == 0, np.nan, values).astype(np.float32))
    assert finding(own_release).outcome == "pass"


# Builds that are run again.


def shards(folder: Path) -> dict[str, bytes]:
    return {name: contents for name, contents in files(folder).items() if name.endswith(".arrow")}


def todo(root: Path, folder: Path) -> list[str]:
    """ROIs for which betas would be read."""
    return [roi for piece in nsd_imagery.preview(root, folder, **ONE).pieces for roi in piece.todo]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_map_that_comes_later_is_no_reason_to_read_the_betas_again(
    own_release: Path, tmp_path: Path, ending: str
) -> None:
    only(own_release, ending)
    kept = (own_release / MAP).rename(tmp_path / "map")
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    shutil.copy(kept, own_release / MAP)
    assert todo(own_release, folder) == []
    write_map(own_release / MAP, in_percent)
    assert todo(own_release, folder) == []


def test_another_map_after_one_that_fitted_is_no_reason_to_read_the_betas_again(
    own_release: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    write_map(own_release / MAP, in_percent)
    assert todo(own_release, folder) == []
    sealed = files(folder)
    assert files(nsd_imagery.build(own_release, folder, **ONE)) == sealed


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("copied", [False, True], ids=["same betas", "betas copied"])
def test_a_note_on_a_map_goes_when_the_right_map_is_there_and_its_shards_stay(
    own_release: Path, tmp_path: Path, ending: str, copied: bool
) -> None:
    path = only(own_release, ending)
    right = shutil.copy(own_release / MAP, tmp_path / "map")
    write_map(own_release / MAP, in_percent)
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert todo(own_release, folder) == []
    noted = files(folder)
    assert files(nsd_imagery.build(own_release, folder, **ONE)) == noted
    before = {shard: identity(shard) for shard in folder.glob("subj01-[!v]*/*.arrow")}
    (own_release / MAP).unlink()
    shutil.copy(right, own_release / MAP)
    if copied:
        shutil.copy(path, tmp_path / "betas")
        os.replace(tmp_path / "betas", path)  # noqa: PTH105
    assert todo(own_release, folder) == ["nsdgeneral"]
    nsd_imagery.build(own_release, folder, **ONE)
    assert nsd_imagery.info(folder)["notes"] == []
    assert {shard: identity(shard) for shard in before} == before
    assert todo(own_release, folder) == []


def test_a_note_on_a_map_goes_with_the_map(own_release: Path, tmp_path: Path) -> None:
    cut_short(own_release / MAP)
    folder = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert nsd_imagery.info(folder)["notes"] != []
    (own_release / MAP).unlink()
    nsd_imagery.build(own_release, folder, **ONE)
    assert nsd_imagery.info(folder)["notes"] == []
    assert todo(own_release, folder) == []


def test_a_note_on_a_map_goes_from_the_statistics_that_other_sessions_share(
    own_core_release: Path, tmp_path: Path
) -> None:
    right = shutil.copy(own_core_release / MAP, tmp_path / "map")
    write_map(own_core_release / MAP, in_percent)
    folder = nsd_imagery.build(own_core_release, tmp_path / "d", zscore="none")
    assert "is of another export" in nsd_imagery.info(folder)["notes"][0]
    (own_core_release / MAP).unlink()
    shutil.copy(right, own_core_release / MAP)
    nsd_imagery.build(own_core_release, folder, conditions=["imagery", "vision", "attention"], zscore="none")
    assert not [note for note in nsd_imagery.info(folder)["notes"] if "meanbeta" in note]


# The edges of the verdicts, on files of a few voxels.


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., MeanMap]:
    """What a map says of the first voxels of an HDF5 file of 4 x 5 x 6 voxels."""
    betas = np.random.default_rng(0).integers(-900, 1500, (4, 5, 6, 720), dtype=np.int16)
    betas += np.linspace(0, 400, 120).astype(np.int16).reshape(4, 5, 6, 1)

    def judged(change: Callable[[Array], Array], n_voxels: int = 120, betas: Array = betas) -> MeanMap:
        path, beta_path = tmp_path / "meanbeta.nii.gz", tmp_path / "betas.hdf5"
        write(beta_path, betas)
        nib.save(nib.Nifti1Image(change(betas.mean(axis=3)), np.eye(4)), path)
        grid, voxels = Grid(betas.shape[:3], np.eye(4)), np.arange(n_voxels)
        return hold_against_means(path, beta_path, read_betas(beta_path, grid, voxels, None), grid, voxels)

    return judged


def off_by(amount: float, share: float = 1.0) -> Callable[[Array], Array]:
    """A map that is off at a share of its voxels, now in one direction and then in the other."""

    def change(means: Array) -> Array:
        wrong = np.where(np.arange(means.size) % 2, amount, -amount)
        wrong[int(share * means.size) :] = 0
        return means + wrong.reshape(means.shape)

    return change


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (off_by(0), "fits"),
        (lambda means: means.astype(np.float32), "fits"),
        (off_by(0.0098), "fits"),  # a map that is rounded, within 0.01 + 1e-5 |mean|
        (off_by(0.03), "undecided"),
        (off_by(0.9), "undecided"),
        (off_by(1.1), "wrong"),
        (off_by(0.011, share=0.5), "wrong"),  # half of the voxels are exact: the others are damaged
        (off_by(0.00139, share=0.5), "wrong"),  # by what one number of 720 that is off by one makes of a mean
        (off_by(0.03, share=0.52), "undecided"),
        (lambda means: -means, "wrong"),
    ],
)
def test_a_map_is_of_these_betas_of_another_export_or_of_others(
    judged: Callable[..., MeanMap], change: Callable[[Array], Array], verdict: str
) -> None:
    found = judged(change)
    assert found.verdict == verdict, found.said
    assert bool(found.note) == (verdict == "undecided")


def test_means_that_hardly_differ_from_voxel_to_voxel_are_not_taken_for_those_of_another_export(
    judged: Callable[..., MeanMap],
) -> None:
    betas = np.random.default_rng(0).integers(998, 1003, (4, 5, 6, 720), dtype=np.int16)
    assert (
        judged(lambda means: means + 1e-3 * means.std() * np.sign(means - 1000) + 0.3, betas=betas).verdict
        == "undecided"
    )
    assert judged(off_by(0.025), betas=betas).verdict == "wrong"


def test_by_a_few_voxels_one_cannot_tell_why_a_map_does_not_fit(judged: Callable[..., MeanMap]) -> None:
    assert judged(off_by(0), n_voxels=1).verdict == "fits"
    assert judged(off_by(500), n_voxels=9).verdict == "undecided"
    assert "9 voxels with data are too few to tell why" in judged(off_by(500), n_voxels=9).note
    assert judged(off_by(500), n_voxels=10).verdict == "wrong"


def test_betas_that_hold_nothing_are_not_asked(judged: Callable[..., MeanMap]) -> None:
    found = judged(np.zeros_like, betas=np.zeros((4, 5, 6, 720), np.int16))
    assert (found.verdict, found.note) == ("not asked", "")
