"""The ROI labels: numbers and names as in the release's tables (NSD Data Manual), places on a made-up cortex.

Places are given by distance from the back of the brain, where 1 is about the border of nsdgeneral, and by angle around
it in each hemisphere: -90 degrees is ventral, 0 lateral, 90 dorsal.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

OUTSIDE_CORTEX: Final = -1

PRF: Final = "V1v V1d V2v V2d V3v V3d hV4".split()
_KASTNER_REST: Final = "VO1 VO2 PHC1 PHC2 MST hMT LO2 LO1 V3b V3a IPS0 IPS1 IPS2 IPS3 IPS4 IPS5 SPL1 FEF".split()

LABELS: Final[dict[str, dict[int, str]]] = {
    name: dict(enumerate(labels, start=1))
    for name, labels in {
        "nsdgeneral": ["nsdgeneral"],
        "prf-visualrois": PRF,
        "prf-eccrois": "ecc0pt5 ecc1 ecc2 ecc4 ecc4+".split(),
        "streams": "early midventral midlateral midparietal ventral lateral parietal".split(),
        "floc-bodies": "EBA FBA-1 FBA-2 mTL-bodies".split(),
        "floc-faces": "OFA FFA-1 FFA-2 mTL-faces aTL-faces".split(),
        "floc-places": "OPA PPA RSC".split(),
        "floc-words": "OWFA VWFA-1 VWFA-2 mfs-words mTL-words".split(),
        "Kastner2015": [*PRF, *_KASTNER_REST],
        "HCP_MMP1": "V1 MST V6 V2 V3 V4 V8 4 3b FEF PEF 55b V3A RSC POS2 V7 IPS1 FFC".split(),
        "corticalsulc": "CALC OTS CoS IPS LOS".split(),
    }.items()
}
"""ROI file -> number -> name, of what lies on the cortex. The two broad atlases hold fewer areas than the real ones."""

DEEP_LABELS: Final[dict[str, dict[int, str]]] = {
    "MTL": dict(enumerate("ERC area35 area36 PHC Sub CA1 CA2 CA3 DG HT".split(), start=1)),
    "thalamus": dict(enumerate("LGN SC ventral-pulvinar dorsolateral-pulvinar dorsomedial-pulvinar".split(), start=1)),
}
"""The same of what lies below it; their tables are among the release's templates, the same for all subjects."""

ON_FSAVERAGE: Final = ("nsdgeneral", "streams", "Kastner2015", "HCP_MMP1", "corticalsulc")
"""Atlases made on fsaverage, where their tables are, too."""

_DEEP_PLACES: Final = {
    "MTL": ((0.3, 0.0, -0.25), (0.15, 0.4, 0.15)),
    "thalamus": ((0.16, -0.1, 0.1), (0.14, 0.2, 0.14)),
}
"""Centre of each in the right half of the brain, and half of its extent, along x, y, z."""

_EARLY_RINGS: Final = (0.36, 0.50, 0.64)
_HV4_END: Final = 0.86
_EDGE_ANGLE: Final = 74
_EDGE_END: Final = 1.25
_FLOC: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    "floc-bodies": ((0.92, 8), (1.05, -40), (1.35, -36), (1.9, -55)),
    "floc-faces": ((0.85, -12), (1.0, -50), (1.3, -50), (1.9, -45), (2.4, -40)),
    "floc-places": ((0.97, 45), (1.1, -75), (1.1, 80)),
    "floc-words": ((0.8, -30), (1.0, -28), (1.3, -26), (1.35, -62), (1.8, -35)),
}
"""Centres (distance, angle) of the category areas in each hemisphere, in the order of their labels."""

_FLOC_RADIUS: Final = 0.2

_STREAM_RINGS: Final = ((0, 0.64, (1, 1, 1)), (0.64, 0.9, (2, 3, 4)), (0.9, 1.5, (5, 6, 7)))
_KASTNER_RINGS: Final = (
    (0.57, 0.8, (8, 15, 16)),
    (0.8, 1.0, (9, 14, 17)),
    (1.0, 1.2, (10, 13, 18)),
    (1.2, 1.4, (11, 12, 19)),
)
_HCP_RINGS: Final = (
    (0, 0.38, (1, 1, 1)),
    (0.38, 0.55, (4, 4, 4)),
    (0.55, 0.7, (5, 5, 5)),
    (0.7, 1.0, (6, 6, 3)),
    (1.0, 1.5, (18, 2, 13)),
    (1.5, 2.2, (7, 11, 17)),
    (2.2, 2.8, (9, 9, 9)),
    (2.8, 9.0, (10, 8, 8)),
)


@dataclass(frozen=True, eq=False)
class Cortex:
    """Where the voxels of the cortex lie.

    Attributes:
        points: (n_voxels, 3) on the unit sphere; x is left to right, y back to front, z bottom to top.
        distance: (n_voxels,) from the back, in units of nsdgeneral's border.
        border: Angle from the back at distance 1, radians.
        in_nsdgeneral: (n_voxels,) bool.
    """

    points: NDArray[np.float32]
    distance: NDArray[np.float32]
    border: float
    in_nsdgeneral: NDArray[np.bool_]

    @property
    def angle(self) -> NDArray[np.float32]:
        """(n_voxels,) degrees around the back, -90 ventral to 90 dorsal."""
        return np.degrees(np.arctan2(self.points[:, 2], np.abs(self.points[:, 0])))


