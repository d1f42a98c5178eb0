"""What is asked for and not in a root: all of it at once, each file with its size and where the release has it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.errors import MissingDataError
from nsd_imagery.experiment import BETA_VERSIONS, GRIDS, N_BETAS, Experiment
from nsd_imagery.links import without_content
from nsd_imagery.shell import quoted
from nsd_imagery.volumes.layout.predict import Prediction

BUCKET: Final = "s3://natural-scenes-dataset"
"""Where the release is; it may be read without an account, and has its files at the places where a root has them."""

_NIFTI_MB: Final = {"subj01": "470 MB"}
"""Packed NSD-Imagery betas whose size is known; of the other subjects it is between the two of `_NIFTI_RANGE`."""

_NIFTI_RANGE: Final = "376 to 519 MB"

_OF_CORE: Final = ("/betas_session", "/responses.tsv")
"""What paths have in them that a download of NSD-Imagery alone leaves out."""

_ROOT = 1400
"""Where the tree of chunks begins, behind the header."""


@dataclass(frozen=True)
class Asked:
    """What is to be made of some subjects.

    Attributes:
        experiments: Whose rows; None for those that the root has betas of.
        masks: The release's label volumes that its ROIs are made of; `lh.` or `rh.` before the name of a hemisphere's.
        tables: The atlases of which its ROIs are labels by name.
    """

    experiments: tuple[Experiment, ...] | None = None
    masks: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """A file that is not there.

    Attributes:
        path: Where it would lie in the root, with /.
        about: What else is known of it, in words: its size, another format in its place, or what names it.
        is_of_release: Whether the release has it in the same place.
    """

    path: str
    about: str = ""
    is_of_release: bool = True

    def __str__(self) -> str:
        where = f"{BUCKET}/{self.path}" if self.is_of_release else self.path
        return f"{where} ({self.about})" if self.about else where


def missing_of(root: Path, paths: Iterable[Path]) -> list[Missing]:
    """Those files of the release that are not in a root; a link without content is there, and asks to be got."""
    gone = (path for path in paths if not path.is_file() and not without_content(path))
    return [Missing(path.relative_to(root).as_posix()) for path in gone]


def refuse_missing(root: Path, missing: Sequence[Missing], subjects: Sequence[str], said: str = "") -> None:
    """Stop where files are missing.

    One alone that a table of the user's names is left to whoever reads the table, and says the line.

    Args:
        root: The root.
        missing: The files.
        subjects: Whose root is asked for.
        said: What else there is to say of what the root lacks.

    Raises:
        MissingDataError: Names them all, a line each; one alone by the place where it is looked for.
    """
    files = list(dict.fromkeys(missing))
    fetch = _fetching(root, [file.path for file in files if file.is_of_release], subjects)
    if not said and len(files) < 2:
        for file in files:
            if file.is_of_release:
                msg = f"{root / file.path}: no such file; copy it from {file}{fetch}"
                raise MissingDataError(msg)
        return
    head = f"{root}: {said or f'{len(files)} files are not there'}"
    if files:
        head += f"; copy each to the same place in the root{fetch}:"
    raise MissingDataError("\n  ".join([head, *map(str, files)]))


def _fetching(root: Path, keys: Sequence[str], subjects: Sequence[str]) -> str:
    """What fetches files of the release, to stand behind what else can be done; "" where it has none of them."""
    if not keys:
        return ""
    is_core = [any(sign in key for sign in _OF_CORE) for key in keys]
    whose = [subject for subject in subjects if any(subject in key for key in keys)] or subjects
    options = ["--subjects", ",".join(whose)]
    if any(is_core):
        options += ["--conditions", "perception" if all(is_core) else "imagery,perception", "--masked"]
    if any(f"betas_{BETA_VERSIONS[1]}/" in key for key in keys):
        options += ["--betas", BETA_VERSIONS[1]]
    return f", or run: nsd-imagery download {quoted(root)} {' '.join(options)}"


def size_of_betas(subject: str) -> str:
    """Sizes of a subject's NSD-Imagery betas in the release, in words: packed, and as HDF5."""
    return f"{_NIFTI_MB.get(subject, _NIFTI_RANGE)}; or .hdf5, {_hdf5_bytes(subject) / 1e6:,.0f} MB"


def _hdf5_bytes(subject: str) -> int:
    """Of one chunk a voxel, written in order into a B-tree: the release's, to the byte."""
    x, y, z = GRIDS[subject]
    return Prediction(_ROOT, x * y * z, 2 * N_BETAS).end
