"""Regions of interest by name: which voxels of a subject's grid are inside, always in C order of (i, j, k).

A name is `nsdgeneral`; V1, V2, V3 (ventral and dorsal), hV4, V1v ... (prf-visualrois); `early` (V1 to hV4) and `higher`
(the rest), both inside nsdgeneral, as in Kneeland et al. (2025); an area of the floc atlases (FFA: FFA-1 and FFA-2);
`atlas:label`; an atlas, for all its labels; or the path of a mask file. `lh.` or `rh.` before a name is one hemisphere.
`a&b` intersects and `a+b` unites, `&` first. Letters may be of another case where that names one thing only. What a
subject's root has to be named, `roi_listing` lists; where its masks lie is spelled in `sources.release_files` and
`sources.cache_files`.
"""

import re
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
from nsd_imagery.volumes.formats import is_volume_name
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.maps import Maps

DEFAULT_ROI = "nsdgeneral"

VISUAL_ATLAS = "prf-visualrois"
_FLOC = "floc-"
_UNITED = re.compile(r"\+(?!\s*(?:[+&]|$))")
VISUAL_AREAS = {"V1": ("V1v", "V1d"), "V2": ("V2v", "V2d"), "V3": ("V3v", "V3d"), "hV4": ("hV4",)}

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Roi:
    """Voxels of one subject.

    Attributes:
        name: As the user wrote it, but for blanks and the case of letters.
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
        return plain_name(self.name)


def plain_name(name: str) -> str:
    """See `Roi.plain_name`."""
    return Path(name).name if "/" in name else name


def resolve(name: str, maps: Maps) -> Roi:
    """The voxels that a ROI name means for a subject.

    Raises:
        UsageError: No such name, or one that several atlases have.
        MissingDataError: A mask file that it needs is not there.
        DataError: A mask file is damaged, of another grid, empty, or no mask.
    """
    masks = _Masks(maps)
    terms = [[_in_its_case(part, masks) for part in term] for term in terms_of(name)]
    name = "+".join("&".join(term) for term in terms)
    mask = reduce(np.logical_or, (reduce(np.logical_and, (_mask(part, masks) for part in term)) for term in terms))
    files = tuple(masks.files)
    if not mask.any():
        msg = f"{maps.anatomy.subject}: ROI {name} has no voxel ({', '.join(map(str, files))})"
        raise DataError(msg)
    return Roi(name, maps.grid, np.flatnonzero(mask), files)


def terms_of(name: str) -> list[list[str]]:
    """The names that are united, each of names that are intersected; in a file's path they are letters.

    So is a + at the end of a name: the release has the label ecc4+.
    """
    if is_path(name) and Path(name).expanduser().is_file():
        return [[name]]
    return [[part.strip() for part in term.split("&")] for term in _UNITED.split(name)]


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
    """Masks out of a subject's maps, and the files that those of one ROI were made from, in order.

    Args:
        maps: The subject's.
        side: "lh" or "rh", where the masks are of one hemisphere.
        files: Gets the files.
    """

    def __init__(self, maps: Maps, side: str = "", files: dict[Path, None] | None = None) -> None:
        self.anatomy = maps.anatomy
        self.files: dict[Path, None] = {} if files is None else files
        self._maps, self._side = maps, side

    def hemisphere(self, side: str) -> "_Masks":
        return _Masks(self._maps, side, self.files)

    def volume(self, path: Path) -> NDArray[Any]:
        values = self._maps.labels(path)
        self.files[path] = None
        return values

    def inside(self, name: str) -> Mask:
        path = self.anatomy.atlas(name, self._side)
        return inside(self.volume(path), path)

    def atlas(self, name: str) -> NDArray[Any]:
        return self.volume(self.anatomy.atlas(name, self._side))

    def labels(self, atlas: str) -> dict[str, int]:
        """None of a damaged table of the user's own: all tables are looked through for one label."""
        return {name: number for number, name in self._maps.sound_label_names(atlas).items()}

    def label(self, atlas: str, names: Iterable[str]) -> Mask:
        self._maps.label_names(atlas)  # raises, because here it is asked for
        labels = self.labels(atlas)
        if not labels:
            raise MissingDataError(self.anatomy.no_label_table(atlas))
        for name in names:
            if name not in labels:
                msg = f"{atlas} has no label {name!r}{did_you_mean(name, labels)}; it has: {', '.join(labels)}"
                raise UsageError(msg)
        return np.isin(self.atlas(atlas), [labels[name] for name in names])


