"""The `-voxels` table: where each column of `betas` lies in the volume, and what the atlases call it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.schema import voxels_schema
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import Roi, union


def voxel_tables(rois: Sequence[Roi], maps: Maps) -> list[pa.Table]:
    """The table of each ROI: one row a voxel, in the order of the columns of `betas`. Each map is read once.

    A map of the user's own among the atlases has a column too, if it fits; else `maps.left_out` says why it has none.

    Args:
        rois: ROIs of one subject.
        maps: That they were made from.

    Raises:
        DataError: A map of the release is damaged, or of another grid than the ROIs; see `Maps.try_own`.
    """
    voxels = union(rois)
    table = _table(voxels, rois[0].grid, maps)
    return [_numbered(table.take(pa.array(np.searchsorted(voxels, roi.flat)))) for roi in rois]


def _numbered(table: pa.Table) -> pa.Table:
    field = table.schema.field("column")
    columns = pa.array(np.arange(table.num_rows)).cast(field.type)
    return table.set_column(table.schema.get_field_index("column"), field, columns)


def _table(voxels: FlatIndex, grid: Grid, maps: Maps) -> pa.Table:
    anatomy, ijk = maps.anatomy, grid.ijk(voxels)
    atlases = _atlases(maps, voxels)
    columns: dict[str, pa.Array | NDArray[Any]] = {
        "column": np.arange(voxels.size),
        **dict(zip("ijk", ijk.T, strict=True)),
        **dict(zip("xyz", grid.xyz(ijk).T, strict=True)),
        "hemisphere": _hemispheres(atlases.values(), voxels.size),
        "valid_nsdimagery": _valid(maps, anatomy.valid_nsdimagery, voxels),
        "valid_nsd": _fraction(maps, list(anatomy.valid_nsd.values()), voxels),
        "ncsnr_nsd": _numbers(maps, anatomy.ncsnr_nsd, voxels),
    }
    columns |= {name: atlas.labels for name, atlas in atlases.items()}
    schema = voxels_schema(list(atlases))
    return pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema], schema=schema)


def _valid(maps: Maps, path: Path | None, voxels: FlatIndex) -> pa.Array | NDArray[np.bool_]:
    return pa.nulls(voxels.size) if path is None else maps.labels_at(path, voxels) > 0


def _numbers(maps: Maps, path: Path | None, voxels: FlatIndex) -> pa.Array | NDArray[Any]:
    return pa.nulls(voxels.size) if path is None else maps.numbers_at(path, voxels)


def _fraction(maps: Maps, paths: Sequence[Path], voxels: FlatIndex) -> pa.Array | NDArray[Any]:
    if not paths:
        return pa.nulls(voxels.size)
    return sum((maps.labels_at(path, voxels) > 0).astype(np.float64) for path in paths) / len(paths)


@dataclass(frozen=True, eq=False)
class _Atlas:
    """An atlas at some voxels.

    Attributes:
        labels: (n_voxels,) names of the labels.
        left, right: (n_voxels,) where the hemisphere's own volume has a label; None where there is no such volume.
    """

    labels: pa.Array
    left: NDArray[np.bool_] | None
    right: NDArray[np.bool_] | None


def _atlases(maps: Maps, voxels: FlatIndex) -> dict[str, _Atlas]:
    """All atlases by name, sorted, without those of the user's own that do not fit."""
    files = sorted(maps.anatomy.atlases.items())
    read = {name: maps.try_own(name, path, partial(_atlas, name, maps, voxels)) for name, path in files}
    return {name: atlas for name, atlas in read.items() if atlas is not None}


def _atlas(name: str, maps: Maps, voxels: FlatIndex) -> _Atlas:
    anatomy = maps.anatomy
    labels = _labels(maps.labels_at(anatomy.atlases[name], voxels), maps.label_names(name))
    sides = (
        maps.labels_at(files[name], voxels) > 0 if name in files else None for files in (anatomy.left, anatomy.right)
    )
    return _Atlas(labels, *sides)


def _hemispheres(atlases: Iterable[_Atlas], n_voxels: int) -> pa.Array:
    """Left or right where just one of the two hemispheres' label volumes has a label."""
    left, right = np.zeros((2, n_voxels), np.bool_)
    for atlas in atlases:
        for side, labelled in ((left, atlas.left), (right, atlas.right)):
            if labelled is not None:
                side |= labelled
    return pa.array(np.where(left & ~right, "left", np.where(right & ~left, "right", "")))


def _labels(values: NDArray[Any], names: Mapping[int, str]) -> pa.Array:
    """The name of each voxel's label; its number where no table names it; empty where it has none (0, -1)."""
    numbers, inverse = np.unique(values, return_inverse=True)
    words = [names.get(n, str(n)) if n > 0 else "" for n in numbers.tolist()]
    return pa.array(words, pa.string()).take(pa.array(inverse))