def label_cortex(name: str, cortex: Cortex) -> NDArray[np.int16]:
    """The labels of one ROI file, (n_voxels,) int16; 0 is cortex outside all of its ROIs."""
    if name == "nsdgeneral":
        return cortex.in_nsdgeneral.astype(np.int16)
    if name in _FLOC:
        return _floc(cortex, _FLOC[name])
    return _LABELLERS[name](cortex)


def label_deep(name: str, coordinates: NDArray[np.float32]) -> NDArray[np.int16]:
    """The labels of one ROI file below the cortex: slices of a body in each hemisphere, from back to front.

    Args:
        name: Of `DEEP_LABELS`.
        coordinates: (X, Y, Z, 3), each axis of the grid from -1 to 1.

    Returns:
        (X, Y, Z), 0 outside.
    """
    centre, extent = (np.array(numbers, np.float32) for numbers in _DEEP_PLACES[name])
    mirrored = np.concatenate([np.abs(coordinates[..., :1]), coordinates[..., 1:]], axis=-1)
    place = (mirrored - centre) / extent
    n_labels = len(DEEP_LABELS[name])
    slices = np.clip(((place[..., 1] + 1) / 2 * n_labels).astype(np.int16), 0, n_labels - 1)
    return np.where((place**2).sum(axis=-1) < 1, slices + 1, 0).astype(np.int16)


def label_table(name: str) -> str:
    """The text of a ROI file's table: number and name, one space between them, as public readers take it."""
    names = {0: "Unknown", **(LABELS | DEEP_LABELS)[name]}
    return "".join(f"{number} {label}\n" for number, label in names.items())


def _prf(cortex: Cortex) -> NDArray[np.int16]:
    """Rings around the back, dorsal and ventral apart; V3 runs on along the upper and lower edge, out of nsdgeneral."""
    distance, angle = cortex.distance, cortex.angle
    ring = np.searchsorted(_EARLY_RINGS, distance, side="right")
    labels = np.where(ring < len(_EARLY_RINGS), 2 * ring + 1 + (angle >= 0), 0)
    beyond = distance >= _EARLY_RINGS[-1]
    labels[beyond & (distance < _HV4_END) & (angle < -10)] = 7
    edge = beyond & (distance < _EDGE_END)
    labels[edge & (angle > _EDGE_ANGLE)] = 6
    labels[edge & (angle < -_EDGE_ANGLE)] = 5
    return labels.astype(np.int16)


def _eccentricity(cortex: Cortex) -> NDArray[np.int16]:
    bands = 1 + np.searchsorted((12, 28, 45, 62), np.abs(cortex.angle))
    return np.where(_prf(cortex) > 0, bands, 0).astype(np.int16)


def _rings(cortex: Cortex, rings: tuple[tuple[float, float, tuple[int, int, int]], ...]) -> NDArray[np.int16]:
    """Rings (start, stop, labels of the ventral, lateral and dorsal part); 0 elsewhere."""
    part = np.searchsorted((-30, 30), cortex.angle)
    labels = np.zeros(len(part), np.int16)
    for start, stop, numbers in rings:
        inside = (cortex.distance >= start) & (cortex.distance < stop)
        labels[inside] = np.array(numbers, np.int16)[part[inside]]
    return labels


def _streams(cortex: Cortex) -> NDArray[np.int16]:
    return _rings(cortex, _STREAM_RINGS)


def _kastner(cortex: Cortex) -> NDArray[np.int16]:
    """Areas of the same names as prf-visualrois, but somewhat smaller, then others."""
    labels = _prf(replace(cortex, distance=1.12 * cortex.distance))
    return np.where(labels > 0, labels, _rings(cortex, _KASTNER_RINGS))


def _hcp(cortex: Cortex) -> NDArray[np.int16]:
    labels = _rings(cortex, _HCP_RINGS)
    labels[(cortex.distance >= 1) & (cortex.distance < 1.5) & (cortex.angle > _EDGE_ANGLE)] = 14
    return labels


def _sulci(cortex: Cortex) -> NDArray[np.int16]:
    labels = np.zeros(len(cortex.distance), np.int16)
    centres = (-5, -45, -65, 55, 20)
    starts = (0.1, 0.7, 0.8, 0.6, 0.6)
    for number, (centre, start) in enumerate(zip(centres, starts, strict=True), start=1):
        along = (cortex.distance >= start) & (cortex.distance < start + 0.7)
        labels[along & (np.abs(cortex.angle - centre) < 9)] = number
    return labels


def _floc(cortex: Cortex, centres: tuple[tuple[float, float], ...]) -> NDArray[np.int16]:
    labels = np.zeros(len(cortex.distance), np.int16)
    for number, (distance, degrees) in enumerate(centres, start=1):
        polar, around = distance * cortex.border, np.radians(degrees)
        for side in (-1, 1):
            centre = (
                side * np.sin(polar) * np.cos(around),
                -np.cos(polar),
                np.sin(polar) * np.sin(around),
            )
            near = np.linalg.norm(cortex.points - np.array(centre), axis=1) < _FLOC_RADIUS
            labels[near & (labels == 0)] = number
    return labels


_LABELLERS: Final = {
    "prf-visualrois": _prf,
    "prf-eccrois": _eccentricity,
    "streams": _streams,
    "Kastner2015": _kastner,
    "HCP_MMP1": _hcp,
    "corticalsulc": _sulci,
}
