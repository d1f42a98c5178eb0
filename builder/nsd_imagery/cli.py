"""The command `nsd-imagery`: parses, calls, prints.

All work is done elsewhere, and imported only when it is asked for.
"""

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from nsd_imagery.errors import NSDImageryError, UsageError
from nsd_imagery.experiment import BETA_VERSIONS, CONDITIONS
from nsd_imagery.lean import without_pandas

_ROOT_HELP = (
    "ROOT holds the release's nsddata/ and nsddata_betas/, or the Guide's nsd_imagery/; "
    "default: $NSD_CACHE_ROOT, else ./cache."
)


class _List(click.ParamType[tuple[str, ...]]):
    """Words separated by commas."""

    name = "A,B,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        words = tuple(word.strip() for word in value.split(",")) if isinstance(value, str) else tuple(value)
        if not all(words):
            self.fail("an empty name between commas", param, ctx)
        return words


_LIST = _List()


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="nsd-imagery")
def cli() -> None:
    """NSD-Imagery as a Hugging Face dataset.

    \b
    Try it without any data:
      nsd-imagery synth release           a small synthetic release
      nsd-imagery build release           the dataset folder ./nsd_imagery
    Then, in Python:
      load_dataset("./nsd_imagery", "subj01-imagery", split="test")
    """


@cli.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--subjects", type=_LIST, default=("subj01",), help="Default: subj01.")
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Another seed is another experiment and other data.",
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
def synth(root: Path, subjects: tuple[str, ...], **options: Any) -> None:
    """Write a synthetic NSD release into ROOT.

    It has the files, formats and quirks of the real release and none of its data: a schedule drawn from the
    seed, and betas with a planted signal.

    \b
    Examples:
      nsd-imagery synth release
      nsd-imagery synth release --subjects subj01,subj02 --format nii.gz
      nsd-imagery synth release --perception-sessions 2
      nsd-imagery synth cache --layout cache
    """
    from nsd_imagery.sources.synthetic import synth as run

    with _progress("synth") as report:
        run(root, subjects=subjects, progress=report, **options)
    click.echo(f"{root}: a synthetic release of {', '.join(subjects)}.  Next: nsd-imagery build {root}")


@cli.command(epilog=_ROOT_HELP)
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option("--subjects", type=_LIST, help="Default: all whose betas are there.")
@click.option(
    "--betas",
    type=str,
    default=BETA_VERSIONS[0],
    show_default=True,
    help=f"One of: {', '.join(BETA_VERSIONS)}.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Where the index goes. Default: ROOT/indices.")
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
def index(root: Path | None, **options: Any) -> None:
    """Write the trial index of ROOT as Parquet: one row a beta, each label proven from the files.

    \b
    Examples:
      nsd-imagery index release
      nsd-imagery index /data/nsd --subjects subj01,subj05 --out my_indices
    """
    from nsd_imagery.trials import index as run
    from nsd_imagery.trials import read_index

    without_pandas()
    with _progress("index") as report:
        folder = run(root, progress=report, **options)
    for path in sorted(folder.glob("*/full_index.parquet")):
        rows = read_index(path)
        valid = sum(rows["is_valid"].to_pylist())
        names = ", ".join(rows["subject"].unique().to_pylist())
        click.echo(f"{path}: {rows.num_rows:,} rows of {names}, {valid:,} with data")


@cli.command(epilog=_ROOT_HELP)
@click.argument("root", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="nsd_imagery",
    show_default=True,
    help="The dataset folder.",
)
@click.option("--subjects", type=_LIST, help="Default: all whose betas are there.")
@click.option("--conditions", type=_LIST, help="Of imagery,vision,attention,perception. Default: all that ROOT holds.")
@click.option(
    "--roi",
    type=_LIST,
    default=("nsdgeneral",),
    help="ROI names or mask files; each makes configs of its own. Default: nsdgeneral.",
)
@click.option(
    "--zscore",
    type=str,
    default="auto",
    show_default=True,
    help="Trials that a voxel is z-scored over: auto (run; session in perception), run, session, or none (percent).",
)
@click.option("--dtype", type=str, default="float32", show_default=True, help="float32 or float16.")
@click.option(
    "--smoothing-fwhm",
    type=float,
    metavar="MM",
    help="Smooth each volume within the brain, before z-scoring. Default: betas as they are.",
)
@click.option(
    "--betas",
    type=str,
    default=BETA_VERSIONS[0],
    show_default=True,
    help=f"One of: {', '.join(BETA_VERSIONS)}.",
)
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
def build(out: Path, **options: Any) -> None:
    """Build the dataset folder from ROOT, or bring it up to date.

    Configs are named subjAA-CONDITION, with -ROI behind it unless the ROI is nsdgeneral. What is there
    already and still fits is kept; configs that are not named stay as they are.

    \b
    Examples:
      nsd-imagery build release
      nsd-imagery build /data/nsd --subjects subj01 --conditions imagery,vision
      nsd-imagery build /data/nsd --roi nsdgeneral,V1,early,streams:ventral
      nsd-imagery build /data/nsd --zscore none --out ./nsd_imagery_percent
    """
    from nsd_imagery.dataset.build import build as run
    from nsd_imagery.dataset.info import info as info_of

    without_pandas()
    with _progress("build") as report:
        folder = run(out=out, progress=lambda done, total, name: report(f"{done}/{total} {name}"), **options)
    facts = info_of(folder)
    _show_configs(facts)
    trials = next((name for name in facts["configs"] if name.split("-")[-1] in CONDITIONS), "subj01-imagery")
    where = out if out.is_absolute() else f"./{out.as_posix()}"
    click.echo(f'{folder}: built.  Next, in Python: load_dataset("{where}", "{trials}")')


