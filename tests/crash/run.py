"""Kill builds at every event on the disk, and see what they leave.

    python tests/crash/run.py [--kind NAME] [--every N] [--second N|all] [--kills N] [--sequences N]
                               [--seed N]
    python tests/crash/run.py --kind NAME --deaths 17,4

Without options it takes about a quarter of an hour.

Of each kind of build (kinds.py) the renames, links and removals in the dataset folder are counted; then a build is
killed before each of them, in its own process or in a worker's. The build after that is killed too, at events drawn by
--seed, and one more is left alone. After each death README.md must be that of the old or of the new dataset, and name
whole shards; the manifest may be ahead of it, and what it names must be whole as well; nothing outside the folder, and
no file that a user put into it, may be touched. After the last build all is as if nobody had died. Beside that, the
order of renames and syncs of an undisturbed build is held to what survives a power cut. An event is a number, from 1;
w17 is the 17th of the workers, whose interleaving is not the same each time.

The kinds `push` and `pull` are killed at random moments, against a hub on loopback. Of the kind `public` are random
sequences of pushes, kills, wrong answers, and moments at which the repo becomes public; see public.py.

Exit status 1 if anything was wrong; what was is printed with the command that shows it again.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # its threads would be in the way of a fork
sys.path.append(str(Path(__file__).resolve().parents[1]))

from deaths import Arena, Fault, die, first_deaths, second_deaths
from events import Death
from kinds import KINDS, Roots
from public import sequences
from remote import VERBS, killed_verbs

RUN = "python tests/crash/run.py"
PUBLIC = "public"
SHOWN = 5
"""Commands that are printed of one failure."""


def enumerate_deaths(name: str, arena: Arena, options: argparse.Namespace) -> Iterator[Fault]:
    """Kill builds of a kind, and print a line on them."""
    start, n_first, n_second, n_failed = time.monotonic(), 0, 0, bool(arena.faults)
    yield from arena.faults
    for first in first_deaths(arena, options.every, random.Random(f"{options.seed} {name}")):
        chain = die(arena, [first])
        n_first += 1
        n_failed += bool(chain.faults)
        yield from chain.faults
        rng = random.Random(f"{options.seed} {name} {first}")
        for second in second_deaths(chain.counts, options.second, rng):
            chain = die(arena, [first, second])
            n_second += 1
            n_failed += bool(chain.faults)
            yield from chain.faults
    events = " + ".join(f"{count} in {whose}" for whose, count in arena.counts.items() if count)
    print(
        f"{name}: {events} events, {n_first + 2 * n_second} deaths ({n_second} behind another one), "
        f"{n_first + n_second} reruns to the end, {time.monotonic() - start:.1f} s, {n_failed} failures",
        flush=True,
    )


def killed_builds(name: str, arena: Arena, options: argparse.Namespace) -> Iterator[Fault]:
    """What is wrong with a kind of build, as the options ask."""
    if options.deaths is None:
        yield from enumerate_deaths(name, arena, options)
    elif options.deaths:
        yield from die(arena, options.deaths).faults
    else:
        yield from arena.faults


def main(arguments: Sequence[str]) -> int:
    """Kill, print, and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.deaths is not None and not options.kind:
        parser.error("--deaths are of a --kind")
    failures: dict[str, list[str]] = defaultdict(list)  # for what was wrong, the commands that show it again
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        work = Path(folder).resolve()
        roots = Roots((options.roots or work / "roots").resolve())
        names = options.kind or [*KINDS, *VERBS, PUBLIC]
        for name in (name for name in KINDS if name in names):
            for fault in killed_builds(name, Arena(KINDS[name], work / name, roots), options):
                deaths = ",".join(map(str, fault.deaths)) or "none"
                failures[fault.what].append(f"{RUN} --kind {name} --deaths {deaths}  # {fault.when}")
        for name in (name for name in VERBS if name in names):  # last: a hub has threads, and no fork comes after
            for fault in killed_verbs(name, work / name, roots, options.kills, options.seed):
                drawn = f"--kills {options.kills} --seed {options.seed}"
                failures[fault.what].append(f"{RUN} --kind {name} {drawn}  # {fault.when}")
        if PUBLIC in names:
            for fault in sequences(work / PUBLIC, roots, options.sequences, options.seed):
                drawn = f"--sequences {options.sequences} --seed {options.seed}"
                failures[fault.what].append(f"{RUN} --kind {PUBLIC} {drawn}  # {fault.when}")
    for what, commands in failures.items():
        print(f"\n{len(commands)} x {what}", *sorted(commands, key=len)[:SHOWN], sep="\n    ")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=about, epilog=rest.split("\n\n", 1)[1], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kind", action="append", choices=[*KINDS, *VERBS, PUBLIC], help="may be repeated; default: all"
    )
    parser.add_argument("--every", type=int, default=1, help="kill at every N-th event only; default: each")
    parser.add_argument(
        "--second",
        type=lambda word: None if word == "all" else int(word),
        default=1,
        help="deaths of the build after each death: a number, or 'all'; default: 1",
    )
    parser.add_argument("--kills", type=int, default=40, help="of push and of pull; default: 40")
    parser.add_argument("--sequences", type=int, default=200, help="of the kind public; default: 200")
    parser.add_argument("--seed", type=int, default=0, help="what is drawn, is drawn from it")
    parser.add_argument(
        "--deaths",
        type=lambda words: [Death.parse(word) for word in words.split(",") if word != "none"],
        help="these only, one a build: 17,4 (none: the order of an undisturbed build)",
    )
    parser.add_argument("--roots", type=Path, help="where an earlier run wrote the synthetic roots, or is to")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
