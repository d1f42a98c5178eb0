"""What a root keeps of its downloads, in ROOT/.download: which files came from where, and what is half there.

record.json           of each file that is in the tree: size, ETag, how it was proven, identity on disk
lock                  held while files are fetched
<sha1 of the key>/    of a file that is being fetched: its data, and the journal of the parts that are in it
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.atomic import replace_text
from nsd_imagery.identity import Identity

PROVEN: Final = "proven"
SIZE_ONLY: Final = "size only"
"""Of a file whose ETag says nothing of its contents."""


@dataclass(frozen=True)
class Entry:
    """A file that was fetched, or found to be the bucket's.

    Attributes:
        size: Bytes.
        etag: Of the bucket's.
        how: `PROVEN` or `SIZE_ONLY`.
        identity: Of the file on disk then; see `identity`.
    """

    size: int
    etag: str
    how: str
    identity: Identity


def download_folder(root: Path) -> Path:
    """Where a root keeps what is here."""
    return root / ".download"


def state_folder(root: Path, key: str) -> Path:
    """Where a file is while it is being fetched."""
    return download_folder(root) / hashlib.sha1(key.encode(), usedforsecurity=False).hexdigest()


def read_record(root: Path) -> dict[str, Entry]:
    """By key; empty where there is none. A damaged one is none: what it says can be found again."""
    try:
        found = json.loads((download_folder(root) / "record.json").read_text(encoding="utf-8"))
        return {key: Entry(**entry) for key, entry in found["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write_record(root: Path, entries: Mapping[str, Entry]) -> None:
    """Replace it."""
    files = {key: asdict(entry) for key, entry in sorted(entries.items())}
    replace_text(download_folder(root) / "record.json", json.dumps({"format": 1, "files": files}, indent=1) + "\n")
