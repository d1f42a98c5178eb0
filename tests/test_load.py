"""`load`: the rows of load_dataset from where they lie, whatever is done with them."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, load_dataset

import nsd_imagery
from nsd_imagery.dataset.folder import read_manifest
from nsd_imagery.errors import DataError, MissingDataError, UsageError

pytestmark = pytest.mark.slow


def rows(dataset: Dataset) -> dict[str, Any]:
    """By column; images as their bytes."""
    if "image" in dataset.column_names:
        return dataset.data.table.to_pydict()
    return dataset.with_format("numpy")[:]


def configs(folder: Path) -> list[str]:
    manifest = read_manifest(folder)
    assert manifest is not None
    return list(manifest.configs)


def listing(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*"))


def python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.check_output(command, text=True, stdin=subprocess.DEVNULL)


FILTER = """
import os, sys, nsd_imagery
def filtered(letter):
    trials = nsd_imagery.load(sys.argv[1], "subj01-imagery", "test")
    left = trials.filter(lambda cue: cue == letter, input_columns="cue")
    print(os.path.dirname(os.path.dirname(left.cache_files[-1]["filename"])), flush=True)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes that a test starts make temporary folders; nobody else does."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def start(dataset: Path, temporary: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a script that has `filtered`, which filters the dataset and says where the rows went."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", FILTER + script, str(dataset)]
        started.append(subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> Path:
    """The next folder that a process says."""
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


def test_every_config_has_the_features_splits_rows_and_order_of_load_dataset(
    dataset: Path, core_dataset: Path, hf_cache: str
) -> None:
    for folder in (dataset, core_dataset):
        for config in configs(folder):
            mine = nsd_imagery.load(folder, config)
            theirs = load_dataset(str(folder), config, cache_dir=f"{hf_cache}/{folder.parent.name}")
            assert list(mine) == list(theirs)
            for split, part in mine.items():
                assert part.features == theirs[split].features
                assert part.column_names == theirs[split].column_names
                assert part.split == theirs[split].split == split
                assert part.info.splits is not None
                assert part.info.splits[split].num_examples == part.num_rows
                np.testing.assert_equal(rows(nsd_imagery.load(folder, config, split)), rows(part))
                np.testing.assert_equal(rows(part), rows(theirs[split]))


def test_shards_are_joined_in_the_order_of_the_sessions(core_dataset: Path) -> None:
    for split in ("train", "test"):
        trial_ids = nsd_imagery.load(core_dataset, "subj01-perception", split)["trial_id"][:]
        assert trial_ids == sorted(trial_ids)


def test_nothing_is_copied_and_nothing_is_left_in_the_folder_or_the_cache_of_the_library(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf_cache")
    before = listing(dataset)
    trials = nsd_imagery.load(dataset, "subj01-imagery", "test")
    opened = {Path(file["filename"]).resolve() for file in trials.cache_files}
    assert opened == set((dataset / "subj01-imagery").glob("*.arrow"))
    some = trials.filter(lambda nsd_id: nsd_id >= 0, input_columns="nsd_id").shuffle(seed=1)
    some.select(range(5, 20)).map(lambda row: {"twice": 2 * row["session"]})
    assert listing(dataset) == before
    assert not (tmp_path / "hf_cache").exists()


AS_A_USER = (
    "import ctypes, os, sys; prctl = ctypes.CDLL(None).prctl; prctl(24, 1, 0, 0, 0); prctl(24, 2, 0, 0, 0);"
    "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[1:]])"
)
WORK = """
import pathlib, sys
import nsd_imagery
folder = pathlib.Path(sys.argv[1])
try:
    (folder / "subj01-vision" / "x").touch()
except PermissionError:
    trials = nsd_imagery.load(folder, "subj01-vision", "test")
    left = trials.filter(lambda name: name == "visA", input_columns="run_name")
    left = left.select(range(10)).map(lambda row: {"twice": 2 * row["session"]})
    left = left.train_test_split(test_size=3, seed=0)["test"].filter(lambda row: True)
    print(left.num_rows)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="drops the capabilities of root")
def test_a_folder_that_may_only_be_read_is_enough(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    paths = [folder, *listing(folder)]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert python(AS_A_USER, WORK, folder) == "3\n"
    finally:
        for path in paths:
            path.chmod(0o755)


def test_what_filter_kept_of_an_older_build_is_never_taken_for_that_of_a_new_one(release: Path, tmp_path: Path) -> None:
    other = nsd_imagery.synth(tmp_path / "other", seed=3, format="hdf5")
    folder = tmp_path / "d"

    def runs() -> list[int]:
        trials = nsd_imagery.load(folder, "subj01-imagery", "test", cache_dir=tmp_path / "cache")
        return trials.filter(lambda cue: cue == "W", input_columns="cue")["trial_in_session"][:]

    def expected() -> list[int]:
        trials = nsd_imagery.load(folder, "subj01-imagery", "test")
        return [n for n, cue in zip(trials["trial_in_session"], trials["cue"], strict=True) if cue == "W"]

    nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["imagery"])
    first = runs()
    assert first == expected()
    nsd_imagery.build(other, folder, subjects=["subj01"], conditions=["imagery"])
    assert runs() == expected() != first


def test_a_later_process_finds_in_cache_dir_what_filter_made(dataset: Path, tmp_path: Path) -> None:
    script = (
        "import sys, nsd_imagery\n"
        "trials = nsd_imagery.load(sys.argv[1], 'subj01-imagery', 'test', cache_dir=sys.argv[2])\n"
        "left = trials.filter(lambda cue: cue == 'W', input_columns='cue')\n"
        "print(left.num_rows, left.cache_files[-1]['filename'])"
    )
    first = python(script, dataset, tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cache-*.arrow")}
    assert len(kept) == 1
    assert python(script, dataset, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cache-*.arrow")} == kept


def test_without_cache_dir_all_that_filter_made_goes_with_the_process_and_not_with_a_fork(
    dataset: Path, tmp_path: Path
) -> None:
    script = (
        "import os, pickle, sys, nsd_imagery\n"
        "trials = nsd_imagery.load(sys.argv[1], 'subj01-imagery', 'test')\n"
        "if os.fork() == 0:\n"
        "    sys.exit()\n"
        "os.wait()\n"
        "pickle.loads(pickle.dumps(trials))\n"
        "left = trials.filter(lambda cue: cue == 'W', input_columns='cue')\n"
        "print(left.num_rows, left.cache_files[-1]['filename'])"
    )
    number, kept = python(script, dataset).split()
    assert number == "16"
    assert not Path(kept).parents[1].exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_filter_made_in_a_process_that_was_killed_goes_with_the_next_one_and_that_of_a_living_one_stays(
    start: Callable[[str], subprocess.Popen[str]], temporary: Path, how: signal.Signals
) -> None:
    killed, living = (start("filtered('W'); input(); filtered('K')") for _ in range(2))
    left, kept = said(killed), said(living)
    assert left.parent == kept.parent == temporary
    killed.send_signal(how)
    assert killed.wait() == -how
    assert left.is_dir()
    following = start("filtered('W')")
    gone = said(following)
    assert following.wait() == 0
    assert list(temporary.iterdir()) == [kept]
    assert gone != left
    living.communicate("\n")
    assert living.returncode == 0
    assert not any(temporary.iterdir())


def test_what_filter_made_in_a_fork_that_ended_at_once_goes_with_its_parent(
    start: Callable[[str], subprocess.Popen[str]], temporary: Path
) -> None:
    fork = "if os.fork() == 0:\n    filtered('K')\n    os._exit(0)\n"
    parent = start(f"filtered('W')\n{fork}os.wait()\nfiltered('B')\ninput()")
    folders = [said(parent) for _ in range(3)]
    assert folders[0] == folders[2] != folders[1]
    assert set(folders) == set(temporary.iterdir())
    parent.communicate("\n")
    assert not any(temporary.iterdir())


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit()"])
def test_what_a_fork_still_uses_stays_when_its_parent_has_ended(
    start: Callable[[str], subprocess.Popen[str]], temporary: Path, end: str
) -> None:
    script = f"""
trials = nsd_imagery.load(sys.argv[1], "subj01-imagery", "test")
if os.fork():
    print(os.getpid(), flush=True)
    {end}
input()
left = trials.filter(lambda cue: cue == "W", input_columns="cue")
print(os.path.dirname(os.path.dirname(left.cache_files[-1]["filename"])), flush=True)
"""
    parent = start(script)
    said(parent)
    assert parent.wait() == 0
    (used,) = temporary.iterdir()
    assert start("filtered('W')").wait() == 0
    assert list(temporary.iterdir()) == [used]
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert said(parent) == used
    assert parent.stdout.read() == ""  # until the fork has ended, too
    assert start("filtered('W')").wait() == 0
    assert not any(temporary.iterdir())


def test_folders_without_a_lock_stay_for_a_day_and_those_of_others_for_good(
    start: Callable[[str], subprocess.Popen[str]], temporary: Path
) -> None:
    young, old = ".nsd-imagery-0123456789abcdef", ".nsd-imagery-fedcba9876543210"  # of processes that just make them
    for name in (young, old, "nsd-imagery-datasets", "elsewhere"):
        (temporary / name).mkdir()
    (temporary / "nsd-imagery-0123456789abcdef").symlink_to(temporary / "elsewhere")
    stay = set(temporary.iterdir()) - {temporary / old}
    for name in (old, "nsd-imagery-datasets", "elsewhere"):
        os.utime(temporary / name, (0, 0))
    assert start("filtered('W')").wait() == 0
    assert set(temporary.iterdir()) == stay


@pytest.mark.skipif(os.getuid() != 0, reason="gives a folder to another user")
def test_folders_of_other_users_stay(start: Callable[[str], subprocess.Popen[str]], temporary: Path) -> None:
    theirs = temporary / "nsd-imagery-0123456789abcdef"
    theirs.mkdir()
    (theirs / "lock").touch()
    os.chown(theirs, 12345, 12345)
    assert start("filtered('W')").wait() == 0
    assert list(temporary.iterdir()) == [theirs]
    os.chown(theirs, 0, 0)
    assert start("filtered('W')").wait() == 0
    assert not any(temporary.iterdir())


def test_a_dataset_that_is_open_keeps_its_rows_when_the_folder_is_rebuilt(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], conditions=["vision"])
    trials = nsd_imagery.load(folder, "subj01-vision", "test")
    before = rows(nsd_imagery.load(folder, "subj01-vision", "test"))
    nsd_imagery.build(release, folder, subjects=["subj01"], conditions=["vision"], zscore="none", replace=True)
    np.testing.assert_equal(rows(trials), before)
    now = nsd_imagery.load(folder, "subj01-vision", "test")
    assert not np.array_equal(rows(now)["betas"], before["betas"])


@pytest.mark.parametrize(
    ("config", "split", "words"),
    [
        (
            "subj01-imagry",
            None,
            r"no config 'subj01-imagry' .did you mean 'subj01-imagery'..; there are: subj01-imagery, subj01-v",
        ),
        ("subj01-imagery", "train", "no split of subj01-imagery 'train'; there are: test"),
        ("subj03-imagery", "test", "no config 'subj03-imagery'"),
    ],
)
def test_what_is_mistyped_is_named_with_what_is_there(
    dataset: Path, config: str, split: str | None, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        nsd_imagery.load(dataset, config, split)


def change_byte(position: float) -> Callable[[bytes], bytes]:
    def change(raw: bytes) -> bytes:
        at = int(position * len(raw))
        return raw[:at] + bytes([raw[at] ^ 255]) + raw[at + 1 :]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw[:-100], "this shard has .* bytes, not .* build again: nsd-imagery build ROOT --out"),
        (lambda raw: raw + b"\0", "this shard has .* bytes, not"),
        (lambda raw: bytes(len(raw)), "this shard is damaged .*; delete it and build again"),
        (lambda raw: b"<html>" * (len(raw) // 6) + b" " * (len(raw) % 6), "this shard is damaged"),
        (change_byte(0), "this shard is damaged"),
        (lambda raw: raw[:3000] + bytes(len(raw) - 3000), "this shard is damaged"),
    ],
    ids=["cut short", "longer", "zeros", "a page", "first byte", "zeros after the schema"],
)
def test_a_shard_that_is_not_what_the_manifest_says_is_named(
    dataset: Path, tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    (shard,) = (folder / "subj01-vision").glob("*.arrow")
    shard.write_bytes(change(shard.read_bytes()))
    with pytest.raises(DataError, match=words) as error:
        nsd_imagery.load(folder, "subj01-vision")
    assert str(shard) in str(error.value)


def test_the_shard_of_another_config_under_this_name_is_refused(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    (shard,) = (folder / "subj01-imagery").glob("*.arrow")
    (other,) = (folder / "subj02-imagery").glob("*.arrow")
    raw = other.read_bytes()
    shard.write_bytes(raw.ljust(shard.stat().st_size, b"\0")[: shard.stat().st_size])
    with pytest.raises(DataError, match=r"rows or columns are not those of the manifest|damaged"):
        nsd_imagery.load(folder, "subj01-imagery")


def test_what_is_gone_is_named(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    (shard,) = (folder / "subj01-vision").glob("*.arrow")
    shard.unlink()
    with pytest.raises(MissingDataError, match=f"{shard}: this shard is gone; build again: nsd-imagery build ROOT"):
        nsd_imagery.load(folder, "subj01-vision", "test")
    assert nsd_imagery.load(folder, "subj01-imagery", "test").num_rows == 288
    with pytest.raises(MissingDataError, match="no dataset here"):
        nsd_imagery.load(tmp_path / "nowhere", "subj01-vision")
