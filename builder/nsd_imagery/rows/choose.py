"""Rows by subject, condition, session and split, from whatever there is: a built folder, an index file, or a root."""

import logging
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from numpy.typing import NDArray

from nsd_imagery.dataset.find import find_pieces
from nsd_imagery.dataset.folder import open_manifest, read_manifest
from nsd_imagery.dataset.names import SPLITS, config_name
from nsd_imagery.dataset.pieces import Piece, parts, split_rows
from nsd_imagery.dataset.reading import read_piece
from nsd_imagery.dataset.recipe import ZSCORES, Recipe
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, CONDITIONS
from nsd_imagery.links import refuse_without_content
from nsd_imagery.listing import visible
from nsd_imagery.rows.indexed import index_rows, pieces_of_index
from nsd_imagery.rows.load import load
from nsd_imagery.schema import BETAS, trial_schema
from nsd_imagery.sources.root import SOURCES, Root, find_root
from nsd_imagery.suggest import one_of
from nsd_imagery.trials import FULL_INDEX, root_of_index
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import DEFAULT_ROI, resolve
from nsd_imagery.volumes.voxels import voxel_tables

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """Which rows; None stands for all that are there.

    Attributes:
        subject: One subject, because each has voxels of its own; None where only one is there.
        condition: "imagery", "vision", "attention" or "perception".
        sessions: Numbers of sessions, 1-based.
        split: "train" or "test".
        stimuli: Keys of stimuli.
        roi: A ROI name; see `volumes.roi`.
        zscore: "auto", "run", "session" or "none"; None is as built, else "auto".
        beta_version: fithrf_GLMdenoise_RR or fithrf; None is as built or indexed, else the default one.
        source: "release" or "cache", for a root that holds the subject in both.
        smoothing_fwhm: Of the Gaussian that betas are smoothed with, mm; None is as built, else not smoothed.
    """

    subject: str | None = None
    condition: str | None = None
    sessions: tuple[int, ...] | None = None
    split: str | None = None
    stimuli: Collection[str] | None = None
    roi: str = DEFAULT_ROI
    zscore: str | None = None
    beta_version: str | None = None
    source: str | None = None
    smoothing_fwhm: float | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions to look for."""
        return CONDITIONS if self.condition is None else (self.condition,)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits to look for."""
        return SPLITS if self.split is None else (self.split,)


def choose_rows(path: Path | str | None, root: Path | str | None, choice: Choice) -> Dataset:
    """The rows of a choice: in the order of an index file, else NSD-Imagery before NSD core, each as presented.

    Args:
        path: A built folder, an index file, or a root; None for `root`.
        root: Where the data is, if neither `path` nor the folder `indices/` that the index lies in says so.
        choice: Which rows.

    Returns:
        Rows of trial configs; those of a built folder are memory-mapped, all others in memory.

    Raises:
        UsageError: A name that is not there, or no row is left.
        MissingDataError: A file or folder is not there.
        DataError: A file is damaged, or the index is of another root.
    """
    _refuse_unknown(choice)
    place = None if path is None else Path(path).expanduser()
    if place is None or (place.is_dir() and read_manifest(place) is None):
        trials = _of_root(_root(place, root, choice), choice)
    elif place.is_dir():
        trials = _of_folder(place, choice)
    elif place.is_file():
        trials = _of_index(place, root, choice)
    else:
        refuse_without_content(place)
        msg = f"{place}: no such index, root or built folder; write an index with: nsd-imagery index ROOT"
        raise MissingDataError(msg)
    if not trials.num_rows:
        raise _no_rows(choice)
    return trials


def choose_voxels(path: Path | str | None, root: Path | str | None, choice: Choice) -> Dataset:
    """The rows of `-voxels` of the subject and ROI of a choice; see `choose_rows`."""
    place = None if path is None else Path(path).expanduser()
    if place is not None and place.is_dir() and read_manifest(place) is not None:
        subject = _subject_of_folder(place, choice)
        return load(place, config_name(subject, "voxels", choice.roi), "train")
    if place is not None and place.is_file():
        subject, beta_version, _ = _rows_of_index(place, choice)
        home = _root_behind(place, root, beta_version, choice)
    else:
        home = _root(place, root, choice)
        subject = _subject_of_root(home, choice)
    maps = Maps(home.anatomy(subject))
    (table,) = voxel_tables([resolve(choice.roi, maps)], maps)
    for note in maps.notes:
        logger.warning("%s", note)
    return Dataset(table, fingerprint=uuid.uuid4().hex)


