"""Reading betas against independent readers (nibabel, nilearn, h5py whole), and the ways a file can be broken."""

import ctypes
import gzip
import itertools
import math
import re
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pytest
from h5py import h5z
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nilearn.masking import apply_mask

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError, SpaceError
from nsd_imagery.rows.choice import Choice
from nsd_imagery.rows.choose import choose_rows
from nsd_imagery.sources.pictures import open_pictures, read_picture
from nsd_imagery.volumes import nifti, unpacked
from nsd_imagery.volumes.betas import LARGEST, Scaling, refuse_unlikely
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.hdf5 import open_dataset
from nsd_imagery.volumes.normalize import moments, zscore
from nsd_imagery.volumes.read import (
    brain_voxels,
    bytes_to_unpack,
    check_in_brain,
    read_betas,
    read_header,
    rows_with_data,
)
from nsd_imagery.volumes.roi import Roi
from nsd_imagery.volumes.unpacked import file_digest

SHAPE = (5, 6, 7)
AFFINE = np.array([[-1.8, 0, 0, 3], [0, 1.8, 0, -4], [0, 0, 1.8, 5], [0, 0, 0, 1.0]])
GRID = Grid(SHAPE, AFFINE)
RNG = np.random.default_rng(0)
MASK = RNG.random(SHAPE) < 0.4
VOXELS = np.flatnonzero(MASK)
DATA = RNG.integers(-32768, 32767, (*SHAPE, 9), dtype=np.int16)


def save_nifti(path: Path, data: np.ndarray = DATA, affine: np.ndarray = AFFINE, **header: float) -> Path:
    image = nib.Nifti1Image(data, affine)
    nib.save(image, path)
    if header:  # nibabel decides on scl_slope itself, so set it in the bytes
        raw = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        fields = nib.Nifti1Header(bytes(raw[:348]))
        for name, value in header.items():
            fields[name] = value
        raw[:348] = fields.binaryblock
        path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
    return path


def save_hdf5(path: Path, data: np.ndarray = DATA, **options: object) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=data.T, **({"chunks": (data.shape[3], 1, 1, 1)} | options))
    return path


def read(path: Path, grid: Grid = GRID, voxels: np.ndarray = VOXELS) -> np.ndarray:
    betas = read_betas(path, grid, voxels, None)
    return betas.header.scaling.percent(betas.stored)


def test_nifti_columns_are_the_mask_in_c_order(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "b.nii.gz")
    expected = np.asarray(nib.load(path).dataobj)[MASK].T / 300
    np.testing.assert_array_equal(read(path), expected)
    masked = apply_mask(str(path), nib.Nifti1Image(MASK.astype(np.int8), AFFINE))
    np.testing.assert_allclose(read(path), masked / 300, rtol=1e-6)


def test_hdf5_axes_are_those_of_the_nifti_reversed(tmp_path: Path) -> None:
    path = save_hdf5(tmp_path / "b.hdf5")
    with h5py.File(path) as file:
        whole = file["betas"][:]
    expected = np.stack([whole[:, k, j, i] for i, j, k in np.argwhere(MASK)], axis=1) / 300
    np.testing.assert_array_equal(read(path), expected)
    np.testing.assert_array_equal(read(path), read(save_nifti(tmp_path / "b.nii.gz")))


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (3, 2, 2, 2)},
        {"chunks": None},
        {"compression": "gzip"},
        {"chunks": (9, 1, 1, 1), "shuffle": True},
        {"dtype": ">i2"},
    ],
)
def test_hdf5_of_any_layout_gives_the_same_numbers(tmp_path: Path, options: dict) -> None:
    expected = read(save_hdf5(tmp_path / "plain.hdf5"))
    np.testing.assert_array_equal(read(save_hdf5(tmp_path / "other.hdf5", **options)), expected)


HDF5_READS_ITS_SCALEOFFSET = not (1, 14, 4) <= h5py.version.hdf5_version_tuple <= (1, 14, 6)
"""Those between refuse chunks whose numbers take all their bits, as they wrote them themselves."""

PACKINGS = [
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True, "fletcher32": True},
    {"compression": "lzf"},
    {"compression": "lzf", "shuffle": True, "fletcher32": True},
    *([{"compression": "szip"}] if h5z.filter_avail(h5z.FILTER_SZIP) else []),
    {"fletcher32": True},
    {"shuffle": True},
    *([{"scaleoffset": 0}, {"scaleoffset": 0, "shuffle": True}] if HDF5_READS_ITS_SCALEOFFSET else []),
]
CHUNK_SHAPES = [(1, 1, 1, 1), (9, 1, 1, 1), (4, 1, 1, 1), (1, 7, 6, 5), (9, 7, 6, 5), (4, 2, 4, 2)]
SZIP_LEAST = 8
"""Numbers of a chunk that szip takes, as h5py sets it."""

NOISY, PLAIN = DATA, DATA // 9000 * (np.arange(DATA.size).reshape(DATA.shape) < DATA.size // 2)


