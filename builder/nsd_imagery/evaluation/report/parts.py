"""What stands where on the page: eleven parts, and which figures belong to each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from markupsafe import Markup

from nsd_imagery.evaluation.opened import Opened
from nsd_imagery.evaluation.report.brain import Voxels
from nsd_imagery.evaluation.report.figures import Drawn
from nsd_imagery.page.styles import Styles
from nsd_imagery.page.table import Table

OF_PART: Final[Mapping[int, tuple[str, ...]]] = {
    3: ("ceiling", "snr"),
    5: ("identification",),
    6: ("imagery_runs", "drift"),
    7: ("rdm",),
    8: ("transfer", "cosine"),
    9: ("nulls",),
    10: ("responses",),
}
"""By part, the names of its figures."""


INTERVALS: Final = "Lines are 95 % intervals. "

READ_SO: Final = {
    "ceiling": INTERVALS + "Imagery across runs is what a decoder can carry from one run to the other, "
    "of betas whose regularisation was not chosen by these labels.",
    "snr": "Signal over noise variance of the voxels of each ROI, unclipped: without signal, half of it is below 0.",
    "identification": INTERVALS + "Dashes are chance. The grey tick is what the same trials give within "
    "their own run: a reference, not a ceiling.",
    "imagery_runs": INTERVALS + "Dashes are chance. As it is, imgX_1 has no p: its order is that of visX.",
    "drift": "How alike two trials of different targets are, by how far apart they stand in their runs. The band is "
    "that of drawn orders; dots lie outside of it.",
    "rdm": "Cross-validated squared Euclidean distances, vision and imagery of a set on one scale; below 0 is noise.",
    "transfer": INTERVALS + "Dashes are chance.",
    "cosine": INTERVALS + "Raw cosine is high whatever the betas are: beside it, the constant predictor.",
    "nulls": "In grey the statistic under drawn orders, the line what was observed.",
    "responses": "Share of imagery trials called vivid, and of vision trials answered right, by target and run.",
}
"""How to read a figure, by its name; of intervals nothing is said where none is drawn."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A figure as the page has it.

    Attributes:
        roi: Of which it is, or "".
        svg: Its element.
        label: What it says.
        caption: How to read it.
        numbers: The numbers drawn.
    """

    roi: str
    svg: Markup
    label: str
    caption: str
    numbers: Table


def shown(drawn: Sequence[Drawn], part: int, first: str, styles: Styles) -> list[Shown]:
    """The figures of a part, those of the main ROI first.

    Args:
        drawn: All of a subject or group.
        part: 3 to 10.
        first: The main ROI.
        styles: Of the page's drawings.
    """
    mine = [one for name in OF_PART[part] for one in drawn if one.name == name]
    mine.sort(key=lambda one: one.roi not in ("", first))
    return [
        Shown(
            one.roi,
            styles.shared(one.svg),
            f"{one.label[:1].upper()}{one.label[1:]}.",
            _caption(one),
            Table(f"Numbers of the figure: {one.name}{f', {one.roi}' if one.roi else ''}", *one.table),
        )
        for one in mine
    ]


def _caption(one: Drawn) -> str:
    said, columns = READ_SO[one.name], one.table.columns
    has_intervals = "low" in columns and any(row[columns.index("low")] is not None for row in one.table.rows)
    return said if has_intervals else said.removeprefix(INTERVALS)


def facts(found: Opened) -> list[tuple[str, Any]]:
    """What was evaluated, a line a thing."""
    about = found.about
    recipe, across = about["dataset"]["recipe"], about["across"]
    plain = "none (--across)" if across is None else f"{across['recipe']['beta_version']}, digest {across['digest']}"
    return [
        ("subjects", ", ".join(about["subjects"])),
        ("ROIs", ", ".join(_all_rois(found))),
        ("betas", f"{recipe['beta_version']}, zscore {recipe['zscore']}, {recipe['dtype']}"),
        ("digest of the dataset", about["dataset"]["digest"]),
        ("betas for imagery across runs", plain),
        ("drawn orders behind each p", about["draws"]),
        ("versions", ", ".join(f"{name} {version}" for name, version in about["versions"].items())),
    ]


def sizes(found: Opened) -> Table:
    """Voxels that vary, by ROI and subject."""
    subjects = found.about["subjects"]
    n_voxels = {(one.roi, one.subject): one.n_voxels for one in reversed(found.scores) if one.n_voxels is not None}
    rows = tuple((roi, *(n_voxels.get((roi, name)) for name in subjects)) for roi in _all_rois(found))
    return Table("Voxels that vary, by ROI and subject", ("voxels of", *subjects), rows)


def left_out(found: Opened) -> list[tuple[str, str, str]]:
    """Runs in no score: which, of whom, and why; said once where it is so in all ROIs."""
    told = [
        (run, subject, why)
        for subject, of_roi in found.about["left_out"].items()
        for runs in of_roi.values()
        for run, why in runs.items()
    ]
    return list(dict.fromkeys(told))


def trials(found: Opened) -> Table:
    """Valid trials by run and subject, where evaluation says so."""
    subjects = found.about["subjects"]
    n_valid = {(one["run"], name): one["n_valid"] for name in subjects for one in found.exhibits(name)["runs"]}
    runs = dict.fromkeys(run for run, _ in n_valid)
    rows = tuple((run, *(n_valid.get((run, name)) for name in subjects)) for run in runs)
    return Table("Valid trials, by run and subject", ("valid trials of", *subjects), rows)


def learnt(found: Opened) -> Table | None:
    """Pictures that transfer was learnt from, and what the leak guard took out; None where nothing was learnt."""
    rows = tuple(
        (f"{subject}, {roi}", said.get("training_pictures"), said.get("pictures_removed"))
        for subject, of_roi in found.about.get("transfer", {}).items()
        for roi, said in of_roi.items()
        if said
    )
    columns = ("learnt from", "training pictures", "removed, as they are tested")
    return Table("What transfer was learnt from", columns, rows) if rows else None


def mapped(maps: Mapping[str, Voxels]) -> Table:
    """What a map has, by subject and condition."""
    rows = tuple(
        (
            f"{subject}, {condition}",
            len(ratio),
            int((ratio < 0).sum()),
            int((~np.isfinite(ratio)).sum()),
        )
        for subject, voxels in maps.items()
        for condition, ratio in voxels.ratios.items()
    )
    columns = ("map", "voxels", "below 0, coloured as 0", "without a number")
    return Table("Voxels of each map", columns, rows)


def _all_rois(found: Opened) -> list[str]:
    return list(dict.fromkeys(roi for rois in found.about["rois"].values() for roi in rois))
