"""Identification: exact by brute force, calibrated where there is nothing, and not taken in by drift or a letter."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from benchmarked import benchmark
from nsd_imagery.chance.evidence import against_draws, total
from nsd_imagery.chance.intervals import of_share, over_subjects, shared_by_schedule
from nsd_imagery.chance.orders import null_cued
from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.comparisons import COMPARISONS, PRIMARY, Comparison
from nsd_imagery.evaluation.drift import drift
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.group import corrected, difference, grouped, over_sets
from nsd_imagery.evaluation.identifications import at_equal_size, identifications, measured_identifications
from nsd_imagery.evaluation.identify import (
    Drawn,
    Identified,
    between,
    both_ways,
    drawn_orders,
    in_step,
    retrieval_at,
    two_way,
    two_way_mirage,
    within,
)
from nsd_imagery.evaluation.runs import Run, Runs, load_runs
from nsd_imagery.evaluation.score import Measured, from_table, to_table
from nsd_imagery.evaluation.templates import target_and_letter

pytestmark = pytest.mark.slow

SIM = benchmark("planted")
CALIBRATION = benchmark("calibration_identify")
Array = NDArray[np.float64]
Alone = Any


def session_of(seed: int = 0, **planted: float):
    rng = np.random.default_rng(seed)
    return SIM.session(rng, SIM.schedules(rng, 1)[0], SIM.Planted(**planted))


def with_gaps(run: Run, gaps: Sequence[int]) -> Run:
    """Without data in some trials; what stands there is 0."""
    is_valid = np.isin(np.arange(48), gaps, invert=True)
    betas = run.betas * is_valid[:, None]
    return replace(run, betas=betas.astype(np.float32), is_valid=is_valid)


def runs_of(subject: str = "subj01", version: str = "fithrf", seed: int = 0, **planted: float) -> Runs:
    """All nine runs of a subject; subjects of one seed have one schedule."""
    drawn = SIM.schedules(np.random.default_rng(seed), 3)
    rng = np.random.default_rng([seed, int(subject[-1])])
    pairs = zip("ABC", drawn, strict=True)
    sets = [SIM.session(rng, schedule, SIM.Planted(**planted), 40, name) for name, schedule in pairs]
    runs = tuple(run for one in sets for run in one[:3])
    return Runs(subject, "nsdgeneral", version, "0123", 40, runs, {})


def one_of(measured: Sequence[Measured], measure: str, train: str, test: str, how: str, **also: str) -> Measured:
    said = {"measure": measure, "train": train, "test": test, "how": how, "unit": "trial", "stimulus_set": "A"} | also
    (found,) = [one for one in measured if all(getattr(one.score, name) == value for name, value in said.items())]
    return found


def share(p: Array) -> float:
    return float(np.mean(p <= 0.05))


def assert_calibrated(p: Array) -> None:
    assert 0.03 <= share(p) <= 0.08
    assert kstest(p, "uniform").pvalue > 0.001


# --- exact


def brute_within(run: Run) -> tuple[float, float]:
    hits, margins = [], []
    for i in np.flatnonzero(run.is_valid):
        alike = []
        for target in range(6):
            others = [j for j in np.flatnonzero(run.is_valid) if run.order[j] == target and abs(i - j) > 2]
            alike.append(np.mean([np.corrcoef(run.betas[i], run.betas[j])[0, 1] for j in others]))
        own = alike.pop(run.order[i])
        hits.append(own > max(alike))
        margins.append(own - np.mean(alike))
    return float(np.mean(hits)), float(np.mean(margins))


def brute_between(patterns: Array, test: Run, tested: Sequence[int]) -> tuple[float, float]:
    hits, margins = [], []
    for i in tested:
        alike = [np.corrcoef(test.betas[i], pattern)[0, 1] for pattern in patterns]
        own = alike.pop(test.order[i])
        hits.append(own > max(alike))
        margins.append(own - np.mean(alike))
    return float(np.mean(hits)), float(np.mean(margins))


def means(run: Run, chosen: NDArray[np.bool_] | None = None) -> Array:
    counted = run.is_valid if chosen is None else run.is_valid & chosen
    return np.stack([run.betas[counted & (run.order == target)].mean(axis=0) for target in range(6)])


def values(found: Identified) -> tuple[float, float]:
    return pytest.approx((found.accuracy.value, found.margin.value), abs=1e-6)


def test_identification_is_what_loops_over_valid_trials_give() -> None:
    one = session_of(vision=0.4, imagery=0.4, correlation=0.8)
    vision, second = with_gaps(one.vision, (3, 17, 18, 40)), with_gaps(one.second, (0, 9, 30))
    products = gram((vision, second))
    assert brute_within(vision) == values(within(vision, products, 0))
    valid = np.flatnonzero(second.is_valid)
    assert brute_between(means(vision), second, valid) == values(between(vision, second, products, 0))
    mismatched = between(vision, second, products, 0, "mismatched")
    assert brute_between(means(vision, ~vision.matched), second, valid) == values(mismatched)
    tested = np.flatnonzero(vision.is_valid & ~vision.matched)
    assert brute_between(means(second), vision, tested) == values(between(second, vision, products, 0, "mismatched"))


def test_means_of_eight_are_what_loops_give() -> None:
    one = session_of(vision=0.3, imagery=0.3, correlation=0.5)
    found = between(one.vision, one.second, one.products, 0, "published", "mean")
    averaged = replace(one.second, betas=means(one.second).astype(np.float32), order=np.arange(6, dtype=np.int8))
    assert brute_between(means(one.vision), averaged, range(6)) == values(found)
    assert found.n_tests == 6


def test_both_ways_is_the_mean_of_the_two_ways() -> None:
    one = session_of(imagery=0.3)
    ways = [between(a, b, one.products, 0, "across") for a, b in pairwise((one.first, one.second, one.first))]
    both = both_ways(one.first, one.second, one.products, 0)
    assert both.accuracy.value == pytest.approx(np.mean([way.accuracy.value for way in ways]))
    assert both.margin.value == pytest.approx(np.mean([way.margin.value for way in ways]))


@pytest.mark.parametrize("form", ["within", "letter-free", "mean", "both ways"])
def test_by_target_identification_is_the_mean_over_the_tests_of_each(form: str) -> None:
    runs = runs_of(vision=0.5, imagery=0.5)
    found_runs = [runs.find(name) for name in ("visA", "imgA_1", "imgA_2")]
    vision, first, second = (with_gaps(run, [3, 17, 18]) for run in found_runs if run is not None)
    products = gram([vision, first, second])

    def asked(tested: Run) -> Identified:
        if form == "both ways":
            return both_ways(first, tested, products, 0)
        if form == "within":
            return within(tested, products, 0)
        return between(vision, tested, products, 0, "letter-free", "mean" if form == "mean" else "trial")

    found = asked(second)
    by_target = found.by_target
    assert by_target.targets.tolist() == list(range(6))
    assert by_target.n_tests.sum() == found.n_tests
    whole = (by_target.means * by_target.n_tests).sum(axis=1) / found.n_tests
    np.testing.assert_allclose(whole, [found.accuracy.value, found.margin.value], atol=1e-12)
    if form in ("letter-free", "mean"):
        for target in range(6):
            alone = asked(replace(second, is_valid=second.is_valid & (second.order == target)))
            assert by_target.n_tests[target] == alone.n_tests
            own = [alone.accuracy.value, alone.margin.value]
            np.testing.assert_allclose(by_target.means[:, target], own, atol=1e-12)


def test_drawn_values_are_those_of_a_run_with_that_order() -> None:
    one = session_of(vision=0.2, imagery=0.2)
    vision, second = with_gaps(one.vision, (5, 6)), with_gaps(one.second, (7, 41))
    products = gram((vision, one.first, second))
    draws = 5
    for run, found_by in (
        (second, lambda run, n: within(run, products, n)),
        (second, lambda run, n: between(vision, run, products, n, "letter-free")),
        (second, lambda run, n: between(vision, run, products, n, "published", "mean")),
        (second, lambda run, n: between(vision, run, products, n, "centred")),
        (second, lambda run, n: both_ways(one.first, run, products, n)),
    ):
        null = found_by(run, draws)
        for place, order in enumerate(drawn_orders(run, draws)):
            found = found_by(replace(run, order=order), 0)
            assert null.accuracy.null[place] == pytest.approx(found.accuracy.value, abs=1e-6)
            assert null.margin.null[place] == pytest.approx(found.margin.value, abs=1e-6)


def test_mismatched_trials_that_are_tested_are_redrawn_with_the_order() -> None:
    one = session_of(imagery=0.3)
    null = between(one.second, one.vision, one.products, 5, "mismatched").margin.null
    letters = in_step(null_cued()[:5], one.vision)
    for place, order in enumerate(drawn_orders(one.vision, 5)):
        drawn = replace(one.vision, order=order, cued=letters[place])
        assert null[place] == pytest.approx(between(one.second, drawn, one.products, 0, "mismatched").margin.value)


def test_detrending_is_least_squares_with_the_targets_where_they_are_known() -> None:
    one = session_of(vision=0.3, imagery=0.3, correlation=0.5, drift=1.0)
    vision, second = with_gaps(one.vision, (3, 4)), with_gaps(one.second, (10,))
    time = np.vander(np.arange(48.0), 3, increasing=True)
    known, unknown = vision.is_valid, second.is_valid
    moving = time[:, 1:] - time[known, 1:].mean(axis=0)  # the mean of the run stays in
    design = np.hstack([np.eye(6)[vision.order], moving])[known]
    slopes = np.linalg.lstsq(design, vision.betas[known], rcond=None)[0][6:]
    flat = replace(vision, betas=(vision.betas - moving @ slopes) * known[:, None])
    trend = time[unknown] @ np.linalg.lstsq(time[unknown], second.betas[unknown], rcond=None)[0]
    residual = np.zeros(second.betas.shape)
    residual[unknown] = second.betas[unknown] - trend
    expected = brute_between(means(flat), replace(second, betas=residual), np.flatnonzero(unknown))
    assert expected == values(between(vision, second, gram((vision, second)), 0, "detrended"))


def test_least_squares_take_the_letter_out_of_targets() -> None:
    schedule = SIM.schedules(np.random.default_rng(3), 1)[0]
    rng = np.random.default_rng(4)
    seen, letters = rng.standard_normal((2, 6, 10))
    letters -= letters.mean(axis=0)
    of_target, of_letter = target_and_letter(schedule.vision, schedule.cued, SIM.ALL)
    betas = seen[schedule.vision] + letters[schedule.cued]
    np.testing.assert_allclose(of_target @ betas, seen, atol=1e-10)
    np.testing.assert_allclose(of_letter @ betas, letters, atol=1e-10)


def test_two_way_and_retrieval_are_what_loops_over_others_give() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.integers(0, 6, (40, 12)).astype(float)
    own = rng.integers(0, 12, 40)
    halves, strict, found = [], [], []
    for row, mine in zip(similarity, own, strict=True):
        others = [row[other] for other in range(12) if other != mine]
        halves.append(np.mean([float(row[mine] > other) + 0.5 * float(row[mine] == other) for other in others]))
        strict.append((sum(row[mine] > other for other in others) - 1) / 11)
        more, tied = sum(other > row[mine] for other in others), sum(other == row[mine] for other in others)
        found.append([np.mean([more + place < k for place in range(tied + 1)]) for k in (1, 5, 10)])
    np.testing.assert_array_equal(two_way(similarity, own), halves)
    np.testing.assert_array_equal(two_way_mirage(similarity, own), strict)
    np.testing.assert_allclose(retrieval_at(similarity, own, (1, 5, 10)), found, atol=1e-15)


def test_the_published_two_way_has_another_best_and_another_chance() -> None:
    best = np.eye(12)
    assert two_way(best, np.arange(12)).mean() == 1
    assert two_way_mirage(best, np.arange(12)).mean() == pytest.approx(10 / 11)
    noise = np.random.default_rng(1).standard_normal((20_000, 12))
    assert two_way(noise, np.zeros(20_000, int)).mean() == pytest.approx(0.5, abs=0.01)
    assert two_way_mirage(noise, np.zeros(20_000, int)).mean() == pytest.approx(0.5 - 1 / 11, abs=0.01)


def test_templates_that_cannot_be_had_say_why() -> None:
    one = session_of()
    unknown = replace(one.vision, cued=np.full(48, -1, np.int8))
    alike = replace(one.vision, cued=one.vision.order)
    with pytest.raises(DataError, match="the letter of some trials of visA is not known"):
        between(unknown, one.second, one.products, 0, "letter-free")
    with pytest.raises(DataError, match="targets and letters of visA cannot be told apart"):
        between(alike, one.second, one.products, 0, "letter")
    with pytest.raises(DataError, match="no such valid trial of one target"):
        between(alike, one.second, one.products, 0, "mismatched")
    with pytest.raises(DataError, match="visA has no such valid trial"):
        between(one.second, alike, one.products, 0, "mismatched")
    for train, test in ((unknown, one.second), (one.second, unknown)):
        with pytest.raises(DataError, match="the letter of some trials of visA is not known"):
            between(train, test, one.products, 0, "mismatched")
    with pytest.raises(DataError, match="visA and imgA_2 have other targets"):
        between(one.vision, replace(one.second, targets=tuple("abcdef")), one.products, 0)


# --- calibrated

P_ALONE, P_GROUP = 400, 400
DRAWS = 499


@pytest.fixture(scope="module")
def without_signal():
    return CALIBRATION.alone(P_ALONE, SIM.Planted(), DRAWS, 20)


@pytest.fixture(scope="module")
def with_drift():
    return CALIBRATION.alone(P_ALONE, SIM.Planted(drift=0.3), DRAWS, 21)


@pytest.mark.parametrize("form", ["within", "raw", "both_ways"])
def test_p_is_uniform_where_there_is_nothing(form: str, without_signal: Alone) -> None:
    assert_calibrated(getattr(without_signal, form))


@pytest.mark.parametrize("form", ["within", "raw", "centred", "detrended"])
def test_p_is_uniform_where_runs_drift(form: str, with_drift: Alone) -> None:
    assert_calibrated(getattr(with_drift, form))


def test_accuracy_without_signal_is_the_reported_chance_and_that_is_not_one_sixth(without_signal: Alone) -> None:
    excess = without_signal.accuracy - without_signal.chance
    assert abs(excess.mean()) < 3 * excess.std() / P_ALONE**0.5
    assert without_signal.chance.mean() > 1 / 6 + 0.005


def test_drift_makes_imagery_of_runs_that_repeat_an_order_unless_it_is_taken_out() -> None:
    forms = [CALIBRATION.Form("raw", "first"), CALIBRATION.Form("detrended", "first")]
    raw, detrended = CALIBRATION.group_p(200, SIM.Planted(drift=0.3), forms, 199, 22, n_sets=3)
    assert share(raw) > 0.6
    assert share(detrended) <= 0.08


def test_subjects_of_one_schedule_share_its_draws() -> None:
    forms = [CALIBRATION.Form("published"), CALIBRATION.Form("published", own_draws=True)]
    shared, own = CALIBRATION.group_p(P_GROUP, SIM.Planted(drift=0.3), forms, 999, 28)
    assert 0.03 <= share(shared) <= 0.08
    assert share(own) > 0.1


def test_a_letter_without_imagery_is_found_by_its_control_and_not_by_the_primary_test() -> None:
    forms = [CALIBRATION.Form(how) for how in (PRIMARY.comparison.how, "letter", "published")]
    planted = SIM.Planted(letter=0.1, vision=0.3)
    primary, letter, published = CALIBRATION.group_p(P_GROUP, planted, forms, 299, 23)
    assert 0.01 <= share(primary) <= 0.08  # .03 with all draws
    assert share(letter) > 0.9
    assert share(published) > 0.3


def test_fractions_chosen_by_labels_make_imagery_across_runs() -> None:
    by_labels, plain, shuffled = CALIBRATION.ridge_p(60, 199, 24, 8)
    assert share(by_labels) > 0.6
    assert share(plain) <= 0.12  # 60 groups
    assert share(shuffled) <= 0.12


def test_family_wise_error_of_four_correlated_rois() -> None:
    margins = CALIBRATION.familywise(P_GROUP, DRAWS, 25)
    score = measured_identifications(runs_of(), draws=9)[0].score
    least, uncorrected = [], []
    for experiment in margins:
        of_rois = [
            Measured(replace(score, roi=f"roi{number}", p=Drawn(row[0], row[1:]).p), row[0], row[1:])
            for number, row in enumerate(experiment)
        ]
        found = corrected(of_rois)
        assert found[0].score.family == "roi0, roi1, roi2, roi3"
        least.append(min(one.score.p_corrected for one in found))
        uncorrected.append(min(one.score.p for one in found))
    assert share(np.array(least)) <= 0.08
    assert share(np.array(uncorrected)) > 0.08


def test_intervals_of_accuracy_cover() -> None:
    planted = SIM.Planted(vision=0.2, imagery=0.2)
    assert min(CALIBRATION.coverage_of_accuracy(500, planted, 199, 26)) >= 0.92
    assert CALIBRATION.coverage_of_accuracy(500, planted, 0, 26)[0] < 0.92  # they are one another's templates


@pytest.mark.parametrize("drift_sd", [0.3, 1.0])
def test_intervals_over_subjects_hold_what_the_schedule_makes_them_share(drift_sd: float) -> None:
    planted = SIM.Planted(vision=0.3, imagery=0.3, correlation=0.5, drift=drift_sd)
    covered, by_scatter_alone = CALIBRATION.group_coverage(150, planted, 199, 27)
    assert covered >= 0.92
    assert by_scatter_alone < covered


# --- scores


def test_the_primary_test_is_one_row_over_sets_and_subjects() -> None:
    parts = [
        one_of(of_subject, "margin", "visX", "imgX_2", "letter-free", stimulus_set=name)
        for number in (1, 2, 3)
        for of_subject in [measured_identifications(runs_of(f"subj0{number}", vision=1, imagery=1), draws=99)]
        for name in PRIMARY.stimulus_sets
    ]
    primary = grouped(parts)
    assert PRIMARY.is_of(primary.score)
    assert not PRIMARY.is_of(grouped(parts[::2]).score)  # set A alone
    assert not PRIMARY.is_of(over_sets(parts[:2]).score)  # one subject
    assert primary.score.n_subjects == 3
    assert primary.score.p == total([against_draws(one.statistic, one.null) for one in parts]).p
    assert primary.score.value == pytest.approx(np.mean([one.statistic for one in parts]))
    assert "fixed effects" in primary.score.chance_method
    assert "of 3 subjects at p ≤ 0.05" in primary.score.chance_method


def test_groups_of_two_have_no_interval_and_missing_subjects_are_not_counted() -> None:
    one, other, third = (
        one_of(measured_identifications(runs_of(f"subj0{number}"), draws=19), "margin", "visX", "visX", "within")
        for number in (1, 2, 3)
    )
    pair = grouped([one, other, replace(third, score=replace(third.score, value=None, p=None, reason="gone"))]).score
    assert (pair.n_subjects, pair.low, pair.interval) == (2, None, "needs 3 subjects")
    assert pair.p is not None
    assert grouped([one, other, third]).score.low is not None


def test_intervals_of_groups_end_where_shares_do_and_margins_do_not() -> None:
    single = one_of(measured_identifications(runs_of("subj01"), draws=19), "identification", "visX", "visX", "within")

    def ends(measure: str, test: str, *values: float) -> tuple[float | None, float | None]:
        parts = [
            replace(single, score=replace(single.score, subject=f"subj0{n}", measure=measure, test=test), statistic=one)
            for n, one in enumerate(values, 1)
        ]
        score = grouped(parts).score
        return score.low, score.high

    for measure in ("identification", "two_way", "retrieval_at_1"):
        assert ends(measure, "visX", 1.0, 1.0, 0.9)[1] == 1
        assert ends(measure, "visX", 0.0, 0.0, 0.1)[0] == 0
    assert (ends("margin", "visX", 1.0, 1.0, 0.9)[1] or 0) > 1
    assert (ends("identification", "imgX_1 − imgX_2", 0.0, 0.0, 0.1)[0] or 0) < 0


def test_every_comparison_has_its_chance_reference_and_letter() -> None:
    measured = measured_identifications(runs_of(vision=0.5, imagery=0.5, correlation=0.9), draws=99)
    scores = [one.score for one in measured]
    assert from_table(to_table(scores)) == scores
    assert {Comparison(one.train, one.test, one.how, one.unit) for one in scores} >= set(COMPARISONS)
    of_run = one_of(measured, "identification", "visX", "visX", "within")
    assert of_run.score.chance == pytest.approx(of_run.null.mean())
    assert (of_run.score.low, of_run.score.high) == of_share(of_run.statistic, 48, of_run.null)
    assert of_run.score.interval == "Wilson, over trials, by the design effect of the draws"
    primary = one_of(measured, "identification", "visX", "imgX_2", "letter-free").score
    assert primary.chance == 1 / 6
    assert primary.reference == one_of(measured, "identification", "imgX_2", "imgX_2", "within").score.value
    assert primary.reason == ""
    assert "includes the letter" in one_of(measured, "margin", "visX", "imgX_2", "published").score.reason
    assert "concept" in one_of(measured, "margin", "visX", "visX", "within", stimulus_set="C").score.reason
    pooled = one_of(measured, "identification", "visX", "visX", "within", stimulus_set="").score
    assert (pooled.n_trials, pooled.candidates) == (96, "the 6 of each set (A, B)")


def test_a_run_that_repeats_the_order_has_no_p_before_drift_is_out() -> None:
    measured = measured_identifications(runs_of(), draws=99)
    raw = one_of(measured, "margin", "visX", "imgX_1", "raw").score
    assert raw.p is None
    assert "order confounded" in raw.reason
    assert one_of(measured, "margin", "visX", "imgX_1", "detrended").score.p is not None
    letter_free = between(*runs_of().runs[:2], gram(runs_of()), 99, "letter-free")
    assert letter_free.order_confounded


def test_imagery_across_runs_is_asked_of_plain_betas_alone() -> None:
    regular = runs_of(version="fithrf_GLMdenoise_RR")
    without = one_of(measured_identifications(regular, draws=19), "margin", "imgX", "imgX", "across").score
    assert (without.value, without.p) == (None, None)
    assert "was chosen by agreement of these labels" in without.reason
    circular = measured_identifications(regular, runs_of(version="fithrf_GLMdenoise_RR"), draws=19)
    assert one_of(circular, "margin", "imgX", "imgX", "across").score.value is None
    plain = runs_of(seed=1)
    found = one_of(measured_identifications(regular, plain, draws=19), "margin", "imgX", "imgX", "across").score
    assert (found.beta_version, found.n_trials) == ("fithrf", 96)
    accuracy = one_of(measured_identifications(regular, plain, draws=19), "identification", "imgX", "imgX", "across")
    second = plain.find("imgA_2")
    assert accuracy.score.reference == within(second, gram([second]), 0).accuracy.value
    assert found.p is not None
    assert one_of(measured_identifications(regular, plain, draws=19), "margin", "visX", "visX", "within").score == (
        one_of(measured_identifications(regular, draws=19), "margin", "visX", "visX", "within").score
    )


def test_what_is_not_there_says_why() -> None:
    whole = runs_of()
    runs = replace(whole, runs=tuple(run for run in whole if run.name != "imgB_2"), left_out={"imgB_2": "one is gone"})
    measured = measured_identifications(runs, draws=19)
    of_b = one_of(measured, "margin", "visX", "imgX_2", "letter-free", stimulus_set="B").score
    assert (of_b.value, of_b.reason) == (None, "imgB_2: one is gone")
    pooled = one_of(measured, "margin", "visX", "imgX_2", "letter-free", stimulus_set="").score
    of_a = one_of(measured, "margin", "visX", "imgX_2", "letter-free").score
    assert pooled.value == pytest.approx(of_a.value)
    assert "without set B" in pooled.reason
    bare = replace(whole, runs=())
    assert {score.value for score in identifications(bare, draws=19)} == {None}


def test_sets_have_draws_of_their_own_and_subjects_have_not() -> None:
    one, other = runs_of("subj01"), runs_of("subj02")
    of_b, of_a = (one.find(name) for name in ("imgB_2", "imgA_2"))
    assert not np.array_equal(drawn_orders(of_a, 9), drawn_orders(of_b, 9))
    assert np.array_equal(drawn_orders(of_a, 9), drawn_orders(other.find("imgA_2"), 9))
    parts = [
        one_of(measured_identifications(one, draws=99), "margin", "visX", "visX", "within", stimulus_set=name)
        for name in "AB"
    ]
    np.testing.assert_allclose(over_sets(parts).null, (parts[0].null + parts[1].null) / 2, atol=1e-11)


def test_differences_of_runs_have_intervals_and_no_p() -> None:
    measured = measured_identifications(runs_of(vision=0.5, imagery=0.3, correlation=1.0), draws=49)
    one, two = (one_of(measured, "identification", "visX", test, "detrended") for test in ("imgX_1", "imgX_2"))
    found = difference(one, two)
    assert found.score == one_of(measured, "identification", "visX", "imgX_1 − imgX_2", "detrended").score
    assert found.score.value == pytest.approx(one.statistic - two.statistic)
    below, above = one.score.value - one.score.low, two.score.high - two.score.value
    assert found.score.low == pytest.approx(found.score.value - (below**2 + above**2) ** 0.5)
    assert found.score.high > found.score.value
    assert found.score.p is None
    assert "not separable" in found.score.reason


def test_intervals_over_subjects_hold_what_is_shared_where_there_is_no_p_too() -> None:
    parts = [
        one_of(
            measured_identifications(runs_of(f"subj0{number}", drift=1.0), draws=99),
            "margin",
            "visX",
            "imgX_1 − imgX_2",
            "detrended",
        )
        for number in (1, 2, 3, 4)
    ]
    found = grouped(parts).score
    statistics, v = [one.statistic for one in parts], shared_by_schedule(np.array([one.null for one in parts]))
    assert (found.low, found.high) == over_subjects(statistics, v)
    assert v > 0
    assert found.p is None


def test_accuracy_at_equal_size_is_that_of_as_many_voxels() -> None:
    runs = runs_of(vision=0.6)
    of_run = one_of(at_equal_size(runs, 10), "identification_at_equal_size", "visX", "visX", "within")
    whole = one_of(measured_identifications(runs, draws=9), "identification", "visX", "visX", "within").score.value
    assert of_run.score.n_voxels == 10
    assert 1 / 6 < of_run.score.value < whole
    assert of_run.score.p is None
    same = one_of(at_equal_size(runs, 40), "identification_at_equal_size", "visX", "visX", "within").score.value
    assert same == pytest.approx(whole)


def test_the_drift_exhibit_leaves_its_band_with_drift_alone() -> None:
    rng = np.random.default_rng(5)
    for schedule in SIM.schedules(rng, 3):
        still = SIM.session(rng, schedule, SIM.Planted(vision=0.5, imagery=0.5, correlation=1.0, lag_one=0.0), 400)
        moved = SIM.session(rng, schedule, SIM.Planted(drift=0.5), 400)
        near = slice(1, 20)
        outside = []
        for one in (still, moved):
            found = drift(one.vision, one.first, one.products, 199)
            assert np.isnan(found.similarity[0])  # of one order, no different targets at one position
            above, below = found.similarity > found.high, found.similarity < found.low
            outside.append(np.mean((above | below)[near]))
        assert outside[0] < 0.3 < 0.5 < outside[1]


def test_a_built_folder_identifies_what_was_seen(dataset: Path) -> None:
    found = measured_identifications(load_runs(dataset, "subj01"), draws=199)
    seen = one_of(found, "identification", "visX", "visX", "within", stimulus_set="").score
    assert seen.p == 1 / 200
    assert seen.value is not None
    assert seen.chance is not None
    assert seen.value > 2 * seen.chance
    assert one_of(found, "margin", "imgX", "imgX", "across").score.value is None
