"""A dataset repo on the hub: its state, whether it is private, and what goes up to it or comes down.

Tokens, retries and transfer are `huggingface_hub`'s business; it finds the token itself, and none is seen here. What an
answer says is used only where it has the shape and is of the repo that was asked for.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging
from huggingface_hub.utils import validate_repo_id as validate

from nsd_imagery.errors import AccessError, HubError, NSDImageryError, UsageError, shown
from nsd_imagery.share.client import Watch, watched
from nsd_imagery.share.said import AGAIN, ERRORS, STUMBLES, clean, modules, ours, redacted, through_client

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Link:
    """A connection to the hub for the sake of one repo.

    Attributes:
        repo: OWNER/NAME.
        api: The client.
        watch: What is held against each of its requests.
    """

    repo: str
    api: HfApi
    watch: Watch


@dataclass(frozen=True)
class State:
    """What a repo says of itself: its commit, 40 hex digits, and whether it is private."""

    revision: str
    private: bool


@dataclass(frozen=True)
class Remote:
    """A dataset repo as it is.

    Attributes:
        repo: OWNER/NAME.
        revision: The commit; empty in a repo that is not there yet.
        files: By path: git's sha1 of the contents, or the sha256 of a large file.
    """

    repo: str
    revision: str
    files: dict[str, str]

    def holds(self, path: str, content: bytes | None, sha256: str) -> bool:
        """Whether a file is there with the same contents.

        Args:
            path: In the repo.
            content: The contents of a small file, which the hub knows by git's hash.
            sha256: Of the contents.
        """
        known = self.files.get(path)
        blob = None if content is None else hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return known is not None and known in (sha256, blob)


def url_of(repo: str) -> str:
    """The page of a dataset repo."""
    return redacted(f"{constants.ENDPOINT}/datasets/{repo}")


def check_name(repo: str) -> None:
    """Refuse what is not OWNER/NAME.

    Raises:
        UsageError: It is not.
    """
    try:
        validate(repo)
    except HFValidationError as error:
        named = str(error).splitlines()[0]
    else:
        if "/" in repo:
            return
        named = "the owner is missing"
    msg = f"{repo!r} is not OWNER/NAME of a repo on the hub ({named}); write, for example, jane/nsd-imagery"
    raise UsageError(msg)


def state(link: Link, revision: str | None = None) -> State:
    """The state of a repo at a commit, by default the newest.

    Raises:
        HubError: The answer is of another repo, or does not say it.
    """
    with asking(link):
        info = link.api.repo_info(link.repo, repo_type="dataset", revision=revision)
    if info.id != link.repo:
        msg = (
            f"{link.repo}: the hub answers with {shown(info.id)} instead; if it was renamed or moved, name it as it is "
            "called now"
        )
        raise HubError(redacted(msg))
    kind = [value for name in ("type", "repoType", "repo_type") if (value := getattr(info, name, None)) is not None]
    if kind not in ([], ["dataset"]):
        raise _no_answer(link, f"it is of a {shown(kind[0])}, not of a dataset")
    if not isinstance(info.private, bool):
        raise _no_answer(link, f"whether it is private is {shown(info.private)}")
    commit = commit_id(link, info.sha)
    if revision and _COMMIT.fullmatch(revision) and commit != revision:
        raise _no_answer(link, f"it is of {commit[:7]}, and {revision[:7]} was asked for")
    return State(commit, info.private)


def exists(link: Link) -> bool:
    """Whether a repo is there, as far as the token sees."""
    try:
        state(link)
    except RepositoryNotFoundError:
        return False
    return True


def create(link: Link) -> None:
    """Make a repo, private; what came of it is for `refuse_public` to see."""
    with asking(link):
        link.api.create_repo(link.repo, repo_type="dataset", private=True, exist_ok=True)


def look(link: Link, revision: str | None = None) -> Remote:
    """The files of a repo at a commit, by default the newest.

    Raises:
        HubError: The answer is no list of files.
    """
    commit = revision or state(link).revision
    with asking(link):
        tree = link.api.list_repo_tree(link.repo, recursive=True, repo_type="dataset", revision=commit)
        entries = [entry for entry in tree if isinstance(entry, RepoFile)]
    files = {}
    for entry in entries:
        known = entry.lfs.sha256 if entry.lfs else entry.blob_id
        if not (isinstance(entry.path, str) and isinstance(known, str)):
            raise _no_answer(link, f"a file of it is {shown(entry.path)}")
        if not is_path(entry.path):
            raise _no_answer(link, f"it names a file {shown(entry.path)}, which is no path in a repo")
        files[entry.path] = known
    return Remote(link.repo, commit, files)


def is_path(name: str) -> bool:
    """Whether a name is one of a file below a folder, and can be printed."""
    parts = name.split("/")
    return name.isprintable() and "\\" not in name and not {"", ".", ".."} & set(parts)


def refuse_public(link: Link, since: str = "") -> None:
    """Read back that a repo is private.

    Args:
        link: To the hub.
        since: What is known of an earlier time, for the message.

    Raises:
        AccessError: It is not private.
    """
    if not state(link).private:
        msg = (
            f"{link.repo} is public{since}, and NSD's terms do not allow that: make it private at "
            f"{url_of(link.repo)}/settings, or push to another name"
        )
        raise AccessError(msg)


def holds_file(link: Link, path: str, revision: str) -> bool:
    """Whether a repo has a file at a commit."""
    with asking(link):
        return link.api.file_exists(link.repo, path, repo_type="dataset", revision=revision)


def download(link: Link, path: str, revision: str, folder: Path) -> Path:
    """Bring a file into a folder, under its path in the repo.

    Raises:
        HubError: The path would lead out of the folder.
    """
    if not is_path(path):
        raise _no_answer(link, f"it names a file {shown(path)}, which is no path in a repo")
    with asking(link):
        link.api.hf_hub_download(link.repo, path, repo_type="dataset", revision=revision, local_dir=folder)
    return folder / path


@contextmanager
def hub(repo: str) -> Iterator[Link]:
    """The hub, quiet and watched, with its errors as ours.

    Their messages are one printable line without tokens; what they came from is not chained to them, since it may echo
    a token.

    Args:
        repo: OWNER/NAME.

    Raises:
        AccessError: No token, a token that may not do this, or a repo that is not ours to see.
        HubError: The hub cannot be reached, or answers with an error or with what makes no sense.
    """
    outer = sys.exc_info()[1]
    try:
        with _quiet(), _by_http(), watched(repo) as watch:
            yield Link(repo, HfApi(), watch)
    except NSDImageryError as error:
        if (made := clean(error)) is error:
            raise
        raise made from None
    except ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # of this machine: a full disk, a file that may not be read
        raise ours(repo, error, outer) from None


@contextmanager
def asking(link: Link) -> Iterator[None]:
    """Around a call of `huggingface_hub` and nothing else: where that stumbles, it does over an answer."""
    outer = sys.exc_info()[1]
    try:
        yield
    except STUMBLES as error:
        if modules(error)[-1].startswith("nsd_imagery.") or not through_client(error):
            raise  # a fault of ours
        raise ours(link.repo, error, outer) from None


def commit_id(link: Link, sha: object) -> str:
    """What an answer calls a commit.

    Raises:
        HubError: It is none.
    """
    if not (isinstance(sha, str) and _COMMIT.fullmatch(sha)):
        raise _no_answer(link, f"its commit is {shown(sha)}")
    return sha


def _no_answer(link: Link, why: str) -> HubError:
    return HubError(redacted(f"{link.repo}: the answer is not a hub's ({why}); {AGAIN}"))


@contextmanager
def _by_http() -> Iterator[None]:
    """Without Xet, whose own client sends and brings files past what watches the requests, and past their time-outs."""
    is_off = constants.HF_HUB_DISABLE_XET
    constants.HF_HUB_DISABLE_XET = True
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_XET = is_off


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's progress bars and notes on retries: the caller's `progress` and our errors say it."""
    verbosity, bars = logging.get_verbosity(), constants.HF_HUB_DISABLE_PROGRESS_BARS is None
    hide = bars and not are_progress_bars_disabled()
    logging.set_verbosity_error()
    if hide:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if hide:
            enable_progress_bars()
