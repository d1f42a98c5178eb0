"""A dataset repo on the hub: its state, whether it is private, and one sentence for whatever the hub says.

Tokens, retries and transfer are `huggingface_hub`'s business; it finds the token itself, and none is seen here.
"""

import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging
from huggingface_hub.utils import validate_repo_id as validate

from nsd_imagery.errors import AccessError, HubError, MissingDataError, NSDImageryError, UsageError

LOGIN = "hf auth login"

# Where nothing answers, the HTTP client's own error comes through. By its version, huggingface_hub has imported
# requests, whose errors are OSErrors, or one of these.
_CLIENTS = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
_ERRORS: tuple[type[Exception], ...] = (*(client.HTTPError for client in _CLIENTS), OSError, RuntimeError, ValueError)

_AGAIN = "nothing is broken, run the same command again"


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
    return f"{constants.ENDPOINT}/datasets/{repo}"


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


def look(api: HfApi, repo: str, revision: str | None = None) -> Remote:
    """The state of a repo at a commit, by default the newest."""
    sha = revision or api.repo_info(repo, repo_type="dataset").sha or ""
    files = {
        entry.path: entry.lfs.sha256 if entry.lfs else entry.blob_id
        for entry in api.list_repo_tree(repo, recursive=True, repo_type="dataset", revision=sha or None)
        if isinstance(entry, RepoFile)
    }
    return Remote(repo, sha, files)


def exists(api: HfApi, repo: str) -> bool:
    """Whether a repo is there, as far as the token sees."""
    try:
        api.repo_info(repo, repo_type="dataset")
    except RepositoryNotFoundError:
        return False
    return True


def refuse_public(api: HfApi, repo: str, since: str = "") -> None:
    """Read back that a repo is private.

    Args:
        api: The hub.
        repo: OWNER/NAME.
        since: What is known of an earlier time, for the message.

    Raises:
        AccessError: It is not private.
    """
    if api.repo_info(repo, repo_type="dataset").private is not True:
        msg = (
            f"{repo} is public{since}, and NSD's terms do not allow that: make it private at {url_of(repo)}/settings, "
            "or push to another name"
        )
        raise AccessError(msg)


@contextmanager
def hub(repo: str) -> Iterator[HfApi]:
    """The hub, quiet, with its errors as ours.

    Args:
        repo: OWNER/NAME, for the messages.

    Raises:
        AccessError: No token, a token that may not do this, or a repo that is not ours to see.
        HubError: The hub cannot be reached, or answers with an error.
    """
    try:
        with _quiet():
            yield HfApi()
    except NSDImageryError:
        raise
    except _ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # of this machine: a full disk, a file that may not be read
        raise _ours(repo, error) from error


def _ours(repo: str, error: Exception) -> NSDImageryError:
    """Our error for one of the hub's client."""
    for cause in _chain(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return HubError("HF_HUB_OFFLINE is set, so the hub is not asked; unset it, and run the same command again")
        if isinstance(cause, HfHubHTTPError):
            return _answered(repo, cause)
    if isinstance(error, ValueError):
        return HubError(f"{constants.ENDPOINT}: the answer is not a hub's ({_first_line(error)}); {_AGAIN}")
    reason = _first_line(list(_chain(error))[-1])
    return HubError(f"no answer from {constants.ENDPOINT} ({reason}); {_AGAIN} when the network is back")


def _answered(repo: str, error: HfHubHTTPError) -> NSDImageryError:
    status = error.response.status_code
    said = error.server_message or _first_line(error)
    if not str(error.response.url).startswith(constants.ENDPOINT):
        return HubError(f"{repo}: the storage of the hub answered {status} ({said}); {_AGAIN}")
    if isinstance(error, RevisionNotFoundError):
        return MissingDataError(f"{repo}: no such revision ({said}); leave --revision out for the newest")
    if isinstance(error, EntryNotFoundError):
        file = str(error.response.url).partition("/resolve/")[2].partition("/")[2]
        return MissingDataError(f"{repo}: holds no {file}, which its manifest names; ask its owner to push again")
    if status in (401, 404) and get_token() is None:
        return AccessError(f"{repo}: you are not logged in to the hub: {LOGIN} (or set HF_TOKEN)")
    if status == 404 or (status == 401 and isinstance(error, RepositoryNotFoundError)):
        return MissingDataError(
            f"{repo}: no such dataset on the hub, or your token does not see it; check the name, ask its owner, or "
            f"log in as someone else: {LOGIN}"
        )
    if status == 401:
        return AccessError(f"{repo}: the hub does not accept your token ({said}); make a new one, then: {LOGIN}")
    if status == 403:
        return AccessError(
            f"{repo}: your token may not do this ({said}); use one with write access to {repo.partition('/')[0]}, "
            f"then: {LOGIN}"
        )
    if status in (409, 412):
        return HubError(f"{repo}: somebody else changed it meanwhile ({said}); run the same command again")
    return HubError(f"{repo}: the hub answered {status} ({said}); {_AGAIN}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what it came from: uploads wrap the hub's answer in a RuntimeError."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _first_line(error: BaseException) -> str:
    """The first line of a message, without what a signed address carries."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"(https?://[^\s'\"?]+)\?[^\s'\"]*", r"\1", lines[0]) if lines else type(error).__name__


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
