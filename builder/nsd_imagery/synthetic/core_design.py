"""The design of NSD core, nsd_expdesign.mat: variables and numbers from 1, as in the NSD Data Manual."""

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import CORE_RUNS
from nsd_imagery.synthetic.core import SLOTS_OF_RUN, TRIALS_BY_RUN, trial_slots
from nsd_imagery.synthetic.design import mat_bytes
from nsd_imagery.synthetic.stimuli import core_order, shared_ids, subject_pictures

_PLANNED_SESSIONS = 40


def core_design(seed: int) -> bytes:
    """The file of all subjects.

    `masterordering` (1, 30000) has the 10KID of each trial, `subjectim` (8, 10000) the 73KID of each subject's 10KID,
    `sharedix` (1, 1000) the 73KIDs of the shared1000, `stimpattern` (40, 12, 75) a 1 where a trial of four seconds
    shows a picture.
    """
    return mat_bytes(
        masterordering=(core_order(seed) + 1).astype(np.float64)[None],
        subjectim=(subject_pictures(seed) + 1).astype(np.float64),
        sharedix=(shared_ids(seed) + 1).astype(np.float64)[None],
        stimpattern=_stimulus_pattern(),
    )


def _stimulus_pattern() -> NDArray[np.float64]:
    pattern = np.zeros((_PLANNED_SESSIONS, CORE_RUNS, SLOTS_OF_RUN))
    for run, n_trials in enumerate(TRIALS_BY_RUN):
        pattern[:, run, trial_slots(np.full(n_trials, run), np.arange(n_trials))] = 1
    return pattern
