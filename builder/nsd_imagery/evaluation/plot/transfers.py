"""Transfer from perception, by what it is tested on."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.accuracies import rois_of
from nsd_imagery.evaluation.plot.dots import Dot, dot_figure
from nsd_imagery.evaluation.plot.style import COLOURS, Look
from nsd_imagery.experiment import STIMULUS_SETS
from nsd_imagery.spelling import the_choice

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TESTS: Final = {
    "perception": ("perception", Look(COLOURS["perception"])),
    "vision": ("visX", Look(COLOURS["vision"])),
    "imagery 1": ("imgX_1", Look(COLOURS["imagery"], filled=False)),
    "imagery 2": ("imgX_2", Look(COLOURS["imagery"])),
    "imagery, both": ("imgX", Look(COLOURS["imagery"], "s")),
}
"""Rows of a ROI."""

MEASURES: Final = {"two_way": "two-way accuracy", "cosine": "cosine"}
UNITS: Final = ("trial", "mean")

_SHARED: Final = "shared1000"


def transfer(
    source: Source,
    *,
    measure: str = "two_way",
    unit: str = "trial",
    subject: str | int | None = None,
    roi: str | Sequence[str] | None = None,
) -> "Figure":
    """What a decoder that learned from perception gives on perception, vision and imagery, by set and ROI.

    Two-way is within a set, and among all pictures of shared1000; of cosines, the tick is what the constant predictor,
    the mean training embedding, gives.

    Args:
        source: An evaluation with transfer, its folder, or scores.
        measure: "two_way" or "cosine".
        unit: "trial", or "mean" of a target's trials.
        subject: One of its subjects; default: the group, where there is one.
        roi: One or more of its ROIs; default: all.

    Raises:
        UsageError: No such measure, subject or ROI, or the scores are without transfer.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    measure, unit = the_choice("measure", measure, MEASURES), the_choice("unit", unit, UNITS)
    whole = opened(source)
    name = whole.subject(subject)
    dots = transfers_of(whole, name, rois_of(whole, roi), measure, unit)
    if not dots:
        msg = (
            f"there is no transfer of {name} among these scores: it needs embeddings, "
            "nsd-imagery evaluate DATASET --embeddings ROOT"
        )
        raise UsageError(msg)
    return dot_figure(
        dots, MEASURES[measure], reference="constant predictor" if measure == "cosine" else "", floor=None
    )


def transfers_of(
    whole: Opened, subject: str, rois: Iterable[str], measure: str = "two_way", unit: str = "trial"
) -> list[Dot]:
    """What `transfer` draws; nothing where there is no transfer."""
    mine = [
        one
        for one in whole.scores
        if (one.subject, one.measure, one.how, one.train) == (subject, measure, "decode", "perception")
        and one.unit in ("", unit)
    ]
    return [
        Dot(roi, name, f"set {stimulus_set}" if stimulus_set else _SHARED, one, look, measure == "cosine")
        for roi in rois
        for name, (test, look) in TESTS.items()
        for stimulus_set in ("", *STIMULUS_SETS)
        for one in mine
        if (one.roi, one.test, one.stimulus_set) == (roi, test, stimulus_set)
        and bool(stimulus_set) == (test != "perception")
    ]
