"""Links that lead to nothing: what git-annex and datalad leave of a file until somebody gets its content.

Links are followed wherever they lead, because they are the user's own. One without content is not a file that is not
there: something says that the data has it.
"""

import errno
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from nsd_imagery.errors import MissingDataError
from nsd_imagery.identity import identity
from nsd_imagery.shell import quoted

_POINTERS = (b"/annex/objects/", b"version https://git-lfs")
"""With which files begin that stand for a content elsewhere, where links are not used."""

_LONGEST_POINTER = 1000

_GLANCES = 1024
"""Small files that are looked at once a process."""


def without_content(path: Path) -> str | None:
    """The sentence on a path that is a link without content, or leads through one; None if it is or does not."""
    link = _link(path)
    if link is None:
        return None
    where = quoted(link)
    return f"{link}: a link without content: get it first, e.g. `datalad get {where}` or `git annex get {where}`"


def refuse_without_content(path: Path) -> None:
    """Stop where a path is a link without content, or leads through one.

    Raises:
        MissingDataError: It does.
    """
    if said := without_content(path):
        raise MissingDataError(said)


def is_there(path: Path) -> bool:
    """Whether a file is there.

    Raises:
        MissingDataError: There is a link without content.
    """
    refuse_without_content(path)
    return path.is_file()


def first(paths: Iterable[Path]) -> Path | None:
    """The first file that is there, else the first link without content; None if there is neither.

    For files of which one is as good as another, and for who only asks what there is: reading it says what it lacks.
    """
    paths = list(paths)
    there = (path for path in paths if path.is_file() and not without_content(path))
    return next(there, None) or next(filter(without_content, paths), None)


def find(paths: Iterable[Path]) -> Path | None:
    """The first file that is there; None if there is none.

    Raises:
        MissingDataError: There are only links without content.
    """
    path = first(paths)
    if path is not None:
        refuse_without_content(path)
    return path


def _link(path: Path) -> Path | None:
    """What has no content: the path, or the link that it leads through."""
    for place in (path, *path.parents):
        try:
            size = place.stat().st_size
        except ValueError:  # no name of a file here
            return None
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                return None
            if place.is_symlink():
                return place
        else:
            is_small_file = place == path and size < _LONGEST_POINTER and path.is_file() and os.access(path, os.R_OK)
            return place if is_small_file and _is_pointer(place, *identity(place)) else None
    return None


@lru_cache(_GLANCES)
def _is_pointer(path: Path, *_identity: int) -> bool:
    with path.open("rb") as file:
        return file.read(len(max(_POINTERS, key=len))).startswith(_POINTERS)
