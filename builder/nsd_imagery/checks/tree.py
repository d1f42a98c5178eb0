"""Checks of a root: a subject's files, labels and numbers, be it the release's tree or the Guide's."""

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.checks.agreement.verdicts import Judgement
from nsd_imagery.checks.behaviour import check_behaviour, check_picture_ids
from nsd_imagery.checks.catalogue import (
    DATA_FORMATS,
    DATA_MEAN_MAP,
    FILES_BETAS_WHOLE,
    FILES_PICTURES,
    FILES_PRESENT,
    LABELS_PROVEN,
)
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
from nsd_imagery.checks.files import check_betas_form, check_listed, check_maps, scope_of, unsound_betas
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.rows import check_rows, plain_rows
from nsd_imagery.dataset.reading import mean_map_of
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.experiment import N_NSD_PICTURES, Experiment
from nsd_imagery.links import without_content
from nsd_imagery.progress import Begin, CountProgress, counted
from nsd_imagery.sources.missing import Asked
from nsd_imagery.sources.pictures import open_pictures, pictures_file
from nsd_imagery.sources.proof import SessionFiles
from nsd_imagery.sources.root import Root
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import BetaFile, Listed
from nsd_imagery.sources.stim_info import StimInfo
from nsd_imagery.volumes.betas import Betas
from nsd_imagery.volumes.formats import other_formats
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.read import read_betas, read_header, read_held
from nsd_imagery.volumes.roi import DEFAULT_ROI, Roi, resolve

_ALL = "all subjects"
"""The scope of what all subjects share."""

_ROUNDING = 1e-3
"""Of the shortest floats that betas are kept in, float16."""


@dataclass(frozen=True, eq=False)
class Tree:
    """What is verified.

    Attributes:
        root: The root.
        deep: Whether NSD core's betas and both formats are read too.
        begin: Called with what is read next.
    """

    root: Root
    deep: bool
    begin: Begin


def check_tree(
    root: Root, subjects: Sequence[str], *, deep: bool = False, progress: CountProgress | None = None
) -> Iterator[Finding]:
    """All checks of some subjects, then those of all of them together.

    Args:
        root: The root.
        subjects: Of it.
        deep: Also read NSD core's betas, and both formats.
        progress: Called with how many subjects and sessions are done, how many there are, and what is read now.
    """
    tree = Tree(root, deep, counted(sum(_n_steps(root, subject, deep=deep) for subject in subjects), progress))
    judgements: list[Judgement] = []
    listed = {subject: tree.root.listed(subject) for subject in subjects}
    common = {file.path: file for one in listed.values() if one for file in one.files if file.is_common}
    looked = check_listed(tree.root.path, _ALL, list(common.values()))
    yield from looked.findings
    for subject in subjects:
        tree.begin(subject)
        yield from _check_subject(tree, subject, listed[subject], looked.unlabelled, judgements)
    if len(judgements) > 1:
        yield from check_pooled(judgements)
    yield _check_pictures(tree.root.path)


def _n_steps(root: Root, subject: str, *, deep: bool) -> int:
    """The subject, and its sessions whose betas are read."""
    try:
        files = root.beta_files(subject)
    except NSDImageryError:  # which is told of the subject
        files = []
    return 1 + sum(deep or file.experiment == "nsdimagery" for file in files)


def _check_subject(tree: Tree, subject: str, listed: Listed | None, unlabelled: Set[Experiment],
                   judgements: list[Judgement]) -> Iterator[Finding]:  # fmt: skip
    root = tree.root
    if listed is not None:
        looked = check_listed(root.path, subject, [file for file in listed.files if not file.is_common])
        yield from looked.findings
        unlabelled = unlabelled | looked.unlabelled
        if listed.read is not None and "nsdimagery" not in unlabelled:
            yield from _check_labels(listed.read, subject)
    try:
        if listed is None and (gone := root.missing(subject, Asked())):
            yield FILES_PRESENT.judged(
                subject, [f"{root.path / file.path}: is not there" for file in gone], "", most=None
            )
            yield LABELS_PROVEN.skipped(subject, "files are missing")
            yield from no_agreement(subject, "files are missing")
            return
        files = root.beta_files(subject)
        left_out = list(_left_out(subject, files, unlabelled))
        sessions = root.sessions([subject], without=[file.path for file, _ in left_out])
        maps = Maps(root.anatomy(subject))
    except (NSDImageryError, OSError) as error:
        yield LABELS_PROVEN.judged(subject, [error], "")
        yield from no_agreement(subject, "there are no labels to hold the betas against")
        return
    for _, findings in left_out:
        yield from findings
    if sessions:
        n_rows = sum(session.rows.num_rows for session in sessions)
        yield LABELS_PROVEN.judged(subject, [], f"{n_rows:,} rows of {len(sessions)} sessions")
    yield from check_maps(sessions, maps)
    for session in sessions:
        scope = scope_of(subject, session)
        yield check_betas_form(session, scope)
        yield from check_rows(session.rows, scope)
        yield from _check_numbers(tree, session, maps, scope, judgements)


