"""Checks of a root: a subject's files, labels and numbers, be it the release's tree or the Guide's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.checks.agreement.verdicts import Judgement
from nsd_imagery.checks.behaviour import check_behaviour, check_picture_ids
from nsd_imagery.checks.catalogue import DATA_FORMATS, DATA_READABLE, FILES_PICTURES, LABELS_PROVEN, LABELS_READABLE
from nsd_imagery.checks.data import (
    AREAS,
    areas_of,
    check_agreement,
    check_mean_map,
    check_pooled,
    check_values,
    labelled_betas,
    no_agreement,
)
from nsd_imagery.checks.files import check_betas_form, check_maps, check_presence
from nsd_imagery.checks.report import Finding
from nsd_imagery.checks.rows import check_rows, plain_rows
from nsd_imagery.dataset.reading import mean_map_of
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.experiment import N_NSD_PICTURES
from nsd_imagery.links import without_content
from nsd_imagery.progress import StepProgress
from nsd_imagery.sources.pictures import open_pictures, pictures_file
from nsd_imagery.sources.root import Root
from nsd_imagery.sources.session import Session, other_formats
from nsd_imagery.sources.source import Listed
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.read import read_betas
from nsd_imagery.volumes.roi import DEFAULT_ROI, Roi, resolve

_ROUNDING = 1e-3
"""Of the shortest floats that betas are kept in, float16."""


@dataclass(frozen=True, eq=False)
class Tree:
    """What is verified.

    Attributes:
        root: The root.
        deep: Whether NSD core's betas and both formats are read too.
        progress: Called with what is being read.
    """

    root: Root
    deep: bool
    progress: StepProgress


def check_tree(tree: Tree, subjects: Sequence[str]) -> Iterator[Finding]:
    """All checks of some subjects, then those of all of them together."""
    judgements: list[Judgement] = []
    for subject in subjects:
        tree.progress(subject)
        yield from _check_subject(tree, subject, judgements)
    if len(judgements) > 1:
        yield from check_pooled(judgements)
    yield _check_pictures(tree.root.path)


def _check_subject(tree: Tree, subject: str, judgements: list[Judgement]) -> Iterator[Finding]:
    root = tree.root
    listed = root.listed(subject)
    if listed is not None:
        yield from check_presence(root.path, subject, listed)
        yield from _check_labelling_files(listed, subject)
    try:
        sessions = root.sessions([subject])
        anatomy = root.anatomy(subject)
    except (NSDImageryError, OSError) as error:
        yield LABELS_PROVEN.judged(subject, [error], "")
        yield from no_agreement(subject, "there are no labels to hold the betas against")
        return
    n_rows = sum(session.rows.num_rows for session in sessions)
    yield LABELS_PROVEN.judged(subject, [], f"{n_rows:,} rows of {len(sessions)} sessions")
    maps = Maps(anatomy)
    yield from check_maps(sessions, maps)
    for session in sessions:
        scope = f"{subject} {'NSD core ' if session.experiment == 'nsd' else ''}session {session.session}"
        yield check_betas_form(session, scope)
        yield from check_rows(session.rows, scope)
        yield from _check_numbers(tree, session, maps, scope, judgements)


def _check_labelling_files(listed: Listed, subject: str) -> Iterator[Finding]:
    try:
        files, info = listed.read()
    except (NSDImageryError, OSError) as error:
        yield LABELS_READABLE.judged(subject, [error], "")
        return
    yield from check_behaviour(files, subject)
    yield check_picture_ids(files, info, N_NSD_PICTURES, subject)


def _check_numbers(
    tree: Tree, session: Session, maps: Maps, scope: str, judgements: list[Judgement]
) -> Iterator[Finding]:
    """Read the betas of nsdgeneral, and ask of an NSD-Imagery session whether they agree with the labels."""
    core = session.experiment == "nsd"
    if core and not tree.deep:
        yield DATA_READABLE.skipped(scope, "NSD core's betas are read with --deep")
        return
    tree.progress(scope)
    try:
        roi = resolve(DEFAULT_ROI, maps)
        betas = read_betas(session.beta_path, roi.grid, roi.flat, None)
        valid = None if core else _valid(maps, roi)
    except (NSDImageryError, OSError) as error:
        yield DATA_READABLE.judged(scope, [error], "")
        yield from () if core else no_agreement(scope, "the betas cannot be read")
        return
    yield DATA_READABLE.judged(scope, [], session.beta_path.name)
    proof = check_mean_map(mean_map_of(session, betas, roi.grid, roi.flat), scope)
    betas = betas.over(session.beta_scale)
    if tree.deep:
        yield _check_formats(session, roi, betas, scope)
    yield check_values(session.beta_path, betas, valid, scope)
    if not core:
        yield from _check_agreement(session, maps, roi, betas, scope, judgements)
    yield proof


def _check_agreement(session: Session, maps: Maps, roi: Roi, betas: Betas, scope: str,
                     judgements: list[Judgement]) -> Iterator[Finding]:  # fmt: skip
    try:
        areas = areas_of(roi, {name: resolve(name, maps) for name in AREAS})
    except NSDImageryError as error:
        yield from no_agreement(scope, f"needs early visual cortex: {error}")
        return
    rows = plain_rows(session.rows)
    volumes = np.array([row["beta_index"] for row in rows])
    is_valid = betas.is_valid[volumes] & session.rows["is_valid"].to_numpy()
    percent = betas.header.scaling.percent(betas.stored[volumes]).astype(np.float32)
    found, judgement = check_agreement(labelled_betas(rows, percent, is_valid, areas), scope)
    judgements.append(judgement)
    yield from found


def _valid(maps: Maps, roi: Roi) -> NDArray[np.bool_] | None:
    path = maps.anatomy.valid_nsdimagery
    return None if path is None else maps.labels_at(path, roi.flat) > 0


def _check_formats(session: Session, roi: Roi, betas: Betas, scope: str) -> Finding:
    """Neither format proves the other's numbers by itself: the release's HDF5 has no checksum."""
    lacking = [said for path in other_formats(session.beta_path) if (said := without_content(path))]
    others = [path for path in other_formats(session.beta_path) if path.is_file() and not without_content(path)]
    if not others:
        return DATA_FORMATS.skipped(scope, "; ".join(lacking) or f"there is only {session.beta_path.name}")
    faults: list[object] = []
    for path in others:
        try:
            other = read_betas(path, roi.grid, roi.flat, None).over(session.beta_scale)
        except (NSDImageryError, OSError) as error:
            faults.append(error)
            continue
        if other.stored.shape != betas.stored.shape:
            faults.append(f"{path}: has another number of volumes than {session.beta_path.name}")
        elif differ := int(_differ(betas, other).any(axis=0).sum()):
            faults.append(f"{path}: differs in {differ} voxels of {DEFAULT_ROI} from {session.beta_path.name}")
    return DATA_FORMATS.judged(scope, faults, f"{roi.flat.size:,} voxels of {len(others) + 1} files")


def _differ(one: Betas, other: Betas) -> NDArray[np.bool_]:
    """Where two files of the same betas differ: in a bit if they store them alike, else by more than a rounding."""
    headers = one.header, other.header
    if len({(header.dtype, header.scaling) for header in headers}) == 1:
        return one.stored != other.stored
    steps = [header.scaling.step(header.dtype) for header in headers]
    percent = [betas.header.scaling.percent(betas.stored) for betas in (one, other)]
    return np.abs(percent[0] - percent[1]) > 0.51 * max(steps) + _ROUNDING * np.abs(percent[0])


def _check_pictures(root: Path) -> Finding:
    try:
        path = pictures_file(root)
        if path is None:
            return FILES_PICTURES.skipped("", "nsd_stimuli.hdf5 is not in the root")
        with open_pictures(path) as pictures:
            shape = pictures.shape
    except (NSDImageryError, OSError) as error:
        return FILES_PICTURES.judged("", [error], "")
    return FILES_PICTURES.judged("", [], f"{shape[0]:,} pictures")
