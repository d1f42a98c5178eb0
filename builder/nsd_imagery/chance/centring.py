"""What is taken out of a run before its trials are compared: each voxel's mean and scale, and slow trends of time."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN

Matrix = NDArray[np.float64]


def zscores(betas: NDArray[Any], is_valid: NDArray[np.bool_]) -> Matrix:
    """(n_trials, n_voxels) z-scores over the valid trials; 0 in other trials and in voxels without variance."""
    scores = np.zeros(betas.shape)
    if np.count_nonzero(is_valid) > 1:
        valid = betas[is_valid].astype(np.float64)
        varies = (valid != valid[0]).any(axis=0)
        sd = np.where(varies, valid.std(axis=0, ddof=1), np.inf)
        scores[is_valid] = (valid - valid.mean(axis=0)) / np.where(sd > 0, sd, np.inf)
    return scores


def trends(is_valid: NDArray[np.bool_], degree: int = 2) -> Matrix:
    """(48, degree + 1) polynomials of time, 0 where a trial is not valid, orthonormal over the valid ones."""
    time = np.linspace(-1, 1, TRIALS_PER_RUN)
    return np.linalg.qr(np.vander(time, degree + 1, increasing=True) * is_valid[:, None])[0]


def trend_removal(is_valid: NDArray[np.bool_], degree: int = 2, order: NDArray[np.integer] | None = None) -> Matrix:
    """(48, 48) Q, which takes a polynomial of time out of a run: Q y = y - T b, with b by least squares.

    Args:
        is_valid: (48,).
        degree: Of the polynomial; 2 removes {1, t, t²}.
        order: (48,) targets, 0 to 5, which are then in the model beside the polynomial, so that b is the trend within
            targets (Frisch and Waugh 1933); the constant stays in. Default: the polynomial alone.

    Returns:
        Rows and columns of trials that are not valid are 0.
    """
    trend, keep = trends(is_valid, degree), np.diag(is_valid.astype(np.float64))
    if order is None:
        return keep - trend @ trend.T
    members = (order[:, None] == np.arange(TARGETS_PER_SET)) * is_valid[:, None]
    within = keep - members @ np.linalg.pinv(members.astype(np.float64))
    slopes = trend[:, 1:]
    return keep - slopes @ np.linalg.pinv(within @ slopes)
