"""Products of matrices that are summed in one order, so that a seed gives the same bytes each time.

BLAS sums in an order that depends on its threads and on the processor: float32 sums of one seed then differ in
their last bits, and betas, which are rounded to whole numbers, by one. `einsum` without `optimize` never calls it.
"""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


def product(left: Matrix, right: Matrix) -> Matrix:
    """(n, m) of (n, k) and (k, m): summed in float64 and rounded once."""
    return np.einsum("nk,km->nm", left.astype(np.float64), right.astype(np.float64)).astype(np.float32)


def mixed(shares: Matrix, parts: Matrix) -> Matrix:
    """(n,) the sum of (k, n) parts by (k,) shares: in float32, for what is drawn anew each trial."""
    return np.einsum("k,kn->n", shares, parts)
