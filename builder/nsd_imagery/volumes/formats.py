"""Formats of masks and maps by the ending of a file's name: NIfTI, and those that a tool of the field turns into it."""

import shlex
from pathlib import Path
from typing import Final

from nsd_imagery.errors import DataError

READ_ENDINGS: Final = (".nii.gz", ".nii")

_COMMANDS: Final = {
    ".mgz": "mri_convert {file} {stem}.nii.gz",
    ".mgh": "mri_convert {file} {stem}.nii.gz",
    ".img": "mri_convert {file} {stem}.nii.gz",
    ".hdr": "mri_convert {stem}.img {stem}.nii.gz",
    ".nii.bz2": "bunzip2 -k {file}",
    ".nii.xz": "unxz -k {file}",
}
"""What makes a NIfTI file of each other format."""

OTHER_ENDINGS: Final = tuple(_COMMANDS)


def is_volume_name(name: str) -> bool:
    """Whether a name has the ending of a file that holds a volume, in a format that is read or in another."""
    return name.endswith((*READ_ENDINGS, *OTHER_ENDINGS))


def refuse_other_format(path: Path) -> None:
    """Raise DataError for a file in a format that is not read; says what makes a NIfTI file of it."""
    ending = next((ending for ending in OTHER_ENDINGS if path.name.endswith(ending)), None)
    if ending is not None:
        stem = shlex.quote(str(path).removesuffix(ending))
        command = _COMMANDS[ending].format(file=shlex.quote(str(path)), stem=stem)
        msg = f"{path}: masks and maps are read from .nii.gz or .nii, not from {ending}; save it as one: {command}"
        raise DataError(msg)
