"""Numbers as a page shows them: short for people, and with six digits beside it for programs and tests."""

from decimal import Decimal
from typing import Final

from markupsafe import Markup

_SMALL: Final = 0.001
"""Below this one digit counts, wherever it stands."""

_SMALLEST: Final = 1e-6
"""That is written out."""

_DIGITS: Final = 6
"""That count, of what a page has for programs; the tables have all."""

NOTHING: Final = "–"
"""Stands where there is no number."""


def decimals(value: float) -> str:
    """A number in two decimals, three below 0.1, one digit that counts below `_SMALL`; with the minus of a keyboard."""
    if 0 < abs(value) < _SMALL:
        return f"{value:.1g}"
    return f"{value:.3f}" if 0 < abs(value) < 0.1 else f"{value:.2f}"


def shown(value: float | None) -> str:
    """A number as people read it: two decimals, three below 0.1; counts as they are.

    Args:
        value: None where there is none.
    """
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return _signed(f"{value:,}")
    if value == 0:
        return "0"
    if abs(value) < _SMALL:
        return _signed(f"{Decimal(f'{value:.1g}'):f}" if abs(value) >= _SMALLEST else f"{value:.1g}")
    return _signed(decimals(value))


def shown_p(value: float | None) -> str:
    """A p as people read it: two digits that count."""
    return NOTHING if value is None else f"{value:.2g}"


def number(value: float | None) -> Markup:
    """A number in HTML, with six digits in `value`."""
    return Markup("") if value is None else _data(value, shown(value))


def number_p(value: float | None) -> Markup:
    """A p in HTML, with six digits in `value`."""
    return Markup("") if value is None else _data(value, shown_p(value))


def _data(value: float, text: str) -> Markup:
    whole = value if isinstance(value, int) else f"{value:.{_DIGITS}g}"
    return Markup('<data value="{}">{}</data>').format(whole, text)


def _signed(text: str) -> str:
    return text.replace("-", "−")
