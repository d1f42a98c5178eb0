"""Too little memory, above all by `ulimit -v`: one line of it.

Where there is no room even for C libraries to load, they end the process or stop for good. So a limit that is too small
for that is refused before they are loaded; above it, Python raises.
"""

import errno
import os
import resource
from collections.abc import Iterator

from nsd_imagery.errors import NSDImageryError, SpaceError, reason

_MB = 1_000_000

_NEED = 700
"""MB of address space that a command takes of the smallest release, with what it loads and its threads."""

_NEEDS = {"info": 250}

_WORDS = (
    "annot allocate memory",
    "can't start new thread",
    "failed to map segment",
    "memory allocation failed",
    "error return without exception set",
    "without setting an exception",
)
"""In errors that are of no class of their own: of the loader, of HDF5, and of C code that had no room for an error."""


def refuse_too_little(verb: str | None) -> None:
    """Find out whether a verb has room, before anything large is loaded.

    Raises:
        SpaceError: It has none.
    """
    allowed = _allowed()
    if allowed is None:
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # each takes 40 MB, and prints where it cannot be started
    need = _NEEDS.get(verb or "", _NEED)
    if allowed < need * _MB:
        msg = f"too little memory: ulimit -v allows {allowed / _MB:.0f} MB and this needs {need} at least; raise it"
        raise SpaceError(msg)


def is_short(error: BaseException) -> bool:
    """Whether an error is one of too little memory, or was made of one.

    What we say of a file that cannot be read counts only under a limit: a damaged one may ask for any amount.
    """
    if isinstance(error, NSDImageryError) and _allowed() is None:
        return False
    return any(
        isinstance(one, MemoryError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or any(words in str(one) for words in _WORDS)
        for one in _chain(error)
    )


def line(error: BaseException) -> str:
    """What to say of an error of too little memory."""
    said = "" if type(error) is MemoryError and not str(error) else f" ({reason(error)})"
    return f"too little memory{said}: {advice()}; what is finished is kept"


def advice() -> str:
    """What to do about too little memory."""
    allowed = _allowed()
    if allowed is None:
        return "run it where there is more, or with fewer --workers"
    return f"raise ulimit -v, which allows each process {allowed / _MB:.0f} MB, or run with fewer --workers"


def _allowed() -> int | None:
    """Bytes of address space that a process may have; None for any number."""
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
