"""The rows of NSD core from a release tree: the sessions whose betas are there, labelled by responses.tsv."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION
from nsd_imagery.links import is_there, without_content
from nsd_imagery.schema import trial_table
from nsd_imagery.sources import release_files
from nsd_imagery.sources.core_proof import prove_order, prove_pictures
from nsd_imagery.sources.design import stimulus_key
from nsd_imagery.sources.json_files import stated_beta_scale
from nsd_imagery.sources.nsdimagery import imagined_pictures
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.responses import Responses
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.stim_info import StimInfo, picture_columns
from nsd_imagery.trial_ids import trial_id
from nsd_imagery.volumes.formats import whole_file
from nsd_imagery.volumes.read import read_header

_NO_PAIR_LIST = "B_pair_list.mat is not in the root: is_shared is false in perception"


def unlabelled(root: Path, subject: str) -> Path | None:
    """The first file that is not in the root and that rows of NSD core cannot be made without."""
    needed = (release_files.responses_file(root, subject), release_files.stim_info_file(root))
    return next((path for path in needed if not is_there(path)), None)


def read_sessions(
    tables: ReleaseTables, subject: str, beta_version: str, without: Collection[Path] = ()
) -> list[Session]:
    """The NSD core sessions of a subject whose betas are in the root, in rising order, but for those of some files.

    Repeats are counted over all of responses.tsv, whichever sessions are in the root. Each 73KID is proven by
    nsd_stim_info_merged.csv, which says by trial what was shown, and by nsd_expdesign.mat where that is there.

    Raises:
        MissingDataError: responses.tsv or nsd_stim_info_merged.csv, which has the split, is not there, or a beta file
            is a link without content.
        DataError: Two files contradict each other, or one is damaged.
    """
    root = tables.root
    files = release_files.nsd_betas(root, subject, beta_version)
    files = {number: path for number, path in files.items() if path not in without}
    for path in (release_files.nsd_betas_folder(root, subject, beta_version), *files.values()):
        if said := without_content(path):
            msg = f"{said}; or leave NSD core out (--conditions)"
            raise MissingDataError(msg)
    if not files:
        return []
    responses = tables.responses(subject)
    info = tables.stim_info
    if info is None:
        path = release_files.stim_info_file(root)
        msg = f"{path}: no such file; copy it from the release: it says which pictures are shared"
        raise MissingDataError(msg)
    prove_pictures(responses, info, subject)
    if tables.core_design is not None:
        prove_order(responses, tables.core_design, subject)
    has_targets = is_there(release_files.pair_list_file(root, "B"))
    imagined = imagined_pictures(tables.targets("B")) if has_targets else set()
    notes = () if imagined else (_NO_PAIR_LIST,)
    return [
        Session(
            subject,
            "nsd",
            number,
            path,
            _rows(root, subject, number, path, beta_version, responses, info, imagined),
            notes,
            stated_beta_scale(path),
            release_files.mean_map(path),
        )
        for number, path in files.items()
    ]


def _rows(root: Path, subject: str, number: int, path: Path, beta_version: str, responses: Responses, info: StimInfo,
          imagined: set[int]) -> pa.Table:  # fmt: skip
    chosen = np.flatnonzero(responses.session == number)
    _check_session(path, subject, number, chosen, responses)
    nsd_ids = responses.nsd_id[chosen].tolist()
    trials = range(CORE_TRIALS_PER_SESSION)
    return trial_table(
        len(chosen),
        trial_id=[trial_id("nsd", subject, number, trial) for trial in trials],
        subject=subject,
        session=number,
        trial_in_session=list(trials),
        condition="perception",
        nsd_id=nsd_ids,
        beta_path=whole_file(path).relative_to(root).as_posix(),
        beta_index=list(trials),
        repeat_index=responses.repeat[chosen].tolist(),
        is_valid=True,
        run_number=responses.run[chosen].tolist(),
        experiment="nsd",
        stimulus=[stimulus_key(nsd_id, "") for nsd_id in nsd_ids],
        response=_or_none(responses.button[chosen]),
        response_time=_or_none(responses.response_time[chosen]),
        beta_version=beta_version,
        **picture_columns(info, subject, nsd_ids, imagined),
    )


def _check_session(path: Path, subject: str, number: int, chosen: NDArray[np.int64], responses: Responses) -> None:
    if number > CORE_SESSIONS[subject] or number < 1:
        msg = f"{path}: {subject} has sessions 1 to {CORE_SESSIONS[subject]}; remove the file or give it its own name"
        raise DataError(msg)
    if not chosen.size:
        msg = f"{path}: {responses.path} has no SESSION {number}: copy responses.tsv again, or leave this session out"
        raise DataError(msg)
    n_volumes = read_header(path).n_volumes
    if n_volumes != CORE_TRIALS_PER_SESSION:
        msg = (
            f"{path}: has {n_volumes} volumes, a session of NSD core has {CORE_TRIALS_PER_SESSION}: copy the file again"
        )
        raise DataError(msg)


def _or_none(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]
