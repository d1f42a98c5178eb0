"""Ridge regression from betas to embeddings and back: scikit-learn's RidgeCV on standardised features, in float64.

The penalty is chosen by leaving out one row at a time, exactly. Rows are to be averages of a picture's repeats,
weighted by their number, so that what is left out is a picture.
"""

import logging
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, MissingExtraError, UsageError
from nsd_imagery.evaluation.decoder import Decoder, Linear, Matrix, Origin
from nsd_imagery.extras import how_to_install

ALPHAS: Final = tuple(np.logspace(1, 6, 11).tolist())
"""The grid of penalties."""

VOXELS_AT_ONCE: Final = 2_048
"""Of the encoder, whose voxels have a penalty each."""

_WEAKEST, _STRONGEST = min(ALPHAS), max(ALPHAS)

logger = logging.getLogger(__name__)


def fit_decoder(
    betas: ArrayLike,
    embeddings: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    origin: Origin | None = None,
    columns: NDArray[np.integer] | None = None,
) -> Decoder:
    """Learn embeddings from betas, with one penalty for all of them.

    Args:
        betas: (n, n_voxels), a row a picture: z-scored by session, then averaged.
        embeddings: (n, n_features) of the pictures.
        weights: (n,) repeats behind each row; default one each.
        origin: What the rows are of; `training.Training` knows. A decoder without it is refused by the evaluation.
        columns: (n_voxels,) which voxels of the ROI these are; default all.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        UsageError: Not as many rows of each, or fewer than two.
        DataError: A number is not finite.
    """
    inputs, outputs, of_row = _arrays(betas, embeddings, weights)
    learnt = _fit(inputs, outputs, of_row, per_target=False)
    if learnt.note:
        of = f" of {origin.subject}, {origin.roi}" if origin else ""
        logger.warning("decoder%s: %s", of, learnt.note)
    which = np.arange(inputs.shape[1]) if columns is None else np.asarray(columns, np.int64)
    center = np.asarray(np.average(outputs, axis=0, weights=of_row))
    return Decoder(learnt.weights, learnt.intercept, learnt.penalty, learnt.note, center, which, origin or Origin())


def fit_encoder(betas: ArrayLike, embeddings: ArrayLike, weights: ArrayLike | None = None) -> Linear:
    """Learn betas from embeddings, with a penalty a voxel, in blocks of `VOXELS_AT_ONCE`.

    Args, Raises: As `fit_decoder`.
    """
    outputs, inputs, of_row = _arrays(betas, embeddings, weights)
    starts = range(0, outputs.shape[1], VOXELS_AT_ONCE)
    parts = [_fit(inputs.copy(), outputs[:, at : at + VOXELS_AT_ONCE], of_row, per_target=True) for at in starts]
    penalty = np.concatenate([part.penalty for part in parts])
    return Linear(
        np.concatenate([part.weights for part in parts], axis=1),
        np.concatenate([part.intercept for part in parts]),
        penalty,
        _note(penalty),
    )


def _arrays(betas: ArrayLike, embeddings: ArrayLike, weights: ArrayLike | None) -> tuple[Matrix, Matrix, Matrix]:
    """Copies in float64, which may be written to."""
    of_voxels, of_features = (np.array(values, np.float64) for values in (betas, embeddings))
    of_row = np.ones(len(of_voxels)) if weights is None else np.asarray(weights, np.float64)
    shapes = [values.shape for values in (of_voxels, of_features, of_row)]
    if [len(shape) for shape in shapes] != [2, 2, 1] or len({shape[0] for shape in shapes}) > 1 or len(of_row) < 2:
        said = ", ".join(map(str, shapes))
        msg = f"betas, embeddings and weights are two rows or more of each, as (n, n_voxels), (n, d), (n,), not {said}"
        raise UsageError(msg)
    for name, values in (("betas", of_voxels), ("embeddings", of_features), ("weights", of_row)):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
            msg = f"{name}: row {row} has numbers that are not finite; leave rows that are not valid out"
            raise DataError(msg)
    if (of_row <= 0).any():
        msg = f"weights: row {int(np.flatnonzero(of_row <= 0)[0])} has no repeats; leave it out"
        raise DataError(msg)
    return of_voxels, of_features, of_row


def _fit(inputs: Matrix, outputs: Matrix, of_row: Matrix, *, per_target: bool) -> Linear:
    """RidgeCV on inputs, which are standardised in place, as a map of inputs as they come."""
    mean = np.asarray(np.average(inputs, axis=0, weights=of_row))
    inputs -= mean
    sd = np.sqrt(np.einsum("ij,ij,i->j", inputs, inputs, of_row) / of_row.sum())
    sd[sd == 0] = np.inf
    inputs /= sd
    model = _ridge_cv()(alphas=ALPHAS, alpha_per_target=per_target)
    model.fit(inputs, outputs, sample_weight=of_row)
    weights = (np.atleast_2d(model.coef_) / sd).T
    penalty = np.atleast_1d(np.asarray(model.alpha_, np.float64))
    return Linear(weights, np.atleast_1d(model.intercept_) - mean @ weights, penalty, _note(penalty))


def _note(penalty: Matrix) -> str:
    """What to say of penalties at an end of the grid; nothing of others."""
    n_weakest, n_strongest = (int(np.isclose(penalty, end).sum()) for end in (_WEAKEST, _STRONGEST))
    if len(penalty) == 1:
        end, size = ("weakest", _WEAKEST) if n_weakest else ("strongest", _STRONGEST)
        return f"the penalty chosen is the {end} of the grid, {size:g}" if n_weakest or n_strongest else ""
    parts = [(n_weakest, "weakest"), (n_strongest, "strongest")]
    return "; ".join(f"{n} of {len(penalty)} voxels have the {end} penalty of the grid" for n, end in parts if n)


def _ridge_cv() -> Any:
    try:
        from sklearn.linear_model import RidgeCV
    except ModuleNotFoundError as error:
        msg = f"transfer from perception needs scikit-learn: {how_to_install('evaluate')}"
        raise MissingExtraError(msg) from error
    return RidgeCV
