"""What the page says in words is what the scores say, and no more; where they say nothing, it says why."""

import re
from dataclasses import replace
from typing import Any

import pytest

from nsd_imagery.evaluation.comparisons import PRIMARY
from nsd_imagery.evaluation.headline import headline
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP
from nsd_imagery.evaluation.report.words import (
    difference,
    letter_alone,
    primary,
    readout,
    said_of,
    shared_pattern,
    signal_ratio,
    vividness,
)
from nsd_imagery.evaluation.score import GROUP, Score, unestimated
from nsd_imagery.page.numbers import number, number_p, shown

NOTHING = unestimated(
    measure="margin", subject=GROUP, roi="nsdgeneral", condition="vision → imagery", stimulus_set="", train="visX",
    test="imgX_2", unit="trial", n_repeats=1, n_trials=192, n_subjects=2, n_candidates=6, candidates="the 6",
    n_voxels=None, how="letter-free", beta_version="fithrf", dataset="0", reason="the folder has no vision",
)  # fmt: skip


def made(**said: Any) -> Score:
    """A score that has a value."""
    return replace(NOTHING, **{"reason": "", "value": 0.25, **said})


def margin(p: float | None, **said: Any) -> Score:
    return made(**{"value": 0.02, "p": p, **said})


def accuracy(**said: Any) -> Score:
    return made(**{"measure": "identification", "chance": 1 / 6, "low": 0.21, "high": 0.29, **said})


def plain(sentence: str) -> str:
    """A sentence as it is read."""
    return re.sub(r"<[^>]*>", "", str(sentence)).replace("\u00a0", " ")


def test_the_primary_test_says_p_what_it_is_of_and_in_how_many_subjects_it_holds() -> None:
    of_group = margin(0.0321)
    own = [replace(of_group, subject=f"subj0{n}", p=p) for n, p in ((1, 0.05), (2, 0.051), (3, 0.001), (4, None))]
    other = [replace(own[0], roi="early"), replace(own[0], how="letter"), replace(of_group, subject=PUBLISHED_GROUP)]
    said = plain(primary(accuracy(), of_group, [of_group, *own, *other]))
    assert said == (
        "Vision → imagery, letter-free, is above chance in nsdgeneral, in the run of its own order, imgX_2 (p = 0.032, "
        "fixed effects: some subject in some set; 2 of 3 subjects at p ≤ 0.05): 0.25 [0.21, 0.29] of trials, chance "
        "0.17. This is the primary test. Of subj01, subj02, subj05, subj07 alone: p = 0.032."
    )


@pytest.mark.parametrize(
    ("p", "verdict"), [(0.05, "is above chance"), (0.0501, "is not shown to be above chance"), (0.9, "is not shown")]
)
def test_a_test_that_did_not_reach_005_is_never_said_to_be_above_chance(p: float, verdict: str) -> None:
    for said in (primary(accuracy(), margin(p), []), letter_alone(accuracy(), margin(p))):
        assert verdict in plain(said)
        assert (" is above chance" in plain(said)) == (p <= 0.05)


def test_in_another_roi_the_test_is_said_to_be_secondary() -> None:
    assert not PRIMARY.is_of(margin(0.01, roi="early"))
    assert "Secondary: the primary test is of nsdgeneral." in plain(primary(accuracy(), margin(0.01, roi="early"), []))


def test_of_one_subject_nothing_is_said_of_subjects() -> None:
    said = plain(primary(accuracy(), margin(0.01, n_subjects=1), []))
    assert "(p = 0.01, one subject)" in said
    assert "fixed effects" not in said


def test_what_has_no_value_is_not_said_and_the_reason_is() -> None:
    for said in (
        primary(NOTHING, NOTHING, []),
        letter_alone(NOTHING, NOTHING),
        signal_ratio(replace(NOTHING, roi="early")),
        difference(NOTHING),
        shared_pattern(NOTHING, NOTHING),
    ):
        assert plain(said).endswith("is not said: the folder has no vision.")
        assert "<data" not in said


def test_the_signals_ratio_names_the_area_and_that_the_letter_is_in_it() -> None:
    score = made(measure="signal_variance", roi="early", value=0.35, low=0.1, high=0.6)
    assert plain(signal_ratio(score)) == (
        "Imagery carries 0.35 [0.10, 0.60] of vision’s signal variance in early visual cortex, the letter on the "
        "screen included."
    )
    assert plain(signal_ratio(replace(score, low=-0.1))).endswith("included; the interval holds 0.")
    assert " in V1+V2, " in plain(signal_ratio(replace(score, roi="V1+V2")))


