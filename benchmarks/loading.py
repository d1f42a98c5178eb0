"""Reading a built folder beside what else there is: `python benchmarks/loading.py` writes LOADING.md.

6,000 rows of 15,724 voxels (subj01's nsdgeneral, eight sessions of NSD core), random numbers. All cases of a round are
timed one after the other, so that the machine's drift meets all alike; medians of the rounds and of their ratios.
"""

import argparse
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import BatchSampler, DataLoader, RandomSampler

import nsd_imagery
from nsd_imagery.dataset.folder import read_manifest, seal
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.dataset.shards import write_shard
from nsd_imagery.experiment import CORE_TRIALS_PER_SESSION, NSDGENERAL_VOXELS
from nsd_imagery.schema import dataset_rows, features_yaml, trial_schema, trial_table
from nsd_imagery.trial_ids import trial_id

HERE = Path(__file__).parent
CONFIG = "subj01-perception"
N_SESSIONS = 8
N_ROWS = N_SESSIONS * CORE_TRIALS_PER_SESSION
N_VOXELS = NSDGENERAL_VOXELS["subj01"]
BATCH = 32
PACKAGES = ("datasets", "pyarrow", "numpy", "torch")

MEMMAP = "epoch: np.memmap[rows]"
VIEW = "epoch: torch_view[rows], all columns"
BETAS = "epoch: torch_view[rows], two columns"
TORCH = 'epoch: with_format("torch")[rows] over load'

Case = Callable[[], object]


