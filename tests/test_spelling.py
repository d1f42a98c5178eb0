"""What people write is what is meant, in every function and verb, or one line that says what may be written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nsd_imagery
from nsd_imagery.dataset.names import read_config, the_config
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.spelling import numbers_of, subject_of, subjects_of, the_choice, the_word, words_of

CONDITIONS = ("imagery", "vision")
PARTS = (("vision", "test"), ("voxels", "train"))
CONFIGS = ("subj01-imagery", "subj01-voxels-V1", "subj02-imagery-streams.early", "stimuli")


@pytest.mark.parametrize("said", ["subj02", "2", "02", 2, np.int64(2), "sub-02", "Sub2", "S2", "subject-2", ["subj02"]])
def test_a_subject_is_known_however_it_is_spelled(said: Any) -> None:
    assert subject_of(said) == "subj02"


@pytest.mark.parametrize("said", ["1,2", "subj01, sub-02", [1, 2, "S1"], ("1", "2"), range(1, 3), np.array([1, 2])])
def test_several_subjects_are_a_list_or_a_text_with_commas(said: Any) -> None:
    assert subjects_of(said) == ("subj01", "subj02")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: subject_of("subj09"), "no subject 'subj09'"),
        (lambda: subject_of(0), "no subject '0'"),
        (lambda: subject_of(True), "subject is one name, not True"),
        (lambda: subject_of(["1", "2"]), r"subject is one name, not \['1', '2'\]"),
        (lambda: subjects_of([]), "subjects is empty: name one or more"),
        (lambda: subjects_of(1.0), "subjects: 1.0 is no list of names"),
        (
            lambda: the_choice("condition", ["imagery", "vision"], CONDITIONS),
            "condition is one of imagery, vision, not",
        ),
        (lambda: the_choice("condition", None, CONDITIONS), "condition is one of imagery, vision, not None"),
        (lambda: the_choice("condition", "imagry", CONDITIONS), "did you mean 'imagery'"),
        (lambda: the_word("roi", ["V1", "V2"]), "roi is one name"),
        (lambda: numbers_of("session", "one"), "session: 'one' is no whole number"),
        (lambda: numbers_of("session", [1.5]), "session: 1.5 is no whole number"),
        (lambda: words_of("roi", 7), "roi: 7 is no list of names"),
        (lambda: the_config("sub-09-imagery", CONFIGS), "no config 'sub-09-imagery'"),
    ],
)
def test_what_cannot_be_meant_is_one_line(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "config"),
    [
        ("sub-01-imagery", "subj01-imagery"),
        ("1-Imagery", "subj01-imagery"),
        (["subj01-imagery"], "subj01-imagery"),
        ("subj1-voxels-v1", "subj01-voxels-V1"),
        ("S2-imagery-streams:early", "subj02-imagery-streams.early"),
        ("STIMULI", "stimuli"),
    ],
)
def test_a_config_is_known_by_its_subject_in_any_spelling_and_by_its_roi_in_any_letters(said: Any, config: str) -> None:
    assert the_config(said, CONFIGS) == config
    if "v1" not in said and said != "STIMULI":
        assert str(read_config(said)) == config


@pytest.fixture(scope="module")
def built(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vision of subj01 in V1 and FFA."""
    folder = tmp_path_factory.mktemp("built") / "nsd_imagery"
    return nsd_imagery.build(release, folder, subjects="sub-01", conditions="Vision", roi="v1,ffa")


def test_a_build_names_its_configs_as_ever(built: Path) -> None:
    trials = [name for name in nsd_imagery.info(built)["configs"] if "vision" in name]
    assert sorted(trials) == ["subj01-vision-FFA", "subj01-vision-V1"]


def test_rows_are_found_by_the_spellings_of_people(release: Path, built: Path) -> None:
    expected = nsd_imagery.load(built, "subj01-vision-V1", "test")
    for rows in (
        nsd_imagery.load(built, "sub-01-vision-v1", "TEST"),
        nsd_imagery.NSDImageryDataset(built, "1", ["vision"], roi="v1", session="1").trials,
        nsd_imagery.NSDImageryDataset(release, 1, "vision", roi=["v1"], zscore=["auto"]).trials,
    ):
        np.testing.assert_array_equal(rows.with_format("numpy")["betas"][:], expected.with_format("numpy")["betas"][:])
    assert nsd_imagery.NSDImagery("S1-vision-v1", release).config.name == "subj01-vision-V1"
    voxels = nsd_imagery.NSDImageryDataset(built, "S1", roi="ffa").voxels
    assert voxels.num_rows == nsd_imagery.load(built, "1-voxels-ffa", "train").num_rows
    found, listed = nsd_imagery.find_roi(release, "sub-01", ["v1"]), nsd_imagery.rois(release, "1,2")
    assert (found.name, [one.subject for one in listed]) == ("V1", ["subj01", "subj02"])


