"""`NSDImageryDataset`: the same rows from an index, a root or a built folder, by the interface of the guide."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError, NSDImageryError, UsageError
from nsd_imagery.learn.contract import RowOptions, Transform
from nsd_imagery.sources.release_files import expected_betas

pytestmark = pytest.mark.slow

CONDITIONS = ("imagery", "vision", "attention", "perception")
TRIALS = nsd_imagery.NSDImageryDataset

Batch = dict[str, torch.Tensor | list[str]]


class HalfTheVoxels:
    """A preprocessor, as a spawned worker can import it."""

    def transform(self, betas: np.ndarray) -> np.ndarray:
        return betas[:, ::2].astype(np.float64) + 1


class LessTheMeanOfItsRun:
    """A preprocessor of somebody else's that has to know its rows; of the contract alone, and fitted when it likes."""

    def __init__(self) -> None:
        self.means: dict[int, np.ndarray] = {}

    def row_options(self) -> RowOptions:
        return RowOptions(smoothing_fwhm=2.0, zscore="none")

    def bind(self, trials: Dataset, voxels: Callable[[], Dataset], /) -> Transform:
        self.n_voxels = voxels().num_rows
        return partial(self.centred, np.asarray(trials["run_number"][:]))

    def fit(self, trials: Dataset) -> None:
        runs, betas = np.asarray(trials["run_number"][:]), trials.with_format("numpy")[:]["betas"]
        self.means = {run: betas[runs == run].mean(axis=0) for run in set(runs.tolist())}

    def centred(self, runs: np.ndarray, betas: np.ndarray, rows: np.ndarray) -> np.ndarray:
        assert betas.shape == (len(rows), self.n_voxels)
        assert (rows >= 0).all()
        return betas - np.stack([self.means[run] for run in runs[rows].tolist()])


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, core_release: Path) -> Path:
    """The Guide's `cache`: a root with an index in it."""
    root = Path(shutil.copytree(core_release, tmp_path_factory.mktemp("guide") / "cache"))
    nsd_imagery.index(root)
    return root


