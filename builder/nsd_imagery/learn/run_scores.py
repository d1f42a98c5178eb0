"""How well a voxel tells targets apart, from rows of NSD-Imagery: by the pairs of trials of a run.

No target comes twice in a row and trials side by side are alike, so the forms of `voxel_scores`, which are for pictures
whose repeats lie far apart, find less than there is here, and nothing where there is little. These are the variances of
`chance.pairs`, the ones that an evaluation gives of a voxel: of z-scores within each run, so they are the same
whatever the rows were z-scored by. Trials of two runs are not compared: fithrf_GLMdenoise_RR chose its regularisation
by how well those agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.chance.centring import Matrix, zscores
from nsd_imagery.chance.pairs import Mask, Variances, pair_weights
from nsd_imagery.dataset.groups import Group, groups_of
from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.learn.labels import column
from nsd_imagery.learn.voxel_scores import FEWEST_STIMULI, Score
from nsd_imagery.rows.vectors import Rows, label_table


@dataclass(frozen=True, eq=False)
class RunPairs:
    """Rows of one run, of attention of one epoch, and the forms of their pairs.

    Attributes:
        rows: (n,) which rows.
        position: (n,) their place in time, from 0 to 47; only distances matter.
        targets: Those of which two trials are compared, by condition, epoch and name.
        signal: (48, 48) form of signal variance.
        noise: (48, 48) form of noise variance.
    """

    rows: Rows
    position: NDArray[np.int64]
    targets: frozenset[str]
    signal: Matrix
    noise: Matrix

    @property
    def is_valid(self) -> Mask:
        """(48,) the trials that there are rows of."""
        return np.isin(np.arange(TRIALS_PER_RUN), self.position)

    def variances(self, betas: Matrix) -> Variances:
        """Of each voxel, from (n_rows, n_voxels) betas of all rows."""
        values = np.zeros((TRIALS_PER_RUN, betas.shape[1]))
        values[self.position] = betas[self.rows]
        scores = zscores(values, self.is_valid)
        return Variances(*(((form @ scores) * scores).sum(axis=0) for form in (self.signal, self.noise)))


def pairs_of_runs(trials: Dataset) -> list[RunPairs]:
    """The runs of rows of NSD-Imagery, all of them valid, in which trials can be compared.

    Rows are told apart by `target`, of set C's vision by the word; where a tree named no targets, by `stimulus`. A
    trial that is there twice counts once. Runs may lack trials, but not their number.

    Raises:
        UsageError: Rows of no run, or of one that has more trials or targets than a run has; or fewer than three
            targets have trials that can be compared.
    """
    groups, of_row = groups_of(label_table(trials, Group._fields), "auto")
    target, stimulus = (column(trials, name).astype(str) for name in ("target", "stimulus"))
    seen = np.where(target == "", stimulus, target)
    kind = ["/".join(words) for words in zip(*(column(trials, name) for name in ("condition", "epoch")), strict=True)]
    time = column(trials, "trial_in_session").astype(np.int64)
    found: list[RunPairs] = []
    for number, group in enumerate(groups):
        rows = np.flatnonzero(of_row == number)
        position = time[rows] - time[rows].min()
        names, order = np.unique(seen[rows], return_inverse=True)
        _refuse_no_run(group, int(position.max()), len(names))
        run = _pairs(rows, position, order.astype(np.int8), [f"{kind[rows[0]]}/{name}" for name in names])
        found += [run] if run.targets else []
    if (n_targets := len(frozenset[str]().union(*(run.targets for run in found)))) < FEWEST_STIMULI:
        msg = (
            f"selection needs at least {FEWEST_STIMULI} targets with trials more than two apart in one run; these rows "
            f"have {n_targets}"
        )
        raise UsageError(msg)
    return found


def ncsnr(runs: Sequence[RunPairs]) -> Score:
    """Noise ceiling signal-to-noise ratio √(Σŝ / Σn̂), sums over runs first; -√(-Σŝ / Σn̂) where Σŝ is below 0.

    So that chance leaves a voxel without signal above 0 as often as below; a voxel without variance comes last.
    """
    return _scored(runs, lambda ratio: np.sign(ratio) * np.sqrt(np.abs(ratio)))


def reliability(runs: Sequence[RunPairs]) -> Score:
    """Correlation to be expected over targets between the means of two halves of their presentations.

    Σŝ / (Σŝ + Σn̂/h), with h presentations a half. Odd and even presentations, correlated, would share the noise of
    neighbours, and be biased against the right target as every pair of near trials is; this is of all halves, by pairs
    that are held against others as far apart. -1 at the least. It rises with `ncsnr`, so where a number of voxels is
    kept, both keep the same. A voxel without variance comes last.
    """
    n_rows = sum(len(run.rows) for run in runs)
    half = n_rows / len(frozenset[str]().union(*(run.targets for run in runs))) / 2

    def expected(ratio: Matrix) -> Matrix:
        whole = ratio + 1 / half
        return np.maximum(np.divide(ratio, whole, out=np.full_like(ratio, -1), where=whole > 0), -1)

    return _scored(runs, expected)


def _scored(runs: Sequence[RunPairs], scale: Callable[[Matrix], Matrix]) -> Score:
    """A score of the ratio of sums over runs, each by its number of rows."""

    def score(betas: Matrix) -> Matrix:
        sums = np.zeros((2, betas.shape[1]))
        for run in runs:
            sums += len(run.rows) * np.stack(run.variances(betas))
        signal, noise = sums
        varies = noise > 0
        return np.where(varies, scale(np.divide(signal, noise, out=np.zeros_like(noise), where=varies)), -np.inf)

    return score


def _pairs(rows: Rows, position: NDArray[np.int64], targets: NDArray[np.int8], names: Sequence[str]) -> RunPairs:
    order, at = np.zeros(TRIALS_PER_RUN, np.int8), np.full(TRIALS_PER_RUN, -1)
    order[position], at[position] = targets, np.arange(len(rows))
    signal, noise = pair_weights(order, at >= 0)
    codes: list[int] = order[np.diag(noise) > 0].tolist() if signal.any() else []
    kept = at[at >= 0]
    return RunPairs(rows[kept], position[kept], frozenset(names[code] for code in codes), signal, noise)


def _refuse_no_run(group: Group, last: int, n_targets: int) -> None:
    has = ""
    if group.run_number < 1:
        has = "have no run number"
    elif last >= TRIALS_PER_RUN:
        has = f"are {last + 1} trials from first to last"
    elif n_targets > TARGETS_PER_SET:
        has = f"are of {n_targets} targets"
    if has:
        msg = (
            f"rows of nsdimagery choose voxels by pairs of trials of a run of {TRIALS_PER_RUN} with {TARGETS_PER_SET} "
            f"targets, but those of {group.name} {has}: select by rows of "
            "perception, or by ncsnr_release"
        )
        raise UsageError(msg)
