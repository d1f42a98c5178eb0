"""A hub on loopback: the endpoints of the Hugging Face hub that its client uses for datasets, strict on who may what.

It keeps repos in memory, records every request, and fails where a test asks it to. Only what the real hub answers is
answered; any other request is a 404 that the test sees in `requests`.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".parquet", ".arrow")


@dataclass
class Blob:
    """A file in a commit: a small one with its contents, or a large one by its sha256."""

    content: bytes = b""
    sha256: str = ""

    @property
    def git_hash(self) -> str:
        pointer = f"large {self.sha256}".encode() if self.sha256 else self.content
        return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()


@dataclass
class Repo:
    """A dataset repo: its commits, oldest first, each with all its files."""

    private: bool
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def commit(self, files: dict[str, Blob]) -> str:
        sha = hashlib.sha1(f"{len(self.commits)} {sorted(files)} {id(files)}".encode()).hexdigest()
        self.commits[sha] = files
        return sha


@dataclass(frozen=True)
class Request:
    """A request that came in, and how it was answered.

    Attributes:
        method: GET, and so on.
        path: Without what is asked.
        action: The endpoint.
        status: Of the answer; 0 where the hub hung up.
        user: Whose token came with it.
        public: The repos that were public when it was answered.
        said: What an answer about a repo said of `private`; None where it said nothing of use.
        content: Whether it brought something of a file.
    """

    method: str
    path: str
    action: str
    status: int
    user: str
    public: frozenset[str] = frozenset()
    said: object = None
    content: bool = False


@dataclass
class Fault:
    """What goes wrong: requests of an action are answered with a status, or by hanging up (0), from some count on.

    With `change` they are done, and what the hub would have answered is given to it and may come out as anything.
    """

    action: str
    status: int
    after: int = 0
    times: int = 1_000_000
    then: Callable[[], None] | None = None
    change: Callable[["Answer"], "Answer"] | None = None


class Answer(Exception):  # noqa: N818
    """What the hub answers, raised from anywhere.

    Attributes:
        status: 0 hangs up.
        body: As it is sent.
        headers: By name.
        silent: It is never sent.
        cut: Only so many bytes of the body are sent, and then the hub hangs up.
        pause: Seconds before each byte of the body.
    """

    silent: bool = False
    cut: int | None = None
    pause: float = 0.0

    def __init__(self, status: int, body: object = b"", **headers: str) -> None:
        super().__init__(status)
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def refuse(status: int, message: str, code: str = "") -> Answer:
    headers = {"X_Error_Message": message} | ({"X_Error_Code": code} if code else {})
    return Answer(status, {"error": message}, **headers)


@dataclass
class Hub:
    """The state of the hub, for tests to look at and to change."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    readers: dict[str, set[str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    released: threading.Event = field(default_factory=threading.Event)
    busy: int = 0

    def clear(self) -> None:
        """As if nobody had ever been here."""
        self.released.set()
        self.released = threading.Event()
        with self.lock:
            for kept in (self.repos, self.large, self.tokens, self.readers, self.faults, self.requests):
                kept.clear()

    @property
    def storage(self) -> str:
        """Where large files lie: on another host, as in the real hub, which must never see a token."""
        return self.url.replace("127.0.0.1", "localhost") + "/storage"

    def token(self, user: str, role: str = "write") -> str:
        """A token of a user with the scope "read" or "write"."""
        token = f"hf_{user}{role}{'x' * 20}"
        self.tokens[token] = (user, role)
        return token

    def actions(self, *names: str) -> list[Request]:
        """The requests of some endpoints."""
        return [request for request in self.requests if request.action in names]

    def files(self, repo: str) -> dict[str, bytes]:
        """The files of a repo as they are now, but what the hub itself put there."""
        held = self.repos[repo]
        return {
            path: self.large[blob.sha256] if blob.sha256 else blob.content
            for path, blob in held.commits[held.head].items()
            if path != ".gitattributes"
        }

    def put(self, repo: str, files: dict[str, bytes], private: bool = True) -> None:
        """Make a repo by hand, or give one other files."""
        held = self.repos.setdefault(repo, Repo(private))
        blobs = {}
        for path, content in files.items():
            large = path.endswith(LARGE)
            sha256 = hashlib.sha256(content).hexdigest() if large else ""
            blobs[path] = Blob(b"" if large else content, sha256)
            if large:
                self.large[sha256] = content
        held.commit({".gitattributes": Blob(b"*.parquet filter=lfs\n"), **blobs})


