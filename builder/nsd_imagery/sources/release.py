"""The NSD release tree as a source: betas by session, labelled by behaviour, design files and responses.tsv."""

from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from nsd_imagery.experiment import RUNS, STIMULUS_SETS, Experiment
from nsd_imagery.sources import nsd, nsdimagery, release_files
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import Listed
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

    def sessions(self, subject: str, experiments: Collection[Experiment]) -> list[Session]:
        """The NSD-Imagery session, if there is one."""
        if "nsdimagery" not in experiments or not self.holds(subject):
            return []
        return [nsdimagery.read_session(self._tables, subject, self._beta_version)]

    def core_sessions(self, subject: str) -> list[Session]:
        """The sessions of NSD core whose betas are there."""
        return nsd.read_sessions(self._tables, subject, self._beta_version)

    def unlabelled(self, subject: str) -> Path | None:
        """responses.tsv or the table of pictures, if there are betas of NSD core and it is not there."""
        betas = release_files.nsd_betas(self._root, subject, self._beta_version)
        return nsd.unlabelled(self._root, subject) if betas else None

    def anatomy(self, subject: str) -> Anatomy:
        """The masks and maps of a subject that are there."""
        return release_files.anatomy(self._root, subject)

    def listed(self, subject: str) -> Listed | None:
        """What the release has for each subject; None for one whose NSD-Imagery betas are not there."""
        if not self.holds(subject):
            return None
        root = self._root
        visual = release_files.mask_file(root, subject, VISUAL_ATLAS)
        needed = [release_files.behaviour_file(root, subject, run.name) for run in RUNS]
        needed += [release_files.pair_list_file(root, name) for name in STIMULUS_SETS]
        needed += [release_files.design_file(root), release_files.mask_file(root, subject, DEFAULT_ROI)]
        optional = {
            release_files.stim_info_file(root): "coco_id, is_shared and NSD core's split",
            visual: "ROIs V1 to hV4 and the check of betas against labels",
            release_files.brain_file(root, subject): "which rows hold data is told from the whole volume",
            release_files.pictures_file(root): "images of photographs in `stimuli`",
        }

        def read() -> tuple[SessionFiles, StimInfo | None]:
            return self._tables.session(subject), self._tables.stim_info

        return Listed(tuple(needed), optional, read)
