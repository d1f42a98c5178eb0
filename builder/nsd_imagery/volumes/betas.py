"""What a beta file says of itself, and what one pass over it gives, whatever its format."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import PERCENT_SIGNAL_SCALE
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.masked import Held

LARGEST = 1e15
"""Far above any percent signal change, and small enough that sums of squares are finite."""

MOST_VOXELS = 1 << 25
"""A volume of NSD has at most 17 million voxels (anatomical)."""

_MAX_INFLATION = 1032
"""What deflate makes of its bytes, at most."""


def refuse_unlikely(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse a file that says it holds more than it can, before memory is taken for it.

    Args:
        path: The file.
        shape: Voxels along three axes, then volumes if there are several.
        dtype: Of the numbers.

    Raises:
        DataError: It holds nothing, or too much.
    """
    most = path.stat().st_size * _MAX_INFLATION
    if min(shape) < 1 or math.prod(shape[:3]) > MOST_VOXELS or math.prod(shape) * dtype.itemsize > most:
        msg = f"{path}: says that it holds {dtype} of shape {shape}, and does not: copy the file again"
        raise DataError(msg)


@dataclass(frozen=True)
class Scaling:
    """How stored numbers become percent signal change: stored * slope / divisor + intercept."""

    slope: float = 1.0
    intercept: float = 0.0
    divisor: float = 1.0

    @classmethod
    def of(cls, dtype: np.dtype, slope: float = 1.0, intercept: float = 0.0) -> "Scaling":
        """The scaling of a file: integers without a scaling of their own are percent signal change x 300.

        Args:
            dtype: Of the stored numbers.
            slope: The header's scl_slope; 0 and NaN mean "not scaled" (NIfTI-1 standard).
            intercept: The header's scl_inter.
        """
        if slope == 0 or not np.isfinite(slope):
            slope, intercept = 1.0, 0.0
        intercept = intercept if np.isfinite(intercept) else 0.0
        unscaled = (slope, intercept) == (1.0, 0.0)
        divisor = float(PERCENT_SIGNAL_SCALE) if unscaled and dtype.kind in "iu" else 1.0
        return cls(float(slope), float(intercept), divisor)

    def over(self, scale: float) -> "Scaling":
        """This scaling for a file whose numbers, scaled as its header says, are percent signal change x `scale`."""
        return Scaling(self.slope, self.intercept / scale, scale)

    def step(self, dtype: np.dtype) -> float:
        """Percent signal change between one stored integer and the next; 0 for floats."""
        return abs(self.slope) / self.divisor if dtype.kind in "iu" else 0.0

    def percent(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Percent signal change, float64, of stored numbers of any shape."""
        percent = stored.astype(np.float64)
        percent *= self.slope
        percent /= self.divisor
        percent += self.intercept
        return percent


@dataclass(frozen=True)
class BetaHeader:
    """What a beta file says of itself, without its numbers.

    Attributes:
        grid: The volume grid.
        n_volumes: Betas in the file.
        dtype: Of the stored numbers, in the machine's byte order.
        scaling: From stored numbers to percent signal change.
        held: Of a masked file, what it holds; None of a whole one.
    """

    grid: Grid
    n_volumes: int
    dtype: np.dtype
    scaling: Scaling
    held: Held | None = None

    def over(self, scale: float | None) -> "BetaHeader":
        """This header of a file whose numbers are percent signal change x `scale`; as it is where that is None."""
        return self if scale is None else replace(self, scaling=self.scaling.over(scale))


@dataclass(frozen=True, eq=False)
class Betas:
    """What one pass over a beta file gives.

    Attributes:
        header: What the file says of itself.
        stored: (n_volumes, n_voxels) numbers as stored, in the order of the voxels asked for.
        is_valid: (n_volumes,) False where every voxel of the brain is 0 or NaN, of a masked file every one it holds.
        file_digest: xxh3_128 of the file's bytes, or None where only the masked block was read (HDF5).
    """

    header: BetaHeader
    stored: NDArray[Any]
    is_valid: NDArray[np.bool_]
    file_digest: str | None

    def over(self, scale: float | None) -> "Betas":
        """These betas of a file whose numbers are percent signal change x `scale`; as they are where it is None."""
        return replace(self, header=self.header.over(scale))


def holds_data(stored: NDArray[Any]) -> NDArray[np.bool_]:
    """(...,) False where every number along the last axis is 0 or NaN, the two marks of a voxel without data."""
    if stored.dtype.kind == "f":
        return np.logical_or.reduce((stored != 0) & ~np.isnan(stored), axis=-1)
    return np.logical_or.reduce(stored, axis=-1)


def without_nan(stored: NDArray[Any], path: Path) -> NDArray[Any]:
    """Stored numbers with NaN, which marks a voxel without data, as 0: as the release writes it into its integers.

    Raises:
        DataError: A value is infinite, or as good as.
    """
    if stored.dtype.kind == "f":
        stored[np.isnan(stored)] = 0
        if not (np.abs(stored) <= min(LARGEST, float(np.finfo(stored.dtype).max))).all():
            msg = f"{path}: holds infinite values, or some beyond {LARGEST:g}"
            raise DataError(msg)
    return stored
