"""The hub as it should not be: what it answers is believed only where it makes sense, and else is one line."""

import json
import os
import re
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

import nsd_imagery
from conftest import HUB, sign_in
from folders import files, own
from hub import Answer, Fault, Hub
from misanswers import Change, all_of, body, header, items, sent, status
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.errors import HubError, MissingDataError, NSDImageryError
from nsd_imagery.share import remote
from nsd_imagery.share.client import Watch

# Of huggingface_hub's own upload by plain HTTP.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")]

REPO = "me/nsd-imagery"

HARMLESS = {
    "info": {"a card"},
    "create": {"401", "402", "403", "403 control"},  # the repo is there and private, whatever was said of it
    "batch": {"the same twice"},
    "resolve": {"a size of letters"},
}
"""What a push or pull goes on with, because it does not use what is wrong."""
if not hasattr(huggingface_hub, "set_client_factory"):  # before 1.0 it went on with fewer of them
    HARMLESS |= {"create": {"403", "403 control"}, "resolve": set()}


@pytest.fixture(scope="module")
def built(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """V1 of subj01."""
    return nsd_imagery.build(release, tmp_path_factory.mktemp("built") / "V1", subjects=["subj01"], roi=["V1"])


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return own(built, tmp_path / "nsd_imagery")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One second of silence is enough, and nobody sleeps between tries."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "1")
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(time, "sleep", lambda _: None)


def said(verb: Callable[[], object]) -> NSDImageryError:
    """The error of a push or pull, which is one line and gives nothing away."""
    with pytest.raises(NSDImageryError) as caught:
        verb()
    shown = "".join(traceback.format_exception(caught.value))
    for text in (str(caught.value), *getattr(caught.value, "__notes__", [])):
        assert text.isprintable(), repr(text)
    for secret in (os.environ["HF_TOKEN"], "signature="):
        assert secret not in shown, shown
    for library in ("huggingface_hub", "httpx", "httpcore", "requests", "urllib3"):
        assert f"/{library}/" not in shown, shown  # what a client went through is no news
    return caught.value


def publish(hub: Hub) -> Callable[[], None]:
    return lambda: setattr(hub.repos[REPO], "private", False)


def cases(*actions: str) -> list[Any]:
    """Endpoint, change and whether that is harmless, of all misanswers of some endpoints."""
    return [
        pytest.param(action, change, name in HARMLESS.get(action, ()), id=f"{action}-{name.replace(' ', '-')}")
        for action in actions
        for name, change in all_of(action).items()
    ]


# Any other answer.


@pytest.mark.parametrize(
    ("action", "change", "is_harmless"),
    cases("info", "create", "tree", "preupload", "batch", "upload", "verify", "commit", "yaml"),
)
def test_whatever_an_endpoint_answers_a_push_is_one_line(
    folder: Path, hub: Hub, impatient: None, action: str, change: Change, is_harmless: bool
) -> None:
    if action in ("info", "tree"):
        hub.put(REPO, {})
    hub.faults.append(Fault(action, 200, change=change))
    if is_harmless:
        nsd_imagery.push(folder, REPO)
    else:
        said(lambda: nsd_imagery.push(folder, REPO))


@pytest.fixture(scope="module")
def pushed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the hub holds of `built`."""
    folder = own(built, tmp_path_factory.mktemp("pushed") / "nsd_imagery")
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch, folder.parent)
        nsd_imagery.push(folder, REPO)
        return HUB.files(REPO)


@pytest.mark.parametrize(("action", "change", "is_harmless"), cases("info", "resolve", "download"))
def test_whatever_an_endpoint_answers_a_pull_is_one_line_and_writes_nowhere_else(
    pushed: dict[str, bytes],
    hub: Hub,
    tmp_path: Path,
    impatient: None,
    action: str,
    change: Change,
    is_harmless: bool,
) -> None:
    hub.put(REPO, pushed)
    hub.faults.append(Fault(action, 200, change=change))
    if is_harmless:
        nsd_imagery.pull(REPO, tmp_path / "a/pulled")
    else:
        said(lambda: nsd_imagery.pull(REPO, tmp_path / "a/pulled"))
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("name", ["another id", "an id in other letters", "of a model", "no private", "private 1"])
def test_nothing_is_sent_on_the_word_of_an_answer_that_is_not_of_the_repo(folder: Path, hub: Hub, name: str) -> None:
    hub.put(REPO, {})
    hub.faults.append(Fault("info", 200, change=all_of("info")[name]))
    assert isinstance(said(lambda: nsd_imagery.push(folder, REPO)), HubError)
    assert {request.method for request in hub.requests} == {"GET"}


def test_a_repo_that_was_renamed_is_not_followed(folder: Path, hub: Hub) -> None:
    hub.put("me/renamed", {})
    hub.put(REPO, {})
    moved = status(307, Location="/api/datasets/me/renamed")
    hub.faults.append(Fault("info", 200, change=moved))
    assert "name it as it is called now" in str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert len(hub.requests) == 1
    hub.faults[:] = [Fault("commit", 200, change=status(307, Location="/api/datasets/me/renamed/commit/main"))]
    assert "name it as it is called now" in str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert hub.files("me/renamed") == {}
    assert len(hub.actions("commit")) == 1


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("preupload", items(lambda file: {**file, "shouldIgnore": True}, "files")),
        ("batch", items(lambda entry: {"oid": entry["oid"], "size": entry["size"]}, "objects")),
        ("tree", body([])),
    ],
)
def test_a_push_ends_well_only_if_the_last_commit_holds_every_file(
    folder: Path, hub: Hub, action: str, change: Change
) -> None:
    hub.faults.append(Fault(action, 200, change=change))
    said(lambda: nsd_imagery.push(folder, REPO))
    hub.faults.clear()
    nsd_imagery.push(folder, REPO)
    assert len(hub.files(REPO)) == len(files(folder))


def test_a_fault_of_ours_while_the_hub_is_asked_is_not_laid_on_the_hub(hub: Hub) -> None:
    with pytest.raises(AttributeError, match="no_such_thing"), remote.hub(REPO) as link, remote.asking(link):
        link.api.no_such_thing()


def test_what_was_handled_before_is_not_what_is_said_now(folder: Path, hub: Hub) -> None:
    hub.faults.append(Fault("create", 0))
    try:
        open_manifest(folder / "nowhere")
    except MissingDataError:
        assert "no answer from" in str(said(lambda: nsd_imagery.push(folder, REPO)))


def test_a_refusal_is_said_even_if_what_it_says_has_no_shape(folder: Path, hub: Hub) -> None:
    hub.faults.append(Fault("create", 200, change=status(403, None)))
    hub.faults.append(Fault("info", 200, change=status(403, None)))
    assert "your token may not do this" in str(said(lambda: nsd_imagery.push(folder, REPO)))


def test_nothing_goes_up_but_by_a_push_that_looks_first(hub: Hub) -> None:
    hub.put(REPO, {})
    with pytest.raises(HubError, match="nothing may go up now"), remote.hub(REPO) as link:
        link.api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=REPO, repo_type="dataset")
    assert not hub.requests


@pytest.mark.parametrize(
    ("name", "hash12"), [("subj01-vision-V1", "/../../../ev"), ("subj01-\x1b[2J", None), ("subj01-\u202enoisiv", None)]
)
def test_a_name_in_a_manifest_leads_nowhere_else_and_is_not_printed_raw(
    pushed: dict[str, bytes], hub: Hub, tmp_path: Path, name: str, hash12: str | None
) -> None:
    manifest = json.loads(pushed["manifest.json"])
    config = manifest["configs"].pop("subj01-vision-V1")
    (shard,) = config["splits"]["test"]
    shard["hash"] = (hash12 or shard["hash"][:12]) + shard["hash"][12:]
    shard["file"] = f"{name}/test-00000-of-00001-{shard['hash'][:12]}.arrow"
    manifest["configs"] = {name: config}
    hub.put(REPO, {**pushed, "manifest.json": json.dumps(manifest).encode()})
    steps: list[str] = []
    error = said(lambda: nsd_imagery.pull(REPO, tmp_path / "a/b/pulled", progress=lambda *step: steps.append(step[2])))
    assert re.search("no path in a repo|does not write|is the name of no config|has hash", str(error))
    assert "".join(steps).isprintable()
    assert not list(tmp_path.rglob("*ev.*"))


# A hub that says nothing.


@pytest.mark.parametrize("headers", [{"Retry_After": "86400"}, {"RateLimit": '"api";r=0;t=86400'}])
def test_a_hub_that_asks_to_wait_for_a_day_is_not_waited_for(
    folder: Path, hub: Hub, impatient: None, headers: dict[str, str]
) -> None:
    hub.put(REPO, {})
    hub.faults.append(Fault("tree", 200, change=status(429, b"", **headers)))
    assert "asks to wait 86400 s" in str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert len(hub.actions("tree")) == 1


@pytest.mark.parametrize("action", ["info", "create", "tree", "preupload", "batch", "upload", "verify", "commit"])
def test_a_hub_that_never_answers_a_push_is_given_up(folder: Path, hub: Hub, impatient: None, action: str) -> None:
    hub.faults.append(Fault(action, 200, change=sent(silent=True)))
    assert isinstance(said(lambda: nsd_imagery.push(folder, REPO)), HubError)
    assert (len(hub.actions(action)), hub.busy) == (1, 1)


@pytest.mark.parametrize("action", ["info", "resolve", "download"])
def test_a_hub_that_never_answers_a_pull_is_given_up(
    folder: Path, hub: Hub, tmp_path: Path, impatient: None, action: str
) -> None:
    nsd_imagery.push(folder, REPO)
    hub.faults.append(Fault(action, 200, change=sent(silent=True)))
    assert isinstance(said(lambda: nsd_imagery.pull(REPO, tmp_path / "pulled")), HubError)
    assert hub.busy


@pytest.mark.parametrize("action", ["info", "tree", "commit"])
def test_a_hub_that_answers_byte_by_byte_is_given_up(folder: Path, hub: Hub, impatient: None, action: str) -> None:
    hub.faults.append(Fault(action, 200, change=sent(pause=0.2)))
    assert "within 1 s" in str(said(lambda: nsd_imagery.push(folder, REPO)))


def test_a_list_of_files_without_an_end_is_given_up(folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nsd_imagery.share.client._MOST_PAGES", 9)
    hub.put(REPO, {})
    again = f'<{hub.url}/api/datasets/{REPO}/tree/main?page>; rel="next"'
    hub.faults.append(Fault("tree", 200, change=header(Link=again)))
    assert "lists its files without an end" in str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert len(hub.actions("tree")) == 1 + 9  # by the commit, then by the branch


# Public, for a moment.


@pytest.mark.parametrize(
    ("action", "after"), [("preupload", 1), ("batch", 1), ("upload", 2), ("verify", 0), ("commit", 0)]
)
def test_a_repo_that_becomes_public_during_a_push_is_made_private_and_gets_no_more(
    folder: Path, hub: Hub, action: str, after: int
) -> None:
    hub.faults.append(Fault(action, 200, after=after, times=1, then=publish(hub)))
    message = str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert "became public while this push sent it files" in message
    assert "it is private again, and nothing more is sent; gone up by then: " in message
    assert ("manifest.json, README.md" if action == "commit" else ".parquet") in message
    assert hub.repos[REPO].private
    at = next(number for number, request in enumerate(hub.requests) if request.said is False)
    later = hub.requests[at + 1 :]
    assert not any(request.content for request in later)
    assert [request.action for request in later][-2:] == ["settings", "info"]


def test_an_upload_is_repeated_only_after_another_look(folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.faults.append(Fault("upload", 503, times=1, then=publish(hub)))
    assert "it is private again" in str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert len(hub.actions("upload")) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (status(403, {"error": "not you"}), "your token may not do this"),
        (status(500), "the hub answered 500"),
        (status(200, None), "it is said to be public still"),
    ],
)
def test_a_repo_that_cannot_be_made_private_again_is_said_to_be_public_and_where_to_mend_it(
    folder: Path, hub: Hub, change: Change, why: str
) -> None:
    def stay(right: Answer) -> Answer:
        publish(hub)()
        return change(right)

    hub.faults.append(Fault("upload", 200, times=1, then=publish(hub)))
    hub.faults.append(Fault("settings", 200, change=stay))
    message = str(said(lambda: nsd_imagery.push(folder, REPO)))
    assert "it could not be made private again (" in message
    assert why in message
    assert f"do that at {hub.url}/datasets/{REPO}/settings now" in message
    assert len(hub.actions("upload")) == 1


def test_each_request_that_holds_something_of_a_file_comes_directly_after_a_look(folder: Path, hub: Hub) -> None:
    nsd_imagery.push(folder, REPO)
    bringing = [number for number, request in enumerate(hub.requests) if request.content]
    assert len(bringing) > 2 * len(list(folder.rglob("*.arrow")))
    for number in bringing:
        assert (hub.requests[number - 1].action, hub.requests[number - 1].said) == ("info", True)
    assert [request.said for request in hub.requests if request.action in ("commit", "info")][-1] is True


# A token stays where it is.


@pytest.mark.parametrize("action", ["info", "tree", "preupload", "batch", "upload", "commit"])
@pytest.mark.parametrize(
    "echo",
    [
        lambda token: status(403, {"error": f"no {token} here"}),
        lambda token: status(400, f"Bearer {token}".encode()),
        lambda token: status(500, {"errors": [{"message": f"{token}"}]}),
        lambda token: status(404, b"", X_Error_Message=f"{token} is no one", X_Error_Code="RepoNotFound"),
        lambda token: header(ETag=f'"../{token}"'),
    ],
    ids=["body", "bearer", "errors", "header", "etag"],
)
def test_a_token_that_comes_back_is_not_shown(
    folder: Path, hub: Hub, impatient: None, action: str, echo: Callable[[str], Change]
) -> None:
    hub.put(REPO, {})
    hub.faults.append(Fault(action, 200, change=echo(os.environ["HF_TOKEN"])))
    said(lambda: nsd_imagery.push(folder, REPO))


@pytest.mark.parametrize("action", ["info", "tree", "preupload", "batch", "commit"])
@pytest.mark.parametrize(
    "echo",
    [
        lambda token: status(307, Location=f"http://me:{token}@localhost:9/{token}"),
        lambda token: status(307, Location=f"/api/{token}?token={token}"),
        lambda token: body({token: [token]}),
        lambda token: body(token),
        lambda token: body([{"type": "file", "path": f"../{token}", "oid": "", "size": 1}]),
        lambda token: body({"id": f"me/{token}", "private": True, "sha": token, "files": [{"path": token}]}),
    ],
    ids=["user", "query", "key", "text", "path", "id"],
)
def test_a_token_that_comes_back_in_an_answer_of_another_shape_is_not_shown(
    folder: Path, hub: Hub, impatient: None, action: str, echo: Callable[[str], Change]
) -> None:
    hub.put(REPO, {})
    hub.faults.append(Fault(action, 200, change=echo(os.environ["HF_TOKEN"])))
    said(lambda: nsd_imagery.push(folder, REPO))


def test_a_token_goes_to_the_hub_alone(folder: Path, hub: Hub, impatient: None) -> None:
    elsewhere = hub.storage
    for action, change in (
        ("tree", header(Link=f'<{elsewhere}/next>; rel="next"')),
        (
            "batch",
            items(lambda entry: {**entry, "actions": {**entry["actions"], "verify": {"href": elsewhere}}}, "objects"),
        ),
    ):
        hub.clear()
        hub.token("me")
        hub.faults.append(Fault(action, 200, change=change))
        assert "asks for your token at http://localhost" in str(said(lambda: nsd_imagery.push(folder, REPO)))
        assert not hub.actions("unknown")


def test_what_is_asked_of_an_encrypted_hub_is_asked_of_nobody_in_the_open(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    watch = Watch(REPO)
    watch.asked("GET", "https://storage.example.org/a", {})
    with pytest.raises(HubError, match="which is not encrypted"):
        watch.asked("GET", "http://storage.example.org/a", {})


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("see https://me:hush@example.org/x", "hush"),
        ("see http://hush@example.org/x", "hush"),
        ("authorization: Bearer hush-hush", "hush"),
        ("hf_" + "hush" * 8 + " is wrong", "hush"),
        ("GET (…)/f00?X-Amz-Signature=hush&a=b)", "hush"),
        ("a\x1b[2Jb\x07", "\x1b"),
    ],
)
def test_what_opens_something_is_not_in_what_is_said(text: str, hidden: str) -> None:
    with pytest.raises(HubError) as caught, remote.hub(REPO):
        raise OSError(text)
    assert hidden not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_message_and_the_notes_of_an_error_of_ours_are_cleaned(hub: Hub) -> None:
    token = os.environ["HF_TOKEN"]
    error = HubError(f"{token} is wrong")
    error.add_note(f"it was {token}")

    def fail() -> None:
        with remote.hub(REPO):
            raise error

    assert said(fail).__notes__ == ["it was <hidden>"]


def test_a_token_of_any_form_is_not_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "my-own/token")
    with pytest.raises(HubError) as caught, remote.hub(REPO):
        raise OSError("my-own/token or my-own%2Ftoken")
    assert "(<hidden> or <hidden>)" in str(caught.value)


def test_a_password_in_the_address_of_the_hub_is_not_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://me:hush@127.0.0.1:9")
    assert remote.url_of(REPO) == f"http://127.0.0.1:9/datasets/{REPO}"


# What is around a call.


def test_with_xet_installed_each_request_is_watched_too(
    folder: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As users have it: `huggingface_hub` brings hf_xet along, which goes past the requests that are watched."""
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    nsd_imagery.push(folder, REPO)
    for before, request in pairwise(hub.requests):
        if request.content:
            assert (before.action, before.said) == ("info", True), request
    assert hub.actions("upload")
    pulled = nsd_imagery.pull(REPO, tmp_path / "pulled")
    assert (pulled / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()
    assert constants.HF_HUB_DISABLE_XET is False


@pytest.mark.parametrize("name", ["a text", "no oid"])
def test_what_is_being_handled_meanwhile_is_not_taken_for_the_hubs_error(
    folder: Path, hub: Hub, impatient: None, name: str
) -> None:
    """As in a program that pushes in an `except`: Python chains what it was handling to what comes next."""
    hub.faults.append(Fault("commit", 200, change=all_of("commit")[name]))
    errors = []
    try:
        open_manifest(folder.parent)
    except MissingDataError:
        errors.append(said(lambda: nsd_imagery.push(folder, REPO)))
    assert [type(error) for error in errors] == [HubError]


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/x", "a//x", "a\\..\\x", "a\nb", ""])
def test_no_file_is_brought_to_a_path_that_leads_out_of_the_folder(hub: Hub, tmp_path: Path, path: str) -> None:
    hub.put(REPO, {"x": b"1"})
    revision = hub.repos[REPO].head
    with pytest.raises(HubError, match="which is no path in a repo"), remote.hub(REPO) as link:
        remote.download(link, path, revision, tmp_path / "folder")
    assert not hub.actions("resolve")
