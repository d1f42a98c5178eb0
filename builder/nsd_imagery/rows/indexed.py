"""Pieces from an index file instead of the sources: its rows are checked, then read as those of a build are."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from nsd_imagery.dataset.pieces import Piece, split_rows
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import CONDITIONS
from nsd_imagery.links import is_there
from nsd_imagery.schema import index_schema
from nsd_imagery.shell import quoted
from nsd_imagery.sources.root import Root
from nsd_imagery.sources.session import Session
from nsd_imagery.trials import disagreements, read_index
from nsd_imagery.volumes.formats import whole_or_masked
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.read import check_in_brain, read_header
from nsd_imagery.volumes.roi import resolve

_WRITE_AGAIN = "write it with: nsd-imagery index ROOT"


def index_rows(path: Path) -> pa.Table:
    """The rows of an index file, with the columns and types of an index.

    Raises:
        MissingDataError: No such file.
        DataError: Not an index.
    """
    table, schema = read_index(path), index_schema()
    lacking = [name for name in schema.names if name not in table.column_names]
    if lacking:
        msg = f"{path}: is no trial index, it has no column {', '.join(lacking)}; {_WRITE_AGAIN}"
        raise DataError(msg)
    try:
        rows = table.select(schema.names).cast(schema).combine_chunks()
    except (pa.ArrowException, ValueError) as error:
        msg = f"{path}: a column is not of its type ({error}); {_WRITE_AGAIN}"
        raise DataError(msg) from error
    if len(rows["trial_id"].unique()) != len(rows):
        msg = f"{path}: two rows have one trial_id; {_WRITE_AGAIN}"
        raise DataError(msg)
    return rows


def pieces_of_index(path: Path, rows: pa.Table, root: Root, roi: str, recipe: Recipe) -> list[Piece]:
    """The pieces of one subject's rows, one a beta file, in order of first appearance.

    Args:
        path: The index file, for messages.
        rows: What `index_rows` gave, of one subject and of the recipe's beta version.
        root: Where the betas and masks are.
        roi: A ROI name.
        recipe: The options.

    Raises:
        UsageError: No such ROI, no sound option, or the subject is in both trees.
        MissingDataError: A beta file or mask is not there.
        DataError: The index is of another root, or lacks rows that z-scores need.
    """
    subject = rows["subject"][0].as_py()
    paths = rows["beta_path"].to_numpy()
    named = [rows.take(np.flatnonzero(paths == name)) for name in rows["beta_path"].unique().to_pylist()]
    for of_file in named:
        _refuse_missing_file(path, root.path / of_file["beta_path"][0].as_py())
    own = _own_sessions(rows, root)
    sessions = [_session(path, of_file, root.path, own, whole=recipe.zscore != "none") for of_file in named]
    _refuse_other_labels(path, rows, own, root.path)
    anatomy = root.anatomy(subject)
    rois, brain = (resolve(roi, Maps(anatomy)),), anatomy.brain
    check_in_brain(rois, brain)
    pieces = []
    for session in sessions:
        conditions = tuple(name for name in CONDITIONS if split_rows(session.rows, name))
        valid = anatomy.valid(session.experiment, session.session)
        pieces.append(Piece(session, conditions, rois, brain, recipe, valid))
    return pieces


def _refuse_missing_file(path: Path, beta_path: Path) -> None:
    if not is_there(whole_or_masked(beta_path)):
        msg = f"{beta_path}: no such file, but {path} names it: pass root= of the data that this index is of"
        raise MissingDataError(msg)


def _own_sessions(rows: pa.Table, root: Root) -> dict[str, list[Session]]:
    """What the root says of its sessions, by experiment; none of an experiment whose labelling files are missing."""
    subject = rows["subject"][0].as_py()
    found: dict[str, list[Session]] = {}
    for experiment in rows["experiment"].unique().to_pylist():
        with contextlib.suppress(MissingDataError):
            found[experiment] = root.sessions([subject], [experiment])
    return found


def _session(path: Path, rows: pa.Table, root: Path, own: Mapping[str, list[Session]], *, whole: bool) -> Session:
    """The session of the rows of one beta file."""
    first = rows.slice(0, 1).to_pylist()[0]
    beta_path = whole_or_masked(root / first["beta_path"])
    mine = next((one for one in own.get(first["experiment"], ()) if one.session == first["session"]), None)
    n_volumes = read_header(beta_path).n_volumes
    volumes = rows["beta_index"].to_numpy()
    if len(np.unique(volumes)) != len(volumes) or volumes.min() < 0 or volumes.max() >= n_volumes:
        msg = f"{path}: names a volume twice, or one that {beta_path} (of {n_volumes}) has not; {_WRITE_AGAIN}"
        raise DataError(msg)
    n_trials = n_volumes if mine is None else len(mine.rows)
    if whole and len(rows) != n_trials:
        msg = (
            f"{path}: names {len(rows)} of the {n_trials} volumes of {beta_path}, but z-scores are over all of a run: "
            "leave the index whole and choose rows by condition=, session=, split= or stimuli=, or pass zscore='none'"
        )
        raise DataError(msg)
    if mine is None:
        return Session(first["subject"], first["experiment"], first["session"], beta_path, rows)
    return replace(mine, beta_path=beta_path, rows=rows)


def _refuse_other_labels(path: Path, rows: pa.Table, own: Mapping[str, list[Session]], root: Path) -> None:
    """Another root may have files of the same names and sizes: where this one can label its trials, it must agree."""
    for experiment, sessions in own.items():
        mine = rows.take(np.flatnonzero(np.asarray(rows["experiment"].to_pylist()) == experiment))
        for found in disagreements(mine, sessions, root):
            what = f"{found.column} of trial {found.trial_id} is {found.said!r}, but the files in {root} say"
            what = f"{what} {found.proven!r}" if found.column != "trial_id" else f"{what} nothing of such a trial"
            msg = (
                f"{path}: {what}: this is the index of another root, or an old one; pass its own root=, or write it "
                f"again with: nsd-imagery index {quoted(root)}"
            )
            raise DataError(msg)
