"""Target images: bars, crosses, and coloured fields in the place of NSD's photographs, which may not be passed on."""

import io
import math
import zlib

from PIL import Image, ImageDraw, ImageFont

from nsd_imagery.sources.synthetic.targets import Target

SIDE = 425
"""Pixels a side, as of NSD's pictures."""

_LENGTH = 340
_WIDTH = 43
_GREY = (127, 127, 127)


def target_png(target: Target) -> bytes:
    """The image file of a target of set A or B: 425 x 425 RGB."""
    image = _angle(target.name) if target.stimulus_set == "A" else _field(target.name)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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
    ImageDraw.Draw(image).text((40, SIDE // 2 - 16), name, fill=(255, 255, 255), font=ImageFont.load_default(32))
    return image
