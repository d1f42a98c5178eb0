"""Which rows chose what a preprocessor keeps: a number that is made of those rows is no test of it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.learn.fitting import Fitted, Options
from nsd_imagery.trial_ids import session_of

_DIGITS_OF_TRIAL = 10**5
"""The rest of a trial_id tells experiment, subject and session."""


def may_have_chosen(options: Options, fitted: Fitted, trial_ids: ArrayLike) -> NDArray[np.bool_]:
    """(n,) which rows chose voxels or components, or may have; see `NSDPreprocessor.chose_by`."""
    ids = np.asarray(trial_ids, np.int64).reshape(-1)
    chose = np.zeros(ids.size, np.bool_)
    if options.selection == "ncsnr_release":
        chose |= _of_sessions(ids, fitted, lambda experiment, _: experiment == "nsd")
    if options.rows_choose:
        chose |= _of_fitted(options, fitted, ids) if fitted.chosen_by is None else np.isin(ids, fitted.chosen_by)
    return chose


def _of_fitted(options: Options, fitted: Fitted, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows of sessions that it was fitted on, so far as the groups of its z-scores tell; else all of its subject."""
    if not options.groups_rows:
        return _of_sessions(ids, fitted, lambda *_: True)
    sessions = {tuple(name.split("/")[:2]) for name in fitted.groups[: fitted.n_fitted]}
    return _of_sessions(ids, fitted, lambda experiment, session: (experiment, str(session)) in sessions)


def _of_sessions(ids: NDArray[np.int64], fitted: Fitted, holds: Callable[[str, int], bool]) -> NDArray[np.bool_]:
    """Rows of the subject, of sessions for which something holds."""
    _, first, of_row = np.unique(ids // _DIGITS_OF_TRIAL, return_index=True, return_inverse=True)
    told = [session_of(trial) for trial in ids[first].tolist()]
    found = [subject == fitted.origin.subject and holds(experiment, number) for experiment, subject, number in told]
    return np.array(found, np.bool_)[of_row]
