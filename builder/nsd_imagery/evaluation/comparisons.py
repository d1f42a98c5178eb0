"""What is compared with what in a subject and ROI, in which form, and what to mind of each.

One test is declared primary; all others are secondary. Where imagery is tested, the letter on the screen is in it too:
the letter-free form is what a letter cannot give, and the letter's own coefficients stand beside it as a control.
"""

from dataclasses import dataclass
from typing import Final, Literal

from nsd_imagery.evaluation.identify import Unit
from nsd_imagery.evaluation.runs import Runs
from nsd_imagery.evaluation.score import GROUP, Score
from nsd_imagery.evaluation.templates import How
from nsd_imagery.experiment import BETA_VERSIONS

POOLED_SETS: Final = ("A", "B")
"""What is pooled "over sets": set C, of which each trial of visC showed another photograph, has rows of its own."""

_LETTER: Final = "includes the letter on the screen"
CONCEPT: Final = "of the concept: each trial of visC showed another photograph of the word"
_UNSEPARABLE: Final = "order, time and practice are not separable"

NO_PLAIN_BETAS: Final = (
    f"the regularisation of {BETA_VERSIONS[0]} was chosen by agreement of these labels: needs betas of "
    f"{BETA_VERSIONS[1]}"
)
"""Why nothing is asked across imagery's runs."""

BY_DRAWS: Final = ("within", "raw", "centred", "detrended")
"""Forms of which chance is what the draws give."""

_NOTES: Final = {
    "letter": "control: the letter alone",
    "mismatched": "conservative: another target's letter was on the screen where vision was",
    "raw": f"{_LETTER}; order confounded: the run repeats the order of the run of templates, and so its drift; no p",
    "detrended": _LETTER,
    "centred": _LETTER,
    "published": _LETTER,
    "across": _LETTER,
}


@dataclass(frozen=True)
class Comparison:
    """What is compared with what.

    Attributes:
        train: Runs of which templates are made: "visX", "imgX_1", "imgX_2", or "imgX" where both are both.
        test: Runs that are tested.
        how: "within", or the form of templates.
        unit: "trial" or "mean".
    """

    train: str
    test: str
    how: How | Literal["within"]
    unit: Unit = "trial"

    def is_of(self, score: Score) -> bool:
        """Whether a score is of this comparison, whatever its measure, set, ROI and subject."""
        return (self.train, self.test, self.how, self.unit) == (score.train, score.test, score.how, score.unit)


@dataclass(frozen=True)
class PrimaryTest:
    """The one test that is declared before the data are seen.

    Attributes:
        comparison: What is compared with what.
        measure: Of which p is.
        roi: Where.
        stimulus_sets: Pooled.
    """

    comparison: Comparison
    measure: str
    roi: str
    stimulus_sets: tuple[str, ...]

    def is_of(self, score: Score) -> bool:
        """Whether a score is the primary test's, over sets and subjects."""
        where = (score.measure, score.roi, score.stimulus_set, score.subject)
        return self.comparison.is_of(score) and where == (self.measure, self.roi, "", GROUP)


PRIMARY: Final = PrimaryTest(Comparison("visX", "imgX_2", "letter-free"), "margin", "nsdgeneral", POOLED_SETS)
"""Vision → imagery without the letter, sets A and B, all subjects of the folder."""

COMPARISONS: Final = (
    Comparison("visX", "visX", "within"),
    Comparison("imgX_1", "imgX_1", "within"),
    Comparison("imgX_2", "imgX_2", "within"),
    PRIMARY.comparison,
    Comparison("visX", "imgX_2", "letter-free", "mean"),
    Comparison("visX", "imgX_2", "letter"),
    Comparison("visX", "imgX_2", "published"),
    Comparison("visX", "imgX_2", "published", "mean"),
    Comparison("visX", "imgX_2", "mismatched"),
    Comparison("visX", "imgX_2", "detrended"),
    Comparison("visX", "imgX_1", "raw"),
    Comparison("visX", "imgX_1", "centred"),
    Comparison("visX", "imgX_1", "detrended"),
    Comparison("imgX_2", "visX", "published"),
    Comparison("imgX_2", "visX", "mismatched"),
    Comparison("imgX_1", "imgX_2", "across"),
    Comparison("imgX_2", "imgX_1", "across"),
    Comparison("imgX", "imgX", "across"),
)
"""Every comparison of a subject and ROI."""

DIFFERENCE: Final = Comparison("visX", "imgX_1 − imgX_2", "detrended")
"""Of the two detrended ones."""

AT_EQUAL_SIZE: Final = (COMPARISONS[0], COMPARISONS[2], PRIMARY.comparison)
"""Those whose accuracies are compared over ROIs of unlike size."""


def plain_betas(runs: Runs, across: Runs | None) -> Runs | None:
    """The runs of which something may be asked across imagery's runs: those of fithrf; None where there are none."""
    return next((one for one in (runs, across) if one is not None and one.beta_version == BETA_VERSIONS[1]), None)


def run_names(comparison: Comparison) -> tuple[str, str]:
    """The runs of a comparison; of both ways, the first and the second."""
    if comparison.train == comparison.test and comparison.how == "across":
        return f"{comparison.train}_1", f"{comparison.test}_2"
    return comparison.train, comparison.test


def notes_of(comparison: Comparison, condition: str, stimulus_set: str) -> str:
    """What a value must not be taken for."""
    notes = [_NOTES.get(comparison.how, "")]
    if comparison.how == "within" and condition == "imagery":
        notes.append(_LETTER)
    if comparison.how != "raw" and comparison.train == "visX" and comparison.test == "imgX_1":
        notes.append(_UNSEPARABLE)
    if stimulus_set == "C" and "visX" in (comparison.train, comparison.test):
        notes.append(CONCEPT)
    return "; ".join(filter(None, notes))
