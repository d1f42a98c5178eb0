"""Vectors of stimuli in one feature space: what decoders are fitted on, and the candidates of predictions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsd_imagery.embeddings import Maker
from nsd_imagery.errors import DataError, MissingEmbeddingError
from nsd_imagery.learn.clip_cache import ClipCache

Vectors = Mapping[str, NDArray[Any]]

_FEW = 8


@dataclass(frozen=True, eq=False)
class Space:
    """Vectors by the column `stimulus`.

    Attributes:
        pictures: Of pictures.
        words: Of texts, by which the words of set C are candidates; empty where there are none.
        maker: Digest of what made them.
        of: What vectors of pictures were made from: the "image", or a "text" about it.
    """

    pictures: Vectors
    words: Vectors
    maker: str
    of: str = "image"

    def lacking(self, stimuli: Iterable[str], kind: str = "image") -> str:
        """Which of some stimuli have no vector, as a sentence; "" where all have one."""
        vectors = self.words if kind == "text" else self.pictures
        names = sorted({name for name in stimuli if name not in vectors})
        more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
        what = "make them: nsd-imagery embed ROOT --model FOLDER_OR_ID"
        kind = self.of if kind == "image" else kind
        return f"no {kind} embedding of {', '.join(names[:_FEW])}{more}; {what}" if names else ""

    def stack(self, stimuli: Iterable[str], kind: str = "image") -> NDArray[np.float64]:
        """(n, n_features) of some stimuli.

        Raises:
            MissingEmbeddingError: Names those that have none.
        """
        names = list(stimuli)
        if lacking := self.lacking(names, kind):
            raise MissingEmbeddingError(lacking)
        vectors = self.words if kind == "text" else self.pictures
        return np.stack([vectors[name] for name in names]).astype(np.float64)


def space_of(pictures: ClipCache, words: ClipCache | None = None) -> Space:
    """The space of one `ClipCache` or two.

    Args:
        pictures: Of kind "image".
        words: The same model's of kind "text".

    Raises:
        DataError: Other kinds, or of two models.
    """
    for name, cache, kind in (("pictures", pictures, "image"), ("words", words, "text")):
        if cache is not None and cache.kind != kind:
            msg = f"{name}: are embeddings of kind {cache.kind}: pass ClipCache(..., kind={kind!r})"
            raise DataError(msg)
    if words is not None and words.maker != pictures.maker:
        msg = f"pictures are by {_named(pictures.maker)}, words by {_named(words.maker)}: pass those of one model"
        raise DataError(msg)
    return Space(pictures, words if words is not None else {}, pictures.maker.digest)


def space_by_kind(both: Space, kind: str) -> Space:
    """The space of a file of embeddings: its pictures by their images or by texts about them, words by texts.

    Args:
        both: What the file has of images, as `pictures`, and of texts, as `words`.
        kind: "image" or "text". A decoder of one is none of the other, so each has a maker of its own.
    """
    return both if kind == "image" else Space(both.words, both.words, maker_of(both.maker, kind), "text")


def maker_of(digest: str, kind: str) -> str:
    """What a space's maker is called.

    Args:
        digest: Of what made the file.
        kind: What vectors of pictures were made from.
    """
    return digest if kind == "image" else f"{kind} by {digest}"


def _named(maker: Maker) -> str:
    return f"{maker.model} {maker.revision}".rstrip()
