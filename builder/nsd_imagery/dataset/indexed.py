"""Pieces from an index file instead of the sources: its rows are checked, then read as those of a build are."""

import contextlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from nsd_imagery.dataset.pieces import Piece, Recipe, split_rows
from nsd_imagery.dataset.plan import brain_voxels
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import CONDITIONS
from nsd_imagery.schema import index_schema
from nsd_imagery.sources import release
from nsd_imagery.sources.session import Session
from nsd_imagery.trials import read_index, read_sessions
from nsd_imagery.volumes.read import read_header
from nsd_imagery.volumes.roi import resolve

_LABELS = ("condition", "stimulus", "target", "run_number", "epoch", "beta_index")
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


def pieces_of_index(path: Path, rows: pa.Table, root: Path, roi: str, zscore: str) -> list[Piece]:
    """The pieces of one subject's rows, one a beta file, in order of first appearance.

    Args:
        path: The index file, for messages.
        rows: What `index_rows` gave, of one subject and beta version.
        root: Where the betas and masks are.
        roi: A ROI name.
        zscore: "auto", "run", "session" or "none".

    Raises:
        UsageError: No such ROI.
        MissingDataError: A beta file or mask is not there.
        DataError: The index is of another root, or lacks rows that z-scores need.
    """
    first = rows.slice(0, 1).to_pylist()[0]
    anatomy = release.anatomy(root, first["subject"])
    rois, brain = (resolve(roi, anatomy),), brain_voxels(anatomy)
    recipe = Recipe(first["beta_version"], zscore)
    pieces = []
    paths = rows["beta_path"].to_numpy()
    for beta_path in rows["beta_path"].unique().to_pylist():
        session = _session(path, rows.take(np.flatnonzero(paths == beta_path)), root)
        _refuse_other_volumes(path, session, whole=zscore != "none")
        conditions = tuple(name for name in CONDITIONS if split_rows(session.rows, name))
        pieces.append(Piece(session, conditions, rois, brain, recipe))
    _refuse_other_labels(path, rows, root)
    return pieces


def _session(path: Path, rows: pa.Table, root: Path) -> Session:
    first = rows.slice(0, 1).to_pylist()[0]
    beta_path = root / first["beta_path"]
    if not beta_path.is_file():
        msg = f"{beta_path}: no such file, but {path} names it: pass root= of the data that this index is of"
        raise MissingDataError(msg)
    return Session(first["subject"], first["experiment"], first["session"], beta_path, rows.combine_chunks())


def _refuse_other_volumes(path: Path, session: Session, *, whole: bool) -> None:
    volumes = session.rows["beta_index"].to_numpy()
    n_volumes = read_header(session.beta_path).n_volumes
    if len(np.unique(volumes)) != len(volumes) or volumes.min() < 0 or volumes.max() >= n_volumes:
        msg = f"{path}: names a volume twice, or one that {session.beta_path} (of {n_volumes}) has not: {_WRITE_AGAIN}"
        raise DataError(msg)
    if whole and len(volumes) != n_volumes:
        msg = (
            f"{path}: names {len(volumes)} of the {n_volumes} volumes of {session.beta_path}, but z-scores are over "
            "all of a run: leave the index whole and choose rows by condition=, session=, split= or stimuli=, or pass "
            "zscore='none'"
        )
        raise DataError(msg)


def _refuse_other_labels(path: Path, rows: pa.Table, root: Path) -> None:
    """Another root may have files of the same names and sizes; where this one can label its trials, it must agree."""
    columns = ["trial_id", *_LABELS]
    own = {row["trial_id"]: row for row in _rows_of_root(rows, root).select(columns).to_pylist()}
    for row in rows.select(columns).to_pylist():
        said = own.get(row["trial_id"], row)
        if row != said:
            wrong = next(name for name in _LABELS if row[name] != said[name])
            msg = (
                f"{path}: {wrong} of trial {row['trial_id']} is {row[wrong]!r}, but the files in {root} say "
                f"{said[wrong]!r}: this is the index of another root, or an old one; pass its own root=, or write it "
                f"again with: nsd-imagery index {root}"
            )
            raise DataError(msg)


def _rows_of_root(rows: pa.Table, root: Path) -> pa.Table:
    """What the sources say of the subject and experiments of some rows; nothing where files that label are missing."""
    subject, betas = rows["subject"][0].as_py(), rows["beta_version"][0].as_py()
    found = [rows.slice(0, 0)]
    for experiment in rows["experiment"].unique().to_pylist():
        with contextlib.suppress(MissingDataError):
            found += [session.rows for session in read_sessions(root, [subject], betas, [experiment])]
    return pa.concat_tables(found)
