"""Transfer: exact by brute force, at chance without signal, recovers what was planted, learns from no test picture."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from datasets import concatenate_datasets
from numpy.typing import NDArray
from scipy.stats import kstest

import nsd_imagery
from nsd_imagery.chance.pairs import noise_ceiling
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.errors import DataError, FolderError, MissingDataError, MissingEmbeddingError, UsageError
from nsd_imagery.evaluation import ranking
from nsd_imagery.evaluation.ceiling import ceilings
from nsd_imagery.evaluation.identifications import identifications
from nsd_imagery.evaluation.predictions import read_predictions, read_targets
from nsd_imagery.evaluation.runs import Runs, load_runs
from nsd_imagery.evaluation.score import Measured, Score, from_table, to_table
from nsd_imagery.evaluation.transfer import places
from nsd_imagery.evaluation.transfer.baseline import Transfer, measured_transfer, scored_vectors
from nsd_imagery.evaluation.transfer.compared import Compared, Side
from nsd_imagery.evaluation.transfer.decoder import Decoder
from nsd_imagery.evaluation.transfer.known import known_stimuli
from nsd_imagery.evaluation.transfer.predicted import score_predictions, trial_ids
from nsd_imagery.evaluation.transfer.ridge import fit_decoder, fit_encoder
from nsd_imagery.evaluation.transfer.scoring import About
from nsd_imagery.evaluation.transfer.space import Space, space_of
from nsd_imagery.evaluation.transfer.tested import of_averages, of_pictures, of_runs
from nsd_imagery.evaluation.transfer.training import Training, training_rows

pytestmark = pytest.mark.slow

Array = NDArray[np.float64]
DRAWS = 199
TESTS = ("visX", "imgX_1", "imgX_2", "imgX")
OF_RUNS = ("vision", "imagery")
SUBJECT = "subj01"


def embeddings_of(release: Path) -> Space:
    """What was planted, as embeddings of pictures and of words."""
    return space_of(
        *(nsd_imagery.ClipCache(release, kind=kind, folder=release / "truth") for kind in ("image", "text"))
    )


@pytest.fixture(scope="module")
def space(core_release: Path) -> Space:
    return embeddings_of(core_release)


@pytest.fixture(scope="module")
def runs(core_dataset: Path) -> Runs:
    return load_runs(core_dataset, SUBJECT)


@pytest.fixture(scope="module")
def training(core_dataset: Path, space: Space, runs: Runs) -> Training:
    return training_rows(core_dataset, SUBJECT, embeddings=space, runs=runs)


@pytest.fixture(scope="module")
def decoder(training: Training) -> Decoder:
    return training.decoder()


@pytest.fixture(scope="module")
def beside(runs: Runs) -> list[Score]:
    return [*ceilings(runs, draws=DRAWS), *identifications(runs, draws=DRAWS)]


@pytest.fixture(scope="module")
def found(core_dataset: Path, space: Space, runs: Runs, training: Training, beside: list[Score]) -> Transfer:
    return measured_transfer(
        core_dataset, SUBJECT, embeddings=space, training=training, runs=runs, beside=beside, draws=DRAWS,
        permutations=DRAWS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A release without signal, and a folder of it."""
    folder = tmp_path_factory.mktemp("nothing")
    root = nsd_imagery.synth(folder / "release", format="hdf5", perception_sessions=3, signal="none")
    return root, nsd_imagery.build(root, folder / "nsd_imagery")


def the(scores: list[Measured], measure: str, test: str, **said: object) -> Measured:
    """The one score that this says."""
    wanted = {"measure": measure, "test": test, "train": "perception", "unit": "trial", **said}
    wanted.setdefault("how", "encode" if measure in ("brain_correlation", "encoding_identification") else "decode")
    [one] = [one for one in scores if all(getattr(one.score, name) == value for name, value in wanted.items())]
    return one


def value(scores: list[Measured], measure: str, test: str, **said: object) -> float:
    of = the(scores, measure, test, **said).score.value
    assert of is not None
    return of


def test_all_measures_of_all_tests_are_there_with_what_stands_beside_them(found: Transfer) -> None:
    scores = [one.score for one in found.scores]
    lacking = {(score.test, score.how, score.reason) for score in scores if score.value is None}
    assert lacking == {("perception", "encode, by √NC(n)", "no ncsnr of perception to normalise by")}
    assert from_table(to_table(scores)) == scores
    for test in TESTS:
        for name, n in (("A", 6), ("B", 6), ("C", 6), ("", 6), ("", 12)):
            for unit in ("trial", "mean"):
                for measure in ("cosine", "two_way", "two_way_mirage", "identification", "brain_correlation"):
                    one = the(found.scores, measure, test, stimulus_set=name, n_candidates=n, unit=unit)
                    assert one.score.p is not None
                    assert one.score.draws == DRAWS
                    assert one.score.chance is not None
                    assert ("letter" in one.score.reason) == test.startswith("img")
    retrieved = {score.measure for score in scores if score.test == "perception" and score.train == "perception"}
    assert retrieved >= {"retrieval_at_1", "retrieval_at_5", "retrieval_at_10", "two_way", "encoding_identification"}
    for measure, chance in (("two_way", 0.5), ("two_way_mirage", 0.5 - 1 / 11), ("identification", 1 / 12)):
        one = the(found.scores, measure, "imgX", n_candidates=12).score
        assert one.chance == pytest.approx(chance)
        beside = the(found.scores, measure, "imgX", n_candidates=12, train="chance").score
        assert beside.value == one.chance
    assert "of reconstructions" in the(found.scores, "two_way_mirage", "visX", n_candidates=12).score.reason
    assert found.training.guard.startswith("0 pictures removed")


