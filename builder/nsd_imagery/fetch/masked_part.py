"""The second part of a download: once masks and maps are in the root, the voxels of beta files, and their proof."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nsd_imagery.fetch.bucket import Bucket
from nsd_imagery.fetch.masked_files import MaskedBeta, MaskedFetch, Regions, fetch_masked_files, masked_file
from nsd_imagery.fetch.plan import Plan, make_plan
from nsd_imagery.fetch.reads import Object
from nsd_imagery.fetch.record import PROVEN, Entry
from nsd_imagery.fetch.transfer import DownloadProgress, DownloadState, transfer
from nsd_imagery.fetch.wanted import Request
from nsd_imagery.volumes.formats import BETA_FORMATS, MASKED, beta_stem
from nsd_imagery.volumes.read import read_header

NOT_CHECKED = "not checked"
"""Of a masked file that there is no map of means for."""


def in_all(plan: Plan, progress: DownloadProgress) -> DownloadProgress:
    """How far a download is, out of how far its first part is, which is of whole files."""
    masked = [file for file in plan.files if file.masked is not None]
    n_bytes = sum(file.size for file in masked)
    return lambda state: progress(replace(state, n_files=state.n_files + len(masked), n_bytes=state.n_bytes + n_bytes))


def fetch_masked_part(
    bucket: Bucket, plan: Plan, request: Request, threads: int, progress: DownloadProgress
) -> MaskedFetch:
    """Fetch the voxels that a plan has to fetch; of a file that is laid out in another way than the release's, all.

    Raises:
        As `transfer` and `fetch_masked_files`.
    """
    files = [
        MaskedBeta(file.want.subject, file.object, "perception" not in file.want.needed_by)
        for file in plan.files
        if file.masked is not None
    ]
    if not files or request.rois is None:
        return MaskedFetch(0, {}, ())
    whole = plan.of_whole_files
    n_done, n_came, total = len(whole.to_fetch), whole.bytes_to_fetch, plan.bytes_to_fetch

    def said(n_bytes: int, key: str) -> None:
        nonlocal n_done, n_came
        n_done, n_came = n_done + bool(key), n_came + n_bytes
        progress(DownloadState(n_done, len(plan.to_fetch), n_came, max(total, n_came), key))

    found = fetch_masked_files(bucket, Regions(plan.root, request.rois), files, said, threads)
    return _with_whole(bucket, plan, request, threads, progress, found) if found.unknown else found


def _with_whole(bucket: Bucket, plan: Plan, request: Request, threads: int, progress: DownloadProgress,
                found: MaskedFetch) -> MaskedFetch:  # fmt: skip
    """The files of another layout, fetched whole as packed ones, which are smaller."""
    lacking = {plan.root / key: why for key, why in found.unknown.items()}
    stems = {(path.parent, beta_stem(path)) for path in lacking}
    anew = make_plan(bucket, plan.root, replace(request, rois=None, format=None))
    files = [file for file in anew.files if file.want.kind == "betas" and file.state == "to fetch"]
    paths = {plan.root / file.object.key: file for file in files}
    chosen = replace(anew, files=tuple(f for path, f in paths.items() if (path.parent, beta_stem(path)) in stems))
    chosen.refuse_full_disk()
    transfer(bucket, chosen, threads, progress)
    notes = tuple(f"{why}: the whole packed file was fetched" for why in found.unknown.values())
    return MaskedFetch(found.n_bytes + chosen.bytes_to_fetch, found.unknown, (*found.notes, *notes))


def how_it_came(root: Path, beta: Object, record: Mapping[str, Entry]) -> tuple[str, int, str]:
    """The path of what was fetched of a beta file, its size, and how it is known to be the bucket's."""
    masked = masked_file(root, beta)
    if masked.is_file():
        held = read_header(masked).held
        proof = PROVEN if held is not None and held.origin.checked == "meanbeta" else NOT_CHECKED
        return masked.relative_to(root).as_posix(), masked.stat().st_size, proof
    path = root / beta.key
    whole = (path.with_name(beta_stem(path) + ending) for ending in BETA_FORMATS if ending != MASKED)
    key = next(path for path in whole if path.is_file()).relative_to(root).as_posix()
    return key, record[key].size, record[key].how
