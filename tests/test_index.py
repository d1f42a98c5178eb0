"""`index` over an index that is there, while others write, and after it was killed."""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import nsd_imagery
from nsd_imagery import trials
from nsd_imagery.errors import DataError
from nsd_imagery.sources.release_files import expected_betas
from nsd_imagery.sources.root import find_root

BETAS = "fithrf_GLMdenoise_RR"


def subjects_of(index: Path) -> list[str]:
    return sorted(set(pd.read_parquet(index, columns=["subject"])["subject"]))


def test_what_the_root_no_longer_holds_goes_from_the_index_and_is_named(
    own_release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = nsd_imagery.index(own_release) / "imagery"
    for name in ("subj02.csv", "subj99.parquet", "notes.txt"):
        (folder / name).write_text("not of this package")
    (folder.parent / "subj02.parquet").write_text("not of this package")
    before = set(folder.parent.rglob("*"))
    shutil.rmtree(own_release / "nsddata_betas/ppdata/subj02")
    caplog.clear()
    nsd_imagery.index(own_release, subjects=["subj01"])
    assert set(folder.parent.rglob("*")) == before
    assert subjects_of(folder / "full_index.parquet") == ["subj01", "subj02"]
    assert not caplog.records
    nsd_imagery.index(own_release)
    assert set(folder.parent.rglob("*")) == before - {folder / "subj02.parquet"}
    assert subjects_of(folder / "full_index.parquet") == ["subj01"]
    assert [record.message for record in caplog.records] == [
        f"{folder / 'subj02.parquet'}: was removed, because {own_release} no longer holds such sessions ({BETAS})"
    ]


@pytest.mark.parametrize("subjects", [None, ["subj01"]])
def test_an_experiment_that_the_root_no_longer_holds_goes_from_the_index_but_not_that_of_other_subjects(
    own_core_release: Path, subjects: list[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    folder = nsd_imagery.index(own_core_release) / "perception"
    names = {path.name for path in folder.iterdir()}
    shutil.rmtree(own_core_release / f"nsddata_betas/ppdata/subj01/func1pt8mm/betas_{BETAS}")
    if subjects:
        rows = pq.read_table(folder / "subj01.parquet")
        position = rows.schema.get_field_index("subject")
        other = rows.set_column(position, rows.schema.field(position), pa.array(["subj02"] * len(rows)))
        pq.write_table(other, folder / "subj02.parquet")
    nsd_imagery.index(own_core_release, subjects)
    left = {path.name for path in folder.iterdir()}
    assert left == ({"subj02.parquet", "full_index.parquet"} if subjects else set())
    if subjects:
        assert subjects_of(folder / "full_index.parquet") == subjects_of(folder / "subj02.parquet") == ["subj02"]
    removed = [record.message for record in caplog.records if "was removed" in record.message]
    assert {Path(message.split(":")[0]).name for message in removed} == names - left
    assert subjects_of(folder.parent / "imagery" / "full_index.parquet") == ["subj01"]


def test_the_index_is_of_the_betas_that_are_there_when_it_is_done(
    own_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = own_release / f"{expected_betas(BETAS, 'subj01')}.hdf5"
    other = tmp_path / "other.hdf5"
    shutil.copyfile(path, other)
    with h5py.File(other, "r+") as file:
        file["betas"][17] = 0
    rows_with_data = trials.rows_with_data

    def replaced_meanwhile(beta_path: Path, brain: Path | None) -> NDArray[np.bool_]:
        found = rows_with_data(beta_path, brain)
        if other.exists():
            other.replace(path)
        return found

    monkeypatch.setattr(trials, "rows_with_data", replaced_meanwhile)
    folder = nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices")
    index = pd.read_parquet(folder / "imagery" / "subj01.parquet")
    assert index.index[~index["is_valid"]].tolist() == [17]


def test_betas_that_are_replaced_by_shorter_ones_before_they_are_read_are_an_error(
    own_release: Path, tmp_path: Path
) -> None:
    path = own_release / f"{expected_betas(BETAS, 'subj01')}.hdf5"

    def shorten(_: str) -> None:
        with h5py.File(path) as file, h5py.File(tmp_path / "other.hdf5", "w") as other:
            other.create_dataset("betas", data=file["betas"][:719], chunks=(719, 1, 1, 1))
        (tmp_path / "other.hdf5").replace(path)

    with pytest.raises(DataError, match=r"was replaced by one of 719 volumes .*: run again"):
        nsd_imagery.index(own_release, subjects=["subj01"], out=tmp_path / "indices", progress=shorten)


def test_what_a_killed_index_left_half_written_goes_with_the_next_one(release: Path, tmp_path: Path) -> None:
    code = """if True:
        import resource, signal, sys, nsd_imagery
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        nsd_imagery.index(sys.argv[1], ["subj01"], out=sys.argv[2])
    """
    command = [sys.executable, "-B", "-c", code, str(release), str(tmp_path / "indices")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGXFSZ
    assert len(list((tmp_path / "indices").rglob(".partial-*"))) == 1
    nsd_imagery.index(release, ["subj01"], out=tmp_path / "indices")
    assert not list((tmp_path / "indices").rglob(".partial-*"))


@pytest.mark.slow
def test_two_that_index_a_subject_each_at_once_both_come_into_the_index_of_all(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "indices" / "imagery"
    command = [sys.executable, "-m", "nsd_imagery", "index", str(release), "--out", str(folder.parent)]
    started: list[subprocess.Popen[bytes]] = []
    write_table = pq.write_table

    def second_meanwhile(*arguments: Any, **options: Any) -> None:
        if (folder / "subj01.parquet").exists() and not started:  # this one is at the index of all
            started.append(subprocess.Popen([*command, "--subjects", "subj02"], stdout=subprocess.DEVNULL))
            while not (folder / "subj02.parquet").exists():
                assert started[0].poll() is None
                time.sleep(0.01)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started[0].wait(1)
        write_table(*arguments, **options)

    monkeypatch.setattr(pq, "write_table", second_meanwhile)
    nsd_imagery.index(release, ["subj01"], out=folder.parent)
    assert started[0].wait() == 0
    assert subjects_of(folder / "full_index.parquet") == ["subj01", "subj02"]


def other_values(column: pa.ChunkedArray) -> pa.Array:
    """Of the column's type, and each another than the column's own."""
    values = column.to_pylist()
    if pa.types.is_string(column.type):
        return pa.array([f"not {value}" for value in values])
    if pa.types.is_boolean(column.type):
        return pa.array([not value for value in values])
    return pa.array([8 if value == 7 else 7 for value in values], column.type)


def test_every_column_is_held_against_the_root_but_what_other_files_say(release: Path) -> None:
    sessions = find_root(release, BETAS).sessions(["subj01"], ["nsdimagery"])
    rows = sessions[0].rows
    assert not list(trials.disagreements(rows, sessions, release))
    for at, field in enumerate(rows.schema):
        changed = rows.set_column(at, field, other_values(rows[field.name])).take(pa.array([9, 3]))
        found = list(trials.disagreements(changed, sessions, release))
        if field.name in ("is_valid", "caption"):
            assert not found
        else:
            assert [one.column for one in found] == [field.name] * 2
            assert [one.said for one in found] == changed[field.name].to_pylist()
            first = None if field.name == "trial_id" else rows[field.name][9].as_py()
            assert found[0].proven == first


@pytest.mark.slow
def test_a_process_that_has_read_an_index_ends_as_it_should(release: Path, tmp_path: Path) -> None:
    """One in three was aborted by Arrow's threads at its end; which, is chance, so here are ten."""
    path = nsd_imagery.index(release, ["subj01"], out=tmp_path) / "imagery/full_index.parquet"
    script = "import sys; from nsd_imagery.trials import read_index; read_index(sys.argv[1])"
    for _ in range(5):
        processes = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
