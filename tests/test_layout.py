"""Where a beta file of HDF5 has its chunks: predicted and proven by nodes of its tree, or walked to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, HubError, UnknownLayoutError
from nsd_imagery.experiment import GRIDS, N_BETAS
from nsd_imagery.volumes.layout.header import BLOCK, NODE_BYTES, Header, Range, read_header
from nsd_imagery.volumes.layout.node import holds, proof, read_node
from nsd_imagery.volumes.layout.predict import Prediction
from nsd_imagery.volumes.layout.walk import walk

VOLUMES = 40
SHAPE = (6, 65, 9)
"""Z, Y, X: of so many chunks, HDF5 allocates those of one write in an order of its own."""

N_CHUNKS = 3510
SMALL = (2, 5, 7)
HEADER = 1400


class Asked:
    """The bytes of a file, and what was asked for in each round."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.rounds: list[list[Range]] = []

    def __call__(self, ranges: Sequence[Range]) -> list[bytes]:
        self.rounds.append(list(ranges))
        assert all(0 <= start < end <= len(self.data) for start, end in ranges)
        return [self.data[start:end] for start, end in ranges]


def create(path: Path, shape: tuple[int, ...], *, early: bool = False, **options: object) -> h5py.File:
    file = h5py.File(path, "w")
    if early:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((shape[0], 1, 1, 1))
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        h5py.h5d.create(file.id, b"betas", h5py.h5t.STD_I16LE, h5py.h5s.create_simple(shape), made)
    else:
        options = {"dtype": "<i2", "chunks": (shape[0], 1, 1, 1), "track_times": False, **options}
        file.create_dataset("betas", shape, **options)
    return file


def betas(shape: tuple[int, ...] = (VOLUMES, *SHAPE)) -> NDArray[np.int16]:
    return np.random.default_rng(1).integers(-9999, 9999, shape, np.int16)


def write_chunks(file: h5py.File, values: NDArray[np.int16], positions: Sequence[int] | NDArray[np.int64]) -> None:
    for position in positions:
        z, y, x = np.unravel_index(position, values.shape[1:])
        file["betas"].id.write_direct_chunk((0, z, y, x), np.ascontiguousarray(values[:, z, y, x]))


def ordered(path: Path, values: NDArray[np.int16]) -> None:
    with create(path, values.shape) as file:
        write_chunks(file, values, range(values[0].size))


def early(path: Path, values: NDArray[np.int16]) -> None:
    with create(path, values.shape, early=True) as file:
        file["betas"][...] = values


def at_once(path: Path, values: NDArray[np.int16]) -> None:
    with create(path, values.shape) as file:
        file["betas"][...] = values


def slabs(path: Path, values: NDArray[np.int16]) -> None:
    with create(path, values.shape) as file:
        for y in range(values.shape[2]):
            file["betas"][:, :, y] = values[:, :, y]


def shuffled(path: Path, values: NDArray[np.int16]) -> None:
    with create(path, values.shape) as file:
        write_chunks(file, values, np.random.default_rng(2).permutation(values[0].size))


LAYOUTS = (ordered, early, at_once, slabs, shuffled)


def chunk_addresses(path: Path) -> NDArray[np.int64]:
    """By h5py, in the order of the file."""
    found: list[tuple[tuple[int, ...], int]] = []
    with h5py.File(path) as file:
        file["betas"].id.chunk_iter(lambda chunk: found.append((chunk.chunk_offset, chunk.byte_offset)))
    return np.array([address for _, address in sorted(found)])


def tree_nodes(get: Asked, header: Header) -> list[list[int]]:
    """The addresses of all nodes, level by level from the root, by following every child."""
    levels = [[header.root]]
    while True:
        nodes = [read_node(get([(at, at + NODE_BYTES)])[0], at, header) for at in levels[-1]]
        if not nodes[0].level:
            return levels
        levels.append([int(child) for node in nodes for child in node.children])


def opened(path: Path) -> tuple[Asked, Header]:
    get = Asked(path.read_bytes())
    return get, read_header(get, len(get.data), path.name)


