"""Masked downloads: gaps on several lines, beside whole files and h5py, and forty sessions of NSD core.

Writes MASKED.md.

The bucket is a process of its own (virtual_bucket.py), whose beta files of full size are made as they are asked for.
nsdgeneral is synthetic subj01's of full size, a folded sheet of 15,724 voxels in some 7,200 runs along x.
"""

import argparse
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from virtual_bucket import Server, means, serving

HERE = Path(__file__).parent
KB = 1024
GAPS = (0, 4, 16, 32, 64)
LINES = [(rate, latency) for rate in (10e6, 50e6, 100e6) for latency in (0.03, 0.1)]
PROBED = 60
"""Voxels that h5py reads over a remote file, which are enough to see how long all would take."""

ASSUMED = """
## What is assumed of the real bucket, which nobody has asked

| assumed | why | if it is otherwise |
|---|---|---|
| chunks lie in the order of their keys | sizes in a listing | nodes of the tree tell; it is walked: 4 rounds more |
| superblock 0, tree 1, an int16 chunk a voxel, unpacked | the same sizes | the whole packed file comes, with a note |
| the tree's root is at 1400 or 1072 | how h5py writes | it is read from the dataset's header |
| axes are those of the masks | the export code | the map of means tells; nothing is kept, a line says why |
| meanbeta is of the stored numbers | the export code | "not checked", with a note; refused where it contradicts |
| there is a map of means of each session of NSD core | a manual | "not checked", with a note |
| a file keeps its ETag while it is fetched | S3 | one line; the next call takes the new file |
"""

CORE = "nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR"
IMAGERY = "nsddata_betas/ppdata/subj01/func1pt8mm/nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery.hdf5"

DOWNLOAD = """
import json, resource, sys, time
from pathlib import Path
import nsd_imagery
start = time.perf_counter()
done = nsd_imagery.download(sys.argv[1], "subj01", conditions="perception", masked=True)
used = resource.getrusage(resource.RUSAGE_SELF)
most = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
n_masked = sum(file.kind == "betas" and file.state == "fetched" for file in done.files)
print(json.dumps([time.perf_counter() - start, used.ru_utime + used.ru_stime, most, n_masked]))
"""

BUILD = """
import json, resource, sys, time
from pathlib import Path
import nsd_imagery
start = time.perf_counter()
nsd_imagery.build(sys.argv[1], sys.argv[2], conditions="perception")
used = resource.getrusage(resource.RUSAGE_SELF)
most = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([time.perf_counter() - start, most]))
"""


def main() -> None:
    """Run each part once, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 4 GB: small sessions, masked, shards")
    parser.add_argument("--sessions", type=int, default=40)
    parser.add_argument("--only", choices=["gaps", "forty"])
    arguments = parser.parse_args()
    os.environ["NSD_IMAGERY_ACCEPT_TERMS"] = "1"
    work = arguments.work.absolute()
    parts = {"gaps": lambda: gaps(work / "gaps"), "forty": lambda: forty(work / "forty", arguments.sessions)}
    for name, run in parts.items():
        if arguments.only in (None, name):
            (work / f"masked_{name}.md").write_text("\n".join(run()))
    texts = [(work / f"masked_{name}.md").read_text() for name in parts if (work / f"masked_{name}.md").exists()]
    (HERE / "MASKED.md").write_text("\n".join([*heading(), *texts, ASSUMED.lstrip()]))


def heading() -> list[str]:
    return [
        "# Masked downloads",
        "",
        f"`python benchmarks/masked.py`; {os.cpu_count()} cores, Python {platform.python_version()}, single runs on a",
        "busy machine: trust bytes, requests, ratios of seconds. A bucket on loopback, a process of its own,",
        "without TLS, with a latency before each answer and a bandwidth that all connections share.",
        "",
    ]


def gaps(work: Path) -> list[str]:
    """The table of gap sizes."""
    from nsd_imagery.fetch.bucket import open_bucket
    from nsd_imagery.synthetic.brain import make_brain
    from nsd_imagery.volumes.grid import Grid

    brain = make_brain("subj01", full_size=True)
    grid, voxels = Grid(brain.shape, None), np.flatnonzero(brain.rois["nsdgeneral"] == 1)
    with serving(work, [IMAGERY], 720) as server:
        cells: dict[Any, tuple[float, int, int]] = {}
        for rate, latency in LINES:
            for gap in GAPS:
                server.line(rate, latency)
                with open_bucket(server.url) as bucket:
                    cells[rate, latency, gap] = masked(bucket, server, work, grid, voxels, gap * KB)
                print(rate, latency, gap, cells[rate, latency, gap], flush=True)
            server.line(rate, latency)
            with open_bucket(server.url) as bucket:
                cells[rate, latency, "packed"] = packed(bucket, server)
                cells[rate, latency, "h5py"] = over_remote_file(bucket, server, grid, voxels)
            print(rate, latency, cells[rate, latency, "packed"], cells[rate, latency, "h5py"], flush=True)
    return gap_table(cells, voxels.size * 1440, grid.n_voxels * 1440)


def masked(bucket: Any, server: Server, work: Path, grid: Any, voxels: Any, gap: int) -> tuple[float, int, int]:
    """Seconds of a fetch until the masked file is there, requests and bytes."""
    from nsd_imagery.fetch.masked import Wanted, fetch_masked

    path = work / "out" / "b.masked.hdf5"
    path.unlink(missing_ok=True)
    start = time.perf_counter()
    (one,) = bucket.head([IMAGERY])
    fetch_masked(bucket, Wanted(one, path, grid, voxels, ("nsdgeneral",), None), work / "state", gap=gap)
    wall = time.perf_counter() - start
    n_gets, n_bytes, _ = server.counted()
    return wall, n_gets, n_bytes


def packed(bucket: Any, server: Server) -> tuple[float, int, int]:
    """The same of a packed file of subj01's size, by eight parts of 8 MiB at once, as whole files come; not proven."""
    from nsd_imagery.fetch.reads import Read

    start = time.perf_counter()
    (one,) = bucket.head(["packed"])
    reads = iter([Read(one.key, one.etag, at, min(at + (8 << 20), one.size)) for at in range(0, one.size, 8 << 20)])
    for _ in bucket.stream(lambda: next(reads, None), 8):
        pass
    wall = time.perf_counter() - start
    n_gets, n_bytes, _ = server.counted()
    return wall, n_gets, n_bytes


