"""`NSDPreprocessor`: what it learns, from which rows, and whom it refuses."""

import json
import logging
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xxhash
from datasets import Dataset, concatenate_datasets
from sklearn.decomposition import PCA
from torch.utils.data import DataLoader

import nsd_imagery
from nsd_imagery import NSDPreprocessor
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.learn.fitting import group_moments
from nsd_imagery.learn.labels import labels_of
from nsd_imagery.learn.voxel_scores import ncsnr, principal_components, reliability

pytestmark = pytest.mark.slow

SESSIONS = Path("nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR")
ALL = {"zscore": "session", "selection": "reliability", "n_voxels": 40, "pca": 6}


@pytest.fixture(scope="module")
def voxels(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-voxels", "train")


@pytest.fixture(scope="module")
def train(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-perception", "train")


@pytest.fixture(scope="module")
def test(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-perception", "test")


@pytest.fixture(scope="module")
def imagery(core_dataset: Path) -> Dataset:
    return nsd_imagery.load(core_dataset, "subj01-imagery", "test")


def betas_of(trials: Dataset) -> np.ndarray:
    return trials.with_format("numpy")[:]["betas"].astype(np.float64)


def change_test_rows(root: Path, trials: Dataset) -> None:
    """Other betas, in the files, wherever a row of the test split lies; all else as it was."""
    rng = np.random.default_rng(5)
    for session in (1, 2, 3):
        path = root / SESSIONS / f"betas_session{session:02d}.hdf5"
        contents = path.read_bytes()
        path.unlink()
        path.write_bytes(contents)
        of_session = np.asarray(trials["session"][:]) == session
        volumes = np.sort(np.asarray(trials["beta_index"][:])[of_session])
        with h5py.File(path, "r+") as file:
            betas = file["betas"][:]
            betas[volumes] = rng.integers(-3000, 3000, betas[volumes].shape)
            file["betas"][:] = betas


@pytest.mark.parametrize("selection", ["reliability", "ncsnr"])
def test_nothing_in_the_test_split_reaches_what_is_fitted_on_the_training_split(
    own_core_release: Path, test: Dataset, selection: str
) -> None:
    def fitted(root: Path) -> dict[str, np.ndarray]:
        options = {**ALL, "selection": selection, "smoothing_fwhm": 2.0}
        preprocessor = NSDPreprocessor(**options)
        rows = nsd_imagery.NSDImageryDataset(root, condition="perception", split="train", preprocessor=preprocessor)
        preprocessor.fit(rows.trials, rows.voxels)
        found = preprocessor.fitted
        assert found is not None
        arrays = {"columns": found.columns, "mean": found.by.mean, "sd": found.by.sd, "center": found.center}
        return {**arrays, "components": found.components, "groups": np.array(found.groups)}

    before = fitted(own_core_release)
    change_test_rows(own_core_release, test)
    after = fitted(own_core_release)
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name], err_msg=name)
    assert before["components"].shape == (6, 40)


def test_z_scores_are_over_the_training_rows_of_a_session_and_serve_its_test_rows(
    train: Dataset, test: Dataset, voxels: Dataset
) -> None:
    preprocessor = NSDPreprocessor(zscore="session").fit(train, voxels)
    betas, session = betas_of(train), np.asarray(train["session"][:])
    given, of_test = preprocessor.transform(train, voxels), preprocessor.transform(test, voxels)
    for number in (1, 2, 3):
        rows = betas[session == number]
        mean, sd = rows.mean(axis=0), rows.std(axis=0, ddof=1)
        sd[sd == 0] = np.inf
        np.testing.assert_allclose(given[session == number], (rows - mean) / sd, atol=1e-4)
        of_session = np.asarray(test["session"][:]) == number
        np.testing.assert_allclose(of_test[of_session], (betas_of(test)[of_session] - mean) / sd, atol=1e-4)


def test_of_a_run_with_one_training_row_every_other_row_is_0(train: Dataset, voxels: Dataset) -> None:
    run = np.asarray(train["run_number"][:]) + 100 * np.asarray(train["session"][:])
    of_first = np.flatnonzero(run == run[0])
    rows = train.select([*of_first[:1], *np.flatnonzero(run != run[0])])
    others = train.select(of_first[1:])
    preprocessor = NSDPreprocessor(zscore="run").fit(rows, voxels)
    assert betas_of(others).any()
    assert not preprocessor.transform(others, voxels).any()
    with_two = NSDPreprocessor(zscore="run").fit(train.select([*of_first[:2], *np.flatnonzero(run != run[0])]), voxels)
    assert with_two.transform(others, voxels)[0].any()


def test_runs_that_were_not_fitted_are_refused_until_they_are_adapted_to(
    train: Dataset, imagery: Dataset, voxels: Dataset
) -> None:
    preprocessor = NSDPreprocessor(zscore="run", selection="reliability", n_voxels=30, pca=4).fit(train, voxels)
    fitted = preprocessor.fitted
    assert fitted is not None
    with pytest.raises(DataError, match=r"no mean and sd of nsdimagery/1/10.*adapt\(trials, voxels\)"):
        preprocessor.transform(imagery, voxels)
    adapted = preprocessor.adapt(imagery, voxels).fitted
    assert adapted is not None
    assert len(adapted.groups) == len(fitted.groups) + 6
    np.testing.assert_array_equal(adapted.by.mean[: len(fitted.groups)], fitted.by.mean)
    for name in ("columns", "center", "components"):
        assert getattr(adapted, name) is getattr(fitted, name)
    runs = np.asarray(imagery["run_number"][:])
    rows = betas_of(imagery)[runs == 3][:, fitted.columns]
    scores = (rows - rows.mean(axis=0)) / rows.std(axis=0, ddof=1)
    expected = (scores - fitted.center) @ fitted.components.T
    np.testing.assert_allclose(preprocessor.transform(imagery, voxels)[runs == 3], expected, atol=1e-4)


def test_auto_is_by_session_in_nsd_core_and_by_run_in_nsdimagery(
    train: Dataset, imagery: Dataset, voxels: Dataset
) -> None:
    by = {zscore: NSDPreprocessor(zscore=zscore) for zscore in ("auto", "run", "session")}
    for preprocessor in by.values():
        preprocessor.fit(train, voxels).adapt(imagery, voxels)
    for rows, zscore in ((train, "session"), (imagery, "run")):
        np.testing.assert_array_equal(by["auto"].transform(rows, voxels), by[zscore].transform(rows, voxels))


def test_reliability_is_the_correlation_of_odd_and_even_presentations(train: Dataset, voxels: Dataset) -> None:
    kept = NSDPreprocessor(selection="reliability", n_voxels=20).fit(train, voxels).fitted
    betas, stimuli = betas_of(train), np.asarray(train["stimulus"][:])
    repeated = [name for name in np.unique(stimuli) if (stimuli == name).sum() > 1]
    halves = [np.stack([betas[stimuli == name][half::2].mean(axis=0) for name in repeated]) for half in (0, 1)]
    with np.errstate(invalid="ignore"):
        scores = [
            np.corrcoef(halves[0][:, at], halves[1][:, at])[0, 1] if halves[0][:, at].any() else 0
            for at in range(betas.shape[1])
        ]
    assert kept is not None
    assert kept.columns.tolist() == sorted(np.argsort(-np.array(scores), kind="stable")[:20].tolist())


def test_scores_find_the_signal_that_was_planted() -> None:
    rng = np.random.default_rng(3)
    stimulus = np.repeat([f"s{number:04d}" for number in range(1500)], 3)
    strength = np.array([0.0, 0.5, 1.0, 2.0])
    betas = np.repeat(rng.standard_normal((1500, 4)) * strength, 3, axis=0) + rng.standard_normal((4500, 4))
    order = rng.permutation(4500)
    stimulus, betas = stimulus[order], betas[order]
    np.testing.assert_allclose(ncsnr(stimulus, np.arange(4500))(betas), strength, atol=0.15)
    # Of one repeat more among the odd presentations.
    expected = strength**2 / np.sqrt((strength**2 + 0.5) * (strength**2 + 1))
    np.testing.assert_allclose(reliability(stimulus, np.arange(4500))(betas), expected, atol=0.06)
    rows = rng.permutation(4500)
    again = reliability(stimulus[rows], np.arange(4500)[rows])(betas[rows])
    np.testing.assert_allclose(again, reliability(stimulus, np.arange(4500))(betas), rtol=1e-10)


def test_ncsnr_is_its_formula_to_10_digits() -> None:
    rng = np.random.default_rng(6)
    n_repeats = [3, 2, 1, 4, 2, 1, 3, 2]  # those with one show no noise, and do not count
    stimulus = np.repeat([f"s{number}" for number in range(8)], n_repeats)
    betas = np.repeat(rng.standard_normal((8, 5)) * [0, 1, 2, 3, 0.2], n_repeats, axis=0)
    betas += rng.standard_normal(betas.shape)
    order = rng.permutation(len(stimulus))
    stimulus, betas = stimulus[order], betas[order]
    repeated = [betas[stimulus == f"s{number}"] for number, n in enumerate(n_repeats) if n > 1]
    noise = sum(variance_of(values) for values in repeated) / len(repeated)
    rows = np.concatenate(repeated)
    whole = ((rows - rows.mean(axis=0)) ** 2).sum(axis=0) / (len(rows) - 1)
    expected = np.sqrt(np.maximum(whole - noise, 0) / noise)
    np.testing.assert_allclose(ncsnr(stimulus, np.arange(len(stimulus)))(betas), expected, rtol=1e-10)
    assert (expected > 0).tolist() == [False, True, True, True, False]


def variance_of(values: np.ndarray) -> np.ndarray:
    """Of each voxel, ddof 1."""
    return np.array([statistics.variance(column) for column in values.T.tolist()])


def test_components_are_those_of_scikit_learn(train: Dataset, voxels: Dataset) -> None:
    for rows in (train, train.select(range(30))):  # more rows than voxels, and fewer
        preprocessor = NSDPreprocessor(pca=5).fit(rows, voxels)
        expected = PCA(5, svd_solver="full").fit(betas_of(rows))
        given = preprocessor.transform(rows, voxels)
        np.testing.assert_allclose(np.abs(given), np.abs(expected.transform(betas_of(rows))), atol=1e-3)
        assert np.abs(np.corrcoef(given.T) - np.eye(5)).max() < 1e-4


def test_z_scores_by_training_rows_are_by_their_mean_and_sd_over_all_sessions_whichever_row_it_is(
    train: Dataset, test: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    preprocessor = NSDPreprocessor(zscore="training").fit(train, voxels)
    x_train = betas_of(train)
    mean, std = x_train.mean(axis=0), x_train.std(axis=0, ddof=1)
    assert len(set(train["session"][:])) == 3
    for rows in (train, test, imagery):
        x, is_valid = betas_of(rows), np.asarray(rows["is_valid"][:])
        expected = np.divide(x - mean, std, out=np.zeros_like(x), where=std > 0) * is_valid[:, None]
        for one in (preprocessor, NSDPreprocessor.load(preprocessor.save(tmp_path / "saved"))):
            np.testing.assert_allclose(one.transform(rows, voxels), expected, atol=1e-5)
    by_run = NSDPreprocessor(zscore="run").fit(imagery, voxels).transform(imagery, voxels)
    assert abs(by_run.mean()) < 1e-6
    assert abs(preprocessor.transform(imagery, voxels).mean()) > 0.1
    # Numbers alone, as files of other projects hold them, are valid rows of the one group.
    np.testing.assert_array_equal(preprocessor.transform(x_train), preprocessor.transform(train, voxels))
    with pytest.raises(UsageError, match="nothing to adapt: zscore is 'training'"):
        preprocessor.adapt(imagery, voxels)


def test_z_scores_by_training_rows_come_after_those_of_a_build(core_release: Path, tmp_path: Path) -> None:
    options = {"conditions": ["perception", "imagery"], "roi": "V1"}
    built = nsd_imagery.build(core_release, tmp_path / "built", **options)
    preprocessor = NSDPreprocessor(zscore="training", pca=3)
    seen = nsd_imagery.NSDImageryDataset(built, None, "perception", preprocessor, split="train", roi="V1")
    preprocessor.fit(seen.trials, seen.voxels)
    imagined = nsd_imagery.NSDImageryDataset(built, None, "imagery", preprocessor, roi="V1")
    x, x_train = betas_of(imagined.trials), betas_of(seen.trials)
    std = x_train.std(axis=0, ddof=1)
    expected = np.divide(x - x_train.mean(axis=0), std, out=np.zeros_like(x), where=std > 0)
    fitted = preprocessor.fitted
    assert fitted is not None
    np.testing.assert_allclose(imagined[:]["betas"], (expected - fitted.center) @ fitted.components.T, atol=1e-4)
    percent = nsd_imagery.NSDImageryDataset(core_release, None, "imagery", preprocessor, roi="V1", zscore="none")
    with pytest.raises(DataError, match="fitted on rows z-scored, but these are in percent signal change"):
        percent[0]


def test_a_run_is_not_adapted_to_by_one_row_and_is_learnt_anew_when_more_rows_came(
    train: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    runs = np.asarray(imagery["run_number"][:])
    rows = np.flatnonzero(runs == 3)
    expected = NSDPreprocessor(zscore="run").fit(train, voxels).adapt(imagery, voxels).transform(imagery, voxels)
    preprocessor = NSDPreprocessor(zscore="run").fit(train, voxels)
    with pytest.raises(UsageError, match=r"one row of nsdimagery/1/3 is valid here.*: adapt to all rows") as error:
        preprocessor.adapt(imagery.select(rows[:1]), voxels)
    assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"no mean and sd of nsdimagery/1/3"):
        preprocessor.transform(imagery.select(rows), voxels)
    preprocessor.adapt(imagery.select(rows[:5]), voxels)
    of_five = preprocessor.transform(imagery.select(rows), voxels)
    preprocessor.adapt(imagery.select(rows[5:8]), voxels)  # fewer tell no more
    np.testing.assert_array_equal(preprocessor.transform(imagery.select(rows), voxels), of_five)
    preprocessor = NSDPreprocessor.load(preprocessor.save(tmp_path / "saved"))
    preprocessor.adapt(imagery, voxels).adapt(imagery.select(rows[:1]), voxels)
    np.testing.assert_array_equal(preprocessor.transform(imagery, voxels), expected)


def test_what_was_fitted_stays_whatever_it_is_adapted_to_but_for_runs_of_one_row(
    train: Dataset, test: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    run = np.asarray(train["run_number"][:]) + 100 * np.asarray(train["session"][:])
    first = np.flatnonzero(run == run[0])
    few = train.select([*first[:1], *np.flatnonzero(run == run[-1])[:9]])
    preprocessor = NSDPreprocessor(zscore="run").fit(few, voxels).adapt(imagery, voxels)
    preprocessor = NSDPreprocessor.load(preprocessor.save(tmp_path / "saved"))
    before = preprocessor.transform(train.select(np.flatnonzero(run == run[-1])), voxels)
    preprocessor.adapt(train, voxels)
    np.testing.assert_array_equal(preprocessor.transform(train.select(np.flatnonzero(run == run[-1])), voxels), before)
    of_all = NSDPreprocessor(zscore="run").fit(train, voxels).transform(train.select(first), voxels)
    np.testing.assert_array_equal(preprocessor.transform(train.select(first), voxels), of_all)
    fitted = preprocessor.fitted
    assert fitted is not None
    assert len(set(fitted.groups)) == len(fitted.groups)


def orthonormal(preprocessor: NSDPreprocessor) -> bool:
    assert preprocessor.fitted is not None
    components = preprocessor.fitted.components
    return bool(np.abs(components @ components.T - np.eye(len(components))).max() < 1e-9)


def test_components_are_no_more_than_the_rank_of_the_rows_and_the_error_says_it(
    train: Dataset, imagery: Dataset, voxels: Dataset
) -> None:
    patterns = imagery.select(np.repeat([7, 100, 200], 5))
    two_runs = imagery.select(range(96))
    for rows, options, rank in (
        (patterns, {}, 2),
        (two_runs, {}, 95),
        (two_runs, {"zscore": "run"}, 94),
        (two_runs, {"zscore": "session"}, 95),
        (train.select(range(30)), {}, 29),
    ):
        preprocessor = NSDPreprocessor(pca=rank, **options).fit(rows, voxels)
        assert orthonormal(preprocessor)
        with pytest.raises(UsageError, match=rf"^pca={rank + 1}: .* voxels have 1 to {rank} components, (which|at)"):
            NSDPreprocessor(pca=rank + 1, **options).fit(rows, voxels)
    for n_rows in (1, 5):
        with pytest.raises(UsageError, match=f"{n_rows} rows of 280 voxels have no components, for they are all alike"):
            NSDPreprocessor(pca=1).fit(imagery.select([3] * n_rows), voxels)
    with pytest.raises(UsageError, match="pca=0: 96 rows of 280 voxels have 1 to 95 components"):
        NSDPreprocessor(pca=0).fit(two_runs, voxels)


def test_components_of_rows_that_a_build_z_scored_by_run_end_at_their_rank(dataset: Path) -> None:
    rows = nsd_imagery.load(dataset, "subj01-imagery", "test").select(range(96))
    voxels = nsd_imagery.load(dataset, "subj01-voxels", "train")
    assert orthonormal(NSDPreprocessor(pca=94).fit(rows, voxels))
    with pytest.raises(UsageError, match="pca=95: 96 rows of 280 voxels have 1 to 94 components, which is their rank"):
        NSDPreprocessor(pca=95).fit(rows, voxels)


def test_components_that_are_small_beside_the_largest_are_orthonormal_too() -> None:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((30, 1)) @ rng.standard_normal((1, 200)) * 2e3 + rng.standard_normal((30, 200)) * 0.1
    center, components = principal_components(values, 29)
    assert np.abs(components @ components.T - np.eye(29)).max() < 1e-9
    np.testing.assert_allclose((values - center) @ components.T @ components, values - center, atol=1e-6)


def test_a_threshold_keeps_what_reaches_it_in_the_order_of_the_volume(train: Dataset, voxels: Dataset) -> None:
    preprocessor = NSDPreprocessor(selection="ncsnr", threshold=0.2).fit(train, voxels)
    fitted = preprocessor.fitted
    assert fitted is not None
    assert 0 < fitted.columns.size < voxels.num_rows
    assert (np.diff(fitted.columns) > 0).all()
    np.testing.assert_array_equal(
        preprocessor.transform(train, voxels), betas_of(train)[:, fitted.columns].astype(np.float32)
    )
    with pytest.raises(DataError, match="no voxel has ncsnr of 99; the highest is"):
        NSDPreprocessor(selection="ncsnr", threshold=99).fit(train, voxels)


def test_the_map_of_the_release_is_taken_by_its_name_and_with_a_warning(
    train: Dataset, voxels: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        NSDPreprocessor(selection="ncsnr", n_voxels=9).fit(train, voxels)
        assert not caplog.records
        fitted = NSDPreprocessor(selection="ncsnr_release", n_voxels=9).fit(train, voxels).fitted
    assert "has seen the test set" in caplog.text
    assert fitted is not None
    in_map = np.asarray(voxels["ncsnr_nsd"][:])
    assert set(in_map[fitted.columns]) == set(np.sort(in_map)[-9:])
    nothing = voxels.remove_columns("ncsnr_nsd").add_column("ncsnr_nsd", [None] * voxels.num_rows)
    with pytest.raises(MissingDataError, match=r"copy ncsnr\.nii\.gz"):
        NSDPreprocessor(selection="ncsnr_release", n_voxels=9).fit(train, nothing)


def test_saved_and_loaded_in_another_process_it_gives_the_same(
    core_dataset: Path, train: Dataset, test: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    preprocessor = NSDPreprocessor(**ALL).fit(train, voxels)
    folder = preprocessor.save(tmp_path / "fitted")
    assert sorted(path.name for path in folder.iterdir()) == ["preprocessor.json", "preprocessor.npz"]
    code = """if True:
        import sys, numpy as np, nsd_imagery
        folder, dataset, out = sys.argv[1:]
        test = nsd_imagery.load(dataset, "subj01-perception", "test")
        voxels = nsd_imagery.load(dataset, "subj01-voxels", "train")
        np.save(out, nsd_imagery.NSDPreprocessor.load(folder).transform(test, voxels))
    """
    out = tmp_path / "out.npy"
    subprocess.run([sys.executable, "-c", code, str(folder), str(core_dataset), str(out)], check=True)
    np.testing.assert_array_equal(np.load(out), preprocessor.transform(test, voxels))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = NSDPreprocessor.load(folder).save(tmp_path / "again")
    assert {path.name: path.read_bytes() for path in again.iterdir()} == before
    assert NSDPreprocessor.load(NSDPreprocessor(3.0).save(tmp_path / "plain")).options.smoothing_fwhm == 3.0


def test_every_digit_of_the_means_is_kept_whatever_voxels_groups_or_files_they_pass(
    train: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    preprocessor = NSDPreprocessor(zscore="run", selection="reliability", n_voxels=30).fit(train, voxels)
    fitted = preprocessor.adapt(imagery, voxels).fitted
    assert fitted is not None
    for rows in (train, imagery):
        labels = labels_of(rows, voxels, "run")
        by = group_moments(betas_of(rows)[:, fitted.columns], labels, fitted.groups)
        of_rows = by.n_trials > 0
        assert of_rows.any()
        for name in ("n_trials", "mean", "rest", "sd"):
            np.testing.assert_array_equal(getattr(fitted.by, name)[of_rows], getattr(by, name)[of_rows], err_msg=name)
        assert fitted.by.rest[of_rows].any()
    loaded = NSDPreprocessor.load(preprocessor.save(tmp_path / "fitted")).fitted
    assert loaded is not None
    np.testing.assert_array_equal(loaded.by.rest, fitted.by.rest)


def test_a_preprocessor_that_was_saved_without_the_last_digits_of_its_means_still_loads_and_adapts(
    train: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    preprocessor = NSDPreprocessor(zscore="session").fit(train, voxels)
    folder = preprocessor.save(tmp_path / "fitted")
    with np.load(folder / "preprocessor.npz") as arrays:
        older = {name: values for name, values in arrays.items() if name != "rest"}
    np.savez(folder / "preprocessor.npz", **older)
    said = json.loads((folder / "preprocessor.json").read_text())
    said["fitted"]["arrays"] = xxhash.xxh3_128_hexdigest((folder / "preprocessor.npz").read_bytes())
    (folder / "preprocessor.json").write_text(json.dumps(said))
    loaded = NSDPreprocessor.load(folder)
    expected = preprocessor.transform(train, voxels)
    np.testing.assert_allclose(loaded.transform(train, voxels), expected, atol=1e-6)
    preprocessor.adapt(imagery, voxels)
    np.testing.assert_array_equal(
        loaded.adapt(imagery, voxels).transform(imagery, voxels), preprocessor.transform(imagery, voxels)
    )


def saved_as(folder: Path, version: int, group: Callable[[str], str] = str) -> Path:
    """Give what was saved another version, and its groups other names."""
    path = folder / "preprocessor.json"
    said = json.loads(path.read_text())
    assert said["format_version"] == 5
    said["format_version"] = version
    said["fitted"]["groups"] = [group(name) for name in said["fitted"]["groups"]]
    path.write_text(json.dumps(said))
    return folder


def test_what_the_version_before_saved_loads_where_its_groups_are_the_same_now(
    train: Dataset, imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    preprocessor = NSDPreprocessor(zscore="auto").fit(train, voxels).adapt(imagery, voxels)
    older = NSDPreprocessor.load(saved_as(preprocessor.save(tmp_path / "older"), version=1))
    for rows in (train, imagery):
        np.testing.assert_array_equal(older.transform(rows, voxels), preprocessor.transform(rows, voxels))
    assert json.loads((older.save(tmp_path / "again") / "preprocessor.json").read_text())["format_version"] == 5
    plain = NSDPreprocessor(pca=2).fit(train, voxels).save(tmp_path / "plain")
    assert NSDPreprocessor.load(saved_as(plain, version=1)).options.pca == 2


def test_what_the_version_before_fitted_without_run_numbers_is_refused_in_one_line(
    imagery: Dataset, voxels: Dataset, tmp_path: Path
) -> None:
    folder = NSDPreprocessor(zscore="session").fit(imagery, voxels).save(tmp_path / "older")
    for name in ("nsdimagery/1/-1", "nsdimagery/1/-1/cue"):
        saved_as(folder, 1, lambda _, name=name: name)
        with pytest.raises(DataError, match=rf"older: .*\({name}\).*their session now: fit and save it again") as error:
            NSDPreprocessor.load(folder)
        assert "\n" not in str(error.value)
        NSDPreprocessor(zscore="session").fit(imagery, voxels).save(folder)


def test_what_the_version_before_fitted_by_run_and_epoch_is_refused_in_one_line(
    dataset: Path, voxels: Dataset, imagery: Dataset, tmp_path: Path
) -> None:
    folder = NSDPreprocessor(zscore="run").fit(imagery, voxels).save(tmp_path / "older")
    saved_as(folder, 2)
    assert NSDPreprocessor.load(folder).options.zscore == "run"  # imagery has no epochs
    NSDPreprocessor(zscore="run").fit(imagery, voxels).save(folder)
    saved_as(folder, 2, lambda name: f"{name}/cue")
    with pytest.raises(DataError, match=r"older: .*epochs of attention apart .*: fit and save it again") as error:
        NSDPreprocessor.load(folder)
    assert "\n" not in str(error.value)


def test_what_a_newer_version_saved_asks_for_an_upgrade(imagery: Dataset, voxels: Dataset, tmp_path: Path) -> None:
    folder = saved_as(NSDPreprocessor(zscore="run").fit(imagery, voxels).save(tmp_path / "newer"), version=6)
    said = json.loads((folder / "preprocessor.json").read_text())
    (folder / "preprocessor.json").write_text(json.dumps({**said, "options": {"of": "tomorrow"}}))
    with pytest.raises(DataError, match="newer: is a preprocessor of format 6; 5 is known here: upgrade nsd-imagery"):
        NSDPreprocessor.load(folder)


def test_files_that_are_not_of_one_save_are_refused(train: Dataset, voxels: Dataset, tmp_path: Path) -> None:
    one = NSDPreprocessor(selection="ncsnr", n_voxels=9).fit(train, voxels).save(tmp_path / "one")
    other = NSDPreprocessor(selection="ncsnr", n_voxels=8).fit(train, voxels).save(tmp_path / "other")
    with pytest.raises(MissingDataError, match=r"preprocessor\.json: no such file"):
        NSDPreprocessor.load(tmp_path)
    (one / "preprocessor.npz").replace(other / "preprocessor.npz")
    with pytest.raises(MissingDataError, match=r"preprocessor\.npz: no such file"):
        NSDPreprocessor.load(one)
    with pytest.raises(DataError, match="not the one that"):
        NSDPreprocessor.load(other)
    said = json.loads((one / "preprocessor.json").read_text())
    for text in (
        "{",
        "[]",
        *(json.dumps({**said, "format_version": no_version}) for no_version in (0, "2", True, None)),
    ):
        (one / "preprocessor.json").write_text(text)
        with pytest.raises(DataError, match="is no preprocessor"):
            NSDPreprocessor.load(one)


def test_rows_of_another_subject_roi_order_or_beta_version_are_refused(
    train: Dataset, voxels: Dataset, core_release: Path
) -> None:
    preprocessor = NSDPreprocessor(selection="ncsnr", n_voxels=9).fit(train, voxels)
    columns = train.column_names

    def with_column(name: str, value: str) -> Dataset:
        few = train.select(range(5))
        other = few.remove_columns(name).add_column(name, [value] * 5)
        return other.select_columns(columns).cast(few.features)

    with pytest.raises(DataError, match="fitted on subject subj01, but these rows are of subj02"):
        preprocessor.transform(with_column("subject", "subj02"), voxels)
    with pytest.raises(DataError, match="fitted on beta version fithrf_GLMdenoise_RR"):
        preprocessor.transform(with_column("beta_version", "fithrf"), voxels)
    with pytest.raises(DataError, match="fitted on voxels"):
        preprocessor.transform(train, voxels.select(range(voxels.num_rows)[::-1]))
    with pytest.raises(DataError, match="take the -voxels of the same config"):
        preprocessor.transform(train, voxels.select(range(7)))
    with pytest.raises(DataError, match="was fitted on"):
        preprocessor.transform(np.zeros((2, 7)))
    v1 = nsd_imagery.NSDImageryDataset(core_release, condition="imagery", roi="V1", preprocessor=preprocessor)
    with pytest.raises(DataError, match="was fitted on"):
        v1[0]
    b2 = nsd_imagery.NSDImageryDataset(core_release, condition="imagery", betas="fithrf", preprocessor=preprocessor)
    with pytest.raises(DataError, match="fitted on beta version"):
        b2[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NSDPreprocessor(zscore="trial"), "no zscore 'trial'"),
        (lambda: NSDPreprocessor(selection="snr", n_voxels=3), "no selection 'snr'"),
        (lambda: NSDPreprocessor(selection="ncsnr"), "n_voxels= or threshold="),
        (lambda: NSDPreprocessor(selection="ncsnr", n_voxels=3, threshold=1.0), "n_voxels= or threshold="),
        (lambda: NSDPreprocessor(n_voxels=3), "n_voxels= or threshold="),
        (lambda: NSDPreprocessor(smoothing_fwhm=0), "width in mm"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_what_cannot_be_fitted_is_said(train: Dataset, imagery: Dataset, voxels: Dataset) -> None:
    for options, rows, message in (
        ({"pca": 30}, train.select(range(30)), "1 to 29 components"),
        ({"selection": "ncsnr", "n_voxels": 99_999}, train, "betas have"),
        ({"selection": "ncsnr", "n_voxels": 9}, train.select([0]), "these rows have 0"),
        ({"pca": 3}, train.select([]), "no row is valid"),
    ):
        with pytest.raises(UsageError, match=message):
            NSDPreprocessor(**options).fit(rows, voxels)
    preprocessor = NSDPreprocessor(zscore="run")
    for call in (
        lambda: preprocessor.transform(imagery, voxels),
        lambda: preprocessor.adapt(imagery, voxels),
        lambda: preprocessor.fit(imagery, voxels).transform(imagery),
        lambda: preprocessor.transform(np.zeros((1, voxels.num_rows))),
        lambda: NSDPreprocessor(pca=2).fit(imagery, voxels).adapt(imagery, voxels),
    ):
        with pytest.raises(UsageError):
            call()


def test_rows_without_data_are_not_learnt_from(train: Dataset, voxels: Dataset) -> None:
    few = train.select(range(600, 1000))
    blank = few.map(lambda row: {"is_valid": False, "betas": np.full(voxels.num_rows, 1e6, np.float32)})
    mixed = concatenate_datasets([few, blank.cast(few.features)])
    for options in ({"pca": 3}, {"zscore": "session", "selection": "ncsnr", "n_voxels": 20}):
        one, other = (NSDPreprocessor(**options).fit(rows, voxels) for rows in (few, mixed))
        np.testing.assert_array_equal(one.transform(few, voxels), other.transform(few, voxels))


def test_the_lines_of_the_guide_smooth_while_volumes_are_read(core_release: Path, tmp_path: Path) -> None:
    preprocessor_perception = NSDPreprocessor(smoothing_fwhm=3.0)
    preprocessor_imagery = NSDPreprocessor(smoothing_fwhm=5.0)
    indices = nsd_imagery.index(core_release, out=tmp_path / "indices")
    for folder, condition, preprocessor in (
        ("imagery", "imagery", preprocessor_imagery),
        ("perception", "perception", preprocessor_perception),
    ):
        fwhm = preprocessor.options.smoothing_fwhm
        built = nsd_imagery.build(core_release, tmp_path / condition, conditions=[condition], smoothing_fwhm=fwhm)
        options = {"condition": condition, "preprocessor": preprocessor, "root": core_release}
        index_path = indices / folder / "subj01.parquet"
        expected = nsd_imagery.NSDImageryDataset(built, condition=condition)[:]["betas"]
        for source in (index_path, core_release, built):
            given = nsd_imagery.NSDImageryDataset(source, subject="subj01", **options)
            assert (given[:]["betas"] == expected).all()
            assert given.voxels.num_rows == expected.shape[1]
    with pytest.raises(UsageError, match=r"smoothing_fwhm=5\.0, not 3\.0.*build ROOT --smoothing-fwhm 3\.0"):
        nsd_imagery.NSDImageryDataset(tmp_path / "imagery", preprocessor=preprocessor_perception)


def test_an_own_z_score_takes_percent_signal_change(core_release: Path, core_dataset: Path, tmp_path: Path) -> None:
    preprocessor = NSDPreprocessor(zscore="session", selection="reliability", n_voxels=25)
    for source in (core_release, core_dataset):
        train = nsd_imagery.NSDImageryDataset(
            source, condition="perception", split="train", preprocessor=preprocessor, columns=["stimulus"]
        )
        with pytest.raises(UsageError, match="not fitted"):
            train[0]
        preprocessor.fit(train.trials, train.voxels)
        given = train[:]["betas"].numpy()
        np.testing.assert_array_equal(given, preprocessor.transform(train.trials, train.voxels))
        assert given.shape == (len(train), 25)
        assert abs(given.mean()) < 1e-3
        preprocessor.fitted = None
    scored = nsd_imagery.build(core_release, tmp_path / "scored", conditions=["perception"])
    with pytest.raises(UsageError, match="zscore='auto', not 'none'"):
        nsd_imagery.NSDImageryDataset(scored, preprocessor=preprocessor)


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore:.*fork.*")
def test_workers_of_a_loader_preprocess_alike(core_dataset: Path, context: str) -> None:
    preprocessor = NSDPreprocessor(zscore="run", pca=3)
    trials = nsd_imagery.NSDImageryDataset(core_dataset, condition="imagery", preprocessor=preprocessor)
    preprocessor.fit(trials.trials, trials.voxels)
    loader = DataLoader(trials, batch_size=100, num_workers=1, multiprocessing_context=context)
    assert (np.concatenate([batch["betas"] for batch in loader]) == trials[:]["betas"].numpy()).all()
