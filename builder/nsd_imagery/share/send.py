"""A dataset folder to a private repo on the hub.

In the repo the shards are Parquet, under the same names; README.md names them and manifest.json holds the hash of their
rows, so that `load_dataset` opens the repo and `pull` can check every value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from nsd_imagery.checks.report import Report
from nsd_imagery.checks.run import verify_folder
from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import MANIFEST, README, locked, open_manifest, shard_files
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.errors import DataError, FolderError, MissingDataError
from nsd_imagery.progress import CountProgress
from nsd_imagery.share.remote import Remote, check_name, exists, hub, look, refuse_public, url_of
from nsd_imagery.share.staging import Staged, last_revision, note, stage

_FILES_PER_COMMIT = 200
"""Few commits, and still places to go on from."""

_FILES_AT_ONCE = 5
"""What the hub's client sends in parallel."""

_SHARD = re.compile(r"[^/]+/[^/]+-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet")
_DEFAULTS = (".gitattributes", README)
"""What the hub itself may put into a new repo."""


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
    dataset: Path | str,
    repo: str,
    *,
    root: Path | str | None = None,
    dry_run: bool = False,
    progress: CountProgress | None = None,
) -> Pushed:
    """Bring a private repo on the hub up to date with a dataset folder; only what is new or changed goes up.

    The folder is verified first, and nothing is sent unless that passed; the report goes into the card.
    A reader of the repo sees the old dataset until the last commit, which carries the card, and then the new one. A
    push that was stopped goes on where it was.

    Args:
        dataset: A built folder.
        repo: OWNER/NAME; made, private, if it is not there.
        root: Where the folder was built from, to verify it against that too; default: the folder alone.
        dry_run: Only find out what would go up.
        progress: Called with files done, files in all, and what is done next.

    Returns:
        What went where.

    Raises:
        UsageError: `repo` is not OWNER/NAME.
        MissingDataError: Not a built folder, a shard of it is gone, or no such root.
        DataError: The folder does not pass `verify`.
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
        if not manifest.synthetic:
            require_terms("push")
        proof = _verified(folder, manifest, root, progress)
        staged = stage(folder, manifest, repo, proof.to_markdown(), progress)
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
        example=next(iter(manifest.trials), ""),
    )


def _verified(folder: Path, manifest: Manifest, root: Path | str | None, progress: CountProgress | None) -> Report:
    """The report on a folder that passes."""
    files = list(shard_files(manifest))
    if gone := [file for file in files if not (folder / file).is_file()]:
        msg = f"{folder / gone[0]}: this shard is gone; build again"
        raise MissingDataError(msg)
    say = progress and (lambda what: progress(0, len(files), f"verify: {what}"))
    report = verify_folder(folder, manifest, root=root, progress=say)
    if report.passed:
        return report
    failed = [finding for finding in report.findings if finding.outcome == "fail"]
    first = f"{failed[0].id} of {failed[0].scope}: {failed[0].offending[0]}" if failed else "no check could be made"
    more = f" (and {len(failed) - 1} more checks)" if len(failed) > 1 else ""
    msg = (
        f"{folder}: does not pass verify, so nothing is pushed: {first}{more}; see nsd-imagery verify {folder}, then "
        f"mend it: nsd-imagery build ROOT --out {folder}"
    )
    raise DataError(msg)


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
    api: HfApi, remote: Remote, new: Sequence[Staged], stale: Sequence[str], progress: CountProgress | None
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


def _text(file: Staged) -> bytes | None:
    return file.content if isinstance(file.content, bytes) else None


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
