"""What is served is what the source holds now: replaced sources, rotten shards, holes in betas, files of the user."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from datasets import load_dataset

import nsd_imagery
from nsd_imagery.dataset import reading
from nsd_imagery.dataset.folder import read_manifest
from nsd_imagery.errors import DataError
from nsd_imagery.identity import identity, read_unchanged
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas

pytestmark = pytest.mark.slow

VERSION = "fithrf_GLMdenoise_RR"
BETAS = expected_betas(VERSION, "subj01")
CORE = expected_nsd_betas(VERSION, "subj01")
ONE = {"subjects": ["subj01"], "roi": "V1"}


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The betas of another experiment, of the same sizes."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("other") / "release", seed=3)


@pytest.fixture
def own_release(own_release: Path) -> Path:
    """Without the maps of means, by which other betas in the place of these are refused."""
    for path in own_release.rglob("meanbeta_*"):
        path.unlink()
    return own_release


@pytest.fixture
def hdf5(own_release: Path) -> Path:
    """The one beta file of a root of subj01, which a test may replace."""
    (own_release / f"{BETAS}.nii.gz").unlink()
    return own_release / f"{BETAS}.hdf5"


@pytest.fixture
def nifti(own_release: Path) -> Path:
    (own_release / f"{BETAS}.hdf5").unlink()
    return own_release / f"{BETAS}.nii.gz"


def put(new: Path, path: Path, *, as_old: bool = True) -> None:
    """Another file in the place of one, with its times if that is asked for."""
    stat = path.stat()
    partial = path.with_name("new")
    shutil.copy(new, partial)
    if as_old:
        os.utime(partial, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    partial.replace(path)


def damage(path: Path) -> None:
    """Flip one bit in the middle of a file, and nothing of what the file system says of it."""
    stat = path.stat()
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    with path.open("r+b") as file:
        file.write(raw)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# Sources that are replaced.


def test_a_source_that_is_replaced_while_it_is_read_is_read_again(
    hdf5: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = hdf5.parents[5]
    read = reading.read_betas
    n_read = 0

    def replaced_meanwhile(path: Path, *arguments: object) -> object:
        nonlocal n_read
        n_read += 1
        betas = read(path, *arguments)
        if n_read == 1:
            put(other / f"{BETAS}.hdf5", path)
        return betas

    monkeypatch.setattr(reading, "read_betas", replaced_meanwhile)
    built = nsd_imagery.build(root, tmp_path / "a", **ONE)
    assert n_read == 2
    assert files(built) == files(nsd_imagery.build(root, tmp_path / "b", **ONE))
    assert not any(piece.todo for piece in nsd_imagery.preview(root, built, **ONE).pieces)


def test_a_source_that_is_replaced_again_and_again_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "betas"
    path.write_text("0")

    def read() -> str:
        text = path.read_text()
        path.write_text(text + "0")
        return text

    with pytest.raises(DataError, match=r"betas: was changed while it was read: run again when nothing writes to it"):
        read_unchanged([path], read)


def test_an_error_of_a_file_that_is_being_replaced_is_not_the_last_word(tmp_path: Path) -> None:
    path = tmp_path / "betas"
    path.write_text("half")

    def read() -> str:
        if path.read_text() == "half":
            path.write_text("whole")
            raise DataError("cut short")
        return path.read_text()

    found, text = read_unchanged([path], read)
    assert (found, text) == ([identity(path)], "whole")
    path.write_text("half")
    path.chmod(0o400)
    with pytest.raises(DataError, match="cut short"):
        read_unchanged([path], lambda: (_ for _ in ()).throw(DataError("cut short")))


@pytest.mark.parametrize("ending", ["hdf5", "nii.gz"])
def test_another_file_of_the_same_size_and_time_is_noticed(
    own_release: Path, other: Path, tmp_path: Path, ending: str
) -> None:
    path, root = own_release / f"{BETAS}.{ending}", own_release
    for beside in ("hdf5", "nii.gz"):
        if beside != ending:
            (own_release / f"{BETAS}.{beside}").unlink()
    built = nsd_imagery.build(root, tmp_path / "a", **ONE)
    first = files(built)
    new = (other / f"{BETAS}.{ending}").read_bytes()
    old_size = path.stat().st_size
    # A gzip file is made as long as the other by empty members behind it, which add nothing to its contents.
    padded = tmp_path / "padded"
    padded.write_bytes(new + bytes(max(old_size - len(new), 0)))
    put(padded, path)
    built = nsd_imagery.build(root, tmp_path / "a", **ONE)
    assert files(built) == files(nsd_imagery.build(root, tmp_path / "b", **ONE)) != first


def test_another_root_with_files_of_the_same_size_and_time_is_another_source(
    release: Path, other: Path, tmp_path: Path
) -> None:
    """An HDF5 file has the same size whatever it holds."""
    moved = Path(shutil.copytree(other, tmp_path / "moved", copy_function=os.link))
    stat = (release / f"{BETAS}.hdf5").stat()
    put(other / f"{BETAS}.hdf5", moved / f"{BETAS}.hdf5")
    os.utime(moved / f"{BETAS}.hdf5", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    nsd_imagery.build(moved, out, **ONE)
    assert files(out) == files(nsd_imagery.build(other, tmp_path / "e", **ONE))


@pytest.mark.parametrize("ending", ["hdf5", "nii.gz"])
def test_a_copy_of_a_source_keeps_the_shards_that_were_made_of_it(
    own_release: Path, tmp_path: Path, ending: str
) -> None:
    for beside in ("hdf5", "nii.gz"):
        if beside != ending:
            (own_release / f"{BETAS}.{beside}").unlink()
    out = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    before = {path: identity(path) for path in out.glob("subj01-[!v]*/*.arrow")}
    (vision,) = out.glob("subj01-vision-V1/*.arrow")
    before[vision] = identity(vision)
    copied = Path(shutil.copytree(own_release, tmp_path / "copied"))
    nsd_imagery.build(copied, out, **ONE)
    assert {path: identity(path) for path in before} == before
    assert not any(piece.todo for piece in nsd_imagery.preview(copied, out, **ONE).pieces)
    assert any(piece.todo for piece in nsd_imagery.preview(own_release, out, **ONE).pieces)


def test_a_row_whose_data_outside_the_roi_went_is_no_longer_valid(hdf5: Path, tmp_path: Path) -> None:
    """The block of the ROI is the same: only the rest of the brain says that the row held something."""
    root = hdf5.parents[5]
    v1 = nsd_imagery.find_roi(root, "subj01", "V1")
    x, y, z = (v1.grid.ijk(v1.flat)).T

    def without(*, brain: bool) -> None:
        copy = hdf5.with_name("copy")
        shutil.copy(hdf5, copy)
        with h5py.File(copy, "r+") as file:
            volume = np.zeros_like(file["betas"][5]) if brain else file["betas"][5]
            volume[z, y, x] = 0
            file["betas"][5] = volume
        copy.replace(hdf5)

    without(brain=False)
    out = nsd_imagery.build(root, tmp_path / "d", **ONE)
    assert nsd_imagery.load(out, "subj01-vision-V1", "test")[5]["is_valid"]
    without(brain=True)
    nsd_imagery.build(root, out, **ONE)
    assert not nsd_imagery.load(out, "subj01-vision-V1", "test")[5]["is_valid"]


def test_a_brain_mask_that_changes_is_read_again(hdf5: Path, tmp_path: Path) -> None:
    root = hdf5.parents[5]
    out = nsd_imagery.build(root, tmp_path / "d", **ONE)
    mask = root / "nsddata/ppdata/subj01/func1pt8mm/brainmask.nii.gz"
    put(root / "nsddata/ppdata/subj01/func1pt8mm/valid_nsdimagery.nii.gz", mask)
    assert any(piece.todo for piece in nsd_imagery.preview(root, out, **ONE).pieces)


def test_a_builder_refuses_a_source_that_was_replaced_since_it_was_made(hdf5: Path, other: Path, hf_cache: str) -> None:
    builder = nsd_imagery.NSDImagery("subj01-vision", root=hdf5.parents[5], cache_dir=hf_cache)
    put(other / f"{BETAS}.hdf5", hdf5)
    with pytest.raises(Exception, match="generating the dataset") as caught:
        builder.download_and_prepare()
    assert "was replaced since this builder was made" in str(caught.value.__cause__)
    again = nsd_imagery.NSDImagery("subj01-vision", root=hdf5.parents[5], cache_dir=hf_cache)
    assert again.hash != builder.hash


# Shards that rot.


@pytest.mark.parametrize("config", ["vision", "imagery", "attention", "stats", "voxels", "stimuli"])
def test_a_build_mends_what_rotted(own_release: Path, tmp_path: Path, config: str) -> None:
    options = {"subjects": ["subj01"]}
    out = nsd_imagery.build(own_release, tmp_path / "d", **options)
    before = files(out)
    (shard,) = out.glob(f"*{config}/*.arrow")
    damage(shard)
    assert not nsd_imagery.verify(out).passed
    nsd_imagery.build(own_release, out, **options)
    assert files(out) == before


def test_a_plan_counts_a_rotten_shard_as_still_to_do(release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    damage(next(out.glob("subj01-stats-V1/*.arrow")))
    assert [piece.todo for piece in nsd_imagery.preview(release, out, **ONE).pieces] == [("V1",)]


def test_a_touched_shard_that_holds_what_was_made_is_kept(release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    for shard in out.glob("*/*.arrow"):
        os.utime(shard, ns=(1, 1))
    assert not any(piece.todo for piece in nsd_imagery.preview(release, out, **ONE).pieces)


def test_rot_is_not_taken_into_a_new_dataset(core_release: Path, tmp_path: Path) -> None:
    """-stats of core's sessions stays when imagery is built anew, and rows of `stimuli` of subjects that stay."""
    out = nsd_imagery.build(core_release, tmp_path / "d", roi="V1")
    sealed = (out / "README.md").read_bytes()
    damage(sorted(out.glob("subj01-stats-V1/*.arrow"))[-1])
    with pytest.raises(DataError, match=r"sha256 is .* subj01-stats-V1 is also of subj01/nsd/03; name the conditions"):
        nsd_imagery.build(core_release, out, roi="V1", conditions=["imagery", "vision", "attention"])
    assert (out / "README.md").read_bytes() == sealed
    nsd_imagery.build(core_release, out, roi="V1")
    assert nsd_imagery.verify(out).passed


