"""The verb `rois`."""

from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, ROOT_HELP, show_json, tell


@click.command(epilog=ROOT_HELP)
@click.argument("root", required=False, type=click.Path(path_type=Path))
@click.option("--subject", "--subjects", "subjects", type=LIST, help="Default: all whose betas are there.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
@JSON
def rois(root: Path | None, as_json: bool, **options: Any) -> None:
    """List what `build --roi` can name: voxels, how many of them nsdgeneral has, and what is missing for the rest.

    \b
    Examples:
      nsd-imagery rois release
      nsd-imagery rois /data/nsd --subject subj01 --json
    """
    from dataclasses import asdict

    from nsd_imagery.sources.root import rois as run

    found = run(root, **options)
    if as_json:
        show_json([asdict(listing) for listing in found])
        return
    for listing in found:
        _show(listing)


def _show(listing: Any) -> None:
    width = max(len(roi.name) for roi in listing.rois)
    click.echo(f"{listing.subject}\n  {'ROI':<{width}} {'voxels':>8} {'in nsdgeneral':>14}")
    for roi in listing.rois:
        inside = "" if roi.n_in_nsdgeneral is None else f"{roi.n_in_nsdgeneral:,}"
        click.echo(f"  {roi.name:<{width}} {roi.n_voxels:>8,} {inside:>14}")
    if listing.hemispheres:
        tell(f"  one hemisphere: lh. or rh. before any of {', '.join(listing.hemispheres)}, and of their labels")
    tell("  a&b is what both have, a+b what either has (& first); the path of a mask file is a name, too")
    for sentence in listing.missing:
        tell(f"  missing: {sentence}")
