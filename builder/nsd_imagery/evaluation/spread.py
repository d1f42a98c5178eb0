"""How far a mean over stimuli may be off: its variance between stimuli, in one set and over sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.intervals import Interval, around, wilson

OVER_STIMULI: Final = "t over stimuli"
NONE_DIFFERS: Final = "over stimuli, which are all alike: Wilson"

_FEWEST: Final = 3
"""Stimuli without which a mean has no interval."""

_ROUNDING: Final = 1e-20
"""A variance that is of rounding alone."""


@dataclass(frozen=True)
class Spread:
    """Of a mean over stimuli.

    Attributes:
        variance: Of the mean.
        freedom: Degrees of freedom of that variance.
        least: The least that the mean can be.
        most: The most.
    """

    variance: float
    freedom: float
    least: float
    most: float

    def around(self, value: float) -> Interval:
        """Interval of the mean, inside what it can be.

        Stimuli that are all alike, as where each is told from all others, say nothing of how far others would be off:
        then it is Wilson's of as many stimuli, since nothing between two bounds varies more than a share.
        """
        if self._are_alike:
            n, width = self.freedom + 1, self.most - self.least
            ends = wilson(min(1.0, max(0.0, (value - self.least) / width)) * n, n)
            return Interval(self.least + width * ends.low, self.least + width * ends.high)
        ends = around(value, self.variance, self.freedom + 1)
        return Interval(max(self.least, ends.low), min(self.most, ends.high))

    @property
    def how(self) -> str:
        """How the interval is got."""
        return NONE_DIFFERS if self._are_alike else OVER_STIMULI

    @property
    def _are_alike(self) -> bool:
        return self.variance < _ROUNDING and bool(np.isfinite([self.least, self.most]).all())

    def by(self, divisor: float) -> "Spread":
        """That of the mean divided by a constant above 0."""
        return Spread(self.variance / divisor**2, self.freedom, self.least / divisor, self.most / divisor)


def over_stimuli(each: NDArray[np.float64], own: NDArray[np.integer], bounds: tuple[float, float]) -> Spread | None:
    """Of the mean of tests, each of which is of a stimulus; None for fewer than three stimuli.

    Args:
        each: (n,) what each test gives.
        own: (n,) the stimulus of each.
        bounds: Least and most that a test can give.
    """
    there, at = np.unique(own, return_inverse=True)
    if len(there) < _FEWEST:
        return None
    means = np.bincount(at, each) / np.bincount(at)
    return Spread(float(means.var(ddof=1)) / len(there), len(there) - 1, *bounds)


def together(spreads: Sequence[Spread]) -> Spread:
    """Of the mean of the means of several sets, whose stimuli are others: variances add up (Welch and Satterthwaite).

    What sets differ by is no error of their mean: it is of these sets, and of no others.
    """
    parts = np.array([one.variance for one in spreads])
    freedom = np.array([one.freedom for one in spreads])
    squares = float((parts**2 / freedom).sum())
    least, most = (float(np.mean([getattr(one, end) for one in spreads])) for end in ("least", "most"))
    shared = float(parts.sum()) ** 2 / squares if squares > 0 else float(freedom.sum())
    return Spread(float(parts.sum()) / len(parts) ** 2, shared, least, most)
