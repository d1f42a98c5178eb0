"""The id of a trial, by a formula that never depends on what else is there."""

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import SUBJECTS, Experiment


def trial_id(experiment: Experiment, subject: str, session: int, trial: int, epoch: int = 0) -> int:
    """The id of a trial by formula, so that it never depends on what else is in the index.

    Args:
        experiment: "nsd" or "nsdimagery".
        subject: "subj01" to "subj08".
        session: 1-based, below 100.
        trial: 0-based in the session, below 10,000.
        epoch: 0, or 1 for the detection epoch of an attention trial.

    Raises:
        DataError: A number is outside its decimal places.
    """
    if not (0 < session < 100 and 0 <= trial < 10_000 and epoch in (0, 1)):
        msg = f"{subject} session {session} trial {trial} epoch {epoch}: outside what a trial_id can hold"
        raise DataError(msg)
    kind = {"nsd": 1, "nsdimagery": 2}[experiment]
    return (((kind * 10 + SUBJECTS.index(subject) + 1) * 100 + session) * 10_000 + trial) * 10 + epoch


def session_of(trial_id: int) -> tuple[Experiment, str, int]:
    """Experiment, subject and session that a `trial_id` tells.

    Raises:
        DataError: It is none.
    """
    kind, subject, session = trial_id // 10**8, trial_id // 10**7 % 10, trial_id // 10**5 % 100
    if kind not in (1, 2) or not 0 < subject <= len(SUBJECTS):
        msg = f"{trial_id} is no trial_id (digits: experiment, subject, session, trial, epoch)"
        raise DataError(msg)
    return ("nsd" if kind == 1 else "nsdimagery"), SUBJECTS[subject - 1], session
