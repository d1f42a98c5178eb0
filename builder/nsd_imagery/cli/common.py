"""What the commands share: list options, what they print of a folder, progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

ROOT_HELP = (
    "ROOT holds the release's nsddata/ and nsddata_betas/, or the Guide's nsd_imagery/; "
    "default: $NSD_CACHE_ROOT, else ./cache."
)


class List(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] (it takes one from click 8.4 on only)
    """Words separated by commas."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words, or what a default or a program gave."""
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        if not all(words):
            self.fail("an empty name between commas", param, ctx)
        return words


LIST = List()


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
