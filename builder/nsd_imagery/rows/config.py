"""Open a config of a built folder where it lies: memory-mapped, without the second copy that `load_dataset` makes."""

from pathlib import Path

from datasets import Dataset, DatasetDict, DatasetInfo, Features, NamedSplit
from datasets.splits import SplitDict, SplitInfo
from datasets.table import Table, concat_tables

from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.manifest import Config
from nsd_imagery.dataset.names import the_config
from nsd_imagery.errors import UsageError
from nsd_imagery.rows.grids import description
from nsd_imagery.rows.homes import address
from nsd_imagery.rows.mapped import fingerprint, map_shards
from nsd_imagery.spelling import the_choice
from nsd_imagery.temporary import own_folder


def open_config(
    path: Path | str, config: str, split: str | None = None, cache_dir: Path | str | None = None
) -> Dataset | DatasetDict:
    """The dataset of a split of a config, or of all its splits by name; see `load.load`.

    Raises:
        UsageError: The folder has no such config, or the config no such split, or the cache cannot be there.
        MissingDataError: No built folder, or a shard is gone.
        DataError: A shard is not what the manifest says.
    """
    folder = Path(path).expanduser().resolve()
    configs = open_manifest(folder).configs
    config = the_config(config, configs)
    splits = configs[config].splits
    if split is not None:
        split = the_choice(f"split of {config}", split, splits)
    info = _info(folder, config, configs[config])
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
    tables = map_shards(folder, config.features, shards, cache_root)
    info = info.copy()
    info.features = Features.from_arrow_schema(tables[0].schema)
    table = concat_tables(list[Table](tables))
    return Dataset(table, info=info, split=NamedSplit(split), fingerprint=fingerprint(config.features, shards))


def _info(folder: Path, name: str, config: Config) -> DatasetInfo:
    infos = SplitDict(dataset_name=folder.name)
    for split, shards in config.splits.items():
        n_bytes, n_rows = (sum(getattr(shard, what) for shard in shards) for what in ("bytes", "rows"))
        infos.add(SplitInfo(split, n_bytes, n_rows, dataset_name=folder.name))
    size = sum(info.num_bytes for info in infos.values())
    return DatasetInfo(
        description=description(config.grid) if config.grid else "",
        homepage=address(folder, name),
        config_name=name,
        dataset_name=folder.name,
        splits=infos,
        download_size=size,
        dataset_size=size,
    )
