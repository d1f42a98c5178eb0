"""What a preprocessor learns from training rows, voxels by voxels so that memory stays small."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.dataset.recipe import refuse_unsound_fwhm
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.learn import run_scores
from nsd_imagery.learn.labels import TRAINING, Labels, Origin, column
from nsd_imagery.learn.voxel_scores import Matrix, Score, ncsnr, principal_components, reliability
from nsd_imagery.notices import warn_once
from nsd_imagery.rows.vectors import row_vectors, vector_length
from nsd_imagery.schema import BETAS
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.normalize import Moments, moments
from nsd_imagery.volumes.normalize import zscore as zscore_by

logger = logging.getLogger(__name__)

ZSCORES = ("auto", "run", "session", TRAINING)
SELECTIONS = ("reliability", "ncsnr", "ncsnr_release")

_BY_ROWS = ("reliability", "ncsnr")
"""The selections by the rows that are fitted on."""

_VOXELS_AT_A_TIME = 1024
"""Of all rows, in float64."""

_FEWEST_ROWS = 2
"""That have an sd."""

_BY_VOXEL = ("mean", "rest", "sd")
"""Fields of `Moments` that have a column a voxel."""


@dataclass(frozen=True)
class Options:
    """The options of `NSDPreprocessor`, checked.

    Raises:
        UsageError: One that cannot be meant.
    """

    smoothing_fwhm: float | None = None
    zscore: str | None = None
    selection: str | None = None
    n_voxels: int | None = None
    threshold: float | None = None
    pca: int | None = None

    def __post_init__(self) -> None:
        refuse_unsound_fwhm(self.smoothing_fwhm)
        if self.zscore is not None:
            one_of("zscore", self.zscore, ZSCORES)
        if self.selection is not None:
            one_of("selection", self.selection, SELECTIONS)
        n_limits = (self.n_voxels is not None) + (self.threshold is not None)
        if n_limits != (self.selection is not None):
            raise UsageError("a selection has n_voxels= or threshold=, one of the two, and nothing else has them")

    @property
    def groups_rows(self) -> bool:
        """Whether rows are z-scored by groups of their own, which may be others than those of the training rows."""
        return self.zscore not in (None, TRAINING)

    @property
    def learns(self) -> bool:
        """Whether anything is to be fitted."""
        return not (self.zscore is self.selection is self.pca is None)

    @property
    def rows_choose(self) -> bool:
        """Whether the rows that it is fitted on choose voxels or components; means and sds choose nothing."""
        return self.selection in _BY_ROWS or self.pca is not None


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learnt.

    Attributes:
        origin: Of the rows.
        n_voxels: Columns of their betas.
        columns: (k,) the columns that are kept, rising.
        groups: Names of the runs or sessions that are z-scored over; none without z-scores.
        n_fitted: How many of them are of the training rows; they come first.
        by: Their statistics, of the columns that are kept.
        center: (k,) mean of what PCA saw; empty without PCA.
        components: (n_components, k); empty without PCA.
        chosen_by: trial_id of the rows that chose voxels or components, rising, each once; None where nothing tells.
    """

    origin: Origin
    n_voxels: int
    columns: NDArray[np.int64]
    groups: tuple[str, ...]
    n_fitted: int
    by: Moments
    center: Matrix
    components: Matrix
    chosen_by: NDArray[np.int64] | None


def fit_rows(trials: Dataset, voxels: Dataset, labels: Labels, options: Options) -> Fitted:
    """What rows, all of them valid, have to teach; see `NSDPreprocessor.fit`."""
    groups = tuple(sorted(labels.groups)) if options.zscore else ()
    score = _score(trials, voxels, labels.origin.subject, options)
    parts: list[Moments] = []
    scores: list[Matrix] = []
    for part, betas in _blocks(trials):
        parts.append(group_moments(betas, labels, groups))
        scores.append(score(zscored(betas, labels, groups, parts[-1]), part))
    columns = _columns(np.concatenate(scores), options)
    by = replace(
        parts[0],
        **{name: np.concatenate([getattr(by, name) for by in parts], axis=1)[:, columns] for name in _BY_VOXEL},
    )
    center, components = np.empty(0), np.empty((0, 0))
    if options.pca is not None:
        values = zscored(betas_of(trials, columns), labels, groups, by)
        center, components = principal_components(values, options.pca)
    chosen_by = _choosing(trials, options)
    return Fitted(labels.origin, voxels.num_rows, columns, groups, len(groups), by, center, components, chosen_by)


def adapt_to_rows(fitted: Fitted, trials: Dataset, labels: Labels) -> Fitted:
    """With the groups of these rows, all of them valid, that were not known so well; see `NSDPreprocessor.adapt`.

    Raises:
        UsageError: A group has too few rows for an sd.
    """
    here = dict(zip(labels.groups, np.bincount(labels.of_row, minlength=len(labels.groups)).tolist(), strict=True))
    known = dict(zip(fitted.groups, fitted.by.n_trials.tolist(), strict=True))
    if few := sorted(name for name in here if max(here[name], known.get(name, 0)) < _FEWEST_ROWS):
        msg = (
            f"one row of {', '.join(few[:4])} is valid here, and one has no sd: adapt to all rows of a run or session "
            "at once"
        )
        raise UsageError(msg)
    keep = {name for name in fitted.groups[: fitted.n_fitted] if known[name] >= _FEWEST_ROWS}
    new = tuple(sorted(name for name in here if name not in keep and here[name] > known.get(name, 0)))
    old = [position for position, name in enumerate(fitted.groups) if name not in new]
    more = group_moments(betas_of(trials, fitted.columns), labels, new)
    arrays = {
        name: np.concatenate([getattr(fitted.by, name)[old], getattr(more, name)]) for name in ("n_trials", *_BY_VOXEL)
    }
    return replace(
        fitted,
        groups=(*(fitted.groups[position] for position in old), *new),
        n_fitted=sum(position < fitted.n_fitted for position in old),
        by=Moments(**arrays, scaling=Scaling()),
    )


