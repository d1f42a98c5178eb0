"""Ridge regression of transfer: the penalties and predictions of scikit-learn's RidgeCV, in bounded memory."""

import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.evaluation.transfer import leave_one_out, ridge
from nsd_imagery.evaluation.transfer.leave_one_out import Ridge
from nsd_imagery.evaluation.transfer.ridge import ALPHAS, fit_decoder, fit_encoder

Array = NDArray[np.float64]


def planted(n: int, n_voxels: int, n_features: int, seed: int = 1) -> tuple[Array, Array, Array]:
    """Betas of unlike scale, embeddings that some of them say, and repeats."""
    rng = np.random.default_rng(seed)
    betas = rng.standard_normal((n, n_voxels)) * rng.uniform(0.5, 5, n_voxels) + rng.uniform(-3, 3, n_voxels)
    mixing = rng.standard_normal((n_voxels, n_features)) * np.geomspace(0.001, 0.3, n_features)
    return betas, betas @ mixing + rng.standard_normal((n, n_features)) + 2, rng.integers(1, 4, n).astype(float)


def reference(inputs: Array, outputs: Array, weights: Array, new: Array, *, per_target: bool) -> tuple[Array, Any]:
    """What RidgeCV predicts of new rows, inputs standardised, and its penalties."""
    mean = np.average(inputs, axis=0, weights=weights)
    sd = np.sqrt(np.average((inputs - mean) ** 2, axis=0, weights=weights))
    sd[(inputs == inputs[0]).all(axis=0)] = np.inf
    model = RidgeCV(alphas=ALPHAS, alpha_per_target=per_target)
    model.fit((inputs - mean) / sd, outputs, sample_weight=weights)
    return model.predict((new - mean) / sd), model.alpha_


