"""What a dataset folder holds, from its manifest alone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nsd_imagery import markup
from nsd_imagery.dataset.begun import Begun, unfinished
from nsd_imagery.dataset.card import notes
from nsd_imagery.dataset.folder import open_manifest, shard_files
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.experiment import CONDITIONS, CORE_SESSIONS, SUBJECTS
from nsd_imagery.links import without_content


class Info(dict[str, Any]):
    """What `info` says, which a notebook shows as a table of configs."""

    def _repr_html_(self) -> str:
        synthetic = "synthetic, " if self["synthetic"] else ""
        recipe = ", ".join(f"{key} {value}" for key, value in self["recipe"].items())
        rows = [
            (name, ", ".join(f"{split} {n:,}" for split, n in one["rows"].items()), one["voxels"], _megabytes(one))
            for name, one in self["configs"].items()
        ]
        below = [self["stopped"]["sentence"]] if self["stopped"] else []
        below += [f"missing: {sentence}" for sentence in self["missing"]]
        below += [f"note: {sentence}" for sentence in self["notes"]]
        return markup.table(
            f"{synthetic}{_megabytes(self)} MB; {recipe}", rows, ("config", "rows", "voxels", "MB"), below
        )


def info(dataset: Path | str) -> Info:
    """Configs, sizes, recipe, and what is missing.

    Args:
        dataset: A built folder.

    Returns:
        `configs` by name (rows by split, voxels, bytes, roi), `recipe`, `format_version`, `synthetic`, `bytes`, and
        `missing`: sentences on subjects, conditions, sessions and shards that are not there; and `notes`: sentences on
        what the rows lack because the root did; and `stopped`: a build that was begun here and not finished, with
        `finished` of `pieces` (or None), the `command` that goes on, and the `sentence` that says so; None if there is
        none.

    Raises:
        MissingDataError: Not a built folder.
        DataError: Its manifest is damaged.
    """
    folder = Path(dataset).expanduser()
    manifest = open_manifest(folder)
    stopped = unfinished(folder, manifest)
    configs = {name: _config(config) for name, config in manifest.configs.items()}
    return Info(
        {
            "configs": configs,
            "recipe": manifest.recipe.options,
            "format_version": manifest.format_version,
            "synthetic": manifest.synthetic,
            "bytes": sum(config["bytes"] for config in configs.values()),
            "missing": _missing(folder, manifest),
            "notes": notes(manifest),
            "stopped": None if stopped is None else _stopped(stopped),
        }
    )


def _megabytes(one: Mapping[str, Any]) -> str:
    return f"{one['bytes'] / 1e6:,.1f}"


def _stopped(build: Begun) -> dict[str, Any]:
    return {
        "finished": build.n_finished,
        "pieces": build.n_pieces,
        "command": build.command,
        "sentence": str(build),
    }


def _config(config: Config) -> dict[str, Any]:
    return {
        "rows": {split: sum(shard.rows for shard in shards) for split, shards in config.splits.items()},
        "voxels": config.n_voxels,
        "roi": config.roi,
        "bytes": sum(shard.bytes for shard in config.shards),
    }


def _missing(folder: Path, manifest: Manifest) -> list[str]:
    configs = manifest.configs.values()
    here = {config.subject for config in configs} - {""}
    sentences = [fault for file in shard_files(manifest) if (fault := _shard_fault(folder, file))]
    lacking: dict[tuple[str, ...], list[str]] = {}
    for subject in sorted(here):
        have = {config.condition for config in configs if config.subject == subject}
        lacking.setdefault(tuple(condition for condition in CONDITIONS if condition not in have), []).append(subject)
    sentences += [f"{', '.join(who)}: not built: {', '.join(what)}" for what, who in lacking.items() if what]
    sentences += _missing_sessions(manifest)
    if others := [subject for subject in SUBJECTS if subject not in here]:
        sentences.append(f"subjects not built: {', '.join(others)}")
    return sentences


def _shard_fault(folder: Path, file: str) -> str | None:
    path = folder / file
    return without_content(path) or (None if path.is_file() else f"{file}: this shard is gone; build again")


def _missing_sessions(manifest: Manifest) -> Iterator[str]:
    """Which sessions of NSD core each subject's perception lacks, said once of ROIs that lack the same."""
    names: dict[tuple[str, str], list[str]] = {}
    for name, config in manifest.configs.items():
        if config.condition == "perception" and (spans := _spans(config)):
            names.setdefault((config.subject, spans), []).append(name)
    for (subject, spans), mine in names.items():
        who = mine[0] if len(mine) == 1 else f"{subject}-perception of {len(mine)} ROIs"
        yield f"{who}: sessions not in the root when it was built: {spans}"


def _spans(config: Config) -> str:
    """The sessions that are not there: "4-40"."""
    have = {int(key.rpartition("/")[2]) for key in config.sources}
    lacking = [n for n in range(1, CORE_SESSIONS[config.subject] + 1) if n not in have]
    starts = [n for n in lacking if n - 1 not in lacking]
    ends = [n for n in lacking if n + 1 not in lacking]
    return ", ".join(f"{a}-{b}" if a < b else f"{a}" for a, b in zip(starts, ends, strict=True))
