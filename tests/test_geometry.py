"""Distances and shared patterns: exact by brute force, unbiased by noise, and nothing without sound betas."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarked import benchmark
from nsd_imagery.evaluation.geometry import (
    Shared,
    _lag_matched,
    noise_corrected,
    rdm,
    rdm_across,
    rdm_ceiling,
    rdm_similarity,
    rdm_within,
    shared,
)
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.identify import Drawn, drawn_orders
from nsd_imagery.evaluation.relations import grouped_similarity, measured_geometry, pattern_correlation
from nsd_imagery.evaluation.runs import Runs
from nsd_imagery.evaluation.score import from_table, to_table

pytestmark = pytest.mark.slow

SIM = benchmark("planted")
CALIBRATION = benchmark("calibration_identify")
UPPER = np.triu_indices(6, 1)
Array = NDArray[np.float64]


def subject(number: int, version: str = "fithrf", n_voxels: int = 60, **planted: float) -> Runs:
    """Nine runs; all subjects have one schedule."""
    drawn = SIM.schedules(np.random.default_rng(0), 3)
    rng = np.random.default_rng(number)
    pairs = zip("ABC", drawn, strict=True)
    sets = [SIM.session(rng, schedule, SIM.Planted(**planted), n_voxels, name) for name, schedule in pairs]
    runs = tuple(run for one in sets for run in one[:3])
    return Runs(f"subj0{number}", "nsdgeneral", version, "0123", n_voxels, runs, {})


def crossnobis(first: Array, second: Array) -> Array:
    """By rsatoolbox, with two folds and identity noise."""
    from rsatoolbox.data.dataset import Dataset
    from rsatoolbox.rdm.calc import calc_rdm

    folds = {"target": np.tile(np.arange(6), 2), "run": np.repeat([0, 1], 6)}
    patterns = Dataset(np.concatenate([first, second]), obs_descriptors=folds)
    with np.errstate(invalid="ignore"):  # it makes room for labels by NaN
        found = calc_rdm(patterns, method="crossnobis", descriptor="target", cv_descriptor="run")
    return found.get_matrices()[0]


def test_distances_across_runs_are_crossnobis_with_identity_noise() -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 6, 50))
    np.testing.assert_allclose(rdm(first, second), crossnobis(first, second), atol=1e-10)


def test_distances_of_runs_are_those_of_their_mean_patterns() -> None:
    rng = np.random.default_rng(1)
    one = SIM.session(rng, SIM.schedules(rng, 1)[0], SIM.Planted(imagery=0.5))
    means = [np.stack([run.betas[run.order == k].mean(axis=0) for k in range(6)]) for run in (one.first, one.second)]
    np.testing.assert_allclose(rdm_across(one.first, one.second, one.products), crossnobis(*means), atol=1e-6)


def test_distances_within_a_run_are_unbiased_by_noise_of_neighbours_and_drift() -> None:
    rng = np.random.default_rng(2)
    n_runs, n_voxels = 150, 200
    for ncsnr in (0.0, 0.5):
        patterns = ncsnr * rng.standard_normal((6, n_voxels))
        true = np.square(patterns[:, None] - patterns).mean(axis=2)[UPPER]
        found, plain = [], []
        for schedule in SIM.schedules(rng, n_runs):
            noise = SIM.noise_of(rng, (48, n_voxels), 0.5)
            noise += 0.3 * np.outer(np.linspace(-1.7, 1.7, 48), rng.standard_normal(n_voxels))
            run = SIM.run_of("visA", schedule.vision, patterns[schedule.vision] + noise)
            size = (patterns[schedule.vision] + noise).var(axis=0, ddof=1).mean()
            found.append(rdm_within(run, gram([run]))[UPPER] * size)
            means = np.stack([run.betas[run.order == k].mean(axis=0) for k in range(6)])
            plain.append(np.square(means[:, None] - means).mean(axis=2)[UPPER].mean() * size)
        assert np.mean(found) == pytest.approx(true.mean(), rel=0.05, abs=0.01)
        assert np.mean(plain) > true.mean() + 0.1  # noise adds to distances that are not cross-validated
        if ncsnr:
            assert np.corrcoef(np.mean(found, axis=0), true)[0, 1] > 0.95


def test_noise_that_depends_on_distance_in_time_alone_makes_no_distance_of_targets() -> None:
    order = SIM.schedules(np.random.default_rng(7), 1)[0].vision
    products = 0.9 ** np.abs(np.subtract.outer(np.arange(48), np.arange(48)))
    np.testing.assert_allclose(_lag_matched(products, order, SIM.ALL), 0, atol=1e-12)


def test_all_other_names_of_targets_are_the_null_of_an_rdm() -> None:
    rng = np.random.default_rng(3)
    one, other = (rdm(*(2 * [rng.standard_normal((6, 20))])) for _ in range(2))
    cosines = []
    for names in permutations(range(6)):
        renamed = other[np.ix_(names, names)][UPPER]
        cosines.append(one[UPPER] @ renamed / np.linalg.norm(one[UPPER]) / np.linalg.norm(renamed))
    found = rdm_similarity(one, other, "B")
    assert found.value == pytest.approx(cosines[0])
    np.testing.assert_allclose(np.sort(found.null), np.sort(cosines[1:]), atol=1e-12)
    assert found.p == pytest.approx(np.mean(np.array(cosines) >= cosines[0] - 1e-12))
    assert rdm_similarity(one, one).p == pytest.approx(1 / 720)
    assert not np.array_equal(found.null, rdm_similarity(one, other, "A").null)  # sets are relabelled independently


def test_p_of_the_likeness_of_rdms_is_uniform_where_they_have_nothing_to_do_with_each_other() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(400):
        patterns = rng.standard_normal((2, 6, 30))
        one, other = (rdm(*(own + rng.standard_normal((2, 6, 30)))) for own in patterns)
        found.append(rdm_similarity(one, other).p)
    assert 0.03 <= np.mean(np.array(found) <= 0.05) <= 0.08


def test_ceilings_of_rdms_hold_the_subject_in_and_out() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random((6, 6)) + 0.5
    rdms = [truth + truth.T + noise + noise.T for noise in 0.3 * rng.standard_normal((5, 6, 6))]
    ceiling = rdm_ceiling(rdms)
    unit = [one[UPPER] / np.linalg.norm(one[UPPER]) for one in rdms]

    def cosine(left: Array, right: Array) -> float:
        return left @ right / np.linalg.norm(left) / np.linalg.norm(right)

    upper = [cosine(one, np.sum(unit, axis=0)) for one in unit]
    lower = [cosine(unit[k], np.sum([unit[j] for j in range(5) if j != k], axis=0)) for k in range(5)]
    assert ceiling is not None
    assert ceiling == pytest.approx((np.mean(lower), np.mean(upper)))
    assert ceiling.lower < ceiling.upper <= 1
    assert rdm_ceiling(rdms[:1]) is None


@pytest.mark.parametrize("planted", [0.0, 0.3, 0.6])
def test_the_correlation_that_is_corrected_for_noise_is_what_was_planted(planted: float) -> None:
    found = CALIBRATION.correlation(40, SIM.Planted(vision=0.316, imagery=0.316, correlation=planted), 30)
    assert found.mean() == pytest.approx(planted, abs=0.03)


def test_a_letter_alone_is_no_correlation_of_patterns() -> None:
    found = CALIBRATION.correlation(40, SIM.Planted(vision=0.316, imagery=0.316, letter=0.2), 31)
    assert found.mean() == pytest.approx(0, abs=0.03)


def test_drawn_covariances_are_those_of_runs_with_that_order() -> None:
    rng = np.random.default_rng(6)
    one = SIM.session(rng, SIM.schedules(rng, 1)[0], SIM.Planted(vision=0.3, imagery=0.3, correlation=0.5))
    gaps = np.isin(np.arange(48), (4, 5, 20), invert=True)
    second = replace(one.second, is_valid=gaps, betas=(one.second.betas * gaps[:, None]).astype(np.float32))
    products = gram((one.vision, one.first, second))
    found = shared(one.vision, one.first, second, products, 5)
    for place, order in enumerate(drawn_orders(second, 5)):
        again = shared(one.vision, one.first, replace(second, order=order), products, 0)
        assert found.covariance.null[place] == pytest.approx(again.covariance.value)
        assert found.imagery.null[place] == pytest.approx(again.imagery.value)
    assert len(found.vision.null) == 5


def test_a_correlation_is_of_the_group_with_its_covariance_beside_it() -> None:
    subjects = [measured_geometry(subject(k, vision=0.5, imagery=0.4, correlation=0.7), draws=99) for k in range(1, 7)]
    found = pattern_correlation(subjects).score
    assert (found.subject, found.n_subjects, found.measure) == ("group", 6, "pattern_correlation")
    assert found.low < found.value < found.high
    assert found.p == 0.01
    parts = [one.shared[name] for one in subjects for name in "AB"]
    assert found.value == noise_corrected(parts)
    of_set = pattern_correlation(subjects, ["C"]).score
    assert (of_set.stimulus_set, of_set.value) == ("C", noise_corrected([one.shared["C"] for one in subjects]))
    covariance = [one.score for one in subjects[0].scores if one.score.measure == "pattern_covariance"]
    assert [one.stimulus_set for one in covariance] == ["A", "B", "C", ""]
    assert all(one.p is not None for one in covariance)
    assert pattern_correlation(subjects[:2]).score.reason == "of the group alone: needs 3 subjects"
    alike = grouped_similarity(subjects, "A").score
    assert alike.reference is not None
    assert "lower noise ceiling" in alike.reference_method
    scores = [one.score for one in (*subjects[0].scores, pattern_correlation(subjects))]
    assert from_table(to_table(scores)) == scores


def test_a_correlation_is_never_clipped_and_has_no_value_without_signal() -> None:
    strong, weak = Drawn(1.2, np.zeros(0)), Drawn(1.0, np.zeros(0))
    assert noise_corrected([Shared(strong, weak, weak)]) == 1.2
    assert np.isnan(noise_corrected([Shared(strong, weak, Drawn(-0.1, np.zeros(0)))]))
    without = [measured_geometry(subject(number), draws=99) for number in range(1, 5)]
    found = pattern_correlation(without).score
    assert found.value is None
    assert found.reason.startswith("no reliable signal to normalise by")


def test_without_plain_betas_there_is_nothing_of_imagery_but_distances_of_vision() -> None:
    regular = [subject(number, "fithrf_GLMdenoise_RR", vision=0.5) for number in (1, 2, 3)]
    found = [measured_geometry(runs, draws=19) for runs in regular]
    assert {one.score.value for one in found[0].scores} == {None}
    assert all("chosen by agreement of these labels" in one.score.reason for one in found[0].scores)
    assert set(found[0].vision) == {"A", "B", "C"}
    assert not found[0].imagery
    assert "chosen by agreement" in pattern_correlation(found).score.reason
    assert "chosen by agreement" in grouped_similarity(found, "A").score.reason
    plain = measured_geometry(regular[0], subject(1, vision=0.5), draws=19)
    assert {one.score.beta_version for one in plain.scores} == {"fithrf"}
    assert all(one.score.value is not None for one in plain.scores)


def test_a_set_without_a_run_says_so_and_the_others_are_there() -> None:
    whole = subject(1, vision=0.5)
    runs = tuple(run for run in whole if run.name != "visB")
    found = measured_geometry(replace(whole, runs=runs, left_out={"visB": "it is gone"}), draws=19)
    of_b = [one.score for one in found.scores if one.score.stimulus_set == "B"]
    assert [(one.value, one.reason) for one in of_b] == [(None, "visB: it is gone")] * 2
    assert set(found.imagery) == {"A", "B", "C"}
    assert set(found.shared) == {"A", "C"}
