"""Give every parser of outside files hostile files, and see that nothing but its own errors comes out.

    python tests/fuzz/run.py --seconds 60 [--target NAME] [--seed N] [--save]

An input is right if the parser gives a result or an error of nsd_imagery.errors of one short, printable line, and
prints nothing; anything else is a finding: another exception, a warning, a crash, more CPU time than the target has, or
more memory than MEMORY. Inputs are drawn from (seed, target, number) alone. Each target's inputs are read in a forked
process, so that a crash costs one input and not the run. Exit status 1 if there are findings; they are printed with a
recipe, and --save keeps the recipes in corpus/.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads would reserve memory, and none may live on in a fork
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as those of torch

from hostile import hostile
from mutate import Edit, apply, mutate
from seeds import write_trees
from targets import TARGETS, Target

from nsd_imagery.errors import NSDImageryError

CORPUS = Path(__file__).parent / "corpus"
MEMORY = 512 << 20
"""Bytes that an input may take beyond what the process has at its start."""

WALL_SECONDS = 30.0
MESSAGE = 600
"""Characters of a message without the path of the file."""

_LAST_FREE = 1
"""How HDF5 ends that list."""

_CONTEXT = multiprocessing.get_context("fork")


def is_beyond_us(target: str, contents: bytes) -> bool:
    """Whether an input is known to break a library, where nothing in this package could prevent it.

    HDF5 (2.0) follows the list of free places in the heap of a group's names for ever where that leads in a circle:
    `hdf5`, file whole-earliest.hdf5, edits [[728, 1, "\\x10", 1]].
    """
    heap = contents.find(b"HEAP") if target == "hdf5" else -1
    if heap < 0 or len(contents) < heap + 32:
        return False
    _, free, start = struct.unpack_from("<QQQ", contents, heap + 8)
    seen: set[int] = set()
    while free != _LAST_FREE and free not in seen and start + free + 8 <= len(contents):
        seen.add(free)
        (free,) = struct.unpack_from("<Q", contents, start + free)
    return free in seen


@dataclass(frozen=True)
class Recipe:
    """How to make an input again: a file of the target, and edits."""

    target: str
    file: str
    edits: Sequence[Edit]

    def contents(self, trees: Path) -> bytes:
        """The input."""
        return apply((trees / TARGETS[self.target].tree / self.file).read_bytes(), self.edits)


@dataclass(frozen=True)
class Finding:
    """An input that is not right, and what came out."""

    recipe: Recipe | str
    what: str
    trace: str


@dataclass
class Outcome:
    """What a target's inputs gave."""

    results: int
    refusals: int
    findings: list[Finding]


Input = tuple[str, bytes]
"""A file, relative to the tree, and its contents."""


def drawn(trees: Path, target: Target, seed: int, number: int) -> Recipe:
    """The input of a number."""
    rng = random.Random(f"{seed}/{target.name}/{number}")
    file = rng.choice(target.files)
    contents, *others = ((trees / target.tree / name).read_bytes() for name in (file, rng.choice(target.files)))
    return Recipe(target.name, file, mutate(rng, contents, [contents, *others], target.head, is_json=target.is_json))


def read_all(
    target: Target, trees: Path, inputs: Callable[[int], Input | None], keep: Callable[[int], Recipe | str]
) -> Outcome:
    """Read inputs by number from 0 on, until there are no more.

    Args:
        target: Who reads them.
        trees: Where `seeds` wrote them; unchanged.
        inputs: The input of a number; None for no more.
        keep: What is kept of an input that is a finding.
    """
    number, results, refusals = (_CONTEXT.Value("q", 0, lock=False) for _ in range(3))
    findings = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        root = Path(shutil.copytree(trees / target.tree, Path(folder) / target.tree, copy_function=os.link))
        while True:
            errors.seek(0)
            errors.truncate()
            process = _CONTEXT.Process(target=_read, args=(target, root, inputs, (number, results, refusals), errors))
            process.start()
            process.join()
            if process.exitcode == 0:
                return Outcome(results.value, refusals.value, findings)
            errors.seek(0)
            trace = errors.read()
            findings.append(Finding(keep(number.value), _what(process.exitcode, trace), trace))
            number.value += 1


