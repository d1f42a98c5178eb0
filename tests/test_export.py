"""`export`: decoders of the field read a folder's own rows, averages and labels; what is missing is one line."""

import json
import os
import pickletools
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import mindeye
import nsd_imagery
from folders import own
from nsd_imagery.cli.app import cli
from nsd_imagery.errors import (
    AccessError,
    BusyError,
    DataError,
    FolderError,
    MissingDataError,
    MissingExtraError,
    SpaceError,
    UsageError,
)
from nsd_imagery.experiment import SYNTHETIC_MARKER
from nsd_imagery.interop.export import Exported
from nsd_imagery.locks import holding
from nsd_imagery.sources.release_files import expected_betas

pytestmark = pytest.mark.slow

IMAGERY = "preprocessed_data/subject1/nsd_imagery.pt"
CORE = "betas_all_subj01_fp32_renorm.hdf5"
FILES = {mindeye.LABELS, mindeye.PICTURES, IMAGERY, CORE}
BETA_FILE = "nsdimagerybetas_fithrf_GLMdenoise_RR/betas_nsdimagery.hdf5"
CONDITIONS = ("imagery", "vision", "attention")


def export(dataset: Path, out: Path, **options: object) -> Exported:
    return nsd_imagery.export(dataset, out, for_="mindeye", **options)


