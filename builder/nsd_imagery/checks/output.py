"""A report as a file, of the format that the ending of its name says."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from nsd_imagery.atomic import replace_text
from nsd_imagery.checks.report import Report
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.links import refuse_without_content
from nsd_imagery.suggest import did_you_mean


def _html(report: Report) -> str:
    from nsd_imagery.checks.page import page  # jinja2, which a report of another format does not need

    return page(report)


FORMATS: Final[dict[str, Callable[[Report], str]]] = {".json": Report.dumps, ".md": Report.to_page, ".html": _html}
"""What makes the text of a file, by the ending of its name."""


def refuse_unwritable(path: Path) -> None:
    """Stop before the work where its report could not be written.

    Raises:
        UsageError: The name has another ending.
        MissingDataError: There is no such folder to write it in.
    """
    ending = path.suffix.lower()
    *endings, last = FORMATS
    if ending not in FORMATS:
        told = ending or "a file without an ending"
        msg = f"{path}: a report is written as {', '.join(endings)} or {last}, not as {told}"
        raise UsageError(f"{msg}{did_you_mean(ending, FORMATS)}")
    refuse_without_content(path.parent)
    if not path.parent.is_dir():
        msg = f"{path}: there is no folder {path.parent} to write the report in"
        raise MissingDataError(msg)


def write(report: Report, path: Path) -> None:
    """Write a report whose path `refuse_unwritable` took."""
    replace_text(path, FORMATS[path.suffix.lower()](report))
