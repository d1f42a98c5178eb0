"""A repo on the hub that `push` filled, to a dataset folder: Arrow again, each value checked."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import MANIFEST, locked, read_manifest, seal
from nsd_imagery.dataset.manifest import take
from nsd_imagery.dataset.pieces import FORMAT_VERSION
from nsd_imagery.dataset.shards import shard_name, write_shard
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.progress import CountProgress
from nsd_imagery.share.parquet import read_parquet
from nsd_imagery.share.remote import check_name, download, holds_file, hub, state, url_of
from nsd_imagery.share.staging import HUB, note, parquet_name
from nsd_imagery.suggest import one_of
from nsd_imagery.temporary import own_folder

_UNSEEN = r"/\\\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_NAME = re.compile(f"[^.{_UNSEEN}][^{_UNSEEN}]*")
"""Of a config or split that is about to become a folder or a file, and is printed: nothing that moves the cursor."""


def pull(
    repo: str,
    out: Path | str = "nsd_imagery",
    *,
    configs: Sequence[str] | None = None,
    revision: str | None = None,
    progress: CountProgress | None = None,
) -> Path:
    """Bring a repo that `push` filled into a dataset folder: Arrow again, the same files as in the folder it came from.

    The rows of each shard are checked against the hash in the repo's manifest. Nothing is part of the dataset before
    all is there; a pull that was stopped goes on where it was. Configs of the folder that are not pulled stay.

    Args:
        repo: OWNER/NAME.
        out: The dataset folder.
        configs: Default: all that the repo holds.
        revision: A commit, branch or tag of the repo; default: the newest.
        progress: Called with shards done, shards in all, and the name of the next one.

    Returns:
        The dataset folder.

    Raises:
        UsageError: `repo` is not OWNER/NAME, or holds no such config.
        MissingDataError: There is no such repo, or it holds no dataset of this package.
        AccessError: NSD's terms are not accepted, or the token may not read the repo.
        DataError: Rows are not those that the manifest names, or the manifest is of another version.
        FolderError: The folder holds something else, or would mix data of two recipes.
        BusyError: A build is writing to the folder.
        HubError: The hub cannot be reached, or answers with an error.
    """
    folder = Path(out).expanduser().absolute()
    check_name(repo)
    commit, manifest = _published(repo, revision)
    for name in configs or ():
        one_of(f"config in {repo}", name, manifest["configs"])
    wanted = {name: manifest["configs"][name] for name in configs or manifest["configs"]}
    if not manifest["synthetic"]:
        require_terms("pull")
    with locked(folder):
        old = read_manifest(folder)
        take(manifest, old, wanted)
        todo = list(_shards(repo, wanted))
        for done, (config, split, position, shard) in enumerate(todo):
            if progress:
                progress(done, len(todo), shard["file"])
            shard.update(_fetched(folder, repo, commit, config, split, position, shard))
        seal(folder, take(manifest, old, wanted))
        note(folder, "pull.json", repo, url=url_of(repo), revision=commit, configs=list(wanted))
        shutil.rmtree(folder / HUB / "pull", ignore_errors=True)
    return folder


def _published(repo: str, revision: str | None) -> tuple[str, dict[str, Any]]:
    """The commit of a repo and its manifest.

    Raises:
        MissingDataError: It has none.
        DataError: It is of another version, or damaged.
    """
    with hub(repo) as link, tempfile.TemporaryDirectory(dir=own_folder()) as folder:
        commit = state(link, revision).revision
        if not holds_file(link, MANIFEST, commit):
            msg = f"{repo}: holds no dataset of nsd-imagery (no {MANIFEST}); is it another repo, or not pushed to yet?"
            raise MissingDataError(msg)
        download(link, MANIFEST, commit, Path(folder))
        manifest = read_manifest(Path(folder))
    if manifest is None or manifest["format_version"] != FORMAT_VERSION:
        what = "another program" if manifest is None else f"folder format {manifest['format_version']}"
        msg = f"{repo}: its {MANIFEST} is of {what}, and this nsd-imagery reads format {FORMAT_VERSION}; upgrade one"
        raise DataError(msg)
    return commit, manifest


def _shards(
    repo: str, configs: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str, tuple[int, int], dict[str, Any]]]:
    """Config, split, position and entry of each shard.

    Raises:
        DataError: A name is none that this package gives: it must not decide where a file is written.
    """
    splits = [(name, *item) for name, config in configs.items() for item in config["splits"].items()]
    for config, split, entries in splits:
        for number, shard in enumerate(entries):
            position = (number, len(entries))
            named = shard_name(config, split, position, shard["hash"])
            if shard["file"] != named or not (_NAME.fullmatch(config) and _NAME.fullmatch(split)):
                msg = f"{repo}: its {MANIFEST} names a shard {shard['file']!r} that nsd-imagery does not write"
                raise DataError(msg)
            yield config, split, position, shard


def _fetched(
    folder: Path,
    repo: str,
    commit: str,
    config: str,
    split: str,
    position: tuple[int, int],
    shard: Mapping[str, Any],
) -> dict[str, Any]:
    """Bring one shard into the folder, if it is not there. Returns what is to change in its entry."""
    path = folder / shard["file"]
    if path.is_file() and _sha256(path) == shard["sha256"]:
        return {}
    name = parquet_name(shard["file"])
    with hub(repo) as link:
        parquet = download(link, name, commit, folder / HUB / "pull")
    try:
        made = write_shard(folder, config, split, position, *read_parquet(parquet))
    except (pa.ArrowException, OSError) as error:
        if getattr(error, "errno", None):
            raise  # of this machine: a full disk
        msg = f"{repo}: {name} cannot be read ({error})"
        raise DataError(msg) from error
    finally:
        parquet.unlink()
    if made.hash != shard["hash"]:
        msg = (
            f"{repo}: the rows of {name} have hash {made.hash[:12]}, and {MANIFEST} says {shard['hash'][:12]}: they "
            "were changed or damaged; ask its owner to push again"
        )
        raise DataError(msg)
    return {"bytes": made.bytes, "sha256": made.sha256}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
