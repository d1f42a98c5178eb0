"""The pictures of the 18 targets as one tensor; words have none."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nsd_imagery.dataset.names import STIMULI
from nsd_imagery.dataset.shards import Shard, open_shard
from nsd_imagery.errors import MissingDataError
from nsd_imagery.interop.labels import LETTERS

SIDE = 425
N_PICTURES = 12
"""Of sets A and B; the words of set C follow."""

SHAPE = (len(LETTERS), 3, SIDE, SIDE)


def target_images(folder: Path, stimuli: Shard, targets: Mapping[str, str]) -> list[bytes]:
    """The image files of the targets of sets A and B, in the order of `LETTERS`.

    Args:
        folder: The dataset folder.
        stimuli: The shard of `stimuli`.
        targets: By letter, the name of the target.

    Raises:
        MissingDataError: A target has none in the folder.
    """
    table = open_shard(folder / stimuli.file).select(["target", "image"])
    images = {row["target"]: row["image"] for row in table.to_pylist() if row["target"]}
    names = [targets[letter] for letter in LETTERS[:N_PICTURES]]
    if lacking := [name for name in names if images.get(name) is None]:
        msg = (
            f"{folder}: {STIMULI} has no picture of {lacking[0]}; copy nsddata/experiments/nsdimagery/rawtargetimages "
            f"into ROOT, then build again: nsd-imagery build ROOT --out {folder}"
        )
        raise MissingDataError(msg)
    return [images[name]["bytes"] for name in names]


def picture_tensor(images: Sequence[bytes]) -> NDArray[np.float32]:
    """(18, 3, 425, 425) the pictures of the targets, 0 to 1, in the order of `LETTERS`; NaN for the words of set C.

    NaN, because no picture is right: a word has none, and visC showed another photograph of it in each trial. Whatever
    is computed from one is NaN as well, and never a score against a picture that nobody imagined.
    """
    pictures = np.full(SHAPE, np.nan, np.float32)
    for position, image in enumerate(images):
        pictures[position] = _pixels(image)
    return pictures


def _pixels(contents: bytes) -> NDArray[np.float32]:
    with Image.open(io.BytesIO(contents)) as image:
        plain = image.convert("RGB")
    sized = plain if plain.size == (SIDE, SIDE) else plain.resize((SIDE, SIDE))
    return np.asarray(sized, np.float32).transpose(2, 0, 1) / np.float32(255)
