"""All products of trials of a subject and ROI, from which every similarity, distance and null draw is algebra.

Voxels are read once: G = Z Zᵀ over the trials of all runs, each z-scored by voxel within its run. What depends on
trials linearly (templates, least squares, removal of trends) is L G Rᵀ with L and R over the trials of two runs, and
the sum over voxels of a quadratic form yᵀ M y is the sum of the elements of M and G (see `ceiling`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import trend_removal
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.experiment import TRIALS_PER_RUN

Matrix = NDArray[np.float64]

_VOXELS_PER_BLOCK: Final = 1_024
"""Products are summed in float32 within a block, in float64 over blocks."""

_APART: Final = np.abs(np.subtract.outer(np.arange(TRIALS_PER_RUN), np.arange(TRIALS_PER_RUN)))
"""(48, 48) how many trials apart two positions are."""


@dataclass(frozen=True, eq=False)
class Gram:
    """Products of trials, summed over voxels.

    Attributes:
        names: Of the runs, in order.
        products: (48 n_runs, 48 n_runs) G = Z Zᵀ; 0 for trials that are not valid.
        sums: (48 n_runs,) each trial's sum over voxels.
        n_voxels: Voxels that vary in at least one run; the others are in no product and in no mean over voxels.
    """

    names: tuple[str, ...]
    products: Matrix
    sums: Matrix
    n_voxels: int

    @cached_property
    def _centred(self) -> Matrix:
        """Products of patterns less their mean over voxels: C = G - s sᵀ / V."""
        return self.products - np.outer(self.sums, self.sums) / max(self.n_voxels, 1)

    def rows(self, run: Run) -> slice:
        """The rows of a run.

        Raises:
            KeyError: It is not one of these.
        """
        if run.name not in self.names:
            raise KeyError(run.name)
        start = self.names.index(run.name) * TRIALS_PER_RUN
        return slice(start, start + TRIALS_PER_RUN)

    def block(self, a: Run, b: Run) -> Matrix:
        """(48, 48) products over voxels of the trials of `a` with those of `b`; not centred over voxels."""
        return self.products[self.rows(a), self.rows(b)]

    def similarity(self, a: Run, b: Run, left: Matrix | None = None, right: Matrix | None = None) -> Matrix:
        """Correlation over voxels of patterns of `a` with patterns of `b`; 0 for a pattern without variance.

        Args:
            a: A run.
            b: Another, or the same.
            left: (n, 48) what makes patterns of the trials of `a`, for example the mean by target; default: its trials.
            right: (m, 48) the same for `b`.

        Returns:
            (n, m), with trials (48, 48).
        """
        products = _between(self._centred[self.rows(a), self.rows(b)], left, right)
        lengths = [self._lengths(run, weights) for run, weights in ((a, left), (b, right))]
        size = np.outer(*lengths)
        return np.divide(products, size, out=np.zeros_like(products), where=size > 0)

    def _lengths(self, run: Run, weights: Matrix | None) -> Matrix:
        own = self._centred[self.rows(run), self.rows(run)]
        if weights is None:
            squares = np.diagonal(own)
        else:
            squares = np.einsum("nt,tu,nu->n", weights, own, weights, optimize=True)
        # What is 0 but for rounding has no direction.
        floor = 1e-12 * max(float(np.trace(own)), 0.0) / TRIALS_PER_RUN
        return np.sqrt(np.where(squares > floor, squares, 0.0))

    def position_centred(self, a: Run, b: Run) -> Matrix:
        """(48, 48) similarity of two runs, each pair less the mean of the pairs that lie as far apart, |i - j|.

        What depends only on how far apart two positions are is gone. Pairs with a trial that is not valid are 0.
        """
        similarity, counted = self.similarity(a, b), np.outer(a.is_valid, b.is_valid)
        n_pairs = np.bincount(_APART.ravel(), counted.ravel(), TRIALS_PER_RUN)
        means = np.bincount(_APART.ravel(), (similarity * counted).ravel(), TRIALS_PER_RUN) / np.maximum(n_pairs, 1)
        return np.where(counted, similarity - means[_APART], 0.0)

    def detrended(self, a: Run, b: Run, degree: int = 2) -> Matrix:
        """(48, 48) similarity of trials from each of whose runs a polynomial of time was removed: Qa G Qbᵀ.

        In a run of vision the trend is fitted beside the targets, which are known there; in others without them,
        because their labels are what is tested.
        """
        left, right = (
            trend_removal(run.is_valid, degree, run.order if run.condition == "vision" else None) for run in (a, b)
        )
        return self.similarity(a, b, left, right)


def gram(runs: Iterable[Run], voxels: NDArray[np.integer] | None = None) -> Gram:
    """All products of the trials of runs.

    Args:
        runs: Of one subject and ROI.
        voxels: (n,) columns to take; default: all.
    """
    runs = tuple(runs)
    n_trials = TRIALS_PER_RUN * len(runs)
    columns = np.arange(runs[0].betas.shape[1] if runs else 0) if voxels is None else np.asarray(voxels)
    products, sums, n_voxels = np.zeros((n_trials, n_trials)), np.zeros(n_trials), 0
    for start in range(0, len(columns), _VOXELS_PER_BLOCK):
        at = columns[start : start + _VOXELS_PER_BLOCK]
        take = slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 and (np.diff(at) == 1).all() else at
        block = np.concatenate([run.betas[:, take] for run in runs])
        products += block @ block.T
        sums += block.sum(axis=1, dtype=np.float64)
        n_voxels += int(np.count_nonzero(block.any(axis=0)))
    return Gram(tuple(run.name for run in runs), products, sums, n_voxels)


def _between(products: Matrix, left: Matrix | None, right: Matrix | None) -> Matrix:
    products = products if left is None else left @ products
    return products if right is None else products @ right.T
