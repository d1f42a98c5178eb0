"""Writers of what both layouts hold. A file that holds what it should is left alone, any other replaced as a whole."""

import gzip
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import h5py
import numpy as np
from isal import igzip
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from nsd_imagery.atomic import naming_later, remove_partial
from nsd_imagery.experiment import N_NSD_PICTURES
from nsd_imagery.synthetic.atlas import label_table
from nsd_imagery.synthetic.brain import Brain
from nsd_imagery.synthetic.pictures import SIDE, nsd_picture
from nsd_imagery.volumes.hdf5_file import unlocked

_LITTLE_INT16 = np.dtype("<i2")
_LITTLE_FLOAT32 = np.dtype("<f4")
_BLOCK = 1 << 20


@contextmanager
def beside(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which takes the place of `path` when the block ends without an error.

    Where `path` holds the same bytes already, it stays the file that it is. Nothing is synced: it can be made again.
    """
    with naming_later(path.parent, synced=False) as (file, name):
        yield file
        file.flush()
        if not _same_bytes(Path(file.name), path):
            name(path)


def remove_leftovers(root: Path) -> None:
    """Remove what killed runs left half-written in a synthetic tree."""
    for folder, _, _ in os.walk(root):
        remove_partial(Path(folder))


def _same_bytes(path: Path, other: Path) -> bool:
    if not other.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    with path.open("rb") as one, other.open("rb") as two:
        while block := one.read(_BLOCK):
            if block != two.read(_BLOCK):
                return False
    return True


@contextmanager
def _hdf5_beside(path: Path) -> Iterator[h5py.File]:
    # HDF5 would refuse the file, which is locked already.
    with beside(path) as partial, unlocked(Path(partial.name), "w") as file:
        yield file


def write_bytes(path: Path, contents: bytes) -> None:
    """Write a small file whole."""
    with beside(path) as partial:
        partial.write(contents)


def write_volume(path: Path, volume: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write an (X, Y, Z) volume as .nii.gz, of float32 if its values are floats, else of int16."""
    dtype = _LITTLE_FLOAT32 if np.issubdtype(volume.dtype, np.floating) else _LITTLE_INT16
    _write_nifti(path, volume.shape, affine, dtype, [volume.astype(dtype).ravel(order="F")])


def write_volumes(
    path: Path, shape: tuple[int, int, int, int], volumes: Iterable[NDArray[np.float32]], affine: NDArray[np.float64]
) -> None:
    """Write (X, Y, Z) volumes, one after the other, as .nii.gz of `shape` and float32."""
    flat = (volume.astype(_LITTLE_FLOAT32).ravel(order="F") for volume in volumes)
    _write_nifti(path, shape, affine, _LITTLE_FLOAT32, flat)


def write_rois(folder: Path, brain: Brain) -> None:
    """Write the ROI volumes, whole and by hemisphere."""
    for name, labels in brain.rois.items():
        write_volume(folder / f"{name}.nii.gz", labels, brain.affine)
        for side in ("lh", "rh"):
            write_volume(folder / f"{side}.{name}.nii.gz", brain.hemisphere(name, side), brain.affine)


def write_tables(folder: Path, names: Iterable[str], ending: str = ".mgz.ctab") -> None:
    """Write the label tables of ROI files."""
    for name in names:
        write_bytes(folder / f"{name}{ending}", label_table(name).encode())


def write_masks(folder: Path, brain: Brain) -> None:
    """Write brainmask and valid_nsdimagery."""
    write_volume(folder / "brainmask.nii.gz", brain.mask, brain.affine)
    write_volume(folder / "valid_nsdimagery.nii.gz", brain.valid, brain.affine)


def write_betas(path: Path, betas: NDArray[np.int16], brain: Brain) -> None:
    """Write (n_betas, n_voxels) betas of the brain's voxels in the format that the path's ending says."""
    write = _write_betas_hdf5 if path.suffix == ".hdf5" else _write_betas_nifti
    write(path, betas, brain)


def _write_betas_nifti(path: Path, betas: NDArray[np.int16], brain: Brain) -> None:
    """(X, Y, Z, n_betas) int16, as the release has it."""
    volumes = _volumes(betas, brain)
    _write_nifti(path, (*brain.shape, len(betas)), brain.affine, _LITTLE_INT16, volumes)


def _write_betas_hdf5(path: Path, betas: NDArray[np.int16], brain: Brain) -> None:
    """Dataset `betas`, (n_betas, Z, Y, X) int16, not compressed, one chunk a voxel and all of them allocated."""
    nx, ny, nz = brain.shape
    n_betas = len(betas)
    ends = np.searchsorted(brain.voxels, np.arange(nz + 1) * ny * nx)
    slab = np.zeros((ny * nx, n_betas), _LITTLE_INT16)
    with _hdf5_beside(path) as file:
        dataset = file.create_dataset(
            "betas", (n_betas, nz, ny, nx), _LITTLE_INT16, chunks=(n_betas, 1, 1, 1), track_times=False
        )
        for z in range(nz):
            slab[:] = 0
            part = slice(ends[z], ends[z + 1])
            slab[brain.voxels[part] - z * ny * nx] = betas[:, part].T
            for position in range(ny * nx):
                y, x = divmod(position, nx)
                dataset.id.write_direct_chunk((0, z, y, x), slab[position])


def write_pictures_hdf5(path: Path, nsd_ids: Iterable[int]) -> None:
    """Write NSD's pictures, of which most may be left out.

    Dataset `imgBrick`, (73000, 425, 425, 3) uint8, gzip, one chunk a picture; of those left out none is allocated.

    Args:
        path: Of the file.
        nsd_ids: 0-based ids of the pictures that are in it, rising.
    """
    with _hdf5_beside(path) as file:
        shape = (SIDE, SIDE, 3)
        brick = file.create_dataset(
            "imgBrick", (N_NSD_PICTURES, *shape), np.uint8, chunks=(1, *shape), compression="gzip", track_times=False
        )
        for nsd_id in nsd_ids:
            brick[nsd_id] = nsd_picture(nsd_id)


def _volumes(betas: NDArray[np.int16], brain: Brain) -> Iterator[NDArray[np.int16]]:
    volume = np.zeros(brain.mask.size, _LITTLE_INT16)
    for row in betas:
        volume[brain.voxels] = row
        yield volume


def _write_nifti(
    path: Path,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    dtype: np.dtype[np.generic],
    volumes: Iterable[NDArray[np.generic]],
) -> None:
    """Stream volumes, each flat with x fastest, behind a header of `shape`; nothing in the file tells the time."""
    header = Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_zooms((*np.abs(np.diag(affine))[:3], *[1.0] * (len(shape) - 3)))
    header.set_qform(affine, code="scanner")
    header.set_sform(affine, code="scanner")
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = header.single_vox_offset
    header["magic"] = header.single_magic
    with beside(path) as raw:
        stream = igzip.IGzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0)
        with cast(gzip.GzipFile, stream) as file:
            file.write(header.binaryblock + bytes(header.single_vox_offset - header.sizeof_hdr))
            for volume in volumes:
                file.write(volume.data)
