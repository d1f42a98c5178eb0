"""What finished pieces left in `.build`: a build that is run again keeps them instead of reading the betas again."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import xxhash

from nsd_imagery.atomic import replace_text, sync_folder
from nsd_imagery.dataset.folder import BUILD
from nsd_imagery.dataset.pieces import FORMAT_VERSION, Piece, smoothing_mask
from nsd_imagery.dataset.places import Job, Positions
from nsd_imagery.dataset.shards import LogicalHash, Shard, shard_name
from nsd_imagery.volumes.roi import Roi


@dataclass(frozen=True)
class Made:
    """The shards of a piece for one ROI, and what their numbers came from."""

    key: str
    roi: str
    source_id: str
    shards: tuple[Shard, ...]


def write(job: Job, roi: Roi, made: Made) -> None:
    """Note that a piece is finished for one ROI, after its shards are safely on disk."""
    for config in {shard.config for shard in made.shards}:
        sync_folder(job.folder / config)
    entry = {
        "stat": _stat(job.piece.session.beta_path),
        "source_id": made.source_id,
        "shards": [asdict(s) for s in made.shards],
    }
    replace_text(_journal_path(job, roi), json.dumps(entry))


def kept(job: Job, roi: Roi) -> Made | None:
    """What an earlier build made of the same file by the same recipe, under the names that this build gives it."""
    path = _journal_path(job, roi)
    if not path.is_file():
        return None
    entry = json.loads(path.read_text(encoding="utf-8"))
    shards = [Shard(**shard) for shard in entry["shards"]]
    files = [job.folder / shard.file for shard in shards]
    whole = all(
        file.is_file() and file.stat().st_size == shard.bytes for file, shard in zip(files, shards, strict=True)
    )
    if entry["stat"] != _stat(job.piece.session.beta_path) or not whole:
        return None
    renamed = [_renamed(job, shard) for shard in shards]
    made = Made(job.piece.key, roi.name, entry["source_id"], tuple(renamed))
    if renamed != shards:
        write(job, roi, made)
    return made


def kept_shard(folder: Path, config: str, made_of: str) -> Shard | None:
    """The one shard of a sidecar that an earlier build made of the same things."""
    path = folder / BUILD / f"{config}.json"
    if not path.is_file():
        return None
    entry = json.loads(path.read_text(encoding="utf-8"))
    shard = Shard(**entry["shards"][0])
    file = folder / shard.file
    return shard if entry["made_of"] == made_of and file.is_file() and file.stat().st_size == shard.bytes else None


def write_shard_entry(folder: Path, config: str, made_of: str, shard: Shard) -> None:
    """Note of what the one shard of a sidecar was made."""
    sync_folder(folder / config)
    replace_text(folder / BUILD / f"{config}.json", json.dumps({"made_of": made_of, "shards": [asdict(shard)]}))


def relink(
    folder: Path, staying: Mapping[str, Sequence[dict[str, Any]]], places: Mapping[str, Positions]
) -> dict[str, list[dict[str, Any]]]:
    """Give `-stats` shards that stay their numbers among the new ones, on disk and in the journals; see `places`.

    Returns:
        `staying` with the new names.
    """
    names: dict[str, str] = {}
    for config, shards in staying.items():
        for shard in shards:
            name = shard_name(config, "train", places[shard["piece"]][config, "train"], shard["hash"])
            _link(folder, shard["file"], name)
            names[shard["file"]] = name
    for path in (folder / BUILD).glob("*.json"):
        entry = json.loads(path.read_text(encoding="utf-8"))
        renamed = [{**shard, "file": names.get(shard["file"], shard["file"])} for shard in entry["shards"]]
        if renamed != entry["shards"]:
            replace_text(path, json.dumps({**entry, "shards": renamed}))
    return {config: [{**shard, "file": names[shard["file"]]} for shard in shards] for config, shards in staying.items()}


def _link(folder: Path, old: str, new: str) -> None:
    """A second link: the dataset of now still names the first."""
    if new != old:
        (folder / new).unlink(missing_ok=True)
        os.link(folder / old, folder / new)


def _renamed(job: Job, shard: Shard) -> Shard:
    """A shard under the number that it has now."""
    name = shard_name(shard.config, shard.split, job.positions[shard.config, shard.split], shard.hash)
    _link(job.folder, shard.file, name)
    return replace(shard, file=name)


def _journal_path(job: Job, roi: Roi) -> Path:
    return job.folder / BUILD / f"{fingerprint(job.piece, roi)}.json"


def fingerprint(piece: Piece, roi: Roi) -> str:
    """Everything that decides a piece's shards but the contents of the beta file."""
    rows = LogicalHash(piece.session.rows.schema)
    for batch in piece.session.rows.combine_chunks().to_batches():
        rows.update(batch)
    said = [
        FORMAT_VERSION,
        piece.recipe.options,
        piece.key,
        piece.conditions,
        roi.suffix,
        roi.grid.shape,
        piece.session.beta_scale,
        rows.hexdigest(),
    ]
    whole = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
    whole.update(roi.flat.tobytes())
    whole.update(b"" if piece.brain is None else piece.brain.tobytes())
    whole.update(b"" if piece.recipe.smoothing_fwhm is None else smoothing_mask(piece).tobytes())
    return whole.hexdigest()


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
