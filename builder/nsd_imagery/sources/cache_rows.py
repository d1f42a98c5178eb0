"""The rows of the Guide's cache tree: a trial manifest becomes sessions, each checked against its beta file."""

import json
import os
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from nsd_imagery.errors import DataError, MissingDataError, shown
from nsd_imagery.experiment import Experiment
from nsd_imagery.links import without_content
from nsd_imagery.schema import trial_table
from nsd_imagery.sources import cache_files
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.design import nsd_id_of_name, stimulus_key
from nsd_imagery.sources.json_files import stated_beta_scale, whole_number
from nsd_imagery.sources.manifest_proof import prove
from nsd_imagery.sources.missing import Missing
from nsd_imagery.sources.session import Session, repeat_indices
from nsd_imagery.sources.source import BetaFile
from nsd_imagery.sources.stim_info import StimInfo, picture_columns
from nsd_imagery.sources.table import named_file
from nsd_imagery.sources.trial_manifest import Entry, TrialTable, trials_of
from nsd_imagery.trial_ids import trial_id
from nsd_imagery.volumes.formats import whole_file
from nsd_imagery.volumes.read import read_header

_Groups = dict[tuple[Experiment, int], list[Entry]]
"""The trials of each experiment and session."""

UNKNOWN = "unknown"
"""The stimulus of a row whose manifest names neither a picture nor a target."""


def read_sessions(
    tables: CacheTables, subject: str, beta_version: str, without: Collection[Path] = ()
) -> list[Session]:
    """The sessions that a subject's trial manifest names, but for those of some beta files.

    The Guide knows only the conditions "perception" and "imagery": perception whose betas lie under nsd_imagery/ is
    vision here, because NSD-Imagery's own vision runs are not NSD core.

    Raises:
        MissingDataError: Files that the manifest names are not there.
        DataError: The manifest is not sound, or contradicts another file.
    """
    table = tables.trials(subject)
    info = [_with_picture(entry) for entry in tables.info]
    entries = [_with_picture(entry) for entry in trials_of(table, subject, info)]
    prove(entries, info)
    _check_presented(tables, entries)
    _check_session_count(tables, subject, entries)
    groups = _by_session(entries)
    imagined = {entry["nsd_id"] for entry in entries if entry["condition"] in ("imagery", "attention")} - {None}
    notes = _notes(table, entries, tables.stim_info)
    return [
        _session(tables.root, beta_version, file, subject, groups[file.experiment, file.session], tables.stim_info,
                 imagined, notes)
        for file in _beta_files(tables.root, subject, groups)
        if file.path not in without
    ]  # fmt: skip


def beta_files(tables: CacheTables, subject: str) -> list[BetaFile]:
    """The beta files that a subject's trial manifest names, NSD-Imagery's first.

    Raises:
        MissingDataError, DataError: As `read_sessions`.
    """
    return _beta_files(tables.root, subject, _trials_by_session(tables, subject))


def missing_betas(tables: CacheTables, subject: str, experiments: Collection[Experiment] | None) -> list[Missing]:
    """Those beta files of some experiments that a subject's trial manifest names and that are not there.

    Raises:
        DataError: The manifest is not sound.
        MissingDataError: There is none.
    """
    lacking = []
    for (experiment, number), entries in _trials_by_session(tables, subject).items():
        if experiments is None or experiment in experiments:
            try:
                _beta_path(tables.root, subject, number, entries)
            except MissingDataError:
                named = entries[0]["beta_path"] or f"{cache_files.expected_file(subject, number)}.nii.gz"
                if not without_content(tables.root / named):
                    about = f"which {entries[0].line.path.name} names"
                    lacking.append(Missing(named, about, is_of_release=False))
    return lacking


def _trials_by_session(tables: CacheTables, subject: str) -> _Groups:
    info = [_with_picture(entry) for entry in tables.info]
    return _by_session([_with_picture(entry) for entry in trials_of(tables.trials(subject), subject, info)])


def manifest_mask(tables: CacheTables, subject: str) -> Path | None:
    """The mask that a subject's trials name as roi_mask_path; None if they name none, or several.

    Raises:
        DataError: The manifest is not sound, or the path leads out of the root.
        MissingDataError: There is no such mask.
    """
    named = {
        entry["roi_mask_path"]: entry
        for entry in reversed(tables.trials(subject).entries)
        if entry["roi_mask_path"] and entry["subject"] in (None, subject)
    }
    if len(named) != 1:
        return None
    ((text, entry),) = named.items()
    return named_file(tables.root, entry.line, "roi_mask_path", text)


