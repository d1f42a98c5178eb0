"""The hub: what a push sends and to whom, what a collaborator opens, what a pull brings back and checks."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, load_dataset
from huggingface_hub import DatasetCard
from huggingface_hub.errors import HfHubHTTPError

import nsd_imagery
from folders import files, own
from hub import Fault, Hub
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.errors import (
    AccessError,
    BusyError,
    DataError,
    FolderError,
    HubError,
    MissingDataError,
    SpaceError,
    UsageError,
)
from nsd_imagery.share import remote
from nsd_imagery.share.parquet import to_parquet

# Of huggingface_hub's own upload by plain HTTP.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

REPO = "me/nsd-imagery"
WRITES = ("preupload", "batch", "upload", "verify", "commit")


@pytest.fixture
def folder(dataset: Path, tmp_path: Path) -> Path:
    """subj01 and subj02."""
    return own(dataset, tmp_path / "nsd_imagery")


@pytest.fixture(scope="module")
def built_one(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nsd_imagery.build(release, tmp_path_factory.mktemp("built") / "one", subjects=["subj01"])


@pytest.fixture
def one_subject(built_one: Path, tmp_path: Path) -> Path:
    """subj01 alone."""
    return own(built_one, tmp_path / "one")


def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    env = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env)


def open_as_collaborator(config: str, out: Path, **options: Any) -> Dataset:
    """What `load_dataset` gives somebody else, in a process and a cache of their own."""
    code = (
        "import json, sys; from datasets import load_dataset, Dataset;"
        "config, out, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]);"
        f"rows = load_dataset({REPO!r}, config, **options);"
        "rows = Dataset.from_list(list(rows), features=rows.features) if options.get('streaming') else rows;"
        "rows.save_to_disk(out)"
    )
    command = [sys.executable, "-c", code, config, str(out), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return Dataset.load_from_disk(str(out))


def assert_same_rows(one: Dataset, other: Dataset) -> None:
    assert one.features == other.features
    assert one.num_rows == other.num_rows
    for name in one.column_names:
        first, second = (data.with_format("arrow")[name] for data in (one, other))
        first, second = (pa.chunked_array(column).combine_chunks() for column in (first, second))
        if pa.types.is_fixed_size_list(first.type):
            first, second = first.flatten(), second.flatten()
        if pa.types.is_floating(first.type):
            np.testing.assert_array_equal(*(part.to_numpy(zero_copy_only=False) for part in (first, second)))
        else:
            assert first.equals(second), name


def parquet_of(folder: Path) -> set[str]:
    return {name.replace(".arrow", ".parquet") for name in files(folder) if name.endswith(".arrow")}


# What a collaborator opens.


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ("subj01-imagery", {"split": "test"}),
        ("subj01-attention", {"split": "test", "streaming": True}),
        ("subj02-voxels", {"split": "train"}),
        ("subj02-stats", {"split": "train"}),
        ("stimuli", {"split": "train"}),
    ],
)
def test_what_load_dataset_opens_from_the_hub_is_the_local_folder_value_by_value(
    folder: Path, hub: Hub, tmp_path: Path, hf_cache: str, config: str, options: dict[str, Any]
) -> None:
    nsd_imagery.push(folder, REPO)
    theirs = open_as_collaborator(config, tmp_path / "theirs", **options)
    mine = load_dataset(str(folder), config, split=options["split"], cache_dir=hf_cache)
    assert_same_rows(theirs, mine)
    fetched = {request.path.split("/resolve/")[1].split("/", 1)[1] for request in hub.actions("resolve")}
    assert {name for name in fetched if name.endswith(".parquet")} == {
        name for name in parquet_of(folder) if name.startswith(f"{config}/")
    }


def test_a_rebuilt_and_pushed_dataset_is_what_the_next_load_opens(
    release: Path, folder: Path, hub: Hub, tmp_path: Path, hf_cache: str
) -> None:
    nsd_imagery.push(folder, REPO)
    before = open_as_collaborator("subj01-vision", tmp_path / "a", split="test")
    shutil.rmtree(folder)
    nsd_imagery.build(release, folder, zscore="none")
    nsd_imagery.push(folder, REPO)
    after = open_as_collaborator("subj01-vision", tmp_path / "b", split="test")
    assert_same_rows(after, load_dataset(str(folder), "subj01-vision", split="test", cache_dir=hf_cache))
    assert not np.array_equal(after.with_format("numpy")["betas"][:], before.with_format("numpy")["betas"][:])
    assert set(hub.files(REPO)) == {*parquet_of(folder), "README.md", "manifest.json"}


def test_the_card_on_the_hub_names_what_is_there_and_its_examples_name_the_repo(folder: Path, hub: Hub) -> None:
    nsd_imagery.push(folder, REPO)
    there = hub.files(REPO)
    card = DatasetCard(there["README.md"].decode())
    data, local = card.data.to_dict(), DatasetCard.load(folder / "README.md").data.to_dict()
    named = {path for config in data["configs"] for split in config["data_files"] for path in split["path"]}
    assert named == parquet_of(folder) == set(there) - {"README.md", "manifest.json"}
    assert f'dataset = "{REPO}"\n' in card.text
    assert 'load_dataset(dataset, "subj01-imagery", split="test")' in card.text
    assert "| folder.shards | Every shard of the manifest is there, whole" in card.text
    for info, mine in zip(data["dataset_info"], local["dataset_info"], strict=True):
        config = next(config for config in data["configs"] if config["config_name"] == info["config_name"])
        paths = [path for split in config["data_files"] for path in split["path"]]
        assert info["download_size"] == sum(len(there[path]) for path in paths)
        assert {**info, "download_size": 0} == {**mine, "download_size": 0}
    assert there["manifest.json"] == (folder / "manifest.json").read_bytes()


# What goes up.


def test_a_push_says_the_two_lines_that_a_collaborator_runs(folder: Path, hub: Hub) -> None:
    done = run("push", folder, REPO)
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, login, load = done.stdout.splitlines()
    n = len(parquet_of(folder)) + 2
    assert f"{hub.url}/datasets/{REPO}: private, at {hub.repos[REPO].head[:7]}; {n} of {n} files" in first
    assert (login.strip(), load.strip()) == ("hf auth login", f'load_dataset("{REPO}", "subj01-imagery")')
    assert "| data.seen-or-cued | On mismatched trials" in hub.files(REPO)["README.md"].decode()
    again = run("push", folder, REPO)
    assert f"0 of {n} files" in again.stdout


def test_a_second_push_sends_nothing(folder: Path, hub: Hub) -> None:
    first = nsd_imagery.push(folder, REPO)
    hub.requests.clear()
    second = nsd_imagery.push(folder, REPO)
    assert not hub.actions(*WRITES)
    assert (second.uploaded, second.removed, second.bytes) == ((), (), 0)
    assert second.revision == first.revision == hub.repos[REPO].head


def test_after_adding_a_subject_only_its_files_go_up(release: Path, one_subject: Path, hub: Hub) -> None:
    nsd_imagery.push(one_subject, REPO)
    before = set(hub.large)
    hub.requests.clear()
    nsd_imagery.build(release, one_subject, subjects=["subj02"])
    done = nsd_imagery.push(one_subject, REPO)
    new = {name for name in parquet_of(one_subject) if name.startswith("subj02")}
    assert set(done.uploaded) == {*new, "manifest.json", "README.md"}
    assert len(hub.actions("upload")) == len(new) == len(set(hub.large) - before)
    assert done.bytes == sum(len(hub.files(REPO)[name]) for name in done.uploaded)


def test_shards_that_only_get_another_number_are_renamed_and_not_sent_again(
    tmp_path_factory: pytest.TempPathFactory, hub: Hub
) -> None:
    root = nsd_imagery.synth(tmp_path_factory.mktemp("core") / "release", perception_sessions=1)
    folder = nsd_imagery.build(root, root.parent / "nsd_imagery")
    nsd_imagery.push(folder, REPO)
    old, changed = set(hub.files(REPO)) - {"README.md", "manifest.json"}, ("perception", "stats", "voxels")
    hub.requests.clear()
    nsd_imagery.synth(root, perception_sessions=2)
    nsd_imagery.build(root, folder)
    done = nsd_imagery.push(folder, REPO)
    assert set(done.removed) == {name for name in old if name.split("-")[1].split("/")[0] in changed}
    assert set(hub.files(REPO)) == {*parquet_of(folder), "README.md", "manifest.json"}
    # Of the second session train, test and statistics; of the voxels how often they have data.
    assert len(hub.actions("upload")) == 4


def test_a_dry_run_says_what_would_go_where_and_changes_nothing(folder: Path, hub: Hub) -> None:
    done = run("push", folder, REPO, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    n = len(parquet_of(folder)) + 2
    assert sum(line.startswith("  + ") for line in done.stdout.splitlines()) == n
    assert f"{hub.url}/datasets/{REPO}: {n} of {n} files" in done.stdout
    assert not hub.repos
    assert {request.method for request in hub.requests} == {"GET"}
    assert not (folder / ".build/hub/push.json").exists()
    nsd_imagery.push(folder, REPO)
    hub.requests.clear()
    assert nsd_imagery.push(folder, REPO, dry_run=True).uploaded == ()
    assert {request.method for request in hub.requests} == {"GET"}


def test_the_staged_files_lie_beside_the_sealed_ones_and_are_kept(folder: Path, hub: Hub) -> None:
    sealed = files(folder)
    nsd_imagery.push(folder, REPO)
    assert files(folder) == sealed
    staged = {path: path.stat().st_mtime_ns for path in (folder / ".build/hub").glob("*.parquet")}
    assert len(staged) == len(parquet_of(folder))
    stray = folder / ".build/hub/0123-1.parquet"
    stray.write_bytes(b"of an older build")
    nsd_imagery.push(folder, REPO)
    assert {path: path.stat().st_mtime_ns for path in (folder / ".build/hub").glob("*.parquet")} == staged


def test_what_was_pushed_is_noted_outside_the_sealed_files(folder: Path, hub: Hub) -> None:
    done = nsd_imagery.push(folder, REPO)
    nsd_imagery.push(folder, "me/other")
    noted = json.loads((folder / ".build/hub/push.json").read_text())
    assert set(noted) == {REPO, "me/other"}
    assert noted[REPO]["revision"] == done.revision
    assert len(noted[REPO]["digest"]) == 64


def test_progress_names_each_step(folder: Path, hub: Hub) -> None:
    steps: list[tuple[int, int, str]] = []
    nsd_imagery.push(folder, REPO, progress=lambda *step: steps.append(step))
    n = len(parquet_of(folder))
    n_checks = sum(name.startswith("verify: ") for _, _, name in steps)
    assert [name.split()[0] for _, _, name in steps[: n_checks + n]] == ["verify:"] * n_checks + ["Parquet"] * n
    assert n_checks
    assert [step[:2] for step in steps[n_checks + n :]] == [(done, n) for done in range(n)]
    steps.clear()
    nsd_imagery.pull(REPO, folder.parent / "pulled", progress=lambda *step: steps.append(step))
    assert [step[:2] for step in steps] == [(done, n) for done in range(n)]


@pytest.mark.parametrize(("zscore", "dtype", "most"), [("none", "float32", 0.55), ("auto", "float32", 0.9)])
def test_parquet_has_the_features_rows_and_row_groups_of_the_shard_and_is_smaller(
    release: Path, tmp_path: Path, hub: Hub, zscore: str, dtype: str, most: float
) -> None:
    folder = nsd_imagery.build(release, tmp_path / "out", subjects=["subj01"], zscore=zscore, dtype=dtype)
    nsd_imagery.push(folder, REPO)
    there = hub.files(REPO)
    name = next(name for name in there if name.startswith("subj01-imagery/"))
    file = pq.ParquetFile(pa.BufferReader(there[name]))
    arrow = pa.ipc.open_stream(folder / name.replace(".parquet", ".arrow"))
    assert file.schema_arrow.metadata[b"huggingface"] == arrow.schema.metadata[b"huggingface"]
    groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
    assert groups == [batch.num_rows for batch in arrow] == [100, 100, 88]
    column = next(
        file.metadata.row_group(0).column(number)
        for number in range(file.metadata.num_columns)
        if file.metadata.row_group(0).column(number).path_in_schema.startswith("betas")
    )
    assert ("RLE_DICTIONARY" if zscore == "none" else "BYTE_STREAM_SPLIT") in column.encodings
    assert len(there[name]) < most * (folder / name.replace(".parquet", ".arrow")).stat().st_size


# Private, or not at all.


@pytest.mark.parametrize("flags", [(), ("--dry-run",)])
def test_an_existing_public_repo_is_refused_before_the_first_byte(folder: Path, hub: Hub, flags: tuple[str]) -> None:
    hub.put(REPO, {}, private=False)
    done = run("push", folder, REPO, *flags)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{REPO} is public" in done.stderr
    assert f"{hub.url}/datasets/{REPO}/settings" in done.stderr
    assert not hub.actions(*WRITES)
    assert hub.files(REPO) == {}
    hub.repos[REPO].private = True
    assert run("push", folder, REPO).returncode == 0


def test_a_private_repo_that_has_become_public_is_refused(folder: Path, hub: Hub) -> None:
    done = nsd_imagery.push(folder, REPO)
    hub.repos[REPO].private = False
    hub.requests.clear()
    with pytest.raises(AccessError, match=f"is public now, and was private when {done.revision[:7]} was pushed"):
        nsd_imagery.push(folder, REPO)
    assert not hub.actions(*WRITES)


def test_a_repo_that_becomes_public_while_files_go_up_gets_no_more_and_no_commit(folder: Path, hub: Hub) -> None:
    publish = lambda: setattr(hub.repos[REPO], "private", False)  # noqa: E731
    hub.faults.append(Fault("upload", 200, after=2, times=1, then=publish))
    with pytest.raises(AccessError, match="became public"):
        nsd_imagery.push(folder, REPO)
    assert len(hub.actions("upload")) == 3
    assert not hub.actions("commit")
    assert hub.files(REPO) == {}


def test_a_repo_that_becomes_public_with_the_last_commit_is_said_to_be(folder: Path, hub: Hub) -> None:
    publish = lambda: setattr(hub.repos[REPO], "private", False)  # noqa: E731
    hub.faults.append(Fault("commit", 200, times=1, then=publish))
    with pytest.raises(AccessError, match="became public while this push sent it files"):
        nsd_imagery.push(folder, REPO)


def test_a_repo_with_something_else_in_it_is_refused(folder: Path, hub: Hub) -> None:
    hub.put(REPO, {"README.md": b"# Mine", "data/train.parquet": b"PAR1"})
    with pytest.raises(FolderError, match=r"holds files that are no dataset of nsd-imagery \(data/train.parquet\)"):
        nsd_imagery.push(folder, REPO)
    assert not hub.actions(*WRITES)


# Whatever goes wrong is one line, and the next try works.


def test_a_push_that_was_cut_off_goes_on_where_it_was(folder: Path, hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault("upload", 403, after=3))
    with pytest.raises(HubError):
        nsd_imagery.push(folder, REPO)
    assert hub.files(REPO) == {}
    there = set(hub.large)
    n = len(parquet_of(folder))
    assert 3 <= len(there) < n
    hub.faults.clear()
    hub.requests.clear()
    nsd_imagery.push(folder, REPO)
    assert len(hub.actions("upload")) == n - len(there)
    assert open_as_collaborator("subj02-vision", tmp_path / "theirs", split="test").num_rows == 144


def test_a_push_that_is_killed_leaves_the_old_dataset_and_the_next_one_ends_right(
    release: Path, one_subject: Path, hub: Hub, tmp_path: Path
) -> None:
    nsd_imagery.push(one_subject, REPO)
    old = hub.files(REPO)
    nsd_imagery.build(release, one_subject, zscore="none", replace=True)
    hung, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hung.set()
        hub.lock.release()
        go_on.wait(30)
        hub.lock.acquire()

    hub.faults.append(Fault("upload", 200, after=2, then=hang))
    process = subprocess.Popen([sys.executable, "-m", "nsd_imagery", "push", str(one_subject), REPO])
    assert hung.wait(30)
    process.send_signal(signal.SIGKILL)
    process.wait()
    go_on.set()
    assert hub.files(REPO) == old
    hub.faults.clear()
    nsd_imagery.push(one_subject, REPO)
    assert set(hub.files(REPO)) == {*parquet_of(one_subject), "README.md", "manifest.json"}
    nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert files(tmp_path / "pulled") == files(one_subject)


def test_many_files_go_up_in_few_commits_that_show_nothing_before_the_last(
    folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsd_imagery.share.send._FILES_PER_COMMIT", 4)
    hub.faults.append(Fault("commit", 500, after=2, times=1))
    with pytest.raises(HubError, match="the hub answered 500"):
        nsd_imagery.push(folder, REPO)
    assert len(hub.files(REPO)) == 8
    assert "README.md" not in hub.files(REPO)
    hub.requests.clear()
    nsd_imagery.push(folder, REPO)
    assert not hub.actions("upload")
    assert set(hub.files(REPO)) == {*parquet_of(folder), "README.md", "manifest.json"}


def test_somebody_elses_commit_in_between_is_seen_and_not_overwritten(folder: Path, hub: Hub) -> None:
    hub.faults.append(Fault("commit", 200, times=1, then=lambda: hub.put(REPO, {"README.md": b"theirs"})))
    with pytest.raises(HubError, match="somebody else changed it meanwhile"):
        nsd_imagery.push(folder, REPO)
    assert hub.files(REPO) == {"README.md": b"theirs"}
    nsd_imagery.push(folder, REPO)
    assert set(hub.files(REPO)) == {*parquet_of(folder), "README.md", "manifest.json"}


@pytest.mark.parametrize(
    ("repo", "variables", "fault", "words"),
    [
        (REPO, {"HF_TOKEN": "hf_read"}, None, "your token may not do this"),
        ("you/nsd-imagery", {}, None, 'the rights to create a dataset under the namespace "you"'),
        (REPO, {"HF_TOKEN": ""}, None, "you are not logged in to the hub: hf auth login"),
        (REPO, {"HF_TOKEN": "hf_wrong"}, None, "does not accept your token"),
        (REPO, {"HF_ENDPOINT": "http://127.0.0.1:9"}, None, "no answer from http://127.0.0.1:9 "),
        (REPO, {"HF_HUB_OFFLINE": "1"}, None, "HF_HUB_OFFLINE is set"),
        (REPO, {}, Fault("commit", 500), "the hub answered 500 (the hub has a bad day); nothing is broken"),
        (REPO, {}, Fault("commit", 0), "nothing is broken, run the same command again"),
        (REPO, {}, Fault("upload", 403, after=1), "storage of the hub answered 403"),
        (REPO, {}, Fault("create", 429), "the hub answered 429"),
    ],
)
def test_what_goes_wrong_is_one_line_and_the_next_try_works(
    one_subject: Path, hub: Hub, repo: str, variables: dict[str, str], fault: Fault | None, words: str
) -> None:
    read_only = hub.token("me", "read")
    variables = {key: read_only if value == "hf_read" else value for key, value in variables.items()}
    if fault:
        hub.faults.append(Fault(fault.action, fault.status, fault.after))
    done = run("push", one_subject, repo, **variables)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert words in done.stderr
    assert "hf_me" not in done.stderr
    assert "signature" not in done.stderr
    hub.faults.clear()
    assert nsd_imagery.push(one_subject, REPO).revision == hub.repos[REPO].head


@pytest.mark.parametrize(
    "error",
    [
        *(kind("the wire is cut") for kind in HfHubHTTPError.__bases__),
        OSError("the wire is cut"),
        ConnectionError("the wire is cut"),
        ConnectionResetError(errno.ECONNRESET, "the wire is cut"),
        RuntimeError("the wire is cut"),
        ValueError("the wire is cut"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_client_of_the_hub_raises_is_one_of_our_errors(error: Exception) -> None:
    with pytest.raises(HubError, match=r"the wire is cut.*run the same command again"), remote.hub(REPO):
        raise error


@pytest.mark.parametrize("client", ["httpx", "httpx2"])
def test_the_clients_of_other_versions_of_the_hubs_library_are_known(client: str) -> None:
    script = (
        "import importlib.util, sys, types\n"
        "if importlib.util.find_spec(sys.argv[1]) is None:\n"
        "    sys.modules[sys.argv[1]] = types.ModuleType(sys.argv[1])\n"
        "    sys.modules[sys.argv[1]].HTTPError = type('HTTPError', (Exception,), {})\n"
        "    sys.modules[sys.argv[1]].DecodingError = type('DecodingError', (Exception,), {})\n"
        "from nsd_imagery.errors import HubError\n"
        "from nsd_imagery.share.remote import hub\n"
        "try:\n"
        "    with hub('me/nsd-imagery'):\n"
        "        raise sys.modules[sys.argv[1]].HTTPError('the wire is cut')\n"
        "except HubError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, client], capture_output=True, text=True, check=False)
    assert "the wire is cut" in done.stdout, done.stderr


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no space left"), PermissionError(errno.EACCES, "not yours"), KeyError("a fault of ours")],
    ids=lambda error: type(error).__name__,
)
def test_what_this_machine_or_this_package_is_to_blame_for_is_not_laid_on_the_hub(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, remote.hub(REPO):
        raise error
    assert caught.value is error


def test_a_short_trouble_of_storage_is_not_even_mentioned(one_subject: Path, hub: Hub) -> None:
    hub.faults.append(Fault("upload", 503, times=1))
    done = run("push", one_subject, REPO)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("repo", ["nsd-imagery", "me/nsd/imagery", "./nsd_imagery", "me/", "me/a--b", ""])
def test_a_name_that_is_no_repo_is_refused_before_anything_is_asked(folder: Path, hub: Hub, repo: str) -> None:
    for verb in (lambda: nsd_imagery.push(folder, repo), lambda: nsd_imagery.pull(repo, folder)):
        with pytest.raises(UsageError, match="is not OWNER/NAME"):
            verb()
    assert not hub.requests


def test_a_folder_that_is_no_dataset_or_lacks_a_shard_is_named(folder: Path, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingDataError, match="no dataset here"):
        nsd_imagery.push(tmp_path / "empty", REPO)
    assert not list((tmp_path / "empty").iterdir())
    next(folder.glob("subj02-vision/*.arrow")).unlink()
    with pytest.raises(MissingDataError, match=r"subj02-vision/.*this shard is gone; build again"):
        nsd_imagery.push(folder, REPO)
    assert not hub.requests


def test_neither_a_token_nor_a_time_is_left_in_the_folder(folder: Path, hub: Hub, tmp_path: Path) -> None:
    assert run("push", folder, REPO).returncode == 0
    assert run("pull", REPO, "--out", tmp_path / "pulled").returncode == 0
    for path in [*folder.rglob("*"), *(tmp_path / "pulled").rglob("*")]:
        if path.is_file():
            assert os.environ["HF_TOKEN"].encode() not in path.read_bytes(), path


# The way back.


def test_a_pull_gives_the_folder_that_was_pushed_byte_for_byte(
    release: Path, folder: Path, hub: Hub, tmp_path: Path, hf_cache: str
) -> None:
    nsd_imagery.push(folder, REPO)
    done = run("pull", REPO, "--out", tmp_path / "nsd")
    assert (done.returncode, done.stderr) == (0, "")
    assert files(tmp_path / "nsd") == files(folder)
    assert not list((tmp_path / "nsd").rglob("*.parquet"))
    assert nsd_imagery.verify(tmp_path / "nsd", deep=True, root=release).passed
    assert json.loads((tmp_path / "nsd/.build/hub/pull.json").read_text())[REPO]["revision"] == hub.repos[REPO].head
    assert load_dataset(str(tmp_path / "nsd"), "subj01-imagery", split="test", cache_dir=hf_cache).num_rows == 288


def test_a_pull_into_a_tilde_goes_home(
    one_subject: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nsd_imagery.push(one_subject, REPO)
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    assert nsd_imagery.pull(REPO, "~/nsd", configs=["subj01-stats"]) == tmp_path / "home/nsd"
    assert list(nsd_imagery.info("~/nsd")["configs"]) == ["subj01-stats"]
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize(("zscore", "dtype"), [("none", "float32"), ("none", "float16"), ("session", "float16")])
def test_a_pull_is_exact_whatever_the_recipe(release: Path, tmp_path: Path, hub: Hub, zscore: str, dtype: str) -> None:
    folder = nsd_imagery.build(
        release, tmp_path / "a", subjects=["subj01"], roi=["V1", "streams:early"], zscore=zscore, dtype=dtype
    )
    nsd_imagery.push(folder, REPO)
    nsd_imagery.pull(REPO, tmp_path / "b")
    assert files(tmp_path / "b") == files(folder)


def test_a_pulled_folder_can_be_built_on(release: Path, folder: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(folder, REPO)
    pulled = nsd_imagery.pull(REPO, tmp_path / "pulled", configs=["subj02-imagery", "subj02-voxels"])
    nsd_imagery.build(release, pulled, subjects=["subj01"])
    assert set(open_manifest(pulled).configs) == {
        *(name for name in open_manifest(folder).configs if name.startswith(("subj01", "stimuli"))),
        "subj02-imagery",
        "subj02-voxels",
    }
    nsd_imagery.build(release, pulled)
    assert files(pulled) == files(folder)


def test_only_the_configs_asked_for_are_fetched_and_others_join_them(folder: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(folder, REPO)
    pulled = nsd_imagery.pull(REPO, tmp_path / "pulled", configs=["subj01-imagery"])
    assert len(hub.actions("download")) == 1
    assert list(open_manifest(pulled).configs) == ["subj01-imagery"]
    assert files(pulled).keys() == {"README.md", "manifest.json"} | {
        name for name in files(folder) if name.startswith("subj01-imagery/")
    }
    nsd_imagery.pull(REPO, pulled, configs=["subj01-stats", "subj02-vision"])
    assert list(open_manifest(pulled).configs) == ["subj01-imagery", "subj01-stats", "subj02-vision"]
    assert len(hub.actions("download")) == 3
    nsd_imagery.pull(REPO, pulled)
    assert len(hub.actions("download")) == len(parquet_of(folder))
    assert files(pulled) == files(folder)
    done = run("pull", REPO, "--out", pulled, "--configs", "subj01-imagry")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'subj01-imagery'?" in done.stderr


def test_a_pull_of_an_older_revision_gives_that(release: Path, one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    first = nsd_imagery.push(one_subject, REPO)
    before = files(one_subject)
    nsd_imagery.build(release, one_subject, zscore="none", replace=True)
    nsd_imagery.push(one_subject, REPO)
    nsd_imagery.pull(REPO, tmp_path / "old", revision=first.revision)
    assert files(tmp_path / "old") == before


def test_a_revision_or_a_shard_that_is_not_there_is_named(one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(one_subject, REPO)
    with pytest.raises(MissingDataError, match="no such revision"):
        nsd_imagery.pull(REPO, tmp_path / "pulled", revision="0" * 40)
    there = hub.files(REPO)
    name = next(name for name in there if name.startswith("subj01-stats/"))
    hub.put(REPO, {path: raw for path, raw in there.items() if path != name})
    with pytest.raises(MissingDataError, match=f"holds no {name}, which its manifest names"):
        nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert not (tmp_path / "pulled" / "README.md").exists()


def altered(parquet: bytes, change: str) -> bytes:
    table = pq.read_table(pa.BufferReader(parquet))
    if change == "swap":
        table = table.take([1, 0, *range(2, table.num_rows)])
    if change == "label":
        targets = table["target"].to_pylist()
        position = table.schema.get_field_index("target")
        table = table.set_column(position, "target", pa.array([targets[-1], *targets[1:]]))
    if change == "cut":
        return parquet[:-100]
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("change", "words"), [("swap", "the rows of"), ("label", "the rows of"), ("cut", "cannot be read")]
)
def test_rows_that_are_not_those_of_the_manifest_are_refused_and_nothing_opens(
    one_subject: Path, hub: Hub, tmp_path: Path, change: str, words: str
) -> None:
    nsd_imagery.push(one_subject, REPO)
    good = hub.files(REPO)
    name = next(name for name in good if name.startswith("subj01-vision/"))
    hub.put(REPO, {**good, name: altered(good[name], change)})
    with pytest.raises(DataError, match=f"{words}.* ?{name}|{name} {words}"):
        nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert not (tmp_path / "pulled" / "README.md").exists()
    hub.put(REPO, good)
    nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert files(tmp_path / "pulled") == files(one_subject)


def test_the_same_rows_in_other_row_groups_are_the_same_dataset(one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(one_subject, REPO)
    there = hub.files(REPO)
    hub.put(REPO, {name: altered(raw, "") if name.endswith("parquet") else raw for name, raw in there.items()})
    pulled = nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert set(files(pulled)) == set(files(one_subject))
    for config in open_manifest(pulled).configs.values():
        for shard in config.shards:
            assert (pulled / shard.file).stat().st_size == shard.bytes


def test_a_pull_that_is_cut_off_opens_as_nothing_and_goes_on(one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(one_subject, REPO)
    hub.faults.append(Fault("download", 403, after=3))
    done = run("pull", REPO, "--out", tmp_path / "pulled")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert not (tmp_path / "pulled" / "README.md").exists()
    assert not (tmp_path / "pulled" / "manifest.json").exists()
    hub.faults.clear()
    hub.requests.clear()
    nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert len(hub.actions("download")) == len(parquet_of(one_subject)) - 3
    assert files(tmp_path / "pulled") == files(one_subject)


def test_until_a_pull_is_whole_the_folder_stays_what_it_was(
    release: Path, one_subject: Path, hub: Hub, tmp_path: Path
) -> None:
    other = nsd_imagery.build(release, tmp_path / "other", subjects=["subj01"], zscore="none")
    before = files(other)
    nsd_imagery.push(one_subject, REPO)
    hub.faults.append(Fault("download", 403, after=2))
    with pytest.raises(HubError):
        nsd_imagery.pull(REPO, other)
    assert {name: raw for name, raw in files(other).items() if name in before} == before
    hub.faults.clear()
    nsd_imagery.pull(REPO, other)
    assert files(other) == files(one_subject)


def test_a_pull_never_mixes_recipes_or_loses_statistics(release: Path, folder: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(folder, REPO)
    other = nsd_imagery.build(release, tmp_path / "other", subjects=["subj01"], zscore="none")
    before = files(other)
    with pytest.raises(FolderError, match="built with zscore"):
        nsd_imagery.pull(REPO, other, configs=["subj02-imagery"])
    assert files(other) == before
    core = nsd_imagery.synth(tmp_path / "core", perception_sessions=1)
    mine = nsd_imagery.build(core, tmp_path / "mine", conditions=["perception"])
    with pytest.raises(FolderError, match=r"subj01-perception .*subj01-stats to come does not hold"):
        nsd_imagery.pull(REPO, mine, configs=["subj01-stats"])


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ("../../evil", "../../evil/{name}"),
        (".build", ".build/{name}"),
        ("/tmp/evil", "/tmp/evil/{name}"),
        ("subj01-vision", "../../evil/{name}"),
        ("subj01-vision", "subj01-imagery/{name}"),
    ],
)
def test_a_manifest_cannot_make_a_pull_write_or_read_elsewhere(
    one_subject: Path, hub: Hub, tmp_path: Path, config: str, file: str
) -> None:
    nsd_imagery.push(one_subject, REPO)
    there = hub.files(REPO)
    manifest = json.loads(there["manifest.json"])
    vision = manifest["configs"].pop("subj01-vision")
    (shard,) = vision["splits"]["test"]
    shard["file"] = file.format(name=shard["file"].split("/")[1])
    manifest["configs"][config] = vision
    hub.put(REPO, {**there, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(DataError, match=r"that nsd-imagery does not write|is the name of no config"):
        nsd_imagery.pull(REPO, tmp_path / "deep" / "pulled")
    assert not hub.actions("download")
    assert not list(tmp_path.rglob("evil*"))


def test_a_shard_that_was_damaged_since_is_fetched_again(one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    nsd_imagery.push(one_subject, REPO)
    pulled = nsd_imagery.pull(REPO, tmp_path / "pulled")
    shard = next(pulled.glob("subj01-vision/*.arrow"))
    raw = bytearray(shard.read_bytes())
    raw[-1000] ^= 1
    shard.write_bytes(raw)
    hub.requests.clear()
    nsd_imagery.pull(REPO, pulled)
    assert len(hub.actions("download")) == 1
    assert files(pulled) == files(one_subject)


@pytest.mark.parametrize(
    ("put", "words"),
    [
        ({"README.md": b"# Mine"}, "holds no dataset of nsd-imagery"),
        ({"manifest.json": b"{"}, "is not a manifest of nsd-imagery"),
        ({"manifest.json": b'{"format": "x", "configs": {}}'}, "is of another program"),
        ({"manifest.json": b'{"format": "nsd-imagery", "format_version": 99, "configs": {}}'}, "folder format 99"),
        (None, "no such dataset on the hub, or your token does not see it"),
    ],
)
def test_a_repo_that_cannot_be_pulled_is_one_line(
    hub: Hub, tmp_path: Path, put: dict[str, bytes] | None, words: str
) -> None:
    if put is not None:
        hub.put(REPO, put)
    done = run("pull", REPO, "--out", tmp_path / "pulled")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert words in done.stderr
    assert not (tmp_path / "pulled").exists()


def test_a_collaborator_reads_with_their_own_token_and_a_stranger_does_not(
    one_subject: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nsd_imagery.push(one_subject, REPO)
    monkeypatch.setenv("HF_TOKEN", hub.token("jane", "read"))
    with pytest.raises(MissingDataError, match="no such dataset on the hub, or your token does not see it"):
        nsd_imagery.pull(REPO, tmp_path / "pulled")
    hub.readers[REPO] = {"jane"}
    nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert files(tmp_path / "pulled") == files(one_subject)
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(AccessError, match="you are not logged in"):
        nsd_imagery.pull(REPO, tmp_path / "again")


@pytest.mark.parametrize("verb", ["push", "pull", "terms"])
def test_help_teaches_by_example(verb: str) -> None:
    result = run(verb, "--help")
    assert result.returncode == 0
    assert any(line.strip().startswith(f"nsd-imagery {verb} ") for line in result.stdout.splitlines())


def test_neither_push_nor_pull_goes_beside_a_build(folder: Path, hub: Hub) -> None:
    from nsd_imagery.dataset.folder import locked

    nsd_imagery.push(folder, REPO)
    with locked(folder):
        for verb in (lambda: nsd_imagery.push(folder, REPO), lambda: nsd_imagery.pull(REPO, folder)):
            with pytest.raises(BusyError):
                verb()


# What may go up: nothing that does not pass.


def damage(path: Path) -> None:
    """Flip one bit in the middle of a file."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.unlink()  # other tests share the file
    path.write_bytes(raw)


