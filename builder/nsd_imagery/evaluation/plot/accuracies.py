"""Identification by set and ROI, and the two imagery runs side by side."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.comparisons import PRIMARY, Comparison
from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.dots import Dot, dot_figure
from nsd_imagery.evaluation.plot.style import COLOURS, GREY, Look
from nsd_imagery.evaluation.score import Score
from nsd_imagery.experiment import STIMULUS_SETS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IDENTIFIED: Final = {
    "within vision": (Comparison("visX", "visX", "within"), Look(COLOURS["vision"])),
    "within imagery": (Comparison("imgX_2", "imgX_2", "within"), Look(COLOURS["imagery"])),
    "imagery across runs": (Comparison("imgX", "imgX", "across"), Look(COLOURS["imagery"], "s", filled=False)),
    "vision → imagery": (PRIMARY.comparison, Look(COLOURS["between"], "D")),
    "the letter alone": (Comparison("visX", "imgX_2", "letter"), Look(COLOURS["letter"], "D", filled=False)),
}
"""Rows of a ROI."""

IMAGERY_RUNS: Final = {
    "imgX_1, as it is": (Comparison("visX", "imgX_1", "raw"), Look(GREY, "D", filled=False)),
    "imgX_1, detrended": (Comparison("visX", "imgX_1", "detrended"), Look(COLOURS["between"], "D", filled=False)),
    "imgX_2, detrended": (Comparison("visX", "imgX_2", "detrended"), Look(COLOURS["between"], "D")),
}
"""The same."""


def identification(
    source: Source, *, subject: str | int | None = None, roi: str | Sequence[str] | None = None
) -> "Figure":
    """Six-way accuracies by set and ROI, with 95 % intervals, the chance of each and what the same rows give in a run.

    Within vision, within imagery (imgX_2), across imagery's runs, from vision to imagery without the letter, and by the
    letter alone.

    Args:
        source: An evaluation, its folder, or scores.
        subject: One of its subjects; default: the group, where there is one.
        roi: One or more of its ROIs; default: all.

    Raises:
        UsageError: No such subject or ROI, or no identification among the scores.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    dots = identified(whole, whole.subject(subject), rois_of(whole, roi))
    return dot_figure(dots, "6-way accuracy", reference="within run")


def imagery_runs(
    source: Source, *, subject: str | int | None = None, roi: str | Sequence[str] | None = None
) -> "Figure":
    """From vision to imgX_1, which has the order of visX, beside imgX_2: accuracies by set and ROI.

    Order, time and practice are not separable; as it is, imgX_1 shares vision's drift too.

    Args:
        source: As `identification`.
        subject: The same.
        roi: The same.

    Raises:
        UsageError, MissingDataError, MissingExtraError: As `identification`.
    """
    whole = opened(source)
    return dot_figure(both_runs(whole, whole.subject(subject), rois_of(whole, roi)), "6-way accuracy")


def identified(whole: Opened, subject: str, rois: Iterable[str]) -> list[Dot]:
    """What `identification` draws."""
    return _dots(whole, subject, rois, IDENTIFIED)


def both_runs(whole: Opened, subject: str, rois: Iterable[str]) -> list[Dot]:
    """What `imagery_runs` draws."""
    return _dots(whole, subject, rois, IMAGERY_RUNS)


def rois_of(whole: Opened, roi: str | Sequence[str] | None) -> list[str]:
    """The ROIs that are meant: by default all.

    Raises:
        UsageError: One is not there.
    """
    if roi is None:
        return list(whole.rois)
    return [whole.roi(name) for name in ([roi] if isinstance(roi, str) else roi)]


def _dots(whole: Opened, subject: str, rois: Iterable[str], kinds: dict[str, tuple[Comparison, Look]]) -> list[Dot]:
    mine = [one for one in whole.scores if one.subject == subject and one.measure == "identification"]
    found = [
        Dot(roi, name, f"set {stimulus_set}", one, look, comparison.how not in ("within", "raw", "detrended"))
        for roi in rois
        for name, (comparison, look) in kinds.items()
        for stimulus_set in STIMULUS_SETS
        for one in mine
        if one.roi == roi and one.stimulus_set == stimulus_set and comparison.is_of(one)
    ]
    if not found:
        msg = f"there is no identification of {subject} among these scores"
        raise UsageError(msg)
    return found


def value_of(dots: Iterable[Dot], roi: str, row: str) -> list[Score]:
    """The scores of a row, by set."""
    return [dot.score for dot in dots if (dot.roi, dot.row) == (roi, row)]