def test_what_was_planted_is_read_from_pictures_that_were_never_learnt_from(found: Transfer) -> None:
    assert value(found.scores, "two_way", "perception") > 0.9
    assert value(found.scores, "retrieval_at_1", "perception", unit="mean") > 0.3
    assert value(found.scores, "two_way", "visX", stimulus_set="", n_candidates=6) > 0.9
    assert value(found.scores, "two_way", "imgX", stimulus_set="", n_candidates=6, unit="mean") > 0.9
    assert value(found.scores, "identification", "imgX_2", stimulus_set="C") > 0.3
    assert value(found.scores, "encoding_identification", "visX", n_candidates=12) > 0.4
    for test in TESTS:
        assert the(found.scores, "two_way", test, stimulus_set="", n_candidates=6).score.p == 1 / (1 + DRAWS)


def test_beside_a_cosine_stands_the_constant_predictor_and_beside_an_accuracy_the_run_itself(
    found: Transfer, training: Training, space: Space, beside: list[Score]
) -> None:
    mean = np.average(training.embeddings, axis=0, weights=training.weights)
    one = the(found.scores, "cosine", "visX", stimulus_set="A").score
    constant = the(found.scores, "cosine", "visX", stimulus_set="A", train="constant").score
    own = [name for name in space.pictures if name.startswith(("bar", "crs"))]
    cosines = [vector @ mean / np.linalg.norm(vector) / np.linalg.norm(mean) for vector in space.stack(own)]
    assert constant.value == one.reference == pytest.approx(np.mean(cosines))
    for score in beside:
        if (score.measure, score.how, score.stimulus_set, score.test) == ("identification", "within", "A", "imgX_2"):
            assert the(found.scores, "identification", "imgX_2", stimulus_set="A").score.reference == score.value
            break
    else:
        raise AssertionError
    within = [
        the(found.scores, "identification", test, stimulus_set="A").score.reference or 0
        for test in ("imgX_1", "imgX_2", "imgX")
    ]
    assert within[2] == pytest.approx(np.mean(within[:2]))
    assert the(found.scores, "identification", "imgX", stimulus_set="", n_candidates=12).score.reference is None
    repeats = the(found.scores, "two_way", "perception", train="repeats", how="second presentation among first ones")
    assert 0.5 < (repeats.score.value or 0) <= 1
    assert repeats.score.candidates == f"the {repeats.score.n_candidates} pictures of shared1000 with two presentations"


def test_a_brain_correlation_is_divided_by_what_a_perfect_model_reaches(found: Transfer, beside: list[Score]) -> None:
    [ncsnr] = [
        score.value for score in beside
        if (score.measure, score.condition, score.stimulus_set, score.how) == ("ncsnr", "vision", "B", "within")
    ]  # fmt: skip
    assert ncsnr is not None
    for unit, n in (("trial", 1), ("mean", 8)):
        raw = the(found.scores, "brain_correlation", "visX", stimulus_set="B", unit=unit).score
        divided = value(found.scores, "brain_correlation", "visX", stimulus_set="B", unit=unit, how="encode, by √NC(n)")
        assert raw.reference == pytest.approx(noise_ceiling(ncsnr, n) ** 0.5)
        assert divided == pytest.approx((raw.value or 0) / noise_ceiling(ncsnr, n) ** 0.5)


def test_nothing_is_divided_by_a_ceiling_that_is_not_reliable(
    core_dataset: Path, space: Space, runs: Runs, training: Training, beside: list[Score]
) -> None:
    unsure = [replace(score, p=0.06) if score.stimulus_set == "A" else score for score in beside]
    scores = measured_transfer(
        core_dataset, SUBJECT, embeddings=space, training=training, runs=runs, beside=unsure, test_sets=["vision"],
        draws=19,
    ).scores  # fmt: skip
    for unit in ("trial", "mean"):
        said = {"unit": unit, "how": "encode, by √NC(n)"}
        assert the(scores, "brain_correlation", "visX", stimulus_set="A", **said).score.reason == (
            "no reliable signal to normalise by"
        )
        assert value(scores, "brain_correlation", "visX", stimulus_set="B", **said) > 0
        assert "without set A" in the(scores, "brain_correlation", "visX", stimulus_set="", **said).score.reason


