"""Paths with letters that mean something to shells, patterns and URLs, or nothing in an ASCII locale."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import load_dataset

import nsd_imagery
from folders import own
from nsd_imagery.cli.common import LIST, next_line
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.shell import quoted

TREE = Path(nsd_imagery.__file__).parents[1]
MASK = "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
CACHE_BETAS = "nsd_imagery/betas/subj01/imagery_betas_session01.nii.gz"
CACHE_MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"

LETTERS = ["my data (1)", "a{b,c}", "100% {done}#1", "Müller 脳", "it's", 'a "b"', "back\\slash", "x=y&z;w", "a$b"]
LETTERS += ["-x", "~x", "file:"]
PATTERNS = ["fMRI [v2]", "who?", "run*", "a::b", "$HOME"]

LOCALES = {
    "ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "ASCII streams": {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=LOCALES)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs the command, or Python with a script, in a locale; it may not end in a traceback."""
    variables = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONCOERCECLOCALE")
    env = {name: value for name, value in os.environ.items() if name not in variables}
    env |= {"PYTHONPATH": str(TREE), "HF_DATASETS_CACHE": str(tmp_path / "hf"), **LOCALES[request.param]}

    def run(*arguments: object, script: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *(("-m", "nsd_imagery") if script is None else ("-c", script)), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False, env=env, cwd=tmp_path
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def shell_words(text: str, start: str) -> list[str]:
    """The words of a recommended line, as bash takes them."""
    line = text[text.index(start) :].splitlines()[0]
    printed = subprocess.check_output(["bash", "-c", f"printf '%s\\0' {line}"])
    return [os.fsdecode(word) for word in printed.split(b"\0")[:-1]]


@pytest.mark.parametrize("name", LETTERS)
def test_a_recommended_python_line_opens_the_dataset(
    dataset: Path, tmp_path: Path, name: str, hf_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(dataset, tmp_path / name / "nsd_imagery")
    monkeypatch.chdir(tmp_path)
    for out in (folder, folder.relative_to(tmp_path)):
        line = next_line(folder, out, "subj01-imagery")
        assert line.startswith("Next, in Python: load_dataset(")
        assert opened(line, hf_cache)["test"].num_rows == 288
    assert nsd_imagery.load(folder, "subj01-imagery", "test").num_rows == 288


@pytest.mark.parametrize("name", PATTERNS)
def test_where_load_dataset_takes_the_path_for_a_pattern_the_line_says_what_to_rename_and_load_opens_it(
    dataset: Path, tmp_path: Path, name: str, hf_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own(dataset, tmp_path / name / "nsd_imagery")
    monkeypatch.chdir(folder.parent)  # a relative path is no way around it
    for out in (folder, Path("nsd_imagery")):
        line, why = next_line(folder, out, "subj01-imagery").split("\n")
        assert opened(line, hf_cache)["test"].num_rows == 288
        assert f'rename "{name}" for it' in why
    cache_dir = tmp_path / name / "cache"
    if "::" in name:
        with pytest.raises(UsageError, match="pass another cache_dir="):
            nsd_imagery.load(folder, "subj01-imagery", "test", cache_dir=cache_dir)
        return
    rows = nsd_imagery.load(folder, "subj01-imagery", "test", cache_dir=cache_dir)
    assert rows.filter(lambda cue: cue != "", input_columns="cue").num_rows == 288


def opened(line: str, hf_cache: str) -> Any:
    """What a recommended line of Python gives."""
    names: dict[str, Any] = {"load_dataset": partial(load_dataset, cache_dir=hf_cache), "nsd_imagery": nsd_imagery}
    return eval(line.removeprefix("Next, in Python: ").removeprefix("import nsd_imagery; "), names)


@pytest.mark.parametrize("name", [*LETTERS, *PATTERNS, "\udcc3\udcbc", "tab\there", "\udcff'\\"])
def test_a_quoted_path_is_one_word_of_a_shells_line(name: str) -> None:
    word = subprocess.check_output(["bash", "-c", f"printf %s {quoted(name)}"])
    assert os.path.normpath(word) == os.path.normpath(os.fsencode(name))
    assert quoted(name).isprintable()


@pytest.mark.parametrize("name", [*LETTERS, *PATTERNS])
def test_a_recommended_shell_line_names_the_path(release: Path, dataset: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.build(place, tmp_path / "d")
    assert shell_words(str(caught.value), "nsd-imagery synth") == ["nsd-imagery", "synth", str(place)]
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.info(place)
    assert shell_words(str(caught.value), "nsd-imagery build")[-1] == str(place)
    folder = own(dataset, place)
    next((folder / "subj01-imagery").glob("*.arrow")).unlink()
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.load(folder, "subj01-imagery", "test")
    assert shell_words(str(caught.value), "nsd-imagery build")[-1] == str(place)


@pytest.mark.parametrize("name", ["a{b,c} #1 100% it's", 'fMRI [v2]* "?"', "a::b\\ ~$HOME|Müller 脳"])
def test_roots_masks_and_folders_of_any_name_are_read_and_written(release: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    root = Path(shutil.copytree(release, place / "root", copy_function=os.link))
    shutil.copy(release / MASK, place / "mask.nii.gz")
    options = {"subjects": ["subj01"], "conditions": ["imagery"], "roi": ["nsdgeneral", str(place / "mask.nii.gz")]}
    folder = nsd_imagery.build(root, place / "d", **options)
    assert nsd_imagery.build(root, place / "d", **options) == folder
    assert nsd_imagery.verify(folder, root=root).passed
    assert nsd_imagery.index(root, ["subj01"]).is_dir()
    voxels = nsd_imagery.load(folder, "subj01-voxels", "train")
    assert nsd_imagery.find_roi(root, "subj01", "nsdgeneral").flat.size == voxels.num_rows


def test_commas_in_the_path_of_a_mask_are_letters_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a,b" / "c,d.nii.gz"
    path.parent.mkdir()
    path.touch()
    assert LIST.convert(f"V1, {path},nsdgeneral", None, None) == ("V1", str(path), "nsdgeneral")
    assert LIST.convert("V1,V2", None, None) == ("V1", "V2")


@pytest.mark.slow
def test_letters_beyond_ascii_end_no_command_in_a_traceback(run: Run, release: Path, tmp_path: Path) -> None:
    place = tmp_path / "Müller 脳 [v2]"
    root = Path(shutil.copytree(release, place / "root ä", copy_function=os.link))
    shutil.copy(release / MASK, place / "mask.nii.gz")
    shutil.copy(release / MASK, place / "Maske für V1.nii.gz")
    said = run("build", root, "--out", place / "dä", "--roi", f"nsdgeneral,{place}/mask.nii.gz", "--subjects", "subj01")
    assert said.returncode == 0, said.stderr
    assert f"{place}/dä: built." in said.stdout
    assert "Next, in Python: import nsd_imagery; nsd_imagery.load(" in said.stdout
    assert "rename" in said.stdout
    assert run("info", place / "dä").returncode == 0
    assert run("info", place / "dä", "--json").returncode == 0
    assert run("verify", place / "dä", "--root", root, "--output", place / "ä.json", "--deep").returncode == 0
    assert run("verify", root, "--subjects", "subj01").returncode == 0
    assert run("index", root, "--subjects", "subj01").returncode == 0
    # A mask whose own name goes into the name of a config: built, or one line that asks for another name.
    named = run("build", root, "--out", place / "dö", "--roi", place / "Maske für V1.nii.gz", "--subjects", "subj01")
    assert named.returncode == 0 or "rename the mask file" in named.stderr
    hdf5, packed = sorted((root / "nsddata_betas/ppdata/subj01").rglob("*_GLMdenoise_RR/betas_nsdimagery*"))
    contents = packed.read_bytes()
    for path in (hdf5, packed):
        path.unlink()
    packed.write_bytes(contents[: len(contents) // 2])  # found only when all of it is read
    damaged = run("build", root, "--out", place / "dx", "--subjects", "subj01")
    assert (damaged.returncode, damaged.stderr.count("\n")) == (1, 1)
    assert "betas_nsdimagery.nii.gz: " in damaged.stderr


@pytest.mark.slow
def test_errors_in_any_locale_are_one_line_whose_command_works(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "Müller 脳"
    for arguments in (("build", place), ("info", place), ("verify", place), ("index", place), ("embed", place)):
        said = run(*arguments, *(("--model", "mödel") if arguments[0] == "embed" else ()))
        assert (said.returncode, said.stderr.count("\n")) == (1, 1)
        assert str(place) in said.stderr
    assert shell_words(run("build", place).stderr, "nsd-imagery synth")[-1] == str(place)
    said = run("synth", place, "--format", "hdf5")
    assert shell_words(said.stdout, "nsd-imagery build")[-1] == str(place)
    assert str(place) in said.stdout
    said = run("build", "--out", "x", "~nobody of this name")
    assert (said.returncode, said.stderr.count("\n")) == (2, 1)


def test_rows_are_loaded_and_filtered_in_any_locale_and_a_cache_that_cannot_be_is_one_line(
    run: Run, dataset: Path, tmp_path: Path
) -> None:
    folder = own(dataset, tmp_path / "dä")
    script = """
import sys, nsd_imagery
rows = nsd_imagery.load(sys.argv[1], "subj01-imagery", "test")
print(len(rows.filter(lambda cue: cue != "", input_columns="cue")))
try:
    rows = nsd_imagery.load(sys.argv[1], "subj01-imagery", "test", cache_dir=sys.argv[2])
    print(len(rows.filter(lambda cue: cue != "", input_columns="cue")))
except nsd_imagery.errors.UsageError as error:
    print(288 if "set PYTHONUTF8=1" in str(error) else error)
"""
    said = run(folder, tmp_path / "cäche", script=script)
    assert said.stdout.split() == ["288", "288"]


def test_a_table_may_name_betas_in_letters_that_the_locale_has_not(run: Run, tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache", format="nii.gz")
    (root / CACHE_BETAS).rename(root / "nsd_imagery" / "Säule.nii.gz")
    table = root / CACHE_MANIFEST
    table.write_text(table.read_text().replace(CACHE_BETAS, "nsd_imagery/Säule.nii.gz"), encoding="utf-8")
    said = run("build", root, "--out", tmp_path / "d", "--conditions", "imagery")
    assert said.returncode == 0, said.stderr
    rows = nsd_imagery.load(tmp_path / "d", "subj01-imagery", "test")
    assert rows.num_rows == 288
    assert np.isfinite(np.asarray(rows["betas"][:])).all()
