"""The schedule of a synthetic NSD-Imagery session: drawn from the seed under the constraints of the real one.

Facts of the design: NSD Data Manual. 48 trials and 12 blanks a run, 8 trials a target, half of the vision trials with
another target's letter, no target twice in a row, imgX_1 in the order of visX. The real order is NSD's and not here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import BLANKS_PER_RUN, RUNS, TARGETS_PER_SET, TRIALS_PER_RUN, Run
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.stimuli import shared_ids
from nsd_imagery.synthetic.targets import SET_B_NSD_IDS, TARGETS, PlantedTarget

LEAD_SECONDS = {"vision": 12, "attention": 16, "imagery": 12}
"""Of the blanks before the first trial; there are as many after the last one."""

EPOCH_SECONDS = 3
"""From the onset of an attention trial to its detection epoch."""

_REPEATS_PER_RUN = TRIALS_PER_RUN // TARGETS_PER_SET
_MISMATCHES_PER_TARGET = _REPEATS_PER_RUN // 2


@dataclass(frozen=True, eq=False)
class RunSchedule:
    """What happens in one run, the same for all subjects.

    Attributes:
        run: Which run.
        conditions: (48,) target seen, attended or imagined: its position in the set, from 0.
        cues: (48,) target whose letter is shown.
        onsets: (48,) s from the start of the run, whole.
        photographs: (48,) 0-based NSD ids of what visC shows; empty in other runs.
        present: (48,) bool, attention: the target is there to be detected; elsewhere False.
        frames: (48,) 0-based NSD ids of the photographs that stand for the concept of each trial of attC; empty in
            other runs.
    """

    run: Run
    conditions: NDArray[np.int64]
    cues: NDArray[np.int64]
    onsets: NDArray[np.int64]
    photographs: NDArray[np.int64]
    present: NDArray[np.bool_]
    frames: NDArray[np.int64]

    @property
    def targets(self) -> tuple[PlantedTarget, ...]:
        """The six targets of the run's set."""
        return TARGETS[self.run.stimulus_set]

    def nsd_id(self, trial: int) -> int | None:
        """0-based id of the NSD picture that a trial is about: visC's photograph, else the target; None for no such."""
        photographs = self.photographs
        return int(photographs[trial]) if len(photographs) else self.targets[self.conditions[trial]].nsd_id

    @property
    def seconds(self) -> int:
        """Length of the run."""
        return (TRIALS_PER_RUN + BLANKS_PER_RUN) * trial_seconds(self.run)


def trial_seconds(run: Run) -> int:
    """Length of one trial of a run, rest included."""
    return 8 if run.condition == "attention" else 4


def draw_schedule(seed: int) -> tuple[RunSchedule, ...]:
    """Draw the 12 runs, in the order of the session."""
    seen: dict[str, RunSchedule] = {}
    return tuple(_draw_run(seed, run, seen) for run in RUNS)


def nsd_ids_of(schedule: tuple[RunSchedule, ...]) -> list[int]:
    """The NSD pictures of a session, 0-based and rising: set B's five and the photographs of visC."""
    shown = {of_run.nsd_id(trial) for of_run in schedule for trial in range(TRIALS_PER_RUN)}
    return sorted(nsd_id for nsd_id in shown if nsd_id is not None)


def _draw_run(seed: int, run: Run, seen: dict[str, RunSchedule]) -> RunSchedule:
    """One run; `seen` has the vision runs before it by set, and takes this one if it is another."""
    rng = generator(seed, "schedule", run.name)
    conditions = _draw_conditions(rng, run, seen)
    cues = _draw_cues(rng, conditions) if run.condition == "vision" else conditions
    photographs = frames = np.zeros(0, np.int64)
    present = np.zeros(TRIALS_PER_RUN, bool)
    if run.name == "visC":
        others = np.setdiff1d(shared_ids(seed), SET_B_NSD_IDS)
        photographs = rng.choice(others, TRIALS_PER_RUN, replace=False)
    if run.condition == "attention":
        present[rng.permutation(TRIALS_PER_RUN)[: TRIALS_PER_RUN // 2]] = True
    onsets = _draw_onsets(rng, run)
    if run.name == "attC":
        shown = seen[run.stimulus_set]
        frames = np.array([rng.choice(shown.photographs[shown.conditions == target]) for target in conditions])
    schedule = RunSchedule(run, conditions, cues, onsets, photographs, present, frames)
    if run.condition == "vision":
        seen[run.stimulus_set] = schedule
    return schedule


def _draw_conditions(rng: np.random.Generator, run: Run, seen: dict[str, RunSchedule]) -> NDArray[np.int64]:
    """(48,) targets: imgX_1 repeats the order of visX, imgX_2 has another."""
    if run.condition != "imagery":
        return _draw_order(rng)
    in_vision = seen[run.stimulus_set].conditions
    if run.name.endswith("_1"):
        return in_vision
    conditions = _draw_order(rng)
    while np.array_equal(conditions, in_vision):
        conditions = _draw_order(rng)
    return conditions


def _draw_order(rng: np.random.Generator) -> NDArray[np.int64]:
    """(48,) targets, each 8 times and none twice in a row."""
    while True:
        left = np.full(TARGETS_PER_SET, _REPEATS_PER_RUN)
        order: list[int] = []
        while len(order) < TRIALS_PER_RUN:
            weights = left.astype(float)
            if order:
                weights[order[-1]] = 0
            if not weights.any():
                break
            target = int(rng.choice(TARGETS_PER_SET, p=weights / weights.sum()))
            left[target] -= 1
            order.append(target)
        else:
            return np.array(order)


def _draw_cues(rng: np.random.Generator, conditions: NDArray[np.int64]) -> NDArray[np.int64]:
    """(48,) letters: half of each target's trials get another's, and each letter is shown 8 times."""
    mismatched = np.concatenate(
        [
            rng.permutation(np.flatnonzero(conditions == target))[:_MISMATCHES_PER_TARGET]
            for target in range(TARGETS_PER_SET)
        ]
    )
    cues = conditions.copy()
    while True:
        cues[mismatched] = rng.permutation(conditions[mismatched])
        if np.all(cues[mismatched] != conditions[mismatched]):
            return cues


def _draw_onsets(rng: np.random.Generator, run: Run) -> NDArray[np.int64]:
    """(48,) s: blanks stand before and after the trials and, never two together, between them."""
    lead = LEAD_SECONDS[run.condition] // trial_seconds(run)
    gaps = 1 + rng.permutation(TRIALS_PER_RUN - 1)[: BLANKS_PER_RUN - 2 * lead]
    blanks_before = lead + np.searchsorted(np.sort(gaps), np.arange(TRIALS_PER_RUN), side="right")
    return (np.arange(TRIALS_PER_RUN) + blanks_before) * trial_seconds(run)
