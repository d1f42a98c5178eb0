"""A masked beta file: the release's HDF5 file at some voxels alone, `betas_nsdimagery.masked.hdf5`.

Dataset `betas` has the shape, type and chunks of the whole file, of which only the chunks of the held voxels are there,
and `voxels` says which these are. HDF5 gives zeros for a chunk that is not there, so nothing is read from such a file
before the voxels that are asked for are held against those that it holds.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.atomic import naming_later, sync_folder
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.volumes.formats import MASKED
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.hdf5_file import unlocked

_VERSION = 1
_AGAIN = "remove it and fetch it again: nsd-imagery download ROOT --subjects subjAA --masked"

_MODIFIED: Final = "source_last_modified"

_WORDS: Final = {"source": "source", "etag": "source_etag", "located": "addresses", "checked": "numbers"}
"""Attributes of the file by those of `Origin`, of those that are one word."""


@dataclass(frozen=True)
class Origin:
    """What a masked file came from.

    Attributes:
        source: Address of the whole file.
        size: Of the whole file, in bytes.
        etag: That the server gave it; "" where it gave none.
        rois: Names of the ROIs whose voxels are held.
        located: How the places of its chunks were known: "predicted+proven" or "walked".
        checked: What the numbers were held against: "meanbeta" or "none".
        modified: When the whole file was put there, as the server says it; "" where it does not.
    """

    source: str
    size: int
    etag: str
    rois: tuple[str, ...]
    located: str
    checked: str
    modified: str = ""


@dataclass(frozen=True, eq=False)
class Held:
    """What a masked file holds.

    Attributes:
        path: The file.
        positions: (n_voxels,) the voxels by their positions in the order of the file, rising.
        digest: xxh3_128 of their numbers, voxel by voxel.
        origin: What it came from.
    """

    path: Path
    positions: NDArray[np.int64]
    digest: str
    origin: Origin

    def flat(self, grid: Grid) -> FlatIndex:
        """The voxels as sorted C-order flat indices."""
        return np.sort(grid.flat_of(self.positions))

    def lacking(self, grid: Grid, voxels: FlatIndex) -> int:
        """How many of some voxels are not held."""
        return int(voxels.size - np.isin(grid.file_order(voxels), self.positions).sum())

    def refuse_others(self, grid: Grid, voxels: FlatIndex) -> None:
        """Stop where some voxels are not held.

        Raises:
            MissingDataError: Says how many, and what fetches them.
        """
        if n_lacking := self.lacking(grid, voxels):
            names = shlex.quote(",".join([*self.origin.rois, "ROI"]))
            again = f"nsd-imagery download ROOT --subjects subjAA --masked --roi {names}"
            raise MissingDataError(f"{self}; {n_lacking:,} voxels more are asked for: fetch their ROI, too: {again}")

    def judging(self, grid: Grid, brain: FlatIndex) -> FlatIndex:
        """The voxels by which a row is told to hold data: those of the brain that are held, else all that are."""
        held = self.flat(grid)
        inside = np.intersect1d(held, brain, assume_unique=True)
        return inside if inside.size else held

    def __str__(self) -> str:
        return f"{self.path}: holds {', '.join(self.origin.rois)} ({self.positions.size:,} voxels)"

    @property
    def note(self) -> str:
        """What rows that are made of it lack, in words, without places."""
        return f"{self.path.name} holds {self.positions.size:,} voxels, by which alone is_valid is judged"


def digest_of(block: NDArray[np.int16]) -> str:
    """xxh3_128 of (n_voxels, n_volumes) numbers as they are stored, voxel by voxel."""
    return xxhash.xxh3_128_hexdigest(np.ascontiguousarray(block, "<i2").data)


def write_masked(
    path: Path, shape: tuple[int, int, int, int], positions: NDArray[np.int64], block: NDArray[np.int16], origin: Origin
) -> None:
    """Write a masked file, which takes the place of another one when it is whole. Its bytes tell no time.

    Args:
        path: Of the file.
        shape: (n_volumes, Z, Y, X) of the whole file.
        positions: (n_voxels,) of the voxels in the order of the file, rising.
        block: (n_voxels, n_volumes) their numbers.
        origin: What they came from.
    """
    assert path.name.endswith(MASKED)
    stored = np.ascontiguousarray(block, "<i2")
    zyx = np.stack(np.unravel_index(positions, shape[1:]), axis=1).tolist()
    with naming_later(path.parent) as (partial, name):
        with unlocked(Path(partial.name), "w") as file:
            betas = file.create_dataset("betas", shape, "<i2", chunks=(shape[0], 1, 1, 1), track_times=False)
            for place, numbers in zip(zyx, stored, strict=True):
                betas.id.write_direct_chunk((0, *place), numbers)
            file.create_dataset("voxels", data=positions.astype("<i8"), track_times=False)
            said = {name: getattr(origin, own) for own, name in _WORDS.items()}
            file.attrs.update({"masked": _VERSION, "source_size": origin.size, "rois": ",".join(origin.rois), **said})
            if origin.modified:
                file.attrs[_MODIFIED] = origin.modified
            file.attrs["xxh3_128"] = digest_of(stored)
        name(path)
    sync_folder(path.parent)


def held_by(dataset: h5py.Dataset, path: Path) -> Held | None:
    """What a masked file holds; None for a whole one, whatever its name.

    Args:
        dataset: Its betas.
        path: The file.

    Raises:
        DataError: It is damaged, or a later version wrote it.
    """
    file = dataset.file
    if "masked" not in file.attrs and "voxels" not in file:
        if path.name.endswith(MASKED):
            raise _damaged(path, "does not say which voxels it holds")
        return None
    version = _number(file, "masked", path)
    if version > _VERSION:
        msg = f"{path}: is of format {version}, of a later version of this package: upgrade nsd-imagery"
        raise DataError(msg)
    positions = _positions(file, dataset, path)
    words = {own: _word(file, name, path) for own, name in _WORDS.items()}
    rois = tuple(_word(file, "rois", path).split(","))
    modified = _word(file, _MODIFIED, path) if _MODIFIED in file.attrs else ""
    origin = Origin(size=_number(file, "source_size", path), rois=rois, modified=modified, **words)
    return Held(path, positions, _word(file, "xxh3_128", path), origin)


def block_of(dataset: h5py.Dataset, held: Held) -> NDArray[np.int16]:
    """(n_voxels, n_volumes) all numbers of a masked file, voxel by voxel, proven by its digest.

    Raises:
        DataError: They are not those that were written.
    """
    block = np.empty((held.positions.size, dataset.shape[0]), "<i2")
    zyx = np.stack(np.unravel_index(held.positions, dataset.shape[1:]), axis=1).tolist()
    for place, numbers in zip(zyx, block, strict=True):
        dataset.id.read_direct_chunk((0, *place), out=numbers.data.cast("B"))
    if digest_of(block) != held.digest:
        raise _damaged(held.path, "holds other numbers than were written")
    return block


def _positions(file: h5py.File, dataset: h5py.Dataset, path: Path) -> NDArray[np.int64]:
    """The voxels, each of which must have its chunk, and no other one."""
    n_volumes, *zyx = dataset.shape
    voxels = file.get("voxels")
    if not isinstance(voxels, h5py.Dataset) or voxels.ndim != 1 or voxels.dtype != np.dtype("<i8") or not voxels.size:
        raise _damaged(path, "does not say which voxels it holds")
    if voxels.size > np.prod(zyx) or voxels.size * n_volumes * 2 > path.stat().st_size:
        raise _damaged(path, "says that it holds more than it can")
    if dataset.dtype != np.dtype("<i2") or dataset.chunks != (n_volumes, 1, 1, 1):
        raise _damaged(path, "has not the chunks of a beta file")
    positions = voxels[:]
    if positions[0] < 0 or positions[-1] >= np.prod(zyx) or (positions[1:] <= positions[:-1]).any():
        raise _damaged(path, "names voxels in no order, or outside its grid")
    if not np.array_equal(np.sort(_written(dataset)), positions):
        raise _damaged(path, "lacks voxels that it says it holds, or has others")
    return positions


def _written(dataset: h5py.Dataset) -> NDArray[np.int64]:
    """The positions of the chunks that are there."""
    _, _, y, x = dataset.shape
    found: list[tuple[int, ...]] = []
    dataset.id.chunk_iter(lambda chunk: found.append(chunk.chunk_offset))
    offsets = np.array(found, np.int64).reshape(-1, 4)
    return offsets[:, 3] + x * (offsets[:, 2] + y * offsets[:, 1])


def _word(file: h5py.File, name: str, path: Path) -> str:
    value: Any = file.attrs.get(name)
    if not isinstance(value, str):
        raise _damaged(path, f"does not say its {name!r}")
    return value


def _number(file: h5py.File, name: str, path: Path) -> int:
    value: Any = file.attrs.get(name)
    if not isinstance(value, np.integer) or value < 0:
        raise _damaged(path, f"does not say its {name!r}")
    return int(value)


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path}: is a damaged masked file: it {what}: {_AGAIN}")