def is_proven(get: Asked, header: Header, positions: NDArray[np.int64]) -> bool:
    expected = proof(Prediction.of(header), positions)
    bodies = get([node.range for node in expected])
    return all(holds(body, node, header) for node, body in zip(expected, bodies, strict=True))


def found(get: Asked, header: Header, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """As a download has it: predicted if that is proven, else walked."""
    if Prediction.of(header).fits(header.size) and is_proven(get, header, positions):
        return Prediction.of(header).chunks(positions)
    return walk(get, header, positions)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("layouts")
    for write in LAYOUTS:
        write(folder / f"{write.__name__}.hdf5", betas())
    return {write.__name__: folder / f"{write.__name__}.hdf5" for write in LAYOUTS}


@pytest.mark.parametrize("is_early", [False, True], ids=["direct", "early"])
@pytest.mark.parametrize("n", [1, 63, 64, 65, 121, 122, 3700, pytest.param(213_000, marks=pytest.mark.slow)])
def test_what_is_predicted_is_where_hdf5_put_chunks_and_nodes(n: int, is_early: bool, tmp_path: Path) -> None:
    path, chunk = tmp_path / "b.hdf5", np.zeros(N_BETAS, "<i2")
    with create(path, (N_BETAS, 1, 1, n), early=is_early) as file:
        for x in range(0 if is_early else n):
            file["betas"].id.write_direct_chunk((0, 0, 0, x), chunk)
    with path.open("rb") as file:

        def get(ranges: Sequence[Range]) -> list[bytes]:
            return [(file.seek(start), file.read(end - start))[1] for start, end in ranges]

        header = read_header(get, path.stat().st_size, path.name)
        predicted = Prediction.of(header)
        assert header.root == (1072 if is_early else HEADER)
        assert predicted.fits(header.size)
        assert np.array_equal(predicted.chunks(np.arange(n)), chunk_addresses(path))
        levels = tree_nodes(get, header)
        assert [len(level) for level in levels[::-1]] == list(predicted.n_nodes)
        for level, addresses in enumerate(levels[::-1]):
            assert predicted.nodes(level, np.arange(len(addresses))).tolist() == addresses
            for number in range(len(addresses)):
                node = predicted.node(level, number)
                assert holds(get([node.range])[0], node, header)


def test_the_file_of_subj01_has_the_size_that_is_predicted_to_the_byte() -> None:
    """As the bucket's listing has it; those of all subjects are said to be of 0.90 to 1.20 GB."""
    ends = {subject: Prediction(HEADER, int(np.prod(grid)), 2 * N_BETAS).end for subject, grid in GRIDS.items()}
    assert ends["subj01"] == 1_052_494_008
    assert {round(end / 1e9, 2) for end in (min(ends.values()), max(ends.values()))} == {0.90, 1.20}
    for subject, grid in GRIDS.items():
        predicted = Prediction(HEADER, int(np.prod(grid)), 2 * N_BETAS)
        assert predicted.end == HEADER + 2 * N_BETAS * predicted.n_chunks + NODE_BYTES * sum(predicted.n_nodes)
        assert Prediction(HEADER - 328, predicted.n_chunks, 2 * N_BETAS).fits(ends[subject])


def test_the_header_is_one_request_and_a_second_where_its_group_is_at_the_end(files: dict[str, Path]) -> None:
    assert opened(files["ordered"])[0].rounds == [[(0, BLOCK)]]
    get, header = opened(files["early"])
    last = header.size // BLOCK * BLOCK
    assert get.rounds == [[(0, BLOCK)], [(last, header.size)]]


@pytest.mark.parametrize("name", [write.__name__ for write in LAYOUTS])
def test_chunks_are_found_in_whatever_order_they_were_written(files: dict[str, Path], name: str) -> None:
    get, header = opened(files[name])
    some = np.sort(np.random.default_rng(3).choice(N_CHUNKS, 40, replace=False))
    expected = chunk_addresses(files[name])
    assert np.array_equal(walk(get, header, np.arange(N_CHUNKS)), expected)
    assert np.array_equal(walk(get, header, some), expected[some])
    assert np.array_equal(found(get, header, some), expected[some])
    assert is_proven(get, header, some) is (name in ("ordered", "early"))


def test_a_file_of_small_chunks_in_order_is_walked_because_its_tree_lies_otherwise(tmp_path: Path) -> None:
    ordered(tmp_path / "b.hdf5", betas((5, *SHAPE)))
    get, header = opened(tmp_path / "b.hdf5")
    assert not is_proven(get, header, np.arange(N_CHUNKS))
    assert np.array_equal(found(get, header, np.arange(N_CHUNKS)), chunk_addresses(tmp_path / "b.hdf5"))


def test_a_walk_reads_only_what_leads_to_a_wanted_chunk_and_each_level_in_one_round(files: dict[str, Path]) -> None:
    get, header = opened(files["ordered"])
    get.rounds.clear()
    walk(get, header, np.array([3, 60, 61, N_CHUNKS - 1]))
    assert [len(ranges) for ranges in get.rounds] == [1, 3]


@pytest.mark.parametrize("lacking", [0, 2000, N_CHUNKS - 1], ids=["first", "middle", "last"])
def test_a_chunk_that_was_never_written_is_an_error_and_no_zeros(tmp_path: Path, lacking: int) -> None:
    with create(tmp_path / "b.hdf5", (VOLUMES, *SHAPE)) as file:
        write_chunks(file, betas(), [one for one in range(N_CHUNKS) if one != lacking])
    get, header = opened(tmp_path / "b.hdf5")
    z, y, x = map(int, np.unravel_index(lacking, SHAPE))
    with pytest.raises(DataError, match=rf"holds nothing at voxel \({x}, {y}, {z}\)"):
        found(get, header, np.arange(N_CHUNKS))
    others = np.delete(np.arange(N_CHUNKS), lacking)
    assert np.array_equal(found(get, header, others), chunk_addresses(tmp_path / "b.hdf5"))


def flips(get: Asked, header: Header, level: int) -> Iterator[bytes]:
    """The file with each byte of the first node of a level changed; those that hold nothing all at once."""
    at = tree_nodes(get, header)[level][0]
    node = read_node(get([(at, at + NODE_BYTES)])[0], at, header)
    used = 24 + 56 * len(node.first)
    for place in range(used):
        for bits in (0x01, 0xFF):
            data = bytearray(get.data)
            data[at + place] ^= bits
            yield bytes(data)
    rest = slice(at + used, at + NODE_BYTES)
    yield get.data[: rest.start] + bytes(byte ^ 0xFF for byte in get.data[rest]) + get.data[rest.stop :]


@pytest.mark.parametrize("write", [ordered, shuffled])
@pytest.mark.parametrize("level", [0, 1], ids=["root", "leaf"])
def test_a_changed_byte_of_a_node_is_an_error_or_changes_no_address(
    tmp_path: Path, write: Callable[[Path, NDArray[np.int16]], None], level: int
) -> None:
    write(tmp_path / "b.hdf5", betas((VOLUMES, *SMALL)))
    get, header = opened(tmp_path / "b.hdf5")
    expected, n_errors = chunk_addresses(tmp_path / "b.hdf5"), 0
    for data in flips(get, header, level):
        try:
            addresses = found(Asked(data), header, np.arange(70))
        except DataError:
            n_errors += 1
        else:
            assert np.array_equal(addresses, expected)
    assert n_errors > 200


@settings(max_examples=40)
@given(st.data())
def test_any_region_is_found_in_any_layout(files: dict[str, Path], data: st.DataObject) -> None:
    get, header = opened(files[data.draw(st.sampled_from(sorted(files)))])
    wanted = np.array(sorted(data.draw(st.sets(st.integers(0, N_CHUNKS - 1), min_size=1))))
    expected = chunk_addresses(files[header.name.removesuffix(".hdf5")])[wanted]
    get.rounds.clear()
    assert np.array_equal(found(get, header, wanted), expected)
    assert sum(map(len, get.rounds)) <= 2 * sum(Prediction.of(header).n_nodes) + len(wanted)


@settings(max_examples=60)
@given(st.integers(1, 4000), st.integers(1, 3000), st.integers(1, 40_000))
def test_leaves_within_ranges_are_all_that_lie_wholly_in_one(n: int, step: int, length: int) -> None:
    predicted = Prediction(HEADER, n, 2 * N_BETAS)
    starts = np.arange(0, predicted.end, length + step)
    ends = starts + length
    expected = {
        (number, place)
        for number, at in enumerate(predicted.nodes(0, np.arange(predicted.n_nodes[0])).tolist())
        for place in np.flatnonzero((starts <= at) & (at + NODE_BYTES <= ends)).tolist()
    }
    assert set(zip(*(part.tolist() for part in predicted.leaves_within(starts, ends)), strict=True)) == expected


def changed_node(body: bytes, at: int, value: bytes) -> bytes:
    return body[:at] + value + body[at + len(value) :]


@pytest.mark.parametrize("at", [0, 4, 5, 6, 24, 28, 56 + 24 + 24, 72, 56 + 72], ids=hex)
def test_a_node_that_is_other_in_anything_that_is_used_proves_nothing(files: dict[str, Path], at: int) -> None:
    """Signature, type, level, number of children; of a child size, filter mask, place and address."""
    get, header = opened(files["ordered"])
    expected = Prediction.of(header).node(0, 5)
    body = get([expected.range])[0]
    assert holds(body, expected, header)
    assert not holds(changed_node(body, at, bytes([body[at] ^ 1])), expected, header)


@pytest.mark.parametrize("at", [24, 28])
def test_a_packed_chunk_or_one_of_another_size_is_an_error(files: dict[str, Path], at: int) -> None:
    get, header = opened(files["ordered"])
    leaf = Prediction.of(header).node(0, 0)
    body = changed_node(get([leaf.range])[0], at, b"\1")
    damaged = Asked(get.data[: leaf.address] + body + get.data[leaf.address + NODE_BYTES :])
    with pytest.raises(DataError, match="of another size, or packed"):
        walk(damaged, header, np.array([3]))


OTHERS: dict[str, tuple[Callable[[Path], h5py.File], str]] = {
    "packed": (lambda path: create(path, (VOLUMES, *SHAPE), compression="gzip"), "its chunks are packed"),
    "boxes": (lambda path: create(path, (VOLUMES, *SHAPE), chunks=(VOLUMES, 2, 2, 2)), "not one a voxel"),
    "contiguous": (lambda path: create(path, (VOLUMES, *SHAPE), chunks=None), "chunks of None"),
    "big-endian": (lambda path: create(path, (VOLUMES, *SHAPE), dtype=">i2"), ">i2 of shape"),
    "floats": (lambda path: create(path, (VOLUMES, *SHAPE), dtype="<f4"), "<f4 of shape"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_form_is_an_unknown_layout(name: str, tmp_path: Path) -> None:
    make, fact = OTHERS[name]
    with make(tmp_path / "b.hdf5") as file:
        file["betas"][...] = 1
    with pytest.raises(UnknownLayoutError, match=fact):
        opened(tmp_path / "b.hdf5")


@pytest.mark.parametrize("libver", ["v108", "latest"])
def test_a_file_of_a_later_format_is_an_unknown_layout(libver: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.hdf5", "w", libver=(libver, libver)) as file:
        file.create_dataset("betas", data=betas(), chunks=(VOLUMES, 1, 1, 1))
    with pytest.raises(UnknownLayoutError, match="superblock of version"):
        opened(tmp_path / "b.hdf5")


def test_a_dataset_of_a_later_format_in_an_old_file_is_an_unknown_layout(tmp_path: Path) -> None:
    """Whose attributes are tracked in an order has an object header of version 2."""
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        file.create_dataset("betas", data=betas(), chunks=(VOLUMES, 1, 1, 1), track_order=True)
    with pytest.raises(UnknownLayoutError, match="object header"):
        opened(tmp_path / "b.hdf5")


def test_a_header_that_fills_more_than_a_few_blocks_is_an_unknown_layout(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        for number in range(2500):
            file.create_group(f"{number:0500d}")
        file.create_dataset("betas", (VOLUMES, *SMALL), "<i2", chunks=(VOLUMES, 1, 1, 1))
    get = Asked((tmp_path / "b.hdf5").read_bytes())
    with pytest.raises(UnknownLayoutError, match="a header that is scattered, or large"):
        read_header(get, len(get.data), "b.hdf5")
    assert sum(end - start for ranges in get.rounds for start, end in ranges) <= 16 * BLOCK


def test_a_header_that_is_damaged_cut_short_or_of_other_data_is_an_error_of_one_line(files: dict[str, Path]) -> None:
    data = files["ordered"].read_bytes()
    for broken in (b"<html>no such key</html>", data[:90], bytes(500) + data):
        with pytest.raises(DataError) as caught:
            read_header(Asked(broken), len(broken), "betas.hdf5")
        assert str(caught.value).startswith("betas.hdf5: ")
        assert "\n" not in str(caught.value)


def test_a_changed_byte_of_the_header_is_an_error_or_changes_no_address(tmp_path: Path) -> None:
    ordered(tmp_path / "b.hdf5", betas((VOLUMES, *SMALL)))
    data = (tmp_path / "b.hdf5").read_bytes()
    sound = read_header(Asked(data), len(data), "betas.hdf5")
    expected = chunk_addresses(tmp_path / "b.hdf5")
    for place in range(HEADER):
        get = Asked(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            header = read_header(get, len(data), "betas.hdf5")
            addresses = found(get, header, np.arange(header.n_chunks))
        except (DataError, UnknownLayoutError):
            continue
        if header.shape == sound.shape:
            assert np.array_equal(addresses, expected)
        else:
            assert addresses.size < expected.size


def test_what_cannot_be_fetched_is_said_by_who_fetches(files: dict[str, Path]) -> None:
    def get(_: Sequence[Range]) -> list[bytes]:
        raise HubError("the server does not answer")

    with pytest.raises(HubError, match="does not answer"):
        read_header(get, files["ordered"].stat().st_size, "betas.hdf5")


def node_of(header: Header, level: int, first: Sequence[int], children: Sequence[int]) -> bytes:
    body = bytearray(NODE_BYTES)
    body[:24] = b"TREE" + bytes((1, level)) + len(first).to_bytes(2, "little") + b"\xff" * 16
    for number, (position, child) in enumerate(zip(first, children, strict=True)):
        zyx = map(int, np.unravel_index(position, header.shape[1:]))
        entry = np.array([header.chunk_bytes, 0], "<u4").tobytes() + np.array([0, *zyx, 0, child], "<u8").tobytes()
        body[24 + 56 * number : 24 + 56 * (number + 1)] = entry
    return bytes(body)


def circles(header: Header, chunks: list[int]) -> Iterator[bytes]:
    """Roots that lead to themselves, to one chunk again and again, out of the file, or into its header."""
    yield node_of(header, 3, [0], [header.root])
    yield node_of(header, 1, range(0, 64, 4), [header.root] * 16)
    yield node_of(header, 0, range(60), [chunks[0]] * 60)
    yield node_of(header, 255, [0], [header.root])
    yield node_of(header, 1, [0, 3], [2**63, 2**63])
    yield node_of(header, 0, range(60), [200 + header.chunk_bytes * number for number in range(9)] + chunks[9:60])


def test_a_tree_that_leads_in_circles_is_an_error_after_a_few_rounds(files: dict[str, Path]) -> None:
    get, header = opened(files["ordered"])
    for root in circles(header, chunk_addresses(files["ordered"]).tolist()):
        hostile = Asked(get.data[: header.root] + root + get.data[header.root + NODE_BYTES :])
        with pytest.raises(DataError, match="is damaged"):
            walk(hostile, header, np.arange(60))
        assert len(hostile.rounds) <= 6
        assert sum(map(len, hostile.rounds)) <= 120


def test_a_tree_of_more_levels_than_any_file_needs_is_an_error(files: dict[str, Path]) -> None:
    get, header = opened(files["ordered"])
    places = [header.root, *(len(get.data) + NODE_BYTES * number for number in range(200))]
    chain = [node_of(header, 200 - step, [0], [child]) for step, child in enumerate(places[1:])]
    data = get.data[: header.root] + chain[0] + get.data[header.root + NODE_BYTES :] + b"".join(chain[1:])
    hostile = Asked(data + bytes(NODE_BYTES))
    with pytest.raises(DataError, match="is no node"):
        walk(hostile, replace(header, size=len(hostile.data)), np.array([0]))
    assert len(hostile.rounds) == 1
