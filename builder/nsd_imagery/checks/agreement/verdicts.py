"""What the measurements of a session, or of several, say about its labels.

A rival labelling is accused only at p <= 1e-4, so that all rivals together are accused by chance in less than one
subject of a thousand; the labels are acquitted at p <= 1e-3. What lies between is not decidable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from scipy.stats import norm

from nsd_imagery.chance.evidence import Evidence, total
from nsd_imagery.chance.orders import ENOUGH_TRIALS

Verdict = Literal["pass", "fail", "not decidable", "information"]

AS_LABELLED: Final = "as labelled"
BY_CUE: Final = "labelled by cue"
SWAPPED: Final = "vision and imagery swapped"
ROW_RIVALS: Final = (
    "betas one row late",
    "betas one row early",
    "betas grouped by target",
    "labels of another run",
)
"""Other ways in which rows and labels could belong together; "late": the beta of a trial lies one row after its own."""

BEST_OTHER_START: Final = "best_other_start_"
"""Number: the position from which on the labels of a set fit best, their own rows apart."""

ACCUSE: Final = 1e-4
ACQUIT: Final = 1e-3

_IDENTIFIED = 0.05
"""p-value above which the labels of a set or of a session explain nothing."""
_SHOWN = 0.01
"""p-value that each set must reach by itself for a pass, and the contrast of areas not to fail."""
_UNMISTAKABLE = 15.0
"""z of one set beyond which the other could not be missed: in no subject is it less than a third of it."""
_DECODED_WELL = 7.0
"""z of telling targets apart in nsdgeneral beyond which a difference between areas could not be missed (calibrated)."""
_LEANS = 1.64
"""z by which one witness speaks for a side, at p = 0.05."""


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    Attributes:
        question: Its id.
        verdict: "pass", "fail", "not decidable" or "information".
        reason: One sentence for people.
        numbers: What the verdict rests on.
    """

    question: str
    verdict: Verdict
    reason: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured, before it is judged; what could not be measured is absent.

    Attributes:
        evidence: By name; positive speaks for the labels as they are.
        numbers: By name, in natural units.
    """

    evidence: Mapping[str, Evidence]
    numbers: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Judgement:
    """The answers about one subject, or about several pooled.

    Attributes:
        answers: One for each question.
        best: The hypothesis that explains the data best: `AS_LABELLED`, `BY_CUE`, `SWAPPED`, one of `ROW_RIVALS`; None
            where the data do not decide.
        measurements: What they rest on.
    """

    answers: tuple[Answer, ...]
    best: str | None
    measurements: Measurements

    def answer(self, question: str) -> Answer:
        """The answer to the question of this id."""
        return next(answer for answer in self.answers if answer.question == question)


def judge(measurements: Measurements) -> Judgement:
    """Answer all questions."""
    questions = (_seen_target, _vision_imagery, _seen_or_cued, _row_order, _voxel_order, _imagery_repeats)
    answers = tuple(question(measurements) for question in questions)
    return Judgement(answers, _best(answers, measurements), measurements)


def pool(judgements: Sequence[Judgement]) -> Judgement:
    """Answer all questions from several subjects together: evidence adds up, numbers are averaged."""
    each = [one.measurements for one in judgements]
    evidence = {
        name: total(one.evidence[name] for one in each if name in one.evidence)
        for name in _names(one.evidence for one in each)
    }
    numbers = {}
    for name in _names(one.numbers for one in each):
        if name.startswith(BEST_OTHER_START):  # positions have no mean
            continue
        values = [one.numbers[name] for one in each if name in one.numbers]
        numbers[name] = sum(values) / len(values)
    return judge(Measurements(evidence, numbers))


def _names(mappings: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _seen_target(measured: Measurements) -> Answer:
    question = "seen-target"
    sets = {name: part for name in "AB" if (part := measured.evidence.get(f"seen_{name}"))}
    if not sets:
        return Answer(question, "not decidable", _too_few("visA or visB", "and voxels that vary"), {})
    both = total(sets.values())
    numbers = {"p": both.p, "z": both.z}
    for name, part in sets.items():
        numbers |= {f"p_{name}": part.p, f"z_{name}": part.z} | _picked(measured, f"identification_{name}_")
    shares = " and ".join(f"{numbers[f'identification_{name}_early']:.2f} in set {name}" for name in sets)
    found = f"identification of the seen target in early visual cortex {shares} (chance 0.17), p = {both.p:.2g}"
    missed = [name for name, part in sets.items() if part.p > _IDENTIFIED]
    unmistakable = any(part.z > _UNMISTAKABLE for part in sets.values())
    if both.p <= ACQUIT and all(part.p <= _SHOWN for part in sets.values()):
        return Answer(question, "pass", found, numbers)
    if len(sets) == 2 and (both.p > _IDENTIFIED or (missed and unmistakable)):
        return Answer(question, "fail", f"the labels of set {' and '.join(missed)} do not fit: {found}", numbers)
    return Answer(question, "not decidable", f"too little to tell: {found}", numbers)


def _vision_imagery(measured: Measurements) -> Answer:
    question = "vision-against-imagery"
    strength, reliability = (measured.evidence.get(name) for name in ("strength", "reliability"))
    if strength is None or reliability is None:
        return Answer(question, "not decidable", _too_few("visX and imgX_1 of one set"), {})
    z = (strength.z + reliability.z) / 2**0.5
    numbers = {"z": z, "z_strength": strength.z, "z_reliability": reliability.z}
    numbers |= _picked(measured, "response_") | _picked(measured, "imagery_identification_")
    weaker, stronger = sorted((strength.z, reliability.z))
    if norm.sf(z) <= ACQUIT and weaker > -_LEANS:
        reason = (
            f"vision drives V1-V3 more strongly and more reliably than imagery, z = {strength.z:.1f} and "
            f"{reliability.z:.1f}"
        )
        return Answer(question, "pass", reason, numbers)
    if norm.sf(-z) <= ACCUSE and stronger < -_LEANS:
        reason = "what is labelled imagery drives V1-V3 more strongly and more reliably than what is labelled vision"
        return Answer(question, "fail", reason, numbers)
    return Answer(question, "not decidable", "strength and reliability do not agree on which runs are vision", numbers)


def _seen_or_cued(measured: Measurements) -> Answer:
    question = "seen-or-cued"
    trials, mismatched = (measured.numbers.get(name, 0.0) for name in ("vision_trials", "mismatched_trials"))
    numbers = {"vision_trials": trials, "mismatched_trials": mismatched}
    if trials >= ENOUGH_TRIALS and mismatched == 0:
        reason = "no vision trial shows another target's letter, by design half of them do: the target is the cue"
        return Answer(question, "fail", reason, numbers)
    evidence = measured.evidence.get("seen_or_cued")
    if evidence is None:
        return Answer(question, "not decidable", _too_few("visA or visB", "and mismatched ones among them"), numbers)
    numbers |= {"z": evidence.z, "p_seen": evidence.p, "p_cued": evidence.p_against}
    if evidence.p <= ACQUIT:
        reason = f"mismatched trials are like the target that is labelled as seen, p = {evidence.p:.2g}"
        return Answer(question, "pass", reason, numbers)
    if evidence.p_against <= ACCUSE:
        return Answer(question, "fail", "mismatched trials are like the target of the letter: labelled by cue", numbers)
    return Answer(question, "not decidable", "mismatched trials are like neither the seen nor the cued target", numbers)


def _row_order(measured: Measurements) -> Answer:
    question = "row-order"
    over = {rival: part for rival in ROW_RIVALS if (part := measured.evidence.get(over_rival(rival)))}
    if not over:
        return Answer(question, "not decidable", _too_few("visA or visB"), {})
    numbers = {f"z_over_{rival.replace(' ', '_')}": part.z for rival, part in over.items()}
    accused = _accused_rows(measured)
    if accused:
        return Answer(
            question, "fail", f"the data fit better: {accused}", numbers | _picked(measured, BEST_OTHER_START)
        )
    undecided = [rival for rival in ROW_RIVALS if rival not in over or over[rival].p > ACQUIT]
    if undecided:
        return Answer(question, "not decidable", f"not excluded: {', '.join(undecided)}", numbers)
    nearest = min(over, key=lambda rival: over[rival].z)
    said = f"over {nearest}, the nearest rival, z = {over[nearest].z:.1f}"
    reason = f"rows are in order of time, each with its own label; {said}"
    return Answer(question, "pass", reason, numbers)


def _voxel_order(measured: Measurements) -> Answer:
    question = "voxel-order"
    contrast, decoding = (measured.evidence.get(name) for name in ("early_over_higher", "seen_nsdgeneral"))
    if contrast is None or decoding is None:
        return Answer(question, "not decidable", _too_few("visA or visB", "and voxels in both areas"), {})
    numbers = {"z": contrast.z, "p": contrast.p, "z_decoding": decoding.z, "p_decoding": decoding.p}
    if decoding.p <= ACQUIT and contrast.p <= ACQUIT:
        reason = f"voxels of early visual cortex tell seen targets apart better than the rest, p = {contrast.p:.2g}"
        return Answer(question, "pass", reason, numbers)
    if decoding.z > _DECODED_WELL and contrast.p > _SHOWN:
        reason = "seen targets are told apart, but not better by the voxels that the masks call early visual cortex"
        return Answer(question, "fail", reason, numbers)
    return Answer(question, "not decidable", "seen targets are told apart too weakly to compare areas", numbers)


def _imagery_repeats(measured: Measurements) -> Answer:
    evidence = measured.evidence.get("imagery_repeats")
    numbers = _picked(measured, "imagery_repeats_") | ({"p": evidence.p, "z": evidence.z} if evidence else {})
    shares = ", ".join(
        f"{value:.2f} in set {name.rpartition('_')[2]}" for name, value in numbers.items() if name not in ("p", "z")
    )
    found = f"{shares} (chance 0.17), p = {evidence.p:.2g}" if evidence else "too few trials"
    reason = f"identification of imagined targets from one imagery run to the other: {found}"
    return Answer("imagery-repeats", "information", reason, numbers)


def _best(answers: Sequence[Answer], measured: Measurements) -> str | None:
    verdicts = {answer.question: answer.verdict for answer in answers}
    for question, rival in (("vision-against-imagery", SWAPPED), ("seen-or-cued", BY_CUE)):
        if verdicts[question] == "fail":
            return rival
    decided = all(verdicts[question] == "pass" for question in ("vision-against-imagery", "seen-or-cued", "row-order"))
    return _accused_rows(measured) or (AS_LABELLED if decided else None)


def _accused_rows(measured: Measurements) -> str | None:
    """The rival that explains the data best among those that do so better than the labels."""
    over = {rival: part for rival in ROW_RIVALS if (part := measured.evidence.get(over_rival(rival)))}
    accused = [rival for rival, part in over.items() if part.p_against <= ACCUSE]
    return min(accused, key=lambda rival: over[rival].z, default=None)


def over_rival(rival: str) -> str:
    """Name of the evidence for the labels over a rival of `ROW_RIVALS`."""
    return f"over {rival}"


def _picked(measured: Measurements, prefix: str) -> dict[str, float]:
    return {name: value for name, value in measured.numbers.items() if name.startswith(prefix)}


def _too_few(runs: str, more: str = "") -> str:
    return f"needs {runs} with {ENOUGH_TRIALS} of 48 valid trials, eight of each target {more}".rstrip()
