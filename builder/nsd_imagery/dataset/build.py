"""Builds: plan the pieces, run them, seal the folder.

Nothing that is written before the seal is part of the dataset; what a stopped build had finished, the next one keeps.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import xxhash

from nsd_imagery.atomic import replace_text, sync_folder
from nsd_imagery.dataset.folder import BUILD, FORMAT, locked, read_manifest, seal
from nsd_imagery.dataset.pieces import (
    DTYPES,
    FORMAT_VERSION,
    ZSCORES,
    Piece,
    Recipe,
    parts,
    read_piece,
    source_id,
    split_rows,
)
from nsd_imagery.dataset.shards import LogicalHash, Shard, batches_of, shard_name, write_shard
from nsd_imagery.errors import FolderError, MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, CONDITIONS, NSDIMAGERY_CONDITIONS
from nsd_imagery.schema import features_yaml, stats_schema, trial_schema
from nsd_imagery.sources import release
from nsd_imagery.suggest import one_of
from nsd_imagery.trials import find_root, find_subjects, read_sessions
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.nifti import read_volume
from nsd_imagery.volumes.roi import DEFAULT_ROI, Roi, resolve
from nsd_imagery.volumes.voxels import voxel_table

Positions = dict[tuple[str, str], tuple[int, int]]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Job:
    """A piece, and where its shards go; small, and safe to send to another process.

    Attributes:
        piece: The piece, with only those ROIs that are still to do.
        folder: The dataset folder, absolute.
        positions: Of each (config, split): the number of the piece's shard, and how many there are.
    """

    piece: Piece
    folder: Path
    positions: Positions


@dataclass(frozen=True, eq=False)
class Plan:
    """What a build will make.

    Attributes:
        root: Where the data is.
        folder: The dataset folder.
        recipe: The options.
        jobs: The pieces in order, each with all its ROIs.
        anatomies: Masks by subject.
        notes: What the root does not hold, in sentences.
        synthetic: Whether `synth` wrote the root.
    """

    root: Path
    folder: Path
    recipe: Recipe
    jobs: tuple[Job, ...]
    anatomies: dict[str, Anatomy]
    notes: tuple[str, ...]
    synthetic: bool


@dataclass(frozen=True)
class Made:
    """The shards of a piece for one ROI, and what their numbers came from."""

    key: str
    roi: str
    source_id: str
    shards: tuple[Shard, ...]


def build(
    root: Path | str | None = None,
    out: Path | str = "nsd_imagery",
    *,
    subjects: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    roi: str | Sequence[str] = DEFAULT_ROI,
    zscore: str = "auto",
    dtype: str = "float32",
    betas: str = BETA_VERSIONS[0],
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Path:
    """Build the dataset folder, or bring it up to date; configs that are not named stay as they are.

    Args:
        root: Folder with the release tree; default $NSD_CACHE_ROOT, else ./cache.
        out: The dataset folder.
        subjects: Default: all whose betas are there.
        conditions: Default: all that the root holds.
        roi: One or more ROI names; see `volumes.roi`. Each makes configs of its own.
        zscore: "auto", "run", "session" or "none".
        dtype: Of `betas`: "float32" or "float16".
        betas: Beta version.
        executor: Runs the pieces; default: here, one after the other.
        progress: Called with pieces done, pieces in all, and the name of the last one.

    Returns:
        The dataset folder.

    Raises:
        UsageError: An option that cannot be meant.
        MissingDataError: A file is not there.
        DataError: A file is damaged, or files contradict each other.
        FolderError: The folder holds something else, or would mix data of two recipes.
        BusyError: Another build is writing there.
    """
    rois = tuple(dict.fromkeys([roi] if isinstance(roi, str) else roi))
    recipe = Recipe(betas, zscore, dtype)
    todo = plan(find_root(root), Path(out).expanduser().absolute(), subjects, conditions, rois, recipe)
    with locked(todo.folder):
        old = read_manifest(todo.folder)
        made = list(_run(todo, executor, progress))
        manifest = _merge(old, _manifest(todo, made))
        seal(todo.folder, manifest)
    return todo.folder


def plan(root: Path, folder: Path, subjects: Sequence[str] | None, conditions: Sequence[str] | None,
         rois: Sequence[str], recipe: Recipe) -> Plan:  # fmt: skip
    """Find out what to build, without reading a beta or writing a file; see `build`."""
    one_of("zscore", recipe.zscore, ZSCORES)
    one_of("dtype", recipe.dtype, DTYPES)
    for condition in conditions or ():
        one_of("condition", condition, CONDITIONS)
    wanted = tuple(conditions or NSDIMAGERY_CONDITIONS)
    names = find_subjects(root, subjects, recipe.beta_version)
    sessions = read_sessions(root, names, recipe.beta_version)
    anatomies = {name: release.anatomy(root, name) for name in names}
    subject_rois = {name: tuple(resolve(roi, anatomies[name]) for roi in rois) for name in names}
    _refuse_same_suffix(subject_rois)
    pieces = []
    for session in sessions:
        here = tuple(condition for condition in wanted if split_rows(session.rows, condition))
        brain = _brain(anatomies[session.subject])
        pieces.append(Piece(session, here, subject_rois[session.subject], brain, recipe))
    for condition in wanted:
        if not any(condition in piece.conditions for piece in pieces):
            msg = f"{root}: holds no {condition} trials of {', '.join(names)}"
            raise MissingDataError(msg)
    positions = _positions(pieces)
    jobs = tuple(Job(piece, folder, positions[piece.key]) for piece in pieces)
    notes = () if release.has_stim_info(root) else (
        "nsd_stim_info_merged.csv is not in the root: coco_id is absent, and is_shared false everywhere",
    )  # fmt: skip
    return Plan(root, folder, recipe, jobs, anatomies, notes, (root / release.SYNTHETIC_MARKER).is_file())


def make(job: Job) -> list[Made]:
    """Read the beta file of a job once, and write and journal the shards of its ROIs."""
    piece = job.piece
    betas = read_piece(piece)
    made = []
    for roi in piece.rois:
        shards = tuple(
            write_shard(
                job.folder,
                part.config,
                part.split,
                job.positions[part.config, part.split],
                part.schema,
                part.batches,
            )
            for part in parts(piece, betas, roi)
        )
        made.append(Made(piece.key, roi.name, source_id(betas, piece, roi), shards))
        _write_journal(job, roi, made[-1])
    return made


def _brain(anatomy: Anatomy) -> FlatIndex | None:
    return None if anatomy.brain is None else np.flatnonzero(read_volume(anatomy.brain)[0] > 0)


def _refuse_same_suffix(subject_rois: dict[str, tuple[Roi, ...]]) -> None:
    for rois in subject_rois.values():
        by_suffix: dict[str, str] = {}
        for roi in rois:
            if by_suffix.setdefault(roi.suffix, roi.name) != roi.name:
                first = by_suffix[roi.suffix]
                msg = f"ROIs {first} and {roi.name} would both be configs ...{roi.suffix}; rename a mask file"
                raise UsageError(msg)


def _positions(pieces: Sequence[Piece]) -> dict[str, Positions]:
    """By piece, the number of its shard in each (config, split), in the order of the pieces."""
    takers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for piece in pieces:
        for roi in piece.rois:
            for condition in piece.conditions:
                for split in split_rows(piece.session.rows, condition):
                    takers[f"{piece.session.subject}-{condition}{roi.suffix}", split].append(piece.key)
            takers[f"{piece.session.subject}-stats{roi.suffix}", "train"].append(piece.key)
    positions: dict[str, Positions] = defaultdict(dict)
    for place, keys in takers.items():
        for number, key in enumerate(keys):
            positions[key][place] = (number, len(keys))
    return positions


def _run(todo: Plan, executor: Executor | None, progress: Progress | None) -> Iterator[Made]:
    """The shards of all pieces, kept or made, in the order of the plan."""
    total = len(todo.jobs)
    pending = []
    for job in todo.jobs:
        kept = {roi.name: _kept(job, roi) for roi in job.piece.rois}
        left = tuple(roi for roi in job.piece.rois if kept[roi.name] is None)
        rest = replace(job, piece=replace(job.piece, rois=left))
        future = executor.submit(make, rest) if executor and left else None
        pending.append((job, rest, kept, future))
    for done, (job, rest, kept, future) in enumerate(pending):
        if progress:
            progress(done, total, job.piece.key)
        fresh = future.result() if future else make(rest) if rest.piece.rois else []
        by_roi = {**{name: made for name, made in kept.items() if made}, **{made.roi: made for made in fresh}}
        yield from (by_roi[roi.name] for roi in job.piece.rois)
    if progress:
        progress(total, total, "")


def _fingerprint(piece: Piece, roi: Roi) -> str:
    """Everything that decides a piece's shards but the contents of the beta file."""
    rows = LogicalHash(piece.session.rows.schema)
    for batch in piece.session.rows.combine_chunks().to_batches():
        rows.update(batch)
    said = [
        FORMAT_VERSION,
        asdict(piece.recipe),
        piece.key,
        piece.conditions,
        roi.suffix,
        roi.grid.shape,
        rows.hexdigest(),
    ]
    whole = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
    whole.update(roi.flat.tobytes())
    whole.update(b"" if piece.brain is None else piece.brain.tobytes())
    return whole.hexdigest()


