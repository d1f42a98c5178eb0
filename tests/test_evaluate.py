"""`evaluate`, from a built folder to scores, maps and headline: the same by every way, or a reason why not."""

import csv
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import nsd_imagery
from folders import files
from nsd_imagery.cli.evaluate import evaluate as verb
from nsd_imagery.errors import BusyError, DataError, FolderError, MissingDataError, UsageError
from nsd_imagery.evaluation.comparisons import PRIMARY
from nsd_imagery.evaluation.group import corrected, grouped
from nsd_imagery.evaluation.identifications import measured_identifications
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP, group_scores
from nsd_imagery.evaluation.record import OfRoi, Record, pack
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.runs import load_runs
from nsd_imagery.evaluation.score import GROUP, Score, read_scores
from nsd_imagery.evaluation.subject import Task, evaluate_subject, kind_of
from nsd_imagery.evaluation.table import table_of
from nsd_imagery.locks import holding

pytestmark = pytest.mark.slow

DRAWS = 99

scored = partial(nsd_imagery.evaluate, report=False)
"""Without its page, which has tests of its own."""

Built = Callable[..., Path]


@pytest.fixture(scope="module")
def built(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Builds vision and imagery of subj01."""

    def build(root: Path = release, **options: object) -> Path:
        folder = tmp_path_factory.mktemp("built") / "nsd_imagery"
        return nsd_imagery.build(
            root, folder, **{"subjects": ["subj01"], "conditions": ["vision", "imagery"], **options}
        )

    return build


@pytest.fixture(scope="module")
def found(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of two subjects."""
    return scored(dataset, tmp_path_factory.mktemp("evaluated") / "e", draws=DRAWS)


def written(folder: Path) -> dict[str, bytes]:
    """What an evaluation is; records are not part of it."""
    return {name: contents for name, contents in files(folder).items() if not name.startswith(".evaluate")}


def records(folder: Path) -> dict[str, int]:
    return {path.name[:6]: path.stat().st_mtime_ns for path in (folder / ".evaluate").glob("*.npz")}


def command(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "nsd_imagery", "evaluate", "--no-report", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)


def only(scores: object, **said: object) -> Score:
    (score,) = [one for one in scores if all(getattr(one, name) == value for name, value in said.items())]
    return score


# --- what is found


def test_each_subject_and_the_group_has_every_kind_of_score_once_and_the_file_has_them(found: Evaluation) -> None:
    assert Counter((one.subject, one.roi, kind_of(one)) for one in found.scores).most_common(1)[0][1] == 1
    kinds = {
        name: {kind_of(one) for one in found.scores if one.subject == name} for name in ("subj01", "subj02", GROUP)
    }
    assert kinds["subj01"] == kinds["subj02"]
    assert {kind.measure for kind in kinds[GROUP] - kinds["subj01"]} == {"pattern_correlation"}
    assert list(found.scores) == read_scores(found.path / "scores.parquet")
    assert set(written(found.path)) == {
        "scores.parquet",
        "items.parquet",
        "evaluation.json",
        "voxels-subj01.parquet",
        "voxels-subj02.parquet",
    }


def test_the_primary_test_is_one_row_and_finds_what_was_planted(found: Evaluation) -> None:
    (primary,) = [one for one in found.scores if PRIMARY.is_of(one)]
    assert (primary.n_subjects, primary.draws, primary.p) == (2, DRAWS, 1 / (1 + DRAWS))
    assert primary.family == "nsdgeneral"


def test_what_is_kept_of_a_subject_is_enough_for_the_groups_exact_p(dataset: Path, found: Evaluation) -> None:
    measured = [
        one
        for subject in ("subj01", "subj02")
        for one in measured_identifications(load_runs(dataset, subject), draws=DRAWS)
    ]
    for score in found.scores:
        if score.subject == GROUP and score.measure in ("identification", "margin") and score.stimulus_set:
            alike = [one for one in measured if kind_of(one.score) == kind_of(score)]
            expected = corrected([grouped(alike)])[0].score
            assert (score.value, score.p, score.p_corrected) == (expected.value, expected.p, expected.p_corrected)


def test_the_table_has_eight_columns_and_fits_a_screen(found: Evaluation) -> None:
    lines = found.table().splitlines()
    assert lines[0].split() == ["measure", "roi", "of", "how", "value", "interval", "chance", "p"]
    assert max(map(len, lines)) <= 100
    assert 10 < len(lines) < 40
    assert any("ncsnr" in line and "vision" in line for line in lines)
    wordy = [
        replace(line, scores=tuple(replace(one, roi="V1+V2" * 20) for one in line.scores)) for line in found.headline
    ]
    assert max(map(len, table_of(wordy).splitlines())) <= 100


def test_maps_add_up_to_what_the_roi_has_and_lie_where_the_voxels_do(dataset: Path, found: Evaluation) -> None:
    maps = pq.ParquetFile(found.path / "voxels-subj02.parquet").read(use_threads=False).to_pydict()
    voxels = nsd_imagery.load(dataset, "subj02-voxels", "train")
    for place in ("column", "i", "j", "k"):
        assert maps[place] == voxels[place][:]
    assert set(maps["perception_signal"]) == {None}
    for condition in ("vision", "imagery"):
        score = only(found.scores, measure="signal_variance", subject="subj02", condition=condition, stimulus_set="",
                     how="within")  # fmt: skip
        assert np.sum(maps[f"{condition}_signal"]) / score.n_voxels == pytest.approx(score.value, rel=1e-5)
        ratio = np.sum(maps[f"{condition}_signal"]) / np.sum(maps[f"{condition}_noise"])
        ncsnr = only(
            found.scores, measure="ncsnr", subject="subj02", condition=condition, stimulus_set="", how="within"
        )
        assert ratio**0.5 == pytest.approx(ncsnr.value, rel=1e-5)


def test_evaluation_json_says_of_what_and_how_and_no_time_host_or_path(dataset: Path, found: Evaluation) -> None:
    text = (found.path / "evaluation.json").read_text(encoding="utf-8")
    said = json.loads(text)
    assert said["dataset"]["digest"] == found.scores[0].dataset
    assert said["dataset"]["synthetic"] is True
    assert said["seeds"]["orders"] == 720
    assert said["left_out"] == {"subj01": {"nsdgeneral": {}}, "subj02": {"nsdgeneral": {}}}
    assert [line["text"] for line in said["headline"]] == [line.text for line in found.headline]
    for word in (str(dataset), str(found.path), os.uname().nodename, time.strftime("%Y-%m")):
        assert word not in text


def test_p_is_corrected_over_the_rois_and_accuracies_stand_at_equal_size(built: Built, tmp_path: Path) -> None:
    folder = built(roi=["nsdgeneral", "early"])
    scores = scored(folder, tmp_path / "e", draws=DRAWS).scores
    both = {one.roi: one for one in scores if one.subject == GROUP and kind_of(one).how == "letter-free"
            and one.measure == "margin" and one.unit == "trial" and one.stimulus_set == "B"}  # fmt: skip
    assert {one.family for one in both.values()} == {"nsdgeneral, early"}
    assert all(one.p_corrected >= one.p for one in both.values())
    own = [one for one in scores if one.subject == "subj01" and one.measure == "ncsnr" and one.p is not None]
    assert {one.family for one in own} == {"nsdgeneral, early"}
    sizes = {one.n_voxels for one in scores if one.measure == "identification_at_equal_size" and one.subject != GROUP}
    rows = (nsd_imagery.load(folder, f"subj01-voxels{end}", "train").num_rows for end in ("", "-early"))
    assert sizes == {min(rows)}
    maps = pq.ParquetFile(tmp_path / "e/voxels-subj01.parquet").read(use_threads=False)
    assert Counter(maps["roi"].to_pylist()).keys() == {"nsdgeneral", "early"}
    alone = scored(folder, tmp_path / "e", draws=DRAWS, roi="EARLY")
    assert {one.roi for one in alone.scores} == {"early"}
    assert "identification_at_equal_size" not in {one.measure for one in alone.scores}


def test_groups_are_all_subjects_and_those_of_most_papers(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "one.npz").write_bytes(evaluate_subject(Task(dataset, None, "subj01", ("nsdgeneral",), 19)))
    of: dict[str, Record] = {}
    with Record(tmp_path / "one.npz") as one:
        measured = [one.measured("nsdgeneral", place) for place in range(len(one.scores("nsdgeneral")))]
        for number in (1, 2, 3, 5, 7):
            mine = [replace(part, score=replace(part.score, subject=f"subj0{number}")) for part in measured]
            path = tmp_path / f"{number}.npz"
            path.write_bytes(pack({"nsdgeneral": OfRoi(mine, one.geometry("nsdgeneral"), {})}, one.voxels))
            of[f"subj0{number}"] = Record(path)
    scores = group_scores(of, ["nsdgeneral"])
    assert Counter(one.n_subjects for one in scores if one.measure == "margin" and one.value is not None).keys() == {
        4,
        5,
    }
    assert {one.subject: one.n_subjects for one in scores if one.measure == "ncsnr" and one.condition == "vision"} == {
        GROUP: 5,
        PUBLISHED_GROUP: 4,
    }
    four = {name: of[name] for name in ("subj01", "subj02", "subj05", "subj07")}
    assert {one.subject for one in group_scores(four, ["nsdgeneral"])} == {GROUP}
    for record in of.values():
        record.__exit__()


# --- the same by every way


def test_the_verb_writes_what_the_function_writes_and_prints_five_lines(
    dataset: Path, found: Evaluation, tmp_path: Path
) -> None:
    done = command(dataset, "--draws", DRAWS, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(tmp_path / "evaluation") == written(found.path)
    names = [line.partition("  ")[0] for line in done.stdout.splitlines()]
    assert names[:5] == ["reliability", "within vision", "vision → imagery", "letter alone", "transfer"]
    assert names[5].startswith("evaluation: ")
    assert len(names) == 6
    number, p = r"\d\.\d\d+", r"p 0\.01"
    assert re.search(rf"^within vision +6-way {number}, chance {number}, {p}$", done.stdout, re.MULTILINE)
    without = rf"^vision → imagery  without the letter 6-way {number}, chance 0\.17, {p} \(the primary test\)$"
    assert re.search(without, done.stdout, re.MULTILINE)
    more = command(dataset, "--draws", DRAWS, "-v", cwd=tmp_path).stdout
    assert len(more.splitlines()) == len(found.headline) + 1
    assert all(line.text in more for line in found.headline)
    said = json.loads(command(dataset, "--draws", DRAWS, "--json", cwd=tmp_path).stdout)
    assert [line["text"] for line in said["headline"]] == [line.text for line in found.headline]


def test_two_processes_write_the_same_bytes(dataset: Path, found: Evaluation, tmp_path: Path) -> None:
    done = command(dataset, "--draws", DRAWS, "--workers", 2, "--out", tmp_path / "e")
    assert done.returncode == 0, done.stderr
    assert written(tmp_path / "e") == written(found.path)


def test_a_second_run_reads_no_betas_and_a_further_subject_costs_only_itself(
    dataset: Path, found: Evaluation, tmp_path: Path
) -> None:
    folder, out = Path(shutil.copytree(dataset, tmp_path / "d")), tmp_path / "e"
    said: list[str] = []
    scored(folder, out, subjects=2, draws=DRAWS)
    before = records(out)
    scored(folder, out, draws=DRAWS, progress=lambda _done, _all, what: said.append(what))
    assert {what[:6] for what in said} == {"subj01"}
    assert records(out)["subj02"] == before["subj02"]
    assert written(out) == written(found.path)
    for shard in folder.glob("*-imagery/*.arrow"):
        shard.unlink()
    scored(folder, out, draws=DRAWS)
    assert written(out) == written(found.path)
    with pytest.raises(MissingDataError):
        scored(folder, out, draws=DRAWS - 1)
    alone = scored(folder, out, subjects="subj01", draws=DRAWS)
    assert set(written(alone.path)) == {"scores.parquet", "items.parquet", "evaluation.json", "voxels-subj01.parquet"}


def test_a_record_that_is_damaged_or_gone_is_made_again(dataset: Path, tmp_path: Path) -> None:
    scored(dataset, tmp_path / "e", subjects=1, draws=9)
    (record,) = (tmp_path / "e/.evaluate").glob("*.npz")
    whole = written(tmp_path / "e")
    record.write_bytes(record.read_bytes()[:5000])
    scored(dataset, tmp_path / "e", subjects=1, draws=9)
    assert written(tmp_path / "e") == whole
    shutil.rmtree(tmp_path / "e/.evaluate")
    scored(dataset, tmp_path / "e", subjects=1, draws=9)
    assert written(tmp_path / "e") == whole


def test_ctrl_c_leaves_nothing_half_written_and_a_rerun_keeps_the_finished_subject(
    dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    line = [sys.executable, "-m", "nsd_imagery", "evaluate", str(dataset), "--out", str(out)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not list(out.glob(".evaluate/subj01-*.npz")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said.strip()) == (
        130,
        "stopped; nothing is broken, run the same command again to go on",
    )
    assert set(records(out)) == {"subj01"}
    assert written(out) == {}
    assert not list(out.rglob(".partial-*"))
    before = records(out)
    assert command(dataset, "--out", out).returncode == 0
    assert records(out)["subj01"] == before["subj01"]
    assert set(written(out)) >= {"scores.parquet", "evaluation.json"}


def test_a_subject_that_fails_is_named_and_the_others_are_kept(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    (shard,) = folder.glob("subj01-vision/*.arrow")
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(DataError, match="subj01-vision") as caught:
        scored(folder, tmp_path / "e", draws=DRAWS)
    assert caught.value.__notes__ == ["subj01 failed; what is finished of others is kept"]
    assert set(records(tmp_path / "e")) == {"subj02"}
    assert written(tmp_path / "e") == {}


@pytest.mark.parametrize(
    ("options", "tolerance"), [({"zscore": "session"}, 1e-4), ({"zscore": "none"}, 1e-4), ({"dtype": "float16"}, 0.01)]
)
def test_however_a_folder_was_scaled_the_numbers_are_the_same(
    built: Built, found: Evaluation, tmp_path: Path, options: dict[str, str], tolerance: float
) -> None:
    expected = {kind_of(one): one for one in found.scores if one.subject == "subj01"}
    scores = scored(built(**options), tmp_path / "e", draws=DRAWS).scores
    of_subject = {kind_of(one): one for one in scores if one.subject == "subj01"}
    assert of_subject.keys() == expected.keys()
    for kind, one in of_subject.items():
        assert (one.value is None) == (expected[kind].value is None)
        is_share = kind.measure.startswith("identification")  # a trial may change sides where two targets are as like
        slack = 3 / 48 if is_share and "dtype" in options else tolerance
        assert one.value is None or one.value == pytest.approx(expected[kind].value, abs=slack, rel=10 * tolerance)


def test_betas_of_fithrf_beside_it_give_what_is_asked_across_runs(
    built: Built, dataset: Path, found: Evaluation, tmp_path: Path
) -> None:
    plain = built(betas="fithrf", subjects=["subj01", "subj02"])
    scores = scored(dataset, tmp_path / "e", across=plain, draws=DRAWS).scores
    own, before = ({(one.subject, kind_of(one)): one for one in many} for many in (scores, found.scores))
    new = {key for key, one in own.items() if one.value is not None and before[key].value is None}
    assert {kind.how for _, kind in new if kind.measure in ("identification", "margin", "ncsnr")} == {"across"}
    assert {"pattern_covariance", "rdm_similarity"} < {kind.measure for _, kind in new}
    assert {own[key].dataset for key in new} == {scored(plain, tmp_path / "p", draws=9).scores[0].dataset}
    correlation = only(scores, measure="pattern_correlation", stimulus_set="", subject=GROUP)
    assert correlation.reason == "of the group alone: needs 3 subjects"
    assert own.keys() == before.keys()
    assert all(own[key] == one for key, one in before.items() if one.value is not None)
    with pytest.raises(UsageError, match="is of fithrf itself; leave --across out"):
        scored(plain, tmp_path / "p", across=dataset)
    with pytest.raises(UsageError, match="is of fithrf_GLMdenoise_RR, whose regularisation"):
        scored(dataset, tmp_path / "p", across=dataset)
    one_subject = built(betas="fithrf")
    alone = scored(dataset, tmp_path / "alone", subjects=1, across=one_subject, draws=9)
    assert "covariance" in next(line.text for line in alone.headline if line.name == "shared pattern")
    with pytest.raises(UsageError, match="no subject 'subj02'"):
        scored(dataset, tmp_path / "p", across=one_subject)


# --- what cannot be, and why


def test_a_folder_of_one_condition_says_what_needs_the_other(built: Built, tmp_path: Path) -> None:
    scores = scored(built(conditions=["vision"]), tmp_path / "e", draws=DRAWS)
    of_group = [one for one in scores.scores if one.subject == GROUP]
    assert only(of_group, measure="ncsnr", condition="vision", stimulus_set="").value is not None
    primary = next(one for one in of_group if PRIMARY.is_of(one))
    assert (primary.value, primary.p, primary.n_subjects) == (None, None, 0)
    assert "imgA_2: the folder has no subj01-imagery; imgB_2" in primary.reason
    assert "imgA_1" in scores.left_out["subj01"]["nsdgeneral"]
    assert "not estimated" in next(line.text for line in scores.headline if line.name == "vision → imagery")


def test_a_folder_of_attention_alone_has_nothing_to_evaluate(built: Built, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no trials to evaluate; build some"):
        scored(built(conditions=["attention"]), tmp_path / "e")


def test_a_folder_of_perception_alone_has_the_reliability_of_perception(repeated_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(repeated_release, tmp_path / "d", conditions=["perception"])
    scores = scored(folder, tmp_path / "e", draws=DRAWS).scores
    assert {one.condition for one in scores if one.value is not None} == {"perception"}
    maps = pq.ParquetFile(tmp_path / "e/voxels-subj01.parquet").read(use_threads=False)
    assert maps.num_rows == nsd_imagery.load(folder, "subj01-voxels", "train").num_rows
    assert maps["perception_signal"].null_count == 0
    assert maps["vision_signal"].null_count == maps.num_rows


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nsd_imagery.synth(tmp_path_factory.mktemp("cache") / "cache", layout="cache", format="hdf5")


def changed(tree: Path, place: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> Path:
    """A folder built from a tree whose manifest has other rows."""
    own = Path(shutil.copytree(tree, place / "cache", copy_function=os.link))
    path = own / "nsd_imagery/metadata/trial_manifest_subj01.csv"
    with path.open(newline="") as file:
        rows = [row for row in map(change, csv.DictReader(file)) if row is not None]
    path.unlink()
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return nsd_imagery.build(own, place / "d", conditions=["vision", "imagery"])


def test_a_run_that_is_left_out_is_named_and_takes_nothing_from_the_others(tree: Path, tmp_path: Path) -> None:
    folder = changed(tree, tmp_path, lambda row: None if row["beta_index"] == "150" else row)
    whole = changed(tree, tmp_path / "whole", lambda row: row)
    less, more = (scored(one, tmp_path / f"e{n}", draws=DRAWS) for n, one in enumerate((folder, whole)))
    assert less.left_out == {"subj01": {"nsdgeneral": {"imgA_1": "its 47 rows are not 48 trials in a row"}}}
    done = CliRunner().invoke(verb, [str(folder), "--out", str(tmp_path / "e0"), "--draws", str(DRAWS), "-v"])
    assert "left out: imgA_1 of subj01: its 47 rows are not 48 trials in a row" in done.stdout
    own, every = ({kind_of(one): one for one in many.scores if one.subject == GROUP} for many in (less, more))
    for kind, one in own.items():
        if kind.stimulus_set == "B" or (kind.train, kind.test) == ("visX", "imgX_2"):
            assert one.value == (None if every[kind].value is None else pytest.approx(every[kind].value, rel=1e-6))
            assert (one.p, one.n_trials, one.reason) == (every[kind].p, every[kind].n_trials, every[kind].reason)
    raw = next(one for kind, one in own.items() if (kind.test, kind.stimulus_set) == ("imgX_1", "A"))
    assert (raw.value, raw.reason) == (None, "imgA_1: its 47 rows are not 48 trials in a row")


def test_a_group_says_who_lacks_what(built: Built, release: Path, tmp_path: Path) -> None:
    folder = built(conditions=["vision"])
    nsd_imagery.build(release, folder, subjects=["subj02"], conditions=["vision", "imagery"])
    scores = scored(folder, tmp_path / "e", draws=DRAWS).scores
    primary = next(one for one in scores if PRIMARY.is_of(one))
    assert (primary.n_subjects, primary.reason) == (1, "without set A of subj01, set B of subj01")
    ncsnr = only(scores, subject=GROUP, measure="ncsnr", condition="imagery", stimulus_set="B", how="within")
    assert (ncsnr.n_subjects, ncsnr.reason) == (1, "includes the letter on the screen; without subj01")


def test_without_set_c_the_sets_that_are_there_are_estimated(tree: Path, tmp_path: Path) -> None:
    folder = changed(tree, tmp_path, lambda row: None if row["stimulus_set"] == "C" else row)
    scores = scored(folder, tmp_path / "e", draws=DRAWS).scores
    of_group = [one for one in scores if one.subject == GROUP]
    assert {one.value is None for one in of_group if one.stimulus_set == "C"} == {True}
    assert next(one for one in of_group if PRIMARY.is_of(one)).value is not None
    ncsnr = [one for one in of_group if (one.measure, one.condition, one.how) == ("ncsnr", "vision", "within")]
    assert {one.stimulus_set: one.value is None for one in ncsnr} == {"A": False, "B": False, "C": True, "": False}


def test_where_nothing_can_be_estimated_the_verb_says_so_and_exits_with_1(tree: Path, tmp_path: Path) -> None:
    folder = changed(tree, tmp_path, lambda row: {**row, "run_number": ""})
    done = command(folder, "--out", tmp_path / "e", "--draws", DRAWS)
    assert (done.returncode, done.stderr) == (1, "")
    assert "not estimated: " in done.stdout
    assert {one.value for one in read_scores(tmp_path / "e/scores.parquet")} == {None}


def test_without_signal_nothing_is_reliable(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "r", signal="none", format="hdf5", subjects=["subj01", "subj02"])
    folder = nsd_imagery.build(root, tmp_path / "d", conditions=["vision", "imagery"], roi=["nsdgeneral", "early"])
    scores = scored(folder, tmp_path / "e", draws=1999).scores
    p = [one.p_corrected for one in scores if one.subject == GROUP and one.measure in ("signal_variance", "margin")
         and one.p_corrected is not None]  # fmt: skip
    assert len(p) > 50
    assert min(p) > 0.001
    primary = next(one for one in scores if PRIMARY.is_of(one))
    assert primary.p is not None
    assert primary.p > 0.05
    within = only(scores, measure="identification", subject=GROUP, roi="nsdgeneral", train="visX", test="visX",
                  stimulus_set="", how="within")  # fmt: skip
    assert within.chance is not None
    assert within.chance > 1 / 6
    assert within.value == pytest.approx(within.chance, abs=0.08)


# --- what people write


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"subjects": "subj3"}, "no subject 'subj03' (did you mean 'subj02'?); there are: subj01, subj02"),
        ({"subjects": "sbj1"}, "no subject 'sbj1'"),
        ({"roi": "nsdgenral"}, "no ROI 'nsdgenral' (did you mean 'nsdgeneral'?); there are: nsdgeneral"),
        ({"draws": 0}, "draws is a number from 1 to 9999, not 0"),
        ({"draws": 10_000}, "draws is a number from 1 to 9999, not 10000"),
        ({"across": "nowhere"}, "no dataset here"),
        ({"workers": 2}, "nsd-imagery evaluate --workers 2"),
        ({"drwas": 2}, "evaluate has no argument drwas (did you mean 'draws'?)"),
    ],
)
def test_what_cannot_be_meant_is_one_line(dataset: Path, tmp_path: Path, options: dict[str, object], line: str) -> None:
    with pytest.raises((UsageError, MissingDataError)) as caught:
        scored(dataset, tmp_path / "e", **options)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "e").exists()


def test_a_wrong_folder_is_one_line_of_the_verb(tmp_path: Path) -> None:
    done = command(tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"nsd-imagery: {tmp_path}/nowhere: no dataset here")
    assert done.stderr.count("\n") == 1


def test_more_than_twelve_rois_are_no_family_and_one_that_a_subject_lacks_is_named(
    built: Built, release: Path, tmp_path: Path
) -> None:
    rois = "nsdgeneral early higher V1 V2 V3 hV4 V1v V1d V2v V2d V3v V3d".split()
    folder = built(conditions=["vision"], roi=rois)
    with pytest.raises(UsageError, match=r"13 ROIs .* choose up to 12 with --roi"):
        scored(folder, tmp_path / "e")
    nsd_imagery.build(release, folder, subjects=["subj02"], conditions=["vision"], roi="V1")
    with pytest.raises(UsageError, match=r"has no V2 of subj02, only V1; .* --subjects subj02 --roi V2"):
        scored(folder, tmp_path / "e", roi=["v1", "v2"])


def test_nothing_is_written_where_something_else_lies(dataset: Path, built: Built, tmp_path: Path) -> None:
    before = files(dataset)
    for out in (dataset, dataset / "evaluation", built(conditions=["vision"])):
        with pytest.raises(FolderError, match="is in a dataset folder, and those are only read"):
            scored(dataset, out, draws=9)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is a file"):
        scored(dataset, tmp_path / "file", draws=9)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/scores.parquet").write_text("of somebody")
    with pytest.raises(FolderError, match=r"holds a scores\.parquet that no evaluation wrote"):
        scored(dataset, tmp_path / "mine", draws=9)
    with holding(tmp_path / "e/.evaluate/lock", str), pytest.raises(BusyError, match="another evaluation"):
        scored(dataset, tmp_path / "e", draws=9)
    assert files(dataset) == before


def test_a_folder_that_may_only_be_read_is_evaluated(dataset: Path, tmp_path: Path, found: Evaluation) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    scored(folder, tmp_path / "e", draws=DRAWS)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert written(tmp_path / "e") == written(found.path)


def test_no_number_of_any_file_is_nan(found: Evaluation) -> None:
    assert all(math.isfinite(one.value) for one in found.scores if one.value is not None)
    assert "NaN" not in (found.path / "evaluation.json").read_text(encoding="utf-8")
