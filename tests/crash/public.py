"""No sequence of pushes, kills, flips of who may see the repo, and wrong answers uploads to a public repo.

What can be held, and is, from the log of the hub: a request that brings something of a file comes directly after an
answer that the repo is private, which was true when it was given; after an answer that it is public nothing of a file
comes from that push, and one that had begun to send makes the repo private and reads that back, or says that it could
not. A flip between the answer and the request that follows it can be seen by no client: these are counted.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deaths import Fault
from kinds import ROI, Roots

import hub as loopback
import nsd_imagery
from folders import own
from misanswers import all_of

REPO = "me/nsd-imagery"
PUSHER = Path(__file__).with_name("pusher.py")
PRIVATE_AGAIN, NOT_PRIVATE = "it is private again", "it could not be made private again"

ACTIONS = ("info", "create", "tree", "preupload", "batch", "upload", "verify", "commit", "settings", "yaml")


@dataclass
class Pusher:
    """A process that pushes, and the one that does now."""

    process: subprocess.Popen[str]
    said: Path
    child: int = 0

    @classmethod
    def start(cls, hub: loopback.Hub, home: Path) -> "Pusher":
        """Begin it, as a user of a hub who waits a second for any answer."""
        home.mkdir(parents=True)
        variables = {**os.environ, **loopback.variables(hub, home), "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
        process = subprocess.Popen(
            [sys.executable, str(PUSHER)], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return cls(process, home / "said")

    def push(self, folder: Path) -> tuple[int, str]:
        """Push a folder. Returns how that ended, and what was said."""
        assert self.process.stdin
        assert self.process.stdout
        self.said.write_text("")
        self.process.stdin.write(f"{folder}\t{REPO}\t{self.said}\n")
        self.process.stdin.flush()
        self.child = int(self.process.stdout.readline())
        ended = int(self.process.stdout.readline())
        self.child = 0
        return ended, self.said.read_text()

    def kill(self) -> None:
        """Kill the push that goes on."""
        while not self.child:
            time.sleep(0.001)
        os.kill(self.child, signal.SIGKILL)

    def end(self) -> None:
        """Begin no more."""
        self.process.communicate()


@dataclass
class Arena:
    """A hub, who pushes to it, and two datasets to push.

    Attributes:
        hub: The hub.
        pusher: Who pushes.
        folders: The datasets.
        counts: What happened so far.
    """

    hub: loopback.Hub
    pusher: Pusher
    folders: Sequence[Path]
    counts: Counter[str] = field(default_factory=Counter)

    def publish(self, public: bool = True) -> None:
        """Change who may see the repo, if it is there."""
        with self.hub.lock:
            if (repo := self.hub.repos.get(REPO)) and repo.private is public:
                repo.private = not public
                self.counts["made public" if public else "made private by its owner"] += 1

    def kill(self) -> None:
        """Kill the push."""
        self.pusher.kill()
        self.counts["kills"] += 1

    def event(self, rng: random.Random) -> loopback.Fault:
        """Something that is to happen at some request of a push."""
        what = rng.choice(["kill", "public", "public", "public", "private", "answer", "answer", "status"])
        action = rng.choice(ACTIONS)
        after = rng.randrange(30 if action == "info" else 6) if action not in ("create", "tree", "yaml") else 0
        if what == "answer":
            self.counts["wrong answers set"] += 1
            change = rng.choice(list(all_of(action).values()))
            return loopback.Fault(action, 200, after, rng.choice([1, 1, 3]), change=change)
        if what == "status":
            return loopback.Fault(action, rng.choice([0, 403, 500, 503]), after, rng.choice([1, 3]))
        then = {"kill": self.kill, "public": self.publish, "private": lambda: self.publish(False)}[what]
        status = rng.choice([200, 200, 200, 503]) if what != "kill" else 200
        return loopback.Fault(action, status, after, 1, then)

    def step(self, rng: random.Random) -> Iterator[str]:
        """One push amid events; what is wrong with it."""
        if rng.random() < 0.6:
            self.publish(False)
        elif rng.random() < 0.2:
            self.publish()
        with self.hub.lock:
            self.hub.faults[:] = [self.event(rng) for _ in range(rng.randint(1, 5))]
            self.hub.requests.clear()
        ended, said = self.pusher.push(rng.choice(self.folders))
        self.quiet()
        self.counts["pushes"] += 1
        self.counts["pushes that ended well"] += not ended
        if ended not in (0, 1, -signal.SIGKILL):
            yield f"a push ended with {ended}"
        yield from unheld(self.hub.requests, ended, said)
        self.count(said)

    def quiet(self) -> None:
        """Wait until what a push asked before it ended is answered."""
        self.hub.released.set()
        while self.hub.busy:
            time.sleep(0.001)
        self.hub.released.clear()

    def count(self, said: str) -> None:
        """Count what is in the log of a push."""
        brought = [request for request in self.hub.requests if request.content]
        self.counts["requests with something of a file"] += len(brought)
        self.counts["of these to a repo that became public after the look"] += sum(
            REPO in request.public for request in brought
        )
        self.counts["looks that found it public"] += sum(request.said is False for request in self.hub.requests)
        self.counts["made private by the push"] += PRIVATE_AGAIN in said
        self.counts["said to be public still"] += NOT_PRIVATE in said

    def mended(self) -> Iterator[str]:
        """What is wrong after an undisturbed push to a repo that its owner made private."""
        self.hub.faults.clear()
        self.publish(False)
        ended, said = self.pusher.push(self.folders[0])
        self.quiet()
        if ended:
            yield f"an undisturbed push ended with {ended}: {said}"
        elif self.hub.files(REPO)["manifest.json"] != (self.folders[0] / "manifest.json").read_bytes():
            yield "an undisturbed push left another dataset"


def unheld(log: Sequence[loopback.Request], ended: int, said: str) -> Iterator[str]:
    """What of the above does not hold of the log of one push."""
    looks = [number for number, request in enumerate(log) if request.said is not None]
    for number, request in enumerate(log):
        if request.content and not (number and log[number - 1].said is True):
            yield f"{request.action} does not come directly after an answer that the repo is private"
    if any(log[number].said is True and REPO in log[number].public for number in looks):
        yield "an answer that the repo is private was not true"
    seen = next((number for number in looks if log[number].said is False), None)
    if seen is not None:
        if any(request.content for request in log[seen:]):
            yield "something of a file came after an answer that the repo is public"
        if any(request.content for request in log[:seen]) and ended != -signal.SIGKILL:
            if log[seen + 1].action != "settings":
                yield f"{log[seen + 1].action} came after an answer that the repo is public, and not settings"
            if (PRIVATE_AGAIN in said) == (NOT_PRIVATE in said):
                yield f"it was seen to be public, and what was said is: {said}"
            if PRIVATE_AGAIN in said and log[looks[-1]].said is not True:
                yield "it was said to be private again, and not read back"
    if not ended and log[looks[-1]].said is not True:
        yield "a push ended well whose last look did not find the repo private"


def sequences(work: Path, roots: Roots, number: int, seed: int) -> Iterator[Fault]:
    """Go through random sequences, print what happened, and give what was wrong."""
    begun = time.monotonic()
    sources = {name: roots[name] for name in ("old", "new")}  # forks, so it comes before any thread
    folders = [nsd_imagery.build(root, work / name, subjects=["subj01"], roi=ROI) for name, root in sources.items()]
    hub = loopback.start()
    arena = Arena(hub, Pusher.start(hub, work / "home"), [own(one, work / f"own-{one.name}") for one in folders])
    n_wrong = 0
    for at in range(number):
        hub.clear()
        hub.token("me")
        rng = random.Random(f"{seed} public {at}")
        wrong = [what for _ in range(rng.randint(1, 4)) for what in arena.step(rng)]
        wrong += arena.mended()
        n_wrong += bool(wrong)
        yield from (Fault(what, f"sequence {at}") for what in wrong)
    arena.pusher.end()
    told = ", ".join(f"{count} {what}" for what, count in arena.counts.items())
    print(f"public: {number} sequences, {told}, {time.monotonic() - begun:.1f} s, {n_wrong} failures", flush=True)
