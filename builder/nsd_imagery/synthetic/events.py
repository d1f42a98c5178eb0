"""What each beta of a synthetic session is the response to.

Levels follow what is known of the real data: more for what is seen than for what is imagined.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nsd_imagery.experiment import STIMULUS_SETS
from nsd_imagery.synthetic.latents import Vector
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import RunSchedule
from nsd_imagery.synthetic.truth import Truth

_LEVEL = {"vision": {"A": 0.42, "B": 0.8, "C": 1.0}, "cue": 0.5, "detection": 1.0, "imagery": 0.2}
_DETECTION_GAIN = {True: 1.2, False: 0.8}


@dataclass(frozen=True, eq=False)
class Event:
    """What one beta is the response to.

    Attributes:
        latent: Of the stimulus that is seen, attended or imagined.
        letter: On the screen; empty where there is none.
        gain_early: Of the pattern in early visual cortex (V1 to hV4).
        gain_higher: Of the pattern in the rest.
        level: Of the voxel's response to anything at all.
    """

    latent: Vector
    letter: str
    gain_early: float
    gain_higher: float
    level: float


RunEvents = tuple[Sequence[Event], np.random.Generator]
"""The events of one run in the order of its betas, and what its noise is drawn from."""


def perception_event(truth: Truth, nsd_id: int) -> Event:
    """NSD core shows a picture (0-based id): as much is evoked as where NSD-Imagery shows one of set B."""
    signal, of_set = truth.signal, STIMULUS_SETS.index("B")
    level = signal.level * _LEVEL["vision"]["B"]
    latent = truth.latents.of_picture(nsd_id)
    return Event(latent, "", signal.vision_early[of_set], signal.vision_higher[of_set], level)


def run_events(truth: Truth, schedule: RunSchedule) -> list[Event]:
    """The events of a run of NSD-Imagery in the order of its betas; an attention trial has two.

    The letter of an attention trial is that of its cue epoch.
    """
    signal, run = truth.signal, schedule.run
    of_set = STIMULUS_SETS.index(run.stimulus_set)
    events: list[Event] = []
    for trial, number in enumerate(schedule.conditions):
        letter = schedule.targets[schedule.cues[trial]].cue
        latent = truth.latents.named[schedule.targets[number].stimulus]
        if run.condition == "vision":
            if len(schedule.photographs):
                latent = truth.latents.of_picture(int(schedule.photographs[trial]))
            gains = signal.vision_early[of_set], signal.vision_higher[of_set]
            events.append(Event(latent, letter, *gains, signal.level * _LEVEL["vision"][run.stimulus_set]))
        elif run.condition == "imagery":
            gains = signal.imagery_early[of_set], signal.imagery_higher[of_set]
            events.append(Event(latent, letter, *gains, signal.level * _LEVEL["imagery"]))
        else:
            gains = signal.attention_early, signal.attention_higher
            factor = _DETECTION_GAIN[bool(schedule.present[trial])]
            events.append(Event(latent, letter, *gains, signal.level * _LEVEL["cue"]))
            detected = factor * gains[0], factor * gains[1]
            events.append(Event(latent, "", *detected, signal.level * _LEVEL["detection"]))
    return events


def imagery_runs(truth: Truth, subject: str) -> list[RunEvents]:
    """The 12 runs of a subject's NSD-Imagery session, in order."""
    return [
        (run_events(truth, of_run), generator(truth.seed, "noise", subject, of_run.run.name))
        for of_run in truth.schedule
    ]
