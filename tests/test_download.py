"""`download` and `quickstart` against a bucket on loopback: right files or one line, whatever happens on the way."""

import asyncio
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import pytest
from datasets import load_dataset

import bucket as loopback
import nsd_imagery
from benchmarked import benchmark
from bucket import Bucket, Fault
from nsd_imagery.errors import (
    AccessError,
    BusyError,
    DataError,
    FolderError,
    MissingDataError,
    NSDImageryError,
    SourceError,
    SpaceError,
    UsageError,
)
from nsd_imagery.fetch import client, plan
from nsd_imagery.fetch.etags import agrees
from nsd_imagery.fetch.plan import Plan
from nsd_imagery.fetch.record import download_folder, read_record, state_folder
from nsd_imagery.fetch.run import Download
from nsd_imagery.fetch.transfer import PARTS_AT_ONCE, DownloadState
from nsd_imagery.locks import holding
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas

MIB = 1 << 20
PART = 5 * MIB
"""In which the bucket's files were uploaded here: as small as Amazon lets parts be."""

STEM = expected_betas("fithrf_GLMdenoise_RR", "subj01")
PACKED, HDF5 = f"{STEM}.nii.gz", f"{STEM}.hdf5"
TABLE = "nsddata/experiments/nsd/nsd_stim_info_merged.csv"
DESIGN = "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat"
BEHAVIOUR = "nsddata/bdata/nsdimagery/nsdimagery_subj01_visA.tsv"
MASK = "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"
N_LISTINGS = 8


@pytest.fixture(scope="module")
def served(release: Path) -> Iterator[Bucket]:
    with loopback.serving(release) as server:
        yield server


