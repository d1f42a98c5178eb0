"""NSD's table of its 73,000 pictures, nsd_stim_info_merged.csv: COCO ids, shared pictures, who sees what when."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION, N_NSD_PICTURES, SUBJECTS
from nsd_imagery.identity import identity
from nsd_imagery.sources.columns import FLAG, WHOLE, read_columns

NO_STIM_INFO = "nsd_stim_info_merged.csv is not in the root: coco_id is absent, and is_shared false everywhere"

_REPEATS = range(3)


@dataclass(frozen=True, eq=False)
class StimInfo:
    """The columns that this package uses, indexed by 0-based NSD id.

    Attributes:
        path: The file.
        coco_id: (73000,) COCO id.
        shared1000: (73000,) whether the picture is one of the 1,000 shared ones.
        trials: By subject, (73000, 3) trials of NSD core that show the picture, 1-based over all sessions; 0 for never.
            Trials after the subject's last session were planned and never scanned.
    """

    path: Path
    coco_id: NDArray[np.int64]
    shared1000: NDArray[np.bool_]
    trials: dict[str, NDArray[np.int32]]

    def shown(self, subject: str) -> NDArray[np.bool_]:
        """(73000,) whether the scanned sessions of a subject's NSD core show the picture."""
        trials = self.trials[subject]
        scanned = (trials >= 1) & (trials <= CORE_SESSIONS[subject] * CORE_TRIALS_PER_SESSION)
        return np.logical_or.reduce(scanned, axis=1)


def read_stim_info(path: Path) -> StimInfo:
    """Read the table.

    Raises:
        DataError: A column is missing or is not numbers, or the rows are not ids 0 to 72,999 in order.
    """
    repeats = {
        subject: [f"subject{number}_rep{repeat}" for repeat in _REPEATS]
        for number, subject in enumerate(SUBJECTS, start=1)
    }
    trials = dict.fromkeys((column for columns in repeats.values() for column in columns), WHOLE)
    kinds = {"nsdId": WHOLE, "cocoId": WHOLE, **trials, "shared1000": FLAG}
    table, _ = read_columns(path, ",", kinds, "NSD's stimulus table")
    ids = table["nsdId"]
    if not np.array_equal(ids, np.arange(N_NSD_PICTURES)):
        msg = (
            f"{path}: nsdId must be 0 to {N_NSD_PICTURES - 1} in order, but the table has {len(ids)} rows that are not"
        )
        raise DataError(msg)
    by_subject = {
        subject: np.stack([table[column].astype(np.int32) for column in columns], axis=1)
        for subject, columns in repeats.items()
    }
    info = StimInfo(path, table["cocoId"], table["shared1000"], by_subject)
    _check_shared(info)
    return info


def read_stim_info_once(path: Path) -> StimInfo:
    """The table, read again only when the file has changed.

    Raises:
        DataError: As `read_stim_info`.
    """
    return _cached(path, *identity(path))


@cache
def _cached(path: Path, *_identity: int) -> StimInfo:
    return read_stim_info(path)


def _check_shared(info: StimInfo) -> None:
    """The shared pictures are those that all subjects were to see; every other one was for one subject alone."""
    planned = np.stack([(trials > 0).any(axis=1) for trials in info.trials.values()])
    wrong = np.flatnonzero(planned.all(axis=0) != info.shared1000)
    if wrong.size:
        said = bool(info.shared1000[wrong[0]])
        msg = (
            f"{info.path}: shared1000 of nsdId {wrong[0]} is {said}, but its columns subjectN_repM say that "
            f"{planned[:, wrong[0]].sum()} of {len(SUBJECTS)} subjects were to see it: copy the file again"
        )
        raise DataError(msg)


def picture_columns(
    info: StimInfo | None, subject: str, nsd_ids: Sequence[int | None], imagined: Collection[int]
) -> dict[str, Sequence[Any]]:
    """The columns coco_id, shared1000 and is_shared of rows.

    Args:
        info: NSD's table of pictures. Without it coco_id is absent and is_shared false (nothing says that NSD core
            shows the picture); every NSD picture of NSD-Imagery is one of the shared 1,000, as its file name says.
        subject: Whose rows.
        nsd_ids: 0-based id of the picture of each row, or None.
        imagined: The NSD pictures among the targets.
    """
    if info is None:
        return {
            "coco_id": [None] * len(nsd_ids),
            "shared1000": [nsd_id is not None for nsd_id in nsd_ids],
            "is_shared": [False] * len(nsd_ids),
        }
    shown = info.shown(subject)
    shared = {nsd_id for nsd_id in imagined if shown[nsd_id]}
    return {
        "coco_id": [None if nsd_id is None else int(info.coco_id[nsd_id]) for nsd_id in nsd_ids],
        "shared1000": [nsd_id is not None and bool(info.shared1000[nsd_id]) for nsd_id in nsd_ids],
        "is_shared": [nsd_id in shared for nsd_id in nsd_ids],
    }
