"""A made-up brain for each subject: grid, masks and ROI volumes, the same whatever the seed."""

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import GRIDS, NSDGENERAL_VOXELS, SUBJECTS
from nsd_imagery.synthetic.atlas import DEEP_LABELS, LABELS, OUTSIDE_CORTEX, Cortex, label_cortex, label_deep
from nsd_imagery.synthetic.fields import smooth_field
from nsd_imagery.synthetic.folds import BOX_CENTRE, BOX_HALF, folded_sheet
from nsd_imagery.synthetic.randomness import generator

VOXEL_MM = 1.8

_Scalar = TypeVar("_Scalar", bound=np.generic)

_BRAIN_RADIUS = 0.94
_CORTEX_DEPTH = 0.30
"""Of a small brain, in units of half the grid, so that the shell is closed."""

_BORDER_QUANTILE = 0.95
"""The share of a folded nsdgeneral that is nearer to the back than what counts as its border."""

_INVALID_SHARE = 0.002
_INVALID_AT_LEAST = 3


@dataclass(frozen=True, eq=False)
class Brain:
    """The brain of one subject.

    Attributes:
        subject: "subj01" to "subj08".
        affine: (4, 4) voxel to mm; x rises to the right, y to the front, z to the top.
        mask: (X, Y, Z) bool.
        valid: (X, Y, Z) bool, part of `mask`; the rest of it has no data in NSD-Imagery.
        rois: ROI file -> (X, Y, Z) int16: -1 outside the cortex, 0 cortex outside its ROIs, else a label; of what lies
            below the cortex, 0 wherever there is no label.
    """

    subject: str
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    rois: dict[str, NDArray[np.int16]]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        x, y, z = self.mask.shape
        return x, y, z

    @cached_property
    def voxels(self) -> NDArray[np.int64]:
        """(n_voxels,) positions of the brain's voxels in a volume laid out with x fastest, as both beta files are."""
        return np.flatnonzero(self.mask.ravel(order="F"))

    @cached_property
    def coordinates(self) -> NDArray[np.float32]:
        """(n_voxels, 3) of the brain's voxels, each axis of the grid from -1 to 1."""
        return np.stack([axis.ravel(order="F")[self.voxels] for axis in _axes(self.shape)], axis=1)

    def inside(self, volume: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The values of an (X, Y, Z) volume in the brain's voxels, (n_voxels,)."""
        return volume.ravel(order="F")[self.voxels]

    def to_volume(self, values: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """The (X, Y, Z) volume of values in the brain's voxels, 0 elsewhere; undoes `inside`."""
        volume = np.zeros(self.mask.size, values.dtype)
        volume[self.voxels] = values
        return volume.reshape(self.shape, order="F")

    def valid_in_core(self, session: int) -> NDArray[np.bool_]:
        """(X, Y, Z) those of `valid` with data in a session of NSD core; each lacks a few of its own."""
        purpose = ("invalid in core", self.subject, session)
        nsdgeneral = self.rois["nsdgeneral"] == 1
        inside = _invalid(generator(0, *purpose, "inside"), self.valid & nsdgeneral)
        outside = _invalid(generator(0, *purpose, "outside"), self.valid & ~nsdgeneral)
        return self.valid & ~inside & ~outside

    def hemisphere(self, name: str, side: str) -> NDArray[np.int16]:
        """The labels of a ROI file in one half of the brain, "lh" or "rh"; -1 in the other."""
        is_left = np.arange(self.shape[0]) < self.shape[0] / 2
        keep = is_left if side == "lh" else ~is_left
        return np.where(keep[:, None, None], self.rois[name], np.int16(OUTSIDE_CORTEX))

    def mean_volume(self) -> NDArray[np.int16]:
        """(X, Y, Z) a mean functional image: brighter inside the brain, dimmer towards its middle."""
        radius = np.sqrt(sum(axis**2 for axis in _axes(self.shape)))
        return np.where(self.mask, 500 + 700 * radius, 20 + 30 * radius).astype(np.int16)


def make_brain(subject: str, *, full_size: bool) -> Brain:
    """The brain of a subject, on the true grid with the true number of nsdgeneral voxels, or on a small one."""
    number = SUBJECTS.index(subject) + 1
    shape = GRIDS[subject] if full_size else (18 + number % 3, 22 + number % 4, 16 + number % 2)
    n_nsdgeneral = NSDGENERAL_VOXELS[subject] if full_size else 260 + 20 * number
    coordinates = np.stack(_axes(shape), axis=-1)
    radius = np.linalg.norm(coordinates, axis=-1)
    mask = radius < _BRAIN_RADIUS
    if full_size:
        is_cortex, in_nsdgeneral = folded_sheet(subject, coordinates, mask, n_nsdgeneral)
        cortex = _folded_cortex(subject, coordinates[is_cortex], in_nsdgeneral[is_cortex])
    else:
        is_cortex = mask & (radius > _BRAIN_RADIUS - _CORTEX_DEPTH)
        cortex = _make_cortex(subject, coordinates[is_cortex], n_nsdgeneral)
    rois = {}
    for name in LABELS:
        rois[name] = np.full(shape, OUTSIDE_CORTEX, np.int16)
        rois[name][is_cortex] = label_cortex(name, cortex)
    rois |= {name: label_deep(name, coordinates) for name in DEEP_LABELS}
    affine = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1])
    affine[:3, 3] = -VOXEL_MM * (np.array(shape) - 1) / 2 + (0.3 * number, -17.5, 9.25)
    invalid = _invalid(generator(0, "invalid voxels", subject), rois["nsdgeneral"] == 1)
    return Brain(subject, affine, mask, mask & ~invalid, rois)


