"""What subjects answered: vividness of imagery by target and run, and the matching of letters in vision."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nsd_imagery.evaluation.opened import Opened, Source, opened
from nsd_imagery.evaluation.plot.distances import short
from nsd_imagery.evaluation.plot.style import COLOURS, COLUMN, GREY, NOTE_SIZE, drawing, say_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS: Final = ("imgX_1", "imgX_2", "visX")
"""Runs of a set, a panel each."""

_ROW: Final = 0.135


def responses(source: Source, *, subject: str | int | None = None) -> "Figure":
    """Of each target, the share of trials called vivid in either imagery run, and answered right in vision.

    Dark is vivid or right, pale the other button, and what is left to 1 was not answered.

    Args:
        source: An evaluation or its folder.
        subject: One of its subjects; default: the group, where there is one.

    Raises:
        UsageError: No such subject, or scores alone were given.
        MissingDataError: No evaluation there.
        MissingExtraError: matplotlib is not installed.
    """
    whole = opened(source)
    rows = answers_of(whole, whole.subject(subject))
    targets = list(dict.fromkeys((row["stimulus_set"], row["target"]) for row in rows))
    with drawing(COLUMN, 0.75 + _ROW * (len(targets) + len({name for name, _ in targets}))) as figure:
        if not rows:
            say_missing(figure.add_subplot(), "no run of vision or imagery was evaluated", COLUMN)
            return figure
        panels = figure.subplots(1, len(PANELS), sharey=True)
        places = _name_targets(panels, targets)
        for axes, name in zip(panels, PANELS, strict=True):
            axes.set_title(f"{name}\n{'right' if name == 'visX' else 'vivid'}")
            _bars(axes, [row for row in rows if row["run"] == name.replace("X", row["stimulus_set"])], places)
        panels[1].set_xlabel("share of trials (pale: the other button; blank: none)")
    return figure


def answers_of(whole: Opened, subject: str) -> Sequence[Mapping[str, Any]]:
    """What `responses` draws, in order of sets."""
    return sorted(whole.exhibits(subject)["responses"], key=lambda row: row["stimulus_set"])


def shares_of(row: Mapping[str, Any]) -> tuple[float, float]:
    """The shares of trials that are dark and pale: vivid and not, or right and wrong."""
    n_trials = row["n_trials"] or 1
    answered = row["first"] + row["second"]
    dark = row["first"] if row["correct"] is None else row["correct"]
    return dark / n_trials, (answered - dark) / n_trials


def _bars(axes: "Axes", rows: Sequence[Mapping[str, Any]], places: Mapping[tuple[str, str], float]) -> None:
    if not rows:
        axes.text(0.5, 0.5, "no such run", transform=axes.transAxes, ha="center", va="center", fontsize=NOTE_SIZE)
    for row in rows:
        place = places[row["stimulus_set"], row["target"]]
        dark, pale = shares_of(row)
        colour = COLOURS["vision" if row["condition"] == "vision" else "imagery"]
        axes.barh(place, dark, 0.72, color=colour, lw=0, label="dark")
        axes.barh(place, pale, 0.72, left=dark, color=colour, alpha=0.3, lw=0, label="pale")
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.axvline(0.5, color=GREY, lw=0.4, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _name_targets(panels: "Sequence[Axes]", targets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """Where each target's bar is, below the name of its set."""
    places: dict[tuple[str, str], float] = {}
    heads: dict[str, float] = {}
    for stimulus_set, target in targets:
        if stimulus_set not in heads:
            heads[stimulus_set] = float(len(places) + len(heads))
        places[stimulus_set, target] = float(len(places) + len(heads))
    names = [*(f"set {name}" for name in heads), *(short(target) for _, target in places)]
    panels[0].set_yticks([*heads.values(), *places.values()], names)
    panels[0].set_ylim(max(places.values()) + 0.6, -0.5)
    for text in panels[0].get_yticklabels()[: len(heads)]:
        text.set_fontweight("bold")
    return places
