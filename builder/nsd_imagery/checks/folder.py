"""Checks of a built folder: that its shards are those of its manifest, and hold what its card says."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from nsd_imagery.checks.catalogue import FOLDER_CARD, FOLDER_COLUMNS, FOLDER_SCORES, FOLDER_SHARDS, FOLDER_VOXELS
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.rows import check_rows
from nsd_imagery.checks.scores import score_faults
from nsd_imagery.dataset.card import card, front_matter
from nsd_imagery.dataset.folder import README
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.shards import LogicalHash, Shard, open_shard, read_batches, shard_fault
from nsd_imagery.errors import DataError, reason
from nsd_imagery.links import without_content
from nsd_imagery.progress import Begin, unwatched
from nsd_imagery.schema import (
    features_yaml,
    recipe_of,
    stats_schema,
    stimuli_schema,
    trial_schema,
    voxels_schema,
)


def check_folder(
    folder: Path, manifest: Manifest, subjects: Sequence[str] | None, begin: Begin = lambda _: unwatched
) -> Iterator[Finding]:
    """All checks that need nothing but the folder, config by config.

    Args:
        folder: The dataset folder.
        manifest: Its manifest.
        subjects: Default: all that are there.
        begin: Called with each config, and with what is asked of all of them.
    """
    yield check_card(folder, manifest)
    sound = True
    for name, config in manifest.configs.items():
        if subjects and config.subject and config.subject not in subjects:
            continue
        begin(name)
        found = check_shards(folder, name, config)
        yield found
        if found.outcome == "pass":
            tables = _tables(folder, config)
            columns = FOLDER_COLUMNS.judged(
                name, _column_faults(folder, config, manifest, tables), f"{config.n_voxels:,} voxels"
            )
            yield columns
            if columns.outcome == "pass":
                yield from _check_rows(name, config, tables)
                continue
        else:
            yield FOLDER_COLUMNS.skipped(name, "its shards are not sound")
        sound = False
    if sound:
        begin("z-scores")
        yield from _check_scores(folder, manifest, subjects)


def _check_rows(name: str, config: Config, tables: Mapping[str, pa.Table]) -> Iterator[Finding]:
    if config.kind == "voxels":
        yield FOLDER_VOXELS.judged(name, _voxel_faults(tables["train"]), f"{tables['train'].num_rows:,} voxels")
    if config.kind == "trials":
        yield from check_rows(pa.concat_tables([table.drop_columns(["betas"]) for table in tables.values()]), name)


def check_card(folder: Path, manifest: Manifest) -> Finding:
    """The card is made of the manifest alone, so both must be of one build."""
    path = folder / README
    if not path.is_file():
        return FOLDER_CARD.judged(folder.name, [without_content(path) or f"{path}: is not there; build again"], "")
    text = path.read_text(encoding="utf-8", errors="replace")
    if text == card(manifest):
        return FOLDER_CARD.judged(folder.name, [], f"{len(manifest.configs)} configs")
    return FOLDER_CARD.judged(
        folder.name, _card_faults(path, text, manifest), "differs from the template in words only"
    )


def _card_faults(path: Path, text: str, manifest: Manifest) -> Iterator[str]:
    """What of the machine-read part is not the manifest's; the words are for people and may be changed."""
    try:
        said = yaml.safe_load(text.split("---\n")[1])
        configs, infos = ({entry["config_name"]: entry for entry in said[key]} for key in ("configs", "dataset_info"))
    except (yaml.YAMLError, LookupError, TypeError, ValueError, RecursionError) as error:
        yield f"{path}: its YAML cannot be read ({reason(error)})"
        return
    wanted = front_matter(manifest)
    for key, found in (("configs", configs), ("dataset_info", infos)):
        expected = {entry["config_name"]: entry for entry in wanted[key]}
        for name in sorted(expected.keys() | found.keys(), key=str):
            if _without_default(expected.get(name)) != _without_default(found.get(name)):
                yield f"{path}: {key} of {str(name)[:60]} is not that of manifest.json: the card is of another build"


def _without_default(entry: Any) -> Any:
    """What an entry of a card says, but for what a viewer opens first, which older cards do not say."""
    return {key: value for key, value in entry.items() if key != "default"} if isinstance(entry, dict) else entry


def check_shards(folder: Path, name: str, config: Config) -> Finding:
    """Presence, size, sha256 and name of each shard."""
    shards = [(split, shard) for split, shards in config.splits.items() for shard in shards]
    faults = [fault for split, shard in shards for fault in _shard_faults(folder, split, shard)]
    total = sum(shard.bytes for _, shard in shards) / 1e6
    return FOLDER_SHARDS.judged(name, faults, f"{len(shards)} shards, {total:,.1f} MB, by sha256", most=None)


