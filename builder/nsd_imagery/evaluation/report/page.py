"""The page of an evaluation: what was found, first in ten numbers and in words, then part by part."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nsd_imagery.evaluation.headline import Line, headline, main_roi
from nsd_imagery.evaluation.opened import Opened
from nsd_imagery.evaluation.output import EVALUATION
from nsd_imagery.evaluation.report import parts, ten
from nsd_imagery.evaluation.report.brain import sprites, voxels_of
from nsd_imagery.evaluation.report.figures import Drawn
from nsd_imagery.evaluation.report.room import room
from nsd_imagery.evaluation.report.words import readout, said_of, vividness
from nsd_imagery.evaluation.score import GROUP
from nsd_imagery.page.shell import rendered
from nsd_imagery.page.styles import Styles
from nsd_imagery.page.table import Table

_TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")

TITLES: Final = {
    1: "The ten numbers",
    2: "What was evaluated",
    3: "Reliability",
    4: "Map of voxels",
    5: "Identification",
    6: "From vision to imagery",
    7: "Geometry",
    8: "Transfer from perception",
    9: "Chance, as it was drawn",
    10: "Trials and answers",
    11: "Protocol",
}
"""Of the parts."""


@dataclass(frozen=True)
class _Ten:
    """The ten numbers of a ROI, and what stands beside them."""

    roi: str
    numbers: Sequence[ten.Numbered]
    beside: Table | None


def page(found: Opened, drawn: Mapping[str, Sequence[Drawn]]) -> str:
    """The HTML of an evaluation; the same evaluation gives the same text.

    Args:
        found: It, from its folder.
        drawn: By subject, and of the group, its figures; of a single subject what there is of the group is left out.

    Raises:
        DataError: The evaluation is damaged, or of an earlier version.
    """
    rois = list(dict.fromkeys(roi for names in found.about["rois"].values() for roi in names))
    main = main_roi(rois)
    lines = headline(found.scores, rois)
    maps = {name: voxels for name in found.about["subjects"]
            if (voxels := voxels_of(found, name, found.about["rois"][name]))}  # fmt: skip
    styles, shown = Styles(), room(found)
    group = _section(lines, drawn.get(shown.main, ()), rois, GROUP, styles, shown.each)
    subjects = {
        name: _section(ten.of_subject(lines, found.scores, name), drawn.get(name, ()), some, name, styles)
        for name, some in shown.among.items()
        if name != shown.main
    }
    has_transfer = any(one.train == "perception" and one.condition != "perception" for one in found.scores)
    return rendered(
        _TEMPLATE,
        about=found.about,
        of=identity(found.path),
        titles=TITLES,
        main=main,
        readout=readout(lines),
        words=said_of(lines, found.scores),
        shown=shown,
        group=group,
        subjects=subjects,
        drawn_css=styles.css(),
        facts=parts.facts(found),
        sizes=parts.sizes(found),
        left_out=parts.left_out(found),
        mapped=parts.mapped(maps),
        maps={name: sprites(voxels) for name, voxels in maps.items()},
        has_transfer=has_transfer,
        learnt=parts.learnt(found),
        behaviour=vividness(found.exhibits(GROUP), main),
        trials=parts.trials(found),
    )  # fmt: skip


def identity(folder: Path | None) -> str:
    """By which a page says of which evaluation it is; "" of none that is written.

    Args:
        folder: Of an evaluation.
    """
    written = None if folder is None else folder / EVALUATION
    return hashlib.sha256(written.read_bytes()).hexdigest() if written is not None and written.is_file() else ""


def _section(
    lines: Sequence[Line],
    drawn: Sequence[Drawn],
    rois: Sequence[str],
    name: str,
    styles: Styles,
    told: Sequence[str] = (),
) -> dict[str, Any]:
    """What is shown of a subject, or of the group; `told` are ROIs where it is said how numbers were got, in 10 KB."""
    first = main_roi(rois)
    tables = []
    for roi in (first, *(one for one in rois if one != first)):
        numbers = ten.numbered(lines, roi)
        beside = ten.beside(numbers, f"Beside the numbers of {name} in {roi}") if roi in (first, *told) else None
        tables.append(_Ten(roi, numbers, beside))
    return {"ten": tables, "figures": {part: parts.shown(drawn, part, first, styles) for part in parts.OF_PART}}