@pytest.fixture
def server(served: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    """A bucket of `release`, somebody who accepted NSD's terms, and no way to any other host than this one."""
    served.clear()
    served.part = PART
    monkeypatch.setattr("nsd_imagery.fetch.bucket._BREATH", 0.002)  # this process goes on
    patience = {"_SILENCE": 0.3, "_TRIES": 2, "_FIRST_PAUSE": 0.01}
    for name, value in patience.items():
        monkeypatch.setattr(client, name, value)
    monkeypatch.setenv("NSD_IMAGERY_ACCEPT_TERMS", "1")
    monkeypatch.setenv("NSD_IMAGERY_SOURCE", served.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    only_loopback(monkeypatch)
    return served


def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves this machine meets a proxy that is not there, and in Python an error."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        assert self.family == socket.AF_UNIX or address[0] == "127.0.0.1", address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture(scope="module")
def fetched(served: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with all of subj01 but betas of NSD core, packed. Not to be changed: see `own`."""
    served.clear()
    served.part = PART
    root = tmp_path_factory.mktemp("fetched") / "root"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NSD_IMAGERY_ACCEPT_TERMS", "1")
        nsd_imagery.download(root, "subj01", source=served.url)
    return root


@pytest.fixture
def own(fetched: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(fetched, tmp_path / "own"))


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)


def in_tree(root: Path) -> set[str]:
    """What lies under its name in a root."""
    found = (path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {key for key in found if not key.startswith(".download/")}


def same_as_served(root: Path, server: Bucket) -> bool:
    """Whether each file in a root is the bucket's."""
    return all((root / key).read_bytes() == server.whole(key) for key in in_tree(root))


def states(done: Download) -> dict[str, str]:
    return {file.path: file.state for file in done.files}


def fails(kind: type[NSDImageryError], root: Path, **options: Any) -> str:
    """The line with which a download fails."""
    with pytest.raises(kind) as caught:
        nsd_imagery.download(root, "subj01", **options)
    assert type(caught.value) is kind
    return str(caught.value)


# What comes.


def test_a_download_is_all_that_a_build_needs_as_the_bucket_has_it(fetched: Path, served: Bucket) -> None:
    of_others = ("subj02", "nsddata_betas", "nsddata_stimuli/", "annotations/", "truth/", "synthetic.json")
    shared = {key for key in served.all_keys() if not any(part in key for part in of_others) and "mean_" not in key}
    assert in_tree(fetched) == shared | {PACKED, f"{Path(STEM).parent}/meanbeta_nsdimagery.nii.gz"}
    assert same_as_served(fetched, served)
    assert {entry.how for entry in read_record(fetched).values()} == {"proven"}
    assert sorted(path.name for path in download_folder(fetched).iterdir()) == ["lock", "record.json"]


def test_a_file_in_parts_is_asked_for_in_the_parts_that_it_was_uploaded_in_and_once(server: Bucket, root: Path) -> None:
    nsd_imagery.download(root, 1, format="hdf5")
    spans = [request.span for request in server.asked("GET") if request.key == HDF5]
    assert sorted(spans) == [(0, PART), (PART, 2 * PART), (2 * PART, server.size(HDF5))]
    assert all(request.headers["if-match"] for request in server.asked("GET"))
    assert server.sent == sum(server.size(key) for key in in_tree(root))
    assert len(server.asked("LIST")) == N_LISTINGS
    assert same_as_served(root, server)


def test_no_more_reads_run_at_once_than_asked_for(server: Bucket, root: Path) -> None:
    server.latency = 0.01
    nsd_imagery.download(root, 1)
    assert server.most_busy == PARTS_AT_ONCE
    server.clear()
    server.latency = 0.002
    nsd_imagery.download(root / "other", 1, threads=2)
    assert max(1, *[2 for _ in server.asked("GET")]) == 2
    assert server.asked("HEAD") == []


def test_where_all_is_there_nothing_is_read(own: Path, server: Bucket) -> None:
    done = nsd_imagery.download(own, "subj01")
    assert set(states(done).values()) == {"there"}
    assert len(server.requests) == len(server.asked("LIST")) == N_LISTINGS
    assert done.bytes_fetched == 0


def test_what_was_copied_by_other_means_is_known_by_its_contents(own: Path, server: Bucket) -> None:
    shutil.rmtree(download_folder(own))
    done = nsd_imagery.download(own, "subj01")
    assert {file.proof for file in done.files} == {"proven"}
    assert server.asked("GET") == []
    assert set(read_record(own)) == in_tree(own)


def test_only_what_lacks_is_fetched(own: Path, server: Bucket) -> None:
    (own / MASK).unlink()
    done = nsd_imagery.download(own, "subj01")
    assert [key for key, state in states(done).items() if state == "fetched"] == [MASK]
    assert [request.key for request in server.asked("GET")] == [MASK]
    assert same_as_served(own, server)


def test_betas_that_are_there_as_hdf5_are_not_fetched_packed_unless_asked_for(server: Bucket, own: Path) -> None:
    (own / PACKED).unlink()
    shutil.copyfile(server.folder / HDF5, own / HDF5)
    assert states(nsd_imagery.download(own, "subj01"))[PACKED] == "there"
    assert server.asked("GET") == []
    assert states(nsd_imagery.download(own, "subj01", format="nii.gz"))[PACKED] == "fetched"


def test_a_dry_run_reads_nothing_and_writes_nothing(server: Bucket, root: Path) -> None:
    done = nsd_imagery.download(root, "1", dry_run=True)
    assert set(states(done).values()) == {"to fetch"}
    assert done.bytes_fetched == sum(file.size for file in done.files)
    assert server.asked("GET") == server.asked("HEAD") == []
    assert not root.exists()


@pytest.mark.slow
def test_nothing_lies_under_its_name_before_it_is_whole_and_proven(server: Bucket, root: Path) -> None:
    seen: list[DownloadState] = []
    proven: list[bool | None] = []

    def watch(state: DownloadState) -> None:
        seen.append(state)
        if not proven and (root / HDF5).exists():
            proven.append(agrees(root / HDF5, server.etag(HDF5)))
        assert len(in_tree(root)) == state.n_done

    nsd_imagery.download(root, "1", format="hdf5", progress=watch)
    assert proven == [True]
    assert seen[-1].n_done == seen[-1].n_files == len(in_tree(root))
    assert seen[-1].bytes_done == seen[-1].n_bytes == server.sent


def test_it_works_where_a_loop_runs_already(server: Bucket, own: Path) -> None:
    """As in a notebook."""
    (own / MASK).unlink()

    async def cell() -> Download:
        return nsd_imagery.download(own, "subj01")

    assert states(asyncio.run(cell()))[MASK] == "fetched"


# What is asked for.


def test_nothing_is_asked_of_the_bucket_before_the_terms_are_accepted(
    server: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NSD_IMAGERY_ACCEPT_TERMS")
    for options in ((), ("--dry-run",), ("--json",)):
        done = run("download", root, "--subjects", "1", *options)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert "download: NSD's terms are not accepted here; read them: nsd-imagery terms" in done.stderr
    done = run("quickstart", cwd=root.parent)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert server.requests == []
    assert not root.exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"subjects": "subj09"}, "no subject 'subj09'"),
        ({"conditions": "imagry"}, "no condition 'imagry' (did you mean 'imagery'?)"),
        ({"sessions": "1-3"}, "name perception among the conditions too"),
        ({"conditions": "perception", "sessions": "41"}, "subj01 had 40"),
        ({"conditions": "perception", "sessions": "1-x"}, "write them as 1-3,7"),
        ({"betas": "b4"}, "no betas 'b4'"),
        ({"format": "mgh"}, "no format 'mgh'"),
        ({"with_": "captions"}, "no with 'captions'"),
        ({"source": "natural-scenes-dataset"}, "is no bucket"),
        ({"threads": 0}, "threads is a number from 1 on"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_asked(
    server: Bucket, root: Path, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        nsd_imagery.download(root, **{"subjects": "subj01", **options})
    assert says in str(caught.value)
    assert server.requests == []


def test_versions_have_short_names_and_lists_are_as_people_write_them(server: Bucket, root: Path) -> None:
    done = nsd_imagery.download(root, [1, "sub-02"], conditions="vision", betas="b2", dry_run=True)
    betas = [file.path for file in done.files if file.kind == "betas"]
    assert betas == [f"{expected_betas('fithrf', subject)}.nii.gz" for subject in ("subj01", "subj02")]


def test_sessions_of_nsd_core_that_are_not_public_are_said_and_the_others_come(
    core_release: Path, server: Bucket, root: Path
) -> None:
    stem = expected_nsd_betas("fithrf_GLMdenoise_RR", "subj01")
    with loopback.serving(core_release) as core:
        core.faults.append(Fault(f"{stem}02.hdf5", value=403, method=""))
        options: dict[str, Any] = {"conditions": "perception", "format": "hdf5", "source": core.url}
        done = nsd_imagery.download(root, "subj01", sessions="1-2,5", **options)
        of_betas = {file.path[-7:-5]: file.state for file in done.files if file.kind == "betas"}
        assert of_betas == {"01": "fetched", "02": "not public", "05": "not in the bucket"}
        assert same_as_served(root, core)
        core.requests.clear()
        nsd_imagery.download(root, "subj01", sessions="1", **options)
        assert {request.method for request in core.requests} == {"LIST"}
        message = fails(MissingDataError, root, sessions="5,6", **options)
    assert "2 of the files that perception cannot do without are not in it:" in message
    assert f"\n  {stem}05.hdf5" in message
    assert nsd_imagery.build(root, root.parent / "out", conditions=["perception"]).is_dir()


def test_what_the_bucket_lacks_and_nothing_can_be_made_without_is_named_before_anything_comes(
    server: Bucket, root: Path
) -> None:
    server.changed[DESIGN] = None
    of = f"{server.url}: {{}} of the files that imagery, vision, attention cannot do without are not in it:\n  "
    assert fails(MissingDataError, root) == of.format(1) + DESIGN
    server.changed[MASK] = None
    assert fails(MissingDataError, root) == of.format(2) + f"{MASK}\n  {DESIGN}"
    assert server.asked("GET") == []
    assert not root.exists()


def test_a_bucket_that_does_not_list_is_asked_for_each_file(server: Bucket, root: Path, fetched: Path) -> None:
    server.faults.append(Fault("", value=403, method="LIST"))
    nsd_imagery.download(root, "subj01")
    targets = {key for key in in_tree(fetched) if "rawtargetimages" in key}
    assert in_tree(root) == in_tree(fetched) - targets
    assert same_as_served(root, server)


def test_a_bucket_that_gives_nothing_is_not_public_and_one_line(server: Bucket, root: Path) -> None:
    server.faults.append(Fault("", value=403, method=""))
    assert f"{server.url}: is not public: " in fails(AccessError, root)
    assert not root.exists()


def test_a_key_that_leads_out_of_the_root_is_not_followed_and_all_else_comes(
    server: Bucket, root: Path, fetched: Path
) -> None:
    server.changed["nsddata/ppdata/subj01/func1pt8mm/roi/../../../../../../evil.nii.gz"] = b"evil"
    nsd_imagery.download(root, "subj01")
    assert in_tree(root) == in_tree(fetched)
    assert same_as_served(root, server)
    assert not list(root.parent.rglob("evil*"))


# What goes wrong: one line, nothing under the name, and the next call succeeds.


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault(HDF5, value=403), AccessError, f"{HDF5}: not public in http://"),
        (Fault(HDF5, value=404), MissingDataError, f"{HDF5}: not in http://"),
        (Fault(HDF5, value=416), DataError, f"{HDF5}: was changed in http://"),
        (Fault(HDF5, value=503), SourceError, "is busy, also when asked again and again (503 SlowDown)"),
        (Fault(HDF5, value=407), SourceError, "the proxy asks who you are (407)"),
        (Fault("", value=301, method="", headers={"x-amz-bucket-region": "eu-west-1"}), SourceError, "eu-west-1"),
        (Fault(HDF5, "page", method=""), SourceError, "answers with a web page"),
        (Fault("", "page", method=""), SourceError, "answers with a web page"),
        (Fault(HDF5, "whole"), SourceError, "does not heed which bytes are asked for"),
        (Fault(HDF5, "shifted"), SourceError, "answered with other bytes"),
        (Fault(HDF5, "cut", 99), SourceError, "hung up in the midst of a file"),
        (Fault(HDF5, "stall", 99), SourceError, "is silent"),
        (Fault(HDF5, "flip", 7_000_000), DataError, f"{HDF5} as it came from http"),
    ],
    ids=lambda value: f"{value.kind}{value.value}" if isinstance(value, Fault) else "",
)
def test_each_fault_of_a_server_is_one_line_and_the_next_call_succeeds(
    server: Bucket, root: Path, fault: Fault, kind: type[NSDImageryError], says: str
) -> None:
    server.faults.append(fault)
    message = fails(kind, root, format="hdf5")
    assert says in message
    assert "\n" not in message
    assert not (root / HDF5).exists()
    assert same_as_served(root, server)
    server.faults.clear()
    before = in_tree(root)
    done = nsd_imagery.download(root, "subj01", format="hdf5")
    assert states(done)[HDF5] == "fetched"
    assert all(states(done)[key] == "there" for key in before)
    assert same_as_served(root, server)


def test_one_file_that_cannot_be_had_keeps_the_others_from_nothing_and_all_are_named(
    server: Bucket, root: Path, fetched: Path
) -> None:
    server.faults += [Fault(MASK, value=403), Fault(BEHAVIOUR, value=404)]
    done = run("download", root, "--subjects", "subj01")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"nsd-imagery: {MASK}: not public in")
    assert f"({BEHAVIOUR}: not in" in last
    assert in_tree(root) == in_tree(fetched) - {MASK, BEHAVIOUR}


