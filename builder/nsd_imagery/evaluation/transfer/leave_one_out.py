"""Ridge regression under each penalty of a grid, and the errors of rows left out one at a time, of one decomposition.

With rows scaled by the root of their weight, (I - H)Y is what the rows do not explain, and (I - H)Y / diag(I - H) what
each would have been missed by, had it been left out: exactly, intercept and all (Golub, Heath and Wahba 1979). H of
every penalty follows from the eigenvectors of A Aᵀ, or of Aᵀ A where there are fewer columns than rows. The products
are summed in float64 over blocks of columns, so that beside the inputs there are two squares of rows in memory, no
copy of the inputs in float64, and of the outputs what a caller takes at once.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue] (it is made when scipy is built)

from nsd_imagery.evaluation.transfer.decoder import Matrix

COLUMNS_AT_ONCE: Final = 1_024
"""Of inputs, in float64."""


class Ridge:
    """Inputs, standardised and decomposed, for every penalty and any outputs.

    Args:
        inputs: (n, n_in) of any floating type; a column that does not vary is taken for 0.
        of_row: (n,) weights, above 0.
        alphas: Penalties, above 0.
    """

    def __init__(self, inputs: NDArray[np.floating[Any]], of_row: Matrix, alphas: Sequence[float]) -> None:
        self._inputs, self._of_row, self._root = inputs, of_row, np.sqrt(of_row)[:, None]
        self._alphas = np.asarray(alphas, np.float64)
        n, n_in = inputs.shape
        self._starts = range(0, n_in, COLUMNS_AT_ONCE)
        self._mean, self._sd = np.zeros(n_in), np.zeros(n_in)
        for start in self._starts:
            self._standardise(slice(start, start + COLUMNS_AT_ONCE))
        self._is_dual = n <= n_in
        self._values, self._basis = self._of_rows() if self._is_dual else self._of_columns()
        self._own = (of_row / of_row.sum())[:, None] + _squares(self._basis, self._shrunk(self._alphas))

    def errors(self, outputs: NDArray[np.floating[Any]]) -> Matrix:
        """(n_alphas, n_out) sums over rows of the weighted squared error of each, left out."""
        centred, _ = self._centred(outputs)
        projected = self._basis.T @ centred
        found = np.empty((len(self._alphas), centred.shape[1]))
        for place, own in enumerate(self._own.T):
            missed = self._basis @ (self._shrunk(self._alphas[place : place + 1]) * projected)
            np.subtract(centred, missed, out=missed)
            missed /= (1 - own)[:, None]
            found[place] = np.einsum("ij,ij->j", missed, missed)
        return found

    def solved(self, outputs: NDArray[np.floating[Any]], penalty: Matrix) -> tuple[Matrix, Matrix]:
        """(n_in, n_out) weights of inputs as they come, and (n_out,) intercepts, by (n_out,) penalties."""
        centred, mean = self._centred(outputs)
        missed = centred - self._basis @ (self._shrunk(penalty) * (self._basis.T @ centred))
        missed /= penalty
        weights = np.empty((len(self._mean), len(mean)))
        for start in self._starts:
            columns = slice(start, start + COLUMNS_AT_ONCE)
            np.matmul(self._scaled(columns).T, missed, out=weights[columns])
        weights /= self._sd[:, None]
        return weights, mean - self._mean @ weights

    def _standardise(self, columns: slice) -> None:
        """Fill in mean and sd; a sd of infinity makes 0 of a column whose mean is not, to the last bit, its value."""
        block = self._inputs[:, columns].astype(np.float64)
        varies = (block != block[0]).any(axis=0)
        self._mean[columns] = np.average(block, axis=0, weights=self._of_row)
        block -= self._mean[columns]
        sd = np.sqrt(np.einsum("ij,ij,i->j", block, block, self._of_row) / self._of_row.sum())
        self._sd[columns] = np.where(varies & (sd > 0), sd, np.inf)

    def _scaled(self, columns: slice) -> Matrix:
        """Standardised columns, rows by the root of their weight."""
        block = self._inputs[:, columns].astype(np.float64)
        block -= self._mean[columns]
        block /= self._sd[columns]
        block *= self._root
        return block

    def _of_rows(self) -> tuple[Matrix, Matrix]:
        """(n,) eigenvalues and (n, n) eigenvectors of A Aᵀ."""
        n = len(self._inputs)
        products = np.zeros((n, n), order="F")
        for start in self._starts:
            block = self._scaled(slice(start, start + COLUMNS_AT_ONCE))
            products = dsyrk(1, block.T, 1, products, trans=1, lower=1, overwrite_c=1)
        return _decomposed(products)

    def _of_columns(self) -> tuple[Matrix, Matrix]:
        """(n_in,) eigenvalues of Aᵀ A, and (n, n_in) A times its eigenvectors."""
        scaled = np.empty(self._inputs.shape, order="F")
        for start in self._starts:
            columns = slice(start, start + COLUMNS_AT_ONCE)
            scaled[:, columns] = self._scaled(columns)
        values, vectors = _decomposed(dsyrk(1, scaled, trans=1, lower=1))
        return values, scaled @ vectors

    def _shrunk(self, penalty: Matrix) -> Matrix:
        """(k, n_penalties) by what a product with the basis is multiplied, so that it and its transpose make H."""
        values = self._values[:, None]
        return (values if self._is_dual else 1) / (values + penalty)

    def _centred(self, outputs: NDArray[np.floating[Any]]) -> tuple[Matrix, Matrix]:
        """Outputs less their weighted mean, rows by the root of their weight; and the mean."""
        values = outputs.astype(np.float64)
        mean = np.asarray(np.average(values, axis=0, weights=self._of_row))
        values -= mean
        values *= self._root
        return values, mean


def _decomposed(products: Matrix) -> tuple[Matrix, Matrix]:
    """Eigenvalues and eigenvectors by the lower triangle, which is overwritten.

    In float32 an eigenvalue is as uncertain as the smallest penalty is large.
    """
    values, vectors = eigh(products, lower=True, overwrite_a=True, check_finite=False)
    return np.maximum(values, 0), vectors


def _squares(basis: Matrix, shrunk: Matrix) -> Matrix:
    """(n, n_penalties) the diagonal of H, by blocks of rows."""
    starts = range(0, len(basis), COLUMNS_AT_ONCE)
    return np.concatenate([np.square(basis[start : start + COLUMNS_AT_ONCE]) @ shrunk for start in starts])
