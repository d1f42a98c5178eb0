"""What has come of a masked file so far: the numbers of its voxels, and a journal that says which of them are there.

    ROOT/.download/<name>/block          (n_voxels, n_volumes) int16
    ROOT/.download/<name>/ranges.jsonl   of what, then which voxels came, with a hash of them

A killed process leaves whole lines and what they name; after a power cut, the hash tells what the disk has not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import xxhash

from nsd_imagery.atomic import naming_full_disk, replace_text


class Block:
    """The numbers of some voxels as they come, voxel by voxel in the order of their addresses.

    Attributes:
        numbers: (n_voxels, n_volumes) int16.
        is_there: (n_voxels,) which came in an earlier run.
    """

    def __init__(self, shape: tuple[int, int], file: BinaryIO, journal: BinaryIO) -> None:
        self.numbers = np.zeros(shape, "<i2")
        self.is_there = np.zeros(shape[0], np.bool_)
        self._file, self._journal = file, journal

    def note(self, rows: slice) -> None:
        """Keep rows that have come, and are in `numbers`."""
        self._file.seek(rows.start * self.numbers[0].nbytes)
        self._file.write(self.numbers[rows].data)
        self._file.flush()
        entry = {"first": rows.start, "stop": rows.stop, "xxh3_64": self._hash(rows)}
        self._journal.write(json.dumps(entry).encode() + b"\n")
        self._journal.flush()

    def take_up(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take up what a journal says is in the file, where it is."""
        self._file.readinto(self.numbers.reshape(-1).view(np.uint8).data)  # type: ignore[attr-defined]
        for entry in entries:
            rows = slice(entry["first"], entry["stop"])
            self.is_there[rows] |= entry["xxh3_64"] == self._hash(rows)

    def _hash(self, rows: slice) -> str:
        return xxhash.xxh3_64_hexdigest(self.numbers[rows].data)


@contextmanager
def open_block(folder: Path, shape: tuple[int, int], of: Mapping[str, Any]) -> Iterator[Block]:
    """The block in a folder as an earlier run left it, if it was of the same; else an empty one.

    Args:
        folder: Where it is kept.
        shape: (n_voxels, n_volumes).
        of: What decides the numbers: the file, its ETag, the voxels and where they lie in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, journal = folder / "block", folder / "ranges.jsonl"
    said = _lines(journal)
    is_same = path.is_file() and said[:1] == [dict(of)]
    kept = said if is_same else [dict(of)]
    # Written anew, because the next line would run on one that was cut short.
    replace_text(journal, "".join(json.dumps(entry) + "\n" for entry in kept))
    with naming_full_disk(folder), path.open("r+b" if is_same else "w+b") as file, journal.open("ab") as lines:
        block = Block(shape, file, lines)
        block.take_up(kept[1:])
        yield block


def _lines(journal: Path) -> list[dict[str, Any]]:
    """The whole lines of a journal; none where there is none."""
    try:
        return [json.loads(line) for line in journal.read_bytes().split(b"\n")[:-1]]
    except (FileNotFoundError, ValueError):
        return []
