"""The ten numbers as the page's first table has them: of the group, and of each subject the same ones."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from nsd_imagery.evaluation.headline import Line
from nsd_imagery.evaluation.score import Score
from nsd_imagery.evaluation.subject import kind_of
from nsd_imagery.page.table import Table

NUMBERS: Final = 10
"""How many there are."""

_OF_LINE: Final = {
    "within vision": "6-way identification within a run of vision",
    "imagery across runs": "6-way identification from one imagery run to the other",
    "vision → imagery": "6-way identification, vision → imgX_2, letter-free",
    "letter alone": "6-way identification, the letter alone → imgX_2",
    "vision → imgX_1": "6-way identification, vision → imgX_1, detrended",
}
_OF_MEASURE: Final = {
    "ncsnr": "ncsnr, {0.condition}",
    "noise_ceiling": "NC({0.n_repeats}), {0.condition}",
    "signal_variance": "signal variance of imagery over vision’s, of percent signal change",
    "pattern_correlation": "correlation of patterns of vision and imagery, without noise",
    "pattern_covariance": "covariance of patterns of vision and imagery",
    "two_way": "two-way identification, {0.train} → {0.test}, decoded",
    "cosine": "cosine, {0.train} → {0.test}, decoded",
    "retrieval_at_1": "retrieval@1 of {0.n_candidates}, shared1000",
    "brain_correlation": "brain correlation, {0.test}, {0.how}",
}


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        what: What it is.
        score: Its value, interval, chance and reference.
        tested: That p belongs to: of an accuracy, its margin.
        note: What the number must not be taken for; of none, why there is none. "" where the row before says it.
    """

    what: str
    score: Score
    tested: Score
    note: str


@dataclass(frozen=True)
class Numbered:
    """The rows of one of the ten numbers; none where nothing of it was estimated or asked for."""

    number: int
    rows: tuple[Row, ...]


def of_subject(lines: Iterable[Line], scores: Iterable[Score], subject: str) -> list[Line]:
    """The same numbers of one subject, without those that only a group has.

    Args:
        lines: The group's.
        scores: All.
        subject: "subj01" to "subj08".
    """
    own = {(kind_of(one), one.roi): one for one in scores if one.subject == subject}
    mine = [replace(line, scores=tuple(own[key] for one in line.scores if (key := (kind_of(one), one.roi)) in own))
            for line in lines]  # fmt: skip
    return [line for line in mine if line.scores]


def numbered(lines: Iterable[Line], roi: str) -> list[Numbered]:
    """The ten of a ROI, in order."""
    mine = [line for line in lines if line.roi == roi]
    return [
        Numbered(number, tuple(row for line in mine if line.number == number for row in _rows(line)))
        for number in range(1, NUMBERS + 1)
    ]


def beside(ten: Iterable[Numbered], caption: str) -> Table:
    """What stands beside each number: how chance, interval and reference were got, and of how much it is."""
    columns = (
        "number", "unit", "told apart", "chance, how", "interval, how", "beside it", "which is", "p over ROIs",
        "ROIs", "draws", "trials", "subjects", "voxels", "betas",
    )  # fmt: skip
    rows = [
        (
            row.what,
            one.unit if one.unit != "mean" else f"mean of {one.n_repeats}",
            one.candidates,
            one.chance_method,
            one.interval,
            one.reference,
            one.reference_method,
            row.tested.p_corrected,
            row.tested.family,
            row.tested.draws,
            one.n_trials,
            one.n_subjects,
            one.n_voxels,
            one.beta_version,
        )
        for many in ten
        for row in many.rows
        if (one := row.score).value is not None
    ]
    return Table(caption, columns, tuple(rows))


def _rows(line: Line) -> list[Row]:
    """A row a score; a margin is none of its own but gives its p to the accuracy that it belongs to."""
    margins = {_compared(one): one for one in line.scores if one.measure == "margin"}
    rows: list[Row] = []
    before = ""
    for score in line.scores:
        if score.measure != "margin":
            note = "" if score.reason == before and score.value is not None else score.reason
            rows.append(Row(_what(line, score), score, margins.get(_compared(score), score), note))
            before = score.reason
    return rows


def _compared(score: Score) -> tuple[str, ...]:
    return score.train, score.test, score.how, score.unit


def _what(line: Line, score: Score) -> str:
    if score.measure == "identification":
        return _OF_LINE.get(line.name, line.name) if "−" not in score.test else f"{score.test}, of the same"
    return _OF_MEASURE.get(score.measure, f"{score.measure}, {score.condition}").format(score)
