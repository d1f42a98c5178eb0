"""A masked beta file is read like the whole one at the voxels that it holds, and refused at others: it has no zeros."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

import nsd_imagery
from nsd_imagery.checks.report import Finding
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas
from nsd_imagery.volumes.formats import other_formats, whole_file, whole_or_masked
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.masked import Held, Origin, write_masked
from nsd_imagery.volumes.read import bytes_to_unpack, read_betas, read_header, read_held, read_sample, rows_with_data

BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")
BRAIN = "nsddata/ppdata/subj01/func1pt8mm/brainmask.nii.gz"
SOURCE = "s3://natural-scenes-dataset/betas_nsdimagery.hdf5"


def mask(root: Path, names: str = "nsdgeneral", stem: str = BETAS) -> Path:
    """Put a masked file in the place of the beta files of a session, as a download writes it."""
    whole = root / f"{stem}.hdf5"
    voxels = np.unique(np.concatenate([nsd_imagery.find_roi(root, "subj01", name).flat for name in names.split(",")]))
    header = read_header(whole)
    positions = np.sort(header.grid.file_order(voxels))
    with h5py.File(whole) as file:
        shape = file["betas"].shape
        block = np.array(
            [file["betas"][(slice(None), *zyx)] for zyx in np.transpose(np.unravel_index(positions, shape[1:]))]
        )
    origin = Origin(SOURCE, whole.stat().st_size, '"5d41"', tuple(names.split(",")), "predicted+proven", "meanbeta")
    for ending in (".hdf5", ".nii.gz"):
        (root / f"{stem}{ending}").unlink(missing_ok=True)
    path = root / f"{stem}.masked.hdf5"
    write_masked(path, shape, positions, block, origin)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.arrow"))}


def trials_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.arrow") if "-voxels/" not in path.as_posix()]


@pytest.fixture
def masked_release(own_release: Path) -> Path:
    """subj01 with nsdgeneral alone of its betas; a test may change it."""
    mask(own_release)
    shutil.rmtree(own_release / "nsddata_betas/ppdata/subj02")
    return own_release


@pytest.fixture(scope="module")
def masked_file(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = Path(shutil.copytree(release, tmp_path_factory.mktemp("masked") / "release", copy_function=os.link))
    return mask(root)


def root_of(path: Path) -> Path:
    return path.parents[len(Path(BETAS).parts) - 1]


def grid_and(path: Path, roi: str = "nsdgeneral") -> tuple[Grid, NDArray[np.int64]]:
    found = nsd_imagery.find_roi(root_of(path), "subj01", roi)
    return found.grid, found.flat


def outside(path: Path) -> NDArray[np.int64]:
    """Voxels with data that are not held."""
    _, held = grid_and(path)
    brain = np.flatnonzero(np.asarray(nib.load(root_of(path) / BRAIN).dataobj))
    return np.setdiff1d(brain, held)


def test_shards_are_those_of_the_whole_file_to_the_byte_and_by_name(
    masked_release: Path, release: Path, tmp_path: Path
) -> None:
    options = {"subjects": "subj01", "roi": "nsdgeneral,early"}
    whole = nsd_imagery.build(release, tmp_path / "whole", **options)
    masked = nsd_imagery.build(masked_release, tmp_path / "masked", **options)
    assert files(masked) == files(whole)


def test_a_folder_that_was_built_from_masked_is_kept_when_the_whole_file_comes(
    masked_release: Path, release: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.build(masked_release, tmp_path / "nsd_imagery", subjects="subj01")
    before = {path: path.stat().st_ino for path in trials_of(folder)}
    shutil.copy(release / f"{BETAS}.hdf5", masked_release / f"{BETAS}.hdf5")
    sources = (folder / "manifest.json").read_text()
    nsd_imagery.build(masked_release, folder, subjects="subj01")
    assert {path: path.stat().st_ino for path in trials_of(folder)} == before
    assert "masked" in sources
    assert "masked" not in (folder / "manifest.json").read_text()


def test_a_whole_file_wins_over_a_masked_one_beside_it(masked_release: Path, release: Path) -> None:
    for ending in (".nii.gz", ".hdf5"):
        shutil.copy(release / f"{BETAS}{ending}", masked_release / f"{BETAS}{ending}")
        (session,) = nsd_imagery.plan(masked_release, subjects="subj01").pieces
        assert session.session.beta_path.name == f"betas_nsdimagery{ending}"


def test_a_build_of_voxels_that_are_not_held_is_refused_with_the_command(masked_release: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.build(masked_release, tmp_path / "d", roi="nsdgeneral,MTL")
    n_mtl = nsd_imagery.find_roi(masked_release, "subj01", "MTL").flat.size
    path = masked_release / f"{BETAS}.masked.hdf5"
    n_held = nsd_imagery.find_roi(masked_release, "subj01", "nsdgeneral").flat.size
    assert str(caught.value).splitlines()[0] == (
        f"{path}: holds nsdgeneral ({n_held:,} voxels); MTL has {n_mtl:,} voxels more: "
        "nsd-imagery download ROOT --subjects subj01 --masked --roi nsdgeneral,MTL"
    )
    with pytest.raises(MissingDataError, match="MTL has"):
        nsd_imagery.preview(masked_release, tmp_path / "d", roi="MTL")
    assert not list(tmp_path.glob("d/**/*.arrow"))


def test_the_command_is_one_that_a_shell_takes_and_of_the_same_betas(masked_release: Path, tmp_path: Path) -> None:
    other = masked_release / f"{expected_betas('fithrf', 'subj01')}.masked.hdf5"
    for whole in other.parent.glob("betas_*"):
        whole.unlink()
    shutil.copy(masked_release / f"{BETAS}.masked.hdf5", other)
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.build(masked_release, tmp_path / "d", roi="MTL&rh.MTL", betas="fithrf")
    command = str(caught.value).partition(" more: ")[2].splitlines()[0]
    options = ["--subjects", "subj01", "--betas", "fithrf", "--masked", "--roi", "nsdgeneral,MTL&rh.MTL"]
    assert shlex.split(command) == ["nsd-imagery", "download", "ROOT", *options]
    assert "'nsdgeneral,MTL&rh.MTL'" in command


def test_smoothing_is_refused_because_it_takes_voxels_around(masked_release: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"smoothing takes [\d,]+ voxels around them: take the whole file"):
        nsd_imagery.build(masked_release, tmp_path / "d", smoothing_fwhm=4)


Reader = Callable[[Path, Grid, NDArray[np.int64]], object]


@pytest.mark.parametrize(
    "read",
    [lambda path, grid, voxels: read_betas(path, grid, voxels, voxels), bytes_to_unpack, read_sample],
    ids=["betas", "bytes", "sample"],
)
def test_no_reader_gives_zeros_for_voxels_that_are_not_held(masked_file: Path, read: Reader) -> None:
    grid, held = grid_and(masked_file)
    read(masked_file, grid, held)
    one = np.sort(np.append(held, outside(masked_file)[:1]))
    with pytest.raises(MissingDataError, match=r"holds nsdgeneral .* 1 voxels more are asked for"):
        read(masked_file, grid, one)


def test_what_it_is_called_makes_no_whole_file_of_it(masked_file: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "betas_nsdimagery.hdf5"
    shutil.copy(masked_file, renamed)
    grid, _ = grid_and(masked_file)
    with pytest.raises(MissingDataError, match="voxels more"):
        read_betas(renamed, grid, outside(masked_file), None)


def test_rows_hold_data_by_the_held_voxels_alone(masked_file: Path, release: Path) -> None:
    grid, held = grid_and(masked_file)
    whole = read_betas(release / f"{BETAS}.hdf5", grid, held, None)
    found = read_betas(masked_file, grid, held[:1], None)
    assert found.is_valid.tolist() == whole.is_valid.tolist()
    assert rows_with_data(masked_file, release / BRAIN).tolist() == whole.is_valid.tolist()
    assert rows_with_data(masked_file, None).tolist() == whole.is_valid.tolist()


def test_a_row_that_is_empty_at_the_held_voxels_is_not_valid_and_info_says_by_which(
    own_release: Path, tmp_path: Path
) -> None:
    """In the whole file, another voxel has data."""
    whole = own_release / f"{BETAS}.hdf5"
    content = whole.read_bytes()
    whole.unlink()
    whole.write_bytes(content)
    _, roi = grid_and(whole)
    with h5py.File(whole, "r+") as file:
        i, j, k = np.unravel_index(roi, file["betas"].shape[:0:-1])
        for x, y, z in zip(i, j, k, strict=True):
            file["betas"][7, z, y, x] = 0
    (own_release / f"{BETAS}.nii.gz").unlink()
    (whole.with_name("meanbeta_nsdimagery.nii.gz")).unlink()
    assert nsd_imagery.read_index(nsd_imagery.index(own_release, subjects="subj01", out=tmp_path / "i"))["is_valid"][7]
    mask(own_release)
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects="subj01", conditions="vision")
    assert not nsd_imagery.load(folder, "subj01-vision", "test")["is_valid"][7]
    (note,) = nsd_imagery.info(folder)["notes"]
    held = f"betas_nsdimagery.masked.hdf5 holds {roi.size:,} voxels"
    assert note == f"subj01/nsdimagery/01: {held}, by which alone is_valid is judged"


@pytest.mark.slow
def test_an_index_names_the_whole_file_and_rows_of_it_are_read_from_the_masked_one(
    masked_release: Path, release: Path, tmp_path: Path
) -> None:
    import torch

    index = nsd_imagery.index(masked_release, out=tmp_path / "i")
    rows = nsd_imagery.read_index(index)
    assert set(rows["beta_path"].to_pylist()) == {f"{BETAS}.hdf5"}
    of_masked, of_whole = (
        nsd_imagery.NSDImageryDataset(index, root=root, subject="subj01", condition="vision")
        for root in (masked_release, release)
    )
    assert torch.equal(of_masked[:]["betas"], of_whole[:]["betas"])


def finding(root: Path, name: str, **options: object) -> Finding:
    report = nsd_imagery.verify(root, subjects="subj01", **options)
    return next(one for one in report.findings if one.id == name)


@pytest.mark.slow
def test_verify_proves_the_numbers_and_says_that_they_are_all_there_is(masked_release: Path) -> None:
    report = nsd_imagery.verify(masked_release)
    assert not [one for one in report.findings if one.outcome == "fail"]
    whole = next(one for one in report.findings if one.id == "files.betas-whole")
    n_voxels = nsd_imagery.find_roi(masked_release, "subj01", "nsdgeneral").flat.size
    assert f"{n_voxels:,} voxels (nsdgeneral) of {SOURCE}; is_valid and all checks are by these alone" in whole.evidence
    means = next(one for one in report.findings if one.id == "data.mean-map")
    assert means.outcome == "pass"


@pytest.mark.slow
def test_verify_deep_holds_a_masked_file_against_the_whole_one_beside_it(masked_release: Path, release: Path) -> None:
    shutil.copy(release / f"{BETAS}.hdf5", masked_release / f"{BETAS}.hdf5")
    assert finding(masked_release, "data.formats", deep=True).outcome == "pass"


@pytest.mark.slow
def test_verify_finds_a_number_that_was_changed_where_no_map_of_means_would_tell(masked_release: Path) -> None:
    path = masked_release / f"{BETAS}.masked.hdf5"
    with h5py.File(path, "r+") as file:
        z, y, x = map(int, np.unravel_index(file["voxels"][5], file["betas"].shape[1:]))
        first, second = file["betas"][:2, z, y, x]
        file["betas"][:2, z, y, x] = second, first
    assert "holds other numbers than were written" in str(finding(masked_release, "files.betas-whole").offending)


def damages() -> Iterator[tuple[str, Callable[[h5py.File], object]]]:
    def without_chunk(file: h5py.File) -> None:
        voxels = file["voxels"][:]
        del file["voxels"]
        file["voxels"] = np.append(voxels, voxels[-1] + 1)

    def other_voxels(file: h5py.File) -> None:
        file["voxels"][0] -= 1

    def disorder(file: h5py.File) -> None:
        file["voxels"][:2] = file["voxels"][:2][::-1]

    def beyond(file: h5py.File) -> None:
        file["voxels"][-1] = 10**9

    yield "lacks voxels that it says it holds", without_chunk
    yield "lacks voxels that it says it holds", other_voxels
    yield "in no order, or outside its grid", disorder
    yield "in no order, or outside its grid", beyond
    yield "does not say which voxels it holds", lambda file: file.pop("voxels")
    yield "does not say its 'masked'", lambda file: file.attrs.pop("masked")
    yield "does not say its 'rois'", lambda file: file.attrs.pop("rois")
    yield "does not say its 'source_size'", lambda file: file.attrs.create("source_size", "many")
    yield "upgrade nsd-imagery", lambda file: file.attrs.modify("masked", 2)


@pytest.mark.parametrize(("said", "damage"), list(damages()))
def test_a_damaged_masked_file_is_one_line(
    masked_file: Path, tmp_path: Path, said: str, damage: Callable[[h5py.File], object]
) -> None:
    path = tmp_path / "betas_nsdimagery.masked.hdf5"
    shutil.copy(masked_file, path)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(DataError, match=said) as caught:
        read_header(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_one_that_says_nothing_of_voxels_is_not_taken_for_whole(masked_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "betas_nsdimagery.masked.hdf5"
    shutil.copy(masked_file, path)
    with h5py.File(path, "r+") as file:
        del file["voxels"], file.attrs["masked"]
    with pytest.raises(DataError, match="does not say which voxels it holds"):
        read_header(path)


def test_one_that_is_cut_short_or_changed_anywhere_is_an_error_or_gives_the_same(
    masked_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "betas_nsdimagery.masked.hdf5"
    data, (grid, held) = masked_file.read_bytes(), grid_and(masked_file)
    stored = read_betas(masked_file, grid, held, None).stored
    places = np.random.default_rng(0).integers(0, len(data), 60).tolist() + list(range(0, 2000, 20))
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            found = read_held(path)
            betas = read_betas(path, grid, held, None)
        except (DataError, MissingDataError):
            continue
        assert found is not None
        assert np.array_equal(betas.stored, stored)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError):
        read_header(path)


def test_the_same_block_is_written_as_the_same_bytes(masked_file: Path, tmp_path: Path) -> None:
    found = read_held(masked_file)
    assert found is not None
    held, block = found
    assert isinstance(held, Held)
    header = read_header(masked_file)
    shape = header.n_volumes, *header.grid.shape[::-1]
    write_masked(tmp_path / "b.masked.hdf5", shape, held.positions, block, held.origin)
    assert (tmp_path / "b.masked.hdf5").read_bytes() == masked_file.read_bytes()
    write_masked(tmp_path / "b.masked.hdf5", shape, held.positions, block, replace(held.origin, etag="other"))
    assert (tmp_path / "b.masked.hdf5").read_bytes() != masked_file.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["b.masked.hdf5"]


def test_names_of_masked_and_whole_files_lead_to_each_other(tmp_path: Path) -> None:
    whole, masked = tmp_path / "betas_session01.hdf5", tmp_path / "betas_session01.masked.hdf5"
    packed = tmp_path / "betas_session01.nii.gz"
    assert whole_file(masked) == whole
    assert whole_file(packed) == packed
    assert masked in other_formats(packed)
    assert other_formats(masked) == [whole, packed, tmp_path / "betas_session01.nii"]
    assert whole_or_masked(whole) == whole
    masked.touch()
    assert whole_or_masked(whole) == masked
    assert whole_or_masked(packed) == packed
    whole.touch()
    assert whole_or_masked(whole) == whole


@pytest.mark.slow
def test_masked_sessions_of_nsd_core_give_the_shards_of_whole_ones(
    own_core_release: Path, core_release: Path, tmp_path: Path
) -> None:
    mask(own_core_release, stem=f"{expected_nsd_betas('fithrf_GLMdenoise_RR', 'subj01')}02")
    with pytest.raises(MissingDataError, match="--subjects subj01 --conditions perception --sessions 1,2,3 --masked"):
        nsd_imagery.build(own_core_release, tmp_path / "masked", conditions="perception", roi="MTL")
    masked = nsd_imagery.build(own_core_release, tmp_path / "masked", conditions="perception")
    whole = nsd_imagery.build(core_release, tmp_path / "whole", conditions="perception")
    assert files(masked) == files(whole)
    assert [note for note in nsd_imagery.info(masked)["notes"] if "masked" in note] == [
        note for note in nsd_imagery.info(masked)["notes"] if "subj01/nsd/02: betas_session02.masked.hdf5" in note
    ]
