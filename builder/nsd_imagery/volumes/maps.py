"""A subject's label volumes, masks and maps, all on one grid, and the names of the labels; each file is read once."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.volumes.anatomy import Anatomy, read_label_table
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.nifti import read_volume


class Maps:
    """The one reader of a subject's volumes.

    Volumes that ROIs are made of stay in memory, whole: there are few. Of all others only the values asked for do,
    because a subject has some forty label volumes and as many maps of its sessions.

    Attributes:
        anatomy: Where the files are.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._whole: dict[Path, NDArray[Any]] = {}
        self._first: tuple[Grid, Path] | None = None
        self._label_table = cache(read_label_table)

    @property
    def grid(self) -> Grid:
        """That of all volumes, as the first one says that was read."""
        assert self._first is not None
        return self._first[0]

    def whole(self, path: Path) -> NDArray[Any]:
        """The values of a volume, which stay here.

        Raises:
            DataError: It is damaged, or of another grid than the others.
        """
        if path not in self._whole:
            self._whole[path] = _compact(self._read(path))
        return self._whole[path]

    def at(self, path: Path, voxels: FlatIndex) -> NDArray[Any]:
        """(n_voxels,) values of a volume at C-order flat indices, which do not stay here.

        Raises:
            DataError: It is damaged, or of another grid than the others.
        """
        values = self._whole[path] if path in self._whole else self._read(path)
        return values[np.unravel_index(voxels, values.shape)]

    def label_names(self, atlas: str) -> Mapping[int, str]:
        """Label number to name; empty for an atlas without a table.

        Raises:
            DataError: The table is damaged.
        """
        table = self.anatomy.label_tables.get(atlas)
        return self._label_table(table) if table else {}

    def _read(self, path: Path) -> NDArray[Any]:
        values, grid = read_volume(path)
        first, first_path = self._first = self._first or (grid, path)
        grid.check_same(first, str(path), str(first_path))
        return values


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in two bytes each where they are small whole ones, as labels are, whatever their file holds."""
    with np.errstate(invalid="ignore"):
        small = values.astype(np.int16)
    return small if np.array_equal(small, values) else values
