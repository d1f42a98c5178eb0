"""The dataset folder: its lock, its manifest, and the seal that makes new shards the dataset."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nsd_imagery.atomic import remove_partial, replace_texts, sync_folder
from nsd_imagery.dataset.journal import entries
from nsd_imagery.dataset.manifest import Manifest, render
from nsd_imagery.dataset.names import SHARD_FILE, is_config
from nsd_imagery.dataset.parsing import parse, read
from nsd_imagery.dataset.shards import BUILD
from nsd_imagery.errors import FolderError, MissingDataError
from nsd_imagery.links import is_there, refuse_without_content
from nsd_imagery.listing import visible
from nsd_imagery.locks import holding
from nsd_imagery.shell import quoted

MANIFEST = "manifest.json"
README = "README.md"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one build; made if it is not there.

    Raises:
        BusyError: Another build holds it.
        FolderError: It holds what this package did not write.
    """
    refuse_foreign(folder)

    def busy(holder: str) -> str:
        return f"{folder}: another build is writing here ({holder}); wait for it, or use another --out"

    with holding(folder / BUILD / "lock", busy):
        remove_partial(folder / BUILD, unknown=True)
        remove_partial(folder, unknown=True)
        yield


def refuse_foreign(folder: Path) -> None:
    """Raise FolderError if the folder holds files and nothing that this package wrote."""
    refuse_without_content(folder)
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: is a file, not a folder for a dataset; use another --out"
        raise FolderError(msg)
    if not folder.is_dir() or (folder / BUILD / "lock").is_file():
        return
    others = [path.name for path in visible(folder)]
    if others and read_manifest(folder) is None:
        msg = f"{folder}: holds files that are no dataset of nsd-imagery ({', '.join(others[:3])}); use another --out"
        raise FolderError(msg)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a sealed folder, None where there is none.

    Raises:
        MissingDataError: It is a link without content.
        DataError: There is one that cannot be read, or that a later version of this package wrote.
    """
    path = folder / MANIFEST
    return read(path, path) if is_there(path) else None


def open_manifest(folder: Path) -> Manifest:
    """The manifest of a sealed folder.

    Raises:
        MissingDataError: Not a built folder.
        DataError: Its manifest is damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        msg = f"{folder}: no dataset here (no manifest.json); build one: nsd-imagery build ROOT --out {quoted(folder)}"
        raise MissingDataError(msg)
    return manifest


def seal(folder: Path, manifest: Manifest) -> None:
    """Make the shards that `manifest` names the dataset, then remove all others.

    Two renames: `manifest.json`, then README.md, which is the commit point of `load_dataset`: before it, that opens
    what the old README names, and no shard of that is gone. A process that dies between the two leaves the new
    manifest, which `load` and `info` follow, beside the old README: `verify` says so, and the next build seals again.
    """
    from nsd_imagery.dataset.card import card  # and with it jinja and yaml, which opening a folder does not need

    texts = {folder / MANIFEST: render(manifest), folder / README: card(manifest)}
    parse(texts[folder / MANIFEST], folder / MANIFEST)  # what nobody could read must not be written
    old = read_manifest(folder)
    named = set(shard_files(manifest))
    for place in {(folder / file).parent for file in named}:
        if place.is_dir():  # a config that is not built now may have been deleted by hand
            sync_folder(place)
    sync_folder(folder)
    replace_texts(texts)
    _remove_leftovers(folder, named, {*manifest.configs, *(old.configs if old else ())})


def shard_files(manifest: Manifest) -> Iterator[str]:
    """Every shard that a manifest names."""
    return (shard.file for shard in manifest.shards)


def _remove_leftovers(folder: Path, named: Collection[str], configs: Iterable[str]) -> None:
    """Remove shards that are not part of the dataset: files of this package's names in the folders of its configs.

    Whatever else lies there is its user's, and a link may lead anywhere.
    """
    noted = {shard["file"].partition("/")[0] for _, entry in entries(folder) for shard in entry["shards"]}
    for config in sorted({*configs, *noted}):
        place = folder / config
        if not is_config(config) or place.is_symlink() or not place.is_dir():
            continue
        for path in visible(place):
            is_shard = SHARD_FILE.fullmatch(path.name) and path.is_file() and not path.is_symlink()
            if is_shard and f"{config}/{path.name}" not in named:
                path.unlink()
        if not any(place.iterdir()):
            place.rmdir()
    for path, entry in entries(folder):
        if not all(shard["file"] in named for shard in entry["shards"]):
            path.unlink()
