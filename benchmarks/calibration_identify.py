"""How the tests of identification and geometry behave on planted data, as Markdown tables.

    python benchmarks/calibration_identify.py

Sessions are simulated by `planted`. What the tests hold with few draws is measured here with many.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import kstest

from nsd_imagery.chance.evidence import against_draws, total
from nsd_imagery.chance.intervals import over_subjects, shared_by_schedule
from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.evaluation.geometry import noise_corrected, shared
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.identify import Drawn, between, both_ways, within
from nsd_imagery.evaluation.templates import How
from planted import (
    N_SUBJECTS,
    Array,
    Planted,
    Session,
    chosen_by_labels,
    glm,
    group,
    run_of,
    same_patterns,
    schedules,
    session,
)

Seed = int | Sequence[int]


def margins(sessions: Sequence[Session], draws: int, how: How, test: str = "second") -> list[Drawn]:
    """Margin of vision → imagery of each."""
    return [between(one.vision, getattr(one, test), one.products, draws, how).margin for one in sessions]


def pooled_p(margins: Sequence[Drawn], own_draws: bool = False) -> float:
    """By the sum of z; with own draws, as if each subject had had a schedule of its own."""
    drawn = [np.roll(one.null, 37 * place * own_draws) for place, one in enumerate(margins)]
    return total([against_draws(one.value, null) for one, null in zip(margins, drawn, strict=True)]).p


class Form(NamedTuple):
    """What is pooled: a form of templates, the run that is tested, and whether subjects wrongly have own draws."""

    how: How
    test: str = "second"
    own_draws: bool = False


def group_p(
    n_experiments: int, planted: Planted, forms: Sequence[Form], draws: int, seed: Seed, n_sets: int = 2
) -> Array:
    """(n_forms, n_experiments) pooled p over eight subjects and some sets; each experiment has one schedule."""
    rng = np.random.default_rng(seed)
    drawn = schedules(rng, n_experiments * n_sets)
    found = np.empty((len(forms), n_experiments))
    for place in range(n_experiments):
        sessions = group(rng, planted, drawn[place * n_sets : (place + 1) * n_sets])
        of_form = {form[:2]: margins(sessions, draws, form.how, form.test) for form in forms}
        for number, form in enumerate(forms):
            found[number, place] = pooled_p(of_form[form[:2]], form.own_draws)
    return found


class Alone(NamedTuple):
    """p of single runs without signal, and their accuracies: (n,) each."""

    within: Array
    raw: Array
    centred: Array
    detrended: Array
    both_ways: Array
    accuracy: Array
    chance: Array


def alone(n: int, planted: Planted, draws: int, seed: Seed) -> Alone:
    """One subject and set each."""
    rng = np.random.default_rng(seed)
    rows = []
    for schedule in schedules(rng, n):
        one = session(rng, schedule, planted)
        of_run = within(one.second, one.products, draws)
        found = [
            of_run,
            between(one.vision, one.second, one.products, draws, "published"),
            between(one.vision, one.first, one.products, draws, "centred"),
            between(one.vision, one.first, one.products, draws, "detrended"),
            both_ways(one.first, one.second, one.products, draws),
        ]
        rows.append([*(one.margin.p for one in found), of_run.accuracy.value, of_run.accuracy.null.mean()])
    return Alone(*np.array(rows, np.float64).T)


def correlation(n_groups: int, planted: Planted, seed: Seed, n_voxels: int = 100) -> Array:
    """(n_groups,) noise-corrected pattern correlation over eight subjects and two sets."""
    rng = np.random.default_rng(seed)
    drawn = schedules(rng, 2 * n_groups)
    found = []
    for place in range(n_groups):
        sessions = group(rng, planted, drawn[2 * place : 2 * place + 2], n_voxels)
        found.append(noise_corrected([shared(*one, draws=0) for one in sessions]))
    return np.array(found)


def group_coverage(n_groups: int, planted: Planted, draws: int, seed: int) -> tuple[float, float]:
    """How often intervals over subjects hold the mean of all groups: with, and without, what the schedule shares."""
    rng = np.random.default_rng(seed)
    drawn = schedules(rng, 2 * n_groups)
    values, nulls = [], []
    for place in range(n_groups):
        of_all = margins(group(rng, planted, drawn[2 * place : 2 * place + 2]), draws, "published")
        pairs = list(zip(of_all[::2], of_all[1::2], strict=True))
        values.append([(one.value + other.value) / 2 for one, other in pairs])
        nulls.append(shared_by_schedule(np.array([(one.null + other.null) / 2 for one, other in pairs])))
    truth = float(np.mean(values))
    hits = np.zeros(2)
    for of_subjects, v in zip(values, nulls, strict=True):
        for number, variance in enumerate((v, 0.0)):
            ends = over_subjects(of_subjects, variance)
            hits[number] += ends is not None and ends.low <= truth <= ends.high
    return float(hits[0] / n_groups), float(hits[1] / n_groups)


def coverage_of_accuracy(n: int, planted: Planted, draws: int, seed: int) -> tuple[float, float]:
    """How often the interval of accuracy holds its mean: within a run, and from vision to imgX_2."""
    patterns = np.random.default_rng(seed).integers(1 << 30)
    rng = np.random.default_rng(seed + 1)
    found = []
    for schedule in schedules(rng, n):
        one = same_patterns(rng, int(patterns), schedule, planted)
        of_forms = (within(one.vision, one.products, draws), between(one.vision, one.second, one.products, draws))
        found.append([(form.accuracy.value, *form.interval) for form in of_forms])
    values = np.array(found)
    truth = values[..., 0].mean(axis=0)
    inside = (values[..., 1] <= truth) & (truth <= values[..., 2])
    return float(inside[:, 0].mean()), float(inside[:, 1].mean())


def familywise(n_experiments: int, draws: int, seed: int) -> Array:
    """(n_experiments, 4, 1 + draws) margin of four ROIs that share voxels, without signal, and under each draw."""
    rng = np.random.default_rng(seed)
    rois = (np.arange(25), np.arange(8, 33), np.arange(15, 40), np.arange(0, 40, 2))
    found = np.empty((n_experiments, len(rois), 1 + draws))
    for place, schedule in enumerate(schedules(rng, n_experiments)):
        one = session(rng, schedule, Planted())
        runs = (one.vision, one.second)
        for number, voxels in enumerate(rois):
            margin = between(*runs, gram(runs, voxels), draws).margin
            found[place, number] = [margin.value, *margin.null]
    return found


def ridge_p(n_experiments: int, draws: int, seed: Seed, n_subjects: int, n_voxels: int = 60) -> Array:
    """(3, n_experiments) pooled p of imagery across runs without imagery: by labels, plain, fractions shuffled."""
    rng = np.random.default_rng(seed)
    rows = []
    for schedule in schedules(rng, n_experiments):
        orders = (schedule.vision, schedule.imagery)
        evidence: list[list[Drawn]] = [[], [], []]
        for _ in range(n_subjects):
            first, second = glm(rng, n_voxels), glm(rng, n_voxels)
            other = rng.permutation(48)
            shuffled = chosen_by_labels(first, second, (orders[0], orders[1][other]))
            chosen = chosen_by_labels(first, second, orders)
            for number, betas in enumerate((chosen, (first[0], second[0]), shuffled)):
                one, two = map(run_of, ("imgA_1", "imgA_2"), orders, betas)
                evidence[number].append(both_ways(one, two, gram((one, two)), draws).margin)
        rows.append([pooled_p(of_all) for of_all in evidence])
    return np.array(rows).T


Work = Callable[..., Any]
Spread = Callable[..., Array]
"""`spread` by some executor."""


def spread(
    executor: Executor, workers: int, work: Work, n: int, *arguments: object, seed: int, **more: object
) -> Array:
    """What n experiments give, on the last axis; each worker has some of them and a seed of its own."""
    parts = [
        executor.submit(work, -(-n // workers), *arguments, seed=[seed, number], **more) for number in range(workers)
    ]
    return np.concatenate([np.asarray(part.result()) for part in parts], axis=-1)


def row(*cells: object) -> str:
    """Of a Markdown table."""
    return f"| {' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in cells)} |"


def head(*names: str) -> list[str]:
    """Two lines."""
    return [row(*names), "|" + "---|" * len(names)]


P_COLUMNS = ("p ≤ .05", "p ≤ .01", "p ≤ .001", "uniform (KS p)")


def of_p(p: Array) -> list[str]:
    """Shares of p ≤ .05, .01, .001, and how well p is uniform (Kolmogorov and Smirnov)."""
    shares = [f"{np.mean(p <= level):.4f}" for level in (0.05, 0.01, 0.001)]
    return [*shares, f"{kstest(p, 'uniform').pvalue:.2g}"]


def table_of_alone(over: Spread, n: int, draws: int) -> Iterator[str]:
    """p of single runs without signal."""
    names = ("within imgX_2", "visX → imgX_2", "visX → imgX_1 centred", "visX → imgX_1 detrended", "imgX across runs")
    yield from head("drift", "form", *P_COLUMNS)
    for drift in (0.0, 0.3, 1.0):
        found = Alone(*over(alone, n, Planted(drift=drift), draws, seed=1))
        for name, p in zip(names, found[:5], strict=True):
            yield row(drift, name, *of_p(p))
        excess = found.accuracy - found.chance
        said = f"accuracy within {found.accuracy.mean():.4f}, mean of its draws {found.chance.mean():.4f}"
        yield row(drift, said, f"z {excess.mean() / excess.std() * len(excess) ** 0.5:.2f}", "", "", "")


def table_of_groups(over: Spread, n: int, draws: int) -> Iterator[str]:
    """Pooled p of eight subjects of one schedule and three sets, without imagery."""
    forms = {
        "visX → imgX_2, shared draws": Form("published"),
        "visX → imgX_2, letter-free": Form("letter-free"),
        "visX → imgX_2, as if each subject had own draws": Form("published", own_draws=True),
        "visX → imgX_1, raw": Form("raw", "first"),
        "visX → imgX_1, centred": Form("centred", "first"),
        "visX → imgX_1, detrended": Form("detrended", "first"),
    }
    yield from head("drift", "form", *P_COLUMNS)
    for drift in (0.0, 0.3, 1.0):
        found = over(group_p, n, Planted(drift=drift), list(forms.values()), draws, seed=2, n_sets=3)
        for name, p in zip(forms, found, strict=True):
            yield row(drift, name, *of_p(p))


def table_of_letters(over: Spread, n: int, draws: int) -> Iterator[str]:
    """Pooled p of eight subjects and two sets with a letter and without imagery."""
    hows: tuple[How, ...] = ("letter-free", "letter", "published", "mismatched")
    yield from head("templates", *P_COLUMNS)
    found = over(group_p, n, Planted(letter=0.1, vision=0.3), [Form(how) for how in hows], draws, seed=3)
    for how, p in zip(hows, found, strict=True):
        yield row(how, *of_p(p))


def table_of_ridge(over: Spread, n: int, draws: int) -> Iterator[str]:
    """Imagery across runs without imagery."""
    yield from head("subjects", "ridge fractions", *P_COLUMNS)
    for n_subjects in (1, N_SUBJECTS):
        found = over(ridge_p, n, draws, seed=4, n_subjects=n_subjects)
        for name, p in zip(("chosen by these labels", "none", "chosen by other labels"), found, strict=True):
            yield row(n_subjects, name, *of_p(p))


def table_of_intervals(over: Spread, n: int, draws: int) -> Iterator[str]:
    """Coverage of intervals, noise-corrected correlation, family-wise error."""
    yield from head("what", "found")
    for signal in (0.0, 0.2, 0.3, 0.5):
        planted = Planted(vision=signal, imagery=signal)
        for name, by in (("interval of accuracy covers", draws), ("the same, trials taken as independent", 0)):
            covered = np.mean([coverage_of_accuracy(n, planted, by, seed) for seed in range(5, 25, 4)], axis=0)
            yield row(f"{name}, within a run, signal {signal}", float(covered[0]))
            yield row(f"{name}, visX → imgX_2, signal {signal}", float(covered[1]))
    for drift in (0.3, 1.0):
        planted = Planted(vision=0.3, imagery=0.3, correlation=0.5, drift=drift)
        covered, by_scatter_alone = group_coverage(n, planted, draws, 6)
        yield row(f"interval over subjects covers, drift {drift}", covered)
        yield row("the same without what the schedule shares", by_scatter_alone)
    for correlated in (0.0, 0.3, 0.6):
        planted = Planted(vision=0.316, imagery=0.316, correlation=correlated)
        found = over(correlation, 160, planted, seed=7)
        said = f"{found.mean():.3f} ± {found.std():.3f}"
        yield row(f"noise-corrected correlation of eight subjects, planted {correlated}", said)
    margins = familywise(n, draws, 8)
    drawn = margins[..., 1:]
    greatest = ((margins - drawn.mean(axis=2, keepdims=True)) / drawn.std(axis=2, keepdims=True)).max(axis=1)
    yield row("family-wise error of four correlated ROIs", float(np.mean([tail(one) <= 0.05 for one in greatest])))
    least = [min(tail(one) for one in experiment) <= 0.05 for experiment in margins]
    yield row("the same, not corrected", float(np.mean(least)))


def tail(values: Array) -> float:
    """p of the first value by the others."""
    return float((1 + np.count_nonzero(values[1:] >= values[0])) / len(values))


TABLES = {
    "Single runs without signal": (table_of_alone, 1.0, N_DRAWS),
    "Eight subjects of one schedule, three sets, without imagery": (table_of_groups, 0.5, N_DRAWS),
    "A letter of variance 0.01 of noise, without imagery: eight subjects, two sets": (table_of_letters, 0.5, N_DRAWS),
    "Ridge fractions chosen by labels, without imagery": (table_of_ridge, 0.2, 1_999),
    "Intervals, correlation, families": (table_of_intervals, 0.25, 999),
}
"""With the share of experiments that each has, and its draws at most."""


def sections(executor: Executor, workers: int, n: int, draws: int, only: Sequence[int] = ()) -> Iterator[str]:
    """All tables, or some by number, with n experiments and so many drawn orders."""

    def over(work: Work, n: int, *arguments: object, seed: int, **more: object) -> Array:
        return spread(executor, workers, work, n, *arguments, seed=seed, **more)

    for number, (title, (table, share, most)) in enumerate(TABLES.items()):
        if number in (only or range(len(TABLES))):
            n_experiments, n_draws = int(n * share), min(draws, most)
            yield f"\n### {title}\n\n{n_experiments} experiments a row, {n_draws} drawn orders.\n"
            yield from table(over, n_experiments, n_draws)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="How identification and geometry behave on planted data.")
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, nargs="*", default=(), help="numbers of tables, from 0")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.workers) as executor:
        asked = (arguments.workers, arguments.experiments, arguments.draws, arguments.only)
        for line in sections(executor, *asked):
            print(line, flush=True)


if __name__ == "__main__":
    main()
