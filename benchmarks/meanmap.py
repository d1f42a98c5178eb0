"""A build that holds the betas against the map of means beside one without: `python benchmarks/meanmap.py`.

It writes MEANMAP.md. The data of `run.py`, three ROIs, whole processes one after the other in rounds; seconds of the
processor, because what else runs on a machine makes more of a difference to a clock than the map does.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from peers import MEAN_MAP
from run import HERE, prepare

ENDINGS = (".hdf5", ".nii.gz")
CASES = ("without", "with")


def main() -> None:
    """Make the data if it is not there, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1.4 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    roots = {ending: (arguments.work / f"only{ending}").absolute() for ending in ENDINGS}
    if not all((root / MEAN_MAP).is_file() for root in roots.values()):
        prepare(arguments.work)
    by_case = {(ending, case): of_case(root, case) for ending, root in roots.items() for case in CASES}
    runs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        turn = list(by_case.items())
        for (ending, case), root in turn[:: -1 if number % 2 else 1]:
            figures = measure(root, arguments.work / "meanmap_out")
            print(f"round {number} {ending} {case}: {figures[0]:.3f} s, {figures[1]:.0f} MB", flush=True)
            if number:  # the first round fills the page cache
                runs[ending, case].append(figures)
    (HERE / "MEANMAP.md").write_text(report(runs))


def of_case(root: Path, case: str) -> Path:
    """The root, or links to all of it but the map."""
    if case == "with":
        return root
    other = root.with_name(f"{root.name}.without_map")
    shutil.rmtree(other, ignore_errors=True)
    shutil.copytree(root, other, copy_function=os.link)
    (other / MEAN_MAP).unlink()
    return other


def measure(root: Path, out: Path) -> tuple[float, float]:
    """Seconds of the processor and peak memory (MB) of a build."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, str(HERE / "peers.py"), "build_three", str(root), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("the build failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def report(runs: dict[tuple[str, str], list[tuple[float, float]]]) -> str:
    """The Markdown of MEANMAP.md."""
    lines = [
        "# A build that holds its betas against the map of means",
        "",
        "`python benchmarks/meanmap.py`: a full-size synthetic session of subj01 (720 volumes; nsdgeneral with 15,724",
        "voxels, V1, early), with `meanbeta_nsdimagery.nii.gz` beside the betas and without. Seconds of the processor,",
        f"medians of {len(runs['.hdf5', 'with'])} rounds of whole processes, files in the page cache. "
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| build | without, s | with, s | ratio | more, ms (median of rounds) | peak MB without | with |",
        "|---|---|---|---|---|---|---|",
    ]
    for ending in ENDINGS:
        times, peaks = zip(*(zip(*runs[ending, case], strict=True) for case in CASES), strict=True)
        without, with_map = (statistics.median(figures) for figures in times)
        more = 1000 * statistics.median(other - one for one, other in zip(*times, strict=True))
        memory = " | ".join(f"{statistics.median(figures):,.0f}" for figures in peaks)
        ratio = with_map / without
        lines.append(f"| {ending} | {without:.3f} | {with_map:.3f} | {ratio:.3f} | {more:.0f} | {memory} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
