"""The release's map of means, which lies beside a beta file, as a checksum of every voxel that was read.

The map is float32: the mean of each voxel over all trials of the session, in the numbers that the beta file stores. It
sees what changes a voxel: damage, chunks in another order, other axes, betas of another subject or version. It cannot
see the order of trials: rows that are shifted or exchanged have the same means.
"""

from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.betas import LARGEST, Betas, Scaling
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.nifti import is_nifti, read_volume

Verdict = Literal["fits", "wrong", "undecided", "unusable", "not asked"]

_NEAR = 0.01, 1e-5
"""How far a map may be from the means, in stored units, and how much further for each unit of the mean."""

_FLOAT32 = 2.0**-22
"""Share of a mean that float32 rounds off in a map that is exact: two steps at most."""

_MOST = 0.5
"""Share of the voxels by which a map is of a file. Means of other numbers are exact by chance in one voxel of some
hundreds, so half of them never are; and a file is seldom damaged in more than half of its voxels."""

_ROUNDED = 1.0
"""Stored units that the numbers of another export may be off, root mean square, when their scale is taken out. Rounding
of trials or of a map leaves a third of a unit; another estimate of the same trials differs by part of the standard
error of a mean, which is 20 units in the release (sd 1.9 percent signal change x 300, 720 trials)."""

_ROUNDED_SHARE = 0.01
"""The same by what the means differ from voxel to voxel: means that are all alike are like anything."""

_ELSEWHERE = 0.9
"""Share of the means that the map has at some voxel, if the voxels are in another order. Of other numbers up to half
are there by chance, because so many voxels of a brain have a mean near 0."""

_ALIKE = 0.5
"""Correlation with the map of another beta version, at least; other subjects have no voxels in common."""

_FEWEST = 10
"""Voxels with data by which one can tell why a map does not fit."""


@dataclass(frozen=True)
class MeanMap:
    """What the map of means says of the betas beside it.

    Attributes:
        verdict: "fits"; "wrong": these are not the betas that the map was made of; "undecided": the map is of another
            export, or one cannot tell; "unusable": it is damaged, or of another grid; "not asked": the betas are not
            stored as the release stores them, or hold nothing.
        said: Why, in a sentence with the places of the files.
        note: Of betas that were not held against a map that is there: the same without places, for a dataset; else "".
    """

    verdict: Verdict
    said: str
    note: str = ""


def hold_against_means(
    path: Path, beta_path: Path, betas: Betas, grid: Grid, voxels: FlatIndex, *, certain: bool = True
) -> MeanMap:
    """Hold the mean of each voxel over all volumes against the map of means.

    A voxel fits within 0.01 + 1e-5 |mean|, in stored units. Where most of them are exact, to the last digits of
    float32, the map was made of just these numbers, and all must be: then a voxel is seen in which one number is off
    by one. A file in which most voxels are exact and some are not is damaged; one in which few are is another.

    Args:
        path: The map.
        beta_path: The beta file.
        betas: Read from it, before anything is done to them.
        grid: The masks' grid.
        voxels: (n_voxels,) C-order flat indices of the columns of `betas`.
        certain: Whether the map is known to be of the stored numbers; one of which that is only likely, and that fits
            nowhere, proves nothing.
    """
    dtype, scaling = betas.header.dtype, betas.header.scaling
    if dtype != np.int16 or scaling != Scaling.of(dtype):
        form = dtype.name if scaling == Scaling.of(dtype) else f"{dtype.name} with a scaling"
        return MeanMap("not asked", f"{beta_path}: holds {form}; {path.name} is of int16 without one")
    try:
        volume, own = read_volume(path)
        own.check_same(grid, str(path), "the mask")
    except (DataError, OSError) as error:
        note = f"{path.name} is damaged or of another grid: the betas were not held against it"
        return MeanMap("unusable", str(error), note)
    pair = _Pair.of(volume, betas, voxels)
    if not pair.voxels.size:
        return MeanMap("not asked", f"{beta_path}: no voxel holds data")
    found = _judged(pair, path, beta_path)
    if found is None and not certain:
        what = "is not of these betas as they are stored"
        return MeanMap("undecided", f"{path}: {what}", f"{path.name} {what}, which were not held against it")
    return found or _of_others(pair, path, beta_path)


