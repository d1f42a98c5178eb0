"""One node of the version 1 B-tree in which HDF5 keeps the addresses of a dataset's chunks."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.layout.header import NODE_BYTES, Header
from nsd_imagery.volumes.layout.predict import Addresses, ExpectedNode, Positions, Prediction

MOST_LEVELS = 6
"""Nodes of which all but the root are half full: so many levels hold 64 million chunks."""

_HEAD = struct.Struct("<4sBBH16x")
_CHUNKS = 1
"""Type of the nodes of a tree of chunks."""

_MOST_CHILDREN = 64
_ENTRY = np.dtype([("size", "<u4"), ("filters", "<u4"), ("offset", "<u8", 5), ("child", "<u8")])

_LEAVES = 64
"""Leaves that are read only to prove a prediction, at most."""


@dataclass(frozen=True, eq=False)
class Node:
    """What a node holds.

    Attributes:
        level: 0 for a leaf, whose children are chunks.
        first: (n_children,) the first chunk of each child, rising.
        children: (n_children,) their addresses.
    """

    level: int
    first: Positions
    children: Addresses


def read_node(body: bytes, address: int, header: Header) -> Node:
    """Parse a node, whose every child must be inside the file.

    Args:
        body: Its bytes.
        address: Where they were read.
        header: Of the file.

    Raises:
        DataError: It is no such node, or cannot be one of a sound file.
    """
    if len(body) != NODE_BYTES:
        raise _damaged(header, address, "is cut short")
    signature, kind, level, n_children = _HEAD.unpack_from(body)
    if (signature, kind) != (b"TREE", _CHUNKS) or level >= MOST_LEVELS or not 0 < n_children <= _MOST_CHILDREN:
        raise _damaged(header, address, "is no node of a tree of chunks")
    entries = np.frombuffer(body, _ENTRY, n_children, _HEAD.size)
    if (entries["size"] != header.chunk_bytes).any() or entries["filters"].any():
        raise _damaged(header, address, "has chunks of another size, or packed ones")
    first, children = _positions(entries["offset"], header, address), entries["child"]
    if (first[1:] <= first[:-1]).any():
        raise _damaged(header, address, "has its keys in no order")
    if (children > header.size - (NODE_BYTES if level else header.chunk_bytes)).any():
        raise _damaged(header, address, "points out of the file")
    return Node(level, first, children.astype(np.int64))


def _positions(offsets: NDArray[np.uint64], header: Header, address: int) -> Positions:
    _, *zyx = header.shape
    if offsets[:, [0, 4]].any() or (offsets[:, 1:4] >= np.array(zyx, np.uint64)).any():
        raise _damaged(header, address, "has chunks outside the dataset")
    return np.array(np.ravel_multi_index(tuple(offsets[:, 1:4].astype(np.int64).T), zyx), np.int64)


def _damaged(header: Header, address: int, what: str) -> DataError:
    return DataError(f"{header.name}: is damaged: at byte {address} it {what}")


def holds(body: bytes, expected: ExpectedNode, header: Header) -> bool:
    """Whether a node is just what a prediction says: signature, type, level, keys, children, sizes, filter masks."""
    try:
        node = read_node(body, expected.address, header)
    except DataError:
        return False
    is_same = np.array_equal(node.first, expected.first) and np.array_equal(node.children, expected.children)
    return is_same and node.level == expected.level


def proof(prediction: Prediction, positions: Positions) -> list[ExpectedNode]:
    """Nodes that prove a prediction for some chunks, if they hold what it says.

    All above the leaves that are on the way to the chunks, and some leaves, drawn at random but always the same, so
    that who goes on with what was fetched before is told the same.

    Args:
        prediction: Of the file.
        positions: Of the chunks.
    """
    levels = range(len(prediction.n_nodes))
    numbers = {level: prediction.above(level, positions) for level in levels}
    if (leaves := numbers[0]).size > _LEAVES:
        numbers[0] = np.random.default_rng(leaves.size).choice(leaves, _LEAVES, replace=False)
    return [prediction.node(level, int(number)) for level in levels[::-1] for number in numbers[level]]
