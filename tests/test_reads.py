"""How often a build opens what its root holds: tables, label tables and maps once each, whatever it makes of them."""

from collections import Counter
from pathlib import Path

import pytest

import nsd_imagery
from nsd_imagery.links import _LONGEST_POINTER
from opened import opened

ROIS = ("nsdgeneral", "V1", "early")
SPACE = "nsddata/ppdata/subj01/func1pt8mm"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 with two sessions of NSD core, .hdf5, whose openings are not seen. Not to be changed."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("reads") / "release", format="hdf5", perception_sessions=2)


@pytest.fixture(scope="module")
def cache_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 in the Guide's layout. Not to be changed."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("reads") / "cache", layout="cache")


def of_build(root: Path, tmp_path: Path) -> Counter[str]:
    """But for the one look at each small file, whether it stands for content elsewhere, as git-annex leaves it."""
    code = f"nsd_imagery.build({str(root)!r}, {str(tmp_path / 'd')!r}, roi={ROIS!r})"
    counts = opened(root, code, tmp_path / "opened.json")
    small = Counter(name for name in counts if (root / name).stat().st_size < _LONGEST_POINTER)
    return counts - small


def ending(counts: Counter[str], *endings: str) -> dict[str, int]:
    return {name: n for name, n in counts.items() if name.endswith(endings)}


@pytest.fixture(scope="module")
def release_counts(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return of_build(root, tmp_path_factory.mktemp("counts"))


@pytest.fixture(scope="module")
def cache_counts(cache_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Counter[str]:
    return of_build(cache_root, tmp_path_factory.mktemp("counts"))


def test_a_build_of_a_release_opens_each_table_once(release_counts: Counter[str]) -> None:
    tables = ending(release_counts, ".tsv", ".csv", ".mat")
    n_of_runs, n_designs, n_pair_lists = 12, 2, 3
    n_first_lines = 2  # of tables that Arrow reads
    assert len(tables) == n_of_runs + n_designs + n_pair_lists + n_first_lines
    assert set(tables.values()) == {1}


def test_a_build_of_a_cache_tree_opens_each_table_once(cache_counts: Counter[str]) -> None:
    tables = ending(cache_counts, ".csv", ".json", ".txt")
    assert {Path(name).name for name in tables} >= {"imagery_stimuli_info.csv", "trial_manifest_subj01.csv"}
    assert set(tables.values()) == {1}


@pytest.mark.parametrize("counts", ["release_counts", "cache_counts"])
def test_a_build_of_any_number_of_rois_opens_each_label_table_once(counts: str, request: pytest.FixtureRequest) -> None:
    tables = ending(request.getfixturevalue(counts), ".ctab")
    assert len(tables) == 13
    assert set(tables.values()) == {1}


@pytest.mark.parametrize("counts", ["release_counts", "cache_counts"])
def test_a_build_of_any_number_of_rois_opens_each_map_once(counts: str, request: pytest.FixtureRequest) -> None:
    """But for the maps that pieces depend on: their bytes are hashed too, and `valid_*` is asked of empty voxels.

    The brain mask's header also says on which grid the subject's voxels are.
    """
    maps = {
        Path(name).name: n
        for name, n in ending(request.getfixturevalue(counts), ".nii.gz").items()
        if "betas_" not in Path(name).name
    }
    assert {"nsdgeneral.nii.gz", "prf-visualrois.nii.gz", "lh.streams.nii.gz", "brainmask.nii.gz"} <= set(maps)
    for name, n in maps.items():
        assert n == (3 if name.startswith(("brainmask", "valid_")) else 1), name
