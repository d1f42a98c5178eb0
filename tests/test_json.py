"""`--json`, a flag of every verb that tells something: standard output is JSON alone, and says what people are told."""

import inspect
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import nsd_imagery
from clip import save_tiny_clip
from folders import own
from hub import Hub
from nsd_imagery.cli.app import cli

pytestmark = pytest.mark.slow


def said(*arguments: object, cwd: Path | None = None) -> Any:
    command = [sys.executable, "-m", "nsd_imagery", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_verb_has_the_flag() -> None:
    with_flag = {name for name, verb in cli.commands.items() if any("--json" in one.opts for one in verb.params)}
    assert with_flag == set(cli.commands)


def test_the_options_of_a_verb_are_the_arguments_of_its_function() -> None:
    only_in_verbs = {"as_json", "verbose"}  # what is printed
    for name in set(cli.commands) - {"terms", "quickstart"}:  # which are calls in a row, each of another function
        options = {one.name for one in cli.commands[name].params} - only_in_verbs
        arguments = set(inspect.signature(getattr(nsd_imagery, name)).parameters) - {"progress", "planned"}
        if name in ("build", "evaluate"):  # a pool and a cluster are the command's, and a dry run is `preview`
            options, arguments = options - {"workers", "scheduler", "dry_run"}, arguments - {"executor"}
        assert options == arguments, name


def test_what_is_written_is_told_from_the_release_to_the_dataset(tmp_path: Path) -> None:
    assert said("synth", "r", "--subjects", "2", "--format", "hdf5", cwd=tmp_path) == {
        "root": "r",
        "subjects": ["subj02"],
    }
    root, folder = tmp_path / "r", tmp_path / "nsd_imagery"
    index = said("index", root)
    assert index["folder"] == str(root / "indices")
    (of_imagery,) = index["indices"]
    assert of_imagery["path"] == str(root / "indices/imagery/full_index.parquet")
    assert [of_imagery[name] for name in ("rows", "with_data", "subjects")] == [720, 720, ["subj02"]]
    options = ("build", root, "--out", folder, "--roi", "v1", "--conditions", "vision")
    ahead = said(*options, "--dry-run")
    preview = nsd_imagery.preview(root, folder, roi="V1", conditions="vision")
    assert ahead["pieces"] == [{**asdict(piece), "todo": ["V1"]} for piece in preview.pieces]
    assert (ahead["bytes_in"], ahead["bytes_out"]) == (preview.bytes_in, preview.bytes_out)
    assert (ahead["folder"], ahead["configs"]) == (str(folder), ["subj02-vision-V1"])
    assert not folder.exists()
    built = said(*options)
    assert (built.pop("folder"), built.pop("built")) == (str(folder), ["subj02-vision-V1"])
    assert built == nsd_imagery.info(folder) == said("info", folder)


def test_a_note_is_on_standard_error_and_json_stays_alone(own_core_release: Path) -> None:
    (own_core_release / "nsddata/ppdata/subj01/behav/responses.tsv").unlink()
    command = [sys.executable, "-m", "nsd_imagery", "index", str(own_core_release), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["indices"][0]["rows"] == 720
    assert "NSD core of subj01 is left out" in done.stderr


def test_what_an_export_and_an_embedding_made_is_told(dataset: Path, own_release: Path, tmp_path: Path) -> None:
    exported = said("export", dataset, tmp_path / "out", "--for", "mindeye", "--subjects", "S2")
    assert (exported["out"], exported["subjects"]) == (str(tmp_path / "out"), ["subj02"])
    assert "preprocessed_data/subject2/nsd_imagery.pt" in exported["written"]
    embedded = said(
        "embed", own_release, "--model", save_tiny_clip(tmp_path / "clip"), "--device", "cpu", "--mode", "imagery"
    )
    assert Path(embedded["path"]).is_file()
    assert embedded["image"] > 0 < embedded["text"]
    assert set(embedded["without"]) == {"image", "text"}


def test_what_is_shared_is_told_before_and_after(hub: Hub, dataset: Path, tmp_path: Path) -> None:
    assert hub is not None
    dataset = own(dataset, tmp_path / "nsd_imagery")
    ahead = said("push", dataset, "me/nsd", "--dry-run")
    assert (ahead["repo"], ahead["dry_run"], ahead["revision"]) == ("me/nsd", True, "")
    pushed = said("push", dataset, "me/nsd")
    assert (pushed["dry_run"], pushed["uploaded"]) == (False, ahead["uploaded"])
    pulled = said("pull", "me/nsd", "--out", tmp_path / "here", "--configs", "1-vision,sub-01-VOXELS")
    assert (pulled["repo"], pulled["folder"]) == ("me/nsd", str(tmp_path / "here"))
    assert set(pulled["configs"]) == {"subj01-vision", "subj01-voxels"}
    terms = said("terms")
    assert terms["accepted"] is None
    assert "not pass the data on" in terms["terms"]
