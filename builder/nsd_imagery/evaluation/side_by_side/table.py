"""Two evaluations side by side as a text that fits a screen."""

from collections.abc import Sequence
from typing import Final

from nsd_imagery.chance.intervals import FEWEST_SUBJECTS
from nsd_imagery.evaluation.record import among
from nsd_imagery.evaluation.score import GROUP
from nsd_imagery.evaluation.side_by_side.differences import Difference

WIDTH: Final = 100
"""Letters of a line."""

_COLUMNS: Final = ("subject", "roi", "measure", "of", "unit", "N", "A", "B", "B − A", "interval")
_MEASURE: Final = _COLUMNS.index("measure")
_WIDEST: Final = (6, 16, 40, 16, 5, 5, 7, 7, 7, 17)
_MODELS_DO: Final = ("decode", "encode", "")
_REFERENCES: Final = ("chance", "constant", "repeats")
_OF_MODELS: Final = ("cosine", "two_way", "identification", "retrieval_at_1", "brain_correlation")
_OF_BETAS: Final = ("ncsnr", "identification", "margin", "pattern_covariance")
_TESTS: Final = ("perception", "visX", "imgX")


def shown_rows(rows: Sequence[Difference]) -> list[Difference]:
    """The rows that are said first: main measures over sets that differ, of the group where it has an interval."""
    is_group = any(row.a.subject == GROUP and (row.n_pairs or 0) >= FEWEST_SUBJECTS for row in rows)
    return [row for row in rows if _is_main(row) and _is_of(row.a.subject, is_group=is_group)]


def _is_of(subject: str, *, is_group: bool) -> bool:
    return subject == GROUP if is_group else not subject.startswith(GROUP)


def _is_main(row: Difference) -> bool:
    score = row.a
    if row.difference is None or score.value == row.b.value or score.stimulus_set or score.train in _REFERENCES:
        return False
    if not score.how.startswith(_MODELS_DO[:2]):
        return score.measure in _OF_BETAS
    return score.measure in _OF_MODELS and score.test in _TESTS and among(score) is None


def table_of_differences(rows: Sequence[Difference]) -> str:
    """A row a score, and, in a line above, what is the same of all: subject, ROI; nothing of no rows."""
    if not rows:
        return ""
    cells = [[_cut(word, n) for word, n in zip(_row(row), _WIDEST, strict=True)] for row in rows]
    same = [len({row[column] for row in cells}) == 1 for column in range(2)]
    kept = [column for column in range(len(_COLUMNS)) if column > 1 or not same[column]]
    above = ", ".join(cells[0][column] for column in range(2) if same[column])
    lines = [[row[column] for column in kept] for row in (list(_COLUMNS), *cells)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    at = kept.index(_MEASURE)
    widths[at] -= max(0, sum(widths) + 2 * (len(widths) - 1) - WIDTH)
    text = ["  ".join(_cut(word, n).ljust(n) for word, n in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([above, *text] if above else text)


def _cut(word: str, n_letters: int) -> str:
    return word if len(word) <= n_letters else f"{word[: n_letters - 1]}…"


def _row(row: Difference) -> tuple[str, ...]:
    score = row.a
    how = score.how.removeprefix("encode, ")
    measure = f"{score.measure} ({score.stimulus_set})" if score.stimulus_set else score.measure
    if how not in _MODELS_DO:
        measure += f", {how}"
    ends = "" if row.low is None or row.high is None else f"[{row.low:.3f}, {row.high:.3f}]"
    n = "" if score.n_candidates is None else str(score.n_candidates)
    difference = "" if row.difference is None else f"{row.difference:+.3f}"
    values = (_plain(score.value), _plain(row.b.value), difference, ends)
    return score.subject, score.roi, measure, score.test or score.condition, score.unit, n, *values


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
