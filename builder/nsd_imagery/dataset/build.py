"""Builds: plan the pieces, run them, seal the folder.

Nothing that is written before the seal is part of the dataset; what a stopped build had finished, the next one keeps.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from nsd_imagery.dataset import journal
from nsd_imagery.dataset.folder import locked, read_manifest, seal
from nsd_imagery.dataset.journal import Made, relink
from nsd_imagery.dataset.manifest import describe, merge, start
from nsd_imagery.dataset.pieces import Recipe, parts, read_piece, source_id
from nsd_imagery.dataset.places import Job, positions, staying_stats
from nsd_imagery.dataset.plan import plan
from nsd_imagery.dataset.shards import write_shard
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.trials import find_root
from nsd_imagery.volumes.roi import DEFAULT_ROI

Progress = Callable[[int, int, str], None]


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
    progress: Progress | None = None,
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
        executor: Runs the pieces; default: here, one after the other.
        progress: Called with pieces done, pieces in all, and the name of the last one.

    Returns:
        The dataset folder.

    Raises:
        UsageError: An option that cannot be meant.
        MissingDataError: A file is not there.
        DataError: A file is damaged, or files contradict each other.
        FolderError: The folder holds something else, or would mix data of two recipes.
        BusyError: Another build is writing there.
    """
    rois = tuple(dict.fromkeys([roi] if isinstance(roi, str) else roi))
    recipe = Recipe(betas, zscore, dtype, smoothing_fwhm)
    folder = Path(out).expanduser().absolute()
    todo = plan(find_root(root), folder, subjects, conditions, rois, recipe, source, captions)
    with locked(todo.folder):
        old = read_manifest(todo.folder)
        manifest = start(todo, old)
        staying = staying_stats(old, todo.pieces)
        places = positions(todo.pieces, staying)
        jobs = [Job(piece, todo.folder, places[piece.key]) for piece in todo.pieces]
        configs = describe(todo, list(_run(jobs, executor, progress)), old)
        manifest = merge(manifest, old, configs, relink(todo.folder, staying, places))
        seal(todo.folder, manifest)
    return todo.folder


def make(job: Job) -> list[Made]:
    """Read the beta file of a job once, and write and journal the shards of its ROIs."""
    piece = job.piece
    betas = read_piece(piece)
    made = []
    for roi in piece.rois:
        shards = tuple(
            write_shard(
                job.folder,
                part.config,
                part.split,
                job.positions[part.config, part.split],
                part.schema,
                part.batches,
            )
            for part in parts(piece, betas, roi)
        )
        made.append(Made(piece.key, roi.name, source_id(betas, piece, roi), shards))
        journal.write(job, roi, made[-1])
    return made


def _run(jobs: Sequence[Job], executor: Executor | None, progress: Progress | None) -> Iterator[Made]:
    """The shards of all pieces, kept or made, in the order of the jobs."""
    total = len(jobs)
    pending = []
    for job in jobs:
        kept = {roi.name: journal.kept(job, roi) for roi in job.piece.rois}
        left = tuple(roi for roi in job.piece.rois if kept[roi.name] is None)
        rest = replace(job, piece=replace(job.piece, rois=left))
        future = executor.submit(make, rest) if executor and left else None
        pending.append((job, rest, kept, future))
    for done, (job, rest, kept, future) in enumerate(pending):
        if progress:
            progress(done, total, job.piece.key)
        fresh = future.result() if future else make(rest) if rest.piece.rois else []
        by_roi = {**{name: made for name, made in kept.items() if made}, **{made.roi: made for made in fresh}}
        yield from (by_roi[roi.name] for roi in job.piece.rois)
    if progress:
        progress(total, total, "")
