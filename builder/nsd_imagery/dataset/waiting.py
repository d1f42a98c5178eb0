"""Waiting for what an executor was given, of whatever kind it is, and noticing when it will never come."""

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, TypeVar

_Result = TypeVar("_Result")

_PULSE = 1
"""Seconds after which an executor that says nothing is looked at."""

_GIVEN_UP = (
    "the executor gave up what it was given: it was shut down, or lost its cluster's scheduler; what is finished is "
    "kept, run again with one that lives"
)


def finished_next(running: Collection[Future[_Result]], executor: Executor) -> set[Future[_Result]]:
    """Those that finish next.

    Raises:
        BrokenExecutor: None will.
    """
    while not (done := wait(running, _PULSE, FIRST_COMPLETED).done):
        refuse_cut_off(executor)
    return done


def error_of(future: Future[Any]) -> BaseException | None:
    """What a task failed with.

    Raises:
        BrokenExecutor: It is its executor that failed.
    """
    try:
        error = future.exception()
    except CancelledError as cancelled:
        raise BrokenExecutor(_GIVEN_UP) from cancelled
    if isinstance(error, BrokenExecutor):
        raise error
    return error


def refuse_cut_off(executor: Executor) -> None:
    """Raise BrokenExecutor if an executor of Dask has lost its scheduler: a result on its way then never comes.

    Dask cancels what is still to run or runs; of what has run it says nothing more.
    """
    client = getattr(executor, "_client", None)
    if client is not None and client.status != "running":
        raise BrokenExecutor(_GIVEN_UP)
