"""Whether numbers can be percent signal change: a unit that a file lost when it was saved again shows in them alone."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.betas import BetaHeader
from nsd_imagery.volumes.formats import beta_stem

_USUAL: Final = 1.2
"""Mean |beta|, percent signal change: 0.99 to 1.69 by run in subj01's nsdgeneral, with a standard deviation of 1.9."""

_LIKELY: Final = (0.03, 30.0)
"""Mean |beta| of a session over many voxels: forty and twenty-five times further out than any run of subj01 has it.
Percent x 300 are hundreds, percent that are divided by 300 once more 0.004, and fractions of the signal 0.012."""

_POSSIBLE: Final = (0.01, 100.0)
"""Of few voxels or trials. The release cannot hold more than 32767 / 300 = 109 (it saturates), and has steps of 0.0033;
one voxel at the rim of the brain or in a vein may come near the upper one."""

_MANY_VOXELS = 100
_ENOUGH = 1 << 18
"""Numbers that are looked at, of all voxels: few rows of many voxels, so that it takes no time."""

_FEWEST_ROWS = 16

_SCALES: Final = {300.0: "percent signal change x 300", 1.0: "percent signal change", 0.01: "fractions, not percent"}
"""What people save, by the `beta_scale` that says so."""

_SURE: Final = (0.15, 10.0)
"""Mean |beta| by which one of them is taken to be the right one."""


def refuse_unlikely_scale(path: Path, stored: NDArray[Any], header: BetaHeader, *, sampled: bool = False) -> None:
    """Refuse numbers that cannot be percent signal change; see `scale_fault`.

    Raises:
        DataError: They cannot be; says which `beta_scale` would make them so.
    """
    fault = scale_fault(path, stored, header, sampled=sampled)
    if fault is not None:
        msg = f"{path}: {fault}"
        raise DataError(msg)


def scale_fault(path: Path, stored: NDArray[Any], header: BetaHeader, *, sampled: bool = False) -> str | None:
    """Why numbers cannot be percent signal change, and what to do; None where they can be, or where all are 0.

    Args:
        path: The beta file.
        stored: (n_volumes, n_voxels) as stored, without NaN.
        header: Of the file, with the scaling that is to be judged.
        sampled: Whether these are not all volumes and voxels that will be read.
    """
    size = mean_size(stored, header)
    low, high = _LIKELY if stored.shape[1] >= _MANY_VOXELS and not sampled else _POSSIBLE
    if size is None or low <= size <= high:
        return None
    scale, kind = _suggested(size * header.scaling.divisor)
    place = f'column of a trial manifest, or {{"beta_scale": {scale:g}}} in {beta_scale_file(path).name} beside it'
    return (
        f"mean |beta| is {size:.3g} percent signal change, which in NSD is about 1; set beta_scale to {scale:g} "
        f"({place}) if its {header.dtype.name} are {kind}"
    )


def mean_size(stored: NDArray[Any], header: BetaHeader) -> float | None:
    """Mean |beta|, percent signal change, of numbers that are not 0 (no data), from enough rows; None where all are."""
    n_rows = max(_FEWEST_ROWS, _ENOUGH // max(stored.shape[1], 1))
    some = stored[:: max(1, len(stored) // n_rows)]
    held = some[some != 0]
    return float(np.abs(header.scaling.percent(held)).mean()) if held.size else None


def beta_scale_file(path: Path) -> Path:
    """Where a release tree may say the `beta_scale` of a beta file: the file's name with .json."""
    return path.with_name(f"{beta_stem(path)}.json")


def _suggested(size: float) -> tuple[float, str]:
    """The `beta_scale` of a file whose mean |number|, scaled as its header says, is `size`, and what that means."""
    scale = min(_SCALES, key=lambda known: abs(math.log(size / known / _USUAL)))
    if _SURE[0] <= size / scale <= _SURE[1]:
        return scale, _SCALES[scale]
    scale = float(f"{size / _USUAL:.1g}")
    return scale, f"percent x {scale:g} or so"
