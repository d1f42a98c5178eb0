"""Of which kind rows are: what they say, what their numbers show, and whom `NSDPreprocessor` refuses for it."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, concatenate_datasets, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

import nsd_imagery
from nsd_imagery import NSDPreprocessor
from nsd_imagery.dataset.recipe import Recipe
from nsd_imagery.errors import DataError, UsageError
from nsd_imagery.learn.kinds import kind_of, refuse_other_kind
from nsd_imagery.rows.recipes import carrying, said_of, the_recipe

pytestmark = pytest.mark.slow

B3 = "fithrf_GLMdenoise_RR"
ZSCORES = ("auto", "run", "session", "none")
RUN, EPOCH = ("session", "run_number"), ("session", "run_number", "epoch")
GROUPS = {"auto": EPOCH, "run": RUN, "session": ("session",)}

Load = Callable[[Path, str], Dataset]


@pytest.fixture(scope="module")
def folders(release: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each zscore, and one that is smoothed."""
    place = tmp_path_factory.mktemp("kinds")
    options: Mapping[str, dict] = {zscore: {"zscore": zscore} for zscore in ZSCORES}
    what = {"subjects": ["subj01"], "conditions": ["imagery", "attention"]}
    return {
        name: nsd_imagery.build(release, place / name, **what, **of_one)
        for name, of_one in {**options, "smoothed": {"zscore": "none", "smoothing_fwhm": 3.0}}.items()
    }


@pytest.fixture(scope="module")
def voxels(folders: dict[str, Path]) -> Dataset:
    return nsd_imagery.load(folders["none"], "subj01-voxels", "train")


def lying(folder: Path, condition: str) -> Dataset:
    return nsd_imagery.load(folder, f"subj01-{condition}", "test")


def copied(folder: Path, condition: str) -> Dataset:
    """As `load_dataset` leaves them, which drops what a shard says."""
    return silent(lying(folder, condition))


def silent(rows: Dataset) -> Dataset:
    return Dataset(pa.table({name: rows.with_format("arrow")[:][name] for name in rows.column_names}))


def from_root(release: Path, zscore: str, **options: object) -> Dataset:
    of = {"subject": "subj01", "condition": "imagery", "zscore": zscore}
    return nsd_imagery.NSDImageryDataset(release, **of, **options).trials


def betas_of(trials: Dataset) -> np.ndarray:
    return trials.with_format("numpy")[:]["betas"].astype(np.float64)


def test_rows_say_their_recipe_wherever_they_come_from_and_whatever_is_chosen_of_them(
    release: Path, folders: dict[str, Path], voxels: Dataset, tmp_path: Path
) -> None:
    index = nsd_imagery.index(release, out=tmp_path / "indices") / "imagery" / "subj01.parquet"
    of_index = nsd_imagery.NSDImageryDataset(index, condition="imagery", root=release, zscore="run").trials
    for rows, recipe in (
        (lying(folders["auto"], "imagery"), Recipe(B3)),
        (Dataset.from_file(str(next(folders["run"].glob("*-imagery/*.arrow")))), Recipe(B3, "run")),
        (lying(folders["smoothed"], "imagery"), Recipe(B3, "none", smoothing_fwhm=3.0)),
        (from_root(release, "session"), Recipe(B3, "session")),
        (of_index, Recipe(B3, "run")),
    ):
        for some in (
            rows,
            rows.filter(lambda stimulus_set: stimulus_set == "B", input_columns="stimulus_set"),
            rows.shuffle(seed=1).select(range(9)).select_columns(["betas", "is_valid"]),
            concatenate_datasets([rows, rows.select([5, 2])]) if rows.cache_files else rows.select([5, 2]),
            pickle.loads(pickle.dumps(rows)),
            nsd_imagery.restrict(rows, voxels, voxels.select(range(20))).dataset,
            nsd_imagery.average_repeats(rows),
        ):
            assert the_recipe(some) == recipe


