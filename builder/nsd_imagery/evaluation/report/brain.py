"""The map of a subject's voxels as pictures that hold numbers: what the page draws slices of, without any volume.

A picture has all axial slices side by side, a pixel a voxel. Red and green are the number, blue which ROIs the voxel is
of, so that whoever points at a voxel reads its number and not a colour.
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

CONDITIONS: Final = ("vision", "imagery", "perception")
"""That may have a map."""

STEPS: Final = 65_534
"""Into which the range of a map is cut; one more level says that there is no number."""

_MOST_KINDS: Final = 255
"""Of voxels, by the ROIs that they are of: levels of blue, beside that of no voxel."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Voxels:
    """The voxels of a subject, each once, whatever ROIs it is of.

    Attributes:
        places: (n, 3) i, j, k.
        rois: By ROI, (n,) whether a voxel is of it.
        ratios: By condition, (n,) signal over noise variance, unclipped; NaN where there is none.
    """

    places: NDArray[np.int64]
    rois: Mapping[str, NDArray[np.bool_]]
    ratios: Mapping[str, Floats]


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
    return Voxels(places, is_of, there) if there else None


def sprites(voxels: Voxels) -> dict[str, Any]:
    """What the page's script draws from, as JSON holds it; the same voxels give the same.

    Args:
        voxels: Of a subject.

    Returns:
        `origin` and `size` of the box of voxels, `columns` of slices in a picture, `kinds` (names of ROIs by level of
        blue, from 1), and `maps` by condition: `picture` (a data: URI), `low` and `high`, which the levels 1 and
        `STEPS` + 1 of red and green stand for; 0 is no number.

    Raises:
        DataError: There are more combinations of ROIs than a picture can tell.
    """
    origin = voxels.places.min(axis=0)
    size = voxels.places.max(axis=0) - origin + 1
    columns = int(np.ceil(np.sqrt(size[2])))
    across, down = _pixels(voxels.places - origin, size, columns)
    kinds, kind = _kinds(voxels)
    maps: dict[str, Any] = {}
    for name, ratio in voxels.ratios.items():
        low, high = float(np.nanmin(ratio)), float(np.nanmax(ratio))
        share = (ratio - low) / ((high - low) or 1.0)
        level = np.where(np.isfinite(ratio), np.rint(np.nan_to_num(share) * STEPS) + 1, 0).astype(np.int64)
        pixels = np.zeros((int(-(-size[2] // columns) * size[1]), int(columns * size[0]), 3), np.uint8)
        pixels[down, across] = np.stack([level >> 8, level & 255, kind + 1], axis=1)
        maps[name] = {"picture": _uri(pixels), "low": low, "high": high}
    return {"origin": origin.tolist(), "size": size.tolist(), "columns": columns, "kinds": kinds, "maps": maps}


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
