"""Open a config of a built folder where it lies: memory-mapped, without the second copy that `load_dataset` makes."""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import xxhash
from datasets import Dataset, DatasetDict, DatasetInfo, Features, NamedSplit
from datasets.splits import SplitDict, SplitInfo
from datasets.table import MemoryMappedTable, Table, concat_tables

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Config
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.links import is_there
from nsd_imagery.schema import features_yaml
from nsd_imagery.shell import quoted
from nsd_imagery.suggest import one_of
from nsd_imagery.temporary import own_folder

Shards = Sequence[Shard]


@overload
def load(path: Path | str, config: str, split: None = None, *, cache_dir: Path | str | None = None) -> DatasetDict: ...
@overload
def load(path: Path | str, config: str, split: str, *, cache_dir: Path | str | None = None) -> Dataset: ...
def load(
    path: Path | str, config: str, split: str | None = None, *, cache_dir: Path | str | None = None
) -> Dataset | DatasetDict:
    """Open a config as `load_dataset` does, but straight from the shards that the manifest names.

    Rows, features and order are those of `load_dataset`. Nothing is copied, so a rebuilt folder is never stale, and
    the folder may be read-only. Sizes of shards are checked, not their contents.

    Args:
        path: A built folder.
        config: For example "subj01-imagery".
        split: "train" or "test"; default: all splits that the config has, by name.
        cache_dir: Where `filter` and `map` keep what they make of the rows, to be found again by a later process.
            Default: a temporary folder that goes when the process ends, or if it is killed, when the next one looks.

    Returns:
        The dataset of the split, or all splits by name.

    Raises:
        UsageError: The folder has no such config, or the config no such split, or the cache cannot be there.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is not what the manifest says.
    """
    folder = Path(path).expanduser().resolve()
    configs = open_manifest(folder).configs
    one_of("config", config, configs)
    splits = configs[config].splits
    if split is not None:
        one_of(f"split of {config}", split, splits)
    info = _info(folder, config, splits)
    cache_root = _writable(Path(cache_dir).expanduser().absolute() if cache_dir else own_folder())
    if split is not None:
        return _open(folder, configs[config], split, info, cache_root)
    return DatasetDict({name: _open(folder, configs[config], name, info, cache_root) for name in splits})


def _writable(cache_root: Path) -> Path:
    """The folder itself, if it is one that the datasets library can write to.

    Raises:
        UsageError: It is not.
    """
    try:
        why = "with :: in it, which is a URL there;" if "::" in str(cache_root) else ""
        str(cache_root).encode()
    except UnicodeEncodeError:
        why = "of these letters in this locale: set PYTHONUTF8=1, or"
    if why:
        msg = f"{cache_root}: the datasets library can write to no path {why} pass another cache_dir="
        raise UsageError(msg)
    return cache_root


def _open(folder: Path, config: Config, split: str, info: DatasetInfo, cache_root: Path) -> Dataset:
    shards = config.splits[split]
    fingerprint = _fingerprint(config.features, shards)
    place = cache_root / f"{fingerprint}-{xxhash.xxh64_hexdigest(os.fsencode(folder))}"
    place.mkdir(parents=True, exist_ok=True)
    tables = [_table(folder, shard, config.features, place) for shard in shards]
    info = info.copy()
    info.features = Features.from_arrow_schema(tables[0].schema)
    return Dataset(concat_tables(tables), info=info, split=NamedSplit(split), fingerprint=fingerprint)


def _table(folder: Path, shard: Shard, features: Sequence[Mapping[str, Any]], place: Path) -> Table:
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
    """A link to the shard: the datasets library writes what `filter` makes beside the file that it was told to open."""
    link = place / path.name
    if not link.is_symlink():
        partial = place / uuid.uuid4().hex
        partial.symlink_to(path)
        partial.replace(link)
    return link


def _fingerprint(features: Sequence[Mapping[str, Any]], shards: Shards) -> str:
    """By what is in the shards, so that nothing which was made of other rows is ever taken for that of these."""
    said = [features, *([shard.file, shard.hash] for shard in shards)]
    return xxhash.xxh64_hexdigest(json.dumps(said).encode())


def _info(folder: Path, config: str, splits: Mapping[str, Shards]) -> DatasetInfo:
    infos = SplitDict(dataset_name=folder.name)
    for name, shards in splits.items():
        n_bytes, n_rows = (sum(getattr(shard, what) for shard in shards) for what in ("bytes", "rows"))
        infos.add(SplitInfo(name, n_bytes, n_rows, dataset_name=folder.name))
    size = sum(info.num_bytes for info in infos.values())
    return DatasetInfo(
        config_name=config,
        dataset_name=folder.name,
        splits=infos,
        download_size=size,
        dataset_size=size,
    )
