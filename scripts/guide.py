"""The Guide's commands, each a line of `nsd-imagery`, which is said; other options go on as they are."""

import argparse
import os
import shlex
import sys

from nsd_imagery.cli import main

_OURS = {"--subject": "--subjects", "--output": "--out", "--checkpoint": "--predictions"}
_TABLES = (".parquet", ".csv")


def parsed(said: str | None, **more: str) -> tuple[argparse.Namespace, list[str]]:
    """The root and what else is asked for by name, and the options that go on.

    Args:
        said: The script's docstring.
        more: Defaults of further options.
    """
    parser = argparse.ArgumentParser(
        description=said,
        epilog="Other options are those of the line of nsd-imagery.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    root = os.environ.get("NSD_CACHE_ROOT", "cache")
    parser.add_argument(
        "--cache-root", default=root, help="Where the data lie. Default: $NSD_CACHE_ROOT, else ./cache."
    )
    for name, default in more.items():
        parser.add_argument(f"--{name}", default=default, help=f"Default: {default}.")
    return parser.parse_known_args()


def evaluate(said: str | None) -> None:
    """Call `nsd-imagery evaluate` by the Guide's options."""
    options, others = parsed(said, dataset="nsd_imagery")
    words = [part for word in others for part in _spelt(word)]
    if "--predictions" in words[:-1]:
        refuse_pickle(words[words.index("--predictions") + 1])
    embeddings = [] if {"--targets", "--embeddings"} & set(words) else ["--embeddings", options.cache_root]
    call("evaluate", options.dataset, *embeddings, *words)


def _spelt(word: str) -> list[str]:
    """A word of a line as ours; an option and its value, joined by =, as two."""
    name, sign, value = word.partition("=")
    return [_OURS.get(name, name), value] if sign and name.startswith("--") else [_OURS.get(word, word)]


def refuse_pickle(checkpoint: str) -> None:
    """Stop where a checkpoint is no table of predictions."""
    if not checkpoint.lower().endswith(_TABLES):
        print(
            f"{checkpoint}: a checkpoint of torch is a pickle, and is not opened: export what the model predicts as a "
            "table (examples/score_my_model.py does), and pass that as --checkpoint",
            file=sys.stderr,
        )
        sys.exit(2)


def call(*words: str) -> None:
    """Say a line of `nsd-imagery`, and be it."""
    print(f"$ nsd-imagery {shlex.join(words)}", file=sys.stderr, flush=True)
    sys.argv = ["nsd-imagery", *words]
    main()
