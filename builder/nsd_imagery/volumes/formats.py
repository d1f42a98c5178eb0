"""Formats of files by the endings of their names: of betas, and of masks and maps, which tools of the field convert."""

import shlex
from pathlib import Path
from typing import Final

from nsd_imagery.errors import DataError

MASKED: Final = ".masked.hdf5"
"""Ending of a file that holds some voxels of an HDF5 file of betas; see `masked`."""

BETA_FORMATS: Final = (".hdf5", ".nii.gz", ".nii", MASKED)
"""Endings of beta files, the preferred one first."""

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


def other_formats(path: Path) -> list[Path]:
    """Where the same betas would lie in the other formats, the preferred one first."""
    stem = beta_stem(path)
    return [other for ending in BETA_FORMATS if (other := path.with_name(stem + ending)) != path]


def beta_stem(path: Path) -> str:
    """The name of a beta file without its ending."""
    return path.name.removesuffix(".gz").rpartition(".")[0].removesuffix(MASKED.removesuffix(".hdf5"))


def whole_file(path: Path) -> Path:
    """The file that a masked one is a part of, by its name; of any other file, that file."""
    return path.with_name(beta_stem(path) + ".hdf5") if path.name.endswith(MASKED) else path


def whole_or_masked(path: Path) -> Path:
    """A beta file that rows name; the masked one beside its place where only that is there."""
    masked = path.with_name(beta_stem(path) + MASKED)
    return masked if path.suffix == ".hdf5" and not path.exists() and masked.is_file() else path


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
