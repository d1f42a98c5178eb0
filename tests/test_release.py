"""Rows of NSD-Imagery: the run structure, labels that are proven, and contradictions that are errors."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.sources import nsdimagery, release_files
from nsd_imagery.sources.design import nsd_id_of_name
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.stim_info import StimInfo, picture_columns

BETAS = "fithrf_GLMdenoise_RR"
SET_B = [28751, 30856, 53881, 61177, 65872]
Rewrite = Callable[[Path, Callable[[str], str]], None]


@pytest.fixture(scope="module")
def rows(release: Path) -> pd.DataFrame:
    return nsdimagery.read_session(ReleaseTables(release), "subj01", BETAS).rows.to_pandas()


def behaviour(root: Path, run: str) -> Path:
    return root / "nsddata" / "bdata" / "nsdimagery" / f"nsdimagery_subj01_{run}.tsv"


def read_tsv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_session_has_720_rows_in_the_order_of_the_betas(rows: pd.DataFrame) -> None:
    assert rows["beta_index"].tolist() == list(range(720))
    assert Counter(rows["condition"]) == {"vision": 144, "imagery": 288, "attention": 288}
    spans = rows.groupby("run_name", sort=False)["beta_index"].agg(["min", "max"])
    assert spans.loc["visA"].tolist() == [0, 47]
    assert spans.loc["attA"].tolist() == [48, 143]
    assert spans.loc["imgB_1"].tolist() == [336, 383]
    assert spans.loc["imgC_2"].tolist() == [672, 719]
    assert rows["trial_id"].is_unique


def test_both_epochs_of_an_attention_trial_share_the_trial(rows: pd.DataFrame) -> None:
    attention = rows[rows["condition"] == "attention"]
    assert attention["epoch"].tolist() == ["cue", "detection"] * 144
    cue, detection = (attention[attention["epoch"] == epoch] for epoch in ("cue", "detection"))
    assert cue["trial_in_session"].tolist() == detection["trial_in_session"].tolist()
    assert cue["target"].tolist() == detection["target"].tolist()
    assert rows["trial_in_session"].drop_duplicates().tolist() == list(range(576))


def test_repeats_count_from_0_within_condition_epoch_and_target(rows: pd.DataFrame) -> None:
    groups = rows.groupby(["condition", rows["epoch"].fillna(""), "target"])["repeat_index"]
    assert groups.ngroups == 18 * 4
    for (condition, *_), repeats in groups:
        assert repeats.tolist() == list(range(16 if condition == "imagery" else 8))


def test_vision_trials_carry_the_seen_picture(release: Path, rows: pd.DataFrame) -> None:
    for run in ("visA", "visB"):
        seen = [line["FRAMEFILE"].rpartition("_cue")[0] for line in read_tsv(behaviour(release, run))]
        assert rows.loc[rows["run_name"] == run, "target"].tolist() == seen
    photographs = [line["FRAMEFILE"] for line in read_tsv(behaviour(release, "visC"))]
    one_based = [int(name.split("_nsd")[1][:5]) for name in photographs]
    visc = rows[rows["run_name"] == "visC"]
    assert visc["nsd_id"].tolist() == [number - 1 for number in one_based]
    assert set(visc["target"]) == {"stripes", "zebra", "mammal", "yellow", "banana", "fruit"}
    assert visc["stimulus"].tolist() == [f"nsd{number - 1}" for number in one_based]


def test_half_of_the_vision_trials_carry_another_cue(rows: pd.DataFrame) -> None:
    vision = rows[rows["condition"] == "vision"]
    assert vision.groupby("run_name")["cue_matches"].sum().tolist() == [24, 24, 24]
    assert (rows.loc[rows["condition"] == "imagery", "cue_matches"] == 1).all()


def test_file_name_ids_are_1_based_and_the_artwork_is_no_nsd_picture(rows: pd.DataFrame) -> None:
    assert nsd_id_of_name("shared0385_nsd28752") == 28751
    assert nsd_id_of_name("shared0000_nsd00000") is None
    imagined = rows[(rows["condition"] == "imagery") & (rows["stimulus_set"] == "B")]
    ids = dict(zip(imagined["cue"], imagined["nsd_id"].fillna(-1).astype(int), strict=True))
    assert ids == {"W": 28751, "K": 30856, "B": 53881, "C": 61177, "D": 65872, "T": -1}
    artwork = imagined[imagined["cue"] == "T"]
    assert set(artwork["stimulus"]) == {"shared0000_nsd00000"}
    assert not artwork["shared1000"].any()


def test_coco_ids_and_shared_pictures_are_those_of_the_stimulus_table(release: Path, rows: pd.DataFrame) -> None:
    table = pd.read_csv(release / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv", index_col=0)
    with_picture = rows[rows["nsd_id"].notna()]
    expected = table.loc[with_picture["nsd_id"].astype(int)]
    assert with_picture["coco_id"].tolist() == expected["cocoId"].tolist()
    assert with_picture["shared1000"].tolist() == expected["shared1000"].tolist()
    five = {28751, 30856, 53881, 61177, 65872}
    shown = (
        expected[[f"subject1_rep{n}" for n in range(3)]].gt(0)
        & expected[[f"subject1_rep{n}" for n in range(3)]].le(30_000)
    ).any(axis=1)
    assert with_picture["is_shared"].tolist() == [
        i in five and s for i, s in zip(expected["nsdId"], shown, strict=True)
    ]


FEWER_SESSIONS = {"subj03": 32, "subj04": 30, "subj06": 32, "subj08": 30}


@pytest.fixture(scope="module")
def fewer_sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The subjects whose NSD core was planned for 40 sessions and ended before."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("fewer") / "r", subjects=tuple(FEWER_SESSIONS), format="nii.gz")


def test_a_picture_that_a_subjects_own_core_never_shows_is_not_shared_for_them(fewer_sessions: Path) -> None:
    table = pd.read_csv(release_files.stim_info_file(fewer_sessions), index_col="nsdId")
    for subject, n_sessions in FEWER_SESSIONS.items():
        rows = nsdimagery.read_session(ReleaseTables(fewer_sessions), subject, BETAS).rows.to_pandas()
        planned = table.loc[SET_B, [f"subject{int(subject[-1])}_rep{n}" for n in range(3)]]
        shown = {nsd_id for nsd_id, trials in planned.iterrows() if (trials <= 750 * n_sessions).any()}
        assert rows["is_shared"].tolist() == [nsd_id in shown for nsd_id in rows["nsd_id"]]
        assert len(shown) == (4 if subject == "subj04" else 5)
        assert rows.loc[rows["nsd_id"].isin(SET_B), "shared1000"].all()


def test_core_shows_a_picture_from_its_first_trial_to_the_last_that_was_scanned() -> None:
    for subject, n_sessions in {"subj01": 40, **FEWER_SESSIONS}.items():
        last = 750 * n_sessions
        trials = np.array([[0, 0, 0], [1, 0, 0], [last, last + 1, last + 2], [last + 1, last + 2, 0], [0, 0, last]])
        info = StimInfo(Path("table.csv"), np.arange(5), np.ones(5, bool), {subject: trials.astype(np.int32)})
        assert info.shown(subject).tolist() == [False, True, True, False, True]
        columns = picture_columns(info, subject, [0, 1, 2, 3, 4, None], {0, 1, 2, 3})
        assert columns["is_shared"] == [False, True, True, False, False, False]


def test_a_row_without_an_epoch_is_null_in_the_index(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.index(release, subjects=["subj01"], out=tmp_path / "indices")
    index = nsd_imagery.read_index(folder / "imagery" / "subj01.parquet")
    epochs = {(row["condition"], row["epoch"]) for row in index.select(["condition", "epoch"]).to_pylist()}
    assert epochs == {("imagery", None), ("vision", None), ("attention", "cue"), ("attention", "detection")}


def test_response_times_are_in_seconds_and_absent_where_nobody_pressed(release: Path, rows: pd.DataFrame) -> None:
    n_missed = 0
    for run in ("visA", "imgA_1", "imgB_1", "imgC_1"):
        lines = read_tsv(behaviour(release, run))
        mine = rows[rows["run_name"] == run]
        for line, response, seconds in zip(lines, mine["response"], mine["response_time"], strict=True):
            is_missed = line["BUTTON"] == "NaN"
            n_missed += is_missed
            assert is_missed == pd.isna(response) == pd.isna(seconds)
            if not is_missed:
                assert seconds == pytest.approx(float(line["RT"]) / 1000)
    assert n_missed > 0


def test_paths_are_relative_and_hdf5_is_preferred(release: Path, rows: pd.DataFrame, own_release: Path) -> None:
    (path,) = set(rows["beta_path"])
    assert not Path(path).is_absolute()
    assert (release / path).is_file()
    assert path.endswith(".hdf5")
    (own_release / path).unlink()
    again = nsdimagery.read_session(ReleaseTables(own_release), "subj01", BETAS).rows.to_pandas()
    assert set(again["beta_path"]) == {path.replace(".hdf5", ".nii.gz")}
    pd.testing.assert_frame_equal(again.drop(columns="beta_path"), rows.drop(columns="beta_path"))


def read(root: Path) -> pd.DataFrame:
    return nsdimagery.read_session(ReleaseTables(root), "subj01", BETAS).rows.to_pandas()


def test_shuffled_lines_give_the_same_rows(own_release: Path, rows: pd.DataFrame, rewrite: Rewrite) -> None:
    def shuffle(text: str) -> str:
        header, *lines = text.splitlines()
        return "\n".join([header, *(lines[i] for i in np.random.default_rng(1).permutation(len(lines)))]) + "\n"

    for run in ("visA", "attB", "imgC_2"):
        rewrite(behaviour(own_release, run), shuffle)
    pd.testing.assert_frame_equal(read(own_release), rows)


def change_field(column: str, trial: int, value: str | Callable[[str], str]) -> Callable[[str], str]:
    def change(text: str) -> str:
        header, *lines = [line.split("\t") for line in text.splitlines()]
        fields = next(fields for fields in lines if float(fields[header.index("TRIAL")]) == trial)
        old = fields[header.index(column)]
        fields[header.index(column)] = value if isinstance(value, str) else value(old)
        return "\n".join("\t".join(fields) for fields in [header, *lines]) + "\n"

    return change


def other_letter(letters: str) -> Callable[[str], str]:
    return lambda old: next(letter for letter in letters if letter != old)


def change_present(column: str, value: str) -> Callable[[str], str]:
    """A field of the first trial whose target was present."""

    def change(text: str) -> str:
        header, *lines = [line.split("\t") for line in text.splitlines()]
        fields = next(fields for fields in lines if fields[header.index("GROUNDTRUTH")] in ("1", "1.0"))
        fields[header.index(column)] = value
        return "\n".join("\t".join(fields) for fields in [header, *lines]) + "\n"

    return change


def flip_image(text: str) -> str:
    """The name of a target's frame moves from a trial in which it was present to one of the same target without."""
    header, *lines = [line.split("\t") for line in text.splitlines()]
    truth, image, condition = (header.index(name) for name in ("GROUNDTRUTH", "IMAGEFILE", "CONDITION"))
    there = next(fields for fields in lines if fields[truth] in ("1", "1.0"))
    absent = next(fields for fields in lines if fields[truth] in ("0", "0.0") and fields[condition] == there[condition])
    there[image], absent[image] = absent[image], there[image]
    return "\n".join("\t".join(fields) for fields in [header, *lines]) + "\n"


