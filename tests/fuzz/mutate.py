"""Mutations of a file, as edits that can be written down as text: a reproducer is a recipe, never a data file.

An edit is (at, drop, text, times): at byte `at`, `drop` bytes make way for `text` (one character a byte, latin-1),
repeated. Edits are applied one after the other, and what lies behind the end counts as the end.
"""

import random
import re
import struct
from collections.abc import Callable, Sequence

Edit = tuple[int, int, str, int]

_TOKEN = re.compile(rb'[^\t\n\r ,:;"\[\]{}]+')
_LINE = re.compile(rb"[^\n]*\n?")

_WORDS = [
    *b" |NaN|nan|inf|-inf|-1|-0.0|0|1|2|3|1.5|1e308|-1e308|1e-400|99999999999999999999|2147483648|4294967296".split(
        b"|"
    ),
    *b"-9223372036854775809|1_0|0x10|+1|true|False|null|None|A|Z|subj02|attention|vision|detection|cue".split(b"|"),
    *b"../../etc/passwd|/etc/passwd|.|%s%n|\\|\0|\xff|\xc2|\xed\xa0\x80|\x1b[31m|'|=1+1".split(b"|"),
    *b'"|""|"a|\r|\r\n|\n|\t|,|;|[|]|{|}|[]|{}|""|:|#'.split(b"|"),
    b"",
    "\ufeff".encode(),
    "\uff10".encode(),
    "\u0663".encode(),
    "\u00b2".encode(),
    "\u2028".encode(),
    "\u00a0".encode(),
]
_LONG = [
    (b"9", 400),
    (b"9", 5_000),
    (b"A", 70_000),
    (b"1", 200_000),
    (b"[", 100_000),
    (b'{"a":', 20_000),
    (b"\n", 50_000),
]

_VALUE = re.compile(rb'(?<=[:,\[])\s*("[^"\\]*"(?!\s*:)|-?[0-9][0-9.eE+-]*|true|false|null)')
_KEY = re.compile(rb'"([^"\\]*)"\s*:')
_VALUES = [
    *b"null|true|false|0|1|-1|2|3|7|1000|4096|65536|1000000000|99999999999999999999|0.5|-0.5|1e308|1e999|NaN".split(
        b"|"
    ),
    *b'""|"x"|"../x"|"/etc/passwd"|"a/b"|"\x1b[31m"|"\\u001b[31m"|"\\ud800"|"clip"|"gelu"|"bert"|[]|{}|[1]'.split(b"|"),
    *b'{"a": 1}|{"auto_map": {"AutoModel": "a.B"}}|{"content": "x", "odd": 1}|{"height": 9, "width": 7}'.split(b"|"),
    b"9" * 5_000,
    b'"' + b"A" * 70_000 + b'"',
]
_KEYS = [
    *b"auto_map|quantization_config|attn_implementation|_attn_implementation|transformers_weights|tokenizer_class".split(
        b"|"
    ),
    *b"pad_size|size|crop_size|image_processor_type|vocab_file|tokenizer_file|fast_tokenizer_files|gguf_file".split(
        b"|"
    ),
    *b"text_config_dict|vision_config_dict|per_layer_config|dtype|device_map|init_inputs|extra_special_tokens".split(
        b"|"
    ),
    *b"pad_token|model_max_length|added_tokens_decoder|chat_template|resample|data_format|__metadata__|\x1b[31m|".split(
        b"|"
    ),
]

_INTEGERS = [0, 1, 2, 3, 7, 8, 16, 255, 256, -1, -2]
_FLOATS = [float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e308, 1e-320, 0.5, 352.5]


def apply(contents: bytes, edits: Sequence[Edit]) -> bytes:
    """The contents after some edits."""
    for at, drop, text, times in edits:
        contents = contents[:at] + text.encode("latin-1") * times + contents[at + drop :]
    return contents


def mutate(
    rng: random.Random, contents: bytes, others: Sequence[bytes], head: int, *, is_json: bool = False
) -> list[Edit]:
    """Some edits of a file.

    Args:
        rng: What they are drawn from.
        contents: The file.
        others: Files of the same kind, to take pieces from.
        head: Most edits are before this byte.
        is_json: Most edits give a value of JSON, or a key, the place of another.
    """
    edits: list[Edit] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        end = len(contents) if rng.random() < 0.2 else min(head, len(contents))
        is_text = b"\0" not in contents[:1000]
        mutations = _JSON if is_json and rng.random() < 0.9 else _TEXT if is_text else _BINARY
        edit = rng.choice(mutations)(rng, contents, others, end)
        edits.append(edit)
        contents = apply(contents, [edit])
    return edits


Mutation = Callable[[random.Random, bytes, Sequence[bytes], int], Edit]


