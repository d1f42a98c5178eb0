"""The betas of a synthetic session: patterns linear in the latents of stimuli, run offsets, noise that is not white.

The scale follows what is known of the real data: percent signal change of mean 0.7 and sd 1.9 in nsdgeneral,
neighbouring betas correlated by about 0.3.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import PERCENT_SIGNAL_SCALE
from nsd_imagery.synthetic.brain import Brain
from nsd_imagery.synthetic.events import Event, RunEvents
from nsd_imagery.synthetic.fields import plane_waves, smooth_field
from nsd_imagery.synthetic.latents import N_LATENTS
from nsd_imagery.synthetic.products import mixed, product
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.truth import Truth

NOISE_GAIN = {"fithrf_GLMdenoise_RR": 1.0, "fithrf": 1.2}
"""The beta version without denoising has the same signal in more noise."""

_PATTERN_SCALE = 0.18
_PATTERN_WAVES, _NOISE_WAVES = 96, 64
_WAVE_NOISE, _LOCAL_NOISE = 0.65, 0.8
_LEAST_SNR = 0.02
_OWN_HALF = 0.9
"""Share of a pattern's variance that comes from the half of the latents which its area answers to."""

_LETTER_IN_HIGHER = 0.5


class Voxels:
    """The voxels of one subject: what they answer to, and how noisily in one beta version.

    All arrays are over the brain's voxels in the order of `Brain.voxels`.

    Attributes:
        beta_version: Of the betas.
    """

    def __init__(self, truth: Truth, brain: Brain, beta_version: str) -> None:
        self._brain, self._signal = brain, truth.signal
        self.beta_version = beta_version
        self._noise_gain = NOISE_GAIN[beta_version]
        at, seed = brain.coordinates, truth.seed
        nsdgeneral = brain.inside(brain.rois["nsdgeneral"]) == 1
        cortex = brain.inside(brain.rois["nsdgeneral"]) >= 0
        early = brain.inside(brain.rois["prf-visualrois"]) > 0
        streams = brain.inside(brain.rois["streams"]) > 0
        self._responsive = np.flatnonzero(nsdgeneral | early | streams)
        self._in_early = early[self._responsive]
        self._areas = np.stack([early, (nsdgeneral | streams) & ~early]).astype(np.float32)
        rng = generator(seed, "voxels", brain.subject)
        spread = 0.5 * smooth_field(rng, at, 0.15) + 0.4 * rng.standard_normal(len(at), np.float32)
        self._scale = np.exp(spread - 0.05) * np.where(cortex, 1, 0.6).astype(np.float32)
        amount = np.where(nsdgeneral, 1, np.where(streams | early, 0.4, 0.0)).astype(np.float32)
        self._mean = amount * np.exp(0.5 * smooth_field(rng, at, 0.2))
        self._plant(seed, np.where(nsdgeneral, 1, 0.6).astype(np.float32)[self._responsive])
        self._waves = plane_waves(generator(seed, "noise waves"), at, _NOISE_WAVES, _PATTERN_SCALE)
        self._waves /= np.float32(np.sqrt(_NOISE_WAVES))

    def _plant(self, seed: int, damping: NDArray[np.float32]) -> None:
        """Weights of the latents and patterns of the letters: mixtures of the same waves, smooth in space."""
        subject, half = self._brain.subject, N_LATENTS // 2
        at = self._brain.coordinates[self._responsive]
        waves = plane_waves(generator(seed, "pattern waves", subject), at, _PATTERN_WAVES, _PATTERN_SCALE)
        rng = generator(seed, "weights", subject)
        weights = product(waves.T, rng.standard_normal((_PATTERN_WAVES, N_LATENTS), np.float32))
        is_own = self._in_early[:, None] == (np.arange(N_LATENTS) < half)
        share = np.where(is_own, np.float32(_OWN_HALF), np.float32(1 - _OWN_HALF))
        self._weights = weights * damping[:, None] * np.sqrt(share / (_PATTERN_WAVES * half))
        mixing = generator(seed, "letters", subject).standard_normal((_PATTERN_WAVES, len(ascii_uppercase)), np.float32)
        sizes = np.where(self._in_early, 1, _LETTER_IN_HIGHER).astype(np.float32) * damping
        letters = self._signal.letter * sizes * product(mixing.T, waves) / np.float32(_PATTERN_WAVES**0.5)
        self._letters = dict(zip(ascii_uppercase, letters, strict=True))

    @property
    def weights(self) -> NDArray[np.float32]:
        """(n_voxels, 32): what a gain of 1 makes of each latent, in units of `scale`.

        Rows have about unit length, and are 0 where nothing answers to pictures.
        """
        weights = np.zeros((len(self._scale), N_LATENTS), np.float32)
        weights[self._responsive] = self._weights
        return weights

    def run(self, events: Sequence[Event], rng: np.random.Generator) -> Iterator[NDArray[np.int16]]:
        """The betas of one run, one event after the other.

        Yields:
            (n_voxels,) percent signal change x 300, saturated.
        """
        signal = self._signal
        offset, slope = signal.offset * self._smooth_noise(rng), signal.drift * self._smooth_noise(rng)
        trend = np.linspace(-(3**0.5), 3**0.5, len(events), dtype=np.float32)
        noise = None
        for event, drift in zip(events, trend, strict=True):
            fresh = self._fresh_noise(rng)
            lag, rest = signal.lag_one, np.float32((1 - signal.lag_one**2) ** 0.5)
            noise = fresh if noise is None else lag * noise + rest * fresh
            percent = self._noise_gain * noise + offset + drift * slope
            percent[self._responsive] += self._gain(event) * mixed(event.latent, self._weights.T)
            if event.letter:
                percent[self._responsive] += self._letters[event.letter]
            percent = np.float32(signal.noise) * percent + np.float32(event.level) * self._mean
            percent *= self._scale * PERCENT_SIGNAL_SCALE
            limits = np.iinfo(np.int16)
            yield np.clip(np.rint(percent), limits.min, limits.max).astype(np.int16)

    def snr(self, event: Event) -> NDArray[np.float32]:
        """Signal to noise of such an event: sd over stimuli by sd over repeats, as planted.

        Returns:
            (n_voxels,) above 0 even where nothing is planted, as an estimate from real trials would be.
        """
        signal = np.zeros(len(self._scale), np.float32)
        signal[self._responsive] = self._gain(event) * np.linalg.norm(self._weights, axis=1)
        waves = np.square(self._waves).sum(axis=0)
        common = self._signal.common**2 * self._areas.sum(axis=0)
        of_trial = self._noise_gain**2 * (_WAVE_NOISE**2 * waves + _LOCAL_NOISE**2 + common)
        noise = of_trial + (self._signal.offset**2 + self._signal.drift**2) * waves
        return np.hypot(signal / np.sqrt(noise), np.float32(_LEAST_SNR))

    def _gain(self, event: Event) -> NDArray[np.float32]:
        return np.where(self._in_early, np.float32(event.gain_early), np.float32(event.gain_higher))

    def _fresh_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        noise = _WAVE_NOISE * self._smooth_noise(rng) + _LOCAL_NOISE * self._local_noise(rng)
        if self._signal.common:
            noise += mixed(self._signal.common * rng.standard_normal(len(self._areas), np.float32), self._areas)
        return noise.astype(np.float32, copy=False)

    def _smooth_noise(self, rng: np.random.Generator) -> NDArray[np.float32]:
        return mixed(rng.standard_normal(_NOISE_WAVES, np.float32), self._waves)

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
