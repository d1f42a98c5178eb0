"""Names in a dataset folder: of configs, and of the files of their shards."""

import re
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import CONDITIONS, SUBJECTS
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI, is_path

SIDECARS = ("voxels", "stats")
"""Of a subject and ROI, beside the conditions."""

STIMULI = "stimuli"
"""The one config that is of all subjects."""

SPLITS = ("train", "test")

SHARD_FILE = re.compile(r"[^/\0]+-\d{5}-of-\d{5}-[0-9a-f]{12}\.arrow")
"""Files that a build writes into the folder of a config."""

_LETTERS = "-_&+."
"""Of a ROI in a config name, beside letters and digits; every other one is written as a dot."""

_LONGEST = 255
"""Bytes of the name of a folder."""


@dataclass(frozen=True)
class ConfigName:
    """The name of a config: "subj01-imagery", "subj01-voxels-V1", "stimuli".

    Attributes:
        subject: "subj01" to "subj08"; empty for `stimuli`.
        kind: A condition, "voxels", "stats" or "stimuli".
        roi: The ROI as a config name spells it, without folders and ending of a mask file, and with dots for letters
            that are not for file names; None for nsdgeneral.
    """

    subject: str
    kind: str
    roi: str | None = None

    @classmethod
    def parse(cls, name: str) -> "ConfigName":
        """Read a config name; every one that a build has written can be.

        Raises:
            UsageError: It is none.
        """
        if name == STIMULI:
            return cls("", STIMULI)
        subject, *words = name.split("-", 2)
        if not words:
            msg = f"{name!r} is no config: write subjAA-CONDITION or subjAA-CONDITION-ROI, for example subj01-imagery"
            raise UsageError(msg)
        one_of("subject", subject, SUBJECTS)
        one_of("condition", words[0], (*CONDITIONS, *SIDECARS))
        roi = words[1] if len(words) == 2 else None
        if len(name.encode(errors="surrogatepass")) > _LONGEST or (roi is not None and _spelled(roi) != roi):
            msg = f"{name[:60]!r} is no config: a ROI is written in letters, digits and {_LETTERS}"
            raise UsageError(msg)
        return cls(subject, words[0], roi)

    @property
    def roi_name(self) -> str:
        """The ROI as `volumes.roi` reads it, where a config name can spell it: a dot is the `:` of atlas:label.

        That of a hemisphere (lh.V1) is one.
        """
        return DEFAULT_ROI if self.roi is None else re.sub(r"(?<!\b[lr]h)\.", ":", self.roi)

    def is_of(self, roi: str) -> bool:
        """Whether a ROI of this name, which has lost the folders of a mask file, may be the one of the config."""
        return self.roi in (_of_roi(roi), _spelled(roi), _spelled(_stem(roi)))

    def __str__(self) -> str:
        if self.kind == STIMULI:
            return STIMULI
        return f"{self.subject}-{self.kind}" + ("" if self.roi is None else f"-{self.roi}")


def config_name(subject: str, kind: str, roi: str) -> str:
    """The name of the config of a subject, a condition or sidecar, and a ROI by its name."""
    return str(ConfigName(subject, kind, _of_roi(roi)))


def roi_suffix(roi: str) -> str:
    """What a ROI adds to a config name: nothing for nsdgeneral, else "-V1", "-prf-visualrois.V1v"."""
    spelled = _of_roi(roi)
    return "" if spelled is None else f"-{spelled}"


def shard_name(config: str, split: str, position: tuple[int, int], logical_hash: str) -> str:
    """`<config>/<split>-0000i-of-0000n-<hash12>.arrow` for position (i, n)."""
    number, count = position
    return f"{config}/{split}-{number:05d}-of-{count:05d}-{logical_hash[:12]}.arrow"


def is_config(name: str) -> bool:
    """Whether a build may have written a config of this name."""
    try:
        ConfigName.parse(name)
    except UsageError:
        return False
    return True


def _of_roi(name: str) -> str | None:
    if name == DEFAULT_ROI:
        return None
    return _spelled(_stem(Path(name).name) if is_path(name) else name)


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".nii")


def _spelled(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in _LETTERS else "." for letter in text)
