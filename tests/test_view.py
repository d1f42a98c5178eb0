"""`torch_view`: the rows of a dataset as tensors, whatever was done to it and however a DataLoader asks for them."""

import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset, List, Value, concatenate_datasets, load_dataset
from torch.utils.data import BatchSampler, DataLoader, DistributedSampler, RandomSampler

import nsd_imagery
from nsd_imagery.dataset.shards import write_shard
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.schema import trial_schema

pytestmark = pytest.mark.slow

CONDITIONS = ("imagery", "vision", "attention", "perception")

Batch = dict[str, torch.Tensor | list[str]]


def trials_of(folder: Path, condition: str = "imagery") -> Dataset:
    return concatenate_datasets(list(nsd_imagery.load(folder, f"subj01-{condition}").values()))


def same(one: Batch, other: Batch) -> None:
    assert list(one) == list(other)
    for name, values in one.items():
        if isinstance(values, torch.Tensor):
            torch.testing.assert_close(values, other[name], rtol=0, atol=0, equal_nan=True)
        else:
            assert values == list(other[name])


def joined(batches: list[Batch]) -> Batch:
    return {
        name: torch.cat([batch[name] for batch in batches])
        if isinstance(values, torch.Tensor)
        else [word for batch in batches for word in batch[name]]
        for name, values in batches[0].items()
    }


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_batch_is_that_of_the_torch_format_over_load_and_load_dataset(
    core_dataset: Path, hf_cache: str, condition: str
) -> None:
    mine = trials_of(core_dataset, condition)
    loaded = load_dataset(str(core_dataset), f"subj01-{condition}", cache_dir=hf_cache)
    theirs = concatenate_datasets(list(loaded.values()))
    rows = np.random.default_rng(0).permutation(mine.num_rows)[:100].tolist()
    expected = theirs.with_format("torch")[rows]
    same(nsd_imagery.torch_view(mine)[rows], expected)
    same(nsd_imagery.torch_view(theirs)[rows], expected)
    same(nsd_imagery.torch_view(mine.with_format("torch"))[rows], expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda trials: trials.shuffle(seed=1),
        lambda trials: trials.filter(lambda target: target < "c", input_columns="target"),
        lambda trials: trials.filter(lambda s: s == "C", input_columns="stimulus_set").shuffle(seed=2),
        lambda trials: trials.select(range(90, 230)),
        lambda trials: trials.select(range(90, 230)).shuffle(seed=3).select(range(10, 60)),
        lambda trials: trials.select([7, 7, 3]),
        lambda trials: trials.select([]),
        lambda trials: concatenate_datasets([trials.shuffle(seed=4), trials.select(range(5))]),
        lambda trials: trials.remove_columns(["caption", "nsd_id"]).rename_column("target", "name"),
        lambda trials: trials.filter(lambda target: False, input_columns="target"),
        lambda trials: Dataset(pa.concat_tables([trials.data.table.slice(0, 0), trials.data.table])),
    ],
    ids=["shuffled", "filtered", "filtered and shuffled", "sliced", "sliced and shuffled", "repeated", "none",
         "joined", "other columns", "all filtered out", "an empty chunk"],
)  # fmt: skip
def test_it_follows_whatever_was_done_to_the_dataset(dataset: Path, change: Callable[[Dataset], Dataset]) -> None:
    trials = change(trials_of(dataset))
    view = nsd_imagery.torch_view(trials)
    assert len(view) == trials.num_rows
    assert view[:]["betas"].shape == (trials.num_rows, trials.features["betas"].length)
    if trials.num_rows:
        same(view[:], trials.with_format("torch")[:])