@pytest.fixture(scope="module")
def built(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """z-scored, as the two other sources are by default."""
    return nsd_imagery.build(cache, tmp_path_factory.mktemp("built") / "nsd_imagery", roi=["nsdgeneral", "V1"])


def index_file(root: Path, condition: str = "imagery") -> Path:
    return root / "indices" / ("perception" if condition == "perception" else "imagery") / "subj01.parquet"


def same(one: Batch, other: Batch) -> None:
    assert list(one) == list(other)
    for name, values in one.items():
        if isinstance(values, torch.Tensor):
            torch.testing.assert_close(values, other[name], rtol=0, atol=0, equal_nan=True)
        else:
            assert values == other[name]


def embeddings(trials: nsd_imagery.NSDImageryDataset) -> dict[str, np.ndarray]:
    return {name: np.full(5, number, np.float64) for number, name in enumerate(sorted(set(trials[:]["stimulus"])))}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_index_root_and_built_folder_give_what_load_gives(cache: Path, built: Path, condition: str) -> None:
    loaded = nsd_imagery.load(built, f"subj01-{condition}")
    whole = TRIALS(built, condition=condition)
    same(TRIALS(index_file(cache, condition), "subj01", condition)[:], whole[:])
    same(TRIALS(cache, "subj01", condition)[:], whole[:])
    same(TRIALS(condition=condition, root=cache)[:], whole[:])
    for split, trials in loaded.items():
        expected = nsd_imagery.torch_view(trials)[:]
        for source in (built, cache, index_file(cache, condition)):
            same(TRIALS(source, condition=condition, split=split)[:], expected)


def test_all_conditions_come_as_they_were_presented_imagery_first(cache: Path, built: Path) -> None:
    for source in (built, cache):
        rows = TRIALS(source)[:]
        assert rows["experiment"] == ["nsdimagery"] * 720 + ["nsd"] * 2250
        assert rows["beta_index"].tolist() == [*range(720), *range(750), *range(750), *range(750)]
        assert rows["session"].tolist() == [1] * 720 + [1] * 750 + [2] * 750 + [3] * 750
    assert TRIALS(index_file(cache))[:]["beta_index"].tolist() == list(range(720))


def test_all_conditions_of_a_folder_without_perception_are_those_it_has(dataset: Path, built: Path) -> None:
    rows = TRIALS(dataset, "subj01")[:]
    assert rows["beta_index"].tolist() == list(range(720))
    assert set(rows["condition"]) == {"imagery", "vision", "attention"}
    with pytest.raises(UsageError, match="'subj01-perception'"):
        TRIALS(dataset, "subj01", "perception")
    assert set(TRIALS(built)[:]["condition"]) == {"imagery", "vision", "attention", "perception"}


def test_session_split_stimuli_and_roi_choose_alike_everywhere(cache: Path, built: Path) -> None:
    pictures = {"nsd28751", "nsd30856"}
    for options in (
        {"condition": "perception", "session": 2},
        {"condition": "perception", "session": [3, 1], "split": "test"},
        {"condition": "imagery", "stimuli": pictures, "roi": "V1"},
    ):
        one, two, three = (
            TRIALS(source, **options) for source in (built, cache, index_file(cache, options["condition"]))
        )
        same(one[:], two[:])
        same(one[:], three[:])
    assert set(one[:]["stimulus"]) == pictures
    assert len(one) == 32
    assert one[0]["betas"].shape == (nsd_imagery.find_roi(cache, "subj01", "V1").flat.size,)
    assert set(TRIALS(cache, session=2)[:]["session"].tolist()) == {2}


def test_rows_keep_the_order_of_the_index_file(cache: Path, tmp_path: Path) -> None:
    shuffled = pd.read_parquet(index_file(cache)).sample(frac=1, random_state=0)
    path = tmp_path / "shuffled.parquet"
    shuffled.to_parquet(path)
    trials = TRIALS(path, root=cache)
    assert trials[:]["trial_id"].tolist() == shuffled["trial_id"].tolist()
    in_order = TRIALS(cache)
    same(trials[np.argsort(shuffled["trial_id"].to_numpy())], in_order[:720])


def test_zscore_and_betas_are_those_of_a_build(cache: Path, core_dataset: Path) -> None:
    percent = nsd_imagery.torch_view(nsd_imagery.load(core_dataset, "subj01-vision", "test"))[:]["betas"]
    for source in (cache, index_file(cache), core_dataset):
        torch.testing.assert_close(
            TRIALS(source, condition="vision", zscore="none")[:]["betas"], percent, rtol=0, atol=0
        )
    other = TRIALS(cache, condition="vision", betas="fithrf")[:]
    assert set(other["beta_version"]) == {"fithrf"}
    assert not torch.equal(other["betas"], TRIALS(cache, condition="vision")[:]["betas"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")
@pytest.mark.parametrize(("context", "workers"), [("fork", 4), ("spawn", 1)])
def test_the_example_of_the_guide_runs(
    cache: Path, monkeypatch: pytest.MonkeyPatch, context: str, workers: int
) -> None:
    monkeypatch.chdir(cache.parent)
    clip_cache, preprocessor = embeddings(TRIALS("cache", condition="imagery")), HalfTheVoxels()
    imagery_dataset = TRIALS(
        index_path="cache/indices/imagery/subj01.parquet",
        subject="subj01",
        condition="imagery",
        preprocessor=preprocessor,
        clip_cache=clip_cache,
    )
    loader = DataLoader(imagery_dataset, batch_size=32, num_workers=workers, multiprocessing_context=context)
    plain = TRIALS("cache", condition="imagery")[:]
    at = 0
    for batch in loader:
        assert batch["betas"].dtype == batch["clip_embedding"].dtype == torch.float32
        torch.testing.assert_close(batch["betas"], plain["betas"][at : at + 32, ::2] + 1)
        assert batch["target"] == plain["target"][at : at + 32]
        expected = [clip_cache[stimulus][0] for stimulus in batch["stimulus"]]
        assert batch["clip_embedding"][:, 0].tolist() == expected
        at += 32
    assert at == len(imagery_dataset) == 288


def test_an_item_is_a_row_of_its_batch_and_columns_choose_what_is_in_it(built: Path) -> None:
    everything = TRIALS(built, condition="imagery")
    trials = TRIALS(
        built, condition="imagery", columns=["stimulus", "run_name"], clip_cache=embeddings(everything),
        preprocessor=HalfTheVoxels(),
    )  # fmt: skip
    item, batch = trials[17], trials[[3, 17]]
    assert list(item) == ["stimulus", "run_name", "betas", "clip_embedding"]
    assert item["stimulus"] == batch["stimulus"][1]
    torch.testing.assert_close(item["betas"], batch["betas"][1])
    torch.testing.assert_close(item["clip_embedding"], batch["clip_embedding"][1])


def test_a_dataset_ends_with_its_last_row(built: Path) -> None:
    trials = TRIALS(built, condition="imagery", stimuli={"nsd28751"}, columns=["subject"])
    trials_with_more = TRIALS(
        built, condition="imagery", stimuli={"nsd28751"}, clip_cache={"nsd28751": np.ones(2)},
        preprocessor=HalfTheVoxels(),
    )  # fmt: skip
    for one in (trials, trials_with_more):
        assert len(one) == len(list(one)) == 16
        same(one[[-1, -16]], one[[15, 0]])
        for index in (16, -17, 10**9, [0, 16]):
            with pytest.raises(IndexError, match="there are 16"):
                one[index]


def test_a_stimulus_without_a_vector_is_named_with_what_leaves_it_out(built: Path) -> None:
    pictures = {"nsd28751": torch.ones(4), "nsd30856": torch.zeros(4)}
    with pytest.raises(
        UsageError, match=r"no vector of banana, bar_.*leave these rows out: stimuli=clip_cache"
    ) as error:
        TRIALS(built, condition="imagery", clip_cache=pictures)
    assert ".filter(lambda stimulus: stimulus in clip_cache, input_columns='stimulus')" in str(error.value)
    left = TRIALS(built, condition="imagery", clip_cache=pictures, stimuli=pictures)
    assert len(left) == 32
    for shapes in ({"nsd28751": np.ones(4), "nsd30856": np.ones(3)}, dict.fromkeys(pictures, np.ones((2, 2)))):
        with pytest.raises(DataError, match="vectors of one length"):
            TRIALS(built, condition="imagery", clip_cache=shapes, stimuli=pictures)


def test_a_preprocessor_that_loses_rows_is_named(built: Path) -> None:
    class First:
        def transform(self, betas: np.ndarray) -> np.ndarray:
            return betas[:1]

    with pytest.raises(DataError, match=r"First made 1 rows of 3"):
        TRIALS(built, condition="imagery", preprocessor=First())[:3]


@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*pin_memory.*", "ignore:.*fork.*")
def test_an_own_preprocessor_says_how_its_rows_are_made_and_is_told_which_they_are(cache: Path, context: str) -> None:
    preprocessor = LessTheMeanOfItsRun()
    trials = TRIALS(cache, condition="vision", preprocessor=preprocessor, columns=["run_number"])
    with pytest.raises(KeyError):
        trials[0]
    preprocessor.fit(trials.trials)
    smoothing = nsd_imagery.NSDPreprocessor(smoothing_fwhm=2.0)
    smoothed = TRIALS(cache, condition="vision", zscore="none", preprocessor=smoothing)[:]
    runs, expected = smoothed["run_number"], smoothed["betas"].clone()
    for run in runs.unique():
        expected[runs == run] -= expected[runs == run].mean(axis=0)
    torch.testing.assert_close(trials[:]["betas"], expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(trials[-1]["betas"], expected[-1], atol=1e-5, rtol=1e-5)
    order = np.random.default_rng(2).permutation(len(trials))[:60].tolist()
    loader = DataLoader(trials, batch_size=25, sampler=order, num_workers=1, multiprocessing_context=context)
    torch.testing.assert_close(torch.cat([batch["betas"] for batch in loader]), expected[order], atol=1e-5, rtol=1e-5)


def test_what_is_said_of_z_scores_in_a_call_is_heeded_before_the_preprocessor(cache: Path) -> None:
    class Asks:
        def row_options(self) -> RowOptions:
            return RowOptions(zscore="session")

        def bind(self, *_: object) -> Transform:
            return lambda betas, _: betas

    for zscore, expected in ((None, "session"), ("none", "none")):
        given = TRIALS(cache, condition="vision", zscore=zscore, preprocessor=Asks())
        same(given[:], TRIALS(cache, condition="vision", zscore=expected)[:])


def test_what_is_no_preprocessor_is_named(cache: Path) -> None:
    with pytest.raises(UsageError, match=r"preprocessor is a dict, which has no transform\(betas\)"):
        TRIALS(cache, condition="vision", preprocessor={})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"condition": "imagry"}, "no condition 'imagry' .did you mean 'imagery'"),
        ({"split": "trian"}, "no split 'trian' .did you mean 'train'"),
        ({"split": "train"}, "no row is of condition imagery, split train"),
        ({"session": 9}, "no session 9; there are: 1"),
        ({"stimuli": ["tree"]}, "no row is of"),
        ({"zscore": "all"}, "no zscore 'all'"),
        ({"betas": "b2"}, "no betas 'b2'"),
        ({"columns": ["tarket"]}, "no column 'tarket' .did you mean 'target'"),
    ],
)
def test_what_is_mistyped_is_named_alike_everywhere(cache: Path, built: Path, options: dict, words: str) -> None:
    for source in (cache, index_file(cache), built):
        with pytest.raises(UsageError, match=words):
            TRIALS(source, **{"condition": "imagery", **options})


