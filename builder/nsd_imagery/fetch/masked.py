"""Some voxels of an HDF5 beta file out of the bucket, by ranges, as a masked file.

Where the chunks of the voxels lie is predicted from the header of the file, so that they are asked for at once, with
nodes of its tree that prove the prediction. If one of these is other, the tree is walked, and they are asked for where
that has them. What they must be, the release's map of means says.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.fetch.block import open_block
from nsd_imagery.fetch.bucket import AT_ONCE, Bucket
from nsd_imagery.fetch.ranges import GAP, OtherLayoutError, Ranges
from nsd_imagery.fetch.reads import Object, Read
from nsd_imagery.links import is_there
from nsd_imagery.volumes.betas import BetaHeader, Betas, Scaling
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.layout.header import Header, Range, read_header
from nsd_imagery.volumes.layout.node import proof
from nsd_imagery.volumes.layout.predict import Addresses, Positions, Prediction
from nsd_imagery.volumes.layout.walk import walk
from nsd_imagery.volumes.masked import Held, Origin, write_masked
from nsd_imagery.volumes.meanbeta import hold_against_means
from nsd_imagery.volumes.read import read_held

BytesProgress = Callable[[int], object]
"""Called with the number of bytes that came."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """Voxels of a beta file.

    Attributes:
        beta: The whole file in the bucket.
        path: The masked file that they are kept in.
        grid: The masks' grid, which the file must share.
        voxels: (n_voxels,) C-order flat indices.
        rois: Names of the ROIs that they are of.
        mean_path: The map of the means of the file's voxels; None where there is none.
        certain: Whether the map is known to be of the stored numbers; see `meanbeta.hold_against_means`.
    """

    beta: Object
    path: Path
    grid: Grid
    voxels: FlatIndex
    rois: tuple[str, ...]
    mean_path: Path | None
    certain: bool = True


@dataclass(frozen=True)
class Fetched:
    """What a fetch did.

    Attributes:
        n_voxels: That came.
        n_requests: Ranges that were asked for.
        n_bytes: Of these.
        note: Why the numbers were not held against a map of means; "" where they were.
    """

    n_voxels: int
    n_requests: int
    n_bytes: int
    note: str = ""


def fetch_masked(
    bucket: Bucket,
    wanted: Wanted,
    state: Path,
    progress: BytesProgress = lambda _: None,
    gap: int = GAP,
    at_once: int = AT_ONCE,
) -> Fetched:
    """Fetch what a masked file lacks of some voxels, or all of it, and write it; what it holds of others stays.

    Args:
        bucket: The bucket.
        wanted: The voxels.
        state: A folder for what has come so far, by which a next call goes on; it is removed at the end.
        progress: Called as bytes come.
        gap: See `ranges.coalesced`.
        at_once: Requests that run at the same time.

    Raises:
        UnknownLayoutError: The file is laid out in another way than the release's: it is to be had whole.
        DataError: It is damaged, of another grid, lacks a voxel, or the map of means is of other numbers.
        MissingDataError, AccessError, SourceError: Of the bucket.
        OSError: The disk is full.
    """
    source = f"{bucket.name}/{wanted.beta.key}"
    there, positions, rois = _lacking(wanted, source)
    if not positions.size:
        return Fetched(0, 0, 0)
    counted = _Counted(bucket, wanted.beta, progress, at_once)
    header = read_header(counted.get, wanted.beta.size, source)
    header.grid.check_same(wanted.grid, source, "the mask")
    numbers, located = _numbers(counted, header, positions, state, gap)
    n_voxels = positions.size
    positions, numbers = _joined(there, positions, numbers)
    try:
        checked, note = _checked(wanted, header, positions, numbers)
    except DataError:
        shutil.rmtree(state)  # or the next call would go on with the same numbers
        raise
    beta = wanted.beta
    origin = Origin(source, beta.size, beta.etag, rois, located, checked, beta.modified)
    write_masked(wanted.path, header.shape, positions, numbers, origin)
    shutil.rmtree(state)
    return Fetched(n_voxels, counted.n_requests, counted.n_bytes, note)


_Numbers = tuple[Held, NDArray[np.int16]]


def _lacking(wanted: Wanted, source: str) -> tuple[_Numbers | None, Positions, tuple[str, ...]]:
    """What is there and stays, the positions of what is to be fetched, and the ROIs of all of it.

    Of a file that is another in the bucket by now, what was held is fetched again.
    """
    positions = np.sort(wanted.grid.file_order(wanted.voxels))
    try:
        found = read_held(wanted.path) if is_there(wanted.path) else None
    except DataError:
        found = None
    if found is None or found[0].origin.source != source:
        return None, positions, wanted.rois
    held, _ = found
    rois = tuple(dict.fromkeys([*held.origin.rois, *wanted.rois]))
    if is_of(held, source, wanted.beta):
        return found, np.setdiff1d(positions, held.positions, assume_unique=True), rois
    return None, np.union1d(positions, held.positions), rois


def is_of(held: Held, source: str, beta: Object) -> bool:
    """Whether a masked file is of a whole file as the bucket has it."""
    origin = held.origin
    return (origin.source, origin.size, origin.etag) == (source, beta.size, beta.etag)


class _Counted:
    """One file of the bucket.

    Attributes:
        n_requests: Ranges that were asked for.
        n_bytes: That came.
        etag: Of the file.
    """

    def __init__(self, bucket: Bucket, beta: Object, progress: BytesProgress, at_once: int) -> None:
        self.n_requests = self.n_bytes = 0
        self.etag = beta.etag
        self._bucket, self._beta, self._progress, self._at_once = bucket, beta, progress, at_once

    def each(self, ranges: Sequence[Range]) -> Iterator[tuple[int, memoryview]]:
        """The bytes of ranges as they come, with their places among these."""
        self.n_requests += len(ranges)
        reads = [Read(self._beta.key, self._beta.etag, start, stop) for start, stop in ranges]
        for place, data in self._bucket.get_all(reads, self._at_once):
            self.n_bytes += len(data)
            self._progress(len(data))
            yield place, data

    def get(self, ranges: Sequence[Range]) -> list[bytes]:
        """The bytes of ranges, in their order."""
        found = {place: bytes(data) for place, data in self.each(ranges)}
        return [found[place] for place in range(len(ranges))]


def _numbers(
    counted: _Counted, header: Header, positions: Positions, state: Path, gap: int
) -> tuple[NDArray[np.int16], str]:
    """(n_voxels, n_volumes) of chunks in the order of their positions, and how their addresses were known."""
    prediction = Prediction.of(header)
    if prediction.fits(header.size):
        try:
            predicted = prediction.chunks(positions)
            return _placed(counted, header, positions, predicted, prediction, state, gap), "predicted+proven"
        except OtherLayoutError:
            pass
    addresses = walk(counted.get, header, positions)
    return _placed(counted, header, positions, addresses, None, state, gap), "walked"


def _placed(counted: _Counted, header: Header, positions: Positions, addresses: Addresses,
            prediction: Prediction | None, state: Path, gap: int) -> NDArray[np.int16]:  # fmt: skip
    """The numbers of chunks at some addresses, whose prediction is proven at the same time where they are predicted.

    Raises:
        OtherLayoutError: It is not so.
    """
    order = np.argsort(addresses)
    layout = xxhash.xxh3_64_hexdigest(positions.tobytes() + addresses.tobytes())
    of = {"source": header.name, "etag": counted.etag, "size": header.size, "layout": layout}
    with open_block(state, (positions.size, header.shape[0]), of) as block:
        lacking = np.flatnonzero(~block.is_there)
        expected = [] if prediction is None else proof(prediction, positions)
        ranges = Ranges.of(lacking, addresses[order][lacking], header.chunk_bytes, expected, prediction, gap)
        for place, data in counted.each(ranges.spans):
            ranges.place(place, data, block, header)
    if (order[1:] > order[:-1]).all():  # as predicted ones are, which spares a copy
        return block.numbers
    numbers = np.empty_like(block.numbers)
    numbers[order] = block.numbers
    return numbers


def _joined(
    there: _Numbers | None, positions: Positions, numbers: NDArray[np.int16]
) -> tuple[Positions, NDArray[np.int16]]:
    """What came together with what was there."""
    if there is None:
        return positions, numbers
    held, before = there
    positions = np.append(held.positions, positions)
    order = np.argsort(positions)
    return positions[order], np.concatenate([before, numbers])[order]


def _checked(wanted: Wanted, header: Header, positions: Positions, numbers: NDArray[np.int16]) -> tuple[str, str]:
    """What the numbers were held against, and if they were not, why.

    Raises:
        DataError: The map of means is of other numbers.
    """
    if wanted.mean_path is None:
        return "none", "there is no map of means beside it, by which its numbers could be checked"
    dtype = np.dtype(np.int16)
    betas = Betas(
        BetaHeader(header.grid, header.shape[0], dtype, Scaling.of(dtype)),
        numbers.T,
        np.ones(header.shape[0], np.bool_),
        None,
    )
    voxels = wanted.grid.flat_of(positions)
    found = hold_against_means(
        wanted.mean_path, Path(wanted.beta.key), betas, wanted.grid, voxels, certain=wanted.certain
    )
    if found.verdict == "wrong":
        said = found.said.partition(": copy")[0]
        what = f"its parts do not agree with the map of means and are not kept ({said})"
        whole = "nsd-imagery download ROOT --subjects subjAA --format hdf5"
        msg = f"{header.name}: {what}; take the whole file: {whole}"
        raise DataError(msg)
    return ("meanbeta", "") if found.verdict == "fits" else ("none", found.note or found.said)
