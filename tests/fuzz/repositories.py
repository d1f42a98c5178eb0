"""What is fuzzed of a dataset that came from elsewhere: its folder, its repo, and what the hub says of that.

The hub is one on loopback, in the process that reads. Run as a program, this records what a right hub answers:

    python tests/fuzz/repositories.py DATASET ANSWERS
"""

import os
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import hub as loopback
import nsd_imagery
from nsd_imagery.dataset.folder import open_manifest

REPO = "me/nsd-imagery"
TO_PUSH = ("create", "yaml", "info", "tree", "preupload", "batch", "verify", "commit")
TO_PULL = ("info",)
"""Endpoints that answer with JSON."""

SHARD = "subj01-imagery-V1v/"
_PORT, _COMMIT = b":00000/", b"c" * 40
"""In the place of a port and of a commit, which are others each time."""

_LISTENER = socket.create_server(("127.0.0.1", 0))
"""Of the process that forks, since `huggingface_hub` reads where its hub is, and how, when it is imported."""
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{_LISTENER.getsockname()[1]}"

_HUBS: dict[int, loopback.Hub] = {}
"""By process."""


def prepare() -> None:
    """Start the hub of this process, and import what talks to it."""
    hub = _HUBS[os.getpid()] = loopback.start(_LISTENER)
    os.environ.update(loopback.variables(hub, Path(tempfile.gettempdir()) / "nobody"))
    warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
    time.sleep = lambda _: None  # between tries
    from huggingface_hub import constants

    constants.HF_HUB_DOWNLOAD_TIMEOUT = 1
    assert hub.url == constants.ENDPOINT
    from nsd_imagery.share import receive, send  # noqa: F401


def verify_folder(root: Path, _file: Path) -> object:
    return nsd_imagery.verify(root / "own").to_text()


def load_folder(root: Path, _file: Path) -> object:
    folder = root / "own"
    return nsd_imagery.info(folder), [nsd_imagery.load(folder, config) for config in open_manifest(folder).configs]


def push_folder(root: Path, _file: Path) -> object:
    with _signed_in():
        return nsd_imagery.push(root / "own", REPO)


def pull_repo(root: Path, _file: Path) -> object:
    with _signed_in(root / "repo"):
        return _pull()


def hear_push(root: Path, file: Path) -> object:
    """A push to a hub that gives one endpoint's answers as a file has them."""
    with _signed_in() as hub:
        if file.stem in ("info", "tree"):
            hub.put(REPO, {})
        _misquote(hub, file)
        return nsd_imagery.push(root / "own", REPO)


def hear_pull(root: Path, file: Path) -> object:
    """A pull from such a hub."""
    with _signed_in(root / "repo") as hub:
        _misquote(hub, file)
        return _pull()


def pull_shard(root: Path, file: Path) -> object:
    """A pull of a repo one of whose Parquet files is another."""
    with _signed_in(root / "repo") as hub:
        held = hub.repos[REPO]
        (name,) = (name for name in held.commits[held.head] if name.startswith(SHARD))
        hub.put(REPO, {**hub.files(REPO), name: file.read_bytes()})
        return _pull()


def _misquote(hub: loopback.Hub, file: Path) -> None:
    """Let an endpoint answer what a file holds."""

    def change(right: loopback.Answer) -> loopback.Answer:
        head = hub.repos[REPO].head if REPO in hub.repos else ""
        said = file.read_bytes().replace(_PORT, hub.url.rpartition(":")[2].encode().join((b":", b"/")))
        made = loopback.Answer(right.status, said.replace(_COMMIT, head.encode()))
        made.headers = right.headers
        return made

    hub.faults.append(loopback.Fault(file.stem, 200, change=change))


def _pull() -> Path:
    out = Path(tempfile.mkdtemp())
    try:
        return nsd_imagery.pull(REPO, out / "d")
    finally:
        shutil.rmtree(out)


@contextmanager
def _signed_in(repo: Path | None = None) -> Iterator[loopback.Hub]:
    """The hub with one repo or none, and afterwards the proof that no token and no cursor's letter was said."""
    hub = _HUBS[os.getpid()]
    hub.clear()
    os.environ["HF_TOKEN"] = hub.token("me")
    if repo is not None:
        files = (path for path in repo.rglob("*") if path.is_file())
        hub.put(REPO, {path.relative_to(repo).as_posix(): path.read_bytes() for path in files})
    try:
        yield hub
    except nsd_imagery.errors.NSDImageryError as error:
        said = [str(error), *getattr(error, "__notes__", [])]
        assert not any(os.environ["HF_TOKEN"] in text or "signature=" in text for text in said), "a secret is said"
        raise


def record(dataset: Path, answers: Path) -> None:
    """Write what the hub answers to a push and a pull, an endpoint a file."""
    prepare()
    with _signed_in() as hub:
        for folder, actions, use in (
            ("push", TO_PUSH, lambda: nsd_imagery.push(dataset, REPO)),
            ("pull", TO_PULL, _pull),
        ):
            (answers / folder).mkdir(parents=True)
            for action in actions:
                note = partial(_note, hub, answers / folder / f"{action}.json")
                hub.faults.append(loopback.Fault(action, 200, change=note))
            use()
            hub.faults.clear()


def _note(hub: loopback.Hub, path: Path, right: loopback.Answer) -> loopback.Answer:
    port = hub.url.rpartition(":")[2].encode()
    said = right.body.replace(b":" + port + b"/", _PORT)
    for commit in hub.repos[REPO].commits if REPO in hub.repos else ():
        said = said.replace(commit.encode(), _COMMIT)
    path.write_bytes(said)
    return right


if __name__ == "__main__":
    record(*map(Path, sys.argv[1:]))
