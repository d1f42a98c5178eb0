"""Processes that die or have too little memory, as a user meets them: our lines on standard error, and no others."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

MB = 1_000_000


def start(*arguments: object, megabytes: int | None = None) -> subprocess.Popen[str]:
    """The command, below a limit of address space."""
    limited = f"ulimit -v {megabytes * MB // 1024};" if megabytes else ""
    command = ["bash", "-c", f'{limited} exec "$@"', "-", sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        said = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    return process.returncode, said


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    with suppress(OSError):  # one ended meanwhile
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def when_started(process: subprocess.Popen[str], _: Path) -> bool:
    return len(workers_of(process)) == 2


def when_a_piece_is_made(_: subprocess.Popen[str], out: Path) -> bool:
    return any((out / ".build").glob("*.json"))


@pytest.mark.parametrize("moment", [when_started, when_a_piece_is_made])
def test_a_parent_that_is_killed_takes_its_workers_along_and_nothing_is_printed(
    core_release: Path, tmp_path: Path, moment: Callable[[subprocess.Popen[str], Path], bool]
) -> None:
    process = start("build", core_release, "--out", tmp_path / "d", "--workers", "2")
    wait_until(lambda: moment(process, tmp_path / "d"))
    process.kill()
    assert finish(process) == (-signal.SIGKILL, "")  # standard error is closed only when the last worker has ended


@pytest.mark.parametrize("megabytes", [200, 300, 400, 600])
@pytest.mark.parametrize("verb", ["build", "workers", "verify", "index"])
def test_an_address_space_too_small_for_a_verb_is_one_line(
    core_release: Path, tmp_path: Path, verb: str, megabytes: int
) -> None:
    arguments = {
        "build": ("build", core_release, "--out", tmp_path / "d"),
        "workers": ("build", core_release, "--out", tmp_path / "d", "--workers", "2"),
        "verify": ("verify", core_release),
        "index": ("index", core_release, "--out", tmp_path / "i"),
    }
    code, said = finish(start(*arguments[verb], megabytes=megabytes))
    assert (code, said.count("\n")) == (1, 1)
    assert said.startswith(f"nsd-imagery: too little memory: ulimit -v allows {megabytes} MB and this needs ")


def test_info_needs_less(core_dataset: Path) -> None:
    code, said = finish(start("info", core_dataset, megabytes=200))
    assert (code, said.count("\n")) == (1, 1)
    assert "too little memory" in said
    assert finish(start("info", core_dataset, megabytes=600)) == (0, "")


def test_memory_that_is_short_in_the_middle_is_one_line(core_release: Path) -> None:
    """The limit comes when the betas are opened; what agreement is measured with takes more than it leaves."""
    code = """
import resource, sys
from nsd_imagery.cli import main
def limit(event, arguments):
    if event == "open" and "betas_session" in str(arguments[0]):
        n_pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (n_pages * resource.getpagesize() + 20_000_000, -1))
sys.addaudithook(limit)
main()
"""
    command = [sys.executable, "-c", code, "verify", str(core_release)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("nsd-imagery: too little memory (Unable to allocate ")
    assert "raise ulimit -v, which allows each process " in done.stderr


def test_workers_that_have_no_room_to_start_are_one_line(core_release: Path, tmp_path: Path) -> None:
    process = start("build", core_release, "--out", tmp_path / "d", "--workers", "2")
    wait_until(lambda: len(workers_of(process)) == 2)
    for worker in workers_of(process):
        resource.prlimit(worker, resource.RLIMIT_AS, (50 * MB, resource.RLIM_INFINITY))
    assert finish(process) == (0, "a worker process died; going on with new ones, what is finished is kept\n")
