"""Builds that die, and what they leave to the next one."""

import os
import random
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import state
from events import Death, Event, deadly, read_log, watch
from forks import forked, warm
from kinds import Call, Kind, Roots
from order import out_of_order, removed_too_early

import nsd_imagery


@dataclass(frozen=True)
class Fault:
    """Something that was wrong.

    Attributes:
        what: What it was.
        when: After which of the builds.
        deaths: The deaths that led there; none for an undisturbed build.
    """

    what: str
    when: str
    deaths: Sequence[Death] = ()


@dataclass(frozen=True)
class Built:
    """How a build ended, and what it did until then."""

    status: int
    events: list[Event]
    said: str

    def died(self, death: Death) -> bool:
        """Whether it came to the event that it was to die at."""
        return len(deadly(self.events, death.by)) >= death.number

    def last(self, by: str) -> str:
        """The event that a process of it died at."""
        return str(deadly(self.events, by)[-1])

    @property
    def last_line(self) -> str:
        """Of what it said: the error, if it raised one."""
        return f"status {self.status}, {(self.said.strip().splitlines() or ['silent'])[-1]}"


@dataclass
class Arena:
    """Where the builds of a kind run, and the datasets that they give undisturbed.

    Attributes:
        kind: The kind.
        folder: Holds the dataset folder, and what the builds have for a home and for temporary files.
        roots: The synthetic roots.
        old: What `kind.start` built.
        first: What `kind.first` builds over it.
        again: What `kind.rerun` builds over it.
        counts: How many deadly events `kind.first` has, by whose they are.
        faults: What was wrong without any death.
    """

    kind: Kind
    folder: Path
    roots: Roots
    old: state.Dataset = state.EMPTY
    first: state.Dataset = state.EMPTY
    again: state.Dataset = state.EMPTY
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "home").mkdir(parents=True, exist_ok=True)
        assert self.outside  # writes the roots, before anything is built of files that they share
        warm(lambda: self._build(self.kind.first, None), self.folder / "warm.log")
        self._undisturbed()

    @property
    def out(self) -> Path:
        """The dataset folder."""
        return self.folder / "nsd_imagery"

    @property
    def outside(self) -> list[Path]:
        """What no build may touch."""
        calls = filter(None, (self.kind.start, self.kind.first, self.kind.rerun))
        return [self.folder / "home", *{self.roots[call.root]: None for call in calls}]

    def begin(self) -> None:
        """The dataset folder as it is before the first death, built in its place: a copy has other times and inodes."""
        state.clear(self.out)
        if self.kind.start:
            self.run(self.kind.start, None, must=True)
            state.put_mine(self.out)

    def run(self, call: Call, death: Death | None, *, must: bool = False) -> Built:
        """A build in a process of its own.

        Raises:
            RuntimeError: It `must` succeed, and does not.
        """
        said = self.folder / "said"
        status = forked(lambda: self._build(call, death), said)
        built = Built(status, read_log(self._log), said.read_text())
        if must and status:
            msg = f"the build of {call} ends with {status}: {built.said}"
            raise RuntimeError(msg)
        return built

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _undisturbed(self) -> None:
        self.begin()
        if self.kind.start:
            self.old = state.dataset(self.out)
        built = self.run(self.kind.first, None, must=True)
        self.first = self.again = state.dataset(self.out)
        self.counts = {by: len(deadly(built.events, by)) for by in ("build", "worker")}
        wrong = [*out_of_order(built.events, state.sizes(self.out)), *state.unsound(self.out)]
        did = {event.what for event in built.events}
        wrong += [f"this kind of build has no {what} any more" for what in self.kind.does if what not in did]
        if self.kind.start:
            wrong += state.without_mine(self.out)
        self.faults = [Fault(what, "without any death") for what in wrong]
        if self.kind.again:
            self.run(self.kind.again, None, must=True)
            self.again = state.dataset(self.out)

    def _build(self, call: Call, death: Death | None) -> None:
        """In a process of its own."""
        home = self.folder / "home"
        os.environ |= {"HOME": str(home), "XDG_CACHE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        os.environ["TMPDIR"] = tempfile.tempdir = str(home)
        watch(self.out, self._log, death)
        root = self.roots[call.root]
        if call.workers == 1:
            with patch.object(ThreadPoolExecutor, "submit", _at_once):
                nsd_imagery.build(root, self.out, **call.options)
        else:
            with ProcessPoolExecutor(call.workers, get_context("fork")) as pool:
                pool.submit(os.getpid).result()  # it forks all of them at the first task, while no thread is here
                nsd_imagery.build(root, self.out, executor=pool, **call.options)


def _at_once(self: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
    """A `submit` that does the work before it returns, so that the n-th event is the same one each time."""
    done: Future[Any] = Future()
    try:
        done.set_result(work(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 (as the thread would)
        done.set_exception(error)
    return done


@dataclass
class Chain:
    """Builds into one folder, one after the other, and what was wrong after each.

    Attributes:
        arena: Where.
        now: The dataset that the README of the folder names.
        seen: The datasets that builds so far were to make; the manifest may be of any of them.
        mine: Whether a user's files are in the folder.
        deaths: Of this chain.
        faults: What was wrong.
        counts: How many deadly events the last build had, by whose they are.
    """

    arena: Arena
    now: state.Dataset
    seen: list[state.Dataset]
    mine: bool
    deaths: Sequence[Death]
    faults: list[Fault] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def build(self, call: Call, goal: state.Dataset, death: Death | None) -> None:
        """Build, to a death or to the end, and look."""
        arena = self.arena
        untouched = state.identities(arena.outside)
        built = arena.run(call, death)
        self.counts = {by: len(deadly(built.events, by)) for by in ("build", "worker")}
        self.seen.append(goal)
        if death is not None and built.died(death):
            when = f"after a death at {death}, before {built.last(death.by)}"
            wrong = list(state.after_death(arena.out, [self.now, goal], self.seen))
            if built.status != (-signal.SIGKILL if death.by == "build" else 1):
                wrong.append(f"the build ended with status {built.status}")
        else:
            when = "after the last build" if death is None else f"after a build that had ended before event {death}"
            wrong = [f"it failed: {built.last_line}"] if built.status else list(state.after_rerun(arena.out, goal))
        wrong += removed_too_early(built.events, self.now.shards)
        wrong += state.changed(untouched, state.identities(arena.outside))
        if self.mine:
            wrong += state.without_mine(arena.out)
        state.put_mine(arena.out)  # not before: a folder with files and no trace of a build is refused
        self.mine = True
        self.faults += [Fault(what, when, self.deaths) for what in wrong]
        self.now = next((one for one in (self.now, goal) if one.readme == state.readme(arena.out)), self.now)


def die(arena: Arena, deaths: Sequence[Death]) -> Chain:
    """Build and die, build again and die again, and build undisturbed."""
    arena.begin()
    chain = Chain(arena, arena.old, [arena.old], mine=arena.kind.start is not None, deaths=deaths)
    for number, death in enumerate([*deaths, None]):
        call, goal = (arena.kind.rerun, arena.again) if number else (arena.kind.first, arena.first)
        chain.build(call, goal, death)
    return chain


def first_deaths(arena: Arena, every: int, rng: random.Random) -> Iterator[Death]:
    """Every n-th event of the first build, in its own process and in those of its workers."""
    for by, count in arena.counts.items():
        for number in range(1 + rng.randrange(every), count + 1, every):
            yield Death(by, number)


def second_deaths(counts: dict[str, int], n: int | None, rng: random.Random) -> list[Death]:
    """Some events of the build after a death that had so many, or all of them."""
    deaths = [Death(by, number) for by, count in counts.items() for number in range(1, count + 1)]
    return deaths if n is None else rng.sample(deaths, min(n, len(deaths)))
