"""Files that nobody asked for: what systems leave in folders is not there, and users' own maps are in nobody's way."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nsd_imagery
from folders import files, own
from hub import Hub
from nsd_imagery.checks.run import verify
from nsd_imagery.dataset.folder import open_manifest, refuse_foreign
from nsd_imagery.dataset.shards import open_shard
from nsd_imagery.embeddings import Embedding, Maker, write_embeddings
from nsd_imagery.errors import DataError, FolderError
from nsd_imagery.learn.clip_cache import ClipCache
from nsd_imagery.rows.choice import Choice
from nsd_imagery.rows.choose import choose_rows, choose_voxels

APPLE_DOUBLE = bytes.fromhex("00051607 00020000") + b"Mac OS X        " + bytes(4072)
SPACE = "nsddata/ppdata/subj01/func1pt8mm"
TABLES = "nsddata/freesurfer/subj01/label"
METADATA = "nsd_imagery/metadata/subj01"
ROIS = {"release": f"{SPACE}/roi", "cache": METADATA}


@pytest.fixture(scope="module")
def trees(release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Roots of both layouts. Not to be changed."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    return {"release": release, "cache": nsd_imagery.synth(folder, layout="cache")}


@pytest.fixture(scope="module")
def built(trees: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """subj01's imagery of both."""
    place = tmp_path_factory.mktemp("built")
    return {name: build(root, place / name) for name, root in trees.items()}


