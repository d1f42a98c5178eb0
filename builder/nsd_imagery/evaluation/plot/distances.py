"""Distances of targets in vision and in imagery."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike

from nsd_imagery.errors import DataError, UsageError, reason
from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.style import COLUMN, GREY, Notes, drawing, mark_missing, notes_height, write_notes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_CONDITIONS: Final = ("vision", "imagery")
_SHAPES: Final = {"bar": "bar", "crs": "cross"}
_SHAPE: Final = re.compile(r"(bar|crs)_0*(\d+)(?:\.(\d*?)0*)?deg")

_SHADES: Final = 48

_PANEL, _LETTER, _TITLE = 1.1, 0.06, 0.2
"""Inches of a panel and what is round it, of a letter of the names below it, and of the titles."""


def rdm(
    source: Source | ArrayLike,
    imagery: ArrayLike | None = None,
    *,
    targets: Sequence[str] | None = None,
    subject: str | int | None = None,
    roi: str | None = None,
) -> "Figure":
    """Distances of targets, vision beside imagery on one scale, a row a set.

    They are cross-validated, so noise adds nothing and one may be below 0.

    Args:
        source: An evaluation or its folder; or (n, n) distances in vision.
        imagery: (n, n) distances in imagery, where `source` is distances.
        targets: (n,) names, where `source` is distances.
        subject: One of an evaluation's subjects; default: the group, where there is one.
        roi: One of its ROIs; default: the primary test's, where it is there.

    Raises:
        UsageError: No such subject or ROI, or scores alone were given.
        DataError: Distances of another shape, or without numbers.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    if imagery is not None:
        return _figure([_given(source, imagery, targets)])
    whole = opened(source)
    return _figure(rdms_of(whole, whole.subject(subject), whole.roi(roi)))


def rdms_of(whole: Opened, subject: str, roi: str) -> list[Mapping[str, Any]]:
    """What `rdm` draws: the sets that have targets."""
    found = [one for one in whole.exhibits(subject)["rois"][roi]["rdms"] if one["targets"]]
    if not found:
        msg = f"{subject}, {roi}: no run of vision or imagery was evaluated, so there are no distances"
        raise UsageError(msg)
    return found


def short(target: str) -> str:
    """A target's name as it fits beside a figure: "bar 45°", "shared0385", "zebra"."""
    shape = _SHAPE.match(target)
    if shape:
        return f"{_SHAPES[shape[1]]} {shape[2]}{f'.{shape[3]}' if shape[3] else ''}°"
    return target.partition("_")[0]


def _given(vision: Any, imagery: ArrayLike, targets: Sequence[str] | None) -> Mapping[str, Any]:
    try:
        both = [np.asarray(one, np.float64) for one in (vision, imagery)]
    except (TypeError, ValueError) as error:
        msg = f"distances must be two square arrays of numbers ({reason(error)})"
        raise DataError(msg) from error
    size = both[0].shape[0] if both[0].ndim else 0
    if any(one.shape != (size, size) or not size for one in both):
        msg = f"distances of vision and imagery must be square and alike, not {both[0].shape} and {both[1].shape}"
        raise DataError(msg)
    if not all(np.isfinite(one).all() for one in both):
        msg = "distances must be numbers, and some are NaN or infinite"
        raise DataError(msg)
    names = [str(number + 1) for number in range(size)] if targets is None else [str(name) for name in targets]
    if len(names) != size:
        msg = f"there are {len(names)} names for {size} targets"
        raise DataError(msg)
    return {"stimulus_set": "", "targets": names, "unit": "distance", "vision": both[0], "imagery": both[1]}


def _figure(rows: Sequence[Mapping[str, Any]]) -> "Figure":
    heights = [_PANEL + _LETTER * max(len(short(target)) for target in one["targets"]) for one in rows]
    notes = Notes()
    for one in rows:
        for name in _CONDITIONS:
            if one[name] is None:
                notes.mark(one[f"{name}_reason"])
    lines = notes.lines(COLUMN)
    height = sum(heights) + _TITLE + notes_height(lines)
    with drawing(COLUMN, height, layout="compressed") as figure:
        panels = figure.subplots(len(rows), 2, squeeze=False)
        for pair, one in zip(panels, rows, strict=True):
            _row(figure, list(pair), one, notes)
        write_notes(figure, lines, height)
        for axes, condition in zip(panels[0], _CONDITIONS, strict=True):
            axes.set_title(condition)
    return figure


def _row(figure: "Figure", panels: "Sequence[Axes]", one: Mapping[str, Any], notes: Notes) -> None:
    """One set: vision, imagery, and the scale of both."""
    from matplotlib import colormaps

    there = [np.asarray(one[name], np.float64) for name in _CONDITIONS if one[name] is not None]
    low = min([0.0, *(float(values.min()) for values in there)])
    high = max([low + 1e-12, *(float(values.max()) for values in there)])
    image: AxesImage | None = None
    names = [short(target) for target in one["targets"]]
    for axes, condition in zip(panels, _CONDITIONS, strict=True):
        if one[condition] is None:
            mark_missing(axes, notes.mark(one[f"{condition}_reason"]))
            continue
        values, colours = np.asarray(one[condition], np.float64), colormaps["cividis"].resampled(_SHADES)
        image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, interpolation="none", label=condition)
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(length=0, labelleft=axes is panels[0])
        axes.spines[:].set_visible(False)
    if one["stimulus_set"]:
        panels[0].set_ylabel(f"set {one['stimulus_set']}", fontweight="bold")
    if image is not None:
        bar = figure.colorbar(image, ax=list(panels), aspect=14, pad=0.03)
        bar.outline.set_visible(False)
        bar.ax.axhline(0, color=GREY, lw=0.6)
        bar.set_label("distance²" if one["stimulus_set"] else one["unit"])
