"""What exports wrote into a folder that may be somebody's data root: `nsd_imagery_export.json`.

    {"files": {"preprocessed_data/subject1/nsd_imagery.pt": {"made_of": "...", "digests": ["...", "..."]}}}

A file is known as one of ours by what it holds, never by its name. Its digest is noted before it gets its name, beside
that of the file which it replaces, so that whatever a killed export leaves is known to the next one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import xxhash

from nsd_imagery.atomic import replace_text

NOTE = "nsd_imagery_export.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """A file that an export wrote.

    Attributes:
        made_of: Digest of what it was made of.
        digests: xxh3_128 of its contents, and of those of the file of ours that it replaces.
    """

    made_of: str
    digests: tuple[str, ...]


def read_note(out: Path) -> dict[str, Entry]:
    """By path in the folder, what exports wrote; a note that cannot be read makes every file somebody else's."""
    try:
        files = json.loads((out / NOTE).read_text(encoding="utf-8"))["files"]
        return {path: Entry(str(said["made_of"]), tuple(map(str, said["digests"]))) for path, said in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_note(out: Path, entries: Mapping[str, Entry]) -> None:
    """Replace the note."""
    said = {"files": {path: asdict(entry) for path, entry in sorted(entries.items())}}
    replace_text(out / NOTE, json.dumps(said, indent=1) + "\n")


def digest_of(path: Path) -> str:
    """xxh3_128 of the contents of a file; empty where there is no file."""
    if not path.is_file():
        return ""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
