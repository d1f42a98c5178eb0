"""Masks and maps in a folder, packed or not, and the files of other formats that a user may have put in their place."""

from pathlib import Path

from nsd_imagery.links import without_content
from nsd_imagery.listing import visible
from nsd_imagery.volumes.formats import OTHER_ENDINGS, READ_ENDINGS


def volume_file(folder: Path, name: str) -> Path:
    """Where the volume of a name is: name.nii.gz, or name.nii if only that is there."""
    packed, *others = (folder / f"{name}{ending}" for ending in READ_ENDINGS)
    return next((path for path in (packed, *others) if path.is_file() or without_content(path)), packed)


def volume_files(folder: Path, pattern: str = "*") -> dict[str, Path]:
    """The volumes of a folder by name, sorted; of one that is there twice, the packed one."""
    return _by_name(folder, pattern, READ_ENDINGS)


def other_files(folder: Path) -> dict[str, Path]:
    """The files of a folder by name that hold a volume in a format that is not read."""
    return _by_name(folder, "*", OTHER_ENDINGS)


def _by_name(folder: Path, pattern: str, endings: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for ending in endings:
        for path in visible(folder, f"{pattern}{ending}"):
            found.setdefault(path.name.removesuffix(ending), path)
    return dict(sorted(found.items()))