def test_betas_that_were_made_anew_or_put_together_in_memory_say_no_recipe(
    release: Path, folders: dict[str, Path], hf_cache: str
) -> None:
    rows, in_memory = lying(folders["auto"], "imagery"), from_root(release, "auto")
    for some in (
        load_dataset(str(folders["auto"]), "subj01-imagery", split="test", cache_dir=hf_cache),
        rows.map(lambda row: {"betas": np.asarray(row["betas"]) * 2}),
        in_memory.map(lambda row: {"betas": np.asarray(row["betas"]) * 2}),
        in_memory.remove_columns("betas").add_column("betas", in_memory["betas"][:]),
        rows.remove_columns("betas").add_column("betas", rows["betas"][:]),
        concatenate_datasets([in_memory, from_root(release, "none")]),
        copied(folders["auto"], "imagery"),
    ):
        assert the_recipe(some) is None
    both = concatenate_datasets([lying(folders[zscore], "imagery") for zscore in ("auto", "none")])
    assert the_recipe(both) is None
    assert [(said.recipe, said.rows.tolist()) for said in said_of(both.select([500, 3, 0]))] == [
        (Recipe(B3), [1, 2]),
        (Recipe(B3, "none"), [0]),
    ]
    assert the_recipe(both.select(range(288, 400))) == Recipe(B3, "none")


def test_a_shard_that_is_gone_or_of_another_version_says_no_recipe(folders: dict[str, Path], tmp_path: Path) -> None:
    shard = next(folders["auto"].glob("*-imagery/*.arrow"))
    path = tmp_path / "rows.arrow"
    path.write_bytes(shard.read_bytes())
    rows = Dataset.from_file(str(path))
    assert the_recipe(rows) == Recipe(B3)
    path.unlink()
    assert the_recipe(rows) is None
    for number, said in enumerate((b'["beta_version": ', b'{"beta_versiom": ', b"{beta_version'': ")):
        path = tmp_path / f"{number}.arrow"
        path.write_bytes(shard.read_bytes().replace(b'{"beta_version": ', said))
        assert the_recipe(Dataset.from_file(str(path))) is None


@pytest.mark.parametrize("load", [lying, copied])
def test_a_mix_of_z_scored_and_percent_rows_is_refused_in_one_line(
    folders: dict[str, Path], voxels: Dataset, load: Load
) -> None:
    scored, percent = load(folders["auto"], "imagery"), load(folders["none"], "attention")
    mix = concatenate_datasets([scored, percent])
    fitted = NSDPreprocessor(zscore="auto").fit(percent, voxels)
    for call in (
        lambda: NSDPreprocessor(pca=3).fit(mix, voxels),
        lambda: NSDPreprocessor(zscore="training").fit(mix, voxels),
        lambda: fitted.adapt(mix, voxels),
        lambda: fitted.transform(mix.shuffle(seed=3), voxels),
    ):
        with pytest.raises(UsageError, match=r"some of these rows are .*z-scored.*: filter them to one kind") as error:
            call()
        assert "in percent signal change" in str(error.value)
        assert "\n" not in str(error.value)
    alone = mix.filter(lambda condition: condition == "attention", input_columns="condition")
    np.testing.assert_array_equal(fitted.transform(alone, voxels), fitted.transform(percent, voxels))


def test_rows_of_two_roots_are_a_mix_too(release: Path, voxels: Dataset) -> None:
    with pytest.raises(UsageError, match="some of these rows are in percent signal change, others z-scored"):
        NSDPreprocessor(pca=2).fit(
            concatenate_datasets([from_root(release, zscore) for zscore in ("run", "none")]), voxels
        )


def test_a_mix_of_smoothed_and_other_rows_is_refused(folders: dict[str, Path], voxels: Dataset) -> None:
    mix = concatenate_datasets([lying(folders["smoothed"], "imagery"), lying(folders["none"], "attention")])
    with pytest.raises(UsageError, match="some of these rows are smoothed with 3 mm, others not smoothed"):
        NSDPreprocessor(pca=3).fit(mix, voxels)


