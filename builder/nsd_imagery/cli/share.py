"""The commands for sharing with collaborators: push, pull, terms."""

from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, place, progress_line, show_configs, show_json
from nsd_imagery.cli.lean import without_pandas


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--root", type=click.Path(path_type=Path), help="Where DATASET was built from, to hold it against.")
@click.option("--dry-run", is_flag=True, help="Only say what would go up.")
@JSON
def push(dataset: Path, repo: str, root: Path | None, dry_run: bool, as_json: bool) -> None:
    """Bring the private hub repo OWNER/NAME up to date with the dataset folder DATASET.

    DATASET is verified first, and nothing goes up unless it passes. The repo is made private if it is not there, and a
    public one is refused. Only what is new or changed goes up, as Parquet, and verify's report in the card; a push that
    was stopped goes on where it was. Log in first: hf auth login

    \b
    Examples:
      nsd-imagery push ./nsd_imagery jane/nsd-imagery --dry-run
      nsd-imagery push ./nsd_imagery jane/nsd-imagery --root /data/nsd
    """
    from dataclasses import asdict

    from nsd_imagery.share.send import push as run

    without_pandas()
    with progress_line("push") as progress:
        done = run(
            dataset, repo, root=root, dry_run=dry_run, progress=lambda n, total, name: progress(f"{n}/{total} {name}")
        )
    if as_json:
        show_json({**asdict(done), "dry_run": dry_run})
        return
    what = f"{len(done.uploaded)} of {done.n_files} files ({done.bytes / 1e6:.1f} MB)"
    if dry_run:
        for sign, paths in (("+", done.uploaded), ("-", done.removed)):
            for path in paths:
                click.echo(f"  {sign} {path}")
        click.echo(f"{done.url}: {what} would go up, {len(done.removed)} would be removed")
        return
    click.echo(f"{done.url}: private, at {done.revision[:7]}; {what} went up, {len(done.removed)} removed")
    click.echo("A collaborator who accepted NSD's terms, and whom you gave access to the repo, runs:")
    click.echo(f'  hf auth login\n  load_dataset("{done.repo}", "{done.example}")')


@click.command()
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--out", type=click.Path(path_type=Path), default="nsd_imagery", show_default=True, help="The dataset folder."
)
@click.option("--configs", type=LIST, help="Default: all that the repo holds.")
@click.option("--revision", help="A commit, branch or tag of the repo. Default: the newest.")
@JSON
def pull(repo: str, out: Path, as_json: bool, **options: Any) -> None:
    """Bring the hub repo OWNER/NAME into a dataset folder, each value checked.

    The folder is as if it had been built here: load_dataset opens it, and it can be built on. What is there already
    is kept.

    \b
    Examples:
      nsd-imagery pull jane/nsd-imagery
      nsd-imagery pull jane/nsd-imagery --configs subj01-imagery,subj01-voxels --out ./subj01
    """
    from nsd_imagery.dataset.info import info as info_of
    from nsd_imagery.share.receive import pull as run

    without_pandas()
    with progress_line("pull") as progress:
        folder = run(repo, out, progress=lambda done, total, name: progress(f"{done}/{total} {name}"), **options)
    facts = info_of(folder)
    if as_json:
        show_json({"folder": folder, "repo": repo, **facts})
        return
    show_configs(facts)
    click.echo(f"{place(folder)}: pulled from {repo}")


@click.command()
@click.option("--accept", is_flag=True, help="Say that you have accepted NSD's terms; asked for once.")
@JSON
def terms(accept: bool, as_json: bool) -> None:
    """Show what NSD's terms ask of you, and whether you accepted them here.

    Push, pull, export and download ask for it; nothing on synthetic data does.

    \b
    Examples:
      nsd-imagery terms
      nsd-imagery terms --accept
      NSD_IMAGERY_ACCEPT_TERMS=1 nsd-imagery push ./nsd_imagery jane/nsd-imagery
    """
    from nsd_imagery.consent import TERMS, VARIABLE, accept_terms, terms_accepted

    if not as_json:
        click.echo(TERMS)
    if accept:
        accept_terms()
    where = terms_accepted()
    if as_json:
        show_json({"terms": TERMS, "accepted": where or None})
        return
    click.echo(f"accepted: {where}" if where else f"not accepted yet: nsd-imagery terms --accept, or {VARIABLE}=1")
