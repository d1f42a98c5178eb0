"""The whole tree of a synthetic release, file by file."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import FolderError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, CORE_SESSIONS, RUNS, SUBJECTS
from nsd_imagery.sources.release import SYNTHETIC_MARKER
from nsd_imagery.sources.synthetic import atlas, behaviour, core, core_behaviour, design, files, pictures, stimuli
from nsd_imagery.sources.synthetic.anatomy import Anatomy, make_anatomy
from nsd_imagery.sources.synthetic.events import perception_event, run_events
from nsd_imagery.sources.synthetic.randomness import generator
from nsd_imagery.sources.synthetic.schedule import RunSchedule, draw_schedule
from nsd_imagery.sources.synthetic.signal import Responses, RunEvents, session_betas
from nsd_imagery.sources.synthetic.targets import SET_B_NSD_IDS, TARGETS

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
FORMATS = ("hdf5", "nii.gz", "both")

_EXPERIMENT = Path("nsddata/experiments/nsdimagery")

BetaFormat = Literal["hdf5", "nii.gz", "both"]


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


def synth(
    root: Path | str,
    *,
    subjects: Sequence[str] = ("subj01",),
    seed: int = 0,
    full_size: bool = False,
    format: BetaFormat = "both",
    perception_sessions: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a synthetic release, in the tree and the formats of the real one (NSD Data Manual).

    The schedule is drawn from the seed and is not NSD's. Each target has a planted pattern, strong in vision, weaker in
    attention and imagery; a picture has the same one in NSD core. The same arguments give the same bytes. More
    subjects, formats and sessions of NSD core may be added later, in any order.

    Args:
        root: Folder of the tree; made if it is not there.
        subjects: "subj01" to "subj08".
        seed: What everything is drawn from, not negative.
        full_size: True grids and numbers of voxels (about 1 GB a file of betas, fithrf_GLMdenoise_RR alone), else
            a small brain (about 10 MB a file).
        format: Of the beta files.
        perception_sessions: How many sessions of NSD core, from the first, to write for each subject (betas of the
            same sizes, behaviour of all sessions).
        progress: Called with a line on each step.

    Returns:
        The root.

    Raises:
        UsageError: An unknown subject or format, a negative seed, or more sessions than a subject had.
        FolderError: The root holds something else, or a synthetic release of other arguments.
    """
    _check_arguments(subjects, seed, format)
    _check_sessions(subjects, perception_sessions)
    root = Path(root)
    _claim(root, seed, full_size, subjects)
    sessions = range(1, perception_sessions + 1)
    _write_tree(root, subjects, seed, full_size, format, sessions, progress or (lambda _: None))
    logger.info("Wrote a synthetic release to %s", root)
    return root


def _write_tree(
    root: Path,
    subjects: Sequence[str],
    seed: int,
    full_size: bool,
    beta_format: BetaFormat,
    sessions: range,
    report: Callable[[str], None],
) -> None:
    report("experiment")
    schedule = draw_schedule(seed)
    _write_experiment(root, seed, schedule)
    versions = BETA_VERSIONS[:1] if full_size else BETA_VERSIONS
    for subject in dict.fromkeys(subjects):
        report(f"{subject}: behaviour and ROIs")
        _write_behaviour(root, seed, subject, schedule)
        anatomy = make_anatomy(subject, full_size=full_size)
        _write_anatomy(root, anatomy)
        if sessions:
            _write_core(root, seed, anatomy, sessions)
        for version in versions:
            report(f"{subject}: {version}")
            responses = Responses(seed, anatomy, version)
            for scan in _scans(seed, anatomy, schedule, sessions):
                report(f"{subject}: {version}, {scan.name}")
                _write_betas(root, anatomy, scan, responses, beta_format)
            if sessions:
                _write_ncsnr(root, anatomy, responses)


def _check_arguments(subjects: Sequence[str], seed: int, beta_format: str) -> None:
    names = [subjects] if isinstance(subjects, str) else list(subjects)
    unknown = [subject for subject in names if subject not in SUBJECTS]
    if isinstance(subjects, str) or unknown or not names:
        what = f"unknown: {', '.join(map(str, unknown))}" if unknown else f"got {subjects!r}"
        msg = f"subjects must be one or more of {', '.join(SUBJECTS)} ({what})"
        raise UsageError(msg)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        msg = f"seed must be a whole number that is not negative, not {seed!r}"
        raise UsageError(msg)
    if beta_format not in FORMATS:
        msg = f"format must be one of {', '.join(FORMATS)}, not {beta_format!r}"
        raise UsageError(msg)


def _check_sessions(subjects: Sequence[str], perception_sessions: int) -> None:
    fewest = min(subjects, key=CORE_SESSIONS.__getitem__)
    most = CORE_SESSIONS[fewest]
    is_number = isinstance(perception_sessions, int) and not isinstance(perception_sessions, bool)
    if not is_number or not 0 <= perception_sessions <= most:
        msg = f"perception_sessions must be a whole number from 0 to {most} for {fewest}, not {perception_sessions!r}"
        raise UsageError(msg)


