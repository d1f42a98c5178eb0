"""Two evaluations side by side: what is paired with what, by which interval, and what is not compared."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import t, ttest_1samp, ttest_rel

import nsd_imagery
from nsd_imagery.embeddings import read_embeddings
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.evaluation.group import PUBLISHED_SUBJECTS
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.score import GROUP, Items, Score, read_scores, write_scores
from nsd_imagery.evaluation.side_by_side.differences import Difference, of_group, of_one
from nsd_imagery.evaluation.side_by_side.table import shown_rows, table_of_differences
from test_score import SCORE

evaluated = partial(nsd_imagery.evaluate, report=False)

pytestmark = pytest.mark.slow

SUBJECT = "subj01"
DRAWS = 39  # ceilings need p ≤ .05
Vectors = dict[tuple[str, str], NDArray[np.float64]]


@pytest.fixture(scope="module")
def vectors(core_release: Path) -> Vectors:
    """What was planted, by kind and stimulus."""
    rows = read_embeddings(core_release / "truth" / "latents.parquet")[1]
    return {key: np.asarray(row.vector, np.float64) for key, row in rows.items()}


@pytest.fixture(scope="module")
def predictions(core_dataset: Path, vectors: Vectors, tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Vectors of all valid trials that are tested: the truth in noise, with the stimulus beside it."""
    rng, rows = np.random.default_rng(1), []
    for condition in ("perception", "vision", "imagery"):
        trials = nsd_imagery.load(core_dataset, f"{SUBJECT}-{condition}", "test")
        said = (trials[name] for name in ("trial_id", "stimulus", "is_valid", "run_name"))
        for trial_id, stimulus, is_valid, run in zip(*said, strict=True):
            truth = vectors[("image", stimulus) if ("image", stimulus) in vectors else ("text", stimulus)]
            vector = truth + 3 * truth.std() * rng.standard_normal(len(truth))
            if is_valid:
                rows.append((SUBJECT, trial_id, vector.tolist(), stimulus, run))
    names = ("subject", "trial_id", "vector", "stimulus_said", "run_said")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


