"""The kinds of build that are killed, and the synthetic roots that they read."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forks import forked

import nsd_imagery

ROI = "V1v"
OTHER_ROI = "hV4"
WORKERS = 2


@dataclass(frozen=True)
class Call:
    """A build.

    Attributes:
        root: Name of the root; see `Roots`.
        options: Of `nsd_imagery.build`.
        workers: Processes; with 1 all is done in the build's own, thread by thread in one fixed order.
    """

    root: str
    options: Mapping[str, Any]
    workers: int = 1


@dataclass(frozen=True)
class Kind:
    """What is built over what.

    Attributes:
        first: The build that is killed first.
        start: What was built into the folder before; None for an empty folder.
        again: The build after a death; default: the same.
        does: Events without which the build would not be of this kind.
    """

    first: Call
    start: Call | None = None
    again: Call | None = None
    does: Sequence[str] = field(default=("rename",))

    @property
    def rerun(self) -> Call:
        """The build after a death."""
        return self.again or self.first


_ONE = {"subjects": ["subj01"], "roi": [ROI]}
_PERCEPTION = {"conditions": ["perception"], "roi": [ROI]}
_OLD = Call("old", _ONE)

KINDS = {
    # Into an empty folder.
    "first": Kind(Call("new", _ONE)),
    # Over a dataset of other betas.
    "rebuild": Kind(Call("new", _ONE), start=_OLD, does=("rename", "unlink")),
    # Perception after imagery: the -stats of the imagery session stay, under another number.
    "conditions": Kind(
        Call("core", _PERCEPTION),
        start=Call("core", {"conditions": ["imagery"], "roi": [ROI]}),
        does=("rename", "link", "unlink"),
    ),
    # A session more: the shards of the others are kept, under other numbers.
    "session": Kind(Call("core", _PERCEPTION), start=Call("shorter", _PERCEPTION), does=("rename", "link", "unlink")),
    # A session less, thought better of after a death: numbers go back to names that the dataset still has.
    "undo": Kind(
        Call("shorter", _PERCEPTION),
        start=Call("core", _PERCEPTION),
        again=Call("core", _PERCEPTION),
        does=("rename", "link", "unlink"),
    ),
    # A ROI and a subject more.
    "wider": Kind(Call("new", {"roi": [ROI, OTHER_ROI]}), start=Call("new", _ONE)),
    # Two subjects by two processes, over a dataset of other betas.
    "workers": Kind(Call("new", {"roi": [ROI]}, WORKERS), start=_OLD, does=("rename", "unlink")),
}


class Roots:
    """Synthetic releases by name, each written when it is first asked for, in a process of its own.

    "old" (subj01) and "new" (subj01 and subj02) are of two seeds; "core" is subj01 with two sessions of NSD core, and
    "shorter" the same files without the second.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def __getitem__(self, name: str) -> Path:
        """The root of a name."""
        root = self._folder / name
        if not root.is_dir():
            half = self._folder / f".{name}"
            shutil.rmtree(half, ignore_errors=True)
            if forked(lambda: self._write(name, half), self._folder / f"{name}.log"):
                raise RuntimeError((self._folder / f"{name}.log").read_text())
            half.rename(root)
        return root

    def _write(self, name: str, root: Path) -> None:
        if name == "old":
            nsd_imagery.synth(root, seed=1, format="hdf5")
        elif name == "new":
            nsd_imagery.synth(root, format="hdf5", subjects=("subj01", "subj02"))
        elif name == "core":
            nsd_imagery.synth(root, format="hdf5", perception_sessions=2)
        else:
            shutil.copytree(self["core"], root, copy_function=os.link)
            for betas in root.rglob("betas_session02.hdf5"):
                betas.unlink()
        for optional in ("annotations", "nsddata_stimuli"):  # what takes longest to read, and writes nothing more
            shutil.rmtree(root / optional, ignore_errors=True)
