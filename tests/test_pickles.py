"""Pickles of rows: they name shards by their own paths, carry what is wanted, and outlive their process."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import dill
import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError

pytestmark = pytest.mark.slow

TRIALS = nsd_imagery.NSDImageryDataset

MAKE = """
import pickle, sys, tempfile
import cloudpickle, dill
import nsd_imagery
folder, out, cache = sys.argv[1:]
rows = nsd_imagery.load(folder, "subj01-perception", "train")
kept = nsd_imagery.load(folder, "subj01-perception", "train", cache_dir=cache)
made = {
    "loaded": rows,
    "filtered": rows.filter(lambda nsd_id: nsd_id % 3 == 0, input_columns="nsd_id"),
    "filtered twice": rows.filter(lambda nsd_id: nsd_id % 3 == 0, input_columns="nsd_id").filter(
        lambda session: session > 1, input_columns="session"
    ),
    "filtered with a cache": kept.filter(lambda nsd_id: nsd_id % 3 == 0, input_columns="nsd_id"),
    "shuffled": rows.shuffle(seed=1),
    "sorted": rows.sort("nsd_id"),
    "selected": rows.select([7, 3, 1900]),
    "a slice of what was shuffled": rows.shuffle(seed=1).select(range(4, 9)),
    "split": rows.train_test_split(test_size=50, seed=0)["test"],
    "renamed": rows.shuffle(seed=2).rename_column("target", "name").remove_columns("caption"),
    "all splits": nsd_imagery.load(folder, "subj01-imagery"),
    "voxels": nsd_imagery.load(folder, "subj01-voxels", "train"),
    "stream": rows.shuffle(seed=1).to_iterable_dataset(num_shards=2),
}
made["view"] = nsd_imagery.torch_view(made["filtered"])
made["words"] = nsd_imagery.torch_view(made["shuffled"], ["subject", "stimulus"])
made["trials"] = nsd_imagery.NSDImageryDataset(folder, condition="imagery", stimuli={"nsd28751"})
made["trials"].voxels
for name, one in made.items():
    for by in (pickle, dill, cloudpickle):
        raw = by.dumps(one)
        assert tempfile.gettempdir().encode() not in raw, name
        assert cache.encode() not in raw, name
        with open(f"{out}/{by.__name__} {name}", "wb") as file:
            file.write(raw)
"""

OPEN = """
import os, pickle, sys
import xxhash
folder = sys.argv[1]
for name in sorted(os.listdir(folder)):
    with open(f"{folder}/{name}", "rb") as file:
        one = pickle.load(file)
    if name.endswith("stream"):
        said = [row["trial_id"] for row in one.select_columns("trial_id")]
    elif hasattr(one, "num_rows"):
        table = (one["test"] if name.endswith("all splits") else one).with_format("arrow")[:]
        words = table.drop_columns([field.name for field in table.schema if field.name == "betas"])
        betas = [chunk.flatten().to_numpy().tobytes() for chunk in table["betas"].chunks] if words != table else []
        said = [words.to_pydict(), b"".join(betas)]
    else:
        said = [[str(key), getattr(value, "tolist", lambda: value)()] for key, value in one[:].items()]
        said.append(str(getattr(one, "voxels", None)))
    length = len(said) if name.endswith("stream") else len(one)
    print(name, length, xxhash.xxh3_64_hexdigest(repr(said).encode()), sep="|")
