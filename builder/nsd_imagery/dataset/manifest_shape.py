"""The shape of a manifest: what all who read one rely on, checked once where it is read."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from nsd_imagery.dataset.pieces import FORMAT_VERSION
from nsd_imagery.errors import shown
from nsd_imagery.experiment import CONDITIONS, SUBJECTS

Manifest = Mapping[str, Any]
"""A manifest, or one of the objects in it."""

_TOP = {"format_version": int, "synthetic": bool, "recipe": dict, "configs": dict}
_CONFIG = {"kind": str, "subject": str, "condition": str, "roi": str, "n_voxels": int, "features": list, "splits": dict,
           "sources": dict, "notes": list}  # fmt: skip
_SHARD = {"file": str, "rows": int, "bytes": int, "hash": str}
_LONGEST = 255
"""Letters of the name of a file."""


def manifest_fault(manifest: Manifest) -> str | None:
    """What is wrong with a manifest, with the config where it is; None if nothing is."""
    found = _lacks(manifest, _TOP)
    if found:
        version = manifest.get("format_version")
        return found if version == FORMAT_VERSION else f"folder format {shown(version)}; {found}"
    for name, config in manifest["configs"].items():
        found = _lacks(config, _CONFIG) or _config_fault(config)
        if found:
            return f"{name[:60]}: {found}"
    return None


def _lacks(value: object, types: Mapping[str, type]) -> str | None:
    if not isinstance(value, dict):
        return "is no object of names and values"
    wrong = [key for key, kind in types.items() if type(value.get(key)) is not kind]
    return f"has no {wrong[0]} of type {types[wrong[0]].__name__}" if wrong else None


def _config_fault(config: Mapping[str, Any]) -> str | None:
    if config["subject"] not in ("", *SUBJECTS) or config["condition"] not in ("", *CONDITIONS):
        return "is of no subject or no condition that there is"
    if (config["kind"] == "trials") != bool(config["condition"]) or (config["condition"] and not config["subject"]):
        return "is trials without a condition or a subject, or the other way round"
    if not all(isinstance(text, str) for text in (*config["notes"], *config["sources"].values())):
        return "has notes or sources that are no text"
    if config["kind"] == "trials" and not all(_is_piece(key) for key in config["sources"]):
        return "has sources that are no sessions"
    for shards in config["splits"].values():
        if not isinstance(shards, list):
            return "has splits that are no lists of shards"
        for shard in shards:
            found = _lacks(shard, _SHARD)
            if found:
                return f"a shard {found}"
            if not _is_inside(shard):
                return f"a shard is {shown(shard['file'])}, a name that nsd-imagery does not write"
    return None


def _is_piece(key: str) -> bool:
    """Whether a key names a session: "subj01/nsd/01"."""
    parts = key.split("/")
    return len(parts) == 3 and parts[2].isascii() and parts[2].isdigit() and len(parts[2]) == 2


def _is_inside(shard: Mapping[str, Any]) -> bool:
    """Whether its file is `<config>/<name>`, and so cannot lead out of the folder."""
    file = shard["file"]
    parts = PurePosixPath(file).parts
    plain = file == "/".join(parts) and "\0" not in file and all(len(part.encode()) <= _LONGEST for part in parts)
    return plain and len(parts) == 2 and not {"/", ".."} & set(parts)
