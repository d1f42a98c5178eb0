"""Signal variance, ncsnr and noise ceilings find what was planted, where common estimators fail the same test."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

import nsd_imagery
from benchmarked import benchmark
from nsd_imagery.chance.orders import FIRST, SECOND, draw_targets, null_targets
from nsd_imagery.chance.pairs import across_runs, drawn_signal, noise_ceiling, pair_weights, variances
from nsd_imagery.evaluation.ceiling import ceilings, measured_ceilings, voxel_variances
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.group import corrected, grouped
from nsd_imagery.evaluation.perception import pairs_of, perception, repeat_variances
from nsd_imagery.evaluation.runs import Run, Runs, load_runs
from nsd_imagery.evaluation.score import Measured, Score

pytestmark = pytest.mark.slow

ALL = np.ones(48, bool)
DRAWS = 299


SIMULATION = benchmark("calibrate_evaluation")
Noise = SIMULATION.Noise


def order_of(seed: int) -> np.ndarray:
    return draw_targets(np.random.default_rng(seed), 1)[0]


def experiment(seed: int, vision: float, imagery: float, n_voxels: int = 80, noise: object = None) -> Runs:
    """Nine runs of one subject; imagery has a share of vision's patterns."""
    rng = np.random.default_rng(seed)
    runs: list[Run] = []
    for name in "ABC":
        planted = SIMULATION.patterns(rng, n_voxels, 1)
        for run, gain in ((f"vis{name}", vision), (f"img{name}_1", imagery), (f"img{name}_2", imagery)):
            (order,) = draw_targets(rng, 1)
            betas = gain * planted[order] + SIMULATION.noise_of(rng, n_voxels, noise or Noise())
            runs.append(replace(SIMULATION.run_of(run, order, betas), variance=betas.var(axis=0, ddof=1)))
    return Runs("subj01", "early", "fithrf", "0" * 16, n_voxels, tuple(runs), {})


def test_the_form_of_the_signal_is_what_the_formula_says() -> None:
    order, is_valid = order_of(0), ALL.copy()
    is_valid[[3, 17]] = False
    pairs = [(i, j) for i in range(48) for j in range(i + 3, 48) if is_valid[i] and is_valid[j]]
    by_distance = {
        distance: [
            [p for p in pairs if p[1] - p[0] == distance and (order[p[0]] == order[p[1]]) == same]
            for same in (True, False)
        ]
        for distance in range(3, 48)
    }
    counted = {distance: both for distance, both in by_distance.items() if all(both)}
    n_same = sum(len(same) for same, _ in counted.values())
    weights, noise = np.zeros((48, 48)), np.zeros((48, 48))
    for same, other in counted.values():
        for i, j in same:
            weights[i, j] += 1 / n_same
            noise[[i, j], [i, j]] += 1 / (2 * n_same)
            noise[[i, j], [j, i]] -= 1 / (2 * n_same)
        for i, j in other:
            weights[i, j] -= len(same) / (n_same * len(other))
    trend = np.vander(np.arange(48.0)[is_valid], 3)
    removal = np.zeros((48, 48))
    removal[np.ix_(is_valid, is_valid)] = np.eye(46) - trend @ np.linalg.pinv(trend)
    form = removal @ (weights + weights.T) / 2 @ removal
    targets = np.eye(6)[order] * is_valid[:, None]
    signal, found_noise = pair_weights(order, is_valid)
    np.testing.assert_allclose(signal, form / np.trace(targets.T @ form @ targets), atol=1e-9)
    np.testing.assert_allclose(found_noise, noise, atol=1e-9)


def test_planted_signal_of_unit_variance_gives_one_and_no_trend_or_constant_gives_anything() -> None:
    order = order_of(1)
    planted = SIMULATION.patterns(np.random.default_rng(2), 20_000, 1)
    assert variances(planted[order], order, ALL).signal.mean() == pytest.approx(1, abs=0.01)
    time = np.linspace(-1, 1, 48)
    trends = np.stack([np.ones(48), time, time**2, 3 - time + 2 * time**2], axis=1)
    np.testing.assert_allclose(variances(trends, order, ALL).signal, 0, atol=1e-12)


