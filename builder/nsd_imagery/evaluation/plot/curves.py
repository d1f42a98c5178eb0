"""Drift: how alike two runs are, by how far apart their trials stand."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.style import COLOURS, COLUMN, GREY, INK, PALE, drawing, legend_above, say_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST_PAIRS: Final = 0.1
"""Of the pairs at the commonest distance: where there are fewer, a point says nothing and the band is wide."""


def drift(source: Source, *, subject: str | int | None = None, roi: str | None = None) -> "Figure":
    """How alike trials of different targets are in two runs, by how far apart their positions in the run are.

    With the band of what drawn orders give in 95 of 100. It does not say what of a result is drift.

    Args:
        source: An evaluation or its folder, where the curves are in `evaluation.json`.
        subject: Whose runs; default: the group, a mean of its subjects' curves, where there is one.
        roi: Whose voxels trials are compared in; default: the primary test's, where it is there.

    Raises:
        UsageError: No such subject or ROI, or scores alone were given.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    found = drifts_of(whole, whole.subject(subject), whole.roi(roi))
    with drawing(COLUMN, 0.7 + 0.75 * len(found)) as figure:
        first: Axes | None = None
        last: Axes | None = None
        for number, one in enumerate(found):
            axes = figure.add_subplot(len(found), 1, number + 1, sharex=first, sharey=first)
            axes.set_title(name_of(one), loc="left")
            if not one["similarity"]:
                say_missing(axes, one["reason"], COLUMN)
                continue
            first = first or axes
            _curve(axes, one)
            axes.tick_params(labelbottom=False)
            last = axes
        if last is not None:
            last.tick_params(labelbottom=True)
            _name_band(figure)
            figure.supylabel("mean correlation", fontsize=7)
            last.set_xlabel("trials apart")
    return figure


def drifts_of(whole: Opened, subject: str, roi: str) -> Sequence[Mapping[str, Any]]:
    """What `drift` draws."""
    return whole.exhibits(subject)["rois"][roi]["drift"]


def name_of(one: Mapping[str, Any]) -> str:
    """The two runs of a curve."""
    return f"{one['first']} × {one['second']}"


def drawn_of(one: Mapping[str, Any]) -> list[int]:
    """Which points of a curve are drawn."""
    most = max(one["n_pairs"])
    return [
        place
        for place, (value, n_pairs) in enumerate(zip(one["similarity"], one["n_pairs"], strict=True))
        if value is not None and n_pairs >= FEWEST_PAIRS * most
    ]


def _name_band(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    observed = Line2D([], [], color=INK, label="trials of different targets")
    legend_above(figure, [observed, Patch(color=PALE, label="95 of 100 drawn orders")])


def _curve(axes: "Axes", one: Mapping[str, Any]) -> None:
    places = drawn_of(one)
    apart, similarity, low, high = (
        np.array([one[name][place] for place in places], np.float64) for name in ("apart", "similarity", "low", "high")
    )
    axes.fill_between(apart, low, high, color=PALE, lw=0, label="band")
    axes.axhline(0, color=GREY, lw=0.5)
    colour = COLOURS["imagery" if one["first"].startswith("img") else "between"]
    axes.plot(apart, similarity, "-", color=colour, label="similarity")
    outside = (similarity < low) | (similarity > high)
    axes.plot(apart[outside], similarity[outside], "o", ms=2.4, color=colour, label="outside")