def _experiment(entry: Entry) -> Experiment:
    core = entry["condition"] == "perception" and not (entry["beta_path"] or cache_files.IMAGERY).startswith(
        cache_files.IMAGERY
    )
    return "nsd" if core else "nsdimagery"


def _with_picture(entry: Entry) -> Entry:
    """The target without its file's ending, and the picture that its name says; a name's number is 1-based."""
    target = (entry["target"] or "").removesuffix(".png") or None
    named = nsd_id_of_name(target or "")
    if named is not None and entry["nsd_id"] not in (None, named):
        why = f"but target {shown(target)} is nsd_id {named}: the number in a file's name is 1-based, nsd_id is 0-based"
        raise entry.error("nsd_id", why)
    return Entry(
        entry.line, {**entry.values, "target": target, "nsd_id": named if entry["nsd_id"] is None else entry["nsd_id"]}
    )


def _check_presented(tables: CacheTables, entries: Sequence[Entry]) -> None:
    """Each picture is in the list of those presented; a list that is off by one is named as such."""
    presented = tables.presented
    if presented is None:
        return
    path = cache_files.presented_ids_file(tables.root)
    for entry in entries:
        nsd_id = entry["nsd_id"]
        if nsd_id is not None and nsd_id not in presented and _experiment(entry) == "nsdimagery":
            beside = next((other for other in (nsd_id - 1, nsd_id + 1) if other in presented), None)
            hint = f", but has {beside}: one of the two tables counts from 1; nsd_id is 0-based" if beside else ""
            raise entry.error("nsd_id", f"which {path} does not have{hint}")


def _check_session_count(tables: CacheTables, subject: str, entries: Sequence[Entry]) -> None:
    """No trial is of a session that subject_sessions.json does not count: {"subj01": {"sessions": 2, ...}}."""
    path, said = cache_files.subject_sessions_file(tables.root), tables.session_counts.get(subject)
    said = said.get("sessions") if isinstance(said, dict) else said
    if said is None:
        return
    numbers = [whole_number(one) for one in (said if isinstance(said, list) else [said])]
    if None in numbers:
        msg = f"{path}: sessions of {subject} is {shown(said)}, but must be how many, or a list of their numbers"
        raise DataError(msg)
    known = numbers if isinstance(said, list) else range(1, (numbers[0] or 0) + 1)
    for entry in entries:
        if entry["session"] not in known and _experiment(entry) == "nsdimagery":
            raise entry.error("session", f"but {path} has {json.dumps(said)[:60]} for {subject}")


def _notes(table: TrialTable, entries: Sequence[Entry], info: StimInfo | None) -> tuple[str, ...]:
    """What a reader of the dataset should know of the manifest, in sentences."""
    notes, path = [], table.path
    if any(entry["condition"] == "perception" and _experiment(entry) == "nsdimagery" for entry in entries):
        notes.append("trial manifests: perception whose betas lie under nsd_imagery/ is vision here")
    if any(entry["run_number"] is None for entry in entries):
        notes.append(f"{path.name}: has trials without run_number, which are z-scored over their session")
    if unknown := sum(entry["nsd_id"] is None and entry["target"] is None for entry in entries):
        notes.append(f"{path.name}: {unknown} trials have neither nsd_id nor target; their stimulus is {UNKNOWN!r}")
    if unused := table.unused:
        notes.append(f"{path.name}: columns that are not used: {', '.join(unused)}")
    if info is None:
        notes.append("nsd_stim_info_merged.csv is not in the root: is_shared is false everywhere")
    return tuple(notes)


def _by_session(entries: Sequence[Entry]) -> _Groups:
    groups: _Groups = defaultdict(list)
    for entry in entries:
        groups[_experiment(entry), entry["session"]].append(entry)
    return {key: groups[key] for key in sorted(groups, key=lambda key: (key[0] != "nsdimagery", key[1]))}


def _beta_files(root: Path, subject: str, groups: _Groups) -> list[BetaFile]:
    return [
        BetaFile(experiment, number, _beta_path(root, subject, number, entries))
        for (experiment, number), entries in groups.items()
    ]


