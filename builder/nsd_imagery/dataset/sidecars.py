"""The sidecars of a build, which come from masks, tables and pictures alone: `-voxels` and `stimuli`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import xxhash

from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.names import STIMULI, config_name
from nsd_imagery.dataset.pieces import Piece
from nsd_imagery.dataset.shards import batches_of, write_shard
from nsd_imagery.dataset.stimuli import make_stimuli, stimulus_rows, without_image
from nsd_imagery.errors import printable
from nsd_imagery.experiment import NSDIMAGERY_CONDITIONS
from nsd_imagery.schema import features_yaml, stimuli_schema
from nsd_imagery.sources.session import Session
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import Roi
from nsd_imagery.volumes.voxels import voxel_tables


def write_sidecars(pieces: Sequence[Piece], maps: Mapping[str, Maps], root: Path, folder: Path,
                   old: Manifest | None) -> dict[str, Config]:  # fmt: skip
    """Write the sidecars of a build, and give their configs.

    Args:
        pieces: What is built.
        maps: By subject.
        root: Where the pictures are.
        folder: The dataset folder.
        old: The manifest of the folder, if it has one.

    Raises:
        DataError: A mask, a label table or a picture is damaged.
    """
    configs: dict[str, Config] = {}
    rois = {piece.session.subject: piece.rois for piece in pieces}
    for subject in rois:
        for roi, table in zip(rois[subject], voxel_tables(rois[subject], maps[subject]), strict=True):
            configs[config_name(subject, "voxels", roi.name)] = _write_voxels(roi, table, maps[subject], folder)
    _add_stimuli(configs, [piece.session for piece in pieces], root, folder, old)
    return configs


def _write_voxels(roi: Roi, table: pa.Table, maps: Maps, folder: Path) -> Config:
    subject = maps.anatomy.subject
    name = config_name(subject, "voxels", roi.name)
    shard = write_shard(folder, name, "train", (0, 1), table.schema, batches_of(table))
    files = sorted({path.name for path in roi.files})
    sources = dict.fromkeys(files, f"xxh3_128:{xxhash.xxh3_128(roi.flat.tobytes()).hexdigest()}")
    notes = tuple(map(printable, maps.notes))
    return Config("voxels", subject, "", roi.plain_name, int(roi.flat.size),
                  features_yaml(table.schema), {"train": (shard,)}, sources, notes)  # fmt: skip


def _add_stimuli(configs: dict[str, Config], sessions: Sequence[Session], root: Path, folder: Path,
                 old: Manifest | None) -> None:  # fmt: skip
    rows = stimulus_rows(sessions)
    if not rows:
        return
    here = {session.subject for session in sessions if session.experiment == "nsdimagery"}
    before = old.configs if old else {}
    others = any(config.condition in NSDIMAGERY_CONDITIONS and config.subject not in here for config in before.values())
    shard = make_stimuli(folder, root, rows, before.get(STIMULI) if others else None)
    note = without_image(root, rows)
    configs[STIMULI] = Config("stimuli", "", "", "", 0, features_yaml(stimuli_schema()), {"train": (shard,)},
                              notes=(note,) if note else ())  # fmt: skip