def test_a_file_that_cannot_be_had_is_not_asked_for_any_further(server: Bucket, root: Path) -> None:
    server.faults.append(Fault(HDF5, value=403, times=1))
    fails(AccessError, root, format="hdf5", threads=1)
    assert len([request for request in server.asked("GET") if request.key == HDF5]) == 1
    assert TABLE in in_tree(root)


def test_a_byte_that_was_turned_on_the_way_is_found_and_the_file_fetched_once_more(server: Bucket, root: Path) -> None:
    server.faults += [Fault(HDF5, "flip", 7_000_000, times=3), Fault(BEHAVIOUR, "flip", 40, times=1)]
    nsd_imagery.download(root, "subj01", format="hdf5")
    assert same_as_served(root, server)
    assert len([request for request in server.asked("GET") if request.key == HDF5]) == 6
    assert len([request for request in server.asked("GET") if request.key == BEHAVIOUR]) == 2


def test_a_file_that_changes_on_the_server_meanwhile_is_not_mixed(server: Bucket, root: Path) -> None:
    other = (server.folder / expected_betas("fithrf", "subj01")).with_suffix(".hdf5").read_bytes()
    server.faults.append(Fault(HDF5, "then", after=1, do=lambda: server.changed.update({HDF5: other})))
    assert f"{HDF5}: was changed in" in fails(DataError, root, format="hdf5")
    assert not (root / HDF5).exists()
    assert not state_folder(root, HDF5).exists()
    nsd_imagery.download(root, "subj01", format="hdf5")
    assert (root / HDF5).read_bytes() == other


