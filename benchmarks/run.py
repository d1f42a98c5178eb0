"""Speed and memory of a build beside what people run today: `make bench` writes RESULTS.md.

Whole processes, one after the other in rounds (so that the machine's drift meets all alike), medians and peak memory.
"""

import argparse
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from peers import BETAS, MEAN_MAP, PEERS

HERE = Path(__file__).parent
CASES = {
    "start-up": ("startup", ".nii.gz"),
    "inflate alone (isal)": ("inflate", ".nii.gz"),
    "nsd-imagery build, .nii.gz": ("build", ".nii.gz"),
    "nibabel np.asarray(dataobj)[mask]": ("dataobj", ".nii.gz"),
    "nibabel get_fdata()[mask]": ("get_fdata", ".nii.gz"),
    "nilearn NiftiMasker": ("nilearn_masker", ".nii.gz"),
    "nilearn apply_mask": ("nilearn_apply_mask", ".nii.gz"),
    "nsd-imagery build, .hdf5": ("build", ".hdf5"),
    "h5py bounding box": ("h5py_box", ".hdf5"),
}
PACKAGES = ("datasets", "pyarrow", "numpy", "nibabel", "nilearn", "h5py", "isal")


def main() -> None:
    """Make the data once, run the rounds, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1.4 GB of synthetic data")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    roots = prepare(arguments.work)
    seconds: dict[str, list[float]] = defaultdict(list)
    peaks: dict[str, list[float]] = defaultdict(list)
    for number in range(arguments.rounds + 1):
        for case, (peer, ending) in CASES.items():
            wall, peak = measure(peer, roots[ending], arguments.work / "out")
            print(f"round {number} {case}: {wall:.2f} s, {peak:.0f} MB", flush=True)
            if number:  # the first round fills the page cache
                seconds[case].append(wall)
                peaks[case].append(peak)
    (HERE / "RESULTS.md").write_text(report(seconds, peaks))


def prepare(work: Path) -> dict[str, Path]:
    """A full-size synthetic session, and a root for each format that links to it."""
    whole = work / "release"
    # In a process of its own: a child's peak memory is never reported below that of the process it came from.
    subprocess.run([sys.executable, "-m", "nsd_imagery", "synth", str(whole), "--full-size"], check=True)
    roots = {}
    for ending in (".nii.gz", ".hdf5"):
        root = roots[ending] = (work / f"only{ending}").absolute()
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(whole / "nsddata", root / "nsddata", copy_function=os.link)
        (root / BETAS).parent.mkdir(parents=True)
        for name in (f"{BETAS}{ending}", MEAN_MAP):
            os.link(whole / name, root / name)
    return roots


def measure(peer: str, root: Path, out: Path, *, keep: bool = False) -> tuple[float, float]:
    """Wall seconds and peak memory (MB) of one process; with `keep` it finds what the last one left in `out`."""
    if not keep:
        shutil.rmtree(out, ignore_errors=True)
    assert peer in PEERS
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, str(HERE / "peers.py"), peer, str(root), str(out)])
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{peer} failed")
    return wall, usage.ru_maxrss / 1024


def report(seconds: dict[str, list[float]], peaks: dict[str, list[float]]) -> str:
    """The Markdown of RESULTS.md."""
    median = {case: statistics.median(values) for case, values in seconds.items()}
    start, floor = median["start-up"], median["inflate alone (isal)"]
    nifti, hdf5 = median["nsd-imagery build, .nii.gz"], median["nsd-imagery build, .hdf5"]
    lines = [
        "# Build of one session beside its peers",
        "",
        "`make bench`: a full-size synthetic session of subj01 (720 volumes, 15,724 voxels of nsdgeneral). The peers",
        "give masked betas in memory; the build gives sealed shards of three conditions, z-scored, with sidecars.",
        f"Medians of {len(next(iter(seconds.values())))} rounds of whole processes; the files are in the page cache.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; "
        + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES),
        "",
        "| whole process | s (min to max) | peak MB |",
        "|---|---|---|",
    ]
    for case, values in seconds.items():
        peak = statistics.median(peaks[case])
        lines.append(f"| {case} | {median[case]:.2f} ({min(values):.2f} to {max(values):.2f}) | {peak:,.0f} |")
    nilearn = min(median["nilearn NiftiMasker"], median["nilearn apply_mask"])
    lines += [
        "",
        f"* .nii.gz to sealed shards: {(nifti - start) / floor:.2f} x inflate alone, plus start-up; "
        f"{nilearn / nifti:.1f} x faster than nilearn.",
        f"* .hdf5 to sealed shards: {hdf5 - start:.2f} s plus start-up; "
        f"{median['h5py bounding box'] / hdf5:.1f} x faster than h5py's bounding box.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
