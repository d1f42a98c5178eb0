"""The NSD release tree, as in the bucket `natural-scenes-dataset`: where its files are, and the rows of NSD-Imagery.

A root may hold part of it: some subjects, betas as .hdf5 or .nii.gz. All paths of the release are spelled here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import pyarrow as pa

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import N_BETAS, RUNS, STIMULUS_SETS, SUBJECTS, TRIALS_PER_RUN
from nsd_imagery.schema import trial_id, trial_table
from nsd_imagery.sources.behaviour import RunBehaviour, Trial, read_behaviour
from nsd_imagery.sources.design import RunDesign, Target, nsd_id_of_name, read_design, read_targets, stimulus_key
from nsd_imagery.sources.proof import prove_session
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.stim_info import StimInfo, read_stim_info
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.read import read_header

SYNTHETIC_MARKER = "synthetic.json"
"""Lies in the root of a tree that `synth` wrote, and in no other."""

_FORMATS = (".hdf5", ".nii.gz", ".nii")


def subjects_with_betas(root: Path, betas: str) -> tuple[str, ...]:
    """Subjects whose NSD-Imagery betas of a version are in the root."""
    return tuple(subject for subject in SUBJECTS if _beta_file(root, subject, betas) is not None)


def expected_betas(betas: str, subject: str = "subjAA") -> str:
    """Where the release has the NSD-Imagery betas, relative to the root, without the file's ending."""
    return f"nsddata_betas/ppdata/{subject}/func1pt8mm/nsdimagerybetas_{betas}/betas_nsdimagery"


def has_stim_info(root: Path) -> bool:
    """Whether the root has NSD's table of pictures."""
    return _stim_info_file(root).is_file()


def read_session(root: Path, subject: str, betas: str) -> Session:
    """The NSD-Imagery session of a subject: its beta file and its 720 rows, proven from the behaviour and design files.

    Raises:
        MissingDataError: A file is not there.
        DataError: Two files contradict each other, or one is damaged.
    """
    beta_path = _beta_file(root, subject, betas)
    if beta_path is None:
        msg = f"{root}: no {expected_betas(betas, subject)}.hdf5 or .nii.gz; copy it from the release"
        raise MissingDataError(msg)
    n_volumes = read_header(beta_path).n_volumes
    if n_volumes != N_BETAS:
        msg = f"{beta_path}: has {n_volumes} volumes, a session of NSD-Imagery has {N_BETAS}: copy the file again"
        raise DataError(msg)
    behaviours = _read_behaviours(root, subject)
    targets, design_path, design = _read_experiment(root)
    prove_session(behaviours, targets, design, design_path)
    rows = _rows(root, subject, beta_path, behaviours, targets, betas)
    return Session(subject, "nsdimagery", 1, beta_path, rows)


def anatomy(root: Path, subject: str) -> Anatomy:
    """The masks and maps of a subject that are in the root."""
    space = root / "nsddata" / "ppdata" / subject / "func1pt8mm"
    volumes = {path.name.removesuffix(".nii.gz"): path for path in sorted((space / "roi").glob("*.nii.gz"))}
    tables = sorted((root / "nsddata" / "freesurfer" / subject / "label").glob("*.mgz.ctab"))
    return Anatomy(
        subject,
        atlases={name: path for name, path in volumes.items() if not name.startswith(("lh.", "rh."))},
        label_tables={path.name.removesuffix(".mgz.ctab"): path for path in tables},
        left={name[3:]: path for name, path in volumes.items() if name.startswith("lh.")},
        right={name[3:]: path for name, path in volumes.items() if name.startswith("rh.")},
        brain=_if_file(space / "brainmask.nii.gz"),
        valid_nsdimagery=_if_file(space / "valid_nsdimagery.nii.gz"),
        valid_nsd=tuple(sorted(space.glob("valid_session[0-9][0-9].nii.gz"))),
        ncsnr_nsd=_if_file(
            root / "nsddata_betas" / "ppdata" / subject / "func1pt8mm" / "betas_fithrf_GLMdenoise_RR" / "ncsnr.nii.gz"
        ),
    )


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def _beta_file(root: Path, subject: str, betas: str) -> Path | None:
    stem = root / expected_betas(betas, subject)
    return next((path for ending in _FORMATS if (path := stem.with_name(stem.name + ending)).is_file()), None)


def _stim_info_file(root: Path) -> Path:
    return root / "nsddata" / "experiments" / "nsd" / "nsd_stim_info_merged.csv"


def _required(path: Path) -> Path:
    if not path.is_file():
        msg = f"{path}: no such file; copy it from the release"
        raise MissingDataError(msg)
    return path


def _read_behaviours(root: Path, subject: str) -> list[RunBehaviour]:
    """The 12 runs in the order of their RUN column, which is the order of the betas."""
    folder = root / "nsddata" / "bdata" / "nsdimagery"
    files = [(run.name, _required(folder / f"nsdimagery_{subject}_{run.name}.tsv")) for run in RUNS]
    behaviours = [read_behaviour(path, subject, name) for name, path in files]
    return sorted(behaviours, key=lambda behaviour: behaviour.run.number)


