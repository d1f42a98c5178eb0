"""The voxel grid of a volume, and the two orders in which its voxels can be counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError

FlatIndex = NDArray[np.int64]

_SAME_PLACE = 0.1
"""Two grids are the same if no corner is further apart than this many voxels."""

SAME_PLACE_MM = 0.1
"""The same for voxels whose size is not at hand: well below any voxel, well above what float32 rounds off."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a volume.

    Attributes:
        shape: Voxels along the NIfTI axes (x, y, z).
        affine: (4, 4) from (i, j, k) to mm; None where the file does not say (HDF5).
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64] | None

    @property
    def entry(self) -> dict[str, Any]:
        """Shape and affine as JSON has them; the grid must have an affine."""
        assert self.affine is not None
        return {"shape": list(map(int, self.shape)), "affine": self.affine.tolist()}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Grid":
        """The grid of an `entry`."""
        x, y, z = entry["shape"]
        return cls((x, y, z), np.array(entry["affine"], np.float64))

    @property
    def n_voxels(self) -> int:
        """Voxels of one volume."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    def ijk(self, flat: FlatIndex) -> NDArray[np.int64]:
        """(n, 3) voxel indices of C-order flat indices."""
        return np.stack(np.unravel_index(flat, self.shape), axis=1)

    def xyz(self, ijk: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 3) places in mm of voxel indices; the grid must have an affine."""
        assert self.affine is not None
        return ijk @ self.affine[:3, :3].T + self.affine[:3, 3]

    def file_order(self, flat: FlatIndex) -> FlatIndex:
        """C-order flat indices as positions in a NIfTI volume or an HDF5 (Z, Y, X) volume, where x is fastest."""
        i, j, k = np.unravel_index(flat, self.shape)
        return i + self.shape[0] * (j + self.shape[1] * k)

    def flat_of(self, positions: FlatIndex) -> FlatIndex:
        """C-order flat indices of positions in the order of the file; the inverse of `file_order`."""
        x, y, _ = self.shape
        ijk = positions % x, positions // x % y, positions // (x * y)
        return np.ravel_multi_index(ijk, self.shape).astype(np.int64)

    def holds(self, ijk: NDArray[Any], xyz: NDArray[Any]) -> bool:
        """Whether voxels by (n, 3) indices are in the volume, and lie at (n, 3) places in mm."""
        inside = ((ijk >= 0) & (ijk < self.shape)).all()
        return bool(inside and np.allclose(self.xyz(ijk), xyz, rtol=0, atol=SAME_PLACE_MM))

    def check_same(self, other: "Grid", name: str, other_name: str) -> None:
        """Raise DataError unless both grids have one shape and, where both say so, lie in one place."""
        if self.shape != other.shape:
            msg = f"{name}: grid is {_times(self.shape)}, but {other_name} has {_times(other.shape)}"
            raise DataError(msg)
        if self.affine is None or other.affine is None:
            return
        far = np.array([0, 0, 0, 1]), np.array([*np.subtract(self.shape, 1), 1])
        voxel_mm = np.abs(np.linalg.norm(other.affine[:3, :3], axis=0)).min()
        apart = max(np.abs((self.affine - other.affine) @ corner).max() for corner in far)
        if not apart <= _SAME_PLACE * voxel_mm:
            msg = f"{name}: affine is not that of {other_name} (corners {apart:.2f} mm apart): replace one"
            raise DataError(msg)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
