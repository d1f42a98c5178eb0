"""Makes the pieces of a build: here or by an executor, again what failed, and the others whatever fails.

Here, the betas of the next piece are read while those of one are z-scored and written. A worker imports this module and
what it needs to read, mask and write; nothing of sources, cards or the command.
"""

import logging
import socket
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from nsd_imagery.dataset import journal
from nsd_imagery.dataset.elsewhere import Seen, mark, refuse_other_files, seen
from nsd_imagery.dataset.jobs import Job
from nsd_imagery.dataset.journal import Made
from nsd_imagery.dataset.pieces import Part, parts
from nsd_imagery.dataset.reading import Reading, read_bytes, read_piece
from nsd_imagery.dataset.shards import BUILD, Shard, write_shard
from nsd_imagery.dataset.state import BuildProgress, Watch
from nsd_imagery.dataset.waiting import error_of, finished_next, refuse_cut_off
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.progress import ShareProgress, teller, unwatched

logger = logging.getLogger(__name__)

FAILURES = "failures.log"
"""In the folder's .build: the traceback of each piece that failed twice."""

_TRIES = 2

_FAULTS = (NSDImageryError, OSError)
"""Of a piece; anything else is a bug of ours and ends the build."""


def make(job: Job, said: ShareProgress = unwatched) -> list[Made]:
    """Read the beta file of a job once, and write and journal the shards of its ROIs.

    Where it is another file than the one that an earlier build read and holds the same, what that made is kept.

    Args:
        job: The job.
        said: Called as the file is read.
    """
    return _of_same_file(job) or _write(job, read_piece(job.piece, said))


def make_there(job: Job, number: int) -> list[Made]:
    """As `make`, by a process of a pool, which says how far it is where the parent can look it up."""
    return make(job, teller(number))


def _of_same_file(job: Job) -> list[Made]:
    """What is kept because the bytes of the beta file are those that were read before; nothing, or all ROIs."""
    known, size = journal.source_ids(job), job.piece.session.beta_path.stat().st_size
    if len(known) < len(job.piece.rois) or not all(before.startswith(f"nifti:{size}:") for before in known):
        return []
    file = read_bytes(job.piece)
    if file is None:
        return []
    kept = [
        journal.of_other_file(job, roi, file.fingerprints[roi.name], file.identity, file.source_id)
        for roi in job.piece.rois
    ]
    return [made for made in kept if made is not None] if None not in kept else []


def _write(job: Job, reading: Reading) -> list[Made]:
    piece = job.piece
    made = []
    for roi in piece.rois:
        entry, source_id = reading.fingerprints[roi.name], reading.source_id(piece, roi)
        known = journal.of_other_file(job, roi, entry, reading.identity, source_id, reading.validity)
        shards = known.shards if known else tuple(_shard(job, part) for part in parts(piece, reading.betas, roi))
        one = Made(piece.key, roi.name, entry, source_id, shards, reading.notes(piece, roi))
        journal.write(job, one, reading.identity, reading.validity, reading.noted_map)
        made.append(one)
    return made


def _shard(job: Job, part: Part) -> Shard:
    position = job.positions[part.config, part.split]
    return write_shard(job.folder, part.config, part.split, position, part.schema, part.batches)


def make_all(
    jobs: Sequence[Job],
    finished: Sequence[Mapping[str, Made]],
    executor: Executor | None,
    progress: BuildProgress | None,
) -> list[Made]:
    """What all jobs make, kept from an earlier build where it is the same, in the order of the jobs.

    A piece that fails is tried once more; then the others are finished, so that a rerun has only that piece to do.

    Args:
        jobs: The jobs.
        finished: Of each, what `journal.finished` gave.
        executor: Runs them; None to make them here. Where it has `shares`, its processes `tell_in` them how far they
            are.
        progress: Called with a `BuildState` at the start, after each piece, and several times a second of reading.

    Raises:
        BrokenExecutor: A worker died, or a cluster's scheduler; its owner may call again with a new executor, and what
            is finished is kept.
        NSDImageryError, OSError: What the first piece that failed twice raised, with notes on the other ones.
    """
    kept = [
        {roi: journal.renumbered(job, one) for roi, one in made.items()}
        for job, made in zip(jobs, finished, strict=True)
    ]
    todo = {at: left for at, job in enumerate(jobs) if (left := _left(job, kept[at])) is not None}
    watch = Watch(jobs, set(range(len(jobs))) - set(todo), progress)
    fresh: dict[int, list[Made]] = {}
    failures: dict[int, BaseException] = {}
    watch.begin()
    for at, outcome in _here(todo, watch) if executor is None else _spread(todo, executor, watch):
        if isinstance(outcome, BaseException):
            failures[at] = outcome
            continue
        fresh[at] = outcome
        watch.done(at)
    if failures:
        raise _failed(jobs, failures)
    by_roi = [{**kept[at], **{made.roi: made for made in fresh.get(at, ())}} for at in range(len(jobs))]
    return [by_roi[at][roi.name] for at, job in enumerate(jobs) for roi in job.piece.rois]