@pytest.mark.parametrize(
    ("fitted_on", "given", "message"),
    [
        ("none", "auto", "fitted on rows in percent signal change, but these are z-scored"),
        ("session", "none", "fitted on rows z-scored, but these are in percent signal change"),
        ("none", "smoothed", "fitted on rows not smoothed, but these are smoothed with 3 mm"),
        ("smoothed", "none", "fitted on rows smoothed with 3 mm, but these are not smoothed"),
        ("session", "run", "fitted on rows of nsdimagery, z-scored by session, but these are .* by run"),
    ],
)
def test_rows_of_another_kind_than_it_was_fitted_on_are_refused_also_once_it_was_saved(
    folders: dict[str, Path], voxels: Dataset, tmp_path: Path, fitted_on: str, given: str, message: str
) -> None:
    fitted = NSDPreprocessor(pca=3).fit(lying(folders[fitted_on], "imagery"), voxels)
    other = lying(folders[given], "imagery").select(range(40, 50))
    for preprocessor in (fitted, NSDPreprocessor.load(fitted.save(tmp_path / "saved"))):
        with pytest.raises(DataError, match=f"{message}.*: fit one for them, or take rows of the same recipe") as error:
            preprocessor.transform(other, voxels)
        assert "\n" not in str(error.value)
        if given != "none":  # of so few rows nothing shows
            assert preprocessor.transform(silent(other.select(range(3, 9))), voxels).shape == (6, 3)


@pytest.mark.parametrize(("fitted_on", "given"), [("none", "auto"), ("auto", "none")])
def test_rows_that_do_not_say_their_kind_show_it(
    folders: dict[str, Path], voxels: Dataset, fitted_on: str, given: str
) -> None:
    fitted = NSDPreprocessor(pca=3).fit(copied(folders[fitted_on], "imagery"), voxels)
    other = copied(folders[given], "imagery")
    with pytest.raises(DataError, match=r"fitted on rows .*, but these are .*: fit one for them"):
        fitted.transform(other, voxels)
    runs = other.filter(lambda run: run == 6, input_columns="run_number")
    with pytest.raises(DataError, match=r"fitted on rows .*, but these are .*: fit one for them"):
        fitted.transform(runs, voxels)


def test_attention_by_run_is_of_another_kind_than_by_epoch_but_imagery_is_not(
    folders: dict[str, Path], voxels: Dataset
) -> None:
    fitted = NSDPreprocessor(pca=3)
    for built, other in (("auto", "run"), ("run", "auto")):
        fitted.fit(lying(folders[built], "imagery"), voxels)
        for condition in ("imagery", "attention"):
            fitted.transform(lying(folders[other], condition), voxels)
        fitted.fit(lying(folders[built], "attention"), voxels)
        fitted.transform(lying(folders[other], "imagery"), voxels)
        with pytest.raises(DataError, match=r"of nsdimagery attention, z-scored by (run|epoch), but these"):
            fitted.transform(lying(folders[other], "attention"), voxels)


def wider(asked: str, built: str, condition: str) -> bool:
    """Whether a group of `asked` holds several groups that were z-scored, each with a mean and sd of its own."""
    order = {"auto": 0 if condition == "attention" else 1, "run": 1, "session": 2}
    return built != "none" and order[asked] > order[built]


