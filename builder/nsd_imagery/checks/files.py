"""Checks of files: what a subject's data needs, whether it is there, and whether it is sound."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from nsd_imagery.checks.catalogue import (
    FILES_BETAS_SOUND,
    FILES_LABEL_TABLES,
    FILES_ONE_GRID,
    FILES_OPTIONAL,
    FILES_PRESENT,
)
from nsd_imagery.checks.report import Finding
from nsd_imagery.errors import NSDImageryError
from nsd_imagery.links import without_content
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.source import Listed
from nsd_imagery.volumes.anatomy import RELEASE_ATLASES, Anatomy, read_label_table
from nsd_imagery.volumes.grid import Grid
from nsd_imagery.volumes.labels import read_labels
from nsd_imagery.volumes.maps import Maps
from nsd_imagery.volumes.nifti import read_volume
from nsd_imagery.volumes.read import check_in_brain, read_header
from nsd_imagery.volumes.roi import DEFAULT_ROI, resolve


def check_presence(root: Path, subject: str, listed: Listed) -> list[Finding]:
    """Whether the files of a subject are there; those that only add something are reported as skipped."""
    gone = [said for path in listed.needed if (said := _gone(path))]
    findings = [FILES_PRESENT.judged(subject, gone, f"{len(listed.needed)} files")]
    for path, use in listed.optional.items():
        if _gone(path):
            reason = without_content(path) or f"{path.relative_to(root).as_posix()} is not in the root"
            findings.append(FILES_OPTIONAL.skipped(subject, f"{reason}: {use}"))
    return findings


def _gone(path: Path) -> str | None:
    return without_content(path) or (None if path.is_file() else f"{path}: is not there")


def check_betas_form(session: Session, scope: str) -> Finding:
    """What a beta file says of itself. Its type and layout may be any; the numbers are judged by `data`."""
    path = session.beta_path
    try:
        header = read_header(path).over(session.beta_scale)
    except (NSDImageryError, OSError) as error:
        return FILES_BETAS_SOUND.judged(scope, [error], "")
    form = f"{path.name}: {header.n_volumes} volumes of {'x'.join(map(str, header.grid.shape))} {header.dtype.name}"
    evidence = f"{form}, percent signal change x {header.scaling.divisor / header.scaling.slope:g}"
    return FILES_BETAS_SOUND.judged(scope, [], evidence)


_Look = Callable[[Path], tuple[Grid, set[int]]]


def check_maps(sessions: Sequence[Session], maps: Maps) -> Iterator[Finding]:
    """All volumes of a subject against one grid, and labels against their tables."""
    anatomy = maps.anatomy
    with_table = {path for name, path in anatomy.atlases.items() if name in anatomy.label_tables}

    @cache
    def look(path: Path) -> tuple[Grid, set[int]]:
        if path == anatomy.ncsnr_nsd:
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
    if DEFAULT_ROI not in anatomy.atlases:
        return FILES_ONE_GRID.skipped(anatomy.subject, f"there is no {DEFAULT_ROI} mask")
    first = anatomy.atlases[DEFAULT_ROI]
    faults: list[object] = []
    try:
        grid = look(first)[0]
    except (NSDImageryError, OSError) as error:
        return FILES_ONE_GRID.judged(anatomy.subject, [error], "")
    for path in anatomy.volumes:
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
    n_maps = len(anatomy.volumes) - len(left_out)
    return FILES_ONE_GRID.judged(anatomy.subject, faults, f"{n_maps} maps and {len(sessions)} beta files{others}")


def _check_label_tables(anatomy: Anatomy, look: _Look) -> Finding:
    faults: list[object] = []
    for name, table in anatomy.label_tables.items():
        if name not in anatomy.atlases:
            continue
        try:
            labels = look(anatomy.atlases[name])[1] - {-1, 0}
            nameless = sorted(labels - set(read_label_table(table)))
        except (NSDImageryError, OSError) as error:
            if name in RELEASE_ATLASES:
                faults.append(error)
            continue
        if nameless:
            faults.append(f"{table}: has no name for {', '.join(f'{label:g}' for label in nameless[:6])}")
    return FILES_LABEL_TABLES.judged(anatomy.subject, faults, f"{len(anatomy.label_tables)} tables")
