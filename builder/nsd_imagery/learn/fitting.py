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
from nsd_imagery.learn.labels import Labels, Origin, column
from nsd_imagery.learn.voxel_scores import Matrix, ncsnr, principal_components, reliability
from nsd_imagery.rows.vectors import row_vectors, vector_length
from nsd_imagery.schema import BETAS
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.normalize import Moments, moments
from nsd_imagery.volumes.normalize import zscore as zscore_by

logger = logging.getLogger(__name__)

ZSCORES = ("auto", "run", "session")
SELECTIONS = ("reliability", "ncsnr", "ncsnr_release")

_VOXELS_AT_A_TIME = 1024
"""Of all rows, in float64."""

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
    def learns(self) -> bool:
        """Whether anything is to be fitted."""
        return not (self.zscore is self.selection is self.pca is None)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What was learnt.

    Attributes:
        origin: Of the rows.
        n_voxels: Columns of their betas.
        columns: (k,) the columns that are kept, rising.
        groups: Names of the runs or sessions that are z-scored over; none without z-scores.
        by: Their statistics, of the columns that are kept.
        center: (k,) mean of what PCA saw; empty without PCA.
        components: (n_components, k); empty without PCA.
    """

    origin: Origin
    n_voxels: int
    columns: NDArray[np.int64]
    groups: tuple[str, ...]
    by: Moments
    center: Matrix
    components: Matrix


def fit_rows(trials: Dataset, voxels: Dataset, labels: Labels, options: Options) -> Fitted:
    """What rows, all of them valid, have to teach; see `NSDPreprocessor.fit`."""
    groups = tuple(sorted(labels.groups)) if options.zscore else ()
    score = _score(trials, voxels, options)
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
    return Fitted(labels.origin, voxels.num_rows, columns, groups, by, center, components)


def adapt_to_rows(fitted: Fitted, trials: Dataset, labels: Labels) -> Fitted:
    """With the groups of these rows, all of them valid, that were not known; see `NSDPreprocessor.adapt`."""
    new = tuple(sorted(set(labels.groups) - set(fitted.groups)))
    more = group_moments(betas_of(trials, fitted.columns), labels, new)
    arrays = {
        name: np.concatenate([getattr(fitted.by, name), getattr(more, name)]) for name in ("n_trials", *_BY_VOXEL)
    }
    return replace(fitted, groups=(*fitted.groups, *new), by=Moments(**arrays, scaling=Scaling()))


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


def _score(trials: Dataset, voxels: Dataset, options: Options) -> Callable[[Matrix, slice], Matrix]:
    """Scores of some voxels from their betas, and from which of all they are."""
    if options.selection is None:
        return lambda betas, _: np.zeros(betas.shape[1])
    if options.selection == "ncsnr_release":
        of_release = _scores_of_release(voxels)
        return lambda _, part: of_release[part]
    named = [column(trials, name).astype(str) for name in ("condition", "epoch", "stimulus")]
    stimulus = np.array(["/".join(words) for words in zip(*named, strict=True)])
    make = {"reliability": reliability, "ncsnr": ncsnr}[options.selection]
    score = make(stimulus, column(trials, "trial_id"))
    return lambda betas, _: score(betas)


def _scores_of_release(voxels: Dataset) -> Matrix:
    scores: NDArray[Any] = column(voxels, "ncsnr_nsd").astype(np.float64)
    if np.isnan(scores).all():
        raise MissingDataError("-voxels has no ncsnr_nsd: copy ncsnr.nii.gz of NSD core to the root, and build again")
    logger.warning(
        "ncsnr_release was made from all sessions of NSD core, test pictures among them: "
        "what is selected by it has seen the test set"
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
