"""The files of a piece, read once: its betas, what they came from, and what they lack."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.dataset.held import refuse_not_held
from nsd_imagery.dataset.names import roi_suffix
from nsd_imagery.dataset.pieces import Piece, columns_of
from nsd_imagery.dataset.recipe import FORMAT_VERSION
from nsd_imagery.dataset.shards import LogicalHash
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.identity import Identity, identity, read_unchanged
from nsd_imagery.progress import ShareProgress, unwatched
from nsd_imagery.sources.session import Session
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.meanbeta import MeanMap, hold_against_means
from nsd_imagery.volumes.nifti import is_nifti
from nsd_imagery.volumes.read import brain_voxels, inside_voxels, read_betas, read_sample
from nsd_imagery.volumes.roi import Roi, union
from nsd_imagery.volumes.scale import refuse_unlikely_scale
from nsd_imagery.volumes.unpacked import file_digest

_FEW = 8
_MOST = 0.01
"""Voxels of a ROI that may hold nothing although they should: so many, or this share. Then a file is not whole."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What one reading of a piece's files gave; none of them was touched while it was read.

    Attributes:
        betas: At the voxels of all ROIs of the piece (their union, sorted), smoothed if its recipe says so.
        identity: Of the beta file.
        within: Says of which voxels smoothed betas were made; empty for betas as they are.
        is_empty: (n_voxels,) True where a voxel holds nothing in any volume although `valid_*` says that it has data.
        fingerprints: By ROI, of the piece.
        mean_map: What the map of means says of all voxels that were read; None where there is none.
        noted_map: Identity of that map, where the notes are of it.
    """

    betas: Betas
    identity: Identity
    within: str
    is_empty: NDArray[np.bool_]
    fingerprints: Mapping[str, str]
    mean_map: MeanMap | None
    noted_map: Identity | None

    def source_id(self, piece: Piece, roi: Roi) -> str:
        """What the numbers of a ROI came from: the file's bytes, or (HDF5) its geometry and the ROI's block.

        A masked file's is that of the whole file. Smoothed betas also came from the voxels that were smoothed; their
        block is that of the smoothed numbers.
        """
        header = self.betas.header
        size = self.identity[0] if header.held is None else header.held.origin.size
        if self.betas.file_digest is not None:
            return _id_of_file(size, self.betas.file_digest, self.within)
        shape = "x".join(map(str, (header.n_volumes, *header.grid.shape)))
        digest = xxhash.xxh3_128()
        columns = columns_of(piece, roi)
        for row in self.betas.stored:
            digest.update(row[columns].data)
        return f"hdf5:{size}:{shape}:{header.dtype.str}:xxh3_128:{digest.hexdigest()}{self.within}"

    @property
    def validity(self) -> str:
        """A hash of which volumes hold data; in an HDF5 file voxels outside the ROI have a say in that."""
        return xxhash.xxh3_64_hexdigest(self.betas.is_valid.tobytes())

    def notes(self, piece: Piece, roi: Roi) -> tuple[str, ...]:
        """What the betas of a ROI lack, in sentences."""
        n_empty = int(self.is_empty[columns_of(piece, roi)].sum())
        lacks = [_empty(n_empty, piece, roi)] if n_empty else []
        if self.betas.header.held is not None:
            lacks.append(self.betas.header.held.note)
        if self.mean_map is not None and self.mean_map.note:
            lacks.append(self.mean_map.note)
        return tuple(f"{piece.key}: {lack}" for lack in lacks)


def read_piece(piece: Piece, progress: ShareProgress = unwatched) -> Reading:
    """Read the betas of a piece; again if a file is replaced meanwhile.

    Raises:
        MissingDataError: A file is not there, or masked and without voxels that are needed; or the recipe smooths and
            nothing says where the brain is.
        DataError: A file is damaged, of another grid, or was never written whole; or the map of means is of other
            betas.
    """
    reading = read_unproven(piece, progress)
    if reading.mean_map is not None and reading.mean_map.verdict == "wrong":
        raise DataError(reading.mean_map.said)
    for roi in piece.rois:
        n_empty = int(reading.is_empty[columns_of(piece, roi)].sum())
        if n_empty > max(_FEW, _MOST * roi.flat.size) or n_empty == roi.flat.size:
            msg = (
                f"{piece.session.beta_path}: {_empty(n_empty, piece, roi)}: the file was never written whole; copy it "
                "again"
            )
            raise DataError(msg)
    return reading


def refuse_other_units(piece: Piece) -> None:
    """Look at a few of a piece's betas, whether they can be percent signal change.

    Raises:
        DataError: They cannot be, or the file is damaged or of another grid.
    """
    session = piece.session
    header, stored = read_sample(session.beta_path, piece.rois[0].grid, union(piece.rois))
    refuse_unlikely_scale(session.beta_path, stored, header.over(session.beta_scale), sampled=True)


def read_unproven(piece: Piece, progress: ShareProgress = unwatched) -> Reading:
    """As `read_piece`, but the numbers may be wrong: the map of means, or where there are none, only says so."""
    (found, *others), (betas, is_empty, mean_map, said) = read_unchanged(
        piece.files, lambda: (*_read(piece, progress), _said(piece))
    )
    noted = others[-1] if mean_map is not None and mean_map.note else None
    return Reading(betas, found, said.within, is_empty, said.fingerprints, mean_map, noted)


def mean_map_of(session: Session, betas: Betas, grid: Grid, voxels: FlatIndex) -> MeanMap | None:
    """What the map of means of a session says of betas as they were read; None where there is none.

    What NSD core's maps are of is not documented, only likely.
    """
    if session.mean_path is None:
        return None
    certain = session.experiment == "nsdimagery"
    return hold_against_means(session.mean_path, session.beta_path, betas, grid, voxels, certain=certain)


@dataclass(frozen=True)
class File:
    """The beta file of a piece that was not inflated.

    Attributes:
        identity: Of the file.
        source_id: That its betas would have.
        fingerprints: By ROI, of the piece.
    """

    identity: Identity
    source_id: str
    fingerprints: Mapping[str, str]


def read_bytes(piece: Piece) -> File | None:
    """What the bytes of a beta file say of what is in it; None for HDF5, of which only some voxels are read.

    Raises:
        MissingDataError, DataError: As `read_piece`.
    """
    path = piece.session.beta_path
    if not is_nifti(path):
        return None
    (found, *_), (digest, said) = read_unchanged(piece.files, lambda: (file_digest(path), _said(piece)))
    return File(found, _id_of_file(found[0], digest, said.within), said.fingerprints)


def fingerprint(piece: Piece, roi: Roi) -> str:
    """Everything that decides a piece's shards but the contents of the beta file."""
    rows = LogicalHash(piece.session.rows.schema)
    for batch in piece.session.rows.combine_chunks().to_batches():
        rows.update(batch)
    said = [
        FORMAT_VERSION,
        piece.recipe.options,
        piece.key,
        piece.conditions,
        roi_suffix(roi.name),
        roi.grid.shape,
        piece.session.beta_scale,
        rows.hexdigest(),
    ]
    whole = xxhash.xxh3_128(json.dumps(said, sort_keys=True).encode())
    whole.update(roi.flat.tobytes())
    for path in piece.maps:
        whole.update(_digest(path, *identity(path)))
    whole.update(b"" if piece.recipe.smoothing_fwhm is None else smoothing_mask(piece).tobytes())
    return whole.hexdigest()


