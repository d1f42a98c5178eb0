"""Exhibits: what is shown beside scores is what the scores are made of, and says why where it is not there."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nsd_imagery
from nsd_imagery.evaluation.comparisons import POOLED_SETS, PRIMARY
from nsd_imagery.evaluation.drift import drift_of, drift_sums
from nsd_imagery.evaluation.exhibited import exhibited
from nsd_imagery.evaluation.exhibits import DRIFTS, TESTS, exhibits_of
from nsd_imagery.evaluation.geometry import rdm_within
from nsd_imagery.evaluation.gram import gram
from nsd_imagery.evaluation.identifications import measured_identifications
from nsd_imagery.evaluation.identify import between, drawn_orders
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP
from nsd_imagery.evaluation.record import Record
from nsd_imagery.evaluation.relations import measured_geometry
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.runs import Run, Runs, load_runs
from nsd_imagery.evaluation.score import GROUP, Measured
from nsd_imagery.evaluation.subject import Task, evaluate_subject
from nsd_imagery.evaluation.templates import similarity
from nsd_imagery.evaluation.vivid import FEWEST, HOW, vivid_trials

evaluated = partial(nsd_imagery.evaluate, report=False)

pytestmark = pytest.mark.slow

DRAWS = 99
ROI = "nsdgeneral"
SUBJECTS = ("subj01", "subj02")


@pytest.fixture(scope="module")
def plain(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of fithrf."""
    folder = tmp_path_factory.mktemp("plain") / "nsd_imagery"
    return nsd_imagery.build(release, folder, betas="fithrf", conditions=["vision", "imagery"])


