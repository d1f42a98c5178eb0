"""What a root asks of a tree, whatever its layout: the contract of `release.Release` and `cache.Cache`.

A further source is a class of this form, named in `root._TREES`. Pictures, captions and embeddings belong to no tree:
they are found by root, in `pictures`, `captions` and `cache_files.embeddings_folder`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from nsd_imagery.experiment import Experiment
from nsd_imagery.sources.missing import Asked, Missing
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.stim_info import StimInfo
from nsd_imagery.volumes.anatomy import Anatomy


@dataclass(frozen=True, eq=False)
class ListedFile:
    """A file of a subject whose name is known beforehand.

    Attributes:
        path: Where it is, or would be.
        labels: Experiments whose rows it has a say in: where it is damaged, none are made.
        needed_by: Those whose rows cannot be made without it.
        adds: Of a file that is not needed, what it adds; of one that is, nothing.
        is_common: Whether it is one file for all subjects.
        read: Reads it, of a table that labels trials; raises DataError.
    """

    path: Path
    labels: tuple[Experiment, ...] = ()
    needed_by: tuple[Experiment, ...] = ()
    adds: str = ""
    is_common: bool = False
    read: Callable[[], object] | None = None


@dataclass(frozen=True, eq=False)
class Listed:
    """The files of a subject whose names are known beforehand, so that one can say which are not there.

    Attributes:
        files: All of them.
        read: Gives what the files that label NSD-Imagery say, not yet held against each other, and NSD's table of
            pictures; raises MissingDataError or DataError. None where there are no such betas.
    """

    files: tuple[ListedFile, ...]
    read: Callable[[], tuple[SessionFiles, StimInfo | None]] | None


@dataclass(frozen=True)
class BetaFile:
    """A beta file that sessions are made of, whatever is in it.

    Attributes:
        experiment: Of what.
        session: Number of the session, 1-based.
        path: The file, absolute, or a link without content.
    """

    experiment: Experiment
    session: int
    path: Path


class Source(Protocol):
    """One tree in a root; all yield the same kind of rows. Each file is read once an object.

    What only one kind of tree has is answered with nothing by the others. Whatever reads files raises MissingDataError
    where one is not there, and DataError where one is damaged or contradicts another.
    """

    name: ClassVar[str]
    """How users name the kind of tree, in `--source NAME`."""

    def __init__(self, root: Path, beta_version: str) -> None: ...

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of whom the tree has betas of the version, or names trials."""
        ...

    def expected(self, subject: str) -> str:
        """Where a subject's data would lie, relative to the root, for messages."""
        ...

    def holds(self, subject: str) -> bool:
        """Whether a subject's NSD-Imagery is to be taken from this tree, and with it the maps."""
        ...

    def beta_files(self, subject: str) -> list[BetaFile]:
        """The beta files of `sessions` and `core_sessions`, none of which is opened."""
        ...

    def sessions(
        self, subject: str, experiments: Collection[Experiment], without: Collection[Path] = ()
    ) -> list[Session]:
        """The sessions of some experiments, NSD-Imagery's first, without `core_sessions` and those of some files."""
        ...

    def core_sessions(self, subject: str, without: Collection[Path] = ()) -> list[Session]:
        """The sessions of NSD core whose trials the release's responses.tsv names, in rising order."""
        ...

    def unlabelled(self, subject: str) -> Path | None:
        """The first file that `core_sessions` lack, where there are betas for some; else None."""
        ...

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject that are there."""
        ...

    def listed(self, subject: str) -> Listed | None:
        """The files that the tree has for a subject whose betas are there; None where nothing says which."""
        ...

    def missing(self, subject: str, asked: Asked) -> list[Missing]:
        """What the tree has not of what is asked for of a subject: betas, the files that label them, masks."""
        ...
