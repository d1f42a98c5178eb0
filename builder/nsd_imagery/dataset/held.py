"""What a masked beta file must hold for a piece."""

from nsd_imagery.dataset.pieces import Piece
from nsd_imagery.errors import MissingDataError
from nsd_imagery.volumes.grid import FlatIndex
from nsd_imagery.volumes.read import read_header


def refuse_not_held(piece: Piece, voxels: FlatIndex) -> None:
    """Stop where a masked file lacks voxels of a piece's ROIs, or some that these are smoothed with.

    Args:
        piece: The piece.
        voxels: C-order flat indices of all that is to be read.

    Raises:
        MissingDataError: Says which ROI lacks how many, and what fetches them.
    """
    held, grid = read_header(piece.session.beta_path).held, piece.rois[0].grid
    if held is None:
        return
    lacking = {roi.plain_name: n for roi in piece.rois if (n := held.lacking(grid, roi.flat))}
    if lacking:
        more = ", ".join(f"{name} has {n:,} voxels more" for name, n in lacking.items())
        raise MissingDataError(f"{held}; {more}: {held.command(*(roi.name for roi in piece.rois))}")
    if n_lacking := held.lacking(grid, voxels):
        what = f"smoothing takes {n_lacking:,} voxels around them"
        msg = f"{held}; {what}: take the whole file (nsd-imagery download ROOT), or do not smooth"
        raise MissingDataError(msg)
