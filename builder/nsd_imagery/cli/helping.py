"""What `--help` looks like: no word is broken at its hyphens, and each verb has a line that fits any terminal."""

from typing import Final

import click

SUMMARIES: Final = {
    "quickstart": "From nothing to a dataset in one go",
    "download": "Fetch files from NSD's public bucket",
    "synth": "Write a synthetic NSD release",
    "index": "Write the trial index of a root",
    "rois": "List what build --roi can name",
    "build": "Build a dataset folder from a root",
    "verify": "Check labels, files and numbers",
    "info": "Say what a dataset folder holds",
    "evaluate": "Score reliability, imagery and transfer",
    "compare": "Set two evaluations side by side",
    "report": "Write the page of an evaluation again",
    "embed": "Embed pictures and texts of stimuli",
    "export": "Write files that other code reads",
    "push": "Bring a dataset to a private hub repo",
    "pull": "Bring a dataset back from the hub",
    "terms": "Show what NSD's terms ask, and accept",
}
"""Of each verb, 40 letters at most: at 60 columns there is no room for more."""

_HYPHEN: Final = "\ue000"
"""Stands for a hyphen at which no line is broken; no text has it, as it is not printable."""


class _Formatter(click.HelpFormatter):
    def write(self, string: str) -> None:
        super().write(string.replace(_HYPHEN, "-"))

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", _HYPHEN))

    def write_dl(self, rows: "list[tuple[str, str]]", *args: int, **options: int) -> None:  # type: ignore[override]
        super().write_dl([(first, second.replace("-", _HYPHEN)) for first, second in rows], *args, **options)


class Context(click.Context):
    """Of every verb."""

    formatter_class = _Formatter
