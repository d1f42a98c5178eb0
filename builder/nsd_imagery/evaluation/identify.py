"""Which of six targets a trial is most like, within a run and from one run to another, and what chance gives.

`accuracy` is the share of trials most like the template of their own target; of n that are as like, each counts 1/n.
`margin`, similarity to the own template less the mean of the five others, mean over trials, is continuous and between
runs linear in the labels: p belongs to it. Patterns are compared by correlation over voxels (Haxby et al. 2001, Science
293:2425).

Chance redraws the labels of the tested run, by orders that it could have had; within a run both roles at once. That is
a randomization test, which asks of trials no independence, only that the schedule was drawn (Edgington and Onghena
2007). Draw d is of one order for all subjects and ROIs, because subjects share the schedule, and of independent orders
for different runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.intervals import Interval, of_share
from nsd_imagery.chance.orders import N_DRAWS, NEIGHBOURS, Order, null_cued, null_targets
from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.gram import Gram, Matrix
from nsd_imagery.evaluation.ranking import retrieval_at as retrieval_at
from nsd_imagery.evaluation.ranking import two_way as two_way
from nsd_imagery.evaluation.ranking import two_way_mirage as two_way_mirage
from nsd_imagery.evaluation.runs import Run
from nsd_imagery.evaluation.templates import How, by_letter, fault_of, repeats_order, similarity, tested
from nsd_imagery.experiment import STIMULUS_SETS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.volumes.roi import Mask

Unit = Literal["trial", "mean"]
"""What is tested: each trial, or the mean of a target's trials of the run."""

_FAR: Final = np.abs(np.subtract.outer(np.arange(TRIALS_PER_RUN), np.arange(TRIALS_PER_RUN))) > NEIGHBOURS
_AT_ONCE: Final = 1_000
"""Draws, so that memory stays small."""


class Drawn(NamedTuple):
    """A statistic.

    Attributes:
        value: As measured.
        null: (draws,) under drawn orders.
    """

    value: float
    null: Matrix

    @property
    def p(self) -> float | None:
        """(1 + draws that give so much or more) / (1 + draws); None without draws."""
        if not len(self.null):
            return None
        # Shares of trials that are equal may differ by the rounding of their sums.
        return float((1 + np.count_nonzero(self.null >= self.value - 1e-12)) / (1 + len(self.null)))


class ByTarget(NamedTuple):
    """What identification is the mean of, by target.

    Attributes:
        targets: (k,) those tested, 0 to 5.
        n_tests: (k,) tests of each.
        means: (2, k) accuracy and margin, mean over the tests of each.
    """

    targets: NDArray[np.integer]
    n_tests: NDArray[np.int64]
    means: Matrix


@dataclass(frozen=True, eq=False)
class Identified:
    """Identification among six.

    Attributes:
        accuracy: Share of tests that were right.
        margin: Similarity to the own template less the mean of the five others, mean over tests.
        n_tests: Trials, or means.
        n_trials: Valid trials behind them.
        by_target: The same by target.
        order_confounded: Whether the tested run has the order of the run of templates, which nothing took out: the
            draws say nothing then.
    """

    accuracy: Drawn
    margin: Drawn
    n_tests: int
    n_trials: int
    by_target: ByTarget
    order_confounded: bool = False

    @property
    def interval(self) -> Interval:
        """Of accuracy, from drawn orders too: within a run trials are one another's templates, and right together."""
        return of_share(self.accuracy.value, self.n_tests, self.accuracy.null)


def within(run: Run, gram: Gram, draws: int = N_DRAWS) -> Identified:
    """Trials of a run against the other trials of the run that lie more than two away.

    The similarity to a candidate is the mean of the correlations with its trials. An own template has fewer trials than
    others and so scatters more: chance is about 0.18, the mean of the draws, and not 1/6.

    Args:
        run: The run.
        gram: With the run.
        draws: Drawn orders; 0 for none.
    """
    correlations, counted = gram.similarity(run, run), _FAR & np.outer(run.is_valid, run.is_valid)
    found = _within(correlations, counted, run.is_valid, run.order[None])[:, 0]
    chunks = _chunks(drawn_orders(run, draws))
    null = [_within(correlations, counted, run.is_valid, orders).mean(axis=2) for orders in chunks]
    return _identified(found, run.order[run.is_valid], np.hstack([np.zeros((2, 0)), *null]), run.n_valid)


