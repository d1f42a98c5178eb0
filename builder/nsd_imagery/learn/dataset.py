"""A torch dataset of trials by the interface of the NSD-Imagery guide, from an index, a root or a built folder."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.learn.contract import Preprocessor, RowPreprocessor, bind, row_options
from nsd_imagery.learn.view import Batch, BatchDataset, positions, torch, torch_view
from nsd_imagery.markup import Shown, some
from nsd_imagery.rows.choice import Choice
from nsd_imagery.rows.choose import choose_rows, choose_voxels
from nsd_imagery.rows.mapped import carried
from nsd_imagery.rows.vectors import Rows, table_of, vector_length
from nsd_imagery.schema import BETAS
from nsd_imagery.sources.root import usual_folder
from nsd_imagery.spelling import numbers_of, subject_of
from nsd_imagery.trials import is_index, root_of_index
from nsd_imagery.volumes.roi import DEFAULT_ROI

EMBEDDING = "clip_embedding"


class NSDImageryDataset(Shown, BatchDataset):
    """Trials of one subject as a map-style torch dataset.

    An item is a dict of `betas`, the label columns of dataset rows (numbers as tensors, words as strings) and, with
    `clip_cache`, `clip_embedding`. `dataset[[3, 1, 4]]` is a batch, as of `torch_view`.

    Args:
        index_path: An index of `nsd-imagery index` (its folder, or a file in it), a root, or a built folder; default:
            `root`. Of an index or a root, the betas are read into memory here, by the same steps as in a build; a built
            folder is memory-mapped, which is what many sessions of NSD core need.
        subject: "subj01", "sub-01" or 1; may be left out where only one is there.
        condition: "imagery", "vision", "attention" or "perception"; default: all that are there.
        preprocessor: `transform` is called with the betas of a batch; `betas` is then what it gives, in float32. An
            `NSDPreprocessor` also says how the rows are made (`smoothing_fwhm`, and no z-scores before its own by run
            or session), and may be fitted on `trials` and `voxels` before the first item is taken; so may what has the
            methods of `nsd_imagery.learn.contract.RowPreprocessor`.
        clip_cache: A vector a stimulus, by the column `stimulus`: "nsd28751" for an NSD picture, else the target.
        root: Where the data is, if the index does not lie in ROOT/indices; default $NSD_CACHE_ROOT, else ./cache.
        roi: A ROI name; of a built folder, one that it was built with.
        session: Numbers of sessions, 1-based; default: all.
        split: "train" or "test"; default: both.
        stimuli: Only rows of these stimuli. `stimuli=clip_cache` leaves out what has no embedding.
        zscore: "auto", "run", "session" or "none"; default: as built, else "auto".
        betas: Beta version; default: as built or indexed.
        source: "release" or "cache", for a root that holds the subject in both trees.
        columns: Label columns of an item; default: all.

    `dataset["stimulus"]` is a column of all rows.

    Attributes:
        trials: The rows as a dataset, before `transform`.

    Raises:
        UsageError: A name that is not there, no row is left, or `clip_cache` lacks a stimulus.
        MissingDataError: A file or folder is not there.
        DataError: A file is damaged, the index is of another root, or `clip_cache` holds no vectors of one length.
    """

    def __init__(
        self,
        index_path: Path | str | None = None,
        subject: str | int | None = None,
        condition: str | None = None,
        preprocessor: Preprocessor | RowPreprocessor | None = None,
        clip_cache: Mapping[str, ArrayLike] | None = None,
        *,
        root: Path | str | None = None,
        roi: str = DEFAULT_ROI,
        session: int | Sequence[int] | None = None,
        split: str | None = None,
        stimuli: Collection[str] | None = None,
        zscore: str | None = None,
        betas: str | None = None,
        source: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> None:
        sessions = None if session is None else numbers_of("session", session)
        wanted = row_options(preprocessor)
        zscore = wanted.zscore if zscore is None else zscore
        name = None if subject is None else subject_of(subject)
        stimuli = (stimuli,) if isinstance(stimuli, str) else stimuli
        choice = Choice(name, condition, sessions, split, stimuli, roi, zscore, betas, source, wanted.smoothing_fwhm)
        self._source = _pinned(index_path, root), replace(choice, stimuli=None)
        self.trials = trials = choose_rows(index_path, root, choice)
        labels = (columns,) if isinstance(columns, str) else columns
        self._columns = None if labels is None else list(dict.fromkeys([*labels, BETAS.name]))
        self._view = torch_view(trials, self._columns)
        self._preprocessed_by = "" if preprocessor is None else type(preprocessor).__name__
        self._transform = None if preprocessor is None else bind(preprocessor, trials, lambda: self.voxels)
        stimuli_of_rows = table_of(trials, ["stimulus"]).column("stimulus").to_pylist()
        self._embeddings = None if clip_cache is None else _embeddings(stimuli_of_rows, clip_cache)

    def _said(self) -> dict[str, object]:
        of_rows = table_of(self.trials, ["subject", "condition", "session"])
        subject, conditions, sessions = (dict.fromkeys(column.to_pylist()) for column in of_rows.columns)
        return {
            "subject": ", ".join(subject),
            "condition": ", ".join(conditions),
            "sessions": len(sessions),
            "trials": len(self),
            "ROI": self._source[1].roi,
            "voxels": vector_length(self.trials, BETAS.name),
            "preprocessor": self._preprocessed_by,
            "item": some(self.column_names),
        }

    def __getstate__(self) -> dict[str, Any]:
        # The view is of the same rows as `trials`: of rows in memory, each would take its own copy of the betas along.
        said = {name: value for name, value in self.__dict__.items() if name != "_view"}
        return {**said, "trials": carried(self.trials, self.trials.column_names)}

    def __setstate__(self, said: dict[str, Any]) -> None:
        self.__dict__.update(said)
        self._view = torch_view(self.trials, self._columns)

    def __len__(self) -> int:
        return len(self._view)

    @property
    def column_names(self) -> list[str]:
        """What an item holds."""
        return [*self._view.column_names, *([] if self._embeddings is None else [EMBEDDING])]

    @cached_property
    def voxels(self) -> Dataset:
        """The rows of `-voxels`, one a column of betas before `transform`."""
        (path, root), choice = self._source
        return choose_voxels(path, root, choice)

    def read(self, rows: Rows) -> Batch:
        """See `BatchDataset.read`."""
        rows = positions(rows, len(self))
        batch = self._view.read(rows)
        if self._transform is not None:
            betas: Any = batch[BETAS.name]
            batch[BETAS.name] = torch.from_numpy(self._transform(betas.numpy(), rows))
        if self._embeddings is not None:
            vectors, stimulus = self._embeddings
            batch[EMBEDDING] = vectors[stimulus[rows]]
        return batch


def _pinned(index_path: Path | str | None, root: Path | str | None) -> tuple[Path | None, Path | None]:
    """Both paths as they are meant now and here, for another process may have another folder or environment."""
    path = None if index_path is None else Path(index_path).expanduser().absolute()
    home = root_of_index(path) if root is None and path is not None and is_index(path) else root
    place = usual_folder() if home is None else Path(home).expanduser()
    return path, None if place is None else place.absolute()


def _embeddings(stimuli: Sequence[str], cache: Mapping[str, ArrayLike]) -> tuple[torch.Tensor, Rows]:
    """(n_stimuli, length) vectors, and (n_rows,) which of them each row has."""
    names, which = np.unique(stimuli, return_inverse=True)
    if lacking := [str(name) for name in names if name not in cache]:
        msg = (
            f"clip_cache has no vector of {', '.join(lacking)}; leave these rows out: stimuli=clip_cache, or of a "
            "dataset: .filter(lambda stimulus: stimulus in clip_cache, input_columns='stimulus')"
        )
        raise UsageError(msg)
    vectors = [np.asarray(cache[str(name)], np.float32) for name in names]
    if {vector.shape for vector in vectors} != {(vectors[0].size,)}:
        shapes = ", ".join(map(str, sorted({vector.shape for vector in vectors})))
        msg = f"clip_cache must hold vectors of one length; it holds shapes {shapes}"
        raise DataError(msg)
    return torch.from_numpy(np.stack(vectors)), which
