"""Transfer as a part of `evaluate`: its rows, what it is made from, and what anybody's predictions give beside it."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import nsd_imagery
from clip import save_tiny_clip
from folders import files
from nsd_imagery.cli.evaluate import evaluate as verb
from nsd_imagery.embeddings import read_embeddings, write_embeddings
from nsd_imagery.errors import (
    DataError,
    FolderError,
    MissingDataError,
    MissingEmbeddingError,
    UsageError,
)
from nsd_imagery.evaluation.ceiling import ceilings
from nsd_imagery.evaluation.group import grouped
from nsd_imagery.evaluation.perception import perception
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.runs import load_runs
from nsd_imagery.evaluation.score import GROUP, Measured, Score, read_scores
from nsd_imagery.evaluation.selected import only
from nsd_imagery.evaluation.subject import kind_of
from nsd_imagery.evaluation.transfer.baseline import measured_transfer
from nsd_imagery.evaluation.transfer.inputs import Embeddings, File, Inputs, opened
from nsd_imagery.evaluation.transfer.space import Space

evaluated = partial(nsd_imagery.evaluate, report=False)

pytestmark = pytest.mark.slow

DRAWS = 99
SUBJECT = "subj01"
OF_RUNS = "vision,imagery"


@pytest.fixture(scope="module")
def truth(core_release: Path) -> Path:
    """The folder with what was planted, as a file of embeddings of pictures and words."""
    return core_release / "truth"


@pytest.fixture(scope="module")
def space(truth: Path) -> Space:
    pictures, words = (nsd_imagery.ClipCache(truth.parent, kind=kind, folder=truth) for kind in ("image", "text"))
    return nsd_imagery.space_of(pictures, words)


@pytest.fixture(scope="module")
def found(core_dataset: Path, truth: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    place = tmp_path_factory.mktemp("evaluated")
    return evaluated(core_dataset, place / "e", embeddings=truth, save_decoder=place / "decoders", draws=DRAWS)


@pytest.fixture(scope="module")
def decoders(found: Evaluation) -> Path:
    return found.path.parent / "decoders"


def of(scores: tuple[Score, ...] | list[Score], **said: object) -> list[Score]:
    return [one for one in scores if all(getattr(one, name) == value for name, value in said.items())]


def only_one(scores: tuple[Score, ...] | list[Score], **said: object) -> Score:
    (one,) = of(scores, **said)
    return one


def value(scores: tuple[Score, ...] | list[Score], measure: str, test: str, **said: object) -> float:
    wanted = {"subject": SUBJECT, "train": "perception", "unit": "trial", "how": "decode", **said}
    one = only_one(scores, measure=measure, test=test, **wanted)
    assert one.value is not None
    return one.value


def rows(scores: tuple[Score, ...] | list[Score], subject: str = SUBJECT) -> dict[Any, Score]:
    """The scores of a subject that are of transfer, without what comes of other ROIs."""
    trained = ("perception", "predictions", "constant", "repeats", "chance")
    mine = [one for one in scores if one.subject == subject and one.how and one.train in trained]
    return {kind_of(one): replace(one, p_corrected=None, family="") for one in mine}


def command(*arguments: object) -> Any:
    return CliRunner().invoke(verb, [str(one) for one in (*arguments, "--draws", DRAWS)])


# --- what is found


def test_the_rows_of_transfer_are_those_of_transfer_itself_with_what_stands_beside_them(
    core_dataset: Path, space: Space, found: Evaluation
) -> None:
    beside = of(found.scores, subject=SUBJECT)
    alone = measured_transfer(
        core_dataset, SUBJECT, embeddings=space, beside=beside, draws=DRAWS, permutations=DRAWS
    ).scores
    expected = {kind_of(one.score): one.score for one in alone}
    assert rows(found.scores).keys() == expected.keys()
    for kind, one in rows(found.scores).items():
        assert one.value == (None if expected[kind].value is None else pytest.approx(expected[kind].value, abs=1e-9))
        assert (one.p, one.reference_method, one.reason) == (
            expected[kind].p, expected[kind].reference_method, expected[kind].reason
        )  # fmt: skip
    assert list(found.scores) == read_scores(found.path / "scores.parquet")
    assert Counter((one.subject, kind_of(one)) for one in found.scores).most_common(1)[0][1] == 1


def test_what_six_and_twelve_candidates_give_are_two_rows_also_of_the_group(found: Evaluation) -> None:
    for measure in ("two_way", "identification", "cosine"):
        for unit in ("trial", "mean"):
            said = {"measure": measure, "train": "perception", "test": "imgX", "unit": unit, "stimulus_set": ""}
            own, group = (of(found.scores, subject=name, **said) for name in (SUBJECT, GROUP))
            assert sorted(one.n_candidates or 0 for one in own) == [6, 12]
            for one in group:
                mine = only_one(own, n_candidates=one.n_candidates)
                assert one.value == pytest.approx(mine.value)
                assert one.p == mine.p == 1 / (1 + DRAWS)
    assert {one.n_candidates for one in of(found.scores, measure="retrieval_at_5", test="imgX", subject=GROUP)} == {12}


def test_numbers_nine_and_ten_are_in_the_headline_and_the_table(found: Evaluation) -> None:
    nine, ten = [line for line in found.headline if line.number in (9, 10)]
    said = {"train": "perception", "unit": "trial", "how": "decode", "stimulus_set": "", "n_candidates": 6}
    vision, imagery = (
        only_one(found.scores, measure="two_way", subject=GROUP, test=test, **said) for test in ("visX", "imgX")
    )
    assert [one.value for one in nine.scores] == [vision.value, imagery.value]
    assert nine.text.startswith(f"perception → vision {vision.value:.2f} [")
    assert f"→ imagery {imagery.value:.2f} [" in nine.text
    assert nine.text.endswith("(two-way of 6, chance 0.5); 1,862 training pictures, 0 removed because they are tested")
    assert ten.text.startswith("retrieval@1 of 226 ")
    assert [one.measure for one in ten.scores] == ["retrieval_at_1", "brain_correlation"]
    lines = found.table().splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.split()[0] == "two_way" for line in lines)


def test_evaluation_json_says_what_was_learnt_from_and_who_made_the_embeddings(
    found: Evaluation, truth: Path, core_release: Path
) -> None:
    text = (found.path / "evaluation.json").read_text(encoding="utf-8")
    said = json.loads(text)
    learnt = said["transfer"][SUBJECT]["nsdgeneral"]
    assert (learnt["pictures_removed"], learnt["training_pictures"], learnt["sessions"]) == (0, 1862, [1, 2, 3])
    assert (
        learnt["voxels"]
        == only_one(
            found.scores,
            measure="cosine",
            subject=SUBJECT,
            test="visX",
            train="perception",
            unit="mean",
            stimulus_set="A",
        ).n_voxels
    )
    assert learnt["decoder"]["note"] == ""
    assert learnt["decoder"]["penalty"][0] > 0
    maker = nsd_imagery.ClipCache(core_release, folder=truth).maker
    assert said["inputs"]["embeddings"]["model"] == maker.model
    assert said["inputs"]["test_sets"] == ["perception", "vision", "imagery"]
    assert str(truth) not in text
    assert found.transfer[SUBJECT]["nsdgeneral"] == learnt


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A release of two subjects with two sessions of NSD core, and a folder of two ROIs."""
    folder = tmp_path_factory.mktemp("two")
    subjects = ["subj01", "subj02"]
    root = nsd_imagery.synth(folder / "release", format="hdf5", subjects=subjects, perception_sessions=2)
    return root, nsd_imagery.build(root, folder / "d", roi=["nsdgeneral", "early"])


