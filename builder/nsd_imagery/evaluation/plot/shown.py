"""The figure that every function of `plot` gives; matplotlib is loaded with this module, so by them alone.

It is made without pyplot, so a notebook keeps no hidden reference to it, and shows it all the same.
"""

import io
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure

_INK: Final = "#1a1a1a"

STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "text.parse_math": False,  # a name may hold dollar signs
    "axes.titlesize": 7,
    "axes.titleweight": "bold",
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": False,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 1.0,
    "patch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 160,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
}
"""What is drawn with, whatever a user's settings are; settings of matplotlib."""

_PRINT: Final = 300
"""Dots an inch of a saved picture."""


class Shown(Figure):
    """A matplotlib figure that is drawn in `STYLE`, as ticks are only made when it is, and saved fit for print."""

    def draw(self, renderer: RendererBase) -> None:
        """As of any figure."""
        with rc_context(STYLE):
            super().draw(renderer)

    def savefig(self, fname: Any, *, transparent: bool | None = None, **kwargs: Any) -> None:
        """As of any figure; by default with 300 dots an inch, on white, text in PDF and SVG as text."""
        kwargs.setdefault("dpi", _PRINT)
        with rc_context(STYLE):
            super().savefig(fname, transparent=transparent, **kwargs)

    def _repr_png_(self) -> bytes:
        """What a notebook shows where no backend of matplotlib does."""
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=160)
        return file.getvalue()
