"""Training rows of transfer: perception's train split, z-scored by session, repeats averaged, tested pictures left out.

Whatever the folder has, each voxel is z-scored here within each session over the rows that are used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.errors import UsageError, shown
from nsd_imagery.evaluation.runs import Runs, load_runs
from nsd_imagery.evaluation.transfer.decoder import Decoder, Linear, Origin
from nsd_imagery.evaluation.transfer.known import Known, known_stimuli, voxels_digest
from nsd_imagery.evaluation.transfer.ridge import fit_decoder, fit_encoder
from nsd_imagery.evaluation.transfer.space import Space, space_of
from nsd_imagery.learn.clip_cache import ClipCache
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table, row_vectors
from nsd_imagery.schema import BETAS
from nsd_imagery.spelling import subject_of
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI, Mask

FEWEST_PICTURES: Final = 50
"""Training pictures without which nothing is learnt."""

FEWEST_ROWS: Final = 20
"""Valid rows of a session, without which its z-scores say too little and it is left out."""


@dataclass(frozen=True, eq=False)
class Training:
    """What is learnt from, a row a picture, in the order of their names.

    Attributes:
        stimuli: (n,) keys.
        betas: (n, n_voxels) float32, mean over repeats of z-scores by session.
        embeddings: (n, n_features) float64.
        weights: (n,) repeats behind each row.
        columns: (n_voxels,) columns of the folder's `betas`: voxels that vary in each session used and each run tested.
        n_removed: Pictures that were among the rows and are tested, or rows that are none of NSD core: left out.
        sessions: Of NSD core, that are used.
        origin: What the rows are of.
        reason: Why nothing is learnt from them; "" where it can be.
    """

    stimuli: tuple[str, ...]
    betas: NDArray[np.float32]
    embeddings: NDArray[np.float64]
    weights: NDArray[np.float64]
    columns: NDArray[np.int64]
    n_removed: int
    sessions: tuple[int, ...]
    origin: Origin
    reason: str

    @property
    def guard(self) -> str:
        """What the leak guard found, for a page and a terminal."""
        return (
            f"{self.n_removed} pictures removed from training because they are tested; {len(self.stimuli)} training "
            f"pictures, {len(self.columns)} voxels"
        )

    def decoder(self) -> Decoder:
        """Fit a decoder; UsageError where `reason` says that there is too little to fit."""
        self._refuse_too_little()
        return fit_decoder(self.betas, self.embeddings, self.weights, origin=self.origin, columns=self.columns)

    def encoder(self) -> Linear:
        """Fit an encoder; UsageError where `reason` says that there is too little to fit."""
        self._refuse_too_little()
        return fit_encoder(self.betas, self.embeddings, self.weights)

    def _refuse_too_little(self) -> None:
        if self.reason:
            msg = f"no transfer of {self.origin.subject}, {self.origin.roi}: {self.reason}"
            raise UsageError(msg)


def training_rows(
    folder: Path | str,
    subject: str | int,
    roi: str = DEFAULT_ROI,
    embeddings: Space | ClipCache | None = None,
    *,
    rows: Dataset | None = None,
    runs: Runs | None = None,
    voxels: NDArray[np.integer] | None = None,
) -> Training:
    """The training rows of a subject and ROI.

    Pictures of set B, of visC and of shared1000 are no training rows, whatever split they came in: they are taken out
    and counted.

    Args:
        folder: A built folder.
        subject: Its name or number.
        roi: A ROI that the folder has configs of.
        embeddings: Vectors of the pictures.
        rows: Perception's rows to take in the place of the train split, with all columns of their config.
        runs: What will be tested, where it is loaded already: voxels that do not vary there are left out.
        voxels: Columns of the folder's `betas` to choose from; default all.

    Raises:
        UsageError: The folder has no such subject or ROI, or the rows are of another.
        MissingEmbeddingError: A training picture has no vector.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is damaged.
    """
    if embeddings is None:
        raise UsageError("training rows need vectors of the pictures: embeddings=ClipCache(root)")
    if isinstance(embeddings, ClipCache):
        embeddings = space_of(embeddings)
    if not isinstance(embeddings, Space):
        msg = f"embeddings are a ClipCache or what space_of gives, not {shown(embeddings)}: pass ClipCache(root)"
        raise UsageError(msg)
    place = Path(folder).expanduser().resolve()
    manifest = open_manifest(place)
    subject = one_of("subject", subject_of(subject), manifest.subjects)
    one_of("ROI", roi, dict.fromkeys(config.roi for config in manifest.trials.values() if config.subject == subject))
    name = config_name(subject, "perception", roi)
    if rows is None:
        if name not in manifest.configs or "train" not in manifest.configs[name].splits:
            return _nothing(subject, roi, embeddings, f"the folder has no train split of {name}")
        rows = load(place, name, "train")
    known = known_stimuli(place, manifest, subject, roi)
    used, n_removed = _guarded(rows, subject, known)
    stimulus, session = (np.array(used[1][column]) for column in ("stimulus", "session"))
    names, picture = np.unique(stimulus, return_inverse=True)
    if len(names) < FEWEST_PICTURES:
        why = f"{len(names)} training pictures, fewer than {FEWEST_PICTURES}"
        return _nothing(subject, roi, embeddings, why, n_removed)
    views = row_vectors(rows, BETAS.name)
    betas, varies = _averaged([views[row] for row in used[0]], session, picture)
    varies &= _varying(_runs(place, manifest, subject, roi) if runs is None else runs, len(varies))
    if voxels is not None:
        varies &= np.isin(np.arange(len(varies)), voxels)
    columns = np.flatnonzero(varies)
    betas, weights = np.ascontiguousarray(betas[:, columns]), np.bincount(picture).astype(np.float64)
    vectors = embeddings.stack(names.tolist())
    training = _digest(names.tolist(), betas, vectors, weights)
    where = voxels_digest(place, manifest, subject, roi, columns)
    origin = Origin(subject, roi, where, embeddings.maker, training, len(names))
    sessions = tuple(np.unique(session).tolist())
    reason = "" if len(columns) else "no voxel varies in all sessions and runs"
    return Training(tuple(names.tolist()), betas, vectors, weights, columns, n_removed, sessions, origin, reason)


def zscored_by(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Mask]:
    """Z-scores of each column (ddof 1), 0 where it does not vary, and (n_voxels,) where it does."""
    varies = (values != values[0]).any(axis=0)
    sd = np.where(varies, values.std(axis=0, ddof=1), np.inf)
    sd[sd == 0] = np.inf
    return (values - values.mean(axis=0)) / sd, np.isfinite(sd)


def enough(session: NDArray[Any], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some rows whose session has `FEWEST_ROWS` of them."""
    found, counts = np.unique(session[chosen], return_counts=True)
    return chosen[np.isin(session[chosen], found[counts >= FEWEST_ROWS])]


