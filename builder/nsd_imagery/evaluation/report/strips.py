"""The map of a subject as a strip of slices, for papers."""

import io
from typing import Final

import numpy as np

from nsd_imagery.evaluation.headline import main_roi
from nsd_imagery.evaluation.opened import Opened
from nsd_imagery.evaluation.plot.histograms import MAPPED
from nsd_imagery.evaluation.plot.slices import brain

_DOTS: Final = 200
"""An inch: 104 KB a strip of a full subject."""


def strips(found: Opened) -> dict[str, bytes]:
    """PNG files of ncsnr, eight slices each, by subject and condition: "subj01-brain-vision" and so on.

    Each is of the main ROI. Of what was not estimated, or lies nowhere, there is none.

    Args:
        found: An evaluation, from its folder.

    Raises:
        DataError: A map is damaged.
        MissingExtraError: matplotlib is not installed.
    """
    pictures: dict[str, bytes] = {}
    for name, rois in found.about["rois"].items():
        roi = main_roi(rois)
        table = found.voxels(name, roi)
        if not len(table["i"]) or not np.isfinite(table["i"].astype(np.float64)).all():
            continue
        for condition in MAPPED:
            if np.nanmax(table[f"{condition}_noise"].astype(np.float64), initial=0.0) > 0:
                pictures[f"{name}-brain-{condition}"] = _png(found, name, roi, condition)
    return pictures


def _png(found: Opened, subject: str, roi: str, condition: str) -> bytes:
    file = io.BytesIO()
    figure = brain(found, of=f"{condition}_ncsnr", subject=subject, roi=roi)
    figure.savefig(file, format="png", dpi=_DOTS, metadata={"Software": None})
    return file.getvalue()
