"""The marker of a synthetic tree, synthetic.json: it keeps made-up data apart from real data and from each other."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from nsd_imagery.errors import FolderError, reason
from nsd_imagery.experiment import SYNTHETIC_MARKER
from nsd_imagery.listing import visible
from nsd_imagery.synthetic import files
from nsd_imagery.synthetic.effects import DEFAULT_SIGNAL, SIGNALS, Preset, Signal, signal_of
from nsd_imagery.synthetic.request import Request

FORMAT_VERSION = 2

_UNSAID = {"layout": "release", "signal": DEFAULT_SIGNAL}
"""What a marker means that does not say it."""


def claim(root: Path, request: Request) -> None:
    """Mark the root as synthetic before anything else is in it.

    Raises:
        FolderError: The root is not ours, or is drawn otherwise.
    """
    if root.exists() and not root.is_dir():
        msg = f"{root}: is a file, not a folder: choose another one for the synthetic release"
        raise FolderError(msg)
    held = visible(root)
    marker = root / SYNTHETIC_MARKER
    wanted = {
        "format_version": FORMAT_VERSION,
        "seed": request.seed,
        "full_size": request.full_size,
        "layout": request.layout,
        "signal": _said(request.signal),
    }
    before: set[str] = set()
    if marker.exists():
        found = {**_UNSAID, **_read_marker(marker)}
        other = {name: found.get(name) for name, value in wanted.items() if found.get(name) != value}
        if other:
            has = ", ".join(f"{name} {str(value)[:60]}" for name, value in other.items())
            want = ", ".join(f"{name} {wanted[name]}" for name in other)
            msg = f"{root}: holds a synthetic release of {has}, not {want}: choose another folder or delete this one"
            raise FolderError(msg)
        before = set(map(str, found.get("subjects", [])))
    elif held:
        msg = (
            f"{root}: holds data that is not synthetic ({held[0].name}, no {SYNTHETIC_MARKER}): choose an empty "
            "folder, because synthetic data must not be mixed with real data"
        )
        raise FolderError(msg)
    said = {name: value for name, value in wanted.items() if _UNSAID.get(name) != value}
    contents = {**said, "subjects": sorted({*before, *request.subjects})}
    files.write_bytes(marker, (json.dumps(contents, indent=2) + "\n").encode())


def _said(signal: Preset | Signal) -> object:
    """As JSON gives it back: the name of a preset, else all of its fields."""
    known = next((name for name, preset in SIGNALS.items() if signal in (name, preset)), None)
    return known or json.loads(json.dumps(dataclasses.asdict(signal_of(signal))))


def _read_marker(marker: Path) -> dict[str, Any]:
    try:
        found = json.loads(marker.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        msg = f"{marker}: cannot be read ({reason(error)}): delete the folder, or choose another one"
        raise FolderError(msg) from error
    if not isinstance(found, dict) or not isinstance(found.get("subjects", []), list):
        msg = f"{marker}: does not say what the release was drawn from: delete the folder, or choose another one"
        raise FolderError(msg)
    return found
