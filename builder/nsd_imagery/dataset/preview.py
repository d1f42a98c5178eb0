"""What a build would do: which pieces it would read, how much it would write, and whether the disk has room."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nsd_imagery import markup
from nsd_imagery.dataset.groups import groups_of
from nsd_imagery.dataset.held import refuse_not_held
from nsd_imagery.dataset.jobs import Job
from nsd_imagery.dataset.journal import Made
from nsd_imagery.dataset.pieces import Piece, split_rows
from nsd_imagery.dataset.reading import smoothing_mask
from nsd_imagery.errors import SpaceError
from nsd_imagery.volumes.read import bytes_to_unpack
from nsd_imagery.volumes.roi import Roi, union

_ROW_BYTES = 400
"""Of the label columns of a row, about."""


@dataclass(frozen=True)
class PieceState:
    """One piece of a plan.

    Attributes:
        key: "subj01/nsdimagery/01".
        beta_path: The beta file.
        todo: ROIs that are still to do; none if the piece is kept whole.
        bytes_in: Size of the beta file if it has to be read, else 0.
        bytes_out: What it will write, about.
        bytes_unpacked: Betas that the reading goes through: all of a NIfTI file, and of HDF5 the chunks in which a
            ROI's voxels lie; about, where the recipe smooths.
    """

    key: str
    beta_path: str
    todo: tuple[str, ...]
    bytes_in: int
    bytes_out: int
    bytes_unpacked: int


@dataclass(frozen=True, repr=False)
class Preview:
    """What a build would do.

    Attributes:
        pieces: All pieces, in order.
        bytes_free: Room on the disk of the dataset folder.
        notes: What else there is to know before it, in sentences.
    """

    pieces: tuple[PieceState, ...]
    bytes_free: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Preview: {self.headline}>"

    def _repr_html_(self) -> str:
        rows = [(one.key, ", ".join(one.todo) or "kept", f"{one.bytes_unpacked / 1e6:,.0f}") for one in self.pieces]
        return markup.table(self.headline, rows, ("piece", "ROIs to build", "MB of betas to read"), self.notes)

    @property
    def headline(self) -> str:
        """How much there is to do, and whether the disk has room."""
        todo = sum(bool(piece.todo) for piece in self.pieces)
        return (
            f"{todo} of {len(self.pieces)} pieces to do: {self.bytes_unpacked / 1e9:.2f} GB of betas to read from "
            f"files of {self.bytes_in / 1e9:.2f} GB, about {self.bytes_out / 1e9:.2f} GB to write, "
            f"{self.bytes_free / 1e9:.1f} GB free"
        )

    @property
    def bytes_in(self) -> int:
        """What is to be read."""
        return sum(piece.bytes_in for piece in self.pieces)

    @property
    def bytes_out(self) -> int:
        """What is to be written, about."""
        return sum(piece.bytes_out for piece in self.pieces)

    @property
    def bytes_unpacked(self) -> int:
        """Betas that the reading goes through, about."""
        return sum(piece.bytes_unpacked for piece in self.pieces)


def preview_jobs(
    jobs: Sequence[Job], finished: Sequence[Mapping[str, Made]], folder: Path, notes: Sequence[str] = ()
) -> Preview:
    """Say what is left of the jobs of a build, without writing anything.

    Args:
        jobs: The jobs.
        finished: Of each, what `journal.finished` gave.
        folder: The dataset folder.
        notes: What else there is to know, in sentences.

    Raises:
        DataError: A beta file that is to be read is damaged, or of another grid than the masks.
    """
    states = (_state(job, made) for job, made in zip(jobs, finished, strict=True))
    return Preview(tuple(states), _bytes_free(folder), tuple(notes))


def bytes_to_write(jobs: Sequence[Job], finished: Sequence[Mapping[str, Made]]) -> int:
    """What is left to write of the jobs of a build, about."""
    left = zip(jobs, finished, strict=True)
    return sum(_bytes(job.piece, roi) for job, made in left for roi in _todo(job.piece, made))


def refuse_full_disk(folder: Path, n_bytes: int, what: str, instead: str) -> None:
    """Say before anything is read that there is too little room.

    Args:
        folder: The dataset folder.
        n_bytes: What is to be written, about.
        what: What writes it.
        instead: What needs less.

    Raises:
        SpaceError: It is more than there is.
    """
    free = _bytes_free(folder)
    if n_bytes > free:
        msg = (
            f"{folder}: {what} needs about {n_bytes / 1e6:,.0f} MB, but {free / 1e6:,.0f} MB "
            f"are free on its disk; free some, or {instead}"
        )
        raise SpaceError(msg)


def _bytes_free(folder: Path) -> int:
    place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    return shutil.disk_usage(place).free


def _state(job: Job, finished: Mapping[str, Made]) -> PieceState:
    piece = job.piece
    path, todo = piece.session.beta_path, _todo(piece, finished)
    size, unpacked = (path.stat().st_size, _bytes_unpacked(piece, todo)) if todo else (0, 0)
    written = sum(_bytes(piece, roi) for roi in todo)
    return PieceState(piece.key, str(path), tuple(roi.name for roi in todo), size, written, unpacked)


def _todo(piece: Piece, finished: Mapping[str, Made]) -> list[Roi]:
    return [roi for roi in piece.rois if roi.name not in finished]


def _bytes_unpacked(piece: Piece, rois: Sequence[Roi]) -> int:
    voxels = union(rois) if piece.recipe.smoothing_fwhm is None else smoothing_mask(piece)
    refuse_not_held(piece, voxels)
    return bytes_to_unpack(piece.session.beta_path, rois[0].grid, voxels)


def _bytes(piece: Piece, roi: Roi) -> int:
    rows = piece.session.rows
    n_rows = sum(len(chosen) for condition in piece.conditions for chosen in split_rows(rows, condition).values())
    n_groups = len(groups_of(rows, piece.recipe.zscore)[0])
    numbers = n_rows * np.dtype(piece.recipe.dtype).itemsize + n_groups * 2 * np.dtype(np.float64).itemsize
    return n_rows * _ROW_BYTES + roi.flat.size * numbers
