"""The runs of one subject and ROI out of a built folder, as every estimate takes them: z-scored, in order of time.

Whatever the folder has (z-scored by run, by session, not at all; float32 or float16), each voxel is z-scored here
within each run over its valid trials (ddof 1). That is affine by voxel and run, so all such folders give the same.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.chance.orders import REPEATS_PER_RUN, Order
from nsd_imagery.checks.agreement.session import ENOUGH_TRIALS
from nsd_imagery.checks.agreement.similarity import zscores
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.groups import groups_of_stats, positions_among
from nsd_imagery.dataset.manifest import Manifest, render
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.shards import matrix
from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import RUNS, TARGETS_PER_SET, TRIALS_PER_RUN
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table, row_vectors
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI, Mask

_LABELS: Final = (
    *("experiment", "session", "run_number", "run_name", "condition", "stimulus_set", "epoch"),
    *("trial_in_session", "target", "cue", "cue_matches", "is_valid"),
)
_SHORT: Final = {"vision": "vis", "imagery": "img", "attention": "att"}


@dataclass(frozen=True, eq=False)
class Run:
    """48 trials in order of time, whose schedule is eight of each of six targets.

    Attributes:
        name: "visA", "imgA_1"; of attention with its epoch, "attA-cue".
        condition: "vision", "imagery", "attention-cue" or "attention-detection".
        stimulus_set: "A", "B" or "C".
        targets: The six targets by name, sorted; the same for all runs of a set. Of visC they are the words, of each of
            which every trial showed another photograph.
        order: (48,) position in `targets` of what was seen, imagined or attended.
        cued: (48,) that of the target whose letter was on the screen; -1 where that is not known.
        is_valid: (48,) False where there are no data.
        betas: (48, n_voxels) float32, each voxel z-scored over the valid trials (ddof 1); 0 in other trials and in
            voxels without variance.
        variance: (n_voxels,) of the run's valid trials in percent signal change squared, by which a variance of
            z-scores is one of percent signal change; None where the folder's statistics are not there.
    """

    name: str
    condition: str
    stimulus_set: str
    targets: tuple[str, ...]
    order: Order
    cued: Order
    is_valid: Mask
    betas: NDArray[np.float32]
    variance: NDArray[np.float64] | None

    @property
    def matched(self) -> Mask:
        """(48,) whether the letter on the screen was the target's own: in imagery always, in vision half the time."""
        return self.order == self.cued

    @property
    def n_valid(self) -> int:
        """Valid trials."""
        return int(self.is_valid.sum())

    @property
    def candidates(self) -> str:
        """What is told apart, in words."""
        what = "concepts" if self.stimulus_set == "C" else "targets"
        return f"the {len(self.targets)} {what} of set {self.stimulus_set}"


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of one subject and ROI, and what stands beside every number that is made of them.

    Attributes:
        subject: "subj01" to "subj08".
        roi: The ROI's name.
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        dataset: Digest of the folder.
        n_voxels: Voxels that vary in at least one run.
        runs: In order of time.
        left_out: By the name of a run, why it is not among them.
    """

    subject: str
    roi: str
    beta_version: str
    dataset: str
    n_voxels: int
    runs: tuple[Run, ...]
    left_out: Mapping[str, str]

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def find(self, name: str) -> Run | None:
        """A run by its name; None where it is not there or was left out."""
        return next((run for run in self.runs if run.name == name), None)

    def of(self, condition: str, stimulus_set: str = "") -> tuple[Run, ...]:
        """The runs of a condition, and of a set where one is named, in order of time."""
        return tuple(r for r in self.runs if r.condition == condition and stimulus_set in ("", r.stimulus_set))


def load_runs(folder: Path | str, subject: str, roi: str = DEFAULT_ROI, *, attention: bool = False) -> Runs:
    """The runs of vision and imagery of a subject, and why others had to be left out.

    Args:
        folder: A built folder.
        subject: "subj01" to "subj08".
        roi: A ROI that the folder has configs of.
        attention: With the runs of attention: the cue epoch and the detection epoch of a run are two runs.

    Raises:
        UsageError: The folder has no such subject or ROI, or of these nothing of NSD-Imagery.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is damaged, or what a row says is not what a build writes.
    """
    place = Path(folder).expanduser().resolve()
    manifest = open_manifest(place)
    conditions = ("vision", "imagery", "attention") if attention else ("vision", "imagery")
    wanted = {condition: config_name(subject, condition, roi) for condition in conditions}
    _refuse_unknown(manifest, subject, roi, wanted, place)
    rows = _read(place, manifest, [name for name in wanted.values() if name in manifest.configs])
    runs: dict[str, Run] = {}
    left_out: dict[str, str] = {}
    for members in _groups(rows):
        name = _name(rows, members, [*runs, *left_out])
        fault = _fault(rows, members, list(runs.values()))
        if fault:
            left_out[name] = fault
        else:
            runs[name] = _run(rows, members, name)
    left_out |= _absent(manifest, wanted, {name.partition("-")[0] for name in (*runs, *left_out)})
    n_voxels = int(np.any([run.betas.any(axis=0) for run in runs.values()], axis=0).sum()) if runs else 0
    return Runs(subject, roi, manifest.recipe.beta_version, digest(manifest), n_voxels, tuple(runs.values()), left_out)


def digest(manifest: Manifest) -> str:
    """What a score says of the folder that it is of: 16 hexadecimal digits that change with any of its rows."""
    return hashlib.sha256(render(manifest).encode()).hexdigest()[:16]


def _refuse_unknown(manifest: Manifest, subject: str, roi: str, wanted: Mapping[str, str], folder: Path) -> None:
    one_of("subject", subject, manifest.subjects)
    if not any(name in manifest.configs for name in wanted.values()):
        one_of("ROI", roi, sorted({config.roi for config in manifest.trials.values() if config.subject == subject}))
        msg = f"{folder}: has no trials of {subject} in {' or '.join(wanted)}; build them: nsd-imagery build ROOT"
        raise UsageError(msg)


@dataclass(frozen=True, eq=False)
class _Rows:
    """Trials of some configs of one subject and ROI.

    Attributes:
        column: (n_rows,) labels by name.
        betas: (n_voxels,) views of Arrow memory, one a row.
        letters: The target of each set's letters.
        sd: (n_groups, n_voxels) by which betas were divided; None where they were not, or where nothing says it.
        group: (n_rows,) the row of `sd`; -1 where there is none.
        is_percent: Whether betas are percent signal change.
    """

    column: Mapping[str, NDArray[Any]]
    betas: Sequence[NDArray[Any]]
    letters: Mapping[tuple[str, str], str]
    sd: NDArray[np.float64] | None
    group: NDArray[np.int64]
    is_percent: bool


def _read(folder: Path, manifest: Manifest, configs: Sequence[str]) -> _Rows:
    loaded = [load(folder, name, "test") for name in configs]
    labels = pa.concat_tables([label_table(rows, _LABELS) for rows in loaded])
    betas = [row for rows in loaded for row in row_vectors(rows, "betas")]
    column = {name: np.array(labels[name].to_pylist()) for name in _LABELS}
    own = column["cue_matches"] == 1
    letters = dict(
        zip(
            zip(column["stimulus_set"][own].tolist(), column["cue"][own].tolist(), strict=True),
            column["target"][own].tolist(),
            strict=True,
        )
    )
    zscore = manifest.zscore_of("nsdimagery")
    config = manifest.configs[configs[0]]
    stats = config_name(config.subject, "stats", config.roi)
    if zscore == "none" or stats not in manifest.configs:
        return _Rows(column, betas, letters, None, np.full(len(betas), -1), zscore == "none")
    table = load(folder, stats, "train").data.table
    group = positions_among(groups_of_stats(table), labels, zscore)
    return _Rows(column, betas, letters, matrix(table["sd"]), group, False)


def _groups(rows: _Rows) -> list[NDArray[np.int64]]:
    """The rows of each run and epoch, in order of time."""
    order = np.lexsort([rows.column[name] for name in ("epoch", "trial_in_session", "session")])
    groups: dict[tuple[int, int, str], list[int]] = {}
    keys = zip(*(rows.column[name][order].tolist() for name in ("session", "run_number", "epoch")), strict=True)
    for row, key in zip(order.tolist(), keys, strict=True):
        groups.setdefault(key, []).append(row)
    return [np.array(members) for members in groups.values()]


def _name(rows: _Rows, members: NDArray[np.int64], taken: Sequence[str]) -> str:
    """The run's name; where rows have none, that of the next run of their condition and set."""
    said = {name: rows.column[name][members[0]].item() for name in _LABELS}
    if said["run_number"] < 1:
        return f"rows without a run in session {said['session']}"
    start = f"{_SHORT[said['condition']]}{said['stimulus_set']}"
    ends = ("_1", "_2") if said["condition"] == "imagery" else ("",)
    epoch = f"-{said['epoch']}" if said["epoch"] else ""
    choices = [f"{said['run_name'] or start + end}{epoch}" for end in ends]
    last = f"run {said['run_number']} of session {said['session']}{epoch}"
    return next((name for name in choices if name not in taken), last)


