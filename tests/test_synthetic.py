"""The synthetic release, read from its files as a foreign reader would, with none of the package's readers."""

import csv
import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image
from scipy.io import loadmat

from nsd_imagery.atomic import naming_later
from nsd_imagery.errors import FolderError, UsageError
from nsd_imagery.experiment import CORE_SESSIONS, GRIDS, NSDGENERAL_VOXELS, SUBJECTS
from nsd_imagery.identity import identity
from nsd_imagery.synthetic import SIGNALS, synth
from nsd_imagery.synthetic.brain import make_brain
from truth import latents, planted

COLUMNS = (
    "SUBJECT SESSION RUN TRIAL CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 BUTTON "
    "TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT"
).split()
RUNS = "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split()
NUMBER = {run: index for index, run in enumerate(RUNS)}
SETS: list[str] = ["A", "B", "C"]
VISION = ["visA", "visB", "visC"]
ATTENTION = ["attA", "attB", "attC"]
IMAGERY = [run for run in RUNS if run.startswith("img")]
LETTERS = {"A": "HRVLPE", "B": "WKBCDT", "C": "SZMYNF"}
SUBJECTS_HERE = ("subj01", "subj04")
VERSIONS = ("fithrf_GLMdenoise_RR", "fithrf")
SET_B_IDS = (28751, 30856, 53881, 61177, 65872)
ATLASES = (
    "prf-visualrois prf-eccrois streams floc-bodies floc-faces floc-places floc-words Kastner2015 HCP_MMP1 corticalsulc"
).split()
DEEP = ["MTL", "thalamus"]

