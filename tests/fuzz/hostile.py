"""Files that drawn edits would hardly make: they claim or inflate to far more than they hold."""

import gzip
import struct
import zlib
from collections.abc import Callable
from functools import partial

import h5py
import nibabel as nib
import numpy as np

_HUGE = 1 << 31


Case = tuple[str, str, Callable[[], bytes]]
"""A name, the file that it stands for, and what makes its contents."""


def hostile(target: str) -> list[Case]:
    """The files for a target."""
    cases: dict[str, list[Case]] = {
        "nifti": [(name, "volume.nii", make) for name, make in _NIFTIS.items()],
        "nifti-betas": [(name, "betas.nii", make) for name, make in _NIFTIS.items()],
        "nifti-gz": [(name, "volume.nii.gz", make) for name, make in _GZIPS.items()],
        "nifti-gz-betas": [(name, "betas.nii.gz", make) for name, make in _GZIPS.items()],
        "design": [(name, "designmatrixGLMsingle.mat", partial(make, b"stimulus")) for name, make in _MATLABS.items()],
        "pair-list": [(name, "A_pair_list.mat", partial(make, b"pair_list")) for name, make in _MATLABS.items()],
        "dataset": [(name, "manifest.json", make) for name, make in _JSONS.items()],
        "marker": [(name, "synthetic.json", make) for name, make in _JSONS.items()],
        "captions": [(name, "captions.json", make) for name, make in _JSONS.items()],
        "cache": [(name, "nsd_imagery/metadata/subject_sessions.json", make) for name, make in _JSONS.items()],
        "png": [(f"PNG of side {side}", "bar.png", partial(_png, side)) for side in (20_000, 2_000_000_000)],
        "hdf5": [
            ("HDF5 of 2^44 numbers", "whole-earliest.hdf5", partial(_hdf5, (1 << 32, 3, 4, 1 << 10))),
            ("HDF5 of 2^40 volumes", "whole-earliest.hdf5", partial(_hdf5, (1 << 40, 3, 4, 5))),
            ("HDF5 of a volume of 2^40 voxels", "whole-earliest.hdf5", partial(_hdf5, (1, 1 << 20, 1 << 10, 1 << 10))),
        ],
    }
    return cases.get(target, [])


def _packed(make: Callable[[], bytes]) -> bytes:
    return gzip.compress(make(), 1)


def _deep(opening: str, closing: str) -> bytes:
    return f'{{"annotations": [{opening * 50_000}{closing * 50_000}]}}'.encode()


_JSONS = {"JSON of deep lists": partial(_deep, "[", "]"), "JSON of deep objects": partial(_deep, '{"a":', "}")}


def _nifti(shape: tuple[int, ...], dtype: type, n_bytes: int = 1000) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header["dim"][: len(shape) + 1] = len(shape), *shape
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4 + n_bytes)


def _nifti2(*shape: int) -> bytes:
    header = nib.Nifti2Header()
    header["dim"][: len(shape) + 1] = len(shape), *shape
    header["vox_offset"] = 544
    return header.binaryblock + bytes(1000)


_NIFTIS: dict[str, Callable[[], bytes]] = {
    "NIfTI of 2^45 voxels": partial(_nifti, (32767, 32767, 32767), np.float64),
    "NIfTI of many volumes": partial(_nifti, (300, 300, 300, 32767), np.float64),
    "NIfTI of many volumes of the grid": partial(_nifti, (5, 4, 3, 32767), np.int16),
    "NIfTI that goes on for 64 MB": partial(_nifti, (5, 4, 3), np.int16, 1 << 26),
    "NIfTI of a volume that is all there": partial(_nifti, (256, 256, 256), np.int16, 1 << 25),
    "NIfTI-2 of 2^31 volumes": partial(_nifti2, 5, 4, 3, 1 << 31),
    "NIfTI-2 of 2^62 volumes": partial(_nifti2, 5, 4, 3, 1 << 62),
    "NIfTI-2 of -1 volumes": partial(_nifti2, 5, 4, 3, -1),
    "NIfTI-2 whose voxels overflow 64 bits": partial(_nifti2, 1 << 62, 1 << 62, 16),
}


def _long_header(flag: int, end: bytes) -> bytes:
    """A gzip file whose name (flag 8) or comment (16) is of 64 MB, and ends or does not."""
    start = b"\x1f\x8b\x08" + bytes([flag, 0, 0, 0, 0, 0, 255])
    return start + b"n" * (1 << 26) + end + _packed(partial(_nifti, (5, 4, 3, 6), np.int16, 720))[10:]


_GZIPS: dict[str, Callable[[], bytes]] = {name: partial(_packed, make) for name, make in _NIFTIS.items()} | {
    "gzip of a name of 64 MB": partial(_long_header, 8, b"\0"),
    "gzip of a comment of 64 MB": partial(_long_header, 16, b"\0"),
    "gzip of a name that hardly ends": partial(_long_header, 8, b""),
}


_MATLAB_HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def _matrix(kind: int, shape: tuple[int, ...], contents: bytes, name: bytes = b"") -> bytes:
    flags, dimensions = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return _element(14, _element(6, flags) + _element(5, dimensions) + _element(1, name) + contents)


def _bomb(name: bytes) -> bytes:
    matrix = _matrix(6, (1 << 13, 1 << 10), _element(9, bytes(1 << 26)), name)
    return _MATLAB_HEADER + _element(15, zlib.compress(matrix, 1))


def _large(name: bytes) -> bytes:
    return _MATLAB_HEADER + _matrix(6, (1 << 30, 1 << 30), _element(9, bytes(8)), name)


def _many_cells(name: bytes) -> bytes:
    return _MATLAB_HEADER + _matrix(1, (1 << 16, 1 << 15), b"", name)


def _sparse_cells(name: bytes) -> bytes:
    contents = _element(5, b"") + _element(5, bytes(4 * 37)) + _element(9, b"")
    return _MATLAB_HEADER + _matrix(1, (12, 1), _matrix(5, ((1 << 31) - 1, 36), contents) * 12, name)


def _deep_cells(name: bytes) -> bytes:
    cells = _matrix(6, (1, 1), _element(9, bytes(8)))
    for _ in range(2_000):
        cells = _matrix(1, (1, 1), cells)
    return _MATLAB_HEADER + _matrix(1, (1, 1), cells, name)


_MATLABS: dict[str, Callable[[bytes], bytes]] = {
    "MATLAB that inflates to 64 MB": _bomb,
    "MATLAB of 2^60 numbers": _large,
    "MATLAB of 2^31 cells": _many_cells,
    "MATLAB of sparse cells of 2^36 numbers": _sparse_cells,
    "MATLAB cells 2,000 deep": _deep_cells,
}


def _png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def _hdf5(shape: tuple[int, ...]) -> bytes:
    with h5py.File.in_memory() as file:
        file.create_dataset("betas", shape, np.int16, chunks=(1, 1, 1, 1))
        file.flush()
        return file.id.get_file_image()
