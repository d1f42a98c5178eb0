"""The mean over the repeats of a target or picture, the form that decoding papers evaluate on."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetInfo, Features
from numpy.typing import NDArray

from nsd_imagery.dataset.shards import ROWS_PER_BATCH, LogicalHash
from nsd_imagery.errors import UsageError
from nsd_imagery.rows.vectors import Rows, label_table, refuse_splits, row_vectors, vector_length
from nsd_imagery.schema import AVERAGE_COLUMNS, BETAS, N_REPEATS, average_schema

_NO_PICTURE = {"nsd_id": -1, "coco_id": -1, "caption": "", "shared1000": False, "is_shared": False}


def average_repeats(dataset: Dataset) -> Dataset:
    """Average the betas of valid rows that are repeats of each other.

    One row a subject, condition, epoch and target (NSD-Imagery) or picture (NSD core), in order of first appearance,
    with the columns that repeats share (`schema.AVERAGE_COLUMNS`), `n_repeats`, and `betas` in float32, summed in
    float64. Targets of set C are words: their rows are about no picture, also in vision, where each trial showed
    another photograph of the word. Where no repeat is valid, `n_repeats` and `betas` are 0 and `is_valid` is False.

    Args:
        dataset: Rows of trial configs, filtered or not.

    Returns:
        The averages, in memory.

    Raises:
        UsageError: Not rows of a trial config.
        DataError: `betas` are not of one length, or a label is not what a build writes.
    """
    refuse_splits(dataset)
    names = [column.name for column in AVERAGE_COLUMNS]
    lacking = [name for name in (*names, BETAS.name) if name not in dataset.column_names]
    if lacking:
        msg = f"these rows cannot be averaged, they have no {', '.join(lacking)}: load a trial config"
        raise UsageError(msg)
    labels = label_table(dataset, names).combine_chunks()
    groups = _repeats(labels)
    schema = average_schema(vector_length(dataset, BETAS.name))
    batches = list(_batches(labels, groups, row_vectors(dataset, BETAS.name), schema))
    return Dataset(
        pa.Table.from_batches(batches, schema),
        info=_info(dataset, schema),
        split=dataset.split,
        fingerprint=_fingerprint(batches, schema),
    )


def _repeats(labels: pa.Table) -> list[Rows]:
    """The rows of each target or picture."""
    names = ("subject", "condition", "epoch", "target", "stimulus", "beta_version")
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, values in enumerate(zip(*(labels[name].to_pylist() for name in names), strict=True)):
        subject, condition, epoch, target, stimulus, beta_version = values
        groups.setdefault((subject, condition, epoch, target or stimulus, beta_version), []).append(row)
    return [np.array(rows) for rows in groups.values()]


def _batches(
    labels: pa.Table, groups: Sequence[Rows], betas: Sequence[NDArray[Any]], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    is_valid = labels["is_valid"].to_numpy()
    scalars = schema.remove(schema.get_field_index(BETAS.name))
    for start in range(0, len(groups), ROWS_PER_BATCH):
        part = groups[start : start + ROWS_PER_BATCH]
        valid = [group[is_valid[group]] for group in part]
        firsts = labels.take([group[0] for group in part]).to_pylist()
        said = [_said(first, len(group)) for first, group in zip(firsts, valid, strict=True)]
        arrow_type = schema.field(BETAS.name).type
        means = np.concatenate([_mean(betas, group, arrow_type.list_size) for group in valid])
        columns = pa.RecordBatch.from_pylist(said, schema=scalars).columns
        yield pa.record_batch(
            [*columns, pa.FixedSizeListArray.from_arrays(pa.array(means), type=arrow_type)], schema=schema
        )


def _said(first: dict[str, Any], n_repeats: int) -> dict[str, Any]:
    """The labels of an average: those of its first row, with nothing that its repeats may not share."""
    word = {**_NO_PICTURE, "stimulus": first["target"]} if first["stimulus_set"] == "C" else {}
    return {**first, **word, "is_valid": n_repeats > 0, N_REPEATS.name: n_repeats}


def _mean(betas: Sequence[NDArray[Any]], rows: Rows, length: int) -> NDArray[np.float32]:
    total = np.zeros(length)
    for row in rows:
        total += betas[row]
    return (total / max(len(rows), 1)).astype(np.float32)


def _fingerprint(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> str:
    """By what the averages are: the datasets library would pickle all betas to tell."""
    logical = LogicalHash(schema)
    for batch in batches:
        logical.update(batch)
    return logical.hexdigest()


def _info(dataset: Dataset, schema: pa.Schema) -> DatasetInfo:
    info = dataset.info.copy()
    info.features, info.splits = Features.from_arrow_schema(schema), None
    return info