def test_voxels_are_those_that_vary_in_every_session_and_every_run(
    core_dataset: Path, space: Space, training: Training, runs: Runs
) -> None:
    assert 0 < len(training.columns) < runs.n_voxels
    assert training.betas.any(axis=0).all()
    lost = int(training.columns[3])
    silent = np.where(np.arange(runs.runs[0].betas.shape[1]) == lost, 0, runs.runs[4].betas)
    fewer = replace(runs, runs=(*runs.runs[:4], replace(runs.runs[4], betas=silent), *runs.runs[5:]))
    other = training_rows(core_dataset, SUBJECT, embeddings=space, runs=fewer)
    assert other.columns.tolist() == [column for column in training.columns.tolist() if column != lost]
    assert other.origin.voxels != training.origin.voxels


def test_without_a_signal_every_score_of_every_test_is_at_chance(nothing: tuple[Path, Path]) -> None:
    root, folder = nothing
    found = measured_transfer(folder, SUBJECT, embeddings=embeddings_of(root), draws=DRAWS, permutations=DRAWS).scores
    tested = [one for one in found if one.score.p is not None]
    assert {one.score.test for one in tested} == {*TESTS, "perception"}
    z = np.array([(one.statistic - one.null.mean()) / one.null.std() for one in tested if one.null.std() > 0])
    assert len(z) > 200
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.5
    assert np.mean([(one.score.p or 0) <= 0.01 for one in tested]) < 0.05
    for one in tested:
        if one.score.measure == "two_way" and one.score.unit == "trial":
            assert one.score.value == pytest.approx(0.5, abs=0.16)
    divided = [one.score for one in found if one.score.how == "encode, by √NC(n)"]
    assert all(score.value is None and score.reason for score in divided)


@pytest.mark.parametrize("unit", ["trial", "mean"])
def test_p_is_uniform_where_vectors_say_nothing_though_neighbours_are_alike(runs: Runs, unit: str) -> None:
    rng = np.random.default_rng(5)
    of = {target: target for run in runs for target in run.targets}
    tests = [one for one in of_runs(runs, of, np.arange(2), 99) if (one.test, one.stimulus_set) == ("imgX", "A")]
    [tested] = tests
    p: dict[str, list[float]] = {}
    for _ in range(300):
        noise = rng.standard_normal((len(tested.own), 8))
        noise[1:] += 0.4 * noise[:-1]
        candidates = rng.standard_normal((6, 8)) + 1
        for one in scored_vectors(about(), tested, noise, candidates, np.ones(8), "decode"):
            if one.score.p is not None and one.score.unit == unit:
                p.setdefault(one.score.measure, []).append(one.score.p)
    assert set(p) == {"cosine", "two_way", "two_way_mirage", "identification"}
    for measure, values in p.items():
        assert 0.02 <= np.mean(np.array(values) <= 0.05) <= 0.09 or measure == "identification"
        assert np.mean(np.array(values) <= 0.05) <= 0.09
    assert kstest(p["cosine"], "uniform").pvalue > 0.001


def test_a_drawn_order_gives_what_it_would_give_as_the_real_one(runs: Runs) -> None:
    rng = np.random.default_rng(11)
    of = {target: target for run in runs for target in run.targets}
    for tested in of_runs(runs, of, np.arange(2), 3, ["imagery"]):
        vectors = rng.standard_normal((len(tested.own), 8))
        candidates = rng.standard_normal((len(tested.stimuli), 8))
        for draw, own in enumerate(tested.drawn):
            drawn, real = (
                scored_vectors(about(), one, vectors, candidates, np.ones(8), "decode")
                for one in (tested, replace(tested, own=own))
            )
            for one, other in zip(drawn, real, strict=True):
                if len(one.null):
                    assert one.null[draw] == pytest.approx(other.statistic)
                    assert one.statistic != pytest.approx(other.statistic) or one.score.measure != "cosine"


def test_p_of_shared_pictures_is_uniform_where_vectors_say_nothing() -> None:
    rng = np.random.default_rng(6)
    stimulus = np.repeat([f"nsd{number:03d}" for number in range(40)], 2)
    p: list[float] = []
    for _ in range(200):
        for tested in of_pictures(stimulus, rng.standard_normal((80, 6)), 99):
            for one in scored_vectors(about(), tested, tested.betas, rng.standard_normal((40, 6)), np.zeros(6), "x"):
                if one.score.measure == "two_way" and one.score.p is not None:
                    p.append(one.score.p)
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.08


def about() -> About:
    return About(SUBJECT, "nsdgeneral", "fithrf", "0" * 16, None, "perception")


def test_a_planted_encoder_reaches_its_ceiling_and_a_decoder_the_truth() -> None:
    reached, decoded = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        vectors, weights = rng.standard_normal((2200, 8)), rng.standard_normal((8, 120))
        vectors *= 8**0.5 / np.linalg.norm(vectors, axis=1, keepdims=True)
        signal = vectors @ weights / 8**0.5
        betas = signal + rng.standard_normal(signal.shape) * 2
        encoder, decoder = fit_encoder(betas[:2000], vectors[:2000]), fit_decoder(betas[:2000], vectors[:2000])
        predicted = encoder.predict(vectors[2000:])
        correlation = np.mean([np.corrcoef(*pair)[0, 1] for pair in zip(predicted, betas[2000:], strict=True)])
        reached.append(correlation / noise_ceiling(0.5, 1) ** 0.5)
        decoded.append(np.corrcoef(decoder.predict(betas[2000:]).ravel(), vectors[2000:].ravel())[0, 1])
    assert np.mean(reached) == pytest.approx(1, abs=0.04)
    assert np.min(decoded) > 0.8


