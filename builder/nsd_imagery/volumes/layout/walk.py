"""The addresses of chunks as the tree of a file has them, in whatever order the file was written."""

from dataclasses import dataclass

import numpy as np

from nsd_imagery.errors import DataError
from nsd_imagery.volumes.layout.header import NODE_BYTES, Get, Header
from nsd_imagery.volumes.layout.node import Node, read_node
from nsd_imagery.volumes.layout.predict import Addresses, Positions


@dataclass(frozen=True)
class _Branch:
    """A node to be read.

    Attributes:
        address: Of the node.
        chunks: Those that it may hold, or that lie below it.
        wanted: Which of the wanted ones these are.
        level: Of the node; None for the root, which says it itself.
    """

    address: int
    chunks: range
    wanted: slice
    level: int | None = None


def walk(get: Get, header: Header, positions: Positions) -> Addresses:
    """Read the tree level by level, of each level only the nodes above wanted chunks, and all of those at once.

    A damaged or a hostile file is refused: each step leads one level down and to fewer chunks, and there are no more
    nodes on a level than wanted chunks, so that it comes to an end whatever the file says.

    Args:
        get: Gives parts of the file.
        header: Of the file.
        positions: (n,) of the wanted chunks, rising.

    Returns:
        (n,) their addresses.

    Raises:
        DataError: The tree is damaged, two things lie in one place, or a chunk was never written.
    """
    addresses = np.empty(positions.size, np.int64)
    taken: list[tuple[Addresses, int]] = []
    branches = [_Branch(header.root, range(header.n_chunks), slice(0, positions.size))]
    while branches:
        taken.append((np.array([branch.address for branch in branches]), NODE_BYTES))
        bodies = get([(branch.address, branch.address + NODE_BYTES) for branch in branches])
        below: list[_Branch] = []
        for branch, body in zip(branches, bodies, strict=True):
            node = read_node(body, branch.address, header)
            _refuse_elsewhere(node, branch, header)
            if node.level:
                below += _children(node, branch, header, positions)
            else:
                taken.append((node.children, header.chunk_bytes))
                addresses[branch.wanted] = _found(node, header, positions[branch.wanted])
        branches = below
    _refuse_overlap(taken, header)
    return addresses


def _refuse_elsewhere(node: Node, branch: _Branch, header: Header) -> None:
    is_level = branch.level in (None, node.level)
    if not is_level or node.first[0] < branch.chunks.start or node.first[-1] >= branch.chunks.stop:
        msg = f"{header.name}: is damaged: at byte {branch.address} is a node that belongs elsewhere in its tree"
        raise DataError(msg)


def _children(node: Node, branch: _Branch, header: Header, positions: Positions) -> list[_Branch]:
    """The children that wanted chunks lie below."""
    ends = np.append(node.first[1:], branch.chunks.stop)
    bounds = branch.wanted.start + np.searchsorted(positions[branch.wanted], np.append(node.first, ends[-1]))
    if bounds[0] > branch.wanted.start:
        raise _never_written(header, int(positions[branch.wanted.start]))
    return [
        _Branch(int(child), range(int(first), int(end)), slice(int(begin), int(stop)), node.level - 1)
        for child, first, end, begin, stop in zip(node.children, node.first, ends, bounds[:-1], bounds[1:], strict=True)
        if begin < stop
    ]


def _found(node: Node, header: Header, positions: Positions) -> Addresses:
    at = np.minimum(np.searchsorted(node.first, positions), node.first.size - 1)
    lacking = node.first[at] != positions
    if lacking.any():
        raise _never_written(header, int(positions[lacking.argmax()]))
    return node.children[at]


def _never_written(header: Header, position: int) -> DataError:
    _, y, x = np.unravel_index(position, header.shape[1:])
    z = position // (header.shape[2] * header.shape[3])
    msg = f"{header.name}: holds nothing at voxel ({x}, {y}, {z}), which was never written: take another file"
    return DataError(msg)


def _refuse_overlap(taken: list[tuple[Addresses, int]], header: Header) -> None:
    """Nodes and chunks that were seen lie in places of their own, behind the root, which was there first."""
    starts = np.concatenate([addresses for addresses, _ in taken])
    ends = np.concatenate([addresses + length for addresses, length in taken])
    order = np.argsort(starts)
    if starts[order[0]] < header.root or (starts[order[1:]] < ends[order[:-1]]).any():
        msg = f"{header.name}: is damaged: its tree has two things in one place"
        raise DataError(msg)
