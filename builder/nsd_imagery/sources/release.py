"""The NSD release tree as a source: betas by session, labelled by behaviour, design files and responses.tsv."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from nsd_imagery.experiment import CORE_SESSIONS, EXPERIMENTS, Experiment
from nsd_imagery.sources import nsd, nsdimagery, release_files
from nsd_imagery.sources.missing import Asked, Missing, missing_of, size_of_betas
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import BetaFile, Listed, ListedFile
from nsd_imagery.sources.stim_info import StimInfo
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.roi import DEFAULT_ROI, VISUAL_ATLAS


class Release:
    """See `source.Source`."""

    name: ClassVar[str] = "release"

    def __init__(self, root: Path, beta_version: str) -> None:
        self._root = root
        self._beta_version = beta_version
        self._tables = ReleaseTables(root)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Subjects of whom there are betas, of NSD-Imagery or of NSD core."""
        return release_files.subjects_with_betas(self._root, self._beta_version)

    def expected(self, subject: str) -> str:
        """Where the NSD-Imagery betas would lie."""
        return f"{release_files.expected_betas(self._beta_version, subject)}.hdf5 or .nii.gz"

    def holds(self, subject: str) -> bool:
        """Whether there are NSD-Imagery betas."""
        return release_files.nsdimagery_betas(self._root, subject, self._beta_version) is not None

    def beta_files(self, subject: str) -> list[BetaFile]:
        """That of NSD-Imagery, then those of NSD core in rising order."""
        imagery = release_files.nsdimagery_betas(self._root, subject, self._beta_version)
        core = release_files.nsd_betas(self._root, subject, self._beta_version)
        first = [] if imagery is None else [BetaFile("nsdimagery", 1, imagery)]
        return [*first, *(BetaFile("nsd", number, path) for number, path in core.items())]

    def sessions(
        self, subject: str, experiments: Collection[Experiment], without: Collection[Path] = ()
    ) -> list[Session]:
        """The NSD-Imagery session, if there is one."""
        path = release_files.nsdimagery_betas(self._root, subject, self._beta_version)
        if "nsdimagery" not in experiments or path is None or path in without:
            return []
        return [nsdimagery.read_session(self._tables, subject, self._beta_version)]

    def core_sessions(self, subject: str, without: Collection[Path] = ()) -> list[Session]:
        """The sessions of NSD core whose betas are there."""
        return nsd.read_sessions(self._tables, subject, self._beta_version, without)

    def unlabelled(self, subject: str) -> Path | None:
        """responses.tsv or the table of pictures, if there are betas of NSD core and it is not there."""
        betas = release_files.nsd_betas(self._root, subject, self._beta_version)
        return nsd.unlabelled(self._root, subject) if betas else None

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject that are there."""
        return release_files.anatomy(self._root, subject)

    def listed(self, subject: str) -> Listed | None:
        """What the release has for each subject; None for one whose betas are not there."""
        held = self._held(subject)
        if not held:
            return None
        root = self._root
        maps = (
            ListedFile(release_files.mask_file(root, subject, DEFAULT_ROI)),
            ListedFile(
                release_files.mask_file(root, subject, VISUAL_ATLAS),
                adds="ROIs V1 to hV4 and the check of betas against labels",
            ),
            ListedFile(
                release_files.brain_file(root, subject), adds="which rows hold data is told from the whole volume"
            ),
        )

        def read() -> tuple[SessionFiles, StimInfo | None]:
            return self._tables.session(subject), self._tables.stim_info

        return Listed((*self._tables.listed(subject, held), *maps), read if "nsdimagery" in held else None)

    def missing(self, subject: str, asked: Asked) -> list[Missing]:
        """Betas as the release has them, packed, the tables that label them, and masks."""
        held = self._held(subject)
        wanted = held or ("nsdimagery",) if asked.experiments is None else asked.experiments
        betas = [self._missing_betas(subject, one) for one in EXPERIMENTS if one in wanted and one not in held]
        files = self._tables.listed(subject, wanted)
        needed = [file.path for file in files if file.needed_by and not (file.adds and asked.experiments is None)]
        masks = release_files.missing_masks(self._root, self.anatomy(subject), asked)
        return [*betas, *missing_of(self._root, needed), *masks]

    def _held(self, subject: str) -> tuple[Experiment, ...]:
        """The experiments that there are betas of."""
        held = {file.experiment for file in self.beta_files(subject)}
        return tuple(experiment for experiment in EXPERIMENTS if experiment in held)

    def _missing_betas(self, subject: str, experiment: Experiment) -> Missing:
        if experiment == "nsdimagery":
            stem = release_files.expected_betas(self._beta_version, subject)
            return Missing(f"{stem}.nii.gz", size_of_betas(subject))
        stem = release_files.expected_nsd_betas(self._beta_version, subject)
        return Missing(f"{stem}NN.nii.gz", f"NN is 01 to {CORE_SESSIONS[subject]}; or .hdf5")
