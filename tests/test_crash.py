"""Killed at any moment, a build leaves the old dataset or the new one, and a rerun ends as if undisturbed.

Every event on the disk is what crash/run.py kills at; here are a sample of it, and what only the command shows.
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import nsd_imagery
from folders import files
from nsd_imagery.dataset.folder import read_manifest

pytestmark = pytest.mark.slow

CRASH = Path(__file__).parent / "crash" / "run.py"
KILLS = 3
SUBJECTS = ("subj01", "subj02")


def crash(*arguments: object) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which forks those that die: pytest's has threads."""
    command = [sys.executable, CRASH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where crash/run.py keeps its synthetic releases."""
    return tmp_path_factory.mktemp("roots")


@pytest.mark.parametrize(
    ("kind", "every"),
    [("first", 5), ("rebuild", 6), ("conditions", 6), ("session", 6), ("undo", 3), ("wider", 8), ("workers", 6)],
)
def test_a_build_that_dies_at_an_event_on_the_disk_leaves_the_old_dataset_or_the_new_one(
    roots: Path, kind: str, every: int
) -> None:
    """And a build that dies behind it; of the workers, also where one of them dies."""
    done = crash("--kind", kind, "--every", every, "--roots", roots)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{kind}: ")


def test_a_build_is_on_the_disk_before_the_card_names_it(roots: Path) -> None:
    """Contents before their name, names before the card, and the card before what it does without is removed."""
    done = crash("--kind", "rebuild", "--kind", "conditions", "--deaths", "none", "--roots", roots)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_a_killed_push_or_pull_leaves_the_old_dataset_or_the_new_one(roots: Path, verb: str) -> None:
    done = crash("--kind", verb, "--kills", 2, "--roots", roots)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{verb}: 2 kills")


@pytest.fixture(scope="module")
def old_and_new(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Roots of two seeds, and the undisturbed folder of each."""
    made = {}
    for seed, name in enumerate(("old", "new")):
        folder = tmp_path_factory.mktemp(name)
        root = nsd_imagery.synth(folder / "root", subjects=SUBJECTS, seed=seed, format="hdf5")
        made[name] = root, nsd_imagery.build(root, folder / "nsd_imagery")
    return made


def command(root: Path, out: Path, workers: int) -> list[str]:
    return [sys.executable, "-m", "nsd_imagery", "build", str(root), "--out", str(out), "--workers", str(workers)]


def opened(folder: Path, cache: Path) -> bytes:
    """The README of a folder, all of whose shards are those that it names and open by both ways."""
    manifest = read_manifest(folder)
    assert manifest is not None
    readme = (folder / "README.md").read_bytes()
    for config in manifest.configs.values():
        for shard in config.shards:
            assert hashlib.sha256((folder / shard.file).read_bytes()).hexdigest() == shard.sha256
    by_datasets = load_dataset(str(folder), "subj02-imagery", split="test", cache_dir=str(cache))
    assert by_datasets.num_rows == nsd_imagery.load(folder, "subj02-imagery", "test").num_rows == 288
    return readme


def kill_at(moment: float, arguments: list[str]) -> bool:
    """Start a build, kill it after some seconds; False if it had ended by then."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    ended = process.poll() is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return not ended


def test_the_command_killed_at_any_moment_leaves_the_old_dataset_or_the_new_one(
    old_and_new: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    (_, old), (root, whole) = old_and_new["old"], old_and_new["new"]
    start = time.perf_counter()
    subprocess.run(command(root, tmp_path / "timed", 2), check=True, capture_output=True)
    seconds = time.perf_counter() - start
    moments = random.Random(0)
    n_killed = 0
    while n_killed < KILLS:
        out = tmp_path / f"killed{n_killed}" / "nsd_imagery"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        if not kill_at(moments.uniform(0.2, 1) * seconds, command(root, out, 2)):
            continue
        n_killed += 1
        assert opened(out, tmp_path / "hf_cache") in [(one / "README.md").read_bytes() for one in (old, whole)]
        subprocess.run(command(root, out, 2), check=True, capture_output=True)
        assert files(out) == files(whole)
        assert not list(out.rglob(".partial-*"))


@pytest.mark.parametrize("rename", [1, 4, 5, *range(11, 19)])
def test_a_write_that_fails_leaves_the_old_dataset_or_the_new_one(
    old_and_new: dict[str, tuple[Path, Path]], tmp_path: Path, rename: int
) -> None:
    """Every way to the disk ends in a rename: the n-th one fails as on a full disk."""
    (_, old), (root, whole) = old_and_new["old"], old_and_new["new"]
    out = Path(shutil.copytree(old, tmp_path / "nsd_imagery"))
    failing = (
        "import errno, sys\n"
        "left = [int(sys.argv.pop(1))]\n"
        "def fail(event, arguments):\n"
        "    if event == 'os.rename':\n"
        "        left[0] -= 1\n"
        "        if left[0] in (0, -1):\n"
        "            raise OSError(errno.ENOSPC, 'No space left on device', str(arguments[1]))\n"
        "sys.addaudithook(fail)\n"
        "from nsd_imagery.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", failing, str(rename), "build", str(root), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr
    if result.returncode:
        assert "No space left on device; free some room and run again" in result.stderr
    readme = (out / "README.md").read_bytes()
    assert readme in ((old / "README.md").read_bytes(), (whole / "README.md").read_bytes())
    shown = load_dataset(str(out), "subj01-vision", split="test", cache_dir=str(tmp_path / "hf"))
    source = old if readme == (old / "README.md").read_bytes() else whole
    expected = nsd_imagery.load(source, "subj01-vision", "test")
    np.testing.assert_array_equal(shown.with_format("numpy")[:]["betas"], expected.with_format("numpy")[:]["betas"])
    nsd_imagery.build(root, out)
    assert files(out) == files(whole)


def test_workers_do_not_outlive_a_killed_build(old_and_new: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    root, _ = old_and_new["new"]
    process = subprocess.Popen(command(root, tmp_path / "d", 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: set[int] = set()
    deadline = time.monotonic() + 20
    while len(children) < 2 and process.poll() is None and time.monotonic() < deadline:
        children |= {int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()}
    process.kill()
    process.wait()
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_ctrl_c_in_a_terminal_is_one_line_whatever_workers_are_at(
    old_and_new: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """A terminal sends it to all processes; here as soon as the first one is there, and while workers import."""
    interruptible = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "from nsd_imagery.cli import main; main()"
    )
    root, _ = old_and_new["new"]
    for moment in (0, 0.05, 0.2):
        arguments = [sys.executable, "-c", interruptible, *command(root, tmp_path / "d", 2)[3:]]
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and not children.read_text():
            time.sleep(0.002)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert said.strip().splitlines() == ["stopped; nothing is broken, run the same command again to go on"]