def test_labels_by_cue_are_seen_in_the_numbers(
    core_dataset: Path, space: Space, runs: Runs, training: Training, decoder: Decoder, found: Transfer
) -> None:
    by_cue = replace(
        runs, runs=tuple(replace(run, order=run.cued) if run.condition == "vision" else run for run in runs)
    )
    wrong = measured_transfer(
        core_dataset, SUBJECT, embeddings=space, training=training, decoder=decoder, runs=by_cue,
        test_sets=["vision"], draws=DRAWS,
    ).scores  # fmt: skip
    for name in "AB":
        right = value(found.scores, "identification", "visX", stimulus_set=name)
        assert value(wrong, "identification", "visX", stimulus_set=name) < right - 0.3
        right = value(found.scores, "two_way", "visX", stimulus_set=name)
        assert value(wrong, "two_way", "visX", stimulus_set=name) < right - 0.15


def test_picture_ids_that_are_off_by_one_leave_nothing_to_read(core_dataset: Path, space: Space, runs: Runs) -> None:
    names = sorted(space.pictures, key=lambda name: (not name.startswith("nsd"), len(name), name))
    off = Space({name: space.pictures[names[at - 1]] for at, name in enumerate(names)}, space.words, space.maker)
    wrong = measured_transfer(core_dataset, SUBJECT, embeddings=off, runs=runs, draws=DRAWS, permutations=DRAWS).scores
    assert value(wrong, "two_way", "perception") == pytest.approx(0.5, abs=0.06)
    assert value(wrong, "retrieval_at_1", "perception") < 0.05


def test_tested_pictures_among_training_rows_are_removed_and_counted(
    core_dataset: Path, space: Space, runs: Runs, training: Training
) -> None:
    splits = nsd_imagery.load(core_dataset, f"{SUBJECT}-perception")
    test = splits["test"]
    hidden = test.map(lambda _: {"shared1000": False, "is_shared": False}, remove_columns=["shared1000", "is_shared"])
    vision = nsd_imagery.load(core_dataset, f"{SUBJECT}-vision", "test")
    for smuggled, pictures in ((test, test), (hidden.select_columns(test.column_names), test), (vision, vision)):
        mixed = concatenate_datasets([splits["train"], smuggled.cast(splits["train"].features)])
        guarded = training_rows(core_dataset, SUBJECT, embeddings=space, rows=mixed, runs=runs)
        assert guarded.n_removed == len(set(pictures["stimulus"]))
        assert guarded.guard.startswith(f"{guarded.n_removed} pictures removed")
        assert guarded.origin == training.origin
        assert np.array_equal(guarded.betas, training.betas)
    known = known_stimuli(core_dataset, open_manifest(core_dataset), SUBJECT, "nsdgeneral")
    assert not known.tested & set(training.stimuli)
    assert {"nsd28751", "nsd30856", "nsd53881", "nsd61177", "nsd65872"} <= known.tested


def test_training_rows_of_a_path_in_the_place_of_vectors_say_what_to_pass(
    core_dataset: Path, core_release: Path
) -> None:
    with pytest.raises(UsageError, match=r"embeddings are a ClipCache or .*: pass ClipCache\(root\)$"):
        training_rows(core_dataset, SUBJECT, embeddings=core_release)


def test_training_rows_are_averages_weighted_by_repeats_however_the_folder_was_scaled(
    core_release: Path, space: Space, training: Training, tmp_path: Path
) -> None:
    scored = nsd_imagery.build(core_release, tmp_path / "z")
    other = training_rows(scored, SUBJECT, embeddings=space)
    assert other.stimuli == training.stimuli
    assert other.origin.voxels == training.origin.voxels
    np.testing.assert_allclose(other.betas, training.betas, atol=2e-4)
    train = nsd_imagery.load(scored, f"{SUBJECT}-perception", "train")
    stimulus, session = np.array(train["stimulus"][:]), np.array(train["session"][:])
    betas = np.array(train.with_format("numpy")["betas"][:], np.float64)[:, training.columns]
    for number in np.unique(session):
        own = betas[session == number]
        betas[session == number] = (own - own.mean(axis=0)) / own.std(axis=0, ddof=1)
    assert training.weights.sum() == len(train)
    most = int(training.weights.argmax())
    assert training.weights[most] > 1
    expected = betas[stimulus == training.stimuli[most]].mean(axis=0)
    np.testing.assert_allclose(training.betas[most], expected, atol=2e-4)


def ties(rng: np.random.Generator, n: int, k: int) -> Array:
    return np.round(rng.standard_normal((n, k)), 1)


