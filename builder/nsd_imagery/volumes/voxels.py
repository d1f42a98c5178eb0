"""The `-voxels` table: where each column of `betas` lies in the volume, and what the atlases call it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.schema import voxels_schema
from nsd_imagery.volumes.anatomy import Anatomy, read_label_table
from nsd_imagery.volumes.nifti import read_volume
from nsd_imagery.volumes.roi import Roi


def voxel_table(roi: Roi, anatomy: Anatomy) -> pa.Table:
    """One row a voxel of `roi`, in the order of the columns of `betas`.

    Raises:
        DataError: A map is damaged, or of another grid than the ROI.
    """
    maps = _Maps(roi)
    ijk = roi.grid.ijk(roi.flat)
    assert roi.grid.affine is not None
    xyz = ijk @ roi.grid.affine[:3, :3].T + roi.grid.affine[:3, 3]
    columns: dict[str, pa.Array | NDArray[Any]] = {
        "column": np.arange(roi.flat.size),
        **dict(zip("ijk", ijk.T, strict=True)),
        **dict(zip("xyz", xyz.T, strict=True)),
        "hemisphere": _hemispheres(maps, anatomy),
        "valid_nsdimagery": maps.optional(anatomy.valid_nsdimagery, lambda values: values > 0),
        "valid_nsd": _fraction(maps, list(anatomy.valid_nsd.values())),
        "ncsnr_nsd": maps.optional(anatomy.ncsnr_nsd),
    }
    for atlas in sorted(anatomy.atlases):
        columns[atlas] = _labels(maps.at(anatomy.atlases[atlas]), anatomy.label_tables.get(atlas))
    schema = voxels_schema(sorted(anatomy.atlases))
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


class _Maps:
    """Volumes of a subject at the voxels of a ROI."""

    def __init__(self, roi: Roi) -> None:
        self.roi = roi
        self._ijk = np.unravel_index(roi.flat, roi.grid.shape)

    def at(self, path: Path) -> NDArray[Any]:
        """(n_voxels,) values of a map."""
        values, grid = read_volume(path)
        grid.check_same(self.roi.grid, str(path), str(self.roi.files[0]))
        return values[self._ijk]

    def optional(
        self, path: Path | None, of: Callable[[NDArray[Any]], NDArray[Any]] = lambda values: values
    ) -> pa.Array | NDArray[Any]:
        return pa.nulls(self.roi.flat.size) if path is None else of(self.at(path))


def _fraction(maps: _Maps, paths: Sequence[Path]) -> pa.Array | NDArray[Any]:
    if not paths:
        return pa.nulls(maps.roi.flat.size)
    return sum((maps.at(path) > 0).astype(np.float64) for path in paths) / len(paths)


def _hemispheres(maps: _Maps, anatomy: Anatomy) -> pa.Array:
    """Left or right where just one of the two hemispheres' label volumes has a label."""
    sides = [
        np.logical_or.reduce(
            [maps.at(path) > 0 for path in _first(files, anatomy)] or [np.zeros(maps.roi.flat.size, bool)]
        )
        for files in (anatomy.left, anatomy.right)
    ]
    left, right = sides
    return pa.array(np.where(left & ~right, "left", np.where(right & ~left, "right", "")))


def _first(files: Mapping[str, Path], anatomy: Anatomy) -> list[Path]:
    return [files[name] for name in sorted(anatomy.atlases) if name in files]


def _labels(values: NDArray[Any], table: Path | None) -> pa.Array:
    """The name of each voxel's label; its number where no table names it; empty where it has none (0, -1)."""
    names = read_label_table(table) if table else {}
    numbers, inverse = np.unique(values, return_inverse=True)
    words = [names.get(int(n), f"{n:g}") if n > 0 else "" for n in numbers.tolist()]
    return pa.array(words, pa.string()).take(pa.array(inverse))