def _guarded(rows: Dataset, subject: str, known: Known) -> tuple[tuple[NDArray[np.int64], dict[str, list[Any]]], int]:
    """The rows that may be learnt from, with their labels, and how many pictures were taken out."""
    names = ["subject", "experiment", "session", "stimulus", "shared1000", "is_valid"]
    labels = label_table(rows, names)
    column = {name: np.array(labels[name].to_pylist()) for name in names}
    if others := sorted(set(column["subject"].tolist()) - {subject}):
        msg = f"training rows are of {', '.join(others)}, not of {subject} alone: filter them by subject"
        raise UsageError(msg)
    leaks = np.isin(column["stimulus"], sorted(known.tested)) | column["shared1000"].astype(bool)
    leaks |= column["experiment"] != "nsd"
    kept = np.flatnonzero(~leaks & column["is_valid"].astype(bool))
    kept = enough(column["session"], kept)
    said = {name: column[name][kept].tolist() for name in ("stimulus", "session")}
    return (kept, said), len(set(column["stimulus"][leaks].tolist()))


def _averaged(
    rows: Sequence[NDArray[Any]], session: NDArray[Any], picture: NDArray[np.integer]
) -> tuple[NDArray[np.float32], Mask]:
    """(n_pictures, n_voxels) mean z-scores, and (n_voxels,) which vary in all sessions; a session at a time."""
    sums = np.zeros((int(picture.max()) + 1, len(rows[0])), np.float32)
    varies = np.ones(len(rows[0]), bool)
    for number in np.unique(session):
        mine = np.flatnonzero(session == number)
        scores, there = zscored_by(np.stack([rows[row] for row in mine.tolist()]).astype(np.float64))
        varies &= there
        for row, score in zip(mine.tolist(), scores, strict=True):
            sums[picture[row]] += score
    sums /= np.bincount(picture)[:, None].astype(np.float32)
    return sums, varies


def _runs(folder: Path, manifest: Manifest, subject: str, roi: str) -> Runs | None:
    """The runs of vision and imagery, where the folder has any."""
    wanted = (config_name(subject, condition, roi) for condition in ("vision", "imagery"))
    return load_runs(folder, subject, roi) if any(name in manifest.configs for name in wanted) else None


def _varying(runs: Runs | None, n_voxels: int) -> Mask:
    """(n_voxels,) which vary in each of some runs."""
    varies = np.ones(n_voxels, bool)
    for run in runs or ():
        varies &= run.betas.any(axis=0)
    return varies


def _digest(stimuli: Sequence[str], *arrays: NDArray[Any]) -> str:
    digest = xxhash.xxh3_128(json.dumps(list(stimuli)).encode())
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _nothing(subject: str, roi: str, embeddings: Space, reason: str, n_removed: int = 0) -> Training:
    none = np.zeros((0, 0))
    origin = Origin(subject, roi, "", embeddings.maker)
    empty = np.zeros(0, np.int64)
    return Training((), none.astype(np.float32), none, np.zeros(0), empty, n_removed, (), origin, reason)
