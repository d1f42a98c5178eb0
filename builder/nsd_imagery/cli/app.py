"""The command `nsd-imagery` as a whole: its verbs, and what becomes of errors."""

import errno
import gc
import importlib
import os
import sys
from pathlib import Path

import click

from nsd_imagery.cli import data, fetch, interop, interrupts, learn, memory, share
from nsd_imagery.cli.compare import compare
from nsd_imagery.cli.evaluate import evaluate, report
from nsd_imagery.cli.helping import SUMMARIES, Context
from nsd_imagery.cli.rois import rois
from nsd_imagery.errors import NSDImageryError, UsageError, on_one_line, printable, reason
from nsd_imagery.links import without_content
from nsd_imagery.suggest import one_of


class _Verbs(click.Group):
    """The verbs, of which a mistyped one is answered alike by every click: those before 8.4 know no nearest one."""

    context_class = Context

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing:  # a shell that completes asks with half a word
            one_of("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="nsd-imagery")
@click.pass_context
def cli(context: click.Context) -> None:
    """NSD-Imagery as a Hugging Face dataset.

    \b
    From the public bucket, once you have accepted NSD's terms:
      nsd-imagery quickstart              one subject, into the dataset folder ./nsd_imagery
    Try it without any data:
      nsd-imagery synth release           a small synthetic release
      nsd-imagery build release           the dataset folder ./nsd_imagery
    Then, in Python:
      load_dataset("./nsd_imagery", "subj01-imagery", split="test")
    """
    memory.refuse_too_little(context.invoked_subcommand)


for verb in (
    fetch.quickstart,
    fetch.download,
    data.synth,
    data.index,
    rois,
    data.build,
    data.verify,
    data.info,
    evaluate,
    compare,
    report,
    learn.embed,
    interop.export,
    share.push,
    share.pull,
    share.terms,
):
    verb.context_class, verb.short_help = Context, SUMMARIES[verb.name or ""]
    cli.add_command(verb)


_HINTS = {
    errno.ENOSPC: "; free some room and run again, what is finished is kept",
    errno.EACCES: "; it needs other permissions, or what is written another place{out}",
    errno.EROFS: "; write to another place{out}",
}


def _hint(error: OSError) -> str:
    verb = next((cli.commands[word] for word in sys.argv[1:] if word in cli.commands), None)
    has_out = verb is not None and any("--out" in one.opts for one in verb.params)
    return _HINTS.get(error.errno or 0, "").format(out=" (--out)" if has_out else "")


def _line(error: BaseException) -> str:
    if memory.is_short(error):
        return memory.line(error)
    if isinstance(error, OSError) and not isinstance(error, NSDImageryError):
        said = without_content(Path(os.fsdecode(error.filename))) if isinstance(error.filename, str | bytes) else None
        if error.errno == errno.ENOENT and said:
            return said
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}{_hint(error)}"
    return str(error)


def _say(error: BaseException) -> None:
    notes = "; ".join(getattr(error, "__notes__", []))
    said = f"nsd-imagery: {_line(error)}{f' ({notes})' if notes else ''}"
    lines = said.split("\n  ") if sys.stderr.isatty() else [on_one_line(said)]
    click.echo("\n  ".join(map(printable, lines)), err=True)


def main() -> None:
    """Run the command: exit 0 if all went well, 1 if the work failed, 2 if it was called wrongly."""
    interrupts.heed_the_first()
    try:
        importlib.import_module("nsd_imagery.locks")  # first, so that where there are none, nothing else is said
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped; nothing is broken, run the same command again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (NSDImageryError, OSError) as error:
        _say(error)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except UnicodeEncodeError as error:  # of a library that takes no path which is not UTF-8
        click.echo(
            f"nsd-imagery: a path has letters that this locale has not ({reason(error)}): set PYTHONUTF8=1", err=True
        )
        sys.exit(1)
    except (MemoryError, ImportError, RuntimeError, SystemError) as error:
        if "home directory" in str(error):  # pathlib's, of a path that begins with ~ and the name of no user
            click.echo(
                "nsd-imagery: a path begins with ~ and no user's name: write ./~ for a folder of that name", err=True
            )
            sys.exit(2)
        if not memory.is_short(error):
            raise
        _say(error)
        sys.exit(1)
    finally:
        gc.freeze()  # the interpreter would look for garbage among all modules before it ends: 40 ms
