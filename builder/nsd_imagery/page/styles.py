"""Styles that many elements of drawings share, said once in the page instead of in each element."""

import re
from typing import Final

from markupsafe import Markup

_TAG: Final = re.compile(r"<[^<>]*>")
_STYLE: Final = re.compile(r' style="([^"<>{}\\&]*)"')


class Styles:
    """The styles of the drawings of one page, each with a class of its own, in the order of their first use."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def shared(self, svg: str) -> Markup:
        """The same drawing with classes instead of styles; its text is not touched."""
        return Markup(_TAG.sub(lambda tag: _STYLE.sub(self._class, tag[0]), svg))

    def css(self) -> Markup:
        """The rules of all that was shared so far."""
        return Markup("\n".join(f".{name}{{{style}}}" for style, name in self._names.items()))

    def _class(self, found: re.Match[str]) -> str:
        name = self._names.setdefault(found[1], f"d{len(self._names)}")
        return f' class="{name}"'
