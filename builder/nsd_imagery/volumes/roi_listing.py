"""What can be named as a ROI of a subject, and what is missing for the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nsd_imagery import markup
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.roi import DEFAULT_ROI, MADE_OF_LABELS, VISUAL_ATLAS, atlas_of, patches_of, resolve


@dataclass(frozen=True)
class NamedRoi:
    """A ROI that can be named.

    Attributes:
        name: As `build --roi` takes it, in its shortest form.
        atlas: The label volume that it is of; "" where it is made of several.
        n_voxels: Voxels of the subject's grid.
        n_in_nsdgeneral: How many of them nsdgeneral has; None where the root has no nsdgeneral.
    """

    name: str
    atlas: str
    n_voxels: int
    n_in_nsdgeneral: int | None


@dataclass(frozen=True, repr=False)
class RoiListing:
    """The ROIs of a subject.

    Attributes:
        subject: "subj01" to "subj08".
        rois: Those that are made of labels first, then each atlas and its labels.
        hemispheres: Atlases of which `lh.` and `rh.` can be named, too.
        missing: What cannot be named, and why, in sentences.
    """

    subject: str
    rois: tuple[NamedRoi, ...]
    hemispheres: tuple[str, ...]
    missing: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<RoiListing: {self.subject}, {len(self.rois)} ROIs>"

    def _repr_html_(self) -> str:
        rows = [(roi.name, roi.n_voxels, roi.n_in_nsdgeneral) for roi in self.rois]
        return markup.table(repr(self)[1:-1], rows, ("ROI", "voxels", "in nsdgeneral"), self.missing)


def list_rois(maps: Maps) -> RoiListing:
    """All ROIs that a subject's label volumes and tables name, with their sizes."""
    anatomy, missing = maps.anatomy, []
    general = _general(maps)
    found: list[NamedRoi] = []
    for name in MADE_OF_LABELS:
        try:
            found.append(_named(name, "", resolve(name, maps).flat, general))
        except NSDImageryError as error:
            missing.append(f"{name}: {error}")
    for atlas in sorted(anatomy.atlases):
        try:
            found += _of_atlas(atlas, maps, general)
        except NSDImageryError as error:
            missing.append(f"{atlas}: {error}")
            continue
        if atlas != DEFAULT_ROI and atlas not in anatomy.label_tables:
            missing.append(f"labels of {atlas}: {anatomy.no_label_table(atlas)}")
    without = sorted({*anatomy.label_tables} - {*anatomy.atlases})
    missing += [f"{atlas}: there is no {atlas}.nii.gz" for atlas in without]
    empty = [roi.name for roi in found if not roi.n_voxels]
    if empty:
        missing.append(f"no voxel of {anatomy.subject} has these labels: {', '.join(empty)}")
    both = tuple(sorted({*anatomy.left} & {*anatomy.right}))
    return RoiListing(anatomy.subject, tuple(roi for roi in found if roi.n_voxels), both, tuple(missing))


def _general(maps: Maps) -> FlatIndex | None:
    return resolve(DEFAULT_ROI, maps).flat if DEFAULT_ROI in maps.anatomy.atlases else None


def _of_atlas(atlas: str, maps: Maps, general: FlatIndex | None) -> Iterator[NamedRoi]:
    """The atlas, and each of its labels."""
    labels = maps.labels(maps.anatomy.atlases[atlas]).reshape(-1)
    inside = np.flatnonzero(labels > 0)
    if atlas == DEFAULT_ROI:
        return
    yield _named(atlas, atlas, inside, general)
    names = maps.label_names(atlas)
    for number, label in names.items():
        name = label if atlas_of(label, maps) == atlas else f"{atlas}:{label}"
        if atlas != VISUAL_ATLAS or label not in MADE_OF_LABELS:
            yield _named(name, atlas, inside[labels[inside] == number], general)
    for area, patches in patches_of(atlas, names.values()).items():
        numbers = [number for number, label in names.items() if label in patches]
        yield _named(area, atlas, inside[np.isin(labels[inside], numbers)], general)


def _named(name: str, atlas: str, flat: FlatIndex, general: FlatIndex | None) -> NamedRoi:
    n_in = None if general is None else int(np.isin(flat, general, assume_unique=True).sum())
    return NamedRoi(name, atlas, flat.size, n_in)