def smoothing_mask(piece: Piece) -> FlatIndex:
    """C-order flat indices of the voxels that are smoothed, and that others are smoothed with: brain with data.

    Raises:
        MissingDataError: Nothing says where the brain is.
        DataError: The map of voxels with data is damaged, or of another grid.
    """
    if piece.valid is None and piece.brain is None:
        msg = f"{piece.key}: smoothing stays within the brain, but there is no brainmask.nii.gz; copy it to the root"
        raise MissingDataError(msg)
    mask = brain_voxels(piece.brain)
    brain = np.arange(piece.rois[0].grid.n_voxels) if mask is None else mask
    return brain if piece.valid is None else brain[_has_data(piece, brain)]


@dataclass(frozen=True)
class _Said:
    """What the maps of a piece say; see `Reading`."""

    within: str
    fingerprints: Mapping[str, str]


def _said(piece: Piece) -> _Said:
    smoothed = piece.recipe.smoothing_fwhm is not None
    within = f":within:{xxhash.xxh3_128_hexdigest(smoothing_mask(piece).data)}" if smoothed else ""
    return _Said(within, {roi.name: fingerprint(piece, roi) for roi in piece.rois})


def _read(piece: Piece, progress: ShareProgress) -> tuple[Betas, NDArray[np.bool_], MeanMap | None]:
    session, grid, voxels = piece.session, piece.rois[0].grid, union(piece.rois)
    brain = brain_voxels(piece.brain)
    if piece.recipe.smoothing_fwhm is None:
        refuse_not_held(piece, voxels)
        betas = read_betas(session.beta_path, grid, voxels, brain, progress)
        mean_map = mean_map_of(session, betas, grid, voxels)
        return _plausible(session, betas), _is_empty(piece, voxels, betas, voxels), mean_map
    # Here, because scipy.ndimage takes longer to import than a session to smooth.
    from nsd_imagery.volumes.smooth import smooth, smoother

    by = smoother(grid, voxels, smoothing_mask(piece), piece.recipe.smoothing_fwhm)
    refuse_not_held(piece, by.needs)
    betas = read_betas(session.beta_path, grid, by.needs, brain, progress)
    is_empty, mean_map = _is_empty(piece, voxels, betas, by.needs), mean_map_of(session, betas, grid, by.needs)
    return smooth(_plausible(session, betas), by), is_empty, mean_map