def _read_experiment(root: Path) -> tuple[dict[str, dict[str, Target]], Path, tuple[RunDesign, ...]]:
    folder = root / "nsddata" / "experiments" / "nsdimagery"
    targets = {name: read_targets(_required(folder / f"{name}_pair_list.mat")) for name in STIMULUS_SETS}
    design_path = _required(folder / "designmatrixGLMsingle.mat")
    return targets, design_path, read_design(design_path)


@cache
def _cached_stim_info(path: Path, _size: int, _mtime_ns: int) -> StimInfo:
    return read_stim_info(path)


def stim_info(root: Path) -> StimInfo | None:
    """NSD's table of pictures, read once however many subjects ask; None where the root has none."""
    path = _stim_info_file(root)
    if not path.is_file():
        return None
    stat = path.stat()
    return _cached_stim_info(path, stat.st_size, stat.st_mtime_ns)


def _rows(root: Path, subject: str, beta_path: Path, behaviours: Sequence[RunBehaviour],
          targets: Mapping[str, Mapping[str, Target]], betas: str) -> pa.Table:  # fmt: skip
    events = [
        (behaviour, trial, number, epoch)
        for behaviour in behaviours
        for trial in behaviour.trials
        for number, epoch in enumerate(behaviour.run.epochs)
    ]
    runs = [behaviour.run for behaviour, *_ in events]
    trials = [trial for _, trial, *_ in events]
    epochs = [epoch for *_, epoch in events]
    in_session = [(run.number - 1) * TRIALS_PER_RUN + trial.number - 1 for run, trial in zip(runs, trials, strict=True)]
    about = [targets[run.stimulus_set][trial.condition] for run, trial in zip(runs, trials, strict=True)]
    nsd_ids = [_picture(behaviour, trial, target) for (behaviour, trial, *_), target in zip(events, about, strict=True)]
    return trial_table(
        len(events),
        trial_id=[
            trial_id("nsdimagery", subject, 1, trial, number)
            for trial, (_, _, number, _) in zip(in_session, events, strict=True)
        ],
        subject=subject,
        session=1,
        trial_in_session=in_session,
        condition=[run.condition for run in runs],
        nsd_id=nsd_ids,
        beta_path=beta_path.relative_to(root).as_posix(),
        beta_index=list(range(len(events))),
        repeat_index=_repeats(
            [(run.condition, epoch, target.name) for run, epoch, target in zip(runs, epochs, about, strict=True)]
        ),
        is_valid=True,
        run_number=[run.number for run in runs],
        experiment="nsdimagery",
        run_name=[run.name for run in runs],
        stimulus_set=[run.stimulus_set for run in runs],
        epoch=[epoch or None for epoch in epochs],
        target=[target.name for target in about],
        stimulus=[stimulus_key(nsd_id, target.name) for nsd_id, target in zip(nsd_ids, about, strict=True)],
        cue=[trial.cue for trial in trials],
        cue_matches=[int(trial.cue == trial.condition) for trial in trials],
        target_present=[_target_present(run.condition, trial) for run, trial in zip(runs, trials, strict=True)],
        response=[trial.button for trial in trials],
        response_time=[trial.response_time for trial in trials],
        beta_version=betas,
        **_picture_columns(root, subject, nsd_ids, targets),
    )


def _picture(behaviour: RunBehaviour, trial: Trial, target: Target) -> int | None:
    """0-based id of the picture that a trial is about; in visC the photograph that the frame file names."""
    shown = behaviour.run.condition == "vision" and behaviour.run.stimulus_set == "C"
    return nsd_id_of_name(trial.picture) if shown else target.nsd_id


def _target_present(condition: str, trial: Trial) -> int | None:
    return int(trial.ground_truth) if condition == "attention" and trial.ground_truth is not None else None


def _repeats(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """How often each key came before, in the order given."""
    seen: Counter[tuple[str, ...]] = Counter()
    repeats = []
    for key in keys:
        repeats.append(seen[key])
        seen[key] += 1
    return repeats


def _picture_columns(
    root: Path, subject: str, nsd_ids: Sequence[int | None], targets: Mapping[str, Mapping[str, Target]]
) -> dict[str, Sequence[int | None]]:
    """coco_id, shared1000 and is_shared by NSD's table of pictures.

    Without the table coco_id is absent and is_shared False (nothing in the root says that NSD core shows the picture);
    every NSD picture of NSD-Imagery is one of the shared 1,000, as its file name says.
    """
    imagined = {target.nsd_id for target in targets["B"].values()} - {None}
    info = stim_info(root)
    if info is None:
        return {
            "coco_id": [None] * len(nsd_ids),
            "shared1000": [nsd_id is not None for nsd_id in nsd_ids],
            "is_shared": [False] * len(nsd_ids),
        }
    shown = info.shown[subject]
    return {
        "coco_id": [None if nsd_id is None else int(info.coco_id[nsd_id]) for nsd_id in nsd_ids],
        "shared1000": [nsd_id is not None and bool(info.shared1000[nsd_id]) for nsd_id in nsd_ids],
        "is_shared": [nsd_id in imagined and bool(shown[nsd_id]) for nsd_id in nsd_ids],
    }
