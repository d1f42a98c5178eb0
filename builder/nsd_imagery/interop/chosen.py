"""What an export takes of a dataset folder, or one line that says which build has it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, NSDIMAGERY_CONDITIONS
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI

Shards = tuple[Shard, ...]


@dataclass(frozen=True)
class Subject:
    """One subject of a folder, in nsdgeneral.

    Attributes:
        name: "subj01" to "subj08".
        n_voxels: Of nsdgeneral.
        imagery: The shards of the NSD-Imagery session: imagery, vision and attention.
        perception: The shards of each session of NSD core, from session 1 on without a gap; empty where none is built.
        stats: The shards of `-stats` by session, where betas are z-scores.
    """

    name: str
    n_voxels: int
    imagery: Shards
    perception: tuple[Shards, ...]
    stats: Mapping[str, Shard]

    @property
    def number(self) -> int:
        """1 to 8."""
        return int(self.name.removeprefix("subj"))


def choose_subjects(folder: Path, manifest: Manifest, subjects: Sequence[str] | None) -> list[Subject]:
    """The subjects to export.

    Args:
        folder: The dataset folder, for messages.
        manifest: Its manifest.
        subjects: Default: all that the folder holds.

    Raises:
        UsageError: No such subject, or betas that no decoder of the field was trained on: smoothed, or float16.
        MissingDataError: A condition, nsdgeneral, `-stats` or a session is not in the folder.
        DataError: The folder holds NSD-Imagery of several sessions.
    """
    _refuse_other_betas(folder, manifest.recipe)
    for name in subjects or ():
        one_of("subject", name, manifest.subjects)
    names = list(dict.fromkeys(subjects or sorted(manifest.subjects)))
    if not names:
        msg = f"{folder}: holds no subject; build one: nsd-imagery build ROOT --out {folder}"
        raise MissingDataError(msg)
    return [_subject(folder, manifest, name) for name in names]


def _refuse_other_betas(folder: Path, recipe: Recipe) -> None:
    plain = f"nsd-imagery build ROOT --out FOLDER{_options(Recipe(recipe.beta_version, recipe.zscore))}"
    if recipe.smoothing_fwhm is not None:
        msg = f"{folder}: betas are smoothed ({recipe.smoothing_fwhm:g} mm), and are not to be; build another: {plain}"
        raise UsageError(msg)
    if recipe.dtype != "float32":
        msg = f"{folder}: betas are {recipe.dtype}, and are to be float32; build another folder: {plain}"
        raise UsageError(msg)


def _subject(folder: Path, manifest: Manifest, name: str) -> Subject:
    configs = {
        config.condition or config.kind: config
        for config in manifest.configs.values()
        if config.subject == name and config.roi == DEFAULT_ROI
    }
    again = f"nsd-imagery build ROOT --out {folder} --subjects {name}{_options(manifest.recipe)}"
    if lacking := [condition for condition in NSDIMAGERY_CONDITIONS if condition not in configs]:
        gone = ", ".join(config_name(name, condition, DEFAULT_ROI) for condition in lacking)
        msg = (
            f"{folder}: holds no {gone} (an export has all 720 betas, in {DEFAULT_ROI}); build: {again} "
            f"--conditions {','.join(NSDIMAGERY_CONDITIONS)}; or leave {name} out (--subjects)"
        )
        raise MissingDataError(msg)
    shards = [shard for condition in NSDIMAGERY_CONDITIONS for shard in configs[condition].shards]
    if len(sessions := {shard.piece for shard in shards}) != 1:
        msg = f"{folder}: {name} has NSD-Imagery of {len(sessions)} sessions; an export is of the release's one session"
        raise DataError(msg)
    perception = _perception(folder, configs.get("perception"), again)
    stats = {} if manifest.recipe.zscore == "none" else _stats(folder, configs, [shards, *perception], again)
    return Subject(name, configs["imagery"].n_voxels, tuple(shards), perception, stats)


def _perception(folder: Path, config: Config | None, again: str) -> tuple[Shards, ...]:
    by_session: dict[int, list[Shard]] = defaultdict(list)
    for shard in config.shards if config else ():
        by_session[int(str(shard.piece).rpartition("/")[2])].append(shard)
    gaps = sorted(set(range(1, max(by_session, default=0) + 1)) - set(by_session))
    if config and gaps:
        other = again.replace(str(folder), "FOLDER", 1)
        msg = (
            f"{folder}: {config.subject}-perception lacks session {gaps[0]} of {max(by_session)}, and decoders count "
            f"rows from session 1 on; copy it into ROOT, then {again} --conditions perception; or export a folder "
            f"without perception: {other} --conditions {','.join(NSDIMAGERY_CONDITIONS)}"
        )
        raise MissingDataError(msg)
    return tuple(tuple(by_session[number]) for number in sorted(by_session))


def _stats(
    folder: Path, configs: Mapping[str, Config], sessions: Sequence[Sequence[Shard]], again: str
) -> dict[str, Shard]:
    config = configs.get("stats")
    stats = {str(shard.piece): shard for shard in config.shards} if config else {}
    if lacking := [str(shards[0].piece) for shards in sessions if str(shards[0].piece) not in stats]:
        subject = lacking[0].partition("/")[0]
        name = config_name(subject, "stats", DEFAULT_ROI)
        msg = (
            f"{folder}: {name} does not say what {lacking[0]} was z-scored by; pull {name} too (--configs), or "
            f"build: {again} --conditions {','.join(c for c in configs if c not in ('stats', 'voxels'))}"
        )
        raise MissingDataError(msg)
    return stats


def _options(recipe: Recipe) -> str:
    """The options of a build that makes more of a folder: those that are not the default."""
    said = "" if recipe.zscore == "auto" else f" --zscore {recipe.zscore}"
    return said if recipe.beta_version == BETA_VERSIONS[0] else f"{said} --betas {recipe.beta_version}"