def _read(
    target: Target, root: Path, inputs: Callable[[int], Input | None], counts: Sequence[Any], errors: Any
) -> None:
    """Read inputs until one is not right, in a process of its own."""
    number, results, refusals = counts
    for stream in (1, 2):
        os.dup2(errors.fileno(), stream)
    warnings.simplefilter("error")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    target.prepare()
    pristine = {name: (root / name).read_bytes() for name in target.files}
    while (made := inputs(number.value)) is not None:
        name, contents = made
        if is_beyond_us(target.name, contents):
            number.value += 1
            continue
        file = root / name
        _put(file, contents)
        signal.setitimer(signal.ITIMER_PROF, target.cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        try:
            target.read(root, file)
            results.value += 1
        except NSDImageryError as error:
            message = str(error).replace(str(root), "")
            assert "\n" not in message, f"two lines: {message[:200]!r}"
            assert message.isprintable(), f"not printable: {message[:200]!r}"
            assert len(message) <= MESSAGE, f"too long: {len(message)} characters"
            refusals.value += 1
        assert not os.fstat(errors.fileno()).st_size, "something was printed"
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _put(file, pristine.get(name, b""))
        number.value += 1


def _put(file: Path, contents: bytes) -> None:
    file.unlink(missing_ok=True)  # it may be a link to the seed
    file.write_bytes(contents)


def _what(status: int | None, trace: str) -> str:
    """One line that is the same for findings of one cause."""
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return "too much CPU time" if name == "SIGPROF" else name
    lines = trace.strip().splitlines() or [""]
    places = [line.split("/nsd_imagery/")[-1] for line in lines if "/builder/nsd_imagery/" in line]
    last = next((line for line in reversed(lines) if line[:1].isalpha()), lines[-1])
    return f"{last[:120]} [{places[-1].strip() if places else ''}]"


def cause(finding: Finding) -> str:
    """The class of the error and the line of the package, by which findings are told apart."""
    return finding.what.split(":")[0] + finding.what.rpartition("[")[2]


def smallest(trees: Path, finding: Finding) -> Finding:
    """The finding with as few of its edits as show the same cause."""
    recipe = finding.recipe
    assert isinstance(recipe, Recipe)
    for edit in list(recipe.edits):
        fewer = Recipe(recipe.target, recipe.file, [other for other in recipe.edits if other is not edit])
        found = read_recipes(trees, [fewer]).findings
        if found and cause(found[0]) == cause(finding):
            recipe, finding = fewer, found[0]
    return finding


def read_recipes(trees: Path, recipes: Sequence[Recipe]) -> Outcome:
    """Read inputs of one target that were kept."""

    def inputs(number: int) -> Input | None:
        return (recipes[number].file, recipes[number].contents(trees)) if number < len(recipes) else None

    return read_all(TARGETS[recipes[0].target], trees, inputs, recipes.__getitem__)


def read_hostile(trees: Path, target: Target) -> Outcome:
    """Read the files of `hostile` that are for a target."""
    cases = hostile(target.name)

    def inputs(number: int) -> Input | None:
        return (cases[number][1], cases[number][2]()) if number < len(cases) else None

    return read_all(target, trees, inputs, lambda number: cases[number][0])


def fuzz(trees: Path, target: Target, seed: int, *, inputs: int | None = None, seconds: float | None = None) -> Outcome:
    """Read drawn inputs, so many or so long."""
    end = time.monotonic() + (seconds or 1e9)

    def draw(number: int) -> Input | None:
        if number == inputs or time.monotonic() > end:
            return None
        recipe = drawn(trees, target, seed, number)
        return recipe.file, recipe.contents(trees)

    return read_all(target, trees, draw, lambda number: drawn(trees, target, seed, number))


def corpus() -> Iterator[Recipe]:
    """The recipes that were kept."""
    for path in sorted(CORPUS.glob("*.json")):
        entry = json.loads(path.read_text())
        yield Recipe(entry["target"], entry["file"], [tuple(edit) for edit in entry["edits"]])


def save(finding: Finding) -> Path:
    """Keep a recipe in the corpus."""
    assert isinstance(finding.recipe, Recipe)
    text = json.dumps({**asdict(finding.recipe), "came_out": finding.what}, indent=1)
    path = CORPUS / f"{finding.recipe.target}-{sha256(text.encode()).hexdigest()[:8]}.json"
    path.write_text(text + "\n")
    return path


def main(arguments: Sequence[str]) -> int:
    """Fuzz, print, and return the exit status."""
    parser = argparse.ArgumentParser(description="Fuzz the parsers of outside files.")
    parser.add_argument("--seconds", type=float, default=10, help="for each target, beside what is kept")
    parser.add_argument("--inputs", type=int, help="for each target, in the place of --seconds; fewer for slow ones")
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="keep the recipes in corpus/")
    parser.add_argument("--trees", type=Path, help="where an earlier run wrote the synthetic files, or is to")
    options = parser.parse_args(arguments)
    found = False
    with tempfile.TemporaryDirectory() as folder:
        trees = options.trees or Path(folder)
        if not (trees / "small").is_dir():
            write_trees(trees)
        for name in options.target or TARGETS:
            target, kept = TARGETS[name], [recipe for recipe in corpus() if recipe.target == name]
            known = [read_hostile(trees, target), *([read_recipes(trees, kept)] if kept else [])]
            if options.inputs is None:
                outcome = fuzz(trees, target, options.seed, seconds=options.seconds)
            else:
                outcome = fuzz(trees, target, options.seed, inputs=options.inputs // target.slowness)
            for other in known:
                outcome.results += other.results
                outcome.refusals += other.refusals
                outcome.findings += other.findings
            read = outcome.results + outcome.refusals + len(outcome.findings)
            print(f"{name}: {read} inputs, {outcome.results} results, {outcome.refusals} refused, "
                  f"{len(outcome.findings)} findings", flush=True)  # fmt: skip
            by_cause = {cause(finding): finding for finding in reversed(outcome.findings)}
            for finding in by_cause.values():
                if isinstance(finding.recipe, Recipe):
                    finding = smallest(trees, finding)
                count = sum(cause(other) == cause(finding) for other in outcome.findings)
                print(f"  {count} x {finding.what}\n    {str(finding.recipe)[:300]}", flush=True)
                if options.save and isinstance(finding.recipe, Recipe):
                    print(f"    {save(finding)}")
            found |= bool(outcome.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
