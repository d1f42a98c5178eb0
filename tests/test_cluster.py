"""Builds and evaluations on a Dask cluster whose scheduler or workers die, with real processes of each."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import nsd_imagery
from nsd_imagery.sources.release_files import expected_betas

pytestmark = pytest.mark.slow

VERSION = "fithrf_GLMdenoise_RR"
COMMAND = "from nsd_imagery.cli import cluster, main; cluster._PATIENCE = 2; main()"
LIBRARY = """
import sys
from concurrent.futures import BrokenExecutor
from distributed import Client
from nsd_imagery import plan
with Client(sys.argv[1]) as client:
    try:
        plan(*sys.argv[2:]).build(client.get_executor(pure=False))
    except BrokenExecutor as error:
        print(error)
"""

STOPS_AFTER_ONE = """
import os, signal
from distributed import WorkerPlugin
class Stop(WorkerPlugin):
    def transition(self, key, start, finish, **kwargs):
        if finish == "memory":
            os.kill(os.getpid(), signal.SIGSTOP)
async def dask_setup(worker):
    await worker.plugin_add(Stop(), name="stop")
"""
SENDS_NOTHING = """
import asyncio
def dask_setup(worker):
    async def silent(*args, **kwargs):
        await asyncio.sleep(600)
    worker.handlers["get_data"] = silent
"""
DIES_OF_WORK = """
import os, signal
from distributed import WorkerPlugin
class Die(WorkerPlugin):
    def transition(self, key, start, finish, **kwargs):
        if finish == "executing":
            os.kill(os.getpid(), signal.SIGKILL)
async def dask_setup(worker):
    await worker.plugin_add(Die(), name="die")
