"""What finished pieces left in `.build`: a build that is run again keeps them instead of reading the betas again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nsd_imagery.atomic import link, replace_text, sync_folder
from nsd_imagery.dataset.jobs import Job, Positions
from nsd_imagery.dataset.names import shard_name
from nsd_imagery.dataset.reading import fingerprint
from nsd_imagery.dataset.shards import BUILD, Shard, shard_fault
from nsd_imagery.errors import DataError
from nsd_imagery.identity import Identity, identity
from nsd_imagery.listing import visible
from nsd_imagery.volumes.roi import Roi


@dataclass(frozen=True)
class Made:
    """What was made of a piece for one ROI.

    Attributes:
        key: Of the piece.
        roi: Name of the ROI.
        entry: Name of its entry in the journal: the `fingerprint` of piece and ROI when the betas were read.
        source_id: What the numbers came from.
        shards: Where they are.
        notes: What they lack, in sentences.
    """

    key: str
    roi: str
    entry: str
    source_id: str
    shards: tuple[Shard, ...]
    notes: tuple[str, ...]


def write(job: Job, made: Made, found: Identity, validity: str, noted_map: Identity | None = None) -> None:
    """Note that a piece is finished for one ROI, after its shards are safely on disk.

    Args:
        job: The job.
        made: What was made.
        found: Identity of the beta file when it was read.
        validity: See `reading.Reading`.
        noted_map: The same.
    """
    said = {"stat": found, "source_id": made.source_id, "validity": validity, "notes": made.notes}
    if noted_map is not None:
        said["noted_map"] = noted_map
    _write(job.folder, made.entry, made.shards, said)


def finished(job: Job) -> dict[str, Made]:
    """By ROI, what an earlier build made of the same file by the same recipe, under the names that it had then.

    The file is known by its identity; the shards are read, and proven to be those that were made. A map of means that
    came later, or in the place of one that fitted, is no reason to read the betas again; one in the place of a map that
    there is a note on is.
    """
    expected = {"stat": identity(job.piece.session.beta_path)}
    entries = {roi: fingerprint(job.piece, roi) for roi in job.piece.rois}
    found = [_found(job, roi, name, expected) for roi, name in entries.items() if _is_note_true(job, name)]
    return {made.roi: made for made in found if made is not None}


def of_other_file(
    job: Job, roi: Roi, entry: str, found: Identity, source_id: str, validity: str | None = None
) -> Made | None:
    """What an earlier build made of another file that holds the same, under the names that this build gives it.

    Args:
        job: The job.
        roi: One of its ROIs.
        entry: The `fingerprint` of piece and ROI when the betas were read.
        found: Identity of the beta file, which is noted instead of that of the other one.
        source_id: What the numbers come from now.
        validity: See `reading.Reading`; None where the source id is of the whole file.
    """
    expected = {"source_id": source_id} if validity is None else {"source_id": source_id, "validity": validity}
    made = _found(job, roi, entry, expected)
    return None if made is None else renumbered(job, made, found)


def source_ids(job: Job) -> list[str]:
    """The source ids of what earlier builds made of a job's piece for its ROIs, whatever its file is now.

    Without those whose note on the map of means is of another map than there is now.
    """
    names = [fingerprint(job.piece, roi) for roi in job.piece.rois]
    entries = [_entry(job.folder, name) for name in names if _is_note_true(job, name)]
    return [entry["source_id"] for entry in entries if entry and isinstance(entry.get("source_id"), str)]


def renumbered(job: Job, made: Made, found: Identity | None = None) -> Made:
    """What was made, its shards under the numbers that they have in this build, on disk and in its entry.

    Args:
        job: The job.
        made: What was made.
        found: Identity of the beta file, where it is not the one of the entry.
    """
    shards = tuple(_renamed(job, shard) for shard in made.shards)
    entry = _entry(job.folder, made.entry)
    if entry is not None and (shards != made.shards or found is not None):
        _write(job.folder, made.entry, shards, {**entry, "stat": found or entry["stat"]})
    return replace(made, shards=shards)


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
    entry = {**said, "shards": [shard.entry for shard in shards]}
    replace_text(folder / BUILD / f"{name}.json", json.dumps(entry))


def _entry(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        entry = json.loads((folder / BUILD / f"{name}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return {"notes": [], **entry} if isinstance(entry, dict) else None


def _is_note_true(job: Job, name: str) -> bool:
    """Whether the map of means that the notes of an entry are on is still the same; also if they are on none."""
    noted, path = (_entry(job.folder, name) or {}).get("noted_map"), job.piece.session.mean_path
    return noted is None or (path is not None and noted == identity(path))


def _read(folder: Path, name: str, expected: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[Shard, ...]] | None:
    """An entry that says what is expected, and its shards; None if there is none, or a shard is not what it was."""
    entry = _entry(folder, name)
    try:
        if entry is None or any(entry[key] != value for key, value in expected.items()):
            return None
        shards = tuple(_shard(shard) for shard in entry["shards"])
        is_sound = all(shard_fault(folder, shard) is None for shard in shards)
    except (KeyError, TypeError):
        return None
    return (entry, shards) if is_sound and shards else None


def _shard(said: dict[str, Any]) -> Shard:
    """A shard of an entry; older ones name its config and split too, which its path does."""
    return Shard(**{key: value for key, value in said.items() if key not in ("config", "split")})


def _found(job: Job, roi: Roi, name: str, expected: Mapping[str, Any]) -> Made | None:
    found = _read(job.folder, name, expected)
    if found is None:
        return None
    entry, shards = found
    return Made(job.piece.key, roi.name, name, entry["source_id"], shards, tuple(entry["notes"]))


def refuse_unsound(folder: Path, staying: Mapping[str, Sequence[Shard]]) -> None:
    """Refuse to take shards that stay into a new dataset unless they are what was built.

    Raises:
        DataError: One is gone or damaged.
    """
    for config, shards in staying.items():
        for shard in shards:
            if fault := shard_fault(folder, shard):
                msg = f"{fault}: {config} is also of {shard.piece}; name the conditions of that too (--conditions)"
                raise DataError(msg)


def relink(
    folder: Path, staying: Mapping[str, Sequence[Shard]], positions: Mapping[str, Positions]
) -> dict[str, list[Shard]]:
    """Give `-stats` shards that stay their positions among the new ones, on disk and in the journals.

    The dataset of now still names them by the old ones, so each has two until the new one is sealed.

    Args:
        folder: The dataset folder.
        staying: These shards, by config.
        positions: By piece key; see `jobs.shard_positions`.

    Returns:
        `staying` with the new names.
    """
    names: dict[str, str] = {}
    for config, shards in staying.items():
        for shard in shards:
            name = shard_name(config, "train", positions[str(shard.piece)][config, "train"], shard.hash)
            link(folder / shard.file, folder / name, folder / BUILD)
            names[shard.file] = name
    for path, entry in entries(folder):
        renamed = [{**shard, "file": names.get(shard["file"], shard["file"])} for shard in entry["shards"]]
        if renamed != entry["shards"]:
            replace_text(path, json.dumps({**entry, "shards": renamed}))
    return {config: [replace(shard, file=names[shard.file]) for shard in shards] for config, shards in staying.items()}


def _renamed(job: Job, shard: Shard) -> Shard:
    """A shard under the number that it has now."""
    name = shard_name(shard.config, shard.split, job.positions[shard.config, shard.split], shard.hash)
    link(job.folder / shard.file, job.folder / name, job.folder / BUILD)
    return replace(shard, file=name)


def entries(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The entries of a folder that can be read."""
    for path in visible(folder / BUILD, "*.json"):
        try:
            entry = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        shards = entry.get("shards") if isinstance(entry, dict) else None
        if isinstance(shards, list) and all(isinstance(s, dict) and isinstance(s.get("file"), str) for s in shards):
            yield path, entry
