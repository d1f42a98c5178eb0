"""What a source yields: one beta file and the rows that its volumes are."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from nsd_imagery.experiment import Experiment

BETA_FORMATS = (".hdf5", ".nii.gz", ".nii")
"""Endings of beta files, the preferred one first."""

Captions = dict[int, tuple[str, ...]]
"""The captions of a picture by COCO id, in the order of COCO's file."""


@dataclass(frozen=True, eq=False)
class Session:
    """One scan session of one subject.

    Attributes:
        subject: "subj01" to "subj08".
        experiment: "nsdimagery" or "nsd".
        session: Number of the session, 1-based.
        beta_path: The beta file, absolute.
        rows: Index rows in the order of the volumes; `is_valid` says only that the volume is there.
        notes: What these rows lack because the root does, in sentences.
        beta_scale: What the stored betas are percent signal change times, where the source says so.
        mean_path: The map of the means of its voxels over all trials, absolute, where the source has one.
        captions: All captions of the pictures of the rows, where COCO's files are there.
    """

    subject: str
    experiment: Experiment
    session: int
    beta_path: Path
    rows: pa.Table
    notes: tuple[str, ...] = ()
    beta_scale: float | None = None
    mean_path: Path | None = None
    captions: Captions = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """Names the session: "subj01/nsdimagery/01"."""
        return f"{self.subject}/{self.experiment}/{self.session:02d}"


def other_formats(path: Path) -> list[Path]:
    """Where the same betas would lie in the other formats."""
    stem = path.name.removesuffix(".gz").rpartition(".")[0]
    return [other for ending in BETA_FORMATS if (other := path.with_name(stem + ending)) != path]


def repeat_indices(keys: Sequence[Hashable]) -> list[int]:
    """How often each key came before, in the order given."""
    seen: Counter[Hashable] = Counter()
    counts = []
    for key in keys:
        counts.append(seen[key])
        seen[key] += 1
    return counts