def _axes(shape: tuple[int, int, int]) -> list[NDArray[np.float32]]:
    """The three coordinates of every voxel, each (X, Y, Z)."""
    lines = [((2 * np.arange(n) + 1) / n - 1).astype(np.float32) for n in shape]
    return list(np.meshgrid(*lines, indexing="ij"))


def _make_cortex(subject: str, coordinates: NDArray[np.float32], n_nsdgeneral: int) -> Cortex:
    """Nsdgeneral is the given number of voxels nearest to the back, with a border that is not quite even."""
    points = coordinates / np.linalg.norm(coordinates, axis=1, keepdims=True)
    polar = np.arccos(np.clip(-points[:, 1], -1, 1))
    bumps = smooth_field(generator(0, "nsdgeneral", subject), coordinates, 0.3)
    nearest = np.argsort(polar + 0.05 * bumps, kind="stable")[:n_nsdgeneral]
    border = float(np.sort(polar)[n_nsdgeneral - 1])
    in_nsdgeneral = np.zeros(len(points), bool)
    in_nsdgeneral[nearest] = True
    return Cortex(points, polar / border + _shift(subject, coordinates), border, in_nsdgeneral)


def _folded_cortex(subject: str, coordinates: NDArray[np.float32], in_nsdgeneral: NDArray[np.bool_]) -> Cortex:
    """Areas lie around the back as on a small brain, whatever the depth in the folds; directions fill the box."""
    front = np.add(BOX_CENTRE, (0, BOX_HALF[1], 0), dtype=np.float32)
    scaled = (coordinates - front) / np.array((BOX_HALF[0], 2 * BOX_HALF[1], BOX_HALF[2]))
    points = (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)
    polar = np.arccos(np.clip(-points[:, 1], -1, 1))
    border = float(np.quantile(polar[in_nsdgeneral], _BORDER_QUANTILE))
    return Cortex(points, polar / border + _shift(subject, coordinates), border, in_nsdgeneral)


def _shift(subject: str, coordinates: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n_voxels,) how uneven the borders between areas are."""
    return (0.04 * smooth_field(generator(0, "areas", subject), coordinates, 0.3)).astype(np.float32)


def _invalid(rng: np.random.Generator, where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A few of the voxels of an (X, Y, Z) mask."""
    voxels = np.flatnonzero(where)
    count = max(_INVALID_AT_LEAST, round(_INVALID_SHARE * len(voxels)))
    invalid = np.zeros(where.shape, bool)
    invalid.flat[rng.choice(voxels, count, replace=False)] = True
    return invalid
