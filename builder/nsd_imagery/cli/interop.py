"""The commands for other projects' code: export."""

from pathlib import Path
from typing import Any

import click

from nsd_imagery.cli.common import JSON, LIST, place, show_json
from nsd_imagery.cli.lean import without_pandas
from nsd_imagery.cli.showing import progress_count


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--for", "for_", type=click.Choice(["mindeye"]), required=True, help="Whose code is to read the files.")
@click.option("--subjects", type=LIST, help="Default: all that DATASET holds.")
@click.option("--replace", is_flag=True, help="Also replace files of these names that no export wrote.")
@JSON
def export(dataset: Path, out: Path, as_json: bool, **options: Any) -> None:
    """Write the dataset folder DATASET to OUT as the files that existing decoders read.

    mindeye: MindEye2, MIRAGE and what is built on them, whose data root OUT is: nsd_imagery.pt (720 betas a subject,
    z-scored by run), nsdimagery_stimuli.pkl3 (labels by what was seen), imagery_stimuli_18.pt (pictures; NaN for set
    C's words, which have none), and where DATASET has perception, betas_all_subjAA_fp32_renorm.hdf5. Other files in OUT
    are left alone; a run that was stopped goes on at the file that it was at. It needs torch.

    \b
    Examples:
      nsd-imagery export ./nsd_imagery ./decoder --for mindeye
      nsd-imagery export ./nsd_imagery /data/mindeye --for mindeye --subjects subj01,subj02
    """
    from dataclasses import asdict

    with progress_count("export") as progress:
        without_pandas()
        from nsd_imagery.interop.export import export as run

        done = run(dataset, out, progress=progress, **options)
    if as_json:
        show_json(asdict(done))
        return
    for path in done.written:
        click.echo(f"  {path}: {(done.out / path).stat().st_size / 1e6:,.1f} MB")
    for path in done.kept:
        click.echo(f"  {path}: is there")
    for sentence in done.notes:
        click.echo(f"  note: {sentence}")
    click.echo(f"{place(done.out)}: {', '.join(done.subjects)}, {done.beta_version}, for {options['for_']}")
