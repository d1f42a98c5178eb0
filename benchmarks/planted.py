"""Sessions with what is planted in them, in ROI space: AR(1) noise, slow drift, drawn schedules, responses to targets.

The course of drift is that of the scanner and its pattern the subject's; schedules are those that subjects share;
imgX_1 is in the order of visX.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import gamma

from nsd_imagery.chance.orders import draw_cued, draw_targets
from nsd_imagery.evaluation.gram import Gram, gram
from nsd_imagery.evaluation.runs import Run

Array = NDArray[np.float64]

LAG_ONE = 0.34
"""Of the noise of neighbouring betas."""

ALL = np.ones(48, bool)
TARGETS = tuple("uvwxyz")
N_SUBJECTS = 8


class Schedule(NamedTuple):
    """The orders of one set: (48,) each."""

    vision: NDArray[np.int8]
    cued: NDArray[np.int8]
    imagery: NDArray[np.int8]


@dataclass(frozen=True)
class Planted:
    """What a session holds.

    Attributes:
        vision: Sd of the responses to targets seen, in units of the noise.
        imagery: Sd of the responses to targets imagined.
        correlation: Of the two patterns.
        letter: Sd of the response to the letter on the screen, wherever it is.
        drift: Sd over a run of what changes slowly.
        lag_one: Correlation of neighbouring trials.
    """

    vision: float = 0.0
    imagery: float = 0.0
    correlation: float = 0.0
    letter: float = 0.0
    drift: float = 0.0
    lag_one: float = LAG_ONE


class Session(NamedTuple):
    """The three runs of one set and subject, and their products."""

    vision: Run
    first: Run
    second: Run
    products: Gram


def schedules(rng: np.random.Generator, n: int) -> list[Schedule]:
    """Drawn ones."""
    orders = draw_targets(rng, 2 * n)
    cued = draw_cued(rng, orders[:n])
    return [Schedule(*three) for three in zip(orders[:n], cued, orders[n:], strict=True)]


def noise_of(rng: np.random.Generator, shape: tuple[int, int], lag_one: float) -> Array:
    """(48, n_voxels) AR(1) noise of unit variance."""
    fresh = rng.standard_normal(shape)
    fresh[1:] *= (1 - lag_one**2) ** 0.5
    return np.asarray(lfilter([1.0], [1.0, -lag_one], fresh, axis=0))


def run_of(name: str, order: NDArray[np.int8], betas: Array, cued: NDArray[np.int8] | None = None) -> Run:
    """A run as `load_runs` gives it."""
    condition = {"vis": "vision", "img": "imagery"}[name[:3]]
    scores = ((betas - betas.mean(axis=0)) / betas.std(axis=0, ddof=1)).astype(np.float32)
    return Run(name, condition, name[3], TARGETS, order, order if cued is None else cued, ALL, scores, None)


def session(
    rng: np.random.Generator, schedule: Schedule, planted: Planted, n_voxels: int = 40, stimulus_set: str = "A"
) -> Session:
    """One set of one subject."""
    seen, other, letters = rng.standard_normal((3, 6, n_voxels))
    imagined = planted.correlation * seen + (1 - planted.correlation**2) ** 0.5 * other
    course = np.cos(np.pi * (np.arange(48) + 0.5) / 48) * 2**0.5
    drift = planted.drift * np.outer(course, rng.standard_normal(n_voxels))

    def betas(evoked: Array, shown: NDArray[np.int8]) -> Array:
        noise = noise_of(rng, (48, n_voxels), planted.lag_one)
        return evoked + planted.letter * letters[shown] + noise + drift

    vision, cued, imagery = schedule
    runs = (
        run_of(f"vis{stimulus_set}", vision, betas(planted.vision * seen[vision], cued), cued),
        run_of(f"img{stimulus_set}_1", vision, betas(planted.imagery * imagined[vision], vision)),
        run_of(f"img{stimulus_set}_2", imagery, betas(planted.imagery * imagined[imagery], imagery)),
    )
    return Session(runs[0], runs[1], runs[2], gram(runs))


def group(rng: np.random.Generator, planted: Planted, of_sets: Sequence[Schedule], n_voxels: int = 40) -> list[Session]:
    """The sets of eight subjects of one schedule, subject by subject."""
    return [
        session(rng, schedule, planted, n_voxels, name)
        for _ in range(N_SUBJECTS)
        for name, schedule in zip("ABC", of_sets, strict=False)
    ]


def same_patterns(rng: np.random.Generator, seed: int, schedule: Schedule, planted: Planted) -> Session:
    """A session of which the patterns depend on the seed alone: the same in imagery as in vision."""
    seen = np.random.default_rng(seed).standard_normal((6, 40))
    runs = [
        run_of(name, order, sd * seen[order] + noise_of(rng, (48, 40), planted.lag_one))
        for name, order, sd in (
            ("visA", schedule.vision, planted.vision),
            ("imgA_1", schedule.vision, planted.imagery),
            ("imgA_2", schedule.imagery, planted.imagery),
        )
    ]
    return Session(runs[0], runs[1], runs[2], gram(runs))


PENALTIES = (0.0, 0.3, 1.0, 3.0, 10.0, 30.0)


def glm(rng: np.random.Generator, n_voxels: int) -> list[Array]:
    """(48, n_voxels) betas of one run without any response, by ridge regression with each of `PENALTIES`."""
    seconds = np.arange(220.0)
    onsets = 12 + 4 * np.arange(48)
    response = gamma.pdf(seconds, 6) - gamma.pdf(seconds, 16) / 6
    design = np.stack([np.interp(seconds - onset, seconds, response, left=0) for onset in onsets], axis=1)
    data = np.asarray(lfilter([1.0], [1.0, -0.4], rng.standard_normal((len(seconds), n_voxels)), axis=0))
    products, crossed = design.T @ design, design.T @ data
    scale = np.trace(products) / 48
    return [np.linalg.solve(products + penalty * scale * np.eye(48), crossed) for penalty in PENALTIES]


def chosen_by_labels(
    first: Sequence[Array], second: Sequence[Array], orders: tuple[NDArray[np.int8], NDArray[np.int8]]
) -> tuple[Array, Array]:
    """Betas of two runs, each voxel with the penalty whose label means best predict the other run's plain betas."""
    errors = []
    for one, other in zip(first, second, strict=True):
        error = np.zeros(one.shape[1])
        for train, test, of_train, of_test in ((one, second[0], *orders), (other, first[0], *orders[::-1])):
            means = np.stack([train[of_train == target].mean(axis=0) for target in range(6)])
            error += np.square(test - means[of_test]).sum(axis=0)
        errors.append(error)
    best = np.argmin(errors, axis=0)
    voxels = np.arange(len(best))
    return np.stack(first)[best, :, voxels].T, np.stack(second)[best, :, voxels].T
