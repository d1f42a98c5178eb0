"""A shard as Parquet, for the hub: smaller than Arrow, and what the hub's viewer and streaming read.

One row group is one batch of the Arrow shard, so that the way back gives the same bytes.
"""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nsd_imagery.atomic import replacing
from nsd_imagery.errors import DataError
from nsd_imagery.schema import features_yaml

ENCODING = 1
"""Goes up when the same rows are written in another way."""

_MOST, _SLACK = 2, 1 << 20
"""So many times the size of the Arrow stream, and so many bytes, may the pages of the same rows take."""


def to_parquet(shard: Path, out: Path, sha256: str, few_values: Collection[str] = ()) -> None:
    """Write an Arrow stream as Parquet, proven in the same pass to be the file that it should be.

    Floating-point vectors are split into byte planes before zstd: the planes of sign and exponent compress, the
    mantissa never does. A vector that holds few distinct values is far smaller as a dictionary of them.

    Args:
        shard: The Arrow stream.
        out: The Parquet file; whole or not there.
        sha256: Of the Arrow stream.
        few_values: Vector columns that hold few distinct values.

    Raises:
        DataError: The stream has another sha256.
    """
    with shard.open("rb") as raw, replacing(out) as file:
        source = _Digesting(raw)
        try:
            _write_parquet(source, file, few_values)
        except pa.ArrowException as error:
            raise _other(shard, str(error)) from error
        source.read()
        if source.sha256.hexdigest() != sha256:
            raise _other(shard, f"sha256 is {source.sha256.hexdigest()[:12]}…, the manifest says {sha256[:12]}…")


def _other(shard: Path, why: str) -> DataError:
    return DataError(f"{shard}: is not the shard that was built ({why}); build again")


def _write_parquet(source: "_Digesting", file: BinaryIO, few_values: Collection[str]) -> None:
    with pa.ipc.open_stream(source) as stream:
        schema = stream.schema
        vectors = [field.name for field in schema if _is_vector(field.type)]
        split = [name for name in vectors if name not in few_values]
        scalars = [name for name in schema.names if name not in vectors]
        with pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[*scalars, *(_leaf(name) for name in vectors if name in few_values)],  # type: ignore[arg-type]
            column_encoding={_leaf(name): "BYTE_STREAM_SPLIT" for name in split},
            write_statistics=scalars,  # type: ignore[arg-type]
        ) as writer:
            for batch in stream:
                writer.write_batch(batch, row_group_size=max(batch.num_rows, 1))


def read_parquet(
    path: Path, features: Sequence[Mapping[str, Any]], n_rows: int, n_bytes: int
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of a Parquet file, without metadata, and its batches, one a row group, read as they are asked for.

    Args:
        path: The file; made by whoever may write to the repo, so that nothing in it is unpacked before its form is
            what the manifest says.
        features: Of the rows, as the manifest has them.
        n_rows: How many rows there are.
        n_bytes: Size of the same rows as an Arrow stream.

    Raises:
        DataError: The file holds other columns, another number of rows, or more than these rows can be.
    """
    file = pq.ParquetFile(pa.OSFile(os.fsencode(path)))
    schema = pa.schema([pa.field(field.name, _as_written(field.type)) for field in file.schema_arrow])
    if features_yaml(schema) != list(features):
        raise DataError("its columns are not those that the manifest names")
    if file.metadata.num_rows != n_rows:
        msg = f"it has {file.metadata.num_rows:,} rows, and the manifest says {n_rows:,}"
        raise DataError(msg)
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    # Not column by column: of a damaged one pyarrow (26) ends the process when its sizes are asked for.
    unpacked = sum(group.total_byte_size for group in groups)
    if unpacked > _MOST * n_bytes + _SLACK or sum(group.num_rows for group in groups) != n_rows:
        msg = f"it says that it unpacks to {unpacked:,} bytes, and the manifest speaks of {n_bytes:,}"
        raise DataError(msg)

    def batches() -> Iterator[pa.RecordBatch]:
        for number in range(file.num_row_groups):
            group = file.read_row_group(number, use_threads=False)
            yield from group.cast(schema).combine_chunks().to_batches()

    return schema, batches()


class _Digesting:
    """A file that pyarrow reads, digested as it is read."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data

    def close(self) -> None:
        """The file belongs to whoever opened it."""


def _is_vector(arrow_type: pa.DataType) -> bool:
    return pa.types.is_fixed_size_list(arrow_type) and pa.types.is_floating(arrow_type.value_type)


def _as_written(arrow_type: pa.DataType) -> pa.DataType:
    """Parquet calls the values of every list "element", and Arrow keeps that name as part of the type."""
    if pa.types.is_fixed_size_list(arrow_type):
        return pa.list_(arrow_type.value_type, arrow_type.list_size)
    return pa.list_(arrow_type.value_type) if pa.types.is_list(arrow_type) else arrow_type


def _leaf(name: str) -> str:
    """The values of a list column, as Parquet names them."""
    return f"{name}.list.element"