def _stat(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _journal_path(job: Job, roi: Roi) -> Path:
    return job.folder / BUILD / f"{_fingerprint(job.piece, roi)}.json"


def _write_journal(job: Job, roi: Roi, made: Made) -> None:
    for config in {shard.config for shard in made.shards}:
        sync_folder(job.folder / config)
    entry = {
        "stat": _stat(job.piece.session.beta_path),
        "source_id": made.source_id,
        "shards": [asdict(s) for s in made.shards],
    }
    replace_text(_journal_path(job, roi), json.dumps(entry))


def _kept(job: Job, roi: Roi) -> Made | None:
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
        _write_journal(job, roi, made)
    return made


def _renamed(job: Job, shard: Shard) -> Shard:
    """A shard whose number or count has changed, as a second link: the dataset of now still names the first."""
    name = shard_name(shard.config, shard.split, job.positions[shard.config, shard.split], shard.hash)
    if name != shard.file:
        (job.folder / name).unlink(missing_ok=True)
        os.link(job.folder / shard.file, job.folder / name)
    return replace(shard, file=name)


def _manifest(todo: Plan, made: Sequence[Made]) -> dict[str, Any]:
    configs: dict[str, dict[str, Any]] = {}
    for job in todo.jobs:
        for roi in job.piece.rois:
            _add_voxels(configs, todo, job.piece.session.subject, roi)
            done = next(one for one in made if (one.key, one.roi) == (job.piece.key, roi.name))
            for shard in done.shards:
                config = configs.setdefault(shard.config, _config(todo, job.piece, roi, shard.config))
                config["splits"].setdefault(shard.split, []).append(_shard_entry(shard))
                config["sources"][job.piece.key] = done.source_id
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "synthetic": todo.synthetic,
        "recipe": asdict(todo.recipe),
        "notes": list(todo.notes),
        "configs": configs,
    }


