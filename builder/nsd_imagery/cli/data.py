"""The commands on data: synth, index, build, verify, info."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import (
    JSON,
    LIST,
    ROOT_HELP,
    columns,
    next_line,
    place,
    show_configs,
    show_json,
    tell,
)
from nsd_imagery.cli.fetch import fetched_root
from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.cli.showing import progress_bar, progress_count, progress_line
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.shell import quoted
from nsd_imagery.spelling import subjects_of


@click.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--subjects", type=LIST, default=("subj01",), help="Default: subj01.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed is another experiment and other data."
)
@click.option("--full-size", is_flag=True, help="The real grid and voxel counts: 1 GB a session and format.")
@click.option(
    "--format",
    type=click.Choice(["hdf5", "nii.gz", "both"]),
    default="both",
    show_default=True,
    help="Of the beta files.",
)
@click.option(
    "--layout",
    type=click.Choice(["release", "cache"]),
    default="release",
    show_default=True,
    help="The release's tree, or a folder cache/ with a trial manifest for each subject.",
)
@click.option(
    "--perception-sessions",
    type=int,
    metavar="N",
    default=0,
    show_default=True,
    help="Sessions 1 to N of NSD core for each subject; more may be added later.",
)
@click.option(
    "--signal",
    type=click.Choice(["real", "strong", "none"]),
    default="strong",
    show_default=True,
    help="real: trials are identified about as often as in the real data. strong: more often. none: noise, drift and "
    "order alone.",
)
@JSON
def synth(root: Path, subjects: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Write a synthetic NSD release into ROOT.

    It has the files, formats and quirks of the real release and none of its data: a schedule drawn from the
    seed, and betas with a planted signal. What was planted lies in ROOT/truth: the sizes of all effects, the
    latents of pictures and words as a file of embeddings, and each voxel's weights.

    \b
    Examples:
      nsd-imagery synth release
      nsd-imagery synth release --subjects subj01,subj02 --format nii.gz
      nsd-imagery synth release --perception-sessions 2 --signal real
      nsd-imagery synth cache --layout cache
    """
    names = subjects_of(subjects) or ()
    with progress_line("synth") as progress:
        from nsd_imagery.synthetic import synth as run

        run(root, subjects=names, progress=progress, **options)
    if as_json:
        show_json({"root": root, "subjects": names})
        return
    click.echo(f"{place(root)}: a synthetic release of {', '.join(names)}")
    click.echo(f"Next: nsd-imagery build {quoted(root)}")


@click.command(epilog=ROOT_HELP)
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option("--subjects", type=LIST, help="Default: all whose betas are there.")
@click.option(
    "--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help=f"One of: {', '.join(BETA_VERSIONS)}."
)
@click.option("--out", type=click.Path(path_type=Path), help="Where the index goes. Default: ROOT/indices.")
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
@JSON
def index(root: Path | None, as_json: bool, **options: Any) -> None:
    """Write the trial index of ROOT as Parquet: one row a beta, each label proven from the files.

    \b
    Examples:
      nsd-imagery index release
      nsd-imagery index /data/nsd --subjects subj01,subj05 --out my_indices
    """
    with progress_line("index") as progress:
        without_pandas()
        from nsd_imagery.trials import full_indices, read_index
        from nsd_imagery.trials import index as run

        folder = run(root, progress=progress, **options)
    indices = [_index_facts(path, read_index(path)) for path in full_indices(folder)]
    if as_json:
        show_json({"folder": folder, "indices": indices})
        return
    for facts in indices:
        names = ", ".join(facts["subjects"])
        click.echo(f"{place(facts['path'])}: {facts['rows']:,} rows of {names}, {facts['with_data']:,} with data")


def _index_facts(path: Path, rows: Any) -> dict[str, Any]:
    with_data = sum(rows["is_valid"].to_pylist())
    return {
        "path": path,
        "rows": rows.num_rows,
        "with_data": with_data,
        "subjects": rows["subject"].unique().to_pylist(),
    }


