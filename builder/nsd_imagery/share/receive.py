"""A repo on the hub that `push` filled, to a dataset folder: Arrow again, each value checked."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from nsd_imagery.consent import require_terms
from nsd_imagery.dataset.folder import MANIFEST, locked, read_manifest, seal
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.merge import take
from nsd_imagery.dataset.names import the_config
from nsd_imagery.dataset.parsing import read
from nsd_imagery.dataset.preview import refuse_full_disk
from nsd_imagery.dataset.shards import Shard, write_shard
from nsd_imagery.errors import DataError, MissingDataError, reason
from nsd_imagery.notebooks import barred
from nsd_imagery.progress import CountProgress
from nsd_imagery.schema import with_recipe
from nsd_imagery.share.parquet import read_parquet
from nsd_imagery.share.remote import check_name, download, holds_file, hub, state, url_of
from nsd_imagery.share.staging import HUB, note, parquet_name
from nsd_imagery.spelling import words_of
from nsd_imagery.temporary import own_folder


@barred("count")
def pull(
    repo: str,
    out: Path | str = "nsd_imagery",
    *,
    configs: Sequence[str] | None = None,
    revision: str | None = None,
    progress: CountProgress | None = None,
) -> Path:
    """Bring a repo that `push` filled into a dataset folder: Arrow again, the same files as in the folder it came from.

    The rows of each shard are checked against the hash in the repo's manifest. Nothing is part of the dataset before
    all is there; a pull that was stopped goes on where it was. Configs of the folder that are not pulled stay.

    Args:
        repo: OWNER/NAME.
        out: The dataset folder.
        configs: Default: all that the repo holds.
        revision: A commit, branch or tag of the repo; default: the newest.
        progress: Called with shards done, shards in all, and the name of the next one.

    Returns:
        The dataset folder.

    Raises:
        UsageError: `repo` is not OWNER/NAME, or holds no such config.
        MissingDataError: There is no such repo, or it holds no dataset of this package.
        AccessError: NSD's terms are not accepted, or the token may not read the repo.
        DataError: Rows are not those that the manifest names, or the manifest is of another version.
        FolderError: The folder holds something else, or would mix data of two recipes.
        BusyError: A build is writing to the folder.
        HubError: The hub cannot be reached, or answers with an error.
    """
    folder = Path(out).expanduser().absolute()
    check_name(repo)
    commit, manifest = _published(repo, revision)
    words = manifest.configs if configs is None else words_of("configs", configs)
    named = [the_config(word, manifest.configs, f"config in {repo}") for word in words]
    wanted = {name: manifest.configs[name] for name in named}
    if not manifest.synthetic:
        require_terms("pull")
    with locked(folder):
        old = read_manifest(folder)
        take(manifest, old, wanted)
        todo = [shard for config in wanted.values() for shard in config.shards]
        here = {shard.file for shard in todo if _is_here(folder, shard)}
        refuse_full_disk(
            folder, sum(shard.bytes for shard in todo if shard.file not in here), "the pull", "pull fewer configs"
        )
        fetched: dict[str, Shard] = {}
        for done, shard in enumerate(todo):
            if progress:
                progress(done, len(todo), shard.file)
            if shard.file not in here:
                fetched[shard.file] = _fetched(folder, repo, commit, manifest, shard)
        wanted = {name: _with(config, fetched) for name, config in wanted.items()}
        seal(folder, take(manifest, old, wanted))
        note(folder, "pull.json", repo, url=url_of(repo), revision=commit, configs=list(wanted))
        shutil.rmtree(folder / HUB / "pull", ignore_errors=True)
    return folder


def _published(repo: str, revision: str | None) -> tuple[str, Manifest]:
    """The commit of a repo and its manifest.

    Raises:
        MissingDataError: It has none.
        DataError: It is of another version, or damaged.
    """
    with hub(repo) as link, tempfile.TemporaryDirectory(dir=own_folder()) as folder:
        commit = state(link, revision).revision
        if not holds_file(link, MANIFEST, commit):
            msg = f"{repo}: holds no dataset of nsd-imagery (no {MANIFEST}); is it another repo, or not pushed to yet?"
            raise MissingDataError(msg)
        download(link, MANIFEST, commit, Path(folder))
        manifest = read(Path(folder) / MANIFEST, f"{repo}: its {MANIFEST}", "ask its owner to push again")
    if manifest is None:
        msg = f"{repo}: its {MANIFEST} is of another program"
        raise DataError(msg)
    return commit, manifest


def _with(config: Config, fetched: Mapping[str, Shard]) -> Config:
    """A config whose shards are those that were fetched, by file, where they were."""
    splits = {
        split: tuple(fetched.get(shard.file, shard) for shard in shards) for split, shards in config.splits.items()
    }
    return replace(config, splits=splits)


def _is_here(folder: Path, shard: Shard) -> bool:
    path = folder / shard.file
    return path.is_file() and _sha256(path) == shard.sha256


def _fetched(folder: Path, repo: str, commit: str, manifest: Manifest, shard: Shard) -> Shard:
    """Bring one shard into the folder. Returns it as it is here: other batches are other bytes of the same rows."""
    name, config = parquet_name(shard.file), manifest.configs[shard.config]
    with hub(repo) as link:
        parquet = download(link, name, commit, folder / HUB / "pull")
    shards = config.splits[shard.split]
    position = (shards.index(shard), len(shards))
    try:
        schema, batches = read_parquet(parquet, config.features, shard.rows, shard.bytes)
        carrying = with_recipe(schema, manifest.carried_by(config))
        made = write_shard(folder, shard.config, shard.split, position, carrying, batches)
    except (pa.ArrowException, OSError, UnicodeDecodeError, DataError) as error:
        if getattr(error, "errno", None):
            raise  # of this machine: a full disk
        msg = f"{repo}: {name} cannot be read ({reason(error)})"
        raise DataError(msg) from error
    finally:
        parquet.unlink()
    if made.hash != shard.hash:
        msg = (
            f"{repo}: the rows of {name} have hash {made.hash[:12]}, and {MANIFEST} says {shard.hash[:12]}: they "
            "were changed or damaged; ask its owner to push again"
        )
        raise DataError(msg)
    return replace(made, piece=shard.piece)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
