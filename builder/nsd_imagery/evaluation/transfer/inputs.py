"""What transfer is made from: embeddings, predictions, decoders and preprocessors, as files that tasks are told of.

A task holds paths and digests of contents, never arrays; the worker reads the files, and refuses those that changed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from nsd_imagery.atomic import replacing
from nsd_imagery.embeddings import KINDS
from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.predictions import VECTOR, Predictions, read_predictions, read_targets
from nsd_imagery.evaluation.transfer.baseline import TEST_SETS
from nsd_imagery.evaluation.transfer.space import Space, maker_of, space_by_kind
from nsd_imagery.volumes.unpacked import file_digest

OfRoi = tuple[str, str]
"""A subject and a ROI."""


@dataclass(frozen=True)
class File:
    """A file, and what it held when the evaluation began.

    Attributes:
        path: Absolute; of a decoder or a preprocessor its folder's JSON, which has a digest of the numbers beside it.
        digest: xxh3_128 of its contents.
    """

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> "File":
        """A file that is there."""
        return cls(path.absolute(), file_digest(path))

    def refuse_changed(self) -> None:
        """Raise DataError where it holds something else now."""
        if file_digest(self.path) != self.digest:
            msg = f"{self.path}: was changed while it was evaluated: evaluate again"
            raise DataError(msg)


@dataclass(frozen=True)
class Embeddings:
    """Vectors of stimuli, in a file or, until `written`, as they came.

    Attributes:
        file: That `embed` made, or that `written` made of `space`.
        kind: "image" or "text": what pictures' vectors are of; "" of a `Space` of a caller's own.
        said: What `evaluation.json` says of them.
        digest: Of the contents.
        space: As they came; None where a file has them.
    """

    file: File | None
    kind: str
    said: Mapping[str, Any]
    digest: str
    space: Space | None = None

    @property
    def maker(self) -> str:
        """That of the space."""
        return maker_of(self.said["maker"], self.kind or KINDS[0])

    def read(self) -> Space:
        """The space, out of the file.

        Raises:
            MissingDataError: The file is gone.
            DataError: It holds something else now.
        """
        if self.space is not None or self.file is None:
            return self.space or Space({}, {}, "")
        found = read_targets(self.file.path)
        self.file.refuse_changed()
        return space_by_kind(found, self.kind) if self.kind else replace(found, maker=self.maker)

    @contextmanager
    def written(self, folder: Path) -> Iterator["Embeddings"]:
        """The same in a file, which is removed at the end where it was made for this."""
        if self.space is None:
            yield self
            return
        path = folder / f"space-{self.digest}.parquet"
        _write(path, self.space)
        try:
            yield replace(self, file=File.of(path), space=None)
        finally:
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Inputs:
    """What transfer of an evaluation, or of one of its subjects, is made from.

    Attributes:
        test_sets: Some of `baseline.TEST_SETS`, in their order.
        embeddings: None without them.
        predictions: Of anybody's model.
        targets: Their candidates; None where those are `embeddings`.
        partial: Whether predictions may be lacking.
        decoders: That were fitted before, by subject and ROI.
        save_decoder: The folder that fitted ones go into.
        preprocessors: That say which voxels count, by subject and ROI.
    """

    test_sets: tuple[str, ...] = TEST_SETS
    embeddings: Embeddings | None = None
    predictions: File | None = None
    targets: File | None = None
    partial: bool = False
    decoders: Mapping[OfRoi, File] = field(default_factory=dict)
    save_decoder: Path | None = None
    preprocessors: Mapping[OfRoi, File] = field(default_factory=dict)

    @property
    def tests(self) -> bool:
        """Whether there is anything to score."""
        return self.embeddings is not None or self.predictions is not None

    def of(self, subject: str) -> "Inputs":
        """What one subject's task needs."""
        decoders, preprocessors = (
            {key: file for key, file in files.items() if key[0] == subject}
            for files in (self.decoders, self.preprocessors)
        )
        return replace(self, decoders=decoders, preprocessors=preprocessors)

    def decides(self, subject: str) -> Mapping[str, Any]:
        """All that decides what a subject's scores are, as JSON has it; where nothing was given, nothing."""
        mine = self.of(subject)
        files = {
            "predictions": mine.predictions and mine.predictions.digest,
            "targets": mine.targets and mine.targets.digest,
            "embeddings": mine.embeddings and [mine.embeddings.kind, mine.embeddings.digest],
            **{f"decoder {roi}": file.digest for (_, roi), file in mine.decoders.items()},
            **{f"preprocessor {roi}": file.digest for (_, roi), file in mine.preprocessors.items()},
        }
        options = {"test_sets": mine.test_sets, "partial": mine.partial} if mine.tests else {}
        return {**{name: said for name, said in files.items() if said is not None}, **options}

    @contextmanager
    def written(self, folder: Path) -> Iterator["Inputs"]:
        """The same, with all of it in files; those of an evaluation that was stopped are removed."""
        for left in folder.glob("space-*.parquet"):
            left.unlink()
        if self.embeddings is None:
            yield self
            return
        with self.embeddings.written(folder) as embeddings:
            yield replace(self, embeddings=embeddings)


NOTHING: Final = Inputs()
"""What an evaluation without transfer is given."""


@dataclass(frozen=True, eq=False)
class Opened:
    """Inputs that were read.

    Attributes:
        inputs: What was read.
        space: None without embeddings.
        predictions: None without.
        targets: Candidates of the predictions.
    """

    inputs: Inputs
    space: Space | None = None
    predictions: Predictions | None = None
    targets: Space | None = None


def opened(inputs: Inputs) -> Opened:
    """Read embeddings, predictions and targets.

    Raises:
        MissingDataError: A file is gone.
        DataError: A file is damaged, or was changed since the evaluation began.
    """
    space = inputs.embeddings.read() if inputs.embeddings else None
    if inputs.predictions is None:
        return Opened(inputs, space)
    predictions = read_predictions(inputs.predictions.path)
    targets = read_targets(inputs.targets.path) if inputs.targets else space
    for file in filter(None, (inputs.predictions, inputs.targets)):
        file.refuse_changed()
    return Opened(inputs, space, predictions, targets)


def digest_of(space: Space) -> str:
    """xxh3_128 of what made a space and of every vector in it."""
    digest = xxhash.xxh3_128(space.maker.encode())
    for kind, vectors in zip(KINDS, (space.pictures, space.words), strict=True):
        for name in sorted(vectors):
            digest.update(f"{kind} {name} ".encode())
            digest.update(np.ascontiguousarray(vectors[name], np.float64).data)
    return digest.hexdigest()


def _write(path: Path, space: Space) -> None:
    """Write a space as a table of targets."""
    rows = [
        (kind, name, np.asarray(vectors[name], np.float64))
        for kind, vectors in zip(KINDS, (space.pictures, space.words), strict=True)
        for name in sorted(vectors)
    ]
    values = pa.array(np.concatenate([vector for *_, vector in rows]))
    table = pa.table(
        {
            "kind": pa.array([kind for kind, *_ in rows]),
            "stimulus": pa.array([name for _, name, _ in rows]),
            VECTOR: pa.FixedSizeListArray.from_arrays(values, len(rows[0][2])),
        }
    )
    with replacing(path) as file:
        pq.write_table(table, file)