def p_of_sums_of_z(out: Path, scores: list[Score]) -> set[float]:
    """Every p of a group over sets, after each was held against what is kept by subject and set."""
    compared: set[float] = set()
    with ExitStack() as stack:
        records = [stack.enter_context(Record(path)) for path in sorted((out / ".evaluate").glob("*.npz"))]
        for one in scores:
            if one.train != "perception" or one.test == "perception" or one.stimulus_set or one.n_candidates != 6:
                continue
            parts = [
                record.measured(one.roi, place)
                for record in records
                for place, own in enumerate(record.scores(one.roi))
                if own.stimulus_set in ("A", "B") and kind_of(own)._replace(stimulus_set="") == kind_of(one)
            ]
            assert len(parts) == 2 * len(records)
            expected = grouped(parts).score
            assert (one.value, one.p) == (None if one.value is None else pytest.approx(expected.value), expected.p)
            compared |= {one.p} if one.p is not None else set()
    return compared


def test_a_group_has_each_row_of_its_subjects_and_p_is_corrected_over_rois(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    root, folder = two
    scores = evaluated(folder, tmp_path / "e", embeddings=root / "truth", draws=DRAWS).scores
    ours = [one for one in scores if one.roi == "early"]
    each = [rows(ours, name) for name in ("subj01", "subj02", GROUP)]
    assert each[0].keys() == each[1].keys() == each[2].keys()
    for kind, one in each[2].items():
        parts = [own[kind].value for own in each[:2]]
        if None not in parts:
            assert one.value == pytest.approx(np.mean(parts)), kind
            assert one.n_subjects == 2
    assert p_of_sums_of_z(tmp_path / "e", of(ours, subject=GROUP)) == {1 / (1 + DRAWS)}
    for name in ("subj01", GROUP):
        said = {"subject": name, "measure": "two_way", "test": "imgX", "train": "perception", "unit": "trial"}
        both = of(scores, **said, stimulus_set="", n_candidates=6)
        assert {one.family for one in both} == {"nsdgeneral, early"}
        assert all((one.p_corrected or 0) >= (one.p or 1) for one in both)
    assert all(one.value is not None for one in of(scores, measure="brain_correlation", subject=GROUP, how="encode"))


def test_a_group_whose_subjects_saw_other_numbers_of_pictures_says_so(found: Evaluation) -> None:
    said = {"measure": "retrieval_at_1", "train": "perception", "test": "perception", "unit": "mean"}
    one = only_one(found.scores, subject=SUBJECT, **said)
    both = [Measured(replace(one, subject=f"subj0{n}", n_candidates=226 * n, p=None), 0.5, np.zeros(0)) for n in (1, 2)]
    score = grouped(both).score
    assert (score.n_candidates, score.candidates) == (None, "those of each subject, 226 to 452")
    assert grouped(both[:1]).score.candidates == one.candidates
    apart = {kind_of(replace(one, n_candidates=n)) for n in (226, 452, 300)}
    assert len(apart) == 2


def test_a_mean_over_sets_lies_in_its_interval_as_often_as_it_says() -> None:
    from nsd_imagery.evaluation.spread import over_stimuli, together

    rng, hits, n = np.random.default_rng(0), 0, 2_000
    own = np.repeat(np.arange(6), 8)
    for _ in range(n):
        means = [center + scale * rng.standard_normal(6) for center, scale in ((0.2, 0.1), (0.6, 0.3))]
        sets = [mean[own] + 0.2 * rng.standard_normal(48) for mean in means]
        spreads = [over_stimuli(each, own, (-9, 9)) for each in sets]
        ends = together([one for one in spreads if one is not None]).around(float(np.mean([s.mean() for s in sets])))
        hits += ends.low <= 0.4 <= ends.high
    assert 0.935 <= hits / n <= 0.975


def test_stimuli_that_are_all_told_apart_have_an_interval_that_is_as_wide_as_their_number_allows() -> None:
    from nsd_imagery.chance.intervals import wilson
    from nsd_imagery.evaluation.spread import over_stimuli, together

    own = np.arange(6)
    alike = over_stimuli(np.ones(6), own, (0, 1))
    assert alike is not None
    assert alike.around(1.0) == wilson(6, 6)
    assert alike.how == "over stimuli, which are all alike: Wilson"
    assert together([alike, alike]).around(1.0).low == pytest.approx(wilson(11, 11).low)
    below = over_stimuli(np.full(6, 0.8), own, (-0.2, 0.8))
    assert below is not None
    assert below.around(0.8) == pytest.approx([end - 0.2 for end in wilson(6, 6)])
    assert below.around(0.8 + 1e-15).high == pytest.approx(0.8)
    other = over_stimuli(np.array([1, 1, 1, 1, 1, 0.8]), own, (0, 1))
    assert other is not None
    assert other.how == together([alike, other]).how == "t over stimuli"


def test_without_embeddings_one_sentence_says_how_to_get_them(core_dataset: Path, tmp_path: Path) -> None:
    done = command(core_dataset, "--out", tmp_path / "e")
    assert done.exit_code == 0
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("transfer")]
    assert line == (
        "transfer          not estimated: needs embeddings: nsd-imagery embed ROOT --model FOLDER_OR_ID, then evaluate "
        "with --embeddings ROOT"
    )
    assert not rows(read_scores(tmp_path / "e/scores.parquet"))


