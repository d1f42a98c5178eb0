"""Where HDF5 puts the chunks of a dataset that was filled in the order of its keys, and the nodes of their tree.

A node of the tree holds up to 64 children. When another one comes at its right end, it keeps 57 and a new node takes
the rest; so of the things on a level, chunks or nodes, the first 57 belong to the first node of the level above, the
next 57 to the second, and the last node has what is left, up to 64. Chunks and nodes lie in the order in which they are
made: a chunk, then the leaf that it makes necessary, then the node above that this makes necessary, and so on; when the
root is split, what was in it is copied to a new place, for the root never moves.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.volumes.layout.header import NODE_BYTES, Header, Range

Positions = NDArray[np.int64]
"""Voxels by their positions in the order of the file; see `Header.n_chunks`."""

Addresses = NDArray[np.int64]

_FULL, _KEPT = 64, 57


@dataclass(frozen=True, eq=False)
class ExpectedNode:
    """What a node of the tree should hold.

    Attributes:
        address: Of the node.
        level: 0 for a leaf, whose children are chunks.
        first: (n_children,) the first chunk of each child.
        children: (n_children,) their addresses.
    """

    address: int
    level: int
    first: Positions
    children: Addresses

    @property
    def range(self) -> Range:
        """Its bytes."""
        return self.address, self.address + NODE_BYTES


@dataclass(frozen=True)
class Prediction:
    """The layout of a file of which nothing but its header was read.

    Attributes:
        root: Address of the tree's root.
        n_chunks: In the file.
        chunk_bytes: Of each.
    """

    root: int
    n_chunks: int
    chunk_bytes: int

    @classmethod
    def of(cls, header: Header) -> "Prediction":
        """The layout that a file has if it was filled in order."""
        return cls(header.root, header.n_chunks, header.chunk_bytes)

    @cached_property
    def n_nodes(self) -> tuple[int, ...]:
        """How many nodes each level has, from the leaves to the root."""
        counts = [self._n_on(self.n_chunks)]
        while counts[-1] > 1:
            counts.append(self._n_on(counts[-1]))
        return tuple(counts)

    @staticmethod
    def _n_on(n_below: int) -> int:
        return 1 + max(0, -(-(n_below - _FULL) // _KEPT))

    @property
    def end(self) -> int:
        """Where the last byte of chunks and tree is followed by the next."""
        return self.root + sum(self.n_nodes) * NODE_BYTES + self.n_chunks * self.chunk_bytes

    def fits(self, size: int) -> bool:
        """Whether a file can be so by its size: a node more or less, and it is another one."""
        return 0 <= size - self.end < NODE_BYTES

    def chunks(self, positions: Positions) -> Addresses:
        """The addresses of some chunks."""
        return self.root + NODE_BYTES * (1 + self._n_before(positions)) + self.chunk_bytes * positions

    def node(self, level: int, number: int) -> ExpectedNode:
        """A node by its level and its number on it."""
        below = self.n_nodes[level - 1] if level else self.n_chunks
        last = number == self.n_nodes[level] - 1
        children = np.arange(number * _KEPT, below if last else (number + 1) * _KEPT)
        addresses = self.nodes(level - 1, children) if level else self.chunks(children)
        return ExpectedNode(int(self.nodes(level, np.array(number))), level, children * _KEPT**level, addresses)

    def nodes(self, level: int, numbers: Positions) -> Addresses:
        """The addresses of some nodes of a level."""
        if level == len(self.n_nodes) - 1:
            return np.full_like(numbers, self.root)
        by = self._made_by(level, np.maximum(numbers, 1))
        # With the last chunk before it come the nodes of the levels below; the copy of a root comes behind its first
        # neighbour.
        behind = level + (numbers == 0)
        return self.chunks(by) + self.chunk_bytes + NODE_BYTES * behind

    def above(self, level: int, positions: Positions) -> Positions:
        """The numbers of a level's nodes above some chunks, each once."""
        return np.unique(np.minimum(positions // _KEPT ** (level + 1), self.n_nodes[level] - 1))

    def _n_before(self, positions: Positions) -> Positions:
        """How many nodes, beside the root, are made before some chunks."""
        n_made = np.zeros_like(positions)
        for level in range(len(self.n_nodes) - 1):
            step, first = _KEPT ** (level + 1), int(self._made_by(level, np.array(0)))
            n_split = np.maximum(0, (positions - 1 - first) // step)
            n_made += n_split + (n_split > 0)
        return n_made

    @staticmethod
    def _made_by(level: int, numbers: Positions) -> Positions:
        """The chunk whose arrival makes each node of a level: the 64th child (from 0) of the one before it splits that.

        Child 57 n + 7 of a level makes node n of the level above, so with p = 57^(level + 1) it is p n + (p - 1) / 8.
        """
        step = _KEPT ** (level + 1)
        return step * numbers + (step - 1) // (_FULL - _KEPT + 1)

    def leaves_within(self, starts: Addresses, ends: Addresses) -> tuple[Positions, Positions]:
        """The numbers of the leaves that lie wholly in ranges of bytes, and of the range that each lies in.

        Args:
            starts: (n_ranges,) the first byte of each, rising; ranges do not overlap.
            ends: (n_ranges,) behind their last bytes.
        """
        addresses = self.nodes(0, np.arange(self.n_nodes[0]))
        within = np.searchsorted(starts, addresses, "right") - 1
        inside = (within >= 0) & (addresses + NODE_BYTES <= ends[within])
        return np.flatnonzero(inside), within[inside]
