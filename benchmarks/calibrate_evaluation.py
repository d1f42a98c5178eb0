"""How well the estimators of `evaluate` find what was planted, as Markdown tables.

    python benchmarks/calibrate_evaluation.py >benchmarks/EVALUATION.md

Runs are simulated in ROI space: 48 trials, six targets eight times in drawn orders without repeats, AR(1) noise, slow
drift, planted patterns. What the tests hold with few draws is measured here with many.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import kstest

from nsd_imagery.chance.intervals import around, over_subjects, shared_by_schedule
from nsd_imagery.chance.orders import N_DRAWS, draw_cued, draw_targets
from nsd_imagery.chance.pairs import Variances, across_runs, drawn_signal, noise_ceiling, variances
from nsd_imagery.evaluation.ceiling import measured_ceilings
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.sums import n_blocks, total, variance, within

Array = NDArray[np.float64]
Estimator = Callable[[Array, NDArray[np.integer]], Variances]

LAG_ONE = 0.34
"""Of the noise of neighbouring betas."""

ALL = np.ones(48, bool)
TARGETS = tuple("uvwxyz")


@dataclass(frozen=True)
class Noise:
    """What a trial holds beside its target's response.

    Attributes:
        lag_one: Correlation of neighbouring trials.
        drift: Standard deviation over a run of what changes slowly, in units of the noise.
    """

    lag_one: float = LAG_ONE
    drift: float = 0.0


def noise_of(rng: np.random.Generator, n_voxels: int, noise: Noise) -> Array:
    """(48, n_voxels) AR(1) noise of unit variance, and drift: half a wave and a whole one of time, mixed by voxel."""
    fresh = rng.standard_normal((48, n_voxels))
    fresh[1:] *= (1 - noise.lag_one**2) ** 0.5
    found = np.asarray(lfilter([1.0], [1.0, -noise.lag_one], fresh, axis=0))
    if noise.drift:
        courses = np.cos(np.outer(np.arange(48) + 0.5, np.pi * np.array([1, 2]) / 48)) * 2**0.5
        found += noise.drift * courses @ (rng.standard_normal((2, n_voxels)) / 2**0.5)
    return found


def patterns(rng: np.random.Generator, n_voxels: int, ncsnr: float) -> Array:
    """(6, n_voxels) responses whose variance over targets (ddof 1) is ncsnr² in every voxel."""
    drawn = rng.standard_normal((6, n_voxels))
    drawn -= drawn.mean(axis=0)
    return ncsnr * drawn / drawn.std(axis=0, ddof=1)


def zscored(betas: Array) -> Array:
    """Each voxel by the mean and sd of the run."""
    return (betas - betas.mean(axis=0)) / betas.std(axis=0, ddof=1)


def run_of(name: str, order: NDArray[np.integer], betas: Array, cued: NDArray[np.integer] | None = None) -> Run:
    """A run as `load_runs` gives it."""
    condition = {"vis": "vision", "img": "imagery"}[name[:3]]
    letters = order if cued is None else cued
    scores = zscored(betas).astype(np.float32)
    return Run(name, condition, name[3], TARGETS, order.astype(np.int8), letters.astype(np.int8), ALL, scores, None)


def of_allen(betas: Array, order: NDArray[np.integer]) -> Variances:
    """Noise is the variance about the target's mean; signal is what that leaves of the whole (Allen et al. 2022)."""
    noise = np.mean([betas[order == target].var(axis=0, ddof=1) for target in range(6)], axis=0)
    return Variances(betas.var(axis=0, ddof=1) - noise, noise)


def of_anova(betas: Array, order: NDArray[np.integer]) -> Variances:
    """Signal is the variance of the targets' means less that of noise by n; equal to the one of GSN."""
    noise = np.mean([betas[order == target].var(axis=0, ddof=1) for target in range(6)], axis=0)
    means = np.stack([betas[order == target].mean(axis=0) for target in range(6)])
    return Variances(means.var(axis=0, ddof=1) - noise / 8, noise)


def of_pairs(betas: Array, order: NDArray[np.integer]) -> Variances:
    """This package's."""
    return variances(betas, order, ALL)


