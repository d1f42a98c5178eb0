"""The experiment's design files: the pair lists (targets and their cue letters) and the GLM's design matrix."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import N_DESIGN_COLUMNS, N_NSD_PICTURES, RUNS, TARGETS_PER_SET
from nsd_imagery.sources.matlab import read_variable

_NSD_NAME = re.compile(r"shared[0-9]{4}_nsd([0-9]{5})")


@dataclass(frozen=True)
class Target:
    """One of the 18 targets.

    Attributes:
        name: As in the pair list, without .png.
        cue: Its letter.
        nsd_id: 0-based, None where it is no NSD picture.
    """

    name: str
    cue: str
    nsd_id: int | None

    @property
    def stimulus(self) -> str:
        """The key into `stimuli` and embeddings."""
        return stimulus_key(self.nsd_id, self.name)


def stimulus_key(nsd_id: int | None, target: str) -> str:
    """`nsd28751` (0-based) for an NSD picture, else the target's name."""
    return target if nsd_id is None else f"nsd{nsd_id}"


def nsd_id_of_name(name: str) -> int | None:
    """The 0-based NSD id of a picture's file name, whose number is 1-based; None where it names no NSD picture.

    `shared0385_nsd28752` is 28751; `shared0000_nsd00000`, the artwork, is none.
    """
    match = _NSD_NAME.fullmatch(name)
    number = int(match[1]) if match else 0
    return number - 1 if 0 < number <= N_NSD_PICTURES else None


def shared_number_of_name(name: str) -> int | None:
    """The position of a picture among the shared 1,000, from 1, that its file name gives; None where it gives none."""
    return int(name[6:10]) if nsd_id_of_name(name) is not None else None


def read_targets(path: Path) -> dict[str, Target]:
    """The six targets of a pair list by cue letter, in the order of the list.

    Raises:
        DataError: Not a pair list, or a letter or a name twice.
    """
    pairs = read_variable(path, "pair_list")
    if pairs.shape != (TARGETS_PER_SET, 3) or pairs.dtype != object:
        msg = f"{path}: pair_list is {pairs.shape}, not {TARGETS_PER_SET} x 3 cells"
        raise DataError(msg)
    targets = [
        Target(name.removesuffix(".png"), cue, nsd_id_of_name(name.removesuffix(".png")))
        for name, cue in ((_text(row[1]), _text(row[2])) for row in pairs)
    ]
    by_cue = {target.cue: target for target in targets}
    if len(by_cue) != TARGETS_PER_SET or len({target.name for target in targets}) != TARGETS_PER_SET:
        msg = f"{path}: pair_list names a target or a letter twice, or not at all"
        raise DataError(msg)
    return by_cue


@dataclass(frozen=True, eq=False)
class RunDesign:
    """The onsets of one run, in order of time.

    Attributes:
        seconds: (n_betas,) row of the design matrix, s from the start of the run.
        columns: (n_betas,) design column of each onset, 0-based.
    """

    seconds: NDArray[np.int64]
    columns: NDArray[np.int64]


def read_design(path: Path) -> tuple[RunDesign, ...]:
    """The onsets of the 12 runs, in the order of the cells of `stimulus` (run 1 first).

    Raises:
        DataError: Not 12 cells of (time, 36).
    """
    cells = read_variable(path, "stimulus")
    if cells.dtype != object or cells.size != len(RUNS):
        msg = f"{path}: stimulus has {cells.size} cells, not one for each of {len(RUNS)} runs"
        raise DataError(msg)
    return tuple(_run_design(cell, number, path) for number, cell in enumerate(cells.ravel(), start=1))


def _run_design(cell: Any, number: int, path: Path) -> RunDesign:
    matrix = np.asarray(cell)
    if matrix.ndim != 2 or matrix.shape[1] != N_DESIGN_COLUMNS or matrix.dtype.kind not in "iufb":
        msg = f"{path}: stimulus cell {number} (run {number}) is {matrix.shape}, not (time, {N_DESIGN_COLUMNS})"
        raise DataError(msg)
    seconds, columns = np.nonzero(matrix)
    if (np.diff(seconds) == 0).any():  # they are in rising order
        msg = f"{path}: stimulus cell {number} (run {number}) has two onsets in one second"
        raise DataError(msg)
    return RunDesign(seconds, columns)


def _text(cell: Any) -> str:
    while isinstance(cell, np.ndarray) and cell.size == 1:
        cell = cell.item()
    return str(cell).strip()
