"""Regions of interest by name: which voxels of a subject's grid are inside, always in C order of (i, j, k).

A name is `nsdgeneral`; V1, V2, V3, hV4, V1v ... (prf-visualrois); `early` (V1 to hV4) and `higher` (the rest), both
inside nsdgeneral, as in Kneeland et al. (2025); an area of the floc atlases; `atlas:label`; the path of a mask file;
or several of these joined by `&`, which intersects. Where a subject's masks lie is spelled in
`sources.release_files` and `sources.cache_files`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.links import is_there
from nsd_imagery.suggest import did_you_mean, one_of
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.maps import Maps

DEFAULT_ROI = "nsdgeneral"

VISUAL_ATLAS = "prf-visualrois"
_VISUAL_AREAS = {"V1": ("V1v", "V1d"), "V2": ("V2v", "V2d"), "V3": ("V3v", "V3d"), "hV4": ("hV4",)}

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Roi:
    """Voxels of one subject.

    Attributes:
        name: As the user wrote it.
        grid: The grid of the masks.
        flat: (n_voxels,) sorted C-order flat indices.
        files: The mask files that it was made from.
    """

    name: str
    grid: Grid
    flat: FlatIndex
    files: tuple[Path, ...]

    @property
    def plain_name(self) -> str:
        """The name; of a mask file without its folders, because no path goes into a dataset."""
        return Path(self.name).name if "/" in self.name else self.name


def resolve(name: str, maps: Maps) -> Roi:
    """The voxels that a ROI name means for a subject.

    Raises:
        UsageError: No such name, or one that several atlases have.
        MissingDataError: A mask file that it needs is not there.
        DataError: A mask file is damaged, of another grid, empty, or no mask.
    """
    masks = _Masks(maps)
    mask = reduce(np.logical_and, [_mask(part.strip(), masks) for part in name.split("&")])
    files = tuple(masks.files)
    if not mask.any():
        msg = f"{maps.anatomy.subject}: ROI {name} has no voxel ({', '.join(map(str, files))})"
        raise DataError(msg)
    return Roi(name, maps.grid, np.flatnonzero(mask), files)


def union(rois: Sequence[Roi]) -> FlatIndex:
    """Sorted C-order flat indices of the voxels of all ROIs."""
    return rois[0].flat if len(rois) == 1 else np.unique(np.concatenate([roi.flat for roi in rois]))


def inside(values: NDArray[Any], path: Path) -> Mask:
    """Where a mask volume of -1, 0, 1 (as nsdgeneral) or 0, 1 is 1.

    Raises:
        DataError: It has other values: it is an atlas, not a mask.
    """
    is_inside = values == 1
    others = values[~is_inside & (values != 0) & (values != -1)]
    if others.size:
        msg = f"{path}: has values like {others.min():g}; a mask has -1, 0 and 1 (of an atlas, name atlas:label)"
        raise DataError(msg)
    return is_inside


class _Masks:
    """Masks out of a subject's maps, and the files that those of one ROI were made from, in order."""

    def __init__(self, maps: Maps) -> None:
        self.anatomy = maps.anatomy
        self.files: dict[Path, None] = {}
        self._maps = maps

    def volume(self, path: Path) -> NDArray[Any]:
        values = self._maps.whole(path)
        self.files[path] = None
        return values

    def atlas(self, name: str) -> NDArray[Any]:
        return self.volume(self.anatomy.atlas(name))

    def labels(self, atlas: str) -> dict[str, int]:
        """None of a damaged table of the user's own: all tables are looked through for one label."""
        return {name: number for number, name in self._maps.sound_label_names(atlas).items()}

    def label(self, atlas: str, names: Iterable[str]) -> Mask:
        self._maps.label_names(atlas)  # raises, because here it is asked for
        labels = self.labels(atlas)
        if not labels:
            subject = self.anatomy.subject
            msg = f"{subject}: no label table {atlas}.mgz.ctab; copy it from nsddata/freesurfer/{subject}/label"
            raise MissingDataError(msg)
        for name in names:
            if name not in labels:
                msg = f"{atlas} has no label {name!r}{did_you_mean(name, labels)}; it has: {', '.join(labels)}"
                raise UsageError(msg)
        return np.isin(self.atlas(atlas), [labels[name] for name in names])


def _mask(name: str, masks: _Masks) -> Mask:
    if is_path(name):
        path = Path(name)
        if not is_there(path):
            msg = f"{name}: no such mask file"
            raise MissingDataError(msg)
        return inside(masks.volume(path), path)
    if name in _NAMED:
        return _NAMED[name](masks)
    if name in _VISUAL_AREAS:
        return masks.label(VISUAL_ATLAS, _VISUAL_AREAS[name])
    atlas, colon, label = name.partition(":")
    if colon:
        one_of("atlas", atlas, sorted(masks.anatomy.atlases))
        return masks.label(atlas, [label])
    return masks.label(_atlas_of(name, masks), [name])


def _atlas_of(label: str, masks: _Masks) -> str:
    """The atlas that a bare label means: prf-visualrois, then a floc atlas, then the only other one that has it."""
    having = [atlas for atlas in sorted(masks.anatomy.label_tables) if label in masks.labels(atlas)]
    for first in ([VISUAL_ATLAS], [atlas for atlas in having if atlas.startswith("floc-")], having):
        hits = [atlas for atlas in first if atlas in having]
        if len(hits) == 1:
            return hits[0]
        if hits:
            msg = f"ROI {label} is in several atlases: write {' or '.join(f'{atlas}:{label}' for atlas in hits)}"
            raise UsageError(msg)
    names = [*_NAMED, *_VISUAL_AREAS]
    names += [name for atlas in masks.anatomy.label_tables for name in masks.labels(atlas)]
    if label in masks.anatomy.atlases:
        labels = ", ".join(f"{label}:{name}" for name in masks.labels(label))
        msg = f"{label} is an atlas; name one of its labels: {labels}"
        raise UsageError(msg)
    known = "nsdgeneral, early, higher, V1, V2, V3, hV4, atlas:label or a mask file"
    msg = f"no ROI {label!r}{did_you_mean(label, names)}; try {known}"
    raise UsageError(msg)


def _nsdgeneral(masks: _Masks) -> Mask:
    return inside(masks.atlas(DEFAULT_ROI), masks.anatomy.atlas(DEFAULT_ROI))


def _early(masks: _Masks) -> Mask:
    labels = [label for area in _VISUAL_AREAS.values() for label in area]
    return _nsdgeneral(masks) & masks.label(VISUAL_ATLAS, labels)


def _higher(masks: _Masks) -> Mask:
    return _nsdgeneral(masks) & ~_early(masks)


_NAMED: dict[str, Callable[[_Masks], Mask]] = {DEFAULT_ROI: _nsdgeneral, "early": _early, "higher": _higher}


def is_path(name: str) -> bool:
    """Whether a ROI name is the path of a mask file."""
    return "/" in name or name.endswith((".nii", ".nii.gz"))