def test_what_is_not_there_is_named(cache: Path, built: Path, tmp_path: Path) -> None:
    for source in (cache, index_file(cache), built):
        with pytest.raises(NSDImageryError, match="subj02"):
            TRIALS(source, "subj02")
    with pytest.raises(MissingDataError, match="write an index with: nsd-imagery index ROOT"):
        TRIALS(tmp_path / "nowhere.parquet")
    (tmp_path / "subj01.parquet").symlink_to(cache / "indices/imagery/subj01.parquet")
    with pytest.raises(UsageError, match=r"folder of indices; name one of its files: subj01.parquet"):
        TRIALS(tmp_path)
    with pytest.raises(UsageError, match="no config 'subj01-imagery-V2'"):
        TRIALS(built, roi="V2")
    with pytest.raises(UsageError, match="was built with zscore='auto', not 'none'"):
        TRIALS(built, zscore="none")
    with pytest.raises(UsageError, match="no row is of condition perception"):
        TRIALS(index_file(cache), condition="perception")


def test_several_subjects_have_to_be_told_apart(dataset: Path, release: Path) -> None:
    for source in (dataset, release):
        with pytest.raises(UsageError, match="holds subj01, subj02: name one with subject="):
            TRIALS(source, condition="imagery")
        assert set(TRIALS(source, "subj02", "imagery")[:]["subject"]) == {"subj02"}


