"""COCO's own caption files, captions_{train,val}2017.json, read as a stream: the larger one is 90 MB."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from nsd_imagery.errors import DataError, shown
from nsd_imagery.sources.caption_files import caption_files
from nsd_imagery.sources.json_files import whole_number
from nsd_imagery.sources.session import Captions, Session

NO_CAPTIONS = "COCO's caption files are not in the root: captions are absent (--captions)"
SOME_CAPTIONS = "COCO's caption files at hand lack some pictures: their captions are absent"

_KEYS = ("image_id", "caption")
_START = re.compile(r'"annotations"\s*:\s*\[')
_AFTER = re.compile(r"[\s,]*")
_CHUNK = 1 << 20
_OVERLAP = 64


def read_captions(path: Path, coco_ids: Collection[int]) -> Captions:
    """The captions of some pictures, without blanks around them.

    Raises:
        DataError: The file is not COCO's, or is cut short.
    """
    wanted = set(coco_ids)
    found: dict[int, list[str]] = defaultdict(list)
    for annotation in _annotations(path):
        said, caption = (annotation.get(key) if isinstance(annotation, dict) else None for key in _KEYS)
        coco_id = whole_number(said)
        if coco_id is None or not isinstance(caption, str):
            msg = f"{path}: an annotation has no number image_id or no text caption: {shown(annotation)}"
            raise DataError(msg)
        if coco_id in wanted:
            found[coco_id].append(caption.strip())
    return {coco_id: tuple(captions) for coco_id, captions in found.items()}


def with_captions(sessions: Sequence[Session], root: Path, folder: Path | str | None) -> list[Session]:
    """Sessions with the first caption of each picture in `caption` where that is absent, and all of them in `captions`.

    Args:
        sessions: Any sessions.
        root: Where the files are looked for.
        folder: A folder that was named, instead.

    Raises:
        MissingDataError: The folder that was named has no caption files.
        DataError: A file is damaged.
    """
    files = caption_files(root, None if folder is None else Path(folder).expanduser())
    coco_ids = {coco_id for session in sessions for coco_id in session.rows["coco_id"].unique().to_pylist()} - {None}
    found: Captions = {}
    for path in files:
        found |= read_captions(path, coco_ids)
    if not files:
        return [_with_note(session, NO_CAPTIONS) for session in sessions]
    return [_with_note(_add(session, found), SOME_CAPTIONS) for session in sessions]


def _add(session: Session, found: Captions) -> Session:
    rows = session.rows
    coco_ids, said = rows["coco_id"].to_pylist(), rows["caption"].to_pylist()
    captions = [
        old if old is not None else found.get(coco_id, (None,))[0] for old, coco_id in zip(said, coco_ids, strict=True)
    ]
    position = rows.schema.get_field_index("caption")
    field = rows.schema.field(position)
    own = {coco_id: found[coco_id] for coco_id in coco_ids if coco_id in found}
    return replace(session, rows=rows.set_column(position, field, pa.array(captions, field.type)), captions=own)


def _with_note(session: Session, note: str) -> Session:
    """The note where rows have pictures without captions."""
    rows = session.rows
    lacking = rows["caption"].null_count > rows["nsd_id"].null_count
    return replace(session, notes=(*session.notes, note)) if lacking else session


def _annotations(path: Path) -> Iterator[Any]:
    """The elements of the top list `annotations`, one at a time."""
    decode = json.JSONDecoder().raw_decode
    damaged = f"{path}: is not COCO's caption file, or is cut short: copy it again"
    try:
        with path.open(encoding="utf-8") as file:
            text = _from_annotations(file)
            at = 0
            while text is not None:
                at = _AFTER.match(text, at).end()  # type: ignore[union-attr]
                if text.startswith("]", at):
                    return
                try:
                    annotation, at = decode(text, at)
                except json.JSONDecodeError:
                    more = file.read(_CHUNK)
                    too_long = len(text) - at > _CHUNK
                    text, at = (None if too_long or not more else text[at:] + more), 0
                    continue
                yield annotation
    except (ValueError, RecursionError) as error:  # no UTF-8, a number of thousands of digits, or brackets in brackets
        raise DataError(damaged) from error
    raise DataError(damaged)


def _from_annotations(file: TextIO) -> str | None:
    """The rest of a chunk behind the start of the list; None if there is no such list."""
    text = ""
    while chunk := file.read(_CHUNK):
        text = text[-_OVERLAP:] + chunk
        # Inside a JSON string the quotation marks would have backslashes before them, so this is the key.
        if start := _START.search(text):
            return text[start.end() :]
    return None
