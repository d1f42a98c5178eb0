"""Processes that die or have too little memory, as a user meets them: our lines on standard error, and no others."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context, get_start_method
from pathlib import Path

import pytest

from nsd_imagery.dataset.main_guard import _start_method

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


def most_workers(process: subprocess.Popen[str]) -> int:
    """How many workers a command has at once, at most, until it ends."""
    most = 0
    while process.poll() is None:
        most = max(most, len(workers_of(process)))
        time.sleep(0.002)
    assert finish(process) == (0, "")
    return most


def test_no_more_workers_are_started_than_there_are_pieces_to_do(core_release: Path, tmp_path: Path) -> None:
    arguments = ("build", core_release, "--out", tmp_path / "d", "--workers", "64")
    assert most_workers(start(*arguments, "--conditions", "imagery")) == 1
    assert most_workers(start(*arguments)) == 4
    assert most_workers(start(*arguments)) == 0


PROGRAM = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import nsd_imagery
def go():
    with ProcessPoolExecutor(2, get_context("METHOD")) as pool:
        return nsd_imagery.build(*sys.argv[1:], subjects=["subj01"], executor=pool)

"""
COMMAND = "import nsd_imagery.cli\nnsd_imagery.cli.main()\n"
GUARD = 'if __name__ == "__main__":'


def run_as(how: str, code: str, place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program as a file, as a module, from standard input, typed at the prompt, or after -c."""
    (place / "program.py").write_text(code)
    python, given = [sys.executable], list(map(str, arguments))
    command = {
        "file": [*python, "program.py", *given],
        "module": [*python, "-m", "program", *given],
        "stdin": [*python, "-", *given],
        "prompt": [*python, "-i", "-", *given],
        "-c": [*python, "-c", code, *given],
    }[how]
    said = code if how in ("stdin", "prompt") else ""
    return subprocess.run(command, cwd=place, input=said, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize(
    ("how", "end", "words"),
    [
        (
            "file",
            "go()\n",
            "program.py, line 10: worker processes import this file first, and would run this",
        ),
        (
            "file",
            "if len(sys.argv) > 1:\n    try:\n        go()\n    finally:\n        pass\n",
            "program.py, line 12: ",
        ),
        ("module", "print(\n    go())\n", "program.py, line 11: worker processes import this file"),
        ("stdin", f"{GUARD}\n    go()\n", "<stdin>: worker processes import the program that starts them"),
    ],
)
def test_a_program_that_its_workers_would_run_again_is_told_so_once(
    release: Path, tmp_path: Path, method: str, how: str, end: str, words: str
) -> None:
    done = run_as(how, PROGRAM.replace("METHOD", method) + end, tmp_path, release, tmp_path / "d")
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    last = done.stderr.splitlines()[-1]
    assert words in last
    assert last.startswith("nsd_imagery.errors.UsageError: ")
    assert last.endswith(GUARD)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("method", "how", "end"),
    [
        ("spawn", "file", f"{GUARD}\n    go()\n"),
        (
            "spawn",
            "file",
            "from multiprocessing import current_process\nif current_process().name == 'MainProcess':\n    go()\n",
        ),
        ("spawn", "module", f"def main():\n    go()\n{GUARD}\n    main()\n"),
        ("spawn", "-c", "go()\n"),
        ("spawn", "prompt", "go()\n"),
        ("fork", "file", "go()\n"),
        ("fork", "stdin", "go()\n"),
    ],
)
def test_a_program_that_they_would_not_builds(release: Path, tmp_path: Path, method: str, how: str, end: str) -> None:
    done = run_as(how, PROGRAM.replace("METHOD", method) + end, tmp_path, release, tmp_path / "d")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "d/README.md").is_file()


def test_so_is_a_program_that_calls_the_command(release: Path, tmp_path: Path) -> None:
    arguments = ("build", release, "--out", tmp_path / "d", "--workers", "2")
    done = run_as("file", COMMAND, tmp_path, *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        f"nsd-imagery: {tmp_path}/program.py, line 2: worker processes import this file first"
    )
    assert run_as("file", COMMAND, tmp_path, *arguments[:-2]).returncode == 0


def test_how_a_pool_starts_its_processes_is_known_from_it_or_else_from_the_default() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        assert _start_method(pool) == "spawn"
        del pool._mp_context  # as in a version of Python that keeps it elsewhere
        assert _start_method(pool) == get_start_method()
