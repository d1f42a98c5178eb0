"""The design of NSD core, nsd_expdesign.mat: which of a subject's 10,000 pictures comes in which trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import N_NSD_PICTURES, SUBJECTS
from nsd_imagery.sources.matlab import read_variables

_N_TRIALS, _N_PICTURES = 30_000, 10_000
"""Of a subject, over 40 sessions; three trials a picture."""


@dataclass(frozen=True, eq=False)
class CoreDesign:
    """What the file says, 0-based.

    Attributes:
        path: The file.
        ordering: (30000,) position of each trial's picture among a subject's 10,000, the same for all subjects.
        pictures: (8, 10000) NSD id of each subject's pictures.
    """

    path: Path
    ordering: NDArray[np.int64]
    pictures: NDArray[np.int64]

    def nsd_ids(self, subject: str) -> NDArray[np.int64]:
        """(30000,) NSD id of each trial of a subject."""
        return self.pictures[SUBJECTS.index(subject), self.ordering]


def read_core_design(path: Path) -> CoreDesign:
    """Read `masterordering` and `subjectim`, which are 1-based in the file.

    Raises:
        DataError: The file is damaged, or has other variables.
    """
    found = read_variables(path, ("masterordering", "subjectim"))
    ordering = _from_0(path, "masterordering", found["masterordering"], (1, _N_TRIALS), _N_PICTURES)
    pictures = _from_0(path, "subjectim", found["subjectim"], (len(SUBJECTS), _N_PICTURES), N_NSD_PICTURES)
    return CoreDesign(path, ordering[0], pictures)


def _from_0(path: Path, name: str, values: NDArray[Any], shape: tuple[int, int], most: int) -> NDArray[np.int64]:
    is_sound = values.shape == shape and values.dtype.kind in "iuf" and bool(((values >= 1) & (values <= most)).all())
    if not is_sound or not (values == np.floor(values)).all():
        msg = f"{path}: {name} is not {shape[0]} x {shape[1]} whole numbers from 1 to {most}: copy the file again"
        raise DataError(msg)
    return values.astype(np.int64) - 1