Lines = list[dict[str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synth(tmp_path_factory.mktemp("synthetic") / "release", subjects=SUBJECTS_HERE, seed=7)


def behaviour(root: Path, run: str, subject: str = "subj01") -> Lines:
    path = root / "nsddata/bdata/nsdimagery" / f"nsdimagery_{subject}_{run}.tsv"
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def letters(root: Path, run: str, column: str = "CONDITION") -> list[str]:
    return [line[column] for line in behaviour(root, run)]


def design(root: Path) -> NDArray[Any]:
    return loadmat(root / "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat")["stimulus"]


def pairs(root: Path, stimulus_set: str) -> list[tuple[int, str, str]]:
    cells = loadmat(root / f"nsddata/experiments/nsdimagery/{stimulus_set}_pair_list.mat")["pair_list"]
    return [(int(number.item()), name.item(), cue.item()) for number, name, cue in cells]


@pytest.fixture(scope="module")
def table(root: Path) -> Lines:
    with (root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def functional(root: Path, subject: str = "subj01") -> Path:
    return root / "nsddata/ppdata" / subject / "func1pt8mm"


def volume(path: Path) -> NDArray[Any]:
    return np.asarray(Nifti1Image.from_filename(path).dataobj)


def roi(root: Path, name: str, subject: str = "subj01") -> NDArray[Any]:
    return volume(functional(root, subject) / "roi" / f"{name}.nii.gz")


def beta_file(root: Path, suffix: str, version: str = VERSIONS[0], subject: str = "subj01") -> Path:
    folder = root / "nsddata_betas/ppdata" / subject / "func1pt8mm" / f"nsdimagerybetas_{version}"
    return folder / f"betas_nsdimagery.{suffix}"


def rows(run: str) -> slice:
    sizes = [96 if name in ATTENTION else 48 for name in RUNS]
    start = sum(sizes[: NUMBER[run]])
    return slice(start, start + sizes[NUMBER[run]])


def percent(root: Path, where: NDArray[np.bool_], version: str = VERSIONS[0]) -> NDArray[np.float64]:
    return volume(beta_file(root, "nii.gz", version))[where].T / 300


def valid_nsdgeneral(root: Path) -> NDArray[np.bool_]:
    return (roi(root, "nsdgeneral") == 1) & (volume(functional(root) / "valid_nsdimagery.nii.gz") == 1)


def contents(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class TestBehaviour:
    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_each_run_has_48_lines_in_order_of_trial_with_the_released_columns(self, root: Path, subject: str) -> None:
        for number, run in enumerate(RUNS, start=1):
            lines = behaviour(root, run, subject)
            assert list(lines[0]) == COLUMNS
            assert [line["TRIAL"] for line in lines] == [str(trial) for trial in range(1, 49)]
            assert {line["RUN"] for line in lines} == {str(number)}
            assert {line["SESSION"] for line in lines} == {"1"}
            assert {line["SUBJECT"] for line in lines} == {str(int(subject[-2:]))}

    @pytest.mark.parametrize("run", RUNS)
    def test_each_target_comes_8_times_by_condition_and_8_times_by_cue(self, root: Path, run: str) -> None:
        expected = dict.fromkeys(LETTERS[run[3]], 8)
        assert Counter(letters(root, run)) == expected
        assert Counter(letters(root, run, "CUE")) == expected

    @pytest.mark.parametrize("run", RUNS)
    def test_no_target_comes_twice_in_a_row(self, root: Path, run: str) -> None:
        assert all(one != next_one for one, next_one in pairwise(letters(root, run)))

    @pytest.mark.parametrize("run", VISION)
    def test_exactly_24_vision_trials_show_another_letter(self, root: Path, run: str) -> None:
        lines = behaviour(root, run)
        matched = [line["CONDITION"] == line["CUE"] for line in lines]
        assert matched.count(False) == 24
        assert [line["GROUNDTRUTH"] for line in lines] == [str(int(match)) for match in matched]

    @pytest.mark.parametrize("run", ATTENTION + IMAGERY)
    def test_elsewhere_cue_and_condition_agree_and_the_frame_is_blank(self, root: Path, run: str) -> None:
        lines = behaviour(root, run)
        assert all(line["CONDITION"] == line["CUE"] for line in lines)
        assert all(line["FRAMEFILE"] == f"blank00000_00000000_cue{line['CUE']}.png" for line in lines)

    @pytest.mark.parametrize("stimulus_set", "ABC")
    def test_the_first_imagery_run_has_the_order_of_vision_and_the_second_another(
        self, root: Path, stimulus_set: str
    ) -> None:
        seen = letters(root, f"vis{stimulus_set}")
        assert letters(root, f"img{stimulus_set}_1") == seen
        assert letters(root, f"img{stimulus_set}_2") != seen

    def test_the_schedule_is_the_same_for_all_subjects_and_the_answers_are_not(self, root: Path) -> None:
        schedule = ("CONDITION", "CUE", "FRAMEFILE", "IMAGEFILE", "GROUNDTRUTH")
        one, other = ([line for run in RUNS for line in behaviour(root, run, subject)] for subject in SUBJECTS_HERE)
        assert [[line[name] for name in schedule] for line in one] == [
            [line[name] for name in schedule] for line in other
        ]
        assert [line["BUTTON"] for line in one] != [line["BUTTON"] for line in other]
        assert [line["TRIALONSET"] for line in one] != [line["TRIALONSET"] for line in other]

    @pytest.mark.parametrize("run", ["visA", "visB"])
    def test_the_frame_file_names_what_was_seen_and_not_what_was_cued(self, root: Path, run: str) -> None:
        names = {cue: name.removesuffix(".png") for _, name, cue in pairs(root, run[3])}
        for line in behaviour(root, run):
            assert line["FRAMEFILE"] == f"{names[line['CONDITION']]}_cue{line['CUE']}.png"
            assert line["IMAGEFILE"] == "NaN"

    def test_the_concepts_are_seen_in_48_different_shared_photographs(self, root: Path, table: Lines) -> None:
        shared = [int(row["nsdId"]) for row in table if row["shared1000"] == "True"]
        found = []
        for line in behaviour(root, "visC"):
            name = re.fullmatch(r"shared(\d{4})_nsd(\d{5})_cue([A-Z])\.png", line["FRAMEFILE"])
            assert name is not None
            assert name[3] == line["CUE"]
            assert shared[int(name[1]) - 1] == int(name[2]) - 1
            found.append(int(name[2]) - 1)
        assert len(set(found)) == 48
        assert not set(found) & set(SET_B_IDS)

    @pytest.mark.parametrize("run", ATTENTION)
    def test_the_attended_target_is_there_in_half_of_the_trials(self, root: Path, run: str) -> None:
        assert Counter(letters(root, run, "GROUNDTRUTH")) == {"1": 24, "0": 24}

    def test_a_press_is_missing_now_and_then_and_then_its_columns_are_absent(self, root: Path) -> None:
        lines = [line for run in RUNS for line in behaviour(root, run)]
        missed = [line for line in lines if line["BUTTON"] == "NaN"]
        assert 2 <= len(missed) <= 30
        for line in missed:
            assert {line[name] for name in ("RT", "ISCORRECT", "CHANGEMIND", "FINALDECISIONTIME")} == {"NaN"}
        pressed = [line for line in lines if line["BUTTON"] != "NaN"]
        assert {line["BUTTON"] for line in pressed} == {"1", "2"}
        assert all(400 < float(line["RT"]) < 8000 for line in pressed)

    def test_correctness_follows_from_button_and_ground_truth(self, root: Path) -> None:
        for run in RUNS:
            for line in behaviour(root, run):
                if line["ISCORRECT"] != "NaN":
                    said_yes = line["BUTTON"] == "1"
                    assert (line["ISCORRECT"] == "1") == (said_yes == (line["GROUNDTRUTH"] == "1"))
                else:
                    assert run in IMAGERY or line["BUTTON"] == "NaN"


class TestDesign:
    def test_is_a_row_of_12_cells_of_36_columns_of_zeros_and_ones(self, root: Path) -> None:
        cells = design(root)
        assert cells.shape == (1, 12)
        assert cells.dtype == object
        for cell in cells[0]:
            assert cell.shape[1] == 36
            assert set(np.unique(cell)) == {0, 1}

    @pytest.mark.parametrize("run", RUNS)
    def test_the_onsets_of_a_run_are_its_betas_in_the_columns_of_its_task(self, root: Path, run: str) -> None:
        cell = design(root)[0, NUMBER[run]]
        start = {"vis": 0, "att": 6, "img": 18 + 6 * SETS.index(run[3])}[run[:3]]
        stop = start + (12 if run in ATTENTION else 6)
        assert cell.sum() == rows(run).stop - rows(run).start
        assert set(np.flatnonzero(cell.any(axis=0))) == set(range(start, stop))
        assert cell.sum(axis=1).max() == 1

    @pytest.mark.parametrize("run", RUNS)
    def test_the_column_of_an_onset_is_the_target_number_of_condition(self, root: Path, run: str) -> None:
        cell = design(root)[0, NUMBER[run]]
        numbers = {cue: number for number, _, cue in pairs(root, run[3])}
        epochs = 2 if run in ATTENTION else 1
        columns = np.nonzero(cell)[1].reshape(48, epochs)
        first = columns.min()
        for epoch in range(epochs):
            expected = [first + 6 * epoch + numbers[letter] - 1 for letter in letters(root, run)]
            assert columns[:, epoch].tolist() == expected

    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_an_onset_is_within_half_a_second_of_the_trial_in_the_behaviour_file(
        self, root: Path, subject: str
    ) -> None:
        for index, run in enumerate(RUNS):
            seconds = np.nonzero(design(root)[0, index])[0].reshape(48, -1)
            onsets = np.array([float(line["TRIALONSET"]) for line in behaviour(root, run, subject)])
            assert np.abs(onsets - seconds[:, 0]).max() < 0.5
            assert run not in ATTENTION or np.all(np.diff(seconds, axis=1) == 3)

    @pytest.mark.parametrize("run", RUNS)
    def test_twelve_blanks_take_the_time_of_trials(self, root: Path, run: str) -> None:
        cell = design(root)[0, NUMBER[run]]
        length = 8 if run in ATTENTION else 4
        starts = np.nonzero(cell)[0].reshape(48, -1)[:, 0]
        assert starts[0] == (16 if run in ATTENTION else 12)
        assert not np.any(starts % length)
        assert len(cell) == 60 * length
        assert set(np.diff(starts)) == {length, 2 * length}

    @pytest.mark.parametrize("stimulus_set", "ABC")
    def test_the_pair_lists_number_name_and_letter_the_targets(self, root: Path, stimulus_set: str) -> None:
        listed = pairs(root, stimulus_set)
        assert [number for number, _, _ in listed] == [1, 2, 3, 4, 5, 6]
        assert "".join(cue for _, _, cue in listed) == LETTERS[stimulus_set]
        assert all(name.endswith(".png") == (stimulus_set != "C") for _, name, _ in listed)

    @pytest.mark.parametrize("stimulus_set", "AB")
    def test_the_target_images_are_there_under_their_listed_names(self, root: Path, stimulus_set: str) -> None:
        folder = root / f"nsddata/experiments/nsdimagery/rawtargetimages/set{stimulus_set}"
        assert {path.name for path in folder.iterdir()} == {name for _, name, _ in pairs(root, stimulus_set)}
        for path in folder.iterdir():
            with Image.open(path) as image:
                assert (image.size, image.mode) == ((425, 425), "RGB")
                assert len(np.unique(np.asarray(image))) > 1

    def test_the_vertical_bar_is_higher_than_wide(self, root: Path) -> None:
        folder = root / "nsddata/experiments/nsdimagery/rawtargetimages/setA"
        with Image.open(folder / "bar_090.0deg_450L_43W.png") as image:
            dark = np.asarray(image)[:, :, 0] == 0
        assert np.ptp(np.nonzero(dark)[0]) > 5 * np.ptp(np.nonzero(dark)[1])


class TestPictureTable:
    def test_has_the_released_columns_and_a_row_for_each_picture(self, table: Lines) -> None:
        subjects = [f"subject{number}" for number in range(1, 9)]
        assert list(table[0]) == [
            *["", "cocoId", "cocoSplit", "cropBox", "loss", "nsdId", "flagged", "BOLD5000", "shared1000"],
            *subjects,
            *[f"{subject}_rep{repeat}" for subject in subjects for repeat in range(3)],
        ]
        assert [int(row["nsdId"]) for row in table] == list(range(73_000))
        assert len({row["cocoId"] for row in table}) == 73_000
        assert {row["cocoSplit"] for row in table} == {"train2017", "val2017"}

    def test_a_thousand_pictures_are_shared_by_all_and_set_b_is_among_them(self, table: Lines) -> None:
        shared = {int(row["nsdId"]): row for row in table if row["shared1000"] == "True"}
        assert len(shared) == 1000
        assert set(SET_B_IDS) <= set(shared)
        assert all(row[f"subject{number}"] == "1" for row in shared.values() for number in range(1, 9))

    @pytest.mark.slow
    def test_each_subject_sees_10000_pictures_three_times_in_30000_trials(self, table: Lines) -> None:
        for number in range(1, 9):
            trials = np.array([[int(row[f"subject{number}_rep{repeat}"]) for repeat in range(3)] for row in table])
            seen = np.array([row[f"subject{number}"] == "1" for row in table])
            assert seen.sum() == 10_000
            assert not trials[~seen].any()
            assert np.array_equal(np.sort(trials[seen].ravel()), np.arange(1, 30_001))
            assert np.all(np.diff(trials[seen], axis=1) > 0)

    def test_a_picture_of_set_b_lies_beyond_the_last_session_of_subj04_alone(self, table: Lines) -> None:
        for number, subject in enumerate(SUBJECTS, start=1):
            first = np.array([int(table[nsd_id][f"subject{number}_rep0"]) for nsd_id in SET_B_IDS])
            assert np.sum(first > 750 * CORE_SESSIONS[subject]) == (1 if subject == "subj04" else 0)


class TestAnatomy:
    def test_all_volumes_of_a_subject_are_int16_on_one_grid_of_1_8_mm(self, root: Path) -> None:
        grids = []
        for subject in SUBJECTS_HERE:
            images = [Nifti1Image.from_filename(path) for path in functional(root, subject).rglob("*.nii.gz")]
            assert len(images) == 3 * (len(ATLASES) + len(DEEP) + 1) + 3
            betas = Nifti1Image.from_filename(beta_file(root, "nii.gz", subject=subject))
            assert betas.affine is not None
            for image in images:
                assert image.affine is not None
                assert image.get_data_dtype() == np.dtype("<i2")
                assert image.shape == betas.shape[:3]
                assert np.array_equal(image.affine, betas.affine)
                assert np.allclose(image.header.get_zooms(), 1.8)
            grids.append(betas.shape)
        assert grids[0] != grids[1]

    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_nsdgeneral_is_a_part_of_the_cortex_at_the_back(self, root: Path, subject: str) -> None:
        mask = roi(root, "nsdgeneral", subject)
        assert set(np.unique(mask)) == {-1, 0, 1}
        assert 250 <= np.sum(mask == 1) <= 450
        assert np.nonzero(mask == 1)[1].mean() < np.nonzero(mask == 0)[1].mean()

    @pytest.mark.parametrize("name", [*ATLASES, *DEEP, "nsdgeneral"])
    def test_the_halves_make_up_the_whole(self, root: Path, name: str) -> None:
        whole, left, right = (roi(root, prefix + name) for prefix in ("", "lh.", "rh."))
        assert np.array_equal(np.maximum(left, right), whole)
        assert np.all((left == -1) | (right == -1))
        assert np.nonzero(left >= 0)[0].max() < np.nonzero(right >= 0)[0].min()
        assert np.any(left > 0)
        assert np.any(right > 0)

    @pytest.mark.parametrize("name", ATLASES)
    def test_an_atlas_has_named_labels_and_reaches_out_of_nsdgeneral(self, root: Path, name: str) -> None:
        labels = roi(root, name)
        text = (root / f"nsddata/freesurfer/subj01/label/{name}.mgz.ctab").read_text()
        table = {int(line.split(" ")[0]): line.split(" ")[1] for line in text.splitlines()}
        assert table[0] == "Unknown"
        assert set(np.unique(labels)) - {-1} <= set(table)
        assert len(np.unique(labels)) > 4
        assert np.any((labels > 0) & (roi(root, "nsdgeneral") == 0))

    def test_early_visual_cortex_lies_mostly_in_nsdgeneral_and_face_areas_partly(self, root: Path) -> None:
        inside = roi(root, "nsdgeneral") == 1
        early, faces = roi(root, "prf-visualrois"), roi(root, "floc-faces")
        assert set(np.unique(early[inside])) == set(range(8))
        assert inside[early > 0].mean() > 0.7
        assert 0.1 < inside[faces > 0].mean() < 0.9

    def test_the_label_tables_name_the_known_areas(self, root: Path) -> None:
        folder = root / "nsddata/freesurfer/subj01/label"
        tables = {path.name: path.read_text().split() for path in folder.iterdir()}
        assert tables["prf-visualrois.mgz.ctab"] == "0 Unknown 1 V1v 2 V1d 3 V2v 4 V2d 5 V3v 6 V3d 7 hV4".split()
        assert tables["floc-faces.mgz.ctab"][2:6] == "1 OFA 2 FFA-1".split()
        assert tables["nsdgeneral.mgz.ctab"] == "0 Unknown 1 nsdgeneral".split()
        assert {"V1v", "hV4"} <= set(tables["Kastner2015.mgz.ctab"])

    def test_atlases_made_on_fsaverage_have_their_table_there_too_and_no_other_has(self, root: Path) -> None:
        own, shared = (root / "nsddata/freesurfer" / owner / "label" for owner in ("subj01", "fsaverage"))
        found = {path.name.removesuffix(".mgz.ctab") for path in shared.iterdir()}
        assert found == {"nsdgeneral", "streams", "Kastner2015", "HCP_MMP1", "corticalsulc"}
        assert all(path.read_bytes() == (own / path.name).read_bytes() for path in shared.iterdir())

    @pytest.mark.parametrize("name", DEEP)
    def test_what_lies_below_the_cortex_has_its_table_among_the_templates_alone(self, root: Path, name: str) -> None:
        assert not list((root / "nsddata/freesurfer").rglob(f"{name}.*"))
        lines = (root / f"nsddata/templates/{name}.ctab").read_text().splitlines()
        table = {int(line.split(" ")[0]): line.split(" ")[1] for line in lines}
        for subject in SUBJECTS_HERE:
            labels = roi(root, name, subject)
            assert len(np.unique(labels)) > 4
            assert set(np.unique(labels)) <= set(table)
            assert not np.any((labels > 0) & (roi(root, "nsdgeneral", subject) >= 0))

    @pytest.mark.slow
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_nsdgeneral_of_true_size_is_a_folded_sheet_with_the_true_number_of_voxels(self, subject: str) -> None:
        brain = make_brain(subject, full_size=True)
        assert brain.mask.shape == GRIDS[subject]
        inside = brain.rois["nsdgeneral"] == 1
        assert inside.sum() == NSDGENERAL_VOXELS[subject]
        assert np.all(brain.mask[inside])
        assert np.mean(inside[brain.rois["prf-visualrois"] > 0]) > 0.6
        runs = np.sum(inside[1:] & ~inside[:-1]) + np.sum(inside[0])
        box = [np.ptp(at) + 1 for at in np.nonzero(inside)]
        if subject == "subj01":
            assert runs == pytest.approx(7000, rel=0.1)
            assert box == pytest.approx([42, 46, 61], abs=1)
        assert runs == pytest.approx(7000, rel=0.25)
        assert box == pytest.approx([42, 46, 61], rel=0.1)


class TestBetas:
    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    @pytest.mark.parametrize("version", VERSIONS)
    def test_both_formats_hold_the_same_numbers_with_axes_reversed(
        self, root: Path, version: str, subject: str
    ) -> None:
        from_nifti = volume(beta_file(root, "nii.gz", version, subject))
        with h5py.File(beta_file(root, "hdf5", version, subject)) as file:
            betas = file["betas"]
            assert isinstance(betas, h5py.Dataset)
            from_hdf5 = betas[:]
        assert from_nifti.dtype == from_hdf5.dtype == np.dtype("<i2")
        assert np.array_equal(from_hdf5.transpose(3, 2, 1, 0), from_nifti)

    def test_hdf5_has_an_allocated_chunk_for_each_voxel_and_no_compression(self, root: Path) -> None:
        with h5py.File(beta_file(root, "hdf5")) as file:
            betas = file["betas"]
            assert isinstance(betas, h5py.Dataset)
            assert betas.shape == (720, *roi(root, "nsdgeneral").shape[::-1])
            assert betas.chunks == (720, 1, 1, 1)
            assert betas.compression is None
            assert betas.id.get_num_chunks() == np.prod(betas.shape[1:])

    def test_nifti_says_nothing_of_scaling_or_of_the_time_of_writing(self, root: Path) -> None:
        path = beta_file(root, "nii.gz")
        header = gzip.decompress(path.read_bytes())[:348]
        assert header[:4] == (348).to_bytes(4, "little")
        assert path.read_bytes()[4:8] == bytes(4)
        stored: Any = Nifti1Image.from_filename(path).dataobj
        assert (stored.slope, stored.inter) == (1, 0)

    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_there_is_data_in_the_valid_voxels_and_only_there(self, root: Path, subject: str) -> None:
        betas = volume(beta_file(root, "nii.gz", subject=subject))
        valid = volume(functional(root, subject) / "valid_nsdimagery.nii.gz")
        brain = volume(functional(root, subject) / "brainmask.nii.gz")
        assert np.array_equal(betas.any(axis=3), valid == 1)
        assert np.all(brain[valid == 1] == 1)
        invalid = (brain == 1) & (valid == 0)
        assert 3 <= invalid.sum() <= 0.02 * (roi(root, "nsdgeneral", subject) == 1).sum()
        assert np.all(roi(root, "nsdgeneral", subject)[invalid] == 1)

    def test_scale_is_that_of_percent_signal_change_and_more_is_seen_than_imagined(self, root: Path) -> None:
        betas = percent(root, valid_nsdgeneral(root))
        assert 0.3 < betas.mean() < 1.2
        assert 1.0 < betas.std() < 2.8
        seen, imagined = (np.mean([np.abs(betas[rows(run)]).mean() for run in runs]) for runs in (VISION, IMAGERY))
        assert seen > 1.15 * imagined

    @pytest.mark.parametrize("version", VERSIONS)
    def test_noise_of_neighbouring_betas_is_correlated(self, root: Path, version: str) -> None:
        betas = percent(root, valid_nsdgeneral(root), version)
        found = [lag_one(betas[rows(run)], letters(root, run)) for run in VISION + IMAGERY]
        assert 0.15 < np.mean(found) < 0.45

    def test_neighbouring_voxels_share_noise(self, root: Path) -> None:
        brain = volume(functional(root) / "brainmask.nii.gz") == 1
        inside = brain[:-1] & brain[1:] & (roi(root, "nsdgeneral")[:-1] < 0) & (roi(root, "nsdgeneral")[1:] < 0)
        betas = volume(beta_file(root, "nii.gz")).astype(float)
        one, other = betas[:-1][inside], betas[1:][inside]
        mean = np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(one, other, strict=True)])
        assert 0.3 < mean < 0.9

    def test_the_version_without_denoising_has_more_noise(self, root: Path) -> None:
        where = valid_nsdgeneral(root)
        denoised, plain = (residuals(percent(root, where, version)[rows("visA")], letters(root, "visA")).std()
                           for version in VERSIONS)  # fmt: skip
        assert plain > 1.05 * denoised

    def test_what_was_seen_can_be_identified_in_early_visual_cortex_by_condition_and_not_by_cue(
        self, root: Path
    ) -> None:
        where = valid_nsdgeneral(root) & (roi(root, "prf-visualrois") > 0)
        betas = percent(root, where)
        by_condition, by_cue = (
            np.mean([identified(betas[rows(run)], letters(root, run, column)) for run in ("visA", "visB")])
            for column in ("CONDITION", "CUE")
        )
        assert 0.35 < by_condition < 0.95
        assert by_condition > by_cue + 0.1

    def test_the_two_imagery_runs_of_a_set_share_more_than_the_first_has_in_common_by_chance(self, root: Path) -> None:
        betas = percent(root, valid_nsdgeneral(root))
        own, other = [], []
        for name in "ABC":
            one, two = (averages(betas[rows(run)], letters(root, run)) for run in (f"img{name}_1", f"img{name}_2"))
            similar = np.corrcoef(one, two)[:6, 6:]
            own.append(np.diag(similar).mean())
            other.append(similar[~np.eye(6, dtype=bool)].mean())
        assert np.mean(own) > np.mean(other) + 0.05

    def test_a_stimulus_has_one_latent_of_its_own(self, root: Path) -> None:
        found = latents(root)
        assert len(found) == 18 + 48
        assert {vector.shape for vector in found.values()} == {(32,)}
        names = [name.removesuffix(".png") for of_set in "AC" for _, name, _ in pairs(root, of_set)]
        alike = np.corrcoef([found[name] for name in (*names, *(f"nsd{nsd_id}" for nsd_id in SET_B_IDS))])
        assert np.abs(alike[~np.eye(len(alike), dtype=bool)]).max() < 0.7
        as_text = latents(root, "text")
        assert all(np.array_equal(vector, as_text[stimulus]) for stimulus, vector in found.items())

    def test_a_photograph_resembles_the_concept_that_it_stands_for(self, root: Path) -> None:
        found = latents(root)
        words = {cue: name for _, name, cue in pairs(root, "C")}
        own, other = [], []
        for line in behaviour(root, "visC"):
            photograph = found[f"nsd{int(line['FRAMEFILE'][14:19]) - 1}"]
            for cue, word in words.items():
                alike = np.corrcoef(photograph, found[word])[0, 1]
                (own if cue == line["CONDITION"] else other).append(alike)
        assert np.mean(own) == pytest.approx(0.8, abs=0.1)
        assert abs(np.mean(other)) < 0.1

    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_the_pattern_of_a_target_is_in_the_betas_where_it_was_seen(self, root: Path, subject: str) -> None:
        names = {cue: name.removesuffix(".png") for _, name, cue in pairs(root, "A")}
        where = roi(root, "nsdgeneral", subject) == 1
        where &= volume(functional(root, subject) / "valid_nsdimagery.nii.gz") == 1
        where &= roi(root, "prf-visualrois", subject) > 0
        betas = volume(beta_file(root, "nii.gz", subject=subject))[where].T[rows("visA")] / 300
        seen = averages((betas - betas.mean(axis=0)) / betas.std(axis=0), letters(root, "visA"))
        patterns = planted(root, [names[letter] for letter in sorted(names)], where, subject)
        alike = np.corrcoef(patterns, seen)[:6, 6:]
        assert np.array_equal(alike.argmax(axis=0), np.arange(6))


@pytest.mark.slow
class TestMeans:
    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("subject", SUBJECTS_HERE)
    def test_the_map_of_means_is_that_of_the_stored_numbers_over_all_trials(
        self, root: Path, subject: str, version: str
    ) -> None:
        path = beta_file(root, "nii.gz", version, subject)
        image = Nifti1Image.from_filename(path.with_name("meanbeta_nsdimagery.nii.gz"))
        assert image.get_data_dtype() == np.dtype("<f4")
        betas = Nifti1Image.from_filename(path)
        assert np.array_equal(image.affine, betas.affine)
        stored = np.asarray(betas.dataobj)
        assert stored.dtype == np.int16
        assert np.array_equal(np.asarray(image.dataobj), stored.mean(axis=3, dtype=np.float64).astype(np.float32))


class TestWriting:
    @pytest.mark.slow
    def test_the_same_arguments_give_the_same_files_whatever_else_is_written(self, root: Path, tmp_path: Path) -> None:
        other = synth(tmp_path / "other", subjects=["subj04"], seed=7, format="hdf5")
        synth(other, subjects=["subj01"], seed=7, format="both")
        synth(other, subjects=["subj04", "subj01"], seed=7, format="nii.gz")
        assert contents(other) == contents(root)

    @pytest.mark.slow
    def test_a_seed_gives_the_same_bytes_however_many_threads_blas_has_and_on_whatever_processor(
        self, tmp_path: Path
    ) -> None:
        code = "import sys, nsd_imagery; nsd_imagery.synth(sys.argv[1], format='hdf5', perception_sessions=1)"
        settings = {"one": ("1", {}), "two": ("2", {}), "older": ("2", {"OPENBLAS_CORETYPE": "Prescott"})}
        for name, (threads, more) in settings.items():
            of_blas = {f"{library}_NUM_THREADS": threads for library in ("OPENBLAS", "MKL", "OMP")}
            arguments = [sys.executable, "-c", code, str(tmp_path / name)]
            subprocess.run(arguments, env={**os.environ, **of_blas, **more}, check=True)
        one, two, older = (contents(tmp_path / name) for name in settings)
        assert one == two == older

    @pytest.mark.slow
    def test_running_again_changes_nothing_and_leaves_no_partial_file(self, tmp_path: Path) -> None:
        root = synth(tmp_path, format="hdf5")
        before = contents(root)
        synth(root, format="hdf5")
        assert contents(root) == before
        assert not list(root.rglob(".*"))
        assert not list(root.rglob("betas_nsdimagery.nii.gz"))

    @pytest.mark.slow
    @pytest.mark.parametrize("layout", ["release", "cache"])
    def test_running_again_leaves_what_is_right_alone_and_replaces_what_is_damaged(
        self, tmp_path: Path, layout: Any
    ) -> None:
        root = synth(tmp_path / "root", format="hdf5", layout=layout)
        before = contents(root)
        betas = max(root.rglob("*betas*.hdf5"), key=lambda path: path.stat().st_size)
        mask = next(root.rglob("brainmask.nii.gz"))
        captions = next(root.rglob("captions_val2017.json"))
        kept = tmp_path / "damaged.hdf5"
        kept.hardlink_to(betas)
        with betas.open("r+b") as file:
            file.seek(-100, os.SEEK_END)
            file.write(bytes(range(100)))
        mask.write_bytes(mask.read_bytes()[:-1])
        captions.unlink()
        damaged = betas.read_bytes()
        files = {path: identity(path) for path in root.rglob("*") if path.is_file()}
        synth(root, format="hdf5", layout=layout)
        assert contents(root) == before
        assert {path for path, known in files.items() if identity(path) != known} == {betas, mask}
        assert kept.read_bytes() == damaged

    @pytest.mark.slow
    def test_what_killed_runs_left_half_written_goes_and_what_a_living_one_writes_stays(self, tmp_path: Path) -> None:
        root = tmp_path / "root"
        code = """if True:
            import resource, signal, sys, nsd_imagery
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            nsd_imagery.synth(sys.argv[1], format="nii.gz")
        """
        killed = subprocess.Popen([sys.executable, "-c", code, str(root)])
        assert killed.wait() == -signal.SIGXFSZ
        left = set(root.rglob(".partial-*"))
        assert len(left) == 1
        folder = root / "nsddata/experiments/nsd"
        with naming_later(folder) as (living, _):
            synth(root, format="nii.gz")
            assert set(root.rglob(".partial-*")) == {Path(living.name)}
        assert contents(root) == contents(synth(tmp_path / "undisturbed", format="nii.gz"))

    def test_another_seed_gives_another_schedule_and_other_betas(self, root: Path, tmp_path: Path) -> None:
        other = synth(tmp_path, seed=8)
        assert letters(other, "visA") != letters(root, "visA")
        assert letters(other, "imgA_2") != letters(root, "imgA_2")
        assert beta_file(other, "hdf5").read_bytes() != beta_file(root, "hdf5").read_bytes()

    def test_the_marker_says_what_the_release_was_drawn_from(self, root: Path) -> None:
        marker = json.loads((root / "synthetic.json").read_text())
        assert marker == {"format_version": 2, "seed": 7, "full_size": False, "subjects": list(SUBJECTS_HERE)}

    def test_progress_names_each_subject(self, tmp_path: Path) -> None:
        said: list[str] = []
        synth(tmp_path, subjects=["subj08"], format="hdf5", progress=said.append)
        assert any("subj08" in line for line in said)

    @pytest.mark.parametrize("held", ["nsddata", "README.md"])
    def test_a_root_with_other_data_is_refused_and_left_alone(self, tmp_path: Path, held: str) -> None:
        (tmp_path / held).mkdir()
        with pytest.raises(FolderError, match=f"not synthetic.*{held}"):
            synth(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [held]

    def test_a_root_of_dotfiles_counts_as_empty(self, tmp_path: Path) -> None:
        (tmp_path / ".gitignore").write_text("*\n")
        assert (synth(tmp_path, format="hdf5") / "synthetic.json").exists()

    def test_a_file_in_the_place_of_the_root_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "release"
        path.write_text("")
        with pytest.raises(FolderError, match="is a file"):
            synth(path)

    @pytest.mark.parametrize(("marker", "says"), [
        ('{"format_version": 2, "seed": 7, "full_size": false, "subjects": []}', "seed 7, not seed 0"),
        ('{"format_version": 2, "seed": 0, "full_size": true, "subjects": []}', "full_size True, not full_size False"),
        ('{"format_version": 9, "seed": 0, "full_size": false, "subjects": []}', "format_version 9"),
        ('{"format_version": 1, "seed": 0, "full_size": false, "subjects": []}', "format_version 1, not"),
        ('{"format_version": 2, "seed": 0, "full_size": false, "signal": "none", "subjects": []}', "signal none, not"),
        ("not json", "cannot be read"),
        ("[]", "does not say"),
    ])  # fmt: skip
    def test_a_synthetic_root_of_other_arguments_is_refused(self, tmp_path: Path, marker: str, says: str) -> None:
        (tmp_path / "synthetic.json").write_text(marker)
        with pytest.raises(FolderError, match=says):
            synth(tmp_path)
        assert (tmp_path / "synthetic.json").read_text() == marker

    @pytest.mark.parametrize(("arguments", "says"), [
        ({"subjects": ["subj09"]}, "no subject 'subj09'.*subj01, .*subj08"),
        ({"subjects": []}, "subjects is empty: name one or more"),
        ({"seed": -1}, "seed must be"),
        ({"format": "mgh"}, "hdf5, nii.gz, both"),
        ({"signal": "reel"}, "real, strong, none, or a Signal, not 'reel' .did you mean 'real'"),
        ({"signal": 3}, "real, strong, none, or a Signal, not 3"),
        ({"signal": replace(SIGNALS["real"], letter=-0.1)}, "letter must be a size of 0 or more, not -0.1"),
        ({"signal": replace(SIGNALS["real"], noise=float("nan"))}, "noise must be a size of 0 or more, not nan"),
        ({"signal": replace(SIGNALS["real"], vision_early=0.3)}, "vision_early must be three sizes, .* not 0.3"),
        ({"signal": replace(SIGNALS["real"], vision_early=(1, 2))}, "vision_early must be three sizes, .*1, 2"),
        ({"signal": replace(SIGNALS["real"], level=(1, 2, 3))}, "level must be a size"),
        ({"signal": replace(SIGNALS["real"], lag_one=1)}, "lag_one is a correlation below 1, not 1"),
    ])  # fmt: skip
    def test_arguments_that_cannot_be_meant_are_refused_before_anything_is_written(
        self, tmp_path: Path, arguments: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(UsageError, match=says):
            synth(tmp_path / "release", **arguments)
        assert not (tmp_path / "release").exists()


def residuals(betas: NDArray[np.float64], labels: list[str]) -> NDArray[np.float64]:
    left = betas.copy()
    for label in set(labels):
        chosen = np.array(labels) == label
        left[chosen] -= left[chosen].mean(axis=0)
    return left


def lag_one(betas: NDArray[np.float64], labels: list[str]) -> float:
    noise = residuals(betas, labels)
    return float(np.sum(noise[1:] * noise[:-1]) / np.sqrt(np.sum(noise[1:] ** 2) * np.sum(noise[:-1] ** 2)))


def averages(betas: NDArray[np.float64], labels: list[str]) -> NDArray[np.float64]:
    return np.stack([betas[np.array(labels) == label].mean(axis=0) for label in sorted(set(labels))])


def identified(betas: NDArray[np.float64], labels: list[str]) -> float:
    """Share of trials that are most like the mean of their own target; trials within 2 are left out of the means."""
    betas = (betas - betas.mean(axis=0)) / betas.std(axis=0)
    right = 0
    for trial, label in enumerate(labels):
        far = [index for index in range(len(labels)) if abs(index - trial) > 2]
        means = averages(betas[far], [labels[index] for index in far])
        similar = np.corrcoef(betas[trial], means)[0, 1:]
        right += sorted(set(labels))[int(np.argmax(similar))] == label
    return right / len(labels)
