"""What transfer is tested on, with its candidates: trials of vision and imagery by run, perception's shared pictures.

Trials are z-scored by their own run or session. Each test knows how its labels are redrawn: runs by orders that they
could have had, the same for all subjects, and pictures by free permutation.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.chance.orders import REPEATS_PER_RUN
from nsd_imagery.dataset.names import config_name
from nsd_imagery.evaluation.identify import drawn_orders
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.transfer.training import enough, zscored_by
from nsd_imagery.experiment import CORE_REPEATS, REPEATS, STIMULUS_SETS, TARGETS_PER_SET
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table, row_vectors
from nsd_imagery.schema import BETAS

PERMUTATIONS: Final = 999
"""Free permutations of pictures."""

BOTH: Final = "A+B"
"""Sets whose 12 targets are told apart together."""

N_BOTH: Final = 2 * TARGETS_PER_SET
"""Their targets."""

TESTS: Final[Mapping[str, tuple[str, ...]]] = {"vision": ("visX",), "imagery": ("imgX_1", "imgX_2", "imgX")}
"""By condition, the names of the rows that are scored."""

_SEED: Final = 1_000
Kind = Literal["image", "text"]
Own = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tested:
    """Rows with their candidates.

    Attributes:
        condition: "perception", "vision" or "imagery".
        stimulus_set: "A", "B", "C" or `BOTH`; "" of perception.
        test: "visX", "imgX_1", "imgX_2", "imgX" or "perception".
        unit: "trial" or "mean"; "" where both are to be scored, as of runs, whose means follow redrawn labels.
        n_repeats: Trials of a mean.
        n_trials: Valid trials behind the rows.
        stimuli: (k,) keys of the candidates.
        kind: Of their embeddings.
        own: (n,) the candidate of each row.
        drawn: (draws, n) the same under redrawn labels.
        counts: (k,) valid trials of each candidate.
        betas: (n, n_voxels).
        reason: Why there is nothing to score; "" where there is.
    """

    condition: str
    stimulus_set: str
    test: str
    unit: str
    n_repeats: int
    n_trials: int
    stimuli: tuple[str, ...]
    kind: Kind
    own: Own
    drawn: NDArray[np.integer]
    counts: Own
    betas: NDArray[Any]
    reason: str

    @property
    def n_candidates(self) -> int | None:
        """How many are told apart, also where there is nothing to score; None where the folder has no pictures."""
        if self.stimuli or not self.stimulus_set:
            return len(self.stimuli) or None
        return N_BOTH if self.stimulus_set == BOTH else TARGETS_PER_SET

    @property
    def candidates(self) -> str:
        """Which are told apart, in words."""
        if not self.stimulus_set:
            return f"the {len(self.stimuli)} pictures of shared1000 in the folder"
        if self.stimulus_set == BOTH:
            return f"the {N_BOTH} targets of sets A and B"
        what = "concepts" if self.stimulus_set == "C" else "targets"
        return f"the {TARGETS_PER_SET} {what} of set {self.stimulus_set}"


def of_runs(
    runs: Runs,
    stimulus_of: Mapping[str, str],
    columns: NDArray[np.integer],
    draws: int,
    conditions: Iterable[str] = tuple(TESTS),
) -> Iterator[Tested]:
    """Vision and imagery, by set and of A+B.

    Args:
        runs: Of one subject and ROI.
        stimulus_of: The key of each target.
        columns: Voxels to take.
        draws: Drawn orders.
        conditions: "vision", "imagery".
    """
    for condition in conditions:
        for test in TESTS[condition]:
            for stimulus_set in (*STIMULUS_SETS, BOTH):
                yield _of_set(runs, stimulus_of, columns, draws, (condition, test, stimulus_set))


@dataclass(frozen=True, eq=False)
class Shared:
    """Valid rows of the shared pictures, in order of time, of sessions that have enough of them.

    Attributes:
        rows: The test split.
        chosen: (n,) rows of it.
        session: (n,) session of each.
        stimulus: (n,) picture of each.
        trial_id: (n,).
    """

    rows: Dataset
    chosen: Own
    session: NDArray[Any]
    stimulus: NDArray[Any]
    trial_id: Own


def shared_rows(folder: Path, subject: str, roi: str) -> Shared:
    """What a folder has of perception's test split; `dataset.names.config_name` says of which config."""
    rows = load(folder, config_name(subject, "perception", roi), "test")
    labels = label_table(rows, ["session", "stimulus", "is_valid", "trial_id"])
    session, stimulus, is_valid, trial_id = (np.array(labels[column].to_pylist()) for column in labels.column_names)
    chosen = enough(session, np.flatnonzero(is_valid))
    chosen = chosen[np.argsort(trial_id[chosen], kind="stable")]
    return Shared(rows, chosen, session[chosen], stimulus[chosen], trial_id[chosen])


def of_perception(folder: Path, subject: str, roi: str, columns: NDArray[np.integer], draws: int) -> list[Tested]:
    """The shared pictures of a folder, single presentations and their means.

    Args:
        folder: A built folder.
        subject: "subj01" to "subj08".
        roi: A ROI.
        columns: Voxels to take.
        draws: Permutations of pictures.
    """
    shared = shared_rows(folder, subject, roi)
    views = row_vectors(shared.rows, BETAS.name)
    scores = np.empty((len(shared.chosen), len(columns)), np.float32)
    for number in np.unique(shared.session):
        mine = np.flatnonzero(shared.session == number)
        own = np.stack([views[row][columns] for row in shared.chosen[mine]]).astype(np.float64)
        scores[mine] = zscored_by(own)[0]
    return of_pictures(shared.stimulus, scores, draws)


