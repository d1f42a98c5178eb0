"""`report`: the page of an evaluation that is there, and its figures for papers."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nsd_imagery.atomic import replace_text, replacing
from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.headline import main_roi
from nsd_imagery.evaluation.opened import Opened, opened
from nsd_imagery.evaluation.output import EVALUATION, RECORDS
from nsd_imagery.evaluation.report.figures import Drawn, figures
from nsd_imagery.evaluation.report.page import identity, page
from nsd_imagery.evaluation.report.room import room
from nsd_imagery.evaluation.report.strips import strips
from nsd_imagery.locks import holding

if TYPE_CHECKING:
    from nsd_imagery.evaluation.run import Evaluation

PAGE: Final = "report.html"
FIGURES: Final = "figures"

_OURS: Final = re.compile(r"(?:group|subj\d\d)-[^/]*\.(?:svg|png)")
_THEMED: Final = re.compile(r"var\(--[\w-]+,\s*(#[0-9a-fA-F]+)\)")
"""A colour that a page may set, with the one that it is elsewhere."""


def report(evaluation: "Evaluation | Path | str") -> Path:
    """Write the page of an evaluation, `report.html`, and its figures as files, in the evaluation's folder.

    It is made of `scores.parquet`, `evaluation.json` and `voxels-*.parquet` alone; the same files give the same bytes.

    Args:
        evaluation: What `evaluate` gave, or its folder.

    Returns:
        The page.

    Raises:
        MissingDataError: There is no evaluation.
        DataError: It is damaged, or an earlier version of this package wrote it.
        MissingExtraError: matplotlib is not installed.
        BusyError: An evaluation is being written there.
    """
    folder = _folder(evaluation)
    opened(folder)  # or it is none, and nothing is to be written there

    def busy(holder: str) -> str:
        return f"{folder}: an evaluation is being written here ({holder}); wait for it"

    with holding(folder / RECORDS / "lock", busy):
        return write(folder)


def _folder(evaluation: "Evaluation | Path | str") -> Path:
    place = evaluation if isinstance(evaluation, str | Path) else evaluation.path
    return Path(place).expanduser().absolute()


def write(folder: Path) -> Path:
    """`report`, where the folder is held already."""
    found = opened(folder)
    _refuse_mixed(folder, found)
    shown = room(found)
    drawn = {shown.main: figures(found, shown.main, shown.each)}
    for name, rois in found.about["rois"].items():
        if name not in drawn:
            drawn[name] = figures(found, name, [main_roi(rois)], shown.among[name])
    text = page(found, drawn)
    files = {
        _file_name(f"{name}-{one.name}-{one.roi}", "svg"): _of_paper(one)
        for name, many in drawn.items()
        for one in many
    }
    files |= {_file_name(name, "png"): picture for name, picture in strips(found).items()}
    _write_figures(folder / FIGURES, files)
    replace_text(folder / PAGE, text)
    return folder / PAGE


def forget_stale(folder: Path) -> None:
    """Remove a page that is of another evaluation than the one that lies there now."""
    path = folder / PAGE
    if path.is_file() and f'content="{identity(folder)}"' not in path.read_text(encoding="utf-8", errors="replace"):
        path.unlink()
        _write_figures(folder / FIGURES, {})


def _refuse_mixed(folder: Path, found: Opened) -> None:
    """Stop where files are not those that `evaluation.json` was written with.

    Raises:
        DataError: One is another, or gone.
    """
    for name, digest in found.about["files"].items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            msg = f"{path}: is not the one that {EVALUATION} was written with; run nsd-imagery evaluate again"
            raise DataError(msg)


def _write_figures(place: Path, files: Mapping[str, bytes]) -> None:
    """Write files by their names, and remove those of an earlier page."""
    if files:
        place.mkdir(exist_ok=True)
    for name, raw in files.items():
        with replacing(place / name) as file:
            file.write(raw)
    for path in place.glob("*") if place.is_dir() else ():
        if path.name not in files and _OURS.fullmatch(path.name):
            path.unlink()


def _of_paper(one: Drawn) -> bytes:
    """A figure in the colours of papers."""
    text = _THEMED.sub(r"\1", one.svg).rstrip()
    return f"{text}\n".encode()


def _file_name(words: str, ending: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.+_-]', '_', words.rstrip('-'))}.{ending}"
