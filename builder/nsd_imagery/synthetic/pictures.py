"""Target images and NSD's pictures: bars, crosses, and coloured fields in the place of photographs.

NSD's own may not be passed on. The field of an NSD picture shows its 0-based id, in writing and as a strip of black
and white blocks, so that a pipeline which takes one picture for another can be found out from the pixels.
"""

import io
import math
import zlib
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nsd_imagery.synthetic.targets import PlantedTarget, nsd_stimulus

SIDE = 425
"""Pixels a side, as of NSD's pictures."""

_LENGTH = 340
_WIDTH = 43
_GREY = (127, 127, 127)

_ID_BITS = 17
_BLOCK = SIDE // _ID_BITS
_STRIP_TOP, _STRIP_HEIGHT = 340, 40
_BLACK, _WHITE = 40, 215
"""What `picture_id` takes for black is below, and for white above; the colour of a field, 64 to 191, is neither."""


def target_png(target: PlantedTarget) -> bytes:
    """The image file of a target of set A or B, of `target_picture`."""
    buffer = io.BytesIO()
    Image.fromarray(target_picture(target)).save(buffer, "PNG")
    return buffer.getvalue()


def target_picture(target: PlantedTarget) -> NDArray[np.uint8]:
    """What stands for a target of set A or B: (425, 425, 3); of an NSD picture, `nsd_picture`."""
    if target.nsd_id is not None:
        return nsd_picture(target.nsd_id)
    return np.array(_angle(target.name) if target.stimulus_set == "A" else _field(target.name))


@lru_cache(maxsize=64)
def nsd_picture(nsd_id: int) -> NDArray[np.uint8]:
    """What stands for an NSD picture (0-based id): (425, 425, 3), readable by `picture_id`, not to be written to."""
    pixels = np.array(_field(nsd_stimulus(nsd_id)))
    bits = nsd_id >> np.arange(_ID_BITS)[::-1] & 1
    strip = np.repeat(255 * bits, _BLOCK)[:, None]
    pixels[_STRIP_TOP : _STRIP_TOP + _STRIP_HEIGHT] = strip
    pixels.flags.writeable = False
    return pixels


def picture_id(image: NDArray[np.generic]) -> int:
    """The 0-based NSD id that a picture shows.

    Args:
        image: (height, width, 3) from 0 to 255, of `nsd_picture`, scaled or not.

    Raises:
        ValueError: It shows none.
    """
    height, width = image.shape[:2]
    row = int((_STRIP_TOP + _STRIP_HEIGHT / 2) / SIDE * height)
    columns = ((np.arange(_ID_BITS) + 0.5) / _ID_BITS * width).astype(int)
    blocks = image[row, columns].astype(float)
    if not np.all((blocks < _BLACK).all(axis=1) | (blocks > _WHITE).all(axis=1)):
        msg = "the image shows no NSD id: it has no strip of black and white blocks"
        raise ValueError(msg)
    return int((blocks[:, 0] > _WHITE) @ (1 << np.arange(_ID_BITS)[::-1]))


def _angle(name: str) -> Image.Image:
    """A bar, or a cross of two, at the angle that the name says (counter-clockwise from horizontal)."""
    image = Image.new("RGB", (SIDE, SIDE), _GREY)
    draw = ImageDraw.Draw(image)
    angle = math.radians(float(name[4:9]))
    for arm in (angle, angle + math.pi / 2)[: 2 if name.startswith("crs") else 1]:
        along = (math.cos(arm) * _LENGTH / 2, -math.sin(arm) * _LENGTH / 2)
        across = (math.sin(arm) * _WIDTH / 2, math.cos(arm) * _WIDTH / 2)
        corners = [
            (SIDE / 2 + a * along[0] + b * across[0], SIDE / 2 + a * along[1] + b * across[1])
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        ]
        draw.polygon(corners, fill=(0, 0, 0))
    return image


def _field(name: str) -> Image.Image:
    digest = zlib.crc32(name.encode())
    colour = tuple(64 + (digest >> shift) % 128 for shift in (0, 8, 16))
    image = Image.new("RGB", (SIDE, SIDE), colour)
    ImageDraw.Draw(image).text((40, SIDE // 2 - 16), name, fill=(255, 255, 255), font=_font())
    return image


@cache
def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(32)
