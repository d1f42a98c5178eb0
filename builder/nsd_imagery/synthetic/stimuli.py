"""NSD's picture table, nsd_stim_info_merged.csv: which picture each subject's NSD core shows, and when."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from nsd_imagery.experiment import CORE_REPEATS, CORE_SESSIONS, CORE_TRIALS_PER_SESSION, N_NSD_PICTURES, SUBJECTS
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.targets import SET_B_NSD_IDS

N_SHARED = 1000
PICTURES_PER_SUBJECT = 10_000
N_CORE_TRIALS = PICTURES_PER_SUBJECT * CORE_REPEATS

LATE_SUBJECT = "subj04"
LATE_PICTURE = SET_B_NSD_IDS[1]
"""The picture of set B that `LATE_SUBJECT` would have seen only after its last session."""

_N_COCO_PICTURES = 581_929


@lru_cache(maxsize=2)
def shared_ids(seed: int) -> NDArray[np.int64]:
    """The 1000 pictures that all subjects see, 0-based and rising; set B's five are among them."""
    others = np.setdiff1d(np.arange(N_NSD_PICTURES), SET_B_NSD_IDS)
    drawn = generator(seed, "shared1000").choice(others, N_SHARED - len(SET_B_NSD_IDS), replace=False)
    return np.sort(np.concatenate([drawn, SET_B_NSD_IDS]))


@lru_cache(maxsize=2)
def own_ids(seed: int) -> dict[str, NDArray[np.int64]]:
    """The 9,000 pictures that only one subject sees, 0-based and rising."""
    others = np.setdiff1d(np.arange(N_NSD_PICTURES), shared_ids(seed))
    dealt = generator(seed, "own pictures").permutation(others).reshape(len(SUBJECTS), -1)
    return {subject: np.sort(ids) for subject, ids in zip(SUBJECTS, dealt, strict=True)}


@lru_cache(maxsize=2)
def core_order(seed: int) -> NDArray[np.int64]:
    """The order of NSD core, the same for all subjects.

    Set B's pictures come up in the first session, so that a short synthetic core holds them, and with all their
    repeats before the end of the subject with the fewest sessions; one other picture comes up after it.

    Returns:
        (30000,) position, from 0, of each trial's picture among the 10,000 of a subject; each comes three times.
    """
    rng = generator(seed, "core order")
    free = rng.permutation(N_CORE_TRIALS)
    last = min(CORE_SESSIONS.values()) * CORE_TRIALS_PER_SESSION
    early, late = _special_positions(seed)
    order = np.full(N_CORE_TRIALS, -1)
    for position in early:
        first = free[free < CORE_TRIALS_PER_SESSION][:1]
        rest = free[(free >= CORE_TRIALS_PER_SESSION) & (free < last)][: CORE_REPEATS - 1]
        taken = np.concatenate([first, rest])
        order[taken] = position
        free = free[~np.isin(free, taken)]
    taken = free[free >= last][:CORE_REPEATS]
    order[taken] = late
    free = free[~np.isin(free, taken)]
    order[free] = np.repeat(np.setdiff1d(np.arange(PICTURES_PER_SUBJECT), [*early, late]), CORE_REPEATS)
    return order


@lru_cache(maxsize=2)
def subject_pictures(seed: int) -> NDArray[np.int64]:
    """The pictures that NSD core was to show to each subject: (8, 10000) 0-based ids, the shared1000 first.

    The shared ones rise and have the same positions for all, but for the one that `LATE_SUBJECT` never reaches.
    """
    shared = shared_ids(seed)
    pictures = np.stack([np.concatenate([shared, own_ids(seed)[subject]]) for subject in SUBJECTS])
    _, late = _special_positions(seed)
    now = int(np.searchsorted(shared, LATE_PICTURE))
    row = pictures[SUBJECTS.index(LATE_SUBJECT)]
    row[[now, late]] = row[[late, now]]
    return pictures


def _special_positions(seed: int) -> tuple[list[int], int]:
    """The positions of set B's pictures, and of another shared one, which comes up in the last sessions alone."""
    shared = shared_ids(seed)
    early = np.searchsorted(shared, SET_B_NSD_IDS).tolist()
    return early, next(position for position in range(N_SHARED) if position not in early)


def core_trials(seed: int, subject: str) -> NDArray[np.int32]:
    """When NSD core shows each picture to a subject.

    Returns:
        (73000, 3) 1-based trials, rising, up to 30,000; 0 where the subject is not to see the picture.
    """
    by_position = np.argsort(core_order(seed), kind="stable").reshape(PICTURES_PER_SUBJECT, CORE_REPEATS)
    trials = np.zeros((N_NSD_PICTURES, CORE_REPEATS), np.int32)
    trials[subject_pictures(seed)[SUBJECTS.index(subject)]] = by_position + 1
    return trials


def stimulus_table(seed: int) -> pa.Table:
    """The picture table: 73,000 rows in order of nsdId, columns as released (the first has no name)."""
    rng = generator(seed, "picture table")
    index = np.arange(N_NSD_PICTURES)
    is_shared = np.zeros(N_NSD_PICTURES, bool)
    is_shared[shared_ids(seed)] = True
    margins = np.array([f'"(0, 0, {m}, {m})"' for m in np.linspace(0, 0.2, 65).round(7)])
    columns: dict[str, object] = {
        "": index,
        "cocoId": rng.choice(_N_COCO_PICTURES, N_NSD_PICTURES, replace=False) + 1,
        "cocoSplit": np.where(rng.random(N_NSD_PICTURES) < 0.04, "val2017", "train2017"),
        "cropBox": margins[rng.integers(0, len(margins), N_NSD_PICTURES)],
        "loss": rng.random(N_NSD_PICTURES).round(9),
        "nsdId": index,
        "flagged": _words(rng.random(N_NSD_PICTURES) < 0.005),
        "BOLD5000": _words(rng.random(N_NSD_PICTURES) < 0.02),
        "shared1000": _words(is_shared),
    }
    trials = {subject: core_trials(seed, subject) for subject in SUBJECTS}
    for number, subject in enumerate(SUBJECTS, start=1):
        columns[f"subject{number}"] = (trials[subject][:, 0] > 0).astype(np.int8)
    for number, subject in enumerate(SUBJECTS, start=1):
        for repeat in range(CORE_REPEATS):
            columns[f"subject{number}_rep{repeat}"] = trials[subject][:, repeat]
    return pa.table(list(columns.values()), names=list(columns))


def table_text(table: pa.Table, delimiter: str = ",", absent: str = "") -> str:
    """The table as pandas would write it: words unquoted, nulls as said; pyarrow's own writer quotes all words."""
    cells = [pc.cast(column.combine_chunks(), pa.string()).fill_null(absent) for column in table.columns]
    lines = pc.call_function("binary_join_element_wise", [*cells, pa.scalar(delimiter)])
    return "\n".join([delimiter.join(table.column_names), *lines.to_pylist(), ""])


def _words(flags: NDArray[np.bool_]) -> NDArray[np.str_]:
    return np.where(flags, "True", "False")
