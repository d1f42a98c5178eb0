"""Measures of rows against candidates, and their null under redrawn labels, from products alone.

Where single rows are tested, only which candidate is a row's own is redrawn. Where means are, a redrawn label also
makes a mean of other rows; the cosine of a mean follows from the products of rows, so no mean is made.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.evaluation.identify import Drawn
from nsd_imagery.evaluation.transfer.places import Matrix, Places, places
from nsd_imagery.evaluation.transfer.tested import Tested

_AT_ONCE: Final = 500
"""Draws, so that memory stays small."""


@dataclass(frozen=True, eq=False)
class Measure:
    """A measure of ranking or likeness.

    Attributes:
        name: As the long table has it.
        table: (n, k) what each test scores were each candidate its own, from raw similarity and places.
        chance: Without signal; None is the mean of the draws.
        is_share: Whether it is a share of tests, with Wilson's interval.
        n_candidates: How many are told apart.
        note: What it must not be taken for.
        bounds: Least and most that it can be.
    """

    name: str
    table: Callable[[Matrix, Places], Matrix]
    chance: float | None
    is_share: bool
    n_candidates: int
    note: str = ""
    bounds: tuple[float, float] = (-1, 1)


class Side(NamedTuple):
    """Rows and candidates in the form that they are compared in.

    Attributes:
        rows: (n, d).
        candidates: (k, d).
    """

    rows: Matrix
    candidates: Matrix


class Compared:
    """Similarities of rows, and of means of rows, to candidates, from products alone."""

    def __init__(self, side: Side) -> None:
        rows, candidates = (np.asarray(values, np.float64) for values in side)
        length = np.linalg.norm(candidates, axis=1, keepdims=True)
        unit = np.divide(candidates, length, out=np.zeros_like(candidates), where=length > 0)
        self._rows = rows
        self._products = rows @ unit.T

    def of_rows(self) -> Matrix:
        """(n, k) cosines."""
        return _by_length(self._products, np.linalg.norm(self._rows, axis=1))

    def of_means(self) -> Callable[[Matrix], Matrix]:
        """What gives (m, k) cosines of means, from (m, n) shares of rows in each."""
        squares = self._rows @ self._rows.T

        def cosines(shares: Matrix) -> Matrix:
            length = np.sqrt(np.maximum(np.einsum("mn,mn->m", shares @ squares, shares), 0))
            return _by_length(shares @ self._products, length)

        return cosines


def _by_length(products: Matrix, length: Matrix) -> Matrix:
    return np.divide(products, length[:, None], out=np.zeros_like(products), where=length[:, None] > 0)


def _tables(measures: Sequence[Measure], likeness: Matrix, ranks: Matrix) -> list[Matrix]:
    found = places(ranks)
    return [measure.table(likeness, found) for measure in measures]


def of_rows(
    tested: Tested, measures: Sequence[Measure], likeness: Compared, ranks: Compared
) -> tuple[list[Drawn], list[Matrix]]:
    """Each measure with its null, and (n,) what each row gives; labels of rows as they are are redrawn."""
    every = np.arange(len(tested.own))
    tables = _tables(measures, likeness.of_rows(), ranks.of_rows())
    each = [table[every, tested.own] for table in tables]
    null = [_means_at(table, tested.drawn) for table in tables]
    return [Drawn(float(one.mean()), drawn) for one, drawn in zip(each, null, strict=True)], each


def _means_at(table: Matrix, drawn: NDArray[np.integer]) -> Matrix:
    """(draws,) the mean over tests of the entries at drawn candidates."""
    every = np.arange(len(table))
    parts = [table[every, part].mean(axis=1) for part in _chunks(drawn)]
    return np.concatenate([np.zeros(0), *parts])


def of_means(
    tested: Tested, measures: Sequence[Measure], likeness: Compared, ranks: Compared
) -> tuple[list[Drawn], list[Matrix]]:
    """Each measure with its null, and what the mean of each candidate's rows gives."""
    candidates = np.arange(len(tested.stimuli))
    alike, ranked = likeness.of_means(), ranks.of_means()

    def entries(own: NDArray[np.integer]) -> list[Matrix]:
        """(m, k) of (m, n) labels."""
        members = (own[:, None, :] == candidates[:, None]).astype(np.float64)
        shares = (members / np.maximum(members.sum(axis=2, keepdims=True), 1)).reshape(-1, own.shape[1])
        at = np.arange(len(shares)), np.tile(candidates, len(own))
        tables = _tables(measures, alike(shares), ranked(shares))
        return [table[at].reshape(len(own), -1) for table in tables]

    each = [one[0] for one in entries(tested.own[None])]
    there = np.unique(tested.own)
    parts = [[one[:, there].mean(axis=1) for one in entries(part)] for part in _chunks(tested.drawn)]
    null = [np.concatenate([np.zeros(0), *(part[at] for part in parts)]) for at in range(len(measures))]
    each = [one[there] for one in each]
    return [Drawn(float(one.mean()), drawn) for one, drawn in zip(each, null, strict=True)], each


def _chunks(drawn: NDArray[np.integer]) -> Iterator[NDArray[np.integer]]:
    return (drawn[at : at + _AT_ONCE] for at in range(0, len(drawn), _AT_ONCE))