def _plausible(session: Session, betas: Betas) -> Betas:
    """The betas with the scaling of their session, by which they can be percent signal change."""
    scaled = betas.over(session.beta_scale)
    refuse_unlikely_scale(session.beta_path, scaled.stored, scaled.header)
    return scaled


def _id_of_file(size: int, digest: str, within: str) -> str:
    return f"nifti:{size}:xxh3_128:{digest}{within}"


def _is_empty(piece: Piece, voxels: FlatIndex, betas: Betas, read: FlatIndex) -> NDArray[np.bool_]:
    """(n_voxels,) which of some voxels should hold data and do not; those that were not read are none of them."""
    has_data = np.zeros(read.size, np.bool_)
    for row in betas.stored:
        has_data |= row != 0
        if has_data.all():
            break
    is_empty = np.isin(voxels, read[~has_data])
    if piece.valid is None or not is_empty.any():
        return np.zeros(voxels.size, np.bool_)
    return is_empty & _has_data(piece, voxels)


def _has_data(piece: Piece, voxels: FlatIndex) -> NDArray[np.bool_]:
    """(n_voxels,) where the map of voxels with data says that there are some."""
    assert piece.valid is not None
    valid, grid = inside_voxels(piece.valid)
    grid.check_same(piece.rois[0].grid, str(piece.valid), "the mask")
    return np.isin(voxels, valid, assume_unique=True)


def _empty(n_empty: int, piece: Piece, roi: Roi) -> str:
    assert piece.valid is not None
    voxels = f"{n_empty:,} of {roi.flat.size:,} voxels of {roi.plain_name}"
    return f"{voxels} that {piece.valid.name} calls valid hold nothing in any volume"


@cache
def _digest(path: Path, *_identity: int) -> bytes:
    return xxhash.xxh3_128(path.read_bytes()).digest()
