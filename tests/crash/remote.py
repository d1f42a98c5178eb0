"""Pushes and pulls that are killed, as processes of their own, against a hub on loopback."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import state
from deaths import Fault
from kinds import ROI, Roots

import hub as loopback
import nsd_imagery
from folders import own

VERBS = ("push", "pull")
REPO = "me/nsd-imagery"

Files = Mapping[str, bytes]


@dataclass
class Moment:
    """When a process is killed: so many seconds after its start, or when the hub has a request of it."""

    seconds: float | None = None
    action: str = ""
    number: int = 0

    def __str__(self) -> str:
        """As a failure names it."""
        return f"at {self.seconds:.2f} s" if self.seconds is not None else f"at {self.action} {self.number + 1}"


@dataclass
class Scene:
    """Two datasets, and a hub that has the old one, or both in turn.

    Attributes:
        work: A folder to work in.
        hub: The hub.
        old: A dataset folder.
        new: A dataset folder of the same configs and other betas.
        repos: What the hub holds before each kill.
        large: The same, of large files.
        seconds: How long the verb takes undisturbed.
        requests: The endpoints that it asks, in order.
    """

    work: Path
    hub: loopback.Hub
    old: Path
    new: Path
    repos: dict[str, loopback.Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    requests: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, work: Path, roots: Roots) -> "Scene":
        """Build both folders; the hub is empty."""
        sources = {name: roots[name] for name in ("old", "new")}  # forks, so it comes before any thread
        folders = {
            name: nsd_imagery.build(root, work / name, subjects=["subj01"], roi=ROI) for name, root in sources.items()
        }
        return cls(work, loopback.start(), folders["old"], folders["new"])

    @property
    def folder(self) -> Path:
        """What is pushed from or pulled into."""
        return self.work / "nsd_imagery"

    def put_back(self, start: Path | None) -> None:
        """The hub as it was, and the folder as another one, or none."""
        state.clear(self.folder)
        if start:
            own(start, self.folder)
        with self.hub.lock:
            self.hub.clear()
            self.hub.repos.update(deepcopy(self.repos))
            self.hub.large.update(self.large)

    def keep(self) -> None:
        """What the hub holds now is what `put_back` puts back."""
        self.repos, self.large = deepcopy(self.hub.repos), dict(self.hub.large)

    def start(self, verb: str) -> subprocess.Popen[str]:
        """Begin a push of the folder, or a pull into it."""
        arguments = ["push", self.folder, REPO] if verb == "push" else ["pull", REPO, "--out", self.folder]
        return subprocess.Popen(
            [sys.executable, "-m", "nsd_imagery", *map(str, arguments)],
            env={**os.environ, **loopback.variables(self.hub, self.work / "home")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, verb: str) -> str:
        """Do it undisturbed; what it says if it fails."""
        begun = time.monotonic()
        process = self.start(verb)
        _, said = process.communicate(timeout=120)
        self.seconds = time.monotonic() - begun
        return f"it failed: {said.strip()[-300:]}" if process.returncode else ""

    def kill(self, verb: str, moment: Moment) -> bool:
        """Begin it, and kill it; False if it had ended by then."""
        process = self.start(verb)

        def kill() -> None:
            process.send_signal(signal.SIGKILL)

        if moment.seconds is None:
            self.hub.faults.append(loopback.Fault(moment.action, 200, moment.number, 1, kill))
        else:
            time.sleep(moment.seconds)
            kill()
        process.communicate(timeout=120)
        self.hub.faults.clear()
        return process.returncode == -signal.SIGKILL

    def draw(self, rng: random.Random, number: int) -> Moment:
        """A moment: by turns of the clock and of the requests."""
        if number % 2:
            return Moment(seconds=rng.uniform(0.1, 1) * self.seconds)
        at = rng.randrange(len(self.requests))
        action = self.requests[at]
        return Moment(action=action, number=self.requests[:at].count(action))


def killed_verbs(verb: str, work: Path, roots: Roots, kills: int, seed: int) -> Iterator[Fault]:
    """Kill pushes or pulls, print a line on them, and give what was wrong."""
    begun, n_killed, n_wrong = time.monotonic(), 0, 0
    scene = Scene.of(work, roots)
    scene.put_back(scene.old)
    look = _prepare_push(scene) if verb == "push" else _prepare_pull(scene)
    rng = random.Random(f"{seed} {verb}")
    untouched = state.sealed(scene.old), state.sealed(scene.new)
    for number in range(4 * kills):
        if n_killed == kills:
            break
        is_fresh = number % 4 < 2
        start = scene.new if verb == "push" else None if is_fresh else scene.old
        scene.put_back(start)
        moment = scene.draw(rng, number)
        if not scene.kill(verb, moment):
            continue
        n_killed += 1
        wrong = [(what, f"killed {moment}") for what in look(start, False)]
        said = scene.finish(verb)
        wrong += [(what, f"killed {moment}, then run again") for what in ([said] if said else look(start, True))]
        n_wrong += bool(wrong)
        yield from (Fault(*one) for one in wrong)
    if (state.sealed(scene.old), state.sealed(scene.new)) != untouched:
        yield Fault("a file was written into in its place", "in the end")
    print(f"{verb}: {n_killed} kills, {time.monotonic() - begun:.1f} s, {n_wrong} failures", flush=True)


Look = Callable[[Path | None, bool], Iterator[str]]
"""What is wrong after a kill, or after the run that followed it: of what the folder was before, and which of both."""


def _prepare_push(scene: Scene) -> Look:
    """The hub gets the old dataset, and each push brings the new one."""
    _must(scene.finish("push"))
    scene.keep()
    old = scene.hub.files(REPO)
    scene.put_back(scene.new)
    _must(scene.finish("push"))
    scene.requests = [request.action for request in scene.hub.requests]
    new = scene.hub.files(REPO)
    sealed = state.sealed(scene.new)

    def look(_: Path | None, is_last: bool) -> Iterator[str]:
        there = scene.hub.files(REPO)
        yield from _unlike(there, [new] if is_last else [old, new])
        if is_last and there.keys() != new.keys():
            yield f"the repo holds {sorted(there.keys() ^ new.keys())} too, or lacks it"
        if state.sealed(scene.folder) != sealed:
            yield "the folder that was pushed was changed"
        if is_last:
            yield from (f"{path.name} is left" for path in scene.folder.rglob(".partial-*"))

    return look


def _unlike(there: Files, datasets: list[Files]) -> Iterator[str]:
    """How a repo, as a reader sees it, is none of some datasets."""
    for one in datasets:
        if all(there.get(name) == one[name] for name in (state.README, state.MANIFEST)):
            for name in state.named_by_readme(one[state.README]):
                if there.get(name) != one[name]:
                    yield f"{name}, which README.md of the repo names, is gone or another one"
            return
    yield "README.md and manifest.json of the repo are not those of one dataset"


def _prepare_pull(scene: Scene) -> Look:
    """The hub has the new dataset, which each pull brings into an empty folder or over the old one."""
    scene.put_back(scene.new)
    _must(scene.finish("push"))
    scene.keep()
    scene.put_back(None)
    _must(scene.finish("pull"))
    scene.requests = [request.action for request in scene.hub.requests]
    new = state.dataset(scene.new)
    if state.sealed(scene.folder) != new.sealed:
        _must("a pulled folder is not the one that was pushed")

    def look(start: Path | None, is_last: bool) -> Iterator[str]:
        if is_last:
            yield from state.after_rerun(scene.folder, new)
            if (scene.folder / state.BUILD / "hub" / "pull").exists():
                yield "what was fetched is left"
        else:
            before = state.dataset(start) if start else state.EMPTY
            yield from state.after_death(scene.folder, [before, new], [before, new])

    return look


def _must(said: str) -> None:
    if said:
        raise RuntimeError(said)
