"""`NSDPreprocessor`: smoothing, z-scores, voxel selection and PCA that know nothing but the rows they are fitted on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.learn import saved
from nsd_imagery.learn.chosen import may_have_chosen
from nsd_imagery.learn.contract import RowOptions, Transform
from nsd_imagery.learn.fitting import Fitted, Options, adapt_to_rows, fit_rows, zscored
from nsd_imagery.learn.labels import Labels, labels_of, refuse_other_origin, valid_rows
from nsd_imagery.markup import Shown
from nsd_imagery.rows.vectors import Rows, refuse_splits, row_vectors
from nsd_imagery.schema import BETAS


class NSDPreprocessor(Shown):
    """Smoothing, z-scores, voxel selection and PCA, in this order.

    It is the `preprocessor` of `NSDImageryDataset`, which makes its rows as the first two options say. Where all others
    are None, there is nothing to fit.

    Args:
        smoothing_fwhm: mm. Betas that are masked can no longer be smoothed, so `NSDImageryDataset` has them smoothed
            while it reads the volumes of a root or an index, and refuses a folder that was not built with the same
            --smoothing-fwhm. None takes betas as they come. `fit` and `transform` never smooth.
        zscore: "run", "session", or "auto" (by run and epoch in nsdimagery, by session in NSD core): each voxel over
            the rows of the group, which is that of a build, among those that `fit` and `adapt` are given. A build
            z-scores over all trials of a run, also those of a test split; so this is for betas in percent signal
            change, which `NSDImageryDataset` then asks for. Rows that were z-scored over the same groups or larger ones
            give the same, and are taken; over smaller groups, whose own mean and sd are gone, they are refused.
            "training": each voxel over all rows that it is fitted on, of all sessions together and as they come; this
            one mean and sd are applied to every row, (x - mean) / sd, as MIRAGE and others do with their files of NSD
            core, which are z-scored by session before. Rows that it was not fitted on keep what sets them apart:
            imagery, whose betas have another mean and a smaller sd, has mean 0 and sd 1 by run, and not by training
            rows. Applied to imagery in percent signal change, core's mean and sd make predictions collapse onto one
            candidate; so take it on top of z-scores of a build, for a model that was trained on such input, or where
            the level of rows is what is asked about. None takes betas as they come.
        selection: Which voxels are kept: "ncsnr" (noise ceiling signal-to-noise ratio) or "reliability" (correlation of
            two halves of the presentations) of the rows that it is fitted on, or "ncsnr_release": the release's map,
            which was made from all of NSD core, test pictures among them. None keeps all. Of rows of NSD core, ncsnr is
            as Allen et al. (2022) define it for z-scores by session, and reliability correlates odd and even
            presentations. Of rows of NSD-Imagery, where trials lie near each other and no target comes twice in a row,
            those forms find nothing in vision where ncsnr is 0.15; there both are of the unbiased variances of pairs of
            trials of one run that evaluation reports, below 0 about as often as above where there is no signal. Rows
            that chose voxels test nothing; see `chose_by`.
        n_voxels: Keep so many, those with the highest score.
        threshold: Keep those of at least this score. A selection has one of the two.
        pca: Components to keep. Fitting them needs memory for all rows and kept voxels in float64.

    Raises:
        UsageError: An option that cannot be meant.
    """

    def __init__(
        self,
        smoothing_fwhm: float | None = None,
        zscore: str | None = None,
        selection: str | None = None,
        *,
        n_voxels: int | None = None,
        threshold: float | None = None,
        pca: int | None = None,
    ) -> None:
        self.options = Options(smoothing_fwhm, zscore, selection, n_voxels, threshold, pca)
        self.fitted: Fitted | None = None

    def _said(self) -> dict[str, object]:
        options = {name: value for name, value in asdict(self.options).items() if value is not None}
        if self.fitted is None:
            return {**options, "fitted": "not yet" if self.options.learns else "nothing to fit"}
        kept = f"{self.fitted.columns.size:,} of {self.fitted.n_voxels:,} voxels"
        return {**options, "fitted": f"on {self.fitted.origin.subject}, keeps {kept}"}

    def fit(self, trials: Dataset, voxels: Dataset) -> Self:
        """Learn from rows: from those that are valid, and from nothing else.

        Args:
            trials: Training rows, filtered or not; of a built folder, or `NSDImageryDataset.trials`.
            voxels: The `-voxels` of the same subject and ROI; `NSDImageryDataset.voxels`.

        Raises:
            UsageError: No valid row, rows of several subjects, beta versions or kinds (z-scored, smoothed), z-scores
                over several groups that are z-scored already, too few repeats, fewer voxels or components than were
                asked for, or a selection by rows of both experiments or of NSD-Imagery without runs.
            DataError: No voxel reaches the threshold, or `voxels` is of another ROI.
            MissingDataError: The release's ncsnr map was not in the root.
        """
        trials = valid_rows(trials)
        self.fitted = fit_rows(trials, voxels, labels_of(trials, voxels, self.options.zscore), self.options)
        return self

    def adapt(self, trials: Dataset, voxels: Dataset) -> Self:
        """Add mean and sd of runs or sessions that it was not fitted on, from their valid rows; all else stays.

        So what was learnt from perception is applied to imagery, whose betas have another mean and sd. No label is
        used, but what is to be transformed is. Groups that it was fitted on keep their values; those that it was
        adapted to, and those that it was fitted on one row of, are learnt anew from rows that are more.

        Raises:
            UsageError: It was not fitted, has no zscore by group, no row is valid, or only one row of a group is.
            DataError: The rows are of another subject, ROI, beta version or kind.
        """
        fitted = self._must_be_fitted()
        if not self.options.groups_rows:
            msg = f"there is nothing to adapt: zscore is {self.options.zscore!r}, not by run or session"
            raise UsageError(msg)
        trials = valid_rows(trials)
        labels = labels_of(trials, voxels, self.options.zscore)
        refuse_other_origin(fitted.origin, labels.origin)
        self.fitted = adapt_to_rows(fitted, trials, labels)
        return self

    def transform(self, betas: NDArray[np.floating] | Dataset, voxels: Dataset | None = None) -> NDArray[np.float32]:
        """What a model takes.

        Args:
            betas: Rows, together with `voxels`. Without z-scores by group also (n, n_voxels) numbers, which are taken
                for valid, and of which nothing but the width can be checked.
            voxels: The `-voxels` of the rows.

        Returns:
            (n, n_voxels), (n, kept voxels) or (n, components). With z-scores, a row that is not valid is 0 before PCA.

        Raises:
            UsageError: It was not fitted, or rows came without `voxels`.
            DataError: Another subject, ROI, beta version, kind or number of voxels, or a run or session that it has no
                mean and sd of.
        """
        if isinstance(betas, Mapping):
            refuse_splits(betas)
        if not isinstance(betas, Dataset):
            return self.apply(np.asarray(betas), None)
        if voxels is None:
            raise UsageError("rows are transformed together with their -voxels: transform(trials, voxels)")
        labels = labels_of(betas, voxels, self.options.zscore)
        return self.apply(np.stack(row_vectors(betas, BETAS.name)), labels)

    def apply(self, betas: NDArray[np.floating], labels: Labels | None) -> NDArray[np.float32]:
        """As `transform`, of (n, n_voxels) betas and their labels, if these are known."""
        if self.fitted is None and not self.options.learns:
            return betas.astype(np.float32, copy=False)
        fitted = self._must_be_fitted()
        if betas.ndim != 2 or betas.shape[1] != fitted.n_voxels:
            msg = f"the preprocessor was fitted on {fitted.n_voxels} voxels, but betas have shape {betas.shape}"
            raise DataError(msg)
        values = betas[:, fitted.columns].astype(np.float64)
        if labels is not None:
            refuse_other_origin(fitted.origin, labels.origin)
            values = zscored(values, labels, fitted.groups, fitted.by)
        elif self.options.groups_rows:
            raise UsageError("z-scores need to know the run of each row: transform(trials, voxels)")
        elif fitted.groups:
            values = zscored(values, _valid_rows_of(fitted, len(values)), fitted.groups, fitted.by)
        if self.options.pca is not None:
            values = (values - fitted.center) @ fitted.components.T
        return values.astype(np.float32)

    def chose_by(self, trial_ids: ArrayLike) -> NDArray[np.bool_]:
        """Which rows chose the voxels or components that are kept, so that nothing of them is a test.

        These are the valid rows that it was fitted on, if it has pca or selection "reliability" or "ncsnr", and all
        rows of its subject in NSD core, if it has "ncsnr_release". Means and sds choose nothing, nor does `adapt`.

        A file of format 4 or before does not say which rows they were. Then every row may be one that is of a session
        that it was fitted on, by the names of the runs or sessions that it z-scores; where it has none, every row of
        its subject. So one that was fitted on NSD core with z-scores by session is free of every row of NSD-Imagery.

        Args:
            trial_ids: (n,) `trial_id` of rows.

        Returns:
            (n,) True for rows that chose, or may have.

        Raises:
            UsageError: It was not fitted.
            DataError: A number is no trial_id.
        """
        if self.fitted is None and not self.options.learns:
            return np.zeros(np.size(trial_ids), np.bool_)
        return may_have_chosen(self.options, self._must_be_fitted(), trial_ids)

    def row_options(self) -> RowOptions:
        """Smoothed as it says, and in percent signal change where it z-scores them by run or session itself."""
        return RowOptions(self.options.smoothing_fwhm, "none" if self.options.groups_rows else None)

    def bind(self, trials: Dataset, voxels: Callable[[], Dataset], /) -> Transform:
        """`transform` of betas of some trials, by what is fitted when it is called; see `contract.RowPreprocessor`."""
        labels = labels_of(trials, voxels(), self.options.zscore) if self.options.learns else None
        return partial(self._apply_to, labels)

    def _apply_to(self, labels: Labels | None, betas: NDArray[np.floating], rows: Rows) -> NDArray[np.float32]:
        return self.apply(betas, None if labels is None else labels.of(rows))

    def save(self, folder: Path | str) -> Path:
        """Write `preprocessor.json` and `preprocessor.npz` into a folder, which is returned."""
        path = Path(folder).expanduser()
        saved.write(path, self.options, self.fitted)
        return path

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            MissingDataError: A file is not there.
            DataError: A file is damaged, the two are not of one `save`, a newer nsd-imagery wrote them, or an older one
                that put rows without a run number in other groups.
        """
        options, fitted = saved.read(Path(folder).expanduser())
        preprocessor = cls(**asdict(options))
        preprocessor.fitted = fitted
        return preprocessor

    def _must_be_fitted(self) -> Fitted:
        if self.fitted is None:
            raise UsageError("the preprocessor is not fitted: preprocessor.fit(trials, voxels), on training rows")
        return self.fitted


