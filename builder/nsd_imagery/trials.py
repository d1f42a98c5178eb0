"""The trial index, the waist of the house: from the sources' rows to one table that all else is built on.

`index` writes it for people and other programs. A build derives the same rows from the sources each time.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nsd_imagery.atomic import remove_partial, replacing
from nsd_imagery.errors import DataError, MissingDataError, reason
from nsd_imagery.experiment import BETA_VERSIONS, SUBJECTS, Experiment
from nsd_imagery.identity import read_unchanged
from nsd_imagery.links import is_there
from nsd_imagery.locks import waiting
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import StepProgress
from nsd_imagery.schema import index_schema
from nsd_imagery.shell import quoted
from nsd_imagery.sources.missing import Asked
from nsd_imagery.sources.root import find_root
from nsd_imagery.sources.session import Session
from nsd_imagery.spelling import Subjects
from nsd_imagery.volumes.formats import other_formats
from nsd_imagery.volumes.read import rows_with_data

logger = logging.getLogger(__name__)

INDICES = "indices"
FULL_INDEX = "full_index.parquet"
INDEX_FOLDERS: dict[Experiment, str] = {"nsdimagery": "imagery", "nsd": "perception"}

_WRITE = "; write it with: nsd-imagery index ROOT"

_NOT_OF_LABELS = ("is_valid", "caption")


def root_of_index(path: Path) -> Path | None:
    """The root that an index is of: the folder that `indices/`, which it lies in or is, lies in; None if in none."""
    folders = (folder for place in (path.absolute(), path.resolve()) for folder in (place, *place.parents))
    return next((folder.parent for folder in folders if folder.name == INDICES), None)


def full_indices(folder: Path) -> list[Path]:
    """The files of all subjects that the folder of an index holds, NSD-Imagery's first."""
    files = [folder / name / FULL_INDEX for name in INDEX_FOLDERS.values()]
    return [path for path in files if is_there(path)]


def is_index(path: Path) -> bool:
    """Whether a path is a file, or a folder of an index: the one that `index` gives, or one of the two in it."""
    return path.is_file() or bool(_index_files(path))


@barred("step")
def index(
    root: Path | str | None = None,
    subjects: Subjects | None = None,
    betas: str = BETA_VERSIONS[0],
    out: Path | str | None = None,
    *,
    captions: Path | str | None = None,
    source: str | None = None,
    progress: StepProgress | None = None,
) -> Path:
    """Write the trial index as Parquet: `imagery/` for NSD-Imagery, `perception/` for NSD core where the root has it.

    Each holds `subjAA.parquet` a subject, and `full_index.parquet` of all. Reads the betas once to say which rows hold
    data (`is_valid`). An index that is there is brought up to date: files of what the root no longer holds are removed
    and named in a warning; those of subjects that were not asked for stay.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas; default: all whose
            betas are there.
        betas: Beta version.
        out: Where the index goes; default `<root>/indices`.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.
        source: "release" or "cache", for a root that holds a subject in both.
        progress: Called with the name of each session before it is read.

    Returns:
        The folder of the index.

    Raises:
        MissingDataError: A file is not there.
        DataError: A file is damaged, or files contradict each other.
    """
    home = find_root(root, betas, source)
    folder = Path(out).expanduser() if out else home.path / INDICES
    for name in INDEX_FOLDERS.values():
        remove_partial(folder / name)
    names = home.choose(subjects, Asked())
    sessions = home.sessions(names, captions=captions)
    for note in dict.fromkeys(note for session in sessions for note in session.notes):
        logger.warning("%s", note)
    written = set[Path]()
    for (subject, experiment), group in groupby(sessions, lambda session: (session.subject, session.experiment)):
        brain = home.anatomy(subject).brain
        rows = []
        for session in group:
            if progress:
                progress(session.key)
            rows.append(_with_validity(session, brain).rows)
        path = folder / INDEX_FOLDERS[experiment] / f"{subject}.parquet"
        _write(pa.concat_tables(rows), path)
        written.add(path)
    for path in _join(folder, written, SUBJECTS if subjects is None else names):
        logger.warning("%s: was removed, because %s no longer holds such sessions (%s)", path, home.path, betas)
    return folder


def read_index(path: Path | str) -> pa.Table:
    """An index that `index` wrote.

    Args:
        path: One of its files; or the folder that `index` gave, for the rows of all subjects, NSD-Imagery's first.

    Raises:
        MissingDataError: No such file, or a folder without an index.
        DataError: Not a Parquet file.
    """
    place = Path(path).expanduser()
    if not place.is_dir():
        return _read_file(place)
    files = _index_files(place)
    if not files:
        hint = f"; {quoted(place / INDICES)} is one" if _index_files(place / INDICES) else _WRITE
        msg = f"{place}: is a folder without {FULL_INDEX}{hint}"
        raise MissingDataError(msg)
    return pa.concat_tables([_read_file(file) for file in files])


def _index_files(folder: Path) -> list[Path]:
    """The files of all subjects that the folder of an index, or one of the folders in it, holds."""
    own = folder / FULL_INDEX
    return [own] if is_there(own) else full_indices(folder)


def _read_file(path: Path) -> pa.Table:
    if not is_there(path):
        msg = f"{path}: no such index{_WRITE}"
        raise MissingDataError(msg)
    # One of Arrow's threads that lets go of a file of Python's while the process ends aborts it (apache/arrow#34314).
    with pa.OSFile(os.fsencode(path)) as file:
        try:
            return pq.ParquetFile(file).read(use_threads=False)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            msg = f"{path}: is not a sound Parquet file ({reason(error)}); write it again with: nsd-imagery index ROOT"
            raise DataError(msg) from error


