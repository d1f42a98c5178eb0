"""The numbers that a paper quotes, out of all scores, in words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from nsd_imagery.evaluation.comparisons import PRIMARY
from nsd_imagery.evaluation.score import GROUP, Score
from nsd_imagery.evaluation.transfer.beside import BY_CEILING
from nsd_imagery.experiment import TARGETS_PER_SET
from nsd_imagery.page.numbers import decimals

SHORT: Final = ("reliability", "within vision", "vision → imagery", "letter alone", "transfer", "predictions")
"""What is said first; predictions only where there are some."""

NO_EMBEDDINGS: Final = (
    "not estimated: needs embeddings: nsd-imagery embed ROOT --model FOLDER_OR_ID, then evaluate with --embeddings ROOT"
)
"""What is said of transfer where there is none."""


Learnt = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""What transfer was learnt from, by subject and ROI; see `transferred.Transferred`."""


@dataclass(frozen=True)
class Line:
    """One of the numbers, of all subjects together, in a ROI.

    Attributes:
        number: Its number in the protocol's list of ten.
        name: What it is, in a word or three.
        roi: Where.
        text: What it says.
        scores: The scores that it says.
    """

    number: int
    name: str
    roi: str
    text: str
    scores: tuple[Score, ...]


class _Found:
    """Scores of one ROI over all subjects and sets."""

    def __init__(self, scores: Iterable[Score], roi: str) -> None:
        mine = [score for score in scores if score.roi == roi and score.stimulus_set == ""]
        self._group = [score for score in mine if score.subject == GROUP]
        self._own = [score for score in mine if score.subject != GROUP]

    def one(self, measure: str, **said: object) -> Score:
        """The group's; of one subject with that subject's interval, as there is none over subjects."""
        score = self._all(self._group, measure, said)[0]
        having = [one for one in self._own if one.value is not None]
        if score.low is None and score.n_subjects == 1 and (own := self._all(having, measure, said)):
            return replace(score, low=own[0].low, high=own[0].high, interval=own[0].interval)
        return score

    def has(self, **said: object) -> bool:
        """Whether there is such a score of the group."""
        return any(all(getattr(one, name) == value for name, value in said.items()) for one in self._group)

    @staticmethod
    def _all(scores: Iterable[Score], measure: str, said: dict[str, object]) -> list[Score]:
        named = {"measure": measure, **said}
        return [one for one in scores if all(getattr(one, name) == value for name, value in named.items())]


def headline(scores: Sequence[Score], rois: Sequence[str], learnt: Learnt | None = None) -> list[Line]:
    """The numbers of each ROI, the main one first.

    Args:
        scores: Of an evaluation.
        rois: Its ROIs.
        learnt: What transfer was learnt from, by subject and ROI; default: nothing.
    """
    first, learnt = main_roi(rois), learnt or {}
    return [line for roi in (first, *(name for name in rois if name != first)) for line in _of_roi(scores, roi, learnt)]


def main_roi(rois: Sequence[str]) -> str:
    """The ROI of the primary test, where it is there; else the first."""
    return PRIMARY.roi if PRIMARY.roi in rois else rois[0]


def _of_roi(scores: Sequence[Score], roi: str, learnt: Learnt) -> list[Line]:
    found = _Found(scores, roi)
    parts: tuple[tuple[int, str, Callable[[_Found], tuple[str, tuple[Score, ...]]]], ...] = (
        (1, "reliability", _reliability),
        (2, "noise ceiling", _ceilings),
        (3, "imagery/vision", _ratio),
        (4, "within vision", _within),
        (5, "imagery across runs", _across),
        (6, "vision → imagery", _primary),
        (6, "letter alone", _letter),
        (7, "vision → imgX_1", _same_order),
        (8, "shared pattern", _shared),
    )
    lines = [Line(number, name, roi, *said(found)) for number, name, said in parts]
    return [*lines, *_of_transfer(found, roi, learnt)]


