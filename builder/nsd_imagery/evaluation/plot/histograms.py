"""Signal to noise of voxels, and what chance gives beside what was observed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.accuracies import rois_of
from nsd_imagery.evaluation.plot.style import COLOURS, COLUMN, GREY, INK, PALE, drawing, legend_above, say_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAPPED: Final = ("vision", "imagery", "perception")
"""Conditions that maps are of."""

NULL_NAMES: Final = {
    "primary": ("vision → imagery, without the letter (primary)", "between"),
    "control": ("the letter alone (its control)", "letter"),
    "within vision": ("within vision", "vision"),
    "within imagery": ("within imagery", "imagery"),
    "imagery across": ("imagery across runs", "imagery"),
}
"""What each test of "nulls" is called, and its colour."""

_BINS: Final = 40
_TAILS: Final = (0.5, 99.5)
"""Percentiles that a histogram of voxels is between; those beyond are in its outermost bins."""

_PANEL: Final = 0.85
"""Inches of the height of a panel."""


def snr(source: Source, *, subject: str | int | None = None, roi: str | Sequence[str] | None = None) -> "Figure":
    """Histograms over voxels of signal variance over noise variance, by condition, a panel a ROI.

    The estimate is unbiased, so without signal it lies as often below 0 as above.

    Args:
        source: An evaluation or its folder.
        subject: One of its subjects, of whom there is a map; default: the first.
        roi: One or more of its ROIs; default: all.

    Raises:
        UsageError: No such subject or ROI, or scores alone were given.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    name = whole.subjects[0] if subject is None else whole.subject(subject)
    of_roi = {roi: ratios_of(whole, name, roi) for roi in rois_of(whole, roi)}
    found = np.concatenate([values for ratios in of_roi.values() for values in ratios.values()] or [np.zeros(1)])
    low, high = np.percentile(found, _TAILS)
    edges = np.linspace(min(low, 0.0), max(high, 0.01), _BINS + 1)
    with drawing(COLUMN, 0.55 + _PANEL * len(of_roi)) as figure:
        first: Axes | None = None
        for number, (roi_name, ratios) in enumerate(of_roi.items()):
            axes = figure.add_subplot(len(of_roi), 1, number + 1, sharex=first)
            first = first or axes
            _voxels(axes, ratios, edges)
            axes.set_title(roi_name, loc="left")
            axes.tick_params(labelbottom=number == len(of_roi) - 1)
            axes.set_ylabel("voxels")
            if number == len(of_roi) - 1:
                axes.set_xlabel("signal / noise variance of a voxel")
        _name_conditions(figure, of_roi.values())
    return figure


def ratios_of(whole: Opened, subject: str, roi: str) -> dict[str, NDArray[np.float64]]:
    """By condition, signal over noise variance of the voxels of a ROI that vary."""
    table = whole.voxels(subject, roi)
    found: dict[str, NDArray[np.float64]] = {}
    for condition in MAPPED:
        signal, noise = (table[f"{condition}_{what}"].astype(np.float64) for what in ("signal", "noise"))
        counted = np.isfinite(signal) & (noise > 0)
        if counted.any():
            found[condition] = signal[counted] / noise[counted]
    return found


def nulls(source: Source, *, subject: str | int | None = None, roi: str | None = None) -> "Figure":
    """What each test gives under drawn orders, with what was observed: the primary test, its control, and three more.

    Of a subject it is the margin of similarity to the own target; of a group the sum of z over subjects and sets.

    Args:
        source: An evaluation or its folder, where the counts of draws are in `evaluation.json`.
        subject: Whose tests; default: the group's, where there is one.
        roi: Where the tests are made; default: the primary test's, where it is there.

    Raises:
        UsageError: No such subject or ROI, or scores alone were given.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    found = nulls_of(whole, whole.subject(subject), whole.roi(roi))
    with drawing(COLUMN, 0.5 + 0.78 * len(found)) as figure:
        for number, one in enumerate(found):
            axes = figure.add_subplot(len(found), 1, number + 1)
            name, colour = NULL_NAMES[one["name"]]
            axes.set_title(name, loc="left")
            if one["counts"]:
                _null(axes, one, COLOURS[colour])
            else:
                say_missing(axes, one["reason"], COLUMN)
        drawn = [axes for axes, one in zip(figure.axes, found, strict=True) if one["counts"]]
        if drawn:
            drawn[-1].set_xlabel(unit_of(found[0]))
            _name_draws(figure)
    return figure


def nulls_of(whole: Opened, subject: str, roi: str) -> Sequence[Mapping[str, Any]]:
    """What `nulls` draws."""
    return whole.exhibits(subject)["rois"][roi]["nulls"]


def unit_of(one: Mapping[str, Any]) -> str:
    """What a null distribution is of, in words."""
    return "sum of z over subjects and sets" if one["unit"] == "z" else "margin of similarity to the own target"


def _voxels(axes: "Axes", ratios: Mapping[str, NDArray[np.float64]], edges: NDArray[np.float64]) -> None:
    if not ratios:
        say_missing(axes, "no condition has a run", COLUMN)
        return
    axes.axvline(0, color=GREY, lw=0.6)
    for condition, values in ratios.items():
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axes.stairs(counts, edges, color=COLOURS[condition], lw=1.1, label=condition)
    axes.set_ylim(bottom=0)


def _name_conditions(figure: "Figure", of_rois: Iterable[Mapping[str, object]]) -> None:
    from matplotlib.lines import Line2D

    names = [name for name in MAPPED if any(name in ratios for ratios in of_rois)]
    handles = [Line2D([], [], color=COLOURS[name], lw=1.4, label=name) for name in names]
    legend_above(figure, handles)


def _name_draws(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    legend_above(figure, [Patch(color=PALE, label="drawn orders"), Line2D([], [], color=INK, lw=1.6, label="observed")])


def _null(axes: "Axes", one: Mapping[str, Any], colour: str) -> None:
    axes.stairs(one["counts"], one["edges"], fill=True, color=PALE, label="draws")
    axes.axvline(one["observed"], color=colour, lw=1.6, label="observed")
    axes.axvline(0, color=INK, lw=0.4)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_title(f"p {p_in_words(one['p'])}", loc="right", fontweight="normal")


def p_in_words(p: float) -> str:
    """A p as it is printed."""
    return f"{p:.2g}" if p >= 0.001 else f"{p:.1g}"