def test_one_row_a_slice_an_array_and_negative_numbers_choose_as_in_a_list(dataset: Path) -> None:
    view = nsd_imagery.torch_view(trials_of(dataset), ["target", "trial_id", "betas"])
    whole = view[:]
    row = view[-1]
    assert row["target"] == whole["target"][-1]
    assert row["trial_id"].item() == whole["trial_id"][-1]
    assert row["betas"].shape == whole["betas"].shape[1:]
    for index in ([2, 0, -3], np.array([2, 0, 285]), torch.tensor([2, 0, 285])):
        same(view[index], view[[2, 0, 285]])
    same(view[10:20:3], view[[10, 13, 16, 19]])
    assert view[[]]["betas"].shape == (0, whole["betas"].shape[1])
    assert [row["trial_id"].item() for row in view] == whole["trial_id"].tolist()
    for index in (288, -289, [0, 288]):
        with pytest.raises(IndexError):
            view[index]
    for index in ([True, False], [0.5], "betas", [[1, 2]]):
        with pytest.raises(TypeError):
            view[index]


@pytest.mark.parametrize("columns", [["subject", "stimulus"], ["subject"], ["nsd_id"], ["betas"], []])
def test_a_view_ends_with_its_last_row_whatever_columns_it_has(dataset: Path, columns: list[str]) -> None:
    """Words that are the same in all rows are kept once, and know nothing of an end."""
    trials = trials_of(dataset).select(range(5))
    view = nsd_imagery.torch_view(trials, columns)
    assert len(view) == len(view.__getitems__([0, 1, 2, 3, 4])) == 5
    for index in (5, -6, 10**9, -(10**9), [0, 5], np.array([-6]), np.uint64(2**63), torch.tensor(5)):
        with pytest.raises(IndexError, match="there are 5"):
            view[index]
        if not isinstance(index, int) and np.ndim(index):
            with pytest.raises(IndexError):
                view.read(np.asarray(index))
            with pytest.raises(IndexError):
                view.__getitems__(list(index))
    assert len(list(view)) == 5
    for index in (slice(3, 100), slice(-2, None), slice(None, None, -1), slice(9, 12), slice(10**9, 10**10)):
        assert [len(values) for values in view[index].values()] == [len(range(5)[index])] * len(columns)
        same(view[index], view[list(range(5))[index]])
    same(view[[-1, -5]], view[[4, 0]])
    empty = nsd_imagery.torch_view(trials.select([]), columns)
    assert list(empty) == []
    for index in (0, -1):
        with pytest.raises(IndexError, match="there are 0"):
            empty[index]


def test_a_batch_is_its_own_memory(dataset: Path) -> None:
    view = nsd_imagery.torch_view(trials_of(dataset))
    before = view[[4, 5]]
    changed = view[[4, 5]]
    changed["betas"] += 1
    changed["nsd_id"] += 1
    same(view[[4, 5]], before)


def test_columns_and_dtype_choose_and_convert_only_what_they_name(dataset: Path) -> None:
    view = nsd_imagery.torch_view(trials_of(dataset), ["betas", "nsd_id", "response_time"], torch.float16)
    batch = view[:4]
    assert {name: values.dtype for name, values in batch.items()} == {
        "betas": torch.float16,
        "nsd_id": torch.int64,
        "response_time": torch.float32,
    }
    assert view[:]["nsd_id"].max() == 65872
    sidecar = nsd_imagery.torch_view(nsd_imagery.load(dataset, "subj01-stats", "train"), dtype=torch.float16)
    assert sidecar[:]["mean"].dtype == torch.float64


def test_any_two_workers_give_the_rows_once_and_as_they_are(core_dataset: Path) -> None:
    for condition in CONDITIONS:
        trials = trials_of(core_dataset, condition).shuffle(seed=5)
        view, expected = nsd_imagery.torch_view(trials), trials.with_format("torch")[:]
        batches = BatchSampler(range(len(view)), 32, drop_last=False)
        hows = [("fork", {"batch_size": 32}), ("fork", {"batch_size": None, "sampler": batches})]
        if condition == "imagery":
            hows.append(("spawn", {"batch_size": 32}))
        for context, how in hows:
            same(joined(list(DataLoader(view, num_workers=2, multiprocessing_context=context, **how))), expected)


