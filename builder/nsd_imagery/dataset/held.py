"""What masked beta files must hold for the pieces of a build."""

from collections.abc import Sequence

from nsd_imagery.dataset.pieces import Piece
from nsd_imagery.errors import MissingDataError
from nsd_imagery.experiment import BETA_VERSIONS
from nsd_imagery.shell import quoted
from nsd_imagery.volumes.formats import MASKED
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.masked import Held
from nsd_imagery.volumes.read import read_header


def refuse_not_held(piece: Piece, voxels: FlatIndex) -> None:
    """Stop where a masked file lacks voxels of a piece's ROIs, or some that these are smoothed with.

    Args:
        piece: The piece.
        voxels: C-order flat indices of all that is to be read.

    Raises:
        MissingDataError: Says which ROI lacks how many, and what fetches them.
    """
    held, grid = _held_by(piece), piece.rois[0].grid
    if held is None:
        return
    _refuse_lacking_rois(held, piece, [piece])
    if n_lacking := held.lacking(grid, voxels):
        whole = f"nsd-imagery download ROOT {_of([piece])}"
        what = f"smoothing takes {n_lacking:,} voxels around them: take the whole file ({whole}), or do not smooth"
        raise MissingDataError(f"{held}; {what}")


def refuse_lacking_rois(pieces: Sequence[Piece]) -> None:
    """Stop before anything is read where a masked file lacks voxels of a ROI; one command fetches those of all files.

    Raises:
        MissingDataError: See `refuse_not_held`.
    """
    for piece in pieces:
        if (held := _held_by(piece)) is not None:
            _refuse_lacking_rois(held, piece, pieces)


def _held_by(piece: Piece) -> Held | None:
    """What a masked file says; one of another name is not opened for it, and is refused as it is read."""
    path = piece.session.beta_path
    return read_header(path).held if path.name.endswith(MASKED) else None


def _refuse_lacking_rois(held: Held, piece: Piece, pieces: Sequence[Piece]) -> None:
    lacking = {roi.plain_name: n for roi in piece.rois if (n := held.lacking(roi.grid, roi.flat))}
    if lacking:
        more = ", ".join(f"{name} has {n:,} voxels more" for name, n in lacking.items())
        names = ",".join(dict.fromkeys([*held.origin.rois, *(roi.name for roi in piece.rois)]))
        alike = [one for one in pieces if one.session.experiment == piece.session.experiment]
        msg = f"{held}; {more}: nsd-imagery download ROOT {_of(alike)} --masked --roi {quoted(names)}"
        raise MissingDataError(msg)


def _of(pieces: Sequence[Piece]) -> str:
    """The options of a download of the beta files of some pieces, all of one experiment."""
    sessions = [piece.session for piece in pieces]
    options = ["--subjects", ",".join(dict.fromkeys(session.subject for session in sessions))]
    if sessions[0].experiment != "nsdimagery":
        numbers = sorted({session.session for session in sessions})
        options += ["--conditions", "perception", "--sessions", ",".join(map(str, numbers))]
    version = sessions[0].rows["beta_version"][0].as_py()
    return " ".join(options if version == BETA_VERSIONS[0] else [*options, "--betas", version])
