"""Shards: Arrow stream files whose names carry a hash of their logical rows.

`load_dataset` keys its cache on the file names in the README, so new contents must have a new name.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from nsd_imagery.atomic import naming_later
from nsd_imagery.dataset.names import shard_name
from nsd_imagery.errors import DataError
from nsd_imagery.links import without_content
from nsd_imagery.schema import features_yaml, recipe_of, with_features

BUILD = ".build"
"""Folder in a dataset folder for what is not part of the dataset: unfinished files, journals, the lock."""

ROWS_PER_BATCH = 100
"""Of configs with a vector a row, so that a batch is a few MB."""

_NARROW_ROWS_PER_BATCH = 10_000


@dataclass(frozen=True)
class Shard:
    """One file of a split.

    Attributes:
        file: Path in the dataset folder, with /.
        rows: Number of rows.
        bytes: Size of the file.
        sha256: Of the file.
        hash: xxh3_128 of the logical rows (schema, recipe and values), whatever the file format and batches.
        piece: The session that its rows are of, of trials and `-stats` in a manifest: "subj01/nsdimagery/01".
    """

    file: str
    rows: int
    bytes: int
    sha256: str
    hash: str
    piece: str | None = None

    @property
    def config(self) -> str:
        """For example "subj01-imagery"."""
        return self.file.partition("/")[0]

    @property
    def split(self) -> str:
        """Either "train" or "test"."""
        return self.file.partition("/")[2].partition("-")[0]

    @property
    def entry(self) -> dict[str, Any]:
        """What a manifest or a journal says of it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def write_shard(
    folder: Path,
    config: str,
    split: str,
    position: tuple[int, int],
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
) -> Shard:
    """Write one shard under `folder` by its final name, which is known when its last row is.

    Args:
        folder: The dataset folder.
        config: Config of the shard.
        split: Split of the shard.
        position: Its number and how many there are.
        schema: Of the batches.
        batches: The rows.
    """
    logical = LogicalHash(schema)
    rows = 0
    with naming_later(folder / BUILD) as (file, name):
        sink = _Digesting(file)
        with pa.ipc.new_stream(sink, with_features(schema)) as writer:
            for batch in batches:
                logical.update(batch)
                writer.write_batch(_compact(batch))
                rows += batch.num_rows
        digest = logical.hexdigest()
        path = folder / shard_name(config, split, position, digest)
        path.parent.mkdir(exist_ok=True)
        name(path)
    return Shard(path.relative_to(folder).as_posix(), rows, sink.size, sink.sha256.hexdigest(), digest)


def shard_fault(folder: Path, shard: Shard) -> str | None:
    """What is wrong with the file of a shard; None if it is there and holds what was built.

    Args:
        folder: The dataset folder.
        shard: The shard, as a manifest or a journal has it.
    """
    path = folder / shard.file
    if said := without_content(path):
        return said
    if not path.is_file():
        return f"{path}: is not there; build again"
    if (size := path.stat().st_size) != shard.bytes:
        return f"{path}: has {size} bytes, the manifest says {shard.bytes}"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != shard.sha256:
        return f"{path}: sha256 is {digest[:12]}…, the manifest says {shard.sha256[:12]}…: build again"
    return None


