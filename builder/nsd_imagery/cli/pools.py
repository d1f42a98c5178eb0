"""The pools that the command starts: processes of its own, or the workers of a Dask cluster."""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import IO, Any, TypeVar

from nsd_imagery.cli import interrupts, memory
from nsd_imagery.cli.cluster import with_cluster
from nsd_imagery.cli.showing import say, still
from nsd_imagery.cli.worker import begin
from nsd_imagery.errors import NSDImageryError, UsageError, shown
from nsd_imagery.progress import MOST_TASKS

_Result = TypeVar("_Result")


def with_executor(workers: int, scheduler: str | None, work: Callable[[Executor | None], _Result]) -> _Result:
    """Do some work with an executor of its own, and once more with a new one if that breaks.

    Args:
        workers: Processes, of which no more are started than there are tasks; with 1 the work is done here.
        scheduler: Address of a Dask scheduler, or its file; instead of processes.
        work: Keeps what it had finished.

    Raises:
        UsageError: Both are named, there is no scheduler, or the processes would run the calling program again.
        MissingExtraError: `distributed` is not installed.
        NSDImageryError: A worker died twice, or the scheduler is gone.
    """
    if scheduler and workers > 1:
        msg = "--workers and --scheduler exclude each other: a cluster has its own number of workers"
        raise UsageError(msg)
    if scheduler:
        return with_cluster(scheduler, work)
    return _with_processes(workers, work) if workers > 1 else work(None)


def _with_processes(workers: int, work: Callable[[Executor | None], _Result]) -> _Result:
    with tempfile.TemporaryFile() as said:
        try:
            with _processes(workers, said) as executor:
                return work(executor)
        except BrokenExecutor:
            say("a worker process died; going on with new ones, what is finished is kept")
        try:
            with _processes(workers, said) as executor:
                return work(executor)
        except BrokenExecutor as error:
            msg = f"a worker process died again ({_last_line(said) or error}); too little memory? {memory.advice()}"
            raise NSDImageryError(msg) from error


@contextmanager
def _processes(workers: int, said: IO[bytes]) -> Iterator[Executor]:
    with ExitStack() as stack:
        with interrupts.held_back(), _stderr_to(said):
            resource_tracker.ensure_running()
            pool = _Processes(workers, said)
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            stack.push(_kill_if_interrupted)
        yield pool


class _Processes(ProcessPoolExecutor):
    """A pool whose processes are spawned as tasks come, one a task at most, and say nothing to the user.

    By spawn: a fork would copy threads of Arrow and HDF5 in whatever state they are, and start all of them at once.

    Attributes:
        shares: How much of each task is done, by its number: memory that the processes write, and wait for nobody.
    """

    def __init__(self, workers: int, said: IO[bytes]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.shares = spawn.RawArray("d", MOST_TASKS)
        super().__init__(workers, spawn, initializer=begin, initargs=(self.shares,))
        self._said = said

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        # A terminal sends Ctrl-C to all processes; it is the parent's.
        with interrupts.held_back(), _stderr_to(self._said):
            return super().submit(fn, *args, **kwargs)


@contextmanager
def _stderr_to(file: IO[bytes]) -> Iterator[None]:
    """What is started in the block has this file for standard error: what a process says when it dies is not for users.

    Dying is loud: tracebacks of multiprocessing, the resource tracker's list of leaks, OpenBLAS and the C library.
    """
    with still():
        sys.stderr.flush()
        ours = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(ours, 2)
            os.close(ours)


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    return next((shown(line.strip()) for line in reversed(lines) if line.strip()), "")


def _kill_if_interrupted(kind: type[BaseException] | None, *_: object) -> None:
    if kind is KeyboardInterrupt:
        for worker in multiprocessing.active_children():  # they finish nothing that a rerun would not make again
            worker.kill()
