"""The dataset card, README.md of a folder or of a repo on the hub: its front matter is what `load_dataset` reads."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from nsd_imagery.consent import TERMS_LINK
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.names import STIMULI
from nsd_imagery.schema import BETAS, STATS_COLUMNS, STIMULI_COLUMNS, TRIAL_COLUMNS, VOXEL_COLUMNS, Column

_TEMPLATE = "dataset_card.md"

_COLUMNS = {
    "trials": (*TRIAL_COLUMNS, BETAS),
    "voxels": VOXEL_COLUMNS,
    "stats": STATS_COLUMNS,
    "stimuli": STIMULI_COLUMNS,
}
"""By kind of config, the columns that the card explains."""

Files = Mapping[str, tuple[str, int]]
"""By shard of the folder, what is there instead of it, and its size in bytes."""


def card(manifest: Manifest, *, repo: str = "", files: Files | None = None, proof: str = "") -> str:
    """The card of a manifest, in Markdown with YAML front matter.

    Args:
        manifest: Of the dataset.
        repo: OWNER/NAME, for the card of a repo on the hub; default: for the folder itself.
        files: Default: the shards of the folder themselves.
        proof: Markdown on how the labels of this dataset were proven; default: what each build checks.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(_template_file().read_text(encoding="utf-8"))
    configs = manifest.configs
    kinds = list(dict.fromkeys(config.kind for config in configs.values()))
    return template.render(
        front_matter=yaml.safe_dump(front_matter(manifest, files), sort_keys=False, allow_unicode=True, width=10_000),
        manifest=manifest,
        configs=configs,
        tables={kind: column_table(_COLUMNS[kind]) for kind in kinds if kind in _COLUMNS},
        sources=_sources(configs),
        example=next((name for name, config in configs.items() if config.kind == "trials"), ""),
        repo=repo,
        terms=TERMS_LINK,
        proof=proof,
        notes=notes(manifest),
    )


def front_matter(manifest: Manifest, files: Files | None = None) -> dict[str, Any]:
    """The YAML part: the exact files of each split (`configs`), and features and sizes (`dataset_info`).

    What a viewer opens first is `stimuli`, where there is one: a row of betas is up to 325 KB of JSON there.
    """
    configs = manifest.configs
    files = files or {shard.file: (shard.file, shard.bytes) for shard in manifest.shards}
    return {
        "pretty_name": "NSD-Imagery" + (" (synthetic)" if manifest.synthetic else ""),
        "license": "other",
        "license_name": "nsd-terms",
        "license_link": TERMS_LINK,
        "annotations_creators": ["expert-generated"],
        "size_categories": [_size_category(configs)],
        "task_categories": ["other"],
        "tags": ["fmri", "7t-fmri", "neuroscience", "brain-decoding", "mental-imagery", "natural-scenes-dataset"],
        "extra_gated_prompt": (
            "NSD's terms do not allow passing the data on. Access is for people who have accepted these terms "
            f"themselves ({TERMS_LINK}) and work with the owner of this repository."
        ),
        "extra_gated_fields": {
            "Name": "text",
            "Institution": "text",
            "I have accepted the terms of the Natural Scenes Dataset myself": "checkbox",
            "I will not pass on this dataset or anything made of it": "checkbox",
        },
        "configs": [
            {
                "config_name": name,
                **({"default": True} if name == STIMULI else {}),
                "data_files": [
                    {"split": split, "path": [files[shard.file][0] for shard in shards]}
                    for split, shards in config.splits.items()
                ],
            }
            for name, config in configs.items()
        ],
        "dataset_info": [_dataset_info(name, config, files) for name, config in configs.items()],
    }


def notes(manifest: Manifest) -> list[str]:
    """What the configs of a manifest lack because the root did, each sentence once."""
    return list(dict.fromkeys(note for config in manifest.configs.values() for note in config.notes))


def column_table(columns: Sequence[Column]) -> str:
    """A Markdown table of columns: name, type, what stands where a value is absent, unit, meaning."""
    lines = ["| column | type | absent | unit | meaning |", "|---|---|---|---|---|"]
    for column in columns:
        absent = (
            "" if column.absent is None else "NaN" if isinstance(column.absent, float) else json.dumps(column.absent)
        )
        lines.append(f"| `{column.name}` | {column.type} | {absent} | {column.unit} | {column.meaning} |")
    return "\n".join(lines)


def _dataset_info(name: str, config: Config, files: Files) -> dict[str, Any]:
    splits = [
        {
            "name": split,
            "num_bytes": sum(shard.bytes for shard in shards),
            "num_examples": sum(shard.rows for shard in shards),
        }
        for split, shards in config.splits.items()
    ]
    return {
        "config_name": name,
        "features": config.features,
        "splits": splits,
        "download_size": sum(files[shard.file][1] for shard in config.shards),
        "dataset_size": sum(split["num_bytes"] for split in splits),
    }


def _size_category(configs: Mapping[str, Config]) -> str:
    """The hub's word for the number of trials; a trial is counted once, whatever the ROIs that it is there for."""
    trials = {
        (config.subject, config.condition): sum(shard.rows for shard in config.shards)
        for config in configs.values()
        if config.kind == "trials"
    }
    sizes = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M")
    return sizes[min(max(len(str(sum(trials.values()))) - 3, 0), len(sizes) - 1)]


def _sources(configs: Mapping[str, Config]) -> list[tuple[str, str, str]]:
    """Subject and ROI, source and its id, each once: configs of a session and ROI come from the same numbers."""
    return sorted(
        {
            (" ".join(filter(None, config.ground)), source, digest)
            for config in configs.values()
            for source, digest in config.sources.items()
        }
    )


def _template_file() -> Path:
    """Beside this file in an installed package, at the repository's root in a checkout."""
    here = Path(__file__).resolve()
    places = [here.with_name(_TEMPLATE), here.parents[3] / _TEMPLATE]
    return next((place for place in places if place.is_file()), places[0])
