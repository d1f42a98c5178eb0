"""The cortex of a brain of true size: a thin folded sheet, and nsdgeneral as the part of it in a box at the back.

In subj01's real nsdgeneral 15,724 voxels are some 7,000 runs of voxels along x, in a box of 42 x 46 x 61 (which
decides how fast its betas can be read); a compact region of as many voxels has 800.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.synthetic.fields import plane_waves
from nsd_imagery.synthetic.randomness import generator

_FOLD_VOXELS: Final = 4.1
_FOLD_WAVES: Final = 40
"""What the sheet is the zero of: waves that stay alike over so many voxels."""

BOX_CENTRE: Final = (0.0, -0.5, 0.0)
BOX_HALF: Final = (0.518, 0.44, 0.735)
"""Of nsdgeneral's box, in the units of the coordinates, as of subj01."""

_BOX_POWER: Final = 6
"""How sharp the corners of the box are: 2 would be an ellipsoid."""


def folded_sheet(
    subject: str, coordinates: NDArray[np.float32], mask: NDArray[np.bool_], n_nsdgeneral: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw the sheet.

    Args:
        subject: Whose.
        coordinates: (X, Y, Z, 3), each axis of the grid from -1 to 1.
        mask: (X, Y, Z) the brain.
        n_nsdgeneral: Voxels of nsdgeneral, which decide how thick the sheet is.

    Returns:
        (X, Y, Z) bool: the cortex, and nsdgeneral in it.
    """
    shape = mask.shape
    voxels = (coordinates * np.array(shape) / 2).astype(np.float32).reshape(-1, 3)
    waves = plane_waves(generator(0, "folds", subject), voxels, _FOLD_WAVES, _FOLD_VOXELS)
    field = waves.sum(axis=0).reshape(shape)
    steepness = np.sqrt(sum(slope**2 for slope in np.gradient(field)))
    from_sheet = np.abs(field) / steepness
    in_box = mask & ((np.abs((coordinates - BOX_CENTRE) / BOX_HALF) ** _BOX_POWER).sum(axis=-1) < 1)
    thickness = np.partition(from_sheet[in_box], n_nsdgeneral - 1)[n_nsdgeneral - 1]
    is_cortex = mask & (from_sheet <= thickness)
    return is_cortex, is_cortex & in_box
