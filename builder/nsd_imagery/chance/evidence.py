"""How far a statistic lies from what chance gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """A statistic in units of its spread under chance.

    Attributes:
        z: Deviations from the mean under chance.
        null: (n_draws,) the same of each drawn order; empty where chance is the standard normal distribution.
    """

    z: float
    null: Array

    @property
    def p(self) -> float:
        """How often chance gives so much or more."""
        return self._tail(self.z, self.null)

    @property
    def p_against(self) -> float:
        """How often chance gives so little or less."""
        return self._tail(-self.z, -self.null)

    @staticmethod
    def _tail(z: float, null: Array) -> float:
        if not len(null):
            return float(norm.sf(z))
        return float((1 + np.count_nonzero(null >= z)) / (1 + len(null)))


def against_draws(value: float, null: NDArray[Any]) -> Evidence:
    """Evidence from a statistic and its (n_draws,) values under drawn orders."""
    null = null.astype(np.float64)
    mean, sd = float(null.mean()), float(null.std())
    if sd == 0:
        return Evidence(0.0, np.zeros_like(null))
    return Evidence((float(value) - mean) / sd, (null - mean) / sd)


def standard_normal(z: float) -> Evidence:
    """Evidence whose chance distribution is known."""
    return Evidence(float(z), np.zeros(0))


def total(parts: Iterable[Evidence]) -> Evidence:
    """The evidence of several independent runs or subjects together, each with equal weight.

    Where all have draws, draw by draw, so that a schedule that they share is drawn once for all of them.
    """
    parts = tuple(parts)
    if all(len(part.null) for part in parts):
        return against_draws(sum(part.z for part in parts), np.sum([part.null for part in parts], axis=0))
    return standard_normal(sum(part.z for part in parts) / len(parts) ** 0.5)


def difference(this: Evidence, that: Evidence) -> Evidence:
    """Evidence for one against the other, both from the same draws."""
    return against_draws(this.z - that.z, this.null - that.null)


def difference_to_best(this: Evidence, others: Sequence[Evidence]) -> Evidence:
    """Evidence for one against the best of several, which in each draw is another one."""
    best = np.max([other.null for other in others], axis=0)
    return against_draws(this.z - max(other.z for other in others), this.null - best)
