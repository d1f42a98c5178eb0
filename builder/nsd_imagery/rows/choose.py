"""Rows by subject, condition, session and split, from whatever there is: a built folder, an index file, or a root."""

import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, DatasetInfo, concatenate_datasets

from nsd_imagery.dataset.find import find_pieces
from nsd_imagery.dataset.folder import open_manifest, read_manifest
from nsd_imagery.dataset.names import config_name, in_any_letters
from nsd_imagery.dataset.pieces import Piece, parts, split_rows
from nsd_imagery.dataset.reading import read_piece
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.links import refuse_without_content
from nsd_imagery.listing import visible
from nsd_imagery.notices import warn_once
from nsd_imagery.rows.choice import Choice, is_chosen, meant, no_rows, refuse_missing
from nsd_imagery.rows.config import open_config
from nsd_imagery.rows.grids import description
from nsd_imagery.rows.indexed import index_rows, pieces_of_index
from nsd_imagery.rows.recipes import carrying
from nsd_imagery.schema import BETAS, trial_schema
from nsd_imagery.sources.root import Root, find_root
from nsd_imagery.suggest import one_of
from nsd_imagery.trials import is_index, root_of_index
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import resolve
from nsd_imagery.volumes.voxels import voxel_tables

logger = logging.getLogger(__name__)


def choose_rows(
    path: Path | str | None, root: Path | str | None, choice: Choice, cache_dir: Path | str | None = None
) -> Dataset:
    """The rows of a choice: in the order of an index file, else NSD-Imagery before NSD core, each as presented.

    Args:
        path: A built folder, an index file, or a root; None for `root`.
        root: Where the data is, if neither `path` nor the folder `indices/` that the index lies in says so.
        choice: Which rows.
        cache_dir: Of rows of a built folder; see `load.load`.

    Returns:
        Rows of trial configs; those of a built folder are memory-mapped, all others in memory.

    Raises:
        UsageError: A name that is not there, or no row is left.
        MissingDataError: A file or folder is not there.
        DataError: A file is damaged, or the index is of another root.
    """
    choice = meant(choice)
    place = None if path is None else Path(path).expanduser()
    if place is None:
        trials = _of_root(_root(place, root, choice), choice)
    elif not place.exists():
        refuse_without_content(place)
        msg = f"{place}: no such index, root or built folder; write an index with: nsd-imagery index ROOT"
        raise MissingDataError(msg)
    elif is_index(place):
        trials = _of_index(place, root, choice)
    elif read_manifest(place) is None:
        trials = _of_root(_root(place, root, choice), choice)
    else:
        trials = _of_folder(place, choice, cache_dir)
    if not trials.num_rows:
        raise no_rows(choice)
    return trials


def choose_voxels(path: Path | str | None, root: Path | str | None, choice: Choice) -> Dataset:
    """The rows of `-voxels` of the subject and ROI of a choice; see `choose_rows`."""
    choice = meant(choice)
    place = None if path is None else Path(path).expanduser()
    if place is not None and place.is_dir() and read_manifest(place) is not None:
        subject = _subject_of_folder(place, choice)
        return cast(Dataset, open_config(place, config_name(subject, "voxels", choice.roi), "train"))
    if place is not None and is_index(place):
        subject, beta_version, _ = _rows_of_index(place, choice)
        home = _root_behind(place, root, beta_version, choice)
    else:
        home = _root(place, root, choice)
        subject = _subject_of_root(home, choice)
    maps = Maps(home.anatomy(subject))
    (table,) = voxel_tables([resolve(choice.roi, maps)], maps)
    for note in maps.notes:
        warn_once(logger, note)
    info = DatasetInfo(description=description(maps.grid.entry))
    return Dataset(table, info, fingerprint=uuid.uuid4().hex)


def _root(place: Path | None, root: Path | str | None, choice: Choice) -> Root:
    indices = visible(place, "subj[0-9][0-9].parquet") if place else []
    if indices:
        names = ", ".join(sorted(path.name for path in indices))
        msg = f"{place}: is a folder of indices; name one of its files: {names}"
        raise UsageError(msg)
    return find_root(place or root, choice.beta_version or BETA_VERSIONS[0], choice.source)


def _root_behind(index: Path, root: Path | str | None, beta_version: str, choice: Choice) -> Root:
    """The root of an index file: the one that was named, else that whose `indices/` it lies in, else the usual one."""
    return find_root(root_of_index(index) if root is None else root, beta_version, choice.source)


def _of_folder(folder: Path, choice: Choice, cache_dir: Path | str | None) -> Dataset:
    manifest = open_manifest(folder)
    _refuse_other_options(folder, manifest.recipe, choice)
    configs = manifest.trials
    subject = _subject_of_folder(folder, choice)
    names = [config_name(subject, condition, choice.roi) for condition in choice.conditions]
    here = [found for name in names if (found := in_any_letters(name, configs))]
    if not here:
        one_of("config", names[0], configs)
    opened = [cast(DatasetDict, open_config(folder, name, cache_dir=cache_dir)) for name in here]
    loaded = [rows for splits in opened for split, rows in splits.items() if split in choice.splits]
    if not loaded:
        raise no_rows(choice)
    trials = concatenate_datasets(loaded)
    experiment, trial_id = (trials.data.column(name).to_numpy() for name in ("experiment", "trial_id"))
    refuse_missing(choice, trials.data.column("session").unique().to_pylist())
    order = np.lexsort((trial_id, experiment != "nsdimagery"))
    return trials.select(order[is_chosen(trials.data.table, choice)[order]])


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
        refuse_missing(choice, rows["session"].unique().to_pylist())
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


def _read(pieces: Sequence[Piece], rows: pa.Table, choice: Choice) -> Dataset:
    """Dataset rows of pieces, in the order of the index rows that they are of; no others are kept in memory."""
    refuse_missing(choice, {piece.session.session for piece in pieces})
    batches = [batch for piece in pieces for batch in _batches(piece, choice)]
    recipe = pieces[0].recipe
    schema = trial_schema(pieces[0].rois[0].flat.size, recipe.dtype)
    table = carrying(pa.Table.from_batches(batches, schema), recipe)
    trials = Dataset(table, fingerprint=uuid.uuid4().hex)
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
                keep = is_chosen(batch, choice)
                yield batch if keep.all() else batch.filter(pa.array(keep))