def recovered(ncsnr: float, noise: Noise, n_draws: int, estimators: Sequence[Estimator], z: bool, seed: int) -> Array:
    """(n_estimators, 2) signal variance and ncsnr over what was planted, sums over draws of 800 voxels first.

    Drift counts as noise.
    """
    rng = np.random.default_rng(seed)
    sums = np.zeros((len(estimators), 2))
    for order in draw_targets(rng, n_draws):
        betas = patterns(rng, 800, ncsnr)[order] + noise_of(rng, 800, noise)
        betas = zscored(betas) if z else betas
        for number, estimator in enumerate(estimators):
            sums[number] += [values.mean() / n_draws for values in estimator(betas, order)]
    planted = ncsnr / (1 + noise.drift**2) ** 0.5
    ratio = np.sqrt(np.maximum(sums[:, 0] / sums[:, 1], 0)) / planted
    return np.stack([sums[:, 0] / ncsnr**2, ratio], axis=1)


def recovered_across(ncsnr: float, noise: Noise, n_draws: int, seed: int) -> float:
    """Signal variance across two runs over what was planted."""
    rng = np.random.default_rng(seed)
    found = []
    for first, second in zip(draw_targets(rng, n_draws), draw_targets(rng, n_draws), strict=True):
        planted = patterns(rng, 800, ncsnr)
        one, other = (planted[order] + noise_of(rng, 800, noise) for order in (first, second))
        found.append(across_runs(one, other, (first, second), (ALL, ALL)).mean())
    return float(np.mean(found)) / ncsnr**2


def blocks_of_six(rng: np.random.Generator, n_orders: int) -> NDArray[np.int8]:
    """(n_orders, 48) schedules by another rule: each six trials have all six targets, none twice in a row."""
    kept: list[NDArray[np.int8]] = []
    while len(kept) < n_orders:
        blocks = np.concatenate([rng.permutation(6) for _ in range(8)]).astype(np.int8)
        if (np.diff(blocks) != 0).all():
            kept.append(blocks)
    return np.stack(kept)


def null_p(n_runs: int, noise: Noise, orders: NDArray[np.int8], draws: int, seed: int, n_voxels: int = 40) -> Array:
    """(n_runs,) p of a ROI's signal variance where there is none."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_voxels, n_voxels)) + 2 * rng.standard_normal((n_voxels, 1))
    found = np.empty(n_runs)
    for number in range(n_runs):
        scores = zscored(noise_of(rng, n_voxels, noise) @ mixing)
        observed = variances(scores, orders[number], ALL).signal.sum()
        found[number] = (1 + np.count_nonzero(drawn_signal(scores @ scores.T, ALL, draws) >= observed)) / (1 + draws)
    return found


def coverage(n_runs: int, noise: Noise, seed: int, ncsnr: float = 0.316, n_voxels: int = 100) -> Array:
    """(2,) how often the jackknife's intervals of signal variance and ncsnr², of three runs, hold what was planted."""
    rng = np.random.default_rng(seed)
    planted = np.array([ncsnr**2, ncsnr**2 / (1 + noise.drift**2)])
    hits = np.zeros(2)
    for _ in range(n_runs):
        parts = []
        for name, order in zip("ABC", draw_targets(rng, 3), strict=True):
            betas = patterns(rng, n_voxels, ncsnr)[order] + noise_of(rng, n_voxels, noise)
            parts.append(within(run_of(f"vis{name}", order, betas), betas @ betas.T, 0))
        for number, form in enumerate((lambda s, _: s / (3 * n_voxels), lambda s, n: s / n)):
            low, high = around(total(parts, form), variance(parts, form), n_blocks(parts))
            hits[number] += low <= planted[number] <= high
    return hits / n_runs


def by_cue(n_runs: int, seed: int, ncsnr: float = 0.707) -> float:
    """Signal variance of vision labelled by the letter, over that of vision labelled by what was seen."""
    rng = np.random.default_rng(seed)
    sums = np.zeros(2)
    orders = draw_targets(rng, n_runs)
    for order, cued in zip(orders, draw_cued(rng, orders), strict=True):
        betas = patterns(rng, 400, ncsnr)[order] + noise_of(rng, 400, Noise())
        sums += [variances(betas, labels, ALL).signal.mean() for labels in (order, cued)]
    return float(sums[1] / sums[0])


