"""Pick the voxels of a smaller ROI out of rows that are already loaded."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features
from numpy.typing import NDArray

from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.sources.root import find_roi
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
        DataError: The rows and `voxels` are of different ROIs, or nothing of the ROI is there.
        UsageError: No such ROI name, or a name for no rows, which do not say whose ROI it is.
        MissingDataError: A mask file is not there.
    """
    n_voxels = dataset.features["betas"].length
    if n_voxels != voxels.num_rows:
        msg = f"betas have {n_voxels} columns, but -voxels {voxels.num_rows} rows: load the -voxels of the same config"
        raise DataError(msg)
    if isinstance(roi, str):
        if not dataset.num_rows:
            msg = f"there is no row that says whose {roi!r} is meant: give the ROI as find_roi(root, subject, {roi!r})"
            raise UsageError(msg)
        roi = find_roi(root, dataset.with_format(None)[0]["subject"], roi)
    wanted = {tuple(ijk) for ijk in (roi.grid.ijk(roi.flat) if isinstance(roi, Roi) else _ijk(roi)).tolist()}
    keep = np.array([tuple(ijk) in wanted for ijk in _ijk(voxels).tolist()], np.bool_)
    if not keep.any():
        msg = f"none of the {len(wanted)} voxels of the ROI is among the {n_voxels} columns of betas"
        raise DataError(msg)
    n_missing = len(wanted) - int(keep.sum())
    if n_missing:
        logger.warning("%d of the %d voxels of the ROI are not in the dataset", n_missing, len(wanted))
    columns = np.flatnonzero(keep)
    kept = voxels.with_format(None).select(columns)
    numbered = kept.remove_columns("column").add_column("column", np.arange(len(columns), dtype=np.int32))
    return Restricted(_pick(dataset, columns), numbered.select_columns(voxels.column_names), n_missing)


def _ijk(voxels: Dataset) -> NDArray[np.int64]:
    plain = voxels.with_format("numpy")
    return np.stack([np.asarray(plain[axis][:], np.int64) for axis in "ijk"], axis=1)


def _pick(dataset: Dataset, columns: NDArray[np.int64]) -> Dataset:
    plain = dataset.with_format("arrow")
    position = plain.column_names.index("betas")
    schema = plain.features.arrow_schema
    vector = pa.list_(schema.field("betas").type.value_type, len(columns))
    schema = schema.set(position, pa.field("betas", vector)).remove_metadata()
    tables = []
    for batch in plain.iter(_ROWS_AT_A_TIME):
        table = cast(pa.Table, batch)
        betas = table["betas"].combine_chunks()
        values = betas.flatten().to_numpy().reshape(len(betas), -1)[:, columns]
        picked = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=vector)
        tables.append(table.replace_schema_metadata().set_column(position, schema.field("betas"), picked).cast(schema))
    info = dataset.info.copy()
    info.features = Features.from_arrow_schema(schema)
    return Dataset(pa.concat_tables(tables) if tables else schema.empty_table(), info=info, split=dataset.split)
