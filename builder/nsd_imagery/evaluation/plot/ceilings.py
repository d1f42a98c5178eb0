"""Noise ceilings by condition and ROI."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.cells import COMPARABLE_N
from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.accuracies import rois_of
from nsd_imagery.evaluation.plot.dots import Dot, dot_figure
from nsd_imagery.evaluation.plot.style import COLOURS, Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CONDITIONS: Final = {
    "vision": ("vision", "within", Look(COLOURS["vision"])),
    "imagery": ("imagery", "within", Look(COLOURS["imagery"])),
    "imagery across runs": ("imagery", "across", Look(COLOURS["imagery"], "s", filled=False)),
}
"""Rows of a ROI: condition and estimator."""


def ceiling(source: Source, *, subject: str | int | None = None, roi: str | Sequence[str] | None = None) -> "Figure":
    """Noise ceilings of single trials and of means of 8 and 16, by condition and ROI, with 95 % intervals.

    NC(n) is the share of the variance of a mean of n trials that the stimulus explains; over all sets.

    Args:
        source: An evaluation, its folder, or scores.
        subject: One of its subjects; default: the group, where there is one.
        roi: One or more of its ROIs; default: all.

    Raises:
        UsageError: No such subject or ROI, or no noise ceiling among the scores.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    dots = ceilings_of(whole, whole.subject(subject), rois_of(whole, roi))
    return dot_figure(dots, "share of variance that the stimulus explains", chance="")


def ceilings_of(whole: Opened, subject: str, rois: Iterable[str]) -> list[Dot]:
    """What `ceiling` draws."""
    mine = [
        one for one in whole.scores if (one.subject, one.measure, one.stimulus_set) == (subject, "noise_ceiling", "")
    ]
    found = [
        Dot(roi, name, f"NC({n})", one, look)
        for roi in rois
        for name, (condition, how, look) in CONDITIONS.items()
        for n in COMPARABLE_N
        for one in mine
        if (one.roi, one.condition, one.how, one.n_repeats) == (roi, condition, how, n)
    ]
    if not found:
        msg = f"there is no noise ceiling of {subject} among these scores"
        raise UsageError(msg)
    return found