def test_every_function_that_takes_subjects_takes_them_as_people_write_them(
    release: Path, dataset: Path, tmp_path: Path
) -> None:
    folder = nsd_imagery.synth(tmp_path / "r", subjects="2", format="HDF5")
    assert [path.name for path in nsd_imagery.index(folder, np.array([2])).glob("imagery/subj*")] == ["subj02.parquet"]
    assert nsd_imagery.verify(folder, "sub-02").passed
    assert {piece.key[:6] for piece in nsd_imagery.preview(release, tmp_path / "d", subjects="1,2").pieces} == {
        "subj01",
        "subj02",
    }
    assert nsd_imagery.export(dataset, tmp_path / "out", for_="mindeye", subjects=[2]).subjects == ("subj02",)


def test_a_roi_of_its_own_or_in_a_list_restricts(release: Path, dataset: Path) -> None:
    trials, voxels = (nsd_imagery.load(dataset, f"1-{kind}")[split] for kind, split in PARTS)
    some = [nsd_imagery.restrict(trials, voxels, roi, root=release).voxels.num_rows for roi in ("v1", ["V1"])]
    assert some[0] == some[1] > 0
    with pytest.raises(UsageError, match="roi is one name, not 7"):
        nsd_imagery.restrict(trials, voxels, 7, root=release)


def test_one_name_stands_for_a_list_of_one(dataset: Path) -> None:
    trials = nsd_imagery.load(dataset, "subj01-vision", "test")
    assert set(nsd_imagery.torch_view(trials, "stimulus")[0]) == {"stimulus"}
    of_one = nsd_imagery.NSDImageryDataset(dataset, 1, "vision", stimuli="nsd28751", columns="stimulus")
    assert (set(of_one[:]["stimulus"]), set(of_one[0])) == ({"nsd28751"}, {"stimulus", "betas"})


def test_a_column_of_a_view_is_that_of_all_rows(dataset: Path) -> None:
    trials = nsd_imagery.load(dataset, "subj01-vision", "test")
    view = nsd_imagery.torch_view(trials, ["target", "betas"])
    assert torch.equal(view["betas"], view[:]["betas"])
    assert view["target"] == trials["target"][:]
    vectors = {stimulus: np.ones(3) for stimulus in trials["stimulus"]}
    embedded = nsd_imagery.NSDImageryDataset(dataset, 1, "vision", clip_cache=vectors)
    assert embedded["clip_embedding"].shape == (144, 3)
    with pytest.raises(UsageError, match=r"no column 'tarket' .did you mean 'target'"):
        view["tarket"]


@pytest.fixture
def indexed(own_core_release: Path) -> Path:
    nsd_imagery.index(own_core_release)
    return own_core_release


def test_what_index_gives_read_index_reads_and_so_does_a_dataset(
    indexed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSD_CACHE_ROOT", str(tmp_path))  # is not the root that the index lies in
    folder = nsd_imagery.index(indexed)
    files = [folder / name / "full_index.parquet" for name in ("imagery", "perception")]
    whole = nsd_imagery.read_index(folder)
    assert whole.num_rows == sum(nsd_imagery.read_index(file).num_rows for file in files) == 720 + 3 * 750
    assert nsd_imagery.read_index(folder / "imagery").equals(nsd_imagery.read_index(files[0]))
    rows = nsd_imagery.NSDImageryDataset(folder, condition="vision")
    of_file = nsd_imagery.NSDImageryDataset(files[0], condition="vision")
    assert torch.equal(rows["betas"], of_file["betas"])
    assert rows.voxels.num_rows == of_file.voxels.num_rows
    with pytest.raises(MissingDataError, match=r"folder without full_index.parquet; .*indices is one"):
        nsd_imagery.read_index(indexed)
    with pytest.raises(MissingDataError, match="write it with: nsd-imagery index ROOT"):
        nsd_imagery.read_index(indexed / "nsddata")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"workers": 4}, "ProcessPoolExecutor.4. as executor: nsd_imagery.build.*executor=executor.*build --workers 4"),
        ({"scheduler": "tcp://a:1"}, "get_executor.pure=False.*nsd-imagery build --scheduler"),
        ({"dry_run": True}, r"nsd_imagery.preview\(...\) says"),
        ({"smoothing": 3}, "did you mean 'smoothing_fwhm'.*there are: root, out,"),
    ],
)
def test_an_argument_that_only_the_command_has_is_explained(
    release: Path, tmp_path: Path, argument: dict[str, Any], words: str
) -> None:
    for function in (nsd_imagery.build, nsd_imagery.preview, nsd_imagery.plan):
        with pytest.raises(UsageError, match=words):
            function(release, tmp_path / "d", **argument)
    assert not (tmp_path / "d").exists()


def test_a_plan_explains_workers_too(release: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="executor=executor"):
        nsd_imagery.plan(release, tmp_path / "d", subjects=1, roi="V1").build(workers=2)
