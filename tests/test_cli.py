"""The command as a user meets it: what it prints, how it exits, and one line for whatever is wrong."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from nsd_imagery.sources.release import expected_betas

BETAS = expected_betas("fithrf_GLMdenoise_RR", "subj01")


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)


def test_the_three_commands_of_the_demo_say_what_comes_next(tmp_path: Path) -> None:
    synth = run("synth", "release", "--format", "nii.gz", cwd=tmp_path)
    assert (synth.returncode, synth.stderr) == (0, "")
    assert "nsd-imagery build release" in synth.stdout
    index = run("index", "release", cwd=tmp_path)
    assert (index.returncode, index.stderr) == (0, "")
    assert "720 rows of subj01, 720 with data" in index.stdout
    build = run("build", "release", cwd=tmp_path)
    assert (build.returncode, build.stderr) == (0, "")
    assert 'load_dataset("./nsd_imagery", "subj01-imagery")' in build.stdout
    assert (tmp_path / "nsd_imagery" / "README.md").is_file()


@pytest.mark.parametrize("command", [(), ("synth",), ("index",), ("build",)])
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.returncode == 0
    assert f"nsd-imagery {command[0] if command else 'synth'} release" in result.stdout


def test_help_imports_nothing_heavy_and_a_build_neither_datasets_nor_torch() -> None:
    for module, heavy in (("cli", ("numpy", "pyarrow")), ("dataset.build", ("datasets", "torch", "pandas"))):
        check = f"import sys; import nsd_imagery.{module}; print([m for m in {heavy} if m in sys.modules])"
        assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "[]"


def damage_gzip(root: Path) -> None:
    (root / f"{BETAS}.hdf5").unlink()
    path = root / f"{BETAS}.nii.gz"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.unlink()
    path.write_bytes(raw)


def cut_hdf5(root: Path) -> None:
    path = root / f"{BETAS}.hdf5"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])


def page_for_mask(root: Path) -> None:
    path = root / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
    path.unlink()
    path.write_text("<html>Access denied</html>")


def mask_of_another_grid(root: Path) -> None:
    path = root / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
    affine = nib.load(path).affine
    path.unlink()
    nib.save(nib.Nifti1Image(np.ones((4, 5, 6), np.int16), affine), path)


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


@pytest.mark.parametrize(
    ("break_it", "options", "code", "words"),
    [
        (None, ("--subjects", "subj9"), 2, "no subject 'subj9'"),
        (None, ("--subjects", "subj01,,subj02"), 2, "an empty name between commas"),
        (None, ("--subjects", "subj03"), 1, "no betas of subj03"),
        (None, ("--conditions", "imagry"), 2, "did you mean 'imagery'"),
        (None, ("--roi", "nsdgenral"), 2, "did you mean 'nsdgeneral'"),
        (None, ("--roi", "masks/mine.nii.gz"), 1, "no such mask file"),
        (None, ("--zscore", "trial"), 2, "there are: auto, run, session, none"),
        (None, ("--betas", "fithr"), 2, "did you mean 'fithrf'"),
        (None, ("--out", "/dev/null/x"), 1, "/dev/null"),
        (damage_gzip, (), 1, "the gzip data is damaged or cut short"),
        (cut_hdf5, (), 1, "is not a sound HDF5 file"),
        (page_for_mask, (), 1, "nsdgeneral.nii.gz: the gzip data is damaged or cut short"),
        (mask_of_another_grid, (), 1, "grid is"),
        (remove("nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"), (), 1, "no mask nsdgeneral.nii.gz"),
        (remove("nsddata/bdata/nsdimagery/nsdimagery_subj01_attB.tsv"), (), 1, "attB.tsv: no such file"),
        (remove("nsddata/experiments/nsdimagery/B_pair_list.mat"), (), 1, "B_pair_list.mat: no such file"),
    ],
)
def test_whatever_is_wrong_is_one_line_and_nothing_opens(
    own_release: Path,
    tmp_path: Path,
    break_it: Callable[[Path], None] | None,
    options: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    if break_it:
        break_it(own_release)
    result = run("build", own_release, "--out", tmp_path / "out", *options)
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try ")) and line]
    assert result.returncode == code, result.stderr
    assert len(lines) == 1
    assert words in lines[0]
    assert not (tmp_path / "out" / "README.md").exists()


def test_a_root_that_is_not_there_or_empty_says_what_to_do(tmp_path: Path) -> None:
    missing = run("build", tmp_path / "nowhere", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "nsd-imagery synth" in missing.stderr
    default = run("index", cwd=tmp_path)
    assert "NSD_CACHE_ROOT" in default.stderr
    (tmp_path / "empty").mkdir()
    empty = run("build", tmp_path / "empty", cwd=tmp_path)
    assert (empty.returncode, empty.stderr.count("\n")) == (1, 1)
    assert "betas_nsdimagery.hdf5 or .nii.gz" in empty.stderr


def test_synth_never_writes_into_a_folder_of_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "nsddata").mkdir()
    result = run("synth", tmp_path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["nsddata"]


def test_a_note_says_what_the_root_does_not_hold(own_release: Path, tmp_path: Path) -> None:
    (own_release / "nsddata/experiments/nsd/nsd_stim_info_merged.csv").unlink()
    result = run("build", own_release, "--out", tmp_path / "out", "--subjects", "subj01")
    assert result.returncode == 0
    assert "missing: nsd_stim_info_merged.csv is not in the root" in result.stdout


def test_ctrl_c_stops_with_one_line_and_leaves_nothing_that_opens(own_release: Path, tmp_path: Path) -> None:
    (own_release / f"{BETAS}.hdf5").unlink()
    interrupted = (
        "import os, signal, sys\n"
        "def stop(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[1]).endswith('.arrow'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.addaudithook(stop)\n"
        "from nsd_imagery.cli import main; main()"
    )
    command = [sys.executable, "-c", interrupted, "build", str(own_release), "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 130
    assert result.stderr.strip().splitlines() == ["stopped; nothing is broken, run the same command again to go on"]
    assert not (tmp_path / "out" / "README.md").exists()
    assert run("build", own_release, "--out", tmp_path / "out").returncode == 0


def test_a_full_disk_is_one_line_and_what_was_there_stays(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run("build", release, "--out", out, "--subjects", "subj01", "--conditions", "vision").returncode == 0
    before = (out / "README.md").read_bytes()
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from nsd_imagery.cli import main; main()"
    )
    command = [sys.executable, "-c", limited, "build", str(release), "--out", str(out), "--subjects", "subj01"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "File too large" in result.stderr
    assert (out / "README.md").read_bytes() == before
    assert not list(out.rglob(".partial-*"))
