"""The verb `evaluate`."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, place, show_json, tell
from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.cli.showing import progress_count
from nsd_imagery.shell import quoted

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
    "--embeddings",
    type=click.Path(path_type=Path),
    metavar="ROOT",
    help="Where `embed` put its file (of a synthetic release ROOT/truth): transfer from perception to vision and "
    "imagery, by ridge regression.",
)
@click.option("--model", help="Which model of ROOT, as `embed` was given it. Default: the only one.")
@click.option(
    "--kind",
    default="image",
    show_default=True,
    metavar="image|text",
    help="Decode to embeddings of pictures, or of texts about them.",
)
@click.option(
    "--test-sets",
    type=LIST,
    help="What transfer and predictions are tested on: perception (shared1000), vision, imagery. Default: all.",
)
@click.option(
    "--save-decoder", type=click.Path(path_type=Path), metavar="DIR", help="Takes a decoder of each subject and ROI."
)
@click.option(
    "--decoder", type=click.Path(path_type=Path), metavar="DIR", help="Test these, instead of fitting new ones."
)
@click.option(
    "--preprocessor",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A saved NSDPreprocessor (of several subjects or ROIs: DIR/subj01-nsdgeneral and so on): only the voxels that "
    "it selects count. Evaluation z-scores by itself; one that was fitted on tested rows is refused.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Score a model of your own: a .parquet or .csv of subject, trial_id (or stimulus and condition) and vector "
    "(or v0, v1 ...).",
)
@click.option(
    "--targets",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What predictions are compared with: stimulus and vector. Default: the embeddings.",
)
@click.option("--partial", is_flag=True, help="Predictions may lack trials, test sets or subjects.")
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
@click.option("--report/--no-report", default=True, show_default=True, help="Also write the page OUT/report.html.")
@click.option("-v", "--verbose", is_flag=True, help="All numbers of all ROIs, and which runs were left out and why.")
@JSON
def evaluate(
    dataset: Path, out: Path, workers: int, scheduler: str | None, verbose: bool, as_json: bool, **options: Any
) -> None:
    """Say how reliable DATASET is, and what of imagery can be told from it, each number with its chance and p.

    Prints how reliable vision and imagery are (ncsnr, normalised for repeats), how often a target is told from the
    five others of its set within a run of vision, and from vision to imagery without the letter that was on the
    screen: the primary test, with what the letter alone gives beside it. With --embeddings also transfer: how often
    ridge regression from perception tells a target from another one of its set, in vision and imagery; with
    --predictions the same of a model of your own. OUT/report.html shows it all; all scores, a row each with chance,
    interval, p, ceiling and n, are in OUT/scores.parquet, maps of voxels in OUT/voxels-subjAA.parquet, and how they
    were got in OUT/evaluation.json. Subjects that are finished are kept. Exit status 1 if nothing could be estimated.

    \b
    Examples:
      nsd-imagery evaluate ./nsd_imagery
      nsd-imagery evaluate ./nsd_imagery --roi early,higher,nsdgeneral -v
      nsd-imagery evaluate ./nsd_imagery --subjects 1,2 --draws 999 --out ./quick
      nsd-imagery build /data/nsd --betas fithrf --out ./b2
      nsd-imagery evaluate ./nsd_imagery --across ./b2 --workers 8
      nsd-imagery evaluate ./nsd_imagery --embeddings /data/nsd --save-decoder ./decoders
      nsd-imagery evaluate ./nsd_imagery --embeddings /data/nsd --predictions mine.parquet --test-sets vision,imagery
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
        show_json(
            {
                "path": found.path,
                "report": found.report,
                "n_estimated": n_estimated,
                "headline": lines,
                "left_out": found.left_out,
                "transfer": found.transfer,
            }
        )
    else:
        _show(found, out, verbose=verbose)
        if options["report"]:
            click.echo(_page_line(found, out))
    sys.exit(0 if n_estimated else 1)


@click.command()
@click.argument("evaluation", type=click.Path(path_type=Path))
@JSON
def report(evaluation: Path, as_json: bool) -> None:
    """Write the page of EVALUATION, the folder that evaluate wrote, again: one HTML file to look at, and figures.

    EVALUATION/report.html is self-contained: it can be opened, sent or archived, and asks nothing of any network. The
    figures are in EVALUATION/figures, for papers. Both are made of the scores and maps that lie there.

    \b
    Examples:
      nsd-imagery report ./evaluation
    """
    without_pandas()
    from nsd_imagery.evaluation.report.write import report as run

    page = run(evaluation)
    if as_json:
        show_json({"report": page, "figures": sorted(page.parent.glob("figures/*"))})
        return
    click.echo(f"{place(evaluation / page.name)}: open it in a browser")


def _page_line(found: Any, out: Path) -> str:
    """Where the page is, or how to get it."""
    if found.report is not None:
        return f"{place(out / found.report.name)}: the page of it all, to be opened in a browser"
    from nsd_imagery.extras import how_to_install

    return f"no page, which needs matplotlib: {how_to_install('evaluate')}, then nsd-imagery report {quoted(out)}"


def _show(found: Any, out: Path, *, verbose: bool) -> None:
    from nsd_imagery.evaluation.headline import SHORT

    main = found.headline[0].roi
    lines = found.headline if verbose else [one for one in found.headline if one.roi == main and one.name in SHORT]
    width = max(len(one.name) for one in lines)
    several = len({one.roi for one in lines}) > 1
    for one in lines:
        roi = f"{place(one.roi)}: " if several or one.name == "reliability" else ""
        tell(f"{one.name:<{width}}  {roi}{place(one.text)}", hang=width + 2)
    left_out = dict.fromkeys(
        f"{name} of {subject}: {why}"
        for subject, of_roi in found.left_out.items()
        for runs in of_roi.values()
        for name, why in runs.items()
    )
    if verbose:
        for sentence in left_out:
            tell(f"  left out: {place(sentence)}", hang=12)
    more = f"; runs left out: {len(left_out)}, see -v" if left_out and not verbose else ""
    click.echo(f"{place(out)}: {len(found.scores):,} scores in scores.parquet{more}")
