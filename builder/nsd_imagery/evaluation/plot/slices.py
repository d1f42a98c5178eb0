"""A value a voxel as axial slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, UsageError, reason
from nsd_imagery.evaluation.opened import Source, opened
from nsd_imagery.evaluation.plot.histograms import MAPPED
from nsd_imagery.evaluation.plot.style import PAGE, PALE, drawing, say_missing
from nsd_imagery.evaluation.sides import Sides, sides_of
from nsd_imagery.spelling import the_choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS: Final = {
    "ncsnr": "ncsnr",
    "noise_ceiling": "NC(1)",
    "signal": "signal variance",
    "noise": "noise variance",
}
"""What maps of an evaluation can be of, after the condition and an underscore."""

MAPS: Final = tuple(f"{condition}_{kind}" for condition in MAPPED for kind in KINDS)

_LEAST: Final = 1.1
"""Inches of the height, for the words beside the scale."""

_MOST: Final = 99.0
"""Percentile of the values at the end of the scale."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Values in the box that their voxels fill.

    Attributes:
        values: (n_i, n_j, n_k); NaN where there is no voxel, or it has no value.
        inside: (n_i, n_j, n_k) whether there is a voxel.
        start: The i, j, k of the first corner.
    """

    values: NDArray[np.float64]
    inside: NDArray[np.bool_]
    start: tuple[int, int, int]


def brain(
    values: Source | ArrayLike,
    voxels: Any = None,
    *,
    of: str = "vision_ncsnr",
    subject: str | int | None = None,
    roi: str | None = None,
    slices: int = 8,
    label: str | None = None,
    limits: tuple[float, float] | None = None,
) -> "Figure":
    """Axial slices of a map, as wide as a page: i to the right, j upward, as they lie in the volume.

    L and R at the first slice are the person's left and right, where hemispheres or x, in mm, say which is which.
    Slices lie where each stands for as many voxels. Values of an evaluation's map that are below 0 are coloured
    as 0; a voxel without a value is grey.

    Args:
        values: (n_voxels,) numbers; or an evaluation or its folder.
        voxels: (n_voxels, 3) i, j, k of each, or a table that has these columns, as the rows of a `-voxels` config.
        of: The map of an evaluation: "vision", "imagery" or "perception" with "_ncsnr", "_noise_ceiling", "_signal" or
            "_noise".
        subject: One of its subjects; default: the first.
        roi: One of its ROIs; default: the primary test's, where it is there.
        slices: How many, at most.
        label: Of the scale.
        limits: Ends of the scale; default: from 0, or the least value, to the 99th percentile.

    Raises:
        UsageError: No such map, subject or ROI, values without voxels, or scores alone were given.
        DataError: Values are no numbers, not as many as voxels, or two voxels are in one place.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    if voxels is None:
        numbers, voxels, said = _of_evaluation(values, of, subject, roi)
        label = said if label is None else label
    else:
        numbers = _numbers_of(values)
    places = places_of(voxels)
    if slices < 1:
        msg = f"slices: one at least, not {slices}"
        raise UsageError(msg)
    grid = grid_of(numbers, places)
    with drawing(PAGE, 1.0) as figure:
        panels = _strip(figure, grid, slices, label or "", limits)
        _name_sides(panels, _sides_of(voxels, places))
    return figure


def grid_of(values: NDArray[np.float64], places: NDArray[np.int64]) -> Grid:
    """Values where their voxels lie.

    Args:
        values: (n_voxels,).
        places: (n_voxels, 3) i, j, k.

    Raises:
        DataError: Not as many of each, none at all, or two in one place.
    """
    if values.ndim != 1 or len(values) != len(places):
        msg = f"values are of shape {values.shape}, and there are {len(places)} voxels: one value a voxel is needed"
        raise DataError(msg)
    if not len(places):
        msg = "there are no voxels"
        raise DataError(msg)
    if len(np.unique(places, axis=0)) != len(places):
        msg = "two voxels have the same i, j, k: pass those of one subject and ROI"
        raise DataError(msg)
    start = places.min(axis=0)
    at = tuple((places - start).T)
    shape = places.max(axis=0) - start + 1
    found, inside = np.full(shape, np.nan), np.zeros(shape, np.bool_)
    found[at], inside[at] = values, True
    return Grid(found, inside, (int(start[0]), int(start[1]), int(start[2])))


def places_of(voxels: Any) -> NDArray[np.int64]:
    """(n_voxels, 3) i, j, k out of an array, or of a table with these columns.

    Raises:
        UsageError: It is neither.
    """
    try:
        if hasattr(voxels, "column_names") or hasattr(voxels, "columns") or isinstance(voxels, Mapping):
            found = np.stack([np.asarray(voxels[axis][:], np.float64) for axis in "ijk"], axis=1)
        else:
            found = np.asarray(voxels, np.float64)
        if found.ndim == 2 and found.shape[1] == 3 and (found == np.round(found)).all():
            return found.astype(np.int64)
    except (KeyError, TypeError, ValueError):
        pass
    what = f"an array of shape {voxels.shape}" if isinstance(voxels, np.ndarray) else f"a {type(voxels).__name__}"
    msg = f"voxels must be i, j, k of each, or a table with these columns, as -voxels has them; not {what}"
    raise UsageError(msg)