def one_schedule(n_groups: int, noise: Noise, seed: int, n_subjects: int = 8) -> tuple[float, float]:
    """Signal variance over what was planted, and coverage of the group's interval, with one schedule for all.

    The schedule is another one in each group, and the three runs of a subject are summed.
    """
    rng = np.random.default_rng(seed)
    n_voxels, draws, ncsnr = 60, 300, 0.316
    found, hits = [], 0
    for _ in range(n_groups):
        orders = draw_targets(rng, 3)
        values, nulls = np.zeros(n_subjects), np.zeros((n_subjects, draws))
        for subject in range(n_subjects):
            for order in orders:
                betas = patterns(rng, n_voxels, ncsnr)[order] + noise_of(rng, n_voxels, noise)
                products = betas @ betas.T / (3 * n_voxels)
                values[subject] += variances(betas, order, ALL).signal.mean() / 3
                nulls[subject] += drawn_signal(products, ALL, draws)
        found.append(values.mean())
        interval = over_subjects(values, shared_by_schedule(nulls))
        hits += interval is not None and interval.low <= ncsnr**2 <= interval.high
    return float(np.mean(found)) / ncsnr**2, hits / n_groups


def carried_over(n_runs: int, share: float, seed: int, ncsnr: float = 0.707) -> float:
    """Signal variance over what was planted, where a trial holds a share of the response to the target before."""
    rng = np.random.default_rng(seed)
    found = []
    for order in draw_targets(rng, n_runs):
        evoked = patterns(rng, 400, ncsnr)[order]
        evoked[1:] += share * evoked[:-1].copy()
        found.append(variances(evoked + noise_of(rng, 400, Noise()), order, ALL).signal.mean())
    return float(np.mean(found)) / ncsnr**2


def perfect_model(ncsnr: float, n: int, seed: int, n_stimuli: int = 200_000) -> float:
    """r² of the truth with averages of n trials, which no model can beat."""
    rng = np.random.default_rng(seed)
    truth = ncsnr * rng.standard_normal(n_stimuli)
    return float(np.corrcoef(truth, truth + rng.standard_normal(n_stimuli) / n**0.5)[0, 1]) ** 2


def speed(n_voxels: int = 15_724) -> Iterator[str]:
    """Lines on nine runs of a full-size ROI, as ratios to their Gram matrix alone."""
    rng = np.random.default_rng(0)
    names = "visA imgA_1 imgA_2 visB imgB_1 imgB_2 visC imgC_1 imgC_2".split()
    runs = [
        run_of(name, order, noise_of(rng, n_voxels, Noise()))
        for name, order in zip(names, draw_targets(rng, len(names)), strict=True)
    ]
    about = Runs("subj01", "nsdgeneral", "fithrf", "", n_voxels, tuple(runs), {})
    products, of_gram = timed(lambda: gram(runs))
    yield "| nine runs of 15,724 voxels | CPU s | × Gram |"
    yield "|---|---|---|"
    yield f"| Gram matrix | {of_gram:.2f} | 1 |"
    _, drawing = timed(lambda: drawn_signal(products.block(runs[0], runs[0]), ALL), 1)
    yield f"| 9,999 orders and their weights, once a process | {drawing:.2f} | {drawing / of_gram:.1f} |"
    for what, work in {
        "signal and noise variance of each voxel": lambda: [variances(run.betas, run.order, ALL) for run in runs],
        "all ceilings with intervals and p, within and across": lambda: measured_ceilings(about, products=products),
    }.items():
        _, seconds = timed(work)
        yield f"| {what} | {seconds:.2f} | {seconds / of_gram:.1f} |"


def timed(work: Callable[[], Any], rounds: int = 3) -> tuple[Any, float]:
    """What work gives, and its CPU seconds: the least of some rounds."""
    least, found = np.inf, None
    for _ in range(rounds):
        start = time.process_time()
        found = work()
        least = min(least, time.process_time() - start)
    return found, least


