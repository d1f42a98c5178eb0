"""The bytes of the synthetic tables against the rules of the real ones, read as lines; and both spellings are read."""

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from nibabel.nifti1 import Nifti1Image
from scipy.io import loadmat

import nsd_imagery
from nsd_imagery.sources.release_files import anatomy
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import resolve

pytestmark = pytest.mark.slow

SUBJECTS = ("subj01", "subj02")
RUNS = "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split()
COLUMNS = (
    b"SUBJECT\tSESSION\tRUN\tTRIAL\tCONDITION\tCUE\tFRAMEFILE\tIMAGEFILE\tGROUNDTRUTH\tISCORRECT\tCHANGEMIND\tTOTAL1\t"
    b"TOTAL2\tBUTTON\tTRIALONSET\tTRIALEND\tIMAGEONSET\tIMAGESERIESENDS\tFINALDECISIONTIME\tRT"
)
WHOLE = b"SUBJECT SESSION RUN TRIAL GROUNDTRUTH ISCORRECT CHANGEMIND TOTAL1 TOTAL2 BUTTON".split()
DECIMAL = b"TRIALONSET TRIALEND IMAGEONSET IMAGESERIESENDS FINALDECISIONTIME RT".split()
CORE_WHOLE = (
    b"SUBJECT SESSION RUN TRIAL 73KID 10KID ISOLD ISCORRECT CHANGEMIND MEMORYRECENT MEMORYFIRST ISOLDCURRENT "
    b"ISCORRECTCURRENT TOTAL1 TOTAL2 BUTTON MISSINGDATA"
).split()
TARGETS = {
    b"A": dict(zip(b"H R V L P E".split(), (b"bar_000.0deg", b"bar_045.0deg", b"bar_090.0deg", b"bar_135.0deg",
                                            b"crs_000.0deg", b"crs_045.0deg"), strict=True)),
    b"B": dict(zip(b"W K B C D T".split(), (b"shared0385_nsd28752", b"shared0413_nsd30857", b"shared0741_nsd53882",
                                            b"shared0842_nsd61178", b"shared0907_nsd65873", b"shared0000_nsd00000"),
                   strict=True)),
}  # fmt: skip
SUFFIX = {b"A": b"_450L_43W", b"B": b""}

Line = dict[bytes, bytes]


def table(path: Path) -> list[Line]:
    header, *lines = path.read_bytes()[:-1].split(b"\n")
    return [dict(zip(header.split(b"\t"), line.split(b"\t"), strict=True)) for line in lines]


def run_file(root: Path, run: str, subject: str = "subj01") -> Path:
    return root / f"nsddata/bdata/nsdimagery/nsdimagery_{subject}_{run}.tsv"


def responses_file(root: Path) -> Path:
    return root / "nsddata/ppdata/subj01/behav/responses.tsv"


def every_run(root: Path) -> list[tuple[str, Line]]:
    return [(run, line) for subject in SUBJECTS for run in RUNS for line in table(run_file(root, run, subject))]


def stem_of(run: str, line: Line) -> bytes:
    """What the name of a frame of a target begins with, but for set C, where any of the shared pictures may stand."""
    name = run.encode()[3:4]
    return TARGETS[name][line[b"CONDITION"]] + SUFFIX[name] if name in TARGETS else rb"shared\d{4}_nsd\d{5}"


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("run", RUNS)
def test_a_run_is_48_lines_of_20_fields_with_line_feeds_and_a_final_one(release: Path, run: str, subject: str) -> None:
    text = run_file(release, run, subject).read_bytes()
    assert b"\r" not in text
    assert text.isascii()
    assert not text.startswith(b"\xef\xbb\xbf")
    assert text.endswith(b"\n")
    assert not text.endswith(b"\n\n")
    header, *lines = text[:-1].split(b"\n")
    assert header == COLUMNS
    assert [line.count(b"\t") for line in lines] == [19] * 48
    assert all(field and field.strip() == field for line in lines for field in line.split(b"\t"))


def test_whole_numbers_have_no_point_and_what_is_absent_is_nan(release: Path) -> None:
    for _, line in every_run(release):
        for column in WHOLE:
            assert re.fullmatch(rb"\d+|NaN", line[column]), (column, line[column])
        for column in DECIMAL:
            assert re.fullmatch(rb"\d+(\.\d*[1-9])?|NaN", line[column]), (column, line[column])


