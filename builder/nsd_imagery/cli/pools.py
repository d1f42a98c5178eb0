"""The pools that the command starts: processes of its own, or the workers of a Dask cluster."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TypeVar, cast

import click

from nsd_imagery.cli import interrupts
from nsd_imagery.cli.worker import begin
from nsd_imagery.errors import MissingExtraError, NSDImageryError, UsageError

_Result = TypeVar("_Result")

_PATIENCE = 10
"""Seconds in which a scheduler has to answer."""


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
        with ExitStack() as stack:
            resource_tracker.ensure_running()  # where it starts, it lets Ctrl-C through again
            with interrupts.held_back():  # a terminal sends Ctrl-C to all processes; it is the parent's
                # Spawn: a fork would copy threads of Arrow and HDF5 in whatever state they are.
                pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=begin)
                stack.callback(pool.shutdown, wait=True, cancel_futures=True)
                stack.push(_kill_if_interrupted)
                for _ in range(workers):  # a pool starts a worker a task; this one is to start while the parent plans
                    pool.submit(os.getpid)
            yield pool
    else:
        yield None


def _kill_if_interrupted(kind: type[BaseException] | None, *_: object) -> None:
    if kind is KeyboardInterrupt:
        for worker in multiprocessing.active_children():  # they finish nothing that a rerun would not make again
            worker.kill()


@contextmanager
def _dask(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        msg = "--scheduler needs distributed: pip install 'nsd-imagery[dask]'"
        raise MissingExtraError(msg) from error
    is_file = scheduler.endswith(".json")
    try:
        client = Client(scheduler_file=scheduler) if is_file else Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        msg = f"{scheduler}: no Dask scheduler answers there ({error})"
        raise UsageError(msg) from error
    with client:
        yield cast(Executor, client.get_executor(pure=False))
