"""Builds that scale: plans, kept pieces, processes, Dask, and pieces that fail while the others finish."""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import h5py
import pytest

import nsd_imagery
from nsd_imagery.cli.pools import with_executor
from nsd_imagery.dataset.make import FAILURES
from nsd_imagery.dataset.state import BuildState
from nsd_imagery.errors import DataError, FolderError, NSDImageryError, SpaceError, UsageError
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas

pytestmark = pytest.mark.slow

BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")
CORE = expected_nsd_betas("fithrf_GLMdenoise_RR", "subj01")


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def todo(root: Path, out: Path, **options: object) -> list[str]:
    return [piece.key for piece in nsd_imagery.preview(root, out, **options).pieces if piece.todo]


def spawn(workers: int = 2) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, get_context("spawn"))


def touch(path: Path) -> None:
    """The same bytes in another file, as a copy from elsewhere."""
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)


def test_a_preview_says_what_is_to_do_and_writes_nothing(core_release: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    found = nsd_imagery.preview(core_release, out)
    assert [piece.key for piece in found.pieces] == ["subj01/nsdimagery/01", *(f"subj01/nsd/0{n}" for n in (1, 2, 3))]
    sizes = [(core_release / f"{BETAS}.hdf5").stat().st_size, (core_release / f"{CORE}01.hdf5").stat().st_size]
    assert [piece.bytes_in for piece in found.pieces[:2]] == sizes
    n_voxels = nsd_imagery.find_roi(core_release, "subj01", "nsdgeneral").flat.size
    assert [piece.bytes_unpacked for piece in found.pieces[:2]] == [720 * n_voxels * 2, 750 * n_voxels * 2]
    assert not out.parent.exists()
    folder = nsd_imagery.build(core_release, out)
    written = sum(path.stat().st_size for path in folder.rglob("*.arrow") if "voxels" not in str(path))
    assert 0.5 < found.bytes_out / written < 2
    before = files(folder)
    assert nsd_imagery.preview(core_release, out).bytes_out == 0
    assert files(folder) == before


def test_only_what_changed_is_done_again(own_core_release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(own_core_release, tmp_path / "d")
    assert todo(own_core_release, out) == []
    touch(own_core_release / f"{CORE}02.hdf5")
    assert todo(own_core_release, out) == ["subj01/nsd/02"]
    assert len(todo(own_core_release, out, roi=["nsdgeneral", "V1"])) == 4
    assert todo(own_core_release, out, conditions=["perception"]) == ["subj01/nsd/02"]
    responses = own_core_release / "nsddata/ppdata/subj01/behav/responses.tsv"
    text = responses.read_text()
    responses.unlink()
    head, first, *rest = text.splitlines()
    fields = first.split("\t")
    fields[head.split("\t").index("RT")] = "1234.5"
    responses.write_text("\n".join([head, "\t".join(fields), *rest]) + "\n")
    assert todo(own_core_release, out) == ["subj01/nsd/01", "subj01/nsd/02"]
    with pytest.raises(FolderError, match="one folder holds one"):
        nsd_imagery.preview(own_core_release, out, zscore="none", conditions=["imagery"])


def test_a_shard_that_was_touched_is_made_again(release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    before = files(out)
    (shard,) = (out / "subj01-vision").iterdir()
    raw = bytearray(shard.read_bytes())
    raw[-3000] ^= 1
    shard.write_bytes(raw)
    os.utime(shard, ns=(1, 1))
    assert todo(release, out, subjects=["subj01"]) == ["subj01/nsdimagery/01"]
    nsd_imagery.build(release, out, subjects=["subj01"])
    assert files(out) == before


@pytest.mark.parametrize(
    "journal", ['{"shards": [3], "stat"', '{"shards": [3]}', '{"shards": [{"file": 1}]}', "[]", "{}"]
)
def test_a_damaged_journal_is_no_journal(release: Path, tmp_path: Path, journal: str) -> None:
    out = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    before = files(out)
    for path in (out / ".build").glob("*.json"):
        path.write_text(journal)
    assert todo(release, out, subjects=["subj01"]) == ["subj01/nsdimagery/01"]
    nsd_imagery.build(release, out, subjects=["subj01"])
    assert files(out) == before


def test_processes_write_the_same_bytes_as_one(core_release: Path, tmp_path: Path) -> None:
    alone = nsd_imagery.build(core_release, tmp_path / "alone", roi=["nsdgeneral", "V1"])
    with spawn() as executor:
        spread = nsd_imagery.build(core_release, tmp_path / "spread", roi=["nsdgeneral", "V1"], executor=executor)
    assert files(spread) == files(alone)


def test_the_next_session_is_read_before_the_one_before_is_waited_for(core_release: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys, nsd_imagery\n"
        "seen = []\n"
        "def note(event, arguments):\n"
        "    if event == 'open' and 'betas_session' in str(arguments[0]):\n"
        "        seen.append(str(arguments[0])[-7:-5])\n"
        "sys.addaudithook(note)\n"
        "progress = lambda state: seen.append(state.n_done)\n"
        "nsd_imagery.build(*sys.argv[1:], conditions=['perception'], progress=progress)\n"
        "print(json.dumps(seen))"
    )
    arguments = [sys.executable, "-c", code, str(core_release), str(tmp_path / "d")]
    seen = json.loads(subprocess.check_output(arguments, text=True))
    assert seen[seen.index(0) :] == [0, "01", "02", 1, "03", 2, 3]


def test_progress_counts_pieces_and_bytes(core_release: Path, tmp_path: Path) -> None:
    for number, executor in enumerate((None, spawn())):
        said: list[BuildState] = []
        nsd_imagery.build(core_release, tmp_path / str(number), executor=executor, progress=said.append)
        assert [step.n_done for step in said] == [0, 1, 2, 3, 4]
        assert [step.bytes_done for step in said] == sorted(step.bytes_done for step in said)
        assert said[0].bytes_done == 0
        assert said[-1].bytes_done == said[-1].n_bytes > 0
        again: list[BuildState] = []
        nsd_imagery.build(core_release, tmp_path / str(number), executor=executor, progress=again.append)
        assert [(step.n_done, step.n_pieces) for step in again] == [(4, 4)]
        if executor:
            executor.shutdown()


def test_a_long_reading_says_how_far_it_is(core_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsd_imagery.dataset.state.PULSE", 0)  # any reading is a long one
    said: list[BuildState] = []
    nsd_imagery.build(core_release, tmp_path / "d", progress=said.append)
    first = [step for step in said if step.n_done == 0]
    assert len(first) > 2
    assert all(0 < step.bytes_done <= step.n_bytes and step.name for step in first[1:])
    assert [step.bytes_done for step in said] == sorted(step.bytes_done for step in said)
    assert (said[-1].n_done, said[-1].bytes_done) == (4, said[-1].n_bytes)


@pytest.mark.parametrize("spread", [False, True])
def test_the_others_finish_when_a_piece_fails_and_a_rerun_has_only_that_one_to_do(
    own_core_release: Path, tmp_path: Path, spread: bool
) -> None:
    whole = nsd_imagery.build(own_core_release, tmp_path / "whole")
    path = own_core_release / f"{CORE}02.hdf5"
    raw = path.read_bytes()
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", (750, 3, 3, 3), "i2")
    out = tmp_path / "d"
    executor = spawn() if spread else None
    with pytest.raises(DataError, match=r"session02\.hdf5: grid is") as caught:
        nsd_imagery.build(own_core_release, out, executor=executor)
    assert any(note.startswith("subj01/nsd/02 failed; the 3 others are kept") for note in caught.value.__notes__)
    log = (out / ".build" / FAILURES).read_text()
    assert "subj01/nsd/02\n" in log
    assert "Traceback" in log
    assert "check_same" in log
    assert not (out / "README.md").exists()
    path.unlink()
    path.write_bytes(raw)
    assert todo(own_core_release, out) == ["subj01/nsd/02"]
    nsd_imagery.build(own_core_release, out, executor=executor)
    assert files(out) == files(whole)
    if executor:
        executor.shutdown()


def test_a_piece_that_fails_once_is_tried_again(own_core_release: Path, tmp_path: Path) -> None:
    """A file stands where the shards of a piece go, until it has failed once."""
    obstacle = tmp_path / "d" / "subj01-perception"
    (tmp_path / "d" / ".build").mkdir(parents=True)
    (tmp_path / "d" / ".build" / "lock").touch()
    obstacle.write_text("in the way")
    failures: list[str] = []

    class Remover(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            failures.append(record.getMessage())
            obstacle.unlink(missing_ok=True)

    log, remover = logging.getLogger("nsd_imagery.dataset.make"), Remover()
    log.setLevel(logging.INFO)
    log.addHandler(remover)
    seen: list[BuildState] = []
    try:
        nsd_imagery.build(own_core_release, tmp_path / "d", progress=seen.append)
    finally:
        log.removeHandler(remover)
        log.setLevel(logging.NOTSET)
    assert failures[0] == "subj01/nsd/01 failed (try 1 of 2)"
    assert [step.n_done for step in seen] == [0, 1, 2, 3, 4]


def test_too_little_room_is_said_before_anything_is_read(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk of the test is large: the plan is what is made larger."""
    monkeypatch.setattr("nsd_imagery.dataset.preview._ROW_BYTES", 1 << 50)
    with pytest.raises(SpaceError, match=r"the build needs about .* MB, but"):
        nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    assert not list((tmp_path / "d").rglob("*.arrow"))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_worker_is_replaced_once_and_what_was_finished_is_kept(
    release: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tries: list[int] = []

    def work(executor: Executor | None) -> Path:
        assert executor is not None
        tries.append(len(todo(release, tmp_path / "d")))
        if len(tries) == 1:
            nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], executor=executor)
            with contextlib.suppress(BrokenExecutor):
                executor.submit(die).result()
        return nsd_imagery.build(release, tmp_path / "d", executor=executor)

    folder = with_executor(2, None, work)
    assert len(tries) == 2
    assert tries[1] < tries[0]
    assert files(folder) == files(dataset)
    assert "a worker process died; going on with new ones" in capfd.readouterr().err


def finish_late(path: Path) -> None:
    path.with_suffix(".begun").touch()
    time.sleep(10)
    path.with_suffix(".ended").touch()


def test_ctrl_c_waits_for_no_worker(tmp_path: Path) -> None:
    def work(executor: Executor | None) -> None:
        assert executor is not None
        for number in range(2):
            executor.submit(finish_late, tmp_path / str(number))
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_executor(2, None, work)
    assert not list(tmp_path.glob("*.ended"))
    assert not multiprocessing.active_children()


def test_workers_that_keep_dying_end_in_one_line(release: Path, tmp_path: Path) -> None:
    def work(executor: Executor | None) -> None:
        assert executor is not None
        executor.submit(die).result()

    with pytest.raises(NSDImageryError, match="died again"):
        with_executor(2, None, work)
    with spawn() as executor:
        with contextlib.suppress(BrokenExecutor):
            executor.submit(die).result()
        with pytest.raises(BrokenExecutor):
            nsd_imagery.build(release, tmp_path / "d", executor=executor)


def test_workers_and_a_cluster_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        with_executor(2, "tcp://127.0.0.1:1", lambda _: None)


@pytest.mark.filterwarnings("ignore")
def test_a_dask_cluster_writes_the_same_bytes_though_a_worker_dies(core_release: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    alone = nsd_imagery.build(core_release, tmp_path / "alone")
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        spread = with_executor(
            1, address, lambda executor: nsd_imagery.build(core_release, tmp_path / "spread", executor=executor)
        )
        assert files(spread) == files(alone)
        with Client(cluster) as client:
            victim = next(iter(client.run(os.getpid).values()))

        def kill_once(state: BuildState) -> None:
            if state.n_done == 1:
                os.kill(victim, signal.SIGKILL)

        hurt = with_executor(
            1,
            address,
            lambda executor: nsd_imagery.build(core_release, tmp_path / "hurt", executor=executor, progress=kill_once),
        )
        assert files(hurt) == files(alone)


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsd_imagery.cli.cluster._PATIENCE", 0.5)
    with pytest.raises(UsageError, match="no Dask scheduler answers there"):
        with_executor(1, "tcp://127.0.0.1:9", lambda _: None)
