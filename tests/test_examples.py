"""The examples run as a user runs them, on a folder built from the synthetic release."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nsd_imagery

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize("name", ["quickstart.py", "train_decoder.py"])
def test_each_example_runs_as_it_stands_after_the_demo(dataset: Path, tmp_path: Path, name: str) -> None:
    assert "subj01-perception" not in nsd_imagery.info(dataset)["configs"]
    (tmp_path / "nsd_imagery").symlink_to(dataset)
    environment = {**os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = {"quickstart.py": "a torch batch: betas (8, 280)", "train_decoder.py": "5 pictures were seen"}
    assert said[name] in done.stdout


def test_a_decoder_that_is_trained_on_perception_reads_imagery(core_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "nsd_imagery")
    command = [sys.executable, str(EXAMPLES / "train_decoder.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    trained, single, means = done.stdout.splitlines()
    assert "trials in which 5 pictures were seen" in trained
    for line, count in ((single, 40), (means, 5)):
        right, total = map(int, re.findall(r"(\d+) of (\d+) identified", line)[0])
        assert total == count
        assert right / total > 0.2
        assert "by chance 0.20" in line


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Where `evaluate.py` was run, and what it said."""
    place = tmp_path_factory.mktemp("example")
    return place, run(place, "evaluate.py")


def run(place: Path, name: str) -> str:
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_from_nothing_to_the_numbers_is_one_script_of_few_lines(evaluated: tuple[Path, str]) -> None:
    place, said = evaluated
    assert len((EXAMPLES / "evaluate.py").read_text().splitlines()) < 30
    (transfer,) = re.findall(r"^ 9 transfer +perception → vision (\S+).*, → imagery (\S+)", said, re.MULTILINE)
    assert all(float(value) > 0.7 for value in transfer)
    assert (place / "evaluation" / "scores.parquet").is_file()


def test_a_torch_module_is_trained_exported_and_scored_beside_ridge(evaluated: tuple[Path, str]) -> None:
    place, _ = evaluated
    lines = run(place, "score_my_model.py").splitlines()
    assert lines[0] == "subj01, nsdgeneral"
    values = {tuple(line.split()[:3]): line.split() for line in lines[2:]}
    for test in ("visX", "imgX"):
        mine = float(values["two_way", test, "trial"][5])
        assert mine > 0.7
        assert "[" in values["two_way", test, "trial"][7]
