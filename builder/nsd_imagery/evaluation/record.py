"""What is kept of a subject that was evaluated: its scores, the draws that a group needs, its maps; as bytes, and back.

It is a `.npz` without pickles. Draws are float32, so that a hundred scores are 4 MB; a draw that was equal to what it
is held against still is, which counts in a share of trials.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.exhibits import Exhibits
from nsd_imagery.evaluation.geometry import Shared
from nsd_imagery.evaluation.identify import Drawn
from nsd_imagery.evaluation.relations import COVARIANCE, SIMILARITY, Geometry
from nsd_imagery.evaluation.score import Items, Measured, Score
from nsd_imagery.evaluation.transfer.scoring import COMPARABLE_N
from nsd_imagery.evaluation.transfer.tested import N_BOTH

FORMAT: Final = 6
"""Of records, raised with whatever changes what is in one; part of their names, so that older ones are made again."""

OF_TRANSFER: Final = ("cosine", "two_way", "two_way_mirage", "brain_correlation", "encoding_identification")

OVER_PARTS: Final = ("identification", "margin", COVARIANCE, SIMILARITY, *OF_TRANSFER)
"""Measures of which a group over sets is made of those of `comparisons.POOLED_SETS`: draws over sets are not kept."""

_AGAIN: Final = "; remove it and evaluate again"
_RECORD: Final = "record"
_VOXELS: Final = "voxels"


@dataclass(frozen=True, eq=False)
class OfRoi:
    """What was estimated of a subject in a ROI.

    Attributes:
        measured: Scores and their draws.
        geometry: Distances, and what the group's pattern correlation is made of.
        left_out: Why a run is in none of it, by the run's name.
        exhibits: What is shown beside scores.
        transfer: What transfer was learnt from, for `evaluation.json`; empty where there is none.
    """

    measured: list[Measured]
    geometry: Geometry
    left_out: Mapping[str, str]
    exhibits: Exhibits = field(default_factory=Exhibits)
    transfer: Mapping[str, Any] = field(default_factory=dict)


class _Draws:
    """The draws of a record, those that are equal once."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.float32]] = {}
        self._names: dict[bytes, str] = {}

    def name(self, null: NDArray[np.float64]) -> str | None:
        """The name by which draws are found again; None for no draws."""
        if not len(null):
            return None
        kept = null.astype(np.float32)
        name = self._names.setdefault(xxhash.xxh3_128_digest(kept.data), f"draws-{len(self._names)}")
        self.arrays[name] = kept
        return name