def drop_column(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="run_name")


def words_for_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(beta_index="first")


def without_path(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(beta_path=[None, *rows["beta_path"][1:]])


def twice(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([rows, rows.head(1)])


def only_imagery(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["condition"] == "imagery"]


def another_volume(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(beta_index=rows["beta_index"] + 1)


def other_labels(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(stimulus=rows["stimulus"].to_numpy()[::-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_column, "is no trial index, it has no column run_name; write it with: nsd-imagery index ROOT"),
        (words_for_numbers, "a column is not of its type"),
        (without_path, "a column is not of its type .*beta_path"),
        (twice, "two rows have one trial_id"),
        (only_imagery, "names 288 of the 720 volumes .* choose rows by condition="),
        (another_volume, "names a volume twice, or one that .* .of 720. has not"),
        (other_labels, "stimulus of trial .* this is the index of another root"),
    ],
)
def test_an_index_that_cannot_be_trusted_is_named(
    cache: Path, tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], words: str
) -> None:
    path = tmp_path / "mine.parquet"
    change(pd.read_parquet(index_file(cache))).to_parquet(path)
    with pytest.raises(DataError, match=words) as error:
        TRIALS(path, root=cache)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [("cue_matches", 0), ("nsd_id", 28752), ("response_time", 7.0), ("run_name", "visB"), ("shared1000", True)],
)
def test_no_column_of_an_index_is_given_that_the_root_disproves(
    cache: Path, tmp_path: Path, column: str, value: object
) -> None:
    path, rows = tmp_path / "mine.parquet", pd.read_parquet(index_file(cache))
    rows[column] = rows[column].astype(object)
    rows.loc[rows.index[50], column] = value
    rows.astype({column: pd.read_parquet(index_file(cache)).dtypes[column]}).to_parquet(path)
    words = f"{column} of trial {rows['trial_id'].iloc[50]} is {value!r}, but the files in .* this is the index of"
    with pytest.raises(DataError, match=words):
        TRIALS(path, root=cache)


def test_a_session_that_the_root_does_not_know_is_refused_though_its_betas_are_there(
    cache: Path, tmp_path: Path
) -> None:
    rows = pd.read_parquet(index_file(cache, "perception"))
    rows[rows["session"] == 2].assign(session=9, trial_id=lambda rows: rows["trial_id"] + 10**9).to_parquet(
        tmp_path / "mine.parquet"
    )
    with pytest.raises(DataError, match=r"trial_id of trial .* say nothing of such a trial: this is the index of"):
        TRIALS(tmp_path / "mine.parquet", root=cache, condition="perception")


def test_an_index_stays_right_when_the_same_betas_come_in_another_format(own_release: Path) -> None:
    hdf5 = own_release / f"{expected_betas('fithrf_GLMdenoise_RR', 'subj01')}.hdf5"
    away = hdf5.rename(own_release / "away")
    nsd_imagery.index(own_release, ["subj01"])
    alone = TRIALS(index_file(own_release), condition="vision")[:]
    away.rename(hdf5)
    same(TRIALS(index_file(own_release), condition="vision")[:], alone)
    assert nsd_imagery.verify(own_release / "indices").passed
    hdf5.with_name("betas_nsdimagery.nii.gz").unlink()
    assert not nsd_imagery.verify(own_release / "indices").passed


def test_part_of_an_index_is_enough_for_percent_signal_change(cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    only_imagery(pd.read_parquet(index_file(cache))).to_parquet(path)
    percent: dict[str, Any] = {"condition": "imagery", "zscore": "none"}
    same(TRIALS(path, root=cache, **percent)[:], TRIALS(cache, **percent)[:])


def test_the_cache_tree_of_the_guide_is_a_root_like_any_other(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "cache", layout="cache", format="nii.gz")
    nsd_imagery.index(root)
    built = nsd_imagery.build(root, tmp_path / "built")
    for condition in CONDITIONS[:3]:
        expected = TRIALS(built, condition=condition)[:]
        same(TRIALS(root, condition=condition)[:], expected)
        same(TRIALS(index_file(root), condition=condition)[:], expected)
    percent = TRIALS(root, condition="vision", zscore="none")[:]
    same(TRIALS(index_file(root), condition="vision", zscore="none")[:], percent)


def test_a_root_with_both_trees_needs_a_source(tmp_path: Path) -> None:
    root = nsd_imagery.synth(tmp_path / "both", format="hdf5")
    guide = nsd_imagery.synth(tmp_path / "guide", layout="cache", format="hdf5")
    shutil.copytree(guide / "nsd_imagery", root / "nsd_imagery")
    with pytest.raises(UsageError, match="say which"):
        TRIALS(root, condition="vision")
    assert TRIALS(root, condition="vision", source="release")[0]["beta_path"].startswith("nsddata_betas/")
    assert TRIALS(root, condition="vision", source="cache")[0]["beta_path"].startswith("nsd_imagery/")


def test_an_index_of_another_root_is_refused(
    cache: Path, release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = nsd_imagery.synth(tmp_path / "other", seed=3, format="hdf5")
    with pytest.raises(DataError, match="this is the index of another root"):
        TRIALS(index_file(cache), root=other)
    (other / f"{expected_betas('fithrf_GLMdenoise_RR', 'subj01')}.hdf5").unlink()
    with pytest.raises(MissingDataError, match=r"betas_nsdimagery.hdf5: no such file, but .* names it: pass root="):
        TRIALS(index_file(cache), root=other)
    moved = shutil.copy(index_file(cache), tmp_path / "moved.parquet")
    monkeypatch.setenv("NSD_CACHE_ROOT", str(cache))
    same(TRIALS(moved, condition="vision")[:], TRIALS(cache, condition="vision")[:])
    monkeypatch.setenv("NSD_CACHE_ROOT", str(tmp_path / "nowhere"))
    with pytest.raises(MissingDataError, match="nowhere: no such folder"):
        TRIALS(moved)


def test_betas_without_the_files_that_label_them_are_read_by_the_index_alone(
    own_core_release: Path, cache: Path
) -> None:
    index = shutil.copytree(cache / "indices", own_core_release / "indices")
    shutil.rmtree(own_core_release / "nsddata" / "bdata")
    same(TRIALS(index / "imagery" / "subj01.parquet")[:], TRIALS(cache)[:720])