@pytest.mark.parametrize(
    ("run", "change", "words"),
    [
        ("visA", change_field("CONDITION", 7, other_letter("HRVLPE")), "TRIAL 7: CONDITION is '.'.*FRAMEFILE shows"),
        ("visA", change_field("CONDITION", 7, "Q"), "TRIAL 7: CONDITION is 'Q', but set A has"),
        ("visB", change_field("CUE", 3, other_letter("WKBCDT")), "FRAMEFILE is .* but CUE is"),
        ("visC", change_field("CONDITION", 5, other_letter("SZMYNF")), "TRIAL 5: GROUNDTRUTH|each of 6 targets 8"),
        ("visA", change_field("GROUNDTRUTH", 9, lambda old: str(1 - float(old))), "TRIAL 9: GROUNDTRUTH is"),
        ("visC", change_field("FRAMEFILE", 4, lambda old: "x_cue" + old[-5:]), "TRIAL 4: FRAMEFILE shows 'x'"),
        ("imgA_1", change_field("CONDITION", 2, other_letter("HRVLPE")), "TRIAL 2: CONDITION is .* CUE say"),
        ("attA", change_field("CONDITION", 2, other_letter("HRVLPE")), "TRIAL 2: GROUNDTRUTH is|each of 6 targets 8"),
        ("attA", change_field("GROUNDTRUTH", 2, lambda old: str(1 - float(old))), "TRIAL 2: GROUNDTRUTH is ., COND"),
        ("attB", flip_image, "GROUNDTRUTH is [01], CONDITION .* but IMAGEFILE is"),
        ("attC", flip_image, "GROUNDTRUTH is [01], CONDITION .* but IMAGEFILE is"),
        ("attC", change_present("GROUNDTRUTH", ""), "GROUNDTRUTH is absent, CONDITION .* but IMAGEFILE is '"),
        ("attB", change_present("IMAGEFILE", "shared0001_nsd00017.png"), "but IMAGEFILE is 'shared0001_nsd00017'"),
        ("imgA_1", change_field("TRIAL", 2, "3.0"), "twice: 3; missing: 2"),
        ("imgA_1", change_field("TRIAL", 2, ""), "TRIAL is '', but must have a value"),
        ("imgA_1", change_field("RT", 2, "fast"), "RT is 'fast', not a number"),
        ("imgA_1", change_field("SUBJECT", 2, "3.0"), "the file's name says subj01"),
        ("imgA_1", lambda text: "\n".join(text.splitlines()[:-3]) + "\n", "missing: 46, 47, 48"),
        ("imgA_1", lambda text: text + text.splitlines()[-1] + "\n", "twice: 48"),
        ("imgA_1", lambda text: text.replace("CONDITION", "COND"), "missing: CONDITION"),
        ("imgA_1", lambda _: "<html><body>Access denied</body></html>", "has not the columns"),
        ("imgA_1", lambda text: text.replace("\t", ",", 9), "has not the columns|fields"),
    ],
)  # fmt: skip
def test_a_contradiction_names_file_and_trial(
    own_release: Path, rewrite: Rewrite, run: str, change: Callable[[str], str], words: str
) -> None:
    rewrite(behaviour(own_release, run), change)
    with pytest.raises(DataError, match=words) as error:
        read(own_release)
    assert f"nsdimagery_subj01_{run}.tsv" in str(error.value)
    assert "\n" not in str(error.value)


