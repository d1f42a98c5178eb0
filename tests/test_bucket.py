"""Listings, heads and reads of a bucket: right bytes or one line, whatever the server and the environment do."""

import asyncio
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import bucket as loopback
from bucket import Fault
from nsd_imagery.errors import AccessError, DataError, MissingDataError, NSDImageryError, SourceError, UsageError
from nsd_imagery.fetch import client
from nsd_imagery.fetch.address import Address, address_of
from nsd_imagery.fetch.bucket import AT_ONCE, Bucket, Object, Read, open_bucket

DESIGN = "nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat"
BETAS = "nsddata_betas/ppdata/subj01/func1pt8mm/nsdimagerybetas_fithrf/betas_nsdimagery.hdf5"


@pytest.fixture(scope="module")
def served(release: Path) -> Iterator[loopback.Bucket]:
    with loopback.serving(release) as server:
        yield server


@pytest.fixture
def server(served: loopback.Bucket, monkeypatch: pytest.MonkeyPatch) -> loopback.Bucket:
    """A bucket of `release` that nobody has asked anything, and a client that soon gives up."""
    served.clear()
    monkeypatch.setattr("nsd_imagery.fetch.bucket._BREATH", 0.002)  # this process goes on
    monkeypatch.setattr(client, "_SILENCE", 0.2)
    monkeypatch.setattr(client, "_TRIES", 2)
    monkeypatch.setattr(client, "_FIRST_PAUSE", 0.01)
    return served


@pytest.fixture
def bucket(server: loopback.Bucket) -> Iterator[Bucket]:
    with open_bucket(server.url) as opened:
        yield opened


def fetched(bucket: Bucket, reads: list[Read]) -> list[bytes]:
    found = {place: bytes(data) for place, data in bucket.get_all(reads)}
    return [found[place] for place in range(len(reads))]


