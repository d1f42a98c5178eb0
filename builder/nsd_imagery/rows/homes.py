"""Where rows are from, which those of `load` remember whatever is done to them: a folder, and a config of voxels."""

import os
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from datasets import Dataset

from nsd_imagery.dataset.names import ConfigName


def address(folder: Path, config: str) -> str:
    """What the info of rows of a config says; nothing of rows that have no voxels.

    Args:
        folder: The dataset folder, absolute.
        config: Its config.
    """
    name = ConfigName.parse(config)
    return f"{folder.as_uri()}#{quote(str(ConfigName(name.subject, 'voxels', name.roi)))}" if name.subject else ""


def home_of(rows: Dataset) -> tuple[Path, str] | None:
    """The folder of rows, and the config of their voxels; None where the rows do not say, or say several."""
    said = rows.info.homepage or ""
    parts = urlsplit(said)
    if parts.scheme != "file" or not parts.fragment or len(said.split()) > 1:
        return None
    return Path(os.fsdecode(unquote_to_bytes(parts.path))), unquote(parts.fragment)
