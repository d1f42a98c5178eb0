"""Finds the pieces of a root: what it holds of the subjects, conditions and ROIs asked for; no beta is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nsd_imagery.dataset.names import config_name, is_config, roi_suffix
from nsd_imagery.dataset.pieces import Piece, split_rows
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import MissingDataError, UsageError, shown
from nsd_imagery.experiment import CONDITIONS, EXPERIMENTS, SUBJECTS, Experiment
from nsd_imagery.sources.root import Root
from nsd_imagery.sources.session import Session
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.read import check_in_brain
from nsd_imagery.volumes.roi import Roi, plain_name, resolve


@dataclass(frozen=True, eq=False)
class Found:
    """What a root holds.

    Attributes:
        pieces: In order, each with all its ROIs.
        maps: By subject.
    """

    pieces: tuple[Piece, ...]
    maps: dict[str, Maps]


def find_pieces(
    root: Root,
    recipe: Recipe,
    subjects: Sequence[str] | None,
    conditions: Sequence[str] | None,
    rois: Sequence[str],
    captions: Path | str | None = None,
) -> Found:
    """The pieces of a root; see `plan.plan`."""
    for condition in conditions or ():
        one_of("condition", condition, CONDITIONS)
    _refuse_unsound_names(rois)
    names = root.choose(subjects)
    sessions = root.sessions(names, _experiments(conditions), captions)
    _refuse_missing(root.path, names if subjects else None, conditions, sessions)
    maps = {name: Maps(root.anatomy(name)) for name in dict.fromkeys(session.subject for session in sessions)}
    subject_rois = {name: _resolved(rois, own) for name, own in maps.items()}
    for name, own in maps.items():
        check_in_brain(subject_rois[name], own.anatomy.brain)
    _refuse_same_suffix(subject_rois)
    pieces = []
    for session in sessions:
        here = tuple(name for name in conditions or CONDITIONS if split_rows(session.rows, name))
        anatomy = maps[session.subject].anatomy
        valid = anatomy.valid(session.experiment, session.session)
        pieces.append(Piece(session, here, subject_rois[session.subject], anatomy.brain, recipe, valid))
    return Found(tuple(pieces), maps)


def _resolved(names: Sequence[str], maps: Maps) -> tuple[Roi, ...]:
    """Each ROI once, however often and in whatever letters it is named."""
    rois = [resolve(name, maps) for name in names]
    return tuple({roi.name: roi for roi in rois}.values())


def _experiments(conditions: Sequence[str] | None) -> tuple[Experiment, ...] | None:
    if conditions is None:
        return None
    wanted = {"nsd" if condition == "perception" else "nsdimagery" for condition in conditions}
    return tuple(experiment for experiment in EXPERIMENTS if experiment in wanted)


def _refuse_missing(
    root: Path, subjects: Sequence[str] | None, conditions: Sequence[str] | None, sessions: Sequence[Session]
) -> None:
    """What was asked for by name must be there; of what was not named, there must be something."""
    for condition in conditions or ():
        having = {session.subject for session in sessions if split_rows(session.rows, condition)}
        lacking = [subject for subject in subjects or () if subject not in having]
        if lacking or not having:
            who = ", ".join(lacking) or "any subject"
            msg = (
                f"{root}: holds no {condition} trials of {who}; leave them out (--subjects, --conditions) or copy them"
            )
            raise MissingDataError(msg)


def _refuse_unsound_names(rois: Sequence[str]) -> None:
    for name in rois:
        if not (plain_name(name).isprintable() and is_config(config_name(SUBJECTS[0], "perception", name))):
            msg = f"{shown(name)}: a dataset cannot name this ROI; rename the mask file"
            raise UsageError(msg)


def _refuse_same_suffix(subject_rois: dict[str, tuple[Roi, ...]]) -> None:
    for rois in subject_rois.values():
        by_suffix: dict[str, str] = {}
        for roi in rois:
            if by_suffix.setdefault(roi_suffix(roi.name), roi.name) != roi.name:
                first = by_suffix[roi_suffix(roi.name)]
                msg = f"ROIs {first} and {roi.name} would both be configs ...{roi_suffix(roi.name)}; rename a mask file"
                raise UsageError(msg)
