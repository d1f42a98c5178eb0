"""Checks of files: what a subject's data needs, whether it is there, and whether it is sound."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from nsd_imagery.checks.catalogue import (
    FILES_BETAS_SOUND,
    FILES_LABEL_TABLES,
    FILES_ONE_GRID,
    FILES_OPTIONAL,
    FILES_PRESENT,
    FILES_TABLES_SOUND,
)
from nsd_imagery.checks.finding import Finding
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.experiment import Experiment
from nsd_imagery.links import without_content
from nsd_imagery.sources.json_files import stated_beta_scale
from nsd_imagery.sources.missing import missing_of
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import BetaFile, ListedFile
from nsd_imagery.volumes.anatomy import RELEASE_ATLASES, Anatomy, read_label_table
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.labels import read_labels
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.nifti import read_volume
from nsd_imagery.volumes.read import check_in_brain, read_header
from nsd_imagery.volumes.roi import DEFAULT_ROI, resolve


@dataclass(frozen=True)
class Looked:
    """What a look at files found.

    Attributes:
        findings: Of each check.
        unlabelled: Experiments whose rows cannot be made, as a file that labels them is missing or damaged.
    """

    findings: list[Finding]
    unlabelled: frozenset[Experiment]


def check_listed(root: Path, scope: str, files: Sequence[ListedFile]) -> Looked:
    """Whether files are there, and those that label trials sound; of those that only add something, skipped if not."""
    gone: list[object] = []
    damaged: list[object] = []
    unlabelled: set[Experiment] = set()
    optional = []
    for file in files:
        link = without_content(file.path)
        if link or not file.path.is_file():
            unlabelled |= set(file.labels if link else file.needed_by)
            if not file.adds or (link and file.labels):
                gone += [link] if link else [f"{file.path}: is not there; the release has {one}"
                                             for one in missing_of(root, [file.path])]  # fmt: skip
            elif not link:  # of a map, reading it says that it is one
                name = file.path.relative_to(root).as_posix()
                optional.append(FILES_OPTIONAL.skipped(scope, f"{name} is not in the root: {file.adds}"))
        elif file.read is not None:
            try:
                file.read()
            except (NSDImageryError, OSError) as error:
                unlabelled |= set(file.labels)
                damaged.append(error)
    n_needed, n_read = sum(not file.adds for file in files), sum(file.read is not None for file in files)
    findings = [FILES_PRESENT.judged(scope, gone, f"{n_needed} files", most=None)] if n_needed or gone else []
    findings += optional
    if n_read:
        findings.append(FILES_TABLES_SOUND.judged(scope, damaged, f"{n_read} tables", most=None))
    return Looked(findings, frozenset(unlabelled))


def scope_of(subject: str, file: BetaFile | Session) -> str:
    """How a report names a session: "subj01 session 1", "subj01 NSD core session 3"."""
    return f"{subject} {'NSD core ' if file.experiment == 'nsd' else ''}session {file.session}"


def unsound_betas(file: BetaFile, scope: str) -> Finding | None:
    """The finding on a beta file that cannot be opened; None for one that can, of which more is said with its rows."""
    try:
        read_header(file.path)
        stated_beta_scale(file.path)
    except (NSDImageryError, OSError) as error:
        return FILES_BETAS_SOUND.judged(scope, [error], "")
    return None


def check_betas_form(session: Session, scope: str) -> Finding:
    """What a beta file says of itself. Its type and layout may be any; the numbers are judged by `data`."""
    path = session.beta_path
    header = read_header(path).over(session.beta_scale)
    form = f"{path.name}: {header.n_volumes} volumes of {'x'.join(map(str, header.grid.shape))} {header.dtype.name}"
    evidence = f"{form}, percent signal change x {header.scaling.divisor / header.scaling.slope:g}"
    return FILES_BETAS_SOUND.judged(scope, [], evidence)


_Look = Callable[[Path], tuple[Grid, set[int]]]


def check_maps(sessions: Sequence[Session], maps: Maps) -> Iterator[Finding]:
    """All volumes of a subject against one grid, and labels against their tables."""
    anatomy = maps.anatomy
    means = [session.mean_path for session in sessions if session.mean_path is not None]
    with_table = {path for name, path in anatomy.atlases.items() if name in anatomy.label_tables}

    @cache
    def look(path: Path) -> tuple[Grid, set[int]]:
        if path == anatomy.ncsnr_nsd or path in means:
            return read_volume(path)[1], set()
        labels, grid = read_labels(path)
        return grid, set(np.unique(labels).tolist()) if path in with_table else set()

    yield _check_grid(sessions, maps, look)
    yield _check_label_tables(anatomy, look)


def _check_grid(sessions: Sequence[Session], maps: Maps, look: _Look) -> Finding:
    """Against nsdgeneral's grid and affine; an HDF5 file says only the shape.

    A map that its user keeps among the release's is no fault where it does not fit: a build leaves it out.
    """
    anatomy = maps.anatomy
    volumes = [item for files in (anatomy.atlases, anatomy.left, anatomy.right) for item in files.items()]
    own = {path for name, path in volumes if name not in RELEASE_ATLASES}
    left_out: list[str] = []
    first = anatomy.atlases.get(DEFAULT_ROI)
    if first is None or without_content(first):
        return FILES_ONE_GRID.skipped(anatomy.subject, f"there is no {DEFAULT_ROI} mask")
    faults: list[object] = []
    try:
        grid = look(first)[0]
    except (NSDImageryError, OSError) as error:
        return FILES_ONE_GRID.judged(anatomy.subject, [error], "")
    means = [session.mean_path for session in sessions if session.mean_path is not None]
    for path in [*anatomy.volumes, *means]:
        try:
            look(path)[0].check_same(grid, str(path), str(first))
        except (NSDImageryError, OSError) as error:
            if path in own:
                left_out.append(path.name)
            else:
                faults.append(error)
    if not faults:
        try:
            check_in_brain([resolve(DEFAULT_ROI, maps)], anatomy.brain)
        except (NSDImageryError, OSError) as error:
            faults.append(error)
    for session in sessions:
        try:
            read_header(session.beta_path).grid.check_same(grid, str(session.beta_path), str(first))
        except (NSDImageryError, OSError) as error:
            faults.append(error)
    others = f"; left out, as they do not fit: {', '.join(left_out)}" if left_out else ""
    n_maps = len(anatomy.volumes) + len(means) - len(left_out)
    return FILES_ONE_GRID.judged(anatomy.subject, faults, f"{n_maps} maps and {len(sessions)} beta files{others}")


def _check_label_tables(anatomy: Anatomy, look: _Look) -> Finding:
    faults: list[object] = []
    for name, table in anatomy.label_tables.items():
        if name not in anatomy.atlases:
            continue
        try:
            labels = look(anatomy.atlases[name])[1] - {-1, 0}
        except (NSDImageryError, OSError):  # told with the grid
            continue
        try:
            nameless = sorted(labels - set(read_label_table(table)))
        except (NSDImageryError, OSError) as error:
            if name in RELEASE_ATLASES:
                faults.append(error)
            continue
        if nameless:
            faults.append(f"{table}: has no name for {', '.join(f'{label:g}' for label in nameless[:6])}")
    return FILES_LABEL_TABLES.judged(anatomy.subject, faults, f"{len(anatomy.label_tables)} tables")
