"""What the page says in words: made of scores, never more than they say; and where nothing can be said, why.

"Above chance" is p ≤ 0.05 of the margin, as the table has it; no interval is said where there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup

from nsd_imagery.evaluation.cells import RELIABLE
from nsd_imagery.evaluation.comparisons import PRIMARY
from nsd_imagery.evaluation.headline import Line
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP
from nsd_imagery.evaluation.score import GROUP, Score
from nsd_imagery.evaluation.subject import kind_of
from nsd_imagery.page.numbers import number, number_p

EARLY: Final = "early"
_AREAS: Final = {EARLY: "early visual cortex", "higher": "higher visual cortex"}

Lines = Mapping[tuple[str, str], tuple[Score, ...]]
"""The headline's scores, by name and ROI."""


def said_of(lines: Iterable[Line], scores: Sequence[Score]) -> list[Markup]:
    """The sentences that open the page.

    Args:
        lines: The headline, the main ROI first.
        scores: All, for how many subjects a test holds in.
    """
    lines = list(lines)
    main = lines[0].roi
    known = {(line.name, line.roi): line.scores for line in lines}
    early = EARLY if ("imagery/vision", EARLY) in known else main
    return [
        signal_ratio(known["imagery/vision", early][0]),
        primary(known["vision → imagery", main], known["letter alone", main], scores),
        difference(known["vision → imgX_1", main][-1]),
        shared_pattern(*known["shared pattern", main]),
    ]


def signal_ratio(score: Score) -> Markup:
    """How much of vision's signal imagery has."""
    area = _AREAS.get(score.roi, score.roi)
    if score.value is None:
        return _unsaid("How much of vision’s signal imagery carries in {}", score, area)
    holds_nothing = score.low is not None and score.low <= 0
    more = Markup("; the interval holds 0") if holds_nothing else Markup("")
    return Markup("Imagery carries {} of vision’s signal variance in {}, the letter on the screen included{}.").format(
        with_interval(score), area, more
    )


def primary(both: Sequence[Score], letter: Sequence[Score], scores: Sequence[Score]) -> Markup:
    """Whether imagery is told from vision's templates without the letter, and what the letter alone gives.

    Args:
        both: Accuracy and margin, letter-free.
        letter: The same of the letter alone.
        scores: All.
    """
    accuracy, margin = both
    role = "The primary test" if PRIMARY.is_of(margin) else f"Secondary, as the primary test is of {PRIMARY.roi}"
    what = "whether vision → imagery, letter-free, is above chance in the run of its own order"
    if margin.value is None or margin.p is None:
        return _unsaid(what[0].upper() + what[1:], margin)
    told = Markup("{}: vision → imagery, letter-free, {} in the run of its own order, imgX_2 ({}): {}. {} {}").format(
        role, _verdict(margin), _test(margin, scores), _share(accuracy), _letter_alone(*letter), _published(scores)
    )
    return Markup(told.strip())


def difference(score: Score) -> Markup:
    """How much more is told in the run that has vision's order."""
    if score.value is None:
        return _unsaid("How imgX_1, which has vision’s order, differs from imgX_2", score)
    return Markup("imgX_1 − imgX_2 = {} of trials, both detrended; order, time and practice are not separable.").format(
        with_interval(score)
    )


def shared_pattern(correlation: Score, covariance: Score) -> Markup:
    """How alike patterns of vision and imagery are, without noise."""
    if covariance.value is None:
        return _unsaid("How alike patterns of vision and imagery are", covariance)
    beside = Markup("covariance {}").format(with_interval(covariance))
    if covariance.p is not None:
        verdict = "above 0" if covariance.p <= RELIABLE else "not shown to be above 0"
        beside += Markup(", {} (p = {})").format(verdict, number_p(covariance.p))
    if correlation.value is None:
        return _unsaid("The correlation of patterns of vision and imagery without noise", correlation) + Markup(
            " Their {}."
        ).format(beside)
    return Markup("Without noise and letter, patterns of vision and imagery correlate at {}; {}.").format(
        with_interval(correlation), beside
    )