def _reliability(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = [found.one("ncsnr", condition=name, how="within") for name in ("vision", "imagery")]
    said = ", ".join(f"{score.condition} {_value(score)}" for score in both)
    n_subjects = max(score.n_subjects for score in both)
    return f"ncsnr {said}; {n_subjects} subject{'' if n_subjects == 1 else 's'}, {both[0].beta_version}", tuple(both)


def _ceilings(found: _Found) -> tuple[str, tuple[Score, ...]]:
    of_all: list[Score] = []
    said = []
    for name in ("vision", "imagery"):
        three = [found.one("noise_ceiling", condition=name, how="within", n_repeats=n) for n in (1, 8, 16)]
        values = ", ".join(_number(score.value) for score in three)
        said.append(f"{name} {_why(three[0]) if three[0].value is None else values}")
        of_all += three
    return f"NC(1), NC(8), NC(16) of {'; '.join(said)}", tuple(of_all)


def _ratio(found: _Found) -> tuple[str, tuple[Score, ...]]:
    score = found.one("signal_variance", condition="imagery/vision")
    return f"signal variance, of percent signal change {_value(score)}", (score,)


def _within(found: _Found) -> tuple[str, tuple[Score, ...]]:
    score = found.one("identification", train="visX", test="visX", how="within", unit="trial")
    return _six_way(score, found.one("margin", train="visX", test="visX", how="within", unit="trial"))


def _across(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = [found.one(name, train="imgX", test="imgX", how="across") for name in ("identification", "margin")]
    return _six_way(*both)


def _primary(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = [
        found.one(name, train="visX", test="imgX_2", how="letter-free", unit="trial")
        for name in ("identification", PRIMARY.measure)
    ]
    said, scores = _six_way(*both)
    role = "the primary test" if PRIMARY.is_of(both[1]) else f"secondary: the primary test is of {PRIMARY.roi}"
    return f"without the letter {said} ({role})", scores


def _letter(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = [found.one(name, train="visX", test="imgX_2", how="letter") for name in ("identification", "margin")]
    said, scores = _six_way(*both)
    return f"{said} (its control)", scores


def _same_order(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = [
        found.one(name, train="visX", test="imgX_1", how="detrended", unit="trial")
        for name in ("identification", "margin")
    ]
    more = found.one("identification", train="visX", test="imgX_1 − imgX_2", how="detrended")
    said, scores = _six_way(*both)
    return f"detrended {said}; imgX_1 − imgX_2 {_value(more)}, order, time and practice not separable", (*scores, more)


def _shared(found: _Found) -> tuple[str, tuple[Score, ...]]:
    both = found.one("pattern_correlation"), found.one("pattern_covariance")
    if both[1].value is None:
        return _value(both[1]), both
    return f"correlation without noise {_value(both[0])}; covariance {_value(both[1])}{_p(both[1])}", both


def _of_transfer(found: _Found, roi: str, learnt: Learnt) -> list[Line]:
    """Numbers 9 and 10, of ridge from perception and of predictions; where there are no embeddings, how to get them."""
    if found.has(train="perception", measure="two_way"):
        said, scores = _carried(found, "perception")
        lines = [
            Line(9, "transfer", roi, f"perception {said}; {_learnt(learnt, roi)}", scores),
            Line(10, "shared1000", roi, *_pictures(found, "perception")),
        ]
    else:
        lines = [Line(number, name, roi, NO_EMBEDDINGS, ()) for number, name in ((9, "transfer"), (10, "shared1000"))]
    if found.has(train="predictions", measure="two_way"):
        said, scores = _carried(found, "predictions")
        lines += [
            Line(9, "predictions", roi, said, scores),
            Line(10, "predicted pictures", roi, *_pictures(found, "predictions")),
        ]
    return lines


def _carried(found: _Found, train: str) -> tuple[str, tuple[Score, ...]]:
    """Two-way accuracy within sets, of vision and imagery."""
    scores: list[Score] = []
    for test in ("visX", "imgX"):
        for unit in ("trial", "mean"):
            wanted = {"train": train, "test": test, "unit": unit, "n_candidates": TARGETS_PER_SET, "how": "decode"}
            if found.has(measure="two_way", **wanted):
                scores.append(found.one("two_way", **wanted))
                break
    if not scores:
        return "→ vision, imagery: not among the test sets", ()
    if all(one.value is None for one in scores):
        return f"→ vision, imagery {_why(scores[0])}", tuple(scores)
    said = [f"→ {one.condition.rpartition(' ')[2]} {_value(one)}{_p(one)}" for one in scores]
    return f"{', '.join(said)} (two-way of {TARGETS_PER_SET}, chance 0.5)", tuple(scores)


def _pictures(found: _Found, train: str) -> tuple[str, tuple[Score, ...]]:
    """Retrieval of the shared pictures, and what is explained of what can be."""
    wanted = {"train": train, "test": "perception", "unit": "mean"}
    if not found.has(measure="retrieval_at_1", **wanted):
        return "not among the test sets", ()
    retrieved = found.one("retrieval_at_1", **wanted)
    if retrieved.value is None:
        return _value(retrieved), (retrieved,)
    among = retrieved.n_candidates or retrieved.candidates
    said = f"retrieval@1 of {among} {_value(retrieved)}, chance {_number(retrieved.chance)}{_p(retrieved)}"
    if not found.has(measure="brain_correlation", **wanted):
        return said, (retrieved,)
    explained = found.one("brain_correlation", how=f"encode, {BY_CEILING}", **wanted)
    return f"{said}; brain correlation/ceiling {_value(explained)}", (retrieved, explained)


def _learnt(learnt: Learnt, roi: str) -> str:
    """How much was learnt from, and what the leak guard took out."""
    mine = [of_roi[roi] for of_roi in learnt.values() if of_roi.get(roi)]
    counts = sorted({one["training_pictures"] for one in mine})
    if not counts or not counts[-1]:
        return "no training pictures"
    n_removed = sum(one["pictures_removed"] for one in mine)
    size = " to ".join(f"{n:,}" for n in dict.fromkeys((counts[0], counts[-1])))
    return f"{size} training pictures, {n_removed} removed because they are tested"


def _six_way(accuracy: Score, margin: Score) -> tuple[str, tuple[Score, ...]]:
    """An accuracy, its chance, and the p of the margin."""
    if accuracy.value is None:
        return _value(accuracy), (accuracy, margin)
    return f"6-way {_value(accuracy)}, chance {_number(accuracy.chance)}{_p(margin)}", (accuracy, margin)


def _value(score: Score) -> str:
    if score.value is None:
        return _why(score)
    ends = "" if score.low is None else f" [{_number(score.low)}, {_number(score.high)}]"
    return f"{_number(score.value)}{ends}"


def _why(score: Score) -> str:
    return f"not estimated: {score.reason}"


def _number(value: float | None) -> str:
    return "-" if value is None else decimals(value)


def _p(score: Score) -> str:
    return "" if score.p is None else f", p {score.p:.2g}"
