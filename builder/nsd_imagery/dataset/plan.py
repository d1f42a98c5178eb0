"""What a build will make: the pieces, their ROIs, and the place of each piece's shards, before any beta is read."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsd_imagery.dataset.pieces import DTYPES, ZSCORES, Piece, Recipe, split_rows
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.experiment import CONDITIONS, NSDIMAGERY_CONDITIONS
from nsd_imagery.sources import release
from nsd_imagery.suggest import one_of
from nsd_imagery.trials import find_subjects, read_sessions
from nsd_imagery.volumes.anatomy import Anatomy
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.nifti import read_volume
from nsd_imagery.volumes.roi import Roi, resolve

Positions = dict[tuple[str, str], tuple[int, int]]


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


@dataclass(frozen=True, eq=False)
class Plan:
    """What a build will make.

    Attributes:
        root: Where the data is.
        folder: The dataset folder.
        recipe: The options.
        jobs: The pieces in order, each with all its ROIs.
        anatomies: Masks by subject.
        notes: What the root does not hold, in sentences.
        synthetic: Whether `synth` wrote the root.
    """

    root: Path
    folder: Path
    recipe: Recipe
    jobs: tuple[Job, ...]
    anatomies: dict[str, Anatomy]
    notes: tuple[str, ...]
    synthetic: bool


def plan(root: Path, folder: Path, subjects: Sequence[str] | None, conditions: Sequence[str] | None,
         rois: Sequence[str], recipe: Recipe) -> Plan:  # fmt: skip
    """Find out what to build, without reading a beta or writing a file; see `build`."""
    one_of("zscore", recipe.zscore, ZSCORES)
    one_of("dtype", recipe.dtype, DTYPES)
    for condition in conditions or ():
        one_of("condition", condition, CONDITIONS)
    wanted = tuple(conditions or NSDIMAGERY_CONDITIONS)
    names = find_subjects(root, subjects, recipe.beta_version)
    sessions = read_sessions(root, names, recipe.beta_version)
    anatomies = {name: release.anatomy(root, name) for name in names}
    subject_rois = {name: tuple(resolve(roi, anatomies[name]) for roi in rois) for name in names}
    _refuse_same_suffix(subject_rois)
    pieces = []
    for session in sessions:
        here = tuple(condition for condition in wanted if split_rows(session.rows, condition))
        brain = _brain(anatomies[session.subject])
        pieces.append(Piece(session, here, subject_rois[session.subject], brain, recipe))
    for condition in wanted:
        if not any(condition in piece.conditions for piece in pieces):
            msg = f"{root}: holds no {condition} trials of {', '.join(names)}"
            raise MissingDataError(msg)
    positions = _positions(pieces)
    jobs = tuple(Job(piece, folder, positions[piece.key]) for piece in pieces)
    notes = () if release.has_stim_info(root) else (
        "nsd_stim_info_merged.csv is not in the root: coco_id is absent, and is_shared false everywhere",
    )  # fmt: skip
    return Plan(root, folder, recipe, jobs, anatomies, notes, (root / release.SYNTHETIC_MARKER).is_file())


def _brain(anatomy: Anatomy) -> FlatIndex | None:
    return None if anatomy.brain is None else np.flatnonzero(read_volume(anatomy.brain)[0] > 0)


def _refuse_same_suffix(subject_rois: dict[str, tuple[Roi, ...]]) -> None:
    for rois in subject_rois.values():
        by_suffix: dict[str, str] = {}
        for roi in rois:
            if by_suffix.setdefault(roi.suffix, roi.name) != roi.name:
                first = by_suffix[roi.suffix]
                msg = f"ROIs {first} and {roi.name} would both be configs ...{roi.suffix}; rename a mask file"
                raise UsageError(msg)


def _positions(pieces: Sequence[Piece]) -> dict[str, Positions]:
    """By piece, the number of its shard in each (config, split), in the order of the pieces."""
    takers: dict[tuple[str, str], list[str]] = defaultdict(list)
    for piece in pieces:
        for roi in piece.rois:
            for condition in piece.conditions:
                for split in split_rows(piece.session.rows, condition):
                    takers[f"{piece.session.subject}-{condition}{roi.suffix}", split].append(piece.key)
            takers[f"{piece.session.subject}-stats{roi.suffix}", "train"].append(piece.key)
    positions: dict[str, Positions] = defaultdict(dict)
    for place, keys in takers.items():
        for number, key in enumerate(keys):
            positions[key][place] = (number, len(keys))
    return positions
