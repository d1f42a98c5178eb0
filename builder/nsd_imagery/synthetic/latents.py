"""The latent vector of each picture and word: what its patterns are made of, wherever it is seen or imagined."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.experiment import N_NSD_PICTURES
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.schedule import RunSchedule
from nsd_imagery.synthetic.targets import TARGETS, nsd_stimulus

N_LATENTS: Final = 32
"""Of a stimulus. Early visual cortex answers above all to the first half of them, higher areas to the second."""

_CONCEPT_SHARE: Final = 0.8
"""How alike a photograph of visC and the concept that it stands for are, as a correlation."""

Vector = NDArray[np.float32]


class Latents:
    """The latents of a release, (32,) float32 of about standard normal numbers by the column `stimulus`.

    Attributes:
        named: Those of the 18 targets and of visC's photographs, which resemble the concepts that they stand for.
    """

    def __init__(self, seed: int, schedule: Sequence[RunSchedule]) -> None:
        self._pictures = generator(seed, "latents of pictures").standard_normal((N_NSD_PICTURES, N_LATENTS), np.float32)
        self.named: dict[str, Vector] = {}
        for target in (target for targets in TARGETS.values() for target in targets):
            own = generator(seed, "latents", target.name).standard_normal(N_LATENTS, np.float32)
            self.named[target.stimulus] = own if target.nsd_id is None else self._pictures[target.nsd_id]
        rest = np.float32((1 - _CONCEPT_SHARE**2) ** 0.5)
        for run in schedule:
            for trial, nsd_id in enumerate(run.photographs.tolist()):
                concept = self.named[run.targets[run.conditions[trial]].stimulus]
                mixed = np.float32(_CONCEPT_SHARE) * concept + rest * self._pictures[nsd_id]
                self.named[nsd_stimulus(nsd_id)] = mixed.astype(np.float32, copy=False)

    def of_picture(self, nsd_id: int) -> Vector:
        """That of an NSD picture (0-based id)."""
        name = nsd_stimulus(nsd_id)
        return self.named[name] if name in self.named else self._pictures[nsd_id]