@dataclass(frozen=True)
class Disagreement:
    """Where a row of an index is not what the root says of its trial.

    Attributes:
        trial_id: The trial.
        column: The column; "trial_id" if the root has no such trial.
        said: The value in the index.
        proven: That of the root; None for a trial that it has not.
    """

    trial_id: int
    column: str
    said: object
    proven: object


def disagreements(rows: pa.Table, sessions: Sequence[Session], root: Path) -> Iterator[Disagreement]:
    """Where rows of an index are not those that a root gives, in the order of the rows and of the columns.

    Every column counts, because whoever reads the index takes every column for proven, but for two: `is_valid`, which
    `index` reads from the betas and a source does not, and `caption`, which may come of a folder outside the root. A
    `beta_path` may name the same betas in another format, where that is in the root too. Trials of the root that are
    not in the index are no disagreement: part of an index is as true as the whole.

    Args:
        rows: Rows with the columns and types of an index, of one subject, experiment and beta version.
        sessions: All that the root has of these.
        root: The root, which beta paths are relative to.
    """
    names = index_schema().names
    proven = pa.concat_tables([index_schema().empty_table(), *(session.rows.select(names) for session in sessions)])
    position = {trial: at for at, trial in enumerate(proven["trial_id"].to_pylist())}
    trials = rows["trial_id"].to_pylist()
    is_known = np.array([trial in position for trial in trials], np.bool_)
    proven = proven.take(pa.array([position.get(trial) for trial in trials], pa.int64()))
    differs = {
        name: _other_betas(rows[name], proven[name], root)
        if name == "beta_path"
        else _differs(rows[name], proven[name])
        for name in names
        if name not in ("trial_id", *_NOT_OF_LABELS)
    }
    for row in np.flatnonzero(~is_known | np.any(list(differs.values()), axis=0)).tolist():
        if not is_known[row]:
            yield Disagreement(trials[row], "trial_id", trials[row], None)
            continue
        for name in differs:
            if differs[name][row]:
                yield Disagreement(trials[row], name, rows[name][row].as_py(), proven[name][row].as_py())


def _differs(said: pa.ChunkedArray, proven: pa.ChunkedArray) -> NDArray[np.bool_]:
    """(n_rows,) True where two columns do not hold the same; what is absent, null or NaN, equals itself."""
    absent = [column.is_null(nan_is_null=True).to_numpy() for column in (said, proven)]
    same = pc.call_function("equal", [said, proven]).fill_null(False).to_numpy()
    return ~(same | (absent[0] & absent[1]))


def _other_betas(said: pa.ChunkedArray, proven: pa.ChunkedArray, root: Path) -> NDArray[np.bool_]:
    """(n_rows,) True where two columns of paths do not name the same betas."""
    pairs = list(zip(said.to_pylist(), proven.to_pylist(), strict=True))
    same = {pair: pair[0] == pair[1] or (None not in pair and _is_other_format(*pair, root)) for pair in set(pairs)}
    return np.array([not same[pair] for pair in pairs], np.bool_)


def _is_other_format(said: str, proven: str, root: Path) -> bool:
    return Path(said) in other_formats(Path(proven)) and (root / said).is_file()


def _with_validity(session: Session, brain: Path | None) -> Session:
    rows, path = session.rows, session.beta_path
    files = [path] if brain is None else [path, brain]
    _, has_data = read_unchanged(files, lambda: rows_with_data(path, brain))
    volumes = rows["beta_index"].to_numpy()
    if volumes.max(initial=-1) >= len(has_data):
        msg = f"{path}: was replaced by one of {len(has_data)} volumes while its trials were read: run again"
        raise DataError(msg)
    position = rows.schema.get_field_index("is_valid")
    is_valid = pa.array(has_data[volumes] & rows["is_valid"].to_numpy(zero_copy_only=False))
    return replace(session, rows=rows.set_column(position, rows.schema.field(position), is_valid))


def _join(folder: Path, written: Set[Path], subjects: Sequence[str]) -> list[Path]:
    """Write the files of all subjects, and remove those files of some subjects that were not written; gives these."""
    removed = []
    with waiting(folder / ".lock"):  # or of two calls for two subjects, one would not see what the other wrote
        for name in INDEX_FOLDERS.values():
            files = {subject: folder / name / f"{subject}.parquet" for subject in SUBJECTS}
            gone = [files[subject] for subject in subjects if files[subject] not in written]
            parts = [read_index(path) for path in files.values() if path not in gone and is_there(path)]
            full = folder / name / FULL_INDEX
            if parts:
                _write(pa.concat_tables(parts), full)
            for path in gone if parts else [full, *gone]:
                if path.is_file():
                    path.unlink()
                    removed.append(path)
    return removed


def _write(rows: pa.Table, path: Path) -> None:
    with replacing(path) as file:
        pq.write_table(rows.replace_schema_metadata({"pandas": _for_pandas(rows.schema)}), file, compression="zstd")


def _for_pandas(schema: pa.Schema) -> str:
    """What makes pandas open whole numbers that may be absent as such, and not as floats.

    It is the form that pandas itself writes, but for the versions, by which equal rows would be other bytes.
    """
    columns = []
    for field in schema:
        is_word, is_number = pa.types.is_string(field.type), pa.types.is_integer(field.type)
        name = "unicode" if is_word else str(pa.DataType.to_pandas_dtype(field.type)().dtype)
        stored = "object" if is_word else name.capitalize() if is_number and field.nullable else name
        said = {"name": field.name, "field_name": field.name, "pandas_type": name, "numpy_type": stored}
        columns.append({**said, "metadata": None})
    return json.dumps({"index_columns": [], "column_indexes": [], "columns": columns})