def _no_rows(choice: Choice) -> UsageError:
    said = f"condition {choice.condition}, session {choice.sessions}, split {choice.split} and the stimuli asked for"
    return UsageError(f"no row is of {said}; NSD-Imagery has the split test, NSD core train and test (shared1000)")


def _refuse_unknown(choice: Choice) -> None:
    for what, word, choices in (
        ("condition", choice.condition, CONDITIONS),
        ("split", choice.split, SPLITS),
        ("zscore", choice.zscore, ZSCORES),
        ("betas", choice.beta_version, BETA_VERSIONS),
        ("source", choice.source, SOURCES),
    ):
        if word is not None:
            one_of(what, word, choices)


def _root(place: Path | None, root: Path | str | None, choice: Choice) -> Root:
    indices = (
        [path for name in ("subj[0-9][0-9].parquet", FULL_INDEX) for path in visible(place, name)] if place else []
    )
    if indices:
        names = ", ".join(sorted(path.name for path in indices))
        msg = f"{place}: is a folder of indices; name one of its files: {names}"
        raise UsageError(msg)
    return find_root(place or root, choice.beta_version or BETA_VERSIONS[0], choice.source)


def _root_behind(index: Path, root: Path | str | None, beta_version: str, choice: Choice) -> Root:
    """The root of an index file: the one that was named, else that whose `indices/` it lies in, else the usual one."""
    return find_root(root_of_index(index) if root is None else root, beta_version, choice.source)


def _of_folder(folder: Path, choice: Choice) -> Dataset:
    manifest = open_manifest(folder)
    _refuse_other_options(folder, manifest.recipe, choice)
    configs = manifest.trials
    subject = _subject_of_folder(folder, choice)
    names = [config_name(subject, condition, choice.roi) for condition in choice.conditions]
    here = [name for name in names if name in configs]
    if not here:
        one_of("config", names[0], configs)
    loaded = [rows for name in here for split, rows in load(folder, name).items() if split in choice.splits]
    if not loaded:
        raise _no_rows(choice)
    trials = concatenate_datasets(loaded)
    experiment, trial_id = (trials.data.column(name).to_numpy() for name in ("experiment", "trial_id"))
    _refuse_missing_sessions(choice, trials.data.column("session").unique().to_pylist())
    order = np.lexsort((trial_id, experiment != "nsdimagery"))
    return trials.select(order[_is_chosen(trials.data.table, choice)[order]])


def _subject_of_folder(folder: Path, choice: Choice) -> str:
    configs = open_manifest(folder).trials
    return _the_subject(choice.subject, [config.subject for config in configs.values()], folder)


def _refuse_other_options(folder: Path, built: Recipe, choice: Choice) -> None:
    for option, name, wanted in (
        ("zscore", "zscore", choice.zscore),
        ("betas", "beta_version", choice.beta_version),
        ("smoothing-fwhm", "smoothing_fwhm", choice.smoothing_fwhm),
    ):
        if wanted not in (None, getattr(built, name)):
            msg = (
                f"{folder}: was built with {name}={getattr(built, name)!r}, not {wanted!r}: build another folder with "
                f"nsd-imagery build ROOT --{option} {wanted} --out FOLDER, or pass a root or an index"
            )
            raise UsageError(msg)


def _of_root(root: Root, choice: Choice) -> Dataset:
    subject = _subject_of_root(root, choice)
    conditions = None if choice.condition is None else [choice.condition]
    recipe = Recipe(root.beta_version, choice.zscore or "auto", smoothing_fwhm=choice.smoothing_fwhm)
    pieces = find_pieces(root, recipe, [subject], conditions, [choice.roi]).pieces
    return _read(pieces, pa.concat_tables([piece.session.rows for piece in pieces]), choice)


