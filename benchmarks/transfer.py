"""Ridge regression of transfer beside bare RidgeCV of scikit-learn on the same arrays: processor seconds and memory.

Writes TRANSFER.md. Each fit is a process of its own, on one thread; a round is one of each, and ratios are of a round.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
SIZE, FULL = (3_000, 5_241, 256), (9_000, 15_724, 768)
"""Pictures, voxels, features."""

DIRECTIONS = ("decode", "encode")
OURS, BARE = "nsd-imagery", "bare RidgeCV"
Figures = tuple[float, float]
"""Processor seconds, and MB over the data."""


def main() -> None:
    """Run the rounds, then ours once at full size, and write the table; or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        who, direction, *size = arguments.one
        print(*fit(who, direction, tuple(map(int, size))))
        return
    runs: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    for number in range(arguments.rounds):
        for direction in DIRECTIONS:
            for who in (OURS, BARE):
                runs[direction, who].append(measured(who, direction, SIZE))
                print(f"round {number} {direction} {who}: {runs[direction, who][-1]}", flush=True)
    full = {direction: measured(OURS, direction, FULL) for direction in DIRECTIONS}
    (HERE / "TRANSFER.md").write_text(report(runs, full))


def measured(who: str, direction: str, size: tuple[int, ...]) -> Figures:
    """A fit in a process of its own, by one thread."""
    command = [sys.executable, __file__, "--one", who, direction, *map(str, size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()
    return float(said[0]), float(said[1])


def fit(who: str, direction: str, size: tuple[int, ...]) -> Figures:
    """What fitting costs once the data and the libraries are there."""
    import numpy as np
    from sklearn.linear_model import RidgeCV

    from nsd_imagery.evaluation.transfer.ridge import ALPHAS, fit_decoder, fit_encoder

    n, n_voxels, n_features = size
    rng = np.random.default_rng(0)
    betas = rng.standard_normal((n, n_voxels), np.float32)
    vectors = rng.standard_normal((n, n_features), np.float32)
    vectors[:, 1:] += betas[:, :1]
    betas[:, 1:] += vectors[:, :1]
    weights = rng.integers(1, 4, n).astype(np.float64)
    before, started = peak(), time.process_time()
    if who == OURS:
        (fit_decoder if direction == "decode" else fit_encoder)(betas, vectors, weights)
    else:
        inputs, outputs = (betas, vectors) if direction == "decode" else (vectors, betas)
        model = RidgeCV(alphas=ALPHAS, alpha_per_target=direction == "encode")
        model.fit(inputs, outputs, sample_weight=weights)
    return time.process_time() - started, peak() - before


def peak() -> float:
    """MB that the process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(runs: dict[tuple[str, str], list[Figures]], full: dict[str, Figures]) -> str:
    """The Markdown of TRANSFER.md."""
    from importlib.metadata import version

    n_rounds = len(next(iter(runs.values())))
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    n, n_voxels, n_features = SIZE
    lines = [
        "# Ridge regression of transfer",
        "",
        f"`python benchmarks/transfer.py`: medians of {n_rounds} rounds of processes of one thread, and of the ratios "
        "within a round.",
        f"Eleven penalties, rows weighted, betas and embeddings in float32. {platform.machine()}; {versions}.",
        "Penalties and predictions are those of RidgeCV to 1e-8 (tests/test_ridge.py).",
        "",
        f"{n:,} pictures, {n_voxels:,} voxels, {n_features} features:",
        "",
        "| | processor s | MB over the data | ratio of seconds | ratio of MB |",
        "|---|---|---|---|---|",
    ]
    for direction in DIRECTIONS:
        bare = runs[direction, BARE]
        for who in (OURS, BARE):
            seconds, peaks = zip(*runs[direction, who], strict=True)
            ratios = [
                statistics.median(
                    one[place] / other[place] for one, other in zip(runs[direction, who], bare, strict=True)
                )
                for place in (0, 1)
            ]
            lines.append(
                f"| {direction}, {who} | {statistics.median(seconds):.1f} | {statistics.median(peaks):.0f} "
                f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
            )
    n, n_voxels, n_features = FULL
    lines += ["", f"{n:,} pictures, {n_voxels:,} voxels, {n_features} features, once:", ""]
    lines += ["| | processor s | MB over the data |", "|---|---|---|"]
    lines += [f"| {name}, {OURS} | {seconds:.0f} | {memory:.0f} |" for name, (seconds, memory) in full.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