Evaluate = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def evaluate(core_dataset: Path, core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Evaluates `core_dataset` with few draws, into a new folder."""

    def run(predictions: pa.Table | None = None, **options: Any) -> Evaluation:
        folder = tmp_path_factory.mktemp("compared")
        if predictions is not None:
            pq.write_table(predictions, folder / "predictions.parquet")
            options["predictions"] = folder / "predictions.parquet"
        options = {"embeddings": core_release / "truth", "draws": DRAWS, **options}
        return evaluated(core_dataset, folder / "e", **options)

    return run


@pytest.fixture(scope="module")
def ridge(evaluate: Evaluate) -> Evaluation:
    return evaluate()


@pytest.fixture(scope="module")
def mine(evaluate: Evaluate, predictions: pa.Table) -> Evaluation:
    """With the scores of ridge too."""
    return evaluate(predictions)


@pytest.fixture
def edited(ridge: Evaluation, tmp_path: Path) -> Callable[..., Path]:
    """A copy of `ridge` with other scores."""

    def edit(change: Callable[[Score], Score]) -> Path:
        folder = Path(shutil.copytree(ridge.path, tmp_path / "edited"))
        write_scores(folder / "scores.parquet", [change(score) for score in read_scores(folder / "scores.parquet")])
        return folder

    return edit


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "nsd_imagery", "compare", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def only(rows: Any, **said: object) -> Difference:
    said = {"subject": SUBJECT, "how": "decode", **said}
    (row,) = [
        one
        for one in rows
        if one.a.train != one.b.train and all(getattr(one.a, name) == value for name, value in said.items())
    ]
    return row


# --- what a difference and its interval are


def items_of(evaluation: Evaluation, **said: object) -> dict[str, tuple[float, int]]:
    rows = pq.ParquetFile(evaluation.path / "items.parquet").read(use_threads=False).to_pylist()
    said = {"subject": SUBJECT, "how": "decode", **said}
    mine = [row for row in rows if all(row[name] == value for name, value in said.items())]
    assert len({row["stimulus"] for row in mine}) == len(mine)
    return {row["stimulus"]: (row["value"], row["n_tests"]) for row in mine}


def test_a_score_is_kept_by_stimulus_as_the_mean_over_its_tests(
    mine: Evaluation, predictions: pa.Table, vectors: Vectors
) -> None:
    """Raw cosine, whose value of a trial needs no other trial."""
    found = items_of(
        mine, measure="cosine", train="predictions", test="imgX_2", stimulus_set="B", unit="trial", among=None
    )
    cosines: dict[str, list[float]] = {}
    for row in predictions.to_pylist():
        if row["run_said"] == "imgB_2":
            own, truth = np.array(row["vector"]), vectors["image", row["stimulus_said"]]
            cosine = own @ truth / np.linalg.norm(own) / np.linalg.norm(truth)
            cosines.setdefault(row["stimulus_said"], []).append(cosine)
    assert found == {name: (pytest.approx(np.mean(each)), 8) for name, each in cosines.items()}
    assert len(found) == 6


def test_items_are_of_their_scores_and_every_score_of_a_model_has_some(mine: Evaluation) -> None:
    scores = [
        score
        for score in mine.scores
        if score.subject == SUBJECT and score.value is not None and score.how.startswith(("decode", "encode"))
        and score.train in ("perception", "predictions") and (score.stimulus_set or score.n_candidates != 6)
    ]  # fmt: skip
    assert len({score.measure for score in scores}) == 9
    assert "encode, by √NC(n)" in {score.how for score in scores}
    table = pq.ParquetFile(mine.path / "items.parquet").read(use_threads=False).to_pylist()
    names = ("measure", "subject", "condition", "stimulus_set", "train", "test", "unit", "how")
    sums: dict[tuple[Any, ...], list[float]] = {}
    for row in table:
        key = (*(row[name] for name in names), row["among"])
        each = sums.setdefault(key, [0.0, 0])
        each[0], each[1] = each[0] + row["value"] * row["n_tests"], each[1] + row["n_tests"]
    for score in scores:
        total, n = sums.pop(
            (*(getattr(score, name) for name in names), score.n_candidates if score.n_candidates == 12 else None)
        )
        assert total / n == pytest.approx(score.value, abs=1e-12)
    assert {key[names.index("train")] for key in sums} == {"repeats", "visX", "imgX_1", "imgX_2"}
    assert {key[names.index("measure")] for key in sums if key[names.index("train")] != "repeats"} == {
        "identification", "margin"
    }  # fmt: skip


def test_identification_of_betas_is_kept_by_stimulus_and_of_vis_c_by_the_word(
    ridge: Evaluation, core_dataset: Path
) -> None:
    imagery = nsd_imagery.load(core_dataset, f"{SUBJECT}-imagery", "test")
    shown = {run: set() for run in imagery.unique("run_name")}
    for run, stimulus in zip(imagery["run_name"], imagery["stimulus"], strict=True):
        shown[run].add(stimulus)
    for measure in ("identification", "margin"):
        for test, how in (("visX", "within"), ("imgX_2", "letter-free"), ("imgX_1", "detrended")):
            for name in "ABC":
                said = {"measure": measure, "test": test, "how": how, "stimulus_set": name, "unit": "trial"}
                found = items_of(ridge, **said)
                (score,) = [one for one in ridge.scores if all(getattr(one, k) == v for k, v in said.items())
                            and one.subject == SUBJECT]  # fmt: skip
                assert set(found) == shown[f"img{name}_2"]
                assert {n for _, n in found.values()} == {8}
                assert np.mean([value for value, _ in found.values()]) == pytest.approx(score.value, abs=1e-12)


def test_betas_of_one_subject_in_two_datasets_are_compared_target_by_target(
    ridge: Evaluation, core_release: Path, tmp_path: Path
) -> None:
    smooth = nsd_imagery.build(
        core_release, tmp_path / "d", subjects=[SUBJECT], conditions=["vision", "imagery"], smoothing_fwhm=3
    )
    other = evaluated(smooth, tmp_path / "e", draws=DRAWS)
    rows = {
        (row.a.measure, row.a.stimulus_set): row
        for row in nsd_imagery.compare(ridge, other, other_dataset=True).rows
        if (row.a.subject, row.a.how, row.a.unit) == (SUBJECT, "letter-free", "trial")
    }
    for measure in ("identification", "margin"):
        said = {"measure": measure, "how": "letter-free", "unit": "trial", "stimulus_set": "A"}
        values = [np.array([value for value, _ in items_of(one, **said).values()]) for one in (ridge, other)]
        ends = ttest_rel(values[1], values[0]).confidence_interval()
        row = rows[measure, "A"]
        assert (row.low, row.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
        assert (row.interval, row.n_pairs) == ("t over stimuli, paired", 6)
        assert (rows[measure, ""].interval, rows[measure, ""].n_pairs) == ("t over stimuli, paired", 12)
        assert rows[measure, ""].difference == pytest.approx(rows[measure, ""].b.value - rows[measure, ""].a.value)


@pytest.mark.parametrize("said", [
    {"measure": "two_way", "test": "imgX", "stimulus_set": "A", "unit": "trial"},
    {"measure": "cosine", "test": "visX", "stimulus_set": "C", "unit": "mean"},
    {"measure": "identification", "test": "imgX_1", "stimulus_set": "B", "unit": "trial"},
])  # fmt: skip
def test_the_interval_of_one_subject_is_t_over_stimuli_paired(
    ridge: Evaluation, mine: Evaluation, said: dict[str, str]
) -> None:
    row = only(nsd_imagery.compare(ridge.path, mine.path).rows, **said)
    values = [
        np.array([value for value, _ in items_of(evaluation, **said, train=train, among=None).values()])
        for evaluation, train in ((ridge, "perception"), (mine, "predictions"))
    ]
    ends = ttest_rel(values[1], values[0]).confidence_interval()
    assert (row.low, row.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
    assert row.difference == pytest.approx(row.b.value - row.a.value)
    assert (row.interval, row.n_pairs, row.notes) == ("t over stimuli, paired", 6, "")


def test_over_sets_stimuli_vary_within_their_set(ridge: Evaluation, mine: Evaluation) -> None:
    rows = nsd_imagery.compare(ridge, mine).rows
    said = {"measure": "two_way", "test": "imgX", "unit": "trial"}
    pooled = only(rows, **said, stimulus_set="", n_candidates=6)
    parts = [only(rows, **said, stimulus_set=name) for name in ("A", "B")]
    assert pooled.difference == pytest.approx(np.mean([part.difference for part in parts]))
    variances = np.array([((part.high - part.low) / 2 / t.ppf(0.975, 5)) ** 2 for part in parts])
    freedom = variances.sum() ** 2 / (variances**2 / 5).sum()  # Welch and Satterthwaite
    half = t.ppf(0.975, freedom) * variances.sum() ** 0.5 / 2
    assert (pooled.low, pooled.high) == (
        pytest.approx(pooled.difference - half),
        pytest.approx(pooled.difference + half),
    )
    assert pooled.n_pairs == 12
    together = only(rows, **said, stimulus_set="", n_candidates=12)
    assert together.n_pairs == 12
    assert together.difference != pooled.difference


def test_an_interval_covers_as_it_says_and_what_is_hard_for_both_is_not_in_it() -> None:
    rng, names, counts = np.random.default_rng(2), tuple("abcdefgh"), np.full(8, 5)
    hits, widths = 0, []
    for _ in range(400):
        hard = 10 * rng.standard_normal(8)
        a, b = (Items(names, hard + shift + rng.standard_normal(8), counts) for shift in (0, 1))
        row = of_one(*(replace(SCORE, value=one.mean) for one in (a, b)), [(a, b)], [])
        hits += row.low <= 1 <= row.high
        widths.append(row.high - row.low)
    assert 0.92 <= hits / 400 <= 0.98
    assert np.mean(widths) < 5


def test_of_stimuli_and_trials_that_one_has_and_the_other_not_the_rest_is_compared_and_said() -> None:
    a = Items(("x", "y", "z", "w"), np.array([0.0, 1, 2, 9]), np.array([4, 4, 2, 4]))
    b = Items(("z", "y", "x", "v"), np.array([5.0, 2, 1, 0]), np.array([4, 4, 4, 4]))
    row = of_one(*(replace(SCORE, value=one.mean) for one in (a, b)), [(a, b)], [])
    assert row.difference == pytest.approx((4 * 1 + 4 * 1 + 2 * 3) / 10)
    assert row.notes == "of the 3 stimuli tested in both, of 10 and 12 tests"
    few = of_one(a=SCORE, b=SCORE, items=[(replace(a, stimuli=("x", "y", "p", "q")), b)], notes=[])
    assert (few.difference, few.low, few.interval) == (1, None, "needs 3 stimuli")
    none = of_one(SCORE, SCORE, [(replace(a, stimuli=tuple("pqrs")), b)], [])
    assert (none.difference, none.notes) == (None, "no stimulus was tested in both")


def group(differences: dict[str, float | None], n_subjects: int) -> Difference:
    score = replace(SCORE, subject=GROUP, n_subjects=n_subjects)
    rows = {name: Difference(SCORE, SCORE, value, None, None, "", None, "") for name, value in differences.items()}
    return of_group(score, score, rows, [])


def test_the_interval_of_a_group_is_t_over_subjects_paired() -> None:
    values = [0.1, 0.3, 0.15, 0.2]
    row = group({f"subj0{number}": value for number, value in enumerate(values, 1)}, 4)
    ends = ttest_1samp(values, 0).confidence_interval()
    assert (row.difference, row.n_pairs, row.notes) == (pytest.approx(np.mean(values)), 4, "")
    assert (row.low, row.high) == (pytest.approx(ends.low), pytest.approx(ends.high))
    lacking = group({"subj01": 0.1, "subj02": None, "subj03": 0.3}, 3)
    assert (lacking.difference, lacking.low, lacking.interval) == (pytest.approx(0.2), None, "needs 3 subjects")
    assert lacking.notes == "without subj02; of the 2 subjects in both"


def test_groups_are_made_of_the_subjects_that_both_have(ridge: Evaluation, tmp_path: Path) -> None:
    (one,) = [
        score
        for score in ridge.scores
        if (score.measure, score.test, score.unit, score.stimulus_set, score.subject, score.train)
        == ("two_way", "imgX", "trial", "A", SUBJECT, "perception")
    ]
    names, rng = [f"subj0{number}" for number in range(1, 9)], np.random.default_rng(3)
    values = {(side, name): float(rng.uniform(0.5, 1)) for side in "ab" for name in names}
    for side, mine in (("a", names), ("b", names[1:])):
        rows = [replace(one, subject=name, value=values[side, name]) for name in mine]
        rows += [
            replace(one, subject=name, value=float(np.mean([values[side, who] for who in of])), n_subjects=len(of))
            for name, of in ((GROUP, mine), (PUBLISHED_GROUP, PUBLISHED_SUBJECTS))
        ]
        write_scores(tmp_path / f"{side}.parquet", rows)
    rows = {row.a.subject: row for row in nsd_imagery.compare(tmp_path / "a.parquet", tmp_path / "b.parquet").rows}
    for name, of in ((GROUP, names[1:]), (PUBLISHED_GROUP, ("subj02", "subj05", "subj07"))):
        assert rows[name].difference == pytest.approx(np.mean([values["b", who] - values["a", who] for who in of]))
        assert rows[name].n_pairs == len(of)
        assert f"of the {len(of)} subjects in both" in rows[name].notes
    assert rows["subj02"].interval == "no values by stimulus are kept of it"


# --- what is compared with what


def test_a_decoder_is_compared_with_predictions_and_what_is_the_same_is_equal(
    ridge: Evaluation, mine: Evaluation
) -> None:
    found = nsd_imagery.compare(ridge, mine.path)
    across = [row for row in found.rows if row.a.train != row.b.train]
    assert {(row.a.train, row.b.train) for row in across} == {("perception", "predictions")}
    assert {row.a.test for row in across} == {"perception", "visX", "imgX_1", "imgX_2", "imgX"}
    assert {row.a.measure for row in across} >= {"cosine", "two_way", "identification", "retrieval_at_1"}
    same = [row for row in found.rows if row.a.train == row.b.train and row.a.value is not None]
    assert len(same) == sum(score.value is not None for score in ridge.scores)
    assert {row.difference for row in same} == {0.0}
    assert not found.only_a
    assert {score.train for score in found.only_b} == {"chance", "constant"}
    back = nsd_imagery.compare(mine, ridge)
    for row in across:
        (other,) = [one for one in back.rows if (one.a, one.b) == (row.b, row.a)]
        assert other.difference == (None if row.difference is None else -row.difference)


def test_an_evaluation_is_not_compared_with_itself_across_its_models(mine: Evaluation) -> None:
    found = nsd_imagery.compare(mine, mine)
    assert len(found.rows) == len(mine.scores)
    assert all(row.a == row.b and row.difference in (0.0, None) for row in found.rows)


def test_scores_among_other_candidates_are_not_compared(
    evaluate: Evaluate, ridge: Evaluation, predictions: pa.Table
) -> None:
    """Where predictions of some pictures are lacking, the others are told apart among fewer."""
    shared = [row for row, name in enumerate(predictions["run_said"].to_pylist()) if not name]
    some = predictions.take([row for row in range(len(predictions)) if row not in shared[::2]])
    found = nsd_imagery.compare(ridge, evaluate(some, partial=True, test_sets=["perception", "imagery"]))
    row = only(found.rows, measure="retrieval_at_1", unit="trial", test="perception")
    assert row.difference is None
    assert row.notes.startswith("other candidates: the ")
    assert only(found.rows, measure="two_way", test="imgX", stimulus_set="A", unit="trial").low is not None


def test_cosines_are_not_compared_where_vectors_are_of_another_space(
    evaluate: Evaluate, ridge: Evaluation, predictions: pa.Table, vectors: Vectors, tmp_path: Path
) -> None:
    kinds, names = zip(*vectors, strict=True)
    turned = [vector[::-1].tolist() for vector in vectors.values()]
    pq.write_table(pa.table({"kind": kinds, "stimulus": names, "vector": turned}), tmp_path / "targets.parquet")
    mirrored = [vector[::-1] for vector in predictions["vector"].to_pylist()]
    other = predictions.set_column(predictions.column_names.index("vector"), "vector", pa.array(mirrored))
    found = nsd_imagery.compare(ridge, evaluate(other, targets=tmp_path / "targets.parquet", test_sets="imagery"))
    said = {"test": "imgX", "stimulus_set": "A", "unit": "trial"}
    assert only(found.rows, measure="cosine", **said).notes == "cosines in different spaces of vectors"
    assert only(found.rows, measure="two_way", **said).difference is not None


def test_other_data_are_refused_unless_asked_for_and_voxels_are_said(
    ridge: Evaluation, edited: Callable[..., Path]
) -> None:
    folder = edited(lambda score: replace(score, dataset="feed", n_voxels=score.n_voxels and score.n_voxels + 1))
    with pytest.raises(UsageError, match=r"are of different datasets, \w{16} \(.*\) and feed .*--other-dataset"):
        nsd_imagery.compare(ridge, folder)
    done = command(ridge.path, folder)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    found = nsd_imagery.compare(ridge, folder, other_dataset=True)
    assert "a difference may be theirs" in found.notes[0]
    (row,) = [
        row
        for row in found.rows
        if (row.a.measure, row.a.stimulus_set, row.a.test) == ("ncsnr", "A", "visX") and row.a.subject == SUBJECT
    ]
    assert row.notes == f"of {row.a.n_voxels:,} and {row.b.n_voxels:,} voxels"
    assert "note: of different datasets" in command(ridge.path, folder, "--other-dataset").stdout


def test_a_score_that_one_could_not_estimate_is_of_no_other_dataset(
    ridge: Evaluation, edited: Callable[..., Path]
) -> None:
    """What is asked across runs is of another folder, where it is asked."""
    folder = edited(lambda score: score if score.value is not None else replace(score, dataset="feed"))
    assert nsd_imagery.compare(ridge, folder).rows


def test_other_draws_are_compared(evaluate: Evaluate, ridge: Evaluation) -> None:
    found = nsd_imagery.compare(ridge, evaluate(draws=5, test_sets="vision"))
    assert any(row.difference == 0.0 and row.a.p != row.b.p for row in found.rows)


# --- what cannot be meant


def test_what_is_no_evaluation_is_one_line(ridge: Evaluation, core_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("nothing")
    for path, message in (
        (tmp_path / "nowhere", "no such file or folder; evaluate a dataset"),
        (tmp_path, "holds no scores.parquet"),
        (core_dataset, rf"nsd-imagery evaluate \S*{core_dataset.name} --out DIR"),
    ):
        with pytest.raises(MissingDataError, match=message):
            nsd_imagery.compare(ridge, path)
    with pytest.raises(DataError, match="is no table of scores"):
        nsd_imagery.compare(tmp_path / "text.parquet", ridge)
    done = command(ridge.path, tmp_path / "nowhere")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)


def test_evaluations_of_nothing_in_common_are_refused(ridge: Evaluation, tmp_path: Path) -> None:
    write_scores(tmp_path / "other.parquet", [replace(SCORE, subject="subj07")])
    with pytest.raises(UsageError, match="no score of the same tests: their subjects are subj01, group, and subj07"):
        nsd_imagery.compare(ridge, tmp_path / "other.parquet")


def test_items_that_are_not_of_the_scores_beside_them_are_refused(
    ridge: Evaluation, edited: Callable[..., Path]
) -> None:
    folder = edited(lambda score: score if score.measure != "cosine" else replace(score, value=0.1))
    with pytest.raises(DataError, match=r"items\.parquet: is not of the scores beside it; evaluate again"):
        nsd_imagery.compare(ridge, folder)
    (folder / "items.parquet").write_text("nothing")
    with pytest.raises(DataError, match="is no table of scores by stimulus"):
        nsd_imagery.compare(ridge, folder)
    (folder / "items.parquet").unlink()
    assert nsd_imagery.compare(ridge, folder).rows


def test_items_go_with_the_evaluation_that_wrote_them(
    core_dataset: Path, core_release: Path, ridge: Evaluation, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(ridge.path, tmp_path / "e"))
    said = json.loads((folder / "evaluation.json").read_text())
    assert list(said["files"])[:2] == ["scores.parquet", "items.parquet"]
    of_betas = evaluated(core_dataset, folder, draws=DRAWS)
    assert not items_of(of_betas)  # of a decoder
    seen = nsd_imagery.build(core_release, tmp_path / "d", subjects=[SUBJECT], conditions=["perception"])
    evaluated(seen, folder, draws=DRAWS)
    assert not (folder / "items.parquet").exists()


# --- what is said


def test_the_table_fits_a_screen_and_says_what_differs(ridge: Evaluation, mine: Evaluation) -> None:
    rows = nsd_imagery.compare(ridge, mine).rows
    lines = table_of_differences(shown_rows(rows)).splitlines()
    assert lines[0] == f"{SUBJECT}, nsdgeneral"
    assert lines[1].replace("B − A", "B−A").split() == ["measure", "of", "unit", "N", "A", "B", "B−A", "interval"]
    assert 8 <= len(lines) <= 22
    assert all("[" in line for line in lines[2:])
    wordy = [
        replace(row, a=replace(row.a, roi="V1+V2" * number, subject=f"subj0{number}"))
        for row in rows
        for number in (1, 2)
    ]
    every = table_of_differences(wordy).splitlines()
    assert len(every) == 2 * len(rows) + 1
    assert max(map(len, [*lines, *every])) <= 100
    assert table_of_differences([]) == ""


def test_a_group_stands_for_its_subjects_where_it_has_an_interval() -> None:
    def row(subject: str, n_pairs: int) -> Difference:
        score = replace(SCORE, subject=subject, stimulus_set="")
        return Difference(score, replace(score, value=0.9), 0.4, None, None, "", n_pairs, "")

    three = [*(row(f"subj0{number}", 12) for number in (1, 2, 3)), row(GROUP, 3), row(PUBLISHED_GROUP, 3)]
    assert [one.a.subject for one in shown_rows(three)] == [GROUP]
    two = [*(row(f"subj0{number}", 12) for number in (1, 2)), row(GROUP, 2)]
    assert [one.a.subject for one in shown_rows(two)] == ["subj01", "subj02"]


def test_the_command_says_it_to_people_and_to_programs(ridge: Evaluation, mine: Evaluation) -> None:
    done = command(ridge.path, mine.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"A {ridge.path}\nB {mine.path}\n{SUBJECT}, nsdgeneral\n" in done.stdout
    assert "models: A perception, B predictions\nintervals: t over stimuli, paired\n" in done.stdout
    done = command(ridge.path, mine.path, "--json")
    said = json.loads(done.stdout, parse_constant=pytest.fail)
    assert said["n_compared"] == sum(row["difference"] is not None for row in said["rows"])
    assert {row["train_b"] for row in said["rows"]} >= {"predictions", "perception", "visX"}
    assert not said["only_a"]