def _subject_of_root(root: Root, choice: Choice) -> str:
    return _the_subject(choice.subject, root.choose(choice.subject), root.path)


def _of_index(path: Path, root: Path | str | None, choice: Choice) -> Dataset:
    _, beta_version, rows = _rows_of_index(path, choice)
    if choice.sessions is not None:
        _refuse_missing_sessions(choice, rows["session"].unique().to_pylist())
        rows = rows.take(np.flatnonzero(np.isin(rows["session"].to_numpy(), choice.sessions)))
    home = _root_behind(path, root, beta_version, choice)
    recipe = Recipe(beta_version, choice.zscore or "auto", smoothing_fwhm=choice.smoothing_fwhm)
    pieces = pieces_of_index(path, rows, home, choice.roi, recipe)
    return _read(pieces, rows, choice)


def _rows_of_index(path: Path, choice: Choice) -> tuple[str, str, pa.Table]:
    """Subject and beta version of a choice, and all rows of the two."""
    rows = index_rows(path)
    subject = _the_subject(choice.subject, rows["subject"].to_pylist(), path)
    versions = rows["beta_version"].unique().to_pylist()
    beta_version = choice.beta_version or versions[0]
    one_of("betas", beta_version, versions)
    mine = (rows["subject"].to_numpy() == subject) & (rows["beta_version"].to_numpy() == beta_version)
    return subject, beta_version, rows.take(np.flatnonzero(mine))


def _the_subject(subject: str | None, here: Sequence[str], where: Path) -> str:
    names = sorted(set(here))
    if subject is None and len(names) != 1:
        msg = f"{where}: holds {', '.join(names) or 'no subject'}: name one with subject="
        raise UsageError(msg)
    if subject is not None:
        one_of("subject", subject, names)
    return subject or names[0]


def _refuse_missing_sessions(choice: Choice, here: Collection[int]) -> None:
    if lacking := sorted(set(choice.sessions or ()) - set(here)):
        msg = f"no session {lacking[0]}; there are: {', '.join(map(str, sorted(here)))}"
        raise UsageError(msg)


def _read(pieces: Sequence[Piece], rows: pa.Table, choice: Choice) -> Dataset:
    """Dataset rows of pieces, in the order of the index rows that they are of; no others are kept in memory."""
    _refuse_missing_sessions(choice, {piece.session.session for piece in pieces})
    batches = [batch for piece in pieces for batch in _batches(piece, choice)]
    schema = trial_schema(pieces[0].rois[0].flat.size, pieces[0].recipe.dtype)
    trials = Dataset(pa.Table.from_batches(batches, schema), fingerprint=uuid.uuid4().hex)
    position = {trial: number for number, trial in enumerate(rows["trial_id"].to_pylist())}
    positions = [position[trial] for trial in trials.data.column("trial_id").to_pylist()]
    return trials.select(np.argsort(positions))


def _batches(piece: Piece, choice: Choice) -> Iterator[pa.RecordBatch]:
    if choice.sessions is not None and piece.session.session not in choice.sessions:
        return
    conditions = tuple(name for name in piece.conditions if name in choice.conditions)
    splits = {split for name in conditions for split in split_rows(piece.session.rows, name)}
    if splits.isdisjoint(choice.splits):
        return
    for part in parts(replace(piece, conditions=conditions), read_piece(piece).betas, piece.rois[0]):
        if part.split in choice.splits and BETAS.name in part.schema.names:
            for batch in part.batches:
                keep = _is_chosen(batch, choice)
                yield batch if keep.all() else batch.filter(pa.array(keep))


def _is_chosen(rows: pa.Table | pa.RecordBatch, choice: Choice) -> NDArray[np.bool_]:
    """(n_rows,) whether the session and the stimulus of each row are of the choice."""
    keep = np.ones(rows.num_rows, np.bool_)
    if choice.sessions is not None:
        keep &= np.isin(rows.column("session").to_numpy(), choice.sessions)
    if choice.stimuli is not None:
        stimuli = rows.column("stimulus").to_pylist()
        wanted = {stimulus for stimulus in set(stimuli) if stimulus in choice.stimuli}
        keep &= np.array([stimulus in wanted for stimulus in stimuli], np.bool_)
    return keep
