"""Waiting for what an executor was given, of whatever kind it is, and noticing when it will never come."""

from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from typing import Any, TypeVar

from nsd_imagery.progress import PULSE

_Result = TypeVar("_Result")

_GIVEN_UP = (
    "the executor gave up what it was given: it was shut down, or lost its cluster's scheduler; what is finished is "
    "kept, run again with one that lives"
)


def finished_next(
    running: Collection[Future[_Result]], executor: Executor, pulse: Callable[[], None] = lambda: None
) -> set[Future[_Result]]:
    """Those that finish next.

    Args:
        running: What the executor was given.
        executor: Is looked at while it says nothing.
        pulse: Called again and again meanwhile.

    Raises:
        BrokenExecutor: None will.
    """
    while not (done := wait(running, PULSE, FIRST_COMPLETED).done):
        refuse_cut_off(executor)
        pulse()
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
