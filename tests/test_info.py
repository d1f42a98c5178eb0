"""What `info` says of a folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError


def test_info_counts_rows_voxels_and_bytes(dataset: Path) -> None:
    facts = nsd_imagery.info(dataset)
    assert facts["configs"]["subj01-imagery"]["rows"] == {"test": 288}
    shards = list(dataset.rglob("*.arrow"))
    assert facts["bytes"] == sum(path.stat().st_size for path in shards)
    assert facts["recipe"] == {"beta_version": "fithrf_GLMdenoise_RR", "zscore": "auto", "dtype": "float32"}
    assert facts["missing"] == [
        "subj01, subj02: not built: perception",
        "subjects not built: subj03, subj04, subj05, subj06, subj07, subj08",
    ]
    assert [name for name in facts["configs"] if name.startswith("subj01")] == [
        f"subj01-{kind}" for kind in ("imagery", "vision", "attention", "voxels", "stats")
    ]


def test_info_says_which_shards_are_gone(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    shutil.rmtree(folder / "subj02-vision")
    assert any("subj02-vision/test" in sentence for sentence in nsd_imagery.info(folder)["missing"])


def test_the_command_prints_a_table_or_json(dataset: Path) -> None:
    command = [sys.executable, "-m", "nsd_imagery", "info", str(dataset)]
    printed = subprocess.check_output(command, text=True)
    assert "  subj01-imagery    test 288      280  " in printed
    assert printed.endswith(f'\nNext, in Python: load_dataset("{dataset.resolve()}", "subj01-imagery")\n')
    assert json.loads(subprocess.check_output([*command, "--json"], text=True)) == nsd_imagery.info(dataset)


def test_a_folder_without_a_dataset_or_with_a_damaged_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="nsd-imagery build ROOT"):
        nsd_imagery.info(tmp_path)
    for text in ("{", "[]", '{"format": 1}', '"x"'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises((DataError, MissingDataError), match=str(tmp_path)):
            nsd_imagery.info(tmp_path)


def test_what_lacks_in_every_roi_of_a_subject_is_said_once(core_release: Path, tmp_path: Path) -> None:
    what = {"subjects": "subj01", "conditions": ["perception"]}
    folder = nsd_imagery.build(core_release, tmp_path / "d", roi=["nsdgeneral", "V1"], **what)
    said = [sentence for sentence in nsd_imagery.info(folder)["missing"] if "sessions not" in sentence]
    assert said == ["subj01-perception of 2 ROIs: sessions not in the root when it was built: 4-40"]
