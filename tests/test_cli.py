"""The command as a user meets it: what it prints, how it exits, and one line for whatever is wrong."""

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import nsd_imagery
from nsd_imagery.cli import app
from nsd_imagery.sources.release_files import expected_betas

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize(("verb", "hint"), [("export", "another place\n"), ("index", "another place (--out)\n")])
def test_only_a_verb_that_has_the_option_out_is_told_of_it(
    verb: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["nsd-imagery", verb, "--help"])
    app._say(PermissionError(errno.EACCES, "Permission denied", "/data"))
    assert capsys.readouterr().err.endswith(hint)


def test_help_is_whole_in_a_narrow_terminal_and_no_word_is_broken_at_its_hyphens() -> None:
    def told(*arguments: str) -> list[str]:
        return CliRunner().invoke(app.cli, [*arguments, "--help"], terminal_width=60).output.splitlines()

    lines = told()
    verbs = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in verbs] == sorted(app.cli.commands)
    assert not any("..." in line for line in verbs)
    for verb in app.cli.commands:
        assert [line for line in told(verb) if re.search(r"\w-$", line)] == []


def test_the_line_after_a_build_names_a_config_that_it_made(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my data" / "nsd_imagery"
    options = ("build", release, "--out", folder, "--subjects")
    assert f'load_dataset("{folder}", "subj01-imagery")' in run(*options, "1").stdout
    more = run(*options, "sub-02", "--conditions", "vision,attention", "--roi", "v1")
    assert f'load_dataset("{folder}", "subj02-vision-V1")' in more.stdout
    assert nsd_imagery.load(folder, "subj02-vision-V1", "test").num_rows == 144


def test_every_verb_takes_subjects_as_people_write_them(release: Path, dataset: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("synth", "new", "--subjects", "1,S2", "--format", "hdf5"), "release of subj01, subj02\n"),
        (("index", release, "--out", "indices", "--subjects", "sub-01"), "720 rows of subj01, 720"),
        (("build", release, "--subjects", "1,sub-02", "--dry-run"), "2 of 2 pieces to do"),
        (("rois", release, "--subject", "2"), "subj02\n"),
        (("export", dataset, "out", "--for", "mindeye", "--subjects", "2"), ": subj02, fithrf_GLMdenoise_RR"),
    ):
        result = run(*arguments, cwd=tmp_path)
        assert (result.returncode, result.stderr) == (0, "")
        assert words in result.stdout


@pytest.mark.parametrize("command", [(), ("synth",), ("index",), ("build",)])
def test_help_teaches_by_example(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.returncode == 0
    example = f"nsd-imagery {command[0] if command else 'synth'} release"
    assert any(line.strip().startswith(example) for line in result.stdout.splitlines())
    assert "\\b" not in result.stdout


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import nsd_imagery.cli.app", ("numpy", "pyarrow")),
        ("import nsd_imagery.dataset.build", ("datasets", "torch", "pandas", "jinja2", "PIL")),
        (
            "from nsd_imagery.cli import main; from nsd_imagery.cli.worker import begin; begin([])",
            ("datasets", "torch", "pandas", "jinja2", "PIL", "click"),
        ),
    ],
    ids=["help", "build", "worker"],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code: str, heavy: tuple[str, ...]) -> None:
    check = f"import sys; {code}; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", check], text=True).strip() == "[]"


def test_a_whole_build_imports_no_pandas_and_leaves_it_usable(release: Path, tmp_path: Path) -> None:
    check = (
        "import sys; from nsd_imagery.cli.app import cli; cli.main(sys.argv[1:], standalone_mode=False);"
        "print('pandas' in sys.modules); import pyarrow; print(len(pyarrow.table({'a': [1, 2]}).to_pandas()))"
    )
    arguments = ["build", str(release), "--out", str(tmp_path / "out"), "--subjects", "subj01"]
    printed = subprocess.check_output([sys.executable, "-c", check, *arguments], text=True)
    assert printed.splitlines()[-2:] == ["False", "2"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("buidl", "release"), 2, "no command 'buidl' (did you mean 'build'?)"),
        (("build", "--rio", "V1"), 2, "--roi"),
        (("build", "{release}", "--out"), 2, "'--out' requires an argument"),
        (("build", "{release}", "--roi", "stream"), 2, "no ROI 'stream' (did you mean 'streams'?)"),
        (("build", "{release}", "--roi", "nsdgeneral&stream:early"), 2, "did you mean 'streams'"),
        (("build", "{release}", "--out", "file"), 1, "is a file, not a folder"),
        (("index", "nowhere"), 1, "nowhere: no such folder"),
        (("index", "{release}", "--betas", "fit"), 2, "did you mean 'fithrf'"),
        (("index", "{release}", "--subjects", "subj011"), 2, "did you mean 'subj01'"),
        (("index", "{release}", "--out", "file"), 1, "file/imagery: Not a directory"),
        (("info", "nowhere"), 1, "no dataset here"),
        (("info", "file"), 1, "no dataset here"),
        (("info",), 2, "Missing argument 'DATASET'"),
        (("synth", "new", "--seed", "a"), 2, "'a' is not a valid integer"),
        (("synth", "new", "--seed", "-1"), 2, "seed must be a whole number"),
        (("synth", "new", "--subjects", "subj9"), 2, "no subject 'subj9'"),
        (("synth", "file"), 1, "is a file, not a folder"),
    ],
)
def test_what_is_mistyped_is_one_line_that_says_what_was_meant(
    release: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    (tmp_path / "file").write_text("mine")
    result = run(*(word.format(release=release) for word in arguments), cwd=tmp_path)
    assert result.returncode == code, result.stderr
    assert len(complaints(result.stderr)) == 1
    assert words in result.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "release"] == ["file"]


def complaints(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line and not line.startswith(("Usage:", "Try "))]


def run_as_a_user(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command without the right of root to read and write whatever it likes (capabilities 1 and 2)."""
    drop = (
        "import ctypes, os, sys; prctl = ctypes.CDLL(None).prctl; prctl(24, 1, 0, 0, 0); prctl(24, 2, 0, 0, 0);"
        "os.execv(sys.executable, [sys.executable, '-m', 'nsd_imagery', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", drop, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.skipif(sys.platform != "linux", reason="drops the capabilities of root")
@pytest.mark.parametrize("name", [f"{BETAS}.hdf5", "nsddata/bdata/nsdimagery/nsdimagery_subj01_attB.tsv"])
def test_a_file_that_may_not_be_read_is_named(own_release: Path, tmp_path: Path, name: str) -> None:
    raw = (own_release / name).read_bytes()
    (own_release / name).unlink()
    (own_release / name).write_bytes(raw)
    (own_release / name).chmod(0)
    result = run_as_a_user("build", own_release, "--out", tmp_path / "out", "--subjects", "subj01")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert f"{name}: Permission denied" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="drops the capabilities of root")
def test_a_folder_that_may_not_be_written_is_named(release: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    result = run_as_a_user("build", release, "--out", tmp_path / "locked" / "out", "--subjects", "subj01")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "locked/out: Permission denied" in result.stderr


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
        (remove("nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"), (), 1, "nsdgeneral.nii.gz: no such file"),
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
    lines = complaints(result.stderr)
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
    assert "note: nsd_stim_info_merged.csv is not in the root" in result.stdout


def test_ctrl_c_stops_with_one_line_and_leaves_nothing_that_opens(own_release: Path, tmp_path: Path) -> None:
    (own_release / f"{BETAS}.hdf5").unlink()
    interrupted = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
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
