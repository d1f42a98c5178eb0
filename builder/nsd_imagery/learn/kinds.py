"""What the betas of rows are, z-scores or percent signal change, and what therefore can be made of them.

Rows that lie in a shard say their recipe. Of all others (`load_dataset` copies them without it) the numbers tell in two
cases: over a whole group that was z-scored, each voxel has mean 0 and sd 1, as percent signal change never does; and
what was stored as integers is in steps of 1/300 percent, as z-scores never are. Else nothing is known, and taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import pyarrow as pa
from datasets import Dataset

from nsd_imagery.dataset.groups import Group, groups_of
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.learn.evidence import Matrix, are_steps, are_zscores, some_betas
from nsd_imagery.rows.recipes import Said, said_of
from nsd_imagery.rows.vectors import Rows, label_table

_BREADTHS: Final = ("epoch", "run", "session")
"""What z-scores may be over, from narrow to wide."""

_PERCENT: Final = "or take rows in percent signal change: nsd-imagery build --zscore none"


@dataclass(frozen=True)
class Kind:
    """What rows are, as far as anything tells.

    Attributes:
        zscored: Whether they are z-scores; None where nothing tells.
        over: What the z-scores are over ("epoch", "run" or "session"), by experiment, attention apart; of rows that say
            their recipe and have run numbers.
        smoothing_fwhm: mm; 0 for none; None where nothing tells.
    """

    zscored: bool | None = None
    over: Mapping[str, str] = field(default_factory=dict)
    smoothing_fwhm: float | None = None


def kind_of(trials: Dataset, zscore: str | None) -> Kind:
    """The kind of rows of trial configs, filtered or not, all of which must be of one.

    Args:
        trials: The rows; those that hold no data say nothing.
        zscore: By which they are to be z-scored, if they are.

    Raises:
        UsageError: They are of several kinds, or z-scores by `zscore` would be over several groups that were z-scored.
    """
    valid = np.flatnonzero(label_table(trials, ["is_valid"]).column("is_valid").to_numpy())
    rows = trials if valid.size == trials.num_rows else trials.select(valid)
    if not rows.num_rows:
        return Kind()
    groups = label_table(rows, Group._fields) if set(Group._fields) <= set(rows.column_names) else None
    said = said_of(rows)
    kind = _kind_said(said, groups, zscore)
    unsure = [part.rows for part in said if not part.is_sure]
    return _kind_seen(rows, kind, np.sort(np.concatenate(unsure)), groups, zscore) if unsure else kind


def refuse_other_kind(fitted: Kind, given: Kind) -> None:
    """Raise DataError where two kinds are known not to be one."""
    for one, other in _differences(fitted, given):
        msg = (
            f"the preprocessor was fitted on rows {one}, but these are {other}: fit one for them, or take rows of the "
            "same recipe"
        )
        raise DataError(msg)


def _kind_said(said: Sequence[Said], groups: pa.Table | None, zscore: str | None) -> Kind:
    """What rows say.

    Raises:
        UsageError: As `kind_of`.
    """
    kinds: list[Kind] = []
    for part in said:
        if part.recipe is None:
            continue
        zscored, over = part.recipe.zscore != "none", {}
        if groups is not None and zscored:
            of_part = groups.take(part.rows)
            over = _breadths(of_part, part.recipe.zscore)
            _refuse_wider(over, {} if zscore is None else _breadths(of_part, zscore), zscore)
        kinds.append(Kind(zscored, over, part.recipe.smoothing_fwhm or 0.0))
    whole = Kind()
    for kind in kinds:
        _refuse_mix(whole, kind)
        whole = replace(kind, over={**whole.over, **kind.over})
    return whole


def _kind_seen(rows: Dataset, kind: Kind, unsure: Rows, groups: pa.Table | None, zscore: str | None) -> Kind:
    """A kind with what the numbers of some rows show.

    Raises:
        UsageError: As `kind_of`.
    """
    betas = some_betas(rows, unsure)
    in_steps = are_steps(betas)
    others = np.flatnonzero(~in_steps)
    is_scored = groups is not None and _has_zscores(betas[others], groups.take(unsure[others]), zscore)
    for zscored, is_seen in ((False, in_steps.any()), (True, is_scored)):
        if is_seen:
            _refuse_mix(kind, Kind(zscored))
            kind = replace(kind, zscored=zscored)
    return kind


def _has_zscores(betas: Matrix, groups: pa.Table, zscore: str | None) -> bool:
    """Whether a whole group was z-scored, of whichever groups there can be.

    Raises:
        UsageError: Several were, and are in one group of `zscore`.
    """
    found = False
    asked = None if zscore is None else groups_of(groups, zscore)[1]
    for by in ("auto", "run", "session"):
        names, of_row = groups_of(groups, by)
        is_scored = are_zscores(betas, of_row, len(names))
        found |= bool(is_scored.any())
        for group in () if asked is None else np.unique(asked).tolist():
            within = [number for number in np.unique(of_row[asked == group]).tolist() if is_scored[number]]
            if len(within) > 1:
                raise UsageError(_too_wide(zscore, _breadth(names[within[0]])))
    return found


def _breadths(groups: pa.Table, zscore: str) -> dict[str, str]:
    """What rows with run numbers are z-scored over, by experiment, attention apart."""
    cells = groups.group_by(list(Group._fields)).aggregate([])
    names, of_cell = groups_of(cells, zscore)
    over: dict[str, str] = {}
    for cell, number in zip(cells.to_pylist(), of_cell.tolist(), strict=True):
        if cell["run_number"] >= 1:
            over[f"{cell['experiment']} attention" if cell["epoch"] else cell["experiment"]] = _breadth(names[number])
    return over


def _breadth(group: Group) -> str:
    return _BREADTHS[2 if group.run_number < 0 else 1 if not group.epoch else 0]


def _refuse_wider(over: Mapping[str, str], wanted: Mapping[str, str], zscore: str | None) -> None:
    """Raise UsageError where z-scores would be over several groups, each of which has lost its own mean and sd."""
    for group in over.keys() & wanted.keys():
        if _BREADTHS.index(wanted[group]) > _BREADTHS.index(over[group]):
            raise UsageError(_too_wide(zscore, over[group]))


def _too_wide(zscore: str | None, breadth: str) -> str:
    return (
        f"zscore={zscore!r} of rows that are z-scored by {breadth} already, so that each {breadth}'s mean and sd are "
        f"gone: leave zscore out, {_PERCENT}"
    )


def _refuse_mix(some: Kind, others: Kind) -> None:
    for one, other in _differences(some, others):
        msg = f"some of these rows are {one}, others {other}: filter them to one kind, or take all of one recipe"
        raise UsageError(msg)


def _differences(some: Kind, others: Kind) -> Iterator[tuple[str, str]]:
    """What is known of both and is not the same."""
    if None not in (some.zscored, others.zscored) and some.zscored != others.zscored:
        yield _units(some), _units(others)
    if None not in (some.smoothing_fwhm, others.smoothing_fwhm) and some.smoothing_fwhm != others.smoothing_fwhm:
        yield _smoothing(some), _smoothing(others)
    for group in sorted(some.over.keys() & others.over.keys()):
        if some.over[group] != others.over[group]:
            one, other = (f"of {group}, z-scored by {kind.over[group]}" for kind in (some, others))
            yield one, other


def _units(kind: Kind) -> str:
    return "z-scored" if kind.zscored else "in percent signal change"


def _smoothing(kind: Kind) -> str:
    return f"smoothed with {kind.smoothing_fwhm:g} mm" if kind.smoothing_fwhm else "not smoothed"
