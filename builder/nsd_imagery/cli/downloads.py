"""What is printed of downloads: the plan, how far it is, and what was done."""

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import click

from nsd_imagery.cli.common import columns, place, tell
from nsd_imagery.cli.showing import progress_files
from nsd_imagery.volumes.formats import MASKED

_ONE_AND_MORE = {
    "behaviour": ("behaviour file", "behaviour files"),
    "masks": ("mask", "masks"),
    "label tables": ("label table", "label tables"),
    "maps": ("map", "maps"),
    "design": ("design file", "design files"),
    "pair lists": ("pair list", "pair lists"),
    "targets": ("target picture", "target pictures"),
    "picture table": ("picture table", "picture tables"),
    "pictures": ("file of NSD's pictures", "files of NSD's pictures"),
}

_LEAST, _MOST = 24, 60
"""Letters of the column of a plan that says what is fetched."""


def show_plan(plan: Any) -> None:
    """Print what a download has to do: a line for each beta file, and one for the other files of each subject."""
    lines = [_line(files) for files in _groups(plan.files)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    room = max(_LEAST, min(_MOST, (columns() or 100) - sum(widths[:1] + widths[2:]) - 8))
    for subject, what, size, state in lines:
        first, *others = textwrap.wrap(what, room)
        click.echo(f"  {subject:<{widths[0]}}  {first:<{min(room, widths[1])}}  {size:>{widths[2]}}  {state}")
        for other in others:
            click.echo(f"  {'':<{widths[0]}}  {other}")
    n_files, all_files = len(plan.to_fetch), len(plan.files)
    what = f"{size_of(plan.bytes_to_fetch)} to fetch" if n_files else "nothing to fetch"
    tell(f"{what} from {plan.source} ({n_files} of {all_files} files), {size_of(plan.bytes_free)} free")
    for note in plan.notes:
        tell(f"  note: {note}")


def _groups(files: Sequence[Any]) -> Iterator[list[Any]]:
    """Betas by subject and folder, then all else by subject."""

    def group(file: Any) -> tuple[bool, str, str]:
        is_betas = file.want.kind == "betas"
        return not is_betas, file.want.subject or "~", file.want.folder if is_betas else ""

    for _, of_one in groupby(sorted(files, key=group), group):
        yield list(of_one)


def _line(files: Sequence[Any]) -> tuple[str, str, str, str]:
    size = sum(file.size for file in files)
    return files[0].want.subject or "all", _what(files), size_of(size), _state(files)


def _what(files: Sequence[Any]) -> str:
    kinds: dict[str, int] = {}
    for file in files:
        kinds[file.want.kind] = kinds.get(file.want.kind, 0) + 1
    if "betas" in kinds:
        first, last = (file.object.key.rpartition("/")[2] for file in (files[0], files[-1]))
        first = f"voxels of {first}" if files[0].masked is not None else first
        return first if len(files) == 1 else f"{first} … {last.partition('.')[0][-2:]}: {len(files)} files"
    return ", ".join(f"{count} {_ONE_AND_MORE[kind][count > 1]}" for kind, count in kinds.items())


def _state(files: Sequence[Any]) -> str:
    counts: dict[str, int] = {}
    for file in files:
        state = f"there as {file.instead}" if file.instead else file.state
        state += " at most" if file.masked is not None else ""
        counts[state] = counts.get(state, 0) + 1
    said = ", ".join(state if len(counts) == 1 else f"{count} {state}" for state, count in counts.items())
    begun = sum(file.begun for file in files)
    return f"{said}, {size_of(begun)} of it came before" if begun else said


def show_download(done: Any) -> None:
    """Print what a download did."""
    fetched = [file for file in done.files if file.state == "fetched"]
    if not fetched:
        click.echo(f"{place(done.root)}: all is there, nothing was fetched")
        return
    how_many = f"{len(fetched)} {'file' if len(fetched) == 1 else 'files'}"
    n_bytes = size_of(done.bytes_fetched)
    click.echo(f"{place(done.root)}: {how_many} fetched ({n_bytes}), {'; '.join(_proofs(fetched))}")
    for note in done.notes:
        tell(f"  note: {note}")


def _proofs(files: Sequence[Any]) -> Iterator[str]:
    """How files are known to be the bucket's."""
    how = [file.proof for file in files if not file.path.endswith(MASKED)]
    masked = [file.proof for file in files if file.path.endswith(MASKED)]
    if n_unproven := how.count("size only"):
        yield f"{n_unproven} of them by size only, as their ETags say no more"
    elif how:
        yield "proven by their ETags" if len(how) > 1 else "proven by its ETag"
    if n_proven := masked.count("proven"):
        maps = "file proven by the map of its" if n_proven == 1 else "files proven by the maps of their"
        yield f"the voxels of {n_proven} beta {maps} means"
    if n_rest := len(masked) - masked.count("proven"):
        yield f"the voxels of {n_rest} beta {'file' if n_rest == 1 else 'files'} not checked"


@contextmanager
def download_bar() -> Iterator[Callable[[Any], None]]:
    """A bar over the bytes that are to come; where there is no terminal, a line a file."""
    n_said = 0

    def say(state: Any) -> None:
        nonlocal n_said
        if state.n_done > n_said:
            n_said = state.n_done
            click.echo(f"{state.n_done}/{state.n_files} {place(state.name)}", err=True)

    if not sys.stderr.isatty():
        yield say
        return
    with progress_files("download") as progress:
        yield progress


def size_of(n_bytes: int) -> str:
    """A number of bytes, in words."""
    if n_bytes < 1e6:
        return f"{n_bytes / 1e3:,.0f} kB"
    return f"{n_bytes / 1e9:,.2f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.1f} MB"
