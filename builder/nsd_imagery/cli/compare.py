"""The verb `compare`."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, place, show_json, tell
from nsd_imagery.cli.lean import without_pandas

_TOLD = (
    "subject", "roi", "measure", "condition", "stimulus_set", "train", "test", "unit", "n_repeats", "how",
    "n_candidates",
)  # fmt: skip
"""What tells a score, for programs."""


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option(
    "--other-dataset",
    is_flag=True,
    help="Compare though A and B were evaluated on datasets that are not the same: a difference may be theirs.",
)
@click.option("-v", "--verbose", is_flag=True, help="All scores: of each subject and set, equal ones, references.")
@JSON
def compare(a: Path, b: Path, other_dataset: bool, verbose: bool, as_json: bool) -> None:
    """Set two evaluations side by side: how much more B gives than A, with an interval of the difference.

    A and B are folders that `evaluate` wrote, or tables of scores. Of one subject the interval is t over stimuli,
    paired by stimulus and run; of three or more it is t over subjects, paired by subject: what makes a stimulus or a
    subject hard for both is in neither. A decoder that was fitted here is compared with predictions by the same tests.
    Scores among other candidates are not compared. Exit status 1 if nothing could be.

    \b
    Examples:
      nsd-imagery evaluate ./nsd_imagery --embeddings ROOT --out ./ridge
      nsd-imagery evaluate ./nsd_imagery --embeddings ROOT --predictions mine.parquet --out ./mine
      nsd-imagery compare ./ridge ./mine
    """
    without_pandas()
    from nsd_imagery.evaluation.side_by_side.compare import compare as run

    found = run(a, b, other_dataset=other_dataset)
    n_compared = sum(row.difference is not None for row in found.rows)
    if as_json:
        rows = [_of_row(row) for row in found.rows]
        only = {name: [_told(score) for score in getattr(found, name)] for name in ("only_a", "only_b")}
        show_json({"a": found.a, "b": found.b, "n_compared": n_compared, "rows": rows, **only, "notes": found.notes})
    else:
        _show(found, a, b, verbose=verbose)
    sys.exit(0 if n_compared else 1)


def _told(score: Any) -> dict[str, Any]:
    return {name: getattr(score, name) for name in _TOLD}


def _of_row(row: Any) -> dict[str, Any]:
    values = {"a": row.a.value, "b": row.b.value}
    said = {name: getattr(row, name) for name in ("difference", "low", "high", "interval", "n_pairs", "notes")}
    return {**_told(row.a), "train_b": row.b.train, **values, **said}


def _show(found: Any, a: Path, b: Path, *, verbose: bool) -> None:
    from nsd_imagery.evaluation.side_by_side.table import shown_rows, table_of_differences

    rows = found.rows if verbose else shown_rows(found.rows)
    click.echo(f"A {place(a)}\nB {place(b)}")
    for note in found.notes:
        tell(f"note: {place(note)}")
    if rows:
        click.echo(_shown(table_of_differences(rows)))
    for sentence in _sentences(found, rows, verbose=verbose):
        tell(place(sentence))


def _shown(text: str) -> str:
    return "\n".join(map(place, text.splitlines()))


def _sentences(found: Any, rows: Any, *, verbose: bool) -> list[str]:
    """What is to be said beside a table: intervals, what was not compared and why, what is the same, what is alone."""
    models = dict.fromkeys(f"A {row.a.train}, B {row.b.train}" for row in rows if row.a.train != row.b.train)
    intervals = Counter(row.interval for row in rows if row.interval)
    said = [f"models: {'; '.join(models)}"] if models else []
    said += [f"intervals: {'; '.join(name for name, _ in intervals.most_common())}"] if intervals else []
    why = Counter(row.notes for row in found.rows if row.difference is None and row.a.value is not None)
    said += [f"not compared: {n:,} scores, {reason}" for reason, n in why.most_common(None if verbose else 3)]
    having = [row for row in found.rows if row.difference is not None]
    n_same = sum(row.a.value == row.b.value for row in having)
    alone = [f"{len(only):,} only in {name}" for name, only in (("A", found.only_a), ("B", found.only_b)) if only]
    parts = [f"{len(having):,} scores compared, of which {n_same:,} are equal", *alone]
    return [*said, "; ".join(parts) + ("" if verbose else "; all: -v")]
