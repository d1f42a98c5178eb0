"""A bucket on loopback: S3's GET, HEAD and ListObjectsV2 of a folder for anybody, at a speed, with faults and counters.

Only what S3 answers is answered: single ranges, If-Match, ETags of objects that were uploaded in parts, errors as XML.
As a program, `bucket.py FOLDER [--port N] [--latency S] [--rate BYTES] [--part BYTES]` serves until it is killed.
"""

import argparse
import asyncio
import hashlib
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NAME = "natural-scenes-dataset"
PAGE = b"<!DOCTYPE html><html><body>Please log in to the network</body></html>"
REASONS = {
    200: "OK",
    206: "Partial Content",
    404: "Not Found",
    412: "Precondition Failed",
    416: "Range Not Satisfiable",
}
CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange", 503: "SlowDown"}
_BLOCK = 1 << 16


@dataclass(frozen=True)
class Request:
    """A request that came in, and how it was answered; `key` is the prefix of a listing."""

    method: str
    key: str
    span: tuple[int, int] | None
    status: int
    headers: dict[str, str]


@dataclass
class Fault:
    """What goes wrong with some requests, from the first or a later one on.

    Attributes:
        key: How the keys end, or the prefixes of listings.
        kind: "status" (of `value`), "cut" (hangs up after `value` bytes), "stall" (is silent after as many), "page" (a
            web page with status 200), "whole" (Range is ignored), "shifted" (Content-Range is another), "flip" (the
            byte at `value` of the object is another), "then" (nothing, but `do` is done first).
        value: See there.
        times: How many requests.
        after: How many requests before go well.
        method: GET, HEAD or LIST; empty for all.
        do: What is done when it is met.
        headers: Further ones of the answer.
    """

    key: str
    kind: str = "status"
    value: int = 0
    times: int = 1_000_000
    after: int = 0
    method: str = "GET"
    do: Callable[[], object] = lambda: None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Bucket:
    """The state of the bucket, for tests to look at and to change.

    Attributes:
        folder: What it holds.
        url: What `--source` takes.
        part: Bytes of the parts that objects larger than one were uploaded in.
        latency: Seconds before each answer.
        rate: Bytes a second over all connections; 0 for no limit.
        page_size: Keys in an answer to a listing.
        lists_quotes: Whether the ETags of a listing are in quotes, as Amazon's are.
        heeds_if_match: Whether an object that is another one is refused, as Amazon does.
        changed: Objects by key that are other than in the folder; None for one that is not there.
        etags: ETags by key that are no MD5.
        sent: Bytes of objects that went out.
    """

    folder: Path
    url: str = ""
    part: int = 8 << 20
    latency: float = 0.0
    rate: float = 0.0
    page_size: int = 1000
    lists_quotes: bool = True
    heeds_if_match: bool = True
    changed: dict[str, bytes | None] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    sent: int = 0
    busy: int = 0
    most_busy: int = 0
    _free_at: float = 0.0
    _made: dict[tuple[object, ...], str] = field(default_factory=dict)

    def clear(self) -> None:
        """As if nothing had been asked, and everything were as in the folder."""
        for kept in (self.changed, self.etags, self.faults, self.requests):
            kept.clear()
        self.sent = self.most_busy = 0
        self.latency, self.rate, self.part, self.page_size = 0.0, 0.0, 8 << 20, 1000
        self.lists_quotes = self.heeds_if_match = True

    def asked(self, method: str) -> list[Request]:
        """The requests of a method: GET, HEAD or LIST."""
        return [request for request in self.requests if request.method == method]

    def all_keys(self) -> list[str]:
        """All that is there, sorted."""
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}
        return sorted((found | set(self.changed)) - {key for key, content in self.changed.items() if content is None})

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if there is none."""
        if key in self.changed:
            content = self.changed[key]
            return None if content is None else len(content)
        path = self.folder / key
        return path.stat().st_size if path.is_file() else None

    def whole(self, key: str) -> bytes:
        """All bytes of an object."""
        return self.read(key, 0, self.size(key) or 0)

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Some bytes of an object."""
        content = self.changed.get(key)
        if content is not None:
            return content[start:stop]
        with (self.folder / key).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def etag(self, key: str) -> str:
        """As S3 makes it, in quotes."""
        if key in self.etags:
            return f'"{self.etags[key]}"'
        size = self.size(key) or 0
        stamp = hash(self.changed[key]) if key in self.changed else (self.folder / key).stat().st_mtime_ns
        what = (key, size, stamp, self.part)
        if what not in self._made:
            starts = range(0, size, self.part) if size > self.part else [0]
            parts = [hashlib.md5(self.read(key, start, start + self.part)).digest() for start in starts]
            many = f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"
            self._made[what] = many if size > self.part else parts[0].hex()
        return f'"{self._made[what]}"'

    def fault(self, method: str, key: str) -> Fault | None:
        """The first fault that a request meets."""
        for fault in self.faults:
            if fault.method in ("", method) and key.endswith(fault.key):
                fault.after -= 1
                if fault.after < 0 < fault.times:
                    fault.times -= 1
                    fault.do()
                    return fault
        return None

    async def pass_on(self, n_bytes: int) -> None:
        """Wait until the line, which all share, has room."""
        if self.rate:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + n_bytes / self.rate
            await asyncio.sleep(self._free_at - now)


