"""Pick the voxels of a smaller ROI out of rows that are already loaded."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from numpy.typing import NDArray

from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.notices import warn_once
from nsd_imagery.rows.recipes import carrying, the_recipe
from nsd_imagery.rows.vectors import label_table, row_vectors, vector_length
from nsd_imagery.sources.root import find_roi
from nsd_imagery.spelling import the_word
from nsd_imagery.volumes.grid import SAME_PLACE_MM
from nsd_imagery.volumes.roi import Roi

logger = logging.getLogger(__name__)

_ROWS_AT_A_TIME = 500


@dataclass(frozen=True, eq=False)
class Restricted:
    """What `restrict` gives.

    Attributes:
        dataset: The rows, with only the columns of `betas` that lie in the ROI.
        voxels: The rows of `-voxels` of these columns, numbered anew.
        n_missing: Voxels of the ROI that the rows did not have.
    """

    dataset: Dataset
    voxels: Dataset
    n_missing: int


def restrict(dataset: Dataset, voxels: Dataset, roi: Roi | Dataset | str, root: Path | str | None = None) -> Restricted:
    """Keep the columns of `betas` that lie in a ROI, in their order.

    Args:
        dataset: Rows of a trial config, filtered or not.
        voxels: The `-voxels` config of the same subject and ROI as the rows.
        roi: The ROI: a name, what `find_roi` gave, or the `-voxels` config of another build of the subject.
        root: Where the masks are, for a ROI by name; default $NSD_CACHE_ROOT, else ./cache.

    Returns:
        The rows, their voxels, and how many voxels of the ROI were not there.

    Raises:
        DataError: The rows and `voxels` are of different ROIs, nothing of the ROI is there, or the ROI is of another
            grid.
        UsageError: No such ROI name, or a name for no rows, which do not say whose ROI it is.
        MissingDataError: A mask file is not there.
    """
    n_voxels = vector_length(dataset, "betas")
    if n_voxels != voxels.num_rows:
        msg = f"betas have {n_voxels} columns, but -voxels {voxels.num_rows} rows: load the -voxels of the same config"
        raise DataError(msg)
    if not isinstance(roi, Roi | Dataset):
        roi = the_word("roi", roi)
        if not dataset.num_rows:
            msg = f"there is no row that says whose {roi!r} is meant: give the ROI as find_roi(root, subject, {roi!r})"
            raise UsageError(msg)
        roi = find_roi(root, _subject(dataset), roi)
    columns, n_wanted = _columns_in(roi, voxels)
    n_missing = n_wanted - len(columns)
    if n_missing:
        whose = f"{_subject(dataset)}: " if dataset.num_rows and "subject" in dataset.column_names else ""
        name = f"ROI {roi.plain_name}" if isinstance(roi, Roi) else "the ROI"
        warn_once(logger, f"{whose}{n_missing} of the {n_wanted} voxels of {name} are not in the dataset")
    return Restricted(_pick(dataset, columns), _renumbered(voxels, columns), n_missing)


def _subject(dataset: Dataset) -> str:
    """Whose the rows are, of which there is one."""
    return label_table(dataset, ["subject"])["subject"][0].as_py()


def _columns_in(roi: Roi | Dataset, voxels: Dataset) -> tuple[NDArray[np.int64], int]:
    """The positions in `voxels` that lie in a ROI, and how many voxels the ROI has.

    Raises:
        DataError: There is none, or the ROI's voxels of the same i, j, k lie elsewhere.
    """
    ijk, xyz = _places(voxels)
    roi_ijk, roi_xyz = _places(roi)
    at = {voxel: row for row, voxel in enumerate(map(tuple, roi_ijk.tolist()))}
    rows = np.array([at.get(voxel, -1) for voxel in map(tuple, ijk.tolist())])
    columns = np.flatnonzero(rows >= 0)
    if not len(columns):
        msg = f"none of the {len(at)} voxels of the ROI is among the {len(rows)} columns of betas"
        raise DataError(msg)
    apart = np.abs(xyz[columns] - roi_xyz[rows[columns]]).max()
    if not apart <= SAME_PLACE_MM:
        msg = (
            f"the ROI's voxels lie up to {apart:.1f} mm from those of the same i, j, k in the rows: it is of another "
            "subject, space or orientation"
        )
        raise DataError(msg)
    return columns, len(at)


def _places(voxels: Roi | Dataset) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n, 3) indices i, j, k and places x, y, z in mm."""
    if isinstance(voxels, Roi):
        ijk = voxels.grid.ijk(voxels.flat)
        return ijk, voxels.grid.xyz(ijk)
    table = label_table(voxels, [*"ijk", *"xyz"])
    ijk, xyz = (np.stack([table[axis].to_numpy() for axis in axes], axis=1) for axes in ("ijk", "xyz"))
    return ijk.astype(np.int64), xyz.astype(np.float64)


def _renumbered(voxels: Dataset, columns: NDArray[np.int64]) -> Dataset:
    """Some rows of `-voxels`, in memory, with the positions that their columns of `betas` have now."""
    table = cast(pa.Table, voxels.with_format("arrow").select(columns)[:])
    numbers = pa.array(np.arange(len(columns)), pa.int32())
    position = table.column_names.index("column")
    return _dataset(table.set_column(position, "column", numbers), voxels, None, column=Value("int32"))


def _pick(dataset: Dataset, columns: NDArray[np.int64]) -> Dataset:
    rows, vectors = dataset.with_format("arrow"), row_vectors(dataset, "betas")
    position = rows.column_names.index("betas")
    number = rows.data.schema.field("betas").type.value_type
    tables = []
    for start, batch in enumerate(rows.iter(_ROWS_AT_A_TIME)):
        table = cast(pa.Table, batch)
        some = vectors[start * _ROWS_AT_A_TIME :][: len(table)]
        values = pa.array(np.concatenate([vector[columns] for vector in some]), number)
        tables.append(table.set_column(position, "betas", pa.FixedSizeListArray.from_arrays(values, len(columns))))
    vector = List(dataset.features["betas"].feature, length=len(columns))
    return _dataset(pa.concat_tables(tables) if tables else None, dataset, the_recipe(dataset), betas=vector)


def _dataset(table: pa.Table | None, like: Dataset, recipe: Recipe | None, **features: object) -> Dataset:
    """A dataset as another one, but for some features; None stands for no rows, and for no recipe."""
    info = like.info.copy()
    info.homepage = ""  # whose voxels are others
    info.features = Features({**like.features, **features})
    schema = info.features.arrow_schema.remove_metadata()
    rows = pa.table(schema.empty_table() if table is None else table.replace_schema_metadata().cast(schema))
    return Dataset(carrying(rows, recipe), info=info, split=like.split)
