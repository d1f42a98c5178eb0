"""Small JSON files that a user may have written: subject_sessions.json, and what says the unit of a beta file."""

import json
import math
from pathlib import Path
from typing import Any

from nsd_imagery.errors import DataError, reason, shown
from nsd_imagery.volumes.scale import beta_scale_file


def read_json(path: Path) -> Any:
    """What a JSON file holds, with a byte order mark or without.

    Raises:
        DataError: It is not JSON in UTF-8, or has a name twice.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        msg = f"{path}: is not JSON ({reason(error)})"
        raise DataError(msg) from error


def whole_number(value: Any) -> int | None:
    """A whole number of a JSON file, also where it stands as 2.0; None for whatever is none."""
    is_whole = not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    )
    return int(value) if is_whole else None


def stated_beta_scale(beta_path: Path) -> float | None:
    """What a JSON file beside a beta file gives as `beta_scale`; None where there is no such file, or it does not say.

    Raises:
        DataError: The file is not JSON, or `beta_scale` is not a number above 0.
    """
    path = beta_scale_file(beta_path)
    said = read_json(path) if path.is_file() else None
    scale = said.get("beta_scale") if isinstance(said, dict) else None
    if scale is None:
        return None
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        msg = f"{path}: beta_scale is {shown(scale)}, but must be a number above 0"
        raise DataError(msg)
    return float(scale)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        msg = f"{shown(next(name for name in names if names.count(name) > 1))} comes twice"
        raise ValueError(msg)
    return found
