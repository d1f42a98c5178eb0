"""Whether a file that came is what its name says, as far as can be told without the others."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import CORE_TRIALS_PER_SESSION, N_BETAS
from nsd_imagery.fetch.growing import Growing
from nsd_imagery.fetch.wanted import Want
from nsd_imagery.volumes import hdf5, nifti
from nsd_imagery.volumes.betas import BetaHeader
from nsd_imagery.volumes.unpacked import unpacked

_BLOCK: Final = 1 << 20
_START: Final = 512
_NIFTI: Final = tuple(size.to_bytes(4, order) for size in (348, 540) for order in ("little", "big"))
_MAGIC: Final = {
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".mat": (b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"),
    ".hdf5": (b"\x89HDF\r\n\x1a\n",),
}
_TEXT: Final = (".tsv", ".csv", ".ctab")


def refuse_unsound(path: Path, want: Want, mask: Path | None) -> None:
    """Stop where a file is not what it should be, but for what `read_to_the_end` finds.

    Args:
        path: The file, of the ending that it will have.
        want: What it is for.
        mask: A mask of the subject, whose grid betas must have; None where there is none.

    Raises:
        DataError: It is damaged, or something else.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    magic = _MAGIC.get(path.suffix, ())
    if magic and not start.startswith(magic):
        raise _not_what(path)
    if path.suffix in _TEXT and (b"\0" in start or start.lstrip().startswith(b"<")):
        raise _not_what(path)
    if want.kind == "betas":
        _refuse_other_shape(path, want, mask)


def _not_what(path: Path) -> DataError:
    return DataError(f"{path}: is no {path.suffix.removeprefix('.')} file")


def is_packed(path: Path) -> bool:
    """Whether a file is one for `read_to_the_end`."""
    return path.name.endswith(".nii.gz")


def read_to_the_end(path: Path, opened: Growing | None, go_on: Callable[[], None]) -> None:
    """Unpack a NIfTI file, so that each checksum in it is checked.

    Args:
        path: The file.
        opened: What to read from instead, while the file is not whole yet.
        go_on: Called now and then; may raise.

    Raises:
        DataError: It is damaged, or something else.
    """
    with unpacked(path, opened) as (stream, _):
        start = stream.read(4)
        if start not in _NIFTI:
            msg = f"{path}: is no NIfTI file"
            raise DataError(msg)
        while stream.read(_BLOCK):
            go_on()


def _refuse_other_shape(path: Path, want: Want, mask: Path | None) -> None:
    header: BetaHeader = (nifti if nifti.is_nifti(path) else hdf5).read_header(path)
    n_volumes = CORE_TRIALS_PER_SESSION if "perception" in want.needed_by else N_BETAS
    if header.n_volumes != n_volumes:
        msg = f"{path}: has {header.n_volumes} volumes, not {n_volumes}"
        raise DataError(msg)
    if mask is not None:
        _, grid = nifti.read_volume(mask)
        header.grid.check_same(grid, str(path), str(mask))
