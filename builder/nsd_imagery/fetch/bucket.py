"""A bucket that anybody may read: what it lists and holds, many requests at once, and its errors as our few.

    with open_bucket("s3://natural-scenes-dataset") as bucket:
        one, *_ = bucket.objects(["nsddata/templates"])
        reads = [Read(one.key, one.etag, 0, 100), Read(one.key, one.etag, 500, 600)]
        for number, data in bucket.get_all(reads): ...

obstore is imported here and in `client` alone. Its requests run on an event loop in a thread of its own, so that a
caller may have a loop itself, and Ctrl-C ends the caller's wait at once. A process that used it is not to be forked.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import MemoryStore

from nsd_imagery.errors import AccessError, NSDImageryError, SourceError
from nsd_imagery.fetch.address import Address, address_of, regional
from nsd_imagery.fetch.answers import changed, cut_short, is_redirection, ours, web_page
from nsd_imagery.fetch.client import client_of
from nsd_imagery.fetch.etags import is_same, quoted
from nsd_imagery.fetch.reads import Arrived, Object, Read

AT_ONCE: Final = 64
"""Requests that run at the same time."""

_CHUNK: Final = 1 << 18
"""Bytes of a body that are handed on together, at least."""

_WAITING: Final = 1
"""Bodies, or chunks of them, that wait to be taken, for each request that runs."""

_ROUNDS, _MOST_ROUNDS, _BREATH = 3, 50, 0.02
"""Of the wait for the client's threads: those in which they had nothing to do, all, and the seconds between."""

_Given = TypeVar("_Given")


class _Redirected(Exception):  # noqa: N818
    """The bucket is in another region."""


class Bucket:
    """An open bucket; see `open_bucket`.

    Attributes:
        name: As messages name it, such as s3://natural-scenes-dataset.
    """

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.name = address.name
        self._address = address
        self._store = client_of(address)
        self._loop = loop
        self._has_moved = False

    def objects(self, folders: Sequence[str]) -> list[Object]:
        """The files under some folders, each once, sorted by key.

        Raises:
            AccessError: The bucket does not tell what it holds, or not in a way that can be read.
            SourceError: It cannot be reached, or answers with something else.
        """
        found: dict[str, Object] = {}
        for listing in self.listings(folders):
            if isinstance(listing, AccessError):
                raise listing
            found |= {one.key: one for one in listing}
        return sorted(found.values(), key=lambda one: one.key)

    def listings(self, folders: Sequence[str]) -> list[list[Object] | AccessError]:
        """The files under each of some folders, or why the bucket does not tell them.

        Raises:
            SourceError: It cannot be reached, or answers with something else.
        """
        try:
            return self._each(self._listed, folders)
        except _Redirected:
            self._store = client_of(regional(self._address))
            self._has_moved = True
            return self._each(self._listed, folders)

    def head(self, keys: Sequence[str]) -> list[Object | NSDImageryError]:
        """What is known of each of some files without reading it, or why nothing is.

        Raises:
            SourceError: The bucket cannot be reached, or answers with something else.
        """
        return self._each(self._headed, keys)

    def get_all(self, reads: Sequence[Read], at_once: int = AT_ONCE) -> Iterator[tuple[int, memoryview]]:
        """The bytes of many small reads, each whole, as they come, with its place among the reads.

        Raises:
            MissingDataError, AccessError, DataError, SourceError: Of the first read that fails; the others end with it.
        """
        places = {id(read): place for place, read in enumerate(reads)}
        waiting = iter(reads)
        for arrived in self.stream(lambda: next(waiting, None), at_once, chunk=None):
            if arrived.error is not None:
                raise arrived.error
            yield places[id(arrived.read)], arrived.data

    def stream(
        self, next_read: Callable[[], Read | None], at_once: int, chunk: int | None = _CHUNK
    ) -> Iterator[Arrived]:
        """The bytes of reads in pieces, those of one read in order, those of several as they come.

        Args:
            next_read: Gives a read whenever there is room for one; None if there is none at the moment. Asked in the
                caller's thread, between what is yielded, and no more once it gives None and no read runs.
            at_once: How many run at the same time.
            chunk: Bytes that a piece has at least, but for the last of a read; None for reads that come whole.
        """
        arrivals: SimpleQueue[Arrived | BaseException] = SimpleQueue()

        def ended(work: Future[None]) -> None:
            if not work.cancelled() and (error := work.exception()) is not None:
                arrivals.put(error)

        room = asyncio.Semaphore(_WAITING * at_once)
        running: dict[int, Future[None]] = {}
        try:
            while True:
                while len(running) < at_once and (read := next_read()) is not None:
                    running[id(read)] = self._start(self._read(read, chunk, room, arrivals.put))
                    running[id(read)].add_done_callback(ended)
                if not running:
                    return
                arrived = arrivals.get()
                if isinstance(arrived, BaseException):
                    raise arrived
                if arrived.is_last:
                    del running[id(arrived.read)]
                yield arrived
                self._loop.call_soon_threadsafe(room.release)
        finally:
            for work in running.values():
                work.cancel()

    def _start(self, work: Coroutine[Any, Any, _Given]) -> Future[_Given]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _each(self, work: Callable[[str], Coroutine[Any, Any, _Given]], names: Sequence[str]) -> list[_Given]:
        async def all_of() -> list[_Given]:
            free = asyncio.Semaphore(AT_ONCE)

            async def one(name: str) -> _Given:
                async with free:
                    return await work(name)

            return await asyncio.gather(*map(one, names))

        running = self._start(all_of())
        try:
            return running.result()
        finally:
            running.cancel()

    async def _listed(self, folder: str) -> list[Object] | AccessError:
        try:
            found = await obstore.list(self._store, folder).collect_async()
        except (BaseError, OSError, ValueError) as error:
            if is_redirection(error) and not self._has_moved:
                raise _Redirected from None
            said = ours(error, self.name, folder)
            if isinstance(said, AccessError):
                return said
            raise said from None
        return [_object(one["path"], one) for one in found]

    async def _headed(self, key: str) -> Object | NSDImageryError:
        try:
            found = await obstore.get_async(self._store, key, options={"head": True})
        except (BaseError, OSError, ValueError) as error:
            said = ours(error, self.name, key)
            if isinstance(said, SourceError):
                raise said from None
            return said
        if _is_page(found):
            raise web_page(self.name)
        return _object(key, found.meta)

    async def _read(
        self, read: Read, chunk: int | None, room: asyncio.Semaphore, hand_on: Callable[[Arrived], None]
    ) -> None:
        at = read.start
        try:
            wanted: obstore.GetOptions = {"range": (read.start, read.stop)}
            if read.etag:  # a mirror may have none
                wanted["if_match"] = quoted(read.etag)
            found = await obstore.get_async(self._store, read.key, options=wanted)
            if found.range != (read.start, read.stop):
                raise cut_short(self.name, read.key)
            if not is_same(read.etag, found.meta["e_tag"] or ""):  # a mirror that does not heed If-Match
                raise changed(self.name, read.key)
            async for piece in found.stream(min_chunk_size=chunk or read.stop - read.start):
                await room.acquire()
                hand_on(Arrived(read, at, memoryview(piece)))
                at += len(piece)
            if at != read.stop:
                raise cut_short(self.name, read.key)
        except NSDImageryError as error:
            hand_on(Arrived(read, at, memoryview(b""), error))
        except (BaseError, OSError, ValueError) as error:
            hand_on(Arrived(read, at, memoryview(b""), await self._why(error, read.key)))

    async def _why(self, error: Exception, key: str) -> NSDImageryError:
        """Our error for one of a read; a web page in place of a part looks like an answer that heeds no range."""
        if "NotPartial" in str(error):
            with suppress(BaseError, OSError, ValueError):
                whole = await obstore.get_async(self._store, key)  # of whose body nothing is taken
                if _is_page(whole):
                    return web_page(self.name)
        return ours(error, self.name, key)


