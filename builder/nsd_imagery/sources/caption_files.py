"""Where COCO's caption files lie."""

from pathlib import Path

from nsd_imagery.errors import MissingDataError
from nsd_imagery.links import is_there

COCO_SPLITS = ("train2017", "val2017")

_PLACES = (".", "annotations", "coco/annotations", "coco", "nsddata_stimuli/annotations", "nsd_imagery/stimuli")
"""Where in a root they are looked for."""


def caption_files(root: Path, folder: Path | None) -> list[Path]:
    """The caption files in a folder that was named, else in the root.

    Raises:
        MissingDataError: The folder that was named has none, or one is a link without content.
    """
    places = [folder] if folder is not None else [root / place for place in _PLACES]
    for place in places:
        files = [path for split in COCO_SPLITS if is_there(path := place / f"captions_{split}.json")]
        if files:
            return files
    if folder is not None:
        msg = f"{folder}: has no captions_train2017.json or captions_val2017.json (COCO's annotations_trainval2017.zip)"
        raise MissingDataError(msg)
    return []