@pytest.mark.parametrize(
    ("packing", "chunks"),
    [
        (packing, chunks)
        for packing in PACKINGS
        for chunks in CHUNK_SHAPES
        if packing.get("compression") != "szip" or math.prod(chunks) >= SZIP_LEAST
    ],
)
@pytest.mark.parametrize("dtype", [np.dtype("<i2"), np.dtype(">f4"), np.dtype(np.int8)])
def test_hdf5_of_any_packing_gives_the_same_numbers(
    tmp_path: Path, packing: dict[str, Any], chunks: tuple[int, ...], dtype: np.dtype
) -> None:
    """Chunks that packing does not shrink are stored as they are, and marked; and all may lie at the edge."""
    if "scaleoffset" in packing and dtype.kind == "f":
        packing = packing | {"scaleoffset": 3}
    masks = set()
    for data in (NOISY, PLAIN):
        path = save_hdf5(tmp_path / "b.hdf5", data.astype(dtype), chunks=chunks, **packing)
        with h5py.File(path) as file:
            expected = file["betas"][:].T[MASK].T
            file["betas"].id.chunk_iter(lambda chunk: masks.add(chunk.filter_mask))
        np.testing.assert_array_equal(read_betas(path, GRID, VOXELS, None).stored, expected)
    if packing.get("compression") == "lzf" and dtype.itemsize < 4:
        assert max(masks) > 0, "no chunk was left unpacked"


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("chunks", [(9, 1, 1, 1), (4, 2, 4, 2)])
def test_packed_chunks_that_were_never_written_are_the_fill_value(
    tmp_path: Path, packing: dict[str, Any], chunks: tuple[int, ...]
) -> None:
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        dataset = file.create_dataset("betas", DATA.T.shape, "<i2", chunks=chunks, fillvalue=-7, **packing)
        dataset[:, 2:4, 1:3, 0:2] = DATA.T[:, 2:4, 1:3, 0:2]
        expected = dataset[:].T[MASK].T
    assert (expected == -7).any()
    np.testing.assert_array_equal(read_betas(tmp_path / "b.hdf5", GRID, VOXELS, None).stored, expected)


@pytest.mark.parametrize("filters", [("shuffle",), ("deflate",), ("fletcher32",), ("shuffle", "deflate", "fletcher32")])
def test_chunks_at_the_edge_may_be_left_unpacked(tmp_path: Path, filters: tuple[str, ...]) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((4, 2, 4, 2))
    for name in filters:
        getattr(plist, f"set_{name}")(*((4,) if name == "deflate" else ()))
    set_options = ctypes.CDLL(h5py.h5p.__file__).H5Pset_chunk_opts  # which h5py has no name for
    set_options.argtypes = ctypes.c_int64, ctypes.c_uint
    assert set_options(plist.id, 2) == 0
    with h5py.File(tmp_path / "b.hdf5", "w", libver="latest") as file:
        space = h5py.h5s.create_simple(DATA.T.shape)
        made = h5py.h5d.create(file.id, b"betas", h5py.h5t.STD_I16LE, space, plist)
        h5py.Dataset(made)[...] = PLAIN.T
    np.testing.assert_array_equal(read_betas(tmp_path / "b.hdf5", GRID, VOXELS, None).stored, PLAIN[MASK].T)


def test_integers_of_fewer_bits_than_bytes_are_extended_by_their_sign(tmp_path: Path) -> None:
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(12)
    for chunks, is_packed in itertools.product(((9, 1, 1, 1), (4, 2, 4, 2)), (False, True)):
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(chunks)
        if is_packed:  # by bits
            plist.set_filter(h5z.FILTER_NBIT, h5z.FLAG_OPTIONAL)
        with h5py.File(tmp_path / "b.hdf5", "w") as file:
            made = h5py.h5d.create(file.id, b"betas", kind, h5py.h5s.create_simple(DATA.T.shape), plist)
            h5py.Dataset(made)[...] = DATA.T // 16
        np.testing.assert_array_equal(read_betas(tmp_path / "b.hdf5", GRID, VOXELS, None).stored, DATA[MASK].T // 16)


def test_checksums_with_swapped_bytes_are_taken_as_hdf5_takes_them(tmp_path: Path) -> None:
    """HDF5 before 1.6.3 wrote them so."""
    path = save_hdf5(tmp_path / "b.hdf5", fletcher32=True)
    with h5py.File(path, "r+") as file:
        dataset = file["betas"]
        for at in itertools.product([0], *map(range, DATA.shape[2::-1])):
            _, stored = dataset.id.read_direct_chunk(at)
            first, second, third, fourth = stored[-4:]
            dataset.id.write_direct_chunk(at, stored[:-4] + bytes([second, first, fourth, third]))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["betas"][:], DATA.T)
    np.testing.assert_array_equal(read(path), DATA[MASK].T / 300)


CHUNK = 9 * 2 * 4 * 2 * 2
"""Bytes of a chunk of the next test."""

DAMAGED_CHUNKS: list[tuple[dict[str, Any], bytes, int]] = [
    ({"compression": "gzip"}, zlib.compress(bytes(CHUNK - 1)), 0),
    ({"compression": "gzip"}, zlib.compress(bytes(CHUNK + 1)), 0),
    ({"compression": "gzip"}, zlib.compress(bytes(1 << 24)), 0),
    ({"compression": "gzip"}, zlib.compress(RNG.bytes(CHUNK))[:-1], 0),
    ({"compression": "gzip"}, bytes(CHUNK), 0),
    ({"compression": "gzip"}, bytes(CHUNK - 1), 1),
    ({"compression": "gzip", "shuffle": True}, zlib.compress(bytes(9)), 0),
    ({"shuffle": True}, bytes(CHUNK - 1), 0),
    ({"fletcher32": True}, bytes(3), 0),
    ({"fletcher32": True}, bytes(CHUNK) + b"\1\0\0\0", 0),
    ({"fletcher32": True}, bytes(CHUNK - 2) + bytes(4), 0),
    ({"fletcher32": True}, bytes(CHUNK - 2), 1),
    ({"fletcher32": True, "compression": "lzf"}, bytes(3), 0),
    ({"compression": "lzf"}, bytes(CHUNK - 1), 1),
    ({"compression": "lzf"}, b"\xff" * 20, 0),
    ({"scaleoffset": 0}, bytes(CHUNK - 1), 1),
    ({"scaleoffset": 0}, bytes(3), 0),
]


