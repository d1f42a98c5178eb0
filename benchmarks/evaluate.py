"""What `evaluate` costs for a full-size subject and three ROIs: `python benchmarks/evaluate.py` prints a table.

Whole processes with one thread, one after the other in rounds, medians; the first round fills the page cache. Beside
them the Gram matrices alone, and the imports, in processes of their own.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import nsd_imagery

ROIS = ("nsdgeneral", "early", "higher")

IMPORTS = "import nsd_imagery.evaluation.run"
GRAM = f"""
import sys, time
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.runs import load_runs
seconds = 0.0
for roi in {ROIS!r}:
    runs = load_runs(sys.argv[1], "subj01", roi)
    started = time.process_time()
    gram(runs)
    seconds += time.process_time() - started
print(seconds)
"""


class Cost(NamedTuple):
    """Of a process."""

    cpu: float
    wall: float
    megabytes: float
    said: str


def cost(*command: str) -> Cost:
    """Run this Python with one thread."""

    with tempfile.TemporaryFile() as out:
        started = time.monotonic()
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        child = os.posix_spawn(sys.executable, [sys.executable, *command], environment, file_actions=actions)
        _, status, used = os.wait4(child, 0)
        wall = time.monotonic() - started
        out.seek(0)
        said = out.read().decode()
    if status:
        msg = f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}"
        raise RuntimeError(msg)
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024, said)


def prepare(work: Path) -> Path:
    """A folder of one subject as large as the real one, made where it is not there."""
    folder = work / "nsd_imagery"
    if not folder.is_dir():
        root = nsd_imagery.synth(work / "release", full_size=True, format="hdf5")
        nsd_imagery.build(root, folder, roi=ROIS, conditions=["vision", "imagery"])
    return folder


def main() -> None:
    """Make the data if it is not there, run the rounds, print."""
    parser = argparse.ArgumentParser(description="Seconds and memory of `evaluate`, of one full-size subject.")
    parser.add_argument("--work", type=Path, default=Path(".bench/evaluate"), help="holds 1.2 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    folder, out = prepare(work), work / "out"
    verb = ("-m", "nsd_imagery", "evaluate", str(folder), "--out", str(out))
    found: dict[str, list[Cost]] = {"imports": [], "gram": [], "scores": [], "page": [], "again": []}
    for number in range(arguments.rounds + 1):
        shutil.rmtree(out, ignore_errors=True)
        of_round = [cost("-c", IMPORTS), cost("-c", GRAM, str(folder))]
        of_round += [cost(*verb, "--no-report"), cost("-m", "nsd_imagery", "report", str(out)), cost(*verb)]
        for one, costs in zip(of_round, found.values(), strict=True):
            costs.extend([one] if number else [])
    print(*report(found), sep="\n")


def report(found: dict[str, list[Cost]]) -> list[str]:
    """The table, and what the estimators take beside a bare Gram matrix."""
    products = statistics.median(float(one.said) for one in found["gram"])
    names = {
        "imports": "imports alone",
        "scores": "`nsd-imagery evaluate --no-report`",
        "page": "`nsd-imagery report`",
        "again": "`nsd-imagery evaluate`, scores kept",
    }
    lines = [
        "| one subject; 15,724, 9,145 and 6,579 voxels | CPU s | wall s | peak MB |",
        "|---|---|---|---|",
    ]
    for name, title in names.items():
        cpu, wall, megabytes = (
            statistics.median(getattr(one, what) for one in found[name]) for what in ("cpu", "wall", "megabytes")
        )
        lines.append(f"| {title} | {cpu:.1f} | {wall:.1f} | {megabytes:.0f} |")
    whole = statistics.median(one.cpu for one in found["scores"])
    lines.append(f"| the three Gram matrices, betas read | {products:.2f} | | |")
    return [*lines, "", f"Scores take {whole / products:.0f} times the CPU of the Gram matrices alone."]


if __name__ == "__main__":
    main()