def test_rotten_rows_of_stimuli_are_not_given_a_new_hash(release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", roi="V1")
    damage(next(out.glob("stimuli/*.arrow")))
    with pytest.raises(DataError, match=r"stimuli.*sha256 is .* build all subjects"):
        nsd_imagery.build(release, out, roi="V1", subjects=["subj01"])


def test_stimuli_of_subjects_that_stay_are_kept_and_their_change_is_seen(
    release: Path, other: Path, tmp_path: Path
) -> None:
    """The two experiments show other photographs."""
    out = nsd_imagery.build(release, tmp_path / "d", roi="V1", subjects=["subj02"])
    theirs = set(nsd_imagery.load(out, "stimuli", "train")["stimulus"][:])
    nsd_imagery.build(other, out, **ONE)
    both = set(nsd_imagery.load(out, "stimuli", "train")["stimulus"][:])
    alone = nsd_imagery.build(other, tmp_path / "e", **ONE)
    mine = set(nsd_imagery.load(alone, "stimuli", "train")["stimulus"][:])
    assert both == theirs | mine
    assert theirs - mine
    sealed = files(out)
    nsd_imagery.build(other, out, **ONE)
    assert files(out) == sealed


# Betas that were never written.


def with_holes(path: Path, root: Path, n_holes: int) -> None:
    """The same HDF5 file, in which some voxels of V1 were never written."""
    v1 = nsd_imagery.find_roi(root, "subj01", "V1")
    holes = {tuple(zyx[::-1]) for zyx in v1.grid.ijk(v1.flat)[:n_holes].tolist()}
    copy = path.with_name("holes")
    with h5py.File(path) as old, h5py.File(copy, "w") as file:
        betas = old["betas"]
        new = file.create_dataset("betas", betas.shape, betas.dtype, chunks=betas.chunks)
        for zyx in np.ndindex(betas.shape[1:]):
            if zyx not in holes:
                _, chunk = betas.id.read_direct_chunk((0, *zyx))
                new.id.write_direct_chunk((0, *zyx), chunk)
    copy.replace(path)


def test_a_few_voxels_that_were_never_written_are_counted(hdf5: Path, tmp_path: Path) -> None:
    root = hdf5.parents[5]
    with_holes(hdf5, root, 3)
    roi = nsd_imagery.find_roi(root, "subj01", "V1")
    out = nsd_imagery.build(root, tmp_path / "d", **ONE)
    said = (
        f"subj01/nsdimagery/01: 3 of {roi.flat.size} voxels of V1 that valid_nsdimagery.nii.gz calls valid hold "
        "nothing in any volume"
    )
    assert nsd_imagery.info(out)["notes"] == [said]
    assert said in (out / "README.md").read_text()
    sealed = files(out)
    mask = tmp_path / "v1.nii.gz"
    image = nib.load(root / "nsddata/ppdata/subj01/func1pt8mm/roi/prf-visualrois.nii.gz")
    nib.save(nib.Nifti1Image(np.isin(np.asarray(image.dataobj), (1, 2)).astype(np.int16), image.affine), mask)
    by_file = nsd_imagery.build(root, tmp_path / "e", subjects=["subj01"], roi=str(mask))
    assert nsd_imagery.info(by_file)["notes"] == [said.replace("of V1 that", "of v1.nii.gz that")]
    nsd_imagery.build(root, out, **ONE)  # what is kept says it too
    assert files(out) == sealed


@pytest.mark.parametrize("options", [{}, {"smoothing_fwhm": 4}])
def test_a_file_in_which_many_voxels_were_never_written_is_refused(
    hdf5: Path, tmp_path: Path, options: dict[str, float]
) -> None:
    root = hdf5.parents[5]
    with_holes(hdf5, root, 20)
    with pytest.raises(DataError, match=r"hdf5: 20 of \d+ voxels of V1 .* the file was never written whole; copy it"):
        nsd_imagery.build(root, tmp_path / "d", **ONE, **options)
    assert not (tmp_path / "d/README.md").exists()


def test_voxels_without_data_that_valid_excludes_are_no_holes(release: Path, dataset: Path) -> None:
    assert nsd_imagery.info(dataset)["notes"] == []
    voxels = nsd_imagery.load(dataset, "subj01-voxels", "train")
    assert not all(voxels["valid_nsdimagery"][:])


def test_what_a_folder_is_said_to_lack_is_not_said_when_it_is_there(own_release: Path, tmp_path: Path) -> None:
    table = own_release / "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
    away = table.rename(tmp_path / "table")
    out = nsd_imagery.build(own_release, tmp_path / "d", **ONE)
    assert [note for note in nsd_imagery.info(out)["notes"] if table.name in note]
    away.rename(table)
    nsd_imagery.build(own_release, out, **ONE)
    assert not [note for note in nsd_imagery.info(out)["notes"] if table.name in note]


# Files of the user, and the seal.


def test_a_rebuild_leaves_all_files_that_it_did_not_write(release: Path, other: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(next(out.glob("subj01-vision-V1/*.arrow")), elsewhere)
    mine = [
        out / "subj01-mine" / "results.arrow",
        out / "subj01-mine" / "test-00000-of-00001-0123456789ab.arrow",
        out / "subj01-vision-V1" / "decoded.arrow",
        out / "stimuli" / "more.arrow",
    ]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (out / "subj02-vision").symlink_to(elsewhere)
    (out / "subj01-vision-V1" / "test-00000-of-00001-0123456789ab.arrow").symlink_to(next(elsewhere.iterdir()))
    entry = {"shards": [{"config": "subj02-vision", "file": f"subj02-vision/{next(elsewhere.iterdir()).name}"}]}
    (out / ".build" / "old.json").write_text(json.dumps(entry))
    (out / ".build" / "evil.json").write_text(json.dumps({"shards": [{"file": "../elsewhere/x"}]}))
    before = files(elsewhere)
    nsd_imagery.build(other, out, **ONE)
    assert all(path.read_text() == "mine" for path in mine)
    assert files(elsewhere) == before
    assert (out / "subj01-vision-V1" / "test-00000-of-00001-0123456789ab.arrow").is_symlink()
    named = {name for name in files(out) if name.endswith(".arrow") and "mine" not in (out / name).read_text("latin1")}
    clean = {name for name in files(nsd_imagery.build(other, tmp_path / "clean", **ONE)) if name.endswith(".arrow")}
    assert {name for name in named if not (out / name).is_symlink() and "subj02" not in name} == clean


def test_shards_of_a_config_that_was_never_sealed_go_with_their_entry(release: Path, tmp_path: Path) -> None:
    options = {**ONE, "conditions": ["imagery"]}
    out = nsd_imagery.build(release, tmp_path / "d", **options)
    sealed = files(out)
    other = nsd_imagery.build(release, tmp_path / "e", **{**ONE, "conditions": ["vision"]})
    shutil.copytree(other / "subj01-vision-V1", out / "subj01-vision-V1")
    (entry,) = (path for path in (other / ".build").glob("*.json") if "subj01-vision-V1" in path.read_text())
    shutil.copy(entry, out / ".build")
    nsd_imagery.build(release, out, **options)
    assert files(out) == sealed
    assert not (out / "subj01-vision-V1").exists()
    assert not (out / ".build" / entry.name).exists()


def test_what_killed_runs_left_half_written_goes_and_what_looks_like_it_stays(release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    left = [out / ".partial-0123456789abcdef", out / ".build" / ".partial-0123456789abcdef"]
    mine = [out / ".partial-0123456789ABCDEF", out / ".partial-notes", out / "x.partial-0123456789abcdef"]
    for path in [*left, *mine]:
        path.write_text("half")
    (out / ".partial-fedcba9876543210").symlink_to(mine[0])
    nsd_imagery.build(release, out, **ONE)
    assert not any(path.exists() for path in left)
    assert all(path.read_text() == "half" for path in mine)
    assert (out / ".partial-fedcba9876543210").is_symlink()


def test_a_card_that_cannot_be_rendered_leaves_the_old_dataset_whole(
    release: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", **ONE)
    before = {name: raw for name, raw in files(out).items() if not name.endswith(".arrow")}

    def fail(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nsd_imagery.dataset.card.card", fail)
    with pytest.raises(OSError, match="No space left"):
        nsd_imagery.build(other, out, **ONE)
    assert {name: raw for name, raw in files(out).items() if not name.endswith(".arrow")} == before
    assert nsd_imagery.verify(out).passed


def test_a_shard_that_gets_another_number_is_there_at_every_moment(
    own_core_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hf_cache: str
) -> None:
    """What README names is whole before and after each step that gives a file another name."""
    last = own_core_release / f"{CORE}01.hdf5"
    hidden = last.rename(last.with_name("hidden"))
    out = nsd_imagery.build(own_core_release, tmp_path / "d", roi="V1")
    hidden.rename(last)
    n_steps = 0

    def checked(step: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **options: object) -> object:
            nonlocal n_steps
            n_steps += 1
            done = step(*arguments, **options)
            manifest = read_manifest(out)
            assert manifest is not None
            assert all((out / shard.file).is_file() for shard in manifest.shards)
            return done

        return run

    for name in ("link", "replace", "unlink"):
        monkeypatch.setattr(os, name, checked(getattr(os, name)))
    nsd_imagery.build(own_core_release, out, roi="V1")
    monkeypatch.undo()
    assert n_steps > 10
    assert load_dataset(str(out), "subj01-perception-V1", split="train", cache_dir=hf_cache).num_rows > 1000


def test_a_name_that_goes_to_another_file_is_there_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nsd_imagery.atomic import link

    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("rows")
    new.write_text("of another dataset")
    make = os.link

    def checked(source: Path, target: Path) -> None:
        assert new.read_text() == "of another dataset"
        make(source, target)

    monkeypatch.setattr(os, "link", checked)
    link(old, new, tmp_path)
    assert new.samefile(old)


def test_linking_a_shard_over_itself_touches_nothing(tmp_path: Path) -> None:
    from nsd_imagery.atomic import link

    old, new, foreign = (tmp_path / name for name in ("old", "new", "foreign"))
    old.write_text("rows")
    link(old, new, tmp_path)
    before = identity(new)
    link(old, new, tmp_path)
    assert identity(new) == before
    foreign.write_text("of another dataset")
    link(old, foreign, tmp_path)
    assert foreign.samefile(old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign", "new", "old"]
