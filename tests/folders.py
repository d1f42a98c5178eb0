"""Dataset folders in tests: what is sealed in one, and copies of one."""

import os
import shutil
from pathlib import Path


def own(folder: Path, copy: Path) -> Path:
    """A copy that a test may push from and build into; files are replaced, not written into, so links are enough."""
    return Path(shutil.copytree(folder, copy, copy_function=os.link, ignore=shutil.ignore_patterns("lock")))


def files(folder: Path) -> dict[str, bytes]:
    """The contents of the sealed files: all but `.build`, which is not part of the dataset."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".build" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
