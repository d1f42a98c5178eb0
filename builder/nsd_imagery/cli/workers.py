"""The pools that the command starts: processes of its own, or the workers of a Dask cluster."""

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TypeVar, cast

import click

from nsd_imagery.errors import MissingExtraError, NSDImageryError, UsageError
from nsd_imagery.lean import without_pandas

_Result = TypeVar("_Result")


def with_executor(workers: int, scheduler: str | None, work: Callable[[Executor | None], _Result]) -> _Result:
    """Do some work with an executor of its own, and once more with a new one if a worker dies.

    Args:
        workers: Processes; with 1 the work is done here.
        scheduler: Address of a Dask scheduler, or its file; instead of processes.
        work: Keeps what it had finished.

    Raises:
        UsageError: Both are named.
        MissingExtraError: `distributed` is not installed.
        NSDImageryError: A worker died twice.
    """
    if scheduler and workers > 1:
        msg = "--workers and --scheduler exclude each other: a cluster has its own number of workers"
        raise UsageError(msg)
    try:
        with _executor(workers, scheduler) as executor:
            return work(executor)
    except BrokenExecutor:
        click.echo("a worker process died; going on with new ones, what is finished is kept", err=True)
    try:
        with _executor(workers, scheduler) as executor:
            return work(executor)
    except BrokenExecutor as error:
        msg = f"a worker process died again ({error}); too little memory? Run again with fewer --workers"
        raise NSDImageryError(msg) from error


@contextmanager
def _executor(workers: int, scheduler: str | None) -> Iterator[Executor | None]:
    if scheduler:
        with _dask(scheduler) as executor:
            yield executor
    elif workers > 1:
        # Spawn: a fork would copy threads of Arrow and HDF5 in whatever state they are.
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)
        try:
            pool.submit(os.getpid)  # starts all of them now, while the parent still plans
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    else:
        yield None


@contextmanager
def _dask(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        msg = "--scheduler needs distributed: pip install 'nsd-imagery[dask]'"
        raise MissingExtraError(msg) from error
    is_file = scheduler.endswith(".json")
    try:
        client = Client(scheduler_file=scheduler) if is_file else Client(scheduler, timeout="10s")
    except (OSError, ValueError) as error:
        msg = f"{scheduler}: no Dask scheduler answers there ({error})"
        raise UsageError(msg) from error
    with client:
        yield cast(Executor, client.get_executor(pure=False))


def _begin_worker() -> None:
    """Ctrl-C is the parent's to handle, and a worker does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()
    without_pandas()
    importlib.import_module("nsd_imagery.dataset.make")


def _follow(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
