"""The betas of a synthetic session: a planted pattern for each stimulus, run offsets, and noise that is not white.

Scale and effect sizes follow what is known of the real data: percent signal change of mean 0.7 and sd 1.9 in
nsdgeneral, more for what is seen than for what is imagined, neighbouring betas correlated by about 0.3.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import PERCENT_SIGNAL_SCALE
from nsd_imagery.sources.synthetic.anatomy import Anatomy
from nsd_imagery.sources.synthetic.fields import plane_waves, smooth_field
from nsd_imagery.sources.synthetic.randomness import generator
from nsd_imagery.sources.synthetic.schedule import RunSchedule
from nsd_imagery.sources.synthetic.targets import nsd_stimulus

NOISE_GAIN = {"fithrf_GLMdenoise_RR": 1.0, "fithrf": 1.2}
"""The beta version without denoising has the same signal in more noise."""

LAG_ONE = 0.34
"""Correlation of the noise of neighbouring betas."""

_PATTERN_SCALE = 0.18
_NOISE_WAVES = 64
_WAVE_NOISE, _LOCAL_NOISE, _RUN_OFFSET = 0.65, 0.8, 0.2
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


def pattern(seed: int, stimulus: str, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """The pattern that a stimulus evokes wherever it is seen, attended or imagined.

    Args:
        seed: Seed of the release.
        stimulus: `nsd28751` (0-based) for an NSD picture, else the target's name.
        coordinates: (n_voxels, 3), each axis of the subject's grid from -1 to 1.

    Returns:
        (n_voxels,) of about unit variance; the same field for all subjects, on their own grids.
    """
    return smooth_field(generator(seed, "pattern", stimulus), coordinates, _PATTERN_SCALE)


def run_events(schedule: RunSchedule) -> list[Event]:
    """The events of a run in the order of its betas; an attention trial has two."""
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


class Responses:
    """The voxels of one subject: what they answer to, and how noisily.

    All arrays are over the brain's voxels in the order of `Anatomy.brain_voxels`.
    """

    def __init__(self, seed: int, anatomy: Anatomy, noise_gain: float) -> None:
        self._seed = seed
        self._anatomy = anatomy
        self._noise_gain = noise_gain
        self._patterns: dict[str, NDArray[np.float32]] = {}
        at = anatomy.coordinates
        nsdgeneral = anatomy.of_brain(anatomy.rois["nsdgeneral"]) == 1
        cortex = anatomy.of_brain(anatomy.rois["nsdgeneral"]) >= 0
        early = anatomy.of_brain(anatomy.rois["prf-visualrois"]) > 0
        streams = anatomy.of_brain(anatomy.rois["streams"]) > 0
        self._responsive = np.flatnonzero(nsdgeneral | early | streams)
        rng = generator(seed, "voxels", anatomy.subject)
        spread = 0.5 * smooth_field(rng, at, 0.15) + 0.4 * rng.standard_normal(len(at), np.float32)
        self._scale = np.exp(spread - 0.05) * np.where(cortex, 1, 0.6).astype(np.float32)
        amount = np.where(nsdgeneral, 1, np.where(streams | early, 0.4, 0.0)).astype(np.float32)
        self._mean = amount * np.exp(0.5 * smooth_field(rng, at, 0.2))
        self._in_early = early[self._responsive]
        self._damping = np.where(nsdgeneral, 1, 0.6).astype(np.float32)[self._responsive]
        self._waves = plane_waves(generator(seed, "noise waves"), at, _NOISE_WAVES, _PATTERN_SCALE)
        self._waves /= np.float32(np.sqrt(_NOISE_WAVES))
        self._valid = anatomy.of_brain(anatomy.valid)

    def run(self, events: Sequence[Event], rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
        """The betas of one run, one event after the other.

        Yields:
            (n_voxels,) percent signal change x 300, saturated; 0 in invalid voxels.
        """
        offset = _RUN_OFFSET * self._smooth_noise(rng)
        noise = None
        for event in events:
            fresh = _WAVE_NOISE * self._smooth_noise(rng) + _LOCAL_NOISE * self._local_noise(rng)
            noise = fresh if noise is None else LAG_ONE * noise + np.float32((1 - LAG_ONE**2) ** 0.5) * fresh
            percent = self._noise_gain * noise + offset + event.level * self._mean
            percent[self._responsive] += self._signal(event)
            percent *= self._scale * PERCENT_SIGNAL_SCALE
            limits = np.iinfo(np.int16)
            betas = np.clip(np.rint(percent), limits.min, limits.max).astype(np.int16)
            betas[~self._valid] = 0
            yield betas

    def _signal(self, event: Event) -> NDArray[np.float32]:
        evoked = np.zeros(len(self._responsive), np.float32)
        for stimulus, weight in event.stimuli:
            evoked += np.float32(weight) * self._pattern(stimulus)
        gain = np.where(self._in_early, np.float32(event.gain_early), np.float32(event.gain_other))
        return gain * self._damping * evoked

    def _pattern(self, stimulus: str) -> NDArray[np.float32]:
        if stimulus not in self._patterns:
            at = self._anatomy.coordinates[self._responsive]
            self._patterns[stimulus] = pattern(self._seed, stimulus, at)
        return self._patterns[stimulus]

    def _smooth_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.standard_normal(_NOISE_WAVES, np.float32) @ self._waves

    def _local_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Unit variance, correlated by 0.5 between voxels that touch."""
        nx, ny, nz = self._anatomy.shape
        noise = rng.standard_normal((nz + 1, ny + 1, nx + 1), dtype=np.float32)
        noise = noise[1:] + noise[:-1]
        noise = noise[:, 1:] + noise[:, :-1]
        noise = noise[:, :, 1:] + noise[:, :, :-1]
        return noise.reshape(-1)[self._anatomy.brain_voxels].astype(np.float32, copy=False) * np.float32(8**-0.5)


def session_betas(seed: int, anatomy: Anatomy, schedule: Sequence[RunSchedule], beta_version: str) -> NDArray[np.int16]:
    """The betas of one NSD-Imagery session.

    The noise of the two beta versions is drawn alike: they are two estimates from one scan.

    Returns:
        (720, n_voxels) percent signal change x 300, over the brain's voxels in the order of
        `Anatomy.brain_voxels`.
    """
    responses = Responses(seed, anatomy, NOISE_GAIN[beta_version])
    n_betas = sum(run_schedule.run.n_betas for run_schedule in schedule)
    betas = np.empty((n_betas, len(anatomy.brain_voxels)), np.int16)
    row = 0
    for run_schedule in schedule:
        rng = generator(seed, "noise", anatomy.subject, run_schedule.run.name)
        for volume in responses.run(run_events(run_schedule), rng):
            betas[row] = volume
            row += 1
    return betas
