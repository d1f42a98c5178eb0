"""What the commands share: list options, and what they print of a folder."""

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from nsd_imagery.errors import printable
from nsd_imagery.spelling import split_words

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
        words = split_words(value) if isinstance(value, str) else tuple(value)
        if not all(words):
            self.fail("an empty name between commas", param, ctx)
        return words


LIST = List()

JSON = click.option("--json", "as_json", is_flag=True, help="For programs: JSON alone on standard output.")


def show_json(facts: Any) -> None:
    """Print what a verb has to tell, for programs; what else is said to people is on standard error."""
    click.echo(json.dumps(facts, indent=1, default=os.fspath))


def columns() -> int | None:
    """How many letters a line of the terminal has; None where what is printed goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def tell(line: str, hang: int | None = None) -> None:
    """Print a line, which a terminal that is narrower has broken between words; see `checks.text.broken`."""
    width = columns()
    if width is not None and len(line) > width:
        from nsd_imagery.checks.text import broken

        line = broken(line, width, hang)
    click.echo(line)


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
    """Print what `info` says of a folder: a build that was stopped, a table of configs, what is missing, and notes."""
    if facts["stopped"]:
        click.echo(f"  stopped: {facts['stopped']['sentence']}")
    table = [("config", "rows", "voxels", "MB")]
    for name, config in facts["configs"].items():
        rows = ", ".join(f"{split} {count:,}" for split, count in config["rows"].items())
        table.append((name, rows, f"{config['voxels']:,}", f"{config['bytes'] / 1e6:.1f}"))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, rows, voxels, megabytes in table:
        line = f"{name:<{widths[0]}}  {rows:<{widths[1]}}  {voxels:>{widths[2]}}  {megabytes:>{widths[3]}}"
        click.echo(f"  {place(line)}")
    for sentence in facts["missing"]:
        tell(f"  missing: {sentence}")
    for sentence in facts["notes"]:
        tell(f"  note: {sentence}")
