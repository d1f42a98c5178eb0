"""The pages that people read, and the code in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for path in [*HOME.glob("*.md"), *HOME.glob("docs/**/*.md")]
    if path.name != "dataset_card.md" and not {"generated", "_build"} & set(path.parts)
)
"""All but the card, which is a template with tests of its own, and what `docs/generate.py` writes."""

_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        language: As the fence says: "python", "bash".
        note: What follows there; "skip" for code that needs what no test has.
        text: The code.
        line: Of the page, from 1, where the fence is.
    """

    language: str
    note: str
    text: str
    line: int


def name_of(page: Path) -> str:
    """How a test calls a page."""
    return page.relative_to(HOME).as_posix()


def blocks(text: str, *languages: str) -> list[Block]:
    """The blocks of some languages, in order."""
    found = [(match, text[: match.start()].count("\n") + 1) for match in _BLOCK.finditer(text)]
    return [
        Block(match[1], match[2].strip(), match[3], line)
        for match, line in found
        if not languages or match[1] in languages
    ]


def commands(block: Block) -> Iterator[list[str]]:
    """The commands of a shell block, in words, without comments; lines that end in a backslash go on."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for command in line.split(" && "):
            if words := shlex.split(command, comments=True):
                yield words


def anchors(text: str) -> set[str]:
    """What a link may point to in a page: its headings, as the site and code hosts spell them."""
    headings = re.findall(r"^#{1,4} (.+)$", re.sub(_BLOCK, "", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().strip()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """Where the links and pictures of a page lead."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(_BLOCK, "", text))