def refuse_selected(preprocessor: NSDPreprocessor, trial_ids: ArrayLike) -> None:
    """Raise UsageError where rows that are to be tested chose what a preprocessor keeps, or may have.

    Args:
        preprocessor: What the rows are to go through.
        trial_ids: (n,) `trial_id` of the rows to be tested.
    """
    chose, options = preprocessor.chose_by(trial_ids), preprocessor.options
    if not chose.any():
        return
    rows = f"{np.count_nonzero(chose)} of the {chose.size} rows to be tested"
    msg = f"{rows} chose what the preprocessor keeps, and test nothing: fit it on others, as perception's train split"
    if options.selection == "ncsnr_release":
        msg = f"{msg}, with another selection (ncsnr_release was made from all of NSD core)"
    elif preprocessor.fitted is not None and preprocessor.fitted.chosen_by is None:
        msg = (
            f"{rows} may have chosen what the preprocessor keeps: an older nsd-imagery saved it without their ids, so "
            "fit it again on other rows, and save it"
        )
    raise UsageError(msg)


def _valid_rows_of(fitted: Fitted, n_rows: int) -> Labels:
    """The labels of numbers that are rows of the one group that there is."""
    return Labels(fitted.origin, fitted.groups, np.zeros(n_rows, np.int64), np.ones(n_rows, np.bool_))
