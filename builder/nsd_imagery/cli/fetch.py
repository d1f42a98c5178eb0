"""The commands that fetch from the public bucket: download, and quickstart, which goes on to a dataset."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import (
    JSON,
    LIST,
    columns,
    next_line,
    place,
    show_configs,
    show_json,
)
from nsd_imagery.cli.downloads import download_bar, show_download, show_plan, size_of
from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.cli.showing import progress_bar, progress_count
from nsd_imagery.errors import UsageError
from nsd_imagery.experiment import BETA_VERSIONS, NSDIMAGERY_CONDITIONS
from nsd_imagery.shell import quoted

SOURCE = click.option(
    "--source",
    metavar="URL",
    help="s3://BUCKET or http(s)://HOST/BUCKET. Default: $NSD_IMAGERY_SOURCE, else s3://natural-scenes-dataset.",
)


@click.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--subjects", type=LIST, required=True, help="Of subj01 to subj08.")
@click.option(
    "--conditions",
    type=LIST,
    help="Of imagery, vision, attention, perception. Default: the first three, which have the same files. Perception "
    "is NSD core.",
)
@click.option("--sessions", metavar="1-3,7", help="Of NSD core. Default: all.")
@click.option(
    "--betas",
    default=BETA_VERSIONS[0],
    show_default=True,
    help=f"One of: {', '.join(BETA_VERSIONS)}; b3 and b2 for short.",
)
@click.option(
    "--format",
    type=click.Choice(["nii.gz", "hdf5"]),
    help="Of the beta files; hdf5 is twice as large. Default: nii.gz, where ROOT has not the other.",
)
@click.option(
    "--masked", is_flag=True, help="Only some voxels of the beta files, by ranges: 2 % of NSD core's 280 GB, for build."
)
@click.option("--roi", type=LIST, help="With --masked: whose voxels, beside nsdgeneral's.")
@click.option("--with", "with_", type=LIST, help="stimuli: also NSD's pictures, 37 GB.")
@SOURCE
@click.option("--threads", type=click.IntRange(1), default=64, show_default=True, help="Requests; 8 of whole files.")
@click.option("--dry-run", is_flag=True, help="Only say what would be fetched.")
@JSON
def download(root: Path, as_json: bool, dry_run: bool, **options: Any) -> None:
    """Fetch what a build needs from NSD's public bucket into ROOT.

    Each file is proven to be the bucket's before it gets its name in ROOT. What is there already is not fetched
    again, and a download that was stopped goes on where it was. Accept NSD's terms first: nsd-imagery terms

    \b
    Examples:
      nsd-imagery download /data/nsd --subjects subj01 --dry-run
      nsd-imagery download /data/nsd --subjects subj01,subj02
      nsd-imagery download /data/nsd --subjects subj01 --conditions imagery,perception --sessions 1-3
      nsd-imagery download /data/nsd --subjects subj01 --conditions perception --masked --roi nsdgeneral,V1
    """
    from nsd_imagery.fetch.run import download as run

    show = (lambda _: None) if as_json else show_plan
    with download_bar() as progress:
        done = run(root, dry_run=dry_run, progress=progress, planned=show, **options)
    if as_json:
        show_json({**asdict(done), "dry_run": dry_run})
        return
    if not dry_run:
        show_download(done)
        betas = "" if options["betas"] in (BETA_VERSIONS[0], "b3") else f" --betas {BETA_VERSIONS[1]}"
        click.echo(f"Next: nsd-imagery build {quoted(root)}{betas}")


def fetched_root(root: str, as_json: bool, dry_run: bool, **options: Any) -> tuple[Path, Any]:
    """The root that what a build needs of a bucket is fetched into, and what was fetched, or would be.

    Raises:
        UsageError: An option of the build that cannot be meant, or had from voxels of ROIs alone; nothing is fetched.
        Others: See `fetch.cached.cached_root`.
    """
    from nsd_imagery.dataset.recipe import Recipe
    from nsd_imagery.fetch.cached import cached_root

    recipe = Recipe.of(**{name: options[name] for name in ("betas", "zscore", "dtype", "smoothing_fwhm")})
    if recipe.smoothing_fwhm:
        subjects = ",".join(options["subjects"] or ["subjAA"])
        msg = (
            "--smoothing-fwhm takes voxels around those of a ROI, and of a bucket these alone are fetched: "
            f"nsd-imagery download ROOT --subjects {quoted(subjects)}, then nsd-imagery build ROOT with these options"
        )
        raise UsageError(msg)
    said = {name: options[name] for name in ("subjects", "conditions", "betas", "roi")}
    with download_bar() as progress:
        return cached_root(root, **said, progress=progress, planned=None if as_json else show_plan, dry_run=dry_run)


@click.command()
@click.option("--subject", default="subj01", show_default=True, help="One of subj01 to subj08.")
@click.option("--root", type=click.Path(path_type=Path), help="Where files go. Default: $NSD_CACHE_ROOT, else ./cache.")
@click.option(
    "--out", type=click.Path(path_type=Path), default="nsd_imagery", show_default=True, help="The dataset folder."
)
@SOURCE
@JSON
def quickstart(subject: str, root: Path | None, out: Path, source: str | None, as_json: bool) -> None:
    """From nothing to a dataset: terms, download, verify, build, and the line that loads it.

    Some 70 MB come from NSD's public bucket: of the betas, the voxels of nsdgeneral alone. What is done is not done
    again, so that the same command goes on where it was stopped.

    \b
    Examples:
      nsd-imagery quickstart
      nsd-imagery quickstart --subject subj05 --root /data/nsd --out ./nsd_imagery
    """
    from nsd_imagery.sources.root import usual_place
    from nsd_imagery.spelling import subject_of

    subject, root = subject_of(subject), root or usual_place()
    with _step(1, "terms", as_json) as say:
        say(_accepted())
    with _step(2, "download", as_json) as say:
        n_fetched = _download(root, subject, source, say, as_json)
    without_pandas()
    from nsd_imagery.dataset.info import info
    from nsd_imagery.dataset.plan import plan

    todo = plan(root, out, subjects=[subject], conditions=NSDIMAGERY_CONDITIONS)
    is_built = not any(piece.todo for piece in todo.preview().pieces)
    with _step(3, "verify", as_json) as say:
        say("as when the dataset was built" if is_built and not n_fetched else _verified(root, subject))
    with _step(4, "build", as_json) as say:
        with progress_bar("build") as progress:
            todo.build(progress=progress)
        say(f"{place(out)} {'is up to date' if is_built else 'is built'}")
    facts = info(todo.folder)
    if as_json:
        show_json({"root": root, "folder": todo.folder, "n_fetched": n_fetched, "built": todo.configs, **facts})
        return
    show_configs(facts)
    click.echo(next_line(todo.folder, out, f"{subject}-imagery"))


@contextmanager
def _step(number: int, name: str, as_json: bool) -> Iterator[Callable[[str], None]]:
    """One of the steps: what it says, and how long it took; where JSON is asked for, on standard error."""
    start = time.monotonic()

    def say(what: str) -> None:
        click.echo(f"{number}/4 {name:<9} {what} ({time.monotonic() - start:.1f} s)", err=as_json)

    yield say


def _accepted() -> str:
    from nsd_imagery.consent import TERMS, accept_terms, require_terms, terms_accepted

    if not terms_accepted() and sys.stdin.isatty():
        click.echo(TERMS)
        if click.confirm("Have you read NSD's terms, and accepted them?"):
            accept_terms()
    require_terms("quickstart")
    return f"accepted: {terms_accepted()}"


def _download(root: Path, subject: str, source: str | None, say: Callable[[str], None], as_json: bool) -> int:
    """Files that were fetched."""
    from nsd_imagery.fetch.run import download as run

    def planned(plan: Any) -> None:
        if plan.to_fetch and not as_json:
            show_plan(plan)

    with download_bar() as progress:
        done = run(root, subject, masked=True, source=source, progress=progress, planned=planned)
    n_fetched = sum(file.state == "fetched" for file in done.files)
    fetched = f"{n_fetched} files, {size_of(done.bytes_fetched)} fetched"
    say(f"{fetched if n_fetched else f'all {len(done.files)} files are there'}: {place(root)}")
    return n_fetched


def _verified(root: Path, subject: str) -> str:
    from nsd_imagery.checks.run import verify

    with progress_count("verify") as progress:
        found = verify(root, [subject], progress=progress)
    if not found.passed:
        click.echo(found.to_text(width=columns()), err=not sys.stdout.isatty())
        sys.exit(1)
    return found.to_text().strip().splitlines()[-1]