@dataclass(frozen=True, eq=False)
class _Pair:
    """A map and a beta file, at the voxels in which one of them holds data.

    Attributes:
        volume: (x, y, z) the map.
        voxels: (n_voxels,) C-order flat indices.
        totals: (n_voxels,) sums over all volumes of the beta file.
        n_volumes: How many.
    """

    volume: NDArray[Any]
    voxels: FlatIndex
    totals: NDArray[np.int64]
    n_volumes: int

    @classmethod
    def of(cls, volume: NDArray[Any], betas: Betas, voxels: FlatIndex) -> "_Pair":
        totals = betas.stored.sum(axis=0, dtype=np.int64)
        has_data = (totals != 0) | (_at(volume, voxels) != 0)
        return cls(volume, voxels[has_data], totals[has_data], len(betas.stored))

    @property
    def means(self) -> NDArray[np.float64]:
        """(n_voxels,) of the beta file."""
        return self.totals / self.n_volumes

    @property
    def mapped(self) -> NDArray[np.float64]:
        """(n_voxels,) of the map."""
        return _at(self.volume, self.voxels)

    def exact(self, mapped: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(n_voxels,) where a map has the means as float32 holds them."""
        means = self.means
        return np.abs(mapped - means) < 0.5 / self.n_volumes + _FLOAT32 * np.abs(means)

    def is_exact(self, exact: NDArray[np.bool_]) -> bool:
        """Whether a map is of just these numbers; voxels of 0 were never written, and do not say so."""
        held = self.totals != 0
        return int(exact[held].sum()) >= _MOST * int(held.sum()) > 0


def _judged(pair: _Pair, path: Path, beta_path: Path) -> MeanMap | None:
    """The verdict; None if the map is not of these numbers, in whatever form or order."""
    means, mapped, n_voxels = pair.means, pair.mapped, pair.voxels.size
    exact = pair.exact(mapped)
    is_exact = pair.is_exact(exact)
    off = ~exact if is_exact else np.abs(mapped - means) > _NEAR[0] + _NEAR[1] * np.abs(means)
    if not off.any():
        how = f"the mean over {pair.n_volumes} volumes is that of {path.name} in each of {n_voxels:,} voxels with data"
        return MeanMap("fits", f"{beta_path.name}: {how}, so its axes are those of the map")
    if is_exact:
        first = int(off.argmax())
        ijk = [int(at) for at in np.unravel_index(pair.voxels[first], pair.volume.shape)]
        what = f"the mean is another than {path.name} says in {int(off.sum()):,} of {n_voxels:,} voxels"
        where = f"the first is {ijk}, {means[first]:.4f} and not {mapped[first]:.4f}"
        return MeanMap("wrong", f"{beta_path}: {what}; {where}: copy the file again")
    return _misfit(pair, path, beta_path)


def _misfit(pair: _Pair, path: Path, beta_path: Path) -> MeanMap | None:
    """Why most voxels do not fit a map that is of these numbers, or may be; else None."""
    if pair.voxels.size < _FEWEST:
        what = f"does not fit, and {pair.voxels.size} voxels with data are too few to tell why"
        return MeanMap("undecided", f"{path}: {what}", f"{path.name} {what}")
    if names := _other_axes(pair):
        found, read = _written(names, beta_path), _written(("x", "y", "z"), beta_path)
        what = f"the voxels fit {path.name} if the axes are {found}, not if they are {read}"
        return MeanMap("wrong", f"{beta_path}: {what}: copy the release's file again; if this is it, report its axes")
    slope, rest = _line(pair)
    if slope > 0 and rest <= min(_ROUNDED, _ROUNDED_SHARE * float(pair.means.std())):
        what = "is of another export of these betas"
        how = f"its numbers x {slope:.6g} differ from the means by {rest:.2g} (root mean square)"
        return MeanMap("undecided", f"{path}: {what}: {how}", f"{path.name} {what}, which were not held against it")
    everywhere = _at(pair.volume, np.arange(pair.volume.size))
    if np.isin(pair.totals, np.rint(everywhere * pair.n_volumes)).mean() >= _ELSEWHERE:
        what = f"the means of {path.name} are there, but at other voxels: the voxels are in another order"
        return MeanMap("wrong", f"{beta_path}: {what}; copy the file again")
    return None


def _other_axes(pair: _Pair) -> tuple[str, ...]:
    """The axes that the three of the volume really are, if most voxels fit so; none of other shapes, which tell it."""
    shape = pair.volume.shape
    turns = product(permutations(range(3)), product((1, -1), repeat=3))
    for order, steps in turns:
        turned = pair.volume.transpose(order)[tuple(slice(None, None, step) for step in steps)]
        if turned.shape == shape and pair.is_exact(pair.exact(_at(turned, pair.voxels))):
            return tuple(("-" if step < 0 else "") + "xyz"[axis] for axis, step in zip(order, steps, strict=True))
    return ()


def _written(names: tuple[str, ...], beta_path: Path) -> str:
    """The axes of a volume as a beta file has them: h5py shows those of HDF5 the other way round."""
    return f"({', '.join(names)}, trial)" if is_nifti(beta_path) else f"betas[trial, {', '.join(names[::-1])}]"


def _line(pair: _Pair) -> tuple[float, float]:
    """The slope of the line from the map to the means, and what it leaves of the means, root mean square."""
    means, mapped = (values - values.mean() for values in (pair.means, pair.mapped))
    slope = float(means @ mapped / max(mapped @ mapped, np.finfo(np.float64).tiny))
    return slope, float(np.sqrt(np.square(means - slope * mapped).mean()))


def _of_others(pair: _Pair, path: Path, beta_path: Path) -> MeanMap:
    """The verdict on numbers that are not those of the map."""
    varies = pair.means.std() > 0 and pair.mapped.std() > 0
    alike = float(np.corrcoef(pair.means, pair.mapped)[0, 1]) if varies else 0.0
    who = "another beta version, or of another session" if alike >= _ALIKE else "another subject, or damaged all over"
    return MeanMap(
        "wrong",
        f"{beta_path}: the means of its voxels are not those of {path.name}: one of the two is of {who} (correlation "
        f"{alike:.2g} in {pair.voxels.size:,} voxels); copy both again from one folder, or take the map away to go on "
        "without it",
    )


def _at(volume: NDArray[Any], voxels: FlatIndex) -> NDArray[np.float64]:
    """(n_voxels,) values of a map at C-order flat indices; 0 where they are no numbers: a voxel without data."""
    values = volume[np.unravel_index(voxels, volume.shape)]
    with np.errstate(invalid="ignore"):  # a NaN that says so when it is looked at is a NaN
        return np.where(np.abs(values) <= LARGEST, values, 0).astype(np.float64)