def test_runs_differ_by_a_number_and_never_by_a_cause() -> None:
    assert plain(difference(made(value=-0.0731, low=-0.2, high=0.05))) == (
        "imgX_1 − imgX_2 = −0.073 [−0.20, 0.05] of trials, both detrended; order, time and practice are not separable."
    ).replace("0.05]", "0.050]")


def test_a_correlation_without_noise_never_stands_without_its_covariance() -> None:
    covariance = made(measure="pattern_covariance", value=0.016, p=0.2)
    said = plain(shared_pattern(made(measure="pattern_correlation", value=0.57, low=-0.1, high=1.2), covariance))
    assert "0.57 [−0.10, 1.20]; the interval holds 0; covariance 0.016, not shown to be above 0 (p = 0.2)" in said
    alone = plain(shared_pattern(replace(NOTHING, reason="needs 3 subjects"), covariance))
    assert "without noise is not said: needs 3 subjects. Their covariance 0.016" in alone


def test_numbers_without_intervals_say_once_why() -> None:
    scores = [
        made(measure=measure, train=train, test=test, how=how, condition=condition, n_repeats=n, unit=unit, p=0.2,
             chance=0.1, interval="needs 3 subjects")
        for measure, condition, train, test, how, n, unit in _HEADLINE
    ]  # fmt: skip
    lines = headline(scores, ["nsdgeneral"])
    told = [plain(one) for one in said_of(lines, scores)]
    assert told[-1] == "Numbers without an interval have none: needs 3 subjects."
    assert sum("needs 3 subjects" in one for one in told) == 1
    names = ["reliability of vision", "reliability of imagery", "within vision", "vision → imagery"]
    assert [one.name for one in readout(lines)] == names


_HEADLINE = [
    *[("ncsnr", one, "", "", "within", 1, "trial") for one in ("vision", "imagery")],
    *[("noise_ceiling", one, "", "", "within", n, "mean") for one in ("vision", "imagery") for n in (1, 8, 16)],
    ("signal_variance", "imagery/vision", "visX", "imgX", "within", 1, "trial"),
    *[
        (measure, "any", train, test, how, 1, "trial")
        for measure in ("identification", "margin")
        for train, test, how in (
            ("visX", "visX", "within"),
            ("imgX", "imgX", "across"),
            ("visX", "imgX_2", "letter-free"),
            ("visX", "imgX_2", "letter"),
            ("visX", "imgX_1", "detrended"),
            ("visX", "imgX_1 − imgX_2", "detrended"),
        )
    ],
    *[(f"pattern_{what}", "any", "visX", "imgX_2", "letter-free", 8, "mean") for what in ("correlation", "covariance")],
]


def test_answers_are_counted_and_the_test_on_vivid_trials_is_said_to_be_post_hoc() -> None:
    rows = [
        {"condition": "imagery", "n_trials": 48, "first": 30, "second": 17, "none": 1},
        {"condition": "imagery", "n_trials": 48, "first": 20, "second": 28, "none": 0},
        {"condition": "vision", "n_trials": 48, "first": 48, "second": 0, "none": 0},
    ]
    vivid = {"stimulus_set": "", "identification": {"value": 0.3, "chance": 1 / 6}, "margin": {"value": 0.1, "p": 0.04}}
    said = [
        plain(one) for one in vividness({"responses": rows, "rois": {"nsdgeneral": {"vivid": [vivid]}}}, "nsdgeneral")
    ]
    assert said == [
        "Eye movements were not measured here.",
        "Of 96 imagery trials 50 were called vivid, 45 not vivid, and 1 got no answer.",
        "The primary test on vivid trials alone (post hoc: chosen after the fact, in no family): 0.30 of trials, "
        "chance 0.17, p = 0.04.",
    ]
    vivid["margin"] = {"value": None, "p": None, "reason": "too few vivid trials"}
    said = plain(vividness({"responses": [], "rois": {"early": {"vivid": [vivid]}}}, "early")[-1])
    assert said.startswith("Vision → imagery, letter-free, in early on vivid trials alone (post hoc")
    assert said.endswith("gives nothing: too few vivid trials.")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.0, "0"), (0.213, "0.21"), (0.0213, "0.021"), (-0.0213, "−0.021"), (0.00031, "0.0003"),
        (1.0, "1.00"), (2304, "2,304"), (-7, "−7"), (3e-9, "3e−09"),
    ],
)  # fmt: skip
def test_numbers_are_shown_short_and_kept_with_six_digits(value: float | None, text: str) -> None:
    assert shown(value) == text
    whole = value if isinstance(value, int) or value is None else f"{value:.6g}"
    assert number(value) == ("" if value is None else f'<data value="{whole}">{text}</data>')


def test_p_keeps_two_digits_that_count() -> None:
    assert number_p(0.00012345) == '<data value="0.00012345">0.00012</data>'
    assert number_p(None) == ""
