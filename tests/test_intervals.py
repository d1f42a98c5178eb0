"""Intervals: values that tables and other libraries give, and coverage."""

import numpy as np
import pytest
from scipy.stats import binomtest, t

from nsd_imagery.chance.intervals import (
    around,
    design_effect,
    jackknife_variance,
    of_share,
    over_subjects,
    shared_by_schedule,
    wilson,
)


@pytest.mark.parametrize(("hits", "n_trials"), [(0, 48), (8, 48), (24, 48), (48, 48), (1, 3)])
def test_wilson_is_the_interval_of_scipy(hits: int, n_trials: int) -> None:
    low, high = wilson(hits, n_trials)
    expected = binomtest(hits, n_trials).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= hits / n_trials <= high <= 1


def test_wilson_covers_an_accuracy_of_48_trials() -> None:
    rng = np.random.default_rng(0)
    for share in (1 / 6, 0.5):
        intervals = [wilson(hits, 48) for hits in rng.binomial(48, share, 2_000)]
        assert np.mean([low <= share <= high for low, high in intervals]) >= 0.92


def test_an_interval_of_a_share_is_wider_by_what_drawn_orders_scatter_more_than_independent_tests() -> None:
    rng = np.random.default_rng(3)
    alone = rng.binomial(48, 1 / 6, 20_000) / 48
    assert design_effect(alone, 48) == pytest.approx(1, abs=0.03)
    in_pairs = rng.binomial(24, 1 / 6, 20_000) / 24  # each trial's twin is right where it is
    assert design_effect(in_pairs, 48) == pytest.approx(2, abs=0.06)
    assert of_share(0.5, 48, in_pairs) == pytest.approx(wilson(12, 24), abs=0.005)
    for tells_nothing in (np.zeros(0), np.full(1, 0.2), np.zeros(99), np.full(99, 0.2)):
        assert of_share(0.5, 48, tells_nothing) == wilson(24, 48)


def test_the_jackknife_of_a_mean_is_its_squared_standard_error() -> None:
    values = np.random.default_rng(1).standard_normal(20)
    left_out = [np.delete(values, at).mean() for at in range(20)]
    assert jackknife_variance(left_out) == pytest.approx(values.var(ddof=1) / 20)


def test_an_interval_around_an_estimate_is_of_t_with_one_block_less() -> None:
    low, high = around(2.0, 0.25, 12)
    assert (low + high) / 2 == pytest.approx(2)
    assert high - low == pytest.approx(float(t.ppf(0.975, 11)))


def test_a_mean_over_subjects_has_an_interval_from_three_on_and_a_wider_one_where_a_schedule_is_shared() -> None:
    values = [0.2, 0.25, 0.4]
    assert over_subjects(values[:2]) is None
    low, high = over_subjects(values)
    assert (low + high) / 2 == pytest.approx(np.mean(values))
    assert high - low == pytest.approx(2 * t.ppf(0.975, 2) * np.std(values, ddof=1) / 3**0.5)
    wide = over_subjects(values, 0.01)
    assert wide is not None
    assert wide.low < low
    assert high < wide.high


def test_what_subjects_share_through_the_schedule_is_what_their_scatter_does_not_show() -> None:
    rng = np.random.default_rng(2)
    own = rng.standard_normal((8, 4_000))
    assert shared_by_schedule(own) == pytest.approx(0, abs=0.01)
    shared = own + 0.5 * rng.standard_normal(4_000)
    assert shared_by_schedule(shared) == pytest.approx(0.25 * (1 - 1 / 8), abs=0.02)
    hits = 0
    for _ in range(400):
        values = 0.5 * rng.standard_normal() + rng.standard_normal(8)
        interval = over_subjects(values, 0.25)
        hits += interval is not None and interval.low <= 0 <= interval.high
    assert hits / 400 >= 0.92
