"""What goes to the hub, made beside the dataset: a Parquet file a shard, the card that names them, the manifest.

    DATASET/.build/hub/<hash of the rows>-<encoding>.parquet    and beside it .sha256, of the file when it was made

A file that is there already is kept, whatever the number of its shard is now, if it still has the sha256 that was noted
when it was made of a shard that was proven.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from nsd_imagery.atomic import remove_partial, replace_text
from nsd_imagery.dataset.card import card
from nsd_imagery.dataset.folder import BUILD, MANIFEST, README
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.listing import visible
from nsd_imagery.progress import CountProgress
from nsd_imagery.schema import BETAS
from nsd_imagery.share.parquet import ENCODING, to_parquet

HUB = f"{BUILD}/hub"

_STAGED = re.compile(r"[0-9a-f]+-\d+\.(parquet|sha256)")


@dataclass(frozen=True)
class Staged:
    """A file for the hub.

    Attributes:
        path: In the repo, with /.
        content: The file on disk, or a text.
        size: In bytes.
        sha256: Of the contents.
    """

    path: str
    content: Path | bytes
    size: int
    sha256: str


def stage(
    folder: Path, manifest: Manifest, repo: str, proof: str = "", progress: CountProgress | None = None
) -> list[Staged]:
    """Make what goes to the hub; `manifest.json` and `README.md`, which names the rest, come last.

    Args:
        folder: The dataset folder, held by the caller.
        manifest: Its manifest.
        repo: OWNER/NAME, for the card's examples.
        proof: Markdown for the card; see `card`.
        progress: Called with files done, files in all, and the name of the next one.

    Raises:
        DataError: A shard is not the one that was built.
    """
    todo = list(manifest.shards)
    remove_partial(folder / HUB)
    keep = {staged_name(shard) for shard in todo}
    for path in visible(folder / HUB, "*-*.*"):
        if _STAGED.fullmatch(path.name) and path.with_suffix(".parquet").name not in keep:
            path.unlink()
    files = []
    for done, shard in enumerate(todo):
        if progress:
            progress(done, len(todo), f"Parquet {shard.file}")
        files.append(_parquet(folder, manifest, shard))
    sizes = {shard.file: (file.path, file.size) for shard, file in zip(todo, files, strict=True)}
    readme = card(manifest, repo=repo, files=sizes, proof=proof)
    return [*files, _staged(MANIFEST, (folder / MANIFEST).read_bytes()), _staged(README, readme.encode())]


def parquet_name(shard: str) -> str:
    """The path in the repo of a shard of the folder."""
    return PurePosixPath(shard).with_suffix(".parquet").as_posix()


def staged_name(shard: Shard) -> str:
    """The name of a shard's Parquet file beside the dataset: by what it holds, not by its number among others."""
    return f"{shard.hash}-{ENCODING}.parquet"


def last_revision(folder: Path, name: str, repo: str) -> str:
    """The commit that was last pushed to a repo or pulled from it; empty where none is noted."""
    return _record(folder, name).get(repo, {}).get("revision", "")


def note(folder: Path, name: str, repo: str, **facts: Any) -> None:
    """Note what was pushed to a repo or pulled from it, beside what is known of other repos."""
    replace_text(folder / HUB / name, json.dumps({**_record(folder, name), repo: facts}, indent=1) + "\n")


def _record(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    try:
        return {repo: dict(facts) for repo, facts in json.loads((folder / HUB / name).read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # it only feeds messages


def _parquet(folder: Path, manifest: Manifest, shard: Shard) -> Staged:
    path, out = parquet_name(shard.file), folder / HUB / staged_name(shard)
    note_file = out.with_suffix(".sha256")
    if out.is_file() and note_file.is_file():
        kept = _staged(path, out)
        if kept.sha256 == note_file.read_text(encoding="utf-8", errors="replace"):
            return kept
    # Without z-scores, betas are integers / 300; means over a run of these repeat as well.
    few_values = ("mean", BETAS.name) if manifest.recipe.zscore == "none" else ("mean",)
    to_parquet(folder / shard.file, out, shard.sha256, few_values)
    made = _staged(path, out)
    replace_text(note_file, made.sha256)
    return made


def _staged(path: str, content: Path | bytes) -> Staged:
    if isinstance(content, bytes):
        return Staged(path, content, len(content), hashlib.sha256(content).hexdigest())
    with content.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Staged(path, content, content.stat().st_size, digest)
