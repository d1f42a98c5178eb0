"""A subject's label volumes, masks and maps, all on one grid, and the names of the labels; each file is read once."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.volumes.anatomy import Anatomy, read_label_table
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.labels import read_labels
from nsd_imagery.volumes.nifti import read_header, read_volume


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
        """That of the volumes read so far: the subject's own."""
        assert self._first is not None
        return self._first[0]

    def labels(self, path: Path) -> NDArray[Any]:
        """(x, y, z) whole numbers of a volume, which stay here.

        Raises:
            DataError: It is damaged, of no labels, or of another grid than the others.
        """
        if path not in self._whole:
            values, grid = read_labels(path)
            self._check(path, grid)
            self._whole[path] = values
        return self._whole[path]

    def labels_at(self, path: Path, voxels: FlatIndex) -> NDArray[Any]:
        """(n_voxels,) whole numbers of a volume at C-order flat indices, which do not stay here.

        Raises:
            DataError: It is damaged, of no labels, or of another grid than the others.
        """
        if path in self._whole:
            return self._whole[path].reshape(-1)[voxels]
        values, grid = read_labels(path)
        self._check(path, grid)
        return values[np.unravel_index(voxels, values.shape)]

    def numbers_at(self, path: Path, voxels: FlatIndex) -> NDArray[Any]:
        """(n_voxels,) numbers of a volume, as its file has them; see `labels_at`.

        Raises:
            DataError: It is damaged, or of another grid than the others.
        """
        values, grid = read_volume(path)
        self._check(path, grid)
        return values[np.unravel_index(voxels, values.shape)]

    def label_names(self, atlas: str) -> Mapping[int, str]:
        """Label number to name; empty for an atlas without a table.

        Raises:
            DataError: The table is damaged.
        """
        table = self.anatomy.label_tables.get(atlas)
        return self._label_table(table) if table else {}

    def _check(self, path: Path, grid: Grid) -> None:
        """A user's own mask does not say where the subject's voxels are, even if it is read first."""
        if self._first is None:
            own = next(iter(self.anatomy.volumes), path)
            self._first = (grid if own == path else read_header(own).grid), own
        first, first_path = self._first
        grid.check_same(first, str(path), str(first_path))