@pytest.mark.parametrize(("n", "n_voxels", "n_features"), [(150, 40, 12), (60, 90, 70), (50, 50, 50), (4, 6, 3)])
@pytest.mark.parametrize("is_weighted", [True, False])
def test_penalties_and_predictions_are_those_of_ridge_cv(
    n: int, n_voxels: int, n_features: int, is_weighted: bool
) -> None:
    betas, vectors, weights = planted(n, n_voxels, n_features)
    weights = weights if is_weighted else np.ones(n)
    for fit, inputs, outputs in ((fit_decoder, betas, vectors), (fit_encoder, vectors, betas)):
        new = np.random.default_rng(2).standard_normal((20, inputs.shape[1]))
        ours = fit(betas, vectors, weights if is_weighted else None)
        expected, penalty = reference(inputs, outputs, weights, new, per_target=fit is fit_encoder)
        np.testing.assert_allclose(ours.penalty, np.atleast_1d(penalty))
        np.testing.assert_allclose(ours.predict(new), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_voxels", [5, 300])
@pytest.mark.parametrize("end", [0, -1])
def test_a_penalty_at_an_end_is_that_of_ridge_cv_too(n_voxels: int, end: int) -> None:
    rng = np.random.default_rng(5)
    betas, weights = rng.standard_normal((200, n_voxels)), rng.integers(1, 4, 200).astype(float)
    betas[:, 5:] = betas[:, :1] * rng.standard_normal(n_voxels - 5)
    vectors, known = rng.standard_normal((200, 3)), np.column_stack([np.ones(200), betas[:, :5]])
    vectors = (
        known @ rng.standard_normal((6, 3))
        if end == 0
        else vectors - known @ np.linalg.lstsq(known, vectors, rcond=None)[0]
    )
    ours = fit_decoder(betas, vectors, weights)
    expected, penalty = reference(betas, vectors, weights, betas[:9], per_target=False)
    assert ours.penalty == penalty == ALPHAS[end]
    np.testing.assert_allclose(ours.predict(betas[:9]), expected, rtol=1e-7, atol=1e-8)


def test_each_voxel_has_the_penalty_that_suits_it() -> None:
    penalty = fit_encoder(*planted(150, 40, 12)).penalty
    assert penalty.shape == (40,)
    assert len(np.unique(penalty)) > 2


@pytest.mark.parametrize(("n", "n_columns"), [(9, 4), (6, 11)])
def test_an_error_is_that_of_a_fit_without_the_row(n: int, n_columns: int) -> None:
    rng = np.random.default_rng(4)
    inputs, outputs, weights = rng.standard_normal((n, n_columns)), rng.standard_normal((n, 2)), rng.uniform(1, 3, n)
    mean = np.average(inputs, axis=0, weights=weights)
    scaled = (inputs - mean) / np.sqrt(np.average((inputs - mean) ** 2, axis=0, weights=weights))
    alphas = (0.5, 20.0)
    expected = np.zeros((2, 2))
    for (place, alpha), row in product(enumerate(alphas), range(n)):
        others = np.delete(np.arange(n), row)
        of, to, w = scaled[others], outputs[others], weights[others]
        middle, center = np.average(of, axis=0, weights=w), np.average(to, axis=0, weights=w)
        gram = (of - middle).T * w @ (of - middle) + alpha * np.eye(n_columns)
        coefficients = np.linalg.solve(gram, (of - middle).T * w @ (to - center))
        missed = outputs[row] - center - (scaled[row] - middle) @ coefficients
        expected[place] += weights[row] * missed**2
    np.testing.assert_allclose(Ridge(inputs, weights, alphas).errors(outputs), expected, rtol=1e-9)


@pytest.mark.parametrize("n", [40, 10])
def test_a_column_that_does_not_vary_says_nothing_however_its_mean_is_rounded(n: int) -> None:
    betas, vectors, weights = planted(n, 20, 4)
    betas[:, 3] = 0.1
    assert np.average(betas[:, 3], weights=weights) != 0.1, "the mean is exact: choose other weights"
    ours = fit_decoder(betas, vectors, weights)
    assert not ours.weights[3].any()
    without = fit_decoder(np.delete(betas, 3, axis=1), vectors, weights)
    np.testing.assert_allclose(np.delete(ours.weights, 3, axis=0), without.weights, atol=1e-10)
    constant = fit_encoder(betas, vectors, weights)
    np.testing.assert_allclose(constant.predict(vectors)[:, 3], 0.1)


def test_of_float32_is_learnt_what_is_learnt_of_the_same_numbers_in_float64() -> None:
    betas, vectors, weights = (array.astype(np.float32) for array in planted(60, 90, 7))
    for fit in (fit_decoder, fit_encoder):
        ours, wide = fit(betas, vectors, weights), fit(betas.astype(float), vectors.astype(float), weights)
        assert ours.weights.dtype == np.float64
        np.testing.assert_array_equal(ours.weights, wide.weights)


@pytest.mark.parametrize(("n", "n_columns"), [(60, 25), (20, 25)])
def test_in_blocks_is_learnt_what_is_learnt_at_once(monkeypatch: pytest.MonkeyPatch, n: int, n_columns: int) -> None:
    betas, vectors, weights = planted(n, n_columns, 23)
    whole = [fit(betas, vectors, weights) for fit in (fit_decoder, fit_encoder)]
    monkeypatch.setattr(ridge, "OUTPUTS_AT_ONCE", 10)
    monkeypatch.setattr(leave_one_out, "COLUMNS_AT_ONCE", 7)
    for fit, expected in zip((fit_decoder, fit_encoder), whole, strict=True):
        blocks = fit(betas, vectors, weights)
        np.testing.assert_array_equal(blocks.penalty, expected.penalty)
        np.testing.assert_allclose(blocks.weights, expected.weights, atol=1e-12)
        np.testing.assert_allclose(blocks.intercept, expected.intercept, atol=1e-12)


def test_what_is_given_is_left_as_it_is() -> None:
    given = planted(30, 40, 5)
    before = [array.copy() for array in given]
    fit_decoder(*given)
    fit_encoder(*given)
    for array, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_penalty_at_an_end_of_the_grid_is_said(caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(3)
    betas = rng.standard_normal((60, 30))
    known = np.column_stack([np.ones(60), betas])
    unrelated = rng.standard_normal((60, 5))
    unrelated -= known @ np.linalg.lstsq(known, unrelated, rcond=None)[0]
    noise = fit_decoder(betas, unrelated)
    assert noise.note == "the penalty chosen is the strongest of the grid, 1e+06"
    assert noise.note in caplog.text
    caplog.clear()
    betas = rng.standard_normal((200, 5))
    assert "weakest" in fit_decoder(betas, betas @ rng.standard_normal((5, 3))).note
    assert (
        "of 30 voxels have the strongest penalty"
        in fit_encoder(rng.standard_normal((60, 30)), rng.random((60, 5))).note
    )


@pytest.mark.parametrize(("betas", "vectors", "weights", "message", "error"), [
    (np.ones((3, 2)), np.ones((4, 2)), None, "two rows or more of each", UsageError),
    (np.ones((1, 2)), np.ones((1, 2)), None, "two rows or more of each", UsageError),
    (np.ones((3, 0)), np.ones((3, 2)), None, r"not \(3, 0\)", UsageError),
    (np.array([[1, 2], [np.nan, 1], [1, 1]]), np.ones((3, 2)), None, "betas: row 1 has numbers that are", DataError),
    (np.ones((3, 2)), np.ones((3, 2)), [1, 1, 0], "weights: row 2 has no repeats", DataError),
    ([[1, 2], [3]], np.ones((2, 2)), None, "betas: are no array of numbers", UsageError),
    (np.ones((3, 2)), np.full((3, 2), "a"), None, "embeddings: are no array of numbers", UsageError),
    (np.ones((3, 2)), np.ones((3, 2)), [1, 1, 1j], "weights: are no array of numbers", UsageError),
    (3, np.ones((3, 2)), None, r"not \(\)", UsageError),
])  # fmt: skip
def test_arrays_that_cannot_be_fitted_are_one_line(
    betas: Array, vectors: Array, weights: Any, message: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=message) as caught:
        fit_decoder(betas, vectors, weights)
    assert "\n" not in str(caught.value)


def test_a_decoder_has_a_column_for_each_voxel() -> None:
    with pytest.raises(UsageError, match=r"columns have shape \(3,\), but there are betas of 2 voxels"):
        fit_decoder(np.ones((3, 2)), np.ones((3, 2)), columns=np.arange(3))


def test_no_copy_of_the_betas_is_made_in_float64() -> None:
    rng = np.random.default_rng(6)
    betas, vectors = rng.standard_normal((200, 40_000), np.float32), rng.standard_normal((200, 3), np.float32)
    for fit in (fit_decoder, fit_encoder):
        tracemalloc.start()
        try:
            fit(betas, vectors)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < betas.nbytes, fit.__name__
