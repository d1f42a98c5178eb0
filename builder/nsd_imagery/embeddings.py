"""The file of embeddings: Parquet with a row a stimulus and kind, and metadata that says what made them of what."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from nsd_imagery.atomic import replacing
from nsd_imagery.errors import DataError, MissingDataError, printable, reason

KINDS = ("image", "text")

_LONGEST = 400
"""Letters of a stimulus, or of what a model is known by."""
_ROOM = 1 << 24
_MOST_COMPRESSED = 256
"""Bytes of vectors that may come of a byte of a file, beyond _ROOM."""

Key = tuple[str, str]
"""Kind and stimulus."""


@dataclass(frozen=True)
class Maker:
    """What made embeddings; those of another one are never mixed with them.

    Attributes:
        model: The hub's name of the model, or "folder:" and a hash of what is in its folder.
        revision: The commit on the hub; empty for a folder.
        preprocessing: How pictures and texts were made ready, as JSON.
    """

    model: str
    revision: str
    preprocessing: str

    @property
    def digest(self) -> str:
        """xxh3_128 of all that."""
        return xxhash.xxh3_128_hexdigest("\0".join((self.model, self.revision, self.preprocessing)).encode())


@dataclass(frozen=True, eq=False)
class Embedding:
    """One row.

    Attributes:
        vector: (length,) float32.
        source: xxh3_128 of the pixels or the text that it was made of.
    """

    vector: NDArray[np.float32]
    source: str


def pixels_digest(picture: NDArray[np.uint8]) -> str:
    """xxh3_128 of the shape and the pixels of a picture."""
    digest = xxhash.xxh3_128(str(picture.shape).encode())
    digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """xxh3_128 of a text."""
    return xxhash.xxh3_128_hexdigest(text.encode())


def write_embeddings(path: Path, maker: Maker, rows: Mapping[Key, Embedding]) -> None:
    """Write rows in order of kind and stimulus; the same rows are the same bytes."""
    with replacing(path) as file:
        write_parquet(file, maker, rows)


def write_parquet(file: BinaryIO, maker: Maker, rows: Mapping[Key, Embedding]) -> None:
    """The bytes of `write_embeddings`, to an open file."""
    keys = sorted(rows)
    vectors = np.stack([rows[key].vector for key in keys]).astype(np.float32)
    sources = [rows[key].source for key in keys]
    values = pa.array(vectors.reshape(-1))
    arrays = {
        "stimulus": pa.array([stimulus for _, stimulus in keys], pa.string()),
        "kind": pa.array([kind for kind, _ in keys], pa.string()),
        "embedding": pa.FixedSizeListArray.from_arrays(values, vectors.shape[1]),
    }
    said = {
        "model": maker.model,
        "revision": maker.revision,
        "preprocessing": maker.preprocessing,
        "source_hash": text_digest(json.dumps([keys, sources])),
        "sources": json.dumps(sources),
    }
    pq.write_table(pa.table(arrays).replace_schema_metadata(said), file, compression="zstd")


def read_embeddings(path: Path) -> tuple[Maker, dict[Key, Embedding]]:
    """What `write_embeddings` wrote.

    Raises:
        MissingDataError: There is no such file.
        DataError: Another file, or damaged.
    """
    with _sound(path) as parquet:
        _must_be_bounded(parquet, path.stat().st_size)
        table = parquet.read(use_threads=False)
        maker = _maker(table.schema)
        sources = json.loads(table.schema.metadata[b"sources"])
        keys = list(zip(*(_words(table[name]) for name in ("kind", "stimulus")), strict=True))
        if table.schema.metadata[b"source_hash"].decode() != text_digest(json.dumps([keys, sources])):
            raise ValueError("its rows are not those that it was made of")
        column = table["embedding"].combine_chunks()
        vectors = column.flatten().to_numpy().reshape(len(keys), -1)
        if column.null_count or not np.isfinite(vectors).all():
            raise ValueError("its vectors are not finite numbers")
        rows = {key: Embedding(*pair) for key, *pair in zip(keys, vectors, sources, strict=True)}
        if len(rows) < len(keys) or not {kind for kind, _ in rows} <= set(KINDS):
            raise ValueError("it has keys twice, or of another kind than image and text")
        if not all(isinstance(source, str) for source in sources):
            raise ValueError("its sources are not hashes")
        return maker, rows


def read_maker(path: Path) -> Maker:
    """What made the embeddings of a file, from its metadata alone.

    Raises:
        MissingDataError: There is no such file.
        DataError: Another file, or damaged.
    """
    with _sound(path) as parquet:
        return _maker(parquet.schema_arrow)


def _maker(schema: pa.Schema) -> Maker:
    maker = Maker(*(schema.metadata[name].decode() for name in (b"model", b"revision", b"preprocessing")))
    if not (maker.model + maker.revision).isprintable() or len(maker.model + maker.revision) > _LONGEST:
        raise ValueError("its model has a name that cannot be one")
    return maker


def _must_be_bounded(parquet: pq.ParquetFile, size: int) -> None:
    """Not a small file that says that it is read as much memory; float32 of a model can hardly be compressed."""
    schema = parquet.schema_arrow
    if schema.names != ["stimulus", "kind", "embedding"] or not pa.types.is_fixed_size_list(schema.types[2]):
        raise ValueError("it has other columns")
    if schema.types[2].value_type != pa.float32():
        raise ValueError("its vectors are not float32")
    n_bytes = max(parquet.metadata.num_rows, 0) * schema.types[2].list_size * np.dtype(np.float32).itemsize
    if n_bytes > _ROOM + _MOST_COMPRESSED * size:
        raise ValueError(f"it has {size} bytes, and says that its vectors have {n_bytes}")


def _words(column: pa.ChunkedArray) -> list[str]:
    """Short and printable words; they come as a dictionary, as which long ones take no memory."""
    array = column.combine_chunks()
    words = array.dictionary if isinstance(array, pa.DictionaryArray) else array
    if array.null_count or not pa.types.is_string(words.type) or words.nbytes > len(words) * 2 * _LONGEST:
        raise ValueError("it has keys that are no short words")
    if not all(len(word) <= _LONGEST and word.isprintable() for word in words.to_pylist()):
        raise ValueError("it has keys that are no short words")
    return array.to_pylist()


@contextmanager
def _sound(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        file = pa.OSFile(os.fsencode(path))  # see trials.read_index
    except FileNotFoundError as error:
        msg = f"{path}: was removed while it was needed: run nsd-imagery embed again"
        raise MissingDataError(msg) from error
    with file:
        try:
            yield pq.ParquetFile(file, read_dictionary=["stimulus", "kind"])
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError, RecursionError) as error:
            msg = (
                f"{path}: is no sound file of embeddings ({reason(error)}): delete it, and run nsd-imagery embed again"
            )
            raise DataError(printable(msg)) from error
