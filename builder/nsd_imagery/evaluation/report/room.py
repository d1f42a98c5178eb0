"""How much a page draws: of many subjects and ROIs not everything, so that any browser opens it."""

from collections.abc import Mapping, Sequence
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

_OF_PAPERS: Final = ("early", "higher")
"""ROIs that come first, after the main one."""


@dataclass(frozen=True)
class Room:
    """Which ROIs are drawn; the main one is always among them.

    Attributes:
        main: "group", or the only subject: what the parts of the page are of.
        each: ROIs that have figures of their own there.
        among: By subject, ROIs that it is shown in among subjects one by one.
        is_less: Whether there are more ROIs than either.
    """

    main: str
    each: tuple[str, ...]
    among: Mapping[str, tuple[str, ...]]
    is_less: tuple[bool, bool]

    @property
    def some(self) -> tuple[str, ...]:
        """All ROIs that some subject is shown in."""
        return tuple(dict.fromkeys(roi for rois in self.among.values() for roi in rois))


def room(found: Opened) -> Room:
    """What a page of an evaluation draws."""
    of_subject = found.about["rois"]
    rois = list(dict.fromkeys(roi for names in of_subject.values() for roi in names))
    each, most = _first(rois, _OF_EACH), max(_OF_SUBJECTS // len(of_subject), 1)
    among = {name: _first(names, most) for name, names in of_subject.items()}
    main = next(iter(of_subject)) if len(of_subject) == 1 else GROUP
    is_less = any(len(among[name]) < len(names) for name, names in of_subject.items())
    return Room(main, each, among, (len(each) < len(rois), is_less))


def _first(rois: Sequence[str], most: int) -> tuple[str, ...]:
    of_papers = [roi for roi in (main_roi(rois), *_OF_PAPERS) if roi in rois]
    return tuple(dict.fromkeys([*of_papers, *rois]))[:most]
