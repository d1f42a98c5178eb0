"""Embeddings that `nsd-imagery embed` made, as a mapping from stimulus to vector."""

import contextlib
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.atomic import replace_text
from nsd_imagery.embeddings import (
    KINDS,
    Embedding,
    Key,
    Maker,
    pixels_digest,
    read_embeddings,
    read_maker,
)
from nsd_imagery.errors import DataError, MissingDataError, MissingEmbeddingError, UsageError
from nsd_imagery.identity import Identity, identity, read_unchanged
from nsd_imagery.learn.clip_config import printable
from nsd_imagery.learn.clip_folder import folder_name
from nsd_imagery.links import is_there
from nsd_imagery.listing import visible
from nsd_imagery.markup import Shown
from nsd_imagery.shell import quoted
from nsd_imagery.sources.cache_files import embeddings_folder, planted_folder
from nsd_imagery.sources.pictures import open_stimuli, pictures_file, target_files
from nsd_imagery.sources.root import find_root
from nsd_imagery.spelling import the_choice

logger = logging.getLogger(__name__)

_MAKE = "make it with: nsd-imagery embed ROOT --model FOLDER_OR_ID"
_EMBEDDINGS = re.compile(r".*-[0-9a-f]{12}\.parquet")
_FEW = 8
"""Names that a message lists."""


class ClipCache(Shown, Mapping[str, NDArray[np.float32]]):
    """A vector a stimulus: the `clip_cache` of `NSDImageryDataset`.

    Keys are those of the column `stimulus`, which perception and imagery share: "nsd28751" (0-based) for an NSD
    picture, else the target. Vectors are what the model's projection gives, not normalised.

    Args:
        root: As of `embed`, or the file that it gave, in the root; default $NSD_CACHE_ROOT, else ./cache.
        model: The folder or hub name that `embed` was given; may be left out where only one is there.
        revision: A commit of the hub, or its start; may be left out where only one is there.
        kind: "image" or "text".
        folder: Where the files are; default `<root>/clip_embeddings`.

    Attributes:
        path: The file.
        maker: What made the embeddings.

    Raises:
        UsageError: No such kind, or several models or revisions are there and none was named.
        MissingDataError: There are no embeddings, or none of that model and revision.
        DataError: The file is damaged, or pictures in the root are not those that were embedded, or are being replaced.
    """

    def __init__(
        self,
        root: Path | str | None = None,
        model: Path | str | None = None,
        *,
        revision: str | None = None,
        kind: str = "image",
        folder: Path | str | None = None,
    ) -> None:
        kind = the_choice("kind", kind, KINDS)
        place = Path(folder).expanduser() if folder else None
        said = Path(root).expanduser() if root else None
        if said is not None and said.is_file():
            place, said = place or said, _root_of(said)
        home = find_root(said).path
        self.path = _choose(place or embeddings_folder(home), model, revision)
        (known,), (self.maker, rows) = read_unchanged([self.path], lambda: read_embeddings(self.path))
        self.kind = kind
        self._vectors = {stimulus: row.vector for (of, stimulus), row in rows.items() if of == kind}
        if kind == "image" and (changed := changed_pictures(home, self.path, known, rows)):
            more = f" and {len(changed) - _FEW} more" if len(changed) > _FEW else ""
            msg = (
                f"{self.path}: was made of other pictures of {', '.join(changed[:_FEW])}{more} than {home} holds now: "
                f"run again: nsd-imagery embed {quoted(home)}, with the same options"
            )
            raise DataError(msg)

    def _said(self) -> dict[str, object]:
        length = next((vector.size for vector in self._vectors.values()), 0)
        made = f"{self.maker.model} {self.maker.revision}".strip()
        return {"kind": self.kind, "stimuli": len(self), "length": length, "model": made, "file": self.path}

    def __getitem__(self, stimulus: str) -> NDArray[np.float32]:
        if stimulus not in self._vectors:
            raise self._missing([stimulus])
        return self._vectors[stimulus]

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    def stack(self, stimuli: Iterable[str]) -> NDArray[np.float32]:
        """(n, length) the vectors of some stimuli, such as the column of a batch.

        Raises:
            MissingEmbeddingError: Lists those that have none.
        """
        names = list(stimuli)
        if lacking := sorted({name for name in names if name not in self._vectors}):
            raise self._missing(lacking)
        return np.stack([self._vectors[name] for name in names])

    def _missing(self, lacking: list[str]) -> MissingEmbeddingError:
        return MissingEmbeddingError(
            f"{self.path}: no {self.kind} embedding of {', '.join(lacking)}; leave such rows out: "
            ".filter(lambda stimulus: stimulus in clip_cache, input_columns='stimulus'), or of NSDImageryDataset: "
            "stimuli=clip_cache; a text for them goes into the --prompts of nsd-imagery embed"
        )