def _config(todo: Plan, piece: Piece, roi: Roi, name: str) -> dict[str, Any]:
    kind = name.removeprefix(f"{piece.session.subject}-").removesuffix(roi.suffix)
    schema = stats_schema(roi.flat.size) if kind == "stats" else trial_schema(roi.flat.size, todo.recipe.dtype)
    return {
        "kind": "stats" if kind == "stats" else "trials",
        "subject": piece.session.subject,
        "condition": "" if kind == "stats" else kind,
        "roi": roi.name if "/" not in roi.name else Path(roi.name).name,
        "n_voxels": int(roi.flat.size),
        "features": features_yaml(schema),
        "splits": {},
        "sources": {},
    }


def _shard_entry(shard: Shard) -> dict[str, Any]:
    return {key: value for key, value in asdict(shard).items() if key not in ("config", "split")}


def _add_voxels(configs: dict[str, dict[str, Any]], todo: Plan, subject: str, roi: Roi) -> None:
    name = f"{subject}-voxels{roi.suffix}"
    if name in configs:
        return
    table: pa.Table = voxel_table(roi, todo.anatomies[subject])
    shard = write_shard(todo.folder, name, "train", (0, 1), table.schema, batches_of(table))
    files = sorted({path.name for path in roi.files})
    configs[name] = {
        "kind": "voxels",
        "subject": subject,
        "condition": "",
        "roi": roi.name if "/" not in roi.name else Path(roi.name).name,
        "n_voxels": int(roi.flat.size),
        "features": features_yaml(table.schema),
        "splits": {"train": [_shard_entry(shard)]},
        "sources": dict.fromkeys(files, f"xxh3_128:{xxhash.xxh3_128(roi.flat.tobytes()).hexdigest()}"),
    }


def _merge(old: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    """The new manifest with the configs of the old one that were not built again."""
    kept = {name: config for name, config in (old or {"configs": {}})["configs"].items() if name not in new["configs"]}
    if old and kept:
        for what in ("format_version", "recipe", "synthetic"):
            if old[what] != new[what]:
                names = ", ".join(sorted(kept)[:3])
                msg = (
                    f"{names}: built with {what} {old[what]}, now it is {new[what]}, and one folder holds one; "
                    "use another --out, or build those again too"
                )
                raise FolderError(msg)
        _refuse_other_sources(kept, new["configs"])
    configs = {**kept, **new["configs"]}
    return {**new, "configs": {name: configs[name] for name in sorted(configs)}}


def _refuse_other_sources(kept: dict[str, Any], built: dict[str, Any]) -> None:
    """Configs of one session and ROI share their -stats and -voxels, so they must come from the same numbers."""
    for name, config in kept.items():
        for other_name, other in built.items():
            if (config["subject"], config["roi"]) != (other["subject"], other["roi"]):
                continue
            if any(other["sources"].get(key, value) != value for key, value in config["sources"].items()):
                msg = (
                    f"{name} was built from other files than {other_name} is now: build it again too (--conditions), "
                    "or use another --out"
                )
                raise FolderError(msg)
