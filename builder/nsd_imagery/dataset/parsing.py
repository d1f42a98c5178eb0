"""Reads `manifest.json`, strictly: it comes with its folder, and that may come from anywhere.

What is given is of the form that a build writes, or all of it is refused in one line.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from nsd_imagery.dataset.manifest import CONFIG_KEYS, FORMAT, Config, Manifest
from nsd_imagery.dataset.names import SPLITS, STIMULI, ConfigName, shard_name
from nsd_imagery.dataset.recipe import FORMAT_VERSION, OLDEST_FORMAT, Recipe
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import DataError, UsageError, reason, shown
from nsd_imagery.experiment import CONDITIONS, EXPERIMENTS, SUBJECTS

_T = TypeVar("_T")

_KEYS = ("format", "format_version", "synthetic", "recipe", "configs")
_SHARD_KEYS = ("file", "rows", "bytes", "sha256", "hash")
_OPTIONS = ("beta_version", "zscore", "dtype")

_MOST = {"n_voxels": 1 << 25, "rows": 1 << 31, "bytes": 1 << 44}
"""Counts far above what there is, and small enough that sums of them are numbers like any other."""

_LONGEST = 10_000
"""Letters of a text."""

_LARGEST = 1 << 26
"""Bytes of a manifest: ten times that of all of NSD in twenty ROIs."""

_REMEDY = "build into another --out"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
"""What moves the cursor of a terminal, turns the direction of a text, or is half a character."""
_PIECE = re.compile(rf"({'|'.join(SUBJECTS)})/({'|'.join(EXPERIMENTS)})/[0-9][0-9]")


class _FaultError(ValueError):
    """What is wrong with a manifest, in one line."""


def read(path: Path, where: Path | str, remedy: str = _REMEDY) -> Manifest | None:
    """Read a `manifest.json`; see `parse`."""
    if path.stat().st_size > _LARGEST:
        msg = f"{where}: is too large for a manifest of nsd-imagery; {remedy}"
        raise DataError(msg)
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        msg = f"{where}: is not a manifest of nsd-imagery (it is no UTF-8 at byte {error.start}); {remedy}"
        raise DataError(msg) from error
    return parse(text, where, remedy)


def parse(text: str, where: Path | str, remedy: str = _REMEDY) -> Manifest | None:
    """Read the text of `manifest.json`; None where it is of another program.

    Args:
        text: The text.
        where: The file or repo that it is of, for messages.
        remedy: What to do about a damaged one.

    Raises:
        DataError: It is not what a build writes, or a later version of this package wrote it.
    """
    faults: list[str] = []  # of the form, which a newer format may have changed
    try:
        said = json.loads(text, object_pairs_hook=partial(_object, faults), parse_constant=partial(_constant, faults))
        if not isinstance(said, dict) or "format" not in said:
            _wrong("it does not say its format")
        if said["format"] != FORMAT:
            return None
        if not _is_newer(said.get("format_version")):
            for fault in faults:
                _wrong(fault)
            return _manifest(said)
    except (ValueError, RecursionError) as error:
        msg = f"{where}: is not a manifest of nsd-imagery ({reason(error)}); {remedy}"
        raise DataError(msg) from error
    version, known = shown(said["format_version"]), f"{OLDEST_FORMAT} and {FORMAT_VERSION}"
    msg = f"{where}: is of folder format {version}, and this nsd-imagery reads {known}: upgrade nsd-imagery"
    raise DataError(msg)


def _is_newer(version: Any) -> bool:
    return type(version) is int and version > FORMAT_VERSION


def _manifest(said: Mapping[str, Any]) -> Manifest:
    version = said.get("format_version")
    if type(version) is not int or not OLDEST_FORMAT <= version <= FORMAT_VERSION:
        _wrong(f"folder format {shown(version)}, not {OLDEST_FORMAT} or {FORMAT_VERSION}")
    _only(said, _KEYS)
    configs = _typed(said, "configs", dict)
    if not configs:
        _wrong("it has no configs")
    recipe = _recipe(_typed(said, "recipe", dict))
    parsed = {}
    for name, config in configs.items():
        try:
            parsed[name] = _config(name, config)
        except _FaultError as error:
            msg = f"{shown(name)}: {error}"
            raise _FaultError(msg) from error
    _check_widths(parsed)
    return Manifest(_typed(said, "synthetic", bool), recipe, parsed, version)


def _config(name: str, said: Any) -> Config:
    _only(said, CONFIG_KEYS)
    try:
        named = ConfigName.parse(name)
    except UsageError as error:
        raise _FaultError("is the name of no config") from error
    kind, condition = _text(said, "kind"), _text(said, "condition")
    subject, roi = _text(said, "subject"), _text(said, "roi")
    is_trials = named.kind in CONDITIONS
    if (kind, condition) != (("trials", named.kind) if is_trials else (named.kind, "")):
        _wrong(f"is of kind {shown(kind)} and condition {shown(condition)}, and its name says otherwise")
    if subject != named.subject or not (named.is_of(roi) if named.kind != STIMULI else roi == ""):
        _wrong(f"is of subject {shown(subject)} and ROI {shown(roi)}, and its name says otherwise")
    n_voxels = _count(said, "n_voxels")
    if (n_voxels == 0) != (kind == "stimuli"):
        _wrong(f"has {n_voxels} voxels")
    sources = {_clean(key): _clean(value) for key, value in _typed(said, "sources", dict).items()}
    splits = {split: _shards(name, split, shards) for split, shards in _typed(said, "splits", dict).items()}
    known = SPLITS if condition == "perception" else ("test",) if is_trials else ("train",)
    if not splits or not set(splits) <= set(known):
        _wrong(f"has splits {shown(list(splits))}")
    config = Config(kind, subject, condition, roi, n_voxels, _features(said, n_voxels), splits, sources,
                    tuple(_clean(note) for note in _typed(said, "notes", list)))  # fmt: skip
    for shard in config.shards:
        _check_piece(shard, config)
    for split, shards in splits.items():
        if len({shard.piece for shard in shards}) < len(shards):
            _wrong(f"split {split} has two shards of one session, or of none")
    if kind == "voxels" and sum(shard.rows for shard in config.shards) != n_voxels:
        _wrong(f"has {n_voxels} voxels, and not as many rows")
    return config


def _check_widths(configs: Mapping[str, Config]) -> None:
    """Rows of a subject and ROI have a column for each row of its `-voxels`."""
    first: dict[tuple[str, str], str] = {}
    for name, config in configs.items():
        other = first.setdefault(config.ground, name)
        if config.n_voxels != configs[other].n_voxels:
            _wrong(f"{shown(name)} has {config.n_voxels} voxels, and {shown(other)} {configs[other].n_voxels}")


def _shards(config: str, split: str, said: Any) -> tuple[Shard, ...]:
    if not isinstance(said, list) or not said:
        _wrong(f"split {shown(split)} is no list of shards")
    return tuple(_shard(config, split, (number, len(said)), entry) for number, entry in enumerate(said))


def _shard(config: str, split: str, position: tuple[int, int], said: Any) -> Shard:
    _only(said, _SHARD_KEYS, ("piece",))
    digests = {key: _text(said, key) for key in ("sha256", "hash")}
    for (key, digest), length in zip(digests.items(), (64, 32), strict=True):
        if not re.fullmatch(rf"[0-9a-f]{{{length}}}", digest):
            _wrong(f"a shard has {key} {shown(digest)}")
    file = _text(said, "file")
    if file != shard_name(config, split, position, digests["hash"]):
        _wrong(f"a shard is {shown(file)}, a name that nsd-imagery does not write")
    piece = _text(said, "piece") if "piece" in said else None
    return Shard(file, _count(said, "rows"), _count(said, "bytes"), digests["sha256"], digests["hash"], piece)


def _check_piece(shard: Shard, config: Config) -> None:
    """Trials and statistics are of a session, which is a source of their config; other rows are of none."""
    if config.kind in ("voxels", "stimuli"):
        if shard.piece is not None:
            _wrong(f"a shard is of session {shown(shard.piece)}")
        return
    named = _PIECE.fullmatch(shard.piece or "")
    is_core = None if config.kind == "stats" else config.condition == "perception"
    if named is None or named[1] != config.subject or is_core not in (None, named[2] == "nsd"):
        _wrong(f"a shard is of session {shown(shard.piece)}")
    if shard.piece not in config.sources:
        _wrong(f"does not say the source of {shown(shard.piece)}")


def _recipe(said: Mapping[str, Any]) -> Recipe:
    _only(said, _OPTIONS, ("smoothing_fwhm",))
    texts = {key: _text(said, key) for key in _OPTIONS}
    fwhm = said.get("smoothing_fwhm")
    if "smoothing_fwhm" in said and type(fwhm) not in (int, float):
        _wrong(f"has smoothing_fwhm {shown(fwhm)}")
    try:
        return Recipe(**texts, smoothing_fwhm=fwhm)
    except (UsageError, OverflowError) as error:
        msg = f"its recipe: {reason(error)}"
        raise _FaultError(msg) from error


def _features(said: Mapping[str, Any], n_voxels: int) -> list[dict[str, Any]]:
    """Each a name and a type; a vector has a number a voxel."""
    features = _typed(said, "features", list)
    for feature in features:
        is_scalar = isinstance(feature, dict) and "dtype" in feature
        _only(feature, ("name", "dtype") if is_scalar else ("name", "list"), () if is_scalar else ("length",))
        _text(feature, "name")
        _text(feature, "dtype" if is_scalar else "list")
        if "length" in feature and (type(feature["length"]) is not int or feature["length"] != n_voxels):
            _wrong(f"has {n_voxels} voxels, and vectors of {shown(feature['length'])}")
    if len({feature["name"] for feature in features}) < len(features):
        _wrong("has two features of one name")
    return features


def _object(faults: list[str], pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    said = dict(pairs)
    if len(said) < len(pairs):
        faults.append("a key comes twice in one object")
    return said


def _constant(faults: list[str], name: str) -> None:
    faults.append(f"it holds {name}, which is no number of JSON")


def _only(said: Any, keys: Sequence[str], optional: Sequence[str] = ()) -> None:
    if not isinstance(said, dict):
        _wrong("is no object of names and values")
    if lacking := [key for key in keys if key not in said]:
        _wrong(f"has no {lacking[0]}")
    if unknown := [key for key in said if key not in (*keys, *optional)]:
        _wrong(f"has {shown(unknown[0])}, which this nsd-imagery does not write")


def _typed(said: Mapping[str, Any], key: str, kind: type[_T]) -> _T:
    if type(said.get(key)) is not kind:
        _wrong(f"has no {key} of type {kind.__name__}")
    return said[key]


def _count(said: Mapping[str, Any], key: str) -> int:
    value = said.get(key)
    if type(value) is not int or not 0 <= value <= _MOST[key]:
        _wrong(f"has {key} {shown(value)}")
    return value


def _text(said: Mapping[str, Any], key: str) -> str:
    return _clean(said.get(key), key)


def _clean(value: Any, what: str = "a text") -> str:
    if type(value) is not str:
        _wrong(f"has no {what} of type str")
    if len(value) > _LONGEST or _CONTROL.search(value):
        _wrong(f"has {what} {shown(value)}, which is too long or has control characters")
    return value


def _wrong(what: str) -> NoReturn:
    raise _FaultError(what)
