"""How objects show themselves: in one line of Python, and as a few lines of HTML in a notebook, every word escaped."""

import html
from collections.abc import Iterable, Mapping, Sequence

from nsd_imagery.errors import printable

_FEW = 6
_MOST_ROWS = 20
_MOST_LETTERS = 300
"""Of a table and of a cell: what else there is, is counted."""


class Shown:
    """An object that shows itself by what it says of itself, name by name; what is empty is left out."""

    def _said(self) -> Mapping[str, object]:
        raise NotImplementedError

    def __repr__(self) -> str:
        said = ", ".join(f"{name} {_short(value)}" for name, value in self._said().items() if _short(value))
        return f"<{type(self).__name__}: {said}>"

    def _repr_html_(self) -> str:
        return table(type(self).__name__, [(name, value) for name, value in self._said().items() if _short(value)])


def some(names: Sequence[str]) -> str:
    """The first names of many, and how many more there are."""
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")


def table(title: str, rows: Iterable[Sequence[object]], head: Sequence[str] = (), below: Iterable[str] = ()) -> str:
    """A table under a title.

    Args:
        title: Stands above it.
        rows: Cells of each.
        head: Names of the columns.
        below: Sentences to stand under it.
    """
    rows, below = list(rows), list(below)
    lines = [f"<tr>{''.join(f'<th>{_escaped(name)}</th>' for name in head)}</tr>"] if head else []
    lines += [_row(cells) for cells in rows[:_MOST_ROWS]]
    sentences = [*_more(rows, "rows"), *below[:_MOST_ROWS], *_more(below, "notes")]
    under = "".join(f"<div>{_escaped(sentence)}</div>" for sentence in sentences)
    return f"<div><b>{_escaped(title)}</b><table>{''.join(lines)}</table>{under}</div>"


def text(title: str, lines: Iterable[str]) -> str:
    """Lines under a title, as they stand."""
    lines = list(lines)
    shown = [*map(_escaped, lines[:_MOST_ROWS]), *_more(lines, "lines")]
    return f"<div><b>{_escaped(title)}</b><pre style='white-space: pre-wrap'>{'<br>'.join(shown)}</pre></div>"


def _row(cells: Sequence[object]) -> str:
    inside = "".join(f"<td style='text-align: left'>{_escaped(cell)}</td>" for cell in cells)
    return f"<tr>{inside}</tr>"


def _more(items: Sequence[object], what: str) -> list[str]:
    return [f"… and {len(items) - _MOST_ROWS:,} more {what}"] if len(items) > _MOST_ROWS else []


def _escaped(value: object) -> str:
    return html.escape(_short(value))


def _short(value: object) -> str:
    if value is None:
        return ""
    said = printable(f"{value:,}" if isinstance(value, int) else str(value))
    return said if len(said) <= _MOST_LETTERS else f"{said[: _MOST_LETTERS - 1]}…"