def vividness(shown: Mapping[str, Any], roi: str) -> list[Markup]:
    """What was answered, and the primary test where imagery was called vivid.

    Args:
        shown: Exhibits of a subject or a group.
        roi: Of the test.
    """
    told = [Markup("Eye movements were not measured here.")]
    rows = [row for row in shown.get("responses", ()) if row["condition"] == "imagery"]
    n_trials = sum(row["n_trials"] for row in rows)
    if n_trials:
        vivid, other, none = (sum(row[name] for row in rows) for name in ("first", "second", "none"))
        told.append(
            Markup("Of {} imagery trials {} were called vivid, {} not vivid, and {} got no answer.").format(
                *map(number, (n_trials, vivid, other, none))
            )
        )
    vivid_alone = [one for one in shown.get("rois", {}).get(roi, {}).get("vivid", ()) if one["stimulus_set"] == ""]
    told += [_on_vivid(one["identification"], one["margin"]) for one in vivid_alone]
    return told


def _on_vivid(accuracy: Mapping[str, Any], margin: Mapping[str, Any]) -> Markup:
    what = "The primary test on vivid trials alone (post hoc: chosen after the fact, in no family)"
    if margin["value"] is None or margin["p"] is None:
        return Markup("{} gives nothing: {}.").format(what, margin["reason"] or "it has no p")
    return Markup("{}: {} of trials, chance {}, p = {}.").format(
        what, number(accuracy["value"]), number(accuracy["chance"]), number_p(margin["p"])
    )


def with_interval(score: Score) -> Markup:
    """A value with its interval, or that it has none, and why."""
    value = number(score.value)
    if score.low is None or score.high is None:
        return Markup("{} (no interval: {})").format(value, score.interval) if score.interval else value
    return Markup("{} [{}, {}]").format(value, number(score.low), number(score.high))


def _verdict(margin: Score) -> str:
    is_above = margin.p is not None and margin.p <= RELIABLE
    return "is above chance" if is_above else "is not shown to be above chance"


def _share(accuracy: Score) -> Markup:
    return Markup("{} of trials, chance {}").format(with_interval(accuracy), number(accuracy.chance))


def _test(margin: Score, scores: Sequence[Score]) -> Markup:
    """p, what it is of, and in how many subjects it holds."""
    if margin.subject != GROUP or margin.n_subjects == 1:
        return Markup("p = {}, one subject").format(number_p(margin.p))
    alike = [one for one in scores if kind_of(one) == kind_of(margin) and one.roi == margin.roi]
    own = [one for one in alike if not one.subject.startswith(GROUP) and one.p is not None]
    n_small = sum(one.p is not None and one.p <= RELIABLE for one in own)
    return Markup("p = {}, fixed effects: some subject in some set; {} of {} subjects at p ≤ 0.05").format(
        number_p(margin.p), number(n_small), number(len(own))
    )


def _letter_alone(accuracy: Score, margin: Score) -> Markup:
    if margin.value is None or margin.p is None:
        return _unsaid("What the letter alone gives", margin)
    return Markup("The letter alone {} (p = {}): {}.").format(_verdict(margin), number_p(margin.p), _share(accuracy))


def _published(scores: Sequence[Score]) -> Markup:
    """The primary test in the subjects of most papers, where they are some of all."""
    some = next((one for one in scores if one.subject == PUBLISHED_GROUP and _is_primary(one)), None)
    if some is None or some.p is None:
        return Markup("")
    who = some.subject.removeprefix(f"{GROUP} of ")
    return Markup("Of {} alone: p = {}.").format(who, number_p(some.p))


def _is_primary(score: Score) -> bool:
    what = PRIMARY.comparison
    same = (what.train, what.test, what.how, what.unit) == (score.train, score.test, score.how, score.unit)
    return same and (score.measure, score.roi, score.stimulus_set) == (PRIMARY.measure, PRIMARY.roi, "")


def _unsaid(what: str, score: Score, *words: str) -> Markup:
    return Markup("{} is not said: {}.").format(what.format(*words), score.reason or "it has no p")