def _numbers_of(values: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        msg = f"values must be numbers, one a voxel ({reason(error)})"
        raise DataError(msg) from error


def map_of(table: Mapping[str, NDArray[Any]], of: str) -> NDArray[np.float64]:
    """(n_voxels,) one of `MAPS` out of the columns of a map; NaN where a voxel has no value, and not below 0."""
    condition, _, kind = of.partition("_")
    signal, noise = (table[f"{condition}_{what}"].astype(np.float64) for what in ("signal", "noise"))
    if kind in ("signal", "noise"):
        return np.maximum(signal if kind == "signal" else noise, 0.0)
    ratio = np.divide(signal, noise, out=np.full(len(signal), np.nan), where=noise > 0)
    ratio = np.maximum(ratio, 0.0)
    return np.sqrt(ratio) if kind == "ncsnr" else ratio / (ratio + 1)


def chosen_slices(grid: Grid, slices: int) -> NDArray[np.int64]:
    """Which slices of a box are shown, from its first: those in the middle of equal shares of the voxels."""
    n_below = np.cumsum(grid.inside.sum(axis=(0, 1)))
    middles = (np.arange(slices) + 0.5) / slices * n_below[-1]
    return np.unique(np.searchsorted(n_below, middles))


def _of_evaluation(
    source: Source, of: str, subject: str | int | None, roi: str | None
) -> tuple[NDArray[np.float64], Mapping[str, NDArray[Any]], str]:
    if isinstance(source, np.ndarray) or (isinstance(source, Sequence) and source and isinstance(source[0], float)):
        msg = "values alone lie nowhere: pass their voxels too, as the rows of a -voxels config"
        raise UsageError(msg)
    of = the_choice("map", of, MAPS)
    whole = opened(source)
    name = whole.subjects[0] if subject is None else whole.subject(subject)
    table = whole.voxels(name, whole.roi(roi))
    if not all(np.isfinite(table[axis].astype(np.float64)).all() for axis in "ijk"):
        msg = f"the map of {name} has no i, j, k, as the dataset had no {name}-voxels; build it, and evaluate again"
        raise DataError(msg)
    condition, _, kind = of.partition("_")
    return map_of(table, of), table, f"{KINDS[kind]}, {condition}"


def _sides_of(voxels: Any, places: NDArray[np.int64]) -> Sides | None:
    """Left and right, where the table that voxels came in says it."""
    if isinstance(voxels, np.ndarray | Sequence):
        return None
    there = (
        voxels.keys()
        if isinstance(voxels, Mapping)
        else getattr(voxels, "column_names", getattr(voxels, "columns", ()))
    )
    hemisphere, x = (np.asarray(voxels[name][:]) if name in there else None for name in ("hemisphere", "x"))
    return sides_of(places[:, 0], hemisphere, x)


def _name_sides(panels: "Sequence[Axes]", sides: Sides | None) -> None:
    """Write L and R above the first slice."""
    if sides is not None and panels:
        panels[0].set_title(sides.low, loc="left")
        panels[0].set_title(sides.high, loc="right")


def _strip(
    figure: "Figure", grid: Grid, slices: int, label: str, limits: tuple[float, float] | None
) -> "Sequence[Axes]":
    """Draw the slices, and give their panels."""
    known = grid.values[np.isfinite(grid.values)]
    if not len(known):
        say_missing(figure.add_subplot(), "no voxel has a value", PAGE)
        return ()
    low, high = limits or (min(0.0, float(known.min())), float(np.percentile(known, _MOST)))
    chosen = chosen_slices(grid, slices)
    width, height = grid.values.shape[0], grid.values.shape[1]
    figure.set_size_inches(PAGE, max(0.35 + (PAGE - 0.8) / len(chosen) * height / width, _LEAST))
    panels: Sequence[Axes] = list(figure.subplots(1, len(chosen), squeeze=False)[0])
    image = None
    for axes, k in zip(panels, chosen, strict=True):
        image = _slice(axes, grid, int(k), low, max(high, low + 1e-12))
    if image is not None:
        bar = figure.colorbar(
            image, ax=panels, aspect=12, pad=0.01, fraction=0.03, extend="max" if limits is None else "neither"
        )
        bar.outline.set_visible(False)
        bar.set_label(label)
    return panels


def _slice(axes: "Axes", grid: Grid, k: int, low: float, high: float) -> Any:
    i, j, first = grid.start
    extent = (i - 0.5, i + grid.values.shape[0] - 0.5, j - 0.5, j + grid.values.shape[1] - 0.5)
    without = np.where(grid.inside[..., k], 1.0, np.nan).T
    axes.imshow(without, origin="lower", extent=extent, cmap=_one_colour(), interpolation="nearest", label="inside")
    image = axes.imshow(
        grid.values[..., k].T,
        origin="lower",
        extent=extent,
        cmap="inferno",
        vmin=low,
        vmax=high,
        interpolation="nearest",
        label="values",
    )
    axes.set_axis_off()
    axes.set_title(f"k = {first + k}", fontweight="normal")
    return image


def _one_colour() -> Any:
    from matplotlib.colors import ListedColormap

    return ListedColormap([PALE])