def table_of_ncsnr(n_draws: int) -> Iterator[str]:
    """Recovered ncsnr over planted, by estimator."""
    yield "| planted | AR(1) | drift | signal | ncsnr | ncsnr of z-scores | Allen's form | ANOVA | across runs |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for ncsnr in (0.141, 0.316, 0.707):
        for lag_one in (0.0, 0.34, 0.5):
            for drift in (0.0, 0.3):
                noise = Noise(lag_one, drift)
                raw = recovered(ncsnr, noise, n_draws, [of_pairs], False, 1)[0]
                scored = recovered(ncsnr, noise, n_draws, [of_pairs, of_allen, of_anova], True, 2)[:, 1]
                cells = [*raw, *scored, recovered_across(ncsnr, noise, n_draws, 3)]
                yield (
                    f"| {ncsnr} | {lag_one} | {drift} | " + " | ".join(f"{100 * x - 100:+.1f} %" for x in cells) + " |"
                )


def table_of_null(n_runs: int, draws: int) -> Iterator[str]:
    """How often p of a ROI's signal variance is small where there is no signal."""
    yield "| orders | drift | p ≤ .05 | p ≤ .01 | p ≤ .001 | uniform (KS p) |"
    yield "|---|---|---|---|---|---|"
    rng = np.random.default_rng(4)
    for name, orders in {"as drawn": draw_targets(rng, n_runs), "blocks of six": blocks_of_six(rng, n_runs)}.items():
        for drift in (0.0, 0.3, 1.0):
            p = null_p(n_runs, Noise(drift=drift), orders, draws, 5)
            shares = " | ".join(f"{np.mean(p <= level):.4f}" for level in (0.05, 0.01, 0.001))
            yield f"| {name} | {drift} | {shares} | {kstest(p, 'uniform').pvalue:.3f} |"


def table_of_intervals(n_runs: int) -> Iterator[str]:
    """Coverage of the jackknife, and of the group's interval with one schedule for eight subjects."""
    yield "| drift | signal variance | ncsnr | group: signal over planted | group: coverage |"
    yield "|---|---|---|---|---|"
    for drift in (0.0, 0.3, 1.0):
        noise = Noise(drift=drift)
        ratio, covered = one_schedule(n_runs // 2, noise, 7)
        signal, ncsnr = coverage(n_runs, noise, 6)
        yield f"| {drift} | {signal:.3f} | {ncsnr:.3f} | {ratio:.3f} | {covered:.3f} |"


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How well the estimators of an evaluation find what was planted.")
    parser.add_argument("--draws", type=int, default=400, help="runs of 800 voxels a cell")
    parser.add_argument("--nulls", type=int, default=2_000, help="runs without signal")
    arguments = parser.parse_args()
    lines = list(speed())  # before anything is drawn
    print(f"# Calibration of `evaluate`\n\n`python benchmarks/calibrate_evaluation.py`\n\n{_READ}")
    print(f"## Signal variance and ncsnr\n\n{arguments.draws} runs of 800 voxels a row; error of the mean.\n")
    print(*table_of_ncsnr(arguments.draws), sep="\n")
    print(f"\nLabelled by cue, signal variance of vision is {by_cue(arguments.draws, 8):.3f} of that by what was seen.")
    for share in (0.1, 0.2):
        left = carried_over(arguments.draws, share, 9)
        print(f"With {share} of the previous target's response in a trial it is {left:.3f} of what was planted.")
    print("\n| ncsnr | n | NC(n) | r² of the truth |\n|---|---|---|---|")
    for ncsnr, n in ((0.141, 1), (0.316, 8), (0.316, 16), (0.707, 8)):
        print(f"| {ncsnr} | {n} | {noise_ceiling(ncsnr, n):.3f} | {perfect_model(ncsnr, n, 10):.3f} |")
    print(f"\n## p of signal variance without signal\n\n{arguments.nulls} runs a row, 9,999 drawn orders.\n")
    print(*table_of_null(arguments.nulls, N_DRAWS), sep="\n")
    print("\n## Intervals of 95 %\n\nThree runs a subject; in the group, eight subjects of one schedule.\n")
    print(*table_of_intervals(arguments.nulls // 4), sep="\n")
    print("\n## Speed\n")
    print(*lines, sep="\n")


_READ = """Simulated runs of 48 trials: six targets eight times, none twice in a row; AR(1) noise, 0.34 between
neighbours unless said; drift of half a wave and of a whole one, mixed by voxel, by its standard deviation in units of
the noise. Drift counts as noise. Allen's form and ANOVA are what other code computes, on z-scored rows as here.
"""


if __name__ == "__main__":
    main()
