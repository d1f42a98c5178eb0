"""The numbers of each figure as a table, and what it shows in a sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from nsd_imagery.evaluation.plot.answers import shares_of
from nsd_imagery.evaluation.plot.curves import drawn_of, name_of
from nsd_imagery.evaluation.plot.distances import short
from nsd_imagery.evaluation.plot.dots import Dot
from nsd_imagery.evaluation.plot.histograms import NULL_NAMES, p_in_words, unit_of
from nsd_imagery.page.numbers import decimals

Cell = str | float | int | None


class Numbers(NamedTuple):
    """A table of the numbers that are drawn.

    Attributes:
        columns: What each column is.
        rows: A word, a number or None in each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


_OF_DOTS: Final = ("ROI", "what", "of", "value", "low", "high", "chance", "reference", "p", "trials", "note")


def in_words(value: float | None) -> str:
    """A number as a sentence has it: two digits, or three decimals below 0.1."""
    return "not estimated" if value is None else decimals(value)


def of_dots(dots: Iterable[Dot]) -> Numbers:
    """A row a dot; those without a value too, with the reason."""
    return Numbers(
        _OF_DOTS,
        tuple(
            (
                *(dot.roi, dot.row, dot.column, dot.score.value, dot.score.low, dot.score.high, dot.score.chance),
                *(dot.score.reference if dot.beside else None, dot.score.p, dot.score.n_trials, dot.score.reason),
            )
            for dot in dots
        ),
    )


def said_of_dots(dots: Sequence[Dot], column: str = "") -> str:
    """Values by ROI and row: of one panel, or from the least to the greatest over panels."""
    parts: list[str] = []
    for roi in dict.fromkeys(dot.roi for dot in dots):
        mine = [dot for dot in dots if dot.roi == roi and column in ("", dot.column)]
        rows = [f"{row} {_range([dot.score.value for dot in mine if dot.row == row])}" for row in _rows(mine)]
        parts.append(f"{', '.join(rows)} in {roi}")
    chances = [dot.score.chance for dot in dots if dot.score.value is not None and dot.score.chance is not None]
    chance = f"; chance {_range(chances)}" if any(chances) else ""
    return f"{'; '.join(parts)}{chance}"


def of_voxels(of_roi: Mapping[str, Mapping[str, Any]]) -> Numbers:
    """Quartiles of the voxels' signal over noise, and how many there are and lie below 0."""
    rows = [
        (roi, condition, len(values), int((values < 0).sum()), *(_quantile(values, q) for q in (0.25, 0.5, 0.75)))
        for roi, ratios in of_roi.items()
        for condition, values in ratios.items()
    ]
    return Numbers(("ROI", "condition", "voxels", "below 0", "lower quartile", "median", "upper quartile"), tuple(rows))


def said_of_voxels(of_roi: Mapping[str, Mapping[str, Any]]) -> str:
    """Medians by ROI."""
    parts = [
        f"{', '.join(f'{name} {in_words(_quantile(values, 0.5))}' for name, values in ratios.items())} in {roi}"
        for roi, ratios in of_roi.items()
        if ratios
    ]
    return f"Median signal over noise variance of voxels: {'; '.join(parts) or 'not estimated'}"


def of_drifts(curves: Sequence[Mapping[str, Any]]) -> Numbers:
    """A row a distance and pair of runs that is drawn."""
    rows = [
        (name_of(one), *(one[name][place] for name in ("apart", "similarity", "low", "high", "n_pairs")))
        for one in curves
        for place in (drawn_of(one) if one["similarity"] else ())
    ]
    columns = ("runs", "trials apart", "mean correlation", "band, low", "band, high", "pairs of trials")
    return Numbers(columns, tuple(rows))


def said_of_drifts(curves: Sequence[Mapping[str, Any]]) -> str:
    """How many points of each curve are outside its band."""
    parts: list[str] = []
    for one in curves:
        if not one["similarity"]:
            parts.append(f"{name_of(one)} not estimated: {one['reason']}")
            continue
        places = drawn_of(one)
        outside = [p for p in places if not one["low"][p] <= one["similarity"][p] <= one["high"][p]]
        parts.append(f"{name_of(one)} {len(outside)} of {len(places)}")
    return f"Distances at which trials of different targets are outside the band of drawn orders: {'; '.join(parts)}"


