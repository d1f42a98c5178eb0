"""What the page says in words: made of scores, never more than they say; and where nothing can be said, why.

"Above chance" is p ≤ 0.05 of the margin, as the table has it; no interval is said where there is none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

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


class Readout(NamedTuple):
    """A number that is seen first.

    Attributes:
        colour: Of which condition it has the colour.
        name: What it is.
        value: The number.
        beside: Its interval, chance and p; or why there is none.
    """

    colour: str
    name: str
    value: Markup
    beside: Markup


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
    ratio, gain = known["imagery/vision", early][0], known["vision → imgX_1", main][-1]
    both, letter, shared = (known[name, main] for name in ("vision → imagery", "letter alone", "shared pattern"))
    told = [
        primary(both[0], both[1], scores),
        letter_alone(letter[0], letter[1]),
        signal_ratio(ratio),
        difference(gain),
        shared_pattern(shared[0], shared[1]),
    ]
    lacking = [one for one in (both[0], letter[0], ratio, gain, shared[1]) if one.value is not None and one.low is None]
    if lacking:
        told.append(
            Markup("Numbers without an interval have none: {}.").format(lacking[0].interval or "it has no form")
        )
    return told


def readout(lines: Iterable[Line]) -> list[Readout]:
    """What is seen first: reliability, identification within vision, and the primary test with its control."""
    lines = list(lines)
    known = {line.name: line.scores for line in lines if line.roi == lines[0].roi}
    seen, imagined = known["reliability"]
    within, both, letter = (known[name] for name in ("within vision", "vision → imagery", "letter alone"))
    alone = Markup("; the letter alone {}").format(number(letter[0].value)) if letter[0].value is not None else ""
    return [
        Readout("vision", "reliability of vision", number(seen.value), _small("ncsnr", seen, seen)),
        Readout("imagery", "reliability of imagery", number(imagined.value), _small("ncsnr", imagined, imagined)),
        Readout("vision", "within vision", number(within[0].value), _small("6-way identification", *within)),
        Readout(
            "between",
            "vision → imagery",
            number(both[0].value),
            _small("letter-free 6-way identification", *both) + alone,
        ),
    ]


def signal_ratio(score: Score) -> Markup:
    """How much of vision's signal imagery has."""
    area = _AREAS.get(score.roi, score.roi)
    if score.value is None:
        return _unsaid("How much of vision’s signal imagery carries in {}", score, area)
    return Markup("Imagery carries {} of vision’s signal variance in {}, the letter on the screen included{}.").format(
        with_interval(score), area, _holds_nothing(score)
    )


def primary(accuracy: Score, margin: Score, scores: Sequence[Score]) -> Markup:
    """Whether imagery is told from vision's templates without the letter.

    Args:
        accuracy: Letter-free.
        margin: Its margin, that p belongs to.
        scores: All.
    """
    if margin.value is None or margin.p is None:
        return _unsaid("Whether vision → imagery, letter-free, is above chance in the run of its own order", margin)
    role = "This is the primary test." if PRIMARY.is_of(margin) else f"Secondary: the primary test is of {PRIMARY.roi}."
    return Markup(
        Markup("<b>Vision → imagery, letter-free, {}</b> in {}, in the run of its own order, imgX_2 ({}): {}. {} {}")
        .format(_verdict(margin), margin.roi, _test(margin, scores), _share(accuracy), role, _published(scores))
        .strip()
    )


