"""Jobs: pieces with the positions of their shards among those of this build and those that stay from an earlier one.

All sessions of a subject share one `-stats` config, so a build of some conditions must not drop what others need of it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.pieces import Piece, config_splits
from nsd_imagery.dataset.shards import Shard
from nsd_imagery.experiment import EXPERIMENTS

Positions = dict[tuple[str, str], tuple[int, int]]
"""Of each (config, split): the number of a piece's shard, and how many there are."""


@dataclass(frozen=True, eq=False)
class Job:
    """A piece, and where its shards go; small, and safe to send to another process.

    Attributes:
        piece: The piece, with only those ROIs that are still to do.
        folder: The dataset folder, absolute.
        positions: Of each (config, split): the number of the piece's shard, and how many there are.
    """

    piece: Piece
    folder: Path
    positions: Positions


def staying_stats(old: Manifest | None, pieces: Sequence[Piece]) -> dict[str, list[Shard]]:
    """The `-stats` shards that stay: of pieces that are not built now, and that a config which stays was made of.

    Args:
        old: The manifest of the folder, if it has one.
        pieces: What is built now.

    Returns:
        These shards, by config.
    """
    if old is None:
        return {}
    built = {config for piece in pieces for roi in piece.rois for config, _ in config_splits(piece, roi)}
    keys = {piece.key for piece in pieces}
    needed: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, config in old.trials.items():
        if name not in built:
            needed[config.ground] |= set(config.sources) - keys
    return {
        name: [shard for shard in config.splits["train"] if shard.piece in needed[config.ground]]
        for name, config in old.configs.items()
        if config.kind == "stats" and name in built
    }


def shard_positions(pieces: Sequence[Piece], staying: Mapping[str, Sequence[Shard]]) -> dict[str, Positions]:
    """By piece key, the positions of its shards among those that are built and those that stay."""
    takers: dict[tuple[str, str], set[str]] = defaultdict(set)
    for piece in pieces:
        for roi in piece.rois:
            for split in config_splits(piece, roi):
                takers[split].add(piece.key)
    for config, shards in staying.items():
        takers[config, "train"].update(str(shard.piece) for shard in shards)
    by_piece: dict[str, Positions] = defaultdict(dict)
    for split, keys in takers.items():
        for number, key in enumerate(sorted(keys, key=in_order)):
            by_piece[key][split] = (number, len(keys))
    return by_piece


def jobs_of(pieces: Sequence[Piece], folder: Path, positions: Mapping[str, Positions]) -> list[Job]:
    """The jobs of a build, in the order of the pieces."""
    return [Job(piece, folder, positions[piece.key]) for piece in pieces]


def in_order(key: str) -> tuple[str, int, str]:
    """Sorts piece keys: a subject's NSD-Imagery session, then its NSD core sessions."""
    subject, experiment, session = key.split("/")
    return subject, [str(name) for name in EXPERIMENTS].index(experiment), session