def _shard_faults(folder: Path, split: str, shard: Shard) -> Iterator[str]:
    path = folder / shard.file
    if fault := shard_fault(folder, shard):
        yield fault
    if not path.name.startswith(f"{split}-") or shard.hash[:12] not in path.name:
        yield f"{path}: its name is not that of split {split} and hash {shard.hash[:12]}"


def logical_faults(folder: Path, config: Config) -> Iterator[str]:
    """Shards whose rows have another hash than the manifest says, whatever their bytes."""
    for shard in config.shards:
        logical = LogicalHash(open_shard(folder / shard.file).schema)
        for batch in read_batches(folder / shard.file):
            logical.update(batch)
        if logical.hexdigest() != shard.hash:
            yield f"{folder / shard.file}: rows hash to {logical.hexdigest()[:12]}, not {shard.hash[:12]}"


def _tables(folder: Path, config: Config) -> dict[str, pa.Table]:
    return {
        split: pa.concat_tables([open_shard(folder / shard.file).replace_schema_metadata() for shard in shards])
        for split, shards in config.splits.items()
    }


def _column_faults(folder: Path, config: Config, manifest: Manifest, tables: Mapping[str, pa.Table]) -> Iterator[str]:
    kind, n_voxels = config.kind, config.n_voxels
    for split, table in tables.items():
        expected = {
            "trials": lambda: trial_schema(n_voxels, manifest.recipe.dtype),
            "stats": lambda: stats_schema(n_voxels),
            "stimuli": stimuli_schema,
            "voxels": lambda table=table: voxels_schema(_atlases(table.schema)),
        }[kind]()
        if table.schema != expected:
            yield f"{split}: columns are not those of the schema: {_difference(table.schema, expected)}"
        said = [recipe_of(open_shard(folder / shard.file).schema) for shard in config.splits[split]]
        if any(recipe not in (None, manifest.carried_by(config)) for recipe in said):
            yield f"{split}: its shards say another recipe than the manifest"
        if features_yaml(table.schema) != config.features:
            yield f"{split}: features are not those of the manifest"
        rows = sum(shard.rows for shard in config.splits[split])
        if table.num_rows != rows:
            yield f"{split}: has {table.num_rows} rows, the manifest says {rows}"
        if kind in ("trials", "stats"):
            nulls = [name for name in table.column_names if table[name].null_count]
            if nulls:
                yield f"{split}: has nulls in {', '.join(nulls)}"


def _atlases(schema: pa.Schema) -> list[str]:
    fixed = len(voxels_schema([]))
    return schema.names[fixed:]


def _difference(found: pa.Schema, expected: pa.Schema) -> str:
    missing, more = (sorted(set(a.names) - set(b.names)) for a, b in ((expected, found), (found, expected)))
    types = [name for name in found.names if name in expected.names and found.field(name) != expected.field(name)]
    return f"missing {missing}, unknown {more}, of another type {types}"


def _voxel_faults(table: pa.Table) -> Iterator[str]:
    if table["column"].to_pylist() != list(range(table.num_rows)):
        yield "column does not count from 0"
    ijk = np.stack([table[axis].to_numpy() for axis in "ijk"], axis=1).astype(np.int64)
    steps = np.diff(ijk @ np.array([1 << 40, 1 << 20, 1]))
    if (steps <= 0).any():
        at = int(np.flatnonzero(steps <= 0)[0]) + 1
        yield f"row {at}: voxel {ijk[at].tolist()} does not come after {ijk[at - 1].tolist()} in C order"


def _check_scores(folder: Path, manifest: Manifest, subjects: Sequence[str] | None) -> Iterator[Finding]:
    """Moments of the z-scores of each subject and ROI, group by group, over all configs that are there."""
    for name, stats in manifest.configs.items():
        if stats.kind != "stats" or (subjects and stats.subject not in subjects):
            continue
        if manifest.recipe.zscore == "none":
            yield FOLDER_SCORES.skipped(name, "betas are percent signal change (zscore none)")
            continue
        trials = [config for config in manifest.trials.values() if config.ground == stats.ground]
        try:
            faults = list(score_faults(folder, manifest, stats, trials))
        except DataError as error:
            faults = [str(error)]
        yield FOLDER_SCORES.judged(name, faults, f"{sum(shard.rows for shard in stats.shards)} groups of trials")
