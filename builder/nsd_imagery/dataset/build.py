"""`build` and `preview`: a plan that is carried out, or shown, at once; what happens then is `plan.Plan.build`."""

import inspect
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, Unpack

from nsd_imagery.dataset.arguments import explained
from nsd_imagery.dataset.make import BuildProgress
from nsd_imagery.dataset.plan import Options, plan
from nsd_imagery.dataset.preview import Preview
from nsd_imagery.notebooks import barred

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _with_options_of_plan(function: _Function) -> _Function:
    """Name the options of `plan` in a signature that only says `**options`, for help() and completion."""
    own = inspect.signature(function)
    named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [one for one in inspect.signature(plan).parameters.values() if one.name not in own.parameters]
    parameters = sorted([*named, *options], key=lambda one: one.kind)
    function.__signature__ = own.replace(parameters=parameters)
    return function


@explained
@barred("pieces")
@_with_options_of_plan
def build(
    root: Path | str | None = None,
    out: Path | str = "nsd_imagery",
    *,
    executor: Executor | None = None,
    progress: BuildProgress | None = None,
    **options: Unpack[Options],
) -> Path:
    """Build the dataset folder, or bring it up to date; configs that are not named stay as they are.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        out: The dataset folder.
        executor: Runs the pieces: a process pool, or that of a Dask client; default: here.
        progress: Called with a `state.BuildState` at the start, after each piece, and, where it is known, several
            times a second of reading.
        **options: Of `plan`: subjects, conditions, roi, zscore, dtype, betas, captions, source, smoothing_fwhm,
            replace.

    Returns:
        The dataset folder.

    Raises:
        UsageError, MissingDataError, DataError, FolderError, BusyError, SpaceError, BrokenExecutor: As `plan` and
            `Plan.build`.
    """
    return plan(root, out, **options).build(executor, progress=progress)


@explained
@_with_options_of_plan
def preview(root: Path | str | None = None, out: Path | str = "nsd_imagery", **options: Unpack[Options]) -> Preview:
    """What `build` with the same arguments would do, without writing anything.

    Raises:
        UsageError, MissingDataError, DataError, FolderError: As `plan` and `Plan.preview`.
    """
    return plan(root, out, **options).preview()