def test_an_image_is_named_where_an_attended_target_was_present_and_there_alone(release: Path) -> None:
    n_present = dict.fromkeys(RUNS, 0)
    for run, line in every_run(release):
        is_present = run.startswith("att") and line[b"GROUNDTRUTH"] == b"1"
        n_present[run] += is_present
        pattern = stem_of(run, line).replace(b".", rb"\.") if run[3] != "C" else stem_of(run, line)
        frame = pattern + b"_cue" + line[b"CUE"] + rb"\.png"
        assert re.fullmatch(frame if is_present else b"NaN", line[b"IMAGEFILE"]), line[b"IMAGEFILE"]
        assert (line[b"IMAGEONSET"] != b"NaN") == is_present
        assert (line[b"IMAGESERIESENDS"] != b"NaN") == run.startswith("att")
        assert (line[b"GROUNDTRUTH"] == b"NaN") == run.startswith("img")
    assert n_present == {run: 48 if run.startswith("att") else 0 for run in RUNS}  # 24 of each of two subjects


def test_vision_and_imagery_trials_end_4_s_after_their_onset_to_the_last_digit(release: Path) -> None:
    for run, line in every_run(release):
        onset, end = Decimal(line[b"TRIALONSET"].decode()), Decimal(line[b"TRIALEND"].decode())
        assert end - onset == 4 if not run.startswith("att") else 7.9 < end - onset < 8


def test_onsets_lie_around_the_whole_seconds_of_the_design_and_are_none(release: Path) -> None:
    cells = loadmat(release / "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat")["stimulus"][0]
    apart = []
    for subject in SUBJECTS:
        for cell, run in zip(cells, RUNS, strict=True):
            seconds = np.flatnonzero(cell.any(axis=1))[:: 2 if run.startswith("att") else 1]
            onsets = [float(line[b"TRIALONSET"]) for line in table(run_file(release, run, subject))]
            apart.append(np.array(onsets) - seconds)
            assert seconds[0] == (16 if run.startswith("att") else 12)
    assert 0.2 < np.abs(apart).max() < 0.4
    assert np.min(apart) < 0 < np.max(apart)


def test_a_response_time_counts_from_where_there_is_something_to_answer(release: Path) -> None:
    n_answers = 0
    for run, line in every_run(release):
        if line[b"BUTTON"] == b"NaN":
            assert line[b"RT"] == line[b"FINALDECISIONTIME"] == b"NaN"
            continue
        start = b"TRIALONSET"
        if run.startswith("att"):
            start = b"IMAGEONSET" if line[b"GROUNDTRUTH"] == b"1" else b"IMAGESERIESENDS"
        seconds = float(line[b"FINALDECISIONTIME"]) - float(line[start])
        assert float(line[b"RT"]) == pytest.approx(1000 * seconds, abs=0.2)
        assert 0.4 < seconds < 3
        n_answers += 1
    assert 0.95 < n_answers / (2 * 576) < 1


def test_nearly_no_answer_of_subj06_to_its_first_attention_run_is_there(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path, subjects=["subj06"], format="hdf5")
    answered = {run: sum(line[b"BUTTON"] != b"NaN" for line in table(run_file(root, run, "subj06"))) for run in RUNS}
    assert answered.pop("attA") < 10
    assert min(answered.values()) > 40


class TestCore:
    def test_responses_are_written_like_the_runs(self, core_release: Path) -> None:
        text = responses_file(core_release).read_bytes()
        assert b"\r" not in text
        assert text.endswith(b"\n")
        assert not text.endswith(b"\n\n")
        lines = table(responses_file(core_release))
        assert len(lines) == 30_000
        for column in CORE_WHOLE:
            assert {bool(re.fullmatch(rb"\d+|NaN", line[column])) for line in lines} == {True}, column
        for column in (b"TIME", b"RT"):
            assert {bool(re.fullmatch(rb"\d+(\.\d*[1-9])?|NaN", line[column])) for line in lines} == {True}, column
        assert {line[b"BUTTON"] for line in lines} == {b"1", b"2", b"NaN"}
        assert {line[b"MEMORYFIRST"] == b"NaN" for line in lines if line[b"ISOLD"] == b"0"} == {True}

    def test_the_design_gives_the_10kid_of_each_trial_and_the_73kid_of_each_10kid(self, core_release: Path) -> None:
        found = loadmat(core_release / "nsddata/experiments/nsd/nsd_expdesign.mat")
        ordering, pictures, shared = found["masterordering"], found["subjectim"], found["sharedix"]
        assert (ordering.shape, pictures.shape, shared.shape) == ((1, 30_000), (8, 10_000), (1, 1000))
        lines = table(responses_file(core_release))
        ten_k = ordering[0].astype(int)
        assert ten_k.tolist() == [int(line[b"10KID"]) for line in lines]
        assert pictures[0, ten_k - 1].astype(int).tolist() == [int(line[b"73KID"]) for line in lines]
        assert np.array_equal(np.bincount(ten_k, minlength=10_001)[1:], np.full(10_000, 3))
        assert all(len(set(row.tolist())) == 10_000 for row in pictures)
        assert all(set(shared[0].tolist()) == set(row[:1000].tolist()) for row in pictures)
        assert len(np.unique(pictures)) == 73_000
        assert (pictures.min(), pictures.max()) == (1, 73_000)

    def test_the_design_has_62_or_63_pictures_a_run(self, core_release: Path) -> None:
        pattern = loadmat(core_release / "nsddata/experiments/nsd/nsd_expdesign.mat")["stimpattern"]
        assert pattern.shape == (40, 12, 75)
        assert set(np.unique(pattern)) == {0, 1}
        assert np.array_equal(pattern.sum(axis=2), np.tile([63, 62] * 6, (40, 1)))

    def test_the_design_is_there_with_core_alone_and_small(self, release: Path, core_release: Path) -> None:
        name = "nsddata/experiments/nsd/nsd_expdesign.mat"
        assert not (release / name).exists()
        assert (core_release / name).stat().st_size < 500_000

    @pytest.mark.parametrize("session", [1, 2, 3])
    def test_a_session_has_the_means_of_its_stored_numbers(self, core_release: Path, session: int) -> None:
        import h5py

        folder = core_release / "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
        image = Nifti1Image.from_filename(folder / f"meanbeta_session{session:02d}.nii.gz")
        with h5py.File(folder / f"betas_session{session:02d}.hdf5") as file:
            stored = file["betas"][:]
        assert image.get_data_dtype() == np.dtype("<f4")
        assert np.allclose(np.asarray(image.dataobj), stored.mean(axis=0, dtype=float).T, atol=1e-3)


