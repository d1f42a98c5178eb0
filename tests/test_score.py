"""A score cannot be made without what stands beside it, and a table of scores is the same bytes for the same scores."""

import json
from dataclasses import MISSING, fields, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nsd_imagery.errors import DataError
from nsd_imagery.evaluation.score import SCHEMA, Score, from_table, read_scores, to_json, to_table, write_scores

COLUMNS = (
    "measure subject roi condition stimulus_set train test unit n_repeats value low high interval chance chance_method "
    "reference reference_method p p_corrected family n_trials n_subjects n_candidates candidates draws n_voxels how "
    "beta_version dataset reason"
).split()

SCORE = Score(
    measure="identification",
    subject="subj01",
    roi="early",
    condition="vision",
    stimulus_set="A",
    train="visX",
    test="imgX_2",
    unit="trial",
    n_repeats=1,
    value=0.5,
    low=0.36,
    high=0.64,
    interval="Wilson",
    chance=1 / 6,
    chance_method="1/6",
    reference=None,
    reference_method="",
    p=1e-4,
    p_corrected=None,
    family="",
    n_trials=48,
    n_subjects=1,
    n_candidates=6,
    candidates="the 6 targets of set A",
    draws=9_999,
    n_voxels=100,
    how="letter-free",
    beta_version="fithrf",
    dataset="0123456789abcdef",
    reason="",
)
NOTHING = replace(SCORE, value=None, low=None, high=None, p=None, reason="no run of vision")


def test_a_score_has_all_fields_in_the_order_of_the_table_and_no_default() -> None:
    assert [field.name for field in fields(Score)] == COLUMNS == SCHEMA.names
    assert all(field.default is MISSING and field.default_factory is MISSING for field in fields(Score))


def test_no_value_needs_a_reason_and_no_number_is_nan_or_infinite() -> None:
    with pytest.raises(DataError, match="no reason why"):
        replace(SCORE, value=None)
    for name in ("value", "low", "high", "chance", "reference", "p", "p_corrected"):
        for number in (float("nan"), float("inf")):
            with pytest.raises(DataError, match=f"{name} is {number}"):
                replace(SCORE, **{name: number})


def test_a_table_gives_the_scores_back_with_nulls_where_there_is_nothing() -> None:
    table = to_table([SCORE, NOTHING])
    assert from_table(table) == [SCORE, NOTHING]
    assert table["value"].to_pylist() == [0.5, None]
    assert table.schema == SCHEMA
    with pytest.raises(DataError, match="not a table of scores"):
        from_table(table.drop_columns(["p"]))


def test_the_same_scores_are_the_same_bytes_and_any_reader_reads_them(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_scores(tmp_path / name, [SCORE, NOTHING])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    write_scores(tmp_path / "other", (score for score in [SCORE, NOTHING]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]
    assert pq.read_table(pa.py_buffer((tmp_path / "one").read_bytes())).column_names == COLUMNS
    assert read_scores(tmp_path / "one") == [SCORE, NOTHING]
    (tmp_path / "text").write_text("no table")
    with pytest.raises(DataError, match="is no table of scores"):
        read_scores(tmp_path / "text")


def test_no_scores_are_an_empty_table(tmp_path: Path) -> None:
    write_scores(tmp_path / "none", [])
    assert read_scores(tmp_path / "none") == []


def test_json_has_null_and_never_nan() -> None:
    said = json.loads(to_json([SCORE, NOTHING]))
    assert [list(one) for one in said] == [COLUMNS, COLUMNS]
    assert said[1]["value"] is None
    assert "NaN" not in to_json([SCORE, NOTHING])
