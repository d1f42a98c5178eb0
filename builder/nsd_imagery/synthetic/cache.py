"""The cache layout: the Guide's `cache/` tree, where a manifest a subject says what each beta is.

Trials and betas are those of the release layout. The manifest's columns are the fields of the Guide's ImageryTrial,
then this package's own.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import BETA_VERSIONS, SUBJECTS, TRIALS_PER_RUN
from nsd_imagery.synthetic import files, stimuli
from nsd_imagery.synthetic.brain import Brain, make_brain
from nsd_imagery.synthetic.captions import captions_of, write_captions
from nsd_imagery.synthetic.effects import signal_of
from nsd_imagery.synthetic.events import imagery_runs
from nsd_imagery.synthetic.request import FORMATS, Request
from nsd_imagery.synthetic.schedule import RunSchedule, nsd_ids_of
from nsd_imagery.synthetic.signal import Voxels, session_betas
from nsd_imagery.synthetic.targets import TARGETS, nsd_stimulus
from nsd_imagery.synthetic.truth import Truth, draw_truth
from nsd_imagery.synthetic.truth_files import write_truth, write_weights
from nsd_imagery.trial_ids import trial_id

MANIFEST_COLUMNS: Final = (
    "trial_id subject session trial_in_session condition nsd_id coco_id beta_path beta_index roi_mask_path "
    "repeat_index caption run_number is_valid snr_estimate "
    "run_name stimulus_set epoch target cue cue_matches target_present"
).split()
STIMULUS_COLUMNS: Final = "stimulus stimulus_set target cue nsd_id coco_id caption".split()

_FOLDER: Final = Path("nsd_imagery")
_SESSION: Final = 1
_GUIDE_WORDS: Final = {"vision": "perception"}
"""The Guide has one word for what is seen, in whichever experiment."""

_MADE_UP_DATE: Final = "2000-01-01"

_Row = dict[str, object]


def write_cache(root: Path, request: Request) -> None:
    """Write the Guide's tree, and captions beside it.

    Args:
        root: The folder that the Guide calls `cache`.
        request: What is asked for.
    """
    seed, progress = request.seed, request.progress
    progress("stimuli")
    truth = draw_truth(seed, signal_of(request.signal))
    schedule = truth.schedule
    table = stimuli.stimulus_table(seed)
    coco_ids = table["cocoId"].to_numpy()
    write_captions(root / "annotations", seed, table)
    _write_stimuli(root, schedule, coco_ids)
    for subject in dict.fromkeys(request.subjects):
        progress(f"{subject}: ROIs")
        brain = make_brain(subject, full_size=request.full_size)
        metadata = root / _FOLDER / "metadata" / subject
        files.write_rois(metadata, brain)
        files.write_tables(metadata, brain.rois)
        files.write_masks(metadata, brain)
        progress(f"{subject}: betas")
        beta_path = _write_betas(root, truth, brain, FORMATS[request.format][-1])
        rows = _manifest(subject, schedule, beta_path, coco_ids)
        files.write_bytes(_manifest_file(root, subject), _csv(MANIFEST_COLUMNS, rows))
        _remove_other_formats(root / beta_path)
        _write_sessions(root)
    write_truth(root, truth)


def _write_stimuli(root: Path, schedule: tuple[RunSchedule, ...], coco_ids: NDArray[np.int64]) -> None:
    nsd_ids = nsd_ids_of(schedule)
    files.write_pictures_hdf5(root / "nsd_hdf5/nsd_stimuli.hdf5", nsd_ids)
    folder = root / _FOLDER / "stimuli"
    files.write_bytes(folder / "presented_image_ids.txt", "".join(f"{nsd_id}\n" for nsd_id in nsd_ids).encode())
    rows = _stimulus_rows(nsd_ids, coco_ids)
    files.write_bytes(folder / "imagery_stimuli_info.csv", _csv(STIMULUS_COLUMNS, rows))


def _stimulus_rows(nsd_ids: Sequence[int], coco_ids: NDArray[np.int64]) -> Iterator[_Row]:
    """The 18 targets, then the photographs that stand for the concepts of set C."""
    targets = [target for of_set in TARGETS.values() for target in of_set]
    for target in targets:
        names = {
            "stimulus": target.stimulus,
            "stimulus_set": target.stimulus_set,
            "target": target.name,
            "cue": target.cue,
        }
        yield names | _picture(target.nsd_id, coco_ids)
    imagined = {target.nsd_id for target in targets}
    for nsd_id in nsd_ids:
        if nsd_id not in imagined:
            yield {"stimulus": nsd_stimulus(nsd_id), "stimulus_set": "C"} | _picture(nsd_id, coco_ids)


def _manifest(
    subject: str, schedule: tuple[RunSchedule, ...], beta_path: Path, coco_ids: NDArray[np.int64]
) -> Iterator[_Row]:
    """A row a beta, in the order of the volumes."""
    seen: Counter[tuple[object, ...]] = Counter()
    events = [
        (of_run, trial, number)
        for of_run in schedule
        for trial in range(TRIALS_PER_RUN)
        for number in range(len(of_run.run.epochs))
    ]
    for beta_index, (of_run, trial, number) in enumerate(events):
        in_session = (of_run.run.number - 1) * TRIALS_PER_RUN + trial
        labels = _labels(of_run, trial, number)
        key = labels["condition"], labels["epoch"], labels["target"]
        yield {
            "trial_id": trial_id("nsdimagery", subject, _SESSION, in_session, number),
            "subject": subject,
            "session": _SESSION,
            "trial_in_session": in_session,
            "beta_path": beta_path.as_posix(),
            "beta_index": beta_index,
            "roi_mask_path": (_FOLDER / "metadata" / subject / "nsdgeneral.nii.gz").as_posix(),
            "repeat_index": seen[key],
            "is_valid": True,
            **labels,
            **_picture(of_run.nsd_id(trial), coco_ids),
        }
        seen[key] += 1


def _labels(of_run: RunSchedule, trial: int, number: int) -> _Row:
    """What the schedule says of a beta; `number` is that of its epoch in the trial."""
    run = of_run.run
    target, cue = (of_run.targets[positions[trial]] for positions in (of_run.conditions, of_run.cues))
    return {
        "condition": _GUIDE_WORDS.get(run.condition, run.condition),
        "run_number": run.number,
        "run_name": run.name,
        "stimulus_set": run.stimulus_set,
        "epoch": run.epochs[number],
        "target": target.name,
        "cue": cue.cue,
        "cue_matches": int(cue == target),
        "target_present": int(of_run.present[trial]) if run.condition == "attention" else None,
    }


def _picture(nsd_id: int | None, coco_ids: NDArray[np.int64]) -> _Row:
    """The columns on an NSD picture; none of them for what is no NSD picture."""
    if nsd_id is None:
        return {}
    return {"nsd_id": nsd_id, "coco_id": coco_ids[nsd_id], "caption": captions_of(nsd_id)[0]}


def _write_betas(root: Path, truth: Truth, brain: Brain, ending: str) -> Path:
    """Write the betas of the default version; the path is relative to the root."""
    voxels = Voxels(truth, brain, BETA_VERSIONS[0])
    write_weights(root, brain, voxels)
    path = _FOLDER / "betas" / brain.subject / f"imagery_betas_session{_SESSION:02d}.{ending}"
    betas = session_betas(voxels, imagery_runs(truth, brain.subject), brain.inside(brain.valid))
    files.write_betas(root / path, betas, brain)
    return path


def _remove_other_formats(path: Path) -> None:
    """A session has one file of betas, that which the manifest names."""
    stem = path.name.split(".")[0]
    for ending in FORMATS["both"]:
        other = path.with_name(f"{stem}.{ending}")
        if other != path:
            other.unlink(missing_ok=True)


def _write_sessions(root: Path) -> None:
    """Sessions of all subjects whose manifests are in the root, whichever call wrote them."""
    sessions = {
        subject: {"sessions": 1, "dates": [_MADE_UP_DATE]}
        for subject in SUBJECTS
        if _manifest_file(root, subject).is_file()
    }
    text = json.dumps(sessions, indent=2) + "\n"
    files.write_bytes(root / _FOLDER / "metadata" / "subject_sessions.json", text.encode())


def _manifest_file(root: Path, subject: str) -> Path:
    return root / _FOLDER / "metadata" / f"trial_manifest_{subject}.csv"


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> bytes:
    """A header and a line a row; what a row does not say is blank."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
