"""A subject's label volumes, masks and maps, all on one grid, and the names of the labels; each file is read once."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.volumes.anatomy import RELEASE_ATLASES, Anatomy, read_label_table
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.labels import read_labels
from nsd_imagery.volumes.nifti import read_header, read_volume

_Read = TypeVar("_Read")


class Maps:
    """The one reader of a subject's volumes.

    Volumes that ROIs are made of stay in memory, whole: there are few. Of all others only the values asked for do,
    because a subject has some forty label volumes and as many maps of its sessions.

    Attributes:
        anatomy: Where the files are.
        left_out: Files of the user's own that do not fit, by name, and why; see `try_own`.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = anatomy
        self._whole: dict[Path, NDArray[Any]] = {}
        self._first: tuple[Grid, Path] | None = None
        self._label_table = cache(read_label_table)
        self.left_out: dict[str, str] = {}

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

    def try_own(self, atlas: str, path: Path, read: Callable[[], _Read]) -> _Read | None:
        """What reading an atlas gives; None, noted in `left_out`, for one that is only its user's own and does not fit.

        The release's own atlases must be sound wherever they are there, and so must any other that a ROI was made of,
        because somebody asked for it. A map that its user keeps beside them (of another grid, 4-D, RGB, damaged) was
        asked for by nobody.

        Args:
            atlas: The name of the atlas.
            path: Its volume or its label table.
            read: Reads that, and whatever goes with it.

        Raises:
            DataError, MissingDataError, OSError: What `read` raises of an atlas that must be sound.
        """
        try:
            return read()
        except (DataError, MissingDataError, OSError) as error:
            if atlas in RELEASE_ATLASES or path in self._whole:
                raise
            self.left_out[path.name] = self._why(error, path)
            return None

    def _why(self, error: Exception, path: Path) -> str:
        """What an error says of a file, without folders: no path of a root goes into a dataset."""
        why = getattr(error, "strerror", None) or str(error)
        anatomy, first = self.anatomy, [self._first[1]] if self._first else []
        places = {file.parent for file in (path, *first, *anatomy.atlases.values(), *anatomy.label_tables.values())}
        for place in sorted(places, key=lambda place: len(place.parts), reverse=True):  # the innermost first
            why = why.replace(f"{place}{os.sep}", "")
        return why.removeprefix(f"{path.name}: ")

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on each file that was left out."""
        subject = self.anatomy.subject
        return tuple(f"{subject}: {name} is left out ({why})" for name, why in self.left_out.items())

    def label_names(self, atlas: str) -> Mapping[int, str]:
        """Label number to name; empty for an atlas without a table.

        Raises:
            DataError: The table is damaged.
        """
        table = self.anatomy.label_tables.get(atlas)
        return self._label_table(table) if table else {}

    def sound_label_names(self, atlas: str) -> Mapping[int, str]:
        """The same, and empty for an atlas of the user's own whose table is damaged; see `try_own`."""
        table = self.anatomy.label_tables.get(atlas)
        return {} if table is None else self.try_own(atlas, table, lambda: self._label_table(table)) or {}

    def _check(self, path: Path, grid: Grid) -> None:
        """A user's own mask does not say where the subject's voxels are, even if it is read first."""
        if self._first is None:
            own = next(iter(self.anatomy.volumes), path)
            self._first = (grid if own == path else read_header(own).grid), own
        first, first_path = self._first
        grid.check_same(first, str(path), str(first_path))
