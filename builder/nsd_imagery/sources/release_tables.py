"""The tables of a release tree that label trials, each read once however many sessions and checks ask."""

from functools import cache, cached_property
from pathlib import Path

from nsd_imagery.experiment import RUNS, STIMULUS_SETS
from nsd_imagery.links import is_there
from nsd_imagery.sources import release_files
from nsd_imagery.sources.behaviour import RunBehaviour, read_behaviour
from nsd_imagery.sources.core_design import CoreDesign, read_core_design
from nsd_imagery.sources.design import RunDesign, Target, read_design, read_targets
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.release_files import required
from nsd_imagery.sources.stim_info import StimInfo, read_stim_info_once


class ReleaseTables:
    """What the files say, not yet held against each other.

    Whatever reads a file raises MissingDataError where it is not there, and DataError where it is damaged.

    Attributes:
        root: The root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._targets = cache(read_targets)
        self._sessions: dict[str, SessionFiles] = {}

    def session(self, subject: str) -> SessionFiles:
        """The behaviour, pair lists and design of a subject's NSD-Imagery session."""
        if subject not in self._sessions:
            targets = {name: self.targets(name) for name in STIMULUS_SETS}
            design_path = required(release_files.design_file(self.root))
            self._sessions[subject] = SessionFiles(self._behaviours(subject), targets, self._design, design_path)
        return self._sessions[subject]

    def targets(self, stimulus_set: str) -> dict[str, Target]:
        """The six targets of a stimulus set by cue letter."""
        return self._targets(required(release_files.pair_list_file(self.root, stimulus_set)))

    @cached_property
    def stim_info(self) -> StimInfo | None:
        """NSD's table of pictures; None where the root has none."""
        path = release_files.stim_info_file(self.root)
        return read_stim_info_once(path) if is_there(path) else None

    @cached_property
    def core_design(self) -> CoreDesign | None:
        """The order of NSD core's pictures; None where the root has no file that says so."""
        path = release_files.core_design_file(self.root)
        return read_core_design(path) if path.is_file() else None

    @cached_property
    def _design(self) -> tuple[RunDesign, ...]:
        return read_design(release_files.design_file(self.root))

    def _behaviours(self, subject: str) -> list[RunBehaviour]:
        """The 12 runs in the order of their RUN column, which is the order of the betas."""
        files = [(run.name, required(release_files.behaviour_file(self.root, subject, run.name))) for run in RUNS]
        behaviours = [read_behaviour(path, subject, name) for name, path in files]
        return sorted(behaviours, key=lambda behaviour: behaviour.run.number)
