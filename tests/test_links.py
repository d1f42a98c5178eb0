"""Links of the user's own: git-annex and datalad trees, folders on other disks, and contents that are not fetched."""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nsd_imagery
from folders import files, own
from nsd_imagery.checks.run import verify
from nsd_imagery.errors import DataError, MissingDataError, NSDImageryError
from nsd_imagery.learn.clip_cache import ClipCache
from nsd_imagery.learn.clip_folder import folder_name
from nsd_imagery.rows.choice import Choice
from nsd_imagery.rows.choose import choose_rows
from nsd_imagery.sources.caption_files import COCO_SPLITS

BETAS = "nsddata_betas/ppdata/subj01/func1pt8mm/nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery"
CORE = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
SPACE = "nsddata/ppdata/subj01/func1pt8mm"
PICTURES = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
TARGETS = "nsddata/experiments/nsdimagery/rawtargetimages/setA"
MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"
CACHE_BETAS = "nsd_imagery/betas/subj01/imagery_betas_session01.nii.gz"
ANNEX = ".git/annex/objects/xx/yy/MD5E-s1--0/MD5E-s1--0"


@pytest.fixture(scope="module")
def trees(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Roots of both layouts: one subject, beta files of one format. Not to be changed."""
    folder = tmp_path_factory.mktemp("cache") / "cache"
    return {"release": core_release, "cache": nsd_imagery.synth(folder, layout="cache", format="nii.gz")}


@pytest.fixture
def root(core_release: Path, tmp_path: Path) -> Path:
    """A release that a test may change."""
    return copy(core_release, tmp_path / "root")


@pytest.fixture
def cache(trees: dict[str, Path], tmp_path: Path) -> Path:
    """A cache tree that a test may change."""
    return copy(trees["cache"], tmp_path / "cache")


def copy(root: Path, out: Path) -> Path:
    return Path(shutil.copytree(root, out, copy_function=os.link))


def annex(folder: Path, top: Path) -> None:
    """Make each file of a folder a link into the objects of the repository at `top`."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        key = hashlib.md5(path.read_bytes()).hexdigest() + "".join(path.suffixes)
        place = top / ".git/annex/objects" / key[:2] / key / key
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
        path.symlink_to(os.path.relpath(place, path.parent))


def unfetch(path: Path) -> Path:
    """Let a file or folder be a link whose content nobody has got."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(ANNEX)
    return path


def says_what_to_get(said: str, link: Path) -> bool:
    where = shlex.quote(str(link))
    words = f"{link}: a link without content: get it first, e.g. `datalad get {where}` or `git annex get {where}`"
    return words in said and "\n" not in said and not re.search("no such|not in the root|is not there|gone", said)


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(NSDImageryError) as caught:
        work()
    return str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["release", "cache"])
@pytest.mark.parametrize("where", [".", "sourcedata/nsd"])
def test_a_tree_of_links_is_the_tree_that_they_lead_to(
    trees: dict[str, Path], layout: str, where: str, tmp_path: Path
) -> None:
    top = tmp_path / "dataset"
    root = copy(trees[layout], top / where)
    annex(root, top)
    assert files(nsd_imagery.build(root, tmp_path / "d", roi=["nsdgeneral", "V1"])) == files(
        nsd_imagery.build(trees[layout], tmp_path / "plain", roi=["nsdgeneral", "V1"])
    )
    assert verify(root, deep=True).passed
    assert verify(tmp_path / "d", root=root, deep=True).passed
    folder = nsd_imagery.index(root)
    index, plain = (
        (one / "imagery" / "subj01.parquet").read_bytes()
        for one in (folder, nsd_imagery.index(trees[layout], out=tmp_path / "i"))
    )
    assert index == plain
    annex(folder, top)
    assert verify(folder).passed
    assert choose_rows(folder / "imagery" / "subj01.parquet", None, Choice("subj01", "imagery")).num_rows == 288


def test_folders_that_lie_on_other_disks_are_followed(core_release: Path, tmp_path: Path) -> None:
    root, disk = copy(core_release, tmp_path / "root"), tmp_path / "disk"
    disk.mkdir()
    for name in ("nsddata_betas/ppdata/subj01", f"{SPACE}/roi", "nsddata/freesurfer", "nsddata_stimuli", TARGETS):
        shutil.move(root / name, disk / name.replace("/", "_"))
        (root / name).symlink_to(disk / name.replace("/", "_"))
    built = [nsd_imagery.build(one, tmp_path / name) for one, name in ((root, "d"), (core_release, "plain"))]
    assert files(built[0]) == files(built[1])
    assert verify(root, deep=True).passed
    flat = [nsd_imagery.find_roi(one, "subj01", "V1").flat for one in (root, core_release)]
    np.testing.assert_array_equal(*flat)


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_table_may_name_what_the_users_own_link_leads_to(
    cache: Path, trees: dict[str, Path], tmp_path: Path, is_folder: bool
) -> None:
    path = cache / CACHE_BETAS
    moved = path.parent if is_folder else path
    shutil.move(moved, tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    built = [nsd_imagery.build(one, tmp_path / name) for one, name in ((cache, "d"), (trees["cache"], "plain"))]
    assert files(built[0]) == files(built[1])


IN_RELEASE = [
    f"{BETAS}.hdf5",
    f"{CORE}/betas_session02.hdf5",
    CORE,
    "nsddata_betas/ppdata",
    "nsddata/bdata/nsdimagery/nsdimagery_subj01_attB.tsv",
    "nsddata/bdata",
    "nsddata/experiments/nsdimagery/B_pair_list.mat",
    "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat",
    "nsddata/experiments/nsd/nsd_stim_info_merged.csv",
    "nsddata/ppdata/subj01/behav/responses.tsv",
    "nsddata/freesurfer/subj01/label/streams.mgz.ctab",
    "nsddata/freesurfer",
    f"{SPACE}/brainmask.nii.gz",
    f"{SPACE}/valid_nsdimagery.nii.gz",
    f"{SPACE}/valid_session01.nii.gz",
    f"{SPACE}/roi/nsdgeneral.nii.gz",
    f"{SPACE}/roi/lh.streams.nii.gz",
    f"{SPACE}/roi",
    f"{CORE}/ncsnr.nii.gz",
    f"{TARGETS}/{{first}}",
    TARGETS,
    PICTURES,
    "nsddata_stimuli",
]


@pytest.mark.parametrize("name", IN_RELEASE)
def test_what_was_not_fetched_of_a_release_is_named_and_never_taken_for_absent(
    root: Path, tmp_path: Path, name: str
) -> None:
    link = unfetch(root / name.format(first=next((root / TARGETS).iterdir()).name))
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d")), link)
    assert not (tmp_path / "d" / "README.md").exists()


@pytest.mark.parametrize(
    "name",
    [
        MANIFEST,
        CACHE_BETAS,
        "nsd_imagery/betas",
        "nsd_imagery/stimuli/imagery_stimuli_info.csv",
        "nsd_imagery/stimuli/presented_image_ids.txt",
        "nsd_imagery/metadata/subject_sessions.json",
        "nsd_imagery/metadata/subj01/streams.nii.gz",
        "nsd_imagery/metadata/subj01/brainmask.nii.gz",
        "nsd_imagery/metadata/subj01",
        "nsd_imagery/stimuli",
        "nsd_hdf5",
        "annotations",
    ],
)
def test_what_was_not_fetched_of_a_cache_tree_is_named_and_never_taken_for_absent(
    cache: Path, tmp_path: Path, name: str
) -> None:
    link = unfetch(cache / name)
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(cache, tmp_path / "d")), link)


def test_betas_that_were_not_fetched_stop_only_who_asks_for_them(release: Path, tmp_path: Path) -> None:
    root = copy(release, tmp_path / "root")
    links = [unfetch(root / f"{BETAS.replace('subj01', 'subj02')}{ending}") for ending in (".hdf5", ".nii.gz")]
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d")), links[0])
    unfetch(root / f"{BETAS}.hdf5")  # the other format is there
    built = [nsd_imagery.build(one, tmp_path / f"d_{one.name}", subjects=["subj01"]) for one in (root, release)]
    betas = [np.asarray(nsd_imagery.load(one, "subj01-imagery", "test")["betas"][:]) for one in built]
    np.testing.assert_array_equal(*betas)
    formats = next(one for one in verify(root, ["subj01"], deep=True).findings if one.id == "data.formats")
    assert (formats.outcome, says_what_to_get(formats.evidence, root / f"{BETAS}.hdf5")) == ("skipped", True)


def test_core_that_was_not_fetched_stops_no_build_of_imagery(root: Path, tmp_path: Path) -> None:
    unfetch(root / CORE / "betas_session02.hdf5")
    assert nsd_imagery.build(root, tmp_path / "d", conditions=["imagery"])


@pytest.mark.parametrize("name", [f"{BETAS}.hdf5", f"{SPACE}/roi/nsdgeneral.nii.gz", PICTURES, CORE])
def test_verify_says_what_was_not_fetched(root: Path, name: str) -> None:
    link = unfetch(root / name)
    report = verify(root, deep=True)
    assert not report.passed
    said = [text for finding in report.findings for text in finding.offending]
    assert any(says_what_to_get(text, link) for text in said)
    assert not any(f"{link}: is not there" in text for text in said)


def test_masks_captions_and_tables_that_a_user_names_are_no_less_links(root: Path, tmp_path: Path) -> None:
    mask = unfetch(tmp_path / "my mask.nii.gz")
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d", roi=str(mask))), mask)
    captions = tmp_path / "captions"
    captions.mkdir()
    link = unfetch(captions / f"captions_{COCO_SPLITS[1]}.json")
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d", captions=captions)), link)
    unfetch(captions)
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d", captions=captions)), captions)
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(captions, tmp_path / "d")), captions)
    assert says_what_to_get(refusal(lambda: verify(captions)), captions)
    assert says_what_to_get(refusal(lambda: choose_rows(captions, root, Choice("subj01"))), captions)


def test_an_index_that_was_not_fetched_is_neither_joined_without_nor_written_anew(
    release: Path, root: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.index(release, out=tmp_path / "indices")
    link = unfetch(folder / "imagery" / "subj02.parquet")
    full = (folder / "imagery" / "full_index.parquet").read_bytes()
    assert says_what_to_get(refusal(lambda: nsd_imagery.index(release, ["subj01"], out=folder)), link)
    assert (folder / "imagery" / "full_index.parquet").read_bytes() == full
    assert says_what_to_get(refusal(lambda: choose_rows(link, release, Choice("subj02"))), link)


def test_a_dataset_folder_that_was_not_fetched_says_so(dataset: Path, release: Path, tmp_path: Path) -> None:
    folder = own(dataset, tmp_path / "d")
    annex(folder, tmp_path)
    assert verify(folder, ["subj01"]).passed
    link = unfetch(next((folder / "subj01-imagery").glob("test-*.arrow")))
    assert says_what_to_get(refusal(lambda: nsd_imagery.load(folder, "subj01-imagery", "test")), link)
    assert any(says_what_to_get(sentence, link) for sentence in nsd_imagery.info(folder)["missing"])
    offending = [text for finding in verify(folder, ["subj01"]).findings for text in finding.offending]
    assert any(says_what_to_get(text, link) for text in offending)
    link = unfetch(folder / "manifest.json")
    assert says_what_to_get(refusal(lambda: nsd_imagery.info(folder)), link)
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(release, folder)), link)


def test_embeddings_and_models_that_were_not_fetched_say_so(root: Path, tmp_path: Path) -> None:
    link = unfetch(tmp_path / "clip-0123456789ab.parquet")
    assert says_what_to_get(refusal(lambda: ClipCache(root, folder=tmp_path)), link)
    model = tmp_path / "model"
    model.mkdir()
    unfetch(model / "config.json")
    (model / "model.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="a link without content: get it first"):
        folder_name(model)


@pytest.mark.parametrize(
    "pointer",
    ["/annex/objects/MD5E-s4096--d41d8cd9.hdf5\n", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"],
)
@pytest.mark.parametrize(
    "name", [f"{BETAS}.hdf5", f"{SPACE}/roi/streams.nii.gz", f"{SPACE}/brainmask.nii.gz", PICTURES]
)
def test_a_pointer_in_the_place_of_a_content_is_no_damaged_file(
    root: Path, tmp_path: Path, name: str, pointer: str
) -> None:
    (root / name).unlink()
    (root / name).write_text(pointer)
    assert says_what_to_get(refusal(lambda: nsd_imagery.build(root, tmp_path / "d")), root / name)


def test_a_map_of_the_users_own_that_was_not_fetched_is_left_out(root: Path, tmp_path: Path) -> None:
    unfetch(root / SPACE / "roi" / "mine.nii.gz")
    folder = nsd_imagery.build(root, tmp_path / "d", conditions=["imagery"])
    notes = [note for note in nsd_imagery.info(folder)["notes"] if "mine.nii.gz is left out (a link without" in note]
    assert len(notes) == 1
    assert str(root) not in json.dumps(notes)


def test_the_command_says_it_in_one_line(root: Path, tmp_path: Path) -> None:
    moved = root.rename(tmp_path / "my data")
    link = unfetch(moved / SPACE / "roi" / "nsdgeneral.nii.gz")
    command = [sys.executable, "-m", "nsd_imagery", "build", str(moved), "--out", str(tmp_path / "d")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert says_what_to_get(done.stderr.strip(), link)


def test_links_in_a_circle_are_no_files(root: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.nii.gz"
    mask.symlink_to(mask)
    with pytest.raises(MissingDataError, match="no such mask file"):
        nsd_imagery.build(root, tmp_path / "d", roi=str(mask))
