"""What a caller says of transfer, and what is meant: the files, checked before anything is computed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nsd_imagery.embeddings import KINDS
from nsd_imagery.errors import DataError, FolderError, UsageError, shown
from nsd_imagery.evaluation.asked import Asked
from nsd_imagery.evaluation.predictions import read_predictions, read_targets
from nsd_imagery.evaluation.selected import preprocessor_files
from nsd_imagery.evaluation.transfer.baseline import TEST_SETS
from nsd_imagery.evaluation.transfer.inputs import Embeddings, File, Inputs, digest_of
from nsd_imagery.evaluation.transfer.saved_decoders import decoder_files
from nsd_imagery.evaluation.transfer.space import Space
from nsd_imagery.learn.clip_cache import ClipCache
from nsd_imagery.listing import visible
from nsd_imagery.sources.cache_files import embeddings_folder
from nsd_imagery.spelling import the_choice, words_of

Given = Path | str | ClipCache | Space
"""Embeddings as a caller has them: a root, a folder of their files, a file, or opened."""


@dataclass(frozen=True)
class Options:
    """The arguments of `run.evaluate` that are about transfer, as they were written."""

    test_sets: str | Sequence[str] | None = None
    embeddings: Given | None = None
    model: Path | str | None = None
    kind: str = KINDS[0]
    predictions: Path | str | None = None
    targets: Path | str | None = None
    partial: bool = False
    decoder: Path | str | None = None
    save_decoder: Path | str | None = None
    preprocessor: Path | str | None = None


def inputs_of(what: Asked, said: Options) -> Inputs:
    """What is meant; see `run.evaluate`.

    Raises:
        UsageError: An option that cannot be meant, or one that needs another.
        MissingDataError: A file is not there.
        DataError: A file is damaged, or of other subjects, voxels, embeddings or betas.
        FolderError: Decoders would be saved into a dataset folder.
    """
    _refuse_alone(said)
    test_sets = TEST_SETS if said.test_sets is None else _test_sets(said.test_sets)
    embeddings = None if said.embeddings is None else _embeddings(said.embeddings, said.model, said.kind)
    predictions = (
        None if said.predictions is None else _predictions(_path("predictions", said.predictions), what, said.partial)
    )
    targets = None if said.targets is None else _path("targets", said.targets)
    if targets is not None:
        read_targets(targets)
    return Inputs(
        test_sets,
        embeddings,
        predictions,
        None if targets is None else File.of(targets),
        bool(said.partial),
        {}
        if said.decoder is None or embeddings is None
        else decoder_files(_path("decoder", said.decoder).absolute(), what.rois, embeddings.maker),
        None if said.save_decoder is None else _to_save(_path("save_decoder", said.save_decoder).absolute(), what),
        {}
        if said.preprocessor is None
        else preprocessor_files(_path("preprocessor", said.preprocessor).absolute(), what),
    )


def _refuse_alone(said: Options) -> None:
    """Raise UsageError where an option is given without the one that it is about."""
    no_embeddings, no_predictions = said.embeddings is None, said.predictions is None
    kind = None if said.kind == KINDS[0] else said.kind
    for name, value, lacks, needs in (
        ("model", said.model, no_embeddings, "embeddings"),
        ("kind", kind, no_embeddings, "embeddings"),
        ("decoder", said.decoder, no_embeddings, "embeddings"),
        ("save_decoder", said.save_decoder, no_embeddings, "embeddings"),
        ("targets", said.targets, no_predictions, "predictions"),
        ("partial", said.partial or None, no_predictions, "predictions"),
        ("test_sets", said.test_sets, no_embeddings and no_predictions, "embeddings or predictions"),
    ):
        if value is not None and lacks:
            msg = f"{name} is about transfer, which needs {needs}: pass them too, or leave {name} out"
            raise UsageError(msg)
    if not no_predictions and said.targets is None and no_embeddings:
        raise UsageError("predictions need vectors of what they are compared with: pass embeddings, or targets")
    if said.decoder is not None and said.save_decoder is not None:
        raise UsageError("decoder and save_decoder: where a decoder is given, none is fitted; leave one of them out")


def _test_sets(said: str | Sequence[str]) -> tuple[str, ...]:
    named = {the_choice("test set", word, TEST_SETS) for word in words_of("test_sets", said)}
    return tuple(name for name in TEST_SETS if name in named)


def _embeddings(given: Given, model: Path | str | None, kind: str) -> Embeddings:
    kind = the_choice("kind", kind, KINDS)
    if isinstance(given, Space):
        _refuse_unsound(given)
        digest = digest_of(given)
        return Embeddings(None, "", {"maker": given.maker, "digest": digest}, digest, given)
    if not isinstance(given, ClipCache | str | os.PathLike):
        msg = f"embeddings are a root, a ClipCache or what space_of gives, not {shown(given)}"
        raise UsageError(msg)
    cache = given if isinstance(given, ClipCache) else _cache(Path(given).expanduser(), model, kind)
    file = File.of(cache.path)
    said: dict[str, Any] = {"model": cache.maker.model, "revision": cache.maker.revision, "maker": cache.maker.digest}
    return Embeddings(file, cache.kind, {**said, "kind": cache.kind, "digest": file.digest}, file.digest)


def _refuse_unsound(space: Space) -> None:
    if not space.pictures:
        raise UsageError("embeddings: the space has no vectors of pictures")
    for vectors in (space.pictures, space.words):
        for name in vectors:
            if not np.isfinite(vectors[name]).all() or not np.any(vectors[name]):
                msg = f"embeddings: the vector of {name} is 0 throughout, or has numbers that are not finite"
                raise DataError(msg)
    lengths = sorted({np.shape(vectors[name]) for vectors in (space.pictures, space.words) for name in vectors})
    if len(lengths) > 1 or len(lengths[0]) != 1:
        msg = f"embeddings: vectors of the space have shapes {', '.join(map(str, lengths))}, not one length"
        raise UsageError(msg)


def _cache(place: Path, model: Path | str | None, kind: str) -> ClipCache:
    """Of a root; of a folder of files of embeddings; or of such a file."""
    if place.is_file() or (not embeddings_folder(place).is_dir() and visible(place, "*.parquet")):
        folder = place.absolute()
        return ClipCache(folder.parents[1 if place.is_file() else 0], model, kind=kind, folder=folder)
    return ClipCache(place, model, kind=kind)


def _predictions(path: Path, what: Asked, partial: bool) -> File:
    found = read_predictions(path)
    lacking = [subject for subject in what.rois if subject not in found.subjects]
    if len(lacking) == len(what.rois) or (lacking and not partial):
        there = [subject for subject in what.rois if subject in found.subjects]
        choose = f"; choose --subjects {','.join(there)}, or allow it with --partial" if there else ""
        msg = f"{path}: has no rows of {', '.join(lacking)}, only of {', '.join(found.subjects)}{choose}"
        raise UsageError(msg)
    return File.of(path)


def _path(name: str, said: Path | str) -> Path:
    if not isinstance(said, str | os.PathLike):
        msg = f"{name} is a path, not {shown(said)}: save it first"
        raise UsageError(msg)
    return Path(said).expanduser()


def _to_save(folder: Path, what: Asked) -> Path:
    """Where decoders go, which is in no folder that is read."""
    if any(folder.resolve().is_relative_to(read.resolve()) for read in (what.folder, what.across) if read):
        msg = f"{folder}: is in a dataset folder, and those are only read; save decoders elsewhere"
        raise FolderError(msg)
    if folder.exists() and not folder.is_dir():
        msg = f"{folder}: is a file, not a folder for decoders"
        raise FolderError(msg)
    return folder