def open_shard(path: Path) -> pa.Table:
    """The rows of a shard, mapped into memory.

    Raises:
        DataError: The file is gone, cut short, or no Arrow stream.
    """
    try:
        with pa.memory_map(os.fsencode(path)) as source, pa.ipc.open_stream(source) as reader:
            return reader.read_all()
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path}: is not a sound shard ({error}); build again"
        raise DataError(msg) from error


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a shard, one in memory at a time, whatever its size; see `open_shard`."""
    try:
        with pa.OSFile(os.fsencode(path)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path}: is not a sound shard ({error}); build again"
        raise DataError(msg) from error


def batches_of(table: pa.Table) -> Iterator[pa.RecordBatch]:
    """A table without vectors in batches, the same whatever its own chunks are."""
    yield from table.combine_chunks().to_batches(max_chunksize=_NARROW_ROWS_PER_BATCH)


def matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    """(n_rows, length) the vectors of a fixed-size list column, copied if it has several chunks."""
    chunks = [chunk.flatten().to_numpy().reshape(len(chunk), -1) for chunk in column.chunks if len(chunk)]
    if len(chunks) == 1:
        return chunks[0]
    return np.concatenate(chunks) if chunks else np.empty((0, column.type.list_size))


class LogicalHash:
    """A hash of rows that does not depend on batches, file format or padding."""

    def __init__(self, schema: pa.Schema) -> None:
        features, recipe = features_yaml(schema), recipe_of(schema)
        self._schema = json.dumps(features if recipe is None else [features, recipe], sort_keys=True)
        self._columns = [_ColumnHash() for _ in schema]

    def update(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        for column_hash, column in zip(self._columns, batch.columns, strict=True):
            column_hash.update(column)

    def hexdigest(self) -> str:
        """32 hexadecimal digits."""
        whole = xxhash.xxh3_128(self._schema.encode())
        for column in self._columns:
            whole.update(column.digest())
        return whole.hexdigest()


class _ColumnHash:
    """A hash each of what is null, how long words or lists are, and the values, so that no batch's end shows."""

    def __init__(self) -> None:
        self._nulls, self._lengths, self._values = (xxhash.xxh3_128() for _ in range(3))
        self._parts: list[_ColumnHash] = []

    def update(self, column: pa.Array) -> None:
        if pa.types.is_fixed_size_list(column.type):
            self._values.update(_plain(column.flatten()))
            return
        self._nulls.update(_plain(column.is_null()))
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            self._words(column)
        elif pa.types.is_list(column.type):
            self._lengths.update(_plain(column.value_lengths().fill_null(0)))
            self._within([column.flatten()])
        elif pa.types.is_struct(column.type):
            self._within(column.flatten())
        else:
            zero = pa.scalar(False) if pa.types.is_boolean(column.type) else pa.scalar(0).cast(column.type)
            self._values.update(_plain(column.fill_null(zero)))

    def _words(self, column: pa.Array) -> None:
        whole = column.fill_null(pa.scalar("").cast(column.type))
        _, offsets, values = whole.buffers()
        ends = np.frombuffer(offsets, np.int32)[whole.offset : whole.offset + len(whole) + 1]
        self._lengths.update(np.diff(ends).astype(np.int64).data)
        if values is not None:
            self._values.update(memoryview(values)[ends[0] : ends[-1]])

    def _within(self, columns: list[pa.Array]) -> None:
        self._parts = self._parts or [_ColumnHash() for _ in columns]
        for part, column in zip(self._parts, columns, strict=True):
            part.update(column)

    def digest(self) -> bytes:
        own = self._nulls.digest() + self._lengths.digest() + self._values.digest()
        return own + b"".join(part.digest() for part in self._parts)


def _compact(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows in buffers of their own, so that equal rows are equal bytes wherever they come from.

    A slice, a `take` and a Parquet reader leave different slack in the buffers, and the stream writer keeps it.
    Vectors have none, and are too large to copy for nothing.
    """
    columns = [column if pa.types.is_fixed_size_list(column.type) else _own(column) for column in batch.columns]
    return pa.record_batch(columns, schema=batch.schema)


def _own(column: pa.Array) -> pa.Array:
    if pa.types.is_struct(column.type):
        # What lies below a null is free to be anything; flattened, it is null as well.
        parts = [_own(part) for part in column.flatten()]
        column = pa.StructArray.from_arrays(parts, fields=list(column.type), mask=column.is_null())
    return pa.concat_arrays([column])


def _plain(column: pa.Array) -> memoryview:
    return np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).data


class _Digesting:
    """A sink for pyarrow that digests what it passes on."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """The file belongs to whoever opened it."""
