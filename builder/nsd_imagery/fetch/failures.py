"""Files that could not be had while the others came: one line for all of them."""

from collections.abc import Sequence
from typing import Final

from nsd_imagery.errors import NSDImageryError

_MOST_SAID: Final = 3


def raise_first(failures: Sequence[NSDImageryError]) -> None:
    """Raise the first of some failures, if there is one; the next are notes to it, and of many their number."""
    if not failures:
        return
    first, *others = failures
    for error in others[:_MOST_SAID]:
        first.add_note(str(error))
    if n_more := len(others) - len(others[:_MOST_SAID]):
        first.add_note(f"and {n_more} files more")
    raise first
