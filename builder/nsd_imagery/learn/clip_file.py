"""The file of embeddings: Parquet with a row a stimulus and kind, and metadata that says what made them of what."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from nsd_imagery.atomic import replacing
from nsd_imagery.errors import DataError, MissingDataError

KINDS = ("image", "text")

Key = tuple[str, str]
"""Kind and stimulus."""

_MODEL_FILES = (".json", ".safetensors", ".txt")
_BLOCK = 1 << 24


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


def model_files(folder: Path) -> list[Path]:
    """The files of a model in a local folder, in order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix in _MODEL_FILES)


def folder_name(folder: Path) -> str:
    """What stands for a model in a local folder: "folder:" and a hash of its files, wherever it lies."""
    digest = xxhash.xxh3_128()
    for path in model_files(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    return f"folder:{digest.hexdigest()}"


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
    with replacing(path) as file:
        pq.write_table(pa.table(arrays).replace_schema_metadata(said), file, compression="zstd")


def read_embeddings(path: Path) -> tuple[Maker, dict[Key, Embedding]]:
    """What `write_embeddings` wrote.

    Raises:
        MissingDataError: There is no such file.
        DataError: Another file, or damaged.
    """
    with _sound(path) as parquet:
        table = parquet.read()
        maker = _maker(table.schema)
        sources = json.loads(table.schema.metadata[b"sources"])
        keys = list(zip(table["kind"].to_pylist(), table["stimulus"].to_pylist(), strict=True))
        vectors = table["embedding"].combine_chunks().flatten().to_numpy().reshape(len(keys), -1)
        return maker, {key: Embedding(*pair) for key, *pair in zip(keys, vectors, sources, strict=True)}


def read_maker(path: Path) -> Maker:
    """What made the embeddings of a file, from its metadata alone.

    Raises:
        MissingDataError: There is no such file.
        DataError: Another file, or damaged.
    """
    with _sound(path) as parquet:
        return _maker(parquet.schema_arrow)


def _maker(schema: pa.Schema) -> Maker:
    return Maker(*(schema.metadata[name].decode() for name in (b"model", b"revision", b"preprocessing")))


@contextmanager
def _sound(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        msg = f"{path}: was removed while it was needed: run nsd-imagery embed again"
        raise MissingDataError(msg) from error
    with file:
        try:
            yield pq.ParquetFile(file)
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
            msg = f"{path}: is no sound file of embeddings ({error}): delete it, and run nsd-imagery embed again"
            raise DataError(msg) from error
