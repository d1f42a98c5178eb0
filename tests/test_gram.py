"""Products of trials: similarities, templates and trends by algebra are what they are by the betas themselves."""

from dataclasses import replace

import numpy as np
import pytest

from nsd_imagery.chance.centring import trend_removal, trends, zscores
from nsd_imagery.chance.orders import draw_targets
from nsd_imagery.chance.pairs import pair_weights, target_means, variances
from nsd_imagery.chance.similarity import correlations
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.runs import Run

N_VOXELS = 2_500


def run_of(name: str, seed: int, n_voxels: int = N_VOXELS) -> Run:
    rng = np.random.default_rng(seed)
    order, is_valid = draw_targets(rng, 1)[0], np.ones(48, bool)
    is_valid[[5, 40]] = False
    drift = np.linspace(-1, 1, 48)[:, None] * rng.standard_normal(n_voxels)
    betas = zscores(rng.standard_normal((48, n_voxels)) + drift, is_valid).astype(np.float32)
    condition = "vision" if name.startswith("vis") else "imagery"
    return Run(name, condition, "A", tuple("uvwxyz"), order, order, is_valid, betas, None)


RUNS = (run_of("visA", 0), run_of("imgA_1", 1), run_of("imgA_2", 2))
GRAM = gram(RUNS)
SEEN, IMAGINED = RUNS[0], RUNS[2]


def doubles(run: Run) -> np.ndarray:
    return run.betas.astype(np.float64)


def test_products_are_those_of_all_trials_and_voxels() -> None:
    betas = np.concatenate([doubles(run) for run in RUNS])
    np.testing.assert_allclose(GRAM.products, betas @ betas.T, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(GRAM.products, GRAM.products.T)
    np.testing.assert_allclose(GRAM.sums, betas.sum(axis=1), atol=1e-3)
    np.testing.assert_array_equal(GRAM.block(SEEN, IMAGINED), GRAM.products[:48, 96:])
    with pytest.raises(KeyError, match="visB"):
        GRAM.block(SEEN, replace(SEEN, name="visB"))


def test_similarity_is_the_correlation_of_patterns_and_zero_without_one() -> None:
    found = GRAM.similarity(SEEN, IMAGINED)
    np.testing.assert_allclose(found, correlations(doubles(SEEN), doubles(IMAGINED)), atol=1e-5)
    assert not found[5].any()
    assert not found[:, 40].any()
    np.testing.assert_allclose(GRAM.similarity(SEEN, SEEN)[0, 0], 1)


def test_patterns_that_are_made_of_trials_are_compared_without_their_voxels() -> None:
    means = target_means(SEEN.order, SEEN.is_valid)
    other = target_means(IMAGINED.order, IMAGINED.is_valid)
    expected = np.corrcoef(means @ doubles(SEEN), other @ doubles(IMAGINED))[:6, 6:]
    np.testing.assert_allclose(GRAM.similarity(SEEN, IMAGINED, means, other), expected, atol=1e-5)
    np.testing.assert_array_equal(GRAM.similarity(SEEN, IMAGINED, 0 * means), 0)


def test_voxels_without_variance_in_any_run_are_in_no_mean() -> None:
    still = [replace(run, betas=np.pad(run.betas, ((0, 0), (0, 300)))) for run in RUNS]
    padded = gram(still)
    assert padded.n_voxels == GRAM.n_voxels == N_VOXELS
    np.testing.assert_allclose(padded.similarity(still[0], still[2]), GRAM.similarity(SEEN, IMAGINED), atol=1e-6)


def test_a_subset_of_voxels_is_as_if_there_were_no_others() -> None:
    chosen = np.random.default_rng(3).permutation(N_VOXELS)[:1_500]
    part = [replace(run, betas=run.betas[:, chosen]) for run in RUNS]
    np.testing.assert_allclose(gram(RUNS, chosen).products, gram(part).products, atol=1e-3)
    np.testing.assert_array_equal(gram(RUNS, np.arange(N_VOXELS)).products, GRAM.products)


def test_centred_by_position_each_pair_is_less_the_mean_of_those_as_far_apart() -> None:
    found, similarity = GRAM.position_centred(SEEN, IMAGINED), GRAM.similarity(SEEN, IMAGINED)
    valid = np.outer(SEEN.is_valid, IMAGINED.is_valid)
    apart = np.abs(np.subtract.outer(np.arange(48), np.arange(48)))
    for distance in (0, 1, 20, 47):
        mine = valid & (apart == distance)
        assert found[mine].mean() == pytest.approx(0, abs=1e-12)
        np.testing.assert_allclose(found[mine] - similarity[mine], -similarity[mine].mean())
    assert not found[~valid].any()


def test_trends_are_taken_out_beside_the_targets_in_vision_and_without_them_in_imagery() -> None:
    time = np.vander(np.linspace(-1, 1, 48), 3)
    kept = SEEN.is_valid
    targets = np.eye(6)[SEEN.order]
    model = np.concatenate([targets, time[:, :2]], axis=1)[kept]
    coefficients = np.linalg.lstsq(model, doubles(SEEN)[kept], rcond=None)[0]
    seen = np.zeros((48, N_VOXELS))
    seen[kept] = doubles(SEEN)[kept] - (time[kept, :2] - time[kept, :2].mean(axis=0)) @ coefficients[6:]
    imagined = np.zeros((48, N_VOXELS))
    kept = IMAGINED.is_valid
    fitted = time[kept] @ np.linalg.lstsq(time[kept], doubles(IMAGINED)[kept], rcond=None)[0]
    imagined[kept] = doubles(IMAGINED)[kept] - fitted
    np.testing.assert_allclose(GRAM.detrended(SEEN, IMAGINED), correlations(seen, imagined), atol=2e-5)


def test_a_trend_leaves_nothing_of_itself_and_takes_nothing_from_targets_that_are_in_the_model() -> None:
    is_valid = SEEN.is_valid
    removal = trend_removal(is_valid)
    assert np.abs(removal @ (np.linspace(0, 5, 48) ** 2 * is_valid)).max() < 1e-9
    np.testing.assert_allclose(removal @ removal, removal, atol=1e-12)
    np.testing.assert_allclose(trends(is_valid).T @ trends(is_valid), np.eye(3), atol=1e-12)
    targets = np.eye(6)[SEEN.order] * is_valid[:, None]
    np.testing.assert_allclose(trend_removal(is_valid, 2, SEEN.order) @ targets, targets, atol=1e-9)


def test_signal_of_a_roi_is_a_sum_over_products() -> None:
    form, _ = pair_weights(SEEN.order, SEEN.is_valid)
    expected = variances(SEEN.betas, SEEN.order, SEEN.is_valid).signal.sum()
    assert (form * GRAM.block(SEEN, SEEN)).sum() == pytest.approx(expected, abs=1e-3)


def test_no_runs_have_no_products() -> None:
    assert gram([]).products.shape == (0, 0)
    assert gram([]).n_voxels == 0
