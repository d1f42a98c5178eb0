"""What each beta of a synthetic session is the response to.

Effect sizes follow what is known of the real data: more for what is seen than for what is imagined.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import RunSchedule
from nsd_imagery.synthetic.targets import nsd_stimulus

_PHOTOGRAPH_SHARE = 0.6

_MEAN_LEVEL = {"vision": {"A": 0.55, "B": 0.85, "C": 1.05}, "cue": 0.5, "detection": 1.0, "imagery": 0.2}
_GAIN_EARLY = {"vision": 0.42, "attention": 0.26, "imagery": 0.16}
_GAIN_OTHER = {"vision": 0.16, "attention": 0.14, "imagery": 0.13}
_DETECTION_GAIN = {True: 1.2, False: 0.8}


@dataclass(frozen=True)
class Event:
    """What one beta is the response to.

    Attributes:
        stimuli: Pattern keys and their weights.
        gain_early: Of the pattern in early visual cortex (V1 to hV4).
        gain_other: Of the pattern in the rest of nsdgeneral.
        level: Of the voxel's response to anything at all.
    """

    stimuli: tuple[tuple[str, float], ...]
    gain_early: float
    gain_other: float
    level: float


RunEvents = tuple[Sequence[Event], np.random.Generator]
"""The events of one run in the order of its betas, and what its noise is drawn from."""


def perception_event(nsd_id: int) -> Event:
    """NSD core shows a picture (0-based id): as much is evoked as where NSD-Imagery shows one of set B."""
    stimuli = ((nsd_stimulus(nsd_id), 1.0),)
    return Event(stimuli, _GAIN_EARLY["vision"], _GAIN_OTHER["vision"], _MEAN_LEVEL["vision"]["B"])


def run_events(schedule: RunSchedule) -> list[Event]:
    """The events of a run of NSD-Imagery in the order of its betas; an attention trial has two."""
    condition = schedule.run.condition
    gains = _GAIN_EARLY[condition], _GAIN_OTHER[condition]
    events: list[Event] = []
    for trial, number in enumerate(schedule.conditions):
        target = schedule.targets[number]
        stimuli = ((target.stimulus, 1.0),)
        if condition == "vision":
            if len(schedule.photographs):
                photograph = nsd_stimulus(int(schedule.photographs[trial]))
                own = _PHOTOGRAPH_SHARE
                stimuli = ((target.stimulus, (1 - own**2) ** 0.5), (photograph, own))
            events.append(Event(stimuli, *gains, _MEAN_LEVEL["vision"][target.stimulus_set]))
        elif condition == "imagery":
            events.append(Event(stimuli, *gains, _MEAN_LEVEL["imagery"]))
        else:
            factor = _DETECTION_GAIN[bool(schedule.present[trial])]
            events.append(Event(stimuli, *gains, _MEAN_LEVEL["cue"]))
            events.append(Event(stimuli, gains[0] * factor, gains[1] * factor, _MEAN_LEVEL["detection"]))
    return events


def imagery_runs(seed: int, subject: str, schedule: tuple[RunSchedule, ...]) -> list[RunEvents]:
    """The 12 runs of a subject's NSD-Imagery session, in order."""
    return [(run_events(of_run), generator(seed, "noise", subject, of_run.run.name)) for of_run in schedule]
