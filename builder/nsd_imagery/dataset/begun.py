"""A build that has begun, noted in `.build` until it is sealed: so a folder can tell that one was stopped.

The note is for people. A build that is run again takes nothing from it: what is finished is in the journal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nsd_imagery.atomic import replace_text
from nsd_imagery.dataset.jobs import Job
from nsd_imagery.dataset.journal import entries
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.reading import fingerprint
from nsd_imagery.dataset.shards import BUILD
from nsd_imagery.errors import printable
from nsd_imagery.lockfile import Holder, this_process
from nsd_imagery.shell import quoted

_NOTE = "begun.json"

_FLAGS = ("replace",)


@dataclass(frozen=True)
class Begun:
    """A build that was not sealed.

    Attributes:
        n_finished: Pieces that are finished, and kept by the next build; None if nothing says so.
        n_pieces: Pieces in all; None if nothing says so.
        command: Goes on with it.
        process: What ran it, if that may still run; else nothing.
    """

    n_finished: int | None
    n_pieces: int | None
    command: str
    process: str = ""

    def __str__(self) -> str:
        done = "" if self.n_finished is None else f" with {self.n_finished} of {_pieces(self.n_pieces or 0)} finished"
        kept = ", which the next one keeps" if self.n_finished else ""
        state = f"has not ended, and may still run ({self.process})" if self.process else "was stopped"
        return f"a build {state}{done}{kept}; to go on: {self.command}"


def command_of(root: Path, folder: Path, options: Mapping[str, Any]) -> str:
    """The line that asks for a build; options that are left out, or None, are the defaults."""
    words = ["nsd-imagery build", quoted(root), "--out", quoted(folder)]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name in _FLAGS:
            words += [option] if value else []
        elif value is not None:
            is_list = not isinstance(value, str) and isinstance(value, Sequence)
            words += [option, quoted(",".join(map(str, value)) if is_list else str(value))]
    return " ".join(words)


def note(folder: Path, command: str, jobs: Sequence[Job]) -> None:
    """Note that a build of these jobs begins."""
    pieces = [[fingerprint(job.piece, roi) for roi in job.piece.rois] for job in jobs]
    said = {"command": command, "pieces": pieces, "process": asdict(this_process())}
    replace_text(folder / BUILD / _NOTE, json.dumps(said))


def forget(folder: Path) -> None:
    """A build is sealed."""
    (folder / BUILD / _NOTE).unlink(missing_ok=True)


def unfinished(folder: Path, manifest: Manifest | None) -> Begun | None:
    """The build of a folder that was begun and not sealed; None if there is none, or it lacks nothing but its end.

    Args:
        folder: The dataset folder.
        manifest: What is sealed, if anything is.
    """
    named = set() if manifest is None else {shard.file for shard in manifest.shards}
    try:
        made = {path.stem: {shard["file"] for shard in entry["shards"]} for path, entry in entries(folder)}
    except OSError:  # who may read a dataset need not be able to read what its builder notes
        return None
    said = _read(folder)
    if said is None:
        is_left = manifest is not None and any(not files <= named for files in made.values())
        return Begun(None, None, f"nsd-imagery build ROOT --out {quoted(folder)}") if is_left else None
    pieces, process = said["pieces"], Holder(**said["process"])
    finished = [piece for piece in pieces if all(_is_kept(folder, made.get(name)) for name in piece)]
    if len(finished) == len(pieces) and all(made[name] <= named for piece in pieces for name in piece):
        return None
    running = "" if process.is_dead else printable(str(process))
    return Begun(len(finished), len(pieces), printable(said["command"]), running)


def _is_kept(folder: Path, files: set[str] | None) -> bool:
    return files is not None and all((folder / file).is_file() for file in files)


def _read(folder: Path) -> dict[str, Any] | None:
    """The note; None where there is none to be read, or one that this version did not write."""
    try:
        said = json.loads((folder / BUILD / _NOTE).read_text(encoding="utf-8"))
        is_sound = (
            isinstance(said["command"], str)
            and all(isinstance(name, str) for piece in said["pieces"] for name in piece)
            and isinstance(Holder(**said["process"]), Holder)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return said if is_sound else None


def _pieces(n_pieces: int) -> str:
    return "1 piece" if n_pieces == 1 else f"{n_pieces} pieces"