@cli.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--subjects", type=_LIST, help="Default: all that are there.")
@click.option("--deep", is_flag=True, help="Also read NSD core's betas and both formats, and hash every row.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report there, for programs.")
@click.option("--root", type=click.Path(path_type=Path), help="Where a dataset folder was built from.")
@click.option("--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help="Beta version, for a root.")
@click.option("--source", type=str, help="release or cache, where a root holds a subject in both trees.")
def verify(path: Path, json_file: Path | None, **options: Any) -> None:
    """Check that labels and numbers are right: files, labels, betas, and that they agree.

    PATH is a root (the release's tree or the Guide's), an index, or a dataset folder. Exit status 1 if a check fails.

    \b
    Examples:
      nsd-imagery verify release
      nsd-imagery verify ./nsd_imagery --root release
      nsd-imagery verify /data/nsd --subjects subj01 --deep --json report.json
    """
    from nsd_imagery.atomic import replace_text
    from nsd_imagery.checks.run import verify as run

    without_pandas()
    with _progress("verify") as report:
        found = run(path, progress=report, **options)
    if json_file is not None:
        replace_text(json_file, found.dumps())
    click.echo(found.to_text())
    sys.exit(0 if found.passed else 1)


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def info(dataset: Path, as_json: bool) -> None:
    """Say what the dataset folder DATASET holds: configs, rows, voxels, sizes, recipe, and what is missing.

    \b
    Examples:
      nsd-imagery info ./nsd_imagery
      nsd-imagery info ./nsd_imagery --json
    """
    import json

    from nsd_imagery.dataset.info import info as run

    facts = run(dataset)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    recipe = ", ".join(f"{key} {value}" for key, value in facts["recipe"].items())
    click.echo(f"{dataset}: {'synthetic, ' if facts['synthetic'] else ''}{facts['bytes'] / 1e6:.1f} MB; {recipe}")
    _show_configs(facts)


@cli.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("repo", metavar="OWNER/NAME")
@click.option("--dry-run", is_flag=True, help="Only say what would go up.")
def push(dataset: Path, repo: str, dry_run: bool) -> None:
    """Bring the private hub repo OWNER/NAME up to date with the dataset folder DATASET.

    The repo is made private if it is not there, and a public one is refused. Only what is new or changed goes up, as
    Parquet; a push that was stopped goes on where it was. Log in first: hf auth login

    \b
    Examples:
      nsd-imagery push ./nsd_imagery jane/nsd-imagery --dry-run
      nsd-imagery push ./nsd_imagery jane/nsd-imagery
    """
    from nsd_imagery.dataset.hub import push as run

    without_pandas()
    with _progress("push") as report:
        done = run(dataset, repo, dry_run=dry_run, progress=lambda n, total, name: report(f"{n}/{total} {name}"))
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


@cli.command()
@click.argument("repo", metavar="OWNER/NAME")
@click.option(
    "--out", type=click.Path(path_type=Path), default="nsd_imagery", show_default=True, help="The dataset folder."
)
@click.option("--configs", type=_LIST, help="Default: all that the repo holds.")
@click.option("--revision", help="A commit, branch or tag of the repo. Default: the newest.")
def pull(repo: str, out: Path, **options: Any) -> None:
    """Bring the hub repo OWNER/NAME into a dataset folder, each value checked.

    The folder is as if it had been built here: load_dataset opens it, and it can be built on. What is there already
    is kept.

    \b
    Examples:
      nsd-imagery pull jane/nsd-imagery
      nsd-imagery pull jane/nsd-imagery --configs subj01-imagery,subj01-voxels --out ./subj01
    """
    from nsd_imagery.dataset.hub import pull as run
    from nsd_imagery.dataset.info import info as info_of

    without_pandas()
    with _progress("pull") as report:
        folder = run(repo, out, progress=lambda done, total, name: report(f"{done}/{total} {name}"), **options)
    _show_configs(info_of(folder))
    click.echo(f"{folder}: pulled from {repo}")


@cli.command()
@click.option("--accept", is_flag=True, help="Say that you have accepted NSD's terms; asked for once.")
def terms(accept: bool) -> None:
    """Show what NSD's terms ask of you, and whether you accepted them here.

    Push, pull and download ask for it; nothing on synthetic data does.

    \b
    Examples:
      nsd-imagery terms
      nsd-imagery terms --accept
      NSD_IMAGERY_ACCEPT_TERMS=1 nsd-imagery push ./nsd_imagery jane/nsd-imagery
    """
    from nsd_imagery.consent import TERMS, VARIABLE, accept_terms, terms_accepted

    click.echo(TERMS)
    if accept:
        accept_terms()
    where = terms_accepted()
    click.echo(f"accepted: {where}" if where else f"not accepted yet: nsd-imagery terms --accept, or {VARIABLE}=1")


@cli.command(epilog=_ROOT_HELP)
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
@click.option("--subjects", type=_LIST, help="Default: all that ROOT holds.")
@click.option(
    "--betas", type=str, default=BETA_VERSIONS[0], show_default=True, help="Version that sessions are found by."
)
@click.option("--captions", type=click.Path(path_type=Path), help="Folder of COCO's captions_{train,val}2017.json.")
@click.option("--source", type=str, help="release or cache, where ROOT holds a subject in both trees.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the file goes. Default: ROOT/clip_embeddings.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Pictures or texts at a time.")
@click.option("--device", help="cpu, cuda, cuda:1 or mps. Default: a GPU if there is one.")
def embed(root: Path | None, **options: Any) -> None:
    """Embed the pictures and texts of the stimuli of ROOT with a CLIP model, for ClipCache.

    Texts are first captions, set C's words, and --prompts. What is there already and still right is kept; a run that
    was stopped goes on where it was.

    \b
    Examples:
      nsd-imagery embed /data/nsd --model openai/clip-vit-large-patch14
      nsd-imagery embed /data/nsd --model ./my_clip --mode imagery --prompts prompts.csv --device cpu
    """
    from nsd_imagery.learn.clip_file import KINDS, read_embeddings
    from nsd_imagery.learn.embed import embed as run

    with _progress("embed") as report:
        path = run(root, progress=lambda done, total, kind: report(f"{done}/{total} {kind}"), **options)
    maker, rows = read_embeddings(path)
    of_kind = {kind: {stimulus for of, stimulus in rows if of == kind} for kind in KINDS}
    for kind, other in (KINDS, KINDS[::-1]):
        if lacking := sorted(of_kind[other] - of_kind[kind]):
            click.echo(f"  no {kind}: {', '.join(lacking[:8])}{' ...' if len(lacking) > 8 else ''} ({len(lacking)})")
    counts = " and ".join(f"{len(stimuli):,} {kind}" for kind, stimuli in of_kind.items())
    click.echo(f"{path}: {counts} embeddings by {maker.model} {maker.revision}".rstrip())


def _show_configs(facts: dict[str, Any]) -> None:
    click.echo(f"  {'config':<28} {'rows':<22} {'voxels':>7} {'MB':>8}")
    for name, config in facts["configs"].items():
        rows = ", ".join(f"{split} {count:,}" for split, count in config["rows"].items())
        click.echo(f"  {name:<28} {rows:<22} {config['voxels']:>7,} {config['bytes'] / 1e6:>8.1f}")
    for sentence in facts["missing"]:
        click.echo(f"  missing: {sentence}")
    for sentence in facts["notes"]:
        click.echo(f"  note: {sentence}")


@contextmanager
def _progress(verb: str) -> Iterator[Callable[[str], None]]:
    """Says on a terminal what is being worked on, on one line of stderr; says nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(bar_format="{desc} {elapsed}", leave=False) as bar:
        yield lambda what: bar.set_description_str(f"{verb}: {what}")


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, NSDImageryError):
        where = f"{error.filename}: " if error.filename else ""
        hint = "; free some room and run again, what is finished is kept" if error.errno == errno.ENOSPC else ""
        return f"{where}{error.strerror or error}{hint}"
    return str(error)


def main() -> None:
    """Run the command: exit 0 if all went well, 1 if the work failed, 2 if it was called wrongly."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; nothing is broken, run the same command again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (NSDImageryError, OSError) as error:
        click.echo(f"nsd-imagery: {_line(error)}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)


if __name__ == "__main__":
    main()
