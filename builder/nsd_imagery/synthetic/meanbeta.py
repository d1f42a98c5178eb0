"""The map of means that lies beside a beta file: of each voxel, over all its trials."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.synthetic.brain import Brain
from nsd_imagery.synthetic.files import write_volume


def write_meanbeta(path: Path, betas: Iterable[NDArray[np.int16]], brain: Brain) -> None:
    """Write the mean over trials of betas as they are stored, an (X, Y, Z) volume of float32, 0 outside the brain.

    Args:
        path: Of the map.
        betas: (n_voxels,) percent signal change x 300 of the brain's voxels, trial by trial.
        brain: Their brain.
    """
    total, n_trials = np.zeros(brain.voxels.size, np.int64), 0
    for trial in betas:
        total += trial
        n_trials += 1
    write_volume(path, brain.to_volume((total / n_trials).astype(np.float32)), brain.affine)