@pytest.fixture(params=["release", "cache"])
def layout(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def root(trees: dict[str, Path], layout: str, tmp_path: Path) -> Path:
    """A root that a test may change."""
    return Path(shutil.copytree(trees[layout], tmp_path / "root", copy_function=os.link))


def build(root: Path, out: Path, **options: Any) -> Path:
    return nsd_imagery.build(root, out, subjects=["subj01"], conditions=["imagery"], **options)


def litter(folder: Path) -> None:
    """What macOS, Windows, NFS, LibreOffice and Jupyter leave: beside each file, and in each folder."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        if path.is_file():
            (path.parent / f"._{path.name}").write_bytes(APPLE_DOUBLE)
            (path.parent / f".~lock.{path.name}#").write_text(",me,host,27.11.2026 12:00;")
    for path in paths:
        if path.is_dir():
            (path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            (path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
            (path / ".nfs000000000a1b2c3d00000001").write_bytes(b"")
            (path / ".gitattributes").write_text("* annex.backend=MD5E\n")
            (path / ".ipynb_checkpoints").mkdir()


def passes(path: Path, **options: Any) -> bool:
    return verify(path, ["subj01"], **options).passed


def test_what_systems_leave_in_a_root_changes_no_byte_of_what_is_built(
    root: Path, built: dict[str, Path], layout: str, tmp_path: Path
) -> None:
    litter(root)
    assert files(build(root, tmp_path / "d")) == files(built[layout])
    assert passes(root, deep=True)


def test_what_systems_leave_is_no_index(root: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.index(root, ["subj01"])
    litter(root)
    (folder / ".ipynb_checkpoints" / "full_index.parquet").write_bytes(b"")
    pq.write_table(pa.table({"a": [1]}), root / "participants.parquet")
    assert passes(folder)
    rows = choose_rows(folder / "imagery" / "subj01.parquet", root, Choice("subj01", "imagery"))
    assert rows.num_rows == choose_rows(root, None, Choice("subj01", "imagery")).num_rows == 288


def test_a_folder_of_nothing_but_what_systems_leave_is_empty(release: Path, tmp_path: Path) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    refuse_foreign(tmp_path)
    nsd_imagery.synth(tmp_path / ".." / tmp_path.name, format="hdf5")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FolderError, match=r"notes\.txt"):
        refuse_foreign(tmp_path)


def test_what_systems_leave_in_a_dataset_folder_is_left_there_and_seen_by_nothing(
    release: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = own(dataset, tmp_path / "d")
    said, rows = nsd_imagery.info(folder), nsd_imagery.load(folder, "subj01-imagery", "test")["betas"][:]
    litter(folder)
    shard = next((folder / "subj01-imagery").glob("test-*.arrow"))
    assert passes(folder, deep=True, root=release)
    assert nsd_imagery.info(folder) == said
    assert nsd_imagery.load(folder, "subj01-imagery", "test")["betas"][:] == rows
    assert nsd_imagery.build(release, folder) == folder
    assert shard.with_name(f"._{shard.name}").read_bytes() == APPLE_DOUBLE
    assert nsd_imagery.info(folder) == said


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_what_systems_leave_is_neither_pushed_nor_foreign_in_a_repo_nor_in_the_way_of_a_pull(
    release: Path, tmp_path: Path, hub: Hub
) -> None:
    folder = build(release, tmp_path / "d")
    litter(folder)
    hub.put("me/repo", dict.fromkeys((".gitattributes", ".DS_Store", "subj01-imagery/._a.parquet"), b"x"))
    pushed = nsd_imagery.push(folder, "me/repo")
    assert not [name for name in pushed.uploaded if "/." in f"/{name}" or "Thumbs" in name]
    out = tmp_path / "out"
    out.mkdir()
    (out / ".DS_Store").write_bytes(b"x")
    assert open_manifest(nsd_imagery.pull("me/repo", out)) == open_manifest(folder)


def test_embeddings_are_found_beside_what_systems_leave_and_a_table_of_the_users_own(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "clip-0123456789ab.parquet"
    write_embeddings(path, Maker("openai/clip", "0" * 40, "{}"), {("text", "a"): Embedding(np.zeros(2), "0" * 32)})
    litter(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "mine.parquet")
    with caplog.at_level(logging.WARNING):
        assert ClipCache(release, kind="text", folder=tmp_path).path == path
    assert [str(tmp_path / "mine.parquet") in message for message in caplog.messages] == [True]
    (tmp_path / "mine.parquet").rename(tmp_path / "vit-0123456789ac.parquet")  # of a name that embed gives
    with pytest.raises(DataError, match="no sound file of embeddings"):
        ClipCache(release, kind="text", folder=tmp_path)


def nifti(values: np.ndarray, affine: np.ndarray) -> Callable[[Path], None]:
    return lambda path: nib.save(nib.Nifti1Image(values, affine), path)


def own_maps(like: nib.Nifti1Image) -> dict[str, tuple[Callable[[Path], object], str]]:
    """Maps that people keep, and a word of what is said of them."""
    affine, shape = np.asarray(like.affine), like.shape
    elsewhere = affine.copy()
    elsewhere[0, 3] += 40
    colours = np.zeros(shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return {
        "anat_1mm": (nifti(np.ones((30, 40, 30), np.uint8), np.eye(4)), "grid is 30 x 40 x 30"),
        "prf_4d": (nifti(np.zeros((*shape, 3), np.float32), affine), "has 3 volumes"),
        "overlay": (nifti(colours, affine), "holds"),
        "of_subj05": (nifti(np.ones(shape, np.uint8), elsewhere), "affine is not that of"),
        "notes": (lambda path: path.write_text("see the wiki"), "gzip"),
        "cut_short": (lambda path: path.write_bytes(b"\x1f\x8b\x08"), "cut short"),
        "empty": (lambda path: path.write_bytes(b""), ""),
    }


@pytest.mark.parametrize(
    "name", ["anat_1mm", "prf_4d", "overlay", "of_subj05", "notes", "cut_short", "empty", "lh.anat_1mm"]
)
def test_a_map_of_the_users_own_that_does_not_fit_is_left_out_with_a_note_and_an_error_only_where_it_is_asked_for(
    root: Path, built: dict[str, Path], layout: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = root / ROIS[layout]
    general = place / "nsdgeneral.nii.gz"
    maps = own_maps(nib.load(general))
    make, why = maps[name.removeprefix("lh.")]
    make(place / f"{name}.nii.gz")
    if name.startswith("lh."):
        shutil.copy(general, place / "anat_1mm.nii.gz")
    folder = build(root, tmp_path / "d")
    left_out = name.removeprefix("lh.")
    (note,) = (note for note in nsd_imagery.info(folder)["notes"] if "is left out" in note)
    assert note.startswith(f"subj01: {left_out}.nii.gz is left out")
    assert why in note
    assert str(root) not in note
    assert {path for path in files(folder) if path.endswith(".arrow")} == {
        path for path in files(built[layout]) if path.endswith(".arrow")
    }
    report = verify(root, ["subj01"])
    assert report.passed
    assert f"{name}.nii.gz" in next(one.evidence for one in report.findings if one.id == "files.one-grid")
    with caplog.at_level(logging.WARNING):
        voxels = choose_voxels(root, None, Choice("subj01", "imagery"))
    assert left_out not in voxels.column_names
    assert note in caplog.messages
    with pytest.raises((DataError, OSError)) as caught:
        build(root, tmp_path / "asked", roi=str(place / f"{name}.nii.gz"))
    assert "\n" not in str(caught.value)


def test_a_map_of_the_users_own_that_fits_has_its_column_as_before(
    release: Path, tmp_path: Path, built: dict[str, Path]
) -> None:
    root = Path(shutil.copytree(release, tmp_path / "root", copy_function=os.link))
    general = nib.load(root / SPACE / "roi" / "nsdgeneral.nii.gz")
    mine = (np.asarray(general.dataobj) == 1).astype(np.int16) * 2
    nib.save(nib.Nifti1Image(mine, general.affine), root / SPACE / "roi" / "mine.nii.gz")
    (root / TABLES / "mine.mgz.ctab").write_text("2 hot\n")
    folder = build(root, tmp_path / "d")
    plain, voxels = (open_shard(next((one / "subj01-voxels").glob("*.arrow"))) for one in (built["release"], folder))
    assert set(voxels["mine"].to_pylist()) == {"hot"}
    assert voxels.drop_columns("mine").replace_schema_metadata() == plain.replace_schema_metadata()
    assert not [note for note in nsd_imagery.info(folder)["notes"] if "left out" in note]


@pytest.mark.parametrize("name", ["streams", "lh.Kastner2015", "floc-faces"])
def test_an_atlas_of_the_release_that_is_damaged_is_an_error_whoever_asks(
    release: Path, tmp_path: Path, name: str
) -> None:
    root = Path(shutil.copytree(release, tmp_path / "root", copy_function=os.link))
    path = root / SPACE / "roi" / f"{name}.nii.gz"
    path.unlink()
    path.write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(DataError, match=f"{name}.nii.gz"):
        build(root, tmp_path / "d")
    assert not passes(root)


def test_a_damaged_label_table_of_the_users_own_stops_no_roi_but_its_own(
    release: Path, tmp_path: Path, built: dict[str, Path]
) -> None:
    root = Path(shutil.copytree(release, tmp_path / "root", copy_function=os.link))
    shutil.copy(root / SPACE / "roi" / "streams.nii.gz", root / SPACE / "roi" / "mine.nii.gz")
    (root / TABLES / "mine.mgz.ctab").write_text("one hot\n")
    assert nsd_imagery.find_roi(root, "subj01", "PPA").flat.size
    folder = build(root, tmp_path / "d")
    assert "mine.nii.gz is left out (mine.mgz.ctab, line 1" in "".join(nsd_imagery.info(folder)["notes"])
    with pytest.raises(DataError, match=r"mine\.mgz\.ctab, line 1"):
        nsd_imagery.find_roi(root, "subj01", "mine:hot")
    (root / TABLES / "streams.mgz.ctab").unlink()
    (root / TABLES / "streams.mgz.ctab").write_text("one hot\n")
    with pytest.raises(DataError, match=r"streams\.mgz\.ctab, line 1"):
        nsd_imagery.find_roi(root, "subj01", "PPA")
