"""What an ETag says of a file's contents: the MD5 of a small one, or of the MD5s of the parts it was uploaded in."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MIB: Final = 1 << 20

PART: Final = 8 * MIB
"""Bytes that a file is fetched in at a time, where its ETag names no parts; and what Amazon's own client uploads in."""

_USUAL: Final = tuple(size * MIB for size in (8, 5, 15, 16, 32, 64, 100, 128, 256, 512, 1024))
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_OF_PARTS = re.compile(r'"?([0-9a-f]{32})-(\d{1,5})"?')
_BLOCK: Final = MIB


def part_sizes(size: int, etag: str) -> list[int]:
    """Bytes of the parts that a file may have been uploaded in, as its ETag counts them, the likeliest first.

    The whole file for an ETag that is an MD5; nothing for one that is neither, or whose count no usual part gives.
    """
    if _MD5.fullmatch(etag):
        return [max(size, 1)]
    found = _OF_PARTS.fullmatch(etag)
    if found is None or int(found[2]) < 1:
        return []
    count = int(found[2])
    even = -(-size // count // MIB) * MIB  # whole megabytes, as clients round that choose by the size
    return [one for one in dict.fromkeys((*_USUAL, even)) if one and -(-size // one) == count]


def is_md5(etag: str) -> bool:
    """Whether an ETag looks like the MD5 of the whole: of an encrypted object it is none."""
    return _MD5.fullmatch(etag) is not None


def quoted(etag: str) -> str:
    """An ETag as a request names it; some servers list it without its quotes."""
    return etag if etag.endswith('"') else f'"{etag}"'


def is_same(etag: str, other: str) -> bool:
    """Whether two ETags, each as some answer has it, may be of the same contents; one that is empty says nothing."""
    one, two = (said.removeprefix("W/").strip('"') for said in (etag, other))
    return one == two or not one or not two


def etag_of_parts(md5s: Sequence[bytes]) -> str:
    """The ETag, without quotes, of a file that was uploaded in parts of these MD5s."""
    return f"{hashlib.md5(b''.join(md5s), usedforsecurity=False).hexdigest()}-{len(md5s)}"


def etag_of(path: Path, part: int, etag: str) -> str:
    """The ETag, without quotes, of a file as it lies on disk, of the form of another one."""
    if is_md5(etag):
        return md5_of(path).hex()
    starts = range(0, path.stat().st_size, part)
    return etag_of_parts([md5_of(path, start, start + part) for start in starts])


def md5_of(path: Path, start: int = 0, stop: int | None = None) -> bytes:
    """The MD5 of bytes [start, stop) of a file; of fewer where it ends before."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        left = path.stat().st_size - start if stop is None else stop - start
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.digest()


def agrees(path: Path, etag: str) -> bool | None:
    """Whether a file has the contents that an ETag stands for; None where that cannot be told."""
    sizes = part_sizes(path.stat().st_size, etag)
    if not sizes:
        return None
    return any(etag_of(path, part, etag) == etag.strip('"') for part in sizes)
