"""Which rows are z-scored together: one answer, for builds, previews, checks and preprocessors."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.suggest import one_of

_BY_EPOCH: Final[Mapping[str, str]] = {"nsdimagery": "epoch", "nsd": "session"}
_FINEST: Final[Mapping[str, Mapping[str, str]]] = {
    "auto": _BY_EPOCH,
    "run": {"nsdimagery": "run", "nsd": "run"},
    "session": {"nsdimagery": "session", "nsd": "session"},
    "none": _BY_EPOCH,
}
"""By the option zscore and the experiment: what the rows of a group share, beside what is coarser."""


class Group(NamedTuple):
    """Names the rows of one subject that are z-scored together; the same columns name them in `-stats`.

    Attributes:
        experiment: "nsdimagery" or "nsd".
        session: Number of the session, 1-based.
        run_number: Number of the run, 1-based; -1 for a whole session, or for those of its rows that have no run.
        epoch: "cue" or "detection" of a run of attention, "" where both are together or there is none.
    """

    experiment: str
    session: int
    run_number: int = -1
    epoch: str = ""

    @property
    def name(self) -> str:
        """The group in a word: "nsdimagery/1/3/cue", "nsd/4"."""
        run = () if self.run_number < 0 else (str(self.run_number), self.epoch)
        return "/".join((self.experiment, str(self.session), *run)).rstrip("/")


def groups_of(rows: pa.Table, zscore: str) -> tuple[list[Group], NDArray[np.int64]]:
    """The groups that rows are z-scored in.

    By run, both epochs of attention are together, as published code has them; `auto` keeps them apart, because they are
    of two events. Rows without a run number are one group of their session, whatever their epoch.

    Args:
        rows: Of one subject: of an index, where what is absent is null, or of a dataset, where it is -1 or "".
        zscore: "auto" (by run and epoch in nsdimagery, by session in NSD core), "run" or "session"; "none" is as
            "auto", for the statistics that a build keeps whether or not it z-scores.

    Returns:
        The groups, sorted, and (n_rows,) the position among them of each row's group.

    Raises:
        UsageError: No such zscore.
    """
    one_of("zscore", zscore, _FINEST)
    finest = _FINEST[zscore]
    of_rows = [_group(finest[str(values[0])], values) for values in zip(*_values(rows), strict=True)]
    groups = sorted(set(of_rows))
    return groups, _positions(of_rows, groups)


def groups_of_stats(stats: pa.Table) -> list[Group]:
    """The group of each row of a `-stats` config."""
    return [Group(*values) for values in zip(*_values(stats), strict=True)]


def positions_among(groups: Sequence[Group], rows: pa.Table, zscore: str) -> NDArray[np.int64]:
    """(n_rows,) the position among some groups of the one that each row is z-scored in; -1 where it is none of them."""
    found, of_row = groups_of(rows, zscore)
    return _positions(found, groups)[of_row]


def _group(finest: str, values: Sequence[Any]) -> Group:
    experiment, session, run, epoch = values
    if finest == "session" or run is None or run < 1:
        return Group(experiment, session)
    return Group(experiment, session, run, (epoch or "") if finest == "epoch" else "")


def _values(table: pa.Table) -> list[list[object]]:
    return [table[name].to_pylist() for name in Group._fields]


def _positions(some: Sequence[Group], groups: Sequence[Group]) -> NDArray[np.int64]:
    position = {group: number for number, group in enumerate(groups)}
    return np.array([position.get(group, -1) for group in some], np.int64)
