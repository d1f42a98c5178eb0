"""`download`: a plan of what a root lacks of the bucket, carried out."""

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nsd_imagery.consent import require_terms
from nsd_imagery.errors import FolderError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.fetch.bucket import AT_ONCE, Bucket, open_bucket
from nsd_imagery.fetch.masked_files import MaskedFetch, masked_file
from nsd_imagery.fetch.masked_part import fetch_masked_part, how_it_came, in_all
from nsd_imagery.fetch.plan import Plan, State, make_plan
from nsd_imagery.fetch.record import download_folder, read_record, state_folder, write_record
from nsd_imagery.fetch.transfer import DownloadProgress, transfer
from nsd_imagery.fetch.wanted import Request, request_of
from nsd_imagery.links import refuse_without_content
from nsd_imagery.locks import holding
from nsd_imagery.notebooks import barred
from nsd_imagery.spelling import Subjects
from nsd_imagery.volumes.formats import MASKED


@dataclass(frozen=True)
class DownloadedFile:
    """A file of a download.

    Attributes:
        path: Where it lies in the bucket and in the root, with /.
        subject: Whose; empty for one file for all.
        kind: What it is: "betas", "behaviour", "masks" …
        size: Bytes; 0 where the bucket does not say.
        state: What became of it, or would.
        proof: How it is known to be the bucket's: "proven" by its ETag, or "size only"; empty where it is not here.
    """

    path: str
    subject: str
    kind: str
    size: int
    state: State | Literal["fetched"]
    proof: str


@dataclass(frozen=True)
class Download:
    """What a download did, or would do.

    Attributes:
        root: The folder.
        source: The bucket.
        files: All that was asked for.
        bytes_fetched: Of the files that were fetched, without what an earlier download had begun; what would be, in a
            dry run.
        bytes_free: On the disk of the root, before.
        notes: What is to be known of what came, in sentences.
    """

    root: Path
    source: str
    files: tuple[DownloadedFile, ...]
    bytes_fetched: int
    bytes_free: int
    notes: tuple[str, ...] = ()


@barred("files")
def download(
    root: Path | str,
    subjects: Subjects,
    *,
    conditions: str | Iterable[str] | None = None,
    sessions: str | int | Iterable[int] | None = None,
    betas: str = BETA_VERSIONS[0],
    format: str | None = None,
    masked: bool = False,
    roi: str | Iterable[str] | None = None,
    with_: str | Iterable[str] = (),
    source: str | None = None,
    dry_run: bool = False,
    threads: int = AT_ONCE,
    progress: DownloadProgress | None = None,
    planned: Callable[[Plan], None] | None = None,
) -> Download:
    """Fetch the files of the release that a build needs from the public bucket, each proven, into a root.

    What is there already is not fetched again; a download that was stopped goes on where it was. Nothing lies under
    its name before it is whole and proven, and a file that was not fetched is never replaced.

    Args:
        root: Folder of the release tree; made if it is not there.
        subjects: Names or numbers ("subj01", "sub-01", 1), several in a list or with commas.
        conditions: Of imagery, vision, attention, perception; default: the three of NSD-Imagery, which have the same
            files. Perception is NSD core: up to 40 sessions a subject of half a gigabyte each.
        sessions: Of NSD core, as "1-3,7" or a list; default: all.
        betas: fithrf_GLMdenoise_RR or b3, fithrf or b2.
        format: "nii.gz" or "hdf5" (about twice as large); default: nii.gz, where the root has not the other. Not with
            `masked`.
        masked: Fetch only some voxels of HDF5 beta files, by ranges, and keep them as masked files, which are read like
            whole ones: 2 % of the file, and up to 5 % of its bytes.
        roi: Whose voxels, beside nsdgeneral's; names as in `build`.
        with_: "stimuli" for NSD's pictures (37 GB).
        source: s3://BUCKET or http(s)://HOST/BUCKET; default: $NSD_IMAGERY_SOURCE, else NSD's bucket.
        dry_run: Only find out what would be fetched.
        threads: Requests at once; whole files take 8 at most.
        progress: Called with a `transfer.DownloadState` as bytes come.
        planned: Called with the `plan.Plan` before anything is fetched.

    Raises:
        AccessError: NSD's terms are not accepted, or a file is not public.
        UsageError: An unknown subject, condition, session, beta version, format or source.
        MissingDataError: The bucket lacks a file that is needed.
        DataError: What came is not what the bucket says it is, or the file was changed meanwhile.
        FolderError: The root, or a file in it, is another than the one to be fetched.
        BusyError: Another process downloads into the root.
        SpaceError: The disk has too little room.
        SourceError: The bucket cannot be reached, or answers with something else.
    """
    require_terms("download")
    request = request_of(subjects, conditions, sessions, betas, format, with_, masked, roi)
    if not isinstance(threads, int) or threads < 1:
        msg = f"threads is a number from 1 on, not {threads!r}"
        raise UsageError(msg)
    home = _home(root)
    with open_bucket(source) as bucket:
        plan = make_plan(bucket, home, request)
        if planned is not None:
            planned(plan)
        plan.refuse_full_disk()
        found = None if dry_run else _carry_out(bucket, plan, request, threads, progress or (lambda _: None))
    return _said(plan, found)


