"""What a build would do, and doing it: from the options of a user to a plan, and from that to the dataset folder.

The folder is safe at every moment: what a build writes is not part of the dataset before its last two renames, of
`manifest.json` and README.md; and whatever a build that was stopped has finished, the next one keeps.
"""

import importlib
import inspect
import logging
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsd_imagery.dataset import begun, journal
from nsd_imagery.dataset.arguments import explained
from nsd_imagery.dataset.find import find_pieces
from nsd_imagery.dataset.folder import locked, read_manifest, refuse_foreign, seal
from nsd_imagery.dataset.held import refuse_lacking_rois
from nsd_imagery.dataset.jobs import jobs_of, shard_positions, staying_stats
from nsd_imagery.dataset.main_guard import refuse_unguarded_main
from nsd_imagery.dataset.make import make_all
from nsd_imagery.dataset.manifest import Config, Manifest
from nsd_imagery.dataset.merge import describe, merge, renewal, start
from nsd_imagery.dataset.names import config_name
from nsd_imagery.dataset.pieces import Piece
from nsd_imagery.dataset.preview import Preview, bytes_to_write, preview_jobs, refuse_full_disk
from nsd_imagery.dataset.reading import refuse_other_units
from nsd_imagery.dataset.recipe import Recipe, RecipeOptions
from nsd_imagery.dataset.state import BuildProgress
from nsd_imagery.experiment import BETA_VERSIONS, SYNTHETIC_MARKER
from nsd_imagery.links import is_there
from nsd_imagery.markup import Shown, some
from nsd_imagery.notebooks import barred
from nsd_imagery.sources.root import find_root
from nsd_imagery.spelling import Subjects, words_of
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import DEFAULT_ROI, is_path

logger = logging.getLogger(__name__)


class Options(RecipeOptions, total=False):
    """The options of `plan`."""

    subjects: Subjects | None
    conditions: Sequence[str] | None
    roi: str | Sequence[str]
    captions: Path | str | None
    source: str | None
    replace: bool


@dataclass(frozen=True, eq=False, repr=False)
class Plan(Shown):
    """A build that has not begun: what it is made of is found and proven, and no beta is read.

    Attributes:
        root: Where the data is.
        folder: The dataset folder.
        recipe: The options that decide the numbers.
        pieces: In order, each with all its ROIs.
        maps: By subject.
        synthetic: Whether `synth` wrote the root.
        replacing: Whether configs may take the place of those of another recipe.
        command: The line that asks for the same.
    """

    root: Path
    folder: Path
    recipe: Recipe
    pieces: tuple[Piece, ...]
    maps: dict[str, Maps]
    synthetic: bool
    replacing: bool = False
    command: str = ""

    def _said(self) -> dict[str, object]:
        return {
            "root": self.root,
            "folder": self.folder,
            "pieces": len(self.pieces),
            "configs": some(self.configs),
            "recipe": ", ".join(f"{name} {value}" for name, value in self.recipe.options.items() if value is not None),
            "synthetic": "yes" if self.synthetic else "",
        }

    @property
    def configs(self) -> list[str]:
        """The configs of trials that it makes, in the order of its pieces."""
        names = (
            config_name(piece.session.subject, condition, roi.name)
            for piece in self.pieces
            for roi in piece.rois
            for condition in piece.conditions
        )
        return list(dict.fromkeys(names))

    def preview(self) -> Preview:
        """What `build` would read, keep and write, after a look at a few betas of each file; nothing is written.

        Raises:
            DataError: The manifest of the folder is damaged, or a beta file is, or is not percent signal change.
            FolderError: The folder would mix data of two recipes, or holds the same configs by another one.
        """
        old = read_manifest(self.folder)
        self._start(old)
        positions = shard_positions(self.pieces, staying_stats(old, self.pieces))
        jobs = jobs_of(self.pieces, self.folder, positions)
        found = preview_jobs(jobs, [journal.finished(job) for job in jobs], self.folder, renewal(old))
        for piece, state in zip(self.pieces, found.pieces, strict=True):
            if state.todo:
                refuse_other_units(piece)
        return found

    @explained
    @barred("pieces")
    def build(self, executor: Executor | None = None, *, progress: BuildProgress | None = None) -> Path:
        """Build the dataset folder, or bring it up to date; configs that are not planned stay as they are.

        Args:
            executor: Runs the pieces: a process pool, or that of a Dask client; default: here, each read while the one
                before is written.
            progress: Called with a `state.BuildState` at the start, after each piece, and, where it is known, several
                times a second of reading.

        Returns:
            The dataset folder.

        Raises:
            UsageError: `executor` starts processes that would run the calling program again.
            MissingDataError, DataError: A file is gone or damaged, or a worker sees another one.
            FolderError: The folder holds something else, would mix data of two recipes, or holds the same configs by
                another one.
            BusyError: Another build is writing there.
            SpaceError: The disk has too little room for it.
            BrokenExecutor: A worker of `executor` died; call again with a new one, and what is finished is kept.
        """
        refuse_unguarded_main(executor)
        with locked(self.folder):
            old = read_manifest(self.folder)
            manifest = self._start(old)
            for sentence in renewal(old):
                logger.warning("%s: %s", self.folder, sentence)
            staying = staying_stats(old, self.pieces)
            positions = shard_positions(self.pieces, staying)
            journal.refuse_unsound(self.folder, staying)
            jobs = jobs_of(self.pieces, self.folder, positions)
            finished = [journal.finished(job) for job in jobs]
            n_bytes = bytes_to_write(jobs, finished)
            refuse_full_disk(self.folder, n_bytes, "the build", "build fewer subjects, conditions or ROIs")
            begun.note(self.folder, self.command, jobs)
            with ThreadPoolExecutor(1) as aside:
                sidecars = aside.submit(_sidecars, self, old)
                configs = describe(self.pieces, make_all(jobs, finished, executor, progress)) | sidecars.result()
            manifest = merge(manifest, old, configs, journal.relink(self.folder, staying, positions))
            seal(self.folder, manifest)
            begun.forget(self.folder)
        return self.folder

    def _start(self, old: Manifest | None) -> Manifest:
        refuse_lacking_rois(self.pieces)
        return start(self.pieces, self.recipe, old, synthetic=self.synthetic, replacing=self.replacing)


