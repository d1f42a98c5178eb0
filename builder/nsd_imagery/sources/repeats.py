"""Repeats: how often a thing came before."""

from collections import Counter
from collections.abc import Hashable, Sequence


def repeats(keys: Sequence[Hashable]) -> list[int]:
    """How often each key came before, in the order given."""
    seen: Counter[Hashable] = Counter()
    counts = []
    for key in keys:
        counts.append(seen[key])
        seen[key] += 1
    return counts
