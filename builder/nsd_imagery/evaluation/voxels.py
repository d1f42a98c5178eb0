"""Maps of a subject: signal and noise variance of each voxel by condition, as a Parquet file."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nsd_imagery.chance.pairs import Variances
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.names import config_name
from nsd_imagery.evaluation.ceiling import voxel_variances
from nsd_imagery.evaluation.runs import Runs
from nsd_imagery.rows.load import load

_COLUMN: Final = "column"
_PLACES: Final = {"i": pa.int32(), "j": pa.int32(), "k": pa.int32(), "x": pa.float32(), "hemisphere": pa.string()}
"""What a map has of `-voxels`, with its type."""

_MAPPED: Final = ("vision", "imagery", "perception")

SCHEMA: Final = pa.schema(
    [
        pa.field("roi", pa.string(), nullable=False),
        pa.field(_COLUMN, pa.int32()),
        *(pa.field(name, of) for name, of in _PLACES.items()),
        *(pa.field(f"{condition}_{what}", pa.float64()) for condition in _MAPPED for what in Variances._fields),
    ]
)
"""A row a voxel and ROI: its column of `betas`, where it lies in the volume (x in mm), and its variances, in units
of that of the trials of a run (of perception, of a session); unclipped, null where there is nothing to estimate from.
Those of a condition are means over its runs, so their sum over voxels is what `signal_variance` of the ROI says, times
its `n_voxels`."""


def voxel_table(folder: Path, runs: Runs, seen: Variances | None) -> Mapping[str, Any]:
    """The columns of `SCHEMA` of one subject and ROI.

    Args:
        folder: The dataset folder.
        runs: Of the subject and ROI.
        seen: (n_voxels,) of perception.
    """
    maps = {condition: voxel_variances(runs, condition) for condition in _MAPPED[:2]} | {"perception": seen}
    n_voxels = max((len(found.signal) for found in maps.values() if found is not None), default=0)
    table: dict[str, Any] = {"roi": [runs.roi] * n_voxels, **_places(folder, runs, n_voxels)}
    for condition, found in maps.items():
        for what in Variances._fields:
            table[f"{condition}_{what}"] = [None] * n_voxels if found is None else getattr(found, what)
    return table


def voxel_bytes(tables: Sequence[Mapping[str, Any]]) -> bytes:
    """The Parquet file of the tables of a subject's ROIs; the same tables give the same bytes."""
    parts = [pa.table({field.name: pa.array(one[field.name], field.type) for field in SCHEMA}) for one in tables]
    file = io.BytesIO()
    whole = pa.concat_tables([part.cast(SCHEMA) for part in parts]).combine_chunks()
    pq.write_table(whole, file, compression="zstd", store_schema=False)
    return file.getvalue()


def _places(folder: Path, runs: Runs, n_voxels: int) -> dict[str, Any]:
    """The column and the place of each voxel; no place where the folder has no `-voxels`."""
    name = config_name(runs.subject, "voxels", runs.roi)
    if name not in open_manifest(folder).configs:
        return {_COLUMN: np.arange(n_voxels), **dict.fromkeys(_PLACES, [None] * n_voxels)}
    table = load(folder, name, "train").data.table
    return {place: table.column(place).combine_chunks()[:n_voxels] for place in (_COLUMN, *_PLACES)}