def swap(column: str, first: int, second: int) -> Callable[[str], str]:
    """Two trials exchange their letters, so that every count stays right."""

    def change(text: str) -> str:
        header, *lines = [line.split("\t") for line in text.splitlines()]
        at = [header.index(name) for name in column.split()]
        a, b = (
            next(line for line in lines if float(line[header.index("TRIAL")]) == trial) for trial in (first, second)
        )
        for position in at:
            a[position], b[position] = b[position], a[position]
        return "\n".join("\t".join(fields) for fields in [header, *lines]) + "\n"

    return change


@pytest.mark.parametrize("run", ["imgB_1", "imgC_2", "attA"])
def test_two_trials_that_exchange_labels_are_caught_by_the_design_matrix(
    own_release: Path, rewrite: Rewrite, run: str
) -> None:
    lines = read_tsv(behaviour(own_release, run))
    second = next(n for n, line in enumerate(lines, 1) if n > 10 and line["CONDITION"] != lines[9]["CONDITION"])
    rewrite(behaviour(own_release, run), swap("CONDITION CUE FRAMEFILE IMAGEFILE GROUNDTRUTH", 10, second))
    with pytest.raises(DataError, match=r"TRIAL (10|1[1-9]): CONDITION is '.', but onset .*designmatrixGLMsingle"):
        read(own_release)