@pytest.mark.parametrize("load", [lying, copied])
@pytest.mark.parametrize("condition", ["imagery", "attention"])
@pytest.mark.parametrize("built", ["auto", "run", "session"])
def test_z_scores_of_z_scores_are_those_of_percent_signal_change_or_refused(
    folders: dict[str, Path], voxels: Dataset, load: Load, built: str, condition: str
) -> None:
    rows, percent = load(folders[built], condition), load(folders["none"], condition)
    for asked in ("auto", "run", "session"):
        preprocessor = NSDPreprocessor(zscore=asked)
        if wider(asked, built, condition):
            with pytest.raises(UsageError, match=rf"zscore='{asked}' of rows that are z-scored by .*--zscore none"):
                preprocessor.fit(rows, voxels)
            with pytest.raises(UsageError, match=rf"zscore='{asked}' of rows that are z-scored by"):
                NSDPreprocessor(zscore=asked).fit(percent, voxels).adapt(rows, voxels)
        else:
            given = preprocessor.fit(rows, voxels).transform(rows, voxels)
            expected = NSDPreprocessor(zscore=asked).fit(percent, voxels).transform(percent, voxels)
            np.testing.assert_allclose(given, expected, atol=2e-5)


def test_what_was_saved_without_a_kind_takes_rows_of_any(
    folders: dict[str, Path], voxels: Dataset, tmp_path: Path
) -> None:
    folder = NSDPreprocessor(pca=3).fit(lying(folders["none"], "imagery"), voxels).save(tmp_path / "older")
    path = folder / "preprocessor.json"
    said = json.loads(path.read_text())
    assert said["fitted"]["origin"].pop("kind") == {"zscored": False, "over": {}, "smoothing_fwhm": 0.0}
    del said["fitted"]["n_fitted"]
    path.write_text(json.dumps({**said, "format_version": 3}))
    older = NSDPreprocessor.load(folder)
    for name in ("none", "auto", "smoothed"):
        assert older.transform(lying(folders[name], "imagery"), voxels).shape == (288, 3)


@pytest.fixture(scope="module")
def labels(folders: dict[str, Path]) -> Dataset:
    rows = concatenate_datasets([lying(folders["none"], condition) for condition in ("imagery", "attention")])
    return rows.select_columns(["experiment", "session", "run_number", "epoch", "condition"])


def scored(betas: np.ndarray, labels: Dataset, is_valid: np.ndarray, zscore: str) -> np.ndarray:
    """By the words of the contract, with nothing of the package."""
    scores = np.zeros_like(betas)
    columns = [labels[name][:] for name in GROUPS[zscore]]
    names = np.array(["/".join(map(str, words)) for words in zip(*columns, strict=True)])
    for name in np.unique(names):
        rows = np.flatnonzero((names == name) & is_valid)
        if rows.size > 1:
            sd = betas[rows].std(axis=0, ddof=1)
            apart = betas[rows] - betas[rows].mean(axis=0)
            scores[rows] = np.where(np.ptp(betas[rows], axis=0) > 0, apart / np.where(sd > 0, sd, 1), 0)
    return scores


def test_numbers_that_could_be_either_show_nothing(folders: dict[str, Path]) -> None:
    scores, percent = (betas_of(lying(folders[zscore], "imagery")) for zscore in ("auto", "none"))
    rows = silent(lying(folders["none"], "imagery"))
    assert (percent != 0).any(axis=1).all()
    n = 48
    for betas, is_scored in (
        (scores, True),
        (percent, False),
        (scores.round(1), None),  # on every thirtieth step
        (scores.round(0), None),
        (scores * np.sqrt(n / (n - 1)), None),  # ddof 0 is not of a build
        (percent + 1e-4, None),
        ((percent[:, :200] + percent[:, 50:250]) / 2, None),  # as a mean of repeats
        (scores[:, 100:102], None),
        (percent[:, 100:108], None),
        (percent * 0, None),
        (np.insert(percent, 140, np.inf, axis=1), None),
        (np.insert(scores, 140, np.nan, axis=1), None),
    ):
        values = pa.FixedSizeListArray.from_arrays(pa.array(betas.astype(np.float32).ravel()), betas.shape[1])
        other = Dataset(rows.remove_columns("betas").with_format("arrow")[:].append_column("betas", values))
        assert kind_of(other, None).zscored is is_scored


