"""Scores as dots with intervals, rows by ROI and columns by set: the form of most figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from nsd_imagery.evaluation.plot.style import (
    COLUMN,
    GREY,
    INK,
    NOTE_SIZE,
    PAPER,
    Look,
    Notes,
    drawing,
    legend_above,
    notes_height,
    write_notes,
)
from nsd_imagery.evaluation.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW: Final = 0.145
_FRAME: Final = 0.72
"""Inches of a row, and of what stands above and below the rows."""

_LONGEST: Final = 40
"""Letters of a ROI's name that fit above the panels."""

_ROOM: Final = 0.05
"""Of the axis of numbers, left free on either side so that no point is cut."""

_CHANCE: Final[dict[str, Any]] = {"color": INK, "lw": 0.7, "ls": (0, (2, 1.5))}
"""How the line of chance is drawn."""


@dataclass(frozen=True)
class Dot:
    """One score in a figure.

    Attributes:
        roi: The group of rows that it is in.
        row: The name of its row there.
        column: The panel.
        score: The score; without a value it is said to be missing.
        look: How it is drawn.
        beside: Whether its reference is drawn too.
    """

    roi: str
    row: str
    column: str
    score: Score
    look: Look
    beside: bool = False


def dot_figure(
    dots: Sequence[Dot], label: str, *, chance: str = "chance", reference: str = "", floor: float | None = 0.0
) -> "Figure":
    """Dots with their intervals, a line of chance and a tick of the reference.

    Args:
        dots: At least one; those of a ROI together, in the order of rows.
        label: Of the axis of numbers.
        chance: What the line is called in the legend; "" for none.
        reference: What ticks of references are called in the legend; "" where no dot has one.
        floor: Least number of the axis; None for as low as there are numbers.
    """
    columns = list(dict.fromkeys(dot.column for dot in dots))
    places, heads = _places(dots)
    notes = Notes()
    for dot in dots:
        if dot.score.value is None:
            notes.mark(dot.score.reason)
    lines = notes.lines(COLUMN)
    rows_height = _ROW * (len(places) + len(heads))
    height = rows_height + _FRAME + notes_height(lines)
    with drawing(COLUMN, height) as figure:
        grid = figure.add_gridspec(1, len(columns))
        first = figure.add_subplot(grid[0, 0])
        panels = [first, *(figure.add_subplot(grid[0, n], sharex=first, sharey=first) for n in range(1, len(columns)))]
        _name_rows(panels, places, heads)
        for axes, column in zip(panels, columns, strict=True):
            mine = [dot for dot in dots if dot.column == column]
            _draw(axes, mine, places, notes, with_chance=bool(chance), floor=floor)
            axes.set_title(column)
        first.set_xlim(*_limits(dots, floor))
        panels[len(panels) // 2].set_xlabel(label)
        _legend(figure, chance, reference, any(dot.score.low is not None for dot in dots))
        write_notes(figure, lines, height)
    return figure


def _places(dots: Sequence[Dot]) -> tuple[dict[tuple[str, str], float], dict[str, float]]:
    """How far down each row is, and the name of each ROI."""
    places: dict[tuple[str, str], float] = {}
    heads: dict[str, float] = {}
    for dot in dots:
        if dot.roi not in heads:
            heads[dot.roi] = float(len(places) + len(heads))
        if (dot.roi, dot.row) not in places:
            places[dot.roi, dot.row] = float(len(places) + len(heads))
    return places, heads


def _draw(
    axes: "Axes",
    dots: Sequence[Dot],
    places: dict[tuple[str, str], float],
    notes: Notes,
    *,
    with_chance: bool,
    floor: float | None,
) -> None:
    for dot in dots:
        place, score, look = places[dot.roi, dot.row], dot.score, dot.look
        if score.value is None:
            said = f"not estimated {notes.mark(score.reason)}"
            axes.text(
                0.5, place, said, transform=axes.get_yaxis_transform(), ha="center", va="center", fontsize=NOTE_SIZE
            )
            continue
        if with_chance and score.chance is not None:
            axes.plot([score.chance] * 2, [place - 0.5, place + 0.5], label="chance", clip_on=False, **_CHANCE)
        if dot.beside and score.reference is not None:
            axes.plot([score.reference] * 2, [place - 0.33, place + 0.33], color=GREY, lw=1.6, label="reference")
        if score.low is not None and score.high is not None:
            # what lies within needs no clip path, of which SVG would tell at each line
            is_cut = floor is not None and score.low < floor
            axes.plot([score.low, score.high], [place] * 2, color=look.colour, lw=1.1, label="interval", clip_on=is_cut)
        face = look.colour if look.filled else PAPER
        axes.plot(
            [score.value],
            [place],
            look.marker,
            ms=3.6,
            mfc=face,
            mec=look.colour,
            mew=0.9,
            zorder=3,
            clip_on=False,
            label="value",
        )


def _name_rows(panels: Sequence["Axes"], places: dict[tuple[str, str], float], heads: dict[str, float]) -> None:
    """Names of rows beside the first panel, of ROIs above theirs, where long ones take no room from panels."""
    first = panels[0]
    first.set_yticks(list(places.values()), [row for _, row in places])
    first.set_ylim(max(places.values()) + 0.6, -0.5)
    for roi, place in heads.items():
        name = roi if len(roi) <= _LONGEST else f"{roi[: _LONGEST - 1]}…"
        text = first.text(0, place, name, transform=first.get_yaxis_transform(), va="center", fontweight="bold")
        text.set_in_layout(False)
    for number, axes in enumerate(panels):
        axes.tick_params(axis="y", length=0, labelleft=number == 0)
        axes.spines["left"].set_visible(False)
        for place in heads.values():
            axes.axhline(place - 0.5, color=GREY, lw=0.3)


def _limits(dots: Sequence[Dot], floor: float | None) -> tuple[float, float]:
    there = [dot for dot in dots if dot.score.value is not None]
    numbers = [
        *(number for dot in there for number in (dot.score.value, dot.score.low, dot.score.high, dot.score.chance)),
        *(dot.score.reference for dot in there if dot.beside),
    ]
    known = [number for number in numbers if number is not None] or [0.0, 1.0]
    least, most = min(known), max(known)
    least = least if floor is None else floor
    room = _ROOM * (most - least or 1.0)
    return least - room, most + room


def _legend(figure: "Figure", chance: str, reference: str, has_intervals: bool) -> None:
    from matplotlib.lines import Line2D

    handles = []
    if has_intervals:
        handles.append(Line2D([], [], color=INK, lw=1.1, marker="o", ms=3.6, label="95 % interval"))
    if chance:
        handles.append(Line2D([], [], label=chance, **_CHANCE))
    if reference:
        handles.append(Line2D([], [], color=GREY, lw=0, marker="|", ms=6, mew=1.6, label=reference))
    legend_above(figure, handles)
