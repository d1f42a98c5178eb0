"""What the commands share: list options, what they print of a folder, progress."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nsd_imagery.errors import printable

ROOT_HELP = (
    "ROOT holds the release's nsddata/ and nsddata_betas/, or the Guide's nsd_imagery/; "
    "default: $NSD_CACHE_ROOT, else ./cache."
)


_PATTERN = re.compile(r"[*?]|\[.*\]|::")
"""What the datasets library takes for a pattern."""

_PLAIN = re.compile(r"[\w.][\w. /()-]*")


class List(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] (it takes one from click 8.4 on only)
    """Words separated by commas."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words, or what a default or a program gave."""
        words = _words(value) if isinstance(value, str) else tuple(value)
        if not all(words):
            self.fail("an empty name between commas", param, ctx)
        return words


LIST = List()


def _words(text: str) -> tuple[str, ...]:
    """What stands between the commas, which are letters in the path of a file that is there."""
    parts, words = text.split(","), []
    while parts:
        counts = range(len(parts), 1, -1)
        n_parts = next((count for count in counts if _is_file(",".join(parts[:count]).strip())), 1)
        words.append(",".join(parts[:n_parts]).strip())
        del parts[:n_parts]
    return tuple(words)


def _is_file(text: str) -> bool:
    return "/" in text and Path(text).is_file()


def place(path: Path | str) -> str:
    """A path as a terminal may show it."""
    return printable(str(path))


def next_line(folder: Path, out: Path, config: str) -> str:
    """What opens a dataset in Python, and what to rename where load_dataset cannot.

    Args:
        folder: The dataset folder, absolute.
        out: As its user wrote it.
        config: One of its configs.
    """
    is_plain = not out.is_absolute() and _PLAIN.fullmatch(out.as_posix())  # "./~x" would be a home, "./file:" a URL
    where = f"./{out.as_posix()}" if is_plain else str(folder)
    arguments = f"{_literal(where)}, {_literal(config)}"
    other = next((part for part in folder.parts if _PATTERN.search(part) or os.path.expandvars(part) != part), None)
    if other is None and _is_text(str(folder)):
        return f"Next, in Python: load_dataset({arguments})"
    instead = f"Next, in Python: import nsd_imagery; nsd_imagery.load({arguments})"
    if other is None:
        return f"{instead}\n  load_dataset cannot open a path of these letters in this locale: set PYTHONUTF8=1 for it"
    return (
        f"{instead}\n  load_dataset takes *, ?, [], :: and $NAME in a path for a pattern, and does not find the "
        f"folder, or finds others: rename {_literal(other)} for it"
    )


def _literal(text: str) -> str:
    """A text as Python reads it."""
    return ascii(text) if not text.isprintable() or '"' in text or "\\" in text else f'"{text}"'


def _is_text(path: str) -> bool:
    """Whether a path is letters: where a locale is ASCII, other bytes in it are none."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def show_configs(facts: dict[str, Any]) -> None:
    """Print what `info` says of a folder: a table of its configs, what is missing, and notes."""
    click.echo(f"  {'config':<28} {'rows':<22} {'voxels':>7} {'MB':>8}")
    for name, config in facts["configs"].items():
        rows = ", ".join(f"{split} {count:,}" for split, count in config["rows"].items())
        click.echo(f"  {name:<28} {rows:<22} {config['voxels']:>7,} {config['bytes'] / 1e6:>8.1f}")
    for sentence in facts["missing"]:
        click.echo(f"  missing: {sentence}")
    for sentence in facts["notes"]:
        click.echo(f"  note: {sentence}")


@contextmanager
def progress_line(verb: str) -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being worked on, on one line of stderr; says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(bar_format="{desc} {elapsed}", leave=False) as bar:
        yield lambda what: bar.set_description_str(f"{verb}: {what}")


@contextmanager
def progress_bar(verb: str) -> Iterator[Callable[[Any], None]]:
    """A bar over the bytes of beta files, with an estimate of what is left; says nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(desc=verb, unit="B", unit_scale=True, leave=False) as bar:

        def progress(state: Any) -> None:
            bar.total = state.n_bytes
            bar.set_postfix_str(f"{state.n_done}/{state.n_pieces} pieces {state.name}", refresh=False)
            bar.update(state.bytes_done - bar.n)

        yield progress
