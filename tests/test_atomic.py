"""Files that are whole or not there: the order in which contents, name and folder reach the disk."""

import os
from pathlib import Path

import pytest

from nsd_imagery.atomic import replace_text, replace_texts, replacing

Call = tuple[str, int, int]
"""What was called, the inode of its file or folder, and how many bytes that held."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """What `os.fsync` and `os.replace` are called with, in order; both do their work."""
    made: list[Call] = []
    fsync, replace = os.fsync, os.replace

    def record_sync(handle: int) -> None:
        made.append(("fsync", os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    def record_replace(source: str | Path, target: str | Path) -> None:
        made.append(("replace", Path(source).stat().st_ino, Path(source).stat().st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    return made


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_is_whole_and_synced_before_its_rename_and_its_folder_after(
    tmp_path: Path, calls: list[Call], is_there: bool
) -> None:
    path = tmp_path / "folder" / "manifest.json"
    if is_there:
        path.parent.mkdir()
        path.write_text("old")
    replace_text(path, "x" * 1000)  # less than a buffer: without a flush nothing of it is in the file
    file, folder = path.stat(), path.parent.stat()
    assert [call[:2] for call in calls] == [
        ("fsync", file.st_ino),
        ("replace", file.st_ino),
        ("fsync", folder.st_ino),
    ]
    assert [n_bytes for _, inode, n_bytes in calls if inode == file.st_ino] == [1000, 1000]
    assert path.read_text() == "x" * 1000


def test_several_files_are_all_on_the_disk_before_the_first_gets_its_name(tmp_path: Path, calls: list[Call]) -> None:
    first, second = tmp_path / "manifest.json", tmp_path / "README.md"
    replace_texts({first: "a", second: "b"})
    files, folder = [first.stat().st_ino, second.stat().st_ino], tmp_path.stat().st_ino
    expected = [*(("fsync", file) for file in files), *(("replace", file) for file in files), ("fsync", folder)]
    assert [call[:2] for call in calls] == expected


def test_a_block_that_fails_syncs_and_renames_nothing(tmp_path: Path, calls: list[Call]) -> None:
    path = tmp_path / "manifest.json"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as file:
        file.writelines([b"new", None])
    assert calls == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]
    assert path.read_text() == "old"