def with_points(text: str) -> str:
    """A table in the other spelling: each whole number as 1.0, and what is absent blank."""
    header, *lines = text[:-1].split("\n")
    spelt = [[f"{field}.0" if field.isdigit() else field.replace("NaN", "") for field in line.split("\t")]
             for line in lines]  # fmt: skip
    return "\n".join([header, *("\t".join(fields) for fields in spelt), ""])


def test_both_spellings_of_the_runs_label_trials_alike(release: Path, own_release: Path, tmp_path: Path) -> None:
    for path in (own_release / "nsddata/bdata/nsdimagery").iterdir():
        text = path.read_text()
        path.unlink()
        path.write_text(with_points(text))
        assert "NaN" not in path.read_text()
    one, other = (nsd_imagery.index(root, out=tmp_path / root.parent.name) for root in (release, own_release))
    for rows, spelt in zip(sorted(one.rglob("*.parquet")), sorted(other.rglob("*.parquet")), strict=True):
        assert nsd_imagery.read_index(rows).equals(nsd_imagery.read_index(spelt))
    assert nsd_imagery.verify(own_release).passed


def test_both_spellings_of_responses_label_trials_alike(
    core_release: Path, own_core_release: Path, tmp_path: Path
) -> None:
    path = responses_file(own_core_release)
    text = path.read_text()
    path.unlink()
    path.write_text(with_points(text))
    one, other = (nsd_imagery.index(root, out=tmp_path / root.parent.name) for root in (core_release, own_core_release))
    name = "perception/full_index.parquet"
    assert nsd_imagery.read_index(one / name).equals(nsd_imagery.read_index(other / name))


class TestLabelTables:
    """Of a ROI, wherever the table is; many users copy one folder of the three alone."""

    def test_of_the_subject_before_fsaverages(self, own_release: Path) -> None:
        theirs = own_release / "nsddata/freesurfer/fsaverage/label/streams.mgz.ctab"
        theirs.unlink()
        theirs.write_text("0 Unknown\n1 other\n")
        expected = resolve("streams:early", Maps(anatomy(own_release, "subj01"))).flat
        assert len(expected) > 0
        theirs.unlink()
        assert np.array_equal(resolve("streams:early", Maps(anatomy(own_release, "subj01"))).flat, expected)

    def test_of_fsaverage_where_the_subject_has_none(self, own_release: Path) -> None:
        expected = resolve("streams:early", Maps(anatomy(own_release, "subj01"))).flat
        for path in (own_release / "nsddata/freesurfer/subj01/label").iterdir():
            path.unlink()
        assert np.array_equal(resolve("streams:early", Maps(anatomy(own_release, "subj01"))).flat, expected)

    @pytest.mark.parametrize(("roi", "label"), [("MTL:CA1", 6), ("thalamus:LGN", 1)])
    def test_of_the_templates(self, own_release: Path, roi: str, label: int) -> None:
        found = anatomy(own_release, "subj01")
        volume = np.asarray(Nifti1Image.from_filename(found.atlases[roi.partition(":")[0]]).dataobj)
        assert np.array_equal(resolve(roi, Maps(found)).flat, np.flatnonzero(volume == label))