def betas_of(trials: Dataset, columns: NDArray[np.int64] | slice) -> Matrix:
    """(n_rows, k) some columns of betas, float64."""
    return np.stack([row[columns] for row in row_vectors(trials, BETAS.name)]).astype(np.float64)


def group_moments(betas: Matrix, labels: Labels, groups: Sequence[str]) -> Moments:
    """Statistics of each voxel over the valid rows of each group."""
    return moments(betas, labels.positions(groups), len(groups), labels.is_valid, Scaling())


def zscored(betas: Matrix, labels: Labels, groups: Sequence[str], by: Moments) -> Matrix:
    """(n_rows, k) z-scores, or the betas themselves where there are no groups.

    Raises:
        DataError: A row is of no group.
    """
    if not groups:
        return betas
    number = labels.positions(groups)
    if (number < 0).any():
        unknown = ", ".join(sorted({labels.groups[group] for group in labels.of_row[number < 0].tolist()})[:4])
        msg = (
            f"the preprocessor has no mean and sd of {unknown}: fit it on rows of that run or session, or take them "
            "from the rows themselves: preprocessor.adapt(trials, voxels)"
        )
        raise DataError(msg)
    return zscore_by(betas, number, labels.is_valid, by)


def _blocks(trials: Dataset) -> Iterator[tuple[slice, Matrix]]:
    for start in range(0, vector_length(trials, BETAS.name), _VOXELS_AT_A_TIME):
        part = slice(start, start + _VOXELS_AT_A_TIME)
        yield part, betas_of(trials, part)


def _score(trials: Dataset, voxels: Dataset, subject: str, options: Options) -> Callable[[Matrix, slice], Matrix]:
    """Scores of some voxels from their betas, and from which of all they are."""
    if options.selection is None:
        return lambda betas, _: np.zeros(betas.shape[1])
    if options.selection == "ncsnr_release":
        of_release = _scores_of_release(voxels, subject)
        return lambda _, part: of_release[part]
    experiments = set(column(trials, "experiment").tolist())
    if len(experiments) > 1:
        msg = (
            f"selection={options.selection!r} of rows of {' and '.join(sorted(experiments))}: their stimuli vary by "
            "other amounts, so no score is of both: fit it on rows of one"
        )
        raise UsageError(msg)
    by_run = experiments == {"nsdimagery"}
    score = _score_of_runs(trials, options.selection) if by_run else _score_of_pictures(trials, options.selection)
    return lambda betas, _: score(betas)


def _score_of_runs(trials: Dataset, selection: str) -> Score:
    make = {"reliability": run_scores.reliability, "ncsnr": run_scores.ncsnr}[selection]
    return make(run_scores.pairs_of_runs(trials))


def _score_of_pictures(trials: Dataset, selection: str) -> Score:
    make = {"reliability": reliability, "ncsnr": ncsnr}[selection]
    return make(column(trials, "stimulus").astype(str), column(trials, "trial_id"))


def _choosing(trials: Dataset, options: Options) -> NDArray[np.int64] | None:
    """The ids of rows that choose voxels or components."""
    if not options.rows_choose:
        return np.empty(0, np.int64)
    return np.unique(column(trials, "trial_id").astype(np.int64)) if "trial_id" in trials.column_names else None


def _scores_of_release(voxels: Dataset, subject: str) -> Matrix:
    scores: NDArray[Any] = column(voxels, "ncsnr_nsd").astype(np.float64)
    if np.isnan(scores).all():
        raise MissingDataError("-voxels has no ncsnr_nsd: copy ncsnr.nii.gz of NSD core to the root, and build again")
    warn_once(
        logger,
        f"{subject}, {voxels.num_rows} voxels: ncsnr_release was made from all sessions of NSD core, test pictures "
        "among them: what is selected by it has seen the test set",
    )
    return np.nan_to_num(scores)


def _columns(scores: Matrix, options: Options) -> NDArray[np.int64]:
    if options.threshold is not None:
        columns = np.flatnonzero(scores >= options.threshold)
        if not columns.size:
            msg = f"no voxel has {options.selection} of {options.threshold:g}; the highest is {scores.max():.3g}"
            raise DataError(msg)
        return columns
    if options.n_voxels is None:
        return np.arange(scores.size)
    if not 0 < options.n_voxels <= scores.size:
        msg = f"n_voxels={options.n_voxels}: betas have {scores.size} voxels"
        raise UsageError(msg)
    return np.sort(np.argsort(-scores, kind="stable")[: options.n_voxels])
