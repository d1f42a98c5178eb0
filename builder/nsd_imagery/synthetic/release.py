"""The release layout: the whole tree of a synthetic release, file by file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.experiment import BETA_VERSIONS, RUNS
from nsd_imagery.synthetic import behaviour, core, core_behaviour, design, files, imagery, pictures, stimuli
from nsd_imagery.synthetic.anatomy import Anatomy, make_anatomy
from nsd_imagery.synthetic.captions import write_captions
from nsd_imagery.synthetic.events import perception_event
from nsd_imagery.synthetic.request import FORMATS, Request
from nsd_imagery.synthetic.schedule import RunSchedule, draw_schedule, nsd_ids_of
from nsd_imagery.synthetic.signal import Responses, RunEvents, session_betas
from nsd_imagery.synthetic.targets import SET_B_NSD_IDS, TARGETS

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
    schedule = draw_schedule(seed)
    table = stimuli.stimulus_table(seed)
    _write_experiment(root, schedule, table)
    write_captions(root / "annotations", seed, table)
    versions = BETA_VERSIONS[:1] if request.full_size else BETA_VERSIONS
    sessions = range(1, request.perception_sessions + 1)
    for subject in dict.fromkeys(request.subjects):
        progress(f"{subject}: behaviour and ROIs")
        _write_behaviour(root, seed, subject, schedule)
        anatomy = make_anatomy(subject, full_size=request.full_size)
        _write_anatomy(root, anatomy)
        if sessions:
            _write_core(root, seed, anatomy, sessions)
        for version in versions:
            progress(f"{subject}: {version}")
            responses = Responses(seed, anatomy, version)
            for scan in _scans(seed, anatomy, schedule, sessions):
                progress(f"{subject}: {version}, {scan.name}")
                _write_betas(root, anatomy, scan, responses, FORMATS[request.format])
            if sessions:
                _write_ncsnr(root, anatomy, responses)


def _write_experiment(root: Path, schedule: tuple[RunSchedule, ...], table: pa.Table) -> None:
    matrices = design.mat_bytes("stimulus", design.design_matrices(schedule))
    files.write_bytes(root / _EXPERIMENT / "designmatrixGLMsingle.mat", matrices)
    for stimulus_set, targets in TARGETS.items():
        pairs = design.mat_bytes("pair_list", design.pair_list(stimulus_set))
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


def _write_anatomy(root: Path, anatomy: Anatomy) -> None:
    folder = root / "nsddata/ppdata" / anatomy.subject / "func1pt8mm"
    files.write_rois(folder / "roi", root / "nsddata/freesurfer" / anatomy.subject / "label", anatomy)
    files.write_masks(folder, anatomy)
    files.write_volume(folder / "mean_nsdimagery.nii.gz", anatomy.mean_volume(), anatomy.affine)


def _write_core(root: Path, seed: int, anatomy: Anatomy, sessions: range) -> None:
    """What a subject's NSD core has beside the betas."""
    folder = root / "nsddata/ppdata" / anatomy.subject
    text = core_behaviour.responses_text(seed, anatomy.subject)
    files.write_bytes(folder / "behav/responses.tsv", text.encode())
    for session in sessions:
        path = folder / "func1pt8mm" / f"valid_session{session:02d}.nii.gz"
        files.write_volume(path, anatomy.valid_in_core(session), anatomy.affine)


def _scans(seed: int, anatomy: Anatomy, schedule: tuple[RunSchedule, ...], sessions: range) -> Iterator[_Scan]:
    subject = anatomy.subject
    runs = imagery.session_runs(seed, subject, schedule)
    yield _Scan("betas_nsdimagery", "nsdimagerybetas", runs, anatomy.valid)
    for session in sessions:
        runs = core.session_runs(seed, subject, session)
        yield _Scan(f"betas_session{session:02d}", "betas", runs, anatomy.valid_in_core(session))


def _write_betas(root: Path, anatomy: Anatomy, scan: _Scan, responses: Responses, endings: Sequence[str]) -> None:
    folder = _betas_folder(root, anatomy, scan.folder, responses)
    betas = session_betas(responses, scan.runs, anatomy.of_brain(scan.valid))
    for ending in endings:
        files.write_betas(folder / f"{scan.name}.{ending}", betas, anatomy)


def _write_ncsnr(root: Path, anatomy: Anatomy, responses: Responses) -> None:
    snr = responses.snr(perception_event(SET_B_NSD_IDS[0]))
    snr[~anatomy.of_brain(anatomy.valid)] = 0
    path = _betas_folder(root, anatomy, "betas", responses) / "ncsnr.nii.gz"
    files.write_volume(path, anatomy.to_volume(snr), anatomy.affine)


def _betas_folder(root: Path, anatomy: Anatomy, folder: str, responses: Responses) -> Path:
    name = f"{folder}_{responses.beta_version}"
    return root / "nsddata_betas/ppdata" / anatomy.subject / "func1pt8mm" / name
