"""The figures of the page, as text that a browser draws, each with what it says in words and its numbers."""

from dataclasses import dataclass
from typing import NamedTuple

from nsd_imagery.evaluation.opened import Source


class Numbers(NamedTuple):
    """A table of the numbers that are drawn.

    Attributes:
        columns: What each column is.
        rows: A word, a number or None in each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]


@dataclass(frozen=True)
class Drawn:
    """A figure on the page.

    Attributes:
        name: "ceiling", "snr", "identification", "imagery_runs", "drift", "rdm", "transfer", "nulls" or "responses".
        roi: Of which it is; "" where all ROIs are in it, or none.
        svg: One <svg> element without width and height (it has a viewBox), to stand in HTML. Letters and lines are
            currentColor, text is text; colours of conditions are var(--vision, #0072b2), var(--imagery, ...),
            var(--perception, ...), var(--between, ...), which a page may set for dark.
        label: What it shows, in a sentence with its numbers.
        table: The numbers drawn.
    """

    name: str
    roi: str
    svg: str
    label: str
    table: Numbers


def figures(source: Source, subject: str) -> list[Drawn]:
    """The figures of a subject, or of a group, in the order of the page.

    Args:
        source: An evaluation.
        subject: One of its subjects, or "group".
    """
    raise NotImplementedError
