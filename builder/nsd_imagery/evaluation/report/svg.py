"""A figure as one <svg> element that stands in a page: with the page's font and colours, the same bytes each time."""

import io
import re
from typing import TYPE_CHECKING, Final

from nsd_imagery.evaluation.plot.style import COLOURS, GREY, INK, PALE, PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OF_PAGE: Final = {
    INK: "currentColor",
    PAPER: f"var(--paper, {PAPER})",
    PALE: f"var(--pale, {PALE})",
    GREY: f"var(--grey, {GREY})",
    **{colour: f"var(--{name}, {colour})" for name, colour in COLOURS.items() if colour != GREY},
}
"""Colours of figures, and what a page draws in their place."""

_TAG: Final = re.compile(r"<[^<>]*>")
_GROUP: Final = re.compile(r"<g/>|<g(?: [^<>]*)?>|</g>")
_NOTHING: Final = re.compile(r'<path [^<>]*style="fill: none"/>| transform="rotate\(-?0 [^"]*\)"')
"""What matplotlib writes and nobody sees: lines without a colour, turns by nothing."""
_LINE: Final = re.compile(r' d="([^"]*)"')
_ZEROS: Final = re.compile(r"(\.\d*?)0+(?=\D|$)")
_LONG: Final = re.compile(r"(?<![\w#])(-?\d+\.\d\d)\d+")
_COLOUR: Final = re.compile(r"(?<=: )#[0-9a-f]{6}\b")
_FONT: Final = re.compile(r"font: (?:(\d+|bold) )?([\d.]+px) [^;\"]*")
_FAMILY: Final = re.compile(r"font-family: [^;\"]*;? ?")
_ID: Final = re.compile(r' id="([^"]*)"')
_REFERENCE: Final = re.compile(r'(?:url\(#|href="#)([^)"]+)')
_DROPPED: Final = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", re.DOTALL)
_ROOT: Final = re.compile(r'<svg[^>]*?viewBox="([^"]*)"[^>]*>')


def svg_of(figure: "Figure", name: str) -> str:
    """A figure as an <svg> element: it has a viewBox, and neither width and height nor a colour behind it.

    Args:
        figure: Of `plot`.
        name: Begins its ids, so that no two figures of a page share one: letters, digits and hyphens.
    """
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="none")
    text = _DROPPED.sub("", file.getvalue())
    text = text[text.index("<svg") :]
    text = _bared(_own_ids(_TAG.sub(_tidied, text), name))
    text = _ROOT.sub(r'<svg xmlns="http://www.w3.org/2000/svg" viewBox="\1" stroke-linejoin="round">', text, count=1)
    return re.sub(r">\s+<", "><", text).strip()


def _tidied(found: re.Match[str]) -> str:
    """A tag on one line, with coordinates to a hundredth, and the page's colours and font; no text is touched."""
    tag = " ".join(found[0].split()).replace("xlink:href", "href")
    tag = _FONT.sub(lambda font: f"{f'font-weight: {font[1]}; ' if font[1] else ''}font-size: {font[2]}", tag)
    return _COLOUR.sub(lambda colour: OF_PAGE.get(colour[0], colour[0]), _LONG.sub(r"\1", _FAMILY.sub("", tag)))


def _bared(text: str) -> str:
    """Without what nobody sees, and lines in fewer letters: a page has thousands."""
    text = _TAG.sub(lambda tag: _LINE.sub(lambda line: f' d="{_short(line[1])}"', _NOTHING.sub("", tag[0])), text)
    is_bare: list[bool] = []

    def kept(found: re.Match[str]) -> str:
        if found[0] == "<g/>":
            return ""
        if found[0] == "</g>":
            return "" if is_bare.pop() else "</g>"
        is_bare.append(found[0] == "<g>")
        return "" if is_bare[-1] else found[0]

    return _GROUP.sub(kept, text)


def _short(line: str) -> str:
    """A line's coordinates without zeros at their ends and blanks around letters."""
    rounded = _ZEROS.sub(lambda number: "" if number[1] == "." else number[1], line)
    return re.sub(r" ?([A-Za-z]) ?", r"\1", rounded).strip()


def _own_ids(text: str, name: str) -> str:
    """Only the ids that something refers to, numbered in their order."""
    wanted = set(_REFERENCE.findall(text))
    numbers: dict[str, str] = {}
    for one in _ID.findall(text):
        if one in wanted:
            numbers.setdefault(one, f"{name}-{len(numbers)}")
    text = _ID.sub(lambda found: f' id="{numbers[found[1]]}"' if found[1] in numbers else "", text)
    return _REFERENCE.sub(lambda found: found[0].replace(found[1], numbers.get(found[1], found[1])), text)