def why(bucket: Bucket, read: Read) -> str:
    """What a read that fails says, in one line."""
    with pytest.raises(NSDImageryError) as caught:
        list(bucket.get_all([read]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_listing_has_every_file_of_its_folders_once_with_size_and_etag(
    bucket: Bucket, server: loopback.Bucket
) -> None:
    server.page_size = 5
    found = bucket.objects(["nsddata/bdata/nsdimagery", "nsddata/templates", "nsddata/bdata"])
    keys = [key for key in server.all_keys() if key.startswith(("nsddata/bdata/", "nsddata/templates/"))]
    assert [one.key for one in found] == keys
    assert [(one.size, one.etag) for one in found] == [(server.size(key), server.etag(key)) for key in keys]


def test_when_an_object_was_put_there_is_known_where_the_server_says_it(bucket: Bucket) -> None:
    (listed, *_), (headed,) = bucket.objects(["nsddata/templates"]), bucket.head([DESIGN])
    assert isinstance(headed, Object)
    assert listed.modified == headed.modified == "2020-10-21T07:28:00Z"


def test_a_mirror_that_lists_etags_without_quotes_is_asked_by_those_that_it_gives(
    bucket: Bucket, server: loopback.Bucket
) -> None:
    server.lists_quotes = False
    (one,) = [one for one in bucket.objects(["nsddata/experiments/nsdimagery"]) if one.key == DESIGN]
    assert one.etag == server.etag(DESIGN).strip('"')
    assert fetched(bucket, [Read(DESIGN, one.etag, 0, one.size)]) == [server.whole(DESIGN)]


def test_a_mirror_that_does_not_heed_if_match_gives_no_bytes_of_another_object(
    bucket: Bucket, server: loopback.Bucket
) -> None:
    server.heeds_if_match = False
    assert f"{DESIGN}: was changed in {server.url} while it was fetched" in why(bucket, Read(DESIGN, '"old"', 0, 100))


def test_many_reads_at_once_give_their_own_bytes_and_ask_for_the_etag(bucket: Bucket, server: loopback.Bucket) -> None:
    server.latency = 0.02
    starts = range(0, 600_000, 3000)
    reads = [Read(BETAS, server.etag(BETAS), start, start + 1500) for start in starts]
    contents = server.whole(BETAS)
    assert fetched(bucket, reads) == [contents[start : start + 1500] for start in starts]
    assert server.most_busy == AT_ONCE
    assert {request.headers["if-match"] for request in server.asked("GET")} == {server.etag(BETAS)}


def test_a_stream_hands_on_a_long_read_piece_by_piece_in_its_order(bucket: Bucket, server: loopback.Bucket) -> None:
    waiting = [Read(BETAS, server.etag(BETAS), 0, 3_000_000), Read(BETAS, server.etag(BETAS), 3_000_000, 5_000_000)]
    parts: dict[int, bytes] = {read.start: b"" for read in waiting}
    n_pieces = 0
    for arrived in bucket.stream(lambda: waiting.pop() if waiting else None, 2):
        assert arrived.start == arrived.read.start + len(parts[arrived.read.start])
        parts[arrived.read.start] += arrived.data
        n_pieces += 1
    assert n_pieces > 4
    assert parts[0] + parts[3_000_000] == server.whole(BETAS)[:5_000_000]


def _most_that_a_connection_keeps() -> int:
    """Bytes that the system may take from a server before a client on the same machine has asked for any."""
    limits = [Path(f"/proc/sys/net/ipv4/tcp_{side}mem") for side in "rw"]
    return sum(int(limit.read_text().split()[-1]) for limit in limits if limit.exists())


def test_a_caller_that_takes_slowly_is_waited_for(tmp_path: Path) -> None:
    """So that memory stays bounded: what waits is a piece a read, and what the system keeps of a connection."""
    size = _most_that_a_connection_keeps() + (16 << 20)
    with (tmp_path / "long").open("wb") as file:
        file.truncate(size)
    with loopback.serving(tmp_path) as server, open_bucket(server.url) as bucket:
        waiting = [Read("long", server.etag("long"), 0, size)]
        taken = bucket.stream(lambda: waiting.pop() if waiting else None, 1)
        n_taken = len(next(taken).data)
        time.sleep(0.5)
        assert server.sent < size
        n_taken += sum(len(arrived.data) for arrived in taken)
        assert n_taken == size


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (Fault(DESIGN, value=403), AccessError, f"{DESIGN}: not public in http://"),
        (Fault(DESIGN, value=404), MissingDataError, f"{DESIGN}: not in http://"),
        (Fault(DESIGN, value=412), DataError, "was changed in"),
        (Fault(DESIGN, value=416), DataError, "was changed in"),
        (Fault(DESIGN, value=503), SourceError, "is busy, also when asked again and again (503 SlowDown)"),
        (Fault(DESIGN, value=407), SourceError, "the proxy asks who you are (407)"),
        (Fault(DESIGN, value=418), SourceError, "answered 418"),
        (Fault(DESIGN, "page", method=""), SourceError, "answers with a web page"),
        (Fault(DESIGN, "page", method="GET"), SourceError, "answers with a web page"),
        (Fault(DESIGN, "whole"), SourceError, "does not heed which bytes are asked for"),
        (Fault(DESIGN, "shifted"), SourceError, "answered with other bytes than were asked for"),
        (Fault(DESIGN, "cut", 10), SourceError, "hung up in the midst of a file"),
        (Fault(DESIGN, "stall", 10), SourceError, "is silent"),
        (Fault(DESIGN, "stall", -1), SourceError, "is silent"),
    ],
    ids=lambda value: f"{value.kind}{value.value}" if isinstance(value, Fault) else "",
)
def test_each_fault_of_a_server_is_one_line_and_no_data(
    bucket: Bucket, server: loopback.Bucket, fault: Fault, kind: type[NSDImageryError], says: str
) -> None:
    server.faults.append(fault)
    read = Read(DESIGN, server.etag(DESIGN), 0, 3000)
    assert says in why(bucket, read)
    server.faults.clear()
    assert fetched(bucket, [read]) == [server.whole(DESIGN)[:3000]]
    server.faults.append(fault)
    with pytest.raises(kind):
        list(bucket.get_all([read]))