@pytest.fixture(scope="module")
def built(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of subj01 with all defaults. Not to be changed."""
    return nsd_imagery.build(core_release, tmp_path_factory.mktemp("built") / "nsd_imagery")


@pytest.fixture(scope="module")
def exported(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of `built`. Not to be changed."""
    return export(built, tmp_path_factory.mktemp("exported") / "root").out


@pytest.fixture
def small(dataset: Path, tmp_path: Path) -> Path:
    """A copy of a folder of two subjects, without perception, that a test may change."""
    return own(dataset, tmp_path / "small")


def rows_of(dataset: Path, condition: str, subject: str = "subj01") -> dict[str, np.ndarray]:
    """The rows of a trial config in the order of the beta file."""
    trials = nsd_imagery.load(dataset, f"{subject}-{condition}", "test")
    order = np.argsort(trials["beta_index"][:])
    columns = trials.select(order).with_format("numpy")[:]
    return {name: np.asarray(values) for name, values in columns.items()}


@pytest.mark.parametrize("mode", ["vision", "imagery"])
def test_a_loader_of_the_field_reads_the_folders_own_rows_and_runs(built: Path, exported: Path, mode: str) -> None:
    rows = rows_of(built, mode)
    betas, _ = mindeye.imagery(exported, mode)
    np.testing.assert_array_equal(betas.numpy(), rows["betas"])
    exps, _, _ = mindeye.labels(exported)
    assert exps[rows["beta_index"]].tolist() == rows["run_name"].tolist()


@pytest.mark.parametrize("mode", ["vision", "imagery"])
@pytest.mark.parametrize("stimuli", ["simple", "complex", "concepts", "all"])
def test_its_labels_are_the_targets_that_were_seen_or_imagined(
    built: Path, exported: Path, mode: str, stimuli: str
) -> None:
    rows = rows_of(built, mode)
    of_set = np.isin(rows["stimulus_set"], list(mindeye.SETS[stimuli]))
    _, of_row = mindeye.imagery(exported, mode, stimuli)
    named = {(position, target) for position, target in zip(of_row, rows["target"][of_set], strict=True)}
    assert len(named) == len({position for position, _ in named}) == 6 * len(mindeye.SETS[stimuli])
    first = 0 if stimuli == "all" else 6 * "ABC".index(mindeye.SETS[stimuli])
    assert min(of_row) == first
    if mode == "vision":
        assert (rows["cue_matches"] == 0).sum() == 72  # half of them show another target's letter


def test_its_averages_are_those_of_the_package(built: Path, exported: Path) -> None:
    _, _, image_map = mindeye.labels(exported)
    stimuli = nsd_imagery.load(built, "stimuli", "train").remove_columns("image")
    position = {row["target"]: image_map[row["cue"]] for row in stimuli if row["target"]}
    for mode in ("vision", "imagery"):
        means = nsd_imagery.average_repeats(nsd_imagery.load(built, f"subj01-{mode}", "test"))
        order = np.argsort([position[target] for target in means["target"]])
        theirs = mindeye.averages(*mindeye.imagery(exported, mode))
        np.testing.assert_allclose(theirs, means.with_format("numpy")[:]["betas"][order], atol=1e-6)


def test_pictures_are_those_of_the_labels_and_words_have_none(built: Path, exported: Path) -> None:
    _, _, image_map = mindeye.labels(exported)
    assert "".join(sorted(image_map, key=image_map.__getitem__)) == "HRVLPEWKBCDTSZMYNF"
    pictures = torch.load(exported / mindeye.PICTURES)
    assert (pictures.shape, pictures.dtype) == ((18, 3, 425, 425), torch.float32)
    for row in nsd_imagery.load(built, "stimuli", "train"):
        if row["target"] and row["stimulus_set"] in "AB":
            theirs = (pictures[image_map[row["cue"]]].numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
            np.testing.assert_array_equal(theirs, np.asarray(row["image"].convert("RGB")))
    assert pictures[12:].isnan().all()
    assert not pictures[:12].isnan().any()


def test_a_picture_of_another_size_is_resized(own_release: Path, tmp_path: Path) -> None:
    (path,) = own_release.glob("nsddata/experiments/nsdimagery/rawtargetimages/setA/bar_000*.png")
    path.unlink()
    Image.new("L", (850, 400), 51).save(path)
    dataset = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    pictures = torch.load(export(dataset, tmp_path / "out").out / mindeye.PICTURES)
    np.testing.assert_allclose(pictures[0], 0.2, atol=1e-6)


@pytest.mark.parametrize("option", ["auto", "none", "session", "run"])
def test_z_scores_are_those_of_their_own_arithmetic_whatever_the_folders_are(
    core_release: Path, built: Path, tmp_path: Path, option: str
) -> None:
    options = {"subjects": ["subj01"], "zscore": option}
    dataset = built if option == "auto" else nsd_imagery.build(core_release, tmp_path / "d", **options)
    out = export(dataset, tmp_path / "out").out
    exps, _, _ = mindeye.labels(out)
    percent = mindeye.percent(core_release, BETA_FILE)
    theirs = torch.empty_like(percent)
    for run in np.unique(exps):
        theirs[exps == run] = mindeye.zscore(percent[exps == run])
    np.testing.assert_allclose(torch.load(out / IMAGERY), theirs, atol=2e-5)
    sessions = [f"betas_fithrf_GLMdenoise_RR/betas_session{number:02d}.hdf5" for number in (1, 2, 3)]
    core = torch.cat([mindeye.zscore(mindeye.percent(core_release, path)) for path in sessions])
    assert mindeye.core(out).dtype == np.float32
    np.testing.assert_allclose(mindeye.core(out), core, atol=2e-5)


def test_attention_has_both_epochs_in_one_z_score_and_the_attended_letter(built: Path, exported: Path) -> None:
    rows = rows_of(built, "attention")
    exps, cues, _ = mindeye.labels(exported)
    assert cues[rows["beta_index"]].tolist() == rows["cue"].tolist()
    betas = torch.load(exported / IMAGERY).numpy()[exps == "attB"]
    varies = betas.any(axis=0)
    np.testing.assert_allclose(betas.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(betas.std(axis=0, ddof=1)[varies], 1, atol=1e-6)
    assert abs(betas[::2].mean(axis=0)).max() > 0.1  # which z-scores of each epoch alone would not have


def test_the_label_file_calls_nothing_but_numpys_array(exported: Path) -> None:
    calls = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD"}
    words: list[object] = []
    found = []
    for opcode, argument, _ in pickletools.genops((exported / mindeye.LABELS).read_bytes()):
        words += [argument] if isinstance(argument, str) else []
        found += [(opcode.name, *words[-2:])] if opcode.name in calls else []
    assert found == [("STACK_GLOBAL", "numpy", "array")]


@pytest.fixture
def gappy(own_release: Path, tmp_path: Path) -> Path:
    """A folder in which volume 100, of attention, has no data."""
    path = own_release / f"{expected_betas('fithrf_GLMdenoise_RR', 'subj01')}.hdf5"
    with h5py.File(path) as file:
        betas = file["betas"][:]
    betas[100] = 0
    path.unlink()
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=betas, chunks=(720, 1, 1, 1))
    path.with_name("betas_nsdimagery.nii.gz").unlink()
    return nsd_imagery.build(own_release, tmp_path / "gappy", subjects=["subj01"])


def test_a_row_without_data_is_0_in_no_mean_and_named(gappy: Path, tmp_path: Path) -> None:
    done = export(gappy, tmp_path / "out")
    betas = torch.load(done.out / IMAGERY).numpy()
    assert np.flatnonzero(~betas.any(axis=1)).tolist() == [100]
    rest = betas[np.setdiff1d(np.arange(48, 144), 100)]  # attA
    np.testing.assert_allclose(rest.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(rest.std(axis=0, ddof=1)[rest.any(axis=0)], 1, atol=1e-6)
    assert f"{IMAGERY}: 1 rows without data are 0, and in no mean or sd: 100" in done.notes


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"conditions": ["imagery", "vision"]}, MissingDataError, "holds no subj01-attention"),
        ({"roi": "V1"}, MissingDataError, "holds no subj01-imagery, subj01-vision, subj01-attention .* in nsdgeneral"),
        ({"smoothing_fwhm": 3, "betas": "fithrf", "zscore": "none"}, UsageError, r"betas are smoothed \(3 mm\)"),
        ({"dtype": "float16"}, UsageError, "betas are float16"),
    ],
    ids=["attention", "nsdgeneral", "smoothed", "float16"],
)
def test_another_build_is_one_line_whose_command_makes_the_one_that_is_needed(
    release: Path, tmp_path: Path, options: dict[str, object], error: type[Exception], said: str
) -> None:
    dataset = nsd_imagery.build(release, tmp_path / "d", subjects=["subj01"], **options)
    with pytest.raises(error, match=said) as refused:
        export(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    message = str(refused.value)
    assert "\n" not in message
    command = re.search(r"nsd-imagery (build [^;]*)", message)
    assert command
    words = command[1].replace("ROOT", str(release)).replace("FOLDER", str(tmp_path / "other")).split()
    assert CliRunner().invoke(cli, words, standalone_mode=False).exception is None
    made = Path(words[words.index("--out") + 1])
    export(made, tmp_path / "out", subjects=["subj01"])
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["recipe"]["beta_version"] == options.get("betas", "fithrf_GLMdenoise_RR")


def test_a_subject_that_is_not_there_is_named_with_those_that_are(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no subject 'subj03'.*; there are: subj01, subj02"):
        export(dataset, tmp_path / "out", subjects=["subj03"])
    with pytest.raises(UsageError, match=r"no decoder 'mindeye3' \(did you mean 'mindeye'\?\)"):
        nsd_imagery.export(dataset, tmp_path / "out", for_="mindeye3")


def test_a_folder_without_subjects_is_one_line(
    small: Path, tmp_path: Path, rewrite: Callable[[Path, Callable[[str], str]], None]
) -> None:
    def stimuli_alone(text: str) -> str:
        said = json.loads(text)
        return json.dumps({**said, "configs": {"stimuli": said["configs"]["stimuli"]}})

    rewrite(small / "manifest.json", stimuli_alone)
    with pytest.raises(MissingDataError, match="holds no subject; build one: nsd-imagery build ROOT --out"):
        export(small, tmp_path / "out")


def test_a_gap_in_the_sessions_of_core_would_move_rows_and_is_refused(own_core_release: Path, tmp_path: Path) -> None:
    for path in own_core_release.rglob("betas_session02.*"):
        path.unlink()
    dataset = nsd_imagery.build(own_core_release, tmp_path / "d")
    with pytest.raises(MissingDataError, match="subj01-perception lacks session 2 of 3") as refused:
        export(dataset, tmp_path / "out")
    command = re.search(r"without perception: nsd-imagery (build .*)", str(refused.value))
    assert command
    words = command[1].replace("ROOT", str(own_core_release)).replace("FOLDER", str(tmp_path / "other")).split()
    assert CliRunner().invoke(cli, words, standalone_mode=False).exception is None
    assert set(export(tmp_path / "other", tmp_path / "out").written) == FILES - {CORE}


def test_z_scores_that_nothing_undoes_are_one_line(
    small: Path, tmp_path: Path, rewrite: Callable[[Path, Callable[[str], str]], None]
) -> None:
    def without_stats(text: str) -> str:
        said = json.loads(text)
        del said["configs"]["subj01-stats"]
        return json.dumps(said)

    rewrite(small / "manifest.json", without_stats)
    with pytest.raises(MissingDataError, match="subj01-stats does not say what subj01/nsdimagery/01 was z-scored by"):
        export(small, tmp_path / "out")


def test_a_folder_without_the_pictures_is_one_line(own_release: Path, tmp_path: Path) -> None:
    shutil.rmtree(own_release / "nsddata/experiments/nsdimagery/rawtargetimages")
    dataset = nsd_imagery.build(own_release, tmp_path / "d", subjects=["subj01"])
    with pytest.raises(MissingDataError, match=r"stimuli has no picture of bar_000.*copy .*rawtargetimages into ROOT"):
        export(dataset, tmp_path / "out")


def test_a_damaged_shard_is_exported_nowhere(small: Path, tmp_path: Path) -> None:
    (shard,) = (small / "subj01-vision").iterdir()
    contents = bytearray(shard.read_bytes())
    contents[-2000] ^= 1
    shard.unlink()
    shard.write_bytes(contents)
    with pytest.raises(DataError, match=r"subj01-vision/.*: sha256 is"):
        export(small, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_real_data_is_exported_only_after_the_terms_are_accepted(
    own_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NSD_IMAGERY_ACCEPT_TERMS", raising=False)
    (own_release / SYNTHETIC_MARKER).unlink()
    dataset = nsd_imagery.build(own_release, tmp_path / "real", subjects=["subj01"])
    with pytest.raises(AccessError, match="export: NSD's terms are not accepted here; read them: nsd-imagery terms"):
        export(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    nsd_imagery.accept_terms()
    assert not any("synthetic" in note for note in export(dataset, tmp_path / "out").notes)


def test_files_of_others_stay_and_are_replaced_only_when_that_is_said(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "root"
    theirs = {out / mindeye.PICTURES: b"theirs", out / "preprocessed_data" / "subject3" / "nsd_imagery.pt": b"other"}
    for path, contents in theirs.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(contents)
    with pytest.raises(FolderError, match=r"imagery_stimuli_18\.pt: is there, and no export wrote it; .*--replace"):
        export(dataset, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file() and path.name[0] != "."} == theirs
    export(dataset, out, replace=True)
    assert torch.load(out / mindeye.PICTURES).shape[0] == 18
    assert (out / "preprocessed_data" / "subject3" / "nsd_imagery.pt").read_bytes() == b"other"


def test_an_export_again_keeps_what_is_right_and_mends_what_is_not(
    dataset: Path, release: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = export(dataset, out)
    assert set(first.written) == {*FILES - {CORE}, "preprocessed_data/subject2/nsd_imagery.pt"}
    before = {path: (out / path).read_bytes() for path in first.written}
    assert (export(dataset, out).written, set(export(dataset, out).kept)) == ((), set(first.written))
    (out / IMAGERY).unlink()
    assert export(dataset, out).written == (IMAGERY,)
    assert (out / IMAGERY).read_bytes() == before[IMAGERY]
    other = nsd_imagery.build(release, tmp_path / "b2", subjects=["subj01"], betas="fithrf")
    assert export(other, out).written == (IMAGERY,)  # ours, so that nothing has to be said
    assert (out / IMAGERY).read_bytes() != before[IMAGERY]


def test_a_file_that_was_changed_since_is_no_longer_an_exports(dataset: Path, tmp_path: Path) -> None:
    out = export(dataset, tmp_path / "out", subjects=["subj01"]).out
    (out / IMAGERY).write_bytes(b"trained on")
    with pytest.raises(FolderError, match=r"nsd_imagery\.pt: is there, and no export wrote it"):
        export(dataset, out, subjects=["subj01"])


def test_an_export_that_was_killed_before_a_rename_is_known_to_the_next(
    dataset: Path, release: Path, tmp_path: Path
) -> None:
    out = export(dataset, tmp_path / "out", subjects=["subj01"]).out
    old = (out / IMAGERY).read_bytes()
    other = nsd_imagery.build(release, tmp_path / "b2", subjects=["subj01"], betas="fithrf")
    export(other, out)
    new = (out / IMAGERY).read_bytes()
    (out / IMAGERY).write_bytes(old)  # the note is already of the new one
    assert export(other, out).written == (IMAGERY,)
    assert (out / IMAGERY).read_bytes() == new


def test_a_stopped_export_leaves_nothing_half_and_goes_on(built: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def stop(done: int, total: int, what: str) -> None:
        if what.endswith("session 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(built, out, progress=stop)
    left = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.name[0] != "."}
    assert left == {*FILES - {CORE}, "nsd_imagery_export.json"}
    assert not list(out.rglob(".partial-*"))
    steps: list[tuple[int, int, str]] = []
    assert export(built, out, progress=lambda *step: steps.append(step)).written == (CORE,)
    assert steps == [(number, 3, f"{CORE} session {number + 1}") for number in range(3)]
    assert (out / CORE).read_bytes() == (exported / CORE).read_bytes()


def test_subjects_of_other_labels_share_no_place(dataset: Path, tmp_path: Path) -> None:
    out = export(dataset, tmp_path / "out", subjects=["subj01"]).out
    before = (out / mindeye.LABELS).read_bytes()
    other = nsd_imagery.synth(tmp_path / "other", subjects=("subj02",), seed=7, format="hdf5")
    other = nsd_imagery.build(other, tmp_path / "d")
    with pytest.raises(FolderError, match=r"holds preprocessed_data/subject1/nsd_imagery\.pt, exported with other lab"):
        export(other, out)
    assert (out / mindeye.LABELS).read_bytes() == before
    assert IMAGERY.replace("1", "2") in export(other, tmp_path / "own place").written


def test_one_export_writes_at_a_time(dataset: Path, tmp_path: Path) -> None:
    lock = holding(tmp_path / "out" / ".nsd_imagery_export.lock", str)
    with lock, pytest.raises(BusyError, match=f"another export is writing here .process {os.getpid()}"):
        export(dataset, tmp_path / "out")


def test_an_export_without_room_is_refused_before_it_writes(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(SpaceError, match="the export needs about 41 MB, but 0 MB are free"):
        export(dataset, tmp_path / "out")
    assert not (tmp_path / "out" / mindeye.LABELS).exists()


def test_without_torch_one_line_says_what_to_install(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nsd-imagery\[torch\]'"):
        export(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_lists_files_and_says_what_stands_for_the_words(dataset: Path, tmp_path: Path) -> None:
    words = ["export", str(dataset), str(tmp_path / "out"), "--for", "mindeye", "--subjects", "subj02"]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None
    assert "  preprocessed_data/subject2/nsd_imagery.pt: 0." in done.stdout
    assert f"note: {mindeye.PICTURES}: 12 to 17, the words of set C, are NaN: a word has no picture" in done.stdout
    assert "note: the data are synthetic" in done.stdout
    assert done.stdout.endswith(f"{tmp_path / 'out'}: subj02, fithrf_GLMdenoise_RR, for mindeye\n")
    assert f"  {mindeye.LABELS}: is there" in CliRunner().invoke(cli, words, standalone_mode=False).stdout
    help_text = CliRunner().invoke(cli, ["export", "--help"]).stdout
    assert "  nsd-imagery export ./nsd_imagery ./decoder --for mindeye\n" in help_text
