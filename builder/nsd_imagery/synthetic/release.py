"""The release layout: the whole tree of a synthetic release, file by file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.experiment import BETA_VERSIONS, RUNS
from nsd_imagery.synthetic import behaviour, core, core_behaviour, core_design, design, files, pictures, stimuli
from nsd_imagery.synthetic.atlas import DEEP_LABELS, LABELS, ON_FSAVERAGE
from nsd_imagery.synthetic.brain import Brain, make_brain
from nsd_imagery.synthetic.captions import write_captions
from nsd_imagery.synthetic.effects import signal_of
from nsd_imagery.synthetic.events import RunEvents, imagery_runs, perception_event
from nsd_imagery.synthetic.meanbeta import write_meanbeta
from nsd_imagery.synthetic.request import FORMATS, Request
from nsd_imagery.synthetic.schedule import RunSchedule, nsd_ids_of
from nsd_imagery.synthetic.signal import Voxels, session_betas
from nsd_imagery.synthetic.targets import SET_B_NSD_IDS, TARGETS
from nsd_imagery.synthetic.truth import Truth, draw_truth
from nsd_imagery.synthetic.truth_files import write_truth, write_weights

_EXPERIMENT = Path("nsddata/experiments/nsdimagery")


@dataclass(frozen=True, eq=False)
class _Scan:
    """One session of a subject.

    Attributes:
        name: Of its file of betas.
        folder: Of that file, but for the beta version.
        runs: What its betas are the response to.
        valid: (X, Y, Z) bool, where it has data.
    """

    name: str
    folder: str
    runs: Sequence[RunEvents]
    valid: NDArray[np.bool_]


def write_release(root: Path, request: Request) -> None:
    """Write the tree of the real release, and captions beside it.

    Args:
        root: Folder of nsddata/, nsddata_betas/, nsddata_stimuli/ and annotations/.
        request: What is asked for.
    """
    seed, progress = request.seed, request.progress
    progress("experiment")
    truth = draw_truth(seed, signal_of(request.signal))
    schedule = truth.schedule
    table = stimuli.stimulus_table(seed)
    _write_experiment(root, schedule, table)
    sessions = range(1, request.perception_sessions + 1)
    if sessions:
        files.write_bytes(root / "nsddata/experiments/nsd/nsd_expdesign.mat", core_design.core_design(seed))
    write_captions(root / "annotations", seed, table)
    versions = BETA_VERSIONS[:1] if request.full_size else BETA_VERSIONS
    for subject in dict.fromkeys(request.subjects):
        progress(f"{subject}: behaviour and ROIs")
        _write_behaviour(root, seed, subject, schedule)
        brain = make_brain(subject, full_size=request.full_size)
        _write_maps(root, brain)
        if sessions:
            _write_core(root, seed, brain, sessions)
        in_versions = [Voxels(truth, brain, version) for version in versions]
        write_weights(root, brain, in_versions[0])
        for voxels in in_versions:
            for scan in _scans(truth, brain, sessions):
                progress(f"{subject}: {voxels.beta_version}, {scan.name}")
                _write_betas(root, brain, scan, voxels, FORMATS[request.format])
            if sessions:
                _write_ncsnr(root, truth, brain, voxels)
    write_truth(root, truth)


def _write_experiment(root: Path, schedule: tuple[RunSchedule, ...], table: pa.Table) -> None:
    matrices = design.mat_bytes(stimulus=design.design_matrices(schedule))
    files.write_bytes(root / _EXPERIMENT / "designmatrixGLMsingle.mat", matrices)
    for stimulus_set, targets in TARGETS.items():
        pairs = design.mat_bytes(pair_list=design.pair_list(stimulus_set))
        files.write_bytes(root / _EXPERIMENT / f"{stimulus_set}_pair_list.mat", pairs)
        for target in targets if stimulus_set != "C" else ():
            path = root / _EXPERIMENT / "rawtargetimages" / f"set{stimulus_set}" / target.listed_name
            files.write_bytes(path, pictures.target_png(target))
    text = stimuli.table_text(table)
    files.write_bytes(root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv", text.encode())
    files.write_pictures_hdf5(root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", nsd_ids_of(schedule))


def _write_behaviour(root: Path, seed: int, subject: str, schedule: tuple[RunSchedule, ...]) -> None:
    for run, run_schedule in zip(RUNS, schedule, strict=True):
        text = behaviour.behaviour_text(seed, subject, run_schedule)
        path = root / "nsddata/bdata/nsdimagery" / f"nsdimagery_{subject}_{run.name}.tsv"
        files.write_bytes(path, text.encode())


def _write_maps(root: Path, brain: Brain) -> None:
    folder = root / "nsddata/ppdata" / brain.subject / "func1pt8mm"
    files.write_rois(folder / "roi", brain)
    files.write_tables(root / "nsddata/freesurfer" / brain.subject / "label", LABELS)
    files.write_tables(root / "nsddata/freesurfer/fsaverage/label", ON_FSAVERAGE)
    files.write_tables(root / "nsddata/templates", DEEP_LABELS, ".ctab")
    files.write_masks(folder, brain)
    files.write_volume(folder / "mean_nsdimagery.nii.gz", brain.mean_volume(), brain.affine)


def _write_core(root: Path, seed: int, brain: Brain, sessions: range) -> None:
    """What a subject's NSD core has beside the betas."""
    folder = root / "nsddata/ppdata" / brain.subject
    text = core_behaviour.responses_text(seed, brain.subject)
    files.write_bytes(folder / "behav/responses.tsv", text.encode())
    for session in sessions:
        path = folder / "func1pt8mm" / f"valid_session{session:02d}.nii.gz"
        files.write_volume(path, brain.valid_in_core(session), brain.affine)


def _scans(truth: Truth, brain: Brain, sessions: range) -> Iterator[_Scan]:
    yield _Scan("betas_nsdimagery", "nsdimagerybetas", imagery_runs(truth, brain.subject), brain.valid)
    for session in sessions:
        runs = core.core_runs(truth, brain.subject, session)
        yield _Scan(f"betas_session{session:02d}", "betas", runs, brain.valid_in_core(session))


def _write_betas(root: Path, brain: Brain, scan: _Scan, voxels: Voxels, endings: Sequence[str]) -> None:
    folder = _betas_folder(root, brain, scan.folder, voxels)
    betas = session_betas(voxels, scan.runs, brain.inside(scan.valid))
    for ending in endings:
        files.write_betas(folder / f"{scan.name}.{ending}", betas, brain)
    write_meanbeta(folder / f"{scan.name.replace('betas', 'meanbeta')}.nii.gz", betas, brain)


def _write_ncsnr(root: Path, truth: Truth, brain: Brain, voxels: Voxels) -> None:
    snr = voxels.snr(perception_event(truth, SET_B_NSD_IDS[0]))
    snr[~brain.inside(brain.valid)] = 0
    path = _betas_folder(root, brain, "betas", voxels) / "ncsnr.nii.gz"
    files.write_volume(path, brain.to_volume(snr), brain.affine)


def _betas_folder(root: Path, brain: Brain, folder: str, voxels: Voxels) -> Path:
    name = f"{folder}_{voxels.beta_version}"
    return root / "nsddata_betas/ppdata" / brain.subject / "func1pt8mm" / name