@pytest.mark.parametrize("fault", [Fault("", value=503, times=2), Fault("", "cut", 999, 2), Fault("", "stall", 999, 1)])
def test_what_fails_once_or_twice_is_asked_again_for_the_rest_and_for_the_same_contents(
    bucket: Bucket, server: loopback.Bucket, fault: Fault
) -> None:
    server.faults.append(fault)
    assert fetched(bucket, [Read(DESIGN, server.etag(DESIGN), 0, 3000)]) == [server.whole(DESIGN)[:3000]]
    assert len(server.asked("GET")) == 2 + (fault.kind != "stall")
    assert all(request.headers["if-match"] == server.etag(DESIGN) for request in server.asked("GET"))


def test_a_file_that_is_another_by_now_is_not_read(bucket: Bucket, server: loopback.Bucket) -> None:
    (seen,) = (one for one in bucket.objects(["nsddata/experiments/nsdimagery"]) if one.key == DESIGN)
    server.changed[DESIGN] = bytes(seen.size)
    assert "was changed in" in why(bucket, Read(DESIGN, seen.etag, 0, 10))


def test_heads_tell_of_each_key_what_it_is_or_why_not(bucket: Bucket, server: loopback.Bucket) -> None:
    server.faults.append(Fault("B_pair_list.mat", value=403, method="HEAD"))
    there, private, absent = bucket.head([DESIGN, DESIGN.replace("designmatrixGLMsingle", "B_pair_list"), "nsddata/x"])
    assert there == Object(DESIGN, len(server.whole(DESIGN)), server.etag(DESIGN))
    assert isinstance(private, AccessError)
    assert isinstance(absent, MissingDataError)
    server.faults.append(Fault(DESIGN, "page", method="HEAD"))
    with pytest.raises(SourceError, match="web page"):
        bucket.head([DESIGN])


def test_a_bucket_that_lists_nothing_to_anybody_says_so(bucket: Bucket, server: loopback.Bucket) -> None:
    server.faults.append(Fault("", value=403, method="LIST"))
    with pytest.raises(AccessError, match=r"not public in http.* \(403 AccessDenied\)"):
        bucket.objects(["nsddata"])


def test_a_bucket_in_another_region_is_named_with_the_address_to_write(bucket: Bucket, server: loopback.Bucket) -> None:
    server.faults.append(Fault("", value=301, method="", headers={"x-amz-bucket-region": "eu-west-3"}))
    with pytest.raises(SourceError, match=r"region eu-west-3; .* --source https://natural.*\.s3\.eu-west-3\.amazonaws"):
        bucket.objects(["nsddata"])


def test_where_nobody_answers_there_is_one_line(server: loopback.Bucket) -> None:
    with open_bucket("http://127.0.0.1:9/bucket") as nobody:
        assert "http://127.0.0.1:9/bucket: cannot be reached (Connection refused)" in why(nobody, Read("x", "", 0, 1))
    with open_bucket("http://nowhere.invalid/bucket") as nobody:
        assert "no such host is known here" in why(nobody, Read("x", "", 0, 1))


