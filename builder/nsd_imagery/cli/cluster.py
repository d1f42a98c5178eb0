"""The workers of a Dask cluster, as long as its scheduler lives."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from nsd_imagery.cli.showing import say
from nsd_imagery.errors import MissingExtraError, NSDImageryError, UsageError, reason
from nsd_imagery.extras import how_to_install
from nsd_imagery.shell import quoted

_Result = TypeVar("_Result")

_PATIENCE = 10
"""Seconds in which a scheduler has to answer, and after which a cluster without workers is worth a line."""


def with_cluster(scheduler: str, work: Callable[[Executor | None], _Result]) -> _Result:
    """Do some work on a cluster, and once more if the connection is lost and the scheduler answers again.

    Where it has no workers the work waits for them: those of a batch system end, and others come hours later.

    Args:
        scheduler: Address of a Dask scheduler, or its file.
        work: Keeps what it had finished.

    Raises:
        UsageError: There is no scheduler.
        MissingExtraError: `distributed` is not installed.
        NSDImageryError: The scheduler is gone, or whatever worker has a certain piece dies.
    """
    client = _connected(scheduler)
    with suppress(BrokenExecutor):
        return _on(client, scheduler, work)
    gone = (
        f"{scheduler}: the Dask scheduler is gone; what is finished is kept: start one and its workers, and run the "
        "same command again"
    )
    try:
        client = _connected(scheduler)
    except UsageError as error:
        raise NSDImageryError(gone) from error
    say(f"{scheduler}: the connection was lost; going on with a new one, what is finished is kept")
    try:
        return _on(client, scheduler, work)
    except BrokenExecutor as error:
        raise NSDImageryError(gone) from error


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        msg = f"--scheduler needs distributed: {how_to_install('dask')}"
        raise MissingExtraError(msg) from error
    # What Dask logs of a lost connection, tracebacks and all, is one line of ours.
    for name in ("asyncio", "distributed", "distributed.client", "tornado", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    is_file = scheduler.endswith(".json")
    if is_file and not Path(scheduler).is_file():  # the client would wait for it
        msg = f"{scheduler}: no such file; dask scheduler --scheduler-file {quoted(scheduler)} writes it"
        raise UsageError(msg)
    try:
        return Client(scheduler_file=scheduler, timeout=_PATIENCE) if is_file else Client(scheduler, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        msg = f"{scheduler}: no Dask scheduler answers there ({reason(error)})"
        raise UsageError(msg) from error


def _on(client: Any, scheduler: str, work: Callable[[Executor | None], _Result]) -> _Result:
    from distributed.scheduler import KilledWorker, NoValidWorkerError

    with client, _saying_when_deserted(client, scheduler):
        try:
            return work(cast(Executor, client.get_executor(pure=False)))
        except (KilledWorker, NoValidWorkerError) as error:
            msg = f"{scheduler}: its workers died of the same piece ({reason(error)}); give them more memory"
            raise NSDImageryError(msg) from error


@contextmanager
def _saying_when_deserted(client: Any, scheduler: str) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        n_alone = 0
        while not over.wait(_PATIENCE / 10):
            with suppress(OSError):
                n_alone = 0 if client.nthreads() else n_alone + 1
            if n_alone == 10:
                say(f"{scheduler}: has no workers; waiting for one (what is finished is kept)")

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
