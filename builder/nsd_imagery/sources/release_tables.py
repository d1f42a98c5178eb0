"""The tables of a release tree that label trials, each read once however many sessions and checks ask."""

from collections.abc import Collection
from functools import cache, cached_property
from pathlib import Path

from nsd_imagery.experiment import EXPERIMENTS, RUNS, STIMULUS_SETS, Experiment
from nsd_imagery.links import is_there
from nsd_imagery.sources import release_files
from nsd_imagery.sources.behaviour import RunBehaviour, read_behaviour
from nsd_imagery.sources.core_design import CoreDesign, read_core_design
from nsd_imagery.sources.design import RunDesign, Target, read_design, read_targets
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.release_files import required
from nsd_imagery.sources.responses import Responses, read_responses
from nsd_imagery.sources.source import ListedFile
from nsd_imagery.sources.stim_info import StimInfo, read_stim_info_once

_IMAGERY: tuple[Experiment, ...] = ("nsdimagery",)


class ReleaseTables:
    """What the files say, not yet held against each other.

    Whatever reads a file raises MissingDataError where it is not there, and DataError where it is damaged.

    Attributes:
        root: The root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._targets = cache(read_targets)
        self._behaviour = cache(read_behaviour)
        self._responses = cache(read_responses)
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
        return read_core_design(path) if is_there(path) else None

    def listed(self, subject: str, experiments: Collection[Experiment]) -> list[ListedFile]:
        """The tables that the rows of some experiments are made of, in the order in which they are read."""
        files: list[ListedFile] = []
        if "nsdimagery" in experiments:
            files += [self._target_list(name, experiments) for name in STIMULUS_SETS]
            path = release_files.design_file(self.root)
            files.append(ListedFile(path, _IMAGERY, _IMAGERY, is_common=True, read=lambda: self._design))
            files += [self._run(subject, run.name) for run in RUNS]
        both: tuple[Experiment, ...] = tuple(one for one in EXPERIMENTS if one in experiments)
        core: tuple[Experiment, ...] = ("nsd",) if "nsd" in both else ()
        left_out = "NSD core, which is left out without it" if _IMAGERY[0] in both else ""
        info, path = release_files.stim_info_file(self.root), release_files.responses_file(self.root, subject)
        adds = f"coco_id, is_shared{f' and {left_out}' if core else ''}" if _IMAGERY[0] in both else ""
        files.append(ListedFile(info, both, core, adds, is_common=True, read=lambda: self.stim_info))
        if core:
            files.append(ListedFile(path, core, core, left_out, read=lambda: self.responses(subject)))
        return files

    def responses(self, subject: str) -> Responses:
        """The trials of a subject's NSD core sessions."""
        return self._responses(required(release_files.responses_file(self.root, subject)), subject)

    def _target_list(self, stimulus_set: str, experiments: Collection[Experiment]) -> ListedFile:
        path = release_files.pair_list_file(self.root, stimulus_set)
        labels = tuple(experiments) if stimulus_set == "B" else _IMAGERY
        return ListedFile(path, labels, _IMAGERY, is_common=True, read=lambda: self.targets(stimulus_set))

    def _run(self, subject: str, name: str) -> ListedFile:
        path = release_files.behaviour_file(self.root, subject, name)
        return ListedFile(path, _IMAGERY, _IMAGERY, read=lambda: self._behaviour(path, subject, name))

    @cached_property
    def _design(self) -> tuple[RunDesign, ...]:
        return read_design(release_files.design_file(self.root))

    def _behaviours(self, subject: str) -> list[RunBehaviour]:
        """The 12 runs in the order of their RUN column, which is the order of the betas."""
        files = [(run.name, required(release_files.behaviour_file(self.root, subject, run.name))) for run in RUNS]
        behaviours = [self._behaviour(path, subject, name) for name, path in files]
        return sorted(behaviours, key=lambda behaviour: behaviour.run.number)
