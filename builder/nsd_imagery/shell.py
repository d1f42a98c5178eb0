"""Paths in lines that people copy into a shell."""

import os
import shlex
import sys
from pathlib import Path


def quoted(path: Path | str) -> str:
    """A path as one word of a shell's line, in letters that the terminal can show.

    Where it has others, and where it is of bytes that are no letters here, they are written by number, as bash and zsh
    read them.
    """
    text = os.fspath(path)
    if text.startswith("-"):  # an option
        text = f"./{text}"
    if text.isprintable() and all(_shows(stream, text) for stream in (sys.stdout, sys.stderr)):
        return shlex.quote(text)
    escaped = (chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in _bytes(text))
    return f"$'{''.join(escaped)}'"


def _shows(stream: object, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _bytes(text: str) -> bytes:
    """Of a path that may have been made where paths are in other letters than here."""
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode(errors="surrogateescape")