def _left_out(
    subject: str, files: Sequence[BetaFile], unlabelled: Set[Experiment]
) -> Iterator[tuple[BetaFile, list[Finding]]]:
    """The beta files of which there can be no rows, and what is said of them: the damage, and what is not asked."""
    for file in files:
        scope = scope_of(subject, file)
        damage = unsound_betas(file, scope)
        if damage is not None or file.experiment in unlabelled:
            found = [] if damage is None else [damage]
            why = "files that label it are missing or damaged" if damage is None else "the beta file cannot be read"
            found.append(LABELS_PROVEN.skipped(scope, why))
            yield file, [*found, *(no_agreement(scope, why) if file.experiment == "nsdimagery" else ())]


def _check_labels(read: Callable[[], tuple[SessionFiles, StimInfo | None]], subject: str) -> Iterator[Finding]:
    try:
        files, info = read()
    except (NSDImageryError, OSError):  # so is the making of rows stopped, which says why
        return
    yield from check_behaviour(files, subject)
    yield check_picture_ids(files, info, N_NSD_PICTURES, subject)


def _check_numbers(
    tree: Tree, session: Session, maps: Maps, scope: str, judgements: list[Judgement]
) -> Iterator[Finding]:
    """Read the betas of nsdgeneral, and ask of an NSD-Imagery session whether they agree with the labels."""
    core = session.experiment == "nsd"
    if core and not tree.deep:
        yield FILES_BETAS_WHOLE.skipped(scope, "NSD core's betas are read with --deep")
        return
    read = tree.begin(scope)
    try:
        roi = resolve(DEFAULT_ROI, maps)
        read_header(session.beta_path).grid.check_same(roi.grid, str(session.beta_path), "the mask")
    except (NSDImageryError, OSError) as error:  # told with the files, or with the grid
        yield FILES_BETAS_WHOLE.skipped(scope, str(error))
        yield from () if core else no_agreement(scope, "the betas were not read")
        return
    try:
        betas = read_betas(session.beta_path, roi.grid, roi.flat, None, read)
    except (NSDImageryError, OSError) as error:
        yield FILES_BETAS_WHOLE.judged(scope, [error], "")
        yield from () if core else no_agreement(scope, "the beta file cannot be read")
        return
    mean_map = mean_map_of(session, betas, roi.grid, roi.flat)
    proof = check_mean_map(mean_map, scope)
    if mean_map is not None and mean_map.verdict == "unusable":  # told with the grid
        proof = DATA_MEAN_MAP.skipped(scope, mean_map.said)
    betas = betas.over(session.beta_scale)
    yield from _check_formats(tree, session, roi, betas, scope)
    yield check_values(session.beta_path, betas, None if core else _valid(maps, roi), scope)
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
    try:
        return None if path is None else maps.labels_at(path, roi.flat) > 0
    except (NSDImageryError, OSError):  # told with the grid
        return None


def _check_formats(tree: Tree, session: Session, roi: Roi, betas: Betas, scope: str) -> Iterator[Finding]:
    """Neither format proves the other's numbers by itself: the release's HDF5 has no checksum."""
    path, damaged = session.beta_path, list[object]()
    try:
        what = _read(path)
    except (NSDImageryError, OSError) as error:
        what, damaged = path.name, [error]
    if not tree.deep:
        yield FILES_BETAS_WHOLE.judged(scope, damaged, what)
        return
    lacking = [said for other in other_formats(path) if (said := without_content(other))]
    others: dict[Path, Betas] = {}
    for other in other_formats(path):
        if other.is_file() and not without_content(other):
            try:
                others[other] = read_betas(other, roi.grid, roi.flat, None).over(session.beta_scale)
            except (NSDImageryError, OSError) as error:
                damaged.append(error)
    yield FILES_BETAS_WHOLE.judged(scope, damaged, ", ".join([what, *(one.name for one in others)]))
    if not others:
        why = "the other format cannot be read" if damaged else f"there is only {path.name}"
        yield DATA_FORMATS.skipped(scope, "; ".join(lacking) or why)
        return
    faults = [fault for other, found in others.items() if (fault := _difference(other, found, path, betas))]
    yield DATA_FORMATS.judged(scope, faults, f"{roi.flat.size:,} voxels of {len(others) + 1} files")


def _read(path: Path) -> str:
    """What was read of a beta file, whose numbers, if it is masked, are proven by their digest."""
    found = read_held(path)
    if found is None:
        return path.name
    held, _ = found
    of = f"{held.positions.size:,} voxels ({', '.join(held.origin.rois)}) of {held.origin.source}"
    return f"{path.name}: all that was written of {of}; is_valid and all checks are by these alone"


def _difference(path: Path, betas: Betas, first: Path, than: Betas) -> str | None:
    if betas.stored.shape != than.stored.shape:
        return f"{path}: has another number of volumes than {first.name}"
    differ = int(_differ(than, betas).any(axis=0).sum())
    return f"{path}: differs in {differ} voxels of {DEFAULT_ROI} from {first.name}" if differ else None


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
            return FILES_PICTURES.skipped(
                _ALL, "nsd_stimuli.hdf5 is not in the root: images of photographs in `stimuli`"
            )
        with open_pictures(path) as pictures:
            shape = pictures.shape
    except (NSDImageryError, OSError) as error:
        return FILES_PICTURES.judged(_ALL, [error], "")
    return FILES_PICTURES.judged(_ALL, [], f"{shape[0]:,} pictures")