def test_a_certificate_that_nobody_vouches_for_is_refused(server: loopback.Bucket, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate")
    names = ["-subj", "/CN=localhost", "-keyout", tmp_path / "key", "-out", tmp_path / "certificate"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate", tmp_path / "key")
    with loopback.serving(server.folder, tls=context) as secret, open_bucket(secret.url) as bucket:
        assert "its certificate is not trusted" in why(bucket, Read(DESIGN, server.etag(DESIGN), 0, 10))
        assert not secret.requests


HIJACKS = {
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ENDPOINT": "http://127.0.0.1:9",
    "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    "AWS_S3_EXPRESS": "true",
    "AWS_SKIP_SIGNATURE": "false",
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SESSION_TOKEN": "secret",
    "AWS_REGION": "eu-west-1",
    "AWS_BUCKET": "another",
    "AWS_REQUEST_PAYER": "true",
    "AWS_SERVER_SIDE_ENCRYPTION": "sse-c",
    "AWS_SSE_CUSTOMER_KEY_BASE64": "c2VjcmV0",
    "AWS_ALLOW_HTTP": "false",
    "AWS_TIMEOUT": "1ms",
}


@pytest.mark.parametrize(
    "names", [*([name] for name in HIJACKS), list(HIJACKS)], ids=lambda names: "+".join(names)[:40]
)
def test_the_environment_changes_neither_where_is_asked_nor_as_whom(
    server: loopback.Bucket, monkeypatch: pytest.MonkeyPatch, names: list[str]
) -> None:
    for name in names:
        monkeypatch.setenv(name, HIJACKS[name])
    with open_bucket(server.url) as bucket:
        assert bucket.objects(["nsddata/templates"])
        assert fetched(bucket, [Read(DESIGN, server.etag(DESIGN), 0, 10)]) == [server.whole(DESIGN)[:10]]
    plain = {"accept", "user-agent", "host", "range", "if-match"}
    assert all(set(request.headers) <= plain for request in server.requests)


def test_it_works_where_a_loop_runs_already(server: loopback.Bucket) -> None:
    """As in a notebook."""

    async def cell() -> list[bytes]:
        with open_bucket(server.url) as bucket:
            return fetched(bucket, [Read(DESIGN, server.etag(DESIGN), 0, 10)])

    assert asyncio.run(cell()) == [server.whole(DESIGN)[:10]]


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("s3://some-bucket", Address("s3://some-bucket", "some-bucket", "https://some-bucket.s3.amazonaws.com", True)),
        ("http://localhost:80/b", Address("http://localhost:80/b", "b", "http://localhost:80", False)),
        ("https://mirror.org/nsd/", Address("https://mirror.org/nsd", "nsd", "https://mirror.org", False)),
        (
            "https://nsd.s3.us-east-2.amazonaws.com",
            Address(*["https://nsd.s3.us-east-2.amazonaws.com", "nsd"], "https://nsd.s3.us-east-2.amazonaws.com", True),
        ),
    ],
)
def test_a_source_is_a_bucket_as_people_write_it(source: str, address: Address) -> None:
    assert address_of(source) == address


@pytest.mark.parametrize(
    "source",
    [
        "",
        "natural-scenes-dataset",
        "s3://",
        "s3://b/folder",
        "https://mirror.org",
        "http://me:pw@h/b",
        "ftp://h/b",
        "http://h:99999/b",
        "http://h:x/b",
        "http://[::1/b",
    ],
)
def test_what_is_no_bucket_is_refused(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSD_IMAGERY_SOURCE", source or "nowhere")
    with pytest.raises(UsageError, match="is no bucket; write s3://BUCKET"):
        address_of(source or None)


def test_without_a_source_it_is_that_of_the_environment_else_the_public_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSD_IMAGERY_SOURCE", "https://mirror.org/nsd")
    assert address_of().name == "https://mirror.org/nsd"
    monkeypatch.delenv("NSD_IMAGERY_SOURCE")
    assert address_of().endpoint == "https://natural-scenes-dataset.s3.amazonaws.com"


def test_no_thread_of_it_is_left() -> None:
    with open_bucket("http://127.0.0.1:9/bucket"):
        assert "bucket" in {thread.name for thread in threading.enumerate()}
    assert "bucket" not in {thread.name for thread in threading.enumerate()}


ENDS_AT_ONCE = """
import sys
from nsd_imagery.errors import SourceError
from nsd_imagery.fetch.bucket import Read, open_bucket
from nsd_imagery.fetch import client
client._TRIES = 1
with open_bucket(sys.argv[1]) as bucket:
    try:
        found = bucket.objects(["nsddata", "truth", "annotations"])
        taken = bucket.get_all([Read(one.key, one.etag, 0, 100) for one in found if one.size >= 100])
        next(taken)
    except SourceError:
        print("no answer")
"""


@pytest.mark.slow
@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9/bucket"])
def test_a_process_that_ends_at_once_is_not_torn_down_by_the_clients_threads(server: loopback.Bucket, url: str) -> None:
    """They hand results to Python, or drop them, at a moment of their own."""
    for _ in range(4):
        command = [sys.executable, "-c", ENDS_AT_ONCE, url or server.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "no answer\n" if url else "")
