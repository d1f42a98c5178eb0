"""Build wheel and sdist into dist/, and try each in empty environments, with extras and without. Publishes nothing.

    release.py [--extras torch,evaluate]

Exit status 0 if both may be published. What pip needs beside (an index for torch) it takes from the environment.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
WITHOUT_TORCH = """
import nsd_imagery
try:
    nsd_imagery.torch_view
except nsd_imagery.errors.MissingExtraError as error:
    assert "torch" in str(error), error
else:
    raise SystemExit("torch is there without being asked for")
"""
WITH_TORCH = """
import nsd_imagery
rows = nsd_imagery.load("nsd_imagery", "subj01-imagery", "test")
assert nsd_imagery.torch_view(rows)[0]["betas"].shape == (280,)
"""
OPENS = """
from pathlib import Path

import nsd_imagery
from datasets import load_dataset

assert load_dataset("./nsd_imagery", "subj01-imagery", split="test").num_rows == 288
assert (Path(nsd_imagery.__file__).parent / "py.typed").is_file()
"""


def main() -> None:
    """Build, look inside, try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", default="torch,evaluate", help="what is installed where extras are")
    extras = parser.parse_args().extras
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT, cwd=ROOT)
    wheel, sdist = DIST / f"nsd_imagery-{version}-py3-none-any.whl", DIST / f"nsd_imagery-{version}.tar.gz"
    refuse_data(names_of(wheel), wheel)
    refuse_data(names_of(sdist), sdist)
    for archive in (wheel, sdist):
        for wanted in ("", extras):
            print(f"== {archive.name}{f' with {wanted}' if wanted else ''}", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                try_out(archive, wanted, version, Path(folder))
    print(f"Both may be published: {wheel.name} ({size(wheel)}), {sdist.name} ({size(sdist)}). Nothing was.")


def names_of(archive: Path) -> list[str]:
    """What is in a wheel or an sdist."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.namelist()
    with tarfile.open(archive) as sdist:
        return sdist.getnames()


def refuse_data(names: Iterable[str], archive: Path) -> None:
    """End where a file could be data of anybody's; what `guard_data` looks for by contents never gets so far."""
    for name in names:
        if name.endswith((".nii", ".nii.gz", ".hdf5", ".mat", ".arrow", ".parquet", ".npy", ".npz", ".pt")):
            sys.exit(f"{archive}: holds {name}; see [tool.hatch.build] in pyproject.toml")


def try_out(archive: Path, extras: str, version: str, folder: Path) -> None:
    """Install an archive where nothing else is, and do what a first user does."""
    venv.create(folder / "env", with_pip=True)
    python, command = folder / "env/bin/python", folder / "env/bin/nsd-imagery"
    what = f"nsd-imagery{f'[{extras}]' if extras else ''} @ {archive.as_uri()}"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-c", constraints, what, cwd=folder)
    said = run(command, "--version", cwd=folder)
    if version not in said:
        sys.exit(f"{archive.name} calls itself {said.strip()}, not {version}")
    run(command, "synth", "release", "--format", "hdf5", cwd=folder)
    run(command, "build", "release", cwd=folder)
    run(command, "verify", "nsd_imagery", "--root", "release", cwd=folder)
    facts = json.loads(run(command, "info", "nsd_imagery", "--json", cwd=folder))
    if "subj01-imagery" not in facts["configs"]:
        sys.exit(f"{archive.name} built a folder without subj01-imagery")
    run(python, "-c", OPENS, cwd=folder)
    if not extras:
        run(python, "-c", WITHOUT_TORCH, cwd=folder)
    if "torch" in extras:
        run(python, "-c", WITH_TORCH, cwd=folder)
    if "evaluate" in extras:
        run(command, "evaluate", "nsd_imagery", "--draws", "99", cwd=folder)


def run(*words: str | Path, cwd: Path) -> str:
    """Standard output of a command, or the end with what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HOME": str(cwd / "huggingface"), "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def size(path: Path) -> str:
    """In MB, as people say it."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


if __name__ == "__main__":
    main()