@click.command(epilog=ROOT_HELP)
@click.argument("root", required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), default="nsd_imagery", show_default=True, help="The dataset folder."
)
@click.option("--subjects", type=LIST, help="Default: all whose betas are there.")
@click.option(
    "--conditions", type=LIST, help="Of imagery, vision, attention, perception. Default: all that ROOT holds."
)
@click.option(
    "--roi",
    type=LIST,
    default=("nsdgeneral",),
    help="ROI names or mask files; each makes configs of its own. Default: nsdgeneral.",
)
@click.option(
    "--zscore",
    type=str,
    default="auto",
    show_default=True,
    help="Trials that a voxel is z-scored over: auto (run, in attention run and epoch; session in perception), run "
    "(both epochs of attention together, as published code does), session, or none (percent).",
)
@click.option("--dtype", type=str, default="float32", show_default=True, help="float32 or float16.")
@click.option(
    "--smoothing-fwhm",
    type=float,
    metavar="MM",
    help="Smooth each volume within the brain, before z-scoring. Default: betas as they are.",
)
@click.option(
    "--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help=f"One of: {', '.join(BETA_VERSIONS)}."
)
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes; at most one a file.")
@click.option("--scheduler", help="Address of a Dask scheduler (or its scheduler.json), instead of processes.")
@click.option("--replace", is_flag=True, help="Let this recipe take the place of another one that is there.")
@click.option("--dry-run", is_flag=True, help="Only say what would be read, kept and written.")
@JSON
def build(out: Path, workers: int, scheduler: str | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Build the dataset folder from ROOT, or bring it up to date.

    Configs are named subjAA-CONDITION, with -ROI behind it unless the ROI is nsdgeneral. What is there
    already and still fits is kept; configs that are not named stay as they are.

    ROOT may be s3://natural-scenes-dataset: then what the build needs is fetched first, of the betas the voxels of the
    ROIs alone, into $NSD_CACHE_ROOT or ~/.cache/nsd-imagery, as by nsd-imagery download --masked.

    \b
    Examples:
      nsd-imagery build release
      nsd-imagery build /data/nsd --subjects subj01 --conditions imagery,vision
      nsd-imagery build /data/nsd --roi nsdgeneral,V1,early,streams:ventral
      nsd-imagery build /data/nsd --zscore none --out ./nsd_imagery_percent
      nsd-imagery build /data/nsd --workers 8
      nsd-imagery build s3://natural-scenes-dataset --subjects subj01
    """
    if (root := options["root"]) is not None and "://" in root:
        options["root"], fetched = fetched_root(as_json=as_json, dry_run=dry_run, **options)
        if dry_run and any(file.state == "to fetch" for file in fetched.files):
            if as_json:
                show_json({**asdict(fetched), "dry_run": True})
            return  # what a build would do is known when it is there
    if dry_run:
        without_pandas()
        from nsd_imagery.dataset.plan import plan

        _show_preview(plan(out=out, **options), out, as_json)
        return
    from nsd_imagery.cli.pools import with_executor

    with progress_bar("build") as progress:

        def work(executor: Any) -> Any:
            without_pandas()  # this and the import take a while, in which the workers start
            from nsd_imagery.dataset.plan import plan

            todo = plan(out=out, **options)
            todo.build(executor, progress=progress)
            return todo

        done = with_executor(workers, scheduler, work)
    from nsd_imagery.dataset.info import info as info_of

    facts = info_of(done.folder)
    if as_json:
        show_json({"folder": done.folder, "built": done.configs, **facts})
        return
    show_configs(facts)
    click.echo(f"{place(done.folder)}: built.\n{next_line(done.folder, out, done.configs[0])}")


def _show_preview(planned: Any, out: Path, as_json: bool) -> None:
    found = planned.preview()
    if as_json:
        sums = {name: getattr(found, name) for name in ("bytes_in", "bytes_unpacked", "bytes_out")}
        show_json({"folder": planned.folder, "configs": planned.configs, **asdict(found), **sums})
        return
    for piece in found.pieces:
        unpacked = f"{piece.bytes_unpacked / 1e6:,.0f} MB of betas from a file of {piece.bytes_in / 1e6:,.0f} MB"
        state = f"read {unpacked} for {', '.join(piece.todo)}" if piece.todo else "kept"
        click.echo(f"  {piece.key:<24} {state}  ({place(piece.beta_path)})")
    for sentence in found.notes:
        tell(f"  note: {sentence}")
    click.echo(f"{place(out)}: {found.headline}")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--subjects", type=LIST, help="Default: all that are there.")
@click.option("--deep", is_flag=True, help="Also read NSD core's betas and both formats, and hash every row.")
@click.option("-v", "--verbose", is_flag=True, help="Also list what passed, with what was counted and measured.")
@JSON
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="FILE", help="Also write the report: .json, .md or .html."
)
@click.option("--root", type=click.Path(path_type=Path), help="Where a dataset folder was built from.")
@click.option("--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help="Beta version, for a root.")
@click.option("--source", type=str, help="release or cache, where a root holds a subject in both trees.")
def verify(path: Path, verbose: bool, as_json: bool, **options: Any) -> None:
    """Check that labels and numbers are right: files, labels, betas, and that they agree.

    PATH is a root (the release's tree or the Guide's), an index, or a dataset folder. Says what failed and what to do,
    what was not checked and why, and how much passed. Exit status 1 if a check fails.

    \b
    Examples:
      nsd-imagery verify release
      nsd-imagery verify ./nsd_imagery --root release
      nsd-imagery verify /data/nsd --subjects subj01 --deep -v --output report.html
    """
    with progress_count("verify") as progress:
        without_pandas()
        from nsd_imagery.checks.run import verify as run

        found = run(path, progress=progress, **options)
    click.echo(found.dumps().rstrip() if as_json else found.to_text(verbose=verbose, width=columns()))
    sys.exit(0 if found.passed else 1)


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@JSON
def info(dataset: Path, as_json: bool) -> None:
    """Say what the dataset folder DATASET holds: configs, rows, voxels, sizes, recipe, and what is missing.

    \b
    Examples:
      nsd-imagery info ./nsd_imagery
      nsd-imagery info ./nsd_imagery --json
    """
    from nsd_imagery.dataset.info import info as run

    facts = run(dataset)
    if as_json:
        show_json(facts)
        return
    recipe = ", ".join(f"{key} {value}" for key, value in facts["recipe"].items())
    tell(f"{place(dataset)}: {'synthetic, ' if facts['synthetic'] else ''}{facts['bytes'] / 1e6:.1f} MB; {recipe}")
    show_configs(facts)
    folder = dataset.expanduser().resolve()
    click.echo(next_line(folder, folder, next(iter(facts["configs"]))))
