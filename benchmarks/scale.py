"""Four full-size sessions by one process, two processes and a Dask cluster; writes SCALE.md.

The sessions are links to one file, which costs a build as much as four. Cases run in turn, round after round.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core import root_of
from run import HERE

N_SESSIONS = 4
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
        root = root_of(arguments.work, ending, N_SESSIONS)
        sections.append(compare(root, arguments.work / "out", arguments.rounds, ending))
    (HERE / "SCALE.md").write_text("\n".join([heading(), *sections]))


def compare(root: Path, out: Path, rounds: int, ending: str) -> str:
    """One format: a table, and the ratios."""
    one_session = [*command(root, out), "--conditions", "perception"]
    seconds: dict[str, list[float]] = {}
    peaks: dict[str, list[float]] = {}
    with dask_cluster() as address:
        cases = {
            "one process": [],
            "two processes": ["--workers", "2"],
            "Dask, two workers": ["--scheduler", address],
        }
        for number in range(rounds + 1):
            for name, options in cases.items():
                shutil.rmtree(out, ignore_errors=True)
                wall, peak = run([*one_session, *options])
                print(f"{ending} round {number} {name}: {wall:.2f} s, {peak:.0f} MB", flush=True)
                if number:
                    seconds.setdefault(name, []).append(wall)
                    peaks.setdefault(name, []).append(peak)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    each = median["one process"] / N_SESSIONS
    lines = [f"## {ending}", "", "| | s (min to max) | largest process MB |", "|---|---|---|"]
    for name, values in seconds.items():
        span = f"{median[name]:.2f} ({min(values):.2f} to {max(values):.2f})"
        lines.append(f"| {name} | {span} | {statistics.median(peaks[name]):.0f} |")
    lines += [
        "",
        f"* Two processes: {median['one process'] / median['two processes']:.2f} x the throughput of one.",
        f"* Dask: {median['Dask, two workers'] / median['two processes'] - 1:+.0%} against two processes.",
        f"* The full NSD has {ALL_SESSIONS} pieces: at {each:.2f} s each {ALL_SESSIONS * each / 60:.1f} minutes of "
        f"one core, on 16 cores about {ALL_SESSIONS * each / 60 / 16:.1f}, if the disk keeps up.",
        "",
    ]
    return "\n".join(lines)


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
            f"`python benchmarks/scale.py`: {N_SESSIONS} full-size synthetic sessions of NSD core (750 volumes,",
            "15,724 voxels) to sealed shards, start-up included; medians of whole processes, warm page cache.",
            f"{platform.machine()}, {os.cpu_count()} cores.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
