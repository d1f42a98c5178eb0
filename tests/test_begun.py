"""A folder says that a build of it was stopped, how far it came, and what goes on with it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import nsd_imagery
from nsd_imagery.dataset.state import BuildState
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.sources.release_files import expected_betas

pytestmark = pytest.mark.slow


def stopped(root: Path, out: Path, n_done: int, **options: Any) -> None:
    """A build that Ctrl-C stops after some pieces."""

    def progress(state: BuildState) -> None:
        if state.n_done == n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nsd_imagery.build(root, out, progress=progress, **options)
    end_of_process(out)


def end_of_process(folder: Path) -> None:
    """As if the process that was stopped had ended, as it does on the command line."""
    path = folder / ".build/begun.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "process": {**said["process"], "process": 2**22 + 1}}))


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "nsd_imagery", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_info_after_a_first_build_that_was_stopped_says_so_and_what_goes_on(core_release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    options = {"roi": ["nsdgeneral", "V1"], "zscore": "none", "conditions": ["imagery", "perception"]}
    stopped(core_release, folder, 1, **options)
    for verb in ("info", "verify"):
        said = command(verb, folder)
        assert (said.returncode, said.stderr.count("\n")) == (1, 1)
        # of the second one, which was read meanwhile, as much as was written
        assert re.search(
            "a build was stopped with [12] of 4 pieces finished, which the next one keeps; to go on: ", said.stderr
        )
    goes_on = shlex.split(said.stderr.rpartition("to go on: nsd-imagery ")[2])
    assert command(*goes_on).returncode == 0
    facts = nsd_imagery.info(folder)
    assert facts["stopped"] is None
    assert facts["recipe"]["zscore"] == "none"
    assert {name.partition("-")[2] for name in facts["configs"] if name.startswith("subj01")} == {
        f"{kind}{roi}" for kind in ("imagery", "perception", "voxels", "stats") for roi in ("", "-V1")
    }


def test_info_of_a_dataset_whose_next_build_was_stopped_says_both(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"])
    assert nsd_imagery.info(folder)["stopped"] is None
    stopped(release, folder, 0, roi="V1")
    line = f"nsd-imagery build {release} --out {folder} --roi V1"
    sentence = f"a build was stopped with 0 of 2 pieces finished; to go on: {line}"
    assert nsd_imagery.info(folder)["stopped"] == {
        "finished": 0, "pieces": 2, "command": line, "sentence": sentence
    }  # fmt: skip
    told = command("info", folder).stdout.splitlines()
    assert told[1] == f"  stopped: {sentence}"
    assert any("subj01-imagery" in row for row in told)
    nsd_imagery.build(release, folder, roi="V1")
    assert nsd_imagery.info(folder)["stopped"] is None
    assert not (folder / ".build/begun.json").exists()


def test_a_build_that_failed_was_stopped_too_and_names_only_what_differs(own_release: Path, tmp_path: Path) -> None:
    path = own_release / f"{expected_betas('fithrf_GLMdenoise_RR', 'subj02')}.nii.gz"
    path.with_name("betas_nsdimagery.hdf5").unlink()
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1  # of the checksum: only reading it all tells
    path.unlink()
    path.write_bytes(raw)
    with pytest.raises(DataError, match="damaged or cut short"):
        nsd_imagery.build(own_release, tmp_path / "d")
    end_of_process(tmp_path / "d")
    with pytest.raises(MissingDataError) as caught:
        nsd_imagery.info(tmp_path / "d")
    assert str(caught.value).endswith(f"to go on: nsd-imagery build {own_release} --out {tmp_path / 'd'}")
    assert "1 of 2 pieces finished" in str(caught.value)


def test_a_piece_whose_shards_are_gone_is_not_called_finished(release: Path, tmp_path: Path) -> None:
    stopped(release, tmp_path / "d", 2)
    shutil.rmtree(tmp_path / "d" / "subj01-imagery")
    with pytest.raises(MissingDataError, match="stopped with 1 of 2 pieces finished, which"):
        nsd_imagery.info(tmp_path / "d")


def test_a_build_that_runs_is_not_called_stopped(release: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def progress(state: BuildState) -> None:
        if state.n_done == 1:
            said.append(command("info", tmp_path / "d").stderr)

    nsd_imagery.build(release, tmp_path / "d", progress=progress)
    assert all("a build has not ended, and may still run (process" in line for line in said)
    assert said


def test_a_note_that_nobody_wrote_is_no_note(dataset: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(dataset, tmp_path / "d"))
    for text in ("", "[]", "{}", '{"command": 1, "pieces": [], "process": {}}', '{"command": "x", "pieces": 3}'):
        (folder / ".build/begun.json").write_text(text)
        assert nsd_imagery.info(folder)["stopped"] is None