def _edit(at: int, drop: int, new: bytes, times: int = 1) -> Edit:
    if len(new) > 8 and len(set(new)) == 1:
        new, times = new[:1], len(new) * times
    return at, drop, new.decode("latin-1"), times


def _flip(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    at = rng.randrange(end + 1)
    old = contents[at] if at < len(contents) else 0
    return _edit(at, 1, bytes([old ^ (1 << rng.randrange(8))]))


def _byte(rng: random.Random, _contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    return _edit(rng.randrange(end + 1), 1, bytes([rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))]))


def _truncate(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    return _edit(rng.randrange(end + 1), len(contents), b"")


def _delete(rng: random.Random, _contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    return _edit(rng.randrange(end + 1), rng.choice((1, 2, 4, 8, rng.randrange(1, 200))), b"")


def _insert(rng: random.Random, _contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    return _edit(rng.randrange(end + 1), 0, rng.randbytes(rng.choice((1, 2, 4, 8, 30))))


def _repeat(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    at, length = rng.randrange(end + 1), rng.choice((1, 8, rng.randrange(1, 300)))
    return _edit(at, 0, contents[at : at + length], rng.choice((1, 2, 100)))


def _splice(rng: random.Random, contents: bytes, others: Sequence[bytes], end: int) -> Edit:
    other = rng.choice(others)
    start, length = rng.randrange(len(other) + 1), rng.randrange(1, 300)
    at = start if rng.random() < 0.5 else rng.randrange(end + 1)
    return _edit(at, rng.choice((0, length, length, len(contents))), other[start : start + length])


def _number(rng: random.Random, _contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice("<>")
    if size > 2 and rng.random() < 0.3:
        new = struct.pack(order + {4: "f", 8: "d"}[size], min(max(rng.choice(_FLOATS), -3e38), 3e38))
    else:
        bits = 8 * size
        value = rng.choice([*_INTEGERS, 1 << rng.randrange(bits), (1 << (bits - 1)) - 1, rng.getrandbits(bits)])
        new = (value % (1 << bits)).to_bytes(size, "little" if order == "<" else "big")
    at = rng.randrange(end + 1)
    return _edit(at - at % rng.choice((1, size)), size, new)


def _token(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    at = rng.randrange(end + 1)
    match = _TOKEN.search(contents, at)
    first, last = match.span() if match else (at, at)
    new, times = rng.choice(_LONG) if rng.random() < 0.08 else (rng.choice(_WORDS), 1)
    return _edit(first, last - first, new, times)


def _other_token(rng: random.Random, contents: bytes, others: Sequence[bytes], end: int) -> Edit:
    """A token of the same kind of file in the place of another: right in form, wrong in place."""
    at, other = rng.randrange(end + 1), rng.choice(others)
    match, found = _TOKEN.search(contents, at), _TOKEN.search(other, rng.randrange(min(len(other), 3 * end + 1) + 1))
    first, last = match.span() if match else (at, at)
    return _edit(first, last - first, found[0] if found else b"")


def _line(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    start = contents.rfind(b"\n", 0, rng.randrange(end + 1)) + 1
    match = _LINE.match(contents, start)
    line = match[0] if match else b""
    if rng.random() < 0.5:
        return _edit(start, len(line), rng.choice((b"", b"\n", line.replace(b"\n", b"\r\n"))))
    return _edit(start, 0, line, rng.choice((1, 1, 50)))


def _word(rng: random.Random, _contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    return _edit(rng.choice((0, rng.randrange(end + 1))), 0, rng.choice(_WORDS))


def _value(rng: random.Random, contents: bytes, _others: Sequence[bytes], end: int) -> Edit:
    """Another value, with spaces up to the length of the one before, as the length of a header may be told."""
    match = _VALUE.search(contents, rng.randrange(end + 1))
    first, last = match.span() if match else (0, 0)
    new = rng.choice(_VALUES) if rng.random() < 0.9 else b"[" * 2_000 + b"]" * 2_000
    return _edit(first, last - first, new.ljust(last - first))


def _key(rng: random.Random, contents: bytes, others: Sequence[bytes], end: int) -> Edit:
    """A key of another place, or one that libraries take for more than a number."""
    match, found = (_KEY.search(of, rng.randrange(min(end, len(of)) + 1)) for of in (contents, rng.choice(others)))
    first, last = match.span(1) if match else (0, 0)
    return _edit(first, last - first, found[1] if found and rng.random() < 0.5 else rng.choice(_KEYS))


_ANY: list[Mutation] = [_flip, _byte, _truncate, _delete, _insert, _repeat, _splice]
_TEXT: list[Mutation] = [*_ANY, *[_token] * 7, *[_other_token] * 3, *[_line] * 2, *[_word] * 2]
_JSON: list[Mutation] = [_value, _value, _value, _key]
_BINARY: list[Mutation] = [*_ANY, *[_number] * 7, _flip, _byte]