def letter_alone(accuracy: Score, margin: Score) -> Markup:
    """What a template of the letter on the screen gives, and nothing else."""
    if margin.value is None or margin.p is None:
        return _unsaid("What the letter alone gives", margin)
    return Markup("The letter alone {} (p\u00a0=\u00a0{}): {}.").format(
        _verdict(margin), number_p(margin.p), _share(accuracy)
    )


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
        beside += Markup(", {} (p\u00a0=\u00a0{})").format(verdict, number_p(covariance.p))
    if correlation.value is None:
        return _unsaid("The correlation of patterns of vision and imagery without noise", correlation) + Markup(
            " Their {}."
        ).format(beside)
    return Markup("Without noise and letter, patterns of vision and imagery correlate at {}{}; {}.").format(
        with_interval(correlation), _holds_nothing(correlation), beside
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
    which = "The primary test" if roi == PRIMARY.roi else f"Vision → imagery, letter-free, in {roi}"
    told += [_on_vivid(which, one["identification"], one["margin"]) for one in vivid_alone]
    return told


def _on_vivid(which: str, accuracy: Mapping[str, Any], margin: Mapping[str, Any]) -> Markup:
    what = f"{which} on vivid trials alone (post hoc: chosen after the fact, in no family)"
    if margin["value"] is None or margin["p"] is None:
        return Markup("{} gives nothing: {}.").format(what, margin["reason"] or "it has no p")
    return Markup("{}: {} of trials, chance {}, p\u00a0=\u00a0{}.").format(
        what, number(accuracy["value"]), number(accuracy["chance"]), number_p(margin["p"])
    )


def _small(what: str, score: Score, tested: Score) -> Markup:
    """What a number is, its interval, chance and p; or why there is none."""
    if score.value is None:
        return Markup("{}: not estimated: {}").format(what, score.reason)
    parts = [Markup("{}").format(what)]
    if score.low is not None:
        parts.append(Markup("[{}, {}]").format(number(score.low), number(score.high)))
    if score.chance:
        parts.append(Markup("chance\u00a0{}").format(number(score.chance)))
    if tested.p is not None:
        parts.append(Markup("p\u00a0{}").format(number_p(tested.p)))
    return Markup(", ").join(parts)


def with_interval(score: Score) -> Markup:
    """A value, with its interval where it has one."""
    value = number(score.value)
    if score.low is None or score.high is None:
        return value
    return Markup("{} [{}, {}]").format(value, number(score.low), number(score.high))


def _holds_nothing(score: Score) -> str:
    return "; the interval holds 0" if score.low is not None and score.low <= 0 else ""


def _verdict(margin: Score) -> str:
    is_above = margin.p is not None and margin.p <= RELIABLE
    return "is above chance" if is_above else "is not shown to be above chance"


def _share(accuracy: Score) -> Markup:
    return Markup("{} of trials, chance {}").format(with_interval(accuracy), number(accuracy.chance))


def _test(margin: Score, scores: Sequence[Score]) -> Markup:
    """p, what it is of, and in how many subjects it holds."""
    if margin.subject != GROUP or margin.n_subjects == 1:
        return Markup("p\u00a0=\u00a0{}, one subject").format(number_p(margin.p))
    alike = [one for one in scores if kind_of(one) == kind_of(margin) and one.roi == margin.roi]
    own = [one for one in alike if not one.subject.startswith(GROUP) and one.p is not None]
    n_small = sum(one.p is not None and one.p <= RELIABLE for one in own)
    return Markup(
        "p\u00a0=\u00a0{}, fixed effects: some subject in some set; {} of {} subjects at p\u00a0≤\u00a00.05"
    ).format(number_p(margin.p), number(n_small), number(len(own)))


def _published(scores: Sequence[Score]) -> Markup:
    """The primary test in the subjects of most papers, where they are some of all."""
    some = next(
        (one for one in scores if one.subject == PUBLISHED_GROUP and PRIMARY.is_of(replace(one, subject=GROUP))), None
    )
    if some is None or some.p is None:
        return Markup("")
    who = some.subject.removeprefix(f"{GROUP} of ")
    return Markup("Of {} alone: p\u00a0=\u00a0{}.").format(who, number_p(some.p))


def _unsaid(what: str, score: Score, *words: str) -> Markup:
    return Markup("{} is not said: {}.").format(what.format(*words), score.reason or "it has no p")
