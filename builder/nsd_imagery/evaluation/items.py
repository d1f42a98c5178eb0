"""The table of scores by stimulus, `items.parquet`: a stimulus a row, told by the columns that tell the score.

The run is in `test` and `stimulus_set`. Scores over sets are not in it: theirs are those of the sets.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nsd_imagery.atomic import replacing
from nsd_imagery.errors import DataError, reason
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.score import SCHEMA as SCORES
from nsd_imagery.evaluation.score import Items, Score
from nsd_imagery.evaluation.subject import Kind, kind_of

ITEMS: Final = "items.parquet"

KEY: Final = ("subject", "roi", *Kind._fields)
"""What tells the scores of an evaluation."""

Key = tuple[Any, ...]

SCHEMA: Final = pa.schema(
    [
        *(SCORES.field(name) if name in SCORES.names else pa.field(name, pa.int64()) for name in KEY),
        pa.field("stimulus", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("n_tests", pa.int64(), nullable=False),
    ]
)
"""The columns of `items.parquet`."""


def key_of(score: Score) -> Key:
    """What tells a score from the others of an evaluation."""
    return score.subject, score.roi, *kind_of(score)


def has_items(records: Iterable[Record]) -> bool:
    """Whether there is anything to write."""
    return any(True for record in records for roi in record.rois for _ in record.items(roi))


def write_items(path: Path, records: Iterable[Record]) -> None:
    """Write the table beside its place and rename it, a score at a time; the same items give the same bytes."""
    with replacing(path) as file, pq.ParquetWriter(file, SCHEMA, compression="zstd", store_schema=False) as writer:
        for record in records:
            parts = [_rows(*one) for roi in record.rois for one in record.items(roi)]
            if parts:
                writer.write_table(pa.concat_tables(parts).combine_chunks())


def _rows(score: Score, items: Items) -> pa.Table:
    n = len(items.stimuli)
    columns: list[Any] = [
        pa.repeat(pa.scalar(value, SCHEMA.field(name).type), n) for name, value in zip(KEY, key_of(score), strict=True)
    ]
    return pa.table([*columns, pa.array(items.stimuli), items.values, items.n_tests], SCHEMA)


def read_items(path: Path) -> dict[Key, Items]:
    """Items by what tells their score.

    Raises:
        DataError: It is no such file.
    """
    try:
        table = pq.ParquetFile(path).read(use_threads=False)  # see trials.read_index
    except (pa.ArrowException, OSError) as error:
        msg = f"{path}: is no table of scores by stimulus ({reason(error)}); evaluate again"
        raise DataError(msg) from error
    if not table.schema.equals(SCHEMA):
        msg = f"{path}: is no table of scores by stimulus: its columns are {', '.join(table.schema.names)}"
        raise DataError(msg)
    begins = np.zeros(len(table), bool)
    begins[:1] = True
    for name in KEY:
        codes = table[name].combine_chunks().dictionary_encode("encode").indices.to_numpy()
        begins[1:] |= codes[1:] != codes[:-1]
    starts = np.flatnonzero(begins)
    keys = zip(*(table[name].take(starts).to_pylist() for name in KEY), strict=True)
    stimuli, values, n_tests = (table[name] for name in ("stimulus", "value", "n_tests"))
    found: dict[Key, Items] = {}
    for key, start, end in zip(keys, starts.tolist(), [*starts[1:].tolist(), len(table)], strict=True):
        of = slice(start, end)
        found[key] = Items(tuple(stimuli[of].to_pylist()), np.array(values[of]), np.array(n_tests[of]))
    return found
