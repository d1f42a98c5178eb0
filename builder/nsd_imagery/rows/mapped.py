"""Shards as tables of the datasets library: mapped where they lie, and pickled by their own paths.

    PLACE/<16 hex>-<16 hex>/<shard>          a link to the shard
                            cache-<…>.arrow  what `filter`, `sort`, `shuffle` and `map` made of its rows

The library writes what it makes beside the file that it was told to open, so it is told to open a link in a folder of
its own. That folder is another one tomorrow or on another node, and nothing in a pickle may name it: a link goes as
the path of its shard, which is looked up in the manifest when it is opened again, and which rows were left goes as
their numbers. Only what `map` made, which lies nowhere else, goes as a path in that folder.
"""

import copyreg
import json
import os
import re
import uuid
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import xxhash
from datasets import Dataset
from datasets.table import InMemoryTable, MemoryMappedTable, Table

from nsd_imagery.dataset.folder import MANIFEST, open_manifest
from nsd_imagery.dataset.manifest import Features, Manifest
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.identity import identity
from nsd_imagery.links import is_there
from nsd_imagery.schema import features_yaml
from nsd_imagery.shell import quoted
from nsd_imagery.temporary import own_folder

_PLACE = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}")
_ROW_NUMBERS = pa.schema([("indices", pa.uint64())])
"""Of the tables by which the datasets library knows which rows are left, in which order."""


def fingerprint(features: Features, shards: Sequence[Shard]) -> str:
    """By what is in the shards, so that nothing which was made of other rows is ever taken for that of these."""
    said = [features, *([shard.file, shard.hash] for shard in shards)]
    return xxhash.xxh64_hexdigest(json.dumps(said).encode())


def map_shards(folder: Path, features: Features, shards: Sequence[Shard], cache_root: Path) -> list[MemoryMappedTable]:
    """The shards of a split, each by a link in a folder of theirs below `cache_root`.

    Raises:
        MissingDataError: A shard is gone.
        DataError: A shard is not what the manifest says.
    """
    place = _place(folder, features, shards, cache_root)
    return [_mapped(folder, features, shard, place) for shard in shards]


def _place(folder: Path, features: Features, shards: Sequence[Shard], cache_root: Path) -> Path:
    place = cache_root / f"{fingerprint(features, shards)}-{xxhash.xxh64_hexdigest(os.fsencode(folder))}"
    place.mkdir(parents=True, exist_ok=True)
    return place


def _mapped(folder: Path, features: Features, shard: Shard, place: Path) -> MemoryMappedTable:
    path = folder / shard.file
    again = f"build again: nsd-imagery build ROOT --out {quoted(folder)}"
    if not is_there(path):
        msg = f"{path}: this shard is gone; {again}"
        raise MissingDataError(msg)
    if (size := path.stat().st_size) != shard.bytes:
        msg = f"{path}: this shard has {size:,} bytes, not {shard.bytes:,} as in the manifest; {again}"
        raise DataError(msg)
    try:
        table = MemoryMappedTable.from_file(str(_link(path, place)))
        if table.num_rows != shard.rows or features_yaml(table.schema) != features:
            raise pa.ArrowInvalid("its rows or columns are not those of the manifest")
    except PermissionError:
        raise
    except (pa.ArrowException, OSError, DataError) as error:
        msg = f"{path}: this shard is damaged ({error}); delete it and {again}"
        raise DataError(msg) from error
    return table


def _link(path: Path, place: Path) -> Path:
    link = place / path.name
    if not link.is_symlink():
        partial = place / uuid.uuid4().hex
        partial.symlink_to(path)
        partial.replace(link)
    return link


def carried(dataset: Dataset, columns: Sequence[str]) -> Dataset:
    """Some columns of the rows of a dataset, to be pickled: of rows in memory, none but these rows goes along."""
    chosen = dataset.with_format(None).select_columns(list(columns))
    whole = chosen.data.table
    if chosen.cache_files or (chosen.num_rows >= len(whole) and whole.get_total_buffer_size() <= whole.nbytes):
        return chosen
    rows = cast(pa.Table, chosen.with_format("arrow")[:])
    table = pa.table([_own(column) for column in rows.columns], rows.schema)
    return Dataset(table, chosen.info, chosen.split, fingerprint=getattr(chosen, "_fingerprint", None))


def _own(column: pa.ChunkedArray) -> pa.Array:
    """A column in buffers of its own: a slice would take along all that it is a slice of."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _mapped_pickled(table: MemoryMappedTable) -> tuple[Any, ...]:
    path = Path(table.path)
    if not _PLACE.fullmatch(path.parent.name):
        return _as_ever(table)
    if path.is_symlink():
        return _shard_again, (str(path.readlink()), table.replays)
    if table.schema.equals(_ROW_NUMBERS):
        return _row_numbers_pickled(table)
    return _made_again, (table.path, table.replays)


def _in_memory_pickled(table: InMemoryTable) -> tuple[Any, ...]:
    return _row_numbers_pickled(table) if table.schema.equals(_ROW_NUMBERS) else _as_ever(table)


def _as_ever(table: Table) -> Any:
    return table.__reduce_ex__(2)


def _row_numbers_pickled(table: Table) -> tuple[Any, ...]:
    return InMemoryTable, (pa.table([_own(table.column(0))], _ROW_NUMBERS),)


# The library writes row numbers to a file of its own accord, and gives datasets that lose any class of ours with the
# next `select`. Its tables stay what they are, and this is the one place that all pickles of them pass.
copyreg.pickle(MemoryMappedTable, _mapped_pickled)
copyreg.pickle(InMemoryTable, _in_memory_pickled)


def _shard_again(path: str, replays: list[Any]) -> MemoryMappedTable:
    """A shard that was pickled, if it is still one of its dataset folder.

    Raises:
        MissingDataError: The folder is gone.
        DataError: It was built anew and holds other rows, or the shard is damaged.
    """
    folder, config = Path(path).parents[1], Path(path).parent.name
    found = _manifest(folder).configs.get(config)
    for shards in found.splits.values() if found else ():
        for shard in shards:
            if found and folder / shard.file == Path(path):
                table = _mapped(folder, found.features, shard, _place(folder, found.features, shards, own_folder()))
                return MemoryMappedTable.from_file(table.path, replays)
    msg = f"{folder}: was built anew since rows of {config} were pickled, and holds others now: load them again"
    raise DataError(msg)


def _made_again(path: str, replays: list[Any]) -> MemoryMappedTable:
    """What `map` made.

    Raises:
        MissingDataError: It went with the process that made it.
    """
    if not Path(path).is_file():
        msg = f"{path}: what was made of rows is gone with the process that made it: load them with cache_dir="
        raise MissingDataError(msg)
    return MemoryMappedTable.from_file(path, replays)


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        msg = f"{folder}: the dataset that rows were pickled from is no longer here: build it again, or load others"
        raise MissingDataError(msg)
    return _manifest_of(folder, *identity(path))


@lru_cache(maxsize=1)  # all shards of a pickle are of one, and a subject's NSD core is of 40
def _manifest_of(folder: Path, *_identity: int) -> Manifest:
    return open_manifest(folder)
