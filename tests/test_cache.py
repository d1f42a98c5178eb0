"""The Guide's cache tree: the trials that a release tree gives, paths that stay inside, manifests that are wrong."""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, load_dataset
from PIL import Image

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError, NSDImageryError, UsageError
from nsd_imagery.sources import cache_rows, nsdimagery
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.synthetic.captions import captions_of
from nsd_imagery.synthetic.pictures import picture_id

BETAS = "fithrf_GLMdenoise_RR"
MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"
INFO = "nsd_imagery/stimuli/imagery_stimuli_info.csv"
PRESENTED = "nsd_imagery/stimuli/presented_image_ids.txt"
SESSIONS = "nsd_imagery/metadata/subject_sessions.json"
BETA_FILE = "nsd_imagery/betas/subj01/imagery_betas_session01.nii.gz"
GUIDE = [field.name for field in fields(nsd_imagery.ImageryTrial)]
CONDITIONS = ("imagery", "vision", "attention")

Row = dict[str, str]
Change = Callable[[list[Row]], list[Row]]


@pytest.fixture(scope="session")
def cache_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 in the Guide's layout, of the seed of `release`. Not to be changed."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("cache") / "cache", layout="cache")


@pytest.fixture
def own_tree(cache_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(cache_tree, tmp_path / "cache", copy_function=os.link))


