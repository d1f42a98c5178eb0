"""Scores as a text that fits a screen."""

from collections.abc import Iterable
from typing import Final

from nsd_imagery.evaluation.headline import Line
from nsd_imagery.evaluation.score import Score

COLUMNS: Final = ("measure", "roi", "of", "how", "value", "interval", "chance", "p")
"""Of `table_of`."""

_WIDEST: Final = (20, 16, 16, 12, 7, 15, 6, 7)
"""Letters of each column; longer words are cut short."""


_MODELS: Final = ("perception", "predictions")
"""What `train` says of what a model gave."""


def table_of(lines: Iterable[Line]) -> str:
    """A row a score of some lines, all of all subjects together; what was not estimated has no value."""
    scores = list(dict.fromkeys(score for line in lines for score in line.scores))
    rows = [COLUMNS, *map(_row, scores)]
    cut = [[_cut(word, n) for word, n in zip(row, _WIDEST, strict=True)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return "\n".join("  ".join(word.ljust(n) for word, n in zip(row, widths, strict=True)).rstrip() for row in cut)


def _cut(word: str, n_letters: int) -> str:
    return word if len(word) <= n_letters else f"{word[: n_letters - 1]}…"


def _row(score: Score) -> tuple[str, ...]:
    is_pair, how = score.train and score.train != score.test, score.how
    of = f"{score.train} → {score.test}" if is_pair and score.condition != "imagery/vision" else score.condition
    if score.train in _MODELS and how.startswith(("decode", "encode")):
        of, how = f"→ {score.test}", "predicted" if score.train == _MODELS[1] else how.removeprefix("encode, ")
    measure = f"{score.measure}({score.n_repeats})" if score.measure == "noise_ceiling" else score.measure
    ends = "" if score.low is None else f"[{_plain(score.low)}, {_plain(score.high)}]"
    p = "" if score.p is None else f"{score.p:.2g}"
    return measure, score.roi, of, how, _plain(score.value), ends, _plain(score.chance), p


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
