"""The trials of NSD core, responses.tsv: one line a trial, 750 a session, in the order of the betas."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import (
    CORE_REPEATS,
    CORE_RUN_TRIALS,
    CORE_RUNS,
    CORE_SESSIONS,
    CORE_TRIALS_PER_SESSION,
    N_NSD_PICTURES,
    SUBJECTS,
)
from nsd_imagery.sources.columns import DECIMAL_OR_ABSENT, WHOLE, WHOLE_OR_ABSENT, read_columns
from nsd_imagery.sources.session import repeat_indices

_COLUMNS = {
    **dict.fromkeys(("SUBJECT", "SESSION", "RUN", "TRIAL", "73KID"), WHOLE),
    "BUTTON": WHOLE_OR_ABSENT,
    "RT": DECIMAL_OR_ABSENT,
}
_TRIAL = ("SESSION", "RUN", "TRIAL")

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Responses:
    """All trials of a subject's NSD core in the order of SESSION, RUN, TRIAL; every array is (n_trials,).

    Attributes:
        path: The file.
        line: Line of each trial in the file, 1-based, for messages.
        session: 1-based.
        run: 1-based.
        nsd_id: 0-based; the file's 73KID is 1-based.
        repeat: How often the picture came before, over all sessions.
        button: NaN where nobody pressed.
        response_time: s, NaN where nobody pressed.
    """

    path: Path
    line: Numbers
    session: Numbers
    run: Numbers
    nsd_id: Numbers
    repeat: Numbers
    button: NDArray[np.float64]
    response_time: NDArray[np.float64]


def read_responses(path: Path, subject: str) -> Responses:
    """Read the trials of a subject; lines may stand in any order.

    The file may end with any session, but has each session up to that one whole, or repeats could not be counted.

    Raises:
        DataError: A column is missing, a value cannot be, a trial is missing or twice, or a picture comes too often;
            names line, column and value.
    """
    columns, line = read_columns(path, "\t", _COLUMNS, "NSD's responses.tsv")
    limits = {
        "SUBJECT": (SUBJECTS.index(subject) + 1,) * 2,
        "SESSION": (1, CORE_SESSIONS[subject]),
        "RUN": (1, CORE_RUNS),
        "TRIAL": (1, max(CORE_RUN_TRIALS)),
        "73KID": (1, N_NSD_PICTURES),
    }
    for name, (first, last) in limits.items():
        wrong = (columns[name] < first) | (columns[name] > last)
        span = f"{first} to {last}" if first != last else f"{first}"
        _refuse(path, name, columns[name], line, wrong, f"{subject} has {span}")
    order = np.lexsort([columns[name] for name in reversed(_TRIAL)])
    session, run, trial = (columns[name][order] for name in _TRIAL)
    _check_complete(path, line[order], session, run, trial)
    nsd_id = columns["73KID"][order] - 1
    repeat = np.array(repeat_indices(nsd_id.tolist()), np.int64)
    _refuse(path, "73KID", nsd_id + 1, line[order], repeat >= CORE_REPEATS, f"shown {CORE_REPEATS} times already")
    return Responses(
        path, line[order], session, run, nsd_id, repeat, columns["BUTTON"][order], columns["RT"][order] / 1000
    )


def _refuse(path: Path, name: str, values: NDArray[Any], line: Numbers, wrong: NDArray[np.bool_], why: str) -> None:
    """Raise DataError for the first wrong value, if there is one."""
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        msg = f"{path}, line {line[at]}: {name} is {values[at]:g}, but {why}"
        raise DataError(msg)


def _check_complete(path: Path, line: Numbers, session: Numbers, run: Numbers, trial: Numbers) -> None:
    """Each session from the first on is there, with 12 runs of 62 or 63 trials, none of them twice."""
    trials = np.stack([session, run, trial])
    twice = np.append(False, (trials[:, 1:] == trials[:, :-1]).all(axis=0))
    if twice.any():
        at = int(np.flatnonzero(twice)[0])
        msg = (
            f"{path}, line {line[at]}: TRIAL is {trial[at]}, but SESSION {session[at]}, RUN {run[at]} has that trial "
            f"in line {line[at - 1]} already"
        )
        raise DataError(msg)
    for number in range(1, int(session.max(initial=0)) + 1):
        counts = np.bincount(run[session == number], minlength=CORE_RUNS + 1)[1:]
        last = np.array([trial[(session == number) & (run == n + 1)].max(initial=0) for n in range(CORE_RUNS)])
        short = np.flatnonzero((counts != last) | ~np.isin(counts, CORE_RUN_TRIALS))
        where = f"{path}: SESSION {number}"
        if short.size:
            n = int(short[0])
            have = set(trial[(session == number) & (run == n + 1)].tolist())
            gone = sorted(set(range(1, max(int(last[n]), min(CORE_RUN_TRIALS)) + 1)) - have)
            msg = f"{where}, RUN {n + 1}: has {counts[n]} trials, and no TRIAL {gone[0]}: copy the file again"
            raise DataError(msg)
        if counts.sum() != CORE_TRIALS_PER_SESSION:
            msg = f"{where}: has {counts.sum()} trials, not {CORE_TRIALS_PER_SESSION}: copy the file again"
            raise DataError(msg)
