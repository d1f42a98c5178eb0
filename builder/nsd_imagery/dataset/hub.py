"""A dataset folder to a private repo on the hub, and back.

In the repo the shards are Parquet, under the same names; README.md names them and manifest.json holds the hash of their
rows, so that `load_dataset` opens the repo and `pull` can check every value.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import MANIFEST, README, locked, open_manifest, read_manifest, seal
from nsd_imagery.dataset.manifest import take
from nsd_imagery.dataset.parquet import read_parquet
from nsd_imagery.dataset.pieces import FORMAT_VERSION
from nsd_imagery.dataset.remote import Remote, check_name, exists, hub, look, refuse_public, url_of
from nsd_imagery.dataset.shards import shard_name, write_shard
from nsd_imagery.dataset.staging import HUB, FileProgress, Staged, last_revision, note, parquet_name, stage
from nsd_imagery.errors import DataError, FolderError, MissingDataError
from nsd_imagery.suggest import one_of

_FILES_PER_COMMIT = 200
"""Few commits, and still places to go on from."""

_FILES_AT_ONCE = 5
"""What the hub's client sends in parallel."""

_SHARD = re.compile(r"[^/]+/[^/]+-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet")
_DEFAULTS = (".gitattributes", README)
"""What the hub itself may put into a new repo."""

_NAME = re.compile(r"[^./\\][^/\\]*")
"""Of a config or split that is about to become a folder or a file."""


@dataclass(frozen=True)
class Pushed:
    """What `push` did, or would do.

    Attributes:
        repo: OWNER/NAME.
        url: Its page.
        revision: The commit that holds the dataset; of a dry run, the one that is there now, empty without a repo.
        uploaded: Files that are new there or have other contents.
        removed: Shards that the dataset no longer names.
        bytes: That went up: contents that the repo has under another name do not.
        n_files: Of the whole dataset.
        example: A trial config, for the line that a collaborator runs.
    """

    repo: str
    url: str
    revision: str
    uploaded: tuple[str, ...]
    removed: tuple[str, ...]
    bytes: int
    n_files: int
    example: str


def push(
    dataset: Path | str, repo: str, *, dry_run: bool = False, proof: str = "", progress: FileProgress | None = None
) -> Pushed:
    """Bring a private repo on the hub up to date with a dataset folder; only what is new or changed goes up.

    A reader of the repo sees the old dataset until the last commit, which carries the card, and then the new one. A
    push that was stopped goes on where it was.

    Args:
        dataset: A built folder.
        repo: OWNER/NAME; made, private, if it is not there.
        dry_run: Only find out what would go up.
        proof: Markdown for the card: how the labels were proven.
        progress: Called with files done, files in all, and what is done next.

    Returns:
        What went where.

    Raises:
        UsageError: `repo` is not OWNER/NAME.
        MissingDataError: Not a built folder, or a shard of it is gone.
        AccessError: NSD's terms are not accepted, the repo is public, or the token may not do this.
        FolderError: The repo holds something else.
        BusyError: A build is writing to the folder.
        HubError: The hub cannot be reached, or answers with an error.
    """
    folder = Path(dataset).expanduser()
    open_manifest(folder)  # the lock would leave a trace in a folder that is no dataset
    check_name(repo)
    with locked(folder):
        manifest = open_manifest(folder)
        if not manifest["synthetic"]:
            require_terms("push")
        staged = stage(folder, manifest, repo, proof, progress)
    with hub(repo) as api:
        remote = _private_repo(api, repo, dry_run, last_revision(folder, "push.json", repo))
        new = [file for file in staged if not remote.holds(file.path, _text(file), file.sha256)]
        named = {file.path for file in staged}
        stale = sorted(path for path in remote.files if _SHARD.fullmatch(path) and path not in named)
        revision = remote.revision
        if (new or stale) and not dry_run:
            revision = _upload(api, remote, new, stale, progress)
    if not dry_run:
        digest = next(file.sha256 for file in staged if file.path == MANIFEST)
        note(folder, "push.json", repo, url=url_of(repo), revision=revision, digest=digest)
    fresh = {file.sha256: file.size for file in new if file.sha256 not in remote.files.values()}
    return Pushed(
        repo=repo,
        url=url_of(repo),
        revision=revision,
        uploaded=tuple(file.path for file in new),
        removed=tuple(stale),
        bytes=sum(fresh.values()),
        n_files=len(staged),
        example=next((name for name, config in manifest["configs"].items() if config["kind"] == "trials"), ""),
    )