@pytest.mark.parametrize("ncsnr", [0.141, 0.316, 0.707])
@pytest.mark.parametrize("lag_one", [0.0, 0.34, 0.5])
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_ncsnr_is_within_two_percent_of_what_was_planted_and_signal_within_three(
    ncsnr: float, lag_one: float, drift: float
) -> None:
    n_draws = 240 if ncsnr < 0.2 else 60
    (found,) = SIMULATION.recovered(ncsnr, Noise(lag_one, drift), n_draws, [SIMULATION.of_pairs], False, 1)
    assert found[0] == pytest.approx(1, abs=0.03)
    assert found[1] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("ncsnr", [0.141, 0.316, 0.707])
def test_zscored_by_run_ncsnr_is_within_two_percent_where_allens_form_and_anova_are_not(ncsnr: float) -> None:
    forms = [SIMULATION.of_pairs, SIMULATION.of_allen, SIMULATION.of_anova]
    pairs, allen, anova = SIMULATION.recovered(ncsnr, Noise(0.34, 0.3), 240 if ncsnr < 0.2 else 60, forms, True, 2)[
        :, 1
    ]
    assert pairs == pytest.approx(1, abs=0.02)
    assert allen < 0.92
    assert anova < (0.99 if ncsnr > 0.5 else 0.92)


@pytest.mark.parametrize("lag_one", [0.0, 0.5])
def test_across_runs_signal_is_within_one_percent(lag_one: float) -> None:
    assert SIMULATION.recovered_across(0.316, Noise(lag_one, 0.3), 250, 3) == pytest.approx(1, abs=0.01)


def test_across_runs_is_the_covariance_of_target_means() -> None:
    rng = np.random.default_rng(4)
    orders, valid = (order_of(5), order_of(6)), (ALL.copy(), ALL.copy())
    valid[1][7] = False
    betas = rng.standard_normal((2, 48, 3))
    means = [
        np.stack([run[is_valid & (order == target)].mean(axis=0) for target in range(6)])
        for run, order, is_valid in zip(betas, orders, valid, strict=True)
    ]
    expected = [np.cov(means[0][:, voxel], means[1][:, voxel])[0, 1] for voxel in range(3)]
    np.testing.assert_allclose(across_runs(*betas, orders, valid), expected)


@pytest.mark.parametrize(("ncsnr", "n"), [(0.141, 1), (0.316, 8), (0.316, 16), (0.707, 8)])
def test_a_perfect_model_explains_the_noise_ceiling_of_an_average(ncsnr: float, n: int) -> None:
    assert SIMULATION.perfect_model(ncsnr, n, 10) == pytest.approx(noise_ceiling(ncsnr, n), abs=0.01)


@pytest.mark.parametrize("drift", [0.0, 0.3])
@pytest.mark.parametrize("rule", ["as drawn", "blocks of six"])
def test_without_signal_p_of_a_roi_is_uniform_whatever_the_drift_and_the_making_of_the_schedule(
    drift: float, rule: str
) -> None:
    rng = np.random.default_rng(11)
    orders = draw_targets(rng, 400) if rule == "as drawn" else SIMULATION.blocks_of_six(rng, 400)
    p = SIMULATION.null_p(400, Noise(drift=drift), orders, DRAWS, 12)
    assert kstest(p, "uniform").pvalue > 0.001
    assert 0.03 <= np.mean(p <= 0.05) <= 0.08


def test_with_signal_p_of_a_roi_is_as_small_as_the_draws_allow() -> None:
    found = {(s.condition, s.stimulus_set): s.p for s in ceilings(experiment(13, 0.5, 0.3), draws=DRAWS) if s.how}
    assert found["vision", ""] == found["imagery", ""] == pytest.approx(1 / (1 + DRAWS))