ROUTES: list[tuple[str, re.Pattern[str], str]] = [
    (method, re.compile(f"^{pattern}$"), action)
    for method, pattern, action in (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "yaml"),
        ("GET", r"/api/(datasets|models)/(?P<repo>[^/]+/[^/]+)(/revision/(?P<rev>[^/]+))?", "info"),
        ("GET", r"/api/(datasets|models)/(?P<repo>[^/]+/[^/]+)/tree/(?P<rev>[^/]+)(/(?P<path>.+))?", "tree"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/paths-info/(?P<rev>[^/]+)", "paths"),
        ("PUT", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/settings", "settings"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>[^/]+)", "preupload"),
        ("POST", r"/api/datasets/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>[^/]+)", "commit"),
        ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
        ("POST", r"/datasets/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/verify", "verify"),
        ("PUT", r"/storage/(?P<sha>[0-9a-f]{64})", "upload"),
        ("GET", r"/storage/(?P<sha>[0-9a-f]{64})", "download"),
        ("HEAD", r"/storage/(?P<sha>[0-9a-f]{64})", "download"),
        ("GET", r"/(datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
        ("HEAD", r"/(datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", "resolve"),
    )
]


class Handler(BaseHTTPRequestHandler):
    """One request: whose it is, which endpoint, and the answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes, and each answer would wait 40 ms
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self) -> None:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        self.body = self.read_body()
        matches = ((route.match(address.path), action) for method, route, action in ROUTES if method == self.command)
        match, action = next(((match, action) for match, action in matches if match), (None, "unknown"))
        self.user, self.role = "", ""
        change: Callable[[Answer], Answer] | None = None
        try:
            self.identify()
            change = self.fail_if_asked(action)
            if match is None:
                raise refuse(404, "no such endpoint")
            parts = {name: unquote(value) for name, value in match.groupdict().items() if value is not None}
            with self.hub.lock:
                getattr(self, action)(**parts)
        except Answer as right:
            answer = change(right) if change else right
            with self.hub.lock:
                self.note(address.path, action, answer)
            self.send(answer)

    def counted(self) -> None:
        """Answer, and be known to be at it."""
        with self.hub.lock:
            self.hub.busy += 1
        try:
            self.answer()
        finally:
            with self.hub.lock:
                self.hub.busy -= 1

    do_GET = do_HEAD = do_POST = do_PUT = counted  # noqa: N815

    def note(self, path: str, action: str, answer: Answer) -> None:
        public = frozenset(name for name, repo in self.hub.repos.items() if not repo.private)
        content = action in ("preupload", "upload") or (
            action == "commit" and any(json.loads(line)["key"] != "header" for line in self.body.splitlines())
        )
        said = None
        if action == "info" and answer.status == 200 and not answer.silent and answer.cut is None:
            with suppress(ValueError):
                told = json.loads(answer.body)
                said = told.get("private") if isinstance(told, dict) and told.get("id") in self.hub.repos else None
        self.hub.requests.append(Request(self.command, path, action, answer.status, self.user, public, said, content))

    def send(self, answer: Answer) -> None:
        if answer.silent:
            self.hub.released.wait(60)
        if answer.status == 0 or answer.silent:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.pause:
            for byte in answer.body:
                if self.hub.released.wait(answer.pause):
                    break
                self.wfile.write(bytes([byte]))
            return
        self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def identify(self) -> None:
        given = self.headers.get("Authorization", "")
        if given:
            if given.removeprefix("Bearer ") not in self.hub.tokens:
                raise refuse(401, "Invalid credentials in Authorization header")
            self.user, self.role = self.hub.tokens[given.removeprefix("Bearer ")]

    def fail_if_asked(self, action: str) -> Callable[[Answer], Answer] | None:
        with self.hub.lock:
            for fault in self.hub.faults:
                if fault.action == action:
                    fault.after -= 1
                    if fault.after < 0 < fault.times:
                        fault.times -= 1
                        if fault.then:
                            fault.then()
                        if fault.change:
                            return fault.change
                        if fault.status != 200:
                            raise refuse(fault.status, "the hub has a bad day")
        return None

    def may_read(self, repo: str) -> Repo:
        held = self.hub.repos.get(repo)
        if held and (
            not held.private or self.user == repo.split("/")[0] or self.user in self.hub.readers.get(repo, ())
        ):
            return held
        if self.user:
            raise refuse(404, "Repository not found", "RepoNotFound")
        raise refuse(401, "Invalid username or password.", "RepoNotFound")

    def may_write(self, repo: str) -> Repo:
        held = self.may_read(repo)
        if not self.user:
            raise refuse(401, "Invalid username or password.")
        if self.role != "write" or self.user != repo.split("/")[0]:
            raise refuse(403, "Forbidden: you must use a write token to upload to a repository.")
        return held

    def commit_of(self, repo: str, rev: str) -> tuple[Repo, str]:
        held = self.may_read(repo)
        sha = held.head if rev == "main" else rev
        if sha not in held.commits:
            raise refuse(404, f"Invalid rev id: {rev}", "RevisionNotFound")
        return held, sha

    # The endpoints.

    def whoami(self) -> None:
        if not self.user:
            raise refuse(401, "Invalid username or password.")
        raise Answer(200, {"name": self.user, "type": "user", "auth": {"accessToken": {"role": self.role}}})

    def create(self) -> None:
        asked = json.loads(self.body)
        owner = asked.get("organization") or self.user
        if not self.user:
            raise refuse(401, "Invalid username or password.")
        if self.role != "write" or owner != self.user:
            raise refuse(403, f'You don\'t have the rights to create a dataset under the namespace "{owner}"')
        if asked.get("type") != "dataset":
            raise refuse(400, "only datasets here")
        repo = f"{owner}/{asked['name']}"
        url = f"{self.hub.url}/datasets/{repo}"
        if repo in self.hub.repos:
            raise Answer(409, {"error": "You already created this dataset repo", "url": url})
        private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        self.hub.put(repo, {}, private)
        raise Answer(200, {"url": url, "name": repo, "id": repo})

    def settings(self, repo: str) -> None:
        held, asked = self.may_write(repo), json.loads(self.body)
        held.private = asked.get("visibility", "private" if asked.get("private") else "public") == "private"
        raise Answer(200, {"private": held.private})

    def yaml(self) -> None:
        front = json.loads(self.body)["content"].split("---\n")
        if len(front) < 3 or not front[1].strip():
            raise Answer(400, {"errors": [{"message": "no metadata"}], "warnings": []})
        raise Answer(200, {"errors": [], "warnings": []})

    def info(self, repo: str, rev: str = "main") -> None:
        held, sha = self.commit_of(repo, rev)
        siblings = [{"rfilename": path} for path in held.commits[sha]]
        raise Answer(200, {"id": repo, "sha": sha, "private": held.private, "gated": False, "siblings": siblings})

    def entry(self, path: str, blob: Blob) -> dict[str, Any]:
        if not blob.sha256:
            return {"type": "file", "path": path, "oid": blob.git_hash, "size": len(blob.content)}
        size = len(self.hub.large[blob.sha256])
        lfs = {"oid": blob.sha256, "size": size, "pointerSize": 130}
        return {"type": "file", "path": path, "oid": blob.git_hash, "size": size, "lfs": lfs}

    def tree(self, repo: str, rev: str, path: str = "") -> None:
        held, sha = self.commit_of(repo, rev)
        prefix = f"{path}/" if path else ""
        under = {name: blob for name, blob in held.commits[sha].items() if name.startswith(prefix)}
        if path and not under:
            raise refuse(404, f"{path} does not exist", "EntryNotFound")
        deep = self.query.get("recursive", "").lower() in ("true", "1")
        entries = [self.entry(name, blob) for name, blob in under.items() if deep or "/" not in name[len(prefix) :]]
        folders = {prefix + name[len(prefix) :].split("/")[0] for name in under if "/" in name[len(prefix) :]}
        raise Answer(
            200, [*entries, *({"type": "directory", "path": name, "oid": "0" * 40} for name in sorted(folders))]
        )

    def paths(self, repo: str, rev: str) -> None:
        held, sha = self.commit_of(repo, rev)
        form = parse_qs(self.body.decode()) if not self.body.startswith(b"{") else json.loads(self.body)
        files, found = held.commits[sha], []
        for path in form["paths"]:
            if path in files:
                found.append(self.entry(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "path": path, "oid": "0" * 40})
        raise Answer(200, found)

    def preupload(self, repo: str, rev: str) -> None:
        files = self.may_write(repo).commits[self.commit_of(repo, rev)[1]]
        modes = []
        for asked in json.loads(self.body)["files"]:
            blob, large = files.get(asked["path"]), asked["path"].endswith(LARGE)
            mode = {"path": asked["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
            modes.append(mode | ({"oid": blob.sha256 or blob.git_hash} if blob else {}))
        raise Answer(200, {"files": modes})

    def batch(self, repo: str) -> None:
        self.may_write(repo)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            found: dict[str, Any] = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.large:
                upload = {"href": f"{self.hub.storage}/{asked['oid']}?signature=secret"}
                verify = {"href": f"{self.hub.url}/datasets/{repo}.git/info/lfs/objects/verify"}
                found["actions"] = {"upload": upload, "verify": verify}
            objects.append(found)
        raise Answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, sha: str) -> None:
        self.refuse_unsigned()
        if hashlib.sha256(self.body).hexdigest() != sha:
            raise refuse(400, "the contents do not match")
        self.hub.large[sha] = self.body
        raise Answer(200)

    def refuse_unsigned(self) -> None:
        if self.query.get("signature") != "secret" or self.headers.get("Authorization"):
            raise refuse(400, "storage takes a signed address, and no token")

    def verify(self, repo: str) -> None:
        self.may_write(repo)
        asked = json.loads(self.body)
        if len(self.hub.large.get(asked["oid"], b"")) != asked["size"]:
            raise refuse(404, "no such object")
        raise Answer(200, {})

    def commit(self, repo: str, rev: str) -> None:
        held = self.may_write(repo)
        lines = [json.loads(line) for line in self.body.splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if rev != "main" or (parent and parent != held.head):
            raise refuse(412, "The branch has moved on")
        files = dict(held.commits[held.head])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]))
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise refuse(400, f"{value['path']}: no such object")
                files[value["path"]] = Blob(sha256=value["oid"])
            elif line["key"] == "deletedFile" and value["path"] in files:
                del files[value["path"]]
            else:
                raise refuse(400, f"cannot {line['key']} {value}")
        sha = held.commit(files)
        raise Answer(200, {"commitUrl": f"{self.hub.url}/datasets/{repo}/commit/{sha}", "commitOid": sha})

    def resolve(self, repo: str, rev: str, path: str) -> None:
        held, sha = self.commit_of(repo, rev)
        blob = held.commits[sha].get(path)
        if blob is None:
            answer = refuse(404, "Entry not found", "EntryNotFound")
            answer.headers["X-Repo-Commit"] = sha
            raise answer
        if not blob.sha256:
            self.ranged(blob.content, {"ETag": f'"{blob.git_hash}"', "X-Repo-Commit": sha})
        raise Answer(
            302,
            Location=f"{self.hub.storage}/{blob.sha256}?signature=secret",
            X_Repo_Commit=sha,
            X_Linked_ETag=f'"{blob.sha256}"',
            X_Linked_Size=str(len(self.hub.large[blob.sha256])),
        )

    def download(self, sha: str) -> None:
        self.refuse_unsigned()
        self.ranged(self.hub.large[sha], {"ETag": f'"{sha}"'})

    def ranged(self, content: bytes, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(asked[1]), int(asked[2] or len(content) - 1)) if asked else (0, len(content) - 1)
        part = content[start : end + 1]
        answer = Answer(206 if asked else 200, part)
        answer.headers |= {"Accept-Ranges": "bytes", **headers}
        if asked:
            answer.headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        raise answer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what some tests are about."""


def start(listener: socket.socket | None = None) -> Hub:
    """A hub on a free port of 127.0.0.1, or on a socket that listens already, for as long as this process lives."""
    hub = Hub()
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}), listener is None)
    if listener is not None:
        server.socket.close()
        server.socket = listener
        server.server_address = listener.getsockname()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return hub


def variables(hub: Hub, home: Path) -> dict[str, str]:
    """The environment of a user "me" who is logged in to a hub and has accepted nothing."""
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(home / "hf_home"),
        "HF_TOKEN": hub.token("me"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