"""


class Cluster:
    """A scheduler, and workers of one thread that a test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address: str = json.loads(file.read_text())["address"]

    def add_worker(self, preload: str = "", mount: str = "") -> subprocess.Popen[bytes]:
        """A worker, to which `mount` shows other files than to the rest of the world."""
        script = self.folder / "preload.py"
        script.write_text(preload or "\n")
        options = ["--nthreads", "1", "--no-nanny", "--preload", str(script)]
        inside = ("unshare", "-rm", "sh", "-c", f'mount {mount} && exec "$@"', "-") if mount else ()
        return self._start("worker", self.address, *options, inside=inside)

    def _start(self, kind: str, *options: str, inside: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        command = [*inside, sys.executable, "-m", f"distributed.cli.dask_{kind}", "--no-dashboard", *options]
        environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        with (self.folder / f"{kind}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
        self.processes.append(process)
        return process


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "cluster"
    folder.mkdir()
    made = Cluster(folder)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def build(core_release: Path, out: Path, address: str, *options: str) -> subprocess.Popen[str]:
    return start(COMMAND, "build", core_release, "--out", out, "--scheduler", address, *options)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        printed, said = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, printed, said


def n_finished(out: Path) -> int:
    return len(list((out / ".build").glob("*.json")))


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")")[-1].split()[0] == "T"
    return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_dies_is_one_line_and_a_rerun_does_the_rest(
    core_release: Path, core_dataset: Path, tmp_path: Path, cluster: Cluster, how: signal.Signals
) -> None:
    worker, out = cluster.add_worker(STOPS_AFTER_ONE), tmp_path / "d"
    process = build(core_release, out, cluster.address, "--zscore", "none")
    wait_until(lambda: is_stopped(worker))
    cluster.scheduler.send_signal(how)
    line = f"nsd-imagery: {cluster.address}: the Dask scheduler is gone; what is finished is kept: "
    code, _, said = finish(process)
    assert (code, said.count("\n"), said[: len(line)]) == (1, 1, line)
    assert 1 <= n_finished(out) < 4
    assert sum(not piece.todo for piece in nsd_imagery.preview(core_release, out, zscore="none").pieces) >= 1
    nsd_imagery.build(core_release, out, zscore="none")
    assert (out / "manifest.json").read_bytes() == (core_dataset / "manifest.json").read_bytes()


def test_a_scheduler_that_dies_with_results_on_their_way_is_not_waited_for(
    core_release: Path, tmp_path: Path, cluster: Cluster
) -> None:
    cluster.add_worker(SENDS_NOTHING)
    process = build(core_release, tmp_path / "d", cluster.address)
    wait_until(lambda: n_finished(tmp_path / "d") == 4)
    time.sleep(1)  # the command hears of the last one, and asks for it
    cluster.scheduler.kill()
    code, _, said = finish(process)
    assert (code, said.count("\n")) == (1, 1)
    assert "the Dask scheduler is gone" in said


def test_a_program_whose_scheduler_dies_gets_a_broken_executor(
    core_release: Path, tmp_path: Path, cluster: Cluster
) -> None:
    worker = cluster.add_worker(STOPS_AFTER_ONE)
    process = start(LIBRARY, cluster.address, core_release, tmp_path / "d")
    wait_until(lambda: is_stopped(worker))
    cluster.scheduler.kill()
    code, printed, _ = finish(process)
    assert code == 0
    assert "lost its cluster's scheduler; what is finished is kept" in printed


def test_a_cluster_without_workers_is_said_and_waited_for(core_release: Path, tmp_path: Path, cluster: Cluster) -> None:
    process = build(core_release, tmp_path / "d", cluster.address)
    assert process.stderr is not None
    alarm = threading.Timer(60, process.kill)
    alarm.start()
    said = process.stderr.readline()
    alarm.cancel()
    assert said == f"{cluster.address}: has no workers; waiting for one (what is finished is kept)\n"
    cluster.add_worker()
    code, _, said = finish(process)
    assert (code, said) == (0, "")


def test_a_piece_that_kills_its_workers_is_one_line(core_release: Path, tmp_path: Path, cluster: Cluster) -> None:
    process = build(core_release, tmp_path / "d", cluster.address, "--conditions", "imagery")
    for _ in range(2):
        cluster.add_worker(DIES_OF_WORK).wait(60)
    code, _, said = finish(process)
    lines = [line for line in said.splitlines() if "has no workers" not in line]
    assert (code, len(lines)) == (1, 1)
    assert "its workers died of the same piece" in lines[0]


def test_a_scheduler_file_that_is_not_there_is_one_line(core_release: Path, tmp_path: Path) -> None:
    code, _, said = finish(build(core_release, tmp_path / "d", str(tmp_path / "none.json")))
    assert (code, said.count("\n")) == (2, 1)
    assert "none.json: no such file" in said


def can_mount() -> bool:
    unshare = shutil.which("unshare")
    return unshare is not None and subprocess.run([unshare, "-rm", "true"], check=False).returncode == 0


def of_other_bytes(release: Path, out: Path) -> tuple[Path, str]:
    """A beta file of the same size, which differs in a byte."""
    path, other = release / f"{expected_betas(VERSION, 'subj01')}.hdf5", out.parent / "other.hdf5"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    other.write_bytes(raw)
    return path, f"--bind {other} {path}"


def without_the_root(release: Path, _: Path) -> tuple[Path, str]:
    return release / f"{expected_betas(VERSION, 'subj01')}.hdf5", f"-t tmpfs none {release}"


def with_another_folder(_: Path, out: Path) -> tuple[Path, str]:
    out.mkdir()
    return out / ".build/mark", f"-t tmpfs none {out}"


@pytest.mark.skipif(not can_mount(), reason="a mount of one process alone needs user namespaces")
@pytest.mark.parametrize(
    ("hide", "what"),
    [
        (of_other_bytes, "sees another file"),
        (without_the_root, "does not see the file"),
        (with_another_folder, "does not see the file"),
    ],
)
def test_a_worker_that_sees_other_files_is_one_line_with_its_host(
    core_release: Path, tmp_path: Path, cluster: Cluster, hide: Callable[[Path, Path], tuple[Path, str]], what: str
) -> None:
    path, mount = hide(core_release, tmp_path / "d")
    cluster.add_worker(mount=mount)
    code, _, said = finish(build(core_release, tmp_path / "d", cluster.address, "--conditions", "imagery"))
    lines = [line for line in said.splitlines() if "has no workers" not in line]
    assert (code, len(lines)) == (1, 1)
    assert lines[0].startswith(f"nsd-imagery: {path}: a worker on {socket.gethostname()} {what} that the build on ")
    assert "at the same places for all workers" in lines[0]


def test_workers_of_another_working_folder_see_what_a_relative_path_means(
    core_release: Path, core_dataset: Path, tmp_path: Path, cluster: Cluster
) -> None:
    cluster.add_worker()
    arguments = ["build", os.path.relpath(core_release, tmp_path), "--out", "d", "--zscore", "none"]
    command = [sys.executable, "-c", COMMAND, *arguments, "--scheduler", cluster.address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "d/manifest.json").read_bytes() == (core_dataset / "manifest.json").read_bytes()


def test_a_cluster_evaluates_to_the_same_bytes(dataset: Path, tmp_path: Path, cluster: Cluster) -> None:
    cluster.add_worker()
    options = ("evaluate", dataset, "--draws", 99, "--no-report")
    code, _, said = finish(start(COMMAND, *options, "--out", tmp_path / "there", "--scheduler", cluster.address))
    assert (code, said) == (0, "")
    nsd_imagery.evaluate(dataset, tmp_path / "here", draws=99, report=False)
    for name in ("scores.parquet", "evaluation.json", "voxels-subj02.parquet"):
        assert (tmp_path / "there" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()