def rewrite(path: Path, change: Change) -> None:
    """Give a CSV other lines; the first line of the result names the columns."""
    with path.open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    path.unlink()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def replace_file(path: Path, contents: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(contents)


def edit(column: str, value: str, row: int = 5) -> Change:
    return lambda rows: [{**r, column: value} if n == row else r for n, r in enumerate(rows)]


def keep(*columns: str) -> Change:
    return lambda rows: [{name: row[name] for name in columns} for row in rows]


def without(*columns: str) -> Change:
    return lambda rows: [{name: value for name, value in row.items() if name not in columns} for row in rows]


def rows_of(root: Path) -> pd.DataFrame:
    (session,) = cache_rows.read_sessions(CacheTables(root), "subj01", BETAS)
    return session.rows.to_pandas()


def load(folder: Path, config: str, cache: str) -> Dataset:
    split = "test" if config.split("-")[-1] in CONDITIONS else "train"
    return load_dataset(str(folder), config, split=split, cache_dir=cache)


def betas(dataset: Dataset) -> np.ndarray:
    return np.asarray(dataset.with_format("numpy")[:]["betas"])


def test_both_layouts_give_the_same_values_in_the_guides_columns_and_the_same_betas(
    release: Path, dataset: Path, cache_tree: Path, tmp_path: Path, hf_cache: str
) -> None:
    folder = nsd_imagery.build(cache_tree, tmp_path / "d")
    for condition in CONDITIONS:
        mine, theirs = (load(f, f"subj01-{condition}", hf_cache) for f in (folder, dataset))
        np.testing.assert_array_equal(betas(mine), betas(theirs))
        one, other = (d.remove_columns("betas").to_pandas() for d in (mine, theirs))
        ours = [
            name
            for name in other
            if name not in ("beta_path", "roi_mask_path", "is_shared", "response", "response_time")
        ]
        assert set(GUIDE) - {"beta_path", "roi_mask_path"} <= set(ours)
        pd.testing.assert_frame_equal(one[ours], other[ours])
        assert set(one["beta_path"]) == {BETA_FILE}
    voxels = [load(f, "subj01-voxels", hf_cache).to_pandas() for f in (folder, dataset)]
    pd.testing.assert_frame_equal(*voxels)


def test_an_index_of_the_cache_tree_lies_in_it_and_says_once_what_became_vision(
    own_tree: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = nsd_imagery.index(own_tree)
    assert folder == own_tree.resolve() / "indices"
    rows = pd.read_parquet(folder / "imagery" / "full_index.parquet")
    assert rows["condition"].value_counts().to_dict() == {"imagery": 288, "attention": 288, "vision": 144}
    assert sum("is vision here" in record.message for record in caplog.records) == 1


def test_a_manifest_with_the_guides_columns_alone_works(own_tree: Path, tmp_path: Path, hf_cache: str) -> None:
    rewrite(own_tree / MANIFEST, keep(*GUIDE))
    for name in (INFO, PRESENTED, SESSIONS):
        (own_tree / name).unlink()
    folder = nsd_imagery.build(own_tree, tmp_path / "d")
    imagery = load(folder, "subj01-imagery", hf_cache)
    assert imagery.num_rows == 288
    assert set(imagery["stimulus"]) == {"unknown", *(f"nsd{n}" for n in (28751, 30856, 53881, 61177, 65872))}
    assert any("'unknown'" in note for note in nsd_imagery.info(folder)["notes"])


def test_only_five_columns_are_needed(own_tree: Path) -> None:
    whole = rows_of(own_tree)
    rewrite(own_tree / MANIFEST, keep("session", "trial_in_session", "condition", "nsd_id", "beta_index", "epoch"))
    rows = rows_of(own_tree)
    for column in ("trial_id", "beta_path", "condition", "nsd_id", "is_valid"):
        pd.testing.assert_series_equal(rows[column], whole[column])
    assert rows["coco_id"].equals(whole["coco_id"])  # from imagery_stimuli_info.csv


def test_without_the_column_repeat_index_repeats_are_counted_by_target(own_tree: Path) -> None:
    whole = rows_of(own_tree)
    rewrite(own_tree / MANIFEST, without("repeat_index"))
    counted = rows_of(own_tree)
    pd.testing.assert_series_equal(counted["repeat_index"], whole["repeat_index"])
    assert counted.groupby("condition")["repeat_index"].max().to_dict() == {"attention": 7, "imagery": 15, "vision": 7}


def test_names_of_columns_are_taken_in_other_spellings(own_tree: Path) -> None:
    whole = rows_of(own_tree)
    spelled = {"nsd_id": "nsdId", "coco_id": "cocoId", "run_number": "RUN", "beta_index": "BetaIndex"}
    rewrite(own_tree / MANIFEST, lambda rows: [{spelled.get(n, n): v for n, v in row.items()} for row in rows])
    pd.testing.assert_frame_equal(rows_of(own_tree), whole)
    rewrite(own_tree / MANIFEST, lambda rows: [{**row, "NSD_ID": row["nsdId"]} for row in rows])
    with pytest.raises(DataError, match="columns nsdId and NSD_ID are both nsd_id"):
        rows_of(own_tree)


def test_a_field_with_half_a_pair_of_quotes_is_named(own_tree: Path) -> None:
    rewrite(own_tree / MANIFEST, lambda rows: rows)
    text = (own_tree / MANIFEST).read_text()
    (own_tree / MANIFEST).write_text(text.replace("visA", '"vis"A', 1))
    with pytest.raises(DataError, match="is not a text table of"):
        cache_rows.read_sessions(CacheTables(own_tree), "subj01", BETAS)


def test_shuffled_lines_give_the_same_rows(own_tree: Path) -> None:
    whole = rows_of(own_tree)
    rewrite(own_tree / MANIFEST, lambda rows: [rows[n] for n in np.random.default_rng(0).permutation(len(rows))])
    pd.testing.assert_frame_equal(rows_of(own_tree), whole)


def test_betas_may_have_the_guides_other_name(own_tree: Path) -> None:
    (own_tree / BETA_FILE).rename(own_tree / "nsd_imagery/betas/subj01/session01.nii.gz")
    rewrite(own_tree / MANIFEST, without("beta_path"))
    assert set(rows_of(own_tree)["beta_path"]) == {"nsd_imagery/betas/subj01/session01.nii.gz"}


def test_the_table_of_all_subjects_stands_for_a_manifest(own_tree: Path) -> None:
    whole = rows_of(own_tree)
    shutil.move(own_tree / MANIFEST, own_tree / INFO)
    assert CacheTables(own_tree).subjects == ("subj01",)
    pd.testing.assert_frame_equal(rows_of(own_tree), whole)


def test_a_table_without_trials_makes_no_subject(own_tree: Path) -> None:
    rewrite(own_tree / INFO, lambda rows: [{**row, "subject": "subj05"} for row in rows])
    assert CacheTables(own_tree).subjects == ("subj01",)
    trial = {"session": "1", "trial_in_session": "0", "condition": "imagery", "nsd_id": "28751", "beta_index": "0"}
    rewrite(own_tree / INFO, lambda _: [{"subject": "subj05", **trial}])
    assert CacheTables(own_tree).subjects == ("subj01", "subj05")
    rewrite(own_tree / INFO, without("beta_index"))
    assert CacheTables(own_tree).subjects == ("subj01",)


def test_a_flag_in_the_manifest_excludes_a_trial(own_tree: Path, tmp_path: Path, hf_cache: str) -> None:
    rewrite(own_tree / MANIFEST, edit("is_valid", "False", row=150))
    folder = nsd_imagery.build(own_tree, tmp_path / "d")
    imagery = load(folder, "subj01-imagery", hf_cache)
    at = imagery["beta_index"][:].index(150)
    assert [n for n, valid in enumerate(imagery["is_valid"]) if not valid] == [at]
    assert not betas(imagery)[at].any()
    run = [n for n, name in enumerate(imagery["run_name"]) if name == "imgA_1" and n != at]
    np.testing.assert_allclose(betas(imagery)[run].mean(axis=0), 0, atol=1e-6)


def test_without_run_numbers_scores_are_over_the_session_and_the_card_says_so(
    own_tree: Path, tmp_path: Path, hf_cache: str
) -> None:
    rewrite(own_tree / MANIFEST, edit("run_number", "", row=0))
    rewrite(own_tree / MANIFEST, without("run_number"))
    folder = nsd_imagery.build(own_tree, tmp_path / "d")
    stats = load(folder, "subj01-stats", hf_cache)
    assert stats["run_number"][:] == [-1]
    assert "without run_number, which are z-scored over their session" in (folder / "README.md").read_text()


def test_several_sessions_of_a_subject_are_shards_of_their_own(own_tree: Path, tmp_path: Path, hf_cache: str) -> None:
    os.link(own_tree / BETA_FILE, own_tree / BETA_FILE.replace("01.nii", "02.nii"))
    (own_tree / SESSIONS).unlink()

    def second(row: Row) -> Row:
        return {**row, "session": "2", "trial_id": "", "beta_path": row["beta_path"].replace("01.nii", "02.nii")}

    rewrite(own_tree / MANIFEST, lambda rows: [*rows, *map(second, rows)])
    folder = nsd_imagery.build(own_tree, tmp_path / "d", zscore="none")
    vision = load(folder, "subj01-vision", hf_cache)
    assert vision["session"][:] == [1] * 144 + [2] * 144
    assert len(set(vision["trial_id"])) == 288
    np.testing.assert_array_equal(betas(vision)[:144], betas(vision)[144:])


def test_nsd_imagery_comes_before_nsd_core_whatever_the_order_of_lines(own_tree: Path) -> None:
    core = "nsd/betas/subj01/session01.nii.gz"

    def of_core(row: Row) -> Row:
        return {**row, "beta_path": core, "trial_id": "", "target": "", "nsd_id": "1", "cue": "", "cue_matches": ""}

    rewrite(own_tree / MANIFEST, lambda rows: [*(of_core(row) for row in rows if row["run_name"] == "visA"), *rows])
    (own_tree / core).parent.mkdir(parents=True)
    os.link(own_tree / BETA_FILE, own_tree / core)
    sessions = cache_rows.read_sessions(CacheTables(own_tree), "subj01", "fithrf_GLMdenoise_RR")
    assert [session.experiment for session in sessions] == ["nsdimagery", "nsd"]


@pytest.mark.parametrize(
    ("dtype", "slope", "scale", "percent"),
    [
        (np.int16, None, None, 1 / 300),
        (np.int16, None, 100, 1 / 100),
        (np.int16, 0.002, None, 0.002),
        (np.int16, 0.02, 10, 0.002),
        (np.float32, None, None, 1.0),
        (np.float32, None, 300, 1 / 300),
    ],
)
def test_stored_numbers_become_percent_by_type_and_scaling_or_by_beta_scale(
    own_tree: Path, tmp_path: Path, hf_cache: str, dtype: type, slope: float | None, scale: float | None, percent: float
) -> None:
    image = nib.load(own_tree / BETA_FILE)
    stored = np.asarray(image.dataobj) / (300 if percent == 1 else 1)
    (own_tree / BETA_FILE).unlink()
    changed = nib.Nifti1Image(stored.astype(dtype), image.affine)
    changed.header.set_slope_inter(slope, 0 if slope else None)
    nib.save(changed, own_tree / BETA_FILE)
    if scale:
        rewrite(own_tree / MANIFEST, lambda rows: [{**row, "beta_scale": str(scale)} for row in rows])
    folder = nsd_imagery.build(own_tree, tmp_path / "d", zscore="none", conditions=["vision"])
    mask = np.asarray(nib.load(own_tree / "nsd_imagery/metadata/subj01/nsdgeneral.nii.gz").dataobj) == 1
    vision = load(folder, "subj01-vision", hf_cache)
    expected = stored[mask].T[vision["beta_index"][:]] * percent
    np.testing.assert_allclose(betas(vision), expected, rtol=1e-6)


@pytest.fixture
def both_trees(release: Path, own_tree: Path) -> Path:
    """subj01 in both trees, subj02 in the release's."""
    for name in ("nsddata", "nsddata_betas"):
        shutil.copytree(release / name, own_tree / name, copy_function=os.link)
    return own_tree


@pytest.mark.parametrize("source", ["release", "cache"])
def test_a_report_is_of_the_tree_that_was_named(both_trees: Path, source: str) -> None:
    assert nsd_imagery.verify(both_trees, ["subj01"], source=source).kind == source


def test_of_a_named_tree_the_other_ones_tables_are_not_read(both_trees: Path) -> None:
    replace_file(both_trees / INFO, "session,session\n1,1\n")
    with pytest.raises(DataError, match="imagery_stimuli_info"):
        nsd_imagery.find_roi(both_trees, "subj01", "V1", source="cache")
    assert nsd_imagery.find_roi(both_trees, "subj01", "V1", source="release").flat.size


def test_a_subject_in_both_trees_needs_a_source(both_trees: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--source release\|cache"):
        nsd_imagery.build(both_trees, tmp_path / "d", subjects=["subj01"])
    for source, ending in (("cache", ".nii.gz"), ("release", ".hdf5")):
        rows = pd.read_parquet(
            nsd_imagery.index(both_trees, ["subj01"], out=tmp_path / source, source=source) / "imagery/subj01.parquet"
        )
        assert rows["beta_path"].str.endswith(ending).all()
        assert rows["is_shared"].any()
    with pytest.raises(UsageError, match="did you mean 'release'"):
        nsd_imagery.build(both_trees, tmp_path / "d", source="releases")
    assert nsd_imagery.index(both_trees, ["subj02"], out=tmp_path / "i").is_dir()


def test_trials_are_frozen_values_and_rows(cache_tree: Path) -> None:
    rows = cache_rows.read_sessions(CacheTables(cache_tree), "subj01", BETAS)[0].rows.to_pylist()
    trials = [nsd_imagery.ImageryTrial.from_row(row) for row in rows]
    assert [trial.to_row() for trial in trials] == [{name: row[name] for name in GUIDE} for row in rows]
    assert [nsd_imagery.ImageryTrial.from_row(trial.to_row()) for trial in trials] == trials
    with pytest.raises(AttributeError):
        trials[0].nsd_id = 3


def first_picture(rows: list[Row]) -> int:
    return next(number for number, row in enumerate(rows) if row["nsd_id"])


FAULTS = [
    (MANIFEST, without("nsd_id"), "has no column nsd_id"),
    (MANIFEST, without("beta_index", "session"), "has no column session, beta_index"),
    (MANIFEST, edit("condition", "imagined"), r"line 7: condition is 'imagined', not one of imagery, vision"),
    (MANIFEST, edit("condition", ""), "line 7: condition is '', but must have a value"),
    (MANIFEST, edit("nsd_id", "73000"), "line 7: nsd_id is '73000', but NSD has pictures 0 to 72999; ids are 0-based"),
    (MANIFEST, edit("nsd_id", "-1"), "line 7: nsd_id is '-1', but must be 0 or more"),
    (MANIFEST, edit("nsd_id", "1.5"), "line 7: nsd_id is '1.5', not a whole number"),
    (MANIFEST, edit("beta_index", "720"), "line 7: beta_index is '720', but .* has 720 volumes, 0 to 719"),
    (MANIFEST, edit("beta_index", "4"), "line 7: beta_index is '4', as in line 6"),
    (MANIFEST, edit("trial_in_session", "4"), "line 7: trial_in_session is '4', as in line 6"),
    (MANIFEST, edit("trial_id", "210100040"), "line 7: trial_id is '210100040', as in line 6"),
    (MANIFEST, edit("subject", "subj02"), "line 7: subject is 'subj02', but the file's name says subj01"),
    (MANIFEST, edit("subject", "subj9"), "line 7: subject is 'subj9', not one of"),
    (MANIFEST, edit("session", "2"), "line 7: session is '2', but .*subject_sessions.json has 1 for subj01"),
    (MANIFEST, edit("is_valid", "maybe"), "line 7: is_valid is 'maybe', not True or False"),
    (MANIFEST, edit("epoch", "late", row=60), "line 62: epoch is 'late', not one of cue, detection"),
    (MANIFEST, edit("beta_scale", "0"), "line 2: beta_scale is '', but other trials|line 7: beta_scale is '0'"),
    (MANIFEST, edit("beta_version", "fithrf"), "line 7: beta_version is 'fithrf', but the build is of"),
    (MANIFEST, lambda rows: edit("coco_id", "7", first_picture(rows))(rows), r"coco_id is '7', but .*_info\.csv, line"),
    (INFO, edit("nsd_id", "28752", row=6), r"line 8: nsd_id is '28752', but target .* is nsd_id 28751"),
    (MANIFEST, lambda rows: [], "has no trial of subj01"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "words"), FAULTS)
def test_a_fault_in_a_table_names_file_line_column_and_value(
    own_tree: Path, name: str, change: Change, words: str
) -> None:
    def with_all(rows: list[Row]) -> list[Row]:
        wide = [{"beta_scale": "", "beta_version": "", **row} for row in rows] if name == MANIFEST else rows
        return change(wide) or [dict.fromkeys(wide[0], "")]

    rewrite(own_tree / name, with_all)
    with pytest.raises(DataError, match=words) as caught:
        rows_of(own_tree)
    assert "\n" not in str(caught.value)


def test_a_vision_run_shows_each_letter_equally_often(own_tree: Path) -> None:
    """One mismatched trial with another letter, which is not its target's either: only the count tells."""

    def other_letter(rows: list[Row]) -> list[Row]:
        own = {row["target"]: row["cue"] for row in rows if row["cue_matches"] == "1"}
        at = next(n for n, row in enumerate(rows) if row["run_name"] == "visA" and row["cue_matches"] == "0")
        letters = {row["cue"] for row in rows if row["run_name"] == "visA"} - {rows[at]["cue"], own[rows[at]["target"]]}
        return [*rows[:at], {**rows[at], "cue": min(letters)}, *rows[at + 1 :]]

    rewrite(own_tree / MANIFEST, other_letter)
    with pytest.raises(DataError, match=r"cue .* and so in [79] trials of visA, not in 8"):
        cache_rows.read_sessions(CacheTables(own_tree), "subj01", BETAS)


def test_ids_that_count_from_1_are_named_as_such(own_tree: Path) -> None:
    presented = (own_tree / PRESENTED).read_text().split()
    replace_file(own_tree / PRESENTED, "\n".join(str(int(word) + 1) for word in presented))
    with pytest.raises(
        DataError, match=r"nsd_id is '\d+', which .*presented_image_ids.txt does not have, but has \d+: one"
    ):
        rows_of(own_tree)
    replace_file(own_tree / PRESENTED, "28751 x")
    with pytest.raises(DataError, match="line 1: nsd_id is 'x', not a number"):
        rows_of(own_tree)
    replace_file(own_tree / PRESENTED, "\n".join(presented))
    rewrite(
        own_tree / MANIFEST,
        lambda rows: [{**r, "nsd_id": str(int(r["nsd_id"]) + 1) if r["nsd_id"] else ""} for r in rows],
    )
    with pytest.raises(DataError, match=r"1-based|counts from 1"):
        rows_of(own_tree)


@pytest.mark.parametrize("column", ["beta_path", "roi_mask_path"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "must be a path inside the root"),
        ("../outside.nii.gz", "must be a path inside the root"),
        ("nsd_imagery/../../outside.nii.gz", "must be a path inside the root"),
        ("nsd_imagery/empty.nii.gz", "a link without content: get it first"),
        ("nsd_imagery/loop.nii.gz", "has no such file"),
        ("nsd_imagery/gone.nii.gz", "has no such file"),
        ("nsd_imagery/folder.nii.gz", "no regular file"),
        ("nsd_imagery/pipe.nii.gz", "no regular file"),
    ],
)
def test_a_path_in_a_table_stays_inside_the_root(own_tree: Path, column: str, path: str, words: str) -> None:
    shutil.copy(own_tree / BETA_FILE, own_tree.parent / "outside.nii.gz")
    (own_tree / "nsd_imagery/empty.nii.gz").symlink_to(own_tree.parent / "gone.nii.gz")
    (own_tree / "nsd_imagery/loop.nii.gz").symlink_to(own_tree / "nsd_imagery/loop.nii.gz")
    (own_tree / "nsd_imagery/folder.nii.gz").mkdir()
    os.mkfifo(own_tree / "nsd_imagery/pipe.nii.gz")
    rewrite(own_tree / MANIFEST, lambda rows: [{**row, column: path} for row in rows])
    with pytest.raises((DataError, MissingDataError), match=words) as caught:
        rows_of(own_tree)
    assert re.search(rf"trial_manifest_subj01\.csv, line \d+: {column} is '{re.escape(path)}'", str(caught.value))


def test_a_missing_file_of_the_tree_is_named(own_tree: Path, tmp_path: Path) -> None:
    rewrite(own_tree / MANIFEST, without("beta_path"))
    (own_tree / BETA_FILE).unlink()
    with pytest.raises(MissingDataError, match="no nsd_imagery/betas/subj01/imagery_betas_session01"):
        nsd_imagery.build(own_tree, tmp_path / "d")


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"subj01": {"sessions": [2]}}'])
def test_a_damaged_or_contradicting_list_of_sessions_is_named(own_tree: Path, text: str) -> None:
    replace_file(own_tree / SESSIONS, text)
    with pytest.raises(DataError, match=r"subject_sessions\.json"):
        rows_of(own_tree)


def test_a_named_mask_stands_for_nsdgeneral(own_tree: Path, tmp_path: Path, hf_cache: str) -> None:
    folder = own_tree / "nsd_imagery/metadata/subj01"
    shutil.move(folder / "nsdgeneral.nii.gz", own_tree / "nsd_imagery/mine.nii.gz")
    rewrite(own_tree / MANIFEST, lambda rows: [{**row, "roi_mask_path": "nsd_imagery/mine.nii.gz"} for row in rows])
    built = nsd_imagery.build(own_tree, tmp_path / "d", conditions=["vision"])
    mask = np.asarray(nib.load(own_tree / "nsd_imagery/mine.nii.gz").dataobj)
    assert load(built, "subj01-vision", hf_cache).features["betas"].length == (mask == 1).sum()


def test_the_stimuli_show_the_picture_of_each_id(
    cache_tree: Path, dataset: Path, tmp_path: Path, hf_cache: str
) -> None:
    for folder in (dataset, nsd_imagery.build(cache_tree, tmp_path / "d")):
        stimuli = load(folder, "stimuli", hf_cache)
        assert stimuli.num_rows == 18 + 48
        assert stimuli["stimulus_set"].count("A") if isinstance(stimuli["stimulus_set"], list) else True
        shown = {row["nsd_id"]: row for row in stimuli if row["nsd_id"] >= 0}
        assert len(shown) == 5 + 48
        for nsd_id, row in shown.items():
            assert picture_id(np.asarray(row["image"].convert("RGB"))) == nsd_id
            assert row["image"].size == (425, 425)
            assert row["captions"] == captions_of(nsd_id)
            assert row["caption"] == captions_of(nsd_id)[0]
            assert row["stimulus"] == f"nsd{nsd_id}"
        words = [row for row in stimuli if row["stimulus_set"] == "C" and row["target"]]
        assert {row["target"] for row in words} == {"stripes", "zebra", "mammal", "yellow", "banana", "fruit"}
        assert all(row["image"] is None and row["nsd_id"] == -1 and row["captions"] == [] for row in words)
        assert {row["cue"] for row in words} == set("SZMYNF")
        bars = [row for row in stimuli if row["stimulus_set"] == "A"]
        assert len(bars) == 6
        assert all((row["image"] is not None) == (folder == dataset) for row in bars)
        assert set(load(folder, "subj01-vision", hf_cache)["stimulus"]) <= set(stimuli["stimulus"])


def test_stimuli_of_subjects_built_one_by_one_are_those_of_one_build(
    release: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj02"])
    nsd_imagery.build(release, folder, subjects=["subj01"])
    (mine,), (theirs,) = (list((f / "stimuli").iterdir()) for f in (folder, dataset))
    assert mine.name == theirs.name
    assert mine.read_bytes() == theirs.read_bytes()


def test_without_pictures_and_captions_everything_works_and_says_so(
    own_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    shutil.rmtree(own_release / "annotations")
    shutil.rmtree(own_release / "nsddata_stimuli")
    shutil.rmtree(own_release / "nsddata/experiments/nsdimagery/rawtargetimages")
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    stimuli = load(folder, "stimuli", hf_cache)
    assert all(image is None for image in stimuli["image"])
    assert set(load(folder, "subj01-vision", hf_cache)["caption"]) == {""}
    notes = "\n".join(nsd_imagery.info(folder)["notes"])
    assert "COCO's caption files are not in the root" in notes
    assert "nsd_stimuli.hdf5 is not in the root: 53 pictures of stimuli have no image" in notes


def test_without_the_table_of_pictures_a_cache_tree_says_that_nothing_is_shared(own_tree: Path, tmp_path: Path) -> None:
    for path in own_tree.rglob("nsd_stim_info_merged.csv"):
        path.unlink()
    folder = nsd_imagery.build(own_tree, tmp_path / "d", conditions=["vision"])
    assert (
        "nsd_stim_info_merged.csv is not in the root: is_shared is false everywhere"
        in nsd_imagery.info(folder)["notes"]
    )


def test_captions_from_a_named_folder(own_release: Path, tmp_path: Path, hf_cache: str) -> None:
    shutil.move(own_release / "annotations", tmp_path / "coco")
    folder = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"], captions=tmp_path / "coco")
    imagery = load(folder, "subj01-imagery", hf_cache)
    for nsd_id, caption in zip(imagery["nsd_id"], imagery["caption"], strict=True):
        assert caption == (captions_of(nsd_id)[0] if nsd_id >= 0 else "")
    with pytest.raises(MissingDataError, match="has no captions_train2017"):
        nsd_imagery.build(own_release, tmp_path / "e", captions=tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "<html>",
        lambda _: '{"annotations": [3]}',
        lambda _: '{"annotations": {}}',
        lambda _: '{"annotations": [{"id": 1}]}',
    ],
)
def test_a_damaged_caption_file_is_named(own_release: Path, tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = own_release / "annotations/captions_train2017.json"
    replace_file(path, damage(path.read_text()))
    with pytest.raises(DataError, match=r"captions_train2017\.json: "):
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])


@pytest.mark.parametrize("chunk", [1 << 20, 1 << 12])
def test_captions_are_read_whatever_the_spacing_order_and_length_of_the_file(
    own_release: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """A caption may lie across what is read at once, as COCO's file of 100 MB has many."""
    monkeypatch.setattr("nsd_imagery.sources.captions._CHUNK", chunk)
    path = own_release / "annotations/captions_val2017.json"
    whole = json.loads(path.read_text())
    text = json.dumps(
        {"annotations": whole["annotations"], "info": {"annotations": "none"}}, indent=3, ensure_ascii=False
    )
    before = {
        session.rows["caption"][200].as_py()
        for session in [nsdimagery.read_session(ReleaseTables(own_release), "subj01", BETAS)]
    }
    replace_file(path, text)
    from nsd_imagery.sources.root import find_root

    (session,) = find_root(own_release, BETAS).sessions(["subj01"], ["nsdimagery"])
    captions, ids = session.rows["caption"].to_pylist(), session.rows["nsd_id"].to_pylist()
    assert before == {None}
    by_coco_id = dict(zip(session.rows["coco_id"].to_pylist(), ids, strict=True))
    assert all(said == tuple(captions_of(by_coco_id[coco_id])) for coco_id, said in session.captions.items())
    assert all(c == captions_of(n)[0] for c, n in zip(captions, ids, strict=True) if n is not None)


def test_a_damaged_picture_file_is_named(own_release: Path, tmp_path: Path) -> None:
    path = own_release / "nsddata/experiments/nsdimagery/rawtargetimages/setB/shared0385_nsd28752.png"
    replace_file(path, "<html>")
    with pytest.raises(DataError, match="is not a sound PNG file"):
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    replace_file(own_release / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "<html>")
    with pytest.raises(NSDImageryError, match="is not a sound HDF5 file"):
        nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
