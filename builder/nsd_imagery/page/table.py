"""Tables of a page: what can stand in a cell, and how."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup

from nsd_imagery.page.numbers import NOTHING, number

Cell: TypeAlias = str | int | float | Markup | None
"""Text, a number, markup of ours, or nothing."""


@dataclass(frozen=True)
class Table:
    """A table, which scrolls in itself where it is wider than the page.

    Attributes:
        caption: What it is of, for those who cannot see it.
        columns: Heads.
        rows: A cell a column; the first one names the row.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def is_number(self) -> tuple[bool, ...]:
        """By column, whether it has numbers and is set to the right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(any(_is_number(cell) for cell in column) for column in columns)

    @property
    def cells(self) -> Iterable[Sequence[Markup | str]]:
        """By row, what stands in each cell."""
        return [[_cell(cell) for cell in row] for row in self.rows]


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, int | float) or (isinstance(cell, Markup) and cell.startswith("<data"))


def _cell(cell: Cell) -> Markup | str:
    if cell is None:
        return NOTHING
    return cell if isinstance(cell, str) else number(cell)