def _is_page(found: "obstore.GetResult") -> bool:
    return str(found.attributes.get("Content-Type")).startswith("text/html")


def _object(key: str, said: "obstore.ObjectMeta") -> Object:
    """A file as the client describes it, which has 1970 for a time that the server does not say."""
    modified: datetime = said["last_modified"]
    when = f"{modified:%Y-%m-%dT%H:%M:%SZ}" if modified.timestamp() > 0 else ""
    return Object(key, said["size"], said["e_tag"] or "", when)


@contextmanager
def open_bucket(source: str | None = None) -> Iterator[Bucket]:
    """A bucket while the block runs. Nothing is asked of it yet.

    Args:
        source: s3://BUCKET or http(s)://HOST[:PORT]/BUCKET; default: $NSD_IMAGERY_SOURCE, else NSD's bucket.

    Raises:
        UsageError: That is no bucket.
    """
    address = address_of(source)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="bucket", daemon=True)
    thread.start()
    try:
        yield Bucket(address, loop)
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end() -> None:
    """Let all that still runs on this loop end, and what the client's own threads have begun for it.

    Such a thread hands a result to Python, or drops one that nobody waits for any more, at a moment of its own; where
    the interpreter ends at that moment, the process aborts. Work that is given to these threads behind it shows that
    they are done.
    """
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    nothing, n_idle = MemoryStore(), 0
    for _ in range(_MOST_ROUNDS):
        await asyncio.sleep(_BREATH)
        await asyncio.gather(*(nothing.list_with_delimiter_async() for _ in range(AT_ONCE)))
        n_idle = n_idle + 1 if _others_wait() else 0
        if n_idle == _ROUNDS:
            return


def _others_wait() -> bool:
    """Whether no other thread of this process has anything to do; of a system that does not say, it is taken so."""
    own = str(threading.get_native_id())
    try:
        others = [task for task in Path("/proc/self/task").glob("*/stat") if task.parent.name != own]
        return all(task.read_text().rpartition(")")[2].split()[0] == "S" for task in others)
    except OSError:  # one has just ended
        return False
