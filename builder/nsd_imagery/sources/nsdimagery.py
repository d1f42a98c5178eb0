"""The rows of NSD-Imagery from a release tree: 12 runs of behaviour, proven, become the 720 rows of a session."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import N_BETAS, TRIALS_PER_RUN
from nsd_imagery.links import without_content
from nsd_imagery.schema import trial_table
from nsd_imagery.sources import release_files
from nsd_imagery.sources.behaviour import RunBehaviour, Trial
from nsd_imagery.sources.design import (
    Target,
    nsd_id_of_name,
    shared_number_of_name,
    stimulus_key,
)
from nsd_imagery.sources.json_files import stated_beta_scale
from nsd_imagery.sources.proof import Contradiction, SessionFiles, prove_session
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.session import Session, repeat_indices
from nsd_imagery.sources.stim_info import NO_STIM_INFO, StimInfo, picture_columns
from nsd_imagery.trial_ids import trial_id
from nsd_imagery.volumes.formats import whole_file
from nsd_imagery.volumes.read import read_header


def read_session(tables: ReleaseTables, subject: str, beta_version: str) -> Session:
    """The NSD-Imagery session of a subject: its beta file and its 720 rows, proven from the behaviour and design files.

    Raises:
        MissingDataError: A file is not there.
        DataError: Two files contradict each other, or one is damaged.
    """
    root = tables.root
    beta_path = release_files.nsdimagery_betas(root, subject, beta_version)
    if beta_path is None:
        expected = release_files.expected_betas(beta_version, subject)
        msg = f"{root}: no {expected}.hdf5 or .nii.gz; copy it from the release"
        raise MissingDataError(msg)
    if said := without_content(beta_path):
        msg = f"{said}; or leave {subject} out (--subjects)"
        raise MissingDataError(msg)
    n_volumes = read_header(beta_path).n_volumes
    if n_volumes != N_BETAS:
        msg = f"{beta_path}: has {n_volumes} volumes, a session of NSD-Imagery has {N_BETAS}: copy the file again"
        raise DataError(msg)
    files, info = tables.session(subject), tables.stim_info
    prove_session(files)
    _prove_photographs(files, info)
    rows = _rows(root, subject, beta_path, files, beta_version, info)
    notes = () if info is not None else (NO_STIM_INFO,)
    scale, mean_path = stated_beta_scale(beta_path), release_files.mean_map(beta_path)
    return Session(subject, "nsdimagery", 1, beta_path, rows, notes, scale, mean_path)


def _prove_photographs(files: SessionFiles, info: StimInfo | None) -> None:
    """Check the photographs of visC by the table: their names give the NSD id and the position among the shared 1,000.

    That the first number is the position only the names themselves say, so it is asked of all where most hold it.
    """
    if info is None:
        return
    position = np.cumsum(info.shared1000) * info.shared1000
    shown = [(behaviour, trial) for behaviour, trial in files.runs("vision") if behaviour.run.stimulus_set == "C"]
    wrong = [
        (behaviour, trial, nsd_id)
        for behaviour, trial in shown
        if (nsd_id := nsd_id_of_name(trial.picture)) is not None
        and shared_number_of_name(trial.picture) != position[nsd_id]
    ]
    if wrong and 2 * len(wrong) < len(shown):
        behaviour, trial, nsd_id = wrong[0]
        which = f"number {position[nsd_id]} of the shared 1,000" if position[nsd_id] else "not of the shared 1,000"
        what = f"FRAMEFILE shows {trial.picture!r}, whose nsdId {nsd_id} (names count from 1) is {which} in {info.path}"
        raise DataError(str(Contradiction(behaviour.path, what, trial.number)))


def _rows(
    root: Path, subject: str, beta_path: Path, files: SessionFiles, beta_version: str, info: StimInfo | None
) -> pa.Table:
    events = [
        (behaviour, trial, number, epoch)
        for behaviour in files.behaviours
        for trial in behaviour.trials
        for number, epoch in enumerate(behaviour.run.epochs)
    ]
    runs = [behaviour.run for behaviour, *_ in events]
    trials = [trial for _, trial, *_ in events]
    epochs = [epoch for *_, epoch in events]
    in_session = [(run.number - 1) * TRIALS_PER_RUN + trial.number - 1 for run, trial in zip(runs, trials, strict=True)]
    about = [files.targets[run.stimulus_set][trial.condition] for run, trial in zip(runs, trials, strict=True)]
    nsd_ids = [_picture(behaviour, trial, target) for (behaviour, trial, *_), target in zip(events, about, strict=True)]
    return trial_table(
        len(events),
        trial_id=[
            trial_id("nsdimagery", subject, 1, trial, number)
            for trial, (_, _, number, _) in zip(in_session, events, strict=True)
        ],
        subject=subject,
        session=1,
        trial_in_session=in_session,
        condition=[run.condition for run in runs],
        nsd_id=nsd_ids,
        beta_path=whole_file(beta_path).relative_to(root).as_posix(),
        beta_index=list(range(len(events))),
        repeat_index=repeat_indices(
            [(run.condition, epoch, target.name) for run, epoch, target in zip(runs, epochs, about, strict=True)]
        ),
        is_valid=True,
        run_number=[run.number for run in runs],
        experiment="nsdimagery",
        run_name=[run.name for run in runs],
        stimulus_set=[run.stimulus_set for run in runs],
        epoch=[epoch or None for epoch in epochs],
        target=[target.name for target in about],
        stimulus=[stimulus_key(nsd_id, target.name) for nsd_id, target in zip(nsd_ids, about, strict=True)],
        cue=[trial.cue for trial in trials],
        cue_matches=[int(trial.cue == trial.condition) for trial in trials],
        target_present=[_target_present(run.condition, trial) for run, trial in zip(runs, trials, strict=True)],
        response=[trial.button for trial in trials],
        response_time=[trial.response_time for trial in trials],
        beta_version=beta_version,
        **picture_columns(info, subject, nsd_ids, imagined_pictures(files.targets["B"])),
    )


def imagined_pictures(targets: Mapping[str, Target]) -> set[int]:
    """0-based ids of the targets of set B that are NSD pictures."""
    return {target.nsd_id for target in targets.values() if target.nsd_id is not None}


def _picture(behaviour: RunBehaviour, trial: Trial, target: Target) -> int | None:
    """0-based id of the picture that a trial is about; in visC the photograph that the frame file names."""
    shown = behaviour.run.condition == "vision" and behaviour.run.stimulus_set == "C"
    return nsd_id_of_name(trial.picture) if shown else target.nsd_id


def _target_present(condition: str, trial: Trial) -> int | None:
    return int(trial.ground_truth) if condition == "attention" and trial.ground_truth is not None else None
