"""`compare`: two evaluations side by side, score by score, with an interval of each difference.

Scores are of the same tests where all that tells a row is the same. A decoder that was fitted here is compared with
somebody's predictions where their rows differ in that alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nsd_imagery.errors import UsageError
from nsd_imagery.evaluation.comparisons import POOLED_SETS
from nsd_imagery.evaluation.group import PUBLISHED_SUBJECTS
from nsd_imagery.evaluation.items import KEY
from nsd_imagery.evaluation.over_subjects import PUBLISHED_GROUP
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.score import GROUP, Items, Score
from nsd_imagery.evaluation.side_by_side.differences import Difference, not_compared, of_group, of_one
from nsd_imagery.evaluation.side_by_side.paired import (
    Pair,
    Side,
    read_side,
    same_tests,
    side_of,
    with_column,
)
from nsd_imagery.evaluation.side_by_side.table import shown_rows, table_of_differences


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two evaluations side by side.

    Attributes:
        a: Where the first is.
        b: Where the second is.
        rows: The scores that both have, in the order of the first.
        only_a: Scores that the second has not.
        only_b: Scores that the first has not.
        notes: What is to be said of all.
    """

    a: Path
    b: Path
    rows: tuple[Difference, ...] = field(repr=False)
    only_a: tuple[Score, ...] = field(repr=False)
    only_b: tuple[Score, ...] = field(repr=False)
    notes: tuple[str, ...]

    def table(self) -> str:
        """The main scores that differ, over sets, as a text that fits a screen of 100 letters."""
        return table_of_differences(shown_rows(self.rows))


def compare(a: Evaluation | Path | str, b: Evaluation | Path | str, *, other_dataset: bool = False) -> Comparison:
    """Set the scores of two evaluations of the same trials side by side, each with an interval of the difference.

    Of one subject the interval is t over stimuli, paired by stimulus and run; of three or more it is t over subjects,
    paired by subject. Drawn orders may be others. Scores among other candidates have no difference.

    Args:
        a: What `evaluate` gave, its folder, or a table of scores, with the items that lie beside it.
        b: Another; differences are b - a.
        other_dataset: Compare though the datasets evaluated are not the same: a difference may be theirs.

    Raises:
        MissingDataError: There is no such evaluation.
        DataError: A file is damaged, or items are not of the scores beside them.
        UsageError: The two are of different datasets, or have no score of the same tests.
    """
    of_a, of_b = (_side(one) for one in (a, b))
    pairs = list(dict.fromkeys(same_tests(of_a, of_b)))
    if not pairs:
        msg = f"{of_a.path} and {of_b.path} have no score of the same tests: {_unlike(of_a, of_b)}"
        raise UsageError(msg)
    notes = _notes(of_a, of_b, pairs, other_dataset=other_dataset)
    place = {key: number for number, key in enumerate(of_a.scores)}
    rows = _differences(of_a, of_b, sorted(pairs, key=lambda pair: place[pair[0]]))
    seen_a, seen_b = ({pair[side] for pair in pairs} for side in (0, 1))
    only_a = tuple(score for key, score in of_a.scores.items() if key not in seen_a)
    only_b = tuple(score for key, score in of_b.scores.items() if key not in seen_b)
    return Comparison(of_a.path, of_b.path, tuple(rows), only_a, only_b, tuple(notes))


def _side(given: Evaluation | Path | str) -> Side:
    return side_of(given.path, given.scores, given.path) if isinstance(given, Evaluation) else read_side(given)


def _notes(a: Side, b: Side, pairs: Sequence[Pair], *, other_dataset: bool) -> list[str]:
    """What is to be said of datasets that are not the same; UsageError where that was not asked for."""
    scores = [(a.scores[pair[0]], b.scores[pair[1]]) for pair in pairs]
    having = [both for both in scores if None not in (both[0].value, both[1].value)]
    other = next((both for both in having if both[0].dataset != both[1].dataset), None)
    if other is None:
        return []
    said = " and ".join(f"{score.dataset} ({score.beta_version})" for score in other)
    if not other_dataset:
        msg = (
            f"{a.path} and {b.path} are of different datasets, {said}: evaluate both on one, or compare them all the "
            "same with --other-dataset"
        )
        raise UsageError(msg)
    return [f"of different datasets, {said}: a difference may be theirs"]


def _unlike(a: Side, b: Side) -> str:
    """In what two evaluations without a score in common differ."""
    for name, what in (("subject", "subjects"), ("roi", "ROIs"), ("measure", "measures")):
        of_a, of_b = a.all_of(name), b.all_of(name)
        if not set(of_a) & set(of_b):
            return f"their {what} are {', '.join(of_a)}, and {', '.join(of_b)}"
    return "none is of the same measure, subject, ROI and test"


def _differences(a: Side, b: Side, pairs: Sequence[Pair]) -> list[Difference]:
    """A difference a pair, in their order; those of subjects first, of which those of groups are made."""
    found: dict[Pair, Difference] = {}
    for is_group in (False, True):
        for pair in pairs:
            scores = a.scores[pair[0]], b.scores[pair[1]]
            if scores[0].subject.startswith(GROUP) == is_group:
                found[pair] = _difference(a, b, pair, scores, found)
    return [found[pair] for pair in pairs]


def _difference(
    a: Side, b: Side, pair: Pair, scores: tuple[Score, Score], of_subjects: Mapping[Pair, Difference]
) -> Difference:
    of = [f"{score.candidates} ({score.n_candidates})" for score in scores]
    if of[0] != of[1]:
        return not_compared(*scores, f"other candidates: {of[0]}, and {of[1]}")
    if scores[0].measure == "cosine" and _other_space(a, b, scores):
        return not_compared(*scores, "cosines in different spaces of vectors")
    notes = _unlike_in(*scores)
    if scores[0].subject.startswith(GROUP):
        names = PUBLISHED_SUBJECTS if scores[0].subject == PUBLISHED_GROUP else a.subjects
        first, second = pair
        own = {name: (with_column(first, "subject", name), with_column(second, "subject", name)) for name in names}
        return of_group(*scores, {name: of_subjects[of] for name, of in own.items() if of in of_subjects}, notes)
    return of_one(*scores, _items(a, b, pair), notes)


def _unlike_in(a: Score, b: Score) -> list[str]:
    notes = []
    if None not in (a.n_voxels, b.n_voxels) and a.n_voxels != b.n_voxels:
        notes.append(f"of {a.n_voxels:,} and {b.n_voxels:,} voxels")
    if a.beta_version != b.beta_version:
        notes.append(f"of {a.beta_version} and {b.beta_version}")
    return notes


def _other_space(a: Side, b: Side, scores: tuple[Score, Score]) -> bool:
    spaces = a.spaces.get(scores[0].train), b.spaces.get(scores[1].train)
    return None not in spaces and not frozenset.intersection(*filter(None, spaces))


def _items(a: Side, b: Side, pair: Pair) -> list[tuple[Items | None, Items | None]]:
    """Those of the scores; of scores over sets, those of each set."""
    own = a.items.get(pair[0]), b.items.get(pair[1])
    if own != (None, None) or pair[0][KEY.index("stimulus_set")]:
        return [own]
    keys = [[with_column(key, "stimulus_set", name) for key in pair] for name in POOLED_SETS]
    of_sets = [(a.items.get(first), b.items.get(second)) for first, second in keys]
    return [both for both in of_sets if both != (None, None)]
