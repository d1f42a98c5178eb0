"""Which side of a picture of voxels is the person's left: said by labels or by the affine, and never assumed."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

LEFT: Final = "L"
RIGHT: Final = "R"

_BY_LABELS: Final = "the labels of the hemispheres"
_BY_AFFINE: Final = "the affine of the volumes"


class Sides(NamedTuple):
    """What lies at either end of i.

    Attributes:
        low, high: "L" and "R", or "R" and "L": the person's left or right at low and at high i.
        by: What says so.
    """

    low: str
    high: str
    by: str


def sides_of(i: NDArray[Any], hemisphere: NDArray[Any] | None, x: NDArray[Any] | None) -> Sides | None:
    """Where left and right are; None where nothing says it, or labels and affine say different things.

    Args:
        i: (n_voxels,) of each voxel.
        hemisphere: (n_voxels,) "left", "right" or neither, as `-voxels` has it.
        x: (n_voxels,) mm by the affine of the volumes, which rises to the right of the person, as NIfTI has it.
    """
    places = np.asarray(i, np.float64)
    rises = {
        _BY_LABELS: None if hemisphere is None else _by_labels(places, hemisphere),
        _BY_AFFINE: None if x is None else _by_affine(places, x),
    }
    said = {by: is_right for by, is_right in rises.items() if is_right is not None}
    if len(set(said.values())) != 1:
        return None
    by, is_right = next(iter(said.items()))
    return Sides(LEFT, RIGHT, by) if is_right else Sides(RIGHT, LEFT, by)


def _by_labels(i: NDArray[np.float64], hemisphere: NDArray[Any]) -> bool | None:
    """Whether the right hemisphere's voxels are those of higher i."""
    left, right = (i[np.asarray(hemisphere, object) == side] for side in ("left", "right"))
    if not len(left) or not len(right) or np.median(left) == np.median(right):
        return None
    return bool(np.median(right) > np.median(left))


def _by_affine(i: NDArray[np.float64], x: NDArray[Any]) -> bool | None:
    """Whether x rises with i."""
    there = np.asarray(x, np.float64)
    known = np.isfinite(there) & np.isfinite(i)
    if not known.any():
        return None
    slope = float(np.sum((i[known] - i[known].mean()) * (there[known] - there[known].mean())))
    return None if slope == 0 else slope > 0
