"""`verify`: all checks that fit what a path holds."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nsd_imagery.checks.against_root import check_against_root, check_index_rows
from nsd_imagery.checks.built_agreement import check_built_agreement
from nsd_imagery.checks.catalogue import FOLDER_ROWS, INDEX_COLUMNS, SOURCE_LABELS, SOURCE_SAME
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.folder import check_folder, logical_faults
from nsd_imagery.checks.output import refuse_unwritable, write
from nsd_imagery.checks.report import Report
from nsd_imagery.checks.rows import check_rows
from nsd_imagery.checks.tree import check_tree
from nsd_imagery.dataset.folder import open_manifest, read_manifest
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.shards import BUILD
from nsd_imagery.errors import MissingDataError, NSDImageryError
from nsd_imagery.experiment import BETA_VERSIONS, SYNTHETIC_MARKER
from nsd_imagery.links import is_there, refuse_without_content
from nsd_imagery.listing import visible
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress, counted
from nsd_imagery.schema import index_schema
from nsd_imagery.sources.root import ROOT_VARIABLE, find_root, usual_folder
from nsd_imagery.spelling import Subjects, subjects_of
from nsd_imagery.suggest import one_of
from nsd_imagery.trials import INDEX_FOLDERS, read_index, root_of_index


@barred("count")
def verify(
    path: Path | str,
    subjects: Subjects | None = None,
    *,
    deep: bool = False,
    root: Path | str | None = None,
    betas: str = BETA_VERSIONS[0],
    source: str | None = None,
    output: Path | str | None = None,
    progress: CountProgress | None = None,
) -> Report:
    """Check a root, an index or a built folder: files, labels, numbers, and that the three agree.

    Args:
        path: A root (the release's tree or the Guide's), an index (a Parquet file or the folder `indices`), or a
            dataset folder.
        subjects: Default: all that are there.
        deep: Also read NSD core's betas, both formats of the same betas, and hash every row.
        root: For a dataset folder: where the data is, to make it again from; default $NSD_CACHE_ROOT, else ./cache, if
            that is there.
        betas: Beta version, for a root.
        source: "release" or "cache", for a root that holds a subject in both.
        output: A file that the report is written to, .json, .md or .html.
        progress: Called with how many steps are done, how many there are, and what is read now.

    Returns:
        The report. Whatever is wrong with the data is a finding in it.

    Raises:
        MissingDataError: There is nothing at the path, or none of it is NSD's, or no data of a subject in a root; or no
            folder for `output`.
        UsageError: A subject that is none, or that a folder or an index does not hold; an unknown version, source or
            ending of `output`; or a subject in both trees.
    """
    path = Path(path).expanduser()
    file = None if output is None else Path(output).expanduser()
    if file is not None:
        refuse_unwritable(file)
    found = _verify(path, subjects_of(subjects), Path(root).expanduser() if root else None, betas, source,
                    progress, deep=deep)  # fmt: skip
    if file is not None:
        write(found, file)
    return found


def _verify(path: Path, subjects: Sequence[str] | None, root: Path | None, betas: str, source: str | None,
            progress: CountProgress | None, *, deep: bool) -> Report:  # fmt: skip
    refuse_without_content(path)
    if not path.exists():
        msg = f"{path}: no such file or folder; name a root, an index or a dataset folder"
        raise MissingDataError(msg)
    manifest = read_manifest(path) if path.is_dir() else None
    if manifest is not None:
        home = root or usual_folder()
        return verify_folder(
            path, manifest, subjects, deep=deep, root=home, guessed=root is None, source=source, progress=progress
        )
    if (path / BUILD).is_dir():
        open_manifest(path)  # says that a build was stopped
    if indices := _index_files(path, subjects):
        home = root or root_of_index(path)
        findings = tuple(_check_indices(path, indices, subjects, home, source, progress))
        return Report(str(path), "index", _is_synthetic(home), findings)
    home = find_root(path, betas, source)
    names = home.choose(subjects)
    findings = tuple(check_tree(home, names, deep=deep, progress=progress))
    return Report(str(path), home.tree_of(names), _is_synthetic(path), findings)


def verify_folder(
    folder: Path,
    manifest: Manifest,
    subjects: Sequence[str] | None = None,
    *,
    deep: bool = False,
    root: Path | str | None = None,
    guessed: bool = False,
    source: str | None = None,
    progress: CountProgress | None = None,
) -> Report:
    """Check a dataset folder; see `verify`.

    Args:
        folder: The dataset folder.
        manifest: Its manifest.
        subjects: Default: all that are there.
        deep: Also hash every row.
        root: Where the data is; None for the folder alone.
        guessed: Whether nobody named the root, so that it may be of other data.
        source: "release" or "cache", for a root that holds a subject in both.
        progress: Called with how many steps are done, how many there are, and what is read now.

    Raises:
        MissingDataError: No such root.
        UsageError: A subject that the folder does not hold.
    """
    for subject in subjects or ():
        one_of("subject", subject, manifest.subjects, where=folder)
    home = None if root is None else Path(root).expanduser()
    if home is not None:
        refuse_without_content(home)
    if home is not None and not home.is_dir():
        msg = f"{root}: no such folder; name the root that the dataset was built from"
        raise MissingDataError(msg)
    findings = _check_dataset(folder, manifest, subjects, home, source, progress, deep=deep, guessed=guessed)
    return Report(str(folder), "dataset", manifest.synthetic, tuple(findings))


def _check_dataset(folder: Path, manifest: Manifest, subjects: Sequence[str] | None, root: Path | None,
                   source: str | None, progress: CountProgress | None, *, deep: bool,
                   guessed: bool) -> Iterator[Finding]:  # fmt: skip
    begin = counted(_n_steps(manifest, subjects, root, deep=deep), progress)
    findings = list(check_folder(folder, manifest, subjects, begin))
    yield from findings
    if any(finding.outcome == "fail" for finding in findings if finding.id in ("folder.shards", "folder.columns")):
        yield SOURCE_SAME.skipped(folder.name, "shards are not sound")
        return
    yield from check_built_agreement(folder, manifest, subjects, begin)
    if deep:
        for name, config in manifest.configs.items():
            begin(f"{name}: hash of its rows")
            yield FOLDER_ROWS.judged(name, logical_faults(folder, config), "all shards")
    if root is None:
        reason = f"no root is known (--root, ${ROOT_VARIABLE} or ./cache)"
        yield SOURCE_SAME.skipped(folder.name, reason)
        return
    yield from check_against_root(folder, manifest, root, subjects, source, deep=deep, guessed=guessed, begin=begin)


def _n_steps(manifest: Manifest, subjects: Sequence[str] | None, root: Path | None, *, deep: bool) -> int:
    """Configs, their z-scores, the betas against their labels, hashes of rows, and sessions of the root."""
    mine = [config for config in manifest.configs.values() if not (subjects and config.subject not in {"", *subjects})]
    trials = [config for config in mine if config.kind == "trials" and (deep or config.condition != "perception")]
    pieces = set() if root is None else {shard.piece for config in trials for shard in config.shards}
    n_subjects = len([name for name in manifest.subjects if not subjects or name in subjects])
    return len(mine) + 1 + n_subjects + (len(manifest.configs) if deep else 0) + len(pieces)


def _check_indices(path: Path, files: Sequence[Path], subjects: Sequence[str] | None, root: Path | None,
                   source: str | None, progress: CountProgress | None) -> Iterator[Finding]:  # fmt: skip
    roots, begin = cache(partial(find_root, root, source=source)), counted(len(files), progress)
    for file in files:
        scope = f"{file.parent.name}/{file.name}"
        begin(scope)
        try:
            rows = read_index(file)
        except NSDImageryError as error:
            yield INDEX_COLUMNS.judged(scope, [error], "")
            continue
        faults = _schema_faults(rows.schema)
        yield INDEX_COLUMNS.judged(scope, faults, f"{rows.num_rows:,} rows")
        if faults:
            continue
        if subjects:
            if file == path:  # one that was named may be of several subjects
                for subject in subjects:
                    one_of("subject", subject, sorted(set(rows["subject"].to_pylist())), where=file)
            rows = rows.filter(pc.field("subject").isin(list(subjects)))
        yield from check_rows(rows, scope)
        if root is None:
            yield SOURCE_LABELS.skipped(scope, "the root is not known (--root)")
        elif rows.num_rows:
            yield check_index_rows(rows, roots, scope)


def _schema_faults(schema: pa.Schema) -> list[str]:
    expected = index_schema()
    missing = [name for name in expected.names if name not in schema.names]
    types = [n for n in expected.names if n in schema.names and schema.field(n).type != expected.field(n).type]
    return [f"column {name} is not there" for name in missing] + [
        f"column {name} is {schema.field(name).type}, not {expected.field(name).type}" for name in types
    ]


def _index_files(path: Path, subjects: Sequence[str] | None) -> list[Path]:
    """The index files that a path means: a file, one of the folders, or the folder `indices`.

    Raises:
        UsageError: A subject of whom a folder has none.
    """
    if path.suffix == ".parquet":
        return [path]
    folders = [path, *(path / name for name in INDEX_FOLDERS.values())]
    files = [file for folder in folders for file in visible(folder, "subj[0-9][0-9].parquet")]
    for subject in subjects or () if files else ():
        one_of("subject", subject, sorted({file.stem for file in files}), where=path)
    return [file for file in files if not subjects or file.stem in subjects]


def _is_synthetic(root: Path | None) -> bool:
    return root is not None and is_there(root / SYNTHETIC_MARKER)
