"""What a synthetic release is drawn from: one truth for all its subjects, experiments and layouts."""

from dataclasses import dataclass

from nsd_imagery.synthetic.effects import Signal
from nsd_imagery.synthetic.latents import Latents
from nsd_imagery.synthetic.schedule import RunSchedule, draw_schedule


@dataclass(frozen=True, eq=False)
class Truth:
    """What is planted.

    Attributes:
        seed: What everything is drawn from.
        signal: How strong it is.
        schedule: The 12 runs of NSD-Imagery.
        latents: Of the stimuli.
    """

    seed: int
    signal: Signal
    schedule: tuple[RunSchedule, ...]
    latents: Latents


def draw_truth(seed: int, signal: Signal) -> Truth:
    """Draw the truth of a release."""
    schedule = draw_schedule(seed)
    return Truth(seed, signal, schedule, Latents(seed, schedule))
