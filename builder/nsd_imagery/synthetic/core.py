"""NSD core of a synthetic subject: which picture each trial shows, and what its betas are the response to.

Facts of the design: NSD Data Manual. 750 trials a session in 12 runs, of 63 trials the odd ones and of 62 the even.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION
from nsd_imagery.synthetic.events import RunEvents, perception_event
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.stimuli import N_CORE_TRIALS, core_trials

TRIALS_BY_RUN = (63, 62) * 6
"""Trials of each run of a session."""


@lru_cache(maxsize=8)
def shown_pictures(seed: int, subject: str) -> NDArray[np.int64]:
    """The pictures of all sessions of a subject, (n_trials,) 0-based ids in order of presentation."""
    trials = core_trials(seed, subject)
    nsd_ids, repeats = np.nonzero(trials)
    shown = np.empty(N_CORE_TRIALS, np.int64)
    shown[trials[nsd_ids, repeats] - 1] = nsd_ids
    return shown[: CORE_SESSIONS[subject] * CORE_TRIALS_PER_SESSION]


def core_runs(seed: int, subject: str, session: int) -> list[RunEvents]:
    """The 12 runs of a session (from 1, as in the file names), in order."""
    first = (session - 1) * CORE_TRIALS_PER_SESSION
    shown = shown_pictures(seed, subject)[first : first + CORE_TRIALS_PER_SESSION]
    runs = np.split(shown, np.cumsum(TRIALS_BY_RUN)[:-1])
    return [
        (
            [perception_event(int(nsd_id)) for nsd_id in nsd_ids],
            generator(seed, "core noise", subject, session, run),
        )
        for run, nsd_ids in enumerate(runs, start=1)
    ]