class Remote(io.RawIOBase):
    """A remote file as h5py reads it through libraries of file objects: blocks of 64 KB, one after the other."""

    def __init__(self, bucket: Any, one: Any) -> None:
        self.bucket, self.one, self.place = bucket, one, 0
        self.blocks: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.place = offset + (0, self.place, self.one.size)[whence]
        return self.place

    def readinto(self, buffer: Any) -> int:
        from nsd_imagery.fetch.reads import Read

        number, into = divmod(self.place, 1 << 16)
        if number not in self.blocks:
            stop = min((number + 1) << 16, self.one.size)
            ((_, data),) = self.bucket.get_all([Read(self.one.key, self.one.etag, number << 16, stop)])
            self.blocks[number] = bytes(data)
        data = self.blocks[number][into : into + len(buffer)]
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)


def over_remote_file(bucket: Any, server: Server, grid: Any, voxels: Any) -> tuple[float, int, int]:
    """The same for all voxels, by what some of them take h5py."""
    before = server.counted()
    (one,) = bucket.head([IMAGERY])
    in_order = np.sort(grid.file_order(voxels))
    some = in_order[in_order.size // 2 :][:PROBED]  # in a row, so that they share blocks
    start = time.perf_counter()
    with h5py.File(io.BufferedReader(Remote(bucket, one), 1 << 16), "r") as file:
        betas: Any = file["betas"]
        for z, y, x in np.stack(np.unravel_index(some, betas.shape[1:]), axis=1).tolist():
            assert betas[:, z, y, x].shape == (720,)
    wall, after = time.perf_counter() - start, server.counted()
    times = in_order.size / some.size
    return wall * times, round((after[0] - before[0]) * times), round((after[1] - before[1]) * times)


def bound(line: tuple[float, float], n_gets: int, n_bytes: int) -> float:
    """Seconds that a masked fetch is to take at most: twice what the line or its latency allows, and four latencies."""
    from nsd_imagery.fetch.bucket import AT_ONCE

    rate, latency = line
    return 2 * max(n_bytes / rate, n_gets * latency / AT_ONCE) + 4 * latency


def gap_table(cells: dict[Any, tuple[float, int, int]], n_wanted: int, n_all: int) -> list[str]:
    names = [*(f"gap {gap} KB" for gap in GAPS), "whole .nii.gz", "h5py, remote file"]
    keys = [*GAPS, "packed", "h5py"]
    lines = [
        "## NSD-Imagery, nsdgeneral of one subject",
        "",
        f"{n_wanted / 1e6:.1f} MB of voxels in a file of {n_all / 1e6:,.0f} MB. The whole .nii.gz has the 470 MB of",
        f"subj01's and is not unpacked; h5py reads {PROBED} voxels, neighbours of each other, through blocks of",
        f"64 KB, times {15724 // PROBED}. Of the bound: the seconds in parts of 2 × max(bytes / bandwidth,",
        "requests × latency / 64) + 4 latencies, on the line of each column.",
        "",
        "| | requests | MB | × voxels | "
        + " | ".join(f"{r / 1e6:.0f} MB/s, {s * 1e3:.0f} ms" for r, s in LINES)
        + " | of the bound |",
        "|---|---|---|---|" + "---|" * (len(LINES) + 1),
    ]
    for name, key in zip(names, keys, strict=True):
        _, n_gets, n_bytes = cells[(*LINES[0], key)]
        of_lines = {line: cells[(*line, key)] for line in LINES}
        walls = " | ".join(f"{wall:,.1f} s" for wall, _, _ in of_lines.values())
        parts = (f"{wall / bound(line, *counts):.2f}" for line, (wall, *counts) in of_lines.items())
        of_bound = ", ".join(parts) if key in GAPS else ""
        lines.append(
            f"| {name} | {n_gets:,} | {n_bytes / 1e6:,.1f} | {n_bytes / n_wanted:.2f} | {walls} | {of_bound} |"
        )
    return [*lines, ""]


def forty(work: Path, n_sessions: int) -> list[str]:
    """The text on the sessions of NSD core, as many as are asked for."""
    release = core_release(work, n_sessions)
    keys = [f"{CORE}/betas_session{number:02d}.hdf5" for number in range(1, n_sessions + 1)]
    root, out = work / "root", work / "out"
    for folder in (root, out):
        shutil.rmtree(folder, ignore_errors=True)
    with serving(release, keys, 750) as server:
        os.environ["NSD_IMAGERY_SOURCE"] = server.url
        first = subprocess.Popen([sys.executable, "-c", DOWNLOAD, root], stdout=subprocess.DEVNULL)
        start = time.perf_counter()
        while len(list(root.rglob("*.masked.hdf5"))) < n_sessions // 3:
            assert first.poll() is None
            time.sleep(0.1)
        time.sleep(0.5)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before, n_before = time.perf_counter() - start, len(list(root.rglob("*.masked.hdf5")))
        print("killed", before, n_before, server.counted(), flush=True)
        wall, cpu, memory, n_fetched = measured(DOWNLOAD, root)
        n_gets, n_bytes, n_of_betas = server.counted()
        print("fetched", wall, cpu, memory, n_fetched, n_gets, n_bytes, flush=True)
    n_kept = sum(path.stat().st_size for path in root.rglob("*.masked.hdf5"))
    build_wall, build_memory = measured(BUILD, root, out)
    n_whole = n_sessions * (699_192 * 1500 + 45_650_000)
    return [
        f"## NSD core, {n_sessions} sessions of one subject",
        "",
        f"{n_whole / 1e9:.1f} GB of HDF5, of which {n_bytes / 1e9:.2f} GB came ({n_bytes / n_whole:.1%}),",
        f"in {n_of_betas:,} requests, and {n_kept / 1e9:.2f} GB are kept; a line of no limit. A first process",
        f"was killed (SIGKILL) after {before:.0f} s, with {n_before} sessions there; a second fetched the other",
        f"{n_fetched:.0f} in {wall:.0f} s, {cpu:.0f} s of them of its processor, with {memory / 1e6:.0f} MB in",
        f"memory. Bytes and requests are of both: a session is {n_bytes / n_sessions / 1e6:.1f} MB",
        f"in {n_of_betas / n_sessions:,.0f}.",
        "",
        f"`build --conditions perception` of them: {build_wall:.0f} s, {build_memory / 1e6:.0f} MB in memory.",
        "",
    ]


def measured(program: str, *arguments: Path) -> list[float]:
    """What a process of its own prints of itself."""
    done = subprocess.run([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def core_release(work: Path, n_sessions: int) -> Path:
    """All of a synthetic subj01 but beta files, with the masks of full size and the maps of means of the bucket's."""

    import nsd_imagery
    from nsd_imagery.synthetic import files
    from nsd_imagery.synthetic.brain import make_brain

    release = work / "release"
    if (release / "made").exists():
        return release
    nsd_imagery.synth(release, format="hdf5", perception_sessions=n_sessions)
    shutil.rmtree(release / "nsddata_betas")
    space = release / "nsddata/ppdata/subj01/func1pt8mm"
    shutil.rmtree(space)
    brain = make_brain("subj01", full_size=True)
    files.write_rois(space / "roi", brain)
    files.write_masks(space, brain)
    for number in range(1, n_sessions + 1):
        files.write_volume(space / f"valid_session{number:02d}.nii.gz", brain.mask.astype(np.int16), brain.affine)
        files.write_volume(release / CORE / f"meanbeta_session{number:02d}.nii.gz", means(750), brain.affine)
    (release / "made").touch()
    return release


if __name__ == "__main__":
    main()
