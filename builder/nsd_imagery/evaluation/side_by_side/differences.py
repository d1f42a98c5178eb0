"""How much more one score is than another of the same tests, with an interval of the difference, and not of the two.

Of one subject the difference is taken stimulus by stimulus within a run, so that what makes a stimulus hard for both is
not in its interval: t over stimuli. Of several it is taken subject by subject: t over subjects, for the stimuli and the
schedule that all of them had.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from nsd_imagery.chance.intervals import FEWEST_SUBJECTS, over_subjects
from nsd_imagery.evaluation.score import Items, Score
from nsd_imagery.evaluation.spread import Spread, together

OVER_STIMULI: Final = "t over stimuli, paired"
OVER_SUBJECTS: Final = "t over subjects, paired"

_FEWEST_STIMULI: Final = 3
"""Of a run, without which a difference over them has no interval."""


@dataclass(frozen=True)
class Difference:
    """A score in two evaluations.

    Attributes:
        a: As the first has it.
        b: As the second has it.
        difference: b - a over what both have; None where it cannot be said.
        low: Lower end of its interval.
        high: Upper end.
        interval: How the interval was got; or why there is none.
        n_pairs: Stimuli, or subjects, that were paired.
        notes: What it must not be taken for; why there is no difference.
    """

    a: Score
    b: Score
    difference: float | None
    low: float | None
    high: float | None
    interval: str
    n_pairs: int | None
    notes: str


def not_compared(a: Score, b: Score, reason: str) -> Difference:
    """Two scores that say nothing of one another."""
    return Difference(a, b, None, None, None, "", None, reason)


def of_one(a: Score, b: Score, items: Sequence[tuple[Items | None, Items | None]], notes: Sequence[str]) -> Difference:
    """Of one subject.

    Args:
        a: The first score.
        b: The second.
        items: Of each set that the scores are the mean over; of one set, one pair.
        notes: What is known against it.
    """
    if a.value is None or b.value is None:
        return not_compared(a, b, "; ".join(dict.fromkeys(one.reason for one in (a, b) if one.value is None)))
    pairs = [(one, other) for one, other in items if one is not None and other is not None]
    if not pairs or len(pairs) < len(items):
        return _plain(a, b, "no values by stimulus are kept of it", notes)
    strata = [_paired(*pair) for pair in pairs]
    if any(not len(stratum.differences) for stratum in strata):
        return not_compared(a, b, "no stimulus was tested in both")
    n_pairs = sum(len(stratum.differences) for stratum in strata)
    said = list(dict.fromkeys([*notes, *(stratum.note for stratum in strata if stratum.note)]))
    value = float(np.mean([np.average(one.differences, weights=one.weights) for one in strata]))
    if min(len(one.differences) for one in strata) < _FEWEST_STIMULI:
        none = f"needs {_FEWEST_STIMULI} stimuli"
        return Difference(a, b, value, None, None, none, n_pairs, "; ".join(said))
    ends = together([one.spread for one in strata]).around(value)
    return Difference(a, b, value, *ends, OVER_STIMULI, n_pairs, "; ".join(said))


def of_group(a: Score, b: Score, of_subject: Mapping[str, Difference], notes: Sequence[str]) -> Difference:
    """Of several subjects: the mean of their differences.

    Args:
        a: The group's first score.
        b: Its second.
        of_subject: By subject; those without a difference are left out, and named.
        notes: What is known against it.
    """
    if a.value is None or b.value is None:
        return not_compared(a, b, "; ".join(dict.fromkeys(one.reason for one in (a, b) if one.value is None)))
    there = {name: one.difference for name, one in of_subject.items() if one.difference is not None}
    if not there:
        return _plain(a, b, "no subject has it in both", notes)
    lacking = [name for name in of_subject if name not in there]
    said = [*notes, *([f"without {', '.join(lacking)}"] if lacking else [])]
    if max(a.n_subjects, b.n_subjects) > len(there):
        said.append(f"of the {len(there)} subjects in both")
    values = list(there.values())
    ends = over_subjects(values)
    interval = OVER_SUBJECTS if ends else f"needs {FEWEST_SUBJECTS} subjects"
    low, high = ends or (None, None)
    return Difference(a, b, float(np.mean(values)), low, high, interval, len(there), "; ".join(said))


def _plain(a: Score, b: Score, why: str, notes: Sequence[str]) -> Difference:
    """A difference of two numbers, without an interval."""
    assert a.value is not None
    assert b.value is not None
    return Difference(a, b, b.value - a.value, None, None, why, None, "; ".join(notes))


@dataclass(frozen=True, eq=False)
class _Stratum:
    """Differences of the stimuli of a run that both have, how many tests each is of, and what is to be said of that."""

    differences: np.ndarray[tuple[int], np.dtype[np.float64]]
    weights: np.ndarray[tuple[int], np.dtype[np.float64]]
    note: str

    @property
    def spread(self) -> Spread:
        """Of their mean."""
        n = len(self.differences)
        return Spread(float(self.differences.var(ddof=1)) / n, n - 1, -np.inf, np.inf)


def _paired(a: Items, b: Items) -> _Stratum:
    place_in_b = {name: place for place, name in enumerate(b.stimuli)}
    both = [(place, place_in_b[name]) for place, name in enumerate(a.stimuli) if name in place_in_b]
    of_a, of_b = (np.array([pair[side] for pair in both], np.int64) for side in (0, 1))
    counts = a.n_tests[of_a], b.n_tests[of_b]
    notes = []
    if len(both) < max(len(a.stimuli), len(b.stimuli)):
        notes.append(f"of the {len(both)} stimuli tested in both")
    if (counts[0] != counts[1]).any():
        notes.append(f"of {int(counts[0].sum())} and {int(counts[1].sum())} tests")
    weights = np.minimum(*counts).astype(np.float64)
    return _Stratum(b.values[of_b] - a.values[of_a], weights, ", ".join(notes))
