"""The errors that this package raises on purpose, and the builtin that each also is.

    NSDImageryError              Exception
    ├── UsageError               ValueError
    ├── MissingDataError         FileNotFoundError
    ├── DataError                ValueError
    ├── UnknownLayoutError       NotImplementedError
    ├── FolderError              FileExistsError
    ├── BusyError                BlockingIOError
    ├── SpaceError               OSError
    ├── AccessError              PermissionError
    ├── HubError                 ConnectionError
    ├── SourceError              ConnectionError
    ├── MissingEmbeddingError    KeyError
    ├── MissingExtraError        ImportError
    └── PlatformError            ImportError

Each takes one message (so that it survives pickling between processes), and says in it what is wrong, where, and what
to run next.
"""

import contextlib

_SHOWN = 120


def shown(value: object) -> str:
    """A value as a message shows it: on one line, and cut short where a damaged file makes it long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def printable(text: str) -> str:
    """A text with each control character, which a terminal would obey, and each half of a character as an escape.

    What a locale of fewer letters could not read of a path is letters again where it is UTF-8.
    """
    with contextlib.suppress(UnicodeError):
        text = text.encode(errors="surrogateescape").decode()
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def on_one_line(text: str) -> str:
    """A message as one line, also where it lists things, which stand in lines of their own, two blanks in."""
    first, *others = text.split("\n  ")
    return f"{first} {'; '.join(others)}" if others else first


def reason(error: BaseException) -> str:
    """What a library says of a file, as a message gives it: the first line, printable, cut short where it is long."""
    said = str(error).strip().splitlines()
    return printable(said[0])[: 2 * _SHOWN] if said else type(error).__name__


class NSDImageryError(Exception):
    """Base of all errors of this package."""


class UsageError(NSDImageryError, ValueError):
    """An argument or an option that cannot be meant: an unknown subject, condition or ROI."""


class MissingDataError(NSDImageryError, FileNotFoundError):
    """A file or a folder that the work needs is not there."""


class DataError(NSDImageryError, ValueError):
    """A file is there, but is damaged, of another shape, or contradicts another file."""


class UnknownLayoutError(NSDImageryError, NotImplementedError):
    """A file may be sound, but parts of it cannot be found, because it is laid out in another way: take it whole."""


class FolderError(NSDImageryError, FileExistsError):
    """The output folder holds something that this package did not write, or that would be mixed with other data."""


class BusyError(NSDImageryError, BlockingIOError):
    """Another process is writing to the same folder or file."""


class SpaceError(NSDImageryError, OSError):
    """The disk has too little room for what is to be written, or the memory for the work."""


class AccessError(NSDImageryError, PermissionError):
    """Something is not allowed: terms that are not accepted, a public repo, a token that may not do this."""


class HubError(NSDImageryError, ConnectionError):
    """The hub cannot be reached, or answers with an error; nothing is broken, and the next try goes on."""


class SourceError(NSDImageryError, ConnectionError):
    """The bucket cannot be reached, or answers with an error; nothing is broken, and the next try goes on."""


class MissingEmbeddingError(NSDImageryError, KeyError):
    """A stimulus has no embedding."""

    __str__ = Exception.__str__  # a KeyError shows its message in quotes


class MissingExtraError(NSDImageryError, ImportError):
    """A package that only some of this package's parts need is not installed."""


class PlatformError(NSDImageryError, ImportError):
    """The operating system lacks what this package is built on."""
