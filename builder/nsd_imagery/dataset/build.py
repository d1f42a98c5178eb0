"""Builds: plan the pieces, run them, seal the folder.

Nothing that is written before the seal is part of the dataset; what a stopped build had finished, the next one keeps.
"""

import importlib
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nsd_imagery.dataset import journal
from nsd_imagery.dataset.folder import locked, read_manifest, refuse_foreign, seal
from nsd_imagery.dataset.jobs import jobs_of, shard_positions, staying_stats
from nsd_imagery.dataset.make import BuildProgress, make_all
from nsd_imagery.dataset.manifest import describe, merge, start
from nsd_imagery.dataset.pieces import Recipe
from nsd_imagery.dataset.plan import Plan, plan
from nsd_imagery.dataset.preview import Preview, preview_jobs, refuse_full_disk
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.sources.root import find_root
from nsd_imagery.volumes.roi import DEFAULT_ROI


def build(
    root: Path | str | None = None,
    out: Path | str = "nsd_imagery",
    *,
    subjects: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    roi: str | Sequence[str] = DEFAULT_ROI,
    zscore: str = "auto",
    dtype: str = "float32",
    betas: str = BETA_VERSIONS[0],
    captions: Path | str | None = None,
    source: str | None = None,
    smoothing_fwhm: float | None = None,
    executor: Executor | None = None,
    progress: BuildProgress | None = None,
) -> Path:
    """Build the dataset folder, or bring it up to date; configs that are not named stay as they are.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        out: The dataset folder.
        subjects: Default: all whose betas are there.
        conditions: Default: all that the root holds.
        roi: One or more ROI names; see `volumes.roi`. Each makes configs of its own.
        zscore: "auto", "run", "session" or "none".
        dtype: Of `betas`: "float32" or "float16".
        betas: Beta version.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.
        source: "release" or "cache", for a root that holds a subject in both.
        smoothing_fwhm: Smooth each volume, before z-scoring, within the voxels of the brain that have data, with a
            Gaussian of this full width at half maximum, mm. Default: betas as they are.
        executor: Runs the pieces: a process pool, or that of a Dask client; default: here, each read while the one
            before is written.
        progress: Called with a `make.BuildState` at the start and after each piece.

    Returns:
        The dataset folder.

    Raises:
        UsageError: An option that cannot be meant.
        MissingDataError: A file is not there.
        DataError: A file is damaged, or files contradict each other.
        FolderError: The folder holds something else, or would mix data of two recipes.
        BusyError: Another build is writing there.
        SpaceError: The disk has too little room for it.
        BrokenExecutor: A worker of `executor` died; call again with a new one, and what is finished is kept.
    """
    recipe = Recipe(betas, zscore, dtype, smoothing_fwhm)
    todo = _plan(root, out, subjects, conditions, roi, recipe, captions, source)
    with locked(todo.folder):
        old = read_manifest(todo.folder)
        manifest = start(todo, old)
        staying = staying_stats(old, todo.pieces)
        positions = shard_positions(todo.pieces, staying)
        journal.refuse_unsound(todo.folder, staying)
        jobs = jobs_of(todo.pieces, todo.folder, positions)
        finished = [journal.finished(job) for job in jobs]
        refuse_full_disk(preview_jobs(jobs, finished, todo.folder), todo.folder)
        with ThreadPoolExecutor(1) as aside:
            sidecars = aside.submit(_sidecars, todo, old)
            configs = describe(todo, make_all(jobs, finished, executor, progress)) | sidecars.result()
        manifest = merge(manifest, old, configs, journal.relink(todo.folder, staying, positions))
        seal(todo.folder, manifest)
    return todo.folder


def preview(
    root: Path | str | None = None,
    out: Path | str = "nsd_imagery",
    *,
    subjects: Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    roi: str | Sequence[str] = DEFAULT_ROI,
    zscore: str = "auto",
    dtype: str = "float32",
    betas: str = BETA_VERSIONS[0],
    captions: Path | str | None = None,
    source: str | None = None,
    smoothing_fwhm: float | None = None,
) -> Preview:
    """What `build` with the same arguments would do, without writing anything.

    Raises:
        UsageError, MissingDataError, DataError, FolderError: As `build`.
    """
    recipe = Recipe(betas, zscore, dtype, smoothing_fwhm)
    todo = _plan(root, out, subjects, conditions, roi, recipe, captions, source)
    old = read_manifest(todo.folder)
    start(todo, old)
    positions = shard_positions(todo.pieces, staying_stats(old, todo.pieces))
    jobs = jobs_of(todo.pieces, todo.folder, positions)
    return preview_jobs(jobs, [journal.finished(job) for job in jobs], todo.folder)


def _sidecars(todo: Plan, old: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Runs while betas are read, and so do the imports that reading needs none of: pillow, jinja and yaml."""
    from nsd_imagery.dataset.sidecars import write_sidecars

    importlib.import_module("nsd_imagery.dataset.card")
    return write_sidecars(todo, old)


def _plan(root: Path | str | None, out: Path | str, subjects: Sequence[str] | None, conditions: Sequence[str] | None,
          roi: str | Sequence[str], recipe: Recipe, captions: Path | str | None,
          source: str | None) -> Plan:  # fmt: skip
    rois = tuple(dict.fromkeys([roi] if isinstance(roi, str) else roi))
    subjects, conditions = ([names] if isinstance(names, str) else names for names in (subjects, conditions))
    folder = Path(out).expanduser().absolute()
    refuse_foreign(folder)
    return plan(find_root(root), folder, subjects, conditions, rois, recipe, source, captions)
