"""How reliable a condition is in a ROI, and what the best model could reach: signal variance, ncsnr, noise ceiling.

Sums over runs and voxels come first, then the ratio and its root: a mean of ratios that were clipped at 0 is biased
upward even in white noise. "within" compares vision with imagery by one estimator; "across" is what imagery's two runs
share, which is what a decoder can carry from one to the other. All are of betas of one version and of these targets:
stimulus sets, and NSD core, are not ranked by them.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from nsd_imagery.chance.orders import N_DRAWS
from nsd_imagery.chance.pairs import Variances, variances
from nsd_imagery.chance.pairs import across_runs as across_runs
from nsd_imagery.chance.pairs import noise_ceiling as noise_ceiling
from nsd_imagery.chance.pairs import pair_weights as pair_weights
from nsd_imagery.evaluation.cells import RELIABLE, Cell, Form, empty, key_of, measured, of_cell
from nsd_imagery.evaluation.comparisons import CONCEPT
from nsd_imagery.evaluation.gram import Gram, Matrix, gram
from nsd_imagery.evaluation.runs import Runs, for_across_runs
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.sums import Part, between, percent_products, within
from nsd_imagery.experiment import STIMULUS_SETS

_LETTER: Final = "includes the letter on the screen"
_ROWS: Final = {
    "vision": "visX",
    "imagery": "imgX",
    "attention-cue": "attX-cue",
    "attention-detection": "attX-detection",
}


def ceilings(runs: Runs, across: Runs | None = None, *, draws: int = N_DRAWS) -> list[Score]:
    """The scores of `measured_ceilings`."""
    return [measured.score for measured in measured_ceilings(runs, across, draws=draws)]


def measured_ceilings(
    runs: Runs, across: Runs | None = None, *, products: Gram | None = None, draws: int = N_DRAWS
) -> list[Measured]:
    """Signal variance, ncsnr and noise ceilings of each condition by set and over sets, and imagery's over vision's.

    `signal_variance` is the mean over voxels and runs of ŝ, in units of the variance of the run's trials; `ncsnr` is
    √(Σŝ / Σn̂), 0 where Σŝ is below 0; `noise_ceiling` is NC(n) for n = 1, 8, 16 and the condition's own number of
    trials a target. All p are of Σŝ. `signal_variance` of "imagery/vision" is a ratio of percent signal change squared.

    Args:
        runs: Of one subject and ROI.
        across: The same subject and ROI in fithrf, for what the two imagery runs share; see `for_across_runs`.
        products: The Gram matrix of `runs`, where it is there already.
        draws: Drawn orders.
    """
    products = gram(runs) if products is None else products
    own = {run.name: within(run, products.block(run, run), draws) for run in runs}
    found: list[Measured] = []
    vision: list[Measured] = []
    for condition in dict.fromkeys(("vision", "imagery", *(run.condition for run in runs))):
        beside = {key_of(one.score): one.score.value for one in vision} if condition == "imagery" else {}
        cells = [_within_cell(runs, own, condition, stimulus_set) for stimulus_set in (*STIMULUS_SETS, "")]
        scores = [one for cell in cells for one in of_cell(cell, beside)]
        vision = scores if condition == "vision" else vision
        found += scores
    found += [one for cell in _across_cells(runs, across, draws) for one in of_cell(cell)]
    percent = {run.name: percent_products(run) for run in (*runs.of("vision"), *runs.of("imagery"))}
    return found + [_ratio(runs, percent, vision, stimulus_set) for stimulus_set in (*STIMULUS_SETS, "")]


def voxel_variances(runs: Runs, condition: str) -> Variances | None:
    """(n_voxels,) signal and noise variance of a condition, mean over its runs, unclipped; None without a run."""
    of_runs = [variances(run.betas, run.order, run.is_valid) for run in runs.of(condition)]
    return Variances(*(np.mean(values, axis=0) for values in zip(*of_runs, strict=True))) if of_runs else None


def _within_cell(runs: Runs, own: Mapping[str, Part], condition: str, stimulus_set: str) -> Cell:
    mine = runs.of(condition, stimulus_set)
    sets = {run.stimulus_set for run in mine}
    notes = [_LETTER] if condition == "imagery" else []
    notes += [CONCEPT if stimulus_set else f"set C is {CONCEPT}"] if condition == "vision" and "C" in sets else []
    rows = _ROWS[condition], _ROWS[condition]
    start = rows[0].partition("X")[0] + stimulus_set
    lacking = {name: why for name, why in runs.left_out.items() if name.startswith(start)}
    parts = [own[run.name] for run in mine]
    if mine and lacking:
        notes.append(f"without {', '.join(lacking)} of {runs.subject}")
    elif not mine:
        notes = [f"{name}: {why}" for name, why in lacking.items()] or [f"no run of {condition}"]
    return Cell(runs, condition, stimulus_set, "within", rows, 0, parts, tuple(notes))


def _across_cells(runs: Runs, across: Runs | None, draws: int) -> list[Cell]:
    """What the two imagery runs of each set share."""
    sound, why = for_across_runs(runs, across)
    parts: dict[str, Part] = {}
    if sound is not None:
        products = gram(sound.of("imagery"))
        for stimulus_set in STIMULUS_SETS:
            pair = [sound.find(f"img{stimulus_set}_{number}") for number in (1, 2)]
            if pair[0] is not None and pair[1] is not None:
                parts[stimulus_set] = between(pair[0], pair[1], products, draws)
    cells = []
    for stimulus_set in (*STIMULUS_SETS, ""):
        mine = [part for name, part in parts.items() if stimulus_set in ("", name)]
        none = why or "needs both imagery runs of a set"
        notes = (_LETTER, *_without(runs, stimulus_set, parts)) if mine else (none,)
        cells.append(Cell(sound or runs, "imagery", stimulus_set, "across", ("imgX_1", "imgX_2"), 0, mine, notes))
    return cells


def _without(runs: Runs, stimulus_set: str, there: Collection[str]) -> list[str]:
    """Which sets are not in what is over sets; nothing of one set."""
    lacking = [name for name in STIMULUS_SETS if name not in there and not stimulus_set]
    return [f"without set {' and '.join(lacking)} of {runs.subject}"] if lacking else []


def _ratio(runs: Runs, percent: Mapping[str, Matrix | None], vision: list[Measured], stimulus_set: str) -> Measured:
    """Signal variance of imagery over that of vision in percent signal change, over the sets that have both."""
    sets = [name for name in STIMULUS_SETS if stimulus_set in ("", name)]
    pairs = [(runs.of("vision", name), runs.of("imagery", name)) for name in sets]
    pairs = [pair for pair in pairs if all(pair)]
    key = ("signal_variance", stimulus_set, 1)
    p = next(one.score.p for one in vision if key_of(one.score) == key)
    parts: list[Part] = []
    why = "" if pairs else "needs vision and imagery of a set"
    for seen, imagined in pairs:
        weighed = [*((run, 0.0, 1 / len(seen)) for run in seen), *((run, 1 / len(imagined), 0.0) for run in imagined)]
        for run, above, below in weighed:
            products = percent[run.name]
            if products is None:
                why = "the folder has no statistics to undo its z-scores, and those do not say how strong a signal is"
            else:
                parts.append(_side(within(run, products, 0), above, below))
    if not why and (p is None or p > RELIABLE):
        why = f"no reliable signal to normalise by: p of vision is not up to {RELIABLE}"
    lacking = _without(runs, stimulus_set, [seen[0].stimulus_set for seen, _ in pairs])
    notes = (why,) if why else ("ratio of percent signal change squared", _LETTER, *lacking)
    cell = Cell(runs, "imagery/vision", stimulus_set, "within", ("visX", "imgX"), 0, parts, notes)
    form = Form("signal_variance", None, None)
    if why:
        return empty(cell, form, why)
    one = measured(cell, form, np.zeros(0))
    return replace(one, score=replace(one.score, chance_method="0 without signal of imagery; no p, see its own"))


def _side(part: Part, above: float, below: float) -> Part:
    """A run's signal as a part of what stands above a fraction line, or below it."""
    left_out = part.left_out[..., :1] * np.array([above, below])
    return Part(part.signal * above, part.signal * below, left_out, part.null, part.n_valid)
