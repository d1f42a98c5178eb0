"""The runs of one subject and ROI out of a built folder, as every estimate takes them: z-scored, in order of time.

Whatever the folder has (z-scored by run, by session, not at all; float32 or float16), each voxel is z-scored here
within each run over its valid trials (ddof 1). That is affine by voxel and run, so all such folders give the same.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.chance.centring import zscores
from nsd_imagery.chance.orders import Order
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest, render
from nsd_imagery.dataset.names import config_name
from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.reading import (
    LABELS,
    ImageryRows,
    fault_of,
    groups_by_run,
    name_of,
    read_rows,
    variance_of,
)
from nsd_imagery.experiment import BETA_VERSIONS, RUNS
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI, Mask


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
        stimuli: The six as the column `stimulus` has them, in the order of `targets`; a word where its trials showed
            several; empty where they were not read.
        response: (48,) the button as `schema` has it, -1 where none was pressed; None where it was not read.
        response_time: (48,) seconds, NaN where none was pressed; None where it was not read.
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
    stimuli: tuple[str, ...] = ()
    response: NDArray[np.int32] | None = None
    response_time: NDArray[np.float32] | None = None

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

    def __getitem__(self, at: int) -> Run:
        return self.runs[at]

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
    rows = read_rows(place, manifest, [name for name in wanted.values() if name in manifest.configs])
    runs: dict[str, Run] = {}
    left_out: dict[str, str] = {}
    for members in groups_by_run(rows):
        name = name_of(rows, members, [*runs, *left_out])
        fault = fault_of(rows, members, {run.stimulus_set: run.targets for run in runs.values()})
        if fault:
            left_out[name] = fault
        else:
            runs[name] = _run(rows, members, name)
    left_out |= _absent(manifest, wanted, {name.partition("-")[0] for name in (*runs, *left_out)})
    n_voxels = int(np.any([run.betas.any(axis=0) for run in runs.values()], axis=0).sum()) if runs else 0
    return Runs(subject, roi, manifest.recipe.beta_version, digest(manifest), n_voxels, tuple(runs.values()), left_out)


def for_across_runs(runs: Runs, across: Runs | None) -> tuple[Runs | None, str]:
    """The runs that what is asked from one imagery run to the other may be asked of, or why there are none.

    In fithrf_GLMdenoise_RR the regularisation of each voxel was chosen by how well the repeats of a label agree over
    runs, so a test of those very labels is circular; fithrf is free of it.

    Args:
        runs: Those that are evaluated.
        across: The same subject and ROI of another folder; not needed where `runs` are of fithrf.
    """
    plain = BETA_VERSIONS[1]
    if runs.beta_version == plain:
        return runs, ""
    if across is None or across.beta_version != plain:
        return None, (
            f"the regularisation of {runs.beta_version} was chosen by agreement of these labels: build a folder with "
            f"nsd-imagery build ROOT --betas {plain} --out DIR and pass it with --across DIR"
        )
    return across, ""


def digest(manifest: Manifest) -> str:
    """What a score says of the folder that it is of: 16 hexadecimal digits that change with any of its rows."""
    return hashlib.sha256(render(manifest).encode()).hexdigest()[:16]


def _refuse_unknown(manifest: Manifest, subject: str, roi: str, wanted: Mapping[str, str], folder: Path) -> None:
    one_of("subject", subject, manifest.subjects)
    if not any(name in manifest.configs for name in wanted.values()):
        one_of("ROI", roi, sorted({config.roi for config in manifest.trials.values() if config.subject == subject}))
        msg = f"{folder}: has no trials of {subject} in {' or '.join(wanted)}; build them: nsd-imagery build ROOT"
        raise UsageError(msg)


def _run(rows: ImageryRows, members: NDArray[np.int64], name: str) -> Run:
    said = {label: rows.column[label][members] for label in LABELS}
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
        variance_of(rows, members, betas[said["is_valid"]]),
        tuple(_stimulus_of(target, said["stimulus"][said["target"] == target]) for target in targets.tolist()),
        said["response"].astype(np.int32),
        said["response_time"].astype(np.float32),
    )


def _stimulus_of(target: str, shown: NDArray[np.str_]) -> str:
    """What a target's trials all showed; the target's own name where they showed several."""
    return shown[0].item() if (shown == shown[0]).all() else target


def _absent(manifest: Manifest, wanted: Mapping[str, str], named: Collection[str]) -> dict[str, str]:
    """Runs of the experiment that the folder has nothing of."""
    absent: dict[str, str] = {}
    for run in RUNS:
        if run.condition in wanted and run.name not in named:
            config = wanted[run.condition]
            has = config in manifest.configs
            absent[run.name] = f"{config} has no rows of it" if has else f"the folder has no {config}"
    return absent
