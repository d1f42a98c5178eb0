"""Volumes whose numbers are labels: atlases, masks, and maps of where there is data."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.nifti import read_volume

_ROUNDED = 1e-3
"""How far a label may be from a whole number: what stores floats as scaled integers makes 1.00003 of 1."""

_LARGEST = np.iinfo(np.int32).max


def read_labels(path: Path) -> tuple[NDArray[Any], Grid]:
    """A volume of labels as whole numbers, whatever its file holds them in; NaN is outside, as 0 is.

    Returns:
        (x, y, z) int16, or int32 where a label needs it; and the grid.

    Raises:
        DataError: Not a 3-D NIfTI file, damaged, or its numbers are no labels.
    """
    values, grid = read_volume(path)
    if values.dtype.kind == "f":
        values = _rounded(values, path)
    least, most = int(values.min()), int(values.max())
    for label in (least, most):
        if abs(label) > _LARGEST:
            msg = f"{path}: there is the label {label:g}, which is too large for one: copy the file again"
            raise DataError(msg)
    is_small = np.iinfo(np.int16).min <= least and most <= np.iinfo(np.int16).max
    return values.astype(np.int16 if is_small else np.int32), grid


def _rounded(values: NDArray[Any], path: Path) -> NDArray[Any]:
    inside = np.where(np.isnan(values), 0, values)
    labels = np.rint(inside)
    with np.errstate(invalid="ignore"):  # of what is infinite
        is_label = np.abs(inside - labels) <= _ROUNDED
    if not is_label.all():
        other = inside[~is_label].flat[0]
        msg = (
            f"{path}: labels are not whole numbers (there is {other:g}): resample without interpolation, save as "
            "integers, or copy the file again"
        )
        raise DataError(msg)
    return labels
