"""NSD's table of its 73,000 pictures, nsd_stim_info_merged.csv: COCO ids, shared pictures, who sees what when."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION, N_NSD_PICTURES, SUBJECTS

_REPEATS = range(3)


@dataclass(frozen=True, eq=False)
class StimInfo:
    """The columns that this package uses, indexed by 0-based NSD id.

    Attributes:
        coco_id: (73000,) COCO id.
        shared1000: (73000,) whether the picture is one of the 1,000 shared ones.
        shown: By subject, (73000,) whether NSD core's sessions of that subject show the picture.
    """

    coco_id: NDArray[np.int64]
    shared1000: NDArray[np.bool_]
    shown: dict[str, NDArray[np.bool_]]


def read_stim_info(path: Path) -> StimInfo:
    """Read the table.

    Raises:
        DataError: A column is missing or is not numbers, or the rows are not ids 0 to 72,999 in order.
    """
    repeats = {
        subject: [f"subject{number}_rep{repeat}" for repeat in _REPEATS]
        for number, subject in enumerate(SUBJECTS, start=1)
    }
    numbers = ["nsdId", "cocoId", *(column for columns in repeats.values() for column in columns)]
    types = {**dict.fromkeys(numbers, pa.int64()), "shared1000": pa.bool_()}
    try:
        table = csv.read_csv(
            path,
            # Blocks of the whole file at once, one a thread, would be the peak of a small build's memory.
            read_options=csv.ReadOptions(use_threads=False, block_size=1 << 20),
            convert_options=csv.ConvertOptions(column_types=types, include_columns=[*types], strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        msg = f"{path}: is not NSD's stimulus table ({str(error).splitlines()[0]}): copy the file again"
        raise DataError(msg) from error
    ids = table["nsdId"].to_numpy()
    if not np.array_equal(ids, np.arange(N_NSD_PICTURES)):
        msg = (
            f"{path}: nsdId must be 0 to {N_NSD_PICTURES - 1} in order, but the table has {len(ids)} rows that are not"
        )
        raise DataError(msg)
    shown = {subject: _is_shown(table, columns, subject) for subject, columns in repeats.items()}
    return StimInfo(table["cocoId"].to_numpy(), table["shared1000"].to_numpy(), shown)


def _is_shown(table: pa.Table, columns: list[str], subject: str) -> NDArray[np.bool_]:
    """Whether a repeat falls into the sessions that were scanned; trials are 1-based, 0 means never."""
    trials = np.stack([table[column].to_numpy() for column in columns])
    scanned = CORE_SESSIONS[subject] * CORE_TRIALS_PER_SESSION
    return np.logical_or.reduce((trials >= 1) & (trials <= scanned))
