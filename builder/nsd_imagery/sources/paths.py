"""Paths that tables name: they stay inside the root, whatever the table says."""

import stat
from pathlib import Path, PurePosixPath

from nsd_imagery.errors import MissingDataError, shown
from nsd_imagery.sources.table import Line


def named_file(root: Path, line: Line, column: str, text: str) -> Path:
    """The file in the root that a field of a table names, relative to the root and with /.

    Raises:
        DataError: The path is absolute, has "..", is or leads through a link out of the root, or is no regular file.
        MissingDataError: There is no such file.
    """
    relative = PurePosixPath(text)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\0" in text:
        raise line.error(column, "but must be a path inside the root, relative to it")
    path = root / relative
    try:
        resolved = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        msg = f"{line.path}, line {line.number}: {column} is {shown(text)}, but {root} has no such file: copy it there"
        raise MissingDataError(msg) from None
    if not resolved.is_relative_to(root.resolve()):
        raise line.error(column, "which is a link out of the root")
    if not stat.S_ISREG(resolved.stat().st_mode):
        raise line.error(column, "which is no regular file")
    return path
