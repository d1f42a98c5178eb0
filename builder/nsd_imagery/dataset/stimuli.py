"""The `stimuli` config: one row a target, and one a photograph that stood for a word, over all subjects."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import xxhash

from nsd_imagery.dataset import journal
from nsd_imagery.dataset.manifest import Config
from nsd_imagery.dataset.names import STIMULI
from nsd_imagery.dataset.recipe import FORMAT_VERSION
from nsd_imagery.dataset.shards import Shard, batches_of, open_shard, shard_fault, write_shard
from nsd_imagery.errors import DataError, shown
from nsd_imagery.identity import identity
from nsd_imagery.schema import STIMULI_COLUMNS, stimuli_schema
from nsd_imagery.sources.pictures import open_pictures, pictures_file, png, read_picture, read_png, target_file
from nsd_imagery.sources.session import Session

StimulusRow = dict[str, Any]


def stimulus_rows(sessions: Sequence[Session]) -> list[StimulusRow]:
    """The stimuli that the trials of NSD-Imagery sessions refer to, without their images.

    Raises:
        DataError: Two trials say different things of one stimulus.
    """
    found: dict[str, StimulusRow] = {}
    for session in sessions:
        if session.experiment == "nsdimagery":
            for trial in session.rows.to_pylist():
                for row in _rows_of(trial, session):
                    _add(found, row, session)
    return sorted(found.values(), key=_order)


def make_stimuli(folder: Path, root: Path, rows: Sequence[StimulusRow], old: Config | None) -> Shard:
    """The shard of `stimuli`: rows with their images, and rows of an earlier build that are not among them.

    Args:
        folder: The dataset folder.
        root: Where the pictures are.
        rows: Of `stimulus_rows`.
        old: The config in the earlier manifest, if subjects stay that are not built now.

    Raises:
        DataError: A picture file is damaged, or the shard of the earlier build.
    """
    before = _rows_of_shard(folder, old.shards[0]) if old else []
    names = {row["stimulus"] for row in rows}
    stay = [row for row in before if row["stimulus"] not in names]
    made_of = _fingerprint(root, rows, [row["stimulus"] for row in stay], old)
    shard = journal.kept_shard(folder, STIMULI, made_of)
    if shard is None:
        table = pa.Table.from_pylist(sorted([*_with_images(root, rows), *stay], key=_order), schema=stimuli_schema())
        shard = write_shard(folder, STIMULI, "train", (0, 1), table.schema, batches_of(table))
        journal.write_shard_entry(folder, STIMULI, made_of, shard)
    return shard


def _rows_of_shard(folder: Path, shard: Shard) -> list[StimulusRow]:
    """Rows of an earlier build, proven to be what it made before they get a new hash."""
    if fault := shard_fault(folder, shard):
        msg = f"{fault}; it has rows of subjects that are not built now: build all subjects (without --subjects)"
        raise DataError(msg)
    return open_shard(folder / shard.file).to_pylist()


def without_image(root: Path, rows: Sequence[StimulusRow]) -> str | None:
    """A sentence on the NSD pictures that have no image because the root lacks them."""
    if pictures_file(root) is not None:
        return None
    lacking = [row for row in rows if row["nsd_id"] is not None and not _target_file(root, row)]
    return f"nsd_stimuli.hdf5 is not in the root: {len(lacking)} pictures of stimuli have no image" if lacking else None


def _fingerprint(root: Path, rows: Sequence[StimulusRow], stay: Sequence[str], old: Config | None) -> str:
    files = [pictures_file(root), *(_target_file(root, row) for row in rows)]
    stats = [identity(path) if path else None for path in files]
    said = [FORMAT_VERSION, list(rows), stats, list(stay), old.shards[0].hash if stay and old else ""]
    return xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _target_file(root: Path, row: StimulusRow) -> Path | None:
    """The picture of a target of set A or B."""
    if row["stimulus_set"] not in ("A", "B") or not row["target"]:
        return None
    return target_file(root, row["stimulus_set"], row["target"])


def _rows_of(trial: StimulusRow, session: Session) -> list[StimulusRow]:
    """The row of a trial's target and, where the trial showed a photograph for a word, that of the photograph."""
    named = {column.name: trial[column.name] for column in STIMULI_COLUMNS if column.name in trial}
    if trial["target"] is None and trial["nsd_id"] is None:
        return []
    own = trial["cue"] if trial["cue_matches"] == 1 else None
    captions = list(session.captions.get(trial["coco_id"], ()))
    if trial["target"] is None or trial["stimulus_set"] != "C" or trial["nsd_id"] is None:
        return [{**named, "cue": own, "captions": captions}]
    word = {"stimulus": trial["target"], "nsd_id": None, "coco_id": None, "caption": None, "captions": []}
    return [{**named, **word, "cue": own}, {**named, "target": None, "cue": None, "captions": captions}]


def _add(found: dict[str, StimulusRow], row: StimulusRow, session: Session) -> None:
    known = found.setdefault(row["stimulus"], row)
    for column, value in row.items():
        if known[column] in (None, []):
            known[column] = value
        elif column not in ("caption", "captions") and value not in (None, known[column]):
            msg = (
                f"{session.beta_path}: {column} of {row['stimulus'][:60]} is {shown(value)} here and "
                f"{shown(known[column])} elsewhere"
            )
            raise DataError(msg)


def _order(row: StimulusRow) -> tuple[str, bool, str]:
    """Set by set, targets first."""
    return row["stimulus_set"] or "", not row["target"], row["stimulus"]


def _with_images(root: Path, rows: Sequence[StimulusRow]) -> list[StimulusRow]:
    absent: StimulusRow = {column.name: column.absent for column in STIMULI_COLUMNS}
    filled = [{name: absent[name] if row.get(name) is None else row[name] for name in absent} for row in rows]
    files = [_target_file(root, row) for row in filled]
    images = [read_png(file) if file else None for file in files]
    path = pictures_file(root)
    if path is not None:
        with open_pictures(path) as pictures:
            for at, row in enumerate(filled):
                if images[at] is None and row["nsd_id"] >= 0:
                    images[at] = png(read_picture(pictures, row["nsd_id"], path))
    return [
        {**row, "image": None if image is None else {"bytes": image, "path": None}}
        for row, image in zip(filled, images, strict=True)
    ]
