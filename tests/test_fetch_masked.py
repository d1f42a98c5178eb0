"""Some voxels of a beta file out of a bucket: the numbers in few requests, or one line; nothing twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise, permutations
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import bucket as loopback
import nsd_imagery
from bucket import Fault
from nsd_imagery.errors import DataError, SourceError, UnknownLayoutError, UsageError
from nsd_imagery.experiment import N_BETAS
from nsd_imagery.fetch import client
from nsd_imagery.fetch.bucket import Bucket, open_bucket
from nsd_imagery.fetch.masked import Fetched, Wanted, fetch_masked
from nsd_imagery.fetch.ranges import GAP, Ranges, coalesced
from nsd_imagery.fetch.reads import Read
from nsd_imagery.fetch.record import state_folder
from nsd_imagery.fetch.transfer import DownloadState
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas, mean_map
from nsd_imagery.synthetic.brain import make_brain
from nsd_imagery.volumes.layout.header import NODE_BYTES, Header, read_header
from nsd_imagery.volumes.layout.node import proof
from nsd_imagery.volumes.layout.predict import Prediction
from nsd_imagery.volumes.masked import Held
from nsd_imagery.volumes.read import read_betas, read_held
from test_layout import LAYOUTS, chunk_addresses

STEM = expected_betas("fithrf_GLMdenoise_RR", "subj01")
KEY = f"{STEM}.hdf5"
CORE = str(Path(expected_nsd_betas("fithrf_GLMdenoise_RR", "subj01")).parent)


@pytest.fixture(scope="module")
def served(release: Path) -> Iterator[loopback.Bucket]:
    with loopback.serving(release) as server:
        yield server


@pytest.fixture
def server(served: loopback.Bucket, monkeypatch: pytest.MonkeyPatch) -> loopback.Bucket:
    served.clear()
    monkeypatch.setattr("nsd_imagery.fetch.bucket._BREATH", 0.002)  # this process goes on
    monkeypatch.setattr(client, "_SILENCE", 0.5)
    monkeypatch.setattr(client, "_TRIES", 1)
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)
    return served


@pytest.fixture
def bucket(server: loopback.Bucket) -> Iterator[Bucket]:
    with open_bucket(server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def any_bucket(served: loopback.Bucket) -> Iterator[Bucket]:
    with open_bucket(served.url) as opened:
        yield opened


@pytest.fixture
def fetch(bucket: Bucket, server: loopback.Bucket, release: Path, tmp_path: Path) -> Callable[..., Fetched]:
    """Fetches ROIs of subj01 into `tmp_path`."""

    def fetch(*rois: str, key: str = KEY, with_means: bool = True, **options: int) -> Fetched:
        mean = mean_map(release / KEY) if with_means else None
        names = rois or ("nsdgeneral",)
        found = [nsd_imagery.find_roi(release, "subj01", name) for name in names]
        voxels = np.unique(np.concatenate([roi.flat for roi in found]))
        (one,) = bucket.head([key])
        wanted = Wanted(one, path_in(tmp_path), found[0].grid, voxels, names, mean)
        return fetch_masked(bucket, wanted, tmp_path / ".download/state", **options)

    return fetch


def path_in(folder: Path) -> Path:
    return folder / f"{STEM}.masked.hdf5"


def held_in(folder: Path) -> tuple[Held, NDArray[np.int16]]:
    found = read_held(path_in(folder))
    assert found is not None
    return found


def gets(server: loopback.Bucket) -> list[tuple[int, int]]:
    return [request.span for request in server.asked("GET") if request.span is not None]


def same_as_whole(folder: Path, release: Path, *rois: str) -> bool:
    """Whether what is held is, to the bit, what the whole file has there."""
    found = [nsd_imagery.find_roi(release, "subj01", name) for name in rois or ("nsdgeneral",)]
    voxels = np.unique(np.concatenate([roi.flat for roi in found]))
    held, _ = held_in(folder)
    of_masked, of_whole = (
        read_betas(path, found[0].grid, voxels, None).stored for path in (path_in(folder), release / KEY)
    )
    return np.array_equal(held.flat(found[0].grid), voxels) and np.array_equal(of_masked, of_whole)


def test_what_is_kept_is_what_the_whole_file_has_and_says_how_it_is_known(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    fetched = fetch()
    assert same_as_whole(tmp_path, release)
    held, _ = held_in(tmp_path)
    origin, size = held.origin, (release / KEY).stat().st_size
    assert (origin.source, origin.size, origin.etag) == (f"{server.url}/{KEY}", size, server.etag(KEY))
    assert (origin.rois, origin.located, origin.checked) == (("nsdgeneral",), "predicted+proven", "meanbeta")
    assert origin.modified == "2020-10-21T07:28:00Z"
    assert (fetched.n_voxels, fetched.note) == (held.positions.size, "")
    assert (fetched.n_requests, fetched.n_bytes) == (len(gets(server)), sum(b - a for a, b in gets(server)))
    assert {request.headers["if-match"] for request in server.asked("GET")} == {server.etag(KEY)}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["betas_nsdimagery.masked.hdf5"]


def test_header_then_all_else_are_the_only_rounds_of_requests(
    fetch: Callable[..., Fetched], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    get_all = Bucket.get_all

    def counted(self: Bucket, reads: list[Read], at_once: int) -> Iterator[tuple[int, memoryview]]:
        rounds.append(len(reads))
        return get_all(self, reads, at_once)

    monkeypatch.setattr(Bucket, "get_all", counted)
    fetch()
    assert rounds[0] == 1
    assert len(rounds) == 2


@pytest.mark.parametrize("write", LAYOUTS)
def test_a_file_of_any_layout_gives_the_same_numbers(
    write: Callable[[Path, NDArray[np.int16]], None],
    fetch: Callable[..., Fetched],
    server: loopback.Bucket,
    release: Path,
    tmp_path: Path,
) -> None:
    with h5py.File(release / KEY) as file:
        write(tmp_path / "other.hdf5", file["betas"][...])
    server.changed[KEY] = (tmp_path / "other.hdf5").read_bytes()
    (tmp_path / "other.hdf5").unlink()
    fetch()
    assert same_as_whole(tmp_path, release)
    is_in_order = write.__name__ in ("ordered", "early")
    assert held_in(tmp_path)[0].origin.located == ("predicted+proven" if is_in_order else "walked")


def in_another_order(data: bytes, header: Header, positions: NDArray[np.int64]) -> bytes:
    """The same file with the chunks of two voxels of one leaf at each other's places, as its tree says."""
    prediction = Prediction.of(header)
    leaf = prediction.node(0, int(positions[0] // 57))
    rows = [int(np.flatnonzero(leaf.first == position)[0]) for position in positions]
    places = [leaf.address + 24 + 56 * row + 48 for row in rows]
    changed = bytearray(data)
    for (place, at), (other_place, other_at) in permutations(zip(places, leaf.children[rows].tolist(), strict=True)):
        changed[place : place + 8] = data[other_place : other_place + 8]
        changed[at : at + header.chunk_bytes] = data[other_at : other_at + header.chunk_bytes]
    return bytes(changed)


def test_a_file_of_the_predicted_size_but_in_another_order_is_found_out_by_its_nodes(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    """Without a map of means, too."""
    data = (release / KEY).read_bytes()
    header = read_header(lambda ranges: [data[start:end] for start, end in ranges], len(data), KEY)
    roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
    positions = np.sort(roi.grid.file_order(roi.flat))
    first = int(np.flatnonzero(np.diff(positions // 57) == 0)[0])
    server.changed[KEY] = in_another_order(data, header, positions[first : first + 2])
    fetch(with_means=False)
    assert held_in(tmp_path)[0].origin.located == "walked"
    assert same_as_whole(tmp_path, release)


def test_two_chunks_that_were_exchanged_are_told_by_the_map_of_means(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
    one, other = chunk_addresses(release / KEY)[roi.grid.file_order(roi.flat)[[3, 40]]]
    data = bytearray((release / KEY).read_bytes())
    first, second = slice(one, one + 1440), slice(other, other + 1440)
    data[first], data[second] = data[second], data[first]
    server.changed[KEY] = bytes(data)
    with pytest.raises(
        DataError, match=r"do not agree with the map of means .* in 2 of .* take the whole file"
    ) as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    fetched = fetch(with_means=False)
    assert fetched.note == "there is no map of means beside it, by which its numbers could be checked"
    assert held_in(tmp_path)[0].origin.checked == "none"


def test_other_axes_than_those_of_the_masks_are_told_by_the_map_of_means(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    with h5py.File(release / KEY) as file:
        LAYOUTS[0](tmp_path / "other.hdf5", file["betas"][...][..., ::-1])
    server.changed[KEY] = (tmp_path / "other.hdf5").read_bytes()
    with pytest.raises(DataError, match=r"if the axes are betas\[trial, z, y, -x\]"):
        fetch()
    assert not path_in(tmp_path).exists()


def test_a_map_of_means_of_another_export_checks_nothing_and_a_note_says_so(
    bucket: Bucket, release: Path, tmp_path: Path
) -> None:
    roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
    map_path = mean_map(release / KEY)
    assert map_path is not None
    image = nib.load(map_path)
    percent = nib.Nifti1Image(np.asarray(image.dataobj) / 300, image.affine)
    nib.save(percent, tmp_path / "meanbeta_nsdimagery.nii.gz")
    (one,) = bucket.head([KEY])
    wanted = Wanted(
        one, path_in(tmp_path), roi.grid, roi.flat, ("nsdgeneral",), tmp_path / "meanbeta_nsdimagery.nii.gz"
    )
    fetched = fetch_masked(bucket, wanted, tmp_path / "state")
    assert "is of another export of these betas" in fetched.note
    assert held_in(tmp_path)[0].origin.checked == "none"


def test_a_file_that_is_replaced_while_it_is_fetched_is_an_error_and_the_next_call_takes_the_new_one(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    server.faults[:] = [Fault(KEY, "then", after=5, do=lambda: server.etags.update({KEY: "new"}))]
    with pytest.raises(DataError, match="changed") as caught:
        fetch(gap=0)
    assert "\n" not in str(caught.value)
    assert not path_in(tmp_path).exists()
    fetch(gap=0)
    assert held_in(tmp_path)[0].origin.etag == '"new"'
    assert same_as_whole(tmp_path, release)


def test_a_further_roi_fetches_only_what_is_missing(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    fetch("nsdgeneral")
    before = held_in(tmp_path)[0].positions
    server.requests.clear()
    fetched = fetch("nsdgeneral", "MTL", gap=0)
    held, _ = held_in(tmp_path)
    assert (
        fetched.n_voxels
        == held.positions.size - before.size
        == nsd_imagery.find_roi(release, "subj01", "MTL").flat.size
    )
    addresses = chunk_addresses(release / KEY)[before]
    header, *others = gets(server)
    assert header == (0, 65536)
    assert not [one for one in others for at in addresses if one[0] <= at < one[1]]
    assert same_as_whole(tmp_path, release, "nsdgeneral", "MTL")
    assert held.origin.rois == ("nsdgeneral", "MTL")


def test_nothing_is_asked_for_again_where_all_is_there(
    fetch: Callable[..., Fetched], server: loopback.Bucket, tmp_path: Path
) -> None:
    fetch("nsdgeneral")
    before, _ = path_in(tmp_path).read_bytes(), server.requests.clear()
    assert fetch("nsdgeneral", "V1") == Fetched(0, 0, 0)
    assert not server.asked("GET")
    assert path_in(tmp_path).read_bytes() == before


def test_a_file_that_changed_on_the_server_is_fetched_anew_whatever_is_there(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    first = fetch("nsdgeneral", "MTL")
    server.etags[KEY] = "another"
    assert fetch("nsdgeneral") == first
    held, _ = held_in(tmp_path)
    assert (held.origin.etag, held.origin.rois) == ('"another"', ("nsdgeneral", "MTL"))
    assert same_as_whole(tmp_path, release, "nsdgeneral", "MTL")


def test_what_is_damaged_here_is_fetched_anew(fetch: Callable[..., Fetched], release: Path, tmp_path: Path) -> None:
    first = fetch("nsdgeneral")
    with path_in(tmp_path).open("r+b") as file:
        file.truncate(100_000)
    assert fetch("nsdgeneral") == first
    assert same_as_whole(tmp_path, release)


def test_a_fetch_that_broke_off_goes_on_with_what_is_lacking(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    whole = fetch("nsdgeneral", gap=0)
    path_in(tmp_path).unlink()
    for n_before in (1, whole.n_requests // 4, whole.n_requests // 2, whole.n_requests - 1):
        shutil.rmtree(tmp_path / ".download", ignore_errors=True)
        server.faults[:] = [Fault(KEY, "status", 503, after=n_before)]
        with pytest.raises(SourceError):
            fetch("nsdgeneral", gap=0)
        assert not path_in(tmp_path).exists()
        journal = tmp_path / ".download/state/ranges.jsonl"
        lines = [json.loads(line) for line in journal.read_text().splitlines()[1:]] if journal.exists() else []
        kept = sum(line["stop"] - line["first"] for line in lines)
        server.faults.clear()
        again = fetch("nsdgeneral", gap=0)
        assert again.n_bytes == whole.n_bytes - 2 * N_BETAS * kept
        assert same_as_whole(tmp_path, release)
        path_in(tmp_path).unlink()


def test_what_the_disk_lost_of_the_block_is_fetched_again(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    """As a power cut leaves it: lines of the journal that name what was never on the disk, and half a line."""
    whole = fetch("nsdgeneral", gap=0)
    path_in(tmp_path).unlink()
    server.faults[:] = [Fault(KEY, "status", 503, after=60)]
    with pytest.raises(SourceError):
        fetch("nsdgeneral", gap=0)
    server.faults.clear()
    state = tmp_path / ".download/state"
    (state / "block").write_bytes(bytes(5000) + (state / "block").read_bytes()[5000:])
    with (state / "ranges.jsonl").open("ab") as file:
        file.write(b'{"first": 0, "sto')
    again = fetch("nsdgeneral", gap=0)
    assert again.n_bytes < whole.n_bytes - 10 * 2 * N_BETAS
    assert same_as_whole(tmp_path, release)


def test_a_block_of_other_voxels_is_not_taken_up(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    server.faults[:] = [Fault(KEY, "status", 503, after=60)]
    with pytest.raises(SourceError):
        fetch("nsdgeneral", gap=0)
    server.faults.clear()
    fetch("nsdgeneral", "MTL")
    assert same_as_whole(tmp_path, release, "nsdgeneral", "MTL")


_FETCHES = """
import os, sys
from pathlib import Path
import nsd_imagery
from nsd_imagery.fetch.bucket import open_bucket
from nsd_imagery.fetch.masked import Wanted, fetch_masked
url, key, release, path, state = sys.argv[1:]
roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
for _ in sys.stdin:
    if (child := os.fork()) == 0:
        status = 1
        try:
            with open_bucket(url) as bucket:
                (one,) = bucket.head([key])
                wanted = Wanted(one, Path(path), roi.grid, roi.flat, ("nsdgeneral",), None)
                fetch_masked(bucket, wanted, Path(state), gap=0)
            status = 0
        finally:
            os._exit(status)
    print(child, flush=True)
    sys.stdin.readline()  # until then its number is nobody else's
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""A process that begins another one for each line, which has all imported already, so that many cost little."""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system that does not fork")
def test_a_process_that_was_killed_at_any_moment_leaves_what_another_one_finishes(
    served: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    served.clear()
    served.latency, served.rate = 0.01, 4e6
    path, state = path_in(tmp_path), tmp_path / "state"
    command = [sys.executable, "-c", _FETCHES, served.url, KEY, str(release), str(path), str(state)]
    environment = {**os.environ, "PYTHONPATH": str(Path(nsd_imagery.__file__).parents[1])}
    random, n_killed = np.random.default_rng(5), 0
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        while n_killed < 25 or not path.exists():
            path.unlink(missing_ok=True)
            process.stdin.write("\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            if n_killed < 25:
                time.sleep(random.uniform(0.0, 0.2))
                os.kill(child, signal.SIGKILL)
            process.stdin.write("\n")
            process.stdin.flush()
            status = int(process.stdout.readline())
            assert status in (0, -signal.SIGKILL)
            n_killed += status != 0
            assert not path.exists() or same_as_whole(tmp_path, release)
        process.stdin.close()


def test_a_file_of_another_form_is_an_unknown_layout_and_leaves_nothing(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    with h5py.File(release / KEY) as file, h5py.File(tmp_path / "other.hdf5", "w") as other:
        other.create_dataset("betas", data=file["betas"][:8], chunks=(8, 1, 1, 1), compression="gzip")
    server.changed[KEY] = (tmp_path / "other.hdf5").read_bytes()
    (tmp_path / "other.hdf5").unlink()
    with pytest.raises(UnknownLayoutError, match=rf"^{server.url}/{KEY}: .*its chunks are packed"):
        fetch()
    assert not list(tmp_path.rglob("*"))


def test_a_file_of_another_grid_is_refused_before_its_betas_are_asked_for(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    other = KEY.replace("subj01", "subj02")
    with pytest.raises(DataError, match=r"grid is .* but the mask has"):
        fetch(key=other)
    assert len(gets(server)) == 1


def test_a_flipped_byte_of_a_node_changes_no_number(
    fetch: Callable[..., Fetched], server: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    """In an address, it would lead to the numbers of other voxels."""
    data = (release / KEY).read_bytes()
    header = read_header(lambda ranges: [data[start:end] for start, end in ranges], len(data), KEY)
    roi = nsd_imagery.find_roi(release, "subj01", "nsdgeneral")
    predicted = Prediction.of(header)
    leaves = proof(predicted, np.sort(roi.grid.file_order(roi.flat)))
    random, n_errors = np.random.default_rng(1), 0
    for node in [leaves[0], *random.choice(np.array(leaves[1:], object), 3)]:
        for place in random.integers(0, 24 + 56 * len(node.first), 6).tolist():
            server.faults[:] = [Fault(KEY, "flip", node.address + place)]
            path_in(tmp_path).unlink(missing_ok=True)
            try:
                fetch()
            except DataError:
                n_errors += 1
            else:
                assert same_as_whole(tmp_path, release)
    assert n_errors


@pytest.mark.slow
@settings(max_examples=25)
@given(st.data())
def test_any_region_comes_with_any_gap(
    release: Path,
    served: loopback.Bucket,
    any_bucket: Bucket,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    served.clear()
    grid = nsd_imagery.find_roi(release, "subj01", "nsdgeneral").grid
    chosen = data.draw(st.sets(st.integers(0, grid.n_voxels - 1), min_size=1, max_size=60))
    gap = data.draw(st.sampled_from([0, 1, 1440, 4096, GAP, 10**6, 10**9]))
    voxels, folder = np.array(sorted(chosen)), tmp_path_factory.mktemp("any")
    (one,) = any_bucket.head([KEY])
    wanted = Wanted(one, folder / "b.masked.hdf5", grid, voxels, ("any",), mean_map(release / KEY))
    fetched = fetch_masked(any_bucket, wanted, folder / "state", gap=gap)
    spans = sorted(gets(served)[1:])
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert fetched.n_bytes == sum(end - start for start, end in gets(served))
    of_masked = read_betas(folder / "b.masked.hdf5", grid, voxels, None).stored
    assert np.array_equal(of_masked, read_betas(release / KEY, grid, voxels, None).stored)


@example([(0, 5000)] * 300, 0)
@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(1, 5000)), min_size=1, max_size=60), st.integers(0, 40_000)
)
def test_things_are_in_one_range_if_no_more_than_the_gap_is_between_them(
    things: list[tuple[int, int]], gap: int
) -> None:
    starts = np.cumsum([before for before, _ in things]) + np.cumsum([0, *(length for _, length in things)])[:-1]
    ends = starts + [length for _, length in things]
    found = coalesced(starts, ends, gap)
    assert (found.starts[found.of] <= starts).all()
    assert (ends <= found.ends[found.of]).all()
    assert (found.starts[1:] >= found.ends[:-1]).all()
    assert (found.ends - found.starts).max() <= (1 << 19) + 5000 + 50_000
    between = starts[1:] - ends[:-1]
    is_apart = np.diff(found.of) > 0
    assert is_apart[between > gap].all()
    is_first_range = found.of[1:] == 1
    assert not (is_apart & (between <= gap) & is_first_range & (starts[1:] - starts[0] < 1 << 19)).any()


def test_a_folded_sheet_of_full_size_costs_little_more_than_its_voxels() -> None:
    """2 % of the file; what lies between folds makes it less than 5 %, in a few thousand requests."""
    brain = make_brain("subj01", full_size=True)
    positions = np.flatnonzero((brain.rois["nsdgeneral"] == 1).ravel(order="F"))
    prediction = Prediction(1400, brain.mask.size, 1440)
    nodes = proof(prediction, positions)
    ranges = Ranges.of(np.arange(positions.size), prediction.chunks(positions), 1440, nodes, prediction, GAP)
    chunks = prediction.chunks(positions)
    n_ranges = coalesced(chunks, chunks + 1440).starts.size
    n_bytes = sum(end - start for start, end in ranges.spans)
    assert n_bytes <= 2.3 * positions.size * 1440
    assert n_bytes <= 0.05 * prediction.end
    assert len(ranges.spans) <= n_ranges + 220
    assert sum(map(len, ranges.nodes)) >= len(nodes)
    assert all(
        start <= node.address and node.address + NODE_BYTES <= end
        for (start, end), nodes in zip(ranges.spans, ranges.nodes, strict=True)
        for node in nodes
    )


# The commands.


@pytest.fixture
def accepted(server: loopback.Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> loopback.Bucket:
    monkeypatch.setenv("NSD_IMAGERY_ACCEPT_TERMS", "1")
    monkeypatch.setenv("NSD_IMAGERY_SOURCE", server.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NSD_CACHE_ROOT", raising=False)
    return server


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("test-*.arrow")}


def betas_asked(server: loopback.Bucket) -> int:
    """Bytes of beta files that were asked for."""
    return sum(one.span[1] - one.span[0] for one in server.asked("GET") if "/betas_" in one.key and one.span)


def test_a_masked_download_is_all_that_a_build_needs(accepted: loopback.Bucket, release: Path, tmp_path: Path) -> None:
    done = nsd_imagery.download(tmp_path / "root", "subj01", masked=True)
    (beta,) = [file for file in done.files if file.kind == "betas"]
    assert (beta.path, beta.state, beta.proof) == (f"{STEM}.masked.hdf5", "fetched", "proven")
    assert beta.size == (tmp_path / "root" / f"{STEM}.masked.hdf5").stat().st_size
    assert betas_asked(accepted) < (release / KEY).stat().st_size
    captions = release / "annotations"  # of COCO, and not in the bucket
    masked = nsd_imagery.build(tmp_path / "root", tmp_path / "masked", subjects="subj01", captions=captions)
    whole = nsd_imagery.build(release, tmp_path / "whole", subjects="subj01")
    assert shards(masked) == shards(whole)
    accepted.requests.clear()
    again = nsd_imagery.download(tmp_path / "root", "subj01", masked=True)
    assert not accepted.asked("GET")
    assert {file.state for file in again.files} == {"there"}
    further = nsd_imagery.download(tmp_path / "root", "subj01", masked=True, roi="V1,MTL")
    assert [file.kind for file in further.files if file.state == "fetched"] == ["betas"]
    nsd_imagery.build(tmp_path / "root", tmp_path / "masked", subjects="subj01", roi="MTL", captions=captions)


def test_what_a_kill_left_of_a_masked_file_that_has_its_name_is_removed(
    accepted: loopback.Bucket, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    nsd_imagery.download(root, "subj01", masked=True)
    left = state_folder(root, f"{STEM}.masked.hdf5")
    left.mkdir()
    (left / "block").touch()
    (root / "nsddata/bdata/nsdimagery/nsdimagery_subj01_visA.tsv").unlink()
    nsd_imagery.download(root, "subj01", masked=True)
    assert not left.exists()


def test_a_whole_file_that_is_there_is_all_that_a_masked_download_wants(
    accepted: loopback.Bucket, own_release: Path
) -> None:
    done = nsd_imagery.download(own_release, "subj01", masked=True)
    (beta,) = [file for file in done.files if file.kind == "betas"]
    assert beta.state == "there"
    assert not accepted.asked("GET")


def test_of_an_unknown_layout_the_whole_packed_file_comes_and_a_note_says_why(
    accepted: loopback.Bucket, release: Path, tmp_path: Path
) -> None:
    with h5py.File(release / KEY) as file, h5py.File(tmp_path / "other.hdf5", "w") as other:
        other.create_dataset("betas", data=file["betas"][...], chunks=(720, 4, 4, 4))
    accepted.changed[KEY] = (tmp_path / "other.hdf5").read_bytes()
    done = nsd_imagery.download(tmp_path / "root", "subj01", masked=True)
    (beta,) = [file for file in done.files if file.kind == "betas"]
    assert (beta.path, beta.state, beta.proof) == (f"{STEM}.nii.gz", "fetched", "proven")
    (note,) = done.notes
    assert note.endswith("so parts of it cannot be found: the whole packed file was fetched")
    assert (tmp_path / "root" / f"{STEM}.nii.gz").read_bytes() == (release / f"{STEM}.nii.gz").read_bytes()


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_file_whose_header_cannot_be_had_is_one_line_and_an_ordinary_end(
    accepted: loopback.Bucket, tmp_path: Path, is_damaged: bool
) -> None:
    """What HDF5 keeps of a file of Python's must not outlive Python: the process would die at its very end."""
    accepted.faults.append(Fault(KEY, value=403))
    if is_damaged:
        accepted.faults.clear()
        accepted.changed[KEY] = bytes(3_000_000)
    done = run("download", tmp_path / "root", "--subjects", "subj01", "--masked", cwd=tmp_path)
    said = "is not a sound HDF5 file" if is_damaged else "not public in"
    assert (done.returncode, said in done.stderr.splitlines()[-1]) == (1, True)
    assert not list((tmp_path / "root").rglob("betas_*"))


def test_roi_without_masked_and_masked_with_another_format_are_usage(accepted: loopback.Bucket, tmp_path: Path) -> None:
    for options, said in (({"roi": "V1"}, "with --masked"), ({"masked": True, "format": "nii.gz"}, "are HDF5")):
        with pytest.raises(UsageError, match=said):
            nsd_imagery.download(tmp_path / "root", "subj01", **options)
    assert not accepted.requests


def test_the_plan_says_that_only_voxels_come_and_asks_for_no_betas(accepted: loopback.Bucket, tmp_path: Path) -> None:
    done = run("download", tmp_path / "root", "--subjects", "subj01", "--masked", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:4] == ["subj01", "voxels", "of", "betas_nsdimagery.hdf5"]
    assert "to fetch at most" in done.stdout.splitlines()[0]
    assert not accepted.asked("GET")
    assert not list(tmp_path.glob("root/**/*.hdf5"))


@pytest.mark.slow
def test_a_build_of_a_bucket_is_a_masked_download_into_a_cache_and_a_build(
    accepted: loopback.Bucket, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chosen = ("--subjects", "subj01", "--conditions", "vision", "--roi", "early")
    arguments = ("build", accepted.url, *chosen, "--captions", release / "annotations")
    before = run(*arguments, "--dry-run", cwd=tmp_path)
    assert (before.returncode, "to fetch" in before.stdout) == (0, True)
    assert not accepted.asked("GET")
    assert not (tmp_path / "nsd_imagery").exists()
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache/nsd-imagery" / loopback.NAME / f"{STEM}.masked.hdf5").is_file()
    whole = nsd_imagery.build(release, tmp_path / "whole", subjects="subj01", conditions="vision", roi="early")
    assert shards(tmp_path / "nsd_imagery") == shards(whole)
    accepted.requests.clear()
    assert run(*arguments, cwd=tmp_path).returncode == 0
    assert not accepted.asked("GET")
    accepted.requests.clear()
    for wrong in ("--zscore", "all"), ("--betas", "b4"), ("--smoothing-fwhm", "-1"), ("--smoothing-fwhm", "2"):
        refused = run("build", accepted.url, "--subjects", "subj02", *wrong, cwd=tmp_path)
        assert (refused.returncode, refused.stderr.count("\n"), accepted.requests) == (2, 1, [])
    nobody = run("build", accepted.url, cwd=tmp_path)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "subjects: name those to fetch" in nobody.stderr


@pytest.mark.slow
def test_sessions_of_nsd_core_come_masked_one_by_one(
    core_release: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NSD_IMAGERY_ACCEPT_TERMS", "1")
    states: list[DownloadState] = []
    with loopback.serving(core_release) as server:
        options = {"conditions": "perception", "masked": True, "source": server.url, "progress": states.append}
        done = nsd_imagery.download(tmp_path / "root", "subj01", sessions="1-2", **options)
        names = [file.path.rpartition("/")[2] for file in done.files if file.kind == "betas"]
        assert names == ["betas_session01.masked.hdf5", "betas_session02.masked.hdf5"]
        third, other = (f"{CORE}/meanbeta_session0{number}.nii.gz" for number in (3, 1))
        server.changed[third] = server.whole(other)
        done = nsd_imagery.download(tmp_path / "root", "subj01", sessions="1-3", **options)
        (note,) = done.notes  # what these maps are of is only likely, so that the betas stay
        assert "meanbeta_session03.nii.gz is not of these betas as they are stored" in note
        assert [file.proof for file in done.files if file.kind == "betas"] == ["", "", "not checked"]
        (tmp_path / "root" / third).unlink()
    assert states[-1].n_done == states[-1].n_files
    assert states[-1].bytes_done <= states[-1].n_bytes
    masked, whole = (
        nsd_imagery.build(root, tmp_path / name, conditions="perception", captions=core_release / "annotations")
        for root, name in ((tmp_path / "root", "masked"), (core_release, "whole"))
    )
    assert shards(masked) == shards(whole)
