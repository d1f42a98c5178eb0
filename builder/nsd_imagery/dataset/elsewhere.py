"""What a build sees of the files of a job, so that a worker of another machine can tell that it sees others."""

import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path

import xxhash

from nsd_imagery.atomic import replace_text
from nsd_imagery.dataset.jobs import Job
from nsd_imagery.dataset.shards import BUILD
from nsd_imagery.errors import DataError

_MARK = "mark"
"""In the folder's .build: a random word of the build that writes there."""

_SAMPLES = 8
_SAMPLE_BYTES = 4096

Seen = Mapping[Path, str]
"""A short hash of a few blocks of each file."""


def mark(folder: Path) -> Path:
    """Write a word into the dataset folder by which a worker knows it; anew for each build.

    Args:
        folder: The dataset folder, locked.
    """
    path = folder / BUILD / _MARK
    replace_text(path, uuid.uuid4().hex)
    return path


def seen(job: Job, marked: Path) -> Seen:
    """What there is to be seen of the files that a job reads, and of the folder that it writes to.

    Args:
        job: The job.
        marked: What `mark` gave.
    """
    return {path: _glance(path) for path in (*job.piece.files, marked)}


def refuse_other_files(expected: Seen, host: str) -> None:
    """Raise DataError if this process does not see the files that the build does.

    Args:
        expected: What the build sees of them.
        host: Where the build runs.

    Raises:
        DataError: A file is not there, or is another one; names this host.
    """
    for path, word in expected.items():
        found = _glance(path)
        if found != word:
            what = "sees another file" if found else "does not see the file"
            msg = (
                f"{path}: a worker on {socket.gethostname()} {what} that the build on {host} sees: root and dataset "
                "folder must be at the same places for all workers (or build with --workers, on one machine)"
            )
            raise DataError(msg)


def _glance(path: Path) -> str:
    """A hash of size and of blocks from the first to the last byte: of a packed file any change is in the last one.

    Empty where the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            digest = xxhash.xxh3_64(str(size).encode())
            for number in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    except OSError:
        return ""
    return digest.hexdigest()