@pytest.mark.parametrize("config", ["subj01-imagery", "subj01-stats", "subj01-voxels", "stimuli"])
def test_a_damaged_shard_is_never_pushed_and_the_mended_folder_is(
    release: Path, one_subject: Path, hub: Hub, tmp_path: Path, config: str
) -> None:
    damage(next((one_subject / config).iterdir()))
    with pytest.raises(DataError, match=rf"so nothing is pushed: folder\.shards of {config}: .*sha256"):
        nsd_imagery.push(one_subject, REPO)
    if config == "subj01-imagery":
        done = run("push", one_subject, REPO)
        assert done.returncode == 1
        assert "nothing is pushed: folder.shards of subj01-imagery" in done.stderr
        assert f"mend it: nsd-imagery build ROOT --out {one_subject}" in done.stderr
    assert not hub.requests
    nsd_imagery.build(release, one_subject, subjects=["subj01"])
    nsd_imagery.push(one_subject, REPO)
    assert files(nsd_imagery.pull(REPO, tmp_path / "pulled")) == files(one_subject)


def test_a_staged_file_that_rotted_or_that_nobody_proved_is_made_again(one_subject: Path, hub: Hub) -> None:
    nsd_imagery.push(one_subject, REPO)
    sent = hub.files(REPO)
    staged = sorted((one_subject / ".build/hub").glob("*.parquet"))
    damage(staged[0])
    staged[1].with_suffix(".sha256").unlink()
    damage(staged[1])
    nsd_imagery.push(one_subject, "me/other")
    other = hub.files("me/other")
    assert {name: raw for name, raw in other.items() if name != "README.md"} == {
        name: raw for name, raw in sent.items() if name != "README.md"
    }


