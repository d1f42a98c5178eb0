"""Voxels that rows of NSD-Imagery choose, by signal and by nothing else."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets

import nsd_imagery
from nsd_imagery import NSDPreprocessor
from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.ceiling import voxel_variances
from nsd_imagery.evaluation.runs import load_runs
from nsd_imagery.learn import run_scores, voxel_scores

pytestmark = pytest.mark.slow


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / "calibrate_evaluation.py"
    spec = importlib.util.spec_from_file_location("calibrate_evaluation", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SIMULATION = _benchmark()


@pytest.fixture(scope="module")
def voxels(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-voxels", "train")


@pytest.fixture(scope="module")
def vision(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-vision", "test")


@pytest.fixture(scope="module")
def imagery(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-imagery", "test")


@pytest.fixture(scope="module")
def train(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-perception", "train")


def label(rows: Dataset, name: str) -> np.ndarray:
    return np.asarray(rows[name][:])


def with_betas(rows: Dataset, betas: np.ndarray) -> Dataset:
    return rows.remove_columns("betas").add_column("betas", list(betas.astype(np.float32)))


def planted(rows: Dataset, n_voxels: int, ncsnr: float, noise: object, seed: int) -> np.ndarray:
    """(n_rows, n_voxels) betas by the schedules of whole runs: one response a target, and noise of each run's own."""
    rng, run, target = np.random.default_rng(seed), label(rows, "run_number"), label(rows, "target")
    betas = np.empty((len(run), n_voxels))
    for stimulus_set in "ABC":
        of_set = label(rows, "stimulus_set") == stimulus_set
        responses = SIMULATION.patterns(rng, n_voxels, ncsnr)
        for number in np.unique(run[of_set]):
            order = np.unique(target[run == number], return_inverse=True)[1]
            betas[run == number] = responses[order] + SIMULATION.noise_of(rng, n_voxels, noise)
    return betas


def z_scored_by_run(rows: Dataset, betas: np.ndarray) -> np.ndarray:
    run, scores = label(rows, "run_number"), np.empty_like(betas)
    for number in np.unique(run):
        scores[run == number] = SIMULATION.zscored(betas[run == number])
    return scores


def kept(rows: Dataset, voxels: Dataset, **options: object) -> list[int]:
    fitted = NSDPreprocessor(**options).fit(rows, voxels).fitted
    assert fitted is not None
    return fitted.columns.tolist()


def test_planted_ncsnr_is_found_where_the_form_for_pictures_finds_nothing(vision: Dataset) -> None:
    score = run_scores.ncsnr(run_scores.pairs_of_runs(vision))
    of_pictures = voxel_scores.ncsnr(label(vision, "target"), label(vision, "trial_id"))
    found = []
    for seed in range(8):
        betas = z_scored_by_run(vision, planted(vision, 500, 0.15, SIMULATION.Noise(), seed))
        scores = score(betas)
        found.append([np.median(scores), np.mean(np.square(scores) * np.sign(scores)), np.median(of_pictures(betas))])
    median, mean_square, of_pictures_median = np.mean(found, axis=0)
    assert mean_square**0.5 == pytest.approx(0.15, rel=0.05)
    assert median == pytest.approx(0.15, abs=0.03)  # estimates of one voxel are skewed
    assert of_pictures_median < 0.02


def test_voxels_with_signal_are_kept_where_the_form_for_pictures_keeps_a_quarter_fewer(
    vision: Dataset, voxels: Dataset
) -> None:
    n_voxels = voxels.num_rows
    betas = planted(vision, n_voxels, 0, SIMULATION.Noise(), 1)
    betas[:, ::2] = planted(vision, n_voxels, 0.25, SIMULATION.Noise(), 2)[:, ::2]
    betas = z_scored_by_run(vision, betas)
    columns = np.array(kept(with_betas(vision, betas), voxels, selection="ncsnr", threshold=0.15))
    assert np.mean(columns % 2 == 0) > 0.7
    of_pictures = voxel_scores.ncsnr(label(vision, "target"), label(vision, "trial_id"))(betas)
    assert np.count_nonzero(columns % 2 == 0) > 1.25 * np.count_nonzero(of_pictures[::2] >= 0.15)


@pytest.mark.parametrize("selection", ["ncsnr", "reliability"])
def test_of_noise_alone_no_kind_of_voxel_is_kept_more_often(vision: Dataset, voxels: Dataset, selection: str) -> None:
    half, shares = voxels.num_rows // 2, []
    of_pictures = getattr(voxel_scores, selection)(label(vision, "target"), label(vision, "trial_id"))
    run = label(vision, "run_number")
    for seed in range(6):
        rng = np.random.default_rng(seed)
        white, slow = (planted(vision, half, 0, SIMULATION.Noise(*of), seed) for of in ((0.0, 0.0), (0.5, 0.3)))
        # A set is in one run of vision: what a run adds to all its trials is no response to the set's targets.
        slow += rng.standard_normal((run.max() + 1, half))[run]
        betas = np.concatenate([white, slow], axis=1)
        columns = np.array(kept(with_betas(vision, betas), voxels, selection=selection, n_voxels=half))
        by_pictures = np.argsort(-of_pictures(betas), kind="stable")[:half]
        shares.append([np.mean(columns >= half), np.mean(by_pictures >= half)])
    by_pairs, by_pictures = np.mean(shares, axis=0)
    assert by_pairs == pytest.approx(0.5, abs=0.08)
    assert by_pictures > 0.8


