"""The commands for models: embed."""

from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, ROOT_HELP, place, show_json
from nsd_imagery.cli.showing import progress_count
from nsd_imagery.experiment import BETA_VERSIONS


@click.command(epilog=ROOT_HELP)
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option("--model", required=True, help="A folder that save_pretrained wrote, or a name on the hub.")
@click.option("--revision", help="A commit, branch or tag of the hub. Default: the newest.")
@click.option(
    "--mode",
    type=click.Choice(["perception", "imagery", "both"]),
    default="both",
    show_default=True,
    help="Whose stimuli: NSD core's, NSD-Imagery's, or those of both.",
)
@click.option("--prompts", type=click.Path(path_type=Path), help="A CSV file with columns stimulus and prompt.")
@click.option("--subjects", type=LIST, help="Default: all that ROOT holds.")
@click.option(
    "--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help="Version that sessions are found by."
)
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the file goes. Default: ROOT/clip_embeddings.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Pictures or texts at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 or mps. Default: a GPU if there is one.")
@JSON
def embed(root: Path | None, as_json: bool, **options: Any) -> None:
    """Embed the pictures and texts of the stimuli of ROOT with a CLIP model, for ClipCache.

    Texts are first captions, set C's words, and --prompts. What is there already and still right is kept; a run that
    was stopped goes on where it was.

    \b
    Examples:
      nsd-imagery embed /data/nsd --model openai/clip-vit-large-patch14
      nsd-imagery embed /data/nsd --model ./my_clip --mode imagery --prompts prompts.csv --device cpu
    """
    with progress_count("embed") as progress:
        from nsd_imagery.embeddings import KINDS, read_embeddings
        from nsd_imagery.learn.embed import embed as run

        path = run(root, progress=progress, **options)
    maker, rows = read_embeddings(path)
    of_kind = {kind: {stimulus for of, stimulus in rows if of == kind} for kind in KINDS}
    without = {kind: sorted(of_kind[other] - of_kind[kind]) for kind, other in (KINDS, KINDS[::-1])}
    if as_json:
        counts = {kind: len(stimuli) for kind, stimuli in of_kind.items()}
        show_json({"path": path, "model": maker.model, "revision": maker.revision, **counts, "without": without})
        return
    for kind, lacking in without.items():
        if lacking:
            click.echo(f"  no {kind}: {', '.join(lacking[:8])}{' ...' if len(lacking) > 8 else ''} ({len(lacking)})")
    counts = " and ".join(f"{len(stimuli):,} {kind}" for kind, stimuli in of_kind.items())
    click.echo(f"{place(path)}: {counts} embeddings by {maker.model} {maker.revision}".rstrip())