def test_a_shard_that_rots_after_it_was_verified_is_not_staged(one_subject: Path, tmp_path: Path) -> None:
    manifest = open_manifest(one_subject)
    (shard,) = manifest.configs["subj01-imagery"].shards
    damage(one_subject / shard.file)
    with pytest.raises(DataError, match=r"is not the shard that was built \(sha256 is .*; build again"):
        to_parquet(one_subject / shard.file, tmp_path / "a.parquet", shard.sha256)
    (one_subject / shard.file).write_bytes(b"no arrow")
    with pytest.raises(DataError, match=r"is not the shard that was built"):
        to_parquet(one_subject / shard.file, tmp_path / "a.parquet", shard.sha256)
    assert not list(tmp_path.glob("*.parquet"))


def test_what_a_card_that_was_changed_names_is_not_pushed(one_subject: Path, hub: Hub) -> None:
    readme = one_subject / "README.md"
    text = readme.read_text().replace("config_name: subj01-vision", "config_name: subj01-visions")
    readme.unlink()
    readme.write_text(text)
    with pytest.raises(DataError, match=r"nothing is pushed: folder\.card"):
        nsd_imagery.push(one_subject, REPO, dry_run=True)
    assert not hub.requests


def test_a_push_compares_with_a_root_only_if_one_is_named(
    release: Path, one_subject: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = nsd_imagery.synth(tmp_path / "other", seed=7, format="hdf5")
    monkeypatch.setenv("NSD_CACHE_ROOT", str(other))
    assert nsd_imagery.push(one_subject, REPO).uploaded
    with pytest.raises(DataError, match=r"nothing is pushed: source\.same of subj01/nsdimagery/01"):
        nsd_imagery.push(one_subject, REPO, root=other)
    assert run("push", one_subject, REPO, "--root", other).returncode == 1
    assert run("push", one_subject, REPO, "--root", release).returncode == 0
    with pytest.raises(MissingDataError, match="no such folder; name the root"):
        nsd_imagery.push(one_subject, REPO, root=tmp_path / "nowhere")


def parquet_with(there: dict[str, bytes], start: str, change: Callable[[pa.Table], pa.Table]) -> dict[str, bytes]:
    """The repo's files with other rows in one of its Parquet files."""
    name = next(name for name in there if name.startswith(start))
    sink = pa.BufferOutputStream()
    pq.write_table(change(pq.read_table(pa.BufferReader(there[name]))), sink)
    return {**there, name: sink.getvalue().to_pybytes()}


def as_type(arrow_type: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index("session")
        return table.set_column(at, "session", pa.nulls(table.num_rows, arrow_type))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: pa.concat_tables([table] * 3), "it has 432 rows, and the manifest says 144"),
        (lambda table: table.slice(0, 100), "it has 100 rows, and the manifest says 144"),
        (lambda table: table.drop_columns(["betas"]), "its columns are not those"),
        *(
            (as_type(kind), "which nsd-imagery does not write|its columns are not those")
            for kind in (
                pa.date32(), pa.timestamp("ns"), pa.time64("us"), pa.duration("s"), pa.decimal128(5, 2), pa.uint64(),
                pa.binary(4), pa.list_(pa.list_(pa.int8())), pa.struct([("a", pa.date32())]),
                pa.map_(pa.string(), pa.int8()), pa.null(), pa.large_string(), pa.dictionary(pa.int8(), pa.string()),
            )
        ),
    ],
)  # fmt: skip
def test_a_parquet_file_of_another_form_is_refused_before_a_row_is_written(
    one_subject: Path, hub: Hub, tmp_path: Path, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    nsd_imagery.push(one_subject, REPO)
    hub.put(REPO, parquet_with(hub.files(REPO), "subj01-vision/", change))
    with pytest.raises(DataError, match=words) as caught:
        nsd_imagery.pull(REPO, tmp_path / "pulled", configs=["subj01-vision"])
    assert str(caught.value).isprintable()
    assert not list((tmp_path / "pulled").rglob("*.arrow"))


def test_a_file_that_unpacks_to_far_more_than_its_rows_is_refused(one_subject: Path, hub: Hub, tmp_path: Path) -> None:
    def longer(table: pa.Table) -> pa.Table:
        words = pa.array(["x" * 100_000 + str(row) for row in range(table.num_rows)])
        return table.set_column(table.schema.get_field_index("caption"), "caption", words)

    nsd_imagery.push(one_subject, REPO)
    hub.put(REPO, parquet_with(hub.files(REPO), "subj01-vision/", longer))
    with pytest.raises(DataError, match=r"it says that it unpacks to [\d,]+ bytes, and the manifest speaks of"):
        nsd_imagery.pull(REPO, tmp_path / "pulled", configs=["subj01-vision"])


def test_a_pull_that_has_no_room_is_refused_before_a_file_is_fetched(
    one_subject: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nsd_imagery.push(one_subject, REPO)
    full = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(SpaceError, match=r"the pull needs about .* MB are free on its disk; free some, or pull fewer"):
        nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert not hub.actions("download")
