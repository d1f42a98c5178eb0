"""Downloads from a bucket on loopback against the line itself, and killed at random moments; writes DOWNLOAD.md.

The bucket is a process of its own, with a latency and a bandwidth that all connections share. What is fetched is a
synthetic subj01 of full size, packed, and all that goes with it, each time into an empty root.
"""

import argparse
import importlib
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
RATES = (10e6, 50e6, 0.0)
LATENCY = 0.03

ONE = """
import json, resource, sys, time
from nsd_imagery import download
start = time.perf_counter()
done = download(sys.argv[1], "subj01")
wall = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, done.bytes_fetched]))
"""

BARE = """
import http.client, json, sys, threading, time
from urllib.parse import urlsplit
url, key, n_bytes, part = urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3]), 8 << 20
starts, lock = list(range(0, n_bytes, part)), threading.Lock()
def fetch():
    line = http.client.HTTPConnection(url.netloc)
    while True:
        with lock:
            if not starts:
                return
            start = starts.pop(0)
        line.request("GET", f"{url.path}/{key}", headers={"Range": f"bytes={start}-{min(start + part, n_bytes) - 1}"})
        answer = line.getresponse()
        while answer.read(1 << 18):
            pass
begun = time.perf_counter()
threads = [threading.Thread(target=fetch) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
print(json.dumps(time.perf_counter() - begun))
"""
"""The same bytes of betas over as many connections, thrown away: what the line gives on this machine just then."""


@dataclass
class Kills:
    """What came of downloads that were killed.

    Attributes:
        n_killed: Processes that were killed before they ended.
        n_bytes: Of all files, once a download that was gone on with to its end.
        n_downloads: Of these.
    """

    n_killed: int = 0
    n_bytes: int = 0
    n_downloads: int = 0


def main() -> None:
    """Make the data once, run each case in turn, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kills", type=int, default=50)
    arguments = parser.parse_args()
    import nsd_imagery

    os.environ["NSD_IMAGERY_ACCEPT_TERMS"] = "1"
    release = nsd_imagery.synth(arguments.work / "download", full_size=True, format="nii.gz")
    rows = [measured(release, arguments.work / "downloaded", rate, arguments.rounds) for rate in RATES]
    small = nsd_imagery.synth(arguments.work / "download_small")
    kills = killed(small, arguments.work / "killed", arguments.kills)
    (HERE / "DOWNLOAD.md").write_text("\n".join([*heading(), *rows, "", kills, ""]))


def heading() -> list[str]:
    return [
        "# Downloads, beside the line",
        "",
        f"`python benchmarks/download.py`; {os.cpu_count()} cores, Python {platform.python_version()}; medians. A "
        f"bucket on loopback, {LATENCY * 1000:.0f} ms before each answer,",
        "and all of synthetic subj01 at full size, packed. Seconds are of the whole call: listing, fetching, MD5s, "
        "unpacking to the end, fsync. The bare line: as many bytes by eight threads of http.client, thrown away, "
        "just after.",
        "",
        "| line, MB/s | MB | seconds | the bare line's | share of it | CPU seconds | peak memory, MB |",
        "|---|---|---|---|---|---|---|",
    ]


def measured(release: Path, root: Path, rate: float, rounds: int) -> str:
    """A line of the table."""
    found = []
    betas = next(release.rglob("betas_nsdimagery.nii.gz"))
    for _ in range(rounds):
        with serving(release, rate) as url:
            for folder in ("nsddata", "nsddata_betas"):  # of which the bucket then knows the ETags
                urllib.request.urlopen(f"{url}?list-type=2&prefix={folder}/").read()
            shutil.rmtree(root, ignore_errors=True)
            environment = {**os.environ, "NSD_IMAGERY_SOURCE": url}
            done = run(ONE, str(root), environment=environment)
            bare = run(BARE, url, betas.relative_to(release).as_posix(), str(betas.stat().st_size))
            found.append([*done, bare * done[-1] / betas.stat().st_size])
    shutil.rmtree(root, ignore_errors=True)
    wall, cpu, memory, n_bytes, bare = (statistics.median(column) for column in zip(*found, strict=True))
    speed = f"{rate / 1e6:.0f}" if rate else "none"
    figures = [f"{n_bytes / 1e6:.0f}", f"{wall:.1f}", f"{bare:.1f}", f"{bare / wall:.2f}", f"{cpu:.1f}"]
    row = f"| {' | '.join([speed, *figures, f'{memory / 1e6:.0f}'])} |"
    print(row, flush=True)
    return row


def run(script: str, *arguments: str, environment: dict[str, str] | None = None) -> Any:
    """What a script says, as JSON, in a process of its own."""
    command = [sys.executable, "-c", script, *arguments]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)


@contextmanager
def serving(folder: Path, rate: float) -> Iterator[str]:
    """A bucket in a process of its own; its address."""
    arguments = [str(folder), "--latency", str(LATENCY), "--rate", str(rate)]
    command = [sys.executable, str(TESTS / "bucket.py"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def killed(release: Path, root: Path, n_kills: int) -> str:
    """What is to be told of kills."""
    sys.path.insert(0, str(TESTS))
    with importlib.import_module("bucket").serving(release) as server:
        server.part = 5 << 20
        os.environ["NSD_IMAGERY_SOURCE"] = server.url
        kills = killed_downloads(server, root, n_kills, seed=1)
        again = server.sent - kills.n_bytes
    cost, size = again / max(kills.n_killed, 1) / 1e6, kills.n_bytes / kills.n_downloads / 1e6
    return (
        f"Killed (SIGKILL) at {kills.n_killed} random moments and gone on with, {kills.n_downloads} downloads of "
        f"{size:.0f} MB in parts of 5 MB ended with the bucket's bytes. A kill cost {cost:.1f} MB, sent again; at most "
        "eight parts may be on their way."
    )


def killed_downloads(server: Any, root: Path, n_kills: int, seed: int) -> Kills:
    """Kill downloads of subj01 as HDF5 at random moments, and go on with each until it has ended.

    Args:
        server: A bucket of `tests/bucket.py`, which $NSD_IMAGERY_SOURCE names; its rate is set here.
        root: The root, which is made empty after each download but the last.
        n_kills: How often.
        seed: Of the moments.
    """
    moments, kills = random.Random(seed), Kills()
    server.rate = 25e6
    command = [sys.executable, "-m", "nsd_imagery", "download", str(root), "--subjects", "1", "--format", "hdf5"]
    while True:
        shutil.rmtree(root, ignore_errors=True)
        while kills.n_killed < n_kills and not ended_before(server, command, moments.uniform(0, 1.2)):
            kills.n_killed += 1
        subprocess.run(command, check=True, capture_output=True)
        kills.n_downloads += 1
        for path in (path for path in root.rglob("*") if path.is_file()):
            key = path.relative_to(root).as_posix()
            if not key.startswith(".download/"):
                assert path.read_bytes() == server.whole(key), key
                kills.n_bytes += path.stat().st_size
        if kills.n_killed == n_kills:
            return kills


def ended_before(server: Any, command: list[str], moment: float) -> bool:
    """Start a download and kill it some seconds after its first request; whether it had ended by then."""
    n_requests = len(server.requests)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(server.requests) == n_requests and process.poll() is None:
        time.sleep(0.005)
    time.sleep(moment)
    has_ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return has_ended


if __name__ == "__main__":
    main()
