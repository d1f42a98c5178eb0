"""Whether a file is still the one that was read: taken before it is opened, and compared after.

Nothing here opens a file. What a file holds is known by its contents alone; this is only the shortcut that spares a
second reading of a source that nobody touched.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from nsd_imagery.errors import DataError

Identity = list[int]

_Read = TypeVar("_Read")
_TRIES = 3


def identity(path: Path) -> Identity:
    """Size, time of the last change of contents and of the file itself (ns), and inode.

    A copy with preserved times has another inode, and a file written in place another time of change, which nothing
    can set back. The device is left out: its number differs between nodes and mounts.
    """
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def read_unchanged(files: Sequence[Path], read: Callable[[], _Read]) -> tuple[list[Identity], _Read]:
    """What reading gives, and the identities of the files that it was read from; again if one was replaced meanwhile.

    Args:
        files: What `read` reads.
        read: May fail while a file is being replaced; an error counts only where no file was touched.

    Raises:
        DataError: The files are replaced faster than they are read.
    """
    for _ in range(_TRIES):
        before = [identity(file) for file in files]
        try:
            found = read()
        except (DataError, OSError):
            if [identity(file) for file in files] == before:
                raise
            continue
        if [identity(file) for file in files] == before:
            return before, found
    msg = f"{', '.join(map(str, files))}: was changed while it was read: run again when nothing writes to it"
    raise DataError(msg)
