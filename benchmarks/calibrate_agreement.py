"""How often `verify` judges the agreement of betas and labels rightly, as a Markdown table.

    python benchmarks/calibrate_agreement.py --subjects 1000

Subjects are simulated in ROI space: some hundred voxels at random places in two areas, noise and patterns as in the
synthetic release (neighbouring betas correlated by 0.3, noise smooth in space), a schedule drawn anew for each.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from nsd_imagery.checks.agreement.measure import check_session
from nsd_imagery.checks.agreement.session import SessionBetas
from nsd_imagery.checks.agreement.verdicts import Judgement
from nsd_imagery.synthetic.fields import plane_waves, smooth_field
from nsd_imagery.synthetic.schedule import RunSchedule, draw_schedule

N_EARLY, N_HIGHER = 300, 300
LAG_ONE = 0.3
PATTERN_SCALE = 0.18
N_WAVES = 64
WAVE_NOISE, LOCAL_NOISE, RUN_OFFSET = 0.65, 0.8, 0.2
PHOTOGRAPH_SHARE = 0.6
RESPONSE = {"A": 0.55, "B": 0.85, "C": 1.05}
IMAGERY_RESPONSE, ATTENTION_RESPONSE = 0.2, 0.75
GAIN_EARLY = {"vision": 1.0, "attention": 0.6, "imagery": 0.35}
GAIN_HIGHER = {"vision": 0.4, "attention": 0.35, "imagery": 0.3}
"""Of the pattern, relative to vision in early visual cortex."""


@dataclass(frozen=True)
class Level:
    """How much signal a subject has.

    Attributes:
        gains: Of patterns seen in early visual cortex, by set, in units of about the noise.
        response: Of the mean response, relative to the synthetic release.
    """

    gains: dict[str, float]
    response: float


LEVELS = {
    "none": Level({"A": 0.0, "B": 0.0, "C": 0.0}, 0.0),
    "weakest": Level({"A": 0.175, "B": 0.135, "C": 0.135}, 0.5),
    "average": Level({"A": 0.3, "B": 0.275, "C": 0.275}, 1.0),
}
"""So that `half_run_identification` is that of real subjects: 0.27, 0.21 in the weakest, 0.53, 0.47 on average."""


def simulate(seed: int, level: Level) -> SessionBetas:
    """One subject with right labels."""
    schedule = draw_schedule(seed)
    rng = np.random.default_rng([seed, 1])
    places = rng.uniform(-0.45, 0.45, (N_EARLY + N_HIGHER, 3)).astype(np.float32)
    early = np.arange(len(places)) < N_EARLY
    places[:, 1] += np.where(early, -0.5, 0.5)
    waves = plane_waves(rng, places, N_WAVES, PATTERN_SCALE) / np.float32(N_WAVES**0.5)
    amount = np.exp(0.5 * smooth_field(rng, places, 0.2))
    patterns = {(name, target): smooth_field(rng, places, PATTERN_SCALE) for name in level.gains for target in range(6)}
    betas = []
    for run in schedule:
        noise = run_noise(rng, run.run.n_betas, waves)
        name, condition = run.run.stimulus_set, run.run.condition
        gain = level.gains[name] * np.where(early, GAIN_EARLY[condition], GAIN_HIGHER[condition])
        evoked = np.stack([patterns[name, target] for target in run.conditions.tolist()])
        if run.run.name == "visC":
            own = np.stack([smooth_field(rng, places, PATTERN_SCALE) for _ in evoked])
            evoked = (1 - PHOTOGRAPH_SHARE**2) ** 0.5 * evoked + PHOTOGRAPH_SHARE * own
        response = {"vision": RESPONSE[name], "imagery": IMAGERY_RESPONSE, "attention": ATTENTION_RESPONSE}[condition]
        betas.append(noise + gain * np.repeat(evoked, len(run.run.epochs), axis=0) + level.response * response * amount)
    return SessionBetas(
        np.concatenate(betas).astype(np.float32),
        *labels(schedule),
        is_valid=np.ones(720, bool),
        early=early,
        v1_v3=early & (rng.random(len(early)) < 0.75),
        higher=~early,
        nsdgeneral=np.ones(len(early), bool),
    )


def run_noise(rng: np.random.Generator, n_betas: int, waves: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n_betas, n_voxels) noise of one run, smooth in space, and the error of its baseline, which its betas share."""
    n_voxels = waves.shape[1]
    fresh = WAVE_NOISE * rng.standard_normal((n_betas, N_WAVES)) @ waves
    fresh += LOCAL_NOISE * rng.standard_normal((n_betas, n_voxels))
    fresh[1:] *= (1 - LAG_ONE**2) ** 0.5
    offset = RUN_OFFSET * rng.standard_normal(N_WAVES) @ waves
    return lfilter([1.0], [1.0, -LAG_ONE], fresh, axis=0) + offset


