"""An evaluation as it was written, to be drawn or told: scores, what `evaluation.json` says, maps."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, MissingDataError, UsageError, reason, shown
from nsd_imagery.evaluation.headline import main_roi
from nsd_imagery.evaluation.output import EVALUATION, SCORES
from nsd_imagery.evaluation.protocol import FORMAT_NAME
from nsd_imagery.evaluation.score import GROUP, SCHEMA, Score, from_table, read_scores
from nsd_imagery.spelling import subject_of, the_choice
from nsd_imagery.suggest import one_of

if TYPE_CHECKING:
    import pandas as pd

    from nsd_imagery.evaluation.run import Evaluation

Source: TypeAlias = "Evaluation | Opened | Sequence[Score] | pa.Table | pd.DataFrame | Path | str"
"""What scores are drawn of: an evaluation, its folder or `scores.parquet`, its table, or some of its scores."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What is known of an evaluation.

    Attributes:
        scores: In their order.
        about: `evaluation.json`; empty where scores alone were given.
        path: The folder; None where scores alone were given.
    """

    scores: tuple[Score, ...]
    about: Mapping[str, Any]
    path: Path | None

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that there are scores of, the groups among them, in order."""
        return tuple(dict.fromkeys(score.subject for score in self.scores))

    @property
    def rois(self) -> tuple[str, ...]:
        """All that there are scores of, in order."""
        return tuple(dict.fromkeys(score.roi for score in self.scores))

    def subject(self, name: str | int | None) -> str:
        """The subject that is meant: by default the group, where there is one.

        Raises:
            UsageError: There is none of this name.
        """
        if name is not None:
            return the_choice("subject", subject_of(name) if isinstance(name, int) else name, self.subjects)
        return GROUP if GROUP in self.subjects else self.subjects[0]

    def roi(self, name: str | None) -> str:
        """The ROI that is meant: by default the primary test's, where it is there.

        Raises:
            UsageError: There is none of this name.
        """
        return main_roi(self.rois) if name is None else the_choice("ROI", name, self.rois)

    def exhibits(self, subject: str) -> Mapping[str, Any]:
        """What `evaluation.json` has of a subject beside scores; see `exhibits`.

        Raises:
            UsageError: Scores alone were given.
            DataError: An earlier version of this package evaluated, or there is nothing of this subject.
        """
        if self.path is None:
            msg = f"this is in {EVALUATION} and not in scores: pass the folder of the evaluation"
            raise UsageError(msg)
        found = self.about.get("exhibits")
        if not isinstance(found, dict) or subject not in found:
            msg = f"{self.path / EVALUATION}: has no exhibits of {subject}; run nsd-imagery evaluate again"
            raise DataError(msg)
        return found[subject]

    def voxels(self, subject: str, roi: str) -> dict[str, NDArray[Any]]:
        """The columns of a subject's maps in a ROI, see `voxels.SCHEMA`; NaN where there is no number.

        Raises:
            UsageError: Scores alone were given, or there is no such map.
            DataError: It is damaged.
        """
        if self.path is None:
            msg = "maps are not in scores: pass the folder of the evaluation, or values and voxels"
            raise UsageError(msg)
        path = self.path / f"voxels-{subject}.parquet"
        if not path.is_file():
            names = sorted(one.name[7:-8] for one in self.path.glob("voxels-*.parquet"))
            one_of("map of subject", subject, names, self.path)
        try:
            table = pq.ParquetFile(path).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            msg = f"{path}: is no map ({reason(error)}); evaluate again"
            raise DataError(msg) from error
        of_roi = np.array(table["roi"].to_pylist(), object)
        one_of("ROI", roi, list(dict.fromkeys(of_roi.tolist())), path)
        names = [name for name in table.column_names if name != "roi"]
        return {name: table[name].to_numpy(zero_copy_only=False)[of_roi == roi] for name in names}


def opened(source: Source) -> Opened:
    """Whatever names an evaluation, as one.

    Args:
        source: See `Source`.

    Raises:
        UsageError: Nothing of the kind, or no score.
        MissingDataError: No evaluation there.
        DataError: It is damaged, or a table is none of scores.
    """
    if isinstance(source, Opened):
        return source
    if isinstance(source, str | Path):
        return _of_folder(Path(source).expanduser())
    path = getattr(source, "path", None)
    if isinstance(path, Path) and hasattr(source, "headline"):
        return _of_folder(path)
    return Opened(_refuse_none(_scores_of(source)), {}, None)


def _of_folder(path: Path) -> Opened:
    if path.is_file() and path.suffix == ".parquet":
        return Opened(_refuse_none(read_scores(path)), {}, None)
    if not (path / SCORES).is_file():
        msg = f"{path}: no evaluation is there ({SCORES} is not); make one: nsd-imagery evaluate DATASET --out {path}"
        raise MissingDataError(msg)
    try:
        about = json.loads((path / EVALUATION).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path / EVALUATION}: cannot be read ({reason(error)}); evaluate again"
        raise DataError(msg) from error
    if not isinstance(about, dict) or about.get("format") != FORMAT_NAME:
        msg = f"{path / EVALUATION}: is not what an evaluation writes; evaluate again"
        raise DataError(msg)
    return Opened(_refuse_none(read_scores(path / SCORES)), about, path)


def _scores_of(source: Any) -> Sequence[Score]:
    if hasattr(source, "itertuples"):  # pandas, which has no integers that may be absent
        source = pa.Table.from_pandas(source, SCHEMA, preserve_index=False)
    if isinstance(source, pa.Table):
        return from_table(source.replace_schema_metadata(None))
    if not isinstance(source, Sequence) or not all(isinstance(one, Score) for one in source):
        msg = f"not an evaluation, its folder, or scores: {' '.join(shown(source).split())}"
        raise UsageError(msg)
    return source


def _refuse_none(scores: Sequence[Score]) -> tuple[Score, ...]:
    if not scores:
        msg = "there are no scores to be drawn"
        raise UsageError(msg)
    return tuple(scores)
