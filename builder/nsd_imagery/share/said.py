"""What the hub and its client say, as one printable line of ours, without what opens anything."""

import re
import sys
import traceback
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from nsd_imagery.errors import AccessError, HubError, MissingDataError, NSDImageryError, printable

LOGIN = "hf auth login"
AGAIN = "nothing is broken, run the same command again"

# Where nothing answers, the HTTP client's own error comes through. By its version, huggingface_hub has imported
# requests, whose errors are OSErrors, or one of these.
_CLIENTS = [sys.modules[name] for name in ("httpx", "httpx2") if name in sys.modules]
ERRORS: tuple[type[Exception], ...] = (*(client.HTTPError for client in _CLIENTS), OSError, RuntimeError, ValueError)

STUMBLES = (TypeError, LookupError, AttributeError, NameError, AssertionError, ArithmeticError)
"""What huggingface_hub raises where an answer has another shape than it expects."""

_MISREAD = (ValueError, RecursionError, FileMetadataError, *STUMBLES, *(one.DecodingError for one in _CLIENTS))

_MOST = 240
_HIDDEN = "<hidden>"
_SECRETS = (
    (re.compile(r"(?<=://)[^\s/@'\"]+@"), ""),  # user:password@
    (re.compile(r"\?[\w.~%-]+=[^\s'\")]*"), ""),  # what a signed address carries
    (re.compile(r"hf_[A-Za-z0-9]{16,}"), _HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
)


def redacted(text: str) -> str:
    """A text without tokens, passwords in addresses and signatures of addresses."""
    token = get_token()
    if token:
        for form in (token, quote(token, safe="")):
            text = text.replace(form, _HIDDEN)
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


def line(text: object) -> str:
    """The first line that says something, redacted, printable, and cut short where it is long."""
    first = next((part.strip() for part in str(text).splitlines() if part.strip()), "")
    plain = printable(redacted(first))
    return plain if len(plain) <= _MOST else f"{plain[: _MOST - 3]}..."


def address(url: str) -> str:
    """Where an address leads, without who asks and what is asked."""
    parts = urlsplit(url)
    return line(
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else parts.path or "the same place"
    )


def is_hub(url: str) -> bool:
    """Whether an address is one of the hub itself, not of its storage or of anybody else."""
    one, other = urlsplit(url), urlsplit(constants.ENDPOINT)
    ports = {"http": 80, "https": 443}
    return (one.scheme, one.hostname, one.port or ports.get(one.scheme)) == (
        other.scheme,
        other.hostname,
        other.port or ports.get(other.scheme),
    )


def ours(repo: str, error: Exception, outer: BaseException | None = None) -> NSDImageryError:
    """Our error for one of the hub's client, or of the watch on it.

    Args:
        repo: OWNER/NAME, for the message.
        error: What was raised.
        outer: What was being handled when the hub was asked, and has nothing to do with it.
    """
    chain = list(_chain(error, outer))
    for cause in chain:
        if isinstance(cause, NSDImageryError):
            return clean(cause)
        if isinstance(cause, OfflineModeIsEnabled):
            return HubError("HF_HUB_OFFLINE is set, so the hub is not asked; unset it, and run the same command again")
        response = getattr(cause, "response", None)
        if isinstance(getattr(response, "status_code", None), int):
            return _answered(repo, cause, response)
    reason = chain[-1]
    kind = type(reason).__name__
    what = f"{kind}: {line(reason)}" if isinstance(reason, STUMBLES) else line(reason) or kind
    if isinstance(error, _MISREAD) or isinstance(reason, _MISREAD):
        return HubError(f"{repo}: the answer of {address(constants.ENDPOINT)} is not a hub's ({what}); {AGAIN}")
    return HubError(f"{repo}: no answer from {address(constants.ENDPOINT)} ({what}); {AGAIN} when the network is back")


def clean(error: NSDImageryError) -> NSDImageryError:
    """An error of ours as it is, or one of its kind whose message and notes are redacted.

    One that came through the hub's client is another one, too: what that went through is long, and no news.
    """
    notes: list[str] = getattr(error, "__notes__", [])
    is_plain = redacted(said := str(error)) == said and [redacted(note) for note in notes] == notes
    if is_plain and not through_client(error):
        return error
    made = type(error)(redacted(said))
    for note in notes:
        made.add_note(redacted(note))
    return made


def through_client(error: BaseException) -> bool:
    """Whether an error was raised below the hub's client."""
    return any(name.startswith("huggingface_hub") for name in modules(error))


def modules(error: BaseException) -> list[str]:
    """The modules that an error came through, the one that raised it last."""
    return [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]


def _answered(repo: str, error: BaseException, response: Any) -> NSDImageryError:
    status, url = response.status_code, str(response.url)
    said = line(getattr(error, "server_message", None) or (error if isinstance(error, HfHubHTTPError) else ""))
    said = said or "and no more"
    if not is_hub(url):
        return HubError(f"{repo}: the storage of the hub answered {status} ({said}); {AGAIN}")
    if isinstance(error, RevisionNotFoundError):
        return MissingDataError(f"{repo}: no such revision ({said}); leave --revision out for the newest")
    if isinstance(error, EntryNotFoundError):
        file = line(urlsplit(url).path.partition("/resolve/")[2].partition("/")[2])
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
    return HubError(f"{repo}: the hub answered {status} ({said}); {AGAIN}")


def _chain(error: BaseException, outer: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from: uploads wrap the hub's answer in a RuntimeError, and stumble while they do."""
    seen: BaseException | None = error
    while seen is not None and seen is not outer:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
