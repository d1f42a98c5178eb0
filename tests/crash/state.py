"""What a dataset folder must be after a death, and after the build that follows undisturbed."""

import hashlib
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from events import shown

README = "README.md"
MANIFEST = "manifest.json"
BUILD = ".build"

MINE = {"notes.txt": b"what I think of it\n", "subj01-mine/results.arrow": b"my own results\n"}
"""Files that a user put into the folder."""


@dataclass(frozen=True)
class Dataset:
    """An undisturbed dataset, to compare with.

    Attributes:
        readme: The contents of its README.md; None of an empty folder.
        manifest: The contents of its manifest.json.
        shards: The sha256 of each shard, by its path in the folder.
        sealed: What `sealed` gives.
    """

    readme: bytes | None
    manifest: bytes | None
    shards: Mapping[str, str]
    sealed: Mapping[str, str]


EMPTY = Dataset(None, None, {}, {})


def dataset(folder: Path) -> Dataset:
    """The dataset of a folder that was built undisturbed."""
    manifest = (folder / MANIFEST).read_bytes()
    return Dataset((folder / README).read_bytes(), manifest, _shards(manifest), sealed(folder))


def unsound(folder: Path) -> Iterator[str]:
    """What is wrong with an undisturbed folder: README, manifest and folder differ in shards, or one does not open."""
    manifest = (folder / MANIFEST).read_bytes()
    named = named_by_readme((folder / README).read_bytes())
    if set(named) != set(_shards(manifest)):
        yield "README.md names other shards than manifest.json"
    for name in sorted(sealed(folder).keys() - {*named, *(f"{file.split('/')[0]}/" for file in named)}):
        if name not in (README, MANIFEST):
            yield f"{name} is left, which README.md does not name"
    for file in _shards(manifest):
        with pa.memory_map(str(folder / file)) as source, pa.ipc.open_stream(source) as reader:
            reader.read_all().validate(full=True)
    yield from _not_whole(folder, dataset(folder))


def sealed(folder: Path) -> dict[str, str]:
    """The sha256 of each file but those in .build and a user's own, by its path; and the folders, with a / at the end.

    A `.partial-` file is in it.
    """
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] == BUILD or any(mine == name or mine.startswith(f"{name}/") for mine in MINE):
            continue
        found[f"{name}/" if path.is_dir() else name] = "" if path.is_dir() else _sha256(path)
    return found


def sizes(folder: Path) -> dict[str, int]:
    """The size of each file, also of those in .build, by its path."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def put_mine(folder: Path) -> None:
    """Put a user's files there."""
    for name, contents in MINE.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(contents)


def after_death(folder: Path, committed: Sequence[Dataset], begun: Sequence[Dataset]) -> Iterator[str]:
    """What is wrong with a folder whose build died.

    Args:
        folder: The dataset folder.
        committed: Those that the README may be of.
        begun: Those that the manifest, which is written before it, may be of.
    """
    for name, given in (
        (README, {one.readme: one for one in committed}),
        (MANIFEST, {one.manifest: one for one in begun}),
    ):
        contents = _read(folder / name)
        if contents in given:
            yield from (f"{wrong}, which {name} names" for wrong in _not_whole(folder, given[contents]))
        else:
            yield f"{name} {'is gone' if contents is None else 'is neither the old nor the new one'}"


def readme(folder: Path) -> bytes | None:
    """The README of a folder, None where there is none."""
    return _read(folder / README)


def after_rerun(folder: Path, whole: Dataset) -> Iterator[str]:
    """What is wrong with a folder whose last build was undisturbed: it must be as if there had been no other."""
    found = sealed(folder)
    for name in sorted(whole.sealed.keys() | found.keys()):
        if name not in found:
            yield f"{name} is missing after an undisturbed rerun"
        elif name not in whole.sealed:
            yield f"{shown(name)} is left after an undisturbed rerun"
        elif found[name] != whole.sealed[name]:
            yield f"{name} is another one than without a death"
    for path in (folder / BUILD).rglob(".partial-*"):
        yield f"{shown(str(path.relative_to(folder)))} is left after an undisturbed rerun"
    for path in sorted((folder / BUILD).glob("*.json")):
        for shard in json.loads(path.read_text()).get("shards", ()):
            if not (folder / shard["file"]).is_file():
                yield f"the journal has an entry with {shard['file']}, which is not there"


def without_mine(folder: Path) -> Iterator[str]:
    """What happened to a user's files."""
    for name, contents in MINE.items():
        if _read(folder / name) != contents:
            yield f"{name} of a user is gone or was changed"


def identities(folders: Collection[Path]) -> dict[str, tuple[int, ...]]:
    """What shows that nothing in some folders was touched."""
    return {
        str(path): (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_mode)
        for folder in folders
        for path in (folder, *folder.rglob("*"))
        for facts in (path.lstat(),)
    }


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """What was touched between two calls of `identities`."""
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            yield f"{path}, outside the dataset folder, was changed"


def clear(folder: Path) -> None:
    """No folder, whatever is there."""
    if folder.exists():
        shutil.rmtree(folder)


def named_by_readme(readme: bytes) -> tuple[str, ...]:
    """The shards in the front matter of a README."""
    front = yaml.safe_load(readme.decode().split("---\n")[1])
    splits = [split for config in front["configs"] for split in config["data_files"]]
    paths = [split["path"] for split in splits]
    return tuple(file for path in paths for file in ([path] if isinstance(path, str) else path))


def _shards(manifest: bytes) -> dict[str, str]:
    configs = json.loads(manifest)["configs"].values()
    return {
        shard["file"]: shard["sha256"] for config in configs for shards in config["splits"].values() for shard in shards
    }


def _not_whole(folder: Path, one: Dataset) -> Iterator[str]:
    for file, sha256 in one.shards.items():
        if not (folder / file).is_file():
            yield f"{file} is gone"
        elif _sha256(folder / file) != sha256:
            yield f"{file} holds something else"


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