def _left(job: Job, kept: Mapping[str, Made]) -> Job | None:
    """The job with the ROIs that are still to do, and nothing that a worker does not need; None if there are none."""
    rois = tuple(roi for roi in job.piece.rois if roi.name not in kept)
    session = replace(job.piece.session, captions={}, notes=())
    return replace(job, piece=replace(job.piece, rois=rois, session=session)) if rois else None


_Result = tuple[int, list[Made] | BaseException]


def _here(todo: dict[int, Job], watch: Watch) -> Iterator[_Result]:
    """The writing is what has the thread, so that Ctrl-C stops a long read at once and waits for a short write."""
    with ThreadPoolExecutor(1) as writer:
        written: tuple[int, Job, Future[list[Made]]] | None = None
        for at, job in todo.items():
            begun = _begin(job, writer, partial(watch.read, at))
            if written:
                yield _end(*written)
            written = at, job, begun
        if written:
            yield _end(*written)


def _begin(job: Job, writer: Executor, said: ShareProgress) -> Future[list[Made]]:
    """Read a piece, and have it written."""
    begun: Future[list[Made]] = Future()
    try:
        kept = _of_same_file(job)
        if not kept:
            return writer.submit(_write, job, read_piece(job.piece, said))
        begun.set_result(kept)
    except _FAULTS as error:
        begun.set_exception(error)
    return begun


def _end(at: int, job: Job, written: Future[list[Made]]) -> _Result:
    """What was made of a piece, or is on a second try."""
    try:
        return at, written.result()
    except _FAULTS as error:
        _log(job, error, 1)
    try:
        return at, make(job)
    except _FAULTS as error:
        _log(job, error, 2)
        return at, error


def make_elsewhere(job: Job, expected: Seen, host: str) -> list[Made]:
    """As `make`, by a worker that may see other files at the places of the job's; DataError where it does."""
    refuse_other_files(expected, host)
    return make(job)


def _spread(todo: dict[int, Job], executor: Executor, watch: Watch) -> Iterator[_Result]:
    running: dict[Future[list[Made]], tuple[int, int]] = {}
    shares: Sequence[float] = getattr(executor, "shares", ())

    def look() -> None:
        for at, _ in running.values():
            if at < len(shares):
                watch.read(at, shares[at])

    is_here = not todo or isinstance(executor, ProcessPoolExecutor | ThreadPoolExecutor)
    marked = None if is_here else mark(next(iter(todo.values())).folder)
    for at, job in todo.items():
        running[_submit(at, job, executor, marked)] = (at, 1)
    while running:
        for future in finished_next(running, executor, look):
            at, attempt = running.pop(future)
            error = error_of(future)
            if error is None:
                yield at, future.result()
            elif attempt < _TRIES:
                _log(todo[at], error, attempt)
                running[_submit(at, todo[at], executor, marked)] = (at, attempt + 1)
            else:
                yield at, error


def _submit(at: int, job: Job, executor: Executor, marked: Path | None) -> Future[list[Made]]:
    """Have a piece made, by a worker of another machine if the folder is marked for those."""
    refuse_cut_off(executor)
    if marked is None:
        return executor.submit(make_there, job, at)
    return executor.submit(make_elsewhere, job, seen(job, marked), socket.gethostname())


def _log(job: Job, error: BaseException, attempt: int) -> None:
    logger.info("%s failed (try %d of %d)", job.piece.key, attempt, _TRIES, exc_info=error)


def _failed(jobs: Sequence[Job], failures: dict[int, BaseException]) -> BaseException:
    """The error of the first piece that failed, with a note on each other, and all tracebacks in a file."""
    texts = [
        f"{jobs[at].piece.key}\n{''.join(traceback.format_exception(error))}" for at, error in sorted(failures.items())
    ]
    path = jobs[0].folder / BUILD / FAILURES
    path.write_text("\n".join(texts), encoding="utf-8", errors="backslashreplace")
    (first, error), *others = sorted(failures.items())
    for at, other in others:
        error.add_note(f"{jobs[at].piece.key} failed too: {other}")
    if len(jobs) > 1:
        n_others = len(jobs) - len(failures)
        kept = "the other one is" if n_others == 1 else f"the {n_others} others are"
        error.add_note(f"{jobs[first].piece.key} failed; {kept} kept; see {path}")
    return error
