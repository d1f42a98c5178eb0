"""The check of betas against labels: right labels pass, each rival labelling is named, noise accuses nobody."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarked import benchmark
from nsd_imagery.chance.orders import FIRST, N_DRAWS, SECOND, draw_cued, draw_targets, null_orders
from nsd_imagery.chance.similarity import identification
from nsd_imagery.checks.agreement.measure import check_session
from nsd_imagery.checks.agreement.session import SessionBetas
from nsd_imagery.checks.agreement.verdicts import AS_LABELLED, BY_CUE, ROW_RIVALS, SWAPPED, Judgement, pool
from nsd_imagery.checks.data import AREAS, areas_of, labelled_betas
from nsd_imagery.checks.rows import plain_rows
from nsd_imagery.sources.nsdimagery import read_session
from nsd_imagery.sources.release_files import anatomy
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.read import read_betas
from nsd_imagery.volumes.roi import resolve

pytestmark = pytest.mark.slow

LATE, EARLY, GROUPED, OTHER_RUN = ROW_RIVALS
RIVAL_QUESTIONS = ("vision-against-imagery", "seen-or-cued", "row-order", "voxel-order")
BETAS = "fithrf_GLMdenoise_RR"


BENCHMARK = benchmark("calibrate_agreement")


@cache
def simulated(seed: int = 0, level: str = "average") -> SessionBetas:
    return BENCHMARK.simulate(seed, BENCHMARK.LEVELS[level])


def released(root: Path, subject: str) -> SessionBetas:
    """The session of a release, as `verify` reads it."""
    session = read_session(ReleaseTables(root), subject, BETAS)
    rois = {name: resolve(name, Maps(anatomy(root, subject))) for name in ("nsdgeneral", *AREAS)}
    whole = rois["nsdgeneral"]
    betas = read_betas(session.beta_path, whole.grid, whole.flat, None)
    percent = betas.header.scaling.percent(betas.stored)
    return labelled_betas(plain_rows(session.rows), percent, betas.is_valid, areas_of(whole, rois))


def verdicts(judgement: Judgement) -> dict[str, str]:
    return {answer.question: answer.verdict for answer in judgement.answers}


def is_right(judgement: Judgement) -> bool:
    questions = ("seen-target", *RIVAL_QUESTIONS)
    return judgement.best == AS_LABELLED and all(verdicts(judgement)[question] == "pass" for question in questions)


def test_right_labels_of_a_release_pass(release: Path) -> None:
    for subject in ("subj01", "subj02"):
        judgement = check_session(released(release, subject))
        assert is_right(judgement), judgement.answers


def test_right_labels_of_simulated_subjects_pass() -> None:
    for seed in range(5):
        assert is_right(check_session(simulated(seed)))


FAULTS = [
    (BENCHMARK.by_cue, "seen-or-cued", BY_CUE),
    (BENCHMARK.swapped, "vision-against-imagery", SWAPPED),
    (BENCHMARK.one_row_late, "row-order", LATE),
    (BENCHMARK.one_row_early, "row-order", EARLY),
    (BENCHMARK.grouped, "row-order", GROUPED),
    (BENCHMARK.other_run_order, "row-order", OTHER_RUN),
]


@pytest.mark.parametrize(("plant", "question", "best"), FAULTS, ids=[best for *_, best in FAULTS])
def test_a_fault_fails_by_name(
    plant: Callable[[SessionBetas], SessionBetas], question: str, best: str, release: Path
) -> None:
    for session in (simulated(), released(release, "subj01")):
        judgement = check_session(plant(session))
        assert judgement.answer(question).verdict == "fail"
        assert judgement.best == best
        assert best in judgement.answer(question).reason or question == "vision-against-imagery"


def test_shuffled_voxels_fail(release: Path) -> None:
    for session in (simulated(), released(release, "subj01")):
        assert check_session(BENCHMARK.shuffled_voxels(session)).answer("voxel-order").verdict == "fail"


def test_a_target_copied_from_the_cue_fails() -> None:
    session = simulated()
    judgement = check_session(replace(session, target=session.cued_target))
    assert judgement.answer("seen-or-cued").verdict == "fail"
    assert judgement.best == BY_CUE


def test_labels_that_have_nothing_to_do_with_the_data_fail() -> None:
    other = simulated(1)
    judgement = check_session(replace(simulated(), target=other.target, cued_target=other.cued_target))
    assert judgement.answer("seen-target").verdict == "fail"
    assert judgement.best is None


def test_noise_proves_nothing_and_accuses_no_labels() -> None:
    shares = []
    for seed in range(24):
        judgement = check_session(simulated(seed, "none"))
        assert {verdicts(judgement)[question] for question in RIVAL_QUESTIONS} == {"not decidable"}
        assert judgement.best is None
        shares += [judgement.answer("seen-target").numbers[f"identification_{name}_early"] for name in "AB"]
    assert np.mean(shares) == pytest.approx(1 / 6, abs=0.02)  # neighbours do not speak against the right target


def test_weak_signal_accuses_no_labels() -> None:
    for seed in range(8):
        judgement = check_session(simulated(seed, "weakest"))
        assert "fail" not in {verdicts(judgement)[question] for question in RIVAL_QUESTIONS}
        assert judgement.best in (AS_LABELLED, None)


def test_subjects_pooled_decide_what_none_of_them_does_alone() -> None:
    weak = [simulated(seed, "weakest") for seed in range(8)]
    assert is_right(pool([check_session(session) for session in weak]))
    by_cue = [check_session(BENCHMARK.by_cue(session)) for session in weak]
    assert any(judgement.best is None for judgement in by_cue)
    assert pool(by_cue).best == BY_CUE


def test_pooled_noise_accuses_no_labels() -> None:
    judgement = pool([check_session(simulated(seed, "none")) for seed in range(8)])
    assert judgement.best is None
    assert judgement.answer("seen-target").verdict == "fail"


def test_one_set_with_wrong_labels_fails_when_pooled() -> None:
    wrong = []
    for seed in range(4):
        session = simulated(seed)
        rows = np.flatnonzero((session.condition == "vision") & (session.stimulus_set == "B"))
        target = session.target.copy()
        target[rows] = target[rows[::-1]]
        wrong.append(check_session(replace(session, target=target)))
    assert "pass" not in {judgement.answer("seen-target").verdict for judgement in wrong}
    assert pool(wrong).answer("seen-target").verdict == "fail"
    assert "set B do not fit" in pool(wrong).answer("seen-target").reason


def test_too_few_trials_are_not_decidable() -> None:
    session = simulated()
    vision = np.flatnonzero(session.condition == "vision")
    is_valid = session.is_valid.copy()
    is_valid[vision] = np.arange(len(vision)) % 48 < 30
    judgement = check_session(replace(session, betas=session.betas * is_valid[:, None], is_valid=is_valid))
    assert {answer.verdict for answer in judgement.answers} == {"not decidable", "information"}
    assert judgement.best is None


def test_some_invalid_trials_and_dead_voxels_change_no_verdict() -> None:
    session = simulated()
    rng = np.random.default_rng(0)
    is_valid = rng.random(720) > 0.05
    betas = session.betas * is_valid[:, None]
    betas[:, rng.permutation(betas.shape[1])[:50]] = 0
    assert is_right(check_session(replace(session, betas=betas, is_valid=is_valid)))


def test_rows_in_any_order_and_runs_by_name_give_the_same() -> None:
    session = simulated()
    order = np.random.default_rng(0).permutation(720)
    columns = ("betas", "condition", "stimulus_set", "run", "position", "target", "cued_target", "is_valid")
    shuffled = replace(session, **{column: getattr(session, column)[order] for column in columns})
    named = replace(shuffled, run=np.array([f"run {number}" for number in shuffled.run]))
    assert check_session(named).answers == check_session(session).answers


def test_half_a_session_is_not_decidable_where_runs_lack() -> None:
    session = simulated()
    for keep in (session.condition == "imagery", session.condition == "vision", np.zeros(720, bool)):
        columns = ("betas", "condition", "stimulus_set", "run", "position", "target", "cued_target", "is_valid")
        judgement = check_session(replace(session, **{column: getattr(session, column)[keep] for column in columns}))
        assert judgement.answer("vision-against-imagery").verdict == "not decidable"
        assert "fail" not in verdicts(judgement).values()


def test_two_runs_are_identical() -> None:
    first = check_session(simulated())
    null_orders.cache_clear()
    assert check_session(simulated()).answers == first.answers


def test_drawn_orders_keep_the_rules_of_the_experiment() -> None:
    rng = np.random.default_rng(0)
    targets = draw_targets(rng, 200)
    cued = draw_cued(rng, targets)
    every = np.arange(6)
    assert np.all(targets[:, 1:] != targets[:, :-1])
    for order in (targets, cued):
        assert np.all((order[:, :, None] == every).sum(axis=1) == 8)
    assert np.all((((targets == cued)[:, :, None]) & (targets[:, :, None] == every)).sum(axis=1) == 4)
    assert null_orders().targets.shape == (N_DRAWS, 48)


COLUMNS = ("betas", "condition", "stimulus_set", "run", "position", "target", "cued_target", "is_valid")


def of_runs(session: SessionBetas, *runs: int) -> SessionBetas:
    keep = np.isin(session.run, runs)
    return replace(session, **{column: getattr(session, column)[keep] for column in COLUMNS})


def without_variance(session: SessionBetas, rows: np.ndarray, voxels: np.ndarray) -> SessionBetas:
    betas = session.betas.copy()
    betas[np.ix_(rows, voxels)] = 3
    return replace(session, betas=betas)


def test_a_session_with_one_run_is_judged_by_what_that_run_can_say() -> None:
    for run in range(1, 13):
        said = verdicts(check_session(of_runs(simulated(), run)))
        seen = "pass" if run in (1, 4) else "not decidable"  # visA and visB
        assert said["seen-target"] == said["seen-or-cued"] == said["voxel-order"] == seen
        assert said["vision-against-imagery"] == said["row-order"] == "not decidable"


@pytest.mark.parametrize("run", [3, 6, 9, 10, 11, 12])
def test_a_session_without_one_of_its_imagery_runs_is_judged_by_the_others(run: int) -> None:
    judgement = check_session(of_runs(simulated(), *(set(range(1, 13)) - {run})))
    assert is_right(judgement)
    assert len(judgement.answer("imagery-repeats").numbers) == 2 + 2  # p, z, and the two sets that have both runs


def test_blocks_are_compared_with_at_least_three_imagery_runs() -> None:
    assert is_right(check_session(of_runs(simulated(), 1, 4, 3, 6, 9)))
    judgement = check_session(of_runs(simulated(), 1, 4, 3, 6))
    assert judgement.answer("row-order").verdict == "not decidable"
    assert judgement.answer("row-order").reason == f"not excluded: {GROUPED}"


def test_an_early_visual_cortex_without_data_or_voxels_decides_nothing_and_accuses_no_labels() -> None:
    session, every = simulated(), np.ones(720, bool)
    nothing = np.zeros_like(session.early)
    for dead in (
        without_variance(session, every, session.early),
        without_variance(session, every, session.nsdgeneral),
        replace(session, early=nothing, v1_v3=nothing),
    ):
        judgement = check_session(dead)
        assert {answer.verdict for answer in judgement.answers} == {"not decidable", "information"}
        assert "and voxels that vary" in judgement.answer("seen-target").reason
        assert judgement.best is None


def test_a_vision_run_without_data_in_early_visual_cortex_leaves_the_verdict_to_the_others() -> None:
    session = simulated()
    rows = (session.condition == "vision") & (session.stimulus_set == "B")
    for voxels in (session.early, session.nsdgeneral):
        judgement = check_session(without_variance(session, rows, voxels))
        assert "fail" not in verdicts(judgement).values()
        assert "in set A (" in judgement.answer("seen-target").reason
    for voxels in (session.early, session.nsdgeneral):
        judgement = check_session(without_variance(session, session.condition == "vision", voxels))
        assert judgement.answer("seen-target").verdict == "not decidable"
        assert judgement.answer("vision-against-imagery").verdict == "not decidable"


def test_a_target_is_a_candidate_from_its_first_other_trial_on() -> None:
    targets, is_valid = np.arange(48, dtype=np.int8) % 6, np.zeros(48, bool)
    trials = [0, 10, 20]
    targets[trials], is_valid[trials] = [1, 1, 0], True
    similarity = np.zeros(len(FIRST))
    for one, other, alike in ((0, 10, -0.1), (0, 20, -0.5), (10, 20, -0.5)):
        similarity[(one == FIRST) & (other == SECOND)] = alike
    # The two of target 1 have each other; the one of target 0 has no other trial, and nothing that it could be like.
    assert identification(similarity, targets, is_valid) == pytest.approx(2 / 3)
