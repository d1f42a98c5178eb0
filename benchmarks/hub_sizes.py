"""What goes to the hub: staged Parquet beside the Arrow shards, and beside `push_to_hub`'s Parquet of the same rows.

`python benchmarks/hub_sizes.py` writes HUB_SIZES.md: a full-size synthetic session of subj01, in three recipes.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from datasets import Dataset, disable_progress_bars

import nsd_imagery
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.share.parquet import read_parquet
from nsd_imagery.share.staging import parquet_name, stage

HERE = Path(__file__).parent
RECIPES = {
    "z-scored, float32 (default)": {},
    "percent signal change, float32 (`--zscore none`)": {"zscore": "none"},
    "percent signal change, float16 (`--zscore none --dtype float16`)": {"zscore": "none", "dtype": "float16"},
}
KINDS = ("trials", "stats", "voxels")


def main() -> None:
    """Build each recipe, encode it both ways, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".bench"), help="holds 1.5 GB of synthetic data")
    work = parser.parse_args().work
    disable_progress_bars()
    release = work / "release"
    subprocess.run([sys.executable, "-m", "nsd_imagery", "synth", str(release), "--full-size"], check=True)
    lines = [
        "# Sizes on the hub",
        "",
        "`python benchmarks/hub_sizes.py`: a full-size synthetic session of subj01 (720 rows, 15,724 voxels).",
        "Staged is what `nsd-imagery push` sends; push_to_hub is the Parquet that `datasets` makes of the same rows.",
        "",
        "| recipe | config | Arrow MB | staged MB | ratio | push_to_hub MB | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    notes = []
    for name, options in RECIPES.items():
        out = work / "hub_sizes"
        shutil.rmtree(out, ignore_errors=True)
        folder = nsd_imagery.build(release, out, **options)
        rows, seconds = measure(folder)
        for kind, (arrow, staged, theirs) in rows.items():
            lines.append(
                f"| {name} | {kind} | {arrow / 1e6:.1f} | {staged / 1e6:.1f} | {staged / arrow:.2f} "
                f"| {theirs / 1e6:.1f} | {theirs / arrow:.2f} |"
            )
        notes.append(f"* {name}: staged in {seconds['stage']:.1f} s, read back in {seconds['read']:.1f} s; ")
        notes[-1] += f"the datasets library writes its own in {seconds['theirs']:.1f} s."
    (HERE / "HUB_SIZES.md").write_text("\n".join([*lines, "", *notes, ""]))


def measure(folder: Path) -> tuple[dict[str, tuple[int, int, int]], dict[str, float]]:
    """Bytes by kind of config: Arrow, staged, push_to_hub's; and seconds."""
    manifest = open_manifest(folder)
    start = time.perf_counter()
    staged = {file.path: file for file in stage(folder, manifest, "me/nsd-imagery")}
    seconds = {"stage": time.perf_counter() - start}
    start = time.perf_counter()
    for config in manifest.configs.values():
        for shard in config.shards:
            content = staged[parquet_name(shard.file)].content
            assert isinstance(content, Path)
            for _ in read_parquet(content, config.features, shard.rows, shard.bytes)[1]:
                pass
    seconds["read"], seconds["theirs"] = time.perf_counter() - start, 0.0
    kinds = {shard.file: config.kind for config in manifest.configs.values() for shard in config.shards}
    rows: dict[str, tuple[int, int, int]] = {}
    for shard in manifest.shards:
        start = time.perf_counter()
        theirs = folder / "theirs.parquet"
        Dataset.from_file(str(folder / shard.file)).to_parquet(theirs)
        seconds["theirs"] += time.perf_counter() - start
        sizes = shard.bytes, staged[parquet_name(shard.file)].size, theirs.stat().st_size
        before = rows.get(kinds[shard.file], (0, 0, 0))
        rows[kinds[shard.file]] = tuple(map(sum, zip(before, sizes, strict=True)))  # type: ignore[assignment]
    return {kind: rows[kind] for kind in KINDS if kind in rows}, seconds


if __name__ == "__main__":
    main()
