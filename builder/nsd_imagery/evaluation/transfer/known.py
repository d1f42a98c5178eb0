"""What a folder says of stimuli and voxels: which key a target has, which pictures are tested, where voxels lie."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.dataset.manifest import Manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.experiment import NSDIMAGERY_CONDITIONS
from nsd_imagery.rows.load import load
from nsd_imagery.rows.vectors import label_table


@dataclass(frozen=True, eq=False)
class Known:
    """Stimuli of one subject.

    Attributes:
        stimulus_of: The key into embeddings of each target by its name; of a word of set C the word, whichever
            photograph stood for it.
        tested: Stimuli that nothing may be learnt from: all of NSD-Imagery, and the test split of perception.
    """

    stimulus_of: Mapping[str, str]
    tested: frozenset[str]


def known_stimuli(folder: Path, manifest: Manifest, subject: str, roi: str) -> Known:
    """What the rows of a subject and ROI, and the table of stimuli, say."""
    stimulus_of: dict[str, str] = {}
    tested: set[str] = set()
    for condition in NSDIMAGERY_CONDITIONS:
        name = config_name(subject, condition, roi)
        if name in manifest.configs:
            labels = label_table(load(folder, name, "test"), ["target", "stimulus", "stimulus_set"]).to_pylist()
            for row in labels:
                stimulus_of[row["target"]] = row["target"] if row["stimulus_set"] == "C" else row["stimulus"]
                tested.add(row["stimulus"])
    if "stimuli" in manifest.configs:
        split = next(iter(manifest.configs["stimuli"].splits))
        tested.update(load(folder, "stimuli", split).data.column("stimulus").to_pylist())
    name = config_name(subject, "perception", roi)
    if name in manifest.configs and "test" in manifest.configs[name].splits:
        tested.update(label_table(load(folder, name, "test"), ["stimulus"])["stimulus"].to_pylist())
    return Known(stimulus_of, frozenset(tested))


def voxels_digest(folder: Path, manifest: Manifest, subject: str, roi: str, columns: NDArray[np.integer]) -> str:
    """A digest of where the voxels at some columns of `betas` lie; of the columns alone where nothing says it."""
    digest = xxhash.xxh3_128(f"{subject} {roi} ".encode())
    name = config_name(subject, "voxels", roi)
    if name in manifest.configs:
        rows = load(folder, name, "train")
        table = label_table(rows, ["column", "i", "j", "k"])
        place = np.stack([table[axis].to_numpy() for axis in "ijk"], axis=1).astype(np.int32)
        digest.update(np.ascontiguousarray(place[np.asarray(columns)]).tobytes())
    else:
        digest.update(np.asarray(columns, np.int64).tobytes())
    return digest.hexdigest()