def of_rdms(rdms: Sequence[Mapping[str, Any]]) -> Numbers:
    """A row a pair of targets."""
    rows = [
        (one["stimulus_set"], first, second, *(_at(one[name], i, j) for name in ("vision", "imagery")))
        for one in rdms
        for i, first in enumerate(one["targets"])
        for j, second in enumerate(one["targets"])
        if i < j
    ]
    return Numbers(("set", "target", "other target", "vision", "imagery"), tuple(rows))


def said_of_rdms(rdms: Sequence[Mapping[str, Any]]) -> str:
    """The greatest distance in either condition by set, or why there is none."""
    return "; ".join(
        f"set {one['stimulus_set']}: {', '.join(_farthest(one, name) for name in ('vision', 'imagery'))}"
        for one in rdms
    )


def of_nulls(nulls: Sequence[Mapping[str, Any]]) -> Numbers:
    """A row a test: what was observed, and where its draws lie."""
    rows = [
        (NULL_NAMES[one["name"]][0], one["observed"], *(one["edges"][at] if one["edges"] else None for at in (0, -1)),
         one["p"], one["draws"], one["reason"])
        for one in nulls
    ]  # fmt: skip
    return Numbers(("test", "observed", "least draw", "greatest draw", "p", "draws", "note"), tuple(rows))


def said_of_nulls(nulls: Sequence[Mapping[str, Any]]) -> str:
    """What was observed in each test, with p."""
    parts = [
        f"{NULL_NAMES[one['name']][0]} {in_words(one['observed'])}, p {p_in_words(one['p'])}"
        if one["counts"]
        else f"{NULL_NAMES[one['name']][0]} not estimated: {one['reason']}"
        for one in nulls
    ]
    unit = next((unit_of(one) for one in nulls if one["counts"]), "draws")
    return f"{unit[0].upper()}{unit[1:]}: {'; '.join(parts)}"


def of_answers(rows: Sequence[Mapping[str, Any]], buttons: Mapping[str, Sequence[str]]) -> Numbers:
    """A row a run and target."""
    found = [
        (
            *(row["run"], row["target"], buttons[row["condition"]][0], row["first"], buttons[row["condition"]][1]),
            *(row["second"], row["none"], row["correct"], row["median_time"]),
        )
        for row in rows
    ]
    columns = (
        "run",
        "target",
        "first button",
        "pressed",
        "second button",
        "pressed",
        "none",
        "right",
        "median time, s",
    )
    return Numbers(columns, tuple(found))


def said_of_answers(rows: Sequence[Mapping[str, Any]]) -> str:
    """Shares of trials called vivid by run, and answered right in vision."""
    names = ("imgX_1", "imgX_2", "visX")
    parts: list[str] = []
    for name in names:
        mine = [row for row in rows if row["run"] == name.replace("X", row["stimulus_set"])]
        n_trials = sum(row["n_trials"] for row in mine)
        if n_trials:
            share = sum(shares_of(row)[0] * row["n_trials"] for row in mine) / n_trials
            parts.append(f"{in_words(share)} of trials {'right' if name == 'visX' else 'called vivid'} in {name}")
    return "; ".join(parts) or "No run of vision or imagery was evaluated"


def _rows(dots: Sequence[Dot]) -> list[str]:
    return list(dict.fromkeys(dot.row for dot in dots))


def _range(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not estimated"
    ends = list(dict.fromkeys(in_words(value) for value in (min(known), max(known))))
    return " to ".join(ends)


def _quantile(values: Any, share: float) -> float:
    import numpy as np

    return float(np.quantile(values, share))


def _at(rdm: Sequence[Sequence[float]] | None, i: int, j: int) -> float | None:
    return None if rdm is None else rdm[i][j]


def _farthest(one: Mapping[str, Any], condition: str) -> str:
    rdm, names = one[condition], one["targets"]
    if rdm is None:
        return f"{condition} not estimated: {one[f'{condition}_reason']}"
    far, i, j = max((rdm[i][j], i, j) for i in range(len(names)) for j in range(i + 1, len(names)))
    return f"in {condition} {short(names[i])} and {short(names[j])} are farthest, {in_words(far)}"
