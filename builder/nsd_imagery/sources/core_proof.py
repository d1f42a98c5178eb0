"""NSD core's pictures are proven, not assumed: each trial of responses.tsv against two other files of the release."""

import numpy as np

from nsd_imagery.errors import DataError
from nsd_imagery.sources.core_design import CoreDesign
from nsd_imagery.sources.responses import Responses
from nsd_imagery.sources.stim_info import StimInfo


def prove_pictures(responses: Responses, info: StimInfo, subject: str) -> None:
    """Each picture is the one that the table of pictures gives the trial, counted from 1 over all sessions.

    Raises:
        DataError: Two files contradict each other; names line and both pictures.
    """
    trial = np.arange(1, len(responses.nsd_id) + 1)
    planned = info.trials[subject]
    wrong = ~(planned[responses.nsd_id] == trial[:, None]).any(axis=1)
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        shown = np.flatnonzero((planned == trial[at]).any(axis=1))
        raise _contradiction(responses, at, subject, str(info.path), int(shown[0]) if shown.size else None)


def prove_order(responses: Responses, design: CoreDesign, subject: str) -> None:
    """Each picture is the one that the experiment's design gives the trial.

    Raises:
        DataError: Two files contradict each other; names line and both pictures.
    """
    planned = design.nsd_ids(subject)
    wrong = responses.nsd_id != planned[: len(responses.nsd_id)]
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise _contradiction(responses, at, subject, str(design.path), int(planned[at]))


def _contradiction(responses: Responses, at: int, subject: str, other: str, nsd_id: int | None) -> DataError:
    what = "shows no picture" if nsd_id is None else f"shows nsdId {nsd_id} (73KID {nsd_id + 1})"
    return DataError(
        f"{responses.path}, line {responses.line[at]}: 73KID is {responses.nsd_id[at] + 1}, but {other} {what} "
        f"to {subject} in trial {at + 1}"
    )
