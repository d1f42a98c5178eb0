"""The reference pages, from the code: names and docstrings, options of click, columns, checks, errors."""

import inspect
import pydoc
import re
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "builder")]

import click  # noqa: E402 (the package of this tree comes first)

import nsd_imagery  # noqa: E402
from nsd_imagery import errors, schema  # noqa: E402
from nsd_imagery.checks.catalogue import CHECKS  # noqa: E402
from nsd_imagery.checks.check import Check  # noqa: E402
from nsd_imagery.cli.app import cli  # noqa: E402
from nsd_imagery.dataset.card import column_table  # noqa: E402

from how_checks_fail import HOW  # noqa: E402 isort: skip
from names import GROUPS, TYPES, VERBS  # noqa: E402 isort: skip

COMMANDS = """
Exit status: 0 if all went well, 1 if the work failed or a check did, 2 if the command was called wrongly, 130 after
Ctrl-C. `--json` makes standard output JSON alone; notes and errors go to standard error. Subjects may be written
`subj01`, `sub-01` or `1`, lists with commas, ROIs in letters of any case.
"""

TABLES = {
    "Trials": (
        "`subjAA-imagery`, `-vision`, `-attention`, `-perception`, and, without `betas`, the index. No value of a "
        'dataset row is null: where there is none, "absent" stands; in an index it is null there.',
        (*schema.TRIAL_COLUMNS, schema.BETAS),
    ),
    "Means of repeats": (
        "What `average_repeats` gives, one row a stimulus.",
        (*schema.AVERAGE_COLUMNS, schema.N_REPEATS, schema.BETAS),
    ),
    "Voxels": (
        "`subjAA-voxels`: one row a column of `betas`, in their order. A string column an atlas follows, with the "
        "voxel's label in it.",
        schema.VOXEL_COLUMNS,
    ),
    "Stats": (
        "`subjAA-stats`: one row a group of trials that were z-scored together. `mean` and `sd` follow (float64, "
        "percent signal change, ddof 1), one value a voxel.",
        schema.STATS_COLUMNS,
    ),
    "Stimuli": (
        "`stimuli`: one row a target, and one a photograph that stood for a word of set C.",
        schema.STIMULI_COLUMNS,
    ),
}

CHECKS_WORDS = """
What `nsd-imagery verify` asks of a root, an index or a folder. Its report names each check as here. A check passes,
fails, is skipped with the reason, or is not decidable (the data say neither yes nor no). Exit status 1 means that one
failed.
"""

ERRORS_WORDS = """
Every error that this package raises on purpose is an ``NSDImageryError``, and also the builtin error on the right, so
that ``except ValueError`` works too. The message says what is wrong, where, and what to run. In a terminal it is one
line; the exit status is 2 for a ``UsageError``, else 1.
"""

KINDS = {
    "files": "Files: are they there, whole, and of one grid?",
    "labels": "Labels: do the release's files agree on what each trial was?",
    "rows": "Rows: is what was made of the files in order?",
    "data": "Data: do the betas agree with the labels?",
    "index": "Index",
    "folder": "Folder: is the built dataset what its manifest says?",
    "source": "Source: is the index or folder still what the root gives?",
}


def write(folder: Path) -> None:
    """Write all pages, and take away those that an earlier version wrote; what did not change is left alone."""
    pages = dict(all_pages())
    for path in [*folder.glob("*.md"), *folder.glob("api/*"), *folder.glob("commands/*")]:
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def all_pages() -> Iterator[tuple[str, str]]:
    """Each page's place below `generated`, and its text."""
    yield "api.md", api_index()
    for name in [*public_names(), *public_modules()]:
        yield f"api/{name}.rst", api_page(name)
    yield "types.rst", types_page()
    yield "commands.md", commands_index()
    for verb in cli.commands:
        yield f"commands/{verb}.md", command_page(verb)
    yield "columns.md", columns_page()
    yield "checks.md", checks_page()
    yield "errors.rst", errors_page()


def public_names() -> list[str]:
    """What `import nsd_imagery` gives, but the module of errors, which has a page of its own."""
    return [name for name in nsd_imagery.__all__ if not inspect.ismodule(getattr(nsd_imagery, name))]


def public_modules() -> list[str]:
    """Modules among the public names, but `errors`."""
    return [name for name in nsd_imagery.__all__ if name not in [*public_names(), "errors"]]


def first_line(documented: object) -> str:
    """The sentence that a docstring begins with."""
    text = inspect.getdoc(documented) or ""
    return " ".join(text.partition("\n\n")[0].split())


# ---- API ----------------------------------------------------------------------------------------------------------


def api_index() -> str:
    """All public names by what they are for."""
    names = [*public_names(), *public_modules()]
    grouped = {title: [name for name in group if name in names] for title, group in GROUPS.items()}
    further = [name for name in names if name not in {one for group in grouped.values() for one in group}]
    words = "All of these are names of `nsd_imagery`. Whatever a command does, a function of the same name does."
    lines = ["# Python", "", words]
    for title, group in [*grouped.items(), ("Further", further)]:
        if group:
            lines += ["", f"## {title}", ""]
            lines += [f"[`{name}`](api/{name}.rst)\n: {first_line(getattr(nsd_imagery, name))}\n" for name in group]
    entries = [f"api/{name}" for group in [*grouped.values(), further] for name in group]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *entries, "types", "```", ""])