def test_drawn_values_are_those_of_the_drawn_orders() -> None:
    rng = np.random.default_rng(14)
    betas, is_valid = rng.standard_normal((48, 30)), ALL.copy()
    is_valid[[0, 20, 47]] = False
    drawn = drawn_signal(betas @ betas.T, is_valid, 40)
    expected = [variances(betas, order, is_valid).signal.sum() for order in null_targets()[:40]]
    np.testing.assert_allclose(drawn, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("drift", [0.0, 0.3, 1.0])
def test_jackknife_intervals_hold_what_was_planted(drift: float) -> None:
    signal, ncsnr = SIMULATION.coverage(150, Noise(drift=drift), 15)
    assert min(signal, ncsnr) >= 0.93


def test_labelled_by_cue_vision_keeps_what_theory_says_of_its_signal() -> None:
    rng = np.random.default_rng(16)
    orders = draw_targets(rng, 200)
    cued = SIMULATION.draw_cued(rng, orders)
    targets = [np.eye(6)[order] for order in orders]
    forms = [pair_weights(letters, ALL)[0] for letters in cued]
    theory = np.mean([np.trace(seen.T @ form @ seen) for seen, form in zip(targets, forms, strict=True)])
    found = SIMULATION.by_cue(100, 17)
    assert found == pytest.approx(theory, abs=0.03)
    # 0.4² of the mean pattern of a letter, of which trials with themselves, that are no pairs here, are a part.
    assert 0.09 < found < 0.16


@pytest.mark.parametrize("drift", [0.3, 1.0])
def test_with_one_schedule_for_eight_subjects_signal_is_unbiased_and_the_group_is_covered(drift: float) -> None:
    ratio, covered = SIMULATION.one_schedule(60, Noise(drift=drift), 18)
    assert ratio == pytest.approx(1, abs=0.03)
    assert covered >= 0.92


def test_what_is_carried_over_from_the_trial_before_takes_from_signal_and_finds_none_where_there_is_none() -> None:
    assert SIMULATION.carried_over(60, 0.1, 19) == pytest.approx(0.957, abs=0.02)
    rng, order = np.random.default_rng(20), order_of(21)
    evoked = rng.standard_normal((6, 20_000))[order_of(22)]
    assert variances(evoked, order, ALL).signal.mean() == pytest.approx(0, abs=0.03)


def test_trials_that_are_not_valid_count_for_nothing_and_bias_nothing() -> None:
    rng = np.random.default_rng(23)
    found = []
    for order in draw_targets(rng, 60):
        is_valid = rng.random(48) > 0.2
        betas = SIMULATION.patterns(rng, 800, 0.316)[order] + SIMULATION.noise_of(rng, 800, Noise())
        found.append([values.mean() for values in variances(betas, order, is_valid)])
        betas[~is_valid] = 1e6
        np.testing.assert_allclose(
            [values.mean() for values in variances(betas, order, is_valid)], found[-1], rtol=1e-6
        )
    signal, noise = np.mean(found, axis=0)
    assert (signal / noise) ** 0.5 == pytest.approx(0.316, rel=0.02)


def number(value: float | None) -> float:
    assert value is not None
    return value


def scores_of(measured: list[Measured], **said: object) -> list[Score]:
    scores = [one.score for one in measured]
    return [score for score in scores if all(getattr(score, name) == value for name, value in said.items())]


def test_sums_come_first_over_runs_and_voxels() -> None:
    runs = experiment(24, 0.5, 0.3)
    by_voxel = [variances(run.betas, run.order, run.is_valid) for run in runs.of("imagery")]
    signal, noise = (sum(getattr(one, name).sum() for one in by_voxel) for name in ("signal", "noise"))
    measured = measured_ceilings(runs, draws=DRAWS)
    (ncsnr,) = scores_of(measured, measure="ncsnr", condition="imagery", stimulus_set="", how="within")
    assert ncsnr.value == pytest.approx((signal / noise) ** 0.5, rel=1e-5)
    ceiling = scores_of(measured, measure="noise_ceiling", condition="imagery", stimulus_set="", how="within")
    assert [(score.n_repeats, score.unit) for score in ceiling] == [(1, "trial"), (8, "mean"), (16, "mean")]
    assert [score.value for score in ceiling] == pytest.approx([noise_ceiling(ncsnr.value, n) for n in (1, 8, 16)])
    (strength,) = scores_of(measured, measure="signal_variance", condition="imagery", stimulus_set="", how="within")
    assert strength.value == pytest.approx(signal / (6 * 80), rel=1e-5)
    maps = voxel_variances(runs, "imagery")
    assert maps is not None
    assert strength.value == pytest.approx(maps.signal.mean(), rel=1e-5)
    assert maps.signal.min() < 0  # not clipped


def test_each_score_has_interval_chance_p_and_what_stands_beside_it() -> None:
    for score in ceilings(experiment(25, 0.5, 0.3), draws=DRAWS):
        assert score.low <= score.value <= score.high
        assert score.chance == 0
        assert score.n_candidates == 6
        assert score.n_voxels == 80
        assert (score.p is None) == (score.condition == "imagery/vision")
        assert score.draws == (None if score.p is None else DRAWS)
        assert ("includes the letter" in score.reason) == ("imagery" in score.condition)
        assert ("of the concept" in score.reason) == (score.condition == "vision" and score.stimulus_set in ("C", ""))
    scores = ceilings(experiment(25, 0.5, 0.3), draws=9)
    by_key = {(s.condition, s.stimulus_set): s for s in scores if s.measure == "ncsnr"}
    assert by_key["vision", "A"].n_trials == 48
    assert by_key["imagery", ""].n_trials == 288


def test_what_lacks_a_run_says_so_and_has_no_ceiling_of_a_number_of_trials_that_nobody_averages() -> None:
    whole = experiment(27, 0.7, 0.5)
    kept = tuple(run for run in whole if run.name not in ("visB", "imgA_2"))
    runs = replace(whole, runs=kept, left_out={"visB": "gone", "imgA_2": "gone"})
    scores = ceilings(runs, draws=DRAWS)
    assert {score.n_repeats for score in scores if score.measure == "noise_ceiling"} == {1, 8, 16}
    said = {(s.condition, s.stimulus_set, s.how): s.reason for s in scores if s.measure == "signal_variance"}
    assert "without visB of subj01" in said["vision", "", "within"]
    assert "without imgA_2 of subj01" in said["imagery", "A", "within"]
    assert "without imgA_2 of subj01" in said["imagery", "", "within"]
    assert "without set A of subj01" in said["imagery", "", "across"]
    assert "without set B of subj01" in said["imagery/vision", "", "within"]
    assert not any("without" in said["imagery", name, "within"] for name in "BC")


def test_the_ratio_of_imagery_to_vision_is_of_percent_signal_change() -> None:
    found = []
    for seed in range(12):
        runs = experiment(seed, 0.5**0.5, 0.05**0.5, n_voxels=200)
        (score,) = [s for s in ceilings(runs, draws=19) if s.condition == "imagery/vision" and not s.stimulus_set]
        found.append(score.value)
    assert np.mean(found) == pytest.approx(0.1, abs=0.01)  # z-scores would say 0.05/1.05 by 0.5/1.5, 0.143


def test_nothing_is_divided_by_a_signal_that_is_not_there() -> None:
    scores = ceilings(experiment(26, 0, 0.5), draws=DRAWS)
    p = {s.stimulus_set: s.p for s in scores if (s.measure, s.condition) == ("signal_variance", "vision")}
    ratios = {s.stimulus_set: s for s in scores if s.condition == "imagery/vision"}
    assert min(map(number, p.values())) <= 0.05 < max(map(number, p.values()))
    for name, score in ratios.items():
        assert (score.value is None) == (number(p[name]) > 0.05)
        assert ("no reliable signal to normalise by" in score.reason) == (score.value is None)


def test_signal_estimated_below_zero_is_said_and_its_root_is_zero() -> None:
    measured = measured_ceilings(experiment(1, 0, 0, n_voxels=20), draws=9)
    (strength,) = scores_of(measured, measure="signal_variance", condition="vision", stimulus_set="")
    assert number(strength.value) < 0
    (ncsnr,) = scores_of(measured, measure="ncsnr", condition="vision", stimulus_set="")
    assert (ncsnr.value, ncsnr.low) == (0, 0)
    assert "below 0" in ncsnr.reason


def test_a_roi_where_no_voxel_varies_has_no_numbers_and_says_why() -> None:
    runs = experiment(27, 0.5, 0.3)
    still = replace(runs, n_voxels=0, runs=tuple(replace(run, betas=run.betas * 0) for run in runs))
    scores = ceilings(still, draws=9)
    assert {score.value for score in scores} == {None}
    assert "no voxel of the ROI varies" in {score.reason for score in scores}


def test_rois_are_corrected_for_their_number_by_the_greatest_z() -> None:
    small = [0, 0]
    for seed in range(150):
        runs = experiment(seed, 0, 0, n_voxels=60)
        shared = runs.runs[0]
        assert shared.variance is not None
        rois = []
        for number in range(4):
            mine = slice(10 * number, 10 * number + 30)
            run = replace(shared, betas=shared.betas[:, mine], variance=shared.variance[mine])
            rois.append(replace(runs, roi=f"roi{number}", n_voxels=30, runs=(run,)))
        measured = [
            next(one for one in measured_ceilings(roi, draws=199) if one.score.stimulus_set == "A") for roi in rois
        ]
        scores = [one.score for one in corrected(measured)]
        assert {score.family for score in scores} == {"roi0, roi1, roi2, roi3"}
        small[0] += min(score.p for score in scores) <= 0.05
        small[1] += min(score.p_corrected for score in scores) <= 0.05
    assert small[1] / 150 <= 0.08 < small[0] / 150


def test_a_group_shares_each_draw_and_says_fixed_effects() -> None:
    runs = [replace(experiment(seed, 0.3, 0.1), subject=f"subj0{seed + 1}") for seed in range(4)]
    subjects = [measured_ceilings(one, draws=DRAWS) for one in runs]
    together = [grouped([subject[number] for subject in subjects]) for number in range(len(subjects[0]))]
    (ncsnr,) = scores_of(together, measure="ncsnr", condition="vision", stimulus_set="")
    same = [scores_of(one, measure="ncsnr", condition="vision", stimulus_set="")[0].value for one in subjects]
    ratios = np.square(same)
    assert ncsnr.value == pytest.approx(np.mean(ratios) ** 0.5)
    assert (ncsnr.subject, ncsnr.n_subjects, ncsnr.n_trials) == ("group", 4, 4 * 144)
    assert number(ncsnr.low) < 0.3 < number(ncsnr.high)
    assert "fixed effects" in ncsnr.chance_method
    assert "4 of 4 subjects at p ≤ 0.05" in ncsnr.chance_method
    two = [grouped([subject[0] for subject in subjects[:2]])][0].score
    assert (two.low, two.high) == (None, None)
    assert two.p is not None


def test_repeats_of_perception_are_held_against_the_other_pairs_of_their_sessions() -> None:
    rng = np.random.default_rng(28)
    stimulus, session = np.repeat(np.arange(20), 3), rng.integers(0, 2, 60)
    scores = rng.standard_normal((60, 3))
    for number in (0, 1):
        scores[session == number] = SIMULATION.zscored(scores[session == number])
    same: dict[tuple[int, int], list[np.ndarray]] = {}
    other: dict[tuple[int, int], list[np.ndarray]] = {}
    apart = []
    for i, j in zip(*np.triu_indices(60, 1), strict=True):
        key = (min(session[i], session[j]), max(session[i], session[j]))
        (same if stimulus[i] == stimulus[j] else other).setdefault(key, []).append(scores[i] * scores[j])
        if stimulus[i] == stimulus[j]:
            apart.append((scores[i] - scores[j]) ** 2 / 2)
    expected = sum(np.sum(same[key], axis=0) - len(same[key]) * np.mean(other[key], axis=0) for key in same) / 60
    found = repeat_variances(scores, pairs_of(session, stimulus.astype(str)))
    np.testing.assert_allclose(found.signal, expected)
    np.testing.assert_allclose(found.noise, np.mean(apart, axis=0))


def test_perception_finds_what_was_planted() -> None:
    rng = np.random.default_rng(29)
    sums = np.zeros(2)
    for _ in range(20):
        stimulus, session = rng.permutation(np.repeat(np.arange(100), 3)), np.repeat(np.arange(4), 75)
        betas = 0.316 * rng.standard_normal((100, 500))[stimulus] + rng.standard_normal((300, 500))
        betas += 3 * rng.standard_normal((4, 500))[session]
        for number in range(4):
            betas[session == number] = SIMULATION.zscored(betas[session == number])
        sums += [values.mean() for values in repeat_variances(betas, pairs_of(session, stimulus.astype(str)))]
    assert (sums[0] / sums[1]) ** 0.5 == pytest.approx(0.316, rel=0.02)


def test_perception_of_a_folder_stands_beside_the_releases_map_however_it_was_scaled(
    repeated_release: Path, tmp_path: Path
) -> None:
    percent = nsd_imagery.build(repeated_release, tmp_path / "percent", conditions=["perception"], zscore="none")
    found = perception(percent, "subj01")
    ncsnr = next(one.score for one in found.scores if one.score.measure == "ncsnr")
    voxels = nsd_imagery.load(percent, "subj01-voxels", "train").to_pandas()["ncsnr_nsd"]
    assert ncsnr.reference == pytest.approx(float(np.sqrt((voxels**2).mean())))
    assert ncsnr.low <= ncsnr.reference <= ncsnr.high
    assert found.variances is not None
    assert number(ncsnr.value) ** 2 == pytest.approx(found.variances.signal.sum() / found.variances.noise.sum())
    others = perception(nsd_imagery.build(repeated_release, tmp_path / "d", conditions=["perception"]), "subj01")
    for one, other in zip(found.scores, others.scores, strict=True):
        assert one.score.value == pytest.approx(other.score.value, rel=1e-4)


def test_a_folder_without_perception_says_so(dataset: Path) -> None:
    found = perception(dataset, "subj01")
    assert found.variances is None
    assert {one.score.reason for one in found.scores} == {"the folder has no test split of subj01-perception"}


def test_a_release_has_more_signal_in_vision_than_in_imagery_and_it_is_found(dataset: Path) -> None:
    scores = ceilings(load_runs(dataset, "subj01", "nsdgeneral"), draws=DRAWS)
    found = {(s.condition, s.stimulus_set, s.measure): s for s in scores if s.how == "within"}
    vision, imagery = (number(found[name, "", "signal_variance"].value) for name in ("vision", "imagery"))
    assert vision > imagery > 0
    assert found["vision", "A", "signal_variance"].p == pytest.approx(1 / (1 + DRAWS))


def test_the_gram_matrix_of_a_condition_is_enough_for_all_of_it() -> None:
    runs = experiment(30, 0.5, 0.3)
    assert [one.score for one in measured_ceilings(runs, products=gram(runs), draws=9)] == ceilings(runs, draws=9)
    assert ceilings(runs, draws=9) == ceilings(runs, draws=9)
    assert len(FIRST) == len(SECOND) == 1128
