"""The order in which a build writes to the disk: what survives a power cut, which no killed process shows."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from events import Event
from state import BUILD, MANIFEST, README

_COMMIT = (MANIFEST, README)


def out_of_order(events: Sequence[Event], sizes: Mapping[str, int]) -> Iterator[str]:
    """What a power cut could break in a build that wrote a dataset in this order.

    A rename may reach the disk before the contents of its file do, and names in two folders in either order, unless
    they are synced.

    Args:
        events: Of the whole build.
        sizes: Of the files in the folder after it; a file that is larger than at its rename was still written to.
    """
    yield from _renamed_unsynced(events, sizes)
    renames = {event.to: at for at, event in enumerate(events) if event.what == "rename"}
    if any(name not in renames for name in _COMMIT):
        yield f"{' and '.join(_COMMIT)} are not both renamed into place"
        return
    first, commit = sorted(renames[name] for name in _COMMIT)
    if commit != renames[README]:
        yield f"{README} is renamed before {MANIFEST}"
    synced = [(event.path, event.size) for event in events[:first] if event.what == "fsync"]
    for name in _COMMIT:
        if (events[renames[name]].path, events[renames[name]].size) not in synced:
            yield f"{name} is not on the disk before {events[first].to} is renamed"
    for at, event in enumerate(events[commit + 1 :], commit + 1):
        if event.what in ("rename", "link") and not _in_build(event.to):
            yield f"after {README}: {event}"
        removed = event.what in ("unlink", "rmdir") and not _in_build(event.path)
        if removed and not _synced(events, "", commit, at):
            yield f"before the rename of {README} is on the disk: {event}"
    yield from _names_unsynced(events, commit)


def removed_too_early(events: Sequence[Event], named: Collection[str]) -> Iterator[str]:
    """What a build takes away of the dataset that is there, before the README that does without it.

    Args:
        events: Of the build, as far as it came.
        named: The shards of the README that was there before.
    """
    for event in events:
        if event.what == "rename" and event.to == README:
            return
        if event.what in ("unlink", "rename") and event.path in named:
            yield f"before README.md, which names it: {event}"


def _renamed_unsynced(events: Sequence[Event], sizes: Mapping[str, int]) -> Iterator[str]:
    synced: dict[str, int] = {}
    last = {event.to: at for at, event in enumerate(events) if event.what == "rename"}
    for at, event in enumerate(events):
        if event.what == "fsync":
            synced[event.path] = event.size
        elif event.what == "link" and ".partial-" not in event.path:
            synced[event.to] = event.size  # a second name of what was synced before it had its first
        elif event.what == "rename" and event.path not in synced:
            yield f"not synced: {event}"
        elif event.what == "rename":
            whole = sizes.get(event.to, event.size) if last[event.to] == at else event.size
            if not synced[event.path] == event.size == whole:
                yield f"only {synced[event.path]} of {whole} bytes synced: {event}"


def _names_unsynced(events: Sequence[Event], commit: int) -> Iterator[str]:
    """Names that came into folders of the dataset, and which may not be there when the README is."""
    unsynced: dict[str, list[Event]] = defaultdict(list)
    for at, event in enumerate(events[:commit]):
        name = event.path if event.what == "mkdir" else event.to if event.what in ("rename", "link") else ""
        if not name or name in _COMMIT or _in_build(name) or PurePosixPath(name).is_absolute():
            continue
        folder = name.rpartition("/")[0]
        if not _synced(events, folder, at, commit):
            unsynced[folder or "."].append(event)
    for folder, names in unsynced.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"the folder {folder} is not synced before {README} is renamed, but has new names: {names[0]}{more}"


def _synced(events: Sequence[Event], folder: str, after: int, before: int) -> bool:
    return any(event.what == "fsync" and event.path == folder for event in events[after:before])


def _in_build(name: str) -> bool:
    return name.split("/")[0] == BUILD
