"""The verb `evaluate`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, place, show_json
from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.cli.showing import progress_count

_MOST_DRAWS = 9_999


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default="evaluation", show_default=True, help="Where the scores go."
)
@click.option("--subjects", type=LIST, help="Default: all of DATASET.")
@click.option("--roi", type=LIST, help="ROIs of DATASET, 12 at most; p is corrected over them. Default: all.")
@click.option(
    "--across",
    type=click.Path(path_type=Path),
    metavar="DATASET_B2",
    help="The same subjects and ROIs built with --betas fithrf, for what is asked from one imagery run to the other.",
)
@click.option(
    "--draws",
    type=int,
    default=_MOST_DRAWS,
    show_default=True,
    help="Drawn orders behind each p, whose least is 1/(1 + draws).",
)
@click.option(
    "--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes; at most one a subject."
)
@click.option("--scheduler", help="Address of a Dask scheduler (or its scheduler.json), instead of processes.")
@click.option("-v", "--verbose", is_flag=True, help="All numbers of all ROIs, and which runs were left out and why.")
@JSON
def evaluate(
    dataset: Path, out: Path, workers: int, scheduler: str | None, verbose: bool, as_json: bool, **options: Any
) -> None:
    """Say how reliable DATASET is, and what of imagery can be told from it, each number with its chance and p.

    Prints how reliable vision and imagery are (ncsnr, normalised for repeats), how often a target is told from the
    five others of its set within a run of vision, and from vision to imagery without the letter that was on the
    screen: the primary test, with what the letter alone gives beside it. All scores, a row each with chance, interval,
    p, ceiling and n, are in OUT/scores.parquet, maps of voxels in OUT/voxels-subjAA.parquet, and how they were got in
    OUT/evaluation.json. Subjects that are finished are kept. Exit status 1 if nothing could be estimated.

    \b
    Examples:
      nsd-imagery evaluate ./nsd_imagery
      nsd-imagery evaluate ./nsd_imagery --roi early,higher,nsdgeneral -v
      nsd-imagery evaluate ./nsd_imagery --subjects 1,2 --draws 999 --out ./quick
      nsd-imagery build /data/nsd --betas fithrf --out ./b2
      nsd-imagery evaluate ./nsd_imagery --across ./b2 --workers 8
    """
    from nsd_imagery.cli.pools import with_executor

    with progress_count("evaluate") as progress:

        def work(executor: Any) -> Any:
            without_pandas()
            from nsd_imagery.evaluation.run import evaluate as run

            return run(dataset, out, executor=executor, progress=progress, **options)

        found = with_executor(workers, scheduler, work)
    n_estimated = sum(score.value is not None for score in found.scores)
    if as_json:
        lines = [asdict(line) for line in found.headline]
        show_json({"path": found.path, "n_estimated": n_estimated, "headline": lines, "left_out": found.left_out})
    else:
        _show(found, out, verbose=verbose)
    sys.exit(0 if n_estimated else 1)


def _show(found: Any, out: Path, *, verbose: bool) -> None:
    from nsd_imagery.evaluation.headline import SHORT

    main = found.headline[0].roi
    lines = found.headline if verbose else [one for one in found.headline if one.roi == main and one.name in SHORT]
    width = max(len(one.name) for one in lines)
    several = len({one.roi for one in lines}) > 1
    for one in lines:
        roi = f"{place(one.roi)}: " if several or one.name == "reliability" else ""
        click.echo(f"{one.name:<{width}}  {roi}{place(one.text)}")
    left_out = dict.fromkeys(
        f"{name} of {subject}: {why}"
        for subject, of_roi in found.left_out.items()
        for runs in of_roi.values()
        for name, why in runs.items()
    )
    if verbose:
        for sentence in left_out:
            click.echo(f"  left out: {place(sentence)}")
    more = f"; runs left out: {len(left_out)}, see -v" if left_out and not verbose else ""
    click.echo(f"{place(out)}: {len(found.scores):,} scores in scores.parquet{more}")
