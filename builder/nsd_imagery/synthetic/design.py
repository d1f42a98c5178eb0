"""The experiment's MATLAB files: designmatrixGLMsingle.mat and the pair lists."""

import io

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from nsd_imagery.experiment import N_DESIGN_COLUMNS, TARGETS_PER_SET
from nsd_imagery.synthetic.schedule import EPOCH_SECONDS, RunSchedule
from nsd_imagery.synthetic.targets import TARGETS

_MAT_HEADER_BYTES = 116


def design_matrices(schedule: tuple[RunSchedule, ...]) -> NDArray[np.object_]:
    """The onsets that GLMsingle is told.

    Returns:
        (1, 12) cells, each (s, 36) of 0 and 1: by target number of CONDITION, columns 0-5 vision, 6-11 attention's
        cue epoch, 12-17 its detection epoch, 18-35 imagery of sets A, B, C.
    """
    cells = np.empty((1, len(schedule)), object)
    for cell, run_schedule in enumerate(schedule):
        run = run_schedule.run
        matrix = np.zeros((run_schedule.seconds, N_DESIGN_COLUMNS))
        for epoch in range(len(run.epochs)):
            first = run.design_columns[epoch * TARGETS_PER_SET]
            matrix[run_schedule.onsets + epoch * EPOCH_SECONDS, first + run_schedule.conditions] = 1
        cells[0, cell] = matrix
    return cells


def pair_list(stimulus_set: str) -> NDArray[np.object_]:
    """The targets of a set: (6, 3) cells of target number, name (image file, or word in set C) and cue letter."""
    cells = np.empty((TARGETS_PER_SET, 3), object)
    for row, target in enumerate(TARGETS[stimulus_set]):
        cells[row] = [float(target.number), target.listed_name, target.cue]
    return cells


def mat_bytes(**variables: NDArray[np.generic]) -> bytes:
    """A MATLAB 5 file of some variables, compressed, with a header that does not tell the time."""
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=True)
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(_MAT_HEADER_BYTES)
    return header + buffer.getvalue()[_MAT_HEADER_BYTES:]