def test_rows_that_hold_no_data_hide_no_z_scores(labels: Dataset) -> None:
    is_valid = np.arange(labels.num_rows) % 5 > 0
    betas = np.random.default_rng(2).normal(0.7, 2, (labels.num_rows, 40)) * is_valid[:, None]
    values = pa.FixedSizeListArray.from_arrays(pa.array(scored(betas, labels, is_valid, "run").ravel()), 40)
    table = labels.with_format("arrow")[:].append_column("betas", values)
    assert kind_of(Dataset(table.append_column("is_valid", pa.array(is_valid))), "run").zscored is True
    assert kind_of(Dataset(table.append_column("is_valid", pa.array(is_valid & False))), "run").zscored is None


def test_rows_without_run_numbers_are_z_scored_by_session_whatever_the_recipe_is_called(
    folders: dict[str, Path],
) -> None:
    table = lying(folders["session"], "attention").with_format("arrow")[:]
    position = table.column_names.index("run_number")
    table = table.set_column(position, "run_number", pa.array([-1] * len(table), pa.int32()))
    for zscore in ("auto", "run", "session"):
        rows = Dataset(carrying(table, Recipe(B3, zscore)))
        for asked in ("auto", "run", "session"):
            kind = kind_of(rows, asked)
            assert (kind.zscored, kind.over) == (True, {})


def chosen(rng: np.random.Generator, labels: Dataset, how: str) -> np.ndarray:
    """Numbers of rows: all, some of all, all of some runs, or one."""
    n_rows = labels.num_rows
    if how == "runs":
        runs = np.asarray(labels["run_number"][:])
        return np.flatnonzero(np.isin(runs, rng.choice(np.unique(runs), 2)))
    return rng.permutation(n_rows)[: {"all": n_rows, "one": 1, "some": int(rng.integers(2, n_rows))}[how]]


HOW = st.sampled_from(["all", "some", "runs", "one"])


@settings(max_examples=80)
@given(
    seed=st.integers(0, 2**32),
    zscore=st.sampled_from(ZSCORES),
    dtype=st.sampled_from(["float32", "float16"]),
    says=st.booleans(),
    hows=st.tuples(HOW, HOW),
    n_constant=st.integers(0, 40),
    share_invalid=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    is_smooth=st.booleans(),
    asked=st.sampled_from([None, "auto", "run", "session"]),
)
def test_rows_of_one_recipe_are_never_refused_whatever_is_left_of_them(
    labels: Dataset,
    seed: int,
    zscore: str,
    dtype: str,
    says: bool,
    hows: tuple[str, str],
    n_constant: int,
    share_invalid: float,
    is_smooth: bool,
    asked: str | None,
) -> None:
    rng = np.random.default_rng(seed)
    stored = np.rint(rng.normal(200, 600, (labels.num_rows, 40)))
    betas = (stored + rng.random(stored.shape) * is_smooth) / 300
    betas[:, :n_constant] = rng.choice([0.0, 1.0])
    is_valid = rng.random(labels.num_rows) >= share_invalid
    betas[~is_valid] = 0
    if zscore != "none":
        betas = scored(betas, labels, is_valid, zscore)
    values = pa.FixedSizeListArray.from_arrays(pa.array(betas.astype(dtype).ravel()), 40)
    table = labels.with_format("arrow")[:].append_column("betas", values).append_column("is_valid", pa.array(is_valid))
    rows = Dataset(carrying(table, Recipe(B3, zscore, dtype) if says else None))
    one, other = (rows.select(chosen(rng, labels, how)) for how in hows)
    for some in (one, other, concatenate_datasets([one, other])):
        valid = some.select(np.flatnonzero(some["is_valid"][:]))
        is_wider = asked is not None and any(wider(asked, zscore, name) for name in set(valid["condition"][:]))
        try:
            kind = kind_of(some, asked)
        except UsageError:
            assert is_wider
        else:
            assert kind.zscored in (None, zscore != "none")
            assert not (is_wider and the_recipe(valid))
    refuse_other_kind(kind_of(one, None), kind_of(other, None))
