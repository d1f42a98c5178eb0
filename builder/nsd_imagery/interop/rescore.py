"""z-scores over other rows than a build took them: undone by `-stats`, then taken again."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.dataset.groups import groups_of_stats, positions_among
from nsd_imagery.dataset.shards import matrix
from nsd_imagery.errors import DataError
from nsd_imagery.volumes.betas import Scaling
from nsd_imagery.volumes.normalize import moments, zscore

_VOXELS_AT_A_TIME = 2048
"""So that the float64 copies of a session stay small."""


@dataclass(frozen=True, eq=False)
class Scored:
    """How the rows of a session were z-scored.

    Attributes:
        group: (n_rows,) the group that each row was z-scored in.
        mean: (n_groups, n_voxels) percent signal change.
        sd: (n_groups, n_voxels) percent signal change, 0 where a voxel does not vary.
    """

    group: NDArray[np.int64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    @classmethod
    def by(cls, stats: pa.Table, labels: pa.Table, option: str) -> "Scored":
        """As `-stats` says.

        Args:
            stats: The rows of `-stats` of the session.
            labels: Of all rows of the session.
            option: The option zscore of the build.

        Raises:
            DataError: `-stats` lacks a group.
        """
        groups = groups_of_stats(stats)
        group = positions_among(groups, labels, option)
        if (group < 0).any():
            msg = f"-stats has {', '.join(found.name for found in groups)}, and rows of others; build again"
            raise DataError(msg)
        return cls(group, matrix(stats["mean"]), matrix(stats["sd"]))

    def is_whole(self, rows: NDArray[np.int64]) -> bool:
        """Whether these rows, and no others, were z-scored together."""
        first = self.group[rows[0]]
        return bool((self.group[rows] == first).all()) and np.count_nonzero(self.group == first) == len(rows)


def rescore(
    betas: NDArray[np.float32], is_valid: NDArray[np.bool_], together: NDArray[np.int64], scored: Scored | None
) -> None:
    """z-score each voxel over rows that go together, in place; 0 where it does not vary, and in rows without data.

    Rows that were z-scored together already stay as they are; others differ by up to 1e-6 from what percent signal
    change would have given, for float32 has kept no more of it.

    Args:
        betas: (n_rows, n_voxels) percent signal change, or z-scores.
        is_valid: (n_rows,) the rows that have data, which mean and sd (ddof 1) are over.
        together: (n_rows,) equal for rows that go together.
        scored: How betas were z-scored; None for percent signal change.
    """
    for name in np.unique(together):
        rows = np.flatnonzero(together == name)
        if scored is None or not scored.is_whole(rows):
            for start in range(0, betas.shape[1], _VOXELS_AT_A_TIME):
                part = slice(start, start + _VOXELS_AT_A_TIME)
                betas[rows, part] = _zscored(_percent(betas, rows, part, scored), is_valid[rows])


def _percent(
    betas: NDArray[np.float32], rows: NDArray[np.int64], part: slice, scored: Scored | None
) -> NDArray[np.float64]:
    values = betas[rows, part].astype(np.float64)
    if scored is not None:
        values *= scored.sd[scored.group[rows], part]
        values += scored.mean[scored.group[rows], part]
    return values


def _zscored(percent: NDArray[np.float64], is_valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    group = np.zeros(len(percent), np.int64)
    return zscore(percent, group, is_valid, moments(percent, group, 1, is_valid, Scaling()))
