"""Ridge regression from betas to embeddings and back: on standardised inputs, in float64, by penalties of one grid.

The penalty is chosen by leaving out one row at a time, exactly, as scikit-learn's RidgeCV does. Rows are to be averages
of a picture's repeats, weighted by their number, so that what is left out is a picture.
"""

import logging
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, UsageError, reason
from nsd_imagery.evaluation.transfer.decoder import Decoder, Linear, Matrix, Origin
from nsd_imagery.evaluation.transfer.leave_one_out import Ridge

ALPHAS: Final = tuple(np.logspace(1, 6, 11).tolist())
"""The grid of penalties."""

OUTPUTS_AT_ONCE: Final = 2_048
"""Voxels or features, in float64."""

_Rows = NDArray[np.floating[Any]]
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
        UsageError: Not as many rows of each, or fewer than two; no numbers; or not as many columns as voxels.
        DataError: A number is not finite.
    """
    inputs, outputs, of_row = _arrays(betas, embeddings, weights)
    which = np.arange(inputs.shape[1]) if columns is None else np.asarray(columns, np.int64)
    if which.shape != inputs.shape[1:]:
        msg = f"columns have shape {which.shape}, but there are betas of {inputs.shape[1]} voxels: one column each"
        raise UsageError(msg)
    learnt = _fit(inputs, outputs, of_row, per_output=False)
    if learnt.note:
        of = f" of {origin.subject}, {origin.roi}" if origin else ""
        logger.warning("decoder%s: %s", of, learnt.note)
    center = np.asarray(np.average(outputs, axis=0, weights=of_row), np.float64)
    return Decoder(learnt.weights, learnt.intercept, learnt.penalty, learnt.note, center, which, origin or Origin())


def fit_encoder(betas: ArrayLike, embeddings: ArrayLike, weights: ArrayLike | None = None) -> Linear:
    """Learn betas from embeddings, with a penalty a voxel.

    Args, Raises: As `fit_decoder`.
    """
    outputs, inputs, of_row = _arrays(betas, embeddings, weights)
    return _fit(inputs, outputs, of_row, per_output=True)


def _arrays(betas: ArrayLike, embeddings: ArrayLike, weights: ArrayLike | None) -> tuple[_Rows, _Rows, Matrix]:
    """The arrays as they are, or in float64 where they are of no floating type."""
    of_voxels, of_features = _floating("betas", betas), _floating("embeddings", embeddings)
    n = len(of_voxels) if of_voxels.ndim else 0
    of_row = np.ones(n) if weights is None else _floating("weights", weights).astype(np.float64)
    shapes = [values.shape for values in (of_voxels, of_features, of_row)]
    are_arrays = [len(shape) for shape in shapes] == [2, 2, 1] and all(map(all, shapes))
    if not are_arrays or len({shape[0] for shape in shapes}) > 1 or len(of_row) < 2:
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


def _floating(name: str, values: ArrayLike) -> _Rows:
    try:
        found = np.asarray(values)
        return found if np.issubdtype(found.dtype, np.floating) else found.astype(np.float64, casting="same_kind")
    except (TypeError, ValueError) as error:
        msg = f"{name}: are no array of numbers ({reason(error)})"
        raise UsageError(msg) from error


def _fit(inputs: _Rows, outputs: _Rows, of_row: Matrix, *, per_output: bool) -> Linear:
    """A map of inputs as they come, with the penalty of least error, one for all outputs or one each."""
    ridge = Ridge(inputs, of_row, ALPHAS)
    n_out = outputs.shape[1]
    blocks = [slice(start, start + OUTPUTS_AT_ONCE) for start in range(0, n_out, OUTPUTS_AT_ONCE)]
    errors = np.concatenate([ridge.errors(outputs[:, block]) for block in blocks], axis=1)
    least = errors.argmin(axis=0) if per_output else errors.sum(axis=1, keepdims=True).argmin(axis=0)
    penalty = np.asarray(ALPHAS)[least]
    of_output = np.broadcast_to(penalty, n_out)
    parts = [ridge.solved(outputs[:, block], of_output[block]) for block in blocks]
    weights = np.concatenate([part[0] for part in parts], axis=1)
    return Linear(weights, np.concatenate([part[1] for part in parts]), penalty, _note(penalty))


def _note(penalty: Matrix) -> str:
    """What to say of penalties at an end of the grid; nothing of others."""
    n_weakest, n_strongest = (int(np.isclose(penalty, end).sum()) for end in (_WEAKEST, _STRONGEST))
    if len(penalty) == 1:
        end, size = ("weakest", _WEAKEST) if n_weakest else ("strongest", _STRONGEST)
        return f"the penalty chosen is the {end} of the grid, {size:g}" if n_weakest or n_strongest else ""
    parts = [(n_weakest, "weakest"), (n_strongest, "strongest")]
    return "; ".join(f"{n} of {len(penalty)} voxels have the {end} penalty of the grid" for n, end in parts if n)
