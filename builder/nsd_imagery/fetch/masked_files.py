"""The masked files of a download: which are there, about how large they are, and all that are lacking, one by one."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from nsd_imagery.errors import DataError, MissingDataError, NSDImageryError, SourceError, UnknownLayoutError, UsageError
from nsd_imagery.experiment import CORE_TRIALS_PER_SESSION, NSDGENERAL_VOXELS
from nsd_imagery.fetch.bucket import AT_ONCE, Bucket
from nsd_imagery.fetch.failures import raise_first
from nsd_imagery.fetch.masked import Wanted, fetch_masked, is_of
from nsd_imagery.fetch.reads import Object
from nsd_imagery.fetch.record import state_folder
from nsd_imagery.links import is_there
from nsd_imagery.sources.release_files import mean_map
from nsd_imagery.sources.root import find_roi
from nsd_imagery.volumes.formats import BETA_FORMATS, MASKED, beta_stem
from nsd_imagery.volumes.grid import FlatIndex, Grid
from nsd_imagery.volumes.read import read_header

_BESIDE = 2.3
"""Bytes that are fetched for each byte of a voxel, at most: what lies between voxels comes with them."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The voxels of some ROIs in a root.

    Attributes:
        root: The root.
        rois: Their names.
    """

    root: Path
    rois: tuple[str, ...]
    _found: dict[str, tuple[Grid, FlatIndex]] = field(default_factory=dict, init=False, repr=False)

    def of(self, subject: str) -> tuple[Grid, FlatIndex]:
        """The grid, and the sorted C-order flat indices of the voxels of all ROIs.

        Raises:
            UsageError: No such ROI.
            MissingDataError, DataError: A mask is not there, or damaged.
        """
        if subject not in self._found:
            found = [find_roi(self.root, subject, name, "release") for name in self.rois]
            self._found[subject] = found[0].grid, np.unique(np.concatenate([roi.flat for roi in found]))
        return self._found[subject]

    def if_known(self, subject: str) -> tuple[Grid, FlatIndex] | None:
        """The same; None as long as the masks have not come."""
        with suppress(UsageError, MissingDataError, DataError):
            return self.of(subject)
        return None


def masked_file(root: Path, beta: Object) -> Path:
    """Where the masked file of a beta file of the bucket is kept."""
    path = root / beta.key
    return path.with_name(beta_stem(path) + MASKED)


def instead_of(bucket: str, regions: Regions, subject: str, beta: Object) -> str:
    """The name of a file in the root that has all voxels of some regions; "" where there is none."""
    path = regions.root / beta.key
    stem = beta_stem(path)
    whole = (path.with_name(stem + ending) for ending in BETA_FORMATS if ending != MASKED)
    if there := next(filter(is_there, whole), None):
        return there.name
    masked, known = masked_file(regions.root, beta), regions.if_known(subject)
    if known is None or not is_there(masked):
        return ""
    held = None
    with suppress(DataError):  # then it is fetched anew
        held = read_header(masked).held
    return masked.name if held and is_of(held, f"{bucket}/{beta.key}", beta) and not held.lacking(*known) else ""


def bytes_about(regions: Regions, subject: str, beta: Object) -> int:
    """Bytes that are fetched for some regions, about; of nsdgeneral as long as the masks have not come."""
    known = regions.if_known(subject)
    return min(beta.size, bytes_of_voxels(NSDGENERAL_VOXELS[subject] if known is None else known[1].size))


def bytes_of_voxels(n_voxels: int) -> int:
    """Bytes that are fetched for some voxels of a beta file, about."""
    return int(_BESIDE * n_voxels * 2 * CORE_TRIALS_PER_SESSION)


@dataclass(frozen=True)
class MaskedBeta:
    """A beta file of the bucket of which some voxels are wanted.

    Attributes:
        subject: Whose.
        beta: The whole file.
        certain: Whether the map of means beside it is known to be of it, as NSD-Imagery's is.
    """

    subject: str
    beta: Object
    certain: bool


@dataclass(frozen=True)
class MaskedFetch:
    """What came of the masked files of a download.

    Attributes:
        n_bytes: That came.
        unknown: The files that are laid out in another way, and why each is to be had whole.
        notes: What is to be known of the others, in sentences.
    """

    n_bytes: int
    unknown: dict[str, str]
    notes: tuple[str, ...]


def fetch_masked_files(
    bucket: Bucket,
    regions: Regions,
    files: Sequence[MaskedBeta],
    progress: Callable[[int, str], object] = lambda _, __: None,
    at_once: int = AT_ONCE,
) -> MaskedFetch:
    """Fetch the voxels of some regions of one beta file after the other.

    A file that cannot be had keeps the others from nothing; a bucket that cannot be reached ends it all. What came
    stays, and the next call goes on with it.

    Args:
        bucket: The bucket.
        regions: The voxels.
        files: The files.
        progress: Called with the number of bytes that came, and with the key of a file that is finished, else "".
        at_once: Requests that run at the same time.

    Raises:
        UsageError, AccessError, MissingDataError, DataError: Of the first file that cannot be had; further ones are
            notes to it.
        SourceError: The bucket cannot be reached, or answers with something else.
    """
    unknown: dict[str, str] = {}
    notes: list[str] = []
    failures: list[NSDImageryError] = []
    n_bytes = 0
    for file in files:
        beta, path = file.beta, masked_file(regions.root, file.beta)
        key = path.relative_to(regions.root).as_posix()
        try:
            grid, voxels = regions.of(file.subject)
            means = mean_map(regions.root / beta.key)
            wanted = Wanted(beta, path, grid, voxels, regions.rois, means, file.certain)
            state = state_folder(regions.root, key)
            fetched = fetch_masked(bucket, wanted, state, lambda n: progress(n, ""), at_once=at_once)
        except SourceError:
            raise
        except UnknownLayoutError as error:
            unknown[beta.key] = str(error)
            continue
        except NSDImageryError as error:
            failures.append(error)
            continue
        n_bytes += fetched.n_bytes
        notes += [f"{key}: {fetched.note}"] if fetched.note else []
        progress(0, key)
    raise_first(failures)
    return MaskedFetch(n_bytes, unknown, tuple(notes))
