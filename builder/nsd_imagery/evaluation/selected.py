"""Voxels that a saved preprocessor selects, to which an evaluation is restricted.

Evaluation z-scores rows itself, by run and session, so of a preprocessor's steps only the selection changes a number:
its own z-scores are affine by voxel. Smoothing is a folder's, and components are no voxels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.dataset.names import config_name
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.evaluation.asked import Asked
from nsd_imagery.evaluation.runs import Run, Runs
from nsd_imagery.evaluation.transfer.inputs import File, Inputs
from nsd_imagery.evaluation.transfer.saved_decoders import files_of
from nsd_imagery.learn.fitting import Fitted
from nsd_imagery.learn.labels import Origin, refuse_other_origin, voxels_digest
from nsd_imagery.learn.preprocess import NSDPreprocessor, refuse_selected
from nsd_imagery.learn.saved import OPTIONS
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table

Columns = NDArray[np.int64]

_TESTED: Final = ("vision", "imagery", "perception")
"""Conditions whose test split is scored."""


def preprocessor_files(folder: Path, what: Asked) -> dict[tuple[str, str], File]:
    """The preprocessors of subjects and ROIs, each checked against the folder that is evaluated.

    Args:
        folder: Of several, by `saved_decoders.folder_of`; or the very one, where one subject and ROI are asked for.
        what: What is asked for.

    Raises:
        MissingDataError: One is not there.
        UsageError: One is not fitted, has components, was fitted on rows that are tested, or is of another smoothing.
        DataError: One is damaged, or of another subject, ROI or beta version.
    """
    found = files_of(folder, OPTIONS, what.rois, "preprocessor")
    for (subject, roi), file in found.items():
        _refuse_unsound(file.path.parent, what, subject, roi)
    return found


def selected_columns(inputs: Inputs, subject: str, roi: str) -> Columns | None:
    """(n,) columns of `betas` that the preprocessor of a subject and ROI keeps, rising; None where all count.

    Raises:
        DataError: It was changed since the evaluation began.
    """
    file = inputs.preprocessors.get((subject, roi))
    if file is None:
        return None
    fitted = NSDPreprocessor.load(file.path.parent).fitted
    file.refuse_changed()
    return None if fitted is None else fitted.columns


def n_selected(inputs: Inputs, subject: str, roi: str, n_voxels: int) -> int:
    """How many of a ROI's voxels count."""
    columns = selected_columns(inputs, subject, roi)
    return n_voxels if columns is None else len(columns)


def restricted(runs: Runs, columns: Columns | None) -> Runs:
    """Runs in which other voxels are as those without variance: in no number, and at their place."""
    if columns is None or not len(runs):
        return runs
    kept = np.isin(np.arange(runs.runs[0].betas.shape[1]), columns)
    return _of(runs, [replace(run, betas=np.where(kept, run.betas, np.float32(0))) for run in runs])


def only(runs: Runs, columns: Columns | None) -> Runs:
    """Runs of these columns alone, which are numbered anew."""
    if columns is None or not len(runs):
        return runs
    fewer = (
        replace(run, betas=run.betas[:, columns], variance=None if run.variance is None else run.variance[columns])
        for run in runs
    )
    return _of(runs, list(fewer))


def _of(runs: Runs, changed: Sequence[Run]) -> Runs:
    varies = np.any([run.betas.any(axis=0) for run in changed], axis=0)
    return replace(runs, runs=tuple(changed), n_voxels=int(varies.sum()))


def _refuse_unsound(place: Path, what: Asked, subject: str, roi: str) -> None:
    preprocessor = NSDPreprocessor.load(place)
    options, smoothed = preprocessor.options, what.manifest.recipe.smoothing_fwhm
    if options.smoothing_fwhm not in (None, smoothed):
        msg = (
            f"{place}: smooths by {options.smoothing_fwhm:g} mm, but {what.folder} was built with "
            f"smoothing_fwhm={smoothed}: build a folder with --smoothing-fwhm {options.smoothing_fwhm:g}"
        )
        raise UsageError(msg)
    if not options.learns:
        return
    if preprocessor.fitted is None:
        msg = f"{place}: the preprocessor is not fitted: fit it on perception's train split, and save it"
        raise UsageError(msg)
    _refuse_other(place, what, preprocessor.fitted, subject, roi)
    try:
        refuse_selected(preprocessor, _tested_ids(what, subject, roi))
    except UsageError as error:
        msg = f"{place}: {error}"
        raise UsageError(msg) from error
    if options.pca is not None:
        msg = (
            f"{place}: makes components (pca={options.pca}) of voxels, and what is evaluated is voxels: save one with "
            "the selection alone"
        )
        raise UsageError(msg)


def _refuse_other(place: Path, what: Asked, fitted: Fitted, subject: str, roi: str) -> None:
    name = config_name(subject, "voxels", roi)
    if name not in what.manifest.configs:
        msg = f"{what.folder}: has no {name}, so nothing says which voxels a preprocessor keeps: build it again"
        raise DataError(msg)
    voxels = voxels_digest(load(what.folder, name, "train"))
    here = Origin(subject, what.manifest.recipe.beta_version, voxels, fitted.origin.kind)
    try:
        refuse_other_origin(fitted.origin, here)
    except DataError as error:
        msg = f"{place}: {error}"
        raise DataError(msg) from error


def _tested_ids(what: Asked, subject: str, roi: str) -> NDArray[np.int64]:
    """trial_id of all rows that are scored."""
    names = [config_name(subject, condition, roi) for condition in _TESTED]
    there = [name for name in names if name in what.manifest.configs and "test" in what.manifest.configs[name].splits]
    ids = [label_table(load(what.folder, name, "test"), ["trial_id"])["trial_id"].to_numpy() for name in there]
    return np.concatenate([np.zeros(0, np.int64), *ids])
