"""What `NSDImageryDataset` asks of a preprocessor: to transform betas, or betas together with what their rows are."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.rows.vectors import Rows

Transform = Callable[[NDArray[np.floating], Rows], ArrayLike]
"""(n, anything) from (n, n_voxels) betas and (n,) which of the bound trials they are of, from 0."""


@runtime_checkable
class Preprocessor(Protocol):
    """What turns betas into what a model takes; it was fitted elsewhere, as objects of scikit-learn are."""

    def transform(self, betas: NDArray[np.floating], /) -> ArrayLike:
        """(n, anything) from (n, n_voxels) betas, row by row."""
        ...


@dataclass(frozen=True)
class RowOptions:
    """How a preprocessor wants its rows to be made; None leaves it to the other arguments of `NSDImageryDataset`.

    Attributes:
        smoothing_fwhm: mm, of the Gaussian that volumes are smoothed with before they are masked.
        zscore: "auto", "run", "session" or "none"; an argument `zscore` of the dataset is heeded instead.
    """

    smoothing_fwhm: float | None = None
    zscore: str | None = None


@runtime_checkable
class RowPreprocessor(Protocol):
    """A preprocessor that has to know its rows. `NSDPreprocessor` is one; where both contracts are met, this counts."""

    def row_options(self) -> RowOptions:
        """How its rows are to be made; asked before any is read."""
        ...

    def bind(self, trials: Dataset, voxels: Callable[[], Dataset], /) -> Transform:
        """The transform of the betas of some trials.

        It is called for each batch, so that the preprocessor may still be fitted after this. It must pickle where
        workers of a DataLoader are spawned.

        Args:
            trials: All rows of the dataset, before any transform.
            voxels: Gives the rows of their `-voxels`, which take reading.
        """
        ...


def row_options(preprocessor: Preprocessor | RowPreprocessor | None) -> RowOptions:
    """How the rows of a preprocessor are to be made.

    Raises:
        UsageError: It is no preprocessor.
    """
    if isinstance(preprocessor, RowPreprocessor):
        return preprocessor.row_options()
    if preprocessor is not None and not isinstance(preprocessor, Preprocessor):
        msg = f"preprocessor is a {type(preprocessor).__name__}, which has no transform(betas)"
        raise UsageError(msg)
    return RowOptions()


def bind(
    preprocessor: Preprocessor | RowPreprocessor, trials: Dataset, voxels: Callable[[], Dataset]
) -> Callable[[NDArray[np.floating], Rows], NDArray[np.float32]]:
    """The transform of the betas of some trials, as `RowPreprocessor.bind`, of any preprocessor, in float32.

    Where it does not keep the rows, calling it raises DataError.
    """
    by_rows = isinstance(preprocessor, RowPreprocessor)
    transform = preprocessor.bind(trials, voxels) if by_rows else partial(_without_rows, preprocessor)
    return partial(_checked, type(preprocessor).__name__, transform)


def _without_rows(preprocessor: Preprocessor, betas: NDArray[np.floating], _: Rows) -> ArrayLike:
    return preprocessor.transform(betas)


def _checked(name: str, transform: Transform, betas: NDArray[Any], rows: Rows) -> NDArray[np.float32]:
    values = np.asarray(transform(betas, rows), np.float32)
    if len(values) != len(betas):
        msg = f"{name} made {len(values)} rows of {len(betas)}: a preprocessor must keep the rows"
        raise DataError(msg)
    return values
