"""The manifest to come: of what is built, or pulled, and of what stays in the folder."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from nsd_imagery.dataset.jobs import in_order
from nsd_imagery.dataset.journal import Made
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.names import SIDECARS, STIMULI, ConfigName
from nsd_imagery.dataset.pieces import Piece, config_splits
from nsd_imagery.dataset.recipe import FORMAT_VERSION, Recipe
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import FolderError, printable
from nsd_imagery.experiment import CONDITIONS
from nsd_imagery.schema import features_yaml, stats_schema, trial_schema
from nsd_imagery.volumes.roi import DEFAULT_ROI, Roi

Configs = Mapping[str, Config]


def start(
    pieces: Sequence[Piece], recipe: Recipe, old: Manifest | None, *, synthetic: bool, replacing: bool
) -> Manifest:
    """The manifest of a build without any config.

    Args:
        pieces: What is built.
        recipe: The options.
        old: The manifest of the folder, if it has one.
        synthetic: Whether `synth` wrote the data.
        replacing: Whether configs may take the place of those of another recipe.

    Raises:
        FolderError: Configs that stay in the folder were built by another recipe; or those that are built again were,
            and nothing was said of replacing them.
    """
    new = Manifest(synthetic, recipe, {})
    built = {config for piece in pieces for roi in piece.rois for config, _ in config_splits(piece, roi)}
    kept = sorted(name for name in (old or new).configs if _is_kept(name, built))
    _refuse_other_recipe(new, old, kept)
    if old is not None and not replacing:
        _refuse_to_replace(old, recipe, [name for name in old.trials if name in built])
    return new


def renewal(old: Manifest | None) -> tuple[str, ...]:
    """The sentence for a folder that an earlier version wrote, of which a build keeps nothing."""
    if old is None or old.format_version == FORMAT_VERSION:
        return ()
    return (f"the folder is of format {old.format_version}, and {FORMAT_VERSION} is written now: all is made anew",)


def describe(pieces: Sequence[Piece], made: Sequence[Made]) -> dict[str, Config]:
    """The configs of the betas that were made of pieces."""
    configs: dict[str, Config] = {}
    by_piece = {(one.key, one.roi): one for one in made}
    for piece in pieces:
        for roi in piece.rois:
            done = by_piece[piece.key, roi.name]
            for shard in done.shards:
                config = configs.get(shard.config) or _config(piece, roi, shard.config)
                configs[shard.config] = _with(
                    config, replace(shard, piece=piece.key), done.source_id, (*piece.session.notes, *done.notes)
                )
    return configs


def merge(manifest: Manifest, old: Manifest | None, built: Configs, staying: Mapping[str, Sequence[Shard]]) -> Manifest:
    """`manifest` with the configs that were built, and what stays of the old one: other configs, shards of `-stats`.

    Raises:
        FolderError: What stays was built from other files.
    """
    before = old.configs if old else {}
    kept = {name: config for name, config in before.items() if name not in built}
    _refuse_other_masks(kept, before, built)
    _refuse_other_sources(kept, built)
    with_stats = {name: _add_stats(built[name], before[name], shards) for name, shards in staying.items() if shards}
    return replace(manifest, configs=dict(sorted({**kept, **built, **with_stats}.items(), key=_order)))


def take(theirs: Manifest, old: Manifest | None, configs: Configs) -> Manifest:
    """The manifest of a folder with some configs of another dataset in it, beside those of its own that stay.

    Args:
        theirs: The manifest of the other dataset.
        old: That of the folder, if it has one.
        configs: Those of `theirs` to take.

    Raises:
        FolderError: What stays was built by another recipe or from other files, or would lose its statistics.
    """
    before = old.configs if old else {}
    kept = [name for name in before if name not in configs and name != STIMULI]
    _refuse_other_recipe(theirs, old, kept)
    merged = merge(replace(theirs, configs={}), old, configs, {})
    of_stats = {config.ground: (name, config) for name, config in merged.configs.items() if config.kind == "stats"}
    for name, config in merged.trials.items():
        stats, held = of_stats.get(config.ground, ("", config))
        if not set(config.sources) <= set(held.sources):
            msg = f"{name} is of sessions that the {stats} to come does not hold; use another --out"
            raise FolderError(msg)
    return merged


def _refuse_other_recipe(new: Manifest, old: Manifest | None, kept: Sequence[str]) -> None:
    if old is None or not kept:
        return
    facts = (
        {"format_version": one.format_version, "synthetic": one.synthetic, **one.recipe.options} for one in (old, new)
    )
    for what, was, now in _changed(*facts):
        msg = (
            f"{', '.join(kept[:3])}: built with {what} {was}, now it is {now}, and one folder holds "
            "one; use another --out, or build those again too"
        )
        raise FolderError(msg)


def _refuse_to_replace(old: Manifest, recipe: Recipe, configs: Sequence[str]) -> None:
    """What was built by another recipe is somebody's dataset: its numbers would be others under the same names."""
    changed = list(_changed(old.recipe.options, recipe.options))
    if configs and changed:
        said = ", ".join(f"{what} was {was}, and now is {now}" for what, was, now in changed)
        more = f" and {len(configs) - 3} more" if len(configs) > 3 else ""
        msg = (
            f"{', '.join(configs[:3])}{more}: built by another recipe ({said}); use another --out, or let this one "
            "take its place: --replace (in Python, replace=True)"
        )
        raise FolderError(msg)


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    """What two manifests say otherwise: its name, what it was, what it is now."""
    for what in {**old, **new}:
        if old.get(what) != new.get(what):
            yield what, old.get(what), new.get(what)