def test_a_wrong_run_order_is_caught_by_the_design_matrix(own_release: Path, rewrite: Rewrite) -> None:
    """A public project orders each set imagery, attention, vision."""
    for run, number in (("visA", "3.0"), ("imgA_1", "1.0")):
        path = behaviour(own_release, run)
        at = read_tsv(path)[0]
        column = list(at).index("RUN")

        def renumber(text: str, column: int = column, number: str = number) -> str:
            header, *lines = [line.split("\t") for line in text.splitlines()]
            for fields in lines:
                fields[column] = number
            return "\n".join("\t".join(fields) for fields in [header, *lines]) + "\n"

        rewrite(path, renumber)
    with pytest.raises(
        DataError, match=r"RUN is 1, but cell 1 .* has 48 onsets in columns 0-5; imgA_1 has 48 in 18-23"
    ):
        read(own_release)


def test_a_design_matrix_with_an_onset_less_is_an_error(own_release: Path) -> None:
    path = own_release / "nsddata" / "experiments" / "nsdimagery" / "designmatrixGLMsingle.mat"
    stimulus = loadmat(path)["stimulus"]
    seconds, columns = np.nonzero(stimulus[0, 1])
    stimulus[0, 1][seconds[-1], columns[-1]] = 0
    path.unlink()
    savemat(path, {"stimulus": stimulus})
    with pytest.raises(DataError, match=r"cell 2 .* has 95 onsets"):
        read(own_release)