def _fault(rows: _Rows, members: NDArray[np.int64], before: Sequence[Run]) -> str:
    """Why a run cannot be used; nothing where it can."""
    said = {name: rows.column[name][members] for name in _LABELS}
    if said["run_number"][0] < 1:
        return "they have no run_number"
    trial, n_valid = said["trial_in_session"], int(said["is_valid"].sum())
    if not np.array_equal(trial, trial[0] + np.arange(TRIALS_PER_RUN)):
        return f"its {len(members)} rows are not {TRIALS_PER_RUN} trials in a row"
    targets, counts = np.unique(said["target"], return_counts=True)
    if counts.tolist() != [REPEATS_PER_RUN] * TARGETS_PER_SET:
        return f"its schedule is not {REPEATS_PER_RUN} trials of each of {TARGETS_PER_SET} targets"
    if n_valid < ENOUGH_TRIALS:
        return f"{n_valid} of its {TRIALS_PER_RUN} trials are valid, fewer than {ENOUGH_TRIALS}"
    for run in before:
        if run.stimulus_set == said["stimulus_set"][0] and run.targets != tuple(targets.tolist()):
            return f"its targets are not those of {run.name}"
    return ""


def _run(rows: _Rows, members: NDArray[np.int64], name: str) -> Run:
    said = {label: rows.column[label][members] for label in _LABELS}
    targets, order = np.unique(said["target"], return_inverse=True)
    stimulus_set, epoch = said["stimulus_set"][0].item(), said["epoch"][0].item()
    code = {target: number for number, target in enumerate(targets.tolist())}
    cued = [code.get(rows.letters.get((stimulus_set, letter), ""), -1) for letter in said["cue"].tolist()]
    betas = np.stack([rows.betas[row] for row in members])
    condition = said["condition"][0].item()
    return Run(
        name,
        f"{condition}-{epoch}" if epoch else condition,
        stimulus_set,
        tuple(targets.tolist()),
        order.astype(np.int8),
        np.array(cued, np.int8),
        said["is_valid"],
        zscores(betas, said["is_valid"]).astype(np.float32),
        _variance(rows, members, betas[said["is_valid"]]),
    )


def _variance(rows: _Rows, members: NDArray[np.int64], valid: NDArray[Any]) -> NDArray[np.float64] | None:
    """(n_voxels,) in percent signal change squared: what is left in the folder, by what it was divided by."""
    left = valid.var(axis=0, dtype=np.float64, ddof=1)
    group = rows.group[members]
    if rows.is_percent:
        return left
    if rows.sd is None or group.min() < 0 or group.min() != group.max():
        return None
    return left * np.square(rows.sd[group[0]])


def _absent(manifest: Manifest, wanted: Mapping[str, str], named: Collection[str]) -> dict[str, str]:
    """Runs of the experiment that the folder has nothing of."""
    absent: dict[str, str] = {}
    for run in RUNS:
        if run.condition in wanted and run.name not in named:
            config = wanted[run.condition]
            has = config in manifest.configs
            absent[run.name] = f"{config} has no rows of it" if has else f"the folder has no {config}"
    return absent