def _is_kept(name: str, built: Collection[str]) -> bool:
    """`stimuli` fits every recipe, and `-voxels` goes with the `-stats` that every build of its ROI makes anew."""
    named = ConfigName.parse(name)
    if named.kind == STIMULI:
        return False
    return str(replace(named, kind="stats") if named.kind == "voxels" else named) not in built


def _with(config: Config, shard: Shard, source_id: str, notes: Sequence[str]) -> Config:
    """A config with one more shard."""
    return replace(
        config,
        splits={**config.splits, shard.split: (*config.splits.get(shard.split, ()), shard)},
        sources={**config.sources, str(shard.piece): source_id},
        notes=tuple(dict.fromkeys([*config.notes, *map(printable, notes)])),
    )


def _add_stats(config: Config, old: Config, shards: Sequence[Shard]) -> Config:
    """A `-stats` config with shards that stay of the old one, and with its notes but those on what is built now."""
    notes = [note for note in old.notes if not note.startswith(tuple(f"{key}: " for key in config.sources))]
    return replace(
        config,
        splits={
            "train": tuple(sorted([*config.splits["train"], *shards], key=lambda shard: in_order(str(shard.piece))))
        },
        sources={**config.sources, **{str(shard.piece): old.sources[str(shard.piece)] for shard in shards}},
        notes=tuple(dict.fromkeys([*config.notes, *notes])),
    )


def _order(item: tuple[str, Config]) -> tuple[str, bool, str, int]:
    """Subject by subject, nsdgeneral first, conditions before sidecars."""
    config = item[1]
    kinds = [*CONDITIONS, *SIDECARS, STIMULI]
    kind = config.condition or config.kind
    return config.subject or "~", config.roi != DEFAULT_ROI, config.roi, kinds.index(kind)


def _config(piece: Piece, roi: Roi, name: str) -> Config:
    """A config without any shard."""
    kind, n_voxels = ConfigName.parse(name).kind, int(roi.flat.size)
    is_stats = kind == "stats"
    schema = stats_schema(n_voxels) if is_stats else trial_schema(n_voxels, piece.recipe.dtype)
    subject, condition = piece.session.subject, "" if is_stats else kind
    return Config("stats" if is_stats else "trials", subject, condition, roi.plain_name, n_voxels,
                  features_yaml(schema), {})  # fmt: skip


def _refuse_other_masks(kept: Configs, before: Configs, built: Configs) -> None:
    """Columns of what stays are the voxels of the old -voxels, which the new one replaces."""
    for name, voxels in built.items():
        old = before.get(name)
        if voxels.kind != "voxels" or old is None or set(old.sources.values()) == set(voxels.sources.values()):
            continue
        if stays := [other for other, config in kept.items() if config.ground == voxels.ground]:
            msg = (
                f"{stays[0]} was built with other voxels of {voxels.roi} than its masks have now: build it again too "
                "(--conditions), or use another --out"
            )
            raise FolderError(msg)


def _refuse_other_sources(kept: Configs, built: Configs) -> None:
    """Configs of one session and ROI share their -stats and -voxels, so they must come from the same numbers."""
    for name, config in kept.items():
        for other_name, other in built.items():
            if config.ground != other.ground:
                continue
            if any(other.sources.get(key, value) != value for key, value in config.sources.items()):
                msg = (
                    f"{name} was built from other files than {other_name} is now: build it again too (--conditions), "
                    "or use another --out"
                )
                raise FolderError(msg)
