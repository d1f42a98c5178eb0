"""The manifest of a dataset folder: its configs, their shards, and what they were built from."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nsd_imagery.dataset.folder import FORMAT
from nsd_imagery.dataset.jobs import in_order
from nsd_imagery.dataset.journal import Made
from nsd_imagery.dataset.pieces import FORMAT_VERSION, Piece, Recipe, config_splits
from nsd_imagery.errors import FolderError
from nsd_imagery.experiment import CONDITIONS
from nsd_imagery.schema import features_yaml, stats_schema, trial_schema
from nsd_imagery.volumes.roi import DEFAULT_ROI, Roi


def start(pieces: Sequence[Piece], recipe: Recipe, old: dict[str, Any] | None, *, synthetic: bool) -> dict[str, Any]:
    """The manifest of a build without any config.

    Args:
        pieces: What is built.
        recipe: The options.
        old: The manifest of the folder, if it has one.
        synthetic: Whether `synth` wrote the data.

    Raises:
        FolderError: Configs that stay in the folder were built by another recipe.
    """
    new = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "synthetic": synthetic,
        "recipe": recipe.options,
        "configs": {},
    }
    built = {config for piece in pieces for roi in piece.rois for config, _ in config_splits(piece, roi)}
    kept = sorted(name for name, config in (old or new)["configs"].items() if _is_kept(name, config, built))
    _refuse_other_recipe(new, old, kept)
    return new


def describe(pieces: Sequence[Piece], made: Sequence[Made]) -> dict[str, dict[str, Any]]:
    """The configs of the betas that were made of pieces."""
    configs: dict[str, dict[str, Any]] = {}
    by_piece = {(one.key, one.roi): one for one in made}
    for piece in pieces:
        for roi in piece.rois:
            done = by_piece[piece.key, roi.name]
            for shard in done.shards:
                config = configs.setdefault(shard.config, _config(piece, roi, shard.config))
                config["splits"].setdefault(shard.split, []).append({**shard.entry, "piece": piece.key})
                config["sources"][piece.key] = done.source_id
                config["notes"] = list(dict.fromkeys([*config["notes"], *piece.session.notes, *done.notes]))
    return configs


def merge(
    manifest: dict[str, Any],
    old: dict[str, Any] | None,
    built: dict[str, dict[str, Any]],
    staying: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """`manifest` with the configs that were built, and what stays of the old one: other configs, shards of `-stats`.

    Raises:
        FolderError: What stays was built from other files.
    """
    before = old["configs"] if old else {}
    kept = {name: config for name, config in before.items() if name not in built}
    _refuse_other_sources(kept, built)
    for name, shards in staying.items():
        _add_stats(built[name], before[name], shards)
    return {**manifest, "configs": dict(sorted({**kept, **built}.items(), key=_order))}


def take(theirs: Mapping[str, Any], old: dict[str, Any] | None, configs: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a folder with some configs of another dataset in it, beside those of its own that stay.

    Args:
        theirs: The manifest of the other dataset.
        old: That of the folder, if it has one.
        configs: Those of `theirs` to take.

    Raises:
        FolderError: What stays was built by another recipe or from other files, or would lose its statistics.
    """
    before = old["configs"] if old else {}
    kept = [name for name, config in before.items() if name not in configs and config["kind"] != "stimuli"]
    _refuse_other_recipe(theirs, old, kept)
    merged = merge({**theirs, "configs": {}}, old, dict(configs), {})
    of_stats = {
        (config["subject"], config["roi"]): (name, config)
        for name, config in merged["configs"].items()
        if config["kind"] == "stats"
    }
    for name, config in merged["configs"].items():
        if config["kind"] != "trials":
            continue
        stats, held = of_stats.get((config["subject"], config["roi"]), ("", config))
        if not set(config["sources"]) <= set(held["sources"]):
            msg = f"{name} is of sessions that the {stats} to come does not hold; use another --out"
            raise FolderError(msg)
    return merged


def _refuse_other_recipe(new: Mapping[str, Any], old: Mapping[str, Any] | None, kept: Sequence[str]) -> None:
    if old is None or not kept:
        return
    facts = [
        {"format_version": one["format_version"], "synthetic": one["synthetic"], **one["recipe"]} for one in (old, new)
    ]
    for what in dict.fromkeys([*facts[0], *facts[1]]):
        was, now = (one.get(what) for one in facts)
        if was != now:
            msg = (
                f"{', '.join(kept[:3])}: built with {what} {was}, now it is {now}, and one folder holds "
                "one; use another --out, or build those again too"
            )
            raise FolderError(msg)


def _is_kept(name: str, config: Mapping[str, Any], built: Collection[str]) -> bool:
    """`stimuli` fits every recipe, and `-voxels` goes with the `-stats` that every build of its ROI makes anew."""
    if config["kind"] == "stimuli":
        return False
    stats = name.replace("-voxels", "-stats", 1) if config["kind"] == "voxels" else name
    return stats not in built


def _add_stats(config: dict[str, Any], old: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]) -> None:
    config["splits"]["train"] = sorted(
        [*config["splits"]["train"], *shards], key=lambda shard: in_order(shard["piece"])
    )
    config["sources"] |= {shard["piece"]: old["sources"][shard["piece"]] for shard in shards}
    config["notes"] = list(dict.fromkeys([*config["notes"], *old["notes"]]))


def _order(item: tuple[str, dict[str, Any]]) -> tuple[str, bool, str, int]:
    """Subject by subject, nsdgeneral first, conditions before sidecars."""
    config = item[1]
    kinds = [*CONDITIONS, "voxels", "stats", "stimuli"]
    kind = config["condition"] or config["kind"]
    return config["subject"] or "~", config["roi"] != DEFAULT_ROI, config["roi"], kinds.index(kind)


def _config(piece: Piece, roi: Roi, name: str) -> dict[str, Any]:
    kind = name.removeprefix(f"{piece.session.subject}-").removesuffix(roi.suffix)
    schema = stats_schema(roi.flat.size) if kind == "stats" else trial_schema(roi.flat.size, piece.recipe.dtype)
    return {
        "kind": "stats" if kind == "stats" else "trials",
        "subject": piece.session.subject,
        "condition": "" if kind == "stats" else kind,
        "roi": roi.plain_name,
        "n_voxels": int(roi.flat.size),
        "features": features_yaml(schema),
        "splits": {},
        "sources": {},
        "notes": [],
    }


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
