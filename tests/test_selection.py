"""Voxels that rows of NSD-Imagery choose, by signal and by nothing else, and rows that chose and so test nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import xxhash
from datasets import Dataset, concatenate_datasets

import nsd_imagery
from benchmarked import benchmark
from nsd_imagery import NSDPreprocessor
from nsd_imagery.chance.centring import zscores
from nsd_imagery.chance.pairs import variances
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.evaluation.ceiling import voxel_variances
from nsd_imagery.evaluation.runs import load_runs
from nsd_imagery.learn import run_scores, voxel_scores
from nsd_imagery.learn.preprocess import refuse_selected
from nsd_imagery.trial_ids import trial_id

pytestmark = pytest.mark.slow


SIMULATION = benchmark("calibrate_evaluation")


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


@pytest.fixture(scope="module")
def test(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-perception", "test")


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


def test_trials_that_a_run_lacks_are_in_no_pair_and_bias_nothing(vision: Dataset) -> None:
    is_valid = np.random.default_rng(3).random(48) > 0.3
    order = np.unique(label(vision, "target")[:48], return_inverse=True)[1]
    scores = zscores(planted(vision, 20, 0.3, SIMULATION.Noise(), 3)[:48], is_valid)
    (run,) = run_scores.pairs_of_runs(vision.select(np.flatnonzero(is_valid)))
    np.testing.assert_allclose(run.variances(scores[is_valid]), variances(scores, order, is_valid), atol=1e-9)
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


def by_run_name(rows: Dataset, end: str) -> Dataset:
    return rows.select(np.flatnonzero(np.char.endswith(label(rows, "run_name"), end)))


@pytest.mark.parametrize("options", [{"selection": "ncsnr", "n_voxels": 9}, {"pca": 2}])
def test_rows_that_chose_are_known_and_refused_as_tests_here_and_after_saving(
    imagery: Dataset, voxels: Dataset, options: dict[str, object], tmp_path: Path
) -> None:
    first, second = (by_run_name(imagery, end) for end in ("_1", "_2"))
    is_valid = [row % 10 != 0 for row in range(first.num_rows)]
    rows = first.remove_columns("is_valid").add_column("is_valid", is_valid)
    preprocessor = NSDPreprocessor(zscore="run", **options).fit(rows, voxels).adapt(second, voxels)
    for one in (preprocessor, NSDPreprocessor.load(preprocessor.save(tmp_path / "saved"))):
        assert one.chose_by(first["trial_id"]).tolist() == is_valid  # the column as it is
        assert not one.chose_by(second["trial_id"][:]).any()
        refuse_selected(one, second["trial_id"][:])
        some = [*second["trial_id"][:3], *first["trial_id"][:3]]
        with pytest.raises(UsageError, match=r"^2 of the 6 rows to be tested chose .*: fit it on others") as error:
            refuse_selected(one, some)
        assert "\n" not in str(error.value)


def test_means_and_sds_choose_nothing_and_what_is_not_fitted_has_no_answer(imagery: Dataset, voxels: Dataset) -> None:
    for zscore in ("run", "training"):
        refuse_selected(NSDPreprocessor(zscore=zscore).fit(imagery, voxels), imagery["trial_id"][:])
    refuse_selected(NSDPreprocessor(smoothing_fwhm=3.0), imagery["trial_id"][:])
    with pytest.raises(UsageError, match="not fitted"):
        refuse_selected(NSDPreprocessor(pca=2), imagery["trial_id"][:])


def test_ids_are_saved_once_each_however_often_a_row_was_there(
    imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    often = imagery.select([*range(288)] * 20)
    folder = NSDPreprocessor(selection="ncsnr", n_voxels=9).fit(often, voxels).save(tmp_path / "often")
    with np.load(folder / "preprocessor.npz") as arrays:
        assert arrays["chosen_by"].tolist() == sorted(imagery["trial_id"][:])


def test_the_map_of_the_release_was_chosen_by_all_of_nsd_core(
    train: Dataset, test: Dataset, imagery: Dataset, voxels: Dataset
) -> None:
    preprocessor = NSDPreprocessor(selection="ncsnr_release", n_voxels=9).fit(train, voxels)
    refuse_selected(preprocessor, imagery["trial_id"][:])
    assert preprocessor.chose_by(test["trial_id"][:]).all()
    other = [trial_id("nsd", "subj02", 1, 0)]  # subj02's, of which there is another map
    assert not preprocessor.chose_by(other).any()
    with pytest.raises(UsageError, match=r"with another selection .*made from all of NSD core"):
        refuse_selected(preprocessor, test["trial_id"][:])
    with pytest.raises(DataError, match="12 is no trial_id"):
        preprocessor.chose_by([12])
    # Its components were chosen by imagery, its voxels by core.
    mixed = NSDPreprocessor(selection="ncsnr_release", n_voxels=9, pca=2).fit(imagery, voxels)
    assert mixed.chose_by(imagery["trial_id"][:]).all()
    assert mixed.chose_by(train["trial_id"][:]).all()


def as_older(folder: Path) -> NSDPreprocessor:
    """What was saved, as the version before would have."""
    with np.load(folder / "preprocessor.npz") as arrays:
        older = {name: values for name, values in arrays.items() if name != "chosen_by"}
    np.savez(folder / "preprocessor.npz", **older)
    said = json.loads((folder / "preprocessor.json").read_text())
    said["format_version"] = 4
    said["fitted"]["arrays"] = xxhash.xxh3_128_hexdigest((folder / "preprocessor.npz").read_bytes())
    (folder / "preprocessor.json").write_text(json.dumps(said))
    return NSDPreprocessor.load(folder)


def test_of_an_older_file_rows_may_have_chosen_unless_its_groups_tell_that_they_did_not(
    train: Dataset, test: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    ids = {name: rows["trial_id"][:] for name, rows in (("test", test), ("imagery", imagery))}
    choice = {"selection": "ncsnr", "n_voxels": 9}
    of_two = train.select(np.flatnonzero(label(train, "session") < 3))
    by_session = NSDPreprocessor(zscore="session", **choice).fit(of_two, voxels).adapt(imagery, voxels)
    older = as_older(by_session.save(tmp_path / "session"))
    refuse_selected(older, ids["imagery"])
    assert older.chose_by(ids["test"]).tolist() == (label(test, "session") < 3).tolist()
    with pytest.raises(UsageError, match=r"may have chosen .*: an older nsd-imagery saved it without their ids"):
        refuse_selected(older, ids["test"])
    untold = as_older(NSDPreprocessor(**choice).fit(train, voxels).save(tmp_path / "untold"))
    assert untold.chose_by(ids["imagery"]).all()
    assert not untold.chose_by([trial_id("nsdimagery", "subj02", 1, 0)]).any()  # of another subject
    again = NSDPreprocessor.load(untold.save(tmp_path / "again"))
    assert again.chose_by(ids["imagery"]).all()
    plain = as_older(NSDPreprocessor(zscore="run").fit(imagery, voxels).save(tmp_path / "plain"))
    refuse_selected(plain, ids["imagery"])
