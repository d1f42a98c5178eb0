"""How much a page draws: of many subjects and ROIs not everything, so that any browser opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from nsd_imagery.evaluation.headline import main_roi
from nsd_imagery.evaluation.opened import Opened
from nsd_imagery.evaluation.score import GROUP

_OF_SUBJECTS: Final = 16
"""Pairs of a subject and a ROI among the figures and numbers of subjects one by one: 60 KB each, and there is as much
again of each subject, beside its map of 140 KB."""

_OF_EACH: Final = 3
"""ROIs with figures of their own (drift, distances, null distributions): 100 KB each."""


@dataclass(frozen=True)
class Room:
    """Which ROIs are drawn; the main one is always among them.

    Attributes:
        main: "group", or the only subject: what the parts of the page are of.
        each: ROIs that have figures of their own there.
        among: ROIs that subjects one by one are shown in.
        is_less: Whether there are more ROIs than either.
    """

    main: str
    each: tuple[str, ...]
    among: tuple[str, ...]
    is_less: tuple[bool, bool]


def room(found: Opened) -> Room:
    """What a page of an evaluation draws."""
    subjects = found.about["subjects"]
    rois = list(dict.fromkeys(roi for names in found.about["rois"].values() for roi in names))
    each, among = _first(rois, _OF_EACH), _first(rois, max(_OF_SUBJECTS // len(subjects), 1))
    main = subjects[0] if len(subjects) == 1 else GROUP
    return Room(main, each, among, (len(each) < len(rois), len(among) < len(rois)))


def _first(rois: Sequence[str], most: int) -> tuple[str, ...]:
    main = main_roi(rois)
    return tuple([main, *(roi for roi in rois if roi != main)][:most])
