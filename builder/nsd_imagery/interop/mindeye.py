"""The files that MindEye2, MIRAGE and what is built on them read, by their places below the data root.

    preprocessed_data/subject1/nsd_imagery.pt            (720, V) float32 tensor, z-scored by run over all its rows
    nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3      exps, cues, image_map
    nsddata_stimuli/stimuli/imagery_stimuli_18.pt        (18, 3, 425, 425) float32 tensor, 0 to 1, NaN for set C's words
    betas_all_subj01_fp32_renorm.hdf5                    betas: (trials, V) float32, z-scored by session

Columns are nsdgeneral's voxels in C order of (i, j, k), as in a folder. That code divides by sd + 1e-6, this package by
sd: a score z differs by z * 1e-6 / sd, sd in percent signal change. NSD core is by session, as MindEye2 was trained;
MIRAGE prepares its own by mean and sd of all training rows, and reads it from the same place.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import STIMULI
from nsd_imagery.dataset.shards import Shard, open_shard
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import CORE_TRIALS_PER_SESSION, N_BETAS
from nsd_imagery.interop.chosen import Shards, Subject
from nsd_imagery.interop.labels import StimulusLabels, stimulus_labels
from nsd_imagery.interop.outfile import OutFile, made_of, write_hdf5, write_tensor
from nsd_imagery.interop.pictures import N_PICTURES, SHAPE, picture_tensor, target_images
from nsd_imagery.interop.reading import prove, read_betas, read_labels
from nsd_imagery.interop.rescore import Scored, rescore
from nsd_imagery.progress import StepProgress

LABELS = "nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3"
PICTURES = "nsddata_stimuli/stimuli/imagery_stimuli_18.pt"

_VERSION = 1
"""Goes up when the same folder gives other files."""

_FLOAT32 = 4


@dataclass(frozen=True, eq=False)
class Session:
    """The rows of one session of a subject, not yet read.

    Attributes:
        folder: The dataset folder.
        subject: Whose.
        shards: Its shards.
        n_rows: Volumes of its beta file.
        zscore: The option of the build.
    """

    folder: Path
    subject: Subject
    shards: Shards
    n_rows: int
    zscore: str

    def labels(self) -> pa.Table:
        """The labels of its rows, in the order of the beta file; its shards are proven first."""
        prove(self.folder, self.shards)
        return read_labels(self.folder, self.shards, self.n_rows)

    def is_valid(self) -> NDArray[np.bool_]:
        """(n_rows,) the rows that have data."""
        return read_labels(self.folder, self.shards, self.n_rows, ["is_valid"])["is_valid"].to_numpy()

    def betas(self, *, by_run: bool) -> NDArray[np.float32]:
        """(n_rows, n_voxels) z-scores over all rows of each run, or of the session; its shards are proven first."""
        labels = self.labels()
        betas = read_betas(self.folder, self.shards, self.n_rows, self.subject.n_voxels)
        together = labels["run_number"].to_numpy() if by_run else np.zeros(self.n_rows, np.int64)
        rescore(betas, labels["is_valid"].to_numpy(), together, self._scored(labels))
        return betas

    def _scored(self, labels: pa.Table) -> Scored | None:
        if self.zscore == "none":
            return None
        shard = self.subject.stats[str(self.shards[0].piece)]
        prove(self.folder, [shard])
        return Scored.by(open_shard(self.folder / shard.file), labels, self.zscore)

    @property
    def files(self) -> list[str]:
        """What its z-scores are made of: sha256 of its shards and of its `-stats`."""
        stats = self.subject.stats.get(str(self.shards[0].piece))
        return [shard.sha256 for shard in (*self.shards, *([stats] if stats else []))]


def mindeye_files(folder: Path, manifest: Manifest, subjects: Sequence[Subject]) -> tuple[list[OutFile], list[str]]:
    """The files of an export, and sentences on what stands in them where there is no data.

    Args:
        folder: The dataset folder.
        manifest: Its manifest.
        subjects: Of `choose_subjects`.

    Raises:
        DataError: A shard is damaged, rows are missing, or subjects have different labels, which one file cannot hold.
        MissingDataError: The folder has no pictures.
    """
    zscore = manifest.recipe.zscore
    imagery = [Session(folder, subject, subject.imagery, N_BETAS, zscore) for subject in subjects]
    labels = _common_labels(imagery)
    notes = [f"{PICTURES}: {N_PICTURES} to {SHAPE[0] - 1}, the words of set C, are NaN: a word has no picture"]
    files = [_labels_file(labels), _pictures_file(folder, manifest, labels)]
    for session in imagery:
        files.append(_imagery_file(session))
        notes += _empty_rows(files[-1].path, [session])
        if session.subject.perception:
            core = [
                Session(folder, session.subject, shards, CORE_TRIALS_PER_SESSION, zscore)
                for shards in session.subject.perception
            ]
            files.append(_core_file(core))
            notes += _empty_rows(files[-1].path, core)
    return files, notes


def is_by_labels(path: str) -> bool:
    """Whether the rows of a file of an export are labelled by `LABELS`."""
    return path.startswith("preprocessed_data/")


def _common_labels(sessions: Sequence[Session]) -> StimulusLabels:
    labels = [stimulus_labels(session.labels(), f"{session.folder}: {session.subject.name}") for session in sessions]
    for session, other in zip(sessions, labels, strict=True):
        if other.to_pickle() != labels[0].to_pickle():
            msg = (
                f"{session.folder}: {session.subject.name} has other labels than {sessions[0].subject.name}, and "
                f"{LABELS} is of all subjects; export each to a place of its own (--subjects)"
            )
            raise DataError(msg)
    return labels[0]


def _labels_file(labels: StimulusLabels) -> OutFile:
    contents = labels.to_pickle()

    def write(file: BinaryIO, begin: StepProgress) -> None:
        begin(LABELS)
        file.write(contents)

    return OutFile(LABELS, made_of(contents.hex()), len(contents), 1, write)


def _pictures_file(folder: Path, manifest: Manifest, labels: StimulusLabels) -> OutFile:
    if STIMULI not in manifest.configs:
        msg = f"{folder}: has no config {STIMULI}; pull it too (--configs), or build again"
        raise MissingDataError(msg)
    shard: Shard = manifest.configs[STIMULI].shards[0]
    prove(folder, [shard])
    images = target_images(folder, shard, labels.targets)

    def write(file: BinaryIO, begin: StepProgress) -> None:
        begin(PICTURES)
        write_tensor(file, picture_tensor(images))

    return OutFile(PICTURES, made_of(_VERSION, shard.sha256, labels.targets), math.prod(SHAPE) * _FLOAT32, 1, write)


def _imagery_file(session: Session) -> OutFile:
    path = f"preprocessed_data/subject{session.subject.number}/nsd_imagery.pt"

    def write(file: BinaryIO, begin: StepProgress) -> None:
        begin(path)
        write_tensor(file, session.betas(by_run=True))

    n_bytes = session.n_rows * session.subject.n_voxels * _FLOAT32
    return OutFile(path, made_of(_VERSION, session.zscore, session.files), n_bytes, 1, write)


def _core_file(sessions: Sequence[Session]) -> OutFile:
    subject = sessions[0].subject
    path = f"betas_all_{subject.name}_fp32_renorm.hdf5"
    shape = (sum(session.n_rows for session in sessions), subject.n_voxels)

    def write(file: BinaryIO, begin: StepProgress) -> None:
        def blocks() -> Iterator[NDArray[np.float32]]:
            for number, session in enumerate(sessions, start=1):
                begin(f"{path} session {number}")
                yield session.betas(by_run=False)

        write_hdf5(file, "betas", shape, blocks())

    made = made_of(_VERSION, [session.zscore for session in sessions], [session.files for session in sessions])
    return OutFile(path, made, shape[0] * shape[1] * _FLOAT32, len(sessions), write)


def _empty_rows(path: str, sessions: Sequence[Session]) -> list[str]:
    rows = np.flatnonzero(~np.concatenate([session.is_valid() for session in sessions])).tolist()
    if not rows:
        return []
    named = ", ".join(map(str, rows[:8])) + (" ..." if len(rows) > 8 else "")
    return [f"{path}: {len(rows)} rows without data are 0, and in no mean or sd: {named}"]
