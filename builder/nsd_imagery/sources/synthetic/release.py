"""The whole tree of a synthetic release, file by file."""

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from nsd_imagery.errors import FolderError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, RUNS, SUBJECTS
from nsd_imagery.sources.release import SYNTHETIC_MARKER
from nsd_imagery.sources.synthetic import atlas, behaviour, design, files, pictures, signal, stimuli
from nsd_imagery.sources.synthetic.anatomy import Anatomy, make_anatomy
from nsd_imagery.sources.synthetic.schedule import RunSchedule, draw_schedule
from nsd_imagery.sources.synthetic.targets import TARGETS

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
FORMATS = ("hdf5", "nii.gz", "both")

_EXPERIMENT = Path("nsddata/experiments/nsdimagery")

BetaFormat = Literal["hdf5", "nii.gz", "both"]


def synth(
    root: Path | str,
    *,
    subjects: Sequence[str] = ("subj01",),
    seed: int = 0,
    full_size: bool = False,
    format: BetaFormat = "both",
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a synthetic release, in the tree and the formats of the real one (NSD Data Manual).

    The schedule is drawn from the seed and is not NSD's. Each target has a planted pattern, strong in vision, weaker in
    attention and imagery. The same arguments give the same bytes; more subjects may be added later.

    Args:
        root: Folder of the tree; made if it is not there.
        subjects: "subj01" to "subj08".
        seed: What everything is drawn from, not negative.
        full_size: True grids and numbers of voxels (about 1 GB a file of betas, fithrf_GLMdenoise_RR alone), else
            a small brain (about 10 MB a file).
        format: Of the beta files.
        progress: Called with a line on each step.

    Returns:
        The root.

    Raises:
        UsageError: An unknown subject or format, or a negative seed.
        FolderError: The root holds something else, or a synthetic release of other arguments.
    """
    _check_arguments(subjects, seed, format)
    root = Path(root)
    _claim(root, seed, full_size, subjects)
    _write_tree(root, subjects, seed, full_size, format, progress or (lambda _: None))
    logger.info("Wrote a synthetic release to %s", root)
    return root


def _write_tree(
    root: Path,
    subjects: Sequence[str],
    seed: int,
    full_size: bool,
    beta_format: BetaFormat,
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
        for version in versions:
            report(f"{subject}: betas {version}")
            _write_betas(root, seed, anatomy, schedule, version, beta_format)


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
    table = stimuli.csv_text(stimuli.stimulus_table(seed))
    files.write_bytes(root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv", table.encode())


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


def _write_betas(
    root: Path,
    seed: int,
    anatomy: Anatomy,
    schedule: tuple[RunSchedule, ...],
    version: str,
    beta_format: BetaFormat,
) -> None:
    folder = root / "nsddata_betas/ppdata" / anatomy.subject / "func1pt8mm" / f"nsdimagerybetas_{version}"
    betas = signal.session_betas(seed, anatomy, schedule, version)
    if beta_format != "nii.gz":
        files.write_betas_hdf5(folder / "betas_nsdimagery.hdf5", betas, anatomy)
    if beta_format != "hdf5":
        files.write_betas_nifti(folder / "betas_nsdimagery.nii.gz", betas, anatomy)