@pytest.mark.parametrize(
    ("key", "change", "says"),
    [
        (PACKED, lambda content: content[:-100], "gzip data is damaged or cut short"),
        (PACKED, lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:], "gzip data is damaged"),
        (PACKED, lambda _: b"<html>login</html>", "damaged"),
        (MASK, lambda content: content[:-3], "gzip data is damaged or cut short"),
        (BEHAVIOUR, lambda _: b"<!DOCTYPE html>", "is no tsv file"),
        (DESIGN, lambda _: b"<html>", "is no mat file"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_gets_no_name_though_its_etag_is_right(
    server: Bucket, root: Path, key: str, change: Callable[[bytes], bytes], says: str
) -> None:
    server.changed[key] = change(server.whole(key))
    message = fails(DataError, root)
    assert says in message
    assert f"{key} as it came from {server.url}" in message
    assert not (root / key).exists()
    assert len([request for request in server.asked("GET") if request.key == key]) == 1


def test_betas_of_another_shape_or_grid_get_no_name(server: Bucket, root: Path) -> None:
    server.changed[PACKED] = server.whole(MASK)
    assert "has 1 volumes, not 720" in fails(DataError, root)
    server.changed[PACKED] = server.whole(PACKED.replace("subj01", "subj02"))
    server.changed[MASK] = server.whole(MASK)
    message = fails(DataError, root / "b")
    assert "grid is" in message
    assert "as it came from" in message
    assert PACKED not in in_tree(root)


@pytest.mark.parametrize(("etag", "n_fetched"), [("0" * 32, 2), ("not-an-md5", 1), (f"{'0' * 32}-77", 1)])
def test_an_etag_that_says_nothing_of_the_contents_leaves_the_size_and_that_is_told(
    server: Bucket, root: Path, etag: str, n_fetched: int
) -> None:
    server.etags[BEHAVIOUR] = etag
    done = run("download", root, "--subjects", "1")
    assert done.returncode == 0, done.stderr
    assert "1 of them by size only" in done.stdout
    assert read_record(root)[BEHAVIOUR].how == "size only"
    assert len([request for request in server.asked("GET") if request.key == BEHAVIOUR]) == n_fetched
    assert nsd_imagery.download(root, 1).bytes_fetched == 0


def test_files_that_cannot_be_had_are_one_line_however_many_they_are(server: Bucket, root: Path) -> None:
    server.faults.append(Fault("", value=412))
    done = run("download", root, "--subjects", "1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.count("was changed in") == 4
    assert done.stderr.endswith("; and 86 files more)\n")
    assert in_tree(root) == set()


def test_the_plan_says_what_would_be_less_where_it_would(
    server: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "less of the betas, with --masked: about "
    assert hint not in run("download", root, "--subjects", "1", "--dry-run").stdout  # these are small
    plans: list[Plan] = []
    monkeypatch.setitem(plan.NSDGENERAL_VOXELS, "subj01", 1000)
    for masked in (False, True):
        nsd_imagery.download(root, "1", dry_run=True, masked=masked, planned=plans.append)
    assert [any(note.startswith(f"{hint}3 MB") for note in plan.notes) for plan in plans] == [True, False]


def test_what_nobody_fetched_is_not_replaced(server: Bucket, own: Path) -> None:
    mine = b"my own mask"
    (own / MASK).write_bytes(mine)
    assert f"{own / MASK}: is another file than the bucket's" in fails(FolderError, own)
    assert server.asked("GET") == []
    (own / MASK).write_bytes(mine.ljust(server.size(MASK)))
    assert "holds something else" in fails(FolderError, own)
    assert (own / MASK).read_bytes() == mine.ljust(server.size(MASK))


def test_a_folder_in_the_place_of_a_file_is_named_before_anything_comes(server: Bucket, root: Path) -> None:
    (root / MASK).mkdir(parents=True)
    assert f"{root / MASK}: is a folder, and the bucket has a file in its place" in fails(FolderError, root)
    assert server.asked("GET") == []


def test_a_file_that_was_fetched_is_brought_up_to_date(server: Bucket, own: Path) -> None:
    server.changed[BEHAVIOUR] = server.whole(BEHAVIOUR) + b"\n"
    assert states(nsd_imagery.download(own, 1))[BEHAVIOUR] == "fetched"
    assert same_as_served(own, server)
    (own / BEHAVIOUR).write_bytes(b"mine")
    assert "is another file than the bucket's" in fails(FolderError, own)


def test_two_downloads_into_one_root_do_not_meet(server: Bucket, root: Path) -> None:
    with holding(download_folder(root) / "lock", str):
        assert f"{root}: another download is at work here (process {os.getpid()}" in fails(BusyError, root)
    assert server.asked("GET") == []


def test_a_root_that_is_a_file_is_refused(server: Bucket, root: Path) -> None:
    root.write_text("")
    assert f"{root}: is a file; name a folder" in fails(FolderError, root)


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(
    server: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(root.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=20_000_000))
    for dry_run in (False, True):
        assert "16 MB are to be fetched, but 20 MB are free" in fails(SpaceError, root, dry_run=dry_run)
    assert server.asked("GET") == []
    assert not root.exists()


@pytest.mark.parametrize(("function", "most_calls"), [("posix_fallocate", 40), ("pwrite", 120)])
def test_a_disk_that_fills_up_midway_is_named_and_what_came_is_kept(
    server: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch, function: str, most_calls: int
) -> None:
    right, n_calls = getattr(os, function), 0

    def full(file: int, *arguments: Any) -> Any:
        nonlocal n_calls
        n_calls += 1
        if n_calls > most_calls:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return right(file, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(OSError, match="No space left") as caught:
            nsd_imagery.download(root, 1, format="hdf5")
    assert str(caught.value.filename).startswith(str(download_folder(root)))
    assert same_as_served(root, server)
    first = [(request.key, request.span) for request in server.asked("GET")]
    nsd_imagery.download(root, 1, format="hdf5")
    second = [(request.key, request.span) for request in server.asked("GET")[len(first) :]]
    assert len(first) >= 30
    assert len(set(first) & set(second)) <= PARTS_AT_ONCE
    assert same_as_served(root, server)


_AS_NOBODY = """
import os
import nsd_imagery.cli.fetch, nsd_imagery.fetch.run  # before the folder of Python itself is refused
from nsd_imagery.cli.app import main
if os.geteuid() == 0:
    os.setuid(65534)
main()
"""


def run_as_nobody(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command of somebody whom folders of others refuse; the superuser would be let in."""
    command = [sys.executable, "-c", _AS_NOBODY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="a system without user ids")
@pytest.mark.parametrize("is_there", [True, False], ids=["root", "folder-above-it"])
def test_a_root_that_may_not_be_written_to_is_one_line(server: Bucket, is_there: bool) -> None:
    with tempfile.TemporaryDirectory() as above:  # of which others may read all folders, as not of `tmp_path`
        folder, root = Path(above), Path(above) / "root"
        if is_there:
            root.mkdir()
        for one in folder, *folder.iterdir():
            one.chmod(0o555)
        done = run_as_nobody("download", root, "--subjects", "1")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"{root if not is_there else root / '.download'}: Permission denied" in done.stderr
        assert server.asked("GET") == []
        for one in folder, *folder.iterdir():
            one.chmod(0o755)
        assert run("download", root, "--subjects", "1").returncode == 0


def test_betas_that_lie_on_another_disk_get_there_whole(
    server: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = os.replace

    def elsewhere(old: Path, new: Path) -> None:
        if ".download" in old.parts and ".download" not in new.parts:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        right(old, new)

    monkeypatch.setattr(os, "replace", elsewhere)
    nsd_imagery.download(root, 1)
    assert same_as_served(root, server)
    assert PACKED in in_tree(root)


@pytest.mark.parametrize("masked", [False, True])
def test_a_disk_that_is_too_full_for_a_journal_is_named_too(server: Bucket, root: Path, masked: bool) -> None:
    """As `/dev/full` is for the journal of the betas, whose data have their room already."""
    of_voxels, ending = (".masked", "ranges.jsonl") if masked else ("", "parts.jsonl")
    journal = state_folder(root, f"{STEM}{of_voxels}.hdf5") / ending
    opened = Path.open

    def full(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return opened(Path("/dev/full") if (path, mode) == (journal, "ab") else path, mode, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left") as caught:
            nsd_imagery.download(root, 1, format=None if masked else "hdf5", masked=masked)
    assert str(caught.value.filename).startswith(str(journal.parent))
    nsd_imagery.download(root, 1, format=None if masked else "hdf5", masked=masked)


# Stopped, and gone on with.


def stopped_midway(server: Bucket, root: Path) -> set[tuple[int, int]]:
    """Let a download fail that has two of the three parts of the betas; the spans that came."""
    server.rate = 0
    server.faults.append(Fault(HDF5, value=503, after=2))
    with suppress(SourceError):
        nsd_imagery.download(root, 1, format="hdf5", threads=1)
    server.faults.clear()
    server.requests.clear()
    return {(0, PART), (PART, 2 * PART)}


def asked_of_betas(server: Bucket) -> set[tuple[int, int] | None]:
    return {request.span for request in server.asked("GET") if request.key == HDF5}


@pytest.mark.slow
def test_a_download_goes_on_with_the_parts_that_are_not_there(server: Bucket, root: Path) -> None:
    stopped_midway(server, root)
    planned = nsd_imagery.download(root, 1, format="hdf5", dry_run=True)
    left = sum(file.size for file in planned.files if file.state == "to fetch")
    assert (server.size(HDF5) or 0) - 2 * PART <= planned.bytes_fetched <= left - 2 * PART
    done = run("download", root, "--subjects", "1", "--format", "hdf5")
    assert "10.5 MB of it came before" in done.stdout
    assert asked_of_betas(server) == {(2 * PART, server.size(HDF5))}
    assert same_as_served(root, server)


def test_parts_that_a_power_cut_took_are_fetched_again(server: Bucket, root: Path) -> None:
    """The journal says that they are there, and their data never reached the disk."""
    stopped_midway(server, root)
    with (state_folder(root, HDF5) / "data.hdf5").open("r+b") as data:
        data.seek(PART + 1000)
        data.write(bytes(4096))
    nsd_imagery.download(root, 1, format="hdf5")
    assert asked_of_betas(server) == {(PART, 2 * PART), (2 * PART, server.size(HDF5))}
    assert same_as_served(root, server)


def test_what_a_kill_left_of_a_file_that_has_its_name_is_removed(server: Bucket, own: Path) -> None:
    state_folder(own, MASK).mkdir()
    (download_folder(own) / "record.json").unlink()
    nsd_imagery.download(own, 1)
    assert sorted(path.name for path in download_folder(own).iterdir()) == ["lock", "record.json"]


@pytest.mark.parametrize("torn", [b'{"part": 2, "m', b"\x00\x00\x00\n", b'{"part": 9, "md5": "00"}\n', b"[]\n"])
def test_a_journal_that_was_cut_in_a_line_is_read_up_to_there(server: Bucket, root: Path, torn: bytes) -> None:
    stopped_midway(server, root)
    with (state_folder(root, HDF5) / "parts.jsonl").open("ab") as journal:
        journal.write(torn)
    nsd_imagery.download(root, 1, format="hdf5")
    assert asked_of_betas(server) == {(2 * PART, server.size(HDF5))}
    assert same_as_served(root, server)


def test_what_came_of_another_version_of_a_file_is_dropped(server: Bucket, root: Path) -> None:
    stopped_midway(server, root)
    server.changed[HDF5] = (server.folder / expected_betas("fithrf", "subj01")).with_suffix(".hdf5").read_bytes()
    nsd_imagery.download(root, 1, format="hdf5")
    assert len([request for request in server.asked("GET") if request.key == HDF5]) == 3
    assert same_as_served(root, server)


@pytest.mark.slow
def test_killed_at_any_moment_a_download_goes_on_and_ends_with_the_same_files(server: Bucket, root: Path) -> None:
    """Each kill costs no more than the reads that ran."""
    kills = benchmark("download").killed_downloads(server, root, n_kills=6, seed=0)
    assert kills.n_killed == 6
    assert same_as_served(root, server)
    assert HDF5 in in_tree(root)
    assert server.sent <= kills.n_bytes + kills.n_killed * PARTS_AT_ONCE * PART
    assert sorted(path.name for path in download_folder(root).iterdir()) == ["lock", "record.json"]


def test_ctrl_c_ends_it_also_where_the_server_is_silent(server: Bucket, root: Path) -> None:
    server.faults.append(Fault(HDF5, "stall", 100_000))
    command = [sys.executable, "-m", "nsd_imagery", "download", str(root), "--subjects", "1", "--format", "hdf5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any(request.key == HDF5 for request in list(server.requests)):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=15)  # less than the silence after which it would ask again
    assert process.returncode == 130
    assert said.endswith("stopped; nothing is broken, run the same command again to go on\n")
    assert HDF5 not in in_tree(root)


# The commands.


@pytest.mark.slow
def test_the_command_says_what_it_will_do_and_what_it_did(server: Bucket, root: Path) -> None:
    done = run("download", root, "--subjects", "subj01")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["subj01", "betas_nsdimagery.nii.gz", "4.1", "MB", "to", "fetch"]
    assert lines[1].startswith("  subj01  1 map, 12 behaviour files, 41 masks, 11 label tables")
    assert any(f"16.1 MB to fetch from {server.url} (90 of 90 files)" in line for line in lines)
    assert f"{root}: 90 files fetched (16.1 MB), proven by their ETags" in lines
    assert lines[-1] == f"Next: nsd-imagery build {root}"
    assert done.stderr.count("\n") == 90
    again = run("download", root, "--subjects", "subj01")
    assert f"{root}: all is there, nothing was fetched" in again.stdout
    assert again.stderr == ""


def test_programs_get_json_alone(server: Bucket, own: Path) -> None:
    done = run("download", own, "--subjects", "1", "--dry-run", "--json")
    facts = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert (facts["dry_run"], facts["source"], facts["bytes_fetched"]) == (True, server.url, 0)
    assert {"path", "subject", "kind", "size", "state", "proof"} == set(facts["files"][0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--subjects", "9"], 2), ([], 2), (["--subjects", "1", "--betas", "fithrf", "--dry-run"], 1)],
)
def test_the_exit_status_says_whether_it_was_called_wrongly(
    server: Bucket, root: Path, arguments: list[str], status: int
) -> None:
    server.changed[f"{expected_betas('fithrf', 'subj01')}.nii.gz"] = None
    assert run("download", root, *arguments).returncode == status


def test_a_bucket_that_cannot_be_reached_is_one_line(server: Bucket, root: Path) -> None:
    said = fails(SourceError, root, source="http://127.0.0.1:9/b")
    assert said.startswith("http://127.0.0.1:9/b: cannot be reached (Connection refused)")
    assert not root.exists()


@pytest.mark.slow
def test_quickstart_goes_from_nothing_to_a_dataset_and_does_nothing_twice(
    server: Bucket, tmp_path: Path, hf_cache: str
) -> None:
    first = run("quickstart", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert [line[:3] for line in first.stdout.splitlines() if line[1:3] == "/4"] == ["1/4", "2/4", "3/4", "4/4"]
    assert 'Next, in Python: load_dataset("./nsd_imagery", "subj01-imagery")' in first.stdout
    imagery = load_dataset(str(tmp_path / "nsd_imagery"), "subj01-imagery", split="test", cache_dir=hf_cache)
    assert imagery.num_rows == 288
    assert nsd_imagery.verify(tmp_path / "nsd_imagery", root=tmp_path / "cache").passed
    server.requests.clear()
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "nsd_imagery").rglob("test-*.arrow")}
    second = run("quickstart", "--root", "cache", "--json", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert {request.method for request in server.requests} == {"LIST"}
    assert "3/4 verify    as when the dataset was built" in second.stderr
    assert "4/4 build     nsd_imagery is up to date" in second.stderr
    assert json.loads(second.stdout)["n_fetched"] == 0
    assert len(shards) == 3
    assert {path: path.stat().st_mtime_ns for path in shards} == shards


@pytest.mark.slow
def test_quickstart_builds_nothing_of_what_does_not_pass(server: Bucket, own: Path, tmp_path: Path) -> None:
    """Betas in another order than the trials are sound, and only verify sees that they are not what labels say."""
    turned = shutil.copyfile(Path(server.folder) / HDF5, tmp_path / "turned.hdf5")
    with h5py.File(turned, "r+") as file:
        file["betas"][...] = file["betas"][:][::-1]
    server.changed[HDF5] = turned.read_bytes()
    (own / PACKED).unlink()
    done = run("quickstart", "--root", own, cwd=tmp_path)
    assert done.returncode == 1
    assert "fail" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "nsd_imagery" / "README.md").exists()
