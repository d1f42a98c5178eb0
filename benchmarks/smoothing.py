"""A smoothed build beside one that is not: `python benchmarks/smoothing.py` writes SMOOTHING.md.

The data of `run.py`, whole processes one after the other in rounds, medians and peak memory.
"""

import argparse
import os
import platform
import statistics
from collections import defaultdict
from pathlib import Path

from run import HERE, measure, prepare

ENDINGS = (".hdf5", ".nii.gz")
CASES = {"not smoothed": "build", "3 mm": "build_3mm", "5 mm": "build_5mm"}


def main() -> None:
    """Make the data if it is not there, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1.4 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    roots = {ending: (arguments.work / f"only{ending}").absolute() for ending in ENDINGS}
    if not all(root.is_dir() for root in roots.values()):
        prepare(arguments.work)
    runs: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        for ending, root in roots.items():
            for case, peer in CASES.items():
                figures = measure(peer, root, arguments.work / "smoothing_out")
                print(f"round {number} {ending} {case}: {figures[0]:.2f} s, {figures[1]:.0f} MB", flush=True)
                if number:  # the first round fills the page cache
                    runs[ending, case].append(figures)
    (HERE / "SMOOTHING.md").write_text(report(runs))


def report(runs: dict[tuple[str, str], list[tuple[float, float]]]) -> str:
    """The Markdown of SMOOTHING.md."""
    lines = [
        "# A smoothed build beside one that is not",
        "",
        "`python benchmarks/smoothing.py`: a full-size synthetic session of subj01 (720 volumes, 15,724 voxels of",
        f"nsdgeneral); medians of {len(next(iter(runs.values())))} rounds of whole processes, files in the page cache. "
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| build | s (min to max) | peak MB | s more | MB more |",
        "|---|---|---|---|---|",
    ]
    for (ending, case), figures in runs.items():
        walls, peaks = zip(*figures, strict=True)
        plain_walls, plain_peaks = zip(*runs[ending, "not smoothed"], strict=True)
        more = statistics.median(one - other for one, other in zip(walls, plain_walls, strict=True))
        above = statistics.median(peaks) - statistics.median(plain_peaks)
        lines.append(
            f"| {ending}, {case} | {statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f}) "
            f"| {statistics.median(peaks):,.0f} | {more:.2f} | {above:,.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
