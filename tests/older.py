"""A dataset folder as the format before had it, made of one of now."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from nsd_imagery.dataset.folder import open_manifest, seal
from nsd_imagery.dataset.manifest import Config
from nsd_imagery.dataset.shards import BUILD, Shard, write_shard


def as_format_2(folder: Path, zscore: str | None = None) -> Path:
    """Rewrite a folder as format 2: its shards say no recipe, and `run` is by run and epoch, as `auto` is now.

    Byte for byte what the last version that wrote format 2 makes of the same root (but for `.build`).

    Args:
        folder: A dataset folder; of NSD-Imagery built with zscore `auto` where `zscore` is "run".
        zscore: What its recipe is to say; default: what it says.
    """
    manifest = open_manifest(folder)
    configs = {name: _older(folder, config) for name, config in manifest.configs.items()}
    recipe = replace(manifest.recipe, zscore=zscore or manifest.recipe.zscore)
    seal(folder, replace(manifest, recipe=recipe, configs=configs, format_version=2))
    shutil.rmtree(folder / BUILD, ignore_errors=True)
    return folder


def _older(folder: Path, config: Config) -> Config:
    if config.kind != "trials":
        return config
    splits = {
        split: tuple(_without_recipe(folder, shard, (number, len(shards))) for number, shard in enumerate(shards))
        for split, shards in config.splits.items()
    }
    return replace(config, splits=splits)


def _without_recipe(folder: Path, shard: Shard, position: tuple[int, int]) -> Shard:
    with pa.ipc.open_stream(folder / shard.file) as reader:
        batches = [batch.replace_schema_metadata() for batch in reader]
    made = write_shard(folder, shard.config, shard.split, position, batches[0].schema, batches)
    return replace(made, piece=shard.piece)