@pytest.mark.parametrize("name", ["A_pair_list.mat", "designmatrixGLMsingle.mat"])
def test_a_damaged_matlab_file_is_named(own_release: Path, name: str) -> None:
    path = own_release / "nsddata" / "experiments" / "nsdimagery" / name
    raw = path.read_bytes()
    path.unlink()
    for broken in (b"", raw[:200], b"<html>" * 100):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=name):
            read(own_release)
    path.unlink()
    with pytest.raises(MissingDataError, match=name):
        read(own_release)


def test_another_number_of_volumes_is_an_error(own_release: Path) -> None:
    path = own_release / f"{release_files.expected_betas(BETAS, 'subj01')}.hdf5"
    path.unlink()
    with h5py.File(path, "w") as file:
        file["betas"] = np.zeros((719, 3, 3, 3), np.int16)
    with pytest.raises(DataError, match="has 719 volumes, a session of NSD-Imagery has 720"):
        read(own_release)


def test_without_the_stimulus_table_nothing_is_invented(own_release: Path, rows: pd.DataFrame) -> None:
    (own_release / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv").unlink()
    bare = read(own_release)
    assert bare["coco_id"].isna().all()
    assert not bare["is_shared"].any()
    assert bare["shared1000"].tolist() == rows["shared1000"].tolist()


def test_the_index_is_one_file_a_subject_and_one_of_all(release: Path, tmp_path: Path, rows: pd.DataFrame) -> None:
    folder = nsd_imagery.index(release, out=tmp_path / "indices")
    assert sorted(path.name for path in (folder / "imagery").iterdir()) == [
        "full_index.parquet",
        "subj01.parquet",
        "subj02.parquet",
    ]
    one = pd.read_parquet(folder / "imagery" / "subj01.parquet")
    plain = one.astype(rows.dtypes.to_dict())  # whole numbers that may be absent are Int32 and Int8 there
    pd.testing.assert_frame_equal(plain.drop(columns="caption"), rows.drop(columns="caption"))
    both = pd.read_parquet(folder / "imagery" / "full_index.parquet")
    assert len(both) == 1440
    assert both["trial_id"].is_unique


def test_the_index_says_which_betas_are_all_zero(own_release: Path, tmp_path: Path) -> None:
    path = own_release / f"{release_files.expected_betas(BETAS, 'subj01')}.hdf5"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)
    with h5py.File(path, "r+") as file:
        file["betas"][17] = 0
    folder = nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices")
    index = pd.read_parquet(folder / "imagery" / "subj01.parquet")
    assert index.index[~index["is_valid"]].tolist() == [17]


@pytest.mark.parametrize("ending", ["hdf5", "nii.gz"])
def test_the_index_says_which_betas_are_nothing_but_nan(own_release: Path, tmp_path: Path, ending: str) -> None:
    stem = own_release / release_files.expected_betas(BETAS, "subj01")
    image = nib.load(f"{stem}.nii.gz")
    betas = np.asarray(image.dataobj).astype(np.float32) / 300
    betas[..., 17] = np.nan
    for other in ("hdf5", "nii.gz"):
        Path(f"{stem}.{other}").unlink()
    if ending == "hdf5":
        with h5py.File(f"{stem}.hdf5", "w") as file:
            file.create_dataset("betas", data=betas.T, chunks=(720, 1, 1, 1))
    else:
        nib.save(nib.Nifti1Image(betas, image.affine), f"{stem}.nii.gz")
    folder = nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices")
    index = pd.read_parquet(folder / "imagery" / "subj01.parquet")
    assert index.index[~index["is_valid"]].tolist() == [17]


def test_the_root_comes_from_the_argument_then_the_environment(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSD_CACHE_ROOT", str(release))
    assert nsd_imagery.index(out=tmp_path / "a", subjects=["subj01"]).is_dir()
    with pytest.raises(MissingDataError, match="no such folder"):
        nsd_imagery.index(tmp_path / "nowhere")


def test_a_subject_that_is_not_there_or_no_subject_is_named(release: Path) -> None:
    with pytest.raises(MissingDataError, match=r"no betas of subj05 .* here are: subj01, subj02"):
        nsd_imagery.index(release, subjects=["subj05"])
    with pytest.raises(UsageError, match=r"no subject 'subj10' .did you mean 'subj"):
        nsd_imagery.index(release, subjects=["subj10"])
