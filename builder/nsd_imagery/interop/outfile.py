"""Files of an export, and how each is written in bounded memory."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.errors import MissingExtraError
from nsd_imagery.progress import StepProgress

Write = Callable[[BinaryIO, StepProgress], None]


@dataclass(frozen=True, eq=False)
class OutFile:
    """One file of an export.

    Attributes:
        path: In the folder that is exported to, with /.
        made_of: Digest of what it is made of: the same gives the same contents.
        n_bytes: Its size, about.
        n_steps: How often `write` says what it begins.
        write: Writes it to an open file.
    """

    path: str
    made_of: str
    n_bytes: int
    n_steps: int
    write: Write


def made_of(*said: Any) -> str:
    """The digest of what a file is made of, as JSON has it."""
    return xxhash.xxh3_128(json.dumps(said).encode()).hexdigest()


def refuse_without_torch() -> None:
    """Raise MissingExtraError where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        msg = "an export writes files of torch: pip install 'nsd-imagery[torch]'"
        raise MissingExtraError(msg) from error


def write_tensor(file: BinaryIO, values: NDArray[np.float32]) -> None:
    """Write a tensor as `torch.load` reads it, also with weights_only."""
    import torch

    torch.save(torch.from_numpy(values), file)


def write_hdf5(file: BinaryIO, name: str, shape: tuple[int, int], blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write an HDF5 file with one dataset of float32, contiguous and not compressed, of which a block is in memory.

    HDF5 lays the file out; the values go through the file that is open here, so that a full disk is an OSError that
    says so.

    Args:
        file: Open under its own name.
        name: Of the dataset.
        shape: Of the dataset.
        blocks: Its rows, in order.
    """
    # HDF5 would refuse the file, which is locked already.
    with h5py.File(file.name, "w", locking=False) as layout:
        created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        created.set_obj_track_times(False)  # the same values are the same bytes
        created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(layout.id, name.encode(), h5py.h5t.IEEE_F32LE, space, created)
        start = dataset.get_offset()
    file.seek(start)
    for block in blocks:
        file.write(np.ascontiguousarray(block, "<f4").data)


def exists(path: Path) -> bool:
    """Whether there is anything of that name, also a link that leads nowhere."""
    return path.exists() or path.is_symlink()
