"""Columns: types, absent values, ids, and the YAML that the datasets library reads."""

import datasets
import pyarrow as pa
import pytest

from nsd_imagery import schema
from nsd_imagery.errors import DataError


@pytest.mark.parametrize(
    "table",
    [
        schema.trial_schema(7, "float32"),
        schema.trial_schema(7, "float16"),
        schema.stats_schema(7),
        schema.voxels_schema(["streams"]),
        schema.stimuli_schema(),
    ],
)
def test_features_are_those_of_the_datasets_library(table: pa.Schema) -> None:
    features = datasets.Features.from_arrow_schema(schema.with_features(table))
    assert schema.features_yaml(table) == features._to_yaml_list()
    assert features.arrow_schema.remove_metadata() == table
    if "image" in table.names:
        assert isinstance(features["image"], datasets.Image)
    else:
        assert features == datasets.Features.from_arrow_schema(table)


def one_row(**columns: object) -> pa.Table:
    known = dict.fromkeys(("subject", "condition", "beta_path", "experiment", "stimulus", "beta_version"), "x")
    known |= dict.fromkeys(("trial_id", "session", "trial_in_session", "beta_index", "repeat_index"), 0)
    known |= dict.fromkeys(("is_valid", "shared1000", "is_shared"), True)
    return schema.trial_table(1, **(known | columns))


def test_absent_is_null_in_an_index_and_the_absent_value_in_dataset_rows() -> None:
    index = one_row()
    rows = schema.dataset_rows(index)
    for column in schema.TRIAL_COLUMNS:
        absent = column.absent is not None
        assert (index[column.name].null_count == 1) == absent
        assert rows[column.name].null_count == 0
        if absent:
            assert repr(rows[column.name][0].as_py()) == repr(column.absent)


def test_a_column_that_cannot_be_absent_must_be_given() -> None:
    with pytest.raises(DataError, match="subject"):
        one_row(subject=None)
    with pytest.raises(TypeError, match="sbject"):
        one_row(sbject="x")