class _Items:
    """What scores are by stimulus, with each list of stimuli once."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.float64]] = {}
        self.stimuli: dict[tuple[str, ...], int] = {}

    def name(self, items: Items | None) -> tuple[str, int] | None:
        """The name of the numbers and the place of the stimuli; None for none."""
        if items is None:
            return None
        name = f"items-{len(self.arrays)}"
        self.arrays[name] = np.stack([items.values, items.n_tests.astype(np.float64)])
        return name, self.stimuli.setdefault(items.stimuli, len(self.stimuli))


def pack(of_roi: Mapping[str, OfRoi], voxels: bytes) -> bytes:
    """The bytes of a record.

    Args:
        of_roi: By name of the ROI.
        voxels: Of the Parquet file of maps.
    """
    draws, items = _Draws(), _Items()
    said = {"rois": {roi: _said(one, draws, items) for roi, one in of_roi.items()}, "stimuli": list(items.stimuli)}
    text = json.dumps(said, allow_nan=False).encode()
    arrays: dict[str, Any] = {_RECORD: np.frombuffer(text, np.uint8), _VOXELS: np.frombuffer(voxels, np.uint8)}
    file = io.BytesIO()
    np.savez(file, **{**arrays, **draws.arrays, **items.arrays})
    return file.getvalue()


class Record:
    """A record in a file, whose draws are read when they are asked for.

    Args:
        path: Of what `pack` gave.

    Raises:
        DataError: It is no record, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        try:
            file = self._stack.enter_context(path.open("rb"))  # numpy leaves it open where it is no zip
            self._arrays = self._stack.enter_context(np.load(file, allow_pickle=False))
            said = json.loads(self._array(_RECORD).tobytes())
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            self._stack.close()
            msg = f"{path}: is no record of an evaluation{_AGAIN}"
            raise DataError(msg) from error
        self._rois: dict[str, Any] = said["rois"]
        self._stimuli = [tuple(names) for names in said["stimuli"]]

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def rois(self) -> tuple[str, ...]:
        """In order."""
        return tuple(self._rois)

    @property
    def voxels(self) -> bytes:
        """The Parquet file of maps."""
        return self._array(_VOXELS).tobytes()

    def left_out(self, roi: str) -> dict[str, str]:
        """Why a run is in no score, by its name."""
        return self._rois[roi]["left_out"]

    def transfer(self, roi: str) -> dict[str, Any]:
        """What transfer was learnt from."""
        return self._rois[roi]["transfer"]

    def scores(self, roi: str) -> list[Score]:
        """The scores of a ROI, in order."""
        return [Score(**one["score"]) for one in self._rois[roi]["measured"]]

    def measured(self, roi: str, place: int) -> Measured:
        """One of `scores`, with the draws that were kept."""
        return self._measured(self._rois[roi]["measured"][place])

    def items(self, roi: str) -> Iterator[tuple[Score, Items]]:
        """Those of `scores` that are known by stimulus."""
        for one in self._rois[roi]["measured"]:
            if one["items"] is not None:
                name, place = one["items"]
                values, n_tests = self._array(name)
                yield Score(**one["score"]), Items(self._stimuli[place], values, n_tests.astype(np.int64))

    def geometry(self, roi: str) -> Geometry:
        """What the group's pattern correlation and likeness of RDMs are made of."""
        said = self._rois[roi]["geometry"]
        kept = [
            self.measured(roi, place)
            for place, one in enumerate(self._rois[roi]["measured"])
            if one["score"]["measure"] in (COVARIANCE, SIMILARITY)
        ]
        vision, imagery = (
            {name: np.array(rows) for name, rows in said[kind].items()} for kind in ("vision", "imagery")
        )
        shared = {
            name: Shared(*(Drawn(value, self._null(draws, value)) for value, draws in parts))
            for name, parts in said["shared"].items()
        }
        return Geometry(kept, vision, imagery, shared)

    def exhibits(self, roi: str) -> Exhibits:
        """What is shown beside scores, with the draws that a group needs."""
        said = self._rois[roi]["exhibits"]
        drawn = [None if name is None else self._array(name).astype(np.float64) for name in said["drawn"]]
        return Exhibits(said["said"], drawn, [self._measured(one) for one in said["vivid"]])

    def _measured(self, said: Mapping[str, Any]) -> Measured:
        statistic = np.nan if said["statistic"] is None else said["statistic"]
        return Measured(Score(**said["score"]), statistic, self._null(said["draws"], statistic))

    def _null(self, name: str | None, value: float) -> NDArray[np.float64]:
        if name is None:
            return np.zeros(0)
        kept = self._array(name)
        return np.where(kept == np.float32(value), value, kept.astype(np.float64))

    def _array(self, name: str) -> NDArray[Any]:
        try:
            return self._arrays[name]
        except (KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            msg = f"{self._path}: is damaged{_AGAIN}"
            raise DataError(msg) from error


def _said(one: OfRoi, draws: _Draws, items: _Items) -> dict[str, Any]:
    geometry = one.geometry
    return {
        "measured": [{**_said_of(measured, draws), "items": items.name(measured.items)} for measured in one.measured],
        "geometry": {
            "vision": {name: rdm.tolist() for name, rdm in geometry.vision.items()},
            "imagery": {name: rdm.tolist() for name, rdm in geometry.imagery.items()},
            "shared": {
                name: [[drawn.value, draws.name(drawn.null)] for drawn in shared]
                for name, shared in geometry.shared.items()
            },
        },
        "left_out": dict(one.left_out),
        "exhibits": {
            "said": one.exhibits.said,
            "drawn": [None if drawn is None else draws.name(drawn) for drawn in one.exhibits.drawn],
            "vivid": [_said_of(measured, draws) for measured in one.exhibits.vivid],
        },
        "transfer": dict(one.transfer),
    }


def _said_of(measured: Measured, draws: _Draws) -> dict[str, Any]:
    return {
        "score": asdict(measured.score),
        "statistic": measured.statistic if np.isfinite(measured.statistic) else None,
        "draws": draws.name(measured.null) if _is_kept(measured.score) else None,
    }


def _is_kept(score: Score) -> bool:
    """Whether a group needs the draws of a score."""
    return score.p is not None and not is_over_parts(score.measure, score.stimulus_set, score.test, among(score))


def is_over_parts(measure: str, stimulus_set: str, test: str, among: int | None) -> bool:
    """Whether a group's score is made of its subjects' scores of each of `comparisons.POOLED_SETS`.

    What is told apart among the targets of both sets together is one score, and so is what is of perception.
    """
    return stimulus_set == "" and measure in OVER_PARTS and among is None and test != "perception"


def among(score: Score) -> int | None:
    """How many candidates a score has, where that alone tells it from another: those of two sets, or those of papers.

    How many of shared1000 a folder has is the subject's, and tells no scores apart.
    """
    if score.test == "perception":
        is_comparable = score.measure.startswith("retrieval") and score.n_candidates == COMPARABLE_N
        return COMPARABLE_N if is_comparable else None
    is_of_both = score.stimulus_set == "" and score.n_candidates == N_BOTH
    return N_BOTH if is_of_both and score.measure.startswith(("retrieval", *OVER_PARTS)) else None
