"""NSD core of a synthetic subject: which picture each trial shows, and what its betas are the response to.

Facts of the design: NSD Data Manual. 750 trials a session in 12 runs, of 63 trials the odd ones and of 62 the even.
"""

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION, SUBJECTS
from nsd_imagery.synthetic.events import RunEvents, perception_event
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.stimuli import core_order, subject_pictures
from nsd_imagery.synthetic.truth import Truth

TRIALS_BY_RUN = (63, 62) * 6
"""Trials of each run of a session."""


SLOT_SECONDS = 4
_LEAD_SLOTS, _SLOTS, SLOTS_OF_RUN = 3, 68, 75
"""Slots of a run: blank ones before the first trial, then those of the trials and the blanks among them, and all."""


def shown_pictures(seed: int, subject: str) -> NDArray[np.int64]:
    """The pictures of all sessions of a subject, (n_trials,) 0-based ids in order of presentation."""
    scanned = core_order(seed)[: CORE_SESSIONS[subject] * CORE_TRIALS_PER_SESSION]
    return subject_pictures(seed)[SUBJECTS.index(subject), scanned]


def trial_slots(run: NDArray[np.int64], trial: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slot of a run that a trial has, from 0.

    Args:
        run: (n_trials,) from 0.
        trial: (n_trials,) in its run, from 0.
    """
    return _LEAD_SLOTS + trial * _SLOTS // np.array(TRIALS_BY_RUN)[run]


def shown_in(seed: int, subject: str, session: int) -> list[int]:
    """The 750 pictures of a session (from 1, as in the file names), 0-based ids in order of presentation."""
    first = (session - 1) * CORE_TRIALS_PER_SESSION
    return shown_pictures(seed, subject)[first : first + CORE_TRIALS_PER_SESSION].tolist()


def core_runs(truth: Truth, subject: str, session: int) -> list[RunEvents]:
    """The 12 runs of a session (from 1, as in the file names), in order."""
    shown = np.array(shown_in(truth.seed, subject, session))
    runs = np.split(shown, np.cumsum(TRIALS_BY_RUN)[:-1])
    return [
        (
            [perception_event(truth, int(nsd_id)) for nsd_id in nsd_ids],
            generator(truth.seed, "core noise", subject, session, run),
        )
        for run, nsd_ids in enumerate(runs, start=1)
    ]
