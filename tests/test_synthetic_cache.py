"""The Guide's cache tree and the COCO captions, read from their files as a foreign reader would."""

import csv
import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from scipy.io import loadmat

from nsd_imagery.errors import FolderError, UsageError
from nsd_imagery.synthetic import synth
from nsd_imagery.synthetic.captions import captions_of
from nsd_imagery.synthetic.pictures import picture_id

pytestmark = pytest.mark.slow

SEED = 7
SUBJECTS = ("subj01", "subj04")
RUNS = "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split()
CONDITIONS = {"vis": "perception", "att": "attention", "img": "imagery"}
GUIDE_FIELDS = (
    "trial_id subject session trial_in_session condition nsd_id coco_id beta_path beta_index roi_mask_path "
    "repeat_index caption run_number is_valid snr_estimate"
).split()
OUR_FIELDS = "run_name stimulus_set epoch target cue cue_matches target_present".split()
STIMULUS_FIELDS = "stimulus stimulus_set target cue nsd_id coco_id caption".split()
SET_B_IDS = (28751, 30856, 53881, 61177, 65872)
SPLITS = ("train2017", "val2017")

Lines = list[dict[str, str]]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(tmp_path_factory.mktemp("tree") / "release", subjects=SUBJECTS, seed=SEED)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(tmp_path_factory.mktemp("tree") / "cache", subjects=SUBJECTS, seed=SEED, layout="cache")


@pytest.fixture(scope="module")
def coco(release: Path) -> dict[str, dict[str, Any]]:
    return {split: json.loads((release / f"annotations/captions_{split}.json").read_bytes()) for split in SPLITS}


def lines(path: Path, delimiter: str = ",") -> Lines:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def manifest(root: Path, subject: str = "subj01") -> Lines:
    return lines(root / f"nsd_imagery/metadata/trial_manifest_{subject}.csv")


def beta_file(root: Path, ending: str, subject: str = "subj01") -> Path:
    return root / f"nsd_imagery/betas/{subject}/imagery_betas_session01.{ending}"


def released_betas(root: Path, ending: str, subject: str = "subj01") -> Path:
    folder = root / f"nsddata_betas/ppdata/{subject}/func1pt8mm/nsdimagerybetas_fithrf_GLMdenoise_RR"
    return folder / f"betas_nsdimagery.{ending}"


