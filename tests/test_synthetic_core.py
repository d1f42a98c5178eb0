"""NSD core and NSD's pictures in the synthetic release, read from the files as a foreign reader would."""

import csv
import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray
from PIL import Image

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import CORE_SESSIONS
from nsd_imagery.synthetic import synth
from nsd_imagery.synthetic.pictures import nsd_picture, picture_id
from truth import planted as planted_of

pytestmark = pytest.mark.slow

COLUMNS = (
    "SUBJECT SESSION RUN TRIAL 73KID 10KID TIME ISOLD ISCORRECT RT CHANGEMIND MEMORYRECENT MEMORYFIRST ISOLDCURRENT "
    "ISCORRECTCURRENT TOTAL1 TOTAL2 BUTTON MISSINGDATA"
).split()
SEED = 7
SUBJECTS = ("subj01", "subj04")
SESSIONS = (1, 2)
VERSIONS = ("fithrf_GLMdenoise_RR", "fithrf")
SET_B = {"W": 28751, "K": 30856, "B": 53881, "C": 61177, "D": 65872}
"""0-based ids by cue letter."""
VIS_B, VIS_C = slice(192, 240), slice(384, 432)
"""Rows of the runs in betas_nsdimagery."""

Lines = list[dict[str, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("core") / "release"
    return synth(folder, subjects=SUBJECTS, seed=SEED, perception_sessions=len(SESSIONS))


def table(path: Path) -> Lines:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))


@pytest.fixture(scope="module")
def responses(root: Path) -> dict[str, Lines]:
    return {subject: table(root / f"nsddata/ppdata/{subject}/behav/responses.tsv") for subject in SUBJECTS}


