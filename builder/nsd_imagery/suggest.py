"""Words that people mistype: the nearest one that is meant."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from nsd_imagery.errors import UsageError


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """` (did you mean 'V1'?)` for the choice that is near to `word`, or nothing."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def one_of(what: str, word: str, choices: Iterable[str], where: Path | None = None) -> str:
    """The word, if it is one of the choices; in whatever letters it may be written, see `spelling.the_choice`.

    Args:
        what: What it names: "subject".
        word: The word.
        choices: The choices.
        where: What has these and no others, if that is a file or a folder.

    Raises:
        UsageError: It is not; names the choices, and the nearest.
    """
    choices = list(choices)
    if word not in choices:
        place = "" if where is None else f"{where}: "
        msg = f"{place}no {what} {word!r}{did_you_mean(word, choices)}; there are: {', '.join(choices)}"
        raise UsageError(msg)
    return word