class _Connection:
    """One connection, request after request."""

    def __init__(self, bucket: Bucket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.bucket, self.reader, self.writer = bucket, reader, writer

    async def serve(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self.answer():
                pass
        self.writer.close()

    async def answer(self) -> bool:
        """Whether the connection stays."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        key = unquote(address.path).removeprefix(f"/{NAME}").lstrip("/")
        method, key = ("LIST", query.get("prefix", "")) if "list-type" in query else (method, key)
        self.bucket.busy += 1
        self.bucket.most_busy = max(self.bucket.busy, self.bucket.most_busy)
        try:
            await asyncio.sleep(self.bucket.latency)
            fault = self.bucket.fault(method, key)
            if fault and fault.kind == "page":
                self.note(method, key, None, 200, headers)
                return await self.send(method, 200, {"Content-Type": "text/html"}, PAGE)
            if fault and fault.kind == "status":
                self.note(method, key, None, fault.value, headers)
                return await self.refuse(method, fault.value, key, fault.headers)
            if method == "LIST":
                self.note(method, key, None, 200, headers)
                listing = _listing(self.bucket, key, query).encode()
                return await self.send(method, 200, {"Content-Type": "application/xml"}, listing)
            return await self.send_object(method, key, headers, fault)
        finally:
            self.bucket.busy -= 1

    def note(self, method: str, key: str, span: tuple[int, int] | None, status: int, headers: dict[str, str]) -> None:
        self.bucket.requests.append(Request(method, key, span, status, headers))

    async def refuse(self, method: str, status: int, key: str, headers: dict[str, str]) -> bool:
        code = CODES.get(status, "Error")
        body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>No</Message><Key>{escape(key)}</Key></Error>'
        return await self.send(method, status, {"Content-Type": "application/xml", **headers}, body.encode())

    async def send(self, method: str, status: int, headers: dict[str, str], body: bytes) -> bool:
        headers = {"Content-Length": str(len(body)), **headers}
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'No')}", *(f"{name}: {one}" for name, one in headers.items())]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == "HEAD" else body))
        await self.writer.drain()
        return True

    async def send_object(self, method: str, key: str, headers: dict[str, str], fault: Fault | None) -> bool:
        size = self.bucket.size(key)
        etag = self.bucket.etag(key) if size is not None else ""
        kind, value = (fault.kind, fault.value) if fault else ("", 0)
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")) if kind != "whole" else None
        start, stop = (int(asked[1]), int(asked[2] or 10**18) + 1) if asked else (0, 10**18)
        stop = min(stop, size or 0)
        is_other = headers.get("if-match", etag) != etag and self.bucket.heeds_if_match
        status = 404 if size is None else 412 if is_other else 416 if asked and start >= size else 206 if asked else 200
        self.note(method, key, (start, stop) if asked else None, status, headers)
        if status >= 400:
            return await self.refuse(method, status, key, {})
        sent = {"Content-Length": str(stop - start), "ETag": etag, "Accept-Ranges": "bytes"}
        sent |= {"Last-Modified": "Wed, 21 Oct 2020 07:28:00 GMT", "Content-Type": "binary/octet-stream"}
        if asked:
            moved = kind == "shifted"
            sent["Content-Range"] = f"bytes {start + moved}-{stop - 1 + moved}/{size}"
        await self.send(method, status, sent, b"")
        if method == "HEAD":
            return True
        for at in range(start, stop, _BLOCK):
            block = self.bucket.read(key, at, min(at + _BLOCK, stop))
            if kind == "flip" and at <= value < at + len(block):
                block = block[: value - at] + bytes([block[value - at] ^ 1]) + block[value - at + 1 :]
            if kind in ("cut", "stall") and at + len(block) > start + value:
                self.writer.write(block[: max(start + value - at, 0)])
                await self.writer.drain()
                await asyncio.sleep(3600 if kind == "stall" else 0)
                return False
            await self.bucket.pass_on(len(block))
            self.writer.write(block)
            await self.writer.drain()
            self.bucket.sent += len(block)
        return True


def _listing(bucket: Bucket, prefix: str, query: dict[str, str]) -> str:
    found = [key for key in bucket.all_keys() if key.startswith(prefix) and key > query.get("continuation-token", "")]
    shown, more = found[: bucket.page_size], len(found) > bucket.page_size
    marks = "" if bucket.lists_quotes else '"'
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2020-10-21T07:28:00.000Z</LastModified>"
        f"<ETag>{escape(bucket.etag(key).strip(marks), {chr(34): '&quot;'})}</ETag>"
        f"<Size>{bucket.size(key)}</Size></Contents>"
        for key in shown
    )
    token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{NAME}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(shown)}</KeyCount>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{entries}</ListBucketResult>"
    )


@contextmanager
def serving(folder: Path, *, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Bucket]:
    """A bucket of a folder on 127.0.0.1, in a thread of its own, while the block runs."""
    bucket = Bucket(folder)
    loop = asyncio.new_event_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task: Any = asyncio.current_task()
        tasks.add(task)
        try:
            await _Connection(bucket, reader, writer).serve()
        finally:
            tasks.discard(task)

    server = loop.run_until_complete(asyncio.start_server(connected, "127.0.0.1", port, ssl=tls))
    bucket.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/{NAME}"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def end() -> None:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        yield bucket
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--part", type=int, default=8 << 20)
    asked = parser.parse_args(arguments)
    with serving(asked.folder, port=asked.port) as bucket:
        bucket.latency, bucket.rate, bucket.part = asked.latency, asked.rate, asked.part
        print(bucket.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
