"""A built folder or an index against its source: the same rows, derived once more from the root."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from nsd_imagery.checks.catalogue import SOURCE_LABELS, SOURCE_SAME
from nsd_imagery.checks.data import check_mean_map
from nsd_imagery.checks.finding import Finding
from nsd_imagery.dataset.find import find_pieces
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.pieces import Part, Piece, parts
from nsd_imagery.dataset.reading import Reading, read_unproven
from nsd_imagery.dataset.shards import Shard, open_shard
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.progress import Begin, ShareProgress
from nsd_imagery.sources.root import Root, find_root
from nsd_imagery.trials import disagreements


def check_against_root(
    folder: Path,
    manifest: Manifest,
    root: Path,
    subjects: Sequence[str] | None,
    source: str | None,
    *,
    deep: bool,
    guessed: bool,
    begin: Begin,
) -> Iterator[Finding]:
    """Each subject and ROI of a folder against the root; NSD core's sessions only if `deep`.

    Where the root is only guessed ($NSD_CACHE_ROOT or ./cache), one that lacks the subject proves nothing. `begin`
    is called with each session that is read again.
    """
    home = find_root(root, manifest.recipe.beta_version, source)
    for subject in manifest.subjects:
        if subjects and subject not in subjects:
            continue
        mine = [config for config in manifest.trials.values() if config.subject == subject]
        rois = list(dict.fromkeys(config.roi for config in mine))
        files = [roi for roi in rois if roi.endswith((".nii", ".nii.gz"))]
        if files:
            yield SOURCE_SAME.skipped(
                subject, f"ROI {', '.join(files)}: a folder does not say where its mask files were"
            )
        named = [roi for roi in rois if roi not in files]
        conditions = list(dict.fromkeys(config.condition for config in mine))
        if not conditions:
            yield SOURCE_SAME.skipped(subject, "the folder has no trials of this subject")
            continue
        try:
            found = find_pieces(home, manifest.recipe, [subject], conditions, named)
        except (NSDImageryError, OSError) as error:
            what = f"compared with {root}: {error} (is that where it was built from? --root)"
            yield SOURCE_SAME.skipped(subject, what) if guessed else SOURCE_SAME.judged(subject, [what], "")
            continue
        for piece in found.pieces:
            if piece.session.experiment == "nsd" and not deep:
                yield SOURCE_SAME.skipped(piece.key, "NSD core is read again with --deep")
            else:
                read = begin(f"{piece.key} of {root}")
                yield from _check_piece(folder, manifest, piece, root if guessed else None, read)


def _check_piece(
    folder: Path, manifest: Manifest, piece: Piece, guess: Path | None, read: ShareProgress
) -> Iterator[Finding]:
    """One beta file, read once: the rows that it gives, and where there is one what the map of means says of it."""
    faults, reading = [], None
    try:
        reading = read_unproven(piece, read)
    except (NSDImageryError, OSError) as error:
        faults = [str(error)]
    if reading is not None:
        faults = list(_differences(folder, manifest, piece, reading))
    if faults and guess is not None:
        faults.append(f"compared with {guess}; if it was built from another root, name that (--root)")
    if reading is not None and reading.mean_map is not None:
        yield check_mean_map(reading.mean_map, piece.key)
    yield SOURCE_SAME.judged(piece.key, faults, piece.session.beta_path.name)


def _differences(folder: Path, manifest: Manifest, piece: Piece, reading: Reading) -> Iterator[str]:
    recipe = replace(piece.recipe, zscore=manifest.zscore_of(piece.session.experiment))
    try:
        for roi in piece.rois:
            for part in parts(replace(piece, recipe=recipe), reading.betas, roi):
                shard = _shard(manifest, part.config, part.split, piece.key)
                if shard is None:
                    continue
                stored = open_shard(folder / shard.file).replace_schema_metadata()
                yield from _different_columns(stored, part, folder / shard.file)
    except (NSDImageryError, OSError) as error:
        yield str(error)


def _shard(manifest: Manifest, config: str, split: str, key: str) -> Shard | None:
    shards = manifest.configs[config].splits.get(split, ()) if config in manifest.configs else ()
    return next((shard for shard in shards if shard.piece == key), None)


def _different_columns(stored: pa.Table, fresh: Part, path: Path) -> Iterator[str]:
    """Columns that differ, each with its first row; captions may have come from a folder that is not known here."""
    if stored.schema != fresh.schema:
        yield f"{path}: has other columns than the root gives"
        return
    n_rows, told = 0, {"caption"}
    for batch in fresh.batches:
        part = stored.slice(n_rows, batch.num_rows)
        if part.num_rows == batch.num_rows:
            for name in [name for name in batch.schema.names if name not in told]:
                if fault := _difference(name, part[name].combine_chunks(), batch[name], n_rows):
                    told.add(name)
                    yield f"{path}, {fault}"
        n_rows += batch.num_rows
    if n_rows != stored.num_rows:
        yield f"{path}: has {stored.num_rows} rows, the root gives {n_rows}"


def _difference(name: str, one: pa.Array, other: pa.Array, first_row: int) -> str | None:
    if one.equals(other) or _same_with_nan(one, other):
        return None
    row = next(n for n in range(len(one)) if not one[n].equals(other[n]))
    if pa.types.is_fixed_size_list(one.type):
        return f"row {first_row + row}: {name} differs from what the root gives"
    return f"row {first_row + row}: {name} is {one[row].as_py()!r}, the root gives {other[row].as_py()!r}"


def _same_with_nan(one: pa.Array, other: pa.Array) -> bool:
    """Arrow calls NaN unequal to itself."""
    if not pa.types.is_floating(one.type):
        return False
    return np.array_equal(one.to_numpy(zero_copy_only=False), other.to_numpy(zero_copy_only=False), equal_nan=True)


def check_index_rows(rows: pa.Table, roots: Callable[[str], Root], scope: str) -> Finding:
    """The labels of an index against the root that it lies in, which `roots` gives by beta version."""
    return SOURCE_LABELS.judged(scope, _label_faults(rows, roots), f"{rows.num_rows:,} rows")


def _label_faults(rows: pa.Table, roots: Callable[[str], Root]) -> Iterator[str]:
    """Subjects of one index may be of two beta versions: each was indexed by a call of its own."""
    keys = list(zip(*(rows[name].to_pylist() for name in ("subject", "experiment", "beta_version")), strict=True))
    for key in dict.fromkeys(keys):
        subject, experiment, beta_version = key
        try:
            root = roots(beta_version)
            sessions = root.sessions([subject], [experiment])
        except (NSDImageryError, OSError) as error:
            yield str(error)
            continue
        mine = rows.filter(pa.array([other == key for other in keys]))
        for found in disagreements(mine, sessions, root.path):
            if found.column == "trial_id":
                yield f"trial_id {found.trial_id}: the root has no such trial"
            else:
                what = f"{found.column} is {found.said!r}, the root gives {found.proven!r}"
                yield f"trial_id {found.trial_id}: {what}"