def _mask(name: str, masks: _Masks) -> Mask:
    side, rest = split_side(name)
    if side:
        return _mask(rest, masks.hemisphere(side))
    if is_path(name):
        path = Path(name).expanduser()
        if not is_there(path):
            msg = f"{name}: no such mask file"
            raise MissingDataError(msg)
        return inside(masks.volume(path), path)
    if name in _NAMED:
        return _NAMED[name](masks)
    if name in VISUAL_AREAS:
        return masks.label(VISUAL_ATLAS, VISUAL_AREAS[name])
    if name in masks.anatomy.atlases:
        return masks.atlas(name) > 0
    atlas, colon, label = name.partition(":")
    if colon:
        masks.anatomy.refuse_unread(atlas)
        one_of("atlas", atlas, sorted(masks.anatomy.atlases))
        return masks.label(atlas, _members(label, atlas, masks) or [label])
    atlas = _atlas_of(name, masks)
    return masks.label(atlas, _members(name, atlas, masks))


def _members(name: str, atlas: str, masks: _Masks) -> Sequence[str]:
    """The labels of an atlas that a name means: that one, or the patches of an area."""
    labels = masks.labels(atlas)
    return [name] if name in labels else patches_of(atlas, labels).get(name, [])


def patches_of(atlas: str, labels: Iterable[str]) -> dict[str, list[str]]:
    """Areas of which a floc atlas has numbered patches, with these: FFA is FFA-1 and FFA-2."""
    areas: dict[str, list[str]] = {}
    for label in labels if atlas.startswith(_FLOC) else ():
        area, _, number = label.rpartition("-")
        if area and number.isdecimal():
            areas.setdefault(area, []).append(label)
    return areas


def _atlas_of(label: str, masks: _Masks) -> str:
    """The atlas that a bare label means: prf-visualrois, then a floc atlas, then the only other one that has it.

    One of which there is the table alone, as fsaverage's are often copied whole, comes last.
    """
    having = [atlas for atlas in sorted(masks.anatomy.label_tables) if _members(label, atlas, masks)]
    drawn = [atlas for atlas in having if atlas in masks.anatomy.atlases]
    for first in ([VISUAL_ATLAS], [atlas for atlas in having if atlas.startswith(_FLOC)], drawn, having):
        hits = [atlas for atlas in first if atlas in having]
        if len(hits) == 1:
            return hits[0]
        if hits:
            msg = f"ROI {label} is in several atlases: write {' or '.join(f'{atlas}:{label}' for atlas in hits)}"
            raise UsageError(msg)
    known = "nsdgeneral, early, higher, V1, V2, V3, hV4, an atlas, atlas:label or a mask file"
    msg = f"no ROI {label!r}{did_you_mean(label, _names(masks))}; try {known}, or list them: nsd-imagery rois ROOT"
    raise UsageError(msg)


def _names(masks: _Masks) -> list[str]:
    """All single names but those of files."""
    tables = {atlas: list(masks.labels(atlas)) for atlas in masks.anatomy.label_tables}
    for atlas, labels in tables.items():
        labels += patches_of(atlas, labels)
    bare = [label for labels in tables.values() for label in labels]
    full = [f"{atlas}:{label}" for atlas, labels in tables.items() for label in labels]
    return list(dict.fromkeys([*_NAMED, *VISUAL_AREAS, *masks.anatomy.atlases, *bare, *full]))


def _in_its_case(name: str, masks: _Masks) -> str:
    """A single name in the letters of the only one that has these in another case; as it is where there is none."""
    side, rest = split_side(name)
    if not is_path(name) and rest not in MADE_OF_LABELS:
        names = _names(masks)
        alike = [other for other in names if other.lower() == rest.lower()]
        rest = alike[0] if rest not in names and len(alike) == 1 else rest
    return f"{side}.{rest}" if side else rest


def _nsdgeneral(masks: _Masks) -> Mask:
    return masks.inside(DEFAULT_ROI)


def _early(masks: _Masks) -> Mask:
    labels = [label for area in VISUAL_AREAS.values() for label in area]
    return _nsdgeneral(masks) & masks.label(VISUAL_ATLAS, labels)


def _higher(masks: _Masks) -> Mask:
    return _nsdgeneral(masks) & ~_early(masks)


_NAMED: dict[str, Callable[[_Masks], Mask]] = {DEFAULT_ROI: _nsdgeneral, "early": _early, "higher": _higher}


MADE_OF_LABELS = (*_NAMED, *VISUAL_AREAS)
"""Names of ROIs that are made of labels of one or two atlases."""


def atlas_of(name: str, maps: Maps) -> str | None:
    """The atlas that a label without its atlas means; None where the name is another ROI's, or of several atlases."""
    if name in MADE_OF_LABELS or name in maps.anatomy.atlases:
        return None
    try:
        return _atlas_of(name, _Masks(maps))
    except UsageError:
        return None


def is_path(name: str) -> bool:
    """Whether a ROI name is the path of a mask file."""
    return "/" in name or is_volume_name(name)


def split_side(name: str) -> tuple[str, str]:
    """The hemisphere that a single ROI name begins with ("lh", "rh", or ""), and the rest."""
    side, _, rest = name.partition(".")
    return (side.lower(), rest) if side.lower() in ("lh", "rh") and rest and not is_path(name) else ("", name)
