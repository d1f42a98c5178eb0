"""Which rows are z-scored together: the same in a build, its preview, its checks and a preprocessor."""

import csv
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nsd_imagery
from nsd_imagery.checks.built_agreement import percent_betas
from nsd_imagery.dataset.folder import open_manifest
from nsd_imagery.dataset.groups import Group, groups_of, groups_of_stats, positions_among
from nsd_imagery.errors import UsageError

MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"
NO_RUNS, SOME_RUNS = "no trial has a run number", "vision and a run of attention have none"

Row = tuple[str, int, int | None, str | None]

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["nsd", "nsdimagery"]),
        st.integers(1, 3),
        st.none() | st.integers(1, 12),
        st.sampled_from([None, "cue", "detection"]),
    ),
    max_size=40,
)


def index_of(rows: Sequence[Row]) -> pa.Table:
    """With null where a value is absent."""
    columns = list(zip(*rows, strict=True)) or [()] * len(Group._fields)
    types = (pa.string(), pa.int32(), pa.int32(), pa.string())
    return pa.table({n: pa.array(c, t) for n, c, t in zip(Group._fields, columns, types, strict=True)})


def dataset_of(index: pa.Table) -> pa.Table:
    """With -1 and "" where a value is absent."""
    filled = {"run_number": index["run_number"].fill_null(-1), "epoch": index["epoch"].fill_null("")}
    return pa.table({name: filled.get(name, index[name]) for name in index.column_names})


def together(one: Row, other: Row, zscore: str) -> bool:
    """Whether two rows are z-scored together, in the words of the site."""
    same_session = one[:2] == other[:2]
    by_session = zscore == "session" or (zscore in ("auto", "none") and one[0] == "nsd")
    without_run = one[2] is None and other[2] is None
    same_run = one[2] == other[2] is not None and (zscore == "run" or one[3] == other[3])
    return same_session and (by_session or without_run or same_run)


@given(ROWS, st.sampled_from(["auto", "run", "session", "none"]))
def test_each_row_is_in_one_group_and_with_just_the_rows_of_its_session_run_and_epoch(
    rows: list[Row], zscore: str
) -> None:
    groups, of_row = groups_of(index_of(rows), zscore)
    assert groups == sorted(set(groups))
    assert sorted(set(of_row.tolist())) == list(range(len(groups)))  # none is empty, and each row has one
    assert len({group.name for group in groups}) == len(groups)
    for row, at in zip(rows, of_row.tolist(), strict=True):
        expected = [together(row, other, zscore) for other in rows]
        assert (of_row == at).tolist() == expected
        experiment, session, run, epoch = groups[at]
        assert (experiment, session) == row[:2]
        assert (run, epoch) in ((-1, ""), (row[2], "" if zscore == "run" else row[3] or ""))
    again, of_dataset_row = groups_of(dataset_of(index_of(rows)), zscore)
    assert again == groups
    assert of_dataset_row.tolist() == of_row.tolist()
    some = groups[::-1][1:]
    assert [some[at] if at >= 0 else groups[-1] for at in positions_among(some, index_of(rows), zscore)] == [
        groups[at] for at in of_row
    ]


def test_a_group_has_the_name_that_saved_preprocessors_know() -> None:
    rows = index_of([("nsdimagery", 1, 3, "cue"), ("nsdimagery", 1, 2, None), ("nsd", 4, 7, None), ("nsd", 4, 8, None)])
    groups, of_row = groups_of(rows, "auto")
    assert [groups[at].name for at in of_row] == ["nsdimagery/1/3/cue", "nsdimagery/1/2", "nsd/4", "nsd/4"]


def test_a_mistyped_zscore_is_named() -> None:
    with pytest.raises(UsageError, match=r"no zscore 'sesion' .did you mean 'session'"):
        groups_of(index_of([]), "sesion")


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Cache trees by which of their trials have a run number."""
    folder = tmp_path_factory.mktemp("trees")
    whole = nsd_imagery.synth(folder / "whole", layout="cache", format="hdf5")
    with (whole / MANIFEST).open(newline="") as file:
        lines = list(csv.DictReader(file))
    found = {}
    for name, runs in ((NO_RUNS, {line["run_name"] for line in lines}), (SOME_RUNS, {"visA", "visB", "visC", "attB"})):
        root = Path(shutil.copytree(whole, folder / name, copy_function=os.link))
        (root / MANIFEST).unlink()
        with (root / MANIFEST).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows({**line, "run_number": ""} if line["run_name"] in runs else line for line in lines)
        found[name] = root
    return found


@pytest.mark.slow
@pytest.mark.parametrize("runs", [NO_RUNS, SOME_RUNS])
@pytest.mark.parametrize("zscore", ["auto", "run", "session"])
def test_a_preprocessor_has_the_groups_of_a_build_and_gives_its_scores(
    trees: dict[str, Path], tmp_path: Path, runs: str, zscore: str
) -> None:
    built = nsd_imagery.build(trees[runs], tmp_path / "d", zscore=zscore)
    preprocessor = nsd_imagery.NSDPreprocessor(zscore=zscore)
    own = nsd_imagery.NSDImageryDataset(trees[runs], preprocessor=preprocessor)
    fitted = preprocessor.fit(own.trials, own.voxels).fitted
    assert fitted is not None
    stats = nsd_imagery.load(built, "subj01-stats", "train")
    of_stats = groups_of_stats(stats.data.table)
    assert sorted(fitted.groups) == sorted(group.name for group in of_stats)
    counts = dict(zip(fitted.groups, fitted.by.n_trials.tolist(), strict=True))
    assert counts == {group.name: n for group, n in zip(of_stats, stats["n_trials"], strict=True)}
    if runs == SOME_RUNS and zscore != "session":
        assert counts["nsdimagery/1"] == 3 * 48 + 2 * 48
    theirs = nsd_imagery.NSDImageryDataset(built)
    assert theirs[:]["trial_id"].tolist() == own[:]["trial_id"].tolist()
    np.testing.assert_allclose(own[:]["betas"], theirs[:]["betas"], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("zscore", ["auto", "session"])
def test_checks_undo_the_scores_of_rows_with_and_without_a_run(
    trees: dict[str, Path], tmp_path: Path, zscore: str
) -> None:
    scored, percent = (
        percent_betas(folder, open_manifest(folder), "subj01", "subj01/nsdimagery/01")
        for folder in (
            nsd_imagery.build(trees[SOME_RUNS], tmp_path / "scored", zscore=zscore),
            nsd_imagery.build(trees[SOME_RUNS], tmp_path / "percent", zscore="none"),
        )
    )
    assert scored[0]["trial_id"].equals(percent[0]["trial_id"])
    loaded = nsd_imagery.load(tmp_path / "percent", "subj01-imagery", "test").with_format("numpy")[:]["betas"]
    np.testing.assert_array_equal(percent[1][: len(loaded)], loaded)
    np.testing.assert_allclose(scored[1], percent[1], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_preview_counts_the_groups_of_the_build(core_release: Path, tmp_path: Path) -> None:
    bytes_out = {
        zscore: nsd_imagery.preview(core_release, tmp_path / "d", zscore=zscore).bytes_out
        for zscore in ("auto", "run", "session", "none")
    }
    n_voxels = nsd_imagery.find_roi(core_release, "subj01", "nsdgeneral").flat.size
    n_groups = {"auto": 15 + 3, "run": 12 + 3 * 12, "session": 1 + 3, "none": 15 + 3}
    for zscore, n in n_groups.items():
        assert bytes_out[zscore] - bytes_out["session"] == (n - n_groups["session"]) * n_voxels * 2 * 8, zscore
