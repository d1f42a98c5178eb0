"""A built folder is one thing in every environment: the same bytes where it is built, the same values where it is read.

    across.py PYTHON ...    this Python and the given ones, each with the package and its own libraries

Each builds the same synthetic release. Then each reads the folder, and prepares a config from the release, through an
empty cache; then this Python and each other through the cache that the other left, as after an upgrade of `datasets`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

BUILT = ["--roi", "nsdgeneral,V1"]
PREPARED = "subj01-imagery-V1"


def plain(value: Any) -> Any:
    """A value of a row as something whose repr says all of it; pictures come as PIL images."""
    return (value.mode, value.size, value.tobytes()) if hasattr(value, "tobytes") else value


def digest(rows: Any) -> str:
    """What tells whether two readings have the same columns and values in the same order."""
    found = hashlib.sha256()
    for row in rows:
        found.update(repr({name: plain(value) for name, value in row.items()}).encode())
    return found.hexdigest()


def read(root: str, folder: str, cache: str) -> dict[str, str]:
    """Digests of each config and split, loaded and streamed, and of a config that `datasets` prepares from a root."""
    from datasets import get_dataset_config_names, load_dataset

    import nsd_imagery

    found = {}
    for config in get_dataset_config_names(folder):
        for name, rows in load_dataset(folder, config, cache_dir=cache).items():
            split = str(name)
            streamed = load_dataset(folder, config, split=split, streaming=True)
            found |= {f"{config} {split}": digest(rows), f"{config} {split} streamed": digest(streamed)}
    builder = nsd_imagery.NSDImagery(PREPARED, root=root, cache_dir=cache)
    builder.download_and_prepare()
    return found | {f"{PREPARED} from the root": digest(builder.as_dataset(split="test"))}


def run(python: str, *arguments: str | Path) -> str:
    """What a command prints, run with another Python.

    Raises:
        SystemExit: It failed.
    """
    done = subprocess.run([python, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"across: {python} {' '.join(map(str, arguments))}: exit status {done.returncode}")
    return done.stdout


def sealed(folder: Path) -> dict[str, str]:
    """A digest by name of all files of a dataset folder but those of the builds' own journal."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".build" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def same(what: str, found: dict[str, str], expected: dict[str, str]) -> None:
    """Hold one environment's answer against the first one's.

    Raises:
        SystemExit: They differ.
    """
    differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    if differing:
        sys.exit(f"across: {what} differs from {sys.executable} in {', '.join(differing)}")
    print(f"{what}: the same, {len(found)}", flush=True)


def compare(pythons: list[str], work: Path) -> None:
    """Build with each Python, then read with each, the first being what the others are held against."""
    root = work / "release"
    run(pythons[0], "-m", "nsd_imagery", "synth", root, "--perception-sessions", "1")
    folders = [work / str(number) / "nsd_imagery" for number in range(len(pythons))]
    for python, folder in zip(pythons, folders, strict=True):
        folder.parent.mkdir()
        run(python, "-m", "nsd_imagery", "build", root, "--out", folder, *BUILT)
        run(python, "-m", "nsd_imagery", "verify", folder, "--root", root)
        same(f"files built by {python}", sealed(folder), sealed(folders[0]))
    caches = [folder.with_name("cache") for folder in folders]
    others = range(1, len(pythons))
    own = [(number, number) for number in range(len(pythons))]  # these come first, since they fill the caches
    crossed = [pair for other in others for pair in ((0, other), (other, 0))]
    expected: dict[str, str] = {}
    for reader, writer in [*own, *crossed]:
        found = json.loads(run(pythons[reader], __file__, "--read", root, folders[0], caches[writer]).splitlines()[-1])
        expected = expected or found
        same(f"read by {pythons[reader]} with the cache of {pythons[writer]}", found, expected)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        print(json.dumps(read(*sys.argv[2:5])))
    elif sys.argv[1:]:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        with tempfile.TemporaryDirectory() as folder:
            compare([sys.executable, *sys.argv[1:]], Path(folder))
    else:
        sys.exit(__doc__)