@pytest.fixture(scope="module")
def stim_info(root: Path) -> Lines:
    return table(root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv")


def numbers(lines: Lines, column: str) -> NDArray[np.float64]:
    return np.array([float(line[column]) for line in lines])


def nsd_ids(lines: Lines, session: int) -> NDArray[np.int64]:
    """0-based, in order of the betas."""
    return np.array([int(line["73KID"]) - 1 for line in lines if int(line["SESSION"]) == session])


def volume(path: Path) -> NDArray[Any]:
    return np.asarray(Nifti1Image.from_filename(path).dataobj)


def functional(root: Path, name: str, subject: str = "subj01") -> NDArray[Any]:
    return volume(root / f"nsddata/ppdata/{subject}/func1pt8mm/{name}.nii.gz")


def betas_folder(root: Path, name: str, subject: str = "subj01") -> Path:
    return root / "nsddata_betas/ppdata" / subject / "func1pt8mm" / name


def core_file(root: Path, session: int, suffix: str, version: str = VERSIONS[0], subject: str = "subj01") -> Path:
    return betas_folder(root, f"betas_{version}", subject) / f"betas_session{session:02d}.{suffix}"


def early(root: Path, subject: str = "subj01") -> NDArray[np.bool_]:
    """V1 to hV4 inside nsdgeneral, where there is data in all sessions."""
    names = ["valid_nsdimagery", *(f"valid_session{session:02d}" for session in SESSIONS)]
    valid = np.logical_and.reduce([functional(root, name, subject) == 1 for name in names])
    inside = functional(root, "roi/nsdgeneral", subject) == 1
    return valid & inside & (functional(root, "roi/prf-visualrois", subject) > 0)


def core_betas(root: Path, session: int, where: NDArray[np.bool_], subject: str = "subj01") -> NDArray[np.float64]:
    return zscore(volume(core_file(root, session, "nii.gz", subject=subject))[where].T / 300)


def imagery_betas(root: Path, rows: slice, where: NDArray[np.bool_], subject: str = "subj01") -> NDArray[np.float64]:
    path = betas_folder(root, f"nsdimagerybetas_{VERSIONS[0]}", subject) / "betas_nsdimagery.nii.gz"
    return zscore(volume(path)[where].T[rows] / 300)


def zscore(betas: NDArray[np.float64]) -> NDArray[np.float64]:
    return (betas - betas.mean(axis=0)) / betas.std(axis=0)


def planted(
    root: Path, ids: NDArray[np.int64], where: NDArray[np.bool_], subject: str = "subj01"
) -> NDArray[np.float64]:
    """(n_pictures, n_voxels) the patterns of pictures, in C order of the voxels."""
    return planted_of(root, [f"nsd{nsd_id}" for nsd_id in ids], where, subject)


def similarity(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) correlations of each row with the row of the same number."""
    one, other = (rows - rows.mean(axis=1, keepdims=True) for rows in (one, other))
    return np.sum(one * other, axis=1) / np.sqrt(np.sum(one**2, axis=1) * np.sum(other**2, axis=1))


def contents(root: Path) -> dict[str, str]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("subject", SUBJECTS)
class TestResponses:
    def test_a_line_a_trial_of_all_sessions_in_order_of_session_run_trial(
        self, responses: dict[str, Lines], subject: str
    ) -> None:
        lines = responses[subject]
        assert list(lines[0]) == COLUMNS
        expected = [
            (str(int(subject[-2:])), str(session), str(run), str(trial))
            for session in range(1, CORE_SESSIONS[subject] + 1)
            for run in range(1, 13)
            for trial in range(1, (63 if run % 2 else 62) + 1)
        ]
        assert [tuple(line[column] for column in COLUMNS[:4]) for line in lines] == expected
        assert len(lines) == 750 * CORE_SESSIONS[subject]

    def test_73kid_is_the_picture_that_the_stimulus_table_has_for_the_trial_plus_one(
        self, responses: dict[str, Lines], stim_info: Lines, subject: str
    ) -> None:
        lines, number = responses[subject], int(subject[-2:])
        shown = {
            int(row[f"subject{number}_rep{repeat}"]): int(row["nsdId"]) for row in stim_info for repeat in range(3)
        }
        assert [int(line["73KID"]) for line in lines] == [shown[trial] + 1 for trial in range(1, len(lines) + 1)]

    def test_10kid_numbers_the_subjects_pictures_and_the_shared_ones_first(
        self, responses: dict[str, Lines], stim_info: Lines, subject: str
    ) -> None:
        by_rank = {int(line["10KID"]): int(line["73KID"]) - 1 for line in responses[subject]}
        assert len(by_rank) == len({line["73KID"] for line in responses[subject]})
        assert min(by_rank) >= 1
        assert max(by_rank) <= 10_000
        assert all((stim_info[nsd_id]["shared1000"] == "True") == (rank <= 1000) for rank, nsd_id in by_rank.items())

    def test_old_and_memory_columns_count_from_earlier_showings(
        self, responses: dict[str, Lines], subject: str
    ) -> None:
        showings: dict[str, list[int]] = {}
        for trial, line in enumerate(responses[subject]):
            before = showings.setdefault(line["73KID"], [])
            assert line["ISOLD"] == str(int(bool(before)))
            assert line["ISOLDCURRENT"] == str(int(any(one >= trial - trial % 750 for one in before)))
            assert line["MEMORYRECENT"] == (str(trial - before[-1] - 1) if before else "NaN")
            assert line["MEMORYFIRST"] == (str(trial - before[0] - 1) if before else "NaN")
            before.append(trial)

    def test_answers_fit_each_other_and_are_mostly_right(self, responses: dict[str, Lines], subject: str) -> None:
        pressed = [line for line in responses[subject] if line["BUTTON"] != "NaN"]
        assert 0.97 < len(pressed) / len(responses[subject]) < 1
        for line in pressed:
            says_old = {"1": "0", "2": "1"}[line["BUTTON"]]
            assert line["ISCORRECT"] == str(int(says_old == line["ISOLD"]))
            assert line["ISCORRECTCURRENT"] == str(int(says_old == line["ISOLDCURRENT"]))
            assert float(line[f"TOTAL{line['BUTTON']}"]) >= 1
            assert line["CHANGEMIND"] == str(int(int(line["TOTAL1"]) + int(line["TOTAL2"]) > 1))
            assert 400 < float(line["RT"]) < 4000
        assert 0.75 < numbers(pressed, "ISCORRECT").mean() < 0.95

    def test_without_a_press_its_columns_are_absent_and_the_answers_of_one_run_are_missing(
        self, responses: dict[str, Lines], subject: str
    ) -> None:
        missed = [line for line in responses[subject] if line["BUTTON"] == "NaN"]
        for line in missed:
            assert {line[name] for name in ("ISCORRECT", "ISCORRECTCURRENT", "RT", "CHANGEMIND")} == {"NaN"}
            no_press = ("NaN", "NaN") if line["MISSINGDATA"] == "1" else ("0", "0")
            assert (line["TOTAL1"], line["TOTAL2"]) == no_press
        lost = [line for line in responses[subject] if line["MISSINGDATA"] == "1"]
        assert len({(line["SESSION"], line["RUN"]) for line in lost}) == 1
        assert len(lost) in (62, 63)
        assert all(line in missed for line in lost)
        assert len(missed) > len(lost) + 100

    def test_time_is_in_days_from_the_first_midnight_and_a_session_takes_about_an_hour(
        self, responses: dict[str, Lines], subject: str
    ) -> None:
        days = numbers(responses[subject], "TIME").reshape(-1, 750)
        assert 0 < days[0, 0] < 1
        assert np.all(np.diff(days.ravel()) > 3.9 / 86_400)
        assert np.all(np.floor(days[:, 0]) == np.floor(days[:, -1]))
        assert np.all((np.ptp(days, axis=1) * 24 > 0.8) & (np.ptp(days, axis=1) * 24 < 1.5))
        assert np.diff(np.floor(days[:, 0])).min() >= 1


def test_subj04_never_sees_one_picture_of_set_b_and_subj01_sees_all_in_the_first_session(
    responses: dict[str, Lines],
) -> None:
    for subject, count in (("subj01", 5), ("subj04", 4)):
        seen = {int(line["73KID"]) - 1 for line in responses[subject]}
        assert len(seen & set(SET_B.values())) == count
        assert len(set(nsd_ids(responses[subject], 1)) & set(SET_B.values())) == count


class TestValidity:
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_each_session_lacks_a_few_voxels_of_its_own_inside_and_outside_nsdgeneral(
        self, root: Path, subject: str
    ) -> None:
        always = functional(root, "valid_nsdimagery", subject) == 1
        inside = functional(root, "roi/nsdgeneral", subject) == 1
        valid = [functional(root, f"valid_session{session:02d}", subject) == 1 for session in SESSIONS]
        for one in valid:
            assert not np.any(one & ~always)
            assert 3 <= np.sum(always & ~one & inside) <= 0.02 * inside.sum()
            assert 3 <= np.sum(always & ~one & ~inside) <= 0.02 * always.sum()
        assert set(np.unique(np.mean(valid, axis=0)[inside])) == {0, 0.5, 1}

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.parametrize("session", SESSIONS)
    def test_there_is_data_in_the_valid_voxels_of_the_session_and_only_there(
        self, root: Path, session: int, version: str
    ) -> None:
        betas = volume(core_file(root, session, "nii.gz", version))
        assert np.array_equal(betas.any(axis=3), functional(root, f"valid_session{session:02d}") == 1)


class TestBetas:
    @pytest.mark.parametrize("session", SESSIONS)
    @pytest.mark.parametrize("version", VERSIONS)
    def test_750_volumes_alike_in_both_formats_with_a_chunk_for_each_voxel(
        self, root: Path, version: str, session: int
    ) -> None:
        from_nifti = volume(core_file(root, session, "nii.gz", version))
        with h5py.File(core_file(root, session, "hdf5", version)) as file:
            betas = file["betas"]
            assert betas.chunks == (750, 1, 1, 1)
            assert betas.compression is None
            assert betas.id.get_num_chunks() == np.prod(betas.shape[1:])
            from_hdf5 = betas[:]
        assert from_nifti.dtype == from_hdf5.dtype == np.dtype("<i2")
        assert from_nifti.shape == (*functional(root, "brainmask").shape, 750)
        assert np.array_equal(from_hdf5.transpose(3, 2, 1, 0), from_nifti)

    def test_scale_and_correlated_noise_are_as_in_nsdimagery(self, root: Path) -> None:
        betas = volume(core_file(root, 1, "nii.gz"))[early(root)].T / 300
        assert 0.3 < betas.mean() < 1.6
        assert 1.0 < betas.std() < 2.8
        run = zscore(betas[:63])
        assert 0.15 < np.mean(run[1:] * run[:-1]) < 0.45

    def test_the_versions_are_two_estimates_from_one_scan(self, root: Path) -> None:
        one, other = (volume(core_file(root, 1, "nii.gz", version))[early(root)].T for version in VERSIONS)
        assert np.mean(similarity(one.astype(float), other.astype(float))) > 0.8
        assert other.std() > 1.05 * one.std()

    @pytest.mark.parametrize("session", SESSIONS)
    @pytest.mark.parametrize("subject", SUBJECTS)
    def test_each_trial_evokes_the_pattern_of_the_picture_that_responses_tsv_names(
        self, root: Path, responses: dict[str, Lines], subject: str, session: int
    ) -> None:
        where = early(root, subject)
        betas = core_betas(root, session, where, subject)
        ids = nsd_ids(responses[subject], session)
        assert similarity(betas, planted(root, ids, where, subject)).mean() > 0.2
        assert abs(similarity(betas, planted(root, ids[::-1], where, subject)).mean()) < 0.05
        assert abs(similarity(betas[1:], planted(root, ids[:-1], where, subject)).mean()) < 0.1

    def test_a_picture_of_set_b_evokes_in_core_what_it_evokes_in_vision_and_its_neighbours_do_not(
        self, root: Path, responses: dict[str, Lines]
    ) -> None:
        own, beside = [], []
        for subject in SUBJECTS:
            where = early(root, subject)
            vision = imagery_betas(root, VIS_B, where, subject)
            letters = [line["CONDITION"] for line in table(root / behaviour_file(subject, "visB"))]
            for session in SESSIONS:
                core = core_betas(root, session, where, subject)
                for letter, nsd_id in SET_B.items():
                    seen = vision[np.array(letters) == letter].mean(axis=0)
                    for row in np.flatnonzero(nsd_ids(responses[subject], session) == nsd_id):
                        own.append(np.corrcoef(core[row], seen)[0, 1])
                        beside += [np.corrcoef(core[row + step], seen)[0, 1] for step in (-1, 1)]
        assert len(own) >= 9
        assert np.mean(own) > np.mean(beside) + 0.1

    def test_a_photograph_of_vis_c_evokes_the_pattern_that_core_has_for_its_id(self, root: Path) -> None:
        own, beside = [], []
        for subject in SUBJECTS:
            where = early(root, subject)
            betas = imagery_betas(root, VIS_C, where, subject)
            ids = vis_c_ids(root, subject)
            own.append(similarity(betas, planted(root, ids, where, subject)).mean())
            others = (np.roll(ids, step) for step in (-1, 1))
            beside += [similarity(betas, planted(root, other, where, subject)).mean() for other in others]
        assert min(own) > max(beside) + 0.05


class TestNcsnr:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_is_a_float32_volume_above_zero_where_there_is_data_and_higher_in_nsdgeneral(
        self, root: Path, version: str
    ) -> None:
        path = betas_folder(root, f"betas_{version}") / "ncsnr.nii.gz"
        image, betas = Nifti1Image.from_filename(path), Nifti1Image.from_filename(core_file(root, 1, "nii.gz"))
        ncsnr = volume(path)
        assert ncsnr.dtype == np.dtype("<f4")
        assert np.array_equal(image.affine, betas.affine)
        assert np.array_equal(ncsnr > 0, functional(root, "valid_nsdimagery") == 1)
        assert np.all(ncsnr >= 0)
        inside = functional(root, "roi/nsdgeneral") == 1
        assert ncsnr[inside].mean() > 2 * ncsnr[~inside & (ncsnr > 0)].mean()

    def test_is_lower_without_denoising(self, root: Path) -> None:
        denoised, plain = (volume(betas_folder(root, f"betas_{name}") / "ncsnr.nii.gz") for name in VERSIONS)
        assert np.mean(plain[early(root)]) < 0.95 * np.mean(denoised[early(root)])

    def test_is_the_ratio_of_signal_and_noise_in_the_betas(self, root: Path, responses: dict[str, Lines]) -> None:
        where = (functional(root, "valid_session01") == 1) & (functional(root, "roi/nsdgeneral") == 1)
        patterns = planted(root, nsd_ids(responses["subj01"], 1), where)
        found = similarity(core_betas(root, 1, where).T, patterns.T)
        ncsnr = volume(betas_folder(root, f"betas_{VERSIONS[0]}") / "ncsnr.nii.gz")[where]
        expected = ncsnr / np.sqrt(1 + ncsnr**2)
        assert abs(np.mean(found - expected)) < 0.02
        assert np.corrcoef(found, expected)[0, 1] > 0.8


class TestPictures:
    def test_img_brick_holds_set_b_and_the_photographs_of_vis_c_and_shows_their_ids(self, root: Path) -> None:
        needed = sorted({*SET_B.values(), *map(int, vis_c_ids(root, "subj01"))})
        assert len(needed) == 53
        path = root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
        with h5py.File(path) as file:
            brick = file["imgBrick"]
            assert (brick.shape, brick.dtype) == ((73_000, 425, 425, 3), np.uint8)
            assert (brick.chunks, brick.compression) == ((1, 425, 425, 3), "gzip")
            assert brick.id.get_num_chunks() == len(needed)
            assert [picture_id(brick[nsd_id]) for nsd_id in needed] == needed
            assert not brick[needed[0] + 1].any()
        assert path.stat().st_size < 1_000_000

    def test_the_target_images_of_set_b_are_those_pictures_and_the_artwork_is_none(self, root: Path) -> None:
        folder = root / "nsddata/experiments/nsdimagery/rawtargetimages/setB"
        with h5py.File(root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5") as file:
            for path in sorted(folder.iterdir()):
                one_based = int(path.stem[-5:])
                pixels = np.asarray(Image.open(path))
                if one_based:
                    assert np.array_equal(pixels, file["imgBrick"][one_based - 1])
                else:
                    with pytest.raises(ValueError, match="no NSD id"):
                        picture_id(pixels)

    @pytest.mark.parametrize("nsd_id", [0, 1, 28_751, 72_999])
    @pytest.mark.parametrize("side", [425, 224, 64])
    def test_an_id_can_be_read_from_the_pixels_also_when_they_are_scaled(self, nsd_id: int, side: int) -> None:
        scaled = Image.fromarray(nsd_picture(nsd_id)).resize((side, side), Image.Resampling.BICUBIC)
        assert picture_id(np.asarray(scaled)) == nsd_id

    def test_pictures_differ_in_more_than_their_ids(self) -> None:
        corners = {tuple(nsd_picture(nsd_id)[0, 0]) for nsd_id in SET_B.values()}
        assert len(corners) == len(SET_B)


class TestWriting:
    def test_subjects_formats_and_sessions_may_come_in_any_order(self, root: Path, tmp_path: Path) -> None:
        other = synth(tmp_path, subjects=["subj04"], seed=SEED, format="hdf5")
        synth(other, subjects=["subj01"], seed=SEED, perception_sessions=2)
        synth(other, subjects=["subj04"], seed=SEED, format="nii.gz", perception_sessions=1)
        synth(other, subjects=["subj04"], seed=SEED, perception_sessions=2)
        synth(other, subjects=["subj01"], seed=SEED)
        assert contents(other) == contents(root)

    def test_core_is_written_only_when_asked_for_and_then_only_so_many_sessions(self, tmp_path: Path) -> None:
        root = synth(tmp_path, format="hdf5")
        assert not (root / "nsddata/ppdata/subj01/behav").exists()
        assert {path.name for path in betas_folder(root, ".").iterdir()} == {f"nsdimagerybetas_{v}" for v in VERSIONS}
        synth(root, format="hdf5", perception_sessions=1)
        names = {path.name for path in betas_folder(root, f"betas_{VERSIONS[0]}").iterdir()}
        assert names == {"betas_session01.hdf5", "meanbeta_session01.nii.gz", "ncsnr.nii.gz"}
        assert [path.name for path in root.rglob("valid_session*")] == ["valid_session01.nii.gz"]

    def test_another_seed_shows_other_pictures(self, root: Path, tmp_path: Path) -> None:
        other = synth(tmp_path, seed=8, format="hdf5", perception_sessions=1)
        mine, its = (table(one / "nsddata/ppdata/subj01/behav/responses.tsv") for one in (root, other))
        assert [line["73KID"] for line in mine] != [line["73KID"] for line in its]

    def test_progress_names_each_session(self, tmp_path: Path) -> None:
        said: list[str] = []
        synth(tmp_path, format="hdf5", perception_sessions=1, progress=said.append)
        assert any("subj01" in line and "betas_session01" in line for line in said)
        assert all(one != next_one for one, next_one in pairwise(said))

    @pytest.mark.parametrize(("subjects", "sessions", "says"), [
        (["subj01"], -1, "from 0 to 40 for subj01, not -1"),
        (["subj01"], 41, "from 0 to 40 for subj01, not 41"),
        (["subj01", "subj04"], 31, "from 0 to 30 for subj04, not 31"),
        (["subj01"], True, "whole number"),
        (["subj01"], 1.5, "whole number"),
    ])  # fmt: skip
    def test_sessions_that_a_subject_does_not_have_are_refused_before_anything_is_written(
        self, tmp_path: Path, subjects: list[str], sessions: int, says: str
    ) -> None:
        with pytest.raises(UsageError, match=says):
            synth(tmp_path / "release", subjects=subjects, perception_sessions=sessions)
        assert not (tmp_path / "release").exists()

    def test_the_command_writes_sessions_and_refuses_too_many_as_misuse(self, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "nsd_imagery", "synth", str(tmp_path), "--perception-sessions"]
        ran = subprocess.run([*command, "1"], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert core_file(tmp_path, 1, "hdf5").exists()
        ran = subprocess.run([*command, "41"], capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert "from 0 to 40" in ran.stderr


def behaviour_file(subject: str, run: str) -> str:
    return f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{run}.tsv"


def vis_c_ids(root: Path, subject: str) -> NDArray[np.int64]:
    """0-based ids of the 48 photographs, in order of the trials; file names have them 1-based."""
    lines = table(root / behaviour_file(subject, "visC"))
    return np.array([int(line["FRAMEFILE"].split("_")[1].removeprefix("nsd")) - 1 for line in lines])