def behaviour(release: Path, subject: str, run: str) -> Lines:
    return lines(release / f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{run}.tsv", "\t")


@pytest.fixture(scope="module")
def stim_info(release: Path) -> Lines:
    return lines(release / "nsddata/experiments/nsd/nsd_stim_info_merged.csv")


def targets(release: Path) -> dict[tuple[str, str], str]:
    """Set and letter -> name without .png, from the pair lists."""
    found = {}
    for name in "ABC":
        cells = loadmat(release / f"nsddata/experiments/nsdimagery/{name}_pair_list.mat")["pair_list"]
        found |= {(name, cue.item()): target.item().removesuffix(".png") for _, target, cue in cells}
    return found


def zero_based(name: str) -> int | None:
    """The id in a file name such as shared0385_nsd28752, which is from 1, and 0 for the artwork."""
    one_based = int(name.split("_")[1].removeprefix("nsd")) if name.startswith("shared") else 0
    return one_based - 1 if one_based else None


def about(nsd_id: int | None, stim_info: Lines) -> dict[str, str]:
    if nsd_id is None:
        return {"nsd_id": "", "coco_id": "", "caption": ""}
    return {"nsd_id": str(nsd_id), "coco_id": stim_info[nsd_id]["cocoId"], "caption": captions_of(nsd_id)[0]}


def expected_manifest(release: Path, subject: str, stim_info: Lines) -> Lines:
    """The lines that follow from the behaviour files, the pair lists and the picture table of a release tree."""
    names = targets(release)
    repeats: Counter[tuple[str, ...]] = Counter()
    expected: Lines = []
    for number, run in enumerate(RUNS, start=1):
        condition = CONDITIONS[run[:3]]
        for line in behaviour(release, subject, run):
            in_session = 48 * (number - 1) + int(float(line["TRIAL"])) - 1
            target = names[run[3], line["CONDITION"]]
            nsd_id = zero_based(line["FRAMEFILE"] if run == "visC" else target)
            for position, epoch in enumerate(["cue", "detection"] if condition == "attention" else [""]):
                expected.append(
                    {
                        "trial_id": f"2{subject[-1]}01{in_session:04d}{position}",
                        "subject": subject,
                        "session": "1",
                        "trial_in_session": str(in_session),
                        "condition": condition,
                        "beta_path": f"nsd_imagery/betas/{subject}/imagery_betas_session01.nii.gz",
                        "beta_index": str(len(expected)),
                        "roi_mask_path": f"nsd_imagery/metadata/{subject}/nsdgeneral.nii.gz",
                        "repeat_index": str(repeats[condition, epoch, target]),
                        "run_number": str(number),
                        "is_valid": "True",
                        "snr_estimate": "",
                        "run_name": run,
                        "stimulus_set": run[3],
                        "epoch": epoch,
                        "target": target,
                        "cue": line["CUE"],
                        "cue_matches": str(int(line["CUE"] == line["CONDITION"])),
                        "target_present": line["GROUNDTRUTH"][:1] if condition == "attention" else "",
                        **about(nsd_id, stim_info),
                    }
                )
                repeats[condition, epoch, target] += 1
    return expected


def volume(path: Path) -> NDArray[Any]:
    return np.asarray(Nifti1Image.from_filename(path).dataobj)


def files_of(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def contents(root: Path) -> dict[str, str]:
    return {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in files_of(root)}


class TestManifest:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_says_what_a_foreign_reader_finds_in_the_release_of_the_same_seed(
        self, root: Path, release: Path, stim_info: Lines, subject: str
    ) -> None:
        assert manifest(root, subject) == expected_manifest(release, subject, stim_info)

    def test_has_the_fields_of_the_guides_trial_in_its_order_and_then_ours(self, root: Path) -> None:
        assert list(manifest(root)[0]) == GUIDE_FIELDS + OUR_FIELDS

    def test_counts_576_trials_in_720_volumes_and_half_of_what_is_seen_under_another_letter(self, root: Path) -> None:
        rows = manifest(root)
        assert [row["beta_index"] for row in rows] == list(map(str, range(720)))
        assert {int(row["trial_in_session"]) for row in rows} == set(range(576))
        assert Counter(row["condition"] for row in rows) == {"perception": 144, "imagery": 288, "attention": 288}
        seen = Counter(row["cue_matches"] for row in rows if row["condition"] == "perception")
        assert seen == {"1": 72, "0": 72}

    def test_ids_are_unique_over_subjects(self, root: Path) -> None:
        ids = [row["trial_id"] for subject in SUBJECTS for row in manifest(root, subject)]
        assert len(set(ids)) == len(ids)

    def test_paths_name_files_below_the_root(self, root: Path) -> None:
        for subject in SUBJECTS:
            for column in ("beta_path", "roi_mask_path"):
                (path,) = {row[column] for row in manifest(root, subject)}
                assert path in files_of(root)
                assert subject in path

    def test_only_nsd_pictures_have_ids_and_captions(self, root: Path) -> None:
        pictured = {row["target"] for row in manifest(root) if row["nsd_id"] and row["run_name"] != "visC"}
        assert {zero_based(target) for target in pictured} == set(SET_B_IDS)
        for row in manifest(root):
            assert bool(row["nsd_id"]) == bool(row["coco_id"]) == bool(row["caption"])
            assert row["nsd_id"] in row["caption"]


class TestFiles:
    def test_the_tree_is_the_guides_and_nothing_of_the_releases(self, root: Path, release: Path) -> None:
        roi = release / "nsddata/ppdata/subj01/func1pt8mm/roi"
        masks = {path.name for path in roi.iterdir()} | {"brainmask.nii.gz", "valid_nsdimagery.nii.gz"}
        tables = {path.name for path in (release / "nsddata/freesurfer/subj01/label").iterdir()}
        tables |= {"MTL.mgz.ctab", "thalamus.mgz.ctab"}
        expected = {
            "synthetic.json",
            "annotations/captions_train2017.json",
            "annotations/captions_val2017.json",
            "truth/truth.json",
            "truth/latents.parquet",
            *(f"truth/weights_{subject}.nii.gz" for subject in SUBJECTS),
            "nsd_hdf5/nsd_stimuli.hdf5",
            "nsd_imagery/metadata/subject_sessions.json",
            "nsd_imagery/stimuli/imagery_stimuli_info.csv",
            "nsd_imagery/stimuli/presented_image_ids.txt",
        }
        for subject in SUBJECTS:
            expected |= {f"nsd_imagery/metadata/{subject}/{name}" for name in masks | tables}
            expected.add(f"nsd_imagery/metadata/trial_manifest_{subject}.csv")
            expected.add(f"nsd_imagery/betas/{subject}/imagery_betas_session01.nii.gz")
        assert files_of(root) == expected

    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_betas_rois_tables_pictures_and_captions_are_the_releases_byte_for_byte(
        self, root: Path, release: Path, subject: str
    ) -> None:
        functional = release / f"nsddata/ppdata/{subject}/func1pt8mm"
        same = {
            beta_file(root, "nii.gz", subject): released_betas(release, "nii.gz", subject),
            root / "nsd_hdf5/nsd_stimuli.hdf5": release / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5",
            **{root / f"annotations/captions_{s}.json": release / f"annotations/captions_{s}.json" for s in SPLITS},
        }
        for path in (root / f"nsd_imagery/metadata/{subject}").iterdir():
            is_roi = (functional / "roi" / path.name).exists()
            is_table = path.name.endswith(".ctab")
            folder = release / f"nsddata/freesurfer/{subject}/label" if is_table else functional
            same[path] = (folder / "roi" if is_roi else folder) / path.name
            if path.name in ("MTL.mgz.ctab", "thalamus.mgz.ctab"):
                same[path] = release / "nsddata/templates" / path.name.replace(".mgz", "")
        same |= {path: release / "truth" / path.name for path in (root / "truth").iterdir()}
        assert len(same) == 4 + 4 * 13 + 2 + 2 + len(SUBJECTS)
        for path, released in same.items():
            assert path.read_bytes() == released.read_bytes(), path

    def test_hdf5_betas_are_the_releases_too_and_the_manifest_names_them(self, release: Path, tmp_path: Path) -> None:
        root = synth(tmp_path, seed=SEED, layout="cache", format="hdf5")
        assert beta_file(root, "hdf5").read_bytes() == released_betas(release, "hdf5").read_bytes()
        assert {row["beta_path"] for row in manifest(root)} == {
            beta_file(root, "hdf5").relative_to(root).as_posix(),
        }

    def test_presented_ids_are_0_based_rising_and_shown_by_their_pictures(self, root: Path) -> None:
        text = (root / "nsd_imagery/stimuli/presented_image_ids.txt").read_text()
        ids = [int(line) for line in text.splitlines()]
        assert text.endswith("\n")
        assert ids == sorted(set(ids))
        assert set(ids) == {int(row["nsd_id"]) for row in manifest(root) if row["nsd_id"]}
        with h5py.File(root / "nsd_hdf5/nsd_stimuli.hdf5") as file:
            brick = file["imgBrick"]
            assert [picture_id(brick[nsd_id]) for nsd_id in ids] == ids

    def test_the_stimulus_file_has_the_18_targets_and_then_the_48_photographs(
        self, root: Path, release: Path, stim_info: Lines
    ) -> None:
        expected = [
            {"stimulus_set": name, "target": target, "cue": cue, **about(zero_based(target), stim_info)}
            for (name, cue), target in targets(release).items()
        ]
        photographs = sorted({zero_based(line["FRAMEFILE"]) or 0 for line in behaviour(release, "subj01", "visC")})
        expected += [
            {"stimulus_set": "C", "target": "", "cue": "", **about(nsd_id, stim_info)} for nsd_id in photographs
        ]
        for row in expected:
            row["stimulus"] = f"nsd{row['nsd_id']}" if row["nsd_id"] else row["target"]
        found = lines(root / "nsd_imagery/stimuli/imagery_stimuli_info.csv")
        assert list(found[0]) == STIMULUS_FIELDS
        assert len(found) == 66
        assert found == expected

    def test_subject_sessions_has_a_session_with_a_made_up_date_for_each_subject(self, root: Path) -> None:
        found = json.loads((root / "nsd_imagery/metadata/subject_sessions.json").read_text())
        assert found == {subject: {"sessions": 1, "dates": ["2000-01-01"]} for subject in SUBJECTS}

    def test_betas_lie_on_the_grid_of_the_mask_that_the_manifest_names(self, root: Path) -> None:
        row = manifest(root)[0]
        betas, mask = (Nifti1Image.from_filename(root / row[name]) for name in ("beta_path", "roi_mask_path"))
        assert betas.shape == (*mask.shape, 720)
        assert np.array_equal(betas.affine, mask.affine)
        assert betas.get_data_dtype() == np.dtype("<i2")
        assert set(np.unique(volume(root / row["roi_mask_path"]))) == {-1, 0, 1}

    def test_no_file_tells_the_time(self, root: Path) -> None:
        for path in root.rglob("*.gz"):
            assert path.read_bytes()[4:8] == bytes(4)
            assert gzip.decompress(path.read_bytes())[:4] == (348).to_bytes(4, "little")


class TestCaptions:
    @pytest.mark.parametrize("split", SPLITS)
    def test_have_cocos_keys_in_cocos_order(self, coco: dict[str, dict[str, Any]], split: str) -> None:
        assert list(coco[split]) == ["info", "images", "licenses", "annotations"]
        image = "license file_name coco_url height width date_captured flickr_url id".split()
        assert all(list(one) == image for one in coco[split]["images"])
        assert all(list(one) == ["image_id", "id", "caption"] for one in coco[split]["annotations"])
        assert all(one["file_name"] == f"{one['id']:012d}.jpg" for one in coco[split]["images"])
        known = {one["id"] for one in coco[split]["licenses"]}
        assert {one["license"] for one in coco[split]["images"]} <= known

    @pytest.mark.parametrize("split", SPLITS)
    def test_are_of_the_shared_pictures_in_the_file_of_their_split(
        self, coco: dict[str, dict[str, Any]], stim_info: Lines, split: str
    ) -> None:
        shared = {int(row["cocoId"]) for row in stim_info if row["shared1000"] == "True" and row["cocoSplit"] == split}
        assert len(shared) > 10
        assert {one["id"] for one in coco[split]["images"]} == shared
        assert Counter(one["image_id"] for one in coco[split]["annotations"]) == dict.fromkeys(shared, 5)

    def test_name_the_picture_by_its_0_based_id_in_five_different_sentences(
        self, coco: dict[str, dict[str, Any]], stim_info: Lines
    ) -> None:
        nsd_ids = {int(row["cocoId"]): int(row["nsdId"]) for row in stim_info if row["shared1000"] == "True"}
        found: dict[int, list[str]] = {}
        for split in SPLITS:
            for annotation in coco[split]["annotations"]:
                found.setdefault(nsd_ids[annotation["image_id"]], []).append(annotation["caption"].strip())
        for nsd_id, captions in found.items():
            assert captions == captions_of(nsd_id)
            assert len(set(captions)) == 5
            assert all(str(nsd_id) in caption for caption in captions)
        assert captions_of(28751)[0] == "A made-up scene with the number 28751 on a sign."

    @pytest.mark.parametrize("split", SPLITS)
    def test_lie_scattered_with_rising_ids_and_pictures_in_no_order(
        self, coco: dict[str, dict[str, Any]], split: str
    ) -> None:
        pictures = [one["image_id"] for one in coco[split]["annotations"]]
        assert sum(one == next_one for one, next_one in pairwise(pictures)) < 0.1 * len(pictures)
        for ids in (pictures, [one["id"] for one in coco[split]["images"]]):
            assert ids != sorted(ids)
        assert all(one["id"] < next_one["id"] for one, next_one in pairwise(coco[split]["annotations"]))

    def test_annotation_ids_are_unique_over_both_files(self, coco: dict[str, dict[str, Any]]) -> None:
        ids = [one["id"] for split in SPLITS for one in coco[split]["annotations"]]
        assert len(set(ids)) == len(ids) == 5000

    def test_have_what_trips_careless_readers(self, release: Path, coco: dict[str, dict[str, Any]]) -> None:
        captions = [one["caption"] for one in coco["train2017"]["annotations"]]
        assert any(caption.endswith(" ") for caption in captions)
        assert any(caption.endswith("\n") for caption in captions)
        assert any(not caption.isascii() for caption in captions)
        assert any('"' in caption for caption in captions)
        text = (release / "annotations/captions_train2017.json").read_text(encoding="ascii")
        assert all(escape in text for escape in ('\\"', "\\u00e9", "\\n"))

    def test_of_another_seed_are_of_other_pictures(self, coco: dict[str, dict[str, Any]], tmp_path: Path) -> None:
        other = synth(tmp_path, seed=8, format="nii.gz", layout="cache")
        ids = {
            one["id"]
            for split in SPLITS
            for one in json.loads((other / f"annotations/captions_{split}.json").read_bytes())["images"]
        }
        assert ids != {one["id"] for split in SPLITS for one in coco[split]["images"]}


class TestWriting:
    def test_subjects_may_come_one_by_one_and_again(self, root: Path, tmp_path: Path) -> None:
        other = synth(tmp_path, subjects=["subj04"], seed=SEED, layout="cache", format="nii.gz")
        assert list(json.loads((other / "nsd_imagery/metadata/subject_sessions.json").read_text())) == ["subj04"]
        synth(other, subjects=["subj01"], seed=SEED, layout="cache")
        synth(other, subjects=["subj01"], seed=SEED, layout="cache", format="both")
        assert contents(other) == contents(root)

    def test_another_format_takes_the_place_of_the_one_before(self, tmp_path: Path) -> None:
        root = synth(tmp_path / "cache", layout="cache", format="hdf5")
        synth(root, layout="cache", format="nii.gz")
        assert contents(root) == contents(synth(tmp_path / "other", layout="cache", format="nii.gz"))
        synth(root, layout="cache", format="hdf5")
        assert [path.name for path in beta_file(root, "").parent.iterdir()] == ["imagery_betas_session01.hdf5"]

    def test_the_marker_says_the_layout_where_it_is_cache(self, root: Path) -> None:
        marker = json.loads((root / "synthetic.json").read_text())
        assert marker == {
            "format_version": 2,
            "seed": SEED,
            "full_size": False,
            "layout": "cache",
            "subjects": list(SUBJECTS),
        }

    @pytest.mark.parametrize("marker", [
        '{"format_version": 2, "seed": 0, "full_size": false, "subjects": []}',
        '{"format_version": 2, "seed": 0, "full_size": false, "layout": "release", "subjects": []}',
        '{"format_version": 2, "seed": 0, "full_size": false, "layout": "cache", "subjects": []}',
    ])  # fmt: skip
    def test_the_two_layouts_are_not_mixed_in_one_root(self, tmp_path: Path, marker: str) -> None:
        (tmp_path / "synthetic.json").write_text(marker)
        held, asked = ("cache", "release") if "cache" in marker else ("release", "cache")
        with pytest.raises(FolderError, match=f"layout {held}, not layout {asked}"):
            synth(tmp_path, layout=asked)
        assert files_of(tmp_path) == {"synthetic.json"}
        assert (tmp_path / "synthetic.json").read_text() == marker

    @pytest.mark.parametrize(("arguments", "says"), [
        ({"layout": "bids"}, "no layout 'bids'; there are: release, cache"),
        ({"layout": "cache", "perception_sessions": 1}, "NSD core is written in the release layout"),
    ])  # fmt: skip
    def test_a_layout_that_is_not_there_and_nsd_core_in_the_cache_are_refused_before_anything_is_written(
        self, tmp_path: Path, arguments: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(UsageError, match=says):
            synth(tmp_path / "cache", **arguments)
        assert not (tmp_path / "cache").exists()

    def test_the_command_takes_the_layout_and_refuses_what_does_not_go_with_it(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "nsd_imagery", "synth", "cache", "--layout"]
        ran = subprocess.run([*command, "cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert len(manifest(tmp_path / "cache")) == 720
        for words, code in (["release"], 1), (["cache", "--perception-sessions", "1"], 2), (["bids"], 2):
            ran = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
            assert ran.returncode == code, words
            assert "Traceback" not in ran.stderr
