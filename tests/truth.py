"""What was planted in a synthetic release, read from the files beside it with none of the package's readers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from nibabel.nifti1 import Nifti1Image
from numpy.typing import NDArray

Array = NDArray[Any]


def truth(root: Path) -> dict[str, Any]:
    return json.loads((root / "truth" / "truth.json").read_text())


def latents(root: Path, kind: str = "image") -> dict[str, Array]:
    """By stimulus."""
    table = pq.read_table(root / "truth" / truth(root)["latents"]).to_pydict()
    rows = zip(table["stimulus"], table["kind"], table["embedding"], strict=True)
    return {stimulus: np.array(vector) for stimulus, of, vector in rows if of == kind}


def weights(root: Path, where: NDArray[np.bool_], subject: str = "subj01") -> Array:
    """(n_voxels, n_latents) of the voxels of an (X, Y, Z) mask in C order."""
    path = root / "truth" / truth(root)["weights"].replace("subjAA", subject)
    return np.asarray(Nifti1Image.from_filename(path).dataobj)[where]


def planted(root: Path, stimuli: list[str], where: NDArray[np.bool_], subject: str = "subj01") -> Array:
    """(n_stimuli, n_voxels) the patterns of stimuli."""
    known = latents(root)
    return np.stack([known[stimulus] for stimulus in stimuli]) @ weights(root, where, subject).T
