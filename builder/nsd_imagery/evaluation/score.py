"""A score: one number, and beside it all that it must not be read without.

A long table of scores, a row each, is `scores.parquet`; its columns are the fields of `Score`, in their order.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nsd_imagery.atomic import replacing
from nsd_imagery.errors import DataError, reason
from nsd_imagery.evaluation.spread import Spread

GROUP: Final = "group"
"""The subject of a score over subjects."""


@dataclass(frozen=True)
class Score:
    """One number of an evaluation, with its chance, ceiling, p, interval and n.

    No field has a default, so that no number is without them; where one does not apply it is None (a number) or "" (a
    word). No number is NaN or infinite.

    Attributes:
        measure: What the number is: `ncsnr`, `noise_ceiling`, `identification`...
        subject: "subj01" to "subj08", or `GROUP`.
        roi: The ROI's name, as its config has it.
        condition: "vision", "imagery", "perception", or the conditions of a comparison.
        stimulus_set: "A", "B" or "C"; "" over sets.
        train: Rows that templates or models are made of ("visX"), or what stands in their place ("chance").
        test: Rows that are scored ("imgX_2").
        unit: "trial" or "mean" (of `n_repeats`); "" where neither is meant.
        n_repeats: Trials of a mean, or that a noise ceiling is of.
        value: The number; None where it cannot be had.
        low: Lower end of its interval.
        high: Upper end.
        interval: How the interval was got.
        chance: What the number is without signal.
        chance_method: How that was got.
        reference: What the number is to be seen beside: a ceiling, or what the same rows give within a run.
        reference_method: How that was got.
        p: How often chance gives as much or more.
        p_corrected: The same for the most extreme of `family`.
        family: What p is corrected over, "early, higher, nsdgeneral".
        n_trials: Valid trials that the number is of.
        n_subjects: Subjects.
        n_candidates: How many stimuli are told apart.
        candidates: Which.
        draws: Drawn orders behind p.
        n_voxels: Voxels of the ROI that vary.
        how: Which form of the measure: "letter-free", "within", "across"...
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        dataset: Digest of the folder.
        reason: Why `value` or `p` is None, or what the number must not be taken for, in a sentence.
    """

    measure: str
    subject: str
    roi: str
    condition: str
    stimulus_set: str
    train: str
    test: str
    unit: str
    n_repeats: int | None
    value: float | None
    low: float | None
    high: float | None
    interval: str
    chance: float | None
    chance_method: str
    reference: float | None
    reference_method: str
    p: float | None
    p_corrected: float | None
    family: str
    n_trials: int | None
    n_subjects: int
    n_candidates: int | None
    candidates: str
    draws: int | None
    n_voxels: int | None
    how: str
    beta_version: str
    dataset: str
    reason: str

    def __post_init__(self) -> None:
        for name in _FLOATS:
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                msg = f"{self.measure} of {self.subject}, {self.roi}: {name} is {value}; None and a reason say that"
                raise DataError(msg)
        if self.value is None and not self.reason:
            msg = f"{self.measure} of {self.subject}, {self.roi}: has no value, and no reason why"
            raise DataError(msg)


def unestimated(**said: Any) -> Score:
    """A score without value, interval, chance, reference and p: where there are none, or before they are put in.

    Args:
        said: All other fields.
    """
    return Score(
        **said,
        value=None,
        low=None,
        high=None,
        interval="",
        chance=None,
        chance_method="",
        reference=None,
        reference_method="",
        p=None,
        p_corrected=None,
        family="",
        draws=None,
    )


@dataclass(frozen=True, eq=False)
class Items:
    """What a score is the mean of, by stimulus: what two models are compared by, stimulus by stimulus.

    Attributes:
        stimuli: (k,) keys, each once.
        values: (k,) mean over the tests of each.
        n_tests: (k,) trials of each that were tested, or 1 where their mean was. Weighted by it, the mean of `values`
            is the value of the score.
    """

    stimuli: tuple[str, ...]
    values: NDArray[np.float64]
    n_tests: NDArray[np.int64]

    @property
    def mean(self) -> float:
        """Over tests."""
        return float(np.average(self.values, weights=self.n_tests))


@dataclass(frozen=True, eq=False)
class Measured:
    """A score, and the draws behind its p: what tests over ROIs and over subjects are made of.

    Attributes:
        score: The score.
        statistic: What p belongs to, in a unit in which subjects may be averaged: never clipped, no root.
        null: (n_draws,) the same under each drawn order; empty where there are no draws. Draw d is of the same orders
            for all subjects and ROIs.
        spread: Of a mean over stimuli, by which means over sets have an interval too; None of others.
        items: The score by stimulus, of models and of identification; None of what is over sets or subjects.
    """

    score: Score
    statistic: float
    null: NDArray[np.float64]
    spread: Spread | None = None
    items: Items | None = None


_ARROW: Final[Mapping[Any, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    int | None: pa.int64(),
    float | None: pa.float64(),
}
_FLOATS: Final = tuple(field.name for field in fields(Score) if field.type == float | None)

SCHEMA: Final = pa.schema(
    [pa.field(field.name, _ARROW[field.type], field.type not in (str, int)) for field in fields(Score)]
)
"""The columns of `scores.parquet`."""


def to_table(scores: Iterable[Score]) -> pa.Table:
    """The long table, a row each, in their order."""
    return pa.Table.from_pylist([asdict(score) for score in scores], SCHEMA)


def from_table(table: pa.Table) -> list[Score]:
    """The scores of a long table.

    Raises:
        DataError: It has other columns, or a row is no score.
    """
    if not table.schema.equals(SCHEMA):
        msg = f"not a table of scores: its columns are {', '.join(table.schema.names)}"
        raise DataError(msg)
    return [Score(**row) for row in table.to_pylist()]


def write_scores(path: Path, scores: Iterable[Score]) -> None:
    """Write the long table beside its place and rename it; the same scores give the same bytes."""
    with replacing(path) as file:
        pq.write_table(to_table(scores).combine_chunks(), file, compression="zstd", store_schema=False)


def read_scores(path: Path) -> list[Score]:
    """The scores of a Parquet file.

    Raises:
        DataError: It is no such file.
    """
    try:
        table = pq.ParquetFile(path).read(use_threads=False)  # see trials.read_index
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: is no table of scores ({reason(error)}); evaluate again"
        raise DataError(msg) from error
    return from_table(table)


def to_json(scores: Iterable[Score]) -> str:
    """A list of objects, a score each, with null where there is nothing."""
    return json.dumps([asdict(score) for score in scores], indent=1, allow_nan=False) + "\n"