@pytest.mark.parametrize("k", [6, 12, 50])
def test_places_give_what_ranking_gives_test_by_test_with_ties(k: int) -> None:
    similarity = ties(np.random.default_rng(k), 7, k)
    found = places.places(similarity)
    for own in range(k):
        of = np.full(7, own)
        np.testing.assert_allclose(places.two_way(found)[:, own], ranking.two_way(similarity, of))
        np.testing.assert_allclose(places.two_way_mirage(found)[:, own], ranking.two_way_mirage(similarity, of))
        for at, n in enumerate((1, 3, 5)):
            expected = ranking.retrieval_at(similarity, of, (1, 3, 5))[:, at]
            np.testing.assert_allclose(places.retrieval_at(found, n)[:, own], expected)
        for row in range(7):
            others = np.delete(similarity[row], own)
            pairs = [1.0 if other < similarity[row, own] else 0.5 * (other == similarity[row, own]) for other in others]
            assert places.two_way(found)[row, own] == pytest.approx(np.mean(pairs))


def test_retrieval_among_fewer_is_the_mean_over_all_choices_of_the_others() -> None:
    similarity = ties(np.random.default_rng(4), 5, 9)
    found = places.places(similarity)
    for k in (1, 2):
        table = places.retrieval_among(found, k, 4)
        for row in range(5):
            for own in range(9):
                others = [other for other in range(9) if other != own]
                each = [
                    ranking.retrieval_at(similarity[[row]][:, [own, *chosen]], np.array([0]), [k])[0, 0]
                    for chosen in combinations(others, 3)
                ]
                assert table[row, own] == pytest.approx(np.mean(each))


def test_retrieval_of_many_pictures_is_also_given_among_300() -> None:
    rng = np.random.default_rng(8)
    names = np.array([f"nsd{number:04d}" for number in range(400)])
    vectors = rng.standard_normal((400, 4))
    [_, tested] = of_pictures(names, vectors + rng.standard_normal((400, 4)), 19)
    scores = [one.score for one in scored_vectors(about(), tested, tested.betas, vectors, np.zeros(4), "decode")]
    at = {(score.measure, score.n_candidates): score for score in scores}
    assert (at["retrieval_at_5", 300].value or 0) > (at["retrieval_at_5", 400].value or 1)
    assert at["retrieval_at_5", 300].chance == pytest.approx(5 / 300)


def test_the_cosine_of_a_mean_is_that_of_the_mean_itself() -> None:
    rng = np.random.default_rng(9)
    rows, candidates = rng.standard_normal((10, 7)), rng.standard_normal((3, 7))
    shares = rng.random((4, 10))
    shares /= shares.sum(axis=1, keepdims=True)
    means = shares @ rows
    expected = means @ candidates.T / np.outer(np.linalg.norm(means, axis=1), np.linalg.norm(candidates, axis=1))
    np.testing.assert_allclose(Compared(Side(rows, candidates)).of_means()(shares), expected)


def test_ranking_is_by_centred_cosine() -> None:
    """Predictions of ridge are shrunk to the mean, from which raw cosine would rank."""
    rng = np.random.default_rng(10)
    center = rng.standard_normal(20) * 5
    candidates = center + rng.standard_normal((12, 20)) * np.linspace(0.3, 2, 12)[:, None]
    rows = center + 0.1 * (candidates - center) + 0.05 * rng.standard_normal((12, 20))
    tested = of_averages("imagery", "A+B", tuple("abcdefghijkl"), np.arange(12), rows, 19)
    scores = {
        one.score.measure: one.score.value for one in scored_vectors(about(), tested, rows, candidates, center, "x")
    }
    raw = rows @ candidates.T / np.linalg.norm(candidates, axis=1)
    assert (scores["two_way"] or 0) > 0.9
    assert ranking.two_way(raw, np.arange(12)).mean() < 0.75


def test_a_saved_decoder_predicts_the_same_and_is_refused_elsewhere(
    core_dataset: Path, space: Space, runs: Runs, training: Training, decoder: Decoder, found: Transfer, tmp_path: Path
) -> None:
    again = Decoder.load(decoder.save(tmp_path / "decoder"))
    assert np.array_equal(again.predict(training.betas), decoder.predict(training.betas))
    assert again.origin == decoder.origin == training.origin
    said = json.loads((tmp_path / "decoder" / "decoder.json").read_text())
    assert said["origin"] | {"subject": SUBJECT, "roi": "nsdgeneral", "maker": space.maker} == said["origin"]
    assert said["penalty"] == decoder.penalty.tolist()
    given: dict[str, Any] = {"training": training, "runs": runs, "test_sets": ["vision"], "draws": DRAWS}
    scores = measured_transfer(core_dataset, SUBJECT, embeddings=space, decoder=again, **given).scores
    for name in "ABC":
        same = [value(one, "two_way", "visX", stimulus_set=name) for one in (scores, found.scores)]
        assert same[0] == same[1]
    for origin, what in (
        (replace(decoder.origin, voxels="other"), "voxels"),
        (replace(decoder.origin, maker="other"), "embeddings' model"),
        (replace(decoder.origin, subject="subj02"), "subject"),
    ):
        other = replace(decoder, origin=origin)
        with pytest.raises(DataError, match=f"the decoder is of other {what}"):
            measured_transfer(core_dataset, SUBJECT, embeddings=space, decoder=other, **given)
    wider = replace(decoder, columns=decoder.columns + 10_000)
    with pytest.raises(DataError, match="other voxels"):
        measured_transfer(core_dataset, SUBJECT, embeddings=space, decoder=wider, **given)
    with pytest.raises(DataError, match=r"fitted on \d+ columns$"):
        decoder.predict(training.betas[:, 1:])
    whole = np.zeros((2, decoder.columns.max() + 2))
    with pytest.raises(DataError, match=r"which this decoder takes \d+: pass betas\[:, decoder\.columns\]$"):
        decoder.predict(whole)
    assert decoder.predict(whole[:, decoder.columns]).shape == (2, len(decoder.intercept))