@pytest.mark.parametrize("condition", ["vision", "imagery"])
def test_a_voxels_score_is_what_evaluation_says_of_it_whatever_the_rows_are_z_scored_by(
    core_dataset: Path, voxels: Dataset, condition: str, request: pytest.FixtureRequest
) -> None:
    rows = request.getfixturevalue(condition)
    found = voxel_variances(load_runs(core_dataset, "subj01"), condition)
    assert found is not None
    varies = found.noise > 0
    ratio = found.signal[varies] / found.noise[varies]
    score = run_scores.ncsnr(run_scores.pairs_of_runs(rows))(np.stack(rows.with_format("numpy")[:]["betas"]))
    np.testing.assert_allclose(np.square(score[varies]) * np.sign(score[varies]), ratio, atol=1e-5)
    order = np.flatnonzero(varies)[np.argsort(-ratio, kind="stable")]
    rng = np.random.default_rng(0)
    shuffled = rows.select([*rng.permutation(rows.num_rows), *range(40)])  # forty of them are there twice
    for zscore in (None, "run", "session", "training"):
        for some in (rows, shuffled):
            assert kept(some, voxels, zscore=zscore, selection="ncsnr", n_voxels=50) == sorted(order[:50].tolist())


def test_reliability_is_the_correlation_that_halves_of_independent_trials_would_have(vision: Dataset) -> None:
    runs = run_scores.pairs_of_runs(vision)
    for lag_one in (0.0, 0.5):
        betas = planted(vision, 2_000, 0.5, SIMULATION.Noise(lag_one), 7)
        signal, noise = np.mean([run.variances(betas) for run in runs], axis=0)
        found = run_scores.reliability(runs)(betas)
        np.testing.assert_allclose(found, np.maximum(signal / (signal + noise / 4), -1))
        # Eight presentations: halves of four.
        assert np.median(found) == pytest.approx(0.25 / (0.25 + 1 / 4), abs=0.03)


def test_reliability_and_ncsnr_keep_the_same_voxels_of_such_rows_and_one_without_variance_last(
    imagery: Dataset, voxels: Dataset
) -> None:
    betas = planted(imagery, voxels.num_rows, 0.1, SIMULATION.Noise(), 9)
    betas[:, :5] = 3.0
    rows = with_betas(imagery, betas)
    n_voxels = voxels.num_rows - 5
    one, other = (kept(rows, voxels, selection=name, n_voxels=n_voxels) for name in ("reliability", "ncsnr"))
    assert one == other == list(range(5, voxels.num_rows))
    few = [kept(rows, voxels, selection=name, n_voxels=40) for name in ("reliability", "ncsnr")]
    assert few[0] == few[1]
    assert 0 < len(kept(rows, voxels, selection="ncsnr", threshold=0.0)) < n_voxels  # some are below 0


def test_runs_that_lack_trials_bias_nothing(vision: Dataset) -> None:
    found = []
    for seed in range(8):
        rows = np.sort(np.random.default_rng(seed).permutation(144)[:108])
        betas = z_scored_by_run(vision, planted(vision, 500, 0.3, SIMULATION.Noise(), seed))[rows]
        found.append(np.median(run_scores.ncsnr(run_scores.pairs_of_runs(vision.select(rows)))(betas)))
    assert np.mean(found) == pytest.approx(0.3, abs=0.02)


def test_words_are_told_apart_by_the_word_and_both_epochs_of_attention_are_runs(core_dataset: Path) -> None:
    vision = nsd_imagery.load(core_dataset, "subj01-vision", "test")
    words = vision.select(np.flatnonzero(label(vision, "stimulus_set") == "C"))
    (run,) = run_scores.pairs_of_runs(words)
    assert run.targets == {f"vision//{word}" for word in ("banana", "fruit", "mammal", "stripes", "yellow", "zebra")}
    attention = nsd_imagery.load(core_dataset, "subj01-attention", "test")
    runs = run_scores.pairs_of_runs(attention)
    assert len(runs) == 6
    assert len(frozenset[str]().union(*(run.targets for run in runs))) == 36


TWO = [f"t{code}" for code in np.random.default_rng(0).integers(0, 2, 288)]


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("run_number", [-1] * 288, "of nsdimagery/1 have no run number: select by rows of perception"),
        ("trial_in_session", [7 * row for row in range(288)], "are 330 trials from first to last"),
        ("target", [f"t{row % 7}" for row in range(288)], "are of 7 targets"),
        ("target", TWO, "at least 3 targets .* these rows have 2"),
        ("target", ["t"] * 288, "at least 3 targets .* these rows have 0"),
    ],
)
def test_rows_that_are_no_runs_are_refused_in_one_line(
    imagery: Dataset, voxels: Dataset, name: str, values: list[object], message: str
) -> None:
    rows = imagery.remove_columns(name).add_column(name, values)
    for selection in ("ncsnr", "reliability"):
        with pytest.raises(UsageError, match=message) as error:
            NSDPreprocessor(selection=selection, n_voxels=9).fit(rows, voxels)
        assert "\n" not in str(error.value)


def test_no_score_is_of_both_experiments(train: Dataset, imagery: Dataset, voxels: Dataset) -> None:
    both = concatenate_datasets([train.select(range(900)), imagery])
    with pytest.raises(UsageError, match=r"rows of nsd and nsdimagery: .* fit it on rows of one"):
        NSDPreprocessor(selection="ncsnr", n_voxels=9).fit(both, voxels)
    assert NSDPreprocessor(pca=2).fit(both, voxels).fitted is not None