"""


def python(script: str, *arguments: object, cwd: Path, **variables: object) -> str:
    """What a script prints in a process with folders of its own, all of which are gone when it has ended."""
    own = cwd / "own"
    for name in ("tmp", "hf"):
        (own / name).mkdir(parents=True)
    given = {"TMPDIR": own / "tmp", "HF_HOME": own / "hf", **variables}
    env = {**os.environ, **{name: str(value) for name, value in given.items()}}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    try:
        return subprocess.run(command, text=True, cwd=cwd, env=env, check=True, stdout=subprocess.PIPE).stdout
    finally:
        shutil.rmtree(own)


def test_rows_open_in_another_process_when_the_one_that_pickled_them_and_all_its_folders_are_gone(
    core_dataset: Path, tmp_path: Path
) -> None:
    pickles, cache = tmp_path / "pickles", tmp_path / "cache"
    pickles.mkdir()
    python(MAKE, core_dataset, pickles, cache, cwd=tmp_path)
    shutil.rmtree(cache)
    said: dict[str, set[str]] = {}
    for line in python(OPEN, pickles, cwd=tmp_path).splitlines():
        by_and_name, length, digest = line.split("|")
        said.setdefault(by_and_name.partition(" ")[2], set()).add(f"{length} {digest}")
    assert {name: len(found) for name, found in said.items()} == dict.fromkeys(said, 1)
    rows = nsd_imagery.load(core_dataset, "subj01-perception", "train")
    lengths = {name: int(next(iter(found)).split()[0]) for name, found in said.items()}
    third = sum(nsd_id % 3 == 0 for nsd_id in rows["nsd_id"])
    assert lengths["loaded"] == lengths["shuffled"] == lengths["stream"] == lengths["words"] == rows.num_rows
    assert lengths["filtered"] == lengths["view"] == third
    assert said["filtered"] == said["filtered with a cache"]
    assert (lengths["selected"], lengths["a slice of what was shuffled"], lengths["split"]) == (3, 5, 50)
    assert lengths["trials"] == 16


@pytest.mark.parametrize("by", [pickle, dill, cloudpickle], ids=lambda by: by.__name__)
def test_rows_that_were_pickled_are_the_same_rows(core_dataset: Path, by: Any) -> None:
    rows = nsd_imagery.load(core_dataset, "subj01-perception", "train")
    changes: list[Callable[[Dataset], Dataset]] = [
        lambda rows: rows,
        lambda rows: rows.filter(lambda nsd_id: nsd_id % 2 == 0, input_columns="nsd_id").select(range(9)),
        lambda rows: rows.shuffle(seed=3).select([4, 4, 2]),
        lambda rows: rows.filter(lambda session: False, input_columns="session"),
        lambda rows: rows.select_columns(["betas", "cue"]).with_format("numpy"),
    ]
    for change in changes:
        changed = change(rows)
        again = by.loads(by.dumps(changed))
        assert again.data.table.schema.equals(changed.data.table.schema)
        np.testing.assert_equal(again.with_format("numpy")[:], changed.with_format("numpy")[:])
        assert (again.format, again.split, again.features) == (changed.format, changed.split, changed.features)
        assert again._fingerprint == changed._fingerprint


def test_a_pickle_of_rows_is_as_large_as_the_numbers_of_those_that_are_left(core_dataset: Path) -> None:
    rows = nsd_imagery.load(core_dataset, "subj01-perception", "train")
    whole = len(pickle.dumps(rows))
    some = rows.filter(lambda nsd_id: nsd_id % 2 == 0, input_columns="nsd_id")
    assert len(pickle.dumps(some)) < whole + 8 * some.num_rows + 1000
    shuffled, listed = rows.shuffle(seed=1), rows.select(list(range(0, rows.num_rows, 2)))
    for few in (some.select([5, 3, 1]), shuffled.select(range(5)), listed.select(range(5))):
        assert len(pickle.dumps(few)) < whole + 1500
        assert len(pickle.dumps(nsd_imagery.torch_view(few))) < whole + 2500
    for _ in range(20):
        rows = rows.select(range(rows.num_rows - 1))
    assert len(pickle.dumps(rows)) < whole + 3000


def test_a_dataset_takes_along_the_embeddings_of_its_rows_and_not_a_cache(core_release: Path, dataset: Path) -> None:
    named = {f"nsd{number}": np.zeros(1000, np.float32) for number in (28751, 30856, *range(5000))}
    for source in (dataset, core_release):
        options: dict[str, Any] = {"subject": "subj01", "condition": "imagery"}
        alone = TRIALS(source, **options, stimuli={"nsd28751", "nsd30856"})
        with_cache = TRIALS(source, **options, stimuli=named, clip_cache=named)
        assert len(alone) == len(with_cache) == 32
        assert len(pickle.dumps(with_cache)) - len(pickle.dumps(alone)) < 2 * 4000 + 3000
        again = pickle.loads(pickle.dumps(with_cache))
        torch.testing.assert_close(again[:]["clip_embedding"], with_cache[:]["clip_embedding"])
        assert again.voxels.num_rows == again[:]["betas"].shape[1]


def test_rows_of_a_root_take_along_their_own_betas_once(core_release: Path) -> None:
    whole = TRIALS(core_release, condition="imagery")
    picture = TRIALS(core_release, condition="imagery", stimuli={"nsd28751"})
    n_bytes = picture[:]["betas"].nbytes
    assert len(pickle.dumps(picture)) < n_bytes + 25_000
    assert len(pickle.dumps(whole)) < whole[:]["betas"].nbytes + 200_000
    few = whole.trials.filter(lambda stimulus: stimulus == "nsd28751", input_columns="stimulus").shuffle(seed=0)
    view = nsd_imagery.torch_view(few, ["betas", "trial_id"])
    assert len(pickle.dumps(view)) < n_bytes + 15_000
    for one in (picture, view, nsd_imagery.torch_view(whole.trials.select(range(3)), ["betas"])):
        again = pickle.loads(pickle.dumps(one))
        assert len(again) == len(one)
        torch.testing.assert_close(again[:]["betas"], one[:]["betas"], rtol=0, atol=0)


def test_voxels_are_those_of_the_same_root_in_another_folder_and_environment(
    core_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSD_CACHE_ROOT", os.path.relpath(core_release))
    for trials in (TRIALS(condition="vision"), TRIALS(os.path.relpath(core_release), condition="vision")):
        sent = pickle.dumps(trials)
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir(tmp_path)
            elsewhere.delenv("NSD_CACHE_ROOT")
            assert pickle.loads(sent).voxels.num_rows == trials[:]["betas"].shape[1]


def test_what_a_preprocessor_knows_of_rows_is_as_long_as_their_numbers(core_release: Path) -> None:
    preprocessor = nsd_imagery.NSDPreprocessor(zscore="run")
    trials = TRIALS(core_release, condition="vision", preprocessor=preprocessor)
    plain = TRIALS(core_release, condition="vision", zscore="none")
    _ = plain.voxels
    assert len(pickle.dumps(trials)) - len(pickle.dumps(plain)) < 10 * len(trials) + 2000


@pytest.mark.parametrize("sharing", ["a DataLoader", "dask", "joblib"])
def test_other_processes_read_the_shards_themselves(dataset: Path, sharing: str) -> None:
    rows = nsd_imagery.load(dataset, "subj01-vision", "test").shuffle(seed=1).select(range(8))
    view = nsd_imagery.torch_view(rows, ["betas", "trial_id", "stimulus"])
    if sharing == "a DataLoader":
        (batch,) = DataLoader(view, batch_size=8, num_workers=1, multiprocessing_context="spawn")
    elif sharing == "dask":
        from distributed.protocol.pickle import dumps, loads

        batch = loads(dumps(view))[:]
    else:
        from joblib.externals.loky import cloudpickle_wrapper

        batch = pickle.loads(cloudpickle_wrapper.dumps(view))[:]
    torch.testing.assert_close(batch["betas"], view[:]["betas"], rtol=0, atol=0)
    assert list(batch["stimulus"]) == view[:]["stimulus"]


def test_rows_of_a_folder_that_is_gone_or_was_built_anew_are_refused(release: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"subjects": ["subj01"], "conditions": ["vision"], "roi": "V1"}
    folder = nsd_imagery.build(release, tmp_path / "d", **options)
    rows = nsd_imagery.load(folder, "subj01-vision-V1", "test")
    (shard,) = folder.glob("subj01-vision-V1/*.arrow")
    pickles = [pickle.dumps(one) for one in (rows, rows.select([4, 2]), nsd_imagery.torch_view(rows))]
    old = shard.read_bytes()
    nsd_imagery.build(release, folder, **options, zscore="none", replace=True)
    shard.write_bytes(old)  # as a build leaves it that is killed after its last rename
    for sent in pickles:
        with pytest.raises(DataError, match=f"^{folder}: was built anew since rows of subj01-vision-V1 were pickled"):
            pickle.loads(sent)
    nsd_imagery.build(release, folder, **options, replace=True)
    assert pickle.loads(pickles[1])["trial_id"][:] == rows.select([4, 2])["trial_id"][:]
    shard.write_bytes(old[:-8])
    with pytest.raises(DataError, match="this shard has"):
        pickle.loads(pickles[0])
    shard.unlink()
    with pytest.raises(MissingDataError, match=f"^{shard}: this shard is gone"):
        pickle.loads(pickles[0])
    folder.rename(tmp_path / "elsewhere")
    for sent in pickles:
        with pytest.raises(MissingDataError, match=f"^{folder}: the dataset that rows were pickled from is no longer"):
            pickle.loads(sent)


def test_what_map_made_is_named_when_it_is_gone(dataset: Path, tmp_path: Path) -> None:
    rows = nsd_imagery.load(dataset, "subj01-vision", "test", cache_dir=tmp_path / "cache")
    made = rows.map(lambda session: {"twice": 2 * session}, input_columns="session")
    sent = pickle.dumps(made)
    assert pickle.loads(sent)["twice"][:] == made["twice"][:]
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(MissingDataError, match=r"cache-.*: what was made of rows is gone .* load them with cache_dir="):
        pickle.loads(sent)


def test_tables_of_other_makers_are_pickled_as_ever(tmp_path: Path) -> None:
    made = Dataset.from_dict({"number": list(range(1000))})
    made.save_to_disk(str(tmp_path / "theirs"))
    theirs = Dataset.load_from_disk(str(tmp_path / "theirs"))
    for one in (made, theirs, theirs.filter(lambda row: row["number"] > 990)):
        sent = pickle.dumps(one)
        assert b"nsd_imagery" not in sent
        assert all(file["filename"].encode() in sent for file in one.cache_files)
        assert pickle.loads(sent).to_dict() == one.to_dict()
