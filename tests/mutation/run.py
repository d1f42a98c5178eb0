"""Plant random one-line bugs in the package, each against the tests that run its line; list those that nobody sees.

    python tests/mutation/run.py map                          which test runs which line (the whole suite, 10 minutes)
    python tests/mutation/run.py try --under volumes,dataset --sample 60 --seed 1
    python tests/mutation/run.py try --only volumes/grid.py:49

A bug that survives is either one that changes nothing (judge it by reading) or a sentence that the tests lack. Needs
the development tools; changes nothing in the checkout: each bug is planted in a copy of the package.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import coverage
from mutants import Mutant, mutants

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "builder" / "nsd_imagery"
MOST_TESTS = 60
"""That a bug is tried on: those of files named like the module, those that run its line themselves, the quickest."""
SECONDS = 400


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["map", "try"])
    parser.add_argument(
        "--work", type=Path, default=TOP / ".bench" / "mutation", help="holds the map; default: %(default)s"
    )
    parser.add_argument("--under", default="volumes,sources,dataset", help="folders or files of the package")
    parser.add_argument("--sample", type=int, default=60, help="how many bugs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", metavar="FILE:LINE,...", default="", help="all bugs of some lines, on all tests of each"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    if arguments.step == "map":
        make_map(arguments.work, arguments.jobs)
    else:
        try_sample(arguments)


def make_map(work: Path, jobs: int) -> None:
    """Run all tests under coverage, a part of the files a process."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    files = sorted((TOP / "tests").glob("test_*.py"), key=lambda path: -path.stat().st_size)
    processes = []
    for number in range(jobs):
        command = [sys.executable, "-m", "coverage", "run", f"--data-file={work / f'{number}.coverage'}"]
        command += [f"--source={PACKAGE}", "-m", "pytest", "-q", "-p", "mutation.plugin", "-p", "no:cacheprovider"]
        env = {**os.environ, "PYTHONPATH": f"{PACKAGE.parent}:{TOP / 'tests'}"}
        env["MUTATION_NOTES"] = str(work / f"{number}.json")
        mine = [str(path) for path in files[number::jobs]]
        processes.append(subprocess.Popen([*command, *mine], cwd=TOP, env=env))
    for process in processes:
        process.wait()


class Map:
    """Which tests run a line."""

    def __init__(self, work: Path) -> None:
        self.notes: dict[str, dict[str, Any]] = {}
        self._lines: dict[str, dict[int, set[str]]] = {}
        for path in sorted(work.glob("*.coverage")):
            self.notes |= json.loads(path.with_suffix(".json").read_text())
            data = coverage.CoverageData(str(path))
            data.read()
            for file in data.measured_files():
                known = self._lines.setdefault(file, {})
                for line, contexts in data.contexts_by_lineno(file).items():
                    known.setdefault(line, set()).update(filter(None, contexts))
        if not self.notes:
            sys.exit(f"{work}: no map; first run: python tests/mutation/run.py map")

    def tests(self, path: Path, line: int) -> list[str]:
        """Tests that run a line, themselves or by a shared fixture, the likeliest to see a bug there first."""
        lines = self._lines.get(str(path), {})
        # What runs at import decides for every test that uses the module.
        contexts = lines.get(line, set()) if _is_in_function(path, line) else set().union(*lines.values())
        fixtures = {name.removeprefix("fixture:") for name in contexts if name.startswith("fixture:")}
        passing = {test: note for test, note in self.notes.items() if note["passed"]}
        own = {test for test in contexts if test in passing}
        by_fixture = {test for test, note in passing.items() if fixtures & set(note["fixtures"])}
        words = set(re.findall("[a-z0-9]+", str(path.relative_to(PACKAGE).with_suffix(""))))

        def likely(test: str) -> tuple[int, bool, float]:
            file = set(re.findall("[a-z0-9]+", test.partition(".py")[0]))
            return -len(words & file), test not in own, passing[test]["seconds"]

        return sorted(own | by_fixture, key=likely)


@cache
def _functions(path: Path) -> list[range]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1) for node in found]


def _is_in_function(path: Path, line: int) -> bool:
    return any(line in lines for lines in _functions(path))


def try_sample(arguments: argparse.Namespace) -> None:
    """Try a random sample of bugs on lines that some test runs; exit status 1 if one survives."""
    known = Map(arguments.work)
    places = [PACKAGE / name for name in arguments.under.split(",")]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    all_of_them = [mutant for file in files for mutant in mutants(file)]
    seen = [mutant for mutant in all_of_them if known.tests(mutant.path, mutant.line)]
    sample = random.Random(arguments.seed).sample(seen, min(arguments.sample, len(seen)))
    most = MOST_TESTS
    if arguments.only:
        lines = {
            (PACKAGE / file, int(line)) for file, _, line in (name.partition(":") for name in arguments.only.split(","))
        }
        sample, most = [mutant for mutant in seen if (mutant.path, mutant.line) in lines], len(known.notes)
    print(f"{len(all_of_them)} possible bugs, {len(seen)} on lines that a test runs; {len(sample)} tried", flush=True)
    survived = 0
    with ThreadPoolExecutor(arguments.jobs) as pool:
        outcomes = pool.map(lambda one: tried(one, known.tests(one.path, one.line)[:most]), sample)
        for mutant, outcome in zip(sample, outcomes, strict=True):
            survived += outcome == "survived"
            place = mutant.path.relative_to(PACKAGE)
            print(f"{outcome:<9} {place}:{mutant.line}  {mutant.before[:70]}  ->  {mutant.after[:70]}", flush=True)
    print(f"{len(sample) - survived} of {len(sample)} killed, {survived} survived")
    sys.exit(1 if survived else 0)


def tried(mutant: Mutant, tests: list[str]) -> str:
    """Whether a test fails in a copy of the package that has the bug."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "builder"
        shutil.copytree(PACKAGE, copy / "nsd_imagery", ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "nsd_imagery" / mutant.path.relative_to(PACKAGE)).write_text(mutant.text)
        shutil.copy(TOP / "dataset_card.md", Path(folder))
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder}/tests"]
        env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [*command, *tests], cwd=TOP, env=env, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "hung"
    return "survived" if done.returncode == 0 else "killed"


if __name__ == "__main__":
    main()
