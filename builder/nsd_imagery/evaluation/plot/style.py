"""How figures look: one colour a condition throughout, safe for the colour-blind; sizes; what is said of no number."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from nsd_imagery.errors import MissingExtraError
from nsd_imagery.extras import how_to_install

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN: Final = 3.5
"""Inches: one column of a journal, 89 mm."""

PAGE: Final = 7.2
"""Inches: two columns, 183 mm."""

INK: Final = "#1a1a1a"
PAPER: Final = "#ffffff"
GREY: Final = "#7f7f7f"
PALE: Final = "#c9c9c9"

COLOURS: Final = {
    "vision": "#0072b2",
    "imagery": "#d55e00",
    "perception": "#009e73",
    "between": "#aa4499",
    "letter": GREY,
}
"""By condition (Okabe and Ito 2008); "between" is what goes from vision to imagery, "letter" its control."""

NOTE_SIZE: Final = 6.0
_NOTE_LINE: Final = 0.115
"""Inches of a line of notes."""

_MARGIN: Final = 0.012
"""Of the width of a figure, left of its notes."""

_LETTERS_AN_INCH: Final = 22
_SUPERSCRIPTS: Final = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


Layout = Literal["constrained", "compressed"]


class Look(NamedTuple):
    """How a kind of number is drawn.

    Attributes:
        colour: Of point and interval.
        marker: As matplotlib names it.
        filled: Whether the point is.
    """

    colour: str
    marker: str = "o"
    filled: bool = True


class Notes:
    """Why some numbers are not there, each reason said once below a figure and pointed at from where it is missing."""

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def mark(self, reason: str) -> str:
        """The raised number of a reason."""
        if reason not in self._reasons:
            self._reasons.append(reason)
        return str(self._reasons.index(reason) + 1).translate(_SUPERSCRIPTS)

    def lines(self, width: float) -> list[str]:
        """The notes, broken into lines of so many inches."""
        texts = (f"{self.mark(reason)} not estimated: {reason}" for reason in self._reasons)
        return [line for text in texts for line in wrap(text, int(width * _LETTERS_AN_INCH))]


@contextmanager
def drawing(width: float, height: float, layout: Layout = "constrained") -> "Iterator[Figure]":
    """A figure to be drawn on.

    Args:
        width: Inches.
        height: Inches.
        layout: matplotlib's engine; "compressed" for panels of fixed aspect.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    refuse_without_matplotlib()
    from matplotlib import rc_context

    from nsd_imagery.evaluation.plot.shown import STYLE, Shown

    with rc_context(STYLE):
        yield Shown(figsize=(width, height), layout=layout)


def refuse_without_matplotlib() -> None:
    """Raise MissingExtraError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        msg = f"figures need matplotlib: {how_to_install('evaluate')}"
        raise MissingExtraError(msg) from error


def notes_height(lines: Sequence[str]) -> float:
    """Inches that notes take."""
    return len(lines) * _NOTE_LINE + (0.1 if lines else 0.0)


def write_notes(figure: "Figure", lines: Sequence[str], height: float) -> None:
    """Write notes at the bottom of a figure, whose panels are laid out above them.

    Args:
        figure: Laid out by "constrained".
        lines: Of the notes.
        height: Inches of the figure, `notes_height` of which are theirs.
    """
    if not lines:
        return
    share = notes_height(lines) / height
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, share, 1, 1 - share))  # pyright: ignore[reportCallIssue]
    # a text of several lines is placed line by line by some programs that read SVG
    for number, line in enumerate(lines):
        text = figure.text(_MARGIN, share - (0.06 + number * _NOTE_LINE) / height, line, va="top", fontsize=NOTE_SIZE)
        text.set_in_layout(False)


def legend_above(figure: "Figure", handles: "Sequence[Artist]") -> None:
    """A legend in one line at the top left of a figure."""
    if handles:
        figure.legend(handles=list(handles), loc="outside upper left", ncols=len(handles), borderaxespad=0.1)


def mark_missing(axes: "Axes", mark: str) -> None:
    """Write in square axes, instead of numbers, that a note says why there are none."""
    axes.set_aspect("equal", adjustable="box")
    axes.set_axis_off()
    axes.text(0.5, 0.5, f"not estimated {mark}", transform=axes.transAxes, ha="center", va="center", fontsize=NOTE_SIZE)


def say_missing(axes: "Axes", reason: str, width: float) -> None:
    """Write in axes, instead of numbers, why there are none.

    Args:
        axes: Empty; its frame goes.
        reason: Why.
        width: Inches of the axes.
    """
    axes.set_axis_off()
    said = "\n".join(wrap(f"not estimated: {reason}", max(int(width * _LETTERS_AN_INCH * 0.9), 12)))
    text = axes.text(0.5, 0.5, said, transform=axes.transAxes, ha="center", va="center", fontsize=NOTE_SIZE)
    text.set_in_layout(False)
