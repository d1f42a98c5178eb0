"""The tables of the Guide's cache tree, each read once however many subjects and sessions ask."""

from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nsd_imagery.errors import DataError, shown
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.links import first, is_there
from nsd_imagery.sources import cache_files
from nsd_imagery.sources.json_files import read_json
from nsd_imagery.sources.release_files import required
from nsd_imagery.sources.stim_info import StimInfo, read_stim_info_once
from nsd_imagery.sources.table import Line
from nsd_imagery.sources.trial_manifest import REQUIRED, Entry, TrialTable, read_table


class CacheTables:
    """What the files say. Whatever reads one raises DataError where it is damaged.

    Attributes:
        root: The root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._table = cache(read_table)

    @cached_property
    def subjects(self) -> tuple[str, ...]:
        """Subjects who have a trial manifest, or trials in imagery_stimuli_info.csv."""
        in_info = {entry["subject"] for entry in self.info if set(REQUIRED) <= set(entry.values)}
        return tuple(
            subject
            for subject in SUBJECTS
            if first([cache_files.trial_manifest_file(self.root, subject)]) or subject in in_info
        )

    @property
    def info(self) -> list[Entry]:
        """The lines of imagery_stimuli_info.csv; none where there is no such file."""
        path = cache_files.stimuli_info_file(self.root)
        return self._table(path).entries if is_there(path) else []

    def trials(self, subject: str) -> TrialTable:
        """The subject's own manifest, else the table of all subjects.

        Raises:
            MissingDataError: There is neither.
        """
        own = cache_files.trial_manifest_file(self.root, subject)
        return self._table(own if is_there(own) else required(cache_files.stimuli_info_file(self.root)))

    @cached_property
    def stim_info(self) -> StimInfo | None:
        """NSD's table of pictures; None where the root has none."""
        path = cache_files.stim_info_file(self.root)
        return None if path is None else read_stim_info_once(path)

    @cached_property
    def presented(self) -> set[int] | None:
        """The 0-based ids in presented_image_ids.txt; None where there is no such file."""
        path = cache_files.presented_ids_file(self.root)
        if not is_there(path):
            return None
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        ids: set[int] = set()
        for number, line in enumerate(text.splitlines(), start=1):
            for word in line.split():
                field = Line(path, number, {"nsd_id": word.strip('"')})
                if (nsd_id := field.whole("nsd_id")) is not None:
                    ids.add(nsd_id)
                if (nsd_id or 0) < 0:
                    raise field.error("nsd_id", "but must be 0 or more")
        return ids

    @cached_property
    def session_counts(self) -> dict[str, Any]:
        """What subject_sessions.json says of each subject; nothing where there is no such file.

        Raises:
            DataError: It is not JSON, or no object of subjects.
        """
        path = cache_files.subject_sessions_file(self.root)
        said = read_json(path) if is_there(path) else None
        if said is not None and not isinstance(said, dict):
            msg = f'{path}: must be like {{"subj01": {{"sessions": 2}}}}, but is {shown(said)}'
            raise DataError(msg)
        return said or {}
