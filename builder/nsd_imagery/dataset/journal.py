"""What finished pieces left in `.build`: a build that is run again keeps them instead of reading the betas again."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import xxhash

from nsd_imagery.atomic import replace_text, sync_folder
from nsd_imagery.dataset.pieces import FORMAT_VERSION, Piece, smoothing_mask
from nsd_imagery.dataset.places import Job, Positions
from nsd_imagery.dataset.shards import BUILD, LogicalHash, Shard, shard_name
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
    beta_path = job.piece.session.beta_path
    _write(job.folder, _name(job, roi), made.shards, {"stat": _stat(beta_path), "source_id": made.source_id})


def finished(job: Job, roi: Roi) -> Made | None:
    """What an earlier build made of the same file by the same recipe, under the names that it had then."""
    found = _read(job.folder, _name(job, roi), {"stat": _stat(job.piece.session.beta_path)})
    return None if found is None else Made(job.piece.key, roi.name, found[0]["source_id"], found[1])


def kept(job: Job, roi: Roi) -> Made | None:
    """What `finished` gives, its shards under the names that this build gives them."""
    made = finished(job, roi)
    if made is None:
        return None
    renamed = replace(made, shards=tuple(_renamed(job, shard) for shard in made.shards))
    if renamed != made:
        write(job, roi, renamed)
    return renamed


def kept_shard(folder: Path, config: str, made_of: str) -> Shard | None:
    """The one shard of a sidecar that an earlier build made of the same things."""
    found = _read(folder, config, {"made_of": made_of})
    return None if found is None else found[1][0]


def write_shard_entry(folder: Path, config: str, made_of: str, shard: Shard) -> None:
    """Note of what the one shard of a sidecar was made."""
    _write(folder, config, [shard], {"made_of": made_of})


def _write(folder: Path, name: str, shards: Sequence[Shard], said: Mapping[str, Any]) -> None:
    for config in {shard.config for shard in shards}:
        sync_folder(folder / config)
    entry = {**said, "shards": [asdict(shard) for shard in shards], "files": [_stat(folder / s.file) for s in shards]}
    replace_text(folder / BUILD / f"{name}.json", json.dumps(entry))


def _read(folder: Path, name: str, expected: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Shard, ...]] | None:
    """An entry that says what is expected, and its shards; None if there is none, or a shard was touched since."""
    path = folder / BUILD / f"{name}.json"
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
        shards = tuple(Shard(**shard) for shard in entry["shards"])
        same = all(entry[key] == value for key, value in expected.items())
        untouched = entry["files"] == [_stat(folder / shard.file) for shard in shards]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return (entry, shards) if same and untouched and shards else None


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
    for path, entry in entries(folder):
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


def entries(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The entries of a folder that can be read."""
    for path in sorted((folder / BUILD).glob("*.json")):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("shards"), list):
            yield path, entry


def _name(job: Job, roi: Roi) -> str:
    return fingerprint(job.piece, roi)


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
    whole.update(b"" if piece.brain is None else _digest(piece.brain, *_stat(piece.brain)))
    whole.update(b"" if piece.recipe.smoothing_fwhm is None else smoothing_mask(piece).tobytes())
    return whole.hexdigest()


@cache
def _digest(path: Path, _size: int, _mtime_ns: int) -> bytes:
    return xxhash.xxh3_128(path.read_bytes()).digest()


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]