def _session(root: Path, beta_version: str, file: BetaFile, subject: str, entries: Sequence[Entry],
             info: StimInfo | None, imagined: set[int], notes: tuple[str, ...]) -> Session:  # fmt: skip
    key = experiment, number = file.experiment, file.session
    entries = sorted(entries, key=lambda entry: entry["beta_index"])
    beta_path = file.path
    n_volumes = read_header(beta_path).n_volumes
    for entry in entries:
        if entry["beta_index"] >= n_volumes:
            raise entry.error("beta_index", f"but {beta_path} has {n_volumes} volumes, 0 to {n_volumes - 1}")
        if entry["beta_version"] not in (None, beta_version):
            raise entry.error("beta_version", f"but the build is of {beta_version}: name it (--betas)")
        if entry["roi_mask_path"]:
            named_file(root, entry.line, "roi_mask_path", entry["roi_mask_path"])
    scales = {entry["beta_scale"] for entry in entries}
    if len(scales) > 1:
        raise entries[0].error("beta_scale", f"but other trials of the file have {sorted(map(str, scales))}")
    if len(entries) < n_volumes:
        lacking = (
            f"{n_volumes - len(entries)} of the {n_volumes} volumes of {beta_path.name} have no line in the manifest"
        )
        notes = (*notes, f"{subject} session {number}: {lacking}")
    named = os.fsencode(whole_file(beta_path).relative_to(root)).decode()
    rows = _rows(subject, beta_version, key, entries, named, info, imagined)
    scale = scales.pop() or stated_beta_scale(beta_path)
    return Session(subject, experiment, number, beta_path, rows, notes, scale)


def _beta_path(root: Path, subject: str, number: int, entries: Sequence[Entry]) -> Path:
    named = {entry["beta_path"]: entry for entry in reversed(entries)}
    if len(named) > 1:
        first, other = list(named.values())[:2]
        raise other.error("beta_path", f"but line {first.line.number} has another for session {number}: one file each")
    ((text, entry),) = named.items()
    if text is not None:
        return named_file(root, entry.line, "beta_path", text)
    path = cache_files.betas_file(root, subject, number)
    if path is None:
        expected = f"{cache_files.expected_file(subject, number)}.nii.gz"
        msg = f"{root}: no {expected}, which {entry.line.path} needs: copy it there"
        raise MissingDataError(msg)
    return path


def _rows(subject: str, beta_version: str, key: tuple[Experiment, int], entries: Sequence[Entry], beta_path: str,
          info: StimInfo | None, imagined: set[int]) -> pa.Table:  # fmt: skip
    experiment, number = key

    def column(name: str) -> list[Any]:
        return [entry[name] for entry in entries]

    conditions = [
        "vision" if name == "perception" and experiment == "nsdimagery" else name for name in column("condition")
    ]
    stimuli = [
        UNKNOWN if entry["nsd_id"] is None and entry["target"] is None
        else stimulus_key(entry["nsd_id"], entry["target"] or "")
        for entry in entries
    ]  # fmt: skip
    counted = repeat_indices([
        (condition, entry["epoch"], entry["target"] or stimulus)
        for condition, entry, stimulus in zip(conditions, entries, stimuli, strict=True)
    ])  # fmt: skip
    return trial_table(
        len(entries),
        trial_id=[
            trial_id(experiment, subject, number, trial, int(epoch == "detection"))
            for trial, epoch in zip(column("trial_in_session"), column("epoch"), strict=True)
        ],
        subject=subject,
        session=number,
        condition=conditions,
        beta_path=beta_path,
        repeat_index=[said if said is not None else n for said, n in zip(column("repeat_index"), counted, strict=True)],
        is_valid=[said is not False for said in column("is_valid")],
        experiment=experiment,
        stimulus=stimuli,
        cue_matches=[None if said is None else int(said) for said in column("cue_matches")],
        target_present=[None if said is None else int(said) for said in column("target_present")],
        beta_version=beta_version,
        **{name: column(name) for name in _AS_THEY_STAND},
        **_pictures(subject, entries, info, imagined),
    )


_AS_THEY_STAND = (
    "trial_in_session nsd_id caption beta_index roi_mask_path run_number snr_estimate run_name stimulus_set epoch "
    "target cue response response_time"
).split()


def _pictures(subject: str, entries: Sequence[Entry], info: StimInfo | None, imagined: set[int]) -> dict[str, Any]:
    columns = picture_columns(info, subject, [entry["nsd_id"] for entry in entries], imagined)
    for entry, coco_id in zip(entries, columns["coco_id"], strict=True):
        if coco_id is not None and entry["coco_id"] not in (None, coco_id):
            why = f"but nsd_stim_info_merged.csv has {coco_id} for nsd_id {entry['nsd_id']} (0-based)"
            raise entry.error("coco_id", why)
    coco_ids = [
        known if known is not None else entry["coco_id"]
        for entry, known in zip(entries, columns["coco_id"], strict=True)
    ]
    return {**columns, "coco_id": coco_ids}