def between(
    train: Run, test: Run, gram: Gram, draws: int = N_DRAWS, how: How = "published", unit: Unit = "trial"
) -> Identified:
    """What is tested of a run against templates of another run of the same targets.

    Chance is 1/6: all candidates have templates of the same kind, and no order has more of one target. Where only
    mismatched trials of vision are tested, which these are is redrawn with the order.

    Args:
        train: The run of which templates are made.
        test: The run that is tested, and whose labels are redrawn.
        gram: With both.
        draws: Drawn orders; 0 for none.
        how: The form of templates; see `templates.How`.
        unit: "trial", or "mean" of the trials of a target.

    Raises:
        DataError: The runs have other targets, or such templates cannot be had.
    """
    fault = fault_of(train, test, how)
    if fault:
        msg = f"{how} templates: {fault}"
        raise DataError(msg)
    counted = tested(train, test, how)
    confounded = how not in ("detrended", "centred") and repeats_order(train, test)
    if unit == "mean":
        found, null = _of_means(train, test, gram, how, counted, draws)
        own = np.unique(test.order[counted])
    else:
        chosen = similarity(train, test, gram, how)
        found = _of_each(chosen, test.order[None])[:, 0, counted]
        null = _of_trials(chosen, drawn_orders(test, draws), _counted(train, test, how, draws))
        own = test.order[counted]
    return _identified(found, own, null, int(counted.sum()), order_confounded=confounded)


def both_ways(first: Run, second: Run, gram: Gram, draws: int = N_DRAWS) -> Identified:
    """Two runs of the same targets, the trials of each against the mean patterns of the other, together.

    Both ways rest on the same products, so they are no two tests: the labels of the second run are redrawn, and are
    those of its trials one way and those of its templates the other way.

    Args:
        first: A run.
        second: Another, whose labels are redrawn.
        gram: With both.
        draws: Drawn orders; 0 for none.
    """
    there = similarity(first, second, gram, "across")

    def each(orders: Order) -> Matrix:
        members = _members(orders, second.is_valid)
        means = (members / np.maximum(members.sum(axis=2, keepdims=True), 1)).reshape(-1, TRIALS_PER_RUN)
        back = gram.similarity(first, second, None, means).reshape(TRIALS_PER_RUN, len(orders), TARGETS_PER_SET)
        own = np.broadcast_to(first.order[:, None, None], (TRIALS_PER_RUN, len(orders), 1))
        scores = np.stack([np.take_along_axis(part, own, 2)[..., 0].T for part in _scored(back)])
        return np.dstack([scores[..., first.is_valid], _of_each(there, orders)[..., second.is_valid]])

    own = np.concatenate([run.order[run.is_valid] for run in (first, second)])
    null = [each(part).mean(axis=2) for part in _chunks(drawn_orders(second, draws))]
    return _identified(each(second.order[None])[:, 0], own, np.hstack([np.zeros((2, 0)), *null]), len(own))


def drawn_orders(run: Run, draws: int = N_DRAWS) -> Order:
    """(draws, 48) orders that a run could have had: the same for all subjects, independent for different runs."""
    return in_step(null_targets()[:draws], run) if draws else np.zeros((0, TRIALS_PER_RUN), np.int8)


def in_step(drawn: NDArray[Any], run: Run) -> NDArray[Any]:
    """Something of each draw, rolled along its first axis by the run, so that draws of different runs are independent.

    Draw d of a run is of the same order for all subjects.
    """
    shift = STIMULUS_SETS.index(run.stimulus_set) + len(STIMULUS_SETS) * run.name.endswith("_2")
    return np.roll(drawn, shift, axis=0)


def _counted(train: Run, test: Run, how: How, draws: int) -> Mask:
    """(draws or 1, 48) trials that are tested under each draw."""
    if not draws or not by_letter(train, test, how):
        return tested(train, test, how)[None]
    return test.is_valid & (drawn_orders(test, draws) != in_step(null_cued()[:draws], test))


def _chunks(orders: Order) -> Iterator[Order]:
    return (orders[start : start + _AT_ONCE] for start in range(0, len(orders), _AT_ONCE))


