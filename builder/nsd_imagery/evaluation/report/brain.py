"""The map of a subject's voxels as pictures that hold numbers: what the page draws slices of, without any volume.

One picture has all axial slices side by side, a pixel a voxel, whose level says which ROIs it is of. Of each condition
a picture holds the numbers of these voxels, one after the other, so that whoever points at one reads its number and
not a colour.
"""

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.opened import Opened
from nsd_imagery.evaluation.sides import Sides, sides_of

CONDITIONS: Final = ("vision", "imagery", "perception")
"""That may have a map."""

_STEP: Final = 1e-4
"""To which numbers are rounded: a tenth of the last digit that is read, and half the size of all digits."""

_MOST_STEPS: Final = 65_534
"""Between the least and the greatest number of a map, or steps are larger."""

_MOST_KINDS: Final = 255
"""Of voxels, by the ROIs that they are of: levels of a pixel, beside that of no voxel."""

_WIDTH: Final = 256
"""Pixels of a row of a picture of numbers."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a subject, each once, whatever ROIs it is of.

    Attributes:
        places: (n, 3) i, j, k.
        rois: By ROI, (n,) whether a voxel is of it.
        ratios: By condition, (n,) signal over noise variance, unclipped; NaN where there is none.
        sides: Where the person's left and right are; None where nothing says it.
    """

    places: NDArray[np.int64]
    rois: Mapping[str, NDArray[np.bool_]]
    ratios: Mapping[str, Floats]
    sides: Sides | None = None


def voxels_of(found: Opened, subject: str, rois: Iterable[str]) -> Voxels | None:
    """The voxels of a subject; None where nothing says where they lie, or nothing was estimated.

    Args:
        found: An evaluation.
        subject: "subj01" to "subj08".
        rois: The subject's.

    Raises:
        DataError: The map of the subject is damaged.
    """
    maps = {roi: found.voxels(subject, roi) for roi in rois}
    placed = {roi: one for roi, one in maps.items() if len(one["i"]) and not np.isnan(one["i"].astype(float)).any()}
    if not placed:
        return None
    of_roi = {roi: np.stack([one[axis] for axis in "ijk"], axis=1).astype(np.int64) for roi, one in placed.items()}
    places, first, which = np.unique(
        np.concatenate(list(of_roi.values())), axis=0, return_index=True, return_inverse=True
    )
    begins = np.cumsum([0, *(len(one) for one in of_roi.values())])
    is_of = {roi: np.isin(np.arange(len(places)), which.ravel()[begin:end])
             for roi, begin, end in zip(of_roi, begins[:-1], begins[1:], strict=True)}  # fmt: skip
    ratios = {name: np.concatenate([_ratio(one, name) for one in placed.values()])[first] for name in CONDITIONS}
    there = {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio).any()}
    if not there:
        return None
    hemisphere, x = (_column(placed.values(), name, first) for name in ("hemisphere", "x"))
    return Voxels(places, is_of, there, sides_of(places[:, 0], hemisphere, x))


def sprites(voxels: Voxels) -> dict[str, Any]:
    """What the page's script draws from, as JSON holds it; the same voxels give the same.

    Args:
        voxels: Of a subject.

    Returns:
        `origin` and `size` of the box of voxels; `columns` of slices in `sheet`, a picture (a data: URI) whose level is
        0 or 1 + a place in `kinds`, the names of ROIs; and `maps` by condition: `numbers`, a picture whose upper half
        has the high and whose lower half the low bytes of the voxels' levels in the order of the sheet's pixels, row by
        row; `low`, which level 1 stands for, and `step`, from level to level. Level 0 is no number. `sides` are "L" or
        "R" at low and at high i and what says so, or null.

    Raises:
        DataError: There are more combinations of ROIs than a picture can tell.
    """
    origin = voxels.places.min(axis=0)
    size = voxels.places.max(axis=0) - origin + 1
    columns = int(np.ceil(np.sqrt(size[2])))
    across, down = _pixels(voxels.places - origin, size, columns)
    kinds, kind = _kinds(voxels)
    sheet = np.zeros((int(-(-size[2] // columns) * size[1]), int(columns * size[0])), np.uint8)
    sheet[down, across] = kind + 1
    order = np.lexsort((across, down))
    return {
        "origin": origin.tolist(),
        "size": size.tolist(),
        "columns": columns,
        "kinds": kinds,
        "sides": voxels.sides,
        "sheet": _uri(sheet),
        "maps": {name: _numbers(ratio[order]) for name, ratio in voxels.ratios.items()},
    }


def _numbers(ratio: Floats) -> dict[str, Any]:
    """The numbers of one map, cut into steps."""
    low, high = float(np.nanmin(ratio)), float(np.nanmax(ratio))
    step = max(_STEP, (high - low) / _MOST_STEPS)
    level = np.where(np.isfinite(ratio), np.rint((np.nan_to_num(ratio) - low) / step) + 1, 0).astype(np.int64)
    n_rows = -(-len(level) // _WIDTH)
    level = np.pad(level, (0, n_rows * _WIDTH - len(level))).reshape(n_rows, _WIDTH)
    picture = np.concatenate([level >> 8, level & 255]).astype(np.uint8)
    return {"numbers": _uri(picture), "low": low, "step": step}


def _column(maps: Iterable[Mapping[str, NDArray[Any]]], name: str, which: NDArray[np.int64]) -> NDArray[Any] | None:
    """A column of each voxel; None where evaluations of an earlier version have none."""
    columns = [one[name] for one in maps if name in one]
    return np.concatenate(columns)[which] if columns else None


def _ratio(columns: Mapping[str, NDArray[Any]], condition: str) -> Floats:
    signal, noise = (np.asarray(columns[f"{condition}_{what}"], np.float64) for what in ("signal", "noise"))
    return np.divide(signal, noise, out=np.full(len(signal), np.nan), where=noise > 0)


def _pixels(
    places: NDArray[np.int64], size: NDArray[np.int64], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where voxels lie in the picture: i to the right, j upwards, slices from left to right and on."""
    i, j, k = places.T
    return (k % columns) * size[0] + i, (k // columns) * size[1] + size[1] - 1 - j


def _kinds(voxels: Voxels) -> tuple[list[list[str]], NDArray[np.int64]]:
    """The combinations of ROIs that there are, and which one each voxel is of."""
    is_of = np.stack(list(voxels.rois.values()), axis=1)
    combinations, which = np.unique(is_of, axis=0, return_inverse=True)
    if len(combinations) > _MOST_KINDS:
        msg = (
            f"these ROIs overlap in {len(combinations)} ways, and a map tells {_MOST_KINDS}; evaluate fewer with --roi"
        )
        raise DataError(msg)
    names = list(voxels.rois)
    return [[name for name, one in zip(names, row, strict=True) if one] for row in combinations], which.ravel()


def _uri(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
