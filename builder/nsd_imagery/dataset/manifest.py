"""The manifest of a dataset folder, `manifest.json`: its configs, their shards, and what they were built from.

`parsing` reads it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nsd_imagery.dataset.recipe import FORMAT_VERSION, Recipe
from nsd_imagery.dataset.shards import Shard

FORMAT = "nsd-imagery"

Features = Sequence[Mapping[str, Any]]

CONFIG_KEYS = ("kind", "subject", "condition", "roi", "n_voxels", "features", "splits", "sources", "notes")


@dataclass(frozen=True)
class Config:
    """One config.

    Attributes:
        kind: "trials", "voxels", "stats" or "stimuli".
        subject: "subj01" to "subj08"; empty for `stimuli`.
        condition: Of trials; else empty.
        roi: The ROI's name, of a mask file without its folders; empty for `stimuli`.
        n_voxels: Of the ROI; 0 for `stimuli`.
        features: Of the rows, as a dataset card has them.
        splits: The shards of each split, in order.
        sources: What the numbers came from: by piece, of `-voxels` by mask file.
        notes: What the rows lack because the root did, in sentences.
    """

    kind: str
    subject: str
    condition: str
    roi: str
    n_voxels: int
    features: Features
    splits: Mapping[str, tuple[Shard, ...]]
    sources: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """Those of all splits."""
        return tuple(shard for shards in self.splits.values() for shard in shards)

    @property
    def ground(self) -> tuple[str, str]:
        """Subject and ROI: what configs share whose rows go with the same `-stats` and `-voxels`."""
        return self.subject, self.roi


@dataclass(frozen=True)
class Manifest:
    """What a dataset folder holds.

    Attributes:
        synthetic: Whether `synth` wrote the data.
        recipe: The options that decided the numbers.
        configs: By name.
        format_version: Of the folder.
    """

    synthetic: bool
    recipe: Recipe
    configs: Mapping[str, Config]
    format_version: int = FORMAT_VERSION

    def zscore_of(self, experiment: str) -> str:
        """The zscore by which `groups_of` finds the groups of an experiment's rows."""
        is_older = self.format_version < FORMAT_VERSION and self.recipe.zscore == "run"
        return "auto" if is_older and experiment == "nsdimagery" else self.recipe.zscore

    def carried_by(self, config: Config) -> dict[str, Any] | None:
        """The recipe that the shards of a config say in their schema, as those of trials do; None where they do not."""
        says = config.kind == "trials" and self.format_version >= FORMAT_VERSION
        return self.recipe.options if says else None

    @property
    def shards(self) -> Iterator[Shard]:
        """Those of all configs."""
        return (shard for config in self.configs.values() for shard in config.shards)

    @property
    def trials(self) -> dict[str, Config]:
        """The configs of trials."""
        return {name: config for name, config in self.configs.items() if config.kind == "trials"}

    @property
    def subjects(self) -> list[str]:
        """In order of appearance."""
        return list(dict.fromkeys(config.subject for config in self.configs.values() if config.subject))


def render(manifest: Manifest) -> str:
    """The text of `manifest.json`."""
    said = {
        "format": FORMAT,
        "format_version": manifest.format_version,
        "synthetic": manifest.synthetic,
        "recipe": manifest.recipe.options,
        "configs": {name: _config_object(config) for name, config in manifest.configs.items()},
    }
    return json.dumps(said, indent=1) + "\n"


def _config_object(config: Config) -> dict[str, Any]:
    splits = {split: [shard.entry for shard in shards] for split, shards in config.splits.items()}
    # In the order that there has always been: the same input gives the same bytes.
    keys = CONFIG_KEYS if config.kind in ("trials", "stats") else (*CONFIG_KEYS[:-2], "notes", "sources")
    return {key: splits if key == "splits" else getattr(config, key) for key in keys}
