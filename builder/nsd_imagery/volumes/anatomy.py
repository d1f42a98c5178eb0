"""The files that say where a subject's voxels are; a source finds them, ROIs are made from them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import Experiment
from nsd_imagery.links import refuse_without_content
from nsd_imagery.volumes.formats import refuse_other_format

RELEASE_ATLASES = frozenset(
    (
        "nsdgeneral prf-visualrois prf-eccrois streams floc-bodies floc-faces floc-places floc-words Kastner2015 "
        "HCP_MMP1 corticalsulc MTL thalamus"
    ).split()
)
"""The label volumes that the release itself has; every other one in a folder of ROIs is its user's own."""

_LONGEST_NAME = 100

_NUMBER = re.compile(r"[0-9]{1,9}(\.0*)?")

_HEADERS = {("number", "name"), ("label", "name"), ("index", "name"), ("id", "name"), ("number", "label")}


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
        unread: Files of atlases by the same names, in formats that are not read.
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
    unread: Mapping[str, Path] = field(default_factory=dict)

    @property
    def volumes(self) -> list[Path]:
        """All masks and maps, each once; the first is what says on which grid the subject's voxels are."""
        found = [self.brain, self.atlases.get("nsdgeneral"), self.valid_nsdimagery, *self.atlases.values(),
                 *self.left.values(), *self.right.values(), *self.valid_nsd.values(), self.ncsnr_nsd]  # fmt: skip
        return list(dict.fromkeys(path for path in found if path is not None))

    def atlas(self, name: str, side: str = "") -> Path:
        """The label volume of an atlas: of both hemispheres, or of one ("lh", "rh").

        Raises:
            MissingDataError: The root has none of that name.
            DataError: It has one in a format that is not read.
        """
        volumes = {"": self.atlases, "lh": self.left, "rh": self.right}[side]
        if name not in volumes:
            self.refuse_unread(name)
            file, here = f"{side}.{name}".lstrip("."), ", ".join(sorted(volumes)) or "none"
            msg = f"{self.subject}: no mask {file}.nii.gz (there are: {here}); copy it from the release's roi folder"
            raise MissingDataError(msg)
        return volumes[name]

    def no_label_table(self, atlas: str) -> str:
        """The sentence for an atlas whose labels have no names."""
        owners = f"nsddata/freesurfer/{self.subject}/label or nsddata/freesurfer/fsaverage/label"
        return (
            f"{self.subject}: no label table {atlas}.mgz.ctab in {owners}, and no nsddata/templates/{atlas}.ctab; "
            "copy one of them from the release"
        )

    def refuse_unread(self, name: str) -> None:
        """Raise DataError for an atlas that is there in no other format than one that is not read."""
        if name in self.unread and name not in self.atlases:
            refuse_other_format(self.unread[name])

    def valid(self, experiment: Experiment, session: int) -> Path | None:
        """Where a voxel has data in a session; None where no file says so."""
        return self.valid_nsdimagery if experiment == "nsdimagery" else self.valid_nsd.get(session)


def read_label_table(path: Path) -> dict[int, str]:
    """Label number to name, of a FreeSurfer colour table (`number name`, colours may follow); 0 is none.

    Words may stand in double quotes, and a first line may name the columns. A name may be a number: HCP_MMP1 has an
    area 1; but where a word that is none follows, the first one is of an index that was saved along.

    Raises:
        DataError: A line is not of that form, or a number or a name comes twice.
    """
    refuse_without_content(path)
    labels: dict[int, str] = {}
    names: set[str] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig", errors="replace").splitlines(), start=1):
        words = [word.strip('"') for word in line.split()]
        if not words or words[0].startswith("#") or (not labels and tuple(map(str.lower, words[:2])) in _HEADERS):
            continue
        is_label = len(words) > 1 and _NUMBER.fullmatch(words[0]) and not _has_index(words)
        if not is_label or len(words[1]) > _LONGEST_NAME:
            msg = f"{path}, line {number}: not `number name`: {line.strip()[:60]!r}"
            raise DataError(msg)
        label = int(words[0].partition(".")[0])
        if label in labels or words[1] in names:
            msg = f"{path}, line {number}: label {label} {words[1]} comes twice"
            raise DataError(msg)
        labels[label] = words[1]
        names.add(words[1])
    labels.pop(0, None)
    return labels


def _has_index(words: list[str]) -> bool:
    return len(words) > 2 and _NUMBER.fullmatch(words[1]) is not None and words[2][0].isalpha()
