"""NSD core beside NSD-Imagery: proven labels, the shared pictures, and folders that grow session by session."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets, load_dataset
from scipy.io import savemat
from torch.utils.data import DataLoader

import nsd_imagery
from nsd_imagery.dataset.folder import read_manifest
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.sources import nsd
from nsd_imagery.sources.release_files import expected_nsd_betas, responses_file, stim_info_file
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.responses import read_responses
from truth import planted

BETAS = "fithrf_GLMdenoise_RR"
SESSION = expected_nsd_betas(BETAS, "subj01")
SET_B = [28751, 30856, 53881, 61177, 65872]
CONDITIONS = ("imagery", "vision", "attention", "perception")

Rewrite = Callable[[Path, Callable[[str], str]], None]


def load(folder: Path, config: str, cache: str, split: str | None = None) -> Dataset:
    loaded = load_dataset(str(folder), config, split=split, cache_dir=cache)
    if isinstance(loaded, DatasetDict):
        return concatenate_datasets(list(loaded.values()))
    return loaded


def numbers(dataset: Dataset, column: str = "betas") -> np.ndarray:
    return np.asarray(dataset.with_format("numpy")[column][:], np.float64)


def lines(root: Path) -> list[dict[str, str]]:
    with responses_file(root, "subj01").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def hashes(folder: Path) -> dict[str, set[str]]:
    """Logical hashes of the shards by piece."""
    manifest = read_manifest(folder)
    assert manifest is not None
    found: dict[str, set[str]] = {}
    for shard in manifest.shards:
        assert (folder / shard.file).stat().st_size == shard.bytes
        if shard.piece is not None:
            found.setdefault(shard.piece, set()).add(shard.hash)
    return found


def take(root: Path, name: str, into: Path) -> None:
    target = into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(root / name, target)


def test_a_session_is_750_trials_split_by_the_shared_pictures(core_dataset: Path, hf_cache: str) -> None:
    train, test = (load(core_dataset, "subj01-perception", hf_cache, split) for split in ("train", "test"))
    assert train.num_rows + test.num_rows == 3 * 750
    assert not any(train["shared1000"])
    assert all(test["shared1000"])
    assert 0 < test.num_rows < train.num_rows
    for split in (train, test):
        assert all(column.null_count == 0 for column in split.data.table.columns)
        assert Counter(split["session"]).keys() == {1, 2, 3}
        batch = next(iter(DataLoader(split.with_format("torch"), batch_size=4)))
        assert batch["betas"].shape == (4, split.features["betas"].length)
    assert sorted(path.name.rpartition("-")[0] for path in (core_dataset / "subj01-perception").iterdir()) == [
        f"{split}-{n:05d}-of-00003" for split in ("test", "train") for n in range(3)
    ]


def test_labels_are_those_of_responses_tsv_with_0_based_ids(
    core_release: Path, core_dataset: Path, hf_cache: str
) -> None:
    rows = load(core_dataset, "subj01-perception", hf_cache).remove_columns("betas").to_pandas()
    rows = rows.sort_values(["session", "trial_in_session"]).reset_index(drop=True)
    said = lines(core_release)[: len(rows)]
    assert rows["nsd_id"].tolist() == [int(float(line["73KID"])) - 1 for line in said]
    assert rows["stimulus"].tolist() == [f"nsd{int(float(line['73KID'])) - 1}" for line in said]
    assert rows["run_number"].tolist() == [int(float(line["RUN"])) for line in said]
    assert rows["response"].tolist() == [int(line["BUTTON"].replace("NaN", "-1")) for line in said]
    np.testing.assert_allclose(rows["response_time"], [float(line["RT"]) / 1000 for line in said], rtol=1e-6)
    table = pd.read_csv(stim_info_file(core_release)).set_index("nsdId")
    assert rows["coco_id"].tolist() == table.loc[rows["nsd_id"], "cocoId"].tolist()
    assert rows["shared1000"].tolist() == table.loc[rows["nsd_id"], "shared1000"].tolist()
    assert (rows["beta_index"] == rows["trial_in_session"]).all()
    assert rows["trial_id"].is_unique


def test_repeats_are_counted_over_all_sessions_whichever_are_there(core_release: Path, own_core_release: Path) -> None:
    (own_core_release / f"{SESSION}02.hdf5").unlink()
    whole = nsd.read_sessions(ReleaseTables(core_release), "subj01", BETAS)
    seen: Counter[str] = Counter()
    expected = []
    for line in lines(core_release)[:2250]:
        expected.append(seen[line["73KID"]])
        seen[line["73KID"]] += 1
    got = [repeat for session in whole for repeat in session.rows["repeat_index"].to_pylist()]
    assert got == expected
    assert max(got) > 0
    with_a_gap = nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)
    assert [session.session for session in with_a_gap] == [1, 3]
    assert with_a_gap[1].rows.equals(whole[2].rows)


def test_scores_are_over_the_whole_session_and_the_stats_undo_them(
    core_release: Path, core_dataset: Path, tmp_path: Path, hf_cache: str
) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "z", conditions=["perception"])
    scored = load(folder, "subj01-perception", hf_cache)
    percent = load(core_dataset, "subj01-perception", hf_cache)
    assert scored["trial_id"][:] == percent["trial_id"][:]
    stats = load(folder, "subj01-stats", hf_cache)
    assert list(zip(stats["experiment"], stats["session"], stats["run_number"], strict=True)) == [
        ("nsd", session, -1) for session in (1, 2, 3)
    ]
    sessions = np.asarray(scored["session"][:])
    for at, session in enumerate((1, 2, 3)):
        z, raw = numbers(scored)[sessions == session], numbers(percent)[sessions == session]
        mean, sd = numbers(stats, "mean")[at], numbers(stats, "sd")[at]
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(z[:, sd > 0].std(axis=0, ddof=1), 1, atol=1e-6)
        np.testing.assert_allclose(z * sd + mean, raw, atol=1e-5)
        assert not z[:, sd == 0].any()


def test_perception_filtered_to_what_was_imagined_leaves_the_five_pictures(core_dataset: Path, hf_cache: str) -> None:
    imagery = load(core_dataset, "subj01-imagery", hf_cache)
    perception = load(core_dataset, "subj01-perception", hf_cache, "test")
    imagined = set(imagery.filter(lambda shared: shared, input_columns="is_shared")["nsd_id"])
    shared = perception.filter(lambda nsd_id: nsd_id in imagined, input_columns="nsd_id")
    assert sorted(set(shared["nsd_id"])) == SET_B
    assert all(shared["is_shared"])
    assert sum(perception["is_shared"]) == shared.num_rows


@pytest.mark.parametrize("condition", ["imagery", "vision", "perception"])
def test_joining_on_the_picture_shows_the_same_picture_on_both_sides(
    core_dataset: Path, core_release: Path, hf_cache: str, condition: str
) -> None:
    """In every condition the betas of a picture hold the pattern planted for it, not that of another of the five."""
    trials = load(core_dataset, f"subj01-{condition}", hf_cache)
    trials = trials.filter(lambda nsd_id: nsd_id in SET_B, input_columns="nsd_id")
    voxels = load(core_dataset, "subj01-voxels", hf_cache).to_pandas()
    early = voxels["prf-visualrois"].ne("").to_numpy()
    where = np.zeros(nib.load(core_release / "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz").shape, bool)
    where[tuple(voxels.loc[early, ["i", "j", "k"]].to_numpy().T)] = True
    betas = numbers(trials)[:, early]
    likeness = []
    for shift in range(len(SET_B)):
        stimuli = [f"nsd{SET_B[(SET_B.index(nsd_id) + shift) % len(SET_B)]}" for nsd_id in trials["nsd_id"]]
        pairs = zip(betas, planted(core_release, stimuli, where), strict=True)
        likeness.append(np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]))
    assert likeness[0] > 0.1
    assert likeness[0] > max(likeness[1:]) + 0.05


def test_all_conditions_of_a_subject_concatenate(core_dataset: Path, hf_cache: str) -> None:
    parts = [load(core_dataset, f"subj01-{condition}", hf_cache) for condition in CONDITIONS]
    assert concatenate_datasets(parts).num_rows == 720 + 2250
    assert len({str(part.features) for part in parts}) == 1


def test_the_voxels_say_where_core_has_data_and_signal(core_release: Path, core_dataset: Path, hf_cache: str) -> None:
    voxels = load(core_dataset, "subj01-voxels", hf_cache).to_pandas()
    assert set(np.round(voxels["valid_nsd"] * 3, 4)) >= {2.0, 3.0}
    assert (voxels["ncsnr_nsd"] >= 0).all()
    zero = numbers(load(core_dataset, "subj01-perception", hf_cache)).any(axis=0)
    assert (zero == (voxels["valid_nsd"] > 0)).all()


def test_a_session_or_core_more_changes_no_shard_of_other_pieces(
    core_release: Path, own_core_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    away = tmp_path / "away"
    for number in (1, 2, 3):
        take(own_core_release, f"{SESSION}0{number}.hdf5", away)
        (own_core_release / f"{SESSION}0{number}.hdf5").unlink()
    folder = tmp_path / "nsd_imagery"
    before: dict[str, set[str]] = {}
    for number in (None, 1, 3, 2):
        if number:
            take(away, f"{SESSION}0{number}.hdf5", own_core_release)
        inodes = {path.stat().st_ino for path in folder.rglob("*.arrow") if "voxels" not in path.parts[-2]}
        nsd_imagery.build(own_core_release, folder)
        after = hashes(folder)
        assert {piece: after[piece] for piece in before} == before
        assert inodes <= {path.stat().st_ino for path in folder.rglob("*.arrow")}
        before = after
    fresh = nsd_imagery.build(core_release, tmp_path / "fresh")
    assert (folder / "README.md").read_bytes() == (fresh / "README.md").read_bytes()
    assert load(folder, "subj01-stats", hf_cache).num_rows == 15 + 3


@pytest.mark.slow
def test_building_one_condition_keeps_the_statistics_that_others_need(
    core_release: Path, tmp_path: Path, hf_cache: str
) -> None:
    whole = nsd_imagery.build(core_release, tmp_path / "whole")
    folder = tmp_path / "nsd_imagery"
    for conditions in (["imagery"], ["perception"], ["vision"], ["attention"], ["perception"]):
        nsd_imagery.build(core_release, folder, conditions=conditions)
        stats = load(folder, "subj01-stats", hf_cache)
        assert stats.num_rows == (15 if conditions == ["imagery"] else 18)
    assert (folder / "README.md").read_bytes() == (whole / "README.md").read_bytes()
    again = {path: path.stat().st_ino for path in folder.rglob("*.arrow") if "voxels" not in path.parts[-2]}
    nsd_imagery.build(core_release, folder, conditions=["perception"])
    assert {path: path.stat().st_ino for path in again} == again


def test_core_alone_builds_and_without_behaviour_it_is_left_out_and_said(
    own_core_release: Path, tmp_path: Path
) -> None:
    responses_file(own_core_release, "subj01").unlink()
    folder = nsd_imagery.build(own_core_release, tmp_path / "a")
    notes = nsd_imagery.info(folder)["notes"]
    assert any("NSD core of subj01 is left out: nsddata/ppdata/subj01/behav/responses.tsv" in note for note in notes)
    with pytest.raises(MissingDataError, match=r"responses\.tsv: no such file"):
        nsd_imagery.build(own_core_release, tmp_path / "b", conditions=["perception"])


def test_a_root_with_nothing_but_core_builds_perception(core_release: Path, tmp_path: Path, hf_cache: str) -> None:
    root = tmp_path / "core"
    names = [f"{SESSION}02.hdf5", "nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz"]
    for name in [*names, *(str(f(core_release).relative_to(core_release)) for f in (stim_info_file, responses_of))]:
        take(core_release, name, root)
    folder = nsd_imagery.build(root, tmp_path / "d")
    facts = nsd_imagery.info(folder)
    assert list(facts["configs"]) == ["subj01-perception", "subj01-voxels", "subj01-stats"]
    assert "subj01-perception: sessions not in the root when it was built: 1, 3-40" in facts["missing"]
    assert any("is_shared is false in perception" in note for note in facts["notes"])
    assert not any(load(folder, "subj01-perception", hf_cache)["is_shared"])


def responses_of(root: Path) -> Path:
    return responses_file(root, "subj01")


def test_without_the_picture_table_there_is_no_split_and_so_no_perception(
    own_core_release: Path, tmp_path: Path
) -> None:
    stim_info_file(own_core_release).unlink()
    assert "subj01-perception" not in nsd_imagery.info(nsd_imagery.build(own_core_release, tmp_path / "a"))["configs"]
    with pytest.raises(MissingDataError, match=r"nsd_stim_info_merged\.csv: no such file; copy it from"):
        nsd_imagery.build(own_core_release, tmp_path / "b", conditions=["perception"])


@pytest.mark.slow
def test_either_format_gives_the_same_rows(core_dataset: Path, tmp_path: Path, hf_cache: str) -> None:
    root = nsd_imagery.synth(tmp_path / "nifti", format="nii.gz", perception_sessions=1)
    folder = nsd_imagery.build(root, tmp_path / "d", conditions=["perception"], zscore="none")
    mine = load(folder, "subj01-perception", hf_cache)
    first = load(core_dataset, "subj01-perception", hf_cache).filter(lambda n: n == 1, input_columns="session")
    np.testing.assert_array_equal(numbers(mine), numbers(first))
    assert mine["trial_id"][:] == first["trial_id"][:]


def test_the_builder_class_gives_the_rows_of_the_folder(core_release: Path, core_dataset: Path, hf_cache: str) -> None:
    builder = nsd_imagery.NSDImagery("subj01-perception", root=core_release, zscore="none", cache_dir=hf_cache)
    builder.download_and_prepare()
    for split in ("train", "test"):
        built, folder = builder.as_dataset(split=split), load(core_dataset, "subj01-perception", hf_cache, split)
        assert built.features == folder.features
        assert built["trial_id"][:] == folder["trial_id"][:]
        np.testing.assert_array_equal(numbers(built), numbers(folder))


def test_the_guides_lines_hold_on_the_index(core_release: Path, tmp_path: Path) -> None:
    out = nsd_imagery.index(core_release, out=tmp_path / "indices")
    imagery_index = pd.read_parquet(out / "imagery" / "subj01.parquet")
    perception_index = pd.read_parquet(out / "perception" / "full_index.parquet")
    assert perception_index["is_valid"].all()
    assert len(imagery_index[imagery_index["condition"] == "imagery"]) == 288
    assert set(imagery_index["subject"].unique()) & set(perception_index["subject"].unique()) == {"subj01"}
    valid = set(imagery_index["nsd_id"].dropna().astype(int).unique())
    shared = perception_index[perception_index["nsd_id"].isin(valid)]
    assert set(SET_B) < set(shared["nsd_id"]) <= valid
    repeats = imagery_index[imagery_index["condition"] == "imagery"].groupby("target").size()
    assert set(repeats) == {16}
    assert not set(imagery_index["trial_id"]) & set(perception_index["trial_id"])


def edit(column: str, value: str, row: int = 1000) -> Callable[[str], str]:
    """Give a field of a line (0-based row) another value."""

    def change(text: str) -> str:
        rows = [line.split("\t") for line in text.splitlines()]
        rows[row + 1][rows[0].index(column)] = value
        return "\n".join("\t".join(fields) for fields in rows) + "\n"

    return change


def drop(*rows: int) -> Callable[[str], str]:
    return lambda text: "".join(
        line for number, line in enumerate(text.splitlines(keepends=True)) if number - 1 not in rows
    )


def twice(text: str) -> str:
    return text + text.splitlines(keepends=True)[1001]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit("73KID", "0"), "line 1002: 73KID is 0, but subj01 has 1 to 73000"),
        (edit("73KID", "73001"), "line 1002: 73KID is 73001, but subj01 has 1 to 73000"),
        (edit("73KID", "4.5"), "line 1002: 73KID is '4.5', not a whole number"),
        (edit("73KID", "7"), r"line 1002: 73KID is 7, but .*nsd_stim_info_merged.csv shows nsdId \d+"),
        (edit("SESSION", "41"), "line 1002: SESSION is 41, but subj01 has 1 to 40"),
        (edit("RUN", "13"), "line 1002: RUN is 13, but subj01 has 1 to 12"),
        (edit("SUBJECT", "2"), "line 1002: SUBJECT is 2, but subj01 has 1"),
        (edit("TRIAL", ""), "line 1002: TRIAL is '', but must have a value"),
        (edit("TRIAL", "x"), "line 1002: TRIAL is 'x', not a number"),
        (twice, r"line 30002: TRIAL is \d+, but SESSION 2, RUN 5 has that trial in line 1002 already"),
        (drop(1000), r"SESSION 2, RUN 5: has 62 trials, and no TRIAL \d+"),
        (drop(*range(750, 1500)), "SESSION 2, RUN 1: has 0 trials, and no TRIAL 1"),
        (lambda text: text.replace("73KID", "KID", 1), "73KID"),
        (lambda _: "<html>Access denied</html>", "has not the columns of NSD's responses.tsv"),
    ],
)
def test_a_fault_in_responses_tsv_names_line_column_and_value(
    own_core_release: Path, rewrite: Rewrite, change: Callable[[str], str], words: str
) -> None:
    rewrite(responses_file(own_core_release, "subj01"), change)
    with pytest.raises(DataError, match=words) as caught:
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)
    assert str(responses_file(own_core_release, "subj01")) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_picture_is_named_with_the_one_that_the_trial_shows(own_core_release: Path, rewrite: Rewrite) -> None:
    kid = int(float(lines(own_core_release)[1000]["73KID"]))
    rewrite(responses_file(own_core_release, "subj01"), edit("73KID", "7"))
    with pytest.raises(DataError, match=rf"shows nsdId {kid - 1} \(73KID {kid}\) to subj01 in trial 1001$"):
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)


def write_design(root: Path, rng: np.random.Generator, subject: int = 1) -> Path:
    """nsd_expdesign.mat of the pictures that responses.tsv shows, made by its own rules: 1-based, 10,000 a subject."""
    shown = [int(float(line["73KID"])) for line in lines(root)]
    own = np.array([*dict.fromkeys(shown), *(kid for kid in range(1, 10_200) if kid not in set(shown))][:10_000])
    pictures = np.stack([rng.permutation(73_000)[:10_000] + 1 for _ in range(8)])
    pictures[subject - 1] = rng.permutation(own)
    position = {kid: at for at, kid in enumerate(pictures[subject - 1].tolist(), start=1)}
    order = rng.integers(1, 10_001, 30_000)
    order[: len(shown)] = [position[kid] for kid in shown]
    path = root / "nsddata/experiments/nsd/nsd_expdesign.mat"
    path.unlink(missing_ok=True)
    wanted = {"masterordering": order[None].astype(float), "subjectim": pictures.astype(float)}
    savemat(path, {"basiccnt": np.zeros((1, 3)), **wanted}, do_compression=True)
    return path


@pytest.mark.slow
def test_the_design_of_core_proves_the_order_of_its_pictures(own_core_release: Path, rewrite: Rewrite) -> None:
    read = partial(nsd.read_sessions, ReleaseTables(own_core_release), "subj01", BETAS)
    before = read()
    write_design(own_core_release, np.random.default_rng(0))
    after = nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)
    assert all(one.rows.equals(other.rows) for one, other in zip(before, after, strict=True))
    kids = [int(float(line["73KID"])) for line in lines(own_core_release)]
    first = next(at for at, kid in enumerate(kids) if kid != kids[0])

    def exchange(text: str) -> str:
        """In the table of pictures, too, so that nothing but the design can tell."""
        head, *body = text.splitlines()
        body[0], body[first] = (
            "\t".join([*one.split("\t")[:4], other.split("\t")[4], *one.split("\t")[5:]])
            for one, other in ((body[0], body[first]), (body[first], body[0]))
        )
        return "\n".join([head, *body]) + "\n"

    def exchange_trials(text: str) -> str:
        head, *body = csv.reader(text.splitlines())
        columns = [at for at, name in enumerate(head) if name.startswith("subject1_rep")]
        for fields in body:
            for at in columns:
                trial = int(float(fields[at] or 0))
                fields[at] = {1: str(first + 1), first + 1: "1"}.get(trial, fields[at])
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([head, *body])
        return written.getvalue()

    rewrite(responses_file(own_core_release, "subj01"), exchange)
    rewrite(stim_info_file(own_core_release), exchange_trials)
    words = rf"line 2: 73KID is {kids[first]}, but .*nsd_expdesign.mat shows nsdId {kids[0] - 1} \(73KID {kids[0]}\)"
    with pytest.raises(DataError, match=words):
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"masterordering": np.zeros((1, 30_000))},
        {"masterordering": np.full((1, 30_000), 1.5)},
        {"masterordering": np.ones((1, 29_999))},
        {"subjectim": np.full((8, 10_000), 73_001.0)},
        {"subjectim": np.full((8, 10_000), np.nan)},
        {"subjectim": np.array([["text"]])},
        {"other": np.ones(3)},
    ],
)
def test_a_design_of_core_that_is_none_is_one_line(own_core_release: Path, spoilt: dict[str, np.ndarray]) -> None:
    path = own_core_release / "nsddata/experiments/nsd/nsd_expdesign.mat"
    sound = {"masterordering": np.ones((1, 30_000)), "subjectim": np.ones((8, 10_000))}
    path.unlink(missing_ok=True)
    savemat(path, spoilt if "other" in spoilt else sound | spoilt)
    with pytest.raises(DataError, match=r"nsd_expdesign\.mat: (masterordering|subjectim|has no variable)") as raised:
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)
    assert "\n" not in str(raised.value)


def test_a_picture_is_shown_three_times_and_not_a_fourth(own_core_release: Path, rewrite: Rewrite) -> None:
    path = responses_file(own_core_release, "subj01")
    ids = [int(float(line["73KID"])) for line in lines(own_core_release)]
    often = next(nsd_id for nsd_id, n in Counter(ids).items() if n == 3)
    assert read_responses(path, "subj01").repeat.max() == 2
    row = max(at for at, nsd_id in enumerate(ids) if nsd_id != often)
    rewrite(path, edit("73KID", str(often), row))
    words = rf"line {max(row, len(ids) - 1 - ids[::-1].index(often)) + 2}: 73KID is {often}, but shown 3 times already"
    with pytest.raises(DataError, match=words):
        read_responses(path, "subj01")


def test_ids_that_are_off_by_one_are_caught_by_the_picture_table(own_core_release: Path, rewrite: Rewrite) -> None:
    def shift(text: str) -> str:
        head, *body = [line.split("\t") for line in text.splitlines()]
        at = head.index("73KID")
        rows = [[*fields[:at], str(int(float(fields[at])) % 73000 + 1), *fields[at + 1 :]] for fields in body]
        return "\n".join("\t".join(fields) for fields in [head, *rows]) + "\n"

    rewrite(responses_file(own_core_release, "subj01"), shift)
    with pytest.raises(DataError, match="line 2: 73KID is"):
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)


def test_shuffled_lines_give_the_same_rows(core_release: Path, own_core_release: Path, rewrite: Rewrite) -> None:
    def shuffle(text: str) -> str:
        head, *body = text.splitlines(keepends=True)
        return head + "".join(np.random.default_rng(0).permutation(body).tolist())

    rewrite(responses_file(own_core_release, "subj01"), shuffle)
    for one, other in zip(
        *(nsd.read_sessions(ReleaseTables(r), "subj01", BETAS) for r in (core_release, own_core_release)), strict=True
    ):
        assert one.rows.equals(other.rows)


@pytest.mark.parametrize(("number", "n_volumes", "words"), [(2, 749, "has 749 volumes"), (41, 750, "sessions 1 to 40")])
def test_another_number_of_volumes_or_an_unknown_session_is_an_error(
    own_core_release: Path, number: int, n_volumes: int, words: str
) -> None:
    path = own_core_release / f"{SESSION}{number:02d}.hdf5"
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", (n_volumes, 4, 4, 4), np.int16)
    with pytest.raises(DataError, match=words):
        nsd.read_sessions(ReleaseTables(own_core_release), "subj01", BETAS)