def _claim(root: Path, seed: int, full_size: bool, subjects: Sequence[str]) -> None:
    """Mark the root as synthetic before anything else is in it; refuse one that is not ours or is drawn otherwise."""
    try:
        held = sorted(path.name for path in root.iterdir()) if root.exists() else []
    except NotADirectoryError as error:
        msg = f"{root}: is a file, not a folder: choose another one for the synthetic release"
        raise FolderError(msg) from error
    marker = root / SYNTHETIC_MARKER
    wanted = {"format_version": FORMAT_VERSION, "seed": seed, "full_size": full_size}
    before: set[str] = set()
    if marker.exists():
        found = _read_marker(marker)
        other = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
        if other:
            has = ", ".join(f"{name} {value}" for name, value in other.items())
            want = ", ".join(f"{name} {wanted[name]}" for name in other)
            msg = f"{root}: holds a synthetic release of {has}, not {want}: choose another folder or delete this one"
            raise FolderError(msg)
        before = set(map(str, found.get("subjects", [])))
    elif any(not name.startswith(".") for name in held):
        first = next(name for name in held if not name.startswith("."))
        msg = (
            f"{root}: holds data that is not synthetic ({first}, no {SYNTHETIC_MARKER}): choose an empty folder, "
            "because synthetic data must not be mixed with real data"
        )
        raise FolderError(msg)
    contents = {**wanted, "subjects": sorted({*before, *subjects})}
    files.write_bytes(marker, (json.dumps(contents, indent=2) + "\n").encode())


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        msg = f"{marker}: cannot be read ({error}): delete the folder, or choose another one"
        raise FolderError(msg) from error
    if not isinstance(found, dict) or not isinstance(found.get("subjects", []), list):
        msg = f"{marker}: does not say what the release was drawn from: delete the folder, or choose another one"
        raise FolderError(msg)
    return found


def _write_experiment(root: Path, seed: int, schedule: tuple[RunSchedule, ...]) -> None:
    matrices = design.mat_bytes("stimulus", design.design_matrices(schedule))
    files.write_bytes(root / _EXPERIMENT / "designmatrixGLMsingle.mat", matrices)
    for stimulus_set, targets in TARGETS.items():
        pairs = design.mat_bytes("pair_list", design.pair_list(stimulus_set))
        files.write_bytes(root / _EXPERIMENT / f"{stimulus_set}_pair_list.mat", pairs)
        for target in targets if stimulus_set != "C" else ():
            path = root / _EXPERIMENT / "rawtargetimages" / f"set{stimulus_set}" / target.listed_name
            files.write_bytes(path, pictures.target_png(target))
    table = stimuli.table_text(stimuli.stimulus_table(seed))
    files.write_bytes(root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv", table.encode())
    photographs = [int(nsd_id) for run_schedule in schedule for nsd_id in run_schedule.photographs]
    needed = sorted([*SET_B_NSD_IDS, *photographs])
    files.write_pictures_hdf5(
        root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5",
        ((nsd_id, pictures.nsd_picture(nsd_id)) for nsd_id in needed),
    )


def _write_behaviour(root: Path, seed: int, subject: str, schedule: tuple[RunSchedule, ...]) -> None:
    for run, run_schedule in zip(RUNS, schedule, strict=True):
        text = behaviour.behaviour_text(seed, subject, run_schedule)
        path = root / "nsddata/bdata/nsdimagery" / f"nsdimagery_{subject}_{run.name}.tsv"
        files.write_bytes(path, text.encode())


def _write_anatomy(root: Path, anatomy: Anatomy) -> None:
    folder = root / "nsddata/ppdata" / anatomy.subject / "func1pt8mm"
    for name, labels in anatomy.rois.items():
        files.write_volume(folder / "roi" / f"{name}.nii.gz", labels, anatomy.affine)
        for side in ("lh", "rh"):
            half = anatomy.hemisphere(name, side)
            files.write_volume(folder / "roi" / f"{side}.{name}.nii.gz", half, anatomy.affine)
        table = root / "nsddata/freesurfer" / anatomy.subject / "label" / f"{name}.mgz.ctab"
        files.write_bytes(table, atlas.label_table(name).encode())
    files.write_volume(folder / "brainmask.nii.gz", anatomy.brain, anatomy.affine)
    files.write_volume(folder / "valid_nsdimagery.nii.gz", anatomy.valid, anatomy.affine)
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
    runs = [(run_events(of_run), generator(seed, "noise", subject, of_run.run.name)) for of_run in schedule]
    yield _Scan("betas_nsdimagery", "nsdimagerybetas", runs, anatomy.valid)
    for session in sessions:
        runs = core.session_runs(seed, subject, session)
        yield _Scan(f"betas_session{session:02d}", "betas", runs, anatomy.valid_in_core(session))


def _write_betas(root: Path, anatomy: Anatomy, scan: _Scan, responses: Responses, beta_format: BetaFormat) -> None:
    folder = _betas_folder(root, anatomy, scan.folder, responses)
    betas = session_betas(responses, scan.runs, anatomy.of_brain(scan.valid))
    if beta_format != "nii.gz":
        files.write_betas_hdf5(folder / f"{scan.name}.hdf5", betas, anatomy)
    if beta_format != "hdf5":
        files.write_betas_nifti(folder / f"{scan.name}.nii.gz", betas, anatomy)


def _write_ncsnr(root: Path, anatomy: Anatomy, responses: Responses) -> None:
    snr = responses.snr(perception_event(SET_B_NSD_IDS[0]))
    snr[~anatomy.of_brain(anatomy.valid)] = 0
    path = _betas_folder(root, anatomy, "betas", responses) / "ncsnr.nii.gz"
    files.write_volume(path, anatomy.to_volume(snr), anatomy.affine)


def _betas_folder(root: Path, anatomy: Anatomy, folder: str, responses: Responses) -> Path:
    name = f"{folder}_{responses.beta_version}"
    return root / "nsddata_betas/ppdata" / anatomy.subject / "func1pt8mm" / name