def _home(root: Path | str) -> Path:
    path = Path(root).expanduser()
    refuse_without_content(path)
    if path.exists() and not path.is_dir():
        msg = f"{path}: is a file; name a folder, which is made if it is not there"
        raise FolderError(msg)
    return path.resolve()


def _carry_out(bucket: Bucket, plan: Plan, request: Request, threads: int, progress: DownloadProgress) -> MaskedFetch:
    known = {file.object.key: file.entry for file in plan.files if file.entry is not None}
    noted = read_record(plan.root)
    is_news = any(noted.get(key) != entry for key, entry in known.items())
    if not plan.to_fetch and not (is_news and os.access(plan.root, os.W_OK)):
        return MaskedFetch(0, {}, ())

    def busy(who: str) -> str:
        return f"{plan.root}: another download is at work here ({who}); run again when it has finished"

    with holding(download_folder(plan.root) / "lock", busy):
        for key in [*known, *_masked_and_there(plan)]:  # of a download that was killed just after it had named a file
            shutil.rmtree(state_folder(plan.root, key), ignore_errors=True)
        whole = plan.of_whole_files
        if whole.to_fetch:
            transfer(bucket, whole, threads, in_all(plan, progress))
        elif is_news:
            write_record(plan.root, {**noted, **known})
        return fetch_masked_part(bucket, plan, request, threads, progress)


def _masked_and_there(plan: Plan) -> list[str]:
    """The keys of masked files that are there."""
    paths = [masked_file(plan.root, file.object) for file in plan.files if file.instead.endswith(MASKED)]
    return [path.relative_to(plan.root).as_posix() for path in paths]


def _said(plan: Plan, found: MaskedFetch | None) -> Download:
    """What was done; what would be, where nothing was."""
    record = read_record(plan.root)
    files = []
    for file in plan.files:
        is_new = found is not None and file.state == "to fetch"
        path, size = file.object.key, file.size
        proof = file.entry.how if file.entry else ""
        if file.masked is not None:
            path = masked_file(plan.root, file.object).relative_to(plan.root).as_posix()
        if is_new and file.masked is not None:
            path, size, proof = how_it_came(plan.root, file.object, record)
        elif is_new:
            proof = record[file.object.key].how
        state = "fetched" if is_new else file.state
        files.append(DownloadedFile(path, file.want.subject, file.want.kind, size, state, proof))
    n_bytes = plan.bytes_to_fetch if found is None else plan.of_whole_files.bytes_to_fetch + found.n_bytes
    return Download(
        plan.root, plan.source, tuple(files), n_bytes, plan.bytes_free, found.notes if found is not None else ()
    )