@pytest.fixture(scope="module")
def found(dataset: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluated(dataset, tmp_path_factory.mktemp("shown") / "e", across=plain, draws=DRAWS)


@pytest.fixture(scope="module")
def shown(found: Evaluation) -> dict[str, Any]:
    return said_in(found.path)


@pytest.fixture(scope="module")
def runs(dataset: Path) -> Runs:
    return load_runs(dataset, "subj01")


def said_in(folder: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads((folder / "evaluation.json").read_text(encoding="utf-8"), parse_constant=refuse)["exhibits"]


def of_roi(shown: dict[str, Any], subject: str = "subj01") -> dict[str, Any]:
    return shown[subject]["rois"][ROI]


def find(runs: Runs, name: str) -> Run:
    run = runs.find(name)
    assert run is not None
    return run


def with_responses(runs: Runs, response: np.ndarray, name: str = "imgA_2") -> Runs:
    changed = [replace(run, response=response.astype(np.int32)) if run.name == name else run for run in runs]
    return replace(runs, runs=tuple(changed))


# --- distances


def test_distances_are_those_of_the_geometry_and_lie_beside_their_targets(
    dataset: Path, plain: Path, shown: dict[str, Any]
) -> None:
    of_subjects: list[list[dict[str, Any]]] = []
    for subject in SUBJECTS:
        of_plain = load_runs(plain, subject)
        geometry, products = measured_geometry(load_runs(dataset, subject), of_plain, draws=0), gram(of_plain)
        rows = of_roi(shown, subject)["rdms"]
        of_subjects.append(rows)
        assert [row["stimulus_set"] for row in rows] == ["A", "B", "C"]
        for row in rows:
            seen = find(of_plain, f"vis{row['stimulus_set']}")
            assert row["vision"] == pytest.approx(rdm_within(seen, products), rel=1e-5, abs=1e-12)
            assert row["imagery"] == pytest.approx(geometry.imagery[row["stimulus_set"]], rel=1e-5, abs=1e-12)
            assert (row["vision_betas"], row["imagery_betas"]) == ("fithrf", "fithrf")
            assert tuple(row["targets"]) == seen.targets
    for row, *own in zip(of_roi(shown, GROUP)["rdms"], *of_subjects, strict=True):
        assert row["imagery"] == pytest.approx(np.mean([one["imagery"] for one in own], axis=0), rel=1e-4, abs=1e-6)
        assert row["imagery_n_subjects"] == 2


def test_without_betas_of_fithrf_distances_of_imagery_are_missing_and_say_why(dataset: Path, tmp_path: Path) -> None:
    alone = evaluated(dataset, tmp_path / "e", subjects=1, draws=9)
    for subject in ("subj01", GROUP):
        rows = of_roi(said_in(alone.path), subject)["rdms"]
        assert {row["imagery"] for row in rows} == {None}
        assert all("--across DIR" in row["imagery_reason"] and not row["vision_reason"] for row in rows)
        assert {row["vision_betas"] for row in rows} == {"fithrf_GLMdenoise_RR"}
        across = next(one for one in of_roi(said_in(alone.path), subject)["nulls"] if one["name"] == "imagery across")
        assert (across["counts"], across["observed"], across["p"]) == ([], None, None)
        assert "--across DIR" in across["reason"]


def test_distances_of_imagery_say_which_run_of_the_other_betas_is_missing(
    runs: Runs, plain: Path, whole: list[Measured]
) -> None:
    of_plain = load_runs(plain, "subj01")
    kept = tuple(run for run in of_plain if run.name != "imgA_2")
    without = replace(of_plain, runs=kept, left_out={"imgA_2": "it is gone"})
    geometry = measured_geometry(runs, without, draws=9)
    first, second, _ = exhibits_of(runs, without, gram(runs), geometry, whole, draws=9).said["rdms"]
    assert (first["imagery"], first["imagery_reason"]) == (None, "imgA_2: it is gone")
    assert (first["vision_betas"], first["vision_reason"], second["imagery_reason"]) == ("fithrf", "", "")


# --- null distributions


@pytest.mark.parametrize("subject", [*SUBJECTS, GROUP])
def test_a_null_distribution_counts_every_draw_and_has_the_p_of_the_table(
    found: Evaluation, shown: dict[str, Any], subject: str
) -> None:
    nulls = of_roi(shown, subject)["nulls"]
    assert [one["name"] for one in nulls] == list(TESTS)
    for one in nulls:
        (score,) = [
            score
            for score in found.scores
            if (score.subject, score.roi, score.measure, score.stimulus_set) == (subject, ROI, "margin", "")
            and TESTS[one["name"]].is_of(score)
        ]
        assert sum(one["counts"]) == one["draws"] == score.draws == DRAWS
        assert len(one["edges"]) == len(one["counts"]) + 1
        assert one["edges"] == sorted(one["edges"])
        assert one["p"] == score.p
        # What lies in bins above the one of the observed value gives as much or more.
        above = sum(n for n, start in zip(one["counts"], one["edges"], strict=False) if start >= one["observed"])
        reached = sum(n for n, end in zip(one["counts"], one["edges"][1:], strict=True) if end >= one["observed"])
        assert (1 + above) / (1 + DRAWS) <= one["p"] <= (1 + reached) / (1 + DRAWS)
        assert one["unit"] == ("z" if subject == GROUP else "margin")
        if subject != GROUP:
            assert one["observed"] == score.value


# --- drift


def test_drift_is_of_every_pair_of_trials_with_other_targets_once(runs: Runs, shown: dict[str, Any]) -> None:
    products = gram(runs)
    apart = np.abs(np.subtract.outer(np.arange(48), np.arange(48)))
    rows = of_roi(shown)["drift"]
    assert [(row["first"], row["second"]) for row in rows] == list(DRIFTS)
    for row in rows:
        sums, n_pairs = np.zeros(48), np.zeros(48, int)
        for name in row["stimulus_sets"]:
            first, second = (find(runs, row[which].replace("X", name)) for which in ("first", "second"))
            other = first.order[:, None] != second.order
            alike = products.similarity(first, second)
            n_pairs += np.bincount(apart[other], minlength=48)
            sums += np.bincount(apart[other], alike[other], 48)
        assert row["n_pairs"] == n_pairs.tolist()
        for place in range(48):
            value = row["similarity"][place]
            assert (
                value is None if n_pairs[place] == 0 else value == pytest.approx(sums[place] / n_pairs[place], rel=1e-4)
            )
    assert rows[0]["similarity"][0] is None  # imgX_1 has the order of visX


def test_the_band_of_drift_over_sets_is_narrower_than_that_of_a_set(runs: Runs) -> None:
    products = gram(runs)
    sums = [drift_sums(find(runs, f"vis{name}"), find(runs, f"img{name}_2"), products, DRAWS) for name in "ABC"]
    whole, alone = drift_of("visX", "imgX_2", sums), drift_of("visA", "imgA_2", sums[:1])
    assert np.nanmean(whole.high - whole.low) < 0.75 * np.nanmean(alone.high - alone.low)
    assert whole.drawn.shape == (DRAWS, 48)


def test_drift_of_a_group_is_the_mean_over_subjects_and_its_band_that_of_means(
    dataset: Path, shown: dict[str, Any]
) -> None:
    for place, (first, second) in enumerate(DRIFTS):
        row, own = of_roi(shown, GROUP)["drift"][place], [of_roi(shown, name)["drift"][place] for name in SUBJECTS]
        values = np.array([one["similarity"] for one in own], float)
        assert np.array(row["similarity"], float) == pytest.approx(values.mean(axis=0), rel=1e-3, abs=1e-6, nan_ok=True)
        drawn: list[np.ndarray] = []
        for subject in SUBJECTS:
            of_subject = load_runs(dataset, subject)
            products = gram(of_subject)
            pairs = [(find(of_subject, first.replace("X", s)), find(of_subject, second.replace("X", s))) for s in "ABC"]
            drawn.append(drift_of("", "", [drift_sums(*pair, products, DRAWS) for pair in pairs]).drawn)
        expected = np.nanquantile(np.mean(drawn, axis=0)[:, 1:], row["band"][1], axis=0)
        assert row["high"][1:] == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert row["n_subjects"] == 2


# --- answers


def test_answers_are_counted_by_run_and_target_and_summed_over_subjects(dataset: Path, shown: dict[str, Any]) -> None:
    of_all: Counter[tuple[str, str, int]] = Counter()
    for subject in SUBJECTS:
        counts: Counter[tuple[str, str, int]] = Counter()
        right: Counter[tuple[str, str]] = Counter()
        for condition in ("vision", "imagery"):
            names = ["run_name", "target", "response", "cue_matches"]
            rows = nsd_imagery.load(dataset, f"{subject}-{condition}", "test").select_columns(names).to_list()
            counts.update((row["run_name"], row["target"], row["response"]) for row in rows)
            right.update((row["run_name"], row["target"]) for row in rows if row["response"] == 2 - row["cue_matches"])
        said = shown[subject]["responses"]
        assert len(said) == 9 * 6
        for row in said:
            key = row["run"], row["target"]
            expected = [counts[*key, button] for button in (1, 2, -1)]
            assert [row["first"], row["second"], row["none"]] == expected
            assert row["correct"] == (right[key] if row["condition"] == "vision" else None)
            assert sum(expected) == row["n_trials"] == 8
        of_all += counts
    for row in shown[GROUP]["responses"]:
        assert row["first"] == of_all[row["run"], row["target"], 1]
        assert (row["n_trials"], row["n_subjects"]) == (16, 2)


def test_trials_of_each_run_are_counted(runs: Runs, shown: dict[str, Any]) -> None:
    assert [(row["run"], row["n_trials"], row["n_valid"]) for row in shown["subj01"]["runs"]] == [
        (run.name, 48, run.n_valid) for run in runs
    ]
    assert all(sum(row["n_valid_by_target"]) == row["n_valid"] for row in shown["subj01"]["runs"])


# --- vivid trials


@pytest.fixture(scope="module")
def whole(runs: Runs) -> list[Measured]:
    return measured_identifications(runs, draws=DRAWS)


def only(vivid: list[Measured], measure: str, stimulus_set: str) -> Measured:
    (one,) = [one for one in vivid if (one.score.measure, one.score.stimulus_set) == (measure, stimulus_set)]
    return one


def test_only_vivid_trials_are_tested_and_each_draw_is_of_the_same_trials(runs: Runs, whole: list[Measured]) -> None:
    products, train, test = gram(runs), find(runs, "visA"), find(runs, "imgA_2")
    alike = similarity(train, test, products, "letter-free")
    is_right = alike.argmax(axis=1) == test.order
    kept = is_right | (np.arange(48) < FEWEST)
    vivid = vivid_trials(with_responses(runs, np.where(kept, 1, 2)), products, whole, DRAWS)
    accuracy, margin = (only(vivid, measure, "A") for measure in ("identification", "margin"))
    assert accuracy.score.n_trials == kept.sum() < 48
    assert accuracy.score.value == pytest.approx(is_right[kept].mean())
    own = np.take_along_axis(alike, test.order[:, None].astype(int), 1)[:, 0]
    margins = own - (alike.sum(axis=1) - own) / 5
    assert margin.score.value == pytest.approx(margins[kept].mean())
    drawn = drawn_orders(test, DRAWS)[:, kept]
    expected = [(alike[kept].argmax(axis=1) == order).mean() for order in drawn]
    assert accuracy.null == pytest.approx(expected)
    assert accuracy.score.p == (1 + np.sum(np.array(expected) >= accuracy.statistic - 1e-12)) / (1 + DRAWS)
    assert accuracy.score.reference == between(train, test, products, 0, "letter-free").accuracy.value


def test_vivid_trials_are_post_hoc_and_stand_in_no_table_and_no_family(
    found: Evaluation, shown: dict[str, Any]
) -> None:
    assert HOW not in {score.how for score in found.scores}
    for subject in (*SUBJECTS, GROUP):
        rows = of_roi(shown, subject)["vivid"]
        assert [row["stimulus_set"] for row in rows] == [*POOLED_SETS, ""]
        for row in rows:
            for measure in ("identification", "margin"):
                score = row[measure]
                assert (score["subject"], score["measure"], score["how"]) == (subject, measure, HOW)
                assert (score["family"], score["p_corrected"]) == ("", None)
                assert "post hoc" in score["reason"]
                assert score["value"] is not None
                assert score["p"] is not None
        assert rows[2]["margin"]["n_trials"] == rows[0]["margin"]["n_trials"] + rows[1]["margin"]["n_trials"]
    answers = [row for row in shown["subj01"]["responses"] if row["run"] == "imgA_2"]
    assert of_roi(shown)["vivid"][0]["margin"]["n_trials"] == sum(row["first"] for row in answers)


def test_all_trials_vivid_give_the_primary_test_itself(runs: Runs, whole: list[Measured]) -> None:
    vivid = vivid_trials(with_responses(runs, np.ones(48)), gram(runs), whole, DRAWS)
    for measure in ("identification", "margin"):
        (primary,) = [
            one
            for one in whole
            if PRIMARY.comparison.is_of(one.score) and (one.score.measure, one.score.stimulus_set) == (measure, "A")
        ]
        one = only(vivid, measure, "A")
        assert (one.score.value, one.score.p, one.score.low) == (
            primary.score.value,
            primary.score.p,
            primary.score.low,
        )


@pytest.mark.parametrize(
    ("response", "why"),
    [
        (np.full(48, -1), "imgA_2: no button was pressed"),
        (
            np.where(np.arange(48) < FEWEST - 1, 1, 2),
            f"imgA_2: {FEWEST - 1} valid trials were called vivid, fewer than",
        ),
    ],
)
def test_too_few_vivid_trials_have_no_number_and_the_other_set_has(
    runs: Runs, whole: list[Measured], response: np.ndarray, why: str
) -> None:
    vivid = vivid_trials(with_responses(runs, response), gram(runs), whole, DRAWS)
    assert only(vivid, "margin", "A").score.value is None
    assert only(vivid, "margin", "A").score.reason.startswith(why)
    pooled = only(vivid, "margin", "")
    assert pooled.score.value == pytest.approx(only(vivid, "margin", "B").score.value)
    assert "without set A" in pooled.score.reason


# --- the file


def test_exhibits_are_small_and_lists_of_numbers_stand_on_a_line(found: Evaluation, shown: dict[str, Any]) -> None:
    lines = (found.path / "evaluation.json").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.strip().rstrip(",").lstrip("-").replace(".", "").isdigit()]
    assert all(len(json.dumps(one)) < 60_000 for one in shown.values())
    assert list(shown) == [*SUBJECTS, GROUP]


def test_a_folder_of_vision_alone_says_of_each_exhibit_why_it_is_missing(release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(release, tmp_path / "d", subjects=1, conditions=["vision"])
    shown = said_in(evaluated(folder, tmp_path / "e", draws=9).path)
    for subject in ("subj01", GROUP):
        one = of_roi(shown, subject)
        assert all(row["similarity"] == [] and "has no subj01-imagery" in row["reason"] for row in one["drift"])
        names = {row["name"]: bool(row["counts"]) for row in one["nulls"]}
        assert {name for name, is_there in names.items() if is_there} == {"within vision"}
        assert all(row["reason"] for row in one["nulls"] if not row["counts"])
        assert all(row["margin"]["value"] is None and row["margin"]["reason"] for row in one["vivid"])
        assert {row["condition"] for row in shown[subject]["responses"]} == {"vision"}


def test_a_folder_of_perception_alone_has_empty_exhibits(core_release: Path, tmp_path: Path) -> None:
    folder = nsd_imagery.build(core_release, tmp_path / "d", conditions=["perception"])
    shown = said_in(evaluated(folder, tmp_path / "e", draws=9).path)
    assert shown["subj01"]["responses"] == shown[GROUP]["responses"] == []
    assert all(row["vision"] is None and row["vision_reason"] for row in of_roi(shown, GROUP)["rdms"])


def test_the_subjects_of_most_papers_have_exhibits_where_they_have_scores(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "one.npz").write_bytes(evaluate_subject(Task(dataset, None, "subj01", (ROI,), 19)))
    with Record(tmp_path / "one.npz") as one:
        shown = exhibited({f"subj0{number}": one for number in (1, 2, 3, 5, 7)}, [ROI])
    assert list(shown)[-2:] == [GROUP, PUBLISHED_GROUP]
    assert {row["n_subjects"] for row in shown[GROUP]["responses"]} == {5}
    assert {row["n_subjects"] for row in shown[PUBLISHED_GROUP]["responses"]} == {4}
