"""The betas of a synthetic session: a planted pattern for each stimulus, run offsets, and noise that is not white.

The scale follows what is known of the real data: percent signal change of mean 0.7 and sd 1.9 in nsdgeneral,
neighbouring betas correlated by about 0.3.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import PERCENT_SIGNAL_SCALE
from nsd_imagery.synthetic.brain import Brain
from nsd_imagery.synthetic.events import Event, RunEvents
from nsd_imagery.synthetic.fields import plane_waves, smooth_field
from nsd_imagery.synthetic.randomness import generator

NOISE_GAIN = {"fithrf_GLMdenoise_RR": 1.0, "fithrf": 1.2}
"""The beta version without denoising has the same signal in more noise."""

LAG_ONE = 0.34
"""Correlation of the noise of neighbouring betas."""

_PATTERN_SCALE = 0.18
_NOISE_WAVES = 64
_WAVE_NOISE, _LOCAL_NOISE, _RUN_OFFSET = 0.65, 0.8, 0.2
_LEAST_SNR = 0.02


def pattern(seed: int, stimulus: str, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """The pattern that a stimulus evokes wherever it is seen, attended or imagined, in either experiment.

    Args:
        seed: Seed of the release.
        stimulus: `nsd28751` (0-based) for an NSD picture, else the target's name.
        coordinates: (n_voxels, 3), each axis of the subject's grid from -1 to 1.

    Returns:
        (n_voxels,) of about unit variance; the same field for all subjects, on their own grids.
    """
    return smooth_field(generator(seed, "pattern", stimulus), coordinates, _PATTERN_SCALE)


class Voxels:
    """The voxels of one subject: what they answer to, and how noisily in one beta version.

    All arrays are over the brain's voxels in the order of `Brain.voxels`.
    """

    def __init__(self, seed: int, brain: Brain, beta_version: str) -> None:
        self._seed = seed
        self._brain = brain
        self.beta_version = beta_version
        self._noise_gain = NOISE_GAIN[beta_version]
        at = brain.coordinates
        nsdgeneral = brain.inside(brain.rois["nsdgeneral"]) == 1
        cortex = brain.inside(brain.rois["nsdgeneral"]) >= 0
        early = brain.inside(brain.rois["prf-visualrois"]) > 0
        streams = brain.inside(brain.rois["streams"]) > 0
        self._responsive = np.flatnonzero(nsdgeneral | early | streams)
        rng = generator(seed, "voxels", brain.subject)
        spread = 0.5 * smooth_field(rng, at, 0.15) + 0.4 * rng.standard_normal(len(at), np.float32)
        self._scale = np.exp(spread - 0.05) * np.where(cortex, 1, 0.6).astype(np.float32)
        amount = np.where(nsdgeneral, 1, np.where(streams | early, 0.4, 0.0)).astype(np.float32)
        self._mean = amount * np.exp(0.5 * smooth_field(rng, at, 0.2))
        self._in_early = early[self._responsive]
        self._damping = np.where(nsdgeneral, 1, 0.6).astype(np.float32)[self._responsive]
        self._waves = plane_waves(generator(seed, "noise waves"), at, _NOISE_WAVES, _PATTERN_SCALE)
        self._waves /= np.float32(np.sqrt(_NOISE_WAVES))

    def run(self, events: Sequence[Event], rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
        """The betas of one run, one event after the other.

        Yields:
            (n_voxels,) percent signal change x 300, saturated.
        """
        at = self._brain.coordinates[self._responsive]
        shown = dict.fromkeys(stimulus for event in events for stimulus, _ in event.stimuli)
        patterns = {stimulus: pattern(self._seed, stimulus, at) for stimulus in shown}
        offset = _RUN_OFFSET * self._smooth_noise(rng)
        noise = None
        for event in events:
            fresh = _WAVE_NOISE * self._smooth_noise(rng) + _LOCAL_NOISE * self._local_noise(rng)
            noise = fresh if noise is None else LAG_ONE * noise + np.float32((1 - LAG_ONE**2) ** 0.5) * fresh
            percent = self._noise_gain * noise + offset + event.level * self._mean
            evoked = np.zeros(len(self._responsive), np.float32)
            for stimulus, weight in event.stimuli:
                evoked += np.float32(weight) * patterns[stimulus]
            percent[self._responsive] += self._gain(event) * evoked
            percent *= self._scale * PERCENT_SIGNAL_SCALE
            limits = np.iinfo(np.int16)
            yield np.clip(np.rint(percent), limits.min, limits.max).astype(np.int16)

    def snr(self, event: Event) -> NDArray[np.float32]:
        """Signal to noise of such an event: sd over stimuli by sd over repeats, as planted.

        Returns:
            (n_voxels,) above 0 even where nothing is planted, as an estimate from real trials would be.
        """
        signal = np.zeros(len(self._scale), np.float32)
        signal[self._responsive] = self._gain(event)
        waves = np.square(self._waves).sum(axis=0)
        noise = self._noise_gain**2 * (_WAVE_NOISE**2 * waves + _LOCAL_NOISE**2) + _RUN_OFFSET**2 * waves
        return np.hypot(signal / np.sqrt(noise), np.float32(_LEAST_SNR))

    def _gain(self, event: Event) -> NDArray[np.float32]:
        gain = np.where(self._in_early, np.float32(event.gain_early), np.float32(event.gain_other))
        return gain * self._damping

    def _smooth_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.standard_normal(_NOISE_WAVES, np.float32) @ self._waves

    def _local_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Unit variance, correlated by 0.5 between voxels that touch."""
        nx, ny, nz = self._brain.shape
        noise = rng.standard_normal((nz + 1, ny + 1, nx + 1), dtype=np.float32)
        noise = noise[1:] + noise[:-1]
        noise = noise[:, 1:] + noise[:, :-1]
        noise = noise[:, :, 1:] + noise[:, :, :-1]
        return noise.reshape(-1)[self._brain.voxels].astype(np.float32, copy=False) * np.float32(8**-0.5)


def session_betas(voxels: Voxels, runs: Sequence[RunEvents], valid: NDArray[np.bool_]) -> NDArray[np.int16]:
    """The betas of one session.

    Args:
        voxels: Of the subject and the beta version.
        runs: In the order of the session. The noise of the beta versions is to be drawn from like generators,
            for they are two estimates from one scan.
        valid: (n_voxels,) whether a voxel has data in this session; elsewhere its betas are 0.

    Returns:
        (n_betas, n_voxels) percent signal change x 300, over the brain's voxels in the order of
        `Brain.voxels`.
    """
    betas = np.empty((sum(len(events) for events, _ in runs), len(valid)), np.int16)
    volumes = chain.from_iterable(voxels.run(events, rng) for events, rng in runs)
    for row, volume in zip(betas, volumes, strict=True):
        row[:] = volume
    betas[:, ~valid] = 0
    return betas