def api_page(name: str) -> str:
    """The page of one public name; of a module, of all that it shows."""
    documented = getattr(nsd_imagery, name)
    title = f"{name}\n{'=' * len(name)}\n\n"
    if inspect.ismodule(documented):
        members = "\n".join(f".. autofunction:: nsd_imagery.{name}.{member}\n" for member in documented.__all__)
        return f"{title}.. automodule:: nsd_imagery.{name}\n   :no-members:\n\n{members}"
    if inspect.isclass(documented):
        return f"{title}.. autoclass:: nsd_imagery.{name}\n   :members:\n"
    return f"{title}.. autofunction:: nsd_imagery.{name}\n"


def types_page() -> str:
    """What functions return and take, beyond the public names."""
    title = "What functions return and take"
    blocks = [f"{title}\n{'=' * len(title)}\n"]
    for place in TYPES:
        # The fields of a named tuple are in its docstring, and would be listed twice.
        members = "" if hasattr(pydoc.locate(place), "_fields") else "   :members:\n"
        blocks.append(f".. autoclass:: {place}\n{members}")
    return "\n".join(blocks)


# ---- commands -----------------------------------------------------------------------------------------------------


def commands_index() -> str:
    """All verbs, in the order of a day's work."""
    lines = ["# Commands", "", "`nsd-imagery COMMAND --help` says the same in a terminal.", ""]
    ordered = [*(verb for verb in VERBS if verb in cli.commands), *(verb for verb in cli.commands if verb not in VERBS)]
    for verb in ordered:
        lines.append(f"[`nsd-imagery {verb}`](commands/{verb}.md)\n: {paragraphs(cli.commands[verb])[0]}\n")
    lines.append(COMMANDS)
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *(f"commands/{verb}" for verb in ordered), "```", ""])


def paragraphs(command: click.Command) -> list[str]:
    """The help of a command; a paragraph that click leaves as it is begins with a backslash and b."""
    return [part.strip("\n") for part in inspect.cleandoc(command.help or "").split("\n\n")]


def command_page(verb: str) -> str:
    """Usage, help, arguments and options of a verb."""
    command = cli.commands[verb]
    context = click.Context(command, info_name=f"nsd-imagery {verb}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"# {verb}", "", "```text", usage, "```", ""]
    for part in paragraphs(command):
        kept = part.startswith("\b")
        heading, _, rest = part.lstrip("\b\n").partition("\n")
        if kept and heading.rstrip(":") == "Examples":
            lines += ["## Examples", "", "```bash", inspect.cleandoc(f"\n{rest}"), "```", ""]
        elif kept:
            lines += [heading, "", "```text", inspect.cleandoc(f"\n{rest}"), "```", ""]
        else:
            lines += [as_text(part), ""]
    if command.epilog:
        lines += [as_text(command.epilog), ""]
    options = [one for one in command.params if isinstance(one, click.Option)]
    lines += ["## Options", "", *(line for option in options for line in option_lines(option, context))]
    return "\n".join(lines)


def as_text(help_text: str) -> str:
    """Words of a terminal as Markdown: what would be markup there is meant as it stands."""
    return re.sub(r"([\\`*_<>\[\]$#|])", r"\\\1", help_text)


def option_lines(option: click.Option, context: click.Context) -> list[str]:
    """An option as an entry of a list: how it is written, what it does, and what stands where it is left out."""
    names = ", ".join([*option.opts, *option.secondary_opts])
    metavar = "" if option.is_flag else f" {option.make_metavar(context)}"
    default = ""
    if option.show_default and option.default not in (None, False):
        default = f" Default: `{option.default}`."
    return [f"`{names}{metavar}`", f": {as_text(option.help or '')}{default}", ""]


# ---- columns, checks, errors --------------------------------------------------------------------------------------


def columns_page() -> str:
    """Every table's columns."""
    lines = ["# Columns", ""]
    for title, (words, columns) in TABLES.items():
        lines += [f"## {title}", "", words, "", escaped(column_table(list(columns))), ""]
    return "\n".join(lines)


def escaped(table: str) -> str:
    """A table whose words are words."""
    return table.replace("<", "&lt;")


def checks_page() -> str:
    """What `nsd-imagery verify` asks, by kind: what each check proves, how a failure looks, what to do."""
    lines = ["# Checks", CHECKS_WORDS]
    for kind, title in KINDS.items():
        lines += [f"## {title}", ""]
        for check in CHECKS:
            if check.id.partition(".")[0] == kind:
                lines += check_lines(check)
    return "\n".join(lines)


def check_lines(check: Check) -> list[str]:
    """The section of one check."""
    return [
        f"### `{check.id}`", "",
        f"Proves\n: {escaped(check.proves)}.\n",
        f"Fails when\n: {escaped(HOW[check.id])}\n",
        f"What to do\n: {escaped(check.remedy)}.\n",
    ]  # fmt: skip


def errors_page() -> str:
    """The tree of errors, and each of them."""
    tree = (errors.__doc__ or "").split("\n\n")[1]
    kinds = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.NSDImageryError)]
    lines = ["Errors", "======", ERRORS_WORDS, "::", "", tree, ""]
    for kind in kinds:
        lines += [f".. autoexception:: nsd_imagery.errors.{kind.__name__}", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    write(HERE / "generated")
