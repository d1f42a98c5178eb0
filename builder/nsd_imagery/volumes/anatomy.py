"""The files that say where a subject's voxels are; a source finds them, ROIs are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import Experiment
from nsd_imagery.links import refuse_without_content

RELEASE_ATLASES = frozenset(
    (
        "nsdgeneral prf-visualrois prf-eccrois streams floc-bodies floc-faces floc-places floc-words Kastner2015 "
        "HCP_MMP1 corticalsulc MTL thalamus"
    ).split()
)
"""The label volumes that the release itself has; every other one in a folder of ROIs is its user's own."""

_LONGEST_NUMBER, _LONGEST_NAME = 9, 100
"""Letters of a label's number and name."""


@dataclass(frozen=True)
class Anatomy:
    """Masks and maps of one subject, all on one grid.

    Attributes:
        subject: "subj01" to "subj08".
        atlases: Label volumes of both hemispheres by name, for example "prf-visualrois".
        label_tables: FreeSurfer colour tables by the same names, where there are any.
        left, right: The label volumes of one hemisphere (lh.*, rh.*) by the same names.
        brain: The brain mask; without it a whole volume counts as brain.
        valid_nsdimagery: 1 where a voxel has data in the NSD-Imagery session.
        valid_nsd: The same for each NSD core session at hand, by its number.
        ncsnr_nsd: Noise ceiling signal-to-noise ratio of NSD core.
    """

    subject: str
    atlases: Mapping[str, Path]
    label_tables: Mapping[str, Path] = field(default_factory=dict)
    left: Mapping[str, Path] = field(default_factory=dict)
    right: Mapping[str, Path] = field(default_factory=dict)
    brain: Path | None = None
    valid_nsdimagery: Path | None = None
    valid_nsd: Mapping[int, Path] = field(default_factory=dict)
    ncsnr_nsd: Path | None = None

    def atlas(self, name: str) -> Path:
        """The label volume of an atlas.

        Raises:
            MissingDataError: The root has none of that name.
        """
        try:
            return self.atlases[name]
        except KeyError:
            here = ", ".join(sorted(self.atlases)) or "none"
            msg = f"{self.subject}: no mask {name}.nii.gz (there are: {here}); copy it from the release's roi folder"
            raise MissingDataError(msg) from None

    def valid(self, experiment: Experiment, session: int) -> Path | None:
        """Where a voxel has data in a session; None where no file says so."""
        return self.valid_nsdimagery if experiment == "nsdimagery" else self.valid_nsd.get(session)


def read_label_table(path: Path) -> dict[int, str]:
    """Label number to name, of a FreeSurfer colour table (`number name`, colours may follow); 0 is none.

    Raises:
        DataError: A line is not of that form, or a number or a name comes twice.
    """
    refuse_without_content(path)
    labels: dict[int, str] = {}
    names: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        is_label = len(words) > 1 and words[0].isascii() and words[0].isdigit()
        if not is_label or len(words[0]) > _LONGEST_NUMBER or len(words[1]) > _LONGEST_NAME:
            msg = f"{path}, line {number}: not `number name`: {line.strip()[:60]!r}"
            raise DataError(msg)
        label = int(words[0])
        if label in labels or words[1] in names:
            msg = f"{path}, line {number}: label {label} {words[1]} comes twice"
            raise DataError(msg)
        labels[label] = words[1]
        names.add(words[1])
    labels.pop(0, None)
    return labels