@pytest.mark.parametrize(("packing", "stored", "mask"), DAMAGED_CHUNKS)
@pytest.mark.parametrize("chunks", [(9, 2, 4, 2), (9 * 16, 1, 1, 1)])
def test_a_chunk_that_is_not_of_its_size_is_one_line(
    tmp_path: Path, packing: dict[str, Any], stored: bytes, mask: int, chunks: tuple[int, ...]
) -> None:
    """HDF5 gives numbers that lay behind it in memory, or crashes."""
    volumes, grid = chunks[0], Grid((4, 4, 4), None)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        dataset = file.create_dataset("betas", (volumes, 4, 4, 4), "<i2", chunks=chunks, **packing)
        dataset[:] = 1
        dataset.id.write_direct_chunk((0, 2, 0, 0), stored, mask)
    with pytest.raises(DataError, match=r"b\.hdf5: .*copy the file again") as error:
        read(tmp_path / "b.hdf5", grid, np.arange(64))
    assert "\n" not in str(error.value)


def read_from_disk() -> int:
    (line,) = (line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar"))
    return int(line.split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts what is read as Linux does")
@pytest.mark.parametrize(
    "options",
    [
        {"chunks": None},
        {"chunks": (1, 40, 40, 60)},
        {"chunks": (1, 40, 40, 60), "compression": "gzip", "compression_opts": 1},
        {"chunks": (1, 40, 40, 60), "compression": "lzf"},
        {"chunks": (100, 10, 40, 60)},
        {"chunks": (100, 10, 40, 60), "fletcher32": True},
    ],
)
def test_each_chunk_is_read_once_in_memory_of_the_result_and_a_few_chunks(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Also where rows without data are looked for in the whole volume."""
    data = RNG.integers(-3000, 3000, (60, 40, 40, 100), dtype=np.int16)
    grid, voxels = Grid(data.shape[:3], None), np.arange(7, data[..., 0].size, 1000)
    data[np.unravel_index(voxels, grid.shape)] = 0
    path = save_hdf5(tmp_path / "b.hdf5", data, **options)
    before = read_from_disk()
    tracemalloc.start()
    try:
        betas = read_betas(path, grid, voxels, None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not betas.stored.any()
    assert betas.is_valid.all()
    packed = 2 if "chunks" in options and options.get("compression") == "lzf" else 1  # looked at, then by HDF5
    assert read_from_disk() - before < (2 * packed + 0.2) * path.stat().st_size
    assert peak < 4 * math.prod(options["chunks"] or (11, 40, 40, 60)) * 2 + (8 << 20)


def test_a_chunk_that_was_never_written_is_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_dataset("betas", shape=DATA.T.shape, dtype="<i2", chunks=(9, 1, 1, 1))[:, 0, 0, 0] = 5
    assert read(tmp_path / "b.hdf5", voxels=np.array([0, 1]))[:, 0].tolist() == [5 / 300] * 9
    assert not read(tmp_path / "b.hdf5", voxels=np.array([0, 1]))[:, 1].any()


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(0, 0, 1 / 300), (np.nan, np.nan, 1 / 300), (1, 0, 1 / 300), (0.5, 0, 0.5), (2, 3, 2)],
)
def test_a_scaling_is_applied_once(tmp_path: Path, slope: float, intercept: float, expected: float) -> None:
    path = save_nifti(tmp_path / "b.nii.gz", scl_slope=slope, scl_inter=intercept)
    offset = intercept if expected == 2 else 0
    np.testing.assert_allclose(read(path), DATA[MASK].T.astype(float) * expected + offset, rtol=1e-12)


def test_big_endian_files_give_the_same_numbers(tmp_path: Path) -> None:
    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(">i2")
    image = nib.Nifti1Image(DATA.astype(">i2"), AFFINE, header)
    nib.save(image, tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").header.endianness == ">"
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz"), DATA[MASK].T / 300)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz"])
def test_extensions_before_the_data_are_skipped(tmp_path: Path, kind: type, name: str) -> None:
    image = kind(DATA, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 1000))
    nib.save(image, tmp_path / name)
    assert nib.load(tmp_path / name).dataobj.offset > 600
    np.testing.assert_array_equal(read(tmp_path / name), DATA[MASK].T / 300)


@pytest.fixture(params=["isal's own", "public"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading gzip: the class that isal keeps to itself, and what is left where it has none."""
    if request.param == "public":
        monkeypatch.delattr(unpacked.isal_zlib, "_GzipReader")


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz"])
def test_volumes_larger_than_what_is_read_at_once_are_whole(tmp_path: Path, name: str) -> None:
    data = RNG.integers(-32768, 32767, (40, 41, 42, 3), dtype=np.int16)
    path = save_nifti(tmp_path / name, data)
    everywhere = np.arange(data[..., 0].size)
    found = read_betas(path, Grid(data.shape[:3], AFFINE), everywhere, None)
    np.testing.assert_array_equal(found.stored, data.reshape(-1, 3).T)
    assert found.file_digest == file_digest(path)


@pytest.mark.usefixtures("reader")
def test_a_gzip_of_several_members_is_read_whole(tmp_path: Path) -> None:
    raw = gzip.decompress(save_nifti(tmp_path / "a.nii.gz").read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(b"".join(gzip.compress(raw[at : at + 999]) for at in range(0, len(raw), 999)))
    np.testing.assert_array_equal(read(tmp_path / "b.nii.gz"), DATA[MASK].T / 300)


EXTRA, NAME, COMMENT = 4, 8, 16


def member(contents: bytes, *fields: tuple[int, bytes]) -> bytes:
    """A gzip member whose header holds some fields, in the order of RFC 1952."""
    flags = sum(flag for flag, _ in fields)
    header = b"\x1f\x8b\x08" + bytes([flags, 0, 0, 0, 0, 0, 255]) + b"".join(field for _, field in fields)
    return header + gzip.compress(contents)[10:]


LONG = 3 << 20
LONG_FIELDS = [
    [(NAME, b"n" * LONG + b"\0")],
    [(COMMENT, b"c" * LONG + b"\0")],
    [(EXTRA, b"\xff\xff" + b"x" * 65535), (NAME, b"n" * LONG + b"\0"), (COMMENT, b"c" * LONG + b"\0")],
]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("fields", LONG_FIELDS)
@pytest.mark.parametrize("at", [0, 999, 9999])
def test_a_gzip_header_of_any_length_is_read_in_bounded_memory(
    tmp_path: Path, fields: list[tuple[int, bytes]], at: int
) -> None:
    """In the first member, and in one in whose place some of the betas have been given already."""
    raw = gzip.decompress(save_nifti(tmp_path / "a.nii.gz").read_bytes())
    path = tmp_path / "b.nii.gz"
    path.write_bytes((member(raw[:at]) if at else b"") + member(raw[at:], *fields) + b"\0" * 9 + member(b"") + b"\0")
    tracemalloc.start()
    try:
        betas = read_betas(path, GRID, VOXELS, None)
        assert tracemalloc.get_traced_memory()[1] < LONG
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(betas.stored, DATA[MASK].T)
    assert betas.file_digest == file_digest(path)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("flag", [NAME, COMMENT])
def test_a_gzip_header_that_never_ends_is_one_line_in_bounded_memory(tmp_path: Path, flag: int) -> None:
    whole = save_nifti(tmp_path / "b.nii.gz").read_bytes()
    for start in (b"", whole):
        (tmp_path / "b.nii.gz").write_bytes(start + member(b"", (flag, b"n" * LONG))[: 10 + LONG])
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="the gzip data is damaged or cut short") as error:
                read(tmp_path / "b.nii.gz")
            assert tracemalloc.get_traced_memory()[1] < LONG
        finally:
            tracemalloc.stop()
        assert "\n" not in str(error.value)


@pytest.mark.usefixtures("reader")
def test_damage_behind_a_long_gzip_header_is_found(tmp_path: Path) -> None:
    raw = gzip.decompress(save_nifti(tmp_path / "b.nii.gz").read_bytes())
    sound = member(raw, *LONG_FIELDS[0])
    for damaged in (sound[:-6] + b"\xff" + sound[-5:], sound[:-1], sound + b"more", sound + sound[:20]):
        (tmp_path / "b.nii.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="the gzip data is damaged or cut short"):
            read(tmp_path / "b.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(sound + member(b"more"))
    with pytest.raises(DataError, match="goes on after"):
        read(tmp_path / "b.nii.gz")


def test_floats_are_percent_signal_change_and_nan_is_no_data(tmp_path: Path) -> None:
    data = DATA.astype(np.float32) / 300
    data[..., 3] = np.nan
    betas = read_betas(save_nifti(tmp_path / "b.nii.gz", data), GRID, VOXELS, None)
    np.testing.assert_allclose(betas.stored[0], data[MASK][:, 0])
    assert not betas.stored[3].any()


@pytest.mark.usefixtures("reader")
def test_a_damaged_checksum_is_an_error_although_every_volume_could_be_read(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "b.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1
    path.write_bytes(raw)
    with gzip.open(path) as file:  # the trap: reading exactly the data raises nothing
        assert len(file.read(352 + DATA.nbytes)) == 352 + DATA.nbytes
    with pytest.raises(DataError, match="damaged"):
        read(path)


@settings(deadline=None)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_in_the_gzip_data_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    path = save_nifti(tmp_path_factory.mktemp("flip") / "b.nii.gz")
    raw = bytearray(path.read_bytes())
    raw[int(where * len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    try:
        numbers = read(path)
    except DataError:
        return
    np.testing.assert_array_equal(numbers, DATA[MASK].T / 300)


@pytest.mark.parametrize(("header", "scale"), [({}, 1), ({"scl_slope": 0.5, "scl_inter": 3}, 0.5)])
def test_a_map_is_scaled_as_its_header_says(tmp_path: Path, header: dict[str, float], scale: float) -> None:
    values, _ = nifti.read_volume(save_nifti(tmp_path / "map.nii.gz", DATA[..., 0], **header))
    np.testing.assert_array_equal(values, DATA[..., 0] * scale + header.get("scl_inter", 0))
    assert header or values.dtype == DATA.dtype


@pytest.mark.parametrize(("shift", "same"), [(0.09, True), (-0.09, True), (0.11, False), (-0.11, False)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_grids_are_one_if_no_voxel_is_a_tenth_of_its_size_away(axis: int, shift: float, same: bool) -> None:
    moved = AFFINE.copy()
    moved[axis, 3] += shift * np.linalg.norm(AFFINE[:3, :3], axis=0).min()
    if same:
        Grid(GRID.shape, moved).check_same(GRID, "betas", "the mask")
        return
    with pytest.raises(DataError, match="affine is not that of the mask"):
        Grid(GRID.shape, moved).check_same(GRID, "betas", "the mask")


def test_grids_that_are_turned_about_a_corner_are_two() -> None:
    """The far corner is what moves."""
    turned, (first, *_) = AFFINE.copy(), GRID.shape
    turned[1, 0] += 0.12 * np.linalg.norm(AFFINE[:3, :3], axis=0).min() / (first - 1)
    with pytest.raises(DataError, match="affine is not that of the mask"):
        Grid(GRID.shape, turned).check_same(GRID, "betas", "the mask")


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((2, 2, 2, 129), True),  # 1032 times the 2 bytes that the file has
        ((2, 2, 2, 130), False),
        ((0, 2, 2, 3), False),
        ((2, 2, 2, 0), False),
        ((1, 1, 1), True),
        ((1 << 25, 1, 1), False),
    ],
)
def test_a_file_that_claims_what_it_cannot_hold_is_refused(tmp_path: Path, shape: tuple[int, ...], fits: bool) -> None:
    path = tmp_path / "b.nii.gz"
    path.write_bytes(b"xx")
    if fits:
        refuse_unlikely(path, shape, np.dtype(np.int16))
        return
    with pytest.raises(DataError, match="says that it holds int16 of shape"):
        refuse_unlikely(path, shape, np.dtype(np.int16))


@pytest.mark.parametrize(("n_voxels", "fits"), [(1 << 25, True), ((1 << 25) + 1, False)])
def test_no_volume_has_more_voxels_than_any_of_nsd_by_far(tmp_path: Path, n_voxels: int, fits: bool) -> None:
    path = tmp_path / "b.nii"
    with path.open("wb") as file:
        file.truncate(1 << 26)  # takes no room on the disk
    if fits:
        refuse_unlikely(path, (n_voxels, 1, 1), np.dtype(np.int16))
        return
    with pytest.raises(DataError, match="says that it holds"):
        refuse_unlikely(path, (n_voxels, 1, 1), np.dtype(np.int16))


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("keep", [0, 3, 100, 400, -1, -9])
def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    for name in ("b.nii.gz", "b.nii"):
        path = save_nifti(tmp_path / name)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match=name):
            read(path)
    path = save_hdf5(tmp_path / "b.hdf5")
    path.write_bytes(path.read_bytes()[: keep if keep > 0 else -2000])
    with pytest.raises(DataError, match="copy the file again"):
        read(path)


def test_data_behind_the_last_volume_is_an_error(tmp_path: Path) -> None:
    path = save_nifti(tmp_path / "b.nii.gz")
    path.write_bytes(path.read_bytes() + gzip.compress(b"more"))
    with pytest.raises(DataError, match="goes on"):
        read(path)


@pytest.mark.parametrize("name", ["b.nii.gz", "b.nii", "b.hdf5"])
def test_a_web_page_in_the_place_of_data_is_named_as_such(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("<!DOCTYPE html><html><body>Access denied</body></html>" * 20)
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"), KeyError("cue"), RuntimeError("no model"),
        MissingDataError("mask.nii.gz: no such file"), SpaceError("the disk is full"),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_goes_wrong_beside_an_open_hdf5_file_is_not_laid_at_its_door(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, open_dataset(save_hdf5(tmp_path / "b.hdf5"), "betas"):
        raise error
    assert raised.value is error


def damage(path: Path, name: str) -> None:
    """A bit of the first packed chunk of a dataset."""
    with h5py.File(path, "r") as file:
        chunk = file[name].id.get_chunk_info(0)
    raw = bytearray(path.read_bytes())
    raw[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(raw)


def test_betas_or_a_picture_that_cannot_be_unpacked_are_the_fault_of_their_file(tmp_path: Path) -> None:
    betas, pictures = save_hdf5(tmp_path / "b.hdf5", fletcher32=True), tmp_path / "nsd_stimuli.hdf5"
    damage(betas, "betas")
    with pytest.raises(DataError, match=r"b.hdf5: the chunk .* is damaged .*: copy the file again"):
        read(betas, voxels=np.array([0]))
    with h5py.File(pictures, "w") as file:
        shape, chunk = (73_000, 425, 425, 3), (1, 425, 425, 3)
        file.create_dataset("imgBrick", shape, np.uint8, chunks=chunk, fletcher32=True)[3] = 1
    damage(pictures, "imgBrick")
    with open_pictures(pictures) as brick:
        assert not read_picture(brick, 4, pictures).any()
        with pytest.raises(DataError, match=r"nsd_stimuli.hdf5: is not a sound HDF5 file .*: copy the file again"):
            read_picture(brick, 3, pictures)


def test_another_grid_or_place_than_the_masks_is_an_error(tmp_path: Path) -> None:
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] += 1.8
    with pytest.raises(DataError, match="affine"):
        read(save_nifti(tmp_path / "a.nii.gz", affine=elsewhere))
    with pytest.raises(DataError, match="5 x 6 x 7"):
        read(save_nifti(tmp_path / "b.nii.gz"), Grid((5, 6, 8), AFFINE))
    swapped = np.swapaxes(DATA, 0, 2)
    with pytest.raises(DataError, match="7 x 6 x 5"):
        read(save_hdf5(tmp_path / "b.hdf5", swapped))


def linked(file: h5py.File) -> None:
    file["betas"] = h5py.ExternalLink("outside.hdf5", "betas")


def soft_linked(file: h5py.File) -> None:
    linked(file)
    file["elsewhere"] = file.get("betas", getlink=True)
    del file["betas"]
    file["betas"] = h5py.SoftLink("/elsewhere")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(DATA.T.shape, np.int16)
    layout[...] = h5py.VirtualSource("outside.hdf5", "betas", DATA.T.shape)
    file.create_virtual_dataset("betas", layout)


def external(file: h5py.File) -> None:
    outside = Path(file.filename).with_name("outside.hdf5")
    file.create_dataset("betas", DATA.T.shape, np.int16, external=[(str(outside), 0, DATA.nbytes)])


@pytest.mark.parametrize("lay", [linked, soft_linked, virtual, external])
def test_hdf5_data_that_lies_in_another_file_is_refused(tmp_path: Path, lay: Callable[[h5py.File], None]) -> None:
    save_hdf5(tmp_path / "outside.hdf5", np.abs(DATA))
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        lay(file)
    with pytest.raises(DataError, match="of its own"):
        read(tmp_path / "b.hdf5")


@pytest.mark.parametrize("save", [save_nifti, save_hdf5])
def test_a_row_is_valid_unless_it_is_zero_in_the_whole_brain(tmp_path: Path, save: Callable[..., Path]) -> None:
    data = DATA.copy()
    data[..., 4] = 0
    data[MASK, 5] = 0
    path = save(tmp_path / ("b.nii.gz" if save is save_nifti else "b.hdf5"), data)
    expected = [True] * 4 + [False] + [True] * 4
    assert read_betas(path, GRID, VOXELS, None).is_valid.tolist() == expected
    brain = tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), AFFINE), brain)
    assert rows_with_data(path, brain).tolist() == expected
    only_mask = read_betas(path, GRID, VOXELS, VOXELS).is_valid
    assert only_mask.tolist() == [True] * 4 + [False, False] + [True] * 3


@pytest.mark.parametrize("save", [save_nifti, save_hdf5])
def test_a_volume_of_nothing_but_nan_and_zeros_holds_no_data(tmp_path: Path, save: Callable[..., Path]) -> None:
    data = DATA.astype(np.float32) / 300
    data[..., 2] = np.nan
    data[..., 3] = np.where(MASK, np.nan, 0)
    data[..., 4] = np.where(MASK, 0, np.nan)
    data[MASK, 5] = np.nan
    data[~MASK, 6] = np.nan
    path = save(tmp_path / ("b.nii.gz" if save is save_nifti else "b.hdf5"), data)
    betas = read_betas(path, GRID, VOXELS, None)
    assert betas.is_valid.tolist() == [True, True, False, False, False, True, True, True, True]
    assert not betas.stored[2:6].any()
    brain = tmp_path / "brain.nii.gz"
    nib.save(nib.Nifti1Image(np.ones(SHAPE, np.int16), AFFINE), brain)
    for inside in (brain, None):
        assert rows_with_data(path, inside).tolist() == betas.is_valid.tolist()
    assert read_betas(path, GRID, VOXELS, VOXELS).is_valid.tolist() == [True, True, *[False] * 4, True, True, True]


@pytest.mark.parametrize("save", [save_nifti, save_hdf5])
def test_values_up_to_the_largest_are_betas_and_those_beyond_are_refused(
    tmp_path: Path, save: Callable[..., Path]
) -> None:
    path = tmp_path / ("b.nii.gz" if save is save_nifti else "b.hdf5")
    for value, is_sound in ((LARGEST, True), (-LARGEST, True), (1.01 * LARGEST, False), (np.inf, False)):
        data = DATA.astype(np.float64)
        data[tuple(np.argwhere(MASK)[3])] = value
        if is_sound:
            assert (read(save(path, data))[:, 3] == value).all()
        else:
            with pytest.raises(DataError, match="holds infinite values, or some beyond"):
                read(save(path, data))


def test_headers_are_read_without_the_numbers(tmp_path: Path) -> None:
    for path in (save_nifti(tmp_path / "b.nii.gz"), save_hdf5(tmp_path / "b.hdf5")):
        header = read_header(path)
        assert (header.grid.shape, header.n_volumes, header.dtype) == (SHAPE, 9, np.dtype(np.int16))


def test_a_mask_volume_keeps_its_axes(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(DATA[..., 0], AFFINE), tmp_path / "m.nii.gz")
    values, grid = nifti.read_volume(tmp_path / "m.nii.gz")
    np.testing.assert_array_equal(values, DATA[..., 0])
    np.testing.assert_allclose(grid.affine, AFFINE, rtol=1e-6)


INTEGERS = hnp.arrays(np.int16, st.tuples(st.integers(2, 12), st.integers(1, 4)))


@given(INTEGERS)
def test_moments_are_those_of_exact_arithmetic(stored: np.ndarray) -> None:
    whole = np.zeros(len(stored), np.int64)
    by = moments(stored, whole, 1, np.ones(len(stored), bool), Scaling.of(stored.dtype))
    exact = stored.astype(object)
    n = len(stored)
    for column in range(stored.shape[1]):
        total, squares = sum(exact[:, column]), sum(value * value for value in exact[:, column])
        assert by.mean[0, column] == total / n
        assert by.sd[0, column] == np.sqrt((n * squares - total * total) / (n * (n - 1)))


@given(INTEGERS)
def test_a_voxel_without_variance_is_zero_and_never_nan(stored: np.ndarray) -> None:
    stored[:, 0] = stored[0, 0]
    for values in (stored, stored / np.float32(7)):
        group = np.arange(len(stored)) % 2
        valid = np.arange(len(stored)) != 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scores = zscore(values, group, valid, moments(values, group, 2, valid, Scaling()))
        assert np.isfinite(scores).all()
        assert not scores[:, 0].any()
        assert not scores[1].any()


def test_a_negative_slope_turns_the_scores_round() -> None:
    stored = np.array([[1], [2], [6]], np.int16)
    group, valid = np.zeros(3, np.int64), np.ones(3, bool)
    up, down = (zscore(stored, group, valid, moments(stored, group, 1, valid, Scaling(slope))) for slope in (2.0, -2.0))
    np.testing.assert_array_equal(up, -down)


def exact_zscores(stored: np.ndarray) -> np.ndarray:
    """By fractions, whose only rounding is that of the root and the last division."""
    columns = []
    for column in stored.T.tolist():
        values = [Fraction(value) for value in column]
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
        columns.append([float(value - mean) / math.sqrt(variance) for value in values])
    return np.array(columns).T


@pytest.mark.parametrize(("mean", "sd"), [(1e9, 1e-5), (-1e9, 1e-5), (1e-9, 1.0), (0.0, 1e-9), (1e15, 10.0)])
def test_scores_of_floats_are_exact_however_large_their_mean(mean: float, sd: float) -> None:
    stored = mean + sd * np.random.default_rng(1).standard_normal((40, 3))
    stored[:8] = 0  # of no group that counts, or not valid
    group, is_valid = np.repeat([0, 1], [4, 36]), np.arange(40) >= 8
    by = moments(stored, group, 2, is_valid, Scaling(2.0, 1.0))
    np.testing.assert_allclose(zscore(stored, group, is_valid, by)[8:], exact_zscores(stored[8:]), atol=1e-6)
    means = [float(sum(map(Fraction, column)) / 32) for column in stored[8:].T.tolist()]
    np.testing.assert_allclose(by.mean[1], means, rtol=1e-15, atol=1e-15 * sd)
    np.testing.assert_array_equal(by.percent_mean[1], 2 * by.mean[1] + 1)


def test_scores_of_integers_are_those_of_the_plain_formula_to_the_last_bit() -> None:
    for dtype in (np.uint8, np.int16, np.int32):
        stored = np.random.default_rng(2).integers(0, np.iinfo(dtype).max // 4, (30, 50)).astype(dtype)
        group, is_valid = np.zeros(30, np.int64), np.arange(30) != 3
        values = stored[is_valid].astype(np.float64)
        mean = values.mean(axis=0)
        sd = np.sqrt(np.square(values - mean).sum(axis=0) / 28)
        if dtype is not np.int32:  # whose squares are summed as integers
            total, squares = values.sum(axis=0), np.square(values).sum(axis=0)
            sd = np.sqrt((29 * squares - total**2) / (29 * 28))
        by = moments(stored, group, 1, is_valid, Scaling.of(stored.dtype))
        np.testing.assert_array_equal(zscore(stored, group, is_valid, by)[is_valid], (values - mean) * (1 / sd))


def test_moments_of_half_precision_are_exact_too(tmp_path: Path) -> None:
    whole = DATA // 64
    betas = read_betas(save_hdf5(tmp_path / "b.hdf5", whole.astype(np.float16)), GRID, VOXELS, None)
    assert betas.header.dtype == np.float16
    group, is_valid = np.zeros(9, np.int64), np.ones(9, bool)
    by, exact = (moments(stored, group, 1, is_valid, Scaling()) for stored in (betas.stored, whole[MASK].T))
    np.testing.assert_allclose(by.mean, exact.mean, atol=1e-13)
    np.testing.assert_allclose(by.sd, exact.sd, rtol=1e-14)


def test_a_voxel_without_variance_in_the_fitted_rows_is_0_in_every_other_row() -> None:
    for dtype in (np.int16, np.float64):
        stored = np.random.default_rng(4).integers(1, 3000, (6, 5)).astype(dtype)
        stored[:3, 1] = 7
        group, is_valid = np.array([0, 0, 0, 1, 0, 1]), np.ones(6, bool)
        fitted = np.array([True, True, True, True, False, False])  # three rows of group 0, one of group 1
        scores = zscore(stored, group, is_valid, moments(stored, group, 2, fitted, Scaling()))
        assert not scores[:, 1].any()
        assert not scores[[3, 5]].any()
        assert scores[4, [0, 2, 3, 4]].all()


def test_a_nifti_of_complex_numbers_is_refused(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(DATA.astype(np.complex64), AFFINE), tmp_path / "b.nii.gz")
    with pytest.raises(DataError, match=r"holds complex64 .* betas and masks are real numbers"):
        read(tmp_path / "b.nii.gz")


def save_mask(path: Path, mask: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(mask.astype(np.int16), affine), path)
    return path


LAYOUTS = [(9, 1, 1, 1), (4, 1, 1, 1), (1, 7, 6, 5), (4, 2, 4, 2), None]


@pytest.mark.parametrize("chunks", [*LAYOUTS, "nii.gz"])
def test_a_reading_says_how_far_it_is_from_its_first_part_to_the_whole(tmp_path: Path, chunks: Any) -> None:
    nifti_file = chunks == "nii.gz"
    path = save_nifti(tmp_path / "b.nii.gz") if nifti_file else save_hdf5(tmp_path / "b.hdf5", chunks=chunks)
    said: list[float] = []
    read_betas(path, GRID, VOXELS, VOXELS, said.append)
    assert said == sorted(said)
    assert said[-1] == 1
    assert len(said) >= (9 if nifti_file or chunks == (1, 7, 6, 5) else 1)


@pytest.mark.parametrize("voxels", [VOXELS, VOXELS[:1], VOXELS[[3, 70]]])
@pytest.mark.parametrize("chunks", LAYOUTS)
def test_what_a_reading_unpacks_is_known_before_it(
    tmp_path: Path, chunks: tuple[int, ...] | None, voxels: np.ndarray
) -> None:
    """Counted by numpy: chunks, or whole slabs of z, that hold a voxel."""
    path = save_hdf5(tmp_path / "b.hdf5", chunks=chunks)
    inside = np.zeros(SHAPE, bool)
    inside.reshape(-1)[voxels] = True
    zyx = inside.T
    if chunks is None:
        z = np.flatnonzero(zyx.any(axis=(1, 2)))
        expected = 9 * (z[-1] - z[0] + 1) * zyx[0].size
    else:
        steps = [range(0, size, step) for size, step in zip(zyx.shape, chunks[1:], strict=True)]
        boxes = [tuple(slice(at, at + n) for at, n in zip(corner, chunks[1:], strict=True))
                 for corner in itertools.product(*steps)]  # fmt: skip
        expected = sum(zyx[box].any() for box in boxes) * -(-9 // chunks[0]) * math.prod(chunks)
    assert bytes_to_unpack(path, GRID, voxels) == 2 * expected
    assert bytes_to_unpack(save_nifti(tmp_path / "b.nii.gz"), GRID, voxels) == DATA.nbytes


@pytest.mark.parametrize("nothing", [0, -1])
def test_an_empty_brain_mask_is_an_error_that_names_it(tmp_path: Path, nothing: int) -> None:
    brain = save_mask(tmp_path / "brainmask.nii.gz", np.full(SHAPE, nothing))
    betas = save_hdf5(tmp_path / "b.hdf5")
    roi = Roi("nsdgeneral", GRID, VOXELS, (tmp_path / "nsdgeneral.nii.gz",))
    for use in (
        lambda: brain_voxels(brain),
        lambda: rows_with_data(betas, brain),
        lambda: check_in_brain([roi], brain),
    ):
        with pytest.raises(DataError, match=r"brainmask\.nii\.gz: the brain mask has no voxel above 0"):
            use()


@pytest.mark.parametrize(("outside", "fits"), [(0, True), (1, True), (6, True), (7, False), (12, False)])
def test_a_roi_of_which_most_lies_outside_the_brain_is_refused(tmp_path: Path, outside: int, fits: bool) -> None:
    """ROIs are made from surfaces: the voxels of an edge may lie outside."""
    mask = np.zeros(SHAPE)
    mask.reshape(-1)[[*VOXELS[outside:12], *np.flatnonzero(~MASK)]] = 1
    brain = save_mask(tmp_path / "brainmask.nii.gz", mask)
    rois = [Roi(name, GRID, VOXELS[:12], (tmp_path / f"{name}.nii.gz",)) for name in ("nsdgeneral", "V1")]
    if fits:
        check_in_brain(rois, brain)
        return
    said = rf"brainmask\.nii\.gz: {outside} of the 12 voxels of ROI nsdgeneral \(.*nsdgeneral\.nii\.gz\) lie outside"
    with pytest.raises(DataError, match=said):
        check_in_brain(rois, brain)


def test_a_brain_mask_of_another_grid_than_the_roi_is_an_error_that_names_both(tmp_path: Path) -> None:
    roi = Roi("nsdgeneral", GRID, VOXELS, (tmp_path / "nsdgeneral.nii.gz",))
    elsewhere = AFFINE.copy()
    elsewhere[2, 3] += 9
    for mask, affine in ((np.ones((5, 6, 8)), AFFINE), (np.ones(SHAPE), elsewhere)):
        brain = save_mask(tmp_path / "brainmask.nii.gz", mask, affine)
        with pytest.raises(DataError, match=r"brainmask\.nii\.gz: (grid|affine) is .*nsdgeneral\.nii\.gz"):
            check_in_brain([roi], brain)
    check_in_brain([roi], None)


def turned(brain: np.ndarray) -> np.ndarray:
    """What is no brain taken for it."""
    return brain <= 0


@pytest.mark.parametrize(
    ("spoil", "said"), [(turned, "voxels of ROI nsdgeneral .* lie outside"), (np.zeros_like, "no voxel above 0")]
)
def test_build_index_and_verify_name_a_brain_mask_that_cannot_be_the_subjects(
    own_release: Path, tmp_path: Path, spoil: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    index = nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices")
    brain = own_release / "nsddata/ppdata/subj01/func1pt8mm/brainmask.nii.gz"
    image = nib.load(brain)
    spoilt = spoil(np.asarray(image.dataobj))
    brain.unlink()  # it is a link
    save_mask(brain, spoilt, image.affine)
    said = rf"brainmask\.nii\.gz: .*{said}"
    for fwhm in (None, 3.0):
        with pytest.raises(DataError, match=said):
            nsd_imagery.build(own_release, tmp_path / "built", subjects=["subj01"], smoothing_fwhm=fwhm)
    (file,) = index.rglob("subj01.parquet")
    with pytest.raises(DataError, match=said):
        choose_rows(file, own_release, Choice())
    found = {finding.id: finding for finding in nsd_imagery.verify(own_release, subjects=["subj01"]).findings}
    assert re.search(said, str(found["files.one-grid"]))