def pull(
    repo: str,
    out: Path | str = "nsd_imagery",
    *,
    configs: Sequence[str] | None = None,
    revision: str | None = None,
    progress: FileProgress | None = None,
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


def _private_repo(api: HfApi, repo: str, dry_run: bool, last: str) -> Remote:
    """The repo, made if it is not there; read back as private before anything else is sent to it.

    Args:
        api: The hub.
        repo: OWNER/NAME.
        dry_run: Make nothing.
        last: The revision of the last push to it, if there was one.
    """
    if not dry_run:
        api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
    elif not exists(api, repo):
        return Remote(repo, "", {})
    refuse_public(api, repo, f" now, and was private when {last[:7]} was pushed" if last else "")
    remote = look(api, repo)
    foreign = sorted(path for path in remote.files if path not in _DEFAULTS and not _SHARD.fullmatch(path))
    if foreign and MANIFEST not in remote.files:
        msg = f"{repo}: holds files that are no dataset of nsd-imagery ({', '.join(foreign[:3])}); push to another name"
        raise FolderError(msg)
    return remote


def _upload(
    api: HfApi, remote: Remote, new: Sequence[Staged], stale: Sequence[str], progress: FileProgress | None
) -> str:
    """Send files; the last commit carries the card and drops what it no longer names. Returns that commit."""
    shards = [CommitOperationAdd(file.path, file.content) for file in new if isinstance(file.content, Path)]
    texts = [CommitOperationAdd(file.path, file.content) for file in new if isinstance(file.content, bytes)]
    rounds = _chunks(shards, _FILES_PER_COMMIT) or [[]]
    revision, done = remote.revision, 0
    for number, files in enumerate(rounds, 1):
        for group in _chunks(files, _FILES_AT_ONCE):
            if progress:
                progress(done, len(shards), group[0].path_in_repo)
            refuse_public(api, remote.repo)
            api.preupload_lfs_files(remote.repo, group, repo_type="dataset")
            done += len(group)
        last = [*texts, *map(CommitOperationDelete, stale)] if number == len(rounds) else []
        refuse_public(api, remote.repo)
        revision = api.create_commit(
            remote.repo,
            [*files, *last],
            commit_message="Bring the dataset up to date" if last else f"Shards {done} of {len(shards)}",
            repo_type="dataset",
            parent_commit=revision or None,
        ).oid
    refuse_public(api, remote.repo, " now, and was private when this push began")
    return revision


def _published(repo: str, revision: str | None) -> tuple[str, dict[str, Any]]:
    """The commit of a repo and its manifest.

    Raises:
        MissingDataError: It has none.
        DataError: It is of another version, or damaged.
    """
    with hub(repo) as api, tempfile.TemporaryDirectory() as folder:
        commit = api.repo_info(repo, repo_type="dataset", revision=revision).sha or ""
        if not api.file_exists(repo, MANIFEST, repo_type="dataset", revision=commit):
            msg = f"{repo}: holds no dataset of nsd-imagery (no {MANIFEST}); is it another repo, or not pushed to yet?"
            raise MissingDataError(msg)
        api.hf_hub_download(repo, MANIFEST, repo_type="dataset", revision=commit, local_dir=folder)
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
    with hub(repo) as api:
        parquet = Path(
            api.hf_hub_download(repo, name, repo_type="dataset", revision=commit, local_dir=folder / HUB / "pull")
        )
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


def _text(file: Staged) -> bytes | None:
    return file.content if isinstance(file.content, bytes) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