def picture_identities(root: Path) -> dict[str, Identity]:
    """The picture files of a root by their path in it: to be taken before pictures are read, and compared after."""
    return {_name(root, file): identity(file) for file in _picture_files(root)}


def changed_pictures(root: Path, path: Path, known: Identity, rows: Mapping[Key, Embedding]) -> list[str]:
    """Stimuli whose picture in a root is not the one that a file of embeddings was made of.

    A picture that the root does not hold contradicts nothing.

    Args:
        root: Of the pictures.
        path: The file.
        known: Its identity when `rows` were read from it.
        rows: What it holds.

    Raises:
        DataError: A file of pictures is damaged, or is being replaced.
    """
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if json.loads(_note_file(path).read_text(encoding="utf-8")) == _note(known, picture_identities(root)):
            return []
    files = _picture_files(root)
    identities, changed = read_unchanged(files, lambda: _other_pictures(root, rows))
    if not changed:
        names = (_name(root, file) for file in files)
        note_pictures(path, known, dict(zip(names, identities, strict=True)))
    return changed


def note_pictures(path: Path, known: Identity, pictures: Mapping[str, Identity]) -> None:
    """Note that pictures, by the identities that their files had before they were read, are those of a file.

    The note spares a later look at each picture. Where nothing can be written, that look is taken.
    """
    with contextlib.suppress(OSError):
        replace_text(_note_file(path), json.dumps(_note(known, pictures)))


def _other_pictures(root: Path, rows: Mapping[Key, Embedding]) -> list[str]:
    with open_stimuli(root) as picture_of:
        pictures = ((name, row.source, picture_of(name)) for (kind, name), row in rows.items() if kind == "image")
        return [name for name, source, picture in pictures if picture is not None and pixels_digest(picture) != source]


def _root_of(file: Path) -> Path | None:
    """The root that a file of embeddings lies in; None where it lies elsewhere."""
    root = file.absolute().parents[1]
    return root if embeddings_folder(root) == file.absolute().parent else None


def _choose(folder: Path, model: Path | str | None, revision: str | None) -> Path:
    """The one file of a model and revision."""
    files = [folder] if folder.is_file() else visible(folder, "*.parquet")
    makers = {path: maker for path in files if (maker := _maker(path)) is not None}
    if not makers:
        planted = planted_folder(folder.parent)
        hint = f"; of synthetic data, what was planted is in {planted}" if visible(planted, "*.parquet") else ""
        msg = f"{folder}: no embeddings; {_MAKE}{hint}"
        raise MissingDataError(msg)
    found = {path: maker for path, maker in makers.items() if _is_of(maker, model, revision)}
    if len(found) == 1:
        return next(iter(found))
    names = (f"{path.name} by {maker.model} {maker.revision}".rstrip() for path, maker in makers.items())
    here = printable("; ".join(names))
    if not found:
        asked = {"model": model, "revision": revision}
        by = ", ".join(f"{name} {value}" for name, value in asked.items() if value is not None)
        msg = f"{folder}: no embeddings by {by}; there are: {here}; {_MAKE}"
        raise MissingDataError(msg)
    msg = f"{folder}: say which embeddings, by model= and revision= or folder=; there are: {here}"
    raise UsageError(msg)


def _maker(path: Path) -> Maker | None:
    """What made a file of embeddings; None for a folder, and, with a note, for a table of the user's own.

    Raises:
        DataError: The file has a name that `embed` gives, and is damaged.
    """
    if not is_there(path):
        return None
    try:
        return read_maker(path)
    except DataError as error:
        if _EMBEDDINGS.fullmatch(path.name):
            raise
        logger.warning("left out: %s", error)
        return None


def _is_of(maker: Maker, model: Path | str | None, revision: str | None) -> bool:
    if model is not None:
        folder = Path(model).expanduser()
        if maker.model != (folder_name(folder) if folder.is_dir() else str(model)):
            return False
    return revision is None or maker.revision.startswith(revision)


def _note_file(path: Path) -> Path:
    return path.with_name(f".{path.stem}.json")


def _note(known: Identity, pictures: Mapping[str, Identity]) -> dict[str, Any]:
    return {"embeddings": known, "pictures": pictures}


def _picture_files(root: Path) -> list[Path]:
    return [*target_files(root).values(), *filter(None, [pictures_file(root)])]


def _name(root: Path, file: Path) -> str:
    return file.relative_to(root).as_posix()