def main() -> None:
    """Make the data once, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1.2 GB of random data")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory", type=Path, help="only measure the memory of an epoch over this folder")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    torch.set_num_threads(1)  # as in a worker of a DataLoader
    if arguments.memory:
        print(*epoch_memory(arguments.memory))
        return
    folder, raw, cache = prepare(arguments.work / "loading")
    cases = {**opening(folder, cache), **batches(folder, raw, cache), **filters(folder)}
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        for name, case in cases.items():
            start = time.perf_counter()
            case()
            wall = time.perf_counter() - start
            print(f"round {number} {name}: {wall:.4f} s", flush=True)
            if number:  # the first round fills the page cache
                seconds[name].append(wall)
    command = [sys.executable, __file__, "--memory", str(folder)]
    growth, peak = (float(word) for word in subprocess.check_output(command, text=True).split())
    copied = sum(path.stat().st_size for path in cache.rglob("*.arrow"))
    (HERE / "LOADING.md").write_text(report(seconds, growth, peak, copied))


def prepare(work: Path) -> tuple[Path, Path, Path]:
    """A sealed folder, a file of the same betas for np.memmap, and the cache that load_dataset fills."""
    folder, raw, cache = work / "nsd_imagery", work / "betas.f32", work / "hf_cache"
    if read_manifest(folder) is None:
        shutil.rmtree(work, ignore_errors=True)
        folder.mkdir(parents=True)
        schema = trial_schema(N_VOXELS, "float32")
        with raw.open("wb") as file:
            shards = [
                write_shard(folder, CONFIG, "train", (n, N_SESSIONS), schema, session(n, schema, file))
                for n in range(N_SESSIONS)
            ]
        pieces = [f"subj01/nsd/{number + 1:02d}" for number in range(N_SESSIONS)]
        splits = {"train": tuple(replace(shard, piece=piece) for shard, piece in zip(shards, pieces, strict=True))}
        sources = dict.fromkeys(pieces, "made up")
        config = Config(
            "trials", "subj01", "perception", "nsdgeneral", N_VOXELS, features_yaml(schema), splits, sources
        )
        seal(folder, Manifest(synthetic=True, recipe=Recipe("fithrf_GLMdenoise_RR"), configs={CONFIG: config}))
    return folder, raw, cache


def session(number: int, schema: pa.Schema, raw: Any) -> Iterator[pa.RecordBatch]:
    """Rows of one session in batches of 100 or fewer; the betas also go to `raw`."""
    generator = np.random.default_rng(number)
    n_rows = CORE_TRIALS_PER_SESSION
    nsd_ids = generator.integers(73_000, size=n_rows)
    index = trial_table(
        n_rows, subject="subj01", session=number + 1, trial_in_session=list(range(n_rows)), condition="perception",
        trial_id=[trial_id("nsd", "subj01", number + 1, trial) for trial in range(n_rows)], nsd_id=nsd_ids.tolist(),
        beta_path=f"nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR/betas_session{number:02d}.hdf5",
        beta_index=list(range(n_rows)), repeat_index=0, is_valid=True, run_number=1, experiment="nsd",
        stimulus=[f"nsd{nsd_id:05d}" for nsd_id in nsd_ids], shared1000=False, is_shared=False,
        beta_version="fithrf_GLMdenoise_RR",
    )  # fmt: skip
    for labels in dataset_rows(index).to_batches(max_chunksize=100):
        values = generator.standard_normal((labels.num_rows, N_VOXELS), np.float32)
        raw.write(values.data)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=schema.field("betas").type)
        yield pa.record_batch([*labels.columns, vectors], schema=schema)


def opening(folder: Path, cache: Path) -> dict[str, Case]:
    """A config by name until its rows can be read."""

    def first() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        again()

    def again() -> datasets.Dataset:
        return datasets.load_dataset(str(folder), CONFIG, split="train", cache_dir=str(cache))

    return {
        "open: nsd_imagery.load": lambda: nsd_imagery.load(folder, CONFIG, "train"),
        "open: load_dataset, first time": first,
        "open: load_dataset, from its cache": again,
    }


def batches(folder: Path, raw: Path, cache: Path) -> dict[str, Case]:
    """All rows once, in batches of 32 and an order that is new each time."""
    trials = nsd_imagery.load(folder, CONFIG, "train")
    memmap = np.memmap(raw, np.float32, "r", shape=(N_ROWS, N_VOXELS))
    view, betas = nsd_imagery.torch_view(trials), nsd_imagery.torch_view(trials, ["betas", "nsd_id"])
    shuffled, torch_format = nsd_imagery.torch_view(trials.shuffle(seed=0)), trials.with_format("torch")

    def epoch(read: Callable[[list[int]], Any]) -> Case:
        def run() -> None:
            for rows in sampler(N_ROWS):
                read(rows)

        return run

    def loader(source: Any, **options: Any) -> Case:
        return lambda: sum(1 for _ in DataLoader(source, **options))

    def from_cache() -> None:
        loaded = datasets.load_dataset(str(folder), CONFIG, split="train", cache_dir=str(cache))
        epoch(loaded.with_format("torch").__getitem__)()

    return {
        MEMMAP: epoch(lambda rows: torch.from_numpy(memmap[rows])),
        VIEW: epoch(view.__getitem__),
        BETAS: epoch(betas.__getitem__),
        "epoch: torch_view of a shuffled dataset": epoch(shuffled.__getitem__),
        "epoch: DataLoader(view, batch_size=None, sampler=BatchSampler), all columns": loader(
            view, batch_size=None, sampler=sampler(N_ROWS)
        ),
        "epoch: the same, two columns": loader(betas, batch_size=None, sampler=sampler(N_ROWS)),
        "epoch: DataLoader(view, batch_size=32, shuffle=True)": loader(view, batch_size=BATCH, shuffle=True),
        TORCH: epoch(torch_format.__getitem__),
        'epoch: with_format("torch")[rows] over load_dataset': from_cache,
        'epoch: DataLoader(with_format("torch"), batch_size=32, shuffle=True)': loader(
            torch_format, batch_size=BATCH, shuffle=True
        ),
    }


def sampler(n_rows: int) -> BatchSampler:
    """Rows in a random order, 32 at a time."""
    return BatchSampler(RandomSampler(range(n_rows)), BATCH, drop_last=False)


def filters(folder: Path) -> dict[str, Case]:
    """The rows of every second picture, always worked out anew."""
    trials = nsd_imagery.load(folder, CONFIG, "train")
    return {
        'filter: lambda nsd_id: ..., input_columns="nsd_id"': lambda: trials.filter(
            lambda nsd_id: nsd_id % 2 == 0, input_columns="nsd_id", load_from_cache_file=False
        ),
        'filter: np.flatnonzero of ["nsd_id"], then select': lambda: trials.select(
            np.flatnonzero(np.asarray(trials["nsd_id"][:]) % 2 == 0)
        ),
        "filter: lambda row: ...": lambda: trials.filter(
            lambda row: row["nsd_id"] % 2 == 0, load_from_cache_file=False
        ),
        'filter: with_format("torch"), then lambda row: ...': lambda: trials.with_format("torch").filter(
            lambda row: row["nsd_id"] % 2 == 0, load_from_cache_file=False
        ),
    }


def epoch_memory(folder: Path) -> tuple[float, float]:
    """MB of memory of its own (not of the mapped file) that a process has more in, and at the most in, an epoch."""
    view = nsd_imagery.torch_view(nsd_imagery.load(folder, CONFIG, "train"))
    loader = DataLoader(view, batch_size=None, sampler=sampler(N_ROWS))
    next(iter(loader))
    before = own_memory()
    used = [own_memory() for _ in loader]
    return used[-1] - before, max(used) - before


def own_memory() -> float:
    """Anonymous resident memory of this process, in MB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def report(seconds: dict[str, list[float]], growth: float, peak: float, copied: int) -> str:
    """The Markdown of LOADING.md."""

    def times(case: str, other: str) -> float:
        return statistics.median(one / two for one, two in zip(seconds[case], seconds[other], strict=True))

    median = {case: statistics.median(values) for case, values in seconds.items()}
    lines = [
        "# Reading a built folder",
        "",
        f"`python benchmarks/loading.py`: {N_ROWS:,} rows of {N_VOXELS:,} voxels in {N_SESSIONS} shards, "
        f"{N_ROWS * N_VOXELS * 4 / 1e6:.0f} MB, random numbers.",
        f"Batches of {BATCH} in random order, one process, one thread, files in the page cache. Medians of "
        f"{len(next(iter(seconds.values())))} rounds.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
        "",
        "| | ms (min to max) | times np.memmap |",
        "|---|---|---|",
    ]
    for case, values in seconds.items():
        ratio = f"{times(case, MEMMAP):.2f}" if case.startswith("epoch") else ""
        spread = f"{min(values) * 1e3:,.1f} to {max(values) * 1e3:,.1f}"
        lines.append(f"| {case} | {median[case] * 1e3:,.1f} ({spread}) | {ratio} |")
    slow, fast = median["filter: lambda row: ..."], median['filter: lambda nsd_id: ..., input_columns="nsd_id"']
    lines += [
        "",
        f"* torch_view reads at {times(MEMMAP, VIEW):.2f} of the rate of np.memmap with all columns, at "
        f'{times(MEMMAP, BETAS):.2f} with two, and at {times(TORCH, VIEW):.1f} times that of with_format("torch").',
        f"* load opens a config in {median['open: nsd_imagery.load'] * 1e3:.0f} ms; load_dataset copied "
        f"{copied / 1e6:.0f} MB into its cache the first time.",
        f"* A filter by column is {slow / fast:,.0f} times faster than one by whole rows.",
        f"* An epoch of torch_view took {peak:.1f} MB at the most, and left {growth:.1f} MB.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
