"""Which files of the release a ROI name needs, told from the name alone: to say all that is missing at once.

Of a name that only a subject's own tables know, or of a mask file, nothing is told: reading it says what it lacks.
"""

from collections.abc import Iterable, Iterator

from nsd_imagery.volumes.anatomy import RELEASE_ATLASES
from nsd_imagery.volumes.roi import DEFAULT_ROI, VISUAL_AREAS, VISUAL_ATLAS, is_path, split_side, terms_of

_OF_SUBJECT = (VISUAL_ATLAS, "floc-")
"""How the names of atlases begin whose label tables are each subject's own, and in one place."""

_ATLASES = {atlas.lower(): atlas for atlas in RELEASE_ATLASES}
_VISUAL = {word.lower() for area, labels in VISUAL_AREAS.items() for word in (area, *labels)}


def masks_of(rois: Iterable[str]) -> tuple[str, ...]:
    """The label volumes that some ROIs need, each once; `lh.` or `rh.` before the name of a hemisphere's."""
    return tuple(
        dict.fromkeys(f"{side}.{atlas}".lstrip(".") for side, name in _parts(rois) for atlas in _atlases(name))
    )


def tables_of(rois: Iterable[str]) -> tuple[str, ...]:
    """The atlases of which some ROIs need the label table, of those whose tables are each subject's own."""
    labelled = (
        atlas for _, name in _parts(rois) for atlas in _atlases(name) if name.lower() != atlas.lower()
    )  # a whole atlas needs no names
    return tuple(dict.fromkeys(atlas for atlas in labelled if atlas.startswith(_OF_SUBJECT)))


def _parts(rois: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Hemisphere, if one is named, and name of each part of some ROIs that is no mask file."""
    for roi in rois:
        for term in terms_of(roi):
            yield from (split_side(part) for part in term if not is_path(part))


def _atlases(name: str) -> tuple[str, ...]:
    word = name.lower()
    if word in ("early", "higher"):
        return DEFAULT_ROI, VISUAL_ATLAS
    if word in _VISUAL:
        return (VISUAL_ATLAS,)
    atlas = _ATLASES.get(word.partition(":")[0])
    return () if atlas is None else (atlas,)
