"""One pass over a beta file, whatever its format."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.identity import identity
from nsd_imagery.links import without_content
from nsd_imagery.progress import ShareProgress, unwatched
from nsd_imagery.volumes import hdf5, nifti
from nsd_imagery.volumes.betas import BetaHeader, Betas, without_nan
from nsd_imagery.volumes.formats import other_formats
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.labels import read_labels
from nsd_imagery.volumes.masked import Held
from nsd_imagery.volumes.roi import Roi

_MASKS = 4
"""Masks that stay in memory, some 2 MB each: the brain of a subject or two, and where their sessions have data."""

_SAMPLE_STEP = 1000
"""One voxel in so many shows that a row holds data; only rows where none of them does need the whole brain."""


_MOST_OUTSIDE = 0.5
"""Share of a ROI that may lie outside the brain."""


def read_header(path: Path) -> BetaHeader:
    """The header of a beta file (.hdf5, .nii or .nii.gz).

    Raises:
        DataError: The file is not what its name says, or damaged.
    """
    with _naming_a_sound_one(path):
        return _format(path).read_header(path)


def read_betas(
    path: Path, grid: Grid, voxels: FlatIndex, brain: FlatIndex | None, progress: ShareProgress = unwatched
) -> Betas:
    """Read some voxels of all volumes, in memory of the result plus one volume.

    Args:
        path: A .hdf5, .nii or .nii.gz beta file.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.
        brain: C-order flat indices by which a row is told to hold data; None for the whole volume.
        progress: Called as the file is read.

    Raises:
        MissingDataError: It is a masked file, which does not hold all of the voxels.
        DataError: The file is damaged, or of another grid.
    """
    with _naming_a_sound_one(path, grid):
        return _format(path).read_betas(path, grid, voxels, brain, progress)


def read_held(path: Path) -> tuple[Held, NDArray[np.int16]] | None:
    """What a masked file holds, and (n_voxels, n_volumes) all its numbers, proven by its digest; None of a whole file.

    Raises:
        DataError: The file is damaged.
    """
    return None if nifti.is_nifti(path) else hdf5.read_held(path)


def bytes_to_unpack(path: Path, grid: Grid, voxels: FlatIndex) -> int:
    """Bytes of betas that reading some voxels goes through: by the layout of the file, all of them or few more.

    Args:
        path: A .hdf5, .nii or .nii.gz beta file.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.

    Raises:
        DataError: The file is damaged, or of another grid.
    """
    with _naming_a_sound_one(path, grid):
        return _format(path).bytes_to_unpack(path, grid, voxels)


def read_sample(path: Path, grid: Grid, voxels: FlatIndex) -> tuple[BetaHeader, NDArray[Any]]:
    """The header and a few betas: of some of the voxels (.hdf5) or of the first volume (.nii, .nii.gz).

    Args:
        path: A beta file.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.

    Returns:
        The header, and (n_volumes, n_voxels) numbers as stored, NaN as 0; both may be fewer than were asked for.

    Raises:
        DataError: The file is damaged, or of another grid.
    """
    with _naming_a_sound_one(path, grid):
        header, stored = _format(path).read_sample(path, grid, voxels)
    return header, without_nan(stored, path)


def brain_voxels(mask: Path | None) -> FlatIndex | None:
    """C-order flat indices of a brain mask; None where there is none, and the whole volume counts.

    Raises:
        DataError: The mask is damaged, or empty.
    """
    return None if mask is None else _brain(mask)[0]


def inside_voxels(mask: Path) -> tuple[FlatIndex, Grid]:
    """C-order flat indices of the voxels above 0, not to be changed, and the grid; a file is read once a process.

    Raises:
        DataError: The mask is damaged.
    """
    return _inside(mask, *identity(mask))


def check_in_brain(rois: Iterable[Roi], mask: Path | None) -> None:
    """Refuse ROIs of which most lies outside the brain: masks of another subject, or turned, and not an edge's voxels.

    NSD does not say that its ROIs lie wholly inside its brain masks, and they are made from surfaces: a few voxels may
    lie outside. There the betas are 0, and so are the columns.

    Args:
        rois: Of one subject.
        mask: The subject's brain mask; None where there is none, and nothing is refused.

    Raises:
        DataError: More than half of a ROI lies outside, or the mask is damaged, empty or of another grid.
    """
    if mask is None:
        return
    brain, grid = _brain(mask)
    for roi in rois:
        files = " and ".join(map(str, roi.files))
        grid.check_same(roi.grid, str(mask), files)
        outside = roi.flat.size - np.isin(roi.flat, brain).sum()
        if outside > roi.flat.size * _MOST_OUTSIDE:
            msg = (
                f"{mask}: {outside} of the {roi.flat.size} voxels of ROI {roi.plain_name} ({files}) lie outside this "
                "brain mask: one of the files is of another subject, or turned: copy them again"
            )
            raise DataError(msg)


def _brain(mask: Path) -> tuple[FlatIndex, Grid]:
    inside, grid = inside_voxels(mask)
    if not inside.size:
        msg = f"{mask}: the brain mask has no voxel above 0: copy the file again"
        raise DataError(msg)
    return inside, grid


def rows_with_data(path: Path, brain: Path | None) -> NDArray[np.bool_]:
    """(n_volumes,) False where every voxel of the brain is 0 or NaN, of a masked file every one that it holds.

    Args:
        path: A beta file.
        brain: The brain mask; None for the whole volume.

    Raises:
        DataError: A file is damaged, the brain mask is empty, or the two are of different grids.
    """
    if brain is None:
        grid, inside = read_header(path).grid, None
    else:
        inside, grid = _brain(brain)
    sample = (np.arange(grid.n_voxels) if inside is None else inside)[::_SAMPLE_STEP]
    held = read_header(path).held
    return read_betas(path, grid, sample if held is None else held.flat(grid)[::_SAMPLE_STEP], inside).is_valid


@lru_cache(_MASKS)
def _inside(mask: Path, *_identity: int) -> tuple[FlatIndex, Grid]:
    labels, grid = read_labels(mask)
    flat = np.flatnonzero(labels > 0)
    flat.flags.writeable = False
    return flat, grid


@contextmanager
def _naming_a_sound_one(path: Path, grid: Grid | None = None) -> Iterator[None]:
    """Where a beta file turns out to be damaged, name the same betas in another format, if they lie beside it, whole.

    They are read to the end for that. An error that is about another grid than the mask's is of no damage.
    """
    try:
        yield
    except DataError as error:
        beside = next((other for other in other_formats(path) if _is_whole(other, grid)), None)
        if beside is None:
            raise
        msg = f"{error}; or use {beside.name} beside it, which is sound"
        raise DataError(msg) from error


def _is_whole(path: Path, grid: Grid | None) -> bool:
    if not path.is_file() or without_content(path):
        return False
    reader = _format(path)
    try:
        header = reader.read_header(path)
        if grid is not None:
            header.grid.check_same(grid, str(path), "the mask")
        reader.read_betas(path, header.grid, np.arange(1), np.arange(1), unwatched)
    except (DataError, OSError):
        return False
    return True


def _format(path: Path):
    if path.name.endswith((".hdf5", ".h5")):
        return hdf5
    if nifti.is_nifti(path):
        return nifti
    msg = f"{path}: betas are read from .hdf5, .nii or .nii.gz"
    raise DataError(msg)
