"""NSD core: time of one session beside the floor of its format, and memory of forty beside one.

Writes CORE.md. The forty sessions are links to one, which costs the build as much as forty files.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from run import HERE, measure

BETAS = Path("nsddata_betas/ppdata/subj01/func1pt8mm/betas_fithrf_GLMdenoise_RR")


def main() -> None:
    """Make the data once, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path(".bench"), help="holds 2 GB of synthetic data, 4 GB of shards"
    )
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    out = arguments.work / "out"
    one = {ending: root_of(arguments.work, ending, 1) for ending in (".nii.gz", ".hdf5")}
    forty = root_of(arguments.work, ".hdf5", 40)
    cases = {
        "start-up": ("startup", one[".nii.gz"]),
        "inflate alone (isal)": ("inflate_core", one[".nii.gz"]),
        "one session, .nii.gz": ("build", one[".nii.gz"]),
        "one session, .hdf5": ("build", one[".hdf5"]),
    }
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(arguments.rounds + 1):
        for name, (peer, root) in cases.items():
            figures = measure(peer, root, out)
            print(f"round {number} {name}: {figures[0]:.2f} s, {figures[1]:.0f} MB", flush=True)
            if number:
                runs[name].append(figures)
    runs["forty sessions, .hdf5"] = [measure("build", forty, out)]
    again = measure("build", forty, out, keep=True)
    runs["forty sessions again, nothing to do"] = [again]
    shutil.rmtree(out)
    (HERE / "CORE.md").write_text(report(runs))


def root_of(work: Path, ending: str, n_sessions: int) -> Path:
    """A full-size root of NSD core alone, with one session in one format under `n_sessions` names."""
    whole = work / "core"
    command = [sys.executable, "-m", "nsd_imagery", "synth", str(whole), "--full-size", "--perception-sessions", "1"]
    if not (whole / BETAS / "betas_session01.hdf5").exists():
        subprocess.run(command, check=True)
    root = (work / f"core{ending}.{n_sessions}").absolute()
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(whole / "nsddata", root / "nsddata", copy_function=os.link)
    (root / BETAS).mkdir(parents=True)
    for number in range(1, n_sessions + 1):
        os.link(whole / BETAS / f"betas_session01{ending}", root / BETAS / f"betas_session{number:02d}{ending}")
    return root


def report(runs: dict[str, list[tuple[float, float]]]) -> str:
    """The Markdown of CORE.md."""
    seconds = {name: statistics.median(wall for wall, _ in figures) for name, figures in runs.items()}
    peaks = {name: statistics.median(peak for _, peak in figures) for name, figures in runs.items()}
    lines = [
        "# Build of NSD core",
        "",
        "`python benchmarks/core.py`: full-size synthetic sessions of subj01 (750 volumes, 15,724 voxels of",
        f"nsdgeneral); medians of whole processes, warm page cache. {platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| whole process | rounds | s | peak MB |",
        "|---|---|---|---|",
        *(f"| {name} | {len(runs[name])} | {seconds[name]:.2f} | {peaks[name]:,.0f} |" for name in runs),
        "",
        f"* .nii.gz: {(seconds['one session, .nii.gz'] - seconds['start-up']) / seconds['inflate alone (isal)']:.2f} x "
        "inflate alone, plus start-up.",
        f"* Forty sessions take {peaks['forty sessions, .hdf5'] - peaks['one session, .hdf5']:.0f} MB more than one, "
        f"and {seconds['forty sessions, .hdf5'] / 40:.2f} s each.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