def test_a_decoder_that_is_damaged_or_a_pickle_is_refused(decoder: Decoder, tmp_path: Path) -> None:
    folder = decoder.save(tmp_path / "decoder")
    with pytest.raises(MissingDataError, match=r"Decoder\.save"):
        Decoder.load(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(MissingDataError, match=r"Decoder\.save"):
        Decoder.load(tmp_path / "file")
    with pytest.raises(FolderError, match="is a file, not a folder for a decoder"):
        decoder.save(tmp_path / "file")
    arrays = folder / "decoder.npz"
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[:-10])
    with pytest.raises(DataError, match="is not the one"):
        Decoder.load(folder)
    said = json.loads((folder / "decoder.json").read_text())
    names = ("weights", "intercept", "penalty", "center")
    np.savez(arrays, columns=np.array([object()]), **{name: getattr(decoder, name) for name in names})
    import xxhash

    said["arrays"] = xxhash.xxh3_128_hexdigest(arrays.read_bytes())
    (folder / "decoder.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match="is no decoder"):
        Decoder.load(folder)
    (folder / "decoder.json").write_text(json.dumps(said | {"format_version": 99}))
    with pytest.raises(DataError, match=r"is a decoder of format 99; 1 is known here: upgrade nsd-imagery$"):
        Decoder.load(folder)
    (folder / "decoder.json").write_text(json.dumps(said | {"format_version": 0}))
    with pytest.raises(DataError, match="format 'nsd-imagery-decoder' 0"):
        Decoder.load(folder)


def test_too_few_pictures_no_perception_and_no_words_are_reasons_and_no_numbers(
    core_dataset: Path, dataset: Path, space: Space, runs: Runs, training: Training, decoder: Decoder
) -> None:
    few = nsd_imagery.load(core_dataset, f"{SUBJECT}-perception", "train").select(range(40))
    short = training_rows(core_dataset, SUBJECT, embeddings=space, rows=few, runs=runs)
    assert "training pictures, fewer than 50" in short.reason
    with pytest.raises(UsageError, match="fewer than 50"):
        short.decoder()
    given: dict[str, Any] = {"runs": runs, "test_sets": ["imagery"], "draws": 19}
    scores = measured_transfer(core_dataset, SUBJECT, embeddings=space, training=short, **given).scores
    assert scores
    assert all(one.score.value is None and "fewer than 50" in one.score.reason for one in scores)
    without = measured_transfer(dataset, SUBJECT, embeddings=space, test_sets=["perception", "vision"], draws=19).scores
    reasons = {one.score.test: one.score.reason for one in without}
    assert reasons["visX"] == "the folder has no train split of subj01-perception"
    assert reasons["perception"] == "the folder has no test split of subj01-perception"
    with pytest.raises(UsageError, match="no ROI 'V1'; there are: nsdgeneral"):
        measured_transfer(dataset, SUBJECT, "V1", space)
    lacking = Space({name: space.pictures[name] for name in list(space.pictures)[:100]}, {}, "")
    with pytest.raises(MissingEmbeddingError, match=r"no image embedding of nsd\d+, .* more; make them"):
        training_rows(core_dataset, SUBJECT, embeddings=lacking, runs=runs)
    wordless = Space(space.pictures, {}, space.maker)
    scores = measured_transfer(
        core_dataset, SUBJECT, embeddings=wordless, training=training, decoder=decoder, **given
    ).scores
    missing = [one.score for one in scores if one.score.value is None and "embedding" in one.score.reason]
    assert {score.stimulus_set for score in missing} == {"C"}
    assert all("no text embedding of banana" in score.reason for score in missing)
    assert value(scores, "two_way", "imgX", stimulus_set="", n_candidates=6) > 0.6


Write = Callable[..., Path]


@pytest.fixture(scope="module")
def predicted(core_dataset: Path, runs: Runs, decoder: Decoder) -> dict[str, Any]:
    """What the decoder predicts of each trial, as a table's columns."""
    columns: dict[str, list[Any]] = {"trial_id": [], "vector": []}
    names = ["session", "run_number", "trial_in_session", "condition", "trial_id", "target"]
    rows: list[Mapping[str, Any]] = []
    for condition in ("vision", "imagery"):
        table = nsd_imagery.load(core_dataset, f"{SUBJECT}-{condition}", "test").select_columns(names)
        rows += table.to_list()
    ids = trial_ids(sorted(rows, key=lambda row: [row[name] for name in names[:3]]), runs)
    for run in runs:
        columns["trial_id"] += ids[run.name]
        columns["vector"] += decoder.predict(run.betas[:, decoder.columns]).tolist()
    return {"subject": [SUBJECT] * len(columns["trial_id"]), **columns}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(columns: Mapping[str, Any], name: str = "predictions.parquet") -> Path:
        path = tmp_path / name
        if name.endswith(".csv"):
            flat = {f"v{at}": list(values) for at, values in enumerate(zip(*columns["vector"], strict=True))}
            pa.csv.write_csv(pa.table({key: columns[key] for key in columns if key != "vector"} | flat), path)
        else:
            pq.write_table(pa.table(dict(columns)), path)
        return path

    return write


@pytest.mark.parametrize("name", ["predictions.parquet", "predictions.csv"])
def test_predictions_of_a_model_are_scored_as_a_decoder_is(
    name: str, core_dataset: Path, predicted: dict[str, Any], write: Write, space: Space, found: Transfer
) -> None:
    predictions = read_predictions(write(predicted, name))
    scores = score_predictions(core_dataset, SUBJECT, predictions, space, test_sets=OF_RUNS, draws=DRAWS)
    for test in TESTS:
        for stimulus_set in "ABC":
            for unit in ("trial", "mean"):
                said = {"stimulus_set": stimulus_set, "unit": unit}
                ours = value(scores, "cosine", test, train="predictions", **said)
                assert ours == pytest.approx(value(found.scores, "cosine", test, **said), abs=1e-6)
        ours = the(scores, "two_way", test, train="predictions", stimulus_set="", n_candidates=6).score
        assert ours.value == pytest.approx(
            value(found.scores, "two_way", test, stimulus_set="", n_candidates=6), abs=0.06
        )
        assert ours.p == 1 / (1 + DRAWS)


def test_predictions_of_averages_are_scored_by_condition_and_stimulus(
    core_dataset: Path, space: Space, write: Write, runs: Runs
) -> None:
    rng = np.random.default_rng(0)
    known = known_stimuli(core_dataset, open_manifest(core_dataset), SUBJECT, "nsdgeneral")
    names = [known.stimulus_of[target] for run in runs.of("vision") for target in run.targets]
    vectors = [(space.pictures[name] + rng.standard_normal(32)).tolist() for name in names]
    columns = {
        "subject": ["1"] * 18, "condition": ["imagery"] * 18, "stimulus": names, "vector": vectors
    }  # fmt: skip
    path = write(columns)
    said: dict[str, Any] = {"test_sets": ["imagery"], "draws": DRAWS, "permutations": DRAWS}
    scores = score_predictions(core_dataset, SUBJECT, read_predictions(path), space, **said)
    assert {one.score.unit for one in scores} == {"mean"}
    assert value(scores, "two_way", "imgX", train="predictions", unit="mean", n_candidates=12) > 0.8
    averaged = the(scores, "two_way", "imgX", train="predictions", unit="mean", n_candidates=12).score
    assert (averaged.p or 1) < 0.02
    other = read_predictions(write({**columns, "stimulus": at_row(names, 2, "nsd7")}))
    for partial in (False, True):
        with pytest.raises(DataError, match="row 3: 'nsd7' in imagery is nothing that the folder has for a test"):
            score_predictions(core_dataset, SUBJECT, other, space, partial=partial, **said)
    with pytest.raises(DataError, match=r"1 of 6 stimuli of imagery A have no prediction"):
        score_predictions(core_dataset, SUBJECT, read_predictions(write(without_row(columns, 2))), space, **said)


def changed(columns: Mapping[str, Any], **to: Any) -> dict[str, Any]:
    return {**{name: list(values) for name, values in columns.items()}, **to}


def without_row(columns: Mapping[str, Any], row: int) -> dict[str, Any]:
    return {name: [*values[:row], *values[row + 1 :]] for name, values in columns.items()}


def at_row(values: list[Any], row: int, other: Any) -> list[Any]:
    return [*values[:row], other, *values[row + 1 :]]


@pytest.mark.parametrize(("change", "message"), [
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [float("nan")] * 32)), r"row 3: its vector has numbers"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [0.0] * 32)), r"row 3: its vector is 0 throughout"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [1e200] * 32)), r"row 3: its vector .* float32 cannot hold"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [1e-200] * 32)), r"row 3: its vector is 0 throughout"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [1.0] * 31)), r"row 3: its vector has 31 numbers, that of row"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, None)), r"row 3: vector is absent"),
    (lambda c: changed(c, vector=at_row(c["vector"], 2, [None] * 32)), r"row 3: a number of its vector is absent"),
    (lambda c: changed(c, trial_id=at_row(c["trial_id"], 2, c["trial_id"][0])), r"row 3: trial_id \d+ of subj01 is in"),
    (lambda c: changed(c, trial_id=at_row(c["trial_id"], 2, None)), r"row 3: trial_id is absent"),
    (lambda c: changed(c, trial_id=[str(v) for v in c["trial_id"]]), r"trial_id is string, not whole numbers"),
    (lambda c: changed(c, subject=at_row(c["subject"], 2, "subj09")), r"row 3: .*subj09"),
    (lambda c: {"subject": c["subject"], "trial_id": c["trial_id"]}, r"has neither vector nor v0"),
    (lambda c: {"trial_id": c["trial_id"], "vector": c["vector"]}, r"has no column subject"),
    (lambda c: {"subject": c["subject"], "stimulus": c["subject"], "vector": c["vector"]}, r"has no column condition"),
    (lambda c: {"subject": c["subject"], "stimulus": c["subject"], "condition": ["dream"] * len(c["subject"]),
                "vector": c["vector"]}, r"row 1: condition 'dream' is none of"),
])  # fmt: skip
def test_predictions_that_cannot_be_meant_are_one_line_with_the_row(
    change: Callable[[dict[str, Any]], dict[str, Any]], message: str, predicted: dict[str, Any], write: Write
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(write(change(predicted)))
    assert "\n" not in str(caught.value)


def test_a_row_of_a_csv_is_named_by_its_line(predicted: dict[str, Any], write: Write) -> None:
    twice = at_row(predicted["trial_id"], 2, predicted["trial_id"][0])
    with pytest.raises(DataError, match=r"row 3 \(line 4\): "):
        read_predictions(write(changed(predicted, trial_id=twice), "predictions.csv"))


def test_predictions_that_the_folder_knows_nothing_of_are_refused(
    core_dataset: Path, predicted: dict[str, Any], write: Write, space: Space, tmp_path: Path
) -> None:
    def score(columns: Mapping[str, Any], targets: Space = space, **options: Any) -> list[Measured]:
        predictions = read_predictions(write(columns))
        options = {"test_sets": OF_RUNS, "draws": 19, **options}
        return score_predictions(core_dataset, SUBJECT, predictions, targets, **options)

    unknown = at_row(predicted["trial_id"], 2, 7)
    for partial in (False, True):
        with pytest.raises(DataError, match="row 3: trial_id 7 is nothing"):
            score(changed(predicted, trial_id=unknown), partial=partial)
    short = {name: values[1:] for name, values in predicted.items()}
    with pytest.raises(DataError, match=r"1 of 48 valid trials of visA have no prediction, first trial_id \d+"):
        score(short)
    assert (
        the(score(short, partial=True), "two_way", "visX", train="predictions", stimulus_set="A").score.n_trials == 47
    )
    with pytest.raises(
        DataError, match=r"236 of 236 valid trials of perception's shared pictures have no prediction: "
    ):
        score(predicted, test_sets=("perception", *OF_RUNS))
    whole = score(predicted, test_sets=("perception", *OF_RUNS), partial=True)
    assert {one.score.reason for one in whole if one.score.test == "perception"} == {"no predictions of it"}
    narrow = Space({name: vector[:16] for name, vector in space.pictures.items()}, {}, "")
    with pytest.raises(DataError, match="vectors have 32 numbers, those of the candidates 16"):
        score(predicted, narrow)
    with pytest.raises(UsageError, match="has no rows of subj01; it has subj02"):
        score(changed(predicted, subject=["subj02"] * len(predicted["subject"])))
    with pytest.raises(UsageError, match=r"best\.ckpt: predictions are a .parquet or .csv file"):
        read_predictions(tmp_path / "best.ckpt")
    with pytest.raises(MissingDataError, match="no such file"):
        read_predictions(tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is no table of predictions"):
        read_predictions(tmp_path / "broken.parquet")


def test_targets_are_a_file_of_embeddings_or_a_table(core_release: Path, space: Space, write: Write) -> None:
    [file] = (core_release / "truth").glob("*.parquet")
    embedded = read_targets(file)
    assert embedded.maker == space.maker
    known = {"image": dict(space.pictures), "text": {name: -space.words[name] for name in space.words}}
    rows = [(kind, name, vectors[name].tolist()) for kind, vectors in known.items() for name in vectors]
    columns = dict(zip(("kind", "stimulus", "vector"), map(list, zip(*rows, strict=True)), strict=True))
    tables = [read_targets(write(columns, name)) for name in ("targets.parquet", "targets.csv")]
    for targets, words in ((embedded, space.words), *((table, known["text"]) for table in tables)):
        for vectors, own in ((targets.pictures, space.pictures), (targets.words, words)):
            assert set(vectors) == set(own)
            assert all(np.array_equal(vectors[name].astype(np.float32), own[name]) for name in own)
    with pytest.raises(DataError, match="row 3: kind 'picture' is none of image, text"):
        read_targets(write(changed(columns, kind=at_row(columns["kind"], 2, "picture"))))
    with pytest.raises(DataError, match=r"row 3: '\S+' of kind image is in row 2 already"):
        read_targets(write(changed(columns, stimulus=at_row(columns["stimulus"], 2, columns["stimulus"][1]))))


def test_pictures_and_words_are_of_one_model(core_release: Path) -> None:
    pictures = nsd_imagery.ClipCache(core_release, folder=core_release / "truth")
    with pytest.raises(DataError, match="words: are embeddings of kind image"):
        space_of(pictures, pictures)
