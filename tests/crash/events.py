"""What the processes of a build do to the disk, written down as it happens; and the death of one at such an event.

An event is written down before it happens and a sync after it is done, so that a sync which comes before an event in
the log came before it on the disk, whichever process did either.
"""

import json
import multiprocessing
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_AUDITED = {"os.rename": "rename", "os.link": "link", "os.remove": "unlink", "os.rmdir": "rmdir", "os.mkdir": "mkdir"}
DEADLY = ("rename", "link", "unlink", "rmdir")
"""Events that a process is killed before. Before the next one is after this one, so that makes both."""

_TWO_PATHS = ("rename", "link")
_PARTIAL = re.compile(r"\.partial-[0-9a-f]+")


def shown(text: str) -> str:
    """A text without what is drawn anew each time: the names of unfinished files."""
    return _PARTIAL.sub(".partial-*", text)


@dataclass(frozen=True)
class Event:
    """Something that happened in the dataset folder.

    Attributes:
        by: "build" for the build's own process, else "worker".
        what: One of DEADLY, "mkdir", or "fsync".
        path: In the folder, with /; empty for the folder itself, absolute where it is outside.
        to: The new name, of a rename or a link.
        size: Bytes in the file that is synced, renamed or linked; -1 of anything else.
    """

    by: str
    what: str
    path: str
    to: str = ""
    size: int = -1

    def __str__(self) -> str:
        """As a failure names it."""
        words = f"{self.what} {self.path} {self.to}".strip()
        return f"{shown(words)}{' in a worker' if self.by == 'worker' else ''}"


@dataclass(frozen=True)
class Death:
    """When a process is killed: before the n-th of its deadly events, from 1; workers count theirs together."""

    by: str
    number: int

    @classmethod
    def parse(cls, word: str) -> "Death":
        """Of "17", or of "w17" for a worker."""
        return cls("worker", int(word[1:])) if word.startswith("w") else cls("build", int(word))

    def __str__(self) -> str:
        """As `parse` reads it."""
        return f"{'w' if self.by == 'worker' else ''}{self.number}"


def deadly(events: Sequence[Event], by: str) -> list[Event]:
    """Those that a process may be killed before."""
    return [event for event in events if event.by == by and event.what in DEADLY]


def read_log(log: Path) -> list[Event]:
    """The events that `watch` wrote down."""
    return [Event(**json.loads(line)) for line in log.read_text().splitlines()]


def watch(folder: Path, log: Path, death: Death | None) -> None:
    """From now on write down what this process, and those that it forks, do in a folder; and die when it is time."""
    note = _noting(folder, log, death)

    def audited(name: str, arguments: tuple[Any, ...]) -> None:
        if name not in _AUDITED:
            return
        what = _AUDITED[name]
        n_paths = 2 if what in _TWO_PATHS else 1
        handles = arguments[-n_paths:]
        paths = [_absolute(path, handle) for path, handle in zip(arguments, handles, strict=False)][:n_paths]
        if os.path.lexists(paths[0]) != (what == "mkdir"):  # else it will fail, and change nothing
            note(what, paths, os.lstat(paths[0]).st_size if what in _TWO_PATHS else -1)

    sys.addaudithook(audited)
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _noted(getattr(os, name), note))


_Note = Callable[[str, list[str], int], None]


def _noting(folder: Path, log: Path, death: Death | None) -> _Note:
    handle = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC)
    own, prefix = os.getpid(), f"{folder}/"
    lock = multiprocessing.get_context("fork").Lock()
    counts = {by: multiprocessing.get_context("fork").Value("i", 0, lock=False) for by in ("build", "worker")}

    def note(what: str, paths: list[str], size: int) -> None:
        if not any(f"{path}/".startswith(prefix) for path in paths):
            return
        by = "build" if os.getpid() == own else "worker"
        names = (f"{path}/".removeprefix(prefix).removesuffix("/") for path in paths)
        event = Event(by, what, *names, size=size)
        with lock:
            os.write(handle, (json.dumps(asdict(event)) + "\n").encode())
            counts[by].value += what in DEADLY
            dies = death is not None and what in DEADLY and (death.by, death.number) == (by, counts[by].value)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    return note


def _noted(sync: Callable[[Any], None], note: _Note) -> Callable[[Any], None]:
    def syncing(file: Any) -> None:
        sync(file)
        handle = file if isinstance(file, int) else file.fileno()
        facts = os.fstat(handle)
        note("fsync", [_path_of(handle)], facts.st_size if stat.S_ISREG(facts.st_mode) else -1)

    return syncing


def _absolute(path: Any, folder: int) -> str:
    base = Path.cwd() if folder == -1 else Path(_path_of(folder))
    return os.path.normpath(base / os.fsdecode(path))


def _path_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())
