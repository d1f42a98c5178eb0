"""The dataset card, README.md of a built folder: its front matter is what `load_dataset` reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml

from nsd_imagery.schema import BETAS, STATS_COLUMNS, STIMULI_COLUMNS, TRIAL_COLUMNS, VOXEL_COLUMNS, Column

_TEMPLATE = "dataset_card.md"


def card(manifest: dict[str, Any]) -> str:
    """The card of a manifest, in Markdown with YAML front matter."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    template = environment.from_string(_template_file().read_text(encoding="utf-8"))
    first = next((name for name, config in manifest["configs"].items() if config["kind"] == "trials"), "")
    return template.render(
        front_matter=yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True, width=10_000),
        manifest=manifest,
        configs=manifest["configs"],
        trial_columns=column_table([*TRIAL_COLUMNS, BETAS]),
        voxel_columns=column_table(VOXEL_COLUMNS),
        stats_columns=column_table(STATS_COLUMNS),
        stimuli_columns=column_table(STIMULI_COLUMNS),
        example=first,
        notes=notes(manifest),
    )


def front_matter(manifest: dict[str, Any]) -> dict[str, Any]:
    """The YAML part: the exact shard of each split (`configs`), and features and sizes (`dataset_info`)."""
    configs = manifest["configs"]
    return {
        "pretty_name": "NSD-Imagery" + (" (synthetic)" if manifest["synthetic"] else ""),
        "license": "other",
        "license_name": "nsd-terms",
        "license_link": "https://naturalscenesdataset.org",
        "tags": ["fmri", "neuroscience", "mental-imagery", "brain-decoding"],
        "configs": [
            {
                "config_name": name,
                "data_files": [
                    {"split": split, "path": [shard["file"] for shard in shards]}
                    for split, shards in config["splits"].items()
                ],
            }
            for name, config in configs.items()
        ],
        "dataset_info": [_dataset_info(name, config) for name, config in configs.items()],
    }


def notes(manifest: dict[str, Any]) -> list[str]:
    """What the configs of a manifest lack because the root did, each sentence once."""
    return list(dict.fromkeys(note for config in manifest["configs"].values() for note in config["notes"]))


def column_table(columns: Sequence[Column]) -> str:
    """A Markdown table of columns: name, type, what stands where a value is absent, unit, meaning."""
    lines = ["| column | type | absent | unit | meaning |", "|---|---|---|---|---|"]
    for column in columns:
        absent = (
            "" if column.absent is None else "NaN" if isinstance(column.absent, float) else json.dumps(column.absent)
        )
        lines.append(f"| `{column.name}` | {column.type} | {absent} | {column.unit} | {column.meaning} |")
    return "\n".join(lines)


def _dataset_info(name: str, config: dict[str, Any]) -> dict[str, Any]:
    splits = [
        {
            "name": split,
            "num_bytes": sum(shard["bytes"] for shard in shards),
            "num_examples": sum(shard["rows"] for shard in shards),
        }
        for split, shards in config["splits"].items()
    ]
    size = sum(split["num_bytes"] for split in splits)
    return {
        "config_name": name,
        "features": config["features"],
        "splits": splits,
        "download_size": size,
        "dataset_size": size,
    }


def _template_file() -> Path:
    """Beside this file in an installed package, at the repository's root in a checkout."""
    here = Path(__file__).resolve()
    places = [here.with_name(_TEMPLATE), here.parents[3] / _TEMPLATE]
    return next((place for place in places if place.is_file()), places[0])
