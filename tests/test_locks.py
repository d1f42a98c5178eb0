"""Locks and syncs where a file system has none: one process works at a time, and what only helps is let go."""

import errno
import fcntl
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import pytest

import nsd_imagery
from folders import files, own
from nsd_imagery import lockfile, locks
from nsd_imagery.atomic import link, sync_folder
from nsd_imagery.dataset.folder import locked
from nsd_imagery.errors import BusyError

NO_LOCKS = ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"]
BETAS = "nsddata_betas/ppdata/subj01/func1pt8mm/nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery.hdf5"
PICTURES = "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5"
TREE = Path(nsd_imagery.__file__).parents[1]

Start = Callable[..., subprocess.Popen[str]]


def refusing(name: str) -> Callable[..., None]:
    """What stands for a function of the system that fails with an error of that name."""
    number = getattr(errno, name)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture(params=NO_LOCKS)
def unlocked_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that answers flock as Lustre, NFS and some shares do."""
    monkeypatch.setattr(fcntl, "flock", refusing(request.param))


@pytest.fixture(scope="session")
def without_flock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which the C library's flock fails, for all that a process loads."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and LD_PRELOAD")
    folder = tmp_path_factory.mktemp("noflock")
    source = folder / "noflock.c"
    source.write_text("#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "noflock.so", source], check=True)
    return {"LD_PRELOAD": str(folder / "noflock.so")}


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python with a script that prints when it is ready and ends when its input does."""
    running: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
        env = {**os.environ, "PYTHONPATH": str(TREE), **variables}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def ready(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


HOLD = """
    import sys
    from pathlib import Path
    from nsd_imagery import lockfile
    assert lockfile.take(Path(sys.argv[1]))
    print("ready", flush=True)
    input()
"""


def build(root: Path, out: Path, **options: Any) -> Path:
    return nsd_imagery.build(root, out, subjects=["subj01"], conditions=["imagery"], **options)


@pytest.mark.usefixtures("unlocked_disk")
def test_a_build_where_there_is_no_flock_is_the_same_and_leaves_no_lock(
    release: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        folder = build(release, tmp_path / "d")
    assert (
        f"{folder}/.build: the file system has no locks (flock); the file lock.held stands for one" in caplog.messages
    )
    assert not list(folder.rglob("*.held*"))
    nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices")
    assert not list(tmp_path.rglob("*.held*"))
    (folder / ".build" / f".partial-{'0' * 16}").write_bytes(b"of a process that was killed")
    assert build(release, folder) == folder
    assert not list(folder.rglob(".partial-*"))


@pytest.mark.usefixtures("unlocked_disk")
def test_a_second_build_where_there_is_no_flock_names_the_first(release: Path, tmp_path: Path) -> None:
    who = f"process {os.getpid()} on {os.uname().nodename}"
    with locked(tmp_path / "d"), pytest.raises(BusyError, match=rf"another build is writing here \({who}\);"):
        build(release, tmp_path / "d")
    assert build(release, tmp_path / "d")


def test_an_error_of_the_disk_is_not_taken_for_one_without_locks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing("EIO"))
    with pytest.raises(OSError, match="Input/output error"), locks.holding(tmp_path / "lock", str):
        pytest.fail("was held")


@pytest.mark.slow
def test_a_command_without_flock_builds_and_its_rows_can_be_filtered(
    release: Path, tmp_path: Path, without_flock: dict[str, str]
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    script = """
        import sys, nsd_imagery
        folder = nsd_imagery.build(sys.argv[1], sys.argv[2], subjects=["subj01"], conditions=["imagery"])
        rows = nsd_imagery.load(folder, "subj01-imagery", "test")
        print(len(rows.filter(lambda cue: cue is not None, input_columns="cue")))
    """
    env = {**os.environ, "PYTHONPATH": str(TREE), "TMPDIR": str(temporary), **without_flock}
    command = [sys.executable, "-c", textwrap.dedent(script), str(release), str(tmp_path / "d")]
    assert subprocess.check_output(command, text=True, env=env, stderr=subprocess.DEVNULL) == "288\n"
    assert files(tmp_path / "d") == files(build(release, tmp_path / "with_flock"))
    assert not list(temporary.glob("nsd-imagery-*"))


@pytest.mark.parametrize("is_reaped", [True, False])
def test_the_lock_file_of_a_process_that_was_killed_is_taken_over(
    start: Start, tmp_path: Path, is_reaped: bool
) -> None:
    path = tmp_path / "lock.held"
    holder = ready(start(HOLD, path))
    assert lockfile.take(path) is None
    os.kill(holder.pid, signal.SIGKILL)
    if is_reaped:
        holder.wait()
    else:
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    mine = lockfile.take(path)
    assert mine is not None
    assert lockfile.holder_of(path) == mine
    lockfile.release(path, mine)
    assert not list(tmp_path.iterdir())


def test_the_lock_file_of_a_number_that_another_process_has_now_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock.held"
    mine = lockfile.take(path)
    assert mine is not None
    path.write_text(json.dumps(asdict(replace(mine, token="0" * 16, started="1"))))
    assert lockfile.take(path) is not None


@pytest.mark.slow
@pytest.mark.usefixtures("unlocked_disk")
@pytest.mark.parametrize("change", [{"host": "node7"}, {"system": "another container"}, None])
def test_a_lock_file_that_nobody_can_judge_is_named_as_what_to_remove(
    release: Path, tmp_path: Path, change: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "d" / ".build" / "lock.held"
    with locked(tmp_path / "d"):
        mine = lockfile.holder_of(path)
    assert mine is not None
    text = "" if change is None else json.dumps(asdict(replace(mine, process=2**22 + 1, **change)))
    path.write_text(text)
    with pytest.raises(BusyError, match=rf"if it runs no more, remove {path}\)") as caught:
        build(release, tmp_path / "d")
    assert change is None or f"process {2**22 + 1} on {change.get('host', mine.host)}" in str(caught.value)
    assert path.read_text() == text
    other = tmp_path / "indices" / ".lock.held"
    other.parent.mkdir()
    other.write_text(text)
    monkeypatch.setattr(locks, "_PATIENCE", 0.0)
    with pytest.raises(BusyError, match=f"if it runs no more, remove {other}"):
        nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices")
    path.unlink()
    assert build(release, tmp_path / "d")


RACE = """
    import json, os, random, secrets, sys, time
    from dataclasses import asdict, replace
    from pathlib import Path
    from nsd_imagery import lockfile

    path, inside, unlink = Path(sys.argv[1]), Path(sys.argv[2]), os.unlink

    def unlink_on_a_slow_disk(file, **options):
        time.sleep(random.random() / 200)
        unlink(file, **options)

    os.unlink = unlink_on_a_slow_disk

    def die_with(file, mine):
        # What this process leaves if it dies now, as another of the same number.
        dead = replace(mine, token=secrets.token_hex(8), started="1")
        partial = path.with_name(secrets.token_hex(8))
        partial.write_text(json.dumps(asdict(dead)))
        partial.replace(file)
        return dead

    print("ready", flush=True)
    input()
    n_held = 0
    while n_held < 25:
        mine = lockfile.take(path)
        if mine is None:
            continue
        inside.mkdir()  # fails where two are
        n_held += 1
        inside.rmdir()
        dead = die_with(path, mine)
        if n_held % 3 == 0:  # and then another, that was about to take over
            die_with(path.with_name(f"{path.name}.{dead.token}"), mine)
    print(n_held, flush=True)
"""


@pytest.mark.slow
def test_of_many_processes_that_take_over_a_dead_one_only_one_does(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    folder.mkdir()
    racers = [ready(start(RACE, folder / "lock.held", tmp_path / "inside")) for _ in range(8)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    assert [racer.communicate()[0] for racer in racers] == ["25\n"] * 8
    mine = lockfile.take(folder / "lock.held")
    assert mine is not None
    lockfile.release(folder / "lock.held", mine)
    assert not list(folder.iterdir())


WAIT = """
    import fcntl, sys
    from pathlib import Path
    from nsd_imagery import locks

    def flock(*_):
        raise OSError(37, "No locks available")

    fcntl.flock = flock
    print("ready", flush=True)
    input()
    counter = Path(sys.argv[1]) / "counter"
    for _ in range(10):
        with locks.waiting(Path(sys.argv[1]) / ".lock"):
            counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_short_work_without_flock_is_done_one_after_the_other(start: Start, tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    workers = [ready(start(WAIT, tmp_path)) for _ in range(4)]
    for worker in workers:
        worker.communicate("\n")
    assert (tmp_path / "counter").read_text() == "40"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "counter"]


def test_a_fork_leaves_the_lock_file_of_its_parent(start: Start, tmp_path: Path) -> None:
    script = """
        import os, sys
        from pathlib import Path
        from nsd_imagery import lockfile
        path = Path(sys.argv[1])
        with lockfile.taking(path) as mine:
            child = os.fork()
            if child:
                os.waitpid(child, 0)
                assert lockfile.holder_of(path) == mine
        print("ready" if child and not path.exists() else "", flush=True)
    """
    process = start(script, tmp_path / "lock.held")
    assert process.communicate()[0].split() == ["ready"]


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "EBADF"])
def test_a_folder_that_cannot_be_synced_stops_nothing(
    release: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    refuse_folders(monkeypatch, getattr(errno, name))
    folder = nsd_imagery.build(release, tmp_path / "d")
    assert files(folder) == files(dataset)
    nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices")


def test_a_disk_that_fails_to_sync_a_folder_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_folders(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match=f"Input/output error: '{tmp_path}'"):
        sync_folder(tmp_path)


def refuse_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let fsync of a folder fail; files can be synced."""
    fsync = os.fsync

    def sync(handle: int) -> None:
        if os.path.isdir(f"/dev/fd/{handle}"):  # noqa: PTH112
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.parametrize("name", ["EPERM", "EOPNOTSUPP"])
def test_where_a_file_can_have_only_one_name_its_second_is_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(os, "link", refusing(name))
    (tmp_path / "old").write_bytes(b"rows")
    link(tmp_path / "old", tmp_path / "new", tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old": b"rows", "new": b"rows"}


OPEN = """
    import sys, h5py
    files = [h5py.File(path, "r+", libver=sys.argv[1]) for path in sys.argv[2:]]
    print("ready", flush=True)
    input()
"""


@pytest.mark.slow
@pytest.mark.parametrize("variable", [None, "TRUE", "BEST_EFFORT", "1"])
def test_hdf5_that_a_notebook_has_open_for_writing_is_read_whatever_the_environment_says_of_locks(
    start: Start, core_release: Path, tmp_path: Path, variable: str | None
) -> None:
    root = Path(shutil.copytree(core_release, tmp_path / "root"))
    ready(start(OPEN, "earliest", root / BETAS, root / PICTURES))
    env = {**os.environ, "PYTHONPATH": str(TREE)} | ({} if variable is None else {"HDF5_USE_FILE_LOCKING": variable})
    command = [sys.executable, "-m", "nsd_imagery", "build", str(root), "--out", str(tmp_path / "d")]
    subprocess.run([*command, "--conditions", "imagery"], check=True, env=env, capture_output=True)
    expected = build(core_release, tmp_path / "expected")
    assert files(tmp_path / "d") == files(expected)
    command = [sys.executable, "-m", "nsd_imagery", "verify", str(root)]
    assert subprocess.run(command, check=False, env=env, capture_output=True).returncode == 0


@pytest.mark.parametrize("mode", ["r", "r+"])
def test_hdf5_that_this_process_has_open_itself_is_read(
    own_core_release: Path, core_release: Path, tmp_path: Path, mode: str
) -> None:
    path = own_core_release / BETAS
    copy = shutil.copy(path, tmp_path / "copy")
    path.unlink()
    shutil.move(copy, path)
    with h5py.File(path, mode):
        folder = build(own_core_release, tmp_path / "d")
    assert files(folder) == files(build(core_release, tmp_path / "expected"))


def test_hdf5_whose_writer_was_killed_is_read(start: Start, core_release: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(core_release, tmp_path / "root", copy_function=os.link))
    (root / BETAS).unlink()
    with h5py.File(core_release / BETAS) as old, h5py.File(root / BETAS, "w", libver="latest") as new:
        old.copy("betas", new)  # in a form that keeps a mark of being written to
    writer = ready(start(OPEN, "latest", root / BETAS))
    writer.kill()
    writer.wait()
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(root / BETAS)
    folder = build(root, tmp_path / "d")
    shard = "subj01-imagery/*.arrow"
    assert [p.name for p in folder.glob(shard)] == [p.name for p in build(core_release, tmp_path / "e").glob(shard)]


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["TRUE", "BEST_EFFORT"])
def test_synth_writes_the_same_whatever_the_environment_says_of_locks(
    core_release: Path, tmp_path: Path, variable: str
) -> None:
    env = {**os.environ, "PYTHONPATH": str(TREE), "HDF5_USE_FILE_LOCKING": variable}
    command = [sys.executable, "-m", "nsd_imagery", "synth", str(tmp_path / "root"), "--format", "hdf5"]
    subprocess.run([*command, "--perception-sessions", "1"], check=True, env=env, capture_output=True)
    for name in (BETAS, PICTURES):
        assert (tmp_path / "root" / name).read_bytes() == (core_release / name).read_bytes()


def test_a_dataset_on_a_disk_without_locks_is_rebuilt_as_on_any(
    release: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(dataset, tmp_path / "d")
    monkeypatch.setattr(fcntl, "flock", refusing("ENOLCK"))
    monkeypatch.setattr(os, "link", refusing("EPERM"))
    refuse_folders(monkeypatch, errno.EINVAL)
    assert files(nsd_imagery.build(release, folder)) == files(dataset)
