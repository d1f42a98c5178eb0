"""What a hub must not answer, by the endpoint that does: for tests to hold against push and pull."""

import json
from collections.abc import Callable
from typing import Any

from hub import Answer

Change = Callable[[Answer], Answer]

OTHER = "0" * 64


def body(value: object, **headers: str) -> Change:
    """Another body, with the same status."""
    return lambda right: _like(right, Answer(right.status, value), headers)


def part(**values: object) -> Change:
    """The right answer, with other values; `...` takes one out."""

    def change(right: Answer) -> Answer:
        told = json.loads(right.body)
        told = {name: value for name, value in {**told, **values}.items() if value is not ...}
        return _like(right, Answer(right.status, told), {})

    return change


def items(change: Callable[[dict[str, Any]], object], within: str = "") -> Change:
    """The right answer, with each entry of a list as something else."""

    def changed(right: Answer) -> Answer:
        told = json.loads(right.body)
        entries = told[within] if within else told
        entries[:] = [change(entry) for entry in entries]
        return _like(right, Answer(right.status, told), {})

    return changed


def status(code: int, value: object = b"", **headers: str) -> Change:
    """A status instead of the answer, whatever was done."""
    return lambda right: Answer(code, value, **headers)


def header(**headers: str) -> Change:
    """The right answer with other headers."""
    return lambda right: _like(right, Answer(right.status, right.body), headers)


def sent(**how: Any) -> Change:
    """The right answer, sent in another way: silent, cut, pause."""

    def change(right: Answer) -> Answer:
        for name, value in how.items():
            setattr(right, name, value)
        return right

    return change