@explained
def plan(
    root: Path | str | None = None,
    out: Path | str = "nsd_imagery",
    *,
    subjects: Subjects | None = None,
    conditions: Sequence[str] | None = None,
    roi: str | Sequence[str] = DEFAULT_ROI,
    zscore: str = "auto",
    dtype: str = "float32",
    betas: str = BETA_VERSIONS[0],
    captions: Path | str | None = None,
    source: str | None = None,
    smoothing_fwhm: float | None = None,
    replace: bool = False,
) -> Plan:
    """Find out what to build, without reading a beta or writing a file.

    Args:
        root: Folder with the release tree or the Guide's cache tree; default $NSD_CACHE_ROOT, else ./cache.
        out: The dataset folder.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas; default: all whose
            betas are there.
        conditions: Default: all that the root holds.
        roi: One or more ROI names; see `volumes.roi`. Each makes configs of its own.
        zscore: "auto", "run", "session" or "none".
        dtype: Of `betas`: "float32" or "float16".
        betas: Beta version.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.
        source: "release" or "cache", for a root that holds a subject in both.
        smoothing_fwhm: Smooth each volume, before z-scoring, within the voxels of the brain that have data, with a
            Gaussian of this full width at half maximum, mm. Default: betas as they are.
        replace: Let configs that `out` has by another recipe (betas, z-scores, smoothing, dtype) be replaced; else that
            is refused.

    Returns:
        The plan; `preview()` says what it would do, and `build()` does it.

    Raises:
        UsageError: An option that cannot be meant.
        MissingDataError: A file is not there.
        DataError: A file is damaged, or files contradict each other.
        FolderError: `out` holds something else.
    """
    recipe = Recipe(betas, zscore, dtype, smoothing_fwhm)
    rois = tuple(dict.fromkeys(words_of("roi", roi)))
    folder = Path(out).expanduser().absolute()
    refuse_foreign(folder)
    source_root = find_root(root, betas, source)
    found = find_pieces(source_root, recipe, subjects, conditions, rois, captions)
    synthetic = is_there(source_root.path / SYNTHETIC_MARKER)
    options = _said(subjects=subjects, conditions=conditions, roi=rois, zscore=zscore, dtype=dtype, betas=betas,
                    captions=captions, source=source, smoothing_fwhm=smoothing_fwhm, replace=replace)  # fmt: skip
    command = begun.command_of(source_root.path, folder, options)
    return Plan(source_root.path, folder, recipe, found.pieces, found.maps, synthetic, replace, command)


def _said(**options: Any) -> dict[str, Any]:
    """The options of `plan` that are not as they are by default, files and folders from wherever they are named."""
    defaults = {name: one.default for name, one in inspect.signature(plan).parameters.items()}
    said = {name: value for name, value in options.items() if value not in (defaults[name], (defaults[name],))}
    if said.get("captions") is not None:
        said["captions"] = Path(said["captions"]).expanduser().absolute()
    if "roi" in said:
        said["roi"] = [Path(name).expanduser().absolute() if is_path(name) else name for name in said["roi"]]
    return said


def _sidecars(todo: Plan, old: Manifest | None) -> dict[str, Config]:
    """Runs while betas are read, and so do the imports that reading needs none of: pillow, jinja and yaml."""
    from nsd_imagery.dataset.sidecars import write_sidecars

    importlib.import_module("nsd_imagery.dataset.card")
    return write_sidecars(todo.pieces, todo.maps, todo.root, todo.folder, old)
