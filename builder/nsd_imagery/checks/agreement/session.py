"""The betas of one session with their labels, and its runs where labels and data are complete enough to be tested."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.orders import ENOUGH_TRIALS, REPEATS_PER_RUN, Order
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.volumes.roi import Mask


@dataclass(frozen=True, eq=False)
class SessionBetas:
    """One subject's NSD-Imagery session, a row for each beta.

    Attributes:
        betas: (n_rows, n_voxels) percent signal change, not z-scored; no NaN. Voxels may lack variance.
        condition: (n_rows,) "vision", "imagery" or "attention".
        stimulus_set: (n_rows,) "A", "B" or "C".
        run: (n_rows,) number or name of the run.
        position: (n_rows,) of the beta in the session, from 0, in order of time: the volume of the beta file.
        target: (n_rows,) name of the target seen, imagined or attended.
        cued_target: (n_rows,) name of the target whose letter was shown.
        is_valid: (n_rows,) False where there are no data.
        early: (n_voxels,) V1 to hV4 inside nsdgeneral.
        v1_v3: (n_voxels,) V1 to V3 inside nsdgeneral.
        higher: (n_voxels,) the rest of nsdgeneral.
        nsdgeneral: (n_voxels,).
    """

    betas: NDArray[Any]
    condition: NDArray[np.str_]
    stimulus_set: NDArray[np.str_]
    run: NDArray[Any]
    position: NDArray[np.integer[Any]]
    target: NDArray[np.str_]
    cued_target: NDArray[np.str_]
    is_valid: Mask
    early: Mask
    v1_v3: Mask
    higher: Mask
    nsdgeneral: Mask


@dataclass(frozen=True, eq=False)
class LabelledRun:
    """A run of vision or imagery whose labels follow the design and whose data are there.

    Attributes:
        start: Position of its first trial.
        targets: (48,) 0 to 5, in the order of the targets' names.
        cued: (48,) the same of the letter; -1 where it is the letter of none of them.
        is_valid: (48,).
    """

    start: int
    targets: Order
    cued: Order
    is_valid: Mask


def find_run(session: SessionBetas, condition: str, stimulus_set: str, number: int = 0) -> LabelledRun | None:
    """A run of a condition and set, counted from 0 in order of time.

    None where there is none, where its rows are not 48 in a row with eight of each of six targets, or where fewer than
    `ENOUGH_TRIALS` are valid.
    """
    rows = np.flatnonzero((session.condition == condition) & (session.stimulus_set == stimulus_set))
    rows = rows[np.argsort(session.position[rows], kind="stable")]
    names = list(dict.fromkeys(session.run[rows].tolist()))
    if number >= len(names):
        return None
    rows = rows[session.run[rows] == names[number]]
    start = int(session.position[rows[0]])
    if not np.array_equal(session.position[rows], start + np.arange(TRIALS_PER_RUN)):
        return None
    targets, codes, counts = np.unique(session.target[rows], return_inverse=True, return_counts=True)
    if counts.tolist() != [REPEATS_PER_RUN] * TARGETS_PER_SET or session.is_valid[rows].sum() < ENOUGH_TRIALS:
        return None
    code = {target: number for number, target in enumerate(targets.tolist())}
    cued = [code.get(target, -1) for target in session.cued_target[rows].tolist()]
    return LabelledRun(start, codes.astype(np.int8), np.array(cued, np.int8), session.is_valid[rows])


def window(session: SessionBetas, start: int, voxels: Mask) -> tuple[NDArray[Any], Mask]:
    """The betas at 48 positions in a row, whatever run they are of.

    Returns:
        (48, n_voxels) betas, and (48,) which of them are there and valid; the others are 0.
    """
    found = np.flatnonzero((session.position >= start) & (session.position < start + TRIALS_PER_RUN))
    found = found[session.is_valid[found]]
    slots = session.position[found] - start
    betas = np.zeros((TRIALS_PER_RUN, int(voxels.sum())), session.betas.dtype)
    betas[slots] = session.betas[np.ix_(found, voxels)]
    is_valid = np.zeros(TRIALS_PER_RUN, bool)
    is_valid[slots] = True
    return betas, is_valid
