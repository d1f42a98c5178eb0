"""A lock for file systems that know none: a file that only one process can make, and that says which one made it.

What a dead process of this host left is taken over. A process of another host cannot be looked at, nor one of another
container on this host: its file stays until somebody removes it.

Two processes that find the same dead one must not both remove its file, because the second would remove what the first
has made meanwhile. So the right to remove the file of a dead process is a lock of its own, whose name says which file
it is about: `lock.held.<token>` is for the `lock.held` with that token, which no later file has.
"""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

_ATTEMPTS = 50
_PAUSE = 0.02
"""Seconds between attempts at what another process is doing right now: to write into its file, or to remove one."""


@dataclass(frozen=True)
class Holder:
    """The process that made a lock file.

    Attributes:
        token: Of this file alone.
        host: Name of the host.
        system: The host's run since it was started, and the container; numbers of processes mean something within it.
        process: Number of the process.
        started: When the process was started; a later one may have its number.
    """

    token: str
    host: str
    system: str
    process: int
    started: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether this process can tell if that one lives."""
        return (self.host, self.system) == (os.uname().nodename, _system())

    @property
    def is_dead(self) -> bool:
        """Whether it has certainly ended."""
        return self.is_here and not _lives(self.process, self.started)


@contextmanager
def taking(path: Path) -> Iterator[Holder | None]:
    """Hold a lock file while the block runs, and remove it after; gives this process, or None if another has it.

    Raises:
        OSError: The file cannot be made.
    """
    mine = take(path)
    try:
        yield mine
    finally:
        if mine is not None:
            release(path, mine)


def take(path: Path) -> Holder | None:
    """Make a lock file, instead of that of a dead process if there is one; None if another process has it."""
    mine = Holder(secrets.token_hex(8), os.uname().nodename, _system(), os.getpid(), _started(os.getpid()))
    for _ in range(_ATTEMPTS):
        if _make(path, mine):
            _remove_rights(path)
            return mine
        holder = holder_of(path)
        if holder is None or holder.is_dead:
            if holder is not None and _remove(path, holder):
                continue
            time.sleep(_PAUSE)  # it is being written, or removed
        else:
            return None
    return None


def release(path: Path, mine: Holder) -> None:
    """Remove a lock file that this process made; a fork leaves that of its parent alone."""
    if mine.process == os.getpid() and holder_of(path) == mine:
        path.unlink(missing_ok=True)


def holder_of(path: Path) -> Holder | None:
    """The process that a lock file names; None if there is no such file, or nothing in it yet."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _make(path: Path, mine: Holder) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    is_written = False
    try:
        with open(handle, "wb") as file:  # noqa: PTH123
            file.write(json.dumps(asdict(mine)).encode())
        is_written = True
    finally:
        if not is_written:  # an empty one would never be taken over
            path.unlink(missing_ok=True)
    return True


def _remove(path: Path, dead: Holder) -> bool:
    """Remove the file of a dead process; False if another process is at it."""
    with taking(_right(path, dead)) as mine:
        if mine is not None and holder_of(path) == dead:
            path.unlink(missing_ok=True)
    return mine is not None


def _right(path: Path, dead: Holder) -> Path:
    return path.with_name(f"{path.name}.{dead.token}")


def _remove_rights(path: Path) -> None:
    """Remove what processes left that died with a right; while the file is this process's, no right means anything."""
    for other in path.parent.iterdir():
        if other.name.startswith(f"{path.name}."):
            other.unlink(missing_ok=True)


def _system() -> str:
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{started} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux: the time at which a process was started has the day in it
        return ""


def _lives(process: int, started: str) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = _started(process)
    return "" in (now, started) or now == started


def _started(process: int) -> str:
    """When a process was started, in words that mean nothing else; "ended" for one that only waits to be counted.

    Empty where nothing says so.
    """
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return "ended" if state in ("Z", "X") else fields[18]
    except (OSError, ValueError, IndexError):
        pass
    try:
        told = subprocess.run(["ps", "-o", "lstart=", "-p", str(process)], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return told.stdout.strip()
