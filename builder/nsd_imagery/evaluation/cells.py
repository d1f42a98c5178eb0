"""Scores of a condition from its sums of signal and noise, each with interval, chance, p, reference and notes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.intervals import around
from nsd_imagery.chance.pairs import N_BLOCKS, noise_ceiling
from nsd_imagery.evaluation.runs import Runs
from nsd_imagery.evaluation.score import Measured, Score
from nsd_imagery.evaluation.sums import Part, n_blocks, null, total, variance
from nsd_imagery.experiment import TARGETS_PER_SET

COMPARABLE_N: Final = (1, 8, 16)
"""Trials of an average for which every noise ceiling of NSD-Imagery is given, beside the condition's own number."""

RELIABLE: Final = 0.05
"""The p up to which a signal is there to be divided by."""

JACKKNIFE: Final = f"jackknife over {N_BLOCKS} blocks of consecutive trials a run, t; conservative"

_DRAWN: Final = "0 without signal; p by drawn orders of the sum of signal variance over voxels"

Key = tuple[str, str, int | None]
"""Measure, set and number of repeats."""


@dataclass(frozen=True, eq=False)
class Cell:
    """A condition in one set, or over its sets, by one estimator.

    Attributes:
        runs: What stands beside every number.
        condition: "vision", "imagery"...
        stimulus_set: "A", "B", "C"; "" over sets.
        how: "within" or "across".
        rows: Names of the rows, train and test.
        n_own: Trials a target; 0 where they are among `COMPARABLE_N`, or are not as many in each set.
        parts: What is summed; none where there is nothing to estimate from.
        notes: What the numbers must not be taken for; without parts, why there are none.
    """

    runs: Runs
    condition: str
    stimulus_set: str
    how: str
    rows: tuple[str, str]
    n_own: int
    parts: Sequence[Part]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Form:
    """A number that is made of the sums of signal and of noise.

    Attributes:
        measure: Its name.
        n_repeats: Trials of the average that it is about; None where it is of single trials.
        unit: What it is by: None is a ratio to noise, else what the signal is divided by (voxels times parts).
    """

    measure: str
    n_repeats: int | None
    unit: float | None

    def statistic(self, signal: Any, noise: Any) -> Any:
        """The number that is averaged over subjects and tested, neither clipped nor a root."""
        return signal / (noise if self.unit is None else self.unit)

    def value(self, statistic: float) -> float:
        """What is said: of ratios to noise the root, or the noise ceiling; 0 for ratios below 0."""
        return value_of(self.measure, self.n_repeats, statistic)


def value_of(measure: str, n_repeats: int | None, statistic: float) -> float:
    """The value of a measure from its statistic (`Measured.statistic`); monotone."""
    ncsnr = max(statistic, 0.0) ** 0.5
    if measure == "ncsnr":
        return ncsnr
    return noise_ceiling(ncsnr, n_repeats) if measure == "noise_ceiling" and n_repeats else statistic


def of_cell(cell: Cell, beside: Mapping[Key, float | None] | None = None) -> list[Measured]:
    """All scores of a cell.

    Args:
        cell: The cell.
        beside: The values of vision, which stand beside those of imagery.
    """
    voxels = float(max(cell.runs.n_voxels, 1) * max(len(cell.parts), 1))
    counts = sorted({*COMPARABLE_N, cell.n_own} - {0})
    forms = [
        Form("signal_variance", None, voxels),
        Form("ncsnr", None, None),
        *(Form("noise_ceiling", n, None) for n in counts),
    ]
    noise = sum(part.noise for part in cell.parts)
    if not cell.parts or noise <= 0:
        why = "; ".join(cell.notes) if not cell.parts else "no voxel of the ROI varies"
        return [empty(cell, form, why) for form in forms]
    drawn = null(cell.parts)
    return [measured(cell, form, form.statistic(drawn, noise), beside) for form in forms]


def measured(
    cell: Cell, form: Form, drawn: NDArray[np.float64], beside: Mapping[Key, float | None] | None = None
) -> Measured:
    """One score of a cell, with its drawn values; those are none where it has no p."""
    statistic = total(cell.parts, form.statistic)
    ends = around(statistic, variance(cell.parts, form.statistic), n_blocks(cell.parts))
    notes = (*cell.notes, "signal variance is estimated below 0") if statistic < 0 and form.unit is None else cell.notes
    said = _nothing(cell, form)
    reference = (beside or {}).get((form.measure, cell.stimulus_set, said["n_repeats"]))
    said |= {
        "value": form.value(statistic),
        "low": form.value(ends.low),
        "high": form.value(ends.high),
        "interval": JACKKNIFE,
        "chance": 0.0,
        "chance_method": _DRAWN if len(drawn) else "0 without signal",
        "reference": reference,
        "reference_method": "" if reference is None else "vision, by the same estimator",
        "p": float((1 + np.count_nonzero(drawn >= statistic)) / (1 + len(drawn))) if len(drawn) else None,
        "draws": len(drawn) or None,
        "reason": "; ".join(notes),
    }
    return Measured(Score(**said), statistic, drawn)


def empty(cell: Cell, form: Form, reason: str) -> Measured:
    """A score without a value."""
    return Measured(Score(**{**_nothing(cell, form), "reason": reason}), np.nan, np.zeros(0))


def _nothing(cell: Cell, form: Form) -> dict[str, Any]:
    """The fields of a score before there is a number."""
    runs = cell.runs
    return {
        **dict.fromkeys(("value", "low", "high", "chance", "reference", "p", "p_corrected", "draws")),
        **dict.fromkeys(("interval", "chance_method", "reference_method", "family", "reason"), ""),
        "measure": form.measure,
        "subject": runs.subject,
        "roi": runs.roi,
        "condition": cell.condition,
        "stimulus_set": cell.stimulus_set,
        "train": cell.rows[0],
        "test": cell.rows[1],
        "unit": "mean" if (form.n_repeats or 1) > 1 else "trial",
        "n_repeats": form.n_repeats or 1,
        "n_trials": sum(part.n_valid for part in cell.parts),
        "n_subjects": 1,
        "n_candidates": TARGETS_PER_SET,
        "candidates": candidates(cell.stimulus_set),
        "n_voxels": runs.n_voxels,
        "how": cell.how,
        "beta_version": runs.beta_version,
        "dataset": runs.dataset,
    }


def candidates(stimulus_set: str) -> str:
    """What is told apart, in words, in a set or in each of them."""
    if not stimulus_set:
        return "the 6 of each set"
    return f"the 6 {'concepts' if stimulus_set == 'C' else 'targets'} of set {stimulus_set}"


def key_of(score: Score) -> Key:
    """What a score of vision and one of imagery share."""
    return score.measure, score.stimulus_set, score.n_repeats
