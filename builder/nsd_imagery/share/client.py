"""The HTTP client under `huggingface_hub`, watched: what goes where, and how long an answer may take.

Left alone, that client waits without end, follows a redirect wherever it leads, sends the token to any address that an
answer names, and repeats an upload that failed without another look at the repo. What is here sees each request before
it is made, the repeated ones too, and each answer before it is read.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
from huggingface_hub import constants

from nsd_imagery.errors import HubError
from nsd_imagery.share.said import AGAIN, address, is_hub, line

_SECONDS = 60
"""Of silence, where HF_HUB_DOWNLOAD_TIMEOUT says nothing else: a commit of many files takes some time."""

_MOST_WAIT = 300
"""Seconds that an answer may ask to wait: the hub counts requests in windows of five minutes."""

_MOST_PAGES = 1000
_MOST_CONFLICTS = 20
_MOST_BYTES = 256 * 2**20
"""Of an answer that is no file."""

_FEW_BYTES = 16
"""Of an answer at a time, where a part is waited for until it is whole, however slowly its bytes come."""

_NO_CONTENT = re.compile(
    r"/api/repos/create|/api/datasets/[^/]+/[^/]+/settings|.*\.git/info/lfs/objects/(batch|verify)"
)
"""Requests with a body that holds nothing of a file."""

_ETAG = re.compile(r'(W/)?"?[\w.:+=-]{1,200}"?', re.ASCII)
"""huggingface_hub makes a file name of it."""

_ONE_AT_A_TIME = threading.Lock()


class Watch:
    """What is asked of the hub for one repo, and what it answers.

    Attributes:
        repo: OWNER/NAME, for messages.
        seconds: Of silence that end a request; an answer that is no file may take twice as long in all.
        before: Called directly before each request that holds something of a file; without it none is made.
    """

    def __init__(self, repo: str) -> None:
        self.repo = repo
        given = os.environ.get("HF_HUB_DOWNLOAD_TIMEOUT")
        self.seconds: float = constants.HF_HUB_DOWNLOAD_TIMEOUT if given else _SECONDS
        self.before: Callable[[], None] | None = None
        self._open: dict[tuple[str, str], float] = {}
        self._counts: dict[str, int] = {}

    def asked(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        """Before a request.

        Raises:
            HubError: It must not be made.
        """
        path = urlsplit(url).path
        if "authorization" in {name.lower() for name in headers} and not is_hub(url):
            msg = (
                f"{self.repo}: the hub asks for your token at {address(url)}, which is another place; nothing was sent"
            )
            raise HubError(msg)
        if constants.ENDPOINT.startswith("https:") and not url.startswith("https:"):
            msg = f"{self.repo}: the hub names {address(url)}, which is not encrypted; nothing was sent there"
            raise HubError(msg)
        since = self._open.get((method, url))
        if since is not None and time.monotonic() - since >= self.seconds:
            self._silent(url)
        if "/tree/" in path:
            self._count(path, _MOST_PAGES, "lists its files without an end")
        if method not in ("GET", "HEAD") and not (is_hub(url) and _NO_CONTENT.fullmatch(path)):
            if self.before is None:
                msg = f"{self.repo}: nothing may go up now ({method} {address(url)})"
                raise HubError(msg)
            self.before()
        self._open[method, url] = time.monotonic()

    def answered(self, method: str, url: str, status: int, headers: Mapping[str, str]) -> None:
        """Before an answer is read or followed.

        Raises:
            HubError: It must not be.
        """
        path = urlsplit(url).path
        if 300 <= status < 400 and status != 304 and not (method in ("GET", "HEAD") and not path.startswith("/api/")):
            msg = (
                f"{self.repo}: the hub sends this on to {address(headers.get('location', 'nowhere'))}; if it was "
                "renamed or moved, name it as it is called now"
            )
            raise HubError(msg)
        if status in (429, 503) and (wait := _wait(headers)) > _MOST_WAIT:
            msg = f"{self.repo}: the hub answered {status} and asks to wait {wait} s; run the same command again then"
            raise HubError(msg)
        if status == 409 and path == "/api/repos/create":
            self._count(path, _MOST_CONFLICTS, "answers 409 without an end")
        for name in ("etag", "x-linked-etag"):
            if (tag := headers.get(name)) is not None and not _ETAG.fullmatch(tag):
                msg = f"{self.repo}: the answer is not a hub's ({name} {line(tag)!r}); {AGAIN}"
                raise HubError(msg)

    def done(self, method: str, url: str) -> None:
        """After an answer, as far as it is watched."""
        self._open.pop((method, url), None)

    def read(self, chunks: Any, method: str, url: str) -> Iterator[bytes]:
        """The parts of an answer that is no file.

        Raises:
            HubError: It takes too long, or is too long.
        """
        begun, size = time.monotonic(), 0
        for chunk in chunks:
            size += len(chunk)
            if time.monotonic() - begun > 2 * self.seconds:
                self._silent(url)
            if size > _MOST_BYTES:
                msg = f"{self.repo}: the answer of {address(url)} has no end; {AGAIN}"
                raise HubError(msg)
            yield chunk
        self.done(method, url)

    def _silent(self, url: str) -> None:
        msg = f"{self.repo}: no answer from {address(url)} within {self.seconds:g} s; {AGAIN} when the network is back"
        raise HubError(msg)

    def _count(self, path: str, most: int, what: str) -> None:
        self._counts[path] = self._counts.get(path, 0) + 1
        if self._counts[path] > most:
            msg = f"{self.repo}: the hub {what}; {AGAIN}"
            raise HubError(msg)


def _wait(headers: Mapping[str, str]) -> int:
    """Seconds that an answer asks to wait, as huggingface_hub would."""
    asked = [headers.get("retry-after", ""), *re.findall(r"\bt\s*=\s*(\d+)", headers.get("ratelimit", ""))]
    return max((int(word) for word in asked if re.fullmatch(r"[0-9]{1,18}", word.strip())), default=0)


@contextmanager
def watched(repo: str) -> Iterator[Watch]:
    """Watch all that `huggingface_hub` asks, with the client that it uses otherwise; one thread at a time does."""
    watch = Watch(repo)
    with _ONE_AT_A_TIME, _sessions(watch) if hasattr(huggingface_hub, "configure_http_backend") else _clients(watch):
        yield watch


@contextmanager
def _clients(watch: Watch) -> Iterator[None]:
    """Of huggingface_hub from 1.0 on: httpx, or what follows it."""
    from huggingface_hub.utils import _http

    usual: Callable[[], Any] = getattr(_http, "_GLOBAL_CLIENT_FACTORY", _http.default_client_factory)

    def ask(request: Any) -> None:
        limits = request.extensions.get("timeout") or {}
        given = {part: limits.get(part) or watch.seconds for part in ("connect", "read", "write", "pool")}
        request.extensions["timeout"] = {part: min(limit, watch.seconds) for part, limit in given.items()}
        watch.asked(request.method, str(request.url), request.headers)

    def answer(response: Any) -> None:
        method, url = response.request.method, str(response.request.url)
        watch.answered(method, url, response.status_code, response.headers)
        if is_hub(url) and "/resolve/" not in url:
            response.stream = _bounded(watch, response)
        else:
            watch.done(method, url)

    def client() -> Any:
        made = usual()
        hooks = made.event_hooks
        made.event_hooks = {"request": [*hooks["request"], ask], "response": [answer, *hooks["response"]]}
        return made

    huggingface_hub.set_client_factory(client)
    try:
        yield
    finally:
        huggingface_hub.set_client_factory(usual)


def _bounded(watch: Watch, response: Any) -> Any:
    inner, request = response.stream, response.request
    library = sys.modules[type(response).__module__.partition(".")[0]]

    class Bounded(library.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return watch.read(inner, request.method, str(request.url))

        def close(self) -> None:
            inner.close()

    return Bounded()


@contextmanager
def _sessions(watch: Watch) -> Iterator[None]:
    """Of huggingface_hub before 1.0: requests."""
    from huggingface_hub.utils import _http

    configure: Callable[..., None] = vars(_http)["configure_http_backend"]
    usual: Callable[[], Any] = vars(_http)["_GLOBAL_BACKEND_FACTORY"]

    opened: list[Any] = []

    class Watched:
        def __init__(self, adapter: Any) -> None:
            self.adapter = adapter

        def send(self, request: Any, timeout: Any = None, **options: Any) -> Any:
            method, url = request.method, request.url
            watch.asked(method, url, request.headers)
            response = self.adapter.send(request, timeout=timeout or watch.seconds, **options)
            opened.append(response.raw)
            watch.answered(method, url, response.status_code, response.headers)
            if is_hub(url) and "/resolve/" not in url:
                stream = response.raw.stream
                response.raw.stream = lambda _, **options: watch.read(stream(_FEW_BYTES, **options), method, url)
            else:
                watch.done(method, url)
            return response

        def close(self) -> None:
            self.adapter.close()

    def session() -> Any:
        made = usual()
        opened.append(made)
        for prefix, adapter in list(made.adapters.items()):
            made.mount(prefix, Watched(adapter))
        return made

    configure(session)
    try:
        yield
    finally:
        configure(usual)
        for one in opened:  # answers too: a session closes no connection of which not all was read
            one.close()
