"""The pictures of the stimuli: the release's target images, and rows of nsd_stimuli.hdf5 (39 GB, never whole)."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from nsd_imagery.errors import DataError, reason, shown
from nsd_imagery.experiment import N_NSD_PICTURES
from nsd_imagery.links import find, is_there
from nsd_imagery.listing import visible
from nsd_imagery.sources import cache_files, release_files
from nsd_imagery.sources.design import nsd_id_of_name, stimulus_key
from nsd_imagery.volumes.hdf5 import open_dataset, reading

_MOST_PIXELS = 1 << 26
"""Far more than any picture of the release; a small file may claim any number."""

_SHAPE = (N_NSD_PICTURES, 425, 425, 3)
_NSD_STIMULUS = re.compile(r"nsd(0|[1-9]\d{0,4})")


def target_file(root: Path, stimulus_set: str, target: str) -> Path | None:
    """The picture of a target of set A or B; None where the root has none.

    Raises:
        DataError: The name of the target is no name of a file.
        MissingDataError: The picture is a link without content.
    """
    name = PurePosixPath(f"{target}.png")
    if len(name.parts) != 1 or "\0" in target:
        msg = f"{root}: target {shown(target)} is no name of a file"
        raise DataError(msg)
    path = release_files.target_images_folder(root, stimulus_set) / name
    return path if is_there(path) else None


def read_png(path: Path) -> bytes:
    """The contents of a PNG file, checked to be one.

    Raises:
        DataError: It is not.
    """
    contents = path.read_bytes()
    try:
        # Image.open would warn of a large picture by the process's filters of warnings, and here are threads.
        with PngImageFile(io.BytesIO(contents)) as image:
            n_pixels = image.width * image.height
            if n_pixels <= _MOST_PIXELS:
                image.verify()
    except (OSError, SyntaxError, ValueError, IndexError) as error:
        msg = f"{path}: is not a sound PNG file ({reason(error)}): copy it again"
        raise DataError(msg) from error
    if n_pixels > _MOST_PIXELS:
        msg = f"{path}: claims to be a picture of {n_pixels:,} pixels: copy it again"
        raise DataError(msg)
    return contents


def pictures_file(root: Path) -> Path | None:
    """NSD's picture file, in the release's place or the Guide's; None where the root has none.

    Raises:
        MissingDataError: It is a link without content.
    """
    return find((release_files.pictures_file(root), cache_files.pictures_file(root)))


def target_files(root: Path) -> dict[str, Path]:
    """The pictures of the targets of sets A and B by `stimulus`.

    Raises:
        MissingDataError: One is a link without content.
    """
    files = [path for name in "AB" for path in visible(release_files.target_images_folder(root, name), "*.png")]
    return {stimulus_key(nsd_id_of_name(path.stem), path.stem): path for path in files if is_there(path)}


@contextmanager
def open_stimuli(root: Path) -> Iterator[Callable[[str], NDArray[np.uint8] | None]]:
    """What gives the picture of a stimulus, (height, width, 3) uint8, or None where the root has none.

    Raises:
        DataError: A file is damaged.
    """
    targets, path = target_files(root), pictures_file(root)
    with ExitStack() as stack:
        pictures = stack.enter_context(open_pictures(path)) if path else None

        def picture(stimulus: str) -> NDArray[np.uint8] | None:
            if stimulus in targets:
                return _pixels(read_png(targets[stimulus]))
            number = _NSD_STIMULUS.fullmatch(stimulus)
            if number is None or pictures is None or path is None or int(number[1]) >= N_NSD_PICTURES:
                return None
            return read_picture(pictures, int(number[1]), path)

        yield picture


def _pixels(contents: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(contents), formats=["PNG"]) as image:
        return np.asarray(image.convert("RGB"))


@contextmanager
def open_pictures(path: Path) -> Iterator[h5py.Dataset]:
    """The dataset `imgBrick`, (73000, 425, 425, 3) uint8, indexed by 0-based NSD id.

    Raises:
        DataError: The file is damaged, or is not NSD's.
    """
    with open_dataset(path, "imgBrick") as pictures:
        if pictures.shape != _SHAPE or pictures.dtype != np.uint8:
            msg = f"{path}: imgBrick is {pictures.dtype} of shape {pictures.shape}, not bytes of {_SHAPE}"
            raise DataError(msg)
        yield pictures


def read_picture(pictures: h5py.Dataset, nsd_id: int, path: Path) -> NDArray[np.uint8]:
    """The picture of a 0-based NSD id, (425, 425, 3), of the dataset that `open_pictures` gives of a file.

    Raises:
        DataError: The file is damaged.
    """
    with reading(path):
        return np.asarray(pictures[nsd_id])


def png(picture: NDArray[np.uint8]) -> bytes:
    """A picture, (height, width, 3) uint8, as a PNG file; lossless, packed lightly because that is quick."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
