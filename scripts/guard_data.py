"""Refuse files that must never be committed: brain data, built shards, and anything large.

NSD's terms forbid passing the data on, so a single volume in the history would be one too many.
A file is known by its name and, since names lie, by its first bytes, also inside gzip.

    guard_data.py [FILE ...]    the given files; without any, all that git tracks

Exit status 0 if all may be committed, 1 if one may not, 2 if git cannot list the files.
"""

import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

MAX_BYTES = 500_000
HEAD_BYTES = 4096

DATA_SUFFIXES = {
    ".nii": "NIfTI",
    ".hdr": "NIfTI",
    ".img": "NIfTI",
    ".h5": "HDF5",
    ".hdf5": "HDF5",
    ".mat": "MATLAB",
    ".mgh": "FreeSurfer volume",
    ".mgz": "FreeSurfer volume",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".parquet": "Parquet",
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".pickle": "pickle",
    ".pkl": "pickle",
}
MAGIC = {
    b"MATLAB ": "MATLAB",
    b"ARROW1": "Arrow",
    b"FEA1": "Arrow",
    b"\xff\xff\xff\xff": "Arrow",
    b"PAR1": "Parquet",
    b"\x93NUMPY": "NumPy",
    b"\x80\x02": "pickle",
    b"\x80\x03": "pickle",
    b"\x80\x04": "pickle",
    b"\x80\x05": "pickle",
}
MEMBER_SUFFIXES = {".npy": "NumPy", ".pkl": "pickle"}
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_OFFSETS = (0, 512, 1024, 2048)
MGH_TYPES = {0, 1, 3, 4, 10}


def kind_by_name(path: Path) -> str | None:
    """Kind of data that the name promises, if any."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return DATA_SUFFIXES.get(suffixes[-1]) if suffixes else None


def kind_by_content(head: bytes) -> str | None:
    """Kind of data that the first bytes of a file give away, if any."""
    if head.startswith(b"\x1f\x8b"):
        try:
            return kind_by_content(zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES))
        except zlib.error:
            return None
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    if any(head.startswith(HDF5_SIGNATURE, offset) for offset in HDF5_OFFSETS):
        return "HDF5"
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return "NIfTI"
    if len(head) >= 28:
        version, *shape, data_type, _ = struct.unpack(">7i", head[:28])
        if version == 1 and min(shape) > 0 and data_type in MGH_TYPES:
            return "FreeSurfer volume"
    return None


def objection(path: Path) -> str | None:
    """Why a file may not be committed; None if it may."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    kind = kind_by_name(path) or kind_by_content(head)
    if kind is None and head.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {Path(name).suffix for name in archive.namelist()}
        kind = next((kind for suffix, kind in MEMBER_SUFFIXES.items() if suffix in members), None)
    if kind is not None:
        return f"is {kind} data"
    return f"has {size:,} bytes, more than {MAX_BYTES:,}" if size > MAX_BYTES else None


def tracked_files() -> list[Path]:
    """All files that git tracks, below the current folder."""
    listing = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True, text=True)
    return [Path(name) for name in listing.stdout.split("\0") if name]


def main(arguments: list[str]) -> int:
    """Print an objection a line; return the exit status."""
    if arguments:
        paths = [Path(argument) for argument in arguments]
    elif not Path(".git").exists():
        print("guard_data: not a git checkout, so nothing can be committed from here", file=sys.stderr)
        return 0
    else:
        try:
            paths = tracked_files()
        except (OSError, subprocess.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or error
            print(f"guard_data: git does not list its files: {reason}".strip(), file=sys.stderr)
            return 2
    # Git tracks a link as text, and lists a file that was deleted but not yet committed.
    objections = {path: objection(path) for path in paths if path.is_file() and not path.is_symlink()}
    refused = {path: reason for path, reason in objections.items() if reason}
    for path, reason in refused.items():
        print(f"{path}: {reason}; it must not be committed", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
