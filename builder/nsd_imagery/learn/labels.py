"""What a preprocessor must know of rows besides their betas: where they come from, and which are z-scored together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import xxhash
from datasets import Dataset
from numpy.typing import NDArray

from nsd_imagery.dataset.groups import Group, groups_of
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.learn.kinds import Kind, kind_of, refuse_other_kind
from nsd_imagery.rows.vectors import Rows, label_table, vector_length
from nsd_imagery.schema import BETAS

TRAINING: Final = "training"
"""The zscore, and the one group, of all rows that a preprocessor is fitted on."""


@dataclass(frozen=True)
class Origin:
    """What rows must share to be preprocessed alike.

    Attributes:
        subject: "subj01" to "subj08".
        beta_version: fithrf_GLMdenoise_RR or fithrf.
        voxels: xxh3_128 of i, j, k of each column of `betas`, in their order.
        kind: What the betas are, as far as anything tells.
    """

    subject: str
    beta_version: str
    voxels: str
    kind: Kind = field(default_factory=Kind)


@dataclass(frozen=True, eq=False)
class Labels:
    """What a preprocessor must know of some rows.

    Attributes:
        origin: Of all of them.
        groups: Names of the groups that they are z-scored in; "" where all are one.
        of_row: (n_rows,) the position of each row's group.
        is_valid: (n_rows,) whether it holds data.
    """

    origin: Origin
    groups: tuple[str, ...]
    of_row: NDArray[np.int64]
    is_valid: NDArray[np.bool_]

    def of(self, rows: Rows) -> "Labels":
        """Those of some of the rows."""
        return Labels(self.origin, self.groups, self.of_row[rows], self.is_valid[rows])

    def positions(self, among: Sequence[str]) -> NDArray[np.int64]:
        """(n_rows,) the position of each row's group among some; -1 where it is none of them."""
        position = {group: number for number, group in enumerate(among)}
        return np.array([position.get(group, -1) for group in self.groups], np.int64)[self.of_row]


def labels_of(trials: Dataset, voxels: Dataset, zscore: str | None) -> Labels:
    """The labels of rows of trial configs, filtered or not.

    Args:
        trials: The rows, of one subject and beta version.
        voxels: The `-voxels` of the same subject and ROI.
        zscore: "run", "session" or "auto"; of "training", and of None, all rows are one group.

    Raises:
        UsageError: No rows, or of several subjects, beta versions or kinds, or z-scores by `zscore` would be over
            several groups that were z-scored.
        DataError: The rows and `voxels` are of different ROIs.
    """
    if not trials.num_rows:
        raise UsageError("there are no rows to preprocess")
    n_columns = vector_length(trials, BETAS.name)
    if n_columns != voxels.num_rows:
        msg = f"betas have {n_columns} columns, but -voxels {voxels.num_rows} rows: take the -voxels of the same config"
        raise DataError(msg)
    one = {name: _the_one(column(trials, name), name) for name in ("subject", "beta_version")}
    kind = kind_of(trials, None if zscore == TRAINING else zscore)
    groups, of_row = _groups(trials, zscore)
    return Labels(Origin(**one, voxels=voxels_digest(voxels), kind=kind), groups, of_row, column(trials, "is_valid"))


def valid_rows(trials: Dataset) -> Dataset:
    """The rows that hold data.

    Raises:
        UsageError: None does.
    """
    is_valid = np.flatnonzero(column(trials, "is_valid"))
    if not is_valid.size:
        raise UsageError("no row is valid: there is nothing to fit on")
    return trials if is_valid.size == trials.num_rows else trials.select(is_valid)


def column(trials: Dataset, name: str) -> NDArray[Any]:
    """(n_rows,) a label column."""
    return label_table(trials, [name]).column(name).to_numpy()


def refuse_other_origin(fitted: Origin, given: Origin) -> None:
    """Raise DataError unless the two are one, as far as is known."""
    said: Mapping[str, str] = {"subject": "subject", "beta_version": "beta version", "voxels": "voxels (ROI or order)"}
    for name, words in said.items():
        one, other = getattr(fitted, name), getattr(given, name)
        if one != other:
            msg = f"the preprocessor was fitted on {words} {one}, but these rows are of {other}: fit one for them"
            raise DataError(msg)
    refuse_other_kind(fitted.kind, given.kind)


def _groups(trials: Dataset, zscore: str | None) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    if zscore in (None, TRAINING):
        return (zscore or "",), np.zeros(trials.num_rows, np.int64)
    groups, of_row = groups_of(label_table(trials, Group._fields), zscore)
    return tuple(group.name for group in groups), of_row


def _the_one(values: NDArray[Any], name: str) -> str:
    found = sorted(set(values.tolist()))
    if len(found) > 1:
        msg = f"rows have several values of {name} ({', '.join(found)}): filter them to one"
        raise UsageError(msg)
    return found[0]


def voxels_digest(voxels: Dataset) -> str:
    """xxh3_128 of i, j, k of each row of `-voxels`, in their order."""
    ijk = np.stack([np.asarray(column(voxels, axis), np.int64) for axis in "ijk"], axis=1)
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(ijk).data)
