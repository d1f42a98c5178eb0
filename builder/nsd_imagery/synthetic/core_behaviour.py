"""The behaviour file of NSD core, responses.tsv: columns and quirks as in the NSD Data Manual.

The subject says of each picture whether it was shown before, in this session or an earlier one. Whole numbers are
written 1 and what does not apply NaN; a press is missing now and then, and the answers of one run are lost.
"""

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nsd_imagery.experiment import CORE_SESSIONS, CORE_TRIALS_PER_SESSION
from nsd_imagery.synthetic.behaviour import ABSENT
from nsd_imagery.synthetic.core import SLOT_SECONDS, TRIALS_BY_RUN, shown_pictures, trial_slots
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.stimuli import core_order, table_text

COLUMNS: Final = (
    "SUBJECT SESSION RUN TRIAL 73KID 10KID TIME ISOLD ISCORRECT RT CHANGEMIND MEMORYRECENT MEMORYFIRST ISOLDCURRENT "
    "ISCORRECTCURRENT TOTAL1 TOTAL2 BUTTON MISSINGDATA"
).split()

_NEW, _OLD = 1, 2
"""BUTTON."""

_MISSED = 0.01
_CHANGED_MIND = 0.03
_SAYS_OLD = {True: 0.82, False: 0.13}

_RUN_SECONDS = 370
_DAY_SECONDS = 86_400


def responses_text(seed: int, subject: str) -> str:
    """The file of all sessions of a subject: a header and a line a trial, in order of SESSION, RUN, TRIAL.

    Numbers from 1 as in the release: SESSION, RUN, TRIAL, 73KID (NSD id + 1) and 10KID (position among the
    subject's pictures, as in nsd_expdesign.mat). TIME is in days from the midnight before the first session, RT in ms.
    """
    nsd_ids = shown_pictures(seed, subject)
    rng = generator(seed, "core behaviour", subject)
    session, run, trial = _session_run_trial(CORE_SESSIONS[subject])
    recent, first = _since(nsd_ids)
    is_old = first >= 0
    is_old_in_session = is_old & (recent < np.arange(len(nsd_ids)) % CORE_TRIALS_PER_SESSION)
    is_lost = _lost(rng, session, run)
    columns = {
        "SUBJECT": np.full(len(nsd_ids), int(subject[-2:])),
        "SESSION": session + 1,
        "RUN": run + 1,
        "TRIAL": trial + 1,
        "73KID": nsd_ids + 1,
        "10KID": core_order(seed)[: len(nsd_ids)] + 1,
        "TIME": _times(rng, session, run, trial),
        "ISOLD": is_old.astype(np.int8),
        "ISOLDCURRENT": is_old_in_session.astype(np.int8),
        "MEMORYRECENT": _absent(recent, ~is_old),
        "MEMORYFIRST": _absent(first, ~is_old),
        "MISSINGDATA": is_lost.astype(np.int8),
        **_answers(rng, is_old, is_old_in_session, is_lost),
    }
    return table_text(pa.table({name: columns[name] for name in COLUMNS}), "\t", ABSENT)


def _session_run_trial(n_sessions: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Session, run in it and trial in that of every trial, each (n_trials,) from 0."""
    run = np.repeat(np.arange(len(TRIALS_BY_RUN)), TRIALS_BY_RUN)
    trial = np.concatenate([np.arange(n) for n in TRIALS_BY_RUN])
    session = np.repeat(np.arange(n_sessions), CORE_TRIALS_PER_SESSION)
    return session, np.tile(run, n_sessions), np.tile(trial, n_sessions)


def _since(nsd_ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Trials between a showing and the one before, and between it and the first; -1 where it is the first."""
    trials = np.arange(len(nsd_ids))
    by_picture = np.argsort(nsd_ids, kind="stable")
    again = np.flatnonzero(np.diff(nsd_ids[by_picture]) == 0) + 1
    before = trials.copy()
    before[by_picture[again]] = by_picture[again - 1]
    _, first, picture = np.unique(nsd_ids, return_index=True, return_inverse=True)
    return trials - before - 1, trials - first[picture] - 1


def _times(
    rng: np.random.Generator, session: NDArray[np.int64], run: NDArray[np.int64], trial: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(n_trials,) onset in days: a session about once a week, at a time between 9 and 17 h."""
    n_sessions = session[-1] + 1
    days = np.cumsum(rng.integers(4, 11, n_sessions))
    starts = (days - days[0]) * _DAY_SECONDS + rng.uniform(9, 17, n_sessions) * 3600
    seconds = starts[session] + run * _RUN_SECONDS + trial_slots(run, trial) * SLOT_SECONDS
    seconds += rng.uniform(0, 0.02, len(trial))
    return (seconds / _DAY_SECONDS).round(10)


def _lost(rng: np.random.Generator, session: NDArray[np.int64], run: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (session == rng.integers(session[-1] + 1)) & (run == rng.integers(len(TRIALS_BY_RUN)))


def _answers(
    rng: np.random.Generator,
    is_old: NDArray[np.bool_],
    is_old_in_session: NDArray[np.bool_],
    is_lost: NDArray[np.bool_],
) -> dict[str, pa.Array]:
    """The columns on what was pressed, and whether it was right."""
    n_trials = len(is_old)
    says_old = rng.random(n_trials) < np.where(is_old, _SAYS_OLD[True], _SAYS_OLD[False])
    is_pressed = (rng.random(n_trials) >= _MISSED) & ~is_lost
    changed = rng.random(n_trials) < _CHANGED_MIND
    milliseconds = (450 + rng.gamma(3, 180, n_trials)).clip(max=3900).round(2)
    return {
        "ISCORRECT": _absent(says_old == is_old, ~is_pressed),
        "ISCORRECTCURRENT": _absent(says_old == is_old_in_session, ~is_pressed),
        "RT": _absent(milliseconds, ~is_pressed),
        "CHANGEMIND": _absent(changed, ~is_pressed),
        "TOTAL1": _absent(is_pressed & (~says_old | changed), is_lost),
        "TOTAL2": _absent(is_pressed & (says_old | changed), is_lost),
        "BUTTON": _absent(np.where(says_old, _OLD, _NEW), ~is_pressed),
    }


def _absent(values: NDArray[np.generic], where: NDArray[np.bool_]) -> pa.Array:
    """A column that is absent in places."""
    text = pa.array(values.astype(np.float64).astype(str), mask=where)
    options = pc.ReplaceSubstringOptions(r"\.0$", "")
    return pc.call_function("replace_substring_regex", [text], options)
