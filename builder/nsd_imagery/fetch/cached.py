"""A root that is filled from a bucket as it is needed, for who names the bucket in place of a root."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from nsd_imagery.errors import UsageError
from nsd_imagery.fetch.address import address_of
from nsd_imagery.fetch.plan import Plan
from nsd_imagery.fetch.run import Download, download
from nsd_imagery.fetch.transfer import DownloadProgress
from nsd_imagery.sources.root import ROOT_VARIABLE
from nsd_imagery.spelling import Subjects
from nsd_imagery.volumes.roi import is_path


def cached_root(
    source: str,
    subjects: Subjects | None,
    conditions: Sequence[str] | None,
    betas: str,
    roi: Sequence[str],
    progress: DownloadProgress | None = None,
    planned: Callable[[Plan], None] | None = None,
    *,
    dry_run: bool = False,
) -> tuple[Path, Download]:
    """Fetch what a build needs of a bucket, of the betas some voxels alone, into $NSD_CACHE_ROOT or the user's cache.

    Args:
        source: The bucket; see `run.download`.
        subjects: Of whom.
        conditions: Default: the three of NSD-Imagery.
        betas: Beta version.
        roi: Whose voxels; those of a mask file must be in a ROI that is named, too.
        progress: Called as bytes come.
        planned: Called before anything is fetched.
        dry_run: Only find out what would be.

    Returns:
        The root, and what `run.download` gives.

    Raises:
        UsageError: Nobody is named, or see `run.download`.
        Others: See `run.download`.
    """
    if not subjects:
        msg = f"subjects: name those to fetch from {source}, such as --subjects subj01"
        raise UsageError(msg)
    named = os.environ.get(ROOT_VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nsd-imagery"
    root = Path(named).expanduser() if named else cache / address_of(source).bucket
    names = [name for name in roi if not is_path(name)]
    found = download(root, subjects, conditions=conditions, betas=betas, masked=True, roi=names or None, source=source,
                     dry_run=dry_run, progress=progress, planned=planned)  # fmt: skip
    return root, found
