"""Whole files from the bucket into a root: by parts, several at once, proven before they get their names."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nsd_imagery.errors import DataError, NSDImageryError, SourceError
from nsd_imagery.fetch.bucket import Bucket
from nsd_imagery.fetch.etags import PART
from nsd_imagery.fetch.failures import raise_first
from nsd_imagery.fetch.growing import Growing
from nsd_imagery.fetch.parts import PartialFile
from nsd_imagery.fetch.plan import Plan, PlannedFile, another_file, is_as_fetched
from nsd_imagery.fetch.proof import Verdict, judge, move, of_key, same_bytes
from nsd_imagery.fetch.reads import Arrived, Read
from nsd_imagery.fetch.record import PROVEN, Entry, read_record, state_folder, write_record
from nsd_imagery.fetch.soundness import is_packed, read_to_the_end
from nsd_imagery.identity import identity
from nsd_imagery.links import is_there
from nsd_imagery.sources.release_files import mask_file
from nsd_imagery.volumes.roi import DEFAULT_ROI

PARTS_AT_ONCE: Final = 8
"""Reads that run at the same time: more would share one line, and each would be lost where a download is killed."""

_MOST_OPEN: Final = 100
"""Files that may be open at the same time: those that are whole wait for their proof, one after the other."""


@dataclass(frozen=True)
class DownloadState:
    """How far a download is.

    Attributes:
        n_done: Files that are in the tree.
        n_files: Files that are to be fetched.
        bytes_done: Bytes that came.
        n_bytes: Bytes that are to come in all; more where a part had to be fetched again.
        name: The key of the file that was finished last; empty before the first.
    """

    n_done: int
    n_files: int
    bytes_done: int
    n_bytes: int
    name: str


DownloadProgress = Callable[[DownloadState], None]


def transfer(bucket: Bucket, plan: Plan, at_once: int, progress: DownloadProgress) -> None:
    """Fetch what a plan has to fetch, and note it; nothing has its name before it is proven.

    A file that cannot be had keeps the others from nothing; a bucket that cannot be reached ends it all. What came
    stays, and the next call goes on with it.

    Raises:
        AccessError, MissingDataError, DataError, FolderError: Of the first file that cannot be had; further ones are
            notes to it.
        SourceError: The bucket cannot be reached, or answers with something else.
        OSError: The disk is full, or the root may not be written to.
    """
    with _Work.begun(bucket, plan, progress) as work:
        while work.goes_on():
            for arrived in bucket.stream(work.next_read, min(at_once, PARTS_AT_ONCE)):
                work.take(arrived)
    work.raise_failures()


class _Work:
    """The files of a plan on their way."""

    def __init__(self, bucket: Bucket, plan: Plan, progress: DownloadProgress, prover: ThreadPoolExecutor) -> None:
        self._bucket, self._plan, self._progress, self._prover = bucket, plan, progress, prover
        self._waiting = deque(plan.to_fetch)
        self._reads: deque[Read] = deque()
        self._open: dict[str, tuple[PlannedFile, PartialFile]] = {}
        self._unpacking: dict[str, Future[None]] = {}
        self._proofs: dict[str, Future[Verdict]] = {}
        self._first_md5: dict[str, bytes] = {}
        self._failures: list[NSDImageryError] = []
        self._stopped = threading.Event()
        self._is_turn_of_small = False
        self._record = read_record(plan.root)
        self._record |= {file.object.key: file.entry for file in plan.files if file.entry is not None}
        self._n_done, self._bytes_done, self._n_bytes = 0, 0, plan.bytes_to_fetch
        self._say("")

    @classmethod
    @contextmanager
    def begun(cls, bucket: Bucket, plan: Plan, progress: DownloadProgress) -> Iterator["_Work"]:
        """The work, whose state is kept on disk when the block ends, however it does."""
        with ThreadPoolExecutor(1) as prover:
            work = cls(bucket, plan, progress, prover)
            try:
                yield work
            finally:
                work.end()

    def end(self) -> None:
        """Let go of all files, and note what is in the tree."""
        self._stopped.set()
        for _, partial in self._open.values():
            partial.close()
        self._prover.shutdown(cancel_futures=True)
        write_record(self._plan.root, self._record)

    def goes_on(self) -> bool:
        """Whether there is something to read, once all that is whole is judged."""
        for key in list(self._proofs):
            self._judge(key, self._proofs.pop(key).result())
        return bool(self._waiting or self._reads)

    def next_read(self) -> Read | None:
        """The next part that is to be fetched; None if there is none now.

        Small files, whose reads are all latency, take turns with the parts of large ones, which keep the line full.
        """
        for key in [key for key, proof in self._proofs.items() if proof.done()]:
            self._judge(key, self._proofs.pop(key).result())
        self._is_turn_of_small = not self._is_turn_of_small
        has_room = bool(self._waiting) and len(self._open) < _MOST_OPEN
        if has_room and self._reads and self._is_turn_of_small and self._waiting[0].object.size < PART:
            self._take_up(self._waiting.popleft())
        while not self._reads and self._waiting and len(self._open) < _MOST_OPEN:
            is_large = not self._is_turn_of_small and self._waiting[-1].object.size >= PART
            self._take_up(self._waiting.pop() if is_large else self._waiting.popleft())
        return self._reads.popleft() if self._reads else None

    def take(self, arrived: Arrived) -> None:
        """Put what came where it belongs."""
        key = arrived.read.key
        if key not in self._open:
            return  # another part of it failed
        partial = self._open[key][1]
        if arrived.error is not None:
            self._give_up(key, arrived.error)
            return
        partial.write(arrived.read, arrived.start, arrived.data)
        self._bytes_done += len(arrived.data)
        self._say()
        if partial.is_whole:
            self._prove(key)

    def raise_failures(self) -> None:
        """Raise what kept files from being fetched, if anything did."""
        raise_first(self._failures)

    def _take_up(self, file: PlannedFile) -> None:
        partial = PartialFile(state_folder(self._plan.root, file.object.key), file.object)
        self._open[file.object.key] = file, partial
        self._begin(partial, partial.open)
        left = sum(read.stop - read.start for read in partial.parts)
        self._n_bytes += left - (file.object.size - file.begun)
        if partial.is_whole:
            self._prove(file.object.key)

    def _begin(self, partial: PartialFile, open_it: Callable[[], None]) -> None:
        """Open a file, have what is packed unpacked as it comes, and line up its parts."""
        open_it()
        self._unpacking.pop(partial.object.key, None)
        if growing := partial.follow():
            self._unpack(partial, growing)
        if len(partial.parts) == 1:
            self._reads.appendleft(partial.parts[0])
        else:
            self._reads.extend(partial.parts)

    def _unpack(self, partial: PartialFile, growing: Growing | None) -> None:
        if is_packed(partial.path):
            reading = self._prover.submit(read_to_the_end, partial.path, growing, self._go_on)
            self._unpacking[partial.object.key] = reading

    def _prove(self, key: str) -> None:
        file, partial = self._open[key]
        if key not in self._unpacking:
            self._unpack(partial, None)
        mask = mask_file(self._plan.root, file.want.subject, DEFAULT_ROI)
        self._proofs[key] = self._prover.submit(
            judge, file, partial, mask if mask.is_file() else None, self._first_md5.get(key), self._unpacking.get(key)
        )

    def _go_on(self) -> None:
        if self._stopped.is_set():
            msg = "stopped"
            raise SourceError(msg)

    def _judge(self, key: str, verdict: Verdict) -> None:
        _, partial = self._open[key]
        if verdict.error is None:
            self._name(key, verdict.how)
        elif verdict.how != PROVEN and key not in self._first_md5:
            self._first_md5[key] = verdict.md5
            self._begin(partial, partial.begin_again)
            self._n_bytes += partial.object.size
        else:
            self._give_up(key, of_key(verdict.error, partial, self._bucket.name))

    def _name(self, key: str, how: str) -> None:
        """Give a file its name in the tree."""
        _, partial = self._open.pop(key)
        path, there = self._plan.root / key, partial.object
        if is_there(path) and not self._is_ours(key, path):
            if not same_bytes(path, partial.path):
                self._failures.append(another_file(path, there))
                partial.remove()
                return
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            move(partial.path, path)
        partial.remove()
        self._record[key] = Entry(there.size, there.etag, how, identity(path))
        self._n_done += 1
        self._say(key)

    def _is_ours(self, key: str, path: Path) -> bool:
        """Whether a file in the tree was fetched, and not touched since."""
        noted = self._record.get(key)
        return noted is not None and is_as_fetched(path, noted)

    def _give_up(self, key: str, error: NSDImageryError) -> None:
        if isinstance(error, SourceError):
            raise error
        _, partial = self._open.pop(key)
        self._failures.append(error)
        self._reads = deque(read for read in self._reads if read.key != key)
        if isinstance(error, DataError):
            partial.remove()
        else:
            partial.close()

    def _say(self, name: str | None = None) -> None:
        self._last = name if name is not None else self._last
        self._progress(
            DownloadState(self._n_done, len(self._plan.to_fetch), self._bytes_done, self._n_bytes, self._last)
        )