def _members(orders: Order, counted: Mask) -> Mask:
    """(n, 6, 48) which trials are of each target, of (n, 48) orders; `counted` is (48,) or (n, 48)."""
    return (orders[:, None] == np.arange(TARGETS_PER_SET)[:, None]) & np.atleast_2d(counted)[:, None]


def _scored(similarity: Matrix) -> tuple[Matrix, Matrix]:
    """What a test would count as a hit, and as margin, were its own candidate each of those on the last axis."""
    best = similarity == similarity.max(axis=-1, keepdims=True)
    others = similarity.sum(axis=-1, keepdims=True) - similarity
    return best / best.sum(axis=-1, keepdims=True), similarity - others / (TARGETS_PER_SET - 1)


def _identified(
    found: Matrix, own: Order, null: Matrix, n_trials: int, *, order_confounded: bool = False
) -> Identified:
    """From (2, n) what each test gives, (n,) the target of each, and (2, draws) what all give under drawn orders."""
    targets, at, n_tests = np.unique(own, return_inverse=True, return_counts=True)
    by_target = ByTarget(targets, n_tests, np.stack([np.bincount(at, part) for part in found]) / n_tests)
    accuracy, margin = (Drawn(float(part.mean()), drawn) for part, drawn in zip(found, null, strict=True))
    return Identified(accuracy, margin, len(own), n_trials, by_target, order_confounded)


def _of_each(similarity: Matrix, orders: Order) -> Matrix:
    """(2, n, 48) accuracy and margin of each trial of (48, 6) similarities under each of (n, 48) orders."""
    at = np.arange(TRIALS_PER_RUN) * TARGETS_PER_SET + orders
    return np.stack([part.ravel()[at] for part in _scored(similarity)])


def _of_trials(similarity: Matrix, orders: Order, counted: Mask) -> Matrix:
    """(2, n) the mean of `_of_each` over trials that count."""
    return (_of_each(similarity, orders) * counted).sum(axis=2) / counted.sum(axis=1)


def _within(correlations: Matrix, counted: Mask, is_valid: Mask, orders: Order) -> Matrix:
    """(2, n, n_valid) accuracy and margin of each valid trial within a run under each of (n, 48) orders.

    A candidate with no trial far enough away is as like as one without correlation, 0.
    """
    members = _members(orders, is_valid)
    flat = members.reshape(-1, TRIALS_PER_RUN).astype(np.float32)
    parts = (correlations * counted).astype(np.float32), counted.astype(np.float32)
    sums, n_trials = ((flat @ part).reshape(members.shape) for part in parts)
    hit, margin = _scored(np.moveaxis(sums / np.maximum(n_trials, 1), 1, 2))
    own = np.moveaxis(members, 1, 2)
    return np.stack([(part * own).sum(axis=2, dtype=np.float64) for part in (hit, margin)])[..., is_valid]


def _of_means(train: Run, test: Run, gram: Gram, how: How, counted: Mask, draws: int) -> tuple[Matrix, Matrix]:
    """(2, n) accuracy and margin of each mean of the tested run, and (2, draws) of all under drawn orders."""

    def scores(orders: Order, counted: Mask) -> tuple[Matrix, Mask]:
        members = _members(orders, counted)
        n_trials = members.sum(axis=2, keepdims=True)
        means = (members / np.maximum(n_trials, 1)).reshape(-1, TRIALS_PER_RUN)
        alike = similarity(train, test, gram, how, means).reshape(-1, TARGETS_PER_SET, TARGETS_PER_SET)
        there = n_trials[..., 0] > 0
        return np.stack([np.diagonal(part, axis1=1, axis2=2) * there for part in _scored(alike)]), there

    orders = drawn_orders(test, draws)
    every = np.broadcast_to(_counted(train, test, how, draws), orders.shape)
    drawn = (scores(orders[i : i + _AT_ONCE], every[i : i + _AT_ONCE]) for i in range(0, len(orders), _AT_ONCE))
    parts = [each.sum(axis=2) / there.sum(axis=1) for each, there in drawn]
    each, there = scores(test.order[None], counted[None])
    return each[:, 0, there[0]], np.hstack([np.zeros((2, 0)), *parts])
