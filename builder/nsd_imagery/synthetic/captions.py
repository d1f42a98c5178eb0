"""Made-up COCO captions, captions_{train,val}2017.json in COCO's own format: five a picture of the shared1000.

As in COCO's files, pictures are in no order, their captions lie scattered among those of others, and some captions
end in a blank or a new line.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from nsd_imagery.synthetic import files
from nsd_imagery.synthetic.randomness import generator
from nsd_imagery.synthetic.stimuli import shared_ids

COCO_SPLITS: Final = ("train2017", "val2017")

_SENTENCES: Final = (
    "{0} in white letters on a coloured field, and nothing else.",
    "A made-up scene with the number {0} on a sign.",
    'A wall on which somebody has painted "{0}".',
    "The menu of a café in São Paulo, open at page {0}.",
    "An empty road with a milestone—it reads {0}.",
)
_ENDINGS: Final = ("", "", " ", "", "\n", "", "")

_SIZES: Final = ((480, 640), (640, 480), (427, 640))
"""Height and width of the photographs, which are larger than NSD's square crops of them."""

_INFO: Final = {
    "description": "Made-up captions of a synthetic NSD release",
    "url": "http://example.org",
    "version": "1.0",
    "year": 2017,
    "contributor": "nobody",
    "date_created": "2017/09/01",
}
_LICENSE: Final = {"url": "http://example.org/license", "id": 1, "name": "Made up"}


def captions_of(nsd_id: int) -> list[str]:
    """The five captions of an NSD picture (0-based id), in the order of the file and without blanks at their ends."""
    first = nsd_id % len(_SENTENCES)
    return [sentence.format(nsd_id) for sentence in (*_SENTENCES[first:], *_SENTENCES[:first])]


def write_captions(folder: Path, seed: int, table: pa.Table) -> None:
    """Write both files.

    Args:
        folder: COCO's `annotations`.
        seed: Seed of the release.
        table: Its picture table, which says what COCO calls a picture and which file has its captions.
    """
    rng = generator(seed, "captions")
    shared = table.select(["nsdId", "cocoId", "cocoSplit"]).take(pa.array(shared_ids(seed))).to_pylist()
    pictures = [shared[position] for position in rng.permutation(len(shared))]
    images, annotations = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    for picture in pictures:
        images[picture["cocoSplit"]].append(_image(rng, picture))
    captions = [_as_typed(picture["nsdId"]) for picture in pictures]
    turns = rng.permutation(np.repeat(np.arange(len(pictures)), len(_SENTENCES)))
    ids = np.cumsum(rng.integers(1, 100, len(turns)))
    for position, annotation_id in zip(turns, ids, strict=True):
        picture = pictures[position]
        annotation = {"image_id": picture["cocoId"], "id": int(annotation_id), "caption": captions[position].pop(0)}
        annotations[picture["cocoSplit"]].append(annotation)
    for split in COCO_SPLITS:
        contents = {
            "info": _INFO,
            "images": images[split],
            "licenses": [_LICENSE],
            "annotations": annotations[split],
        }
        text = json.dumps(contents, separators=(",", ": "))
        files.write_bytes(folder / f"captions_{split}.json", text.encode())


def _as_typed(nsd_id: int) -> list[str]:
    """The captions with what people left at their ends."""
    return [caption + _ENDINGS[(nsd_id + number) % len(_ENDINGS)] for number, caption in enumerate(captions_of(nsd_id))]


def _image(rng: np.random.Generator, picture: dict[str, Any]) -> dict[str, Any]:
    height, width = _SIZES[rng.integers(len(_SIZES))]
    name = f"{picture['cocoId']:012d}.jpg"
    return {
        "license": _LICENSE["id"],
        "file_name": name,
        "coco_url": f"http://example.org/{picture['cocoSplit']}/{name}",
        "height": height,
        "width": width,
        "date_captured": "2013-11-14 17:02:52",
        "flickr_url": f"http://example.org/flickr/{name}",
        "id": picture["cocoId"],
    }
