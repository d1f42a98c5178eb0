"""The Guide's cache tree as a source: a trial manifest a subject, and maps beside it or in a release tree."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from nsd_imagery.experiment import Experiment
from nsd_imagery.sources import cache_files, cache_rows, release_files
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.missing import Asked, Missing
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import BetaFile, Listed
from nsd_imagery.volumes.anatomy import Anatomy


class Cache:
    """See `source.Source`."""

    name: ClassVar[str] = "cache"

    def __init__(self, root: Path, beta_version: str) -> None:
        self._root = root
        self._beta_version = beta_version
        self._tables = CacheTables(root)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects who have a trial manifest, or trials in imagery_stimuli_info.csv."""
        return self._tables.subjects

    def expected(self, subject: str) -> str:
        """Where the trial manifest would lie."""
        return f"the Guide's {cache_files.trial_manifest_file(Path(), subject).as_posix()}"

    def holds(self, subject: str) -> bool:
        """Whether the tables name trials of the subject."""
        return subject in self.subjects

    def beta_files(self, subject: str) -> list[BetaFile]:
        """Those that the subject's trial manifest names."""
        return cache_rows.beta_files(self._tables, subject) if self.holds(subject) else []

    def sessions(
        self, subject: str, experiments: Collection[Experiment], without: Collection[Path] = ()
    ) -> list[Session]:
        """The sessions that the subject's trial manifest names."""
        sessions = cache_rows.read_sessions(self._tables, subject, self._beta_version, without)
        return [session for session in sessions if session.experiment in experiments]

    def core_sessions(self, subject: str, without: Collection[Path] = ()) -> list[Session]:
        """None: the manifest names all trials."""
        return []

    def unlabelled(self, subject: str) -> Path | None:
        """None: as `core_sessions`."""
        return None

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject; the mask that the manifest names stands for nsdgeneral."""
        return cache_files.anatomy(self._root, subject, cache_rows.manifest_mask(self._tables, subject))

    def listed(self, subject: str) -> Listed | None:
        """None: a manifest may leave out almost everything."""
        return None

    def missing(self, subject: str, asked: Asked) -> list[Missing]:
        """The betas that the manifest of a subject names, and masks; nothing of one whose trials nothing names."""
        if not self.holds(subject):
            return []
        betas = cache_rows.missing_betas(self._tables, subject, asked.experiments)
        return [*betas, *release_files.missing_masks(self._root, self.anatomy(subject), asked)]