def labels(schedule: tuple[RunSchedule, ...]) -> tuple[NDArray[Any], ...]:
    """Columns condition, stimulus_set, run, position, target, cued_target of the 720 rows."""
    rows = [
        (run.run.condition, run.run.stimulus_set, run.run.number, run.targets[seen].name, run.targets[cued].name)
        for run in schedule
        for seen, cued in zip(run.conditions.tolist(), run.cues.tolist(), strict=True)
        for _ in run.run.epochs
    ]
    condition, stimulus_set, run, target, cued = (np.array(column) for column in zip(*rows, strict=True))
    return condition, stimulus_set, run, np.arange(len(rows)), target, cued


def by_cue(session: SessionBetas) -> SessionBetas:
    """The columns of what was seen and what was cued are exchanged."""
    return replace(session, target=session.cued_target, cued_target=session.target)


def one_row_late(session: SessionBetas) -> SessionBetas:
    """Each label stands beside the beta before its own."""
    return replace(session, betas=np.roll(session.betas, 1, axis=0))


def one_row_early(session: SessionBetas) -> SessionBetas:
    """Each label stands beside the beta after its own."""
    return replace(session, betas=np.roll(session.betas, -1, axis=0))


def swapped(session: SessionBetas) -> SessionBetas:
    """Each set ordered imagery, attention, vision: the labels of visX on the rows of imgX_1, and the reverse."""
    rows = np.arange(720)
    for start in (0, 192, 384):
        vision, imagery = rows[start : start + 48].copy(), rows[start + 144 : start + 192].copy()
        rows[start : start + 48], rows[start + 144 : start + 192] = imagery, vision
    columns = ("condition", "stimulus_set", "run", "target", "cued_target")
    return replace(session, **{column: getattr(session, column)[rows] for column in columns})


def other_run_order(session: SessionBetas) -> SessionBetas:
    """Labels in the alphabetical order of the run files: attA, attB, attC, imgA_1 ..., visC."""
    runs = "visA attA imgA_1 visB attB imgB_1 visC attC imgC_1 imgA_2 imgB_2 imgC_2".split()
    rows = np.concatenate([np.flatnonzero(session.run == 1 + runs.index(name)) for name in sorted(runs)])
    columns = ("condition", "stimulus_set", "run", "target", "cued_target")
    return replace(session, **{column: getattr(session, column)[rows] for column in columns})


def grouped(session: SessionBetas) -> SessionBetas:
    """The betas of a run by target, eight by eight, and not in order of time."""
    order = np.lexsort((session.position, session.target, session.run))
    return replace(session, betas=session.betas[order])


def shuffled_voxels(session: SessionBetas) -> SessionBetas:
    """The columns do not belong to the masks."""
    rng = np.random.default_rng(int(session.betas[0, 0] * 1e6) & 0xFFFFFF)
    return replace(session, betas=session.betas[:, rng.permutation(session.betas.shape[1])])