# --- what it must not find


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A release without signal, and a folder of it."""
    folder = tmp_path_factory.mktemp("nothing")
    root = nsd_imagery.synth(folder / "release", format="hdf5", perception_sessions=2, signal="none", seed=3)
    return root, nsd_imagery.build(root, folder / "nsd_imagery")


def test_without_signal_every_score_of_every_test_set_is_at_chance(nothing: tuple[Path, Path], tmp_path: Path) -> None:
    root, folder = nothing
    found = evaluated(folder, tmp_path / "e", embeddings=root / "truth", draws=DRAWS)
    assert len(p_of_sums_of_z(tmp_path / "e", of(found.scores, subject=GROUP))) > 3
    tested = [one for one in rows(found.scores).values() if one.p is not None and one.train == "perception"]
    assert {one.test for one in tested} == {"visX", "imgX_1", "imgX_2", "imgX", "perception"}
    assert len({one.measure for one in tested}) >= 9
    assert np.mean([(one.p or 0) <= 0.05 for one in tested]) < 0.15
    assert min(one.p_corrected or 1 for one in of(found.scores, subject=GROUP, n_candidates=6, test="imgX")) > 0.01
    for one in tested:
        if one.measure == "two_way":
            assert one.value == pytest.approx(0.5, abs=0.2 if one.unit == "trial" else 0.35)
        if one.measure in ("retrieval_at_1", "encoding_identification") and one.test == "perception":
            assert one.value == pytest.approx(one.chance, abs=0.03)


def test_picture_ids_that_are_off_by_one_leave_nothing_to_read(
    core_dataset: Path, space: Space, found: Evaluation, tmp_path: Path
) -> None:
    names = sorted(space.pictures, key=lambda name: (not name.startswith("nsd"), len(name), name))
    shifted = {name: space.pictures[names[at - 1]] for at, name in enumerate(names)}
    off = Space(shifted, space.words, space.maker)
    wrong = evaluated(core_dataset, tmp_path / "e", embeddings=off, draws=DRAWS, test_sets="perception")
    assert value(wrong.scores, "two_way", "perception") == pytest.approx(0.5, abs=0.06)
    assert value(found.scores, "two_way", "perception") > 0.9
    assert {one.test for one in rows(wrong.scores).values()} == {"perception"}


# --- predictions

Table = Callable[..., Path]


@pytest.fixture
def table(core_dataset: Path, space: Space, tmp_path: Path) -> Table:
    """Writes what a perfect model that was taught by a label column would predict of each trial."""

    def write(label: str = "target", conditions: str = OF_RUNS) -> Path:
        columns: dict[str, list[Any]] = {"subject": [], "trial_id": [], "vector": []}
        for condition in conditions.split(","):
            said = ["trial_id", "target", "cue", "cue_matches", "stimulus", "stimulus_set"]
            trials = nsd_imagery.load(core_dataset, f"{SUBJECT}-{condition}", "test").select_columns(said).to_list()
            letters = {(row["stimulus_set"], row["cue"]): row for row in trials if row["cue_matches"] == 1}
            for row in trials:
                row = letters[row["stimulus_set"], row["cue"]] if label == "cue" else row
                is_word = row["stimulus_set"] == "C"
                vector = space.words[row["target"]] if is_word else space.pictures[row["stimulus"]]
                columns["vector"].append(vector.tolist())
            columns["trial_id"] += [row["trial_id"] for row in trials]
        columns["subject"] = [SUBJECT] * len(columns["trial_id"])
        path = tmp_path / f"{label}.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return write


def test_predictions_stand_beside_the_baseline_and_are_scored_once(
    two: tuple[Path, Path], core_dataset: Path, truth: Path, found: Evaluation, table: Table, tmp_path: Path
) -> None:
    both = evaluated(
        core_dataset, tmp_path / "e", embeddings=truth, predictions=table(), test_sets=OF_RUNS, draws=DRAWS
    )
    perfect = {"train": "predictions", "stimulus_set": "", "n_candidates": 6}
    for test in ("visX", "imgX"):
        assert value(both.scores, "two_way", test, **perfect) == 1
        ridge = {"stimulus_set": "", "n_candidates": 6}
        assert value(both.scores, "two_way", test, **ridge) == value(found.scores, "two_way", test, **ridge)
        for stimulus_set in ("A", ""):
            said = {"measure": "identification", "test": test, "unit": "trial", "n_candidates": 6}
            said |= {"subject": SUBJECT, "stimulus_set": stimulus_set}
            of_model, of_ridge = (only_one(both.scores, train=name, **said) for name in ("predictions", "perception"))
            assert of_model.reference == pytest.approx(of_ridge.reference)
            assert of_model.reference_method.endswith("what the same trials allow")
    names = [line.name for line in both.headline if line.number in (9, 10)]
    assert names == ["transfer", "shared1000", "predictions", "predicted pictures"]
    (line,) = [line for line in both.headline if line.name == "predictions"]
    assert line.text.startswith("→ vision 1.00 [0.74, 1.00], p 0.01, → imagery 1.00")
    assert both.headline[-1].text == "not among the test sets"
    roi = {
        "subjects": 1,
        "roi": ["early", "nsdgeneral"],
        "predictions": table(),
        "targets": two[0] / "truth" / file(two),
    }
    once = evaluated(two[1], tmp_path / "o", **roi, test_sets=OF_RUNS, draws=DRAWS).scores
    assert {one.roi for one in of(once, train="predictions")} == {"nsdgeneral"}


def file(two: tuple[Path, Path]) -> str:
    (path,) = (two[0] / "truth").glob("*.parquet")
    return path.name


def test_a_model_that_was_taught_by_the_cue_is_seen(
    core_dataset: Path, truth: Path, table: Table, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"targets": next(truth.glob("*.parquet")), "test_sets": OF_RUNS, "draws": DRAWS}
    scores = evaluated(core_dataset, tmp_path / "e", predictions=table("cue"), **options).scores
    said = {"train": "predictions", "stimulus_set": "A"}
    assert value(scores, "identification", "visX", **said) == pytest.approx(0.5, abs=0.1)
    assert value(scores, "identification", "imgX", **said) == 1
    assert not of(scores, train="perception", measure="two_way")


def test_a_test_set_that_predictions_lack_is_named_or_allowed(
    core_dataset: Path, truth: Path, table: Table, two: tuple[Path, Path], tmp_path: Path
) -> None:
    path = table(conditions="imagery")
    given = ["--out", tmp_path / "e", "--embeddings", truth, "--predictions", path]
    with pytest.raises(DataError, match=r"236 of 236 valid trials of perception's shared pictures have no prediction"):
        evaluated(core_dataset, tmp_path / "e", embeddings=truth, predictions=path, draws=9)
    with pytest.raises(DataError, match=r"48 of 48 valid trials of visA have no prediction"):
        evaluated(core_dataset, tmp_path / "e", embeddings=truth, predictions=path, draws=9, test_sets=OF_RUNS)
    done = command(core_dataset, *given, "--partial")
    assert done.exit_code == 0, done.output
    scores = read_scores(tmp_path / "e/scores.parquet")
    assert value(scores, "two_way", "imgX", train="predictions", stimulus_set="A") == 1
    lacking = of(scores, train="predictions", test="visX", subject=SUBJECT)
    assert {one.reason for one in lacking} >= {"visA: no predictions of it"}
    assert all(one.value is None for one in lacking)
    with pytest.raises(UsageError, match="has no rows of subj02, only of subj01; choose --subjects subj01, or allow"):
        evaluated(two[1], tmp_path / "t", embeddings=two[0] / "truth", predictions=path)
    some = evaluated(
        two[1], tmp_path / "t", embeddings=two[0] / "truth", predictions=path, partial=True, draws=9, roi="early"
    ).scores
    one = only_one(
        some, train="predictions", subject=GROUP, measure="two_way", test="imgX", unit="trial", stimulus_set="A"
    )
    assert (one.value, one.n_subjects) == (1, 1)
    assert one.reason.endswith("without subj02")


# --- what embeddings may be


def test_a_root_a_folder_a_file_a_cache_and_a_space_give_the_same_rows(
    core_dataset: Path, core_release: Path, truth: Path, space: Space, found: Evaluation, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "clip_embeddings").mkdir(parents=True)
    path = Path(shutil.copy(next(truth.glob("*.parquet")), root / "clip_embeddings"))
    cache = nsd_imagery.ClipCache(core_release, folder=truth)
    options: dict[str, Any] = {"test_sets": "vision", "draws": DRAWS}
    expected = {kind: one for kind, one in rows(found.scores).items() if one.test == "visX"}
    for number, embeddings in enumerate((root, str(path), path.parent, cache, space)):
        scores = evaluated(core_dataset, tmp_path / f"e{number}", embeddings=embeddings, **options).scores
        assert rows(scores) == expected, embeddings
    model = cache.maker.model
    with pytest.raises(MissingDataError, match="no embeddings by model another"):
        evaluated(core_dataset, tmp_path / "m", embeddings=root, model="another")
    named = evaluated(core_dataset, tmp_path / "e0", embeddings=root, model=model, **options)
    assert rows(named.scores) == expected


def test_workers_of_an_executor_are_told_of_files_and_give_the_same_bytes(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    root, folder = two
    cache = nsd_imagery.ClipCache(root, folder=root / "truth")
    options: dict[str, Any] = {
        "embeddings": nsd_imagery.space_of(cache), "roi": "early", "test_sets": OF_RUNS, "draws": 19
    }  # fmt: skip
    evaluated(folder, tmp_path / "here", **options)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        evaluated(folder, tmp_path / "there", executor=executor, **options)
    here, there = (
        {name: contents for name, contents in files(tmp_path / place).items() if not name.startswith(".evaluate")}
        for place in ("here", "there")
    )
    assert here == there
    assert not list(tmp_path.rglob("space-*"))


def test_texts_are_a_space_of_their_own(core_dataset: Path, truth: Path, decoders: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"kind": "text", "draws": 9, "test_sets": "vision"}
    found = evaluated(core_dataset, tmp_path / "e", embeddings=truth, save_decoder=tmp_path / "decoders", **options)
    assert value(found.scores, "two_way", "visX", stimulus_set="A") > 0.9
    origin = nsd_imagery.Decoder.load(tmp_path / "decoders" / "subj01-nsdgeneral").origin
    assert origin.maker.startswith("text by ")
    with pytest.raises(DataError, match="is a decoder of another model's embeddings"):
        evaluated(core_dataset, tmp_path / "o", embeddings=truth, decoder=decoders, **options)
    maker, both = read_embeddings(next(truth.glob("*.parquet")))
    pictures = {key: row for key, row in both.items() if key[0] == "image"}
    write_embeddings(tmp_path / "pictures" / "mine.parquet", maker, pictures)
    with pytest.raises(MissingEmbeddingError, match="no text embedding of nsd"):
        evaluated(core_dataset, tmp_path / "o", embeddings=tmp_path / "pictures", **options)


def test_from_synth_to_the_numbers_by_the_command_alone(own_core_release: Path, tmp_path: Path) -> None:
    """With embeddings of a model that knows nothing; that they are read, and not what they give, is what is told."""
    nsd_imagery.embed(own_core_release, model=save_tiny_clip(tmp_path / "clip"), device="cpu")
    folder = nsd_imagery.build(own_core_release, tmp_path / "d")
    line = [sys.executable, "-m", "nsd_imagery", "evaluate", folder, "--out", tmp_path / "e", "--embeddings",
            own_core_release, "--draws", DRAWS, "-v"]  # fmt: skip
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "perception → vision 0." in done.stdout
    assert "retrieval@1 of 226 0." in done.stdout
    scores = read_scores(tmp_path / "e/scores.parquet")
    for stimulus_set in "ABC":
        assert 0 < value(scores, "two_way", "imgX", stimulus_set=stimulus_set) < 1


# --- decoders


def test_saved_decoders_are_read_again_and_give_the_same_rows(
    core_dataset: Path, truth: Path, found: Evaluation, decoders: Path, tmp_path: Path
) -> None:
    assert [path.name for path in decoders.iterdir()] == ["subj01-nsdgeneral"]
    cache = nsd_imagery.ClipCache(truth.parent, folder=truth)
    fitted = nsd_imagery.training_rows(core_dataset, 1, embeddings=cache).decoder()
    saved = nsd_imagery.Decoder.load(decoders / "subj01-nsdgeneral")
    assert saved.origin == fitted.origin
    assert np.array_equal(saved.weights, fitted.weights)
    for number, folder in enumerate((decoders, decoders / "subj01-nsdgeneral")):
        again = evaluated(core_dataset, tmp_path / f"e{number}", embeddings=truth, decoder=folder, draws=DRAWS)
        assert rows(again.scores) == rows(found.scores)
        assert again.transfer[SUBJECT]["nsdgeneral"]["decoder"]["given"] is True


def test_a_decoder_of_anything_else_is_one_line(
    core_dataset: Path, dataset: Path, truth: Path, decoders: Path, space: Space, two: tuple[Path, Path], tmp_path: Path
) -> None:
    def refused(folder: Path, decoder: Path, embeddings: Any = truth, **options: Any) -> str:
        with pytest.raises((DataError, MissingDataError)) as caught:
            evaluated(folder, tmp_path / "e", embeddings=embeddings, decoder=decoder, draws=9, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    other = Space(space.pictures, space.words, "another")
    assert "is a decoder of another model's embeddings" in refused(core_dataset, decoders, other)
    assert "has no decoder of subj02 nsdgeneral" in refused(two[1], decoders, two[0] / "truth", roi="nsdgeneral")
    assert "there are: subj01-nsdgeneral" in refused(two[1], decoders, two[0] / "truth", subjects=2, roi="nsdgeneral")
    single = decoders / "subj01-nsdgeneral"
    assert "is a decoder of subj01, nsdgeneral, not of subj01, early" in refused(
        two[1], single, two[0] / "truth", subjects=1, roi="early"
    )
    saved = nsd_imagery.Decoder.load(single)
    moved = replace(saved, columns=saved.columns[::-1].copy())
    moved.save(tmp_path / "moved")
    assert "the decoder is of other voxels" in refused(core_dataset, tmp_path / "moved")
    assert not list((tmp_path / "e").glob("*.parquet"))


def test_a_decoder_that_was_damaged_is_refused_also_where_its_scores_are_kept(
    core_dataset: Path, truth: Path, decoders: Path, tmp_path: Path
) -> None:
    own = tmp_path / "decoders"
    shutil.copytree(decoders, own)
    options = {"embeddings": truth, "decoder": own, "draws": 9, "test_sets": OF_RUNS}
    evaluated(core_dataset, tmp_path / "e", **options)
    arrays = own / "subj01-nsdgeneral" / "decoder.npz"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"decoder\.npz is not the one"):
        evaluated(core_dataset, tmp_path / "e", **options)


def test_where_nothing_can_be_learnt_a_decoder_is_tested_alone(
    core_release: Path, truth: Path, decoders: Path, found: Evaluation, tmp_path: Path
) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "d", conditions=["vision", "imagery"], zscore="none")
    given = evaluated(folder, tmp_path / "e", embeddings=truth, decoder=decoders, draws=DRAWS)
    without = evaluated(folder, tmp_path / "n", embeddings=truth, draws=DRAWS)
    for scores, has_decoder in ((given.scores, True), (without.scores, False)):
        decoded = only_one(scores, subject=SUBJECT, measure="two_way", train="perception", test="imgX", unit="trial",
                           stimulus_set="A")  # fmt: skip
        encoded = of(scores, subject=SUBJECT, measure="encoding_identification", train="perception")
        assert (decoded.value is not None) == has_decoder
        assert {one.value for one in encoded} == {None}
        assert "the folder has no train split of subj01-perception" in encoded[-1].reason
    said = {"measure": "two_way", "test": "imgX", "stimulus_set": "A"}
    assert value(given.scores, **said) == pytest.approx(value(found.scores, **said))
    (line,) = [line for line in without.headline if line.name == "transfer"]
    why = "the folder has no train split of subj01-perception"
    assert line.text == f"perception → vision, imagery not estimated: {why}; no training pictures"


def test_a_file_that_is_changed_meanwhile_is_named(truth: Path, table: Table, tmp_path: Path) -> None:
    (path,) = truth.glob("*.parquet")
    targets, mine = (
        Path(shutil.copy(file, tmp_path / name)) for file, name in ((path, "t.parquet"), (table(), "m.parquet"))
    )
    said = {"maker": "", "digest": ""}
    of_targets = Inputs(predictions=File.of(mine), targets=File.of(targets))
    of_embeddings = Inputs(embeddings=Embeddings(File.of(targets), "image", said, ""))
    assert opened(of_targets).predictions is not None
    assert opened(of_embeddings).space is not None
    shutil.copy(table("cue"), mine)
    with pytest.raises(DataError, match=r"m\.parquet: was changed while it was evaluated"):
        opened(of_targets)
    maker, both = read_embeddings(path)
    write_embeddings(targets, maker, dict(list(both.items())[1:]))
    with pytest.raises(DataError, match=r"t\.parquet: was changed while it was evaluated"):
        opened(of_embeddings)


# --- what is kept


def records(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / ".evaluate").glob("*.npz")}


def test_what_decides_a_record_is_what_the_inputs_hold_and_not_where_they_lie(
    core_dataset: Path, truth: Path, space: Space, table: Table, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    said: dict[str, Any] = {"test_sets": "imagery", "draws": 9}

    def made(**options: Any) -> dict[str, int]:
        evaluated(core_dataset, out, **{**said, **options})
        return records(out)

    first = made(embeddings=truth)
    elsewhere = Path(shutil.copytree(truth, tmp_path / "copy"))
    next(elsewhere.glob("*.parquet")).rename(elsewhere / "mine.parquet")
    assert made(embeddings=elsewhere) == first
    other = Space({name: -vector for name, vector in space.pictures.items()}, space.words, space.maker)
    turned = made(embeddings=other)
    assert turned.keys() != first.keys()
    assert made(embeddings=space).keys() != turned.keys()
    predicted = made(embeddings=truth, predictions=table())
    assert predicted.keys() != first.keys()
    assert made(embeddings=truth, predictions=table("cue")).keys() != predicted.keys()
    assert made(embeddings=truth, test_sets="imagery,vision").keys() != first.keys()
    evaluated(core_dataset, out, draws=9)
    assert records(out).keys() != first.keys()


def test_decoders_that_are_to_be_saved_are_fitted_again_only_where_they_are_not_there(
    core_dataset: Path, truth: Path, tmp_path: Path
) -> None:
    out, folder = tmp_path / "e", tmp_path / "decoders"
    options: dict[str, Any] = {"embeddings": truth, "test_sets": "imagery", "draws": 9}
    evaluated(core_dataset, out, **options)
    first = records(out)
    evaluated(core_dataset, out, save_decoder=folder, **options)
    second = records(out)
    assert (second.keys(), second != first) == (first.keys(), True)
    assert nsd_imagery.Decoder.load(folder / "subj01-nsdgeneral").origin.subject == SUBJECT
    evaluated(core_dataset, out, save_decoder=folder, **options)
    assert records(out) == second
    (folder / "subj01-nsdgeneral" / "decoder.npz").write_bytes(b"damaged")
    evaluated(core_dataset, out, save_decoder=folder, **options)
    assert records(out) != second
    assert nsd_imagery.Decoder.load(folder / "subj01-nsdgeneral").origin.subject == SUBJECT


# --- a preprocessor


@pytest.fixture(scope="module")
def fitted(core_dataset: Path) -> Callable[..., nsd_imagery.NSDPreprocessor]:
    def fit(condition: str = "perception", split: str = "train", **options: Any) -> nsd_imagery.NSDPreprocessor:
        trials = nsd_imagery.load(core_dataset, f"{SUBJECT}-{condition}", split)
        voxels = nsd_imagery.load(core_dataset, f"{SUBJECT}-voxels", "train")
        return nsd_imagery.NSDPreprocessor(zscore="auto", **options).fit(trials, voxels)

    return fit


def test_only_voxels_that_a_preprocessor_selects_are_in_any_number(
    core_dataset: Path, truth: Path, decoders: Path, fitted: Callable[..., Any], tmp_path: Path
) -> None:
    preprocessor = fitted(selection="ncsnr", n_voxels=60)
    columns = preprocessor.fitted.columns
    folder = preprocessor.save(tmp_path / "p")
    options: dict[str, Any] = {"embeddings": truth, "draws": DRAWS, "preprocessor": folder}
    scores = evaluated(core_dataset, tmp_path / "e", save_decoder=tmp_path / "d", **options).scores
    assert max(one.n_voxels or 0 for one in scores) <= 60
    learnt = nsd_imagery.Decoder.load(tmp_path / "d" / "subj01-nsdgeneral")
    assert set(learnt.columns.tolist()) <= set(columns.tolist())
    expected = {kind_of(one): one for one in ceilings(only(load_runs(core_dataset, SUBJECT), columns), draws=DRAWS)}
    for kind, one in expected.items():
        (mine,) = [own for own in scores if own.subject == SUBJECT and kind_of(own) == kind]
        assert mine.value == (None if one.value is None else pytest.approx(one.value, rel=1e-5))
        assert mine.p == one.p
    fewer = evaluated(core_dataset, tmp_path / "f", decoder=tmp_path / "d", **options).scores
    assert rows(fewer) == rows(scores)
    with pytest.raises(DataError, match=r"takes \d+ voxels that the preprocessor leaves out"):
        evaluated(core_dataset, tmp_path / "o", decoder=decoders, **options)
    (tmp_path / "several").mkdir()
    shutil.copytree(folder, tmp_path / "several" / "subj01-nsdgeneral")
    again = evaluated(core_dataset, tmp_path / "a", **{**options, "preprocessor": tmp_path / "several"})
    assert again.scores == scores


def test_of_perception_too_only_selected_voxels_are_in_a_number(repeated_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(repeated_release, tmp_path / "d", conditions=["perception"])
    whole = perception(folder, SUBJECT)
    assert whole.variances is not None
    columns = np.flatnonzero(whole.variances.noise)[::5]
    some = perception(folder, SUBJECT, voxels=columns)
    assert some.variances is not None
    for own, every in zip(some.variances, whole.variances, strict=True):
        np.testing.assert_allclose(own[columns], every[columns])
        assert not np.delete(own, columns).any()
    assert {one.score.n_voxels for one in some.scores} == {len(columns)}
    (signal,) = [one.score for one in some.scores if one.score.measure == "signal_variance"]
    assert signal.value == pytest.approx(whole.variances.signal[columns].mean(), rel=1e-5)


def test_z_scores_of_a_preprocessor_change_no_number(
    core_dataset: Path, truth: Path, found: Evaluation, fitted: Callable[..., Any], tmp_path: Path
) -> None:
    folder = fitted().save(tmp_path / "p")
    options: dict[str, Any] = {"embeddings": truth, "draws": DRAWS, "preprocessor": folder}
    assert evaluated(core_dataset, tmp_path / "e", **options).scores == found.scores


def test_a_preprocessor_that_knows_what_is_tested_or_makes_no_voxels_is_one_line(
    core_dataset: Path, two: tuple[Path, Path], fitted: Callable[..., Any], tmp_path: Path
) -> None:
    def refused(preprocessor: Any, folder: Path = core_dataset, **options: Any) -> str:
        place = preprocessor.save(tmp_path / "p")
        with pytest.raises((UsageError, DataError, MissingDataError)) as caught:
            evaluated(folder, tmp_path / "e", preprocessor=place, draws=9, **options)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "e").exists()
        return str(caught.value)

    for condition, number in (("vision", 144), ("imagery", 288), ("perception", 236)):
        said = refused(fitted(condition, "test", selection="reliability", n_voxels=50))
        assert f"{number} of the 668 rows to be tested chose what the preprocessor keeps" in said
    assert "makes components (pca=5) of voxels" in refused(fitted(pca=5))
    assert "rows to be tested chose" in refused(fitted("imagery", "test", pca=5))
    assert "is not fitted" in refused(nsd_imagery.NSDPreprocessor(selection="ncsnr", n_voxels=9))
    assert "smooths by 4 mm" in refused(nsd_imagery.NSDPreprocessor(smoothing_fwhm=4))
    selected = fitted(selection="ncsnr", n_voxels=60)
    assert "has no preprocessor of subj01 nsdgeneral" in refused(selected, two[1])
    assert "was fitted on subject subj01" in refused(selected, two[1], subjects=2, roi="nsdgeneral")
    assert "was fitted on voxels" in refused(selected, two[1], subjects=1, roi="early")


# --- what people write


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"test_sets": "imagry"}, "no test set 'imagry' (did you mean 'imagery'?); there are: perception, vision"),
        ({"test_sets": []}, "test_sets is empty"),
        ({"kind": "images"}, "no kind 'images' (did you mean 'image'?)"),
        ({"embeddings": "nowhere"}, "nowhere: no such folder"),
        ({"embeddings": 3}, "embeddings are a root, a ClipCache or what space_of gives, not 3"),
        ({"embeddings": Space({}, {}, "")}, "the space has no vectors of pictures"),
        ({"embeddings": Space({"a": np.ones(2)}, {"b": np.ones(3)}, "")}, "the space have shapes (2,), (3,), not one"),
        (
            {"embeddings": Space({"a": np.full(2, np.nan)}, {}, "")},
            "the vector of a is 0 throughout, or has",
        ),
        ({"embeddings": Space({"a": np.ones(2)}, {"b": np.zeros(2)}, "")}, "embeddings: the vector of b is 0 througho"),
        ({"decoder": 3}, "decoder is a path, not 3: save it first"),
        ({"predictions": np.ones(1)}, "predictions is a path, not array([1.]): save it first"),
        ({"decoder": "nowhere"}, "has no decoder of subj01 nsdgeneral"),
        ({"preprocessor": "nowhere"}, "has no preprocessor of subj01 nsdgeneral"),
        ({"predictions": "nowhere.parquet"}, "no such file"),
        ({"predictions": "best.ckpt"}, "best.ckpt: predictions are a .parquet or .csv file"),
        ({"partial": True}, "partial is about transfer, which needs predictions"),
        ({"targets": "t.parquet"}, "targets is about transfer, which needs predictions"),
        ({"decoder": "d", "save_decoder": "d"}, "where a decoder is given, none is fitted"),
        (
            {"embeddings": None, "test_sets": "imagery"},
            "test_sets is about transfer, which needs embeddings or predict",
        ),
        ({"embeddings": None, "model": "clip"}, "model is about transfer, which needs embeddings"),
        ({"embeddings": None, "decoder": "d"}, "decoder is about transfer, which needs embeddings"),
        ({"embeddings": None, "predictions": "p.csv"}, "predictions need vectors of what they are compared with"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_nothing_is_made(
    core_dataset: Path, truth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: Mapping[str, Any],
    line: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, MissingDataError, DataError)) as caught:
        evaluated(core_dataset, tmp_path / "e", **{"embeddings": truth, **options})
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_decoders_go_into_no_folder_that_is_read(core_dataset: Path, truth: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is in a dataset folder, and those are only read"):
        evaluated(core_dataset, tmp_path / "e", embeddings=truth, save_decoder=core_dataset / "decoders")
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="is a file, not a folder for decoders"):
        evaluated(core_dataset, tmp_path / "e", embeddings=truth, save_decoder=tmp_path / "file")