def _like(right: Answer, made: Answer, headers: dict[str, str]) -> Answer:
    made.headers = {**right.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return made


SHAPES: dict[str, Change] = {
    "null": body(None),
    "a list": body([]),
    "a list of nulls": body([None]),
    "a number": body(5),
    "a text": body("yes"),
    "nothing": body(b""),
    "an empty object": body({}),
    "HTML": body(b"<html><body>Welcome</body></html>", Content_Type="text/html"),
    "half of JSON": body(b'{"id": "me/'),
    "no UTF-8": body(b'{"id": "\xff\xfe"}'),
    "deep JSON": body(b"[" * 100_000),
    "a body that is cut": sent(cut=1),
    "more than it says": header(Content_Length="100000"),
    "less than it says": header(Content_Length="1"),
    "no gzip": header(Content_Encoding="gzip"),
    "a loop": status(307, Location="?again"),
    "another repo": status(307, Location="/api/datasets/you/other"),
    "nowhere": status(302, Location="http://[::1"),
}
"""Of any endpoint that answers JSON."""

_CODES = (400, 401, 402, 403, 404, 409, 412, 413, 429, 500, 502, 503)
ERRORS: dict[str, Change] = {
    **{
        f"{code}": status(code, {"error": "no"})
        for code in (400, 401, 402, 403, 404, 409, 412, 413, 429, 500, 502, 503)
    },
    "403 null": status(403, None),
    "404 a list": status(404, [1]),
    "409 a number": status(409, 5),
    "413 errors": status(413, {"errors": [1, None]}),
    "500 HTML": status(500, b"<html>\x00\x1b[2J", Content_Type="text/html"),
    "403 control": status(403, b"no\x1b[2J\x07\r\n\tnever"),
    "429 a day": status(429, b"", Retry_After="86400"),
    "429 window": status(429, b"", RateLimit='"api";r=0;t=86400', RateLimit_Policy='"fixed window";"api";q=1;w=86400'),
}
"""Of any endpoint."""

OWN: dict[str, dict[str, Change]] = {
    "info": {
        "another id": part(id="you/other"),
        "an id in other letters": part(id="ME/nsd-imagery"),
        "no id": part(id=...),
        "id null": part(id=None),
        "of a model": part(type="model"),
        "no private": part(private=...),
        "private null": part(private=None),
        "private 1": part(private=1),
        "private a text": part(private="true"),
        "sha null": part(sha=None),
        "no sha": part(sha=...),
        "sha a number": part(sha=5),
        "sha a path": part(sha="../../../../etc"),
        "siblings of nulls": part(siblings=[None]),
        "siblings without a name": part(siblings=[{}]),
        "siblings a number": part(siblings=7),
        "lfs a text": part(siblings=[{"rfilename": "a", "lfs": "b"}]),
        "a date": part(lastModified="yesterday"),
        "a card": part(cardData={"configs": 5, "language": {"a": [None]}}),
    },
    "create": {
        "409 without a url": status(409, {"error": "there"}),
        "409 for ever": status(409, b"Cannot create repo: another conflicting operation is in progress"),
        "url null": body({"url": None}),
    },
    "tree": {
        "nulls": body([None]),
        "no type": body([{"path": "a", "oid": "b", "size": 1}]),
        "no path": body([{"type": "file", "oid": "b", "size": 1}]),
        "path null": body([{"type": "file", "path": None, "oid": "b", "size": 1}]),
        "a path out": body([{"type": "file", "path": "../../evil", "oid": "b", "size": 1}]),
        "a path from the root": body([{"type": "file", "path": "/tmp/evil", "oid": "b", "size": 1}]),
        "a path that rings": body([{"type": "file", "path": "evil\x1b[2J\x07", "oid": "b", "size": 1}]),
        "oid null": body([{"type": "file", "path": "a", "oid": None, "size": 1}]),
        "lfs a text": body([{"type": "file", "path": "a", "oid": "b", "size": 1, "lfs": "c"}]),
        "lfs without sha256": body([{"type": "file", "path": "a", "oid": "b", "size": 1, "lfs": {"size": 1}}]),
        "lfs of a number": body(
            [{"type": "file", "path": "a", "oid": "b", "size": 1, "lfs": {"oid": 5, "size": 1, "pointerSize": 1}}]
        ),
        "the next page elsewhere": header(Link='<http://localhost:9/next>; rel="next"'),
        "pages without an end": header(Link='<?again>; rel="next"'),
    },
    "preupload": {
        "no files": body({"files": []}),
        "files null": body({"files": [None]}),
        "no mode": items(lambda file: {"path": file["path"]}, "files"),
        "no shouldIgnore": items(lambda file: {"path": file["path"], "uploadMode": "lfs"}, "files"),
        "another mode": items(lambda file: {**file, "uploadMode": "fax"}, "files"),
        "all ignored": items(lambda file: {**file, "shouldIgnore": True}, "files"),
        "another path": items(lambda file: {**file, "path": "../evil"}, "files"),
    },
    "batch": {
        "other oids": items(lambda entry: {**entry, "oid": OTHER}, "objects"),
        "the same twice": lambda right: _like(
            right, Answer(200, {"objects": 2 * json.loads(right.body)["objects"]}), {}
        ),
        "objects null": body({"objects": [None]}),
        "no upload": items(lambda entry: {**entry, "actions": {}}, "objects"),
        "nothing to do": items(lambda entry: {"oid": entry["oid"], "size": entry["size"]}, "objects"),
        "actions a text": items(lambda entry: {**entry, "actions": "go"}, "objects"),
        "no href": items(lambda entry: {**entry, "actions": {"upload": {}}}, "objects"),
        "a file": items(lambda entry: {**entry, "actions": {"upload": {"href": "file:///etc/passwd"}}}, "objects"),
        "no parts": items(
            lambda entry: {**entry, "actions": {"upload": {"href": "/x", "header": {"chunk_size": "0"}}}}, "objects"
        ),
        "verified elsewhere": items(
            lambda entry: {
                **entry,
                "actions": {**entry["actions"], "verify": {"href": "http://localhost:9/verify"}},
            },
            "objects",
        ),
        "an error": items(lambda entry: {**entry, "error": {"message": "no", "code": 5}}, "objects"),
        "no error": items(lambda entry: {**entry, "error": None}, "objects"),
    },
    "commit": {
        "no oid": part(commitOid=...),
        "oid null": part(commitOid=None),
        "oid a number": part(commitOid=5),
        "oid a path": part(commitOid="../../evil"),
        "no url": part(commitUrl=...),
        "url null": part(commitUrl=None),
    },
    "resolve": {
        "no commit": lambda right: _without(right, "X-Repo-Commit"),
        "no etag": lambda right: _without(_without(right, "ETag"), "X-Linked-ETag"),
        "an etag out": lambda right: _like(
            right, Answer(right.status, right.body), {"ETag": '"../../../evil"', "X_Linked_ETag": '"../../../evil"'}
        ),
        "another size": header(X_Linked_Size="7"),
        "a size of letters": header(X_Linked_Size="many"),
        "404": status(404, b"", X_Error_Code="EntryNotFound"),
        "a loop": status(302, Location="?again"),
        "500": status(500),
        "403": status(403),
        "HTML": body(b"<html>"),
    },
    "download": {
        "other bytes": body(b"PAR1 never PAR1"),
        "cut": sent(cut=10),
        "a loop": status(302, Location="?again"),
        "403": status(403, b"<Error>no</Error>"),
        "404": status(404),
        "nothing": body(b""),
    },
}
"""Of one endpoint."""

JSON = ("info", "create", "tree", "preupload", "batch", "commit")


def _without(right: Answer, name: str) -> Answer:
    right.headers.pop(name, None)
    return right


def all_of(action: str) -> dict[str, Change]:
    """All that an endpoint must not answer, by name."""
    return {**(SHAPES if action in JSON else {}), **(ERRORS if action != "resolve" else {}), **OWN.get(action, {})}