FAULTS: dict[str, Callable[[SessionBetas], SessionBetas]] = {
    "right": lambda session: session,
    "by cue": by_cue,
    "vision and imagery swapped": swapped,
    "one row late": one_row_late,
    "one row early": one_row_early,
    "grouped by target": grouped,
    "runs in alphabetical order": other_run_order,
    "voxels shuffled": shuffled_voxels,
}


def half_run_identification(session: SessionBetas, stimulus_set: str) -> float:
    """Vision, early visual cortex: single trials of one half against the mean of four of each target in the other."""
    rows = np.flatnonzero((session.condition == "vision") & (session.stimulus_set == stimulus_set))
    betas = session.betas[np.ix_(rows, session.early)].astype(np.float64)
    scores = (betas - betas.mean(axis=0)) / betas.std(axis=0, ddof=1)
    names, targets = np.unique(session.target[rows], return_inverse=True)
    repeat = np.array([np.count_nonzero(targets[:trial] == target) for trial, target in enumerate(targets)])
    hits = 0
    for half in (repeat < 4, repeat >= 4):
        templates = np.stack([scores[~half & (targets == target)].mean(axis=0) for target in range(len(names))])
        match = np.corrcoef(scores[half], templates)[: half.sum(), half.sum() :]
        hits += np.count_nonzero(match.argmax(axis=1) == targets[half])
    return hits / len(rows)


def main() -> None:
    """Simulate, count verdicts, print the table."""
    parser = argparse.ArgumentParser(description="How often the agreement of betas and labels is judged right.")
    parser.add_argument("--subjects", type=int, default=1000, help="with right labels, at each level")
    parser.add_argument("--faulty", type=int, help="with each planted fault; as many as --subjects if not given")
    arguments = parser.parse_args()
    faulty = arguments.subjects if arguments.faulty is None else arguments.faulty
    head: list[str] = []
    rows: list[str] = []
    seconds: list[float] = []
    shares = {}
    for name, level in LEVELS.items():
        found: dict[str, list[Judgement]] = {fault: [] for fault in FAULTS}
        identified = []
        for seed in range(arguments.subjects):
            session = simulate(seed, level)
            identified.append([half_run_identification(session, stimulus_set) for stimulus_set in "AB"])
            for fault, plant in FAULTS.items():
                if fault == "right" or seed < faulty:
                    planted = plant(session)
                    start = time.perf_counter()
                    found[fault].append(check_session(planted))
                    seconds.append(time.perf_counter() - start)
        head = table_head(found["right"][0])
        shares[name] = np.mean(identified, axis=0)
        rows += [table_row(name, fault, judgements) for fault, judgements in found.items() if judgements]
    print(*head, *rows, sep="\n")
    print(f"\nMedian {np.median(seconds):.3f} s a subject with {N_EARLY + N_HIGHER} voxels.")
    for name, (in_a, in_b) in shares.items():
        print(f"Half-run identification, {name}: {in_a:.2f} in set A, {in_b:.2f} in set B.")


def table_head(judgement: Judgement) -> list[str]:
    """Two lines."""
    questions = [answer.question for answer in judgement.answers if answer.verdict != "information"]
    columns = ["signal", "labels", "subjects", *questions, "best"]
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]


def table_row(level: str, fault: str, judgements: list[Judgement]) -> str:
    """Passed / failed / not decidable for each question, and how often each hypothesis was best."""
    cells = [level, fault, str(len(judgements))]
    for number, answer in enumerate(judgements[0].answers):
        if answer.verdict != "information":
            verdicts = Counter(one.answers[number].verdict for one in judgements)
            cells.append(" / ".join(str(verdicts[verdict]) for verdict in ("pass", "fail", "not decidable")))
    best = Counter(one.best or "not decided" for one in judgements)
    cells.append(", ".join(f"{name} {count}" for name, count in best.most_common()))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
