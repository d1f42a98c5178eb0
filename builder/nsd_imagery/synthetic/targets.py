"""The 18 targets of NSD-Imagery: names and cue letters, as the NSD Data Manual and the stimulus files name them."""

from dataclasses import dataclass
from typing import Final

_ANGLES: Final = (
    ("H", "bar_000.0deg"),
    ("R", "bar_045.0deg"),
    ("V", "bar_090.0deg"),
    ("L", "bar_135.0deg"),
    ("P", "crs_000.0deg"),
    ("E", "crs_045.0deg"),
)
_PICTURES: Final = (
    ("W", "shared0385_nsd28752"),
    ("K", "shared0413_nsd30857"),
    ("B", "shared0741_nsd53882"),
    ("C", "shared0842_nsd61178"),
    ("D", "shared0907_nsd65873"),
    ("T", "shared0000_nsd00000"),
)
_CONCEPTS: Final = (
    ("S", "stripes"),
    ("Z", "zebra"),
    ("M", "mammal"),
    ("Y", "yellow"),
    ("N", "banana"),
    ("F", "fruit"),
)


@dataclass(frozen=True)
class PlantedTarget:
    """One target.

    Attributes:
        stimulus_set: "A", "B" or "C".
        number: Its number in the set's pair list, 1 to 6.
        name: Stem of its image file, or the word in set C.
        cue: Its letter.
    """

    stimulus_set: str
    number: int
    name: str
    cue: str

    @property
    def nsd_id(self) -> int | None:
        """0-based id in NSD; None for bars, crosses, concepts and the artwork."""
        one_based = int(self.name[-5:]) if self.name.startswith("shared") else 0
        return one_based - 1 if one_based else None

    @property
    def stimulus(self) -> str:
        """Key of the pattern that the target evokes: `nsd28751` (0-based) for an NSD picture, else the name."""
        return self.name if self.nsd_id is None else nsd_stimulus(self.nsd_id)

    @property
    def listed_name(self) -> str:
        """As the pair list spells it: the image file, or the word in set C."""
        return self.name if self.stimulus_set == "C" else f"{self.name}.png"


def nsd_stimulus(nsd_id: int) -> str:
    """Key of the pattern that an NSD picture evokes (0-based id)."""
    return f"nsd{nsd_id}"


TARGETS: Final[dict[str, tuple[PlantedTarget, ...]]] = {
    "A": tuple(PlantedTarget("A", n, f"{stem}_450L_43W", cue) for n, (cue, stem) in enumerate(_ANGLES, start=1)),
    "B": tuple(PlantedTarget("B", n, stem, cue) for n, (cue, stem) in enumerate(_PICTURES, start=1)),
    "C": tuple(PlantedTarget("C", n, word, cue) for n, (cue, word) in enumerate(_CONCEPTS, start=1)),
}
"""By stimulus set, in the order of the pair lists."""

SET_B_NSD_IDS: Final = tuple(target.nsd_id for target in TARGETS["B"] if target.nsd_id is not None)
"""0-based ids of the five imagined pictures that are NSD's; all are of its shared1000."""
