"""The label file of MindEye's loaders: the run of each beta, the letter of what was seen, and where its picture is."""

import io
import pickle
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, shown
from nsd_imagery.experiment import RUNS

_SETS: Final = {"A": "HRVLPE", "B": "WKBCDT", "C": "SZMYNF"}
"""The letters of each set, in the order of its pair list."""

LETTERS: Final = "".join(_SETS.values())
"""Those of all targets, in the order that these loaders count pictures in."""

_PROTOCOL = 4
"""Read by every Python 3."""


@dataclass(frozen=True, eq=False)
class StimulusLabels:
    """Labels of the 720 betas, the same for all subjects of an export.

    Attributes:
        exps: (720,) names of runs.
        cues: (720,) the own letter of the target that was seen, attended or imagined: never that of a mismatched cue.
        targets: By letter, in the order of `LETTERS`, the name of the target.
    """

    exps: NDArray[np.str_]
    cues: NDArray[np.str_]
    targets: dict[str, str]

    def to_pickle(self) -> bytes:
        """The file: a dict of `exps`, `cues` and `image_map`, letter -> 0 to 17.

        It names numpy's `array` alone, so that every version of numpy reads it, and the same labels are the same bytes.
        """
        buffer = io.BytesIO()
        image_map = {letter: position for position, letter in enumerate(LETTERS)}
        _Pickler(buffer, _PROTOCOL).dump({"exps": self.exps, "cues": self.cues, "image_map": image_map})
        return buffer.getvalue()


def stimulus_labels(labels: pa.Table, where: str) -> StimulusLabels:
    """The labels of a session.

    Args:
        labels: Of its 720 rows, in the order of the beta file.
        where: The session, for messages.

    Raises:
        DataError: A run is not one of the release's, or letters and targets are not those of the experiment.
    """
    runs, sets, targets, cues, matches = (
        labels[name].to_pylist() for name in ("run_name", "stimulus_set", "target", "cue", "cue_matches")
    )
    if unknown := sorted(set(runs) ^ {run.name for run in RUNS}):
        msg = f"{where}: {shown(unknown[0])} is a run of the rows or of the release alone; build from the release"
        raise DataError(msg)
    named = zip(sets, cues, targets, matches, strict=True)
    own = {(of_set, letter, name) for of_set, letter, name, match in named if match == 1}
    names = {letter: name for _, letter, name in own}
    wanted = {(of_set, letter) for of_set, letters in _SETS.items() for letter in letters}
    one_to_one = len(own) == len(wanted) and set(names.values()) == set(targets)
    if not one_to_one or {(of_set, letter) for of_set, letter, _ in own} != wanted:
        msg = f"{where}: letters and targets are not those of the experiment, one to one; build from the release"
        raise DataError(msg)
    letter_of = {names[letter]: letter for letter in LETTERS}
    seen = np.array([letter_of[name] for name in targets])
    return StimulusLabels(np.array(runs), seen, {letter: names[letter] for letter in LETTERS})


class _Pickler(pickle.Pickler):
    """Writes an array as a call of numpy's `array` on a list."""

    def reducer_override(self, obj: Any) -> Any:
        return (np.array, (obj.tolist(),)) if isinstance(obj, np.ndarray) else NotImplemented
