import gzip
import io
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import h5py
import nibabel as nib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
GUARD = ROOT / "scripts" / "guard_data.py"
CARD = "nsd_imagery/dataset/dataset_card.md"


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, check=False)


def build(tree: Path, out: Path, *options: str) -> None:
    done = run("-m", "build", "--no-isolation", *options, "--outdir", out, tree, cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr


def wheel_names(folder: Path) -> set[str]:
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def sdist_names(folder: Path) -> set[str]:
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


@pytest.fixture
def tree_with_data(tmp_path: Path) -> Path:
    """The project's own files, beside a dataset folder, a cache and a demo that are full."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in [".gitignore", *project["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]]:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    for planted in (
        "nsd_imagery/README.md",
        "nsd_imagery/manifest.json",
        "nsd_imagery/subj01-imagery/test-00000-of-00001-0123456789ab.arrow",
        "cache/indices/imagery/subj01.parquet",
        ".demo/betas_nsdimagery.hdf5",
    ):
        (tree / planted).parent.mkdir(parents=True, exist_ok=True)
        (tree / planted).write_bytes(b"planted")
    return tree


def test_import_from_the_repository_root_gives_the_package_and_not_the_dataset_folder() -> None:
    done = run("-c", "import nsd_imagery; print(nsd_imagery.__file__)", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == ROOT / "builder" / "nsd_imagery" / "__init__.py"


def test_sdist_and_wheels_hold_the_package_and_no_data(tree_with_data: Path, tmp_path: Path) -> None:
    through_sdist, direct = tmp_path / "through_sdist", tmp_path / "direct"
    build(tree_with_data, through_sdist)
    build(tree_with_data, direct, "--wheel")

    names = wheel_names(direct)
    assert names == wheel_names(through_sdist)
    assert {CARD, "nsd_imagery/py.typed", "nsd_imagery/__init__.py"} <= names
    metadata = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    sources = {
        path.relative_to(tree_with_data / "builder").as_posix()
        for path in (tree_with_data / "builder" / "nsd_imagery").rglob("*")
        if path.is_file()
    }
    assert names - metadata == sources | {CARD}

    packed = sdist_names(through_sdist)
    assert {"dataset_card.md", "pyproject.toml", "LICENSE", "builder/nsd_imagery/py.typed"} <= packed
    assert not {name for name in packed if name.startswith(("nsd_imagery", "cache", ".demo"))}


def test_each_library_is_run_at_its_floor_in_one_of_the_lowest_environments() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(line for name in extras.keys() - {"dev", "docs"} for line in extras[name])]
    run_at = set()
    for environment in ("base", "clip", "datasets"):
        printed = run("scripts/lowest.py", environment, cwd=ROOT)
        assert printed.returncode == 0, printed.stderr
        package, *lines = printed.stdout.splitlines()
        assert package.startswith("-e .[")
        versions = dict(line.split("==") for line in lines)
        run_at |= versions.items()
    parts = [(requirement.name, part) for requirement in map(Requirement, asked) for part in requirement.specifier]
    floors = {(name, part.version) for name, part in parts if part.operator == ">="}
    assert {name for name, _ in floors - run_at} == {"torch"}  # for a reason that the script gives


def image(image_class: Any) -> bytes:
    return image_class(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()


def hdf5(userblock_size: int = 0) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=userblock_size) as file:
        file["betas"] = np.zeros(3)
    return buffer.getvalue()


def mat() -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"betas": np.zeros(3)})
    return buffer.getvalue()


def arrow(*, stream: bool) -> bytes:
    table = pa.table({"betas": [1.0, 2.0]})
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"betas": [1.0, 2.0]}), buffer)
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, betas=np.zeros(3))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(image(nib.Nifti1Image), id="nifti"),
        pytest.param(image(nib.Nifti2Image), id="nifti2"),
        pytest.param(gzip.compress(image(nib.Nifti1Image)), id="nifti-gzipped"),
        pytest.param(image(nib.MGHImage), id="mgh"),
        pytest.param(gzip.compress(image(nib.MGHImage)), id="mgz"),
        pytest.param(hdf5(), id="hdf5"),
        pytest.param(hdf5(userblock_size=512), id="hdf5-behind-a-user-block"),
        pytest.param(mat(), id="mat"),
        pytest.param(arrow(stream=True), id="arrow-stream"),
        pytest.param(arrow(stream=False), id="arrow-file"),
        pytest.param(parquet(), id="parquet"),
        pytest.param(npy(), id="npy"),
        pytest.param(npz(), id="npz"),
        pytest.param(pickle.dumps([1.0]), id="pickle"),
    ],
)
def test_guard_knows_renamed_data_by_its_content(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    done = run(GUARD, "notes.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("notes.txt: is ")


@pytest.mark.parametrize(
    "name",
    [
        "betas.nii.gz",
        "BETAS.NII",
        "betas.hdf5",
        "design.mat",
        "roi.mgz",
        "test.arrow",
        "index.parquet",
        "x.npy",
    ],
)
def test_guard_knows_data_by_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    assert run(GUARD, name, cwd=tmp_path).returncode == 1


def test_guard_refuses_a_large_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x" * 500_001)
    done = run(GUARD, "notes.txt", cwd=tmp_path)
    assert done.returncode == 1
    assert "500,001 bytes" in done.stderr


def test_guard_accepts_text_source_and_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("betas\n")
    (tmp_path / "prf-visualrois.mgz.ctab").write_text("0 Unknown\n1 V1v\n")
    (tmp_path / "empty").touch()
    done = run(GUARD, "notes.txt", "prf-visualrois.mgz.ctab", "empty", GUARD, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_guard_without_arguments_looks_at_what_git_tracks_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A git hook that runs the tests would otherwise lead both to its own repository.
    for variable in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(variable)

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "notes.txt").write_bytes(image(nib.Nifti1Image))
    assert run(GUARD, cwd=tmp_path).returncode == 0
    git("add", "notes.txt")
    assert run(GUARD, cwd=tmp_path).returncode == 1
