"""What a root asks of a tree, whatever its layout: the contract of `release.Release` and `cache.Cache`.

A further source is a class of this form, named in `root._TREES`. Pictures, captions and embeddings belong to no tree:
they are found by root, in `pictures`, `captions` and `cache_files.embeddings_folder`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from nsd_imagery.experiment import Experiment
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.stim_info import StimInfo
from nsd_imagery.volumes.anatomy import Anatomy


@dataclass(frozen=True, eq=False)
class Listed:
    """The files of a subject's NSD-Imagery whose names are known beforehand, so that one can say which are not there.

    Attributes:
        needed: Those that rows cannot be made without.
        optional: Those that only add something, and what.
        read: Gives what the labelling files say, not yet held against each other, and NSD's table of pictures; raises
            MissingDataError or DataError.
    """

    needed: tuple[Path, ...]
    optional: Mapping[Path, str]
    read: Callable[[], tuple[SessionFiles, StimInfo | None]]


class Source(Protocol):
    """One tree in a root; all yield the same kind of rows. Each file is read once an object.

    What only one kind of tree has is answered with nothing by the others. Whatever reads files raises MissingDataError
    where one is not there, and DataError where one is damaged or contradicts another.
    """

    name: ClassVar[str]
    """What users call the kind of tree: --source NAME."""

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

    def sessions(self, subject: str, experiments: Collection[Experiment]) -> list[Session]:
        """The sessions of some experiments, NSD-Imagery's first, but for `core_sessions`."""
        ...

    def core_sessions(self, subject: str) -> list[Session]:
        """The sessions of NSD core whose trials the release's responses.tsv names, in rising order."""
        ...

    def unlabelled(self, subject: str) -> Path | None:
        """The first file that `core_sessions` lack, where there are betas for some; else None."""
        ...

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject that are there."""
        ...

    def listed(self, subject: str) -> Listed | None:
        """The files that the tree must have for a subject's NSD-Imagery; None where nothing says which."""
        ...