def of_pictures(stimulus: NDArray[Any], values: NDArray[Any], draws: int) -> list[Tested]:
    """Single presentations of pictures and their means.

    Args:
        stimulus: (n,) the picture of each row.
        values: (n, d) the rows, in order of time.
        draws: Permutations of pictures.
    """
    names, picture = np.unique(stimulus, return_inverse=True)
    if len(names) < 2:
        return [_nothing("perception", "", "perception", f"{len(names)} shared pictures, fewer than two")]
    n_repeats = np.bincount(picture)
    means = np.zeros((len(names), values.shape[1]))
    np.add.at(means, picture, values)
    permuted = permutations(len(names), draws)
    of_trials = Tested(
        "perception",
        "",
        "perception",
        "trial",
        1,
        len(picture),
        tuple(names.tolist()),
        "image",
        picture,
        permuted[:, picture],
        n_repeats,
        values,
        "",
    )
    most, own = int(n_repeats.max()), np.arange(len(names))
    of_means = replace(
        of_trials, unit="mean", n_repeats=most, own=own, drawn=permuted, betas=means / n_repeats[:, None]
    )
    return [of_trials, of_means]


def of_averages(
    condition: str, stimulus_set: str, stimuli: tuple[str, ...], own: Own, values: NDArray[Any], draws: int
) -> Tested:
    """Rows that are averages already, a candidate each; candidates are permuted freely.

    Args:
        condition: "perception", "vision" or "imagery".
        stimulus_set: Its name, `BOTH`, or "" of perception.
        stimuli: (k,) keys of the candidates.
        own: (n,) the candidate of each row.
        values: (n, d) the rows.
        draws: Permutations.
    """
    drawn = permutations(len(stimuli), draws)[:, own]
    test = TESTS[condition][-1] if condition in TESTS else condition
    counts = np.bincount(own, minlength=len(stimuli))
    kind: Kind = "text" if stimulus_set == "C" else "image"
    n_repeats = {**REPEATS, "perception": CORE_REPEATS}[condition]
    about = (condition, stimulus_set, test, "mean", n_repeats, len(own))
    return Tested(*about, stimuli, kind, own, drawn, counts, values, "")


def permutations(n: int, draws: int) -> NDArray[np.int64]:
    """(draws, n) the same for all subjects with as many."""
    rng = np.random.default_rng([_SEED, n])
    return rng.permuted(np.tile(np.arange(n), (draws, 1)), axis=1)


def _of_set(
    runs: Runs, stimulus_of: Mapping[str, str], columns: NDArray[np.integer], draws: int, about: tuple[str, str, str]
) -> Tested:
    condition, test, stimulus_set = about
    sets = tuple(stimulus_set.split("+"))
    ends = ("_1", "_2") if test == "imgX" else ("",)
    names = [f"{test}{end}".replace("X", one) for one in sets for end in ends]
    if lacking := [name for name in names if runs.find(name) is None]:
        why = "; ".join(f"{name}: {runs.left_out.get(name, 'the folder has no such run')}" for name in lacking)
        return _nothing(condition, stimulus_set, test, why)
    mine = [run for name in names if (run := runs.find(name)) is not None]
    start = {name: TARGETS_PER_SET * number for number, name in enumerate(sets)}
    targets = [target for name in sets for target in next(r for r in mine if r.stimulus_set == name).targets]
    if unknown := [target for target in targets if target not in stimulus_of]:
        return _nothing(condition, stimulus_set, test, f"nothing says which picture {', '.join(unknown)} is")
    own = np.concatenate([_codes(run, run.order, start) for run in mine])
    drawn = np.concatenate([_codes(run, drawn_orders(run, draws), start) for run in mine], axis=1)
    return Tested(
        condition,
        stimulus_set,
        test,
        "",
        REPEATS_PER_RUN * len(ends),
        len(own),
        tuple(stimulus_of[target] for target in targets),
        "text" if stimulus_set == "C" else "image",
        own,
        drawn,
        np.bincount(own, minlength=len(targets)),
        np.concatenate([run.betas[run.is_valid][:, columns] for run in mine]),
        "",
    )


def _codes(run: Run, orders: NDArray[np.integer], start: Mapping[str, int]) -> NDArray[np.int64]:
    """(..., n_valid) numbers of candidates."""
    return orders[..., run.is_valid].astype(np.int64) + start[run.stimulus_set]


def absent(condition: str, reason: str) -> Iterator[Tested]:
    """The tests of a condition that a folder has nothing of."""
    if condition not in TESTS:
        yield _nothing(condition, "", condition, reason)
    for test in TESTS.get(condition, ()):
        for stimulus_set in (*STIMULUS_SETS, BOTH):
            yield _nothing(condition, stimulus_set, test, reason)


def _nothing(condition: str, stimulus_set: str, test: str, reason: str) -> Tested:
    none = np.zeros(0, np.int64)
    unit, empty = "" if stimulus_set else "trial", np.zeros((0, 0))
    return Tested(condition, stimulus_set, test, unit, 1, 0, (), "image", none, none[None], none, empty, reason)
