"""Which bytes of a file to ask for, so that all wanted ones come in few requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.fetch.block import Block
from nsd_imagery.volumes.layout.header import NODE_BYTES, Header, Range
from nsd_imagery.volumes.layout.node import holds
from nsd_imagery.volumes.layout.predict import Addresses, ExpectedNode, Prediction

GAP: Final = 1 << 14
"""Bytes between two wanted things that are fetched along, for a request costs more: at most 1.65 times the time of the
best gap on lines of 10 to 100 MB/s, and the least on slow ones."""

_LARGEST = 1 << 19
"""Bytes of a range, about, because a range is in memory as a whole, and many at once."""


@dataclass(frozen=True, eq=False)
class Spans:
    """Ranges of bytes that do not overlap, rising.

    Attributes:
        starts: (n_ranges,) first bytes.
        ends: (n_ranges,) behind the last bytes.
        of: (n_things,) the range in which each wanted thing is, in the order of the things.
    """

    starts: Addresses
    ends: Addresses
    of: NDArray[np.int64]


def coalesced(starts: Addresses, ends: Addresses, gap: int = GAP) -> Spans:
    """The ranges that hold some things, each in one of them.

    Args:
        starts: (n_things,) their first bytes, rising; things do not overlap.
        ends: (n_things,) behind their last bytes.
        gap: What may be between two things of a range, in bytes.
    """
    if not starts.size:
        return Spans(starts, ends, np.empty(0, np.int64))
    is_apart = np.append(True, starts[1:] - ends[:-1] > gap)
    into_range = starts - starts[is_apart][np.cumsum(is_apart) - 1]
    is_first = is_apart | np.append(False, np.diff(into_range // _LARGEST) != 0)
    first = np.flatnonzero(is_first)
    return Spans(starts[first], ends[np.append(first[1:], starts.size) - 1], np.cumsum(is_first) - 1)


class OtherLayoutError(Exception):
    """A node of a file's tree is not what was predicted; no error of a user's, who never sees it."""


@dataclass(frozen=True, eq=False)
class Ranges:
    """Ranges of bytes, and what they hold.

    Attributes:
        spans: Their bytes, those with nodes first, so that one learns soon that a prediction is wrong.
        chunks: By range, the rows of a block whose chunks are in it, and where these begin in it.
        nodes: By range, the nodes that lie wholly in it, by which the prediction is proven.
    """

    spans: list[Range]
    chunks: list[tuple[NDArray[np.int64], Addresses]]
    nodes: list[list[ExpectedNode]]

    @classmethod
    def of(cls, rows: NDArray[np.int64], addresses: Addresses, chunk_bytes: int, expected: Sequence[ExpectedNode],
           prediction: Prediction | None, gap: int) -> "Ranges":  # fmt: skip
        """Ranges for the chunks of some rows, as few as the gap makes them, and for nodes that lie in none of them."""
        found = coalesced(addresses, addresses + chunk_bytes, gap)
        bounds = np.searchsorted(found.of, np.arange(found.starts.size + 1)).tolist()
        whole = list(zip(found.starts.tolist(), found.ends.tolist(), strict=True))
        chunks = {
            span: (rows[first:stop], addresses[first:stop] - span[0])
            for span, (first, stop) in zip(whole, pairwise(bounds), strict=True)
        }
        nodes: dict[Range, list[ExpectedNode]] = {span: [] for span in whole}
        for node in expected:
            place = int(np.searchsorted(found.starts, node.address, "right")) - 1
            is_within = place >= 0 and node.range[1] <= found.ends[place]
            nodes.setdefault(whole[place] if is_within else node.range, []).append(node)
        if prediction is not None and whole:
            for number, place in zip(*prediction.leaves_within(found.starts, found.ends), strict=True):
                nodes[whole[place]].append(prediction.node(0, int(number)))
        spans = sorted(nodes, key=lambda span: (not nodes[span], span))
        none = rows[:0], addresses[:0]
        return cls(spans, [chunks.get(span, none) for span in spans], [nodes[span] for span in spans])

    def place(self, number: int, data: memoryview, block: Block, header: Header) -> None:
        """Put the chunks of a range into a block.

        Raises:
            OtherLayoutError: A node in the range is not what was predicted.
        """
        start, _ = self.spans[number]
        for node in self.nodes[number]:
            at = node.address - start
            if not holds(bytes(data[at : at + NODE_BYTES]), node, header):
                raise OtherLayoutError
        rows, places = self.chunks[number]
        for row, at in zip(rows.tolist(), places.tolist(), strict=True):
            block.numbers[row] = np.frombuffer(data, "<i2", header.shape[0], at)
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if rows.size else ():
            block.note(slice(int(run[0]), int(run[-1]) + 1))
