"""A dataset folder to a private repo on the hub.

In the repo the shards are Parquet, under the same names; README.md names them and manifest.json holds the hash of their
rows, so that `load_dataset` opens the repo and `pull` can check every value.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nsd_imagery.checks.report import Report
from nsd_imagery.checks.run import verify_folder
from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import MANIFEST, README, locked, open_manifest, shard_files
from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.errors import DataError, FolderError, HubError, MissingDataError, shown
from nsd_imagery.links import is_there
from nsd_imagery.listing import is_hidden
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress
from nsd_imagery.share.remote import Link, Remote, check_name, create, exists, hub, look, refuse_public, url_of
from nsd_imagery.share.said import AGAIN, redacted
from nsd_imagery.share.staging import Staged, last_revision, note, stage
from nsd_imagery.share.upload import upload
from nsd_imagery.shell import quoted

_FILES_PER_COMMIT = 200
"""Few commits, and still places to go on from."""

_SHARD = re.compile(r"[^/]+/[^/]+-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet")


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
        example: A config, of trials if there is one, for the line that a collaborator runs.
    """

    repo: str
    url: str
    revision: str
    uploaded: tuple[str, ...] = field(repr=False)
    removed: tuple[str, ...] = field(repr=False)
    bytes: int
    n_files: int
    example: str


@barred("count")
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
    with hub(repo) as link:
        remote = _private_repo(link, dry_run, last_revision(folder, "push.json", repo))
        new = _missing(remote, staged)
        named = {file.path for file in staged}
        stale = sorted(path for path in remote.files if _SHARD.fullmatch(path) and path not in named)
        revision = remote.revision
        if (new or stale) and not dry_run:
            revision = _upload(link, remote.revision, new, stale, progress)
            if lost := _missing(look(link, revision), staged):
                msg = f"{repo}: the hub said that it took {lost[0].path}, and {revision[:7]} does not hold it; {AGAIN}"
                raise HubError(msg)
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
        example=next(iter(manifest.trials or manifest.configs)),
    )


def _verified(folder: Path, manifest: Manifest, root: Path | str | None, progress: CountProgress | None) -> Report:
    """The report on a folder that passes."""
    files = list(shard_files(manifest))
    if gone := [file for file in files if not is_there(folder / file)]:
        msg = f"{folder / gone[0]}: this shard is gone; build again"
        raise MissingDataError(msg)
    say = progress and (lambda _done, _total, what: progress(0, len(files), f"verify: {what}"))
    report = verify_folder(folder, manifest, root=root, progress=say)
    if report.passed:
        return report
    failed = [finding for finding in report.findings if finding.outcome == "fail"]
    first = f"{failed[0].id} of {failed[0].scope}: {failed[0].offending[0]}" if failed else "no check could be made"
    more = f" (and {len(failed) - 1} more checks)" if len(failed) > 1 else ""
    msg = (
        f"{folder}: does not pass verify, so nothing is pushed: {first}{more}; see nsd-imagery verify "
        f"{quoted(folder)}, then mend it: nsd-imagery build ROOT --out {quoted(folder)}"
    )
    raise DataError(msg)


def _private_repo(link: Link, dry_run: bool, last: str) -> Remote:
    """The repo, made if it is not there; read back as private before anything else is sent to it.

    Args:
        link: To the hub.
        dry_run: Make nothing.
        last: The revision of the last push to it, if there was one.
    """
    if not exists(link):
        if dry_run:
            return Remote(link.repo, "", {})
        create(link)
    refuse_public(link, f" now, and was private when {last[:7]} was pushed" if last else "")
    remote = look(link)
    foreign = sorted(path for path in remote.files if path != README and not _SHARD.fullmatch(path))
    foreign = [path for path in foreign if not any(map(is_hidden, path.split("/")))]
    if foreign and MANIFEST not in remote.files:
        named = redacted(", ".join(shown(path)[1:-1] for path in foreign[:3]))
        msg = f"{link.repo}: holds files that are no dataset of nsd-imagery ({named}); push to another name"
        raise FolderError(msg)
    return remote


def _upload(
    link: Link, revision: str, new: Sequence[Staged], stale: Sequence[str], progress: CountProgress | None
) -> str:
    """Send files; the last commit carries the card and drops what it no longer names. Returns that commit."""
    shards = [(file.path, file.content) for file in new if isinstance(file.content, Path)]
    texts = {file.path: file.content for file in new if isinstance(file.content, bytes)}
    rounds = _chunks(shards, _FILES_PER_COMMIT) or [[]]
    done = 0
    with upload(link) as up:
        for number, files in enumerate(rounds, 1):
            sent = []
            for path, content in files:
                if progress:
                    progress(done, len(shards), path)
                sent.append(up.send(path, content))
                done += 1
            is_last = number == len(rounds) and bool(texts or stale)
            title = "Bring the dataset up to date" if is_last else f"Shards {done} of {len(shards)}"
            revision = up.commit(sent, texts if is_last else {}, stale if is_last else (), title, revision)
    return revision


def _missing(remote: Remote, staged: Sequence[Staged]) -> list[Staged]:
    """The files that a repo does not hold as they are here."""
    return [file for file in staged if not remote.holds(file.path, _text(file), file.sha256)]


def _text(file: Staged) -> bytes | None:
    return file.content if isinstance(file.content, bytes) else None


def _chunks(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
