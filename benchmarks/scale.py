"""Four and sixteen full-size sessions by one process, two processes and a Dask cluster; writes SCALE.md.

The sessions are links to one file, which costs a build as much as so many. Cases run in turn, round after round. What
sixteen take longer than four is what a session costs; the rest, paid once, is start-up, plan and seal.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import root_of
from run import HERE

FEW, MANY = 4, 16
ALL_SESSIONS = 8 + sum((40, 40, 32, 30, 40, 32, 40, 30))
"""Pieces of the full NSD: an NSD-Imagery session and 30 to 40 of NSD core for each subject."""


def main() -> None:
    """Make the data once, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 2 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    sections = []
    for ending in (".nii.gz", ".hdf5"):
        roots = {number: root_of(arguments.work, ending, number) for number in (FEW, MANY)}
        sections.append(compare(roots, arguments.work / "out", arguments.rounds, ending))
    (HERE / "SCALE.md").write_text("\n".join([heading(), *sections]))


def compare(roots: dict[int, Path], out: Path, rounds: int, ending: str) -> str:
    """One format: a table, and the ratios."""
    seconds: dict[tuple[str, int], list[float]] = defaultdict(list)
    peaks: dict[str, list[float]] = defaultdict(list)
    with dask_cluster() as address:
        cases = {
            "one process": [],
            "two processes": ["--workers", "2"],
            "Dask, two workers": ["--scheduler", address],
        }
        for number in range(rounds + 1):
            for n_sessions, root in roots.items():
                for name, options in cases.items():
                    shutil.rmtree(out, ignore_errors=True)
                    wall, peak = run([*command(root, out), "--conditions", "perception", *options])
                    print(f"{ending} round {number}, {n_sessions}, {name}: {wall:.2f} s, {peak:.0f} MB", flush=True)
                    if number:
                        seconds[name, n_sessions].append(wall)
                        peaks[name].append(peak)
    shutil.rmtree(out)
    return table(ending, list(cases), seconds, peaks)


def table(
    ending: str, cases: list[str], seconds: dict[tuple[str, int], list[float]], peaks: dict[str, list[float]]
) -> str:
    """The section of SCALE.md on one format."""
    whole = {case: statistics.median(values) for case, values in seconds.items()}
    each = {name: (whole[name, MANY] - whole[name, FEW]) / (MANY - FEW) for name in cases}
    lines = [
        f"## {ending}",
        "",
        f"| | {FEW} sessions, s (min to max) | {MANY} sessions | s a further session | largest process MB |",
        "|---|---|---|---|---|",
    ]
    for name in cases:
        spans = " | ".join(
            f"{whole[name, n]:.2f} ({min(seconds[name, n]):.2f} to {max(seconds[name, n]):.2f})" for n in (FEW, MANY)
        )
        lines.append(f"| {name} | {spans} | {each[name]:.2f} | {max(peaks[name]):.0f} |")
    one, two, dask = cases
    minutes = ALL_SESSIONS * each[one] / 60
    return "\n".join(
        [
            *lines,
            "",
            f"* Two processes: {each[one] / each[two]:.2f} x the throughput of one; start-up included, "
            f"{whole[one, FEW] / whole[two, FEW]:.2f} x on {FEW} sessions, {whole[one, MANY] / whole[two, MANY]:.2f} x "
            f"on {MANY}.",
            f"* Dask against two processes: {each[dask] / each[two] - 1:+.0%} a session; start-up included, "
            f"{whole[dask, FEW] / whole[two, FEW] - 1:+.0%} on {FEW} sessions, "
            f"{whole[dask, MANY] / whole[two, MANY] - 1:+.0%} on {MANY}.",
            f"* The full NSD has {ALL_SESSIONS} pieces: {minutes:.1f} minutes of one process, about "
            f"{ALL_SESSIONS * each[two] * 2 / 60 / 16:.1f} of 16 as busy as these two, if the disk keeps up.",
            "",
        ]
    )


def command(root: Path, out: Path) -> list[str]:
    """A build by the command."""
    return [sys.executable, "-m", "nsd_imagery", "build", str(root), "--out", str(out)]


def run(arguments: list[str]) -> tuple[float, float]:
    """Wall seconds of a process, and the peak memory (MB) of the largest among it and its children."""
    start = time.perf_counter()
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    peaks = [0.0]
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    status = process.wait()
    wall = time.perf_counter() - start
    watcher.join()
    if status:
        sys.exit(f"failed: {' '.join(arguments)}")
    return wall, max(peaks)


def watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    """Note the resident memory of a process and its children while it runs."""
    while process.poll() is None:
        try:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            for pid in (process.pid, *children):
                pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                peaks.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
        except (FileNotFoundError, ProcessLookupError):
            continue
        time.sleep(0.02)


@contextmanager
def dask_cluster() -> Iterator[str]:
    """The address of a cluster of two workers, in a process of its own as a user's would be."""
    code = (
        "from distributed import LocalCluster\n"
        "import sys\n"
        "if __name__ == '__main__':\n"
        "    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)\n"
        "    print(cluster.scheduler_address, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()


def heading() -> str:
    """What was measured, and where."""
    return "\n".join(
        [
            "# Builds by several processes",
            "",
            "`python benchmarks/scale.py`: full-size synthetic sessions of NSD core (750 volumes, 15,724 voxels) to",
            "sealed shards; medians of whole processes, warm page cache. One process already reads a session while it",
            f"writes the one before. {platform.machine()}, {os.cpu_count()} cores.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
