"""An export of a full-size subject: seconds and memory, and its arithmetic beside that of the code that reads it.

Writes EXPORT.md. Whole processes, one after the other in rounds; the forty sessions of NSD core are links to one.
"""

import argparse
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from core import root_of
from peers import BETAS, NSDGENERAL
from run import HERE, measure

TENSOR = "preprocessed_data/subject1/nsd_imagery.pt"
Figures = tuple[float, float, float]
"""Wall seconds, processor seconds, peak MB."""

NONE = "the same, of --zscore none"
LABELS = "nsddata_stimuli/stimuli/nsdimagery_stimuli.pkl3"


def main() -> None:
    """Make the data once, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 3 GB of synthetic data, 8 GB of files")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    root, out = prepare(arguments.work), arguments.work / "exported"
    nsdimagery = ("imagery", "vision", "attention")
    folders = {
        "720 betas": built(arguments.work / "export_720", root, "--conditions", ",".join(nsdimagery)),
        "and forty sessions of NSD core": built(arguments.work / "export_auto", root),
        NONE: built(arguments.work / "export_none", root, "--zscore", "none"),
    }
    runs: dict[str, list[Figures]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        figures = {"start-up and torch": measured("startup_torch", root, out)}
        for name, folder in folders.items():
            figures[name] = measured("export", folder, out)
        figures["again, nothing to do"] = measured("export", folders[NONE], out, keep=True)
        for name, (wall, cpu, peak) in figures.items():
            print(f"round {number} {name}: {wall:.2f} s, {cpu:.2f} of a processor, {peak:.0f} MB", flush=True)
            if number:  # the first round fills the page cache
                runs[name].append((wall, cpu, peak))
    differences = {}
    for name, folder in list(folders.items())[1:]:
        measure("export", folder, out)
        differences[name] = difference(root, out)
    shutil.rmtree(out)
    (HERE / "EXPORT.md").write_text(report(runs, differences))


def measured(peer: str, source: Path, out: Path, *, keep: bool = False) -> Figures:
    """As `measure`, with the processor seconds between the two: what a busy machine does not change much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall, peak = measure(peer, source, out, keep=keep)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def prepare(work: Path) -> Path:
    """A full-size root with the NSD-Imagery session, .hdf5, and forty sessions of NSD core."""
    root = root_of(work, ".hdf5", 40)
    target = root / f"{BETAS}.hdf5"
    target.parent.mkdir(parents=True)
    os.link(work / "core" / f"{BETAS}.hdf5", target)
    shutil.copy(work / "core" / "synthetic.json", root)  # an export of anything else asks for NSD's terms
    return root


def built(folder: Path, root: Path, *options: str) -> Path:
    """A folder of it; kept where it is built already."""
    command = [sys.executable, "-m", "nsd_imagery", "build", str(root), "--out", str(folder), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def difference(root: Path, out: Path) -> float:
    """The largest difference of the 720 rows from z-scores by run as the code that reads them makes its own."""
    import pickle

    import h5py
    import nibabel as nib
    import numpy as np
    import torch

    mask = np.asarray(nib.load(root / NSDGENERAL).dataobj) == 1  # type: ignore[attr-defined]
    with h5py.File(root / f"{BETAS}.hdf5") as file:
        percent = torch.from_numpy(file["betas"][:].T[mask].T.astype(np.float32)) / 300  # type: ignore[index]
    with (out / LABELS).open("rb") as file:
        exps = pickle.load(file)["exps"]
    tensor, largest = torch.load(out / TENSOR), 0.0
    for run in np.unique(exps):
        rows = percent[exps == run]
        theirs = (rows - rows.mean(dim=0)) / (rows.std(dim=0) + 1e-6)
        largest = max(largest, float((tensor[exps == run] - theirs).abs().max()))
    return largest


def report(runs: dict[str, list[Figures]], differences: dict[str, float]) -> str:
    """The Markdown of EXPORT.md."""
    lines = [
        "# Export of a full-size subject",
        "",
        "`python benchmarks/export.py`: synthetic subj01 (15,724 voxels of nsdgeneral; 720 betas of NSD-Imagery,",
        f"30,000 of NSD core: 1.9 GB); medians of {len(next(iter(runs.values())))} rounds of whole processes. "
        f"{platform.machine()}, {os.cpu_count()} cores.",
        "",
        "| whole process | s (min to max) | processor s | peak MB |",
        "|---|---|---|---|",
    ]
    for name, figures in runs.items():
        walls, cpus, peaks = zip(*figures, strict=True)
        spread = f"{statistics.median(walls):.2f} ({min(walls):.2f} to {max(walls):.2f})"
        lines.append(f"| {name} | {spread} | {statistics.median(cpus):.2f} | {statistics.median(peaks):,.0f} |")
    lines += ["", "Largest difference of the 720 rows from z-scores by run in torch, (x - mean) / (sd + 1e-6):", ""]
    lines += [f"* {name}: {value:.1e}" for name, value in differences.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