def test_the_samplers_of_torch_see_every_row_once(dataset: Path) -> None:
    view = nsd_imagery.torch_view(trials_of(dataset))
    everything = set(view[:]["trial_id"].tolist())
    sampler = BatchSampler(RandomSampler(view, generator=torch.Generator().manual_seed(0)), 50, drop_last=False)
    shuffled = joined(list(DataLoader(view, batch_size=None, sampler=sampler)))["trial_id"].tolist()
    assert shuffled != sorted(shuffled)
    halves = [
        joined(list(DataLoader(view, batch_size=7, sampler=DistributedSampler(view, 2, rank))))["trial_id"].tolist()
        for rank in (0, 1)
    ]
    assert set(shuffled) == everything == {*halves[0], *halves[1]}
    assert len(shuffled) == len(halves[0]) + len(halves[1]) == 288


def test_it_is_sent_to_a_worker_as_paths_and_not_as_data(dataset: Path) -> None:
    view = nsd_imagery.torch_view(trials_of(dataset).shuffle(seed=1), ["betas", "target"], torch.float64)
    sent = pickle.dumps(view)
    assert len(sent) < view[:]["betas"].nbytes / 20
    same(pickle.loads(sent)[:], view[:])


def wide_dataset(folder: Path, n_rows: int, n_voxels: int) -> Dataset:
    schema = trial_schema(n_voxels, "float32")
    generator = np.random.default_rng(0)

    def batch(start: int) -> pa.RecordBatch:
        scalars = [pa.array([start // 100] * 100).cast(field.type) for field in list(schema)[:-1]]
        betas = pa.array(generator.standard_normal(100 * n_voxels, np.float32))
        return pa.record_batch([*scalars, pa.FixedSizeListArray.from_arrays(betas, n_voxels)], schema=schema)

    shard = write_shard(folder, "c", "train", (0, 1), schema, map(batch, range(0, n_rows, 100)))
    return Dataset.from_file(str(folder / shard.file))


def test_the_memory_of_an_epoch_is_that_of_a_batch(tmp_path: Path) -> None:
    view = nsd_imagery.torch_view(wide_dataset(tmp_path, 6000, 1000).shuffle(seed=0))
    loader = DataLoader(view, batch_size=None, sampler=BatchSampler(RandomSampler(view), 32, drop_last=False))
    arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    n_rows = sum(len(batch["betas"]) for batch in loader)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_rows == 6000
    assert peak < 2_000_000 < 6000 * 1000 * 4 / 10
    assert pa.total_allocated_bytes() <= arrow


def test_what_makes_no_tensor_is_left_out_or_named(dataset: Path) -> None:
    trials = trials_of(dataset).remove_columns("betas").select(range(2))
    odd = trials.add_column("odd", [[1, 2], [3]]).add_column("gap", [1, None])
    assert "odd" not in nsd_imagery.torch_view(odd.remove_columns("gap"))[:]
    with pytest.raises(UsageError, match=r"column 'odd' is .*: no tensor and no string"):
        nsd_imagery.torch_view(odd, ["odd"])
    with pytest.raises(UsageError, match=r"no column 'tarket' .did you mean 'target'"):
        nsd_imagery.torch_view(odd, ["tarket"])
    with pytest.raises(DataError, match="column 'gap' has 1 rows without a value"):
        nsd_imagery.torch_view(odd)
    vectors = odd.add_column("v", [[1.0, 2.0], None]).cast_column("v", List(Value("float32"), length=2))
    with pytest.raises(DataError, match="1 rows have no vector"):
        nsd_imagery.torch_view(vectors, ["v"])
    with pytest.raises(UsageError, match="DatasetDict: name a split"):
        nsd_imagery.torch_view(nsd_imagery.load(dataset, "subj01-imagery"))


def test_without_torch_the_error_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import nsd_imagery\n"
        "for name in ('torch_view', 'NSDImageryDataset'):\n"
        "    try:\n"
        "        getattr(nsd_imagery, name)\n"
        "    except ImportError as error:\n"
        "        print(type(error).__name__, error)"
    )
    printed = subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()
    line = "MissingExtraError torch_view and NSDImageryDataset need torch: pip install 'nsd-imagery[torch]'"
    assert printed == [line, line]
