"""The builder class of the `datasets` library, over the same row generator as a built folder.

    NSDImagery("subj01-imagery", root="/data/nsd").download_and_prepare()

A folder (`nsd_imagery.build`) has resume, a card and shards that can be passed on; this class is for code that wants a
builder: `as_dataset`, or `as_streaming_dataset` without a second copy of the data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import datasets
import pyarrow as pa
import xxhash

from nsd_imagery.dataset.find import find_pieces
from nsd_imagery.dataset.names import config_name as name_of
from nsd_imagery.dataset.names import read_config
from nsd_imagery.dataset.pieces import Piece, parts, split_rows
from nsd_imagery.dataset.reading import fingerprint, read_piece
from nsd_imagery.dataset.recipe import Recipe, RecipeOptions
from nsd_imagery.errors import DataError
from nsd_imagery.experiment import CONDITIONS
from nsd_imagery.identity import Identity, identity
from nsd_imagery.schema import trial_schema
from nsd_imagery.sources.root import find_root
from nsd_imagery.spelling import the_word
from nsd_imagery.suggest import one_of
from nsd_imagery.volumes.roi import DEFAULT_ROI


@dataclass
class NSDImageryConfig(datasets.BuilderConfig):
    """A subject, a condition and a ROI.

    Attributes:
        subject: "subj01" to "subj08".
        condition: "imagery", "vision", "attention" or "perception".
        roi: A ROI name; see `volumes.roi`.
    """

    subject: str = ""
    condition: str = ""
    roi: str = DEFAULT_ROI


class NSDImagery(datasets.ArrowBasedBuilder):
    """One config of NSD-Imagery as a dataset builder.

    Args:
        config_name: As of a built folder: "subj01-imagery", "subj01-vision-V1", "subj01-imagery-streams.early".
        root: Folder with the release tree; default $NSD_CACHE_ROOT, else ./cache.
        roi: A ROI name, for ROIs that a config name cannot spell, such as a mask file.
        captions: Folder of COCO's caption files; default: where the root has them, if it does.
        source: "release" or "cache", for a root that holds the subject in both.
        cache_dir: Cache of the datasets library.
        **options: As of `plan`: betas, zscore, dtype, smoothing_fwhm.

    Raises:
        UsageError: A name or an option that cannot be meant.
        MissingDataError: A file is not there.
        DataError: Files contradict each other.
    """

    BUILDER_CONFIG_CLASS = NSDImageryConfig

    def __init__(
        self,
        config_name: str,
        root: Path | str | None = None,
        *,
        roi: str | None = None,
        captions: Path | str | None = None,
        source: str | None = None,
        cache_dir: str | None = None,
        **options: Unpack[RecipeOptions],
    ) -> None:
        named = read_config(config_name)
        one_of("condition", named.kind, CONDITIONS)
        name = the_word("roi", roi) if roi else named.roi_name
        recipe = Recipe.of(**options)
        home = find_root(root, recipe.beta_version, source)
        found = find_pieces(home, recipe, [named.subject], [named.kind], [name], captions)
        self._pieces = list(found.pieces)
        name = self._pieces[0].rois[0].name  # in the letters that it has
        self._identities = {piece.key: identity(piece.session.beta_path) for piece in self._pieces}
        super().__init__(
            cache_dir=cache_dir,
            dataset_name="nsd_imagery",
            config_name=name_of(named.subject, named.kind, name),
            hash=_digest(self._pieces, self._identities),
            subject=named.subject,
            condition=named.kind,
            roi=name,
        )

    def _info(self) -> datasets.DatasetInfo:
        schema = trial_schema(self._pieces[0].rois[0].flat.size, self._pieces[0].recipe.dtype)
        return datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(schema))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        condition = self._pieces[0].conditions[0]
        splits = [split for piece in self._pieces for split in split_rows(piece.session.rows, condition)]
        return [
            datasets.SplitGenerator(
                name=split, gen_kwargs={"pieces": list(self._pieces), "identities": self._identities, "split": split}
            )
            for split in dict.fromkeys(splits)
        ]

    def _generate_tables(  # type: ignore[override]
        self, pieces: list[Piece], identities: dict[str, Identity], split: str
    ) -> Iterator[tuple[str, pa.Table]]:
        for piece in pieces:
            if split not in split_rows(piece.session.rows, piece.conditions[0]):
                continue
            reading = read_piece(piece)
            if reading.identity != identities[piece.key]:
                msg = f"{piece.session.beta_path}: was replaced since this builder was made: make a new one"
                raise DataError(msg)
            wanted = (part for part in parts(piece, reading.betas, piece.rois[0]) if part.split == split)
            for number, batch in enumerate(next(wanted).batches):
                yield f"{piece.key}/{number}", pa.Table.from_batches([batch])


def _digest(pieces: list[Piece], identities: dict[str, Identity]) -> str:
    """Another source, option or row is another digest, and so never served from an old cache."""
    said = [f"{fingerprint(piece, piece.rois[0])} {identities[piece.key]}" for piece in pieces]
    return xxhash.xxh3_128_hexdigest("\n".join(said).encode())
