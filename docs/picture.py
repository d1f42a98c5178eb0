"""Draw docs/picture.png: 18 targets, the brain's responses to them, and what can be told from these. Synthetic data.

    python docs/picture.py [FOLDER]

Takes a minute and 1.2 GB in FOLDER (default: a temporary one), where it writes, builds and evaluates a subject of the
real size.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

import nsd_imagery

OUT = Path(__file__).with_name("picture.png")
INK, MUTED, COLOURS = "#1b1f24", "#57606a", {"vision": "#1f6feb", "imagery": "#bc4c00", "control": "#8c959f"}
WORDS = ("stripes", "zebra", "mammal", "yellow", "banana", "fruit")
SCORES = (
    ("seen, told from seen", "vision", "visX", "visX", "within", "vision"),
    ("imagined, from seen", "vision → imagery", "visX", "imgX_2", "letter-free", "imagery"),
    ("the letter alone", "vision → imagery", "visX", "imgX_2", "letter", "control"),
)


def main() -> None:
    with TemporaryDirectory() as temporary:
        work = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        root = nsd_imagery.synth(work / "release", format="hdf5", full_size=True, signal="real")
        folder = nsd_imagery.build(root, work / "nsd_imagery", conditions=["vision", "imagery"])
        evaluation = nsd_imagery.evaluate(folder, work / "evaluation")
        figure = plt.figure(figsize=(10, 2.9), layout="constrained")
        left, middle, right = figure.subfigures(1, 3, width_ratios=(1.15, 1.25, 1.1), wspace=0.03)
        draw_targets(left, folder)
        draw_brain(middle, folder, evaluation.path)
        draw_scores(right, evaluation.path)
        for part, title in ((left, "18 targets, seen and imagined"), (middle, "a response in 15,724 voxels"),
                            (right, "what can be told from it")):  # fmt: skip
            part.suptitle(title, color=INK, fontsize=12, fontweight="bold")
        figure.savefig(OUT, dpi=130, facecolor="white")


def draw_targets(figure: SubFigure, folder: Path) -> None:
    """A set a row: bars and crosses, scenes and an artwork, words."""
    stimuli = nsd_imagery.load(folder, "stimuli", "train")
    by_set = {letter: [row for row in stimuli if row["target"] and row["stimulus_set"] == letter] for letter in "ABC"}
    grid = figure.subplots(3, 6, gridspec_kw={"hspace": 0, "wspace": 0.04})
    for row, letter in zip(grid, "ABC", strict=True):
        for place, axes in enumerate(row):
            axes.set(xticks=[], yticks=[])
            axes.set_box_aspect(1)
            for spine in axes.spines.values():
                spine.set_color("#d0d7de")
            if letter == "C":
                axes.set(xlim=(0, 1), ylim=(0, 1))
                axes.text(0.5, 0.5, WORDS[place], ha="center", va="center", fontsize=6.5, color=INK)
            else:
                axes.imshow(np.asarray(by_set[letter][place]["image"])[::3, ::3], cmap="gray")
        row[0].set_ylabel(letter, rotation=0, labelpad=9, va="center", color=MUTED)


def draw_brain(figure: SubFigure, folder: Path, evaluation: Path) -> None:
    """Signal over noise, the highest along an axis of the volume."""
    voxels = nsd_imagery.load(folder, "subj01-voxels", "train")
    values = pd.read_parquet(evaluation / "voxels-subj01.parquet")
    shown = None
    grid: list[Axes] = list(figure.subplots(1, 2))
    for axes, condition in zip(grid, ("vision", "imagery"), strict=True):
        ratio = (values[f"{condition}_signal"] / values[f"{condition}_noise"]).to_numpy()
        volume = nsd_imagery.to_nifti(ratio, voxels, fill=np.nan).get_fdata()
        inside = np.isfinite(volume).any(axis=2)
        flat = np.where(inside, np.where(np.isfinite(volume), volume, -np.inf).max(axis=2), np.nan)
        i, j = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        flat = flat[i[0] : i[-1] + 1, j[0] : j[-1] + 1]
        shown = axes.imshow(flat.T, origin="lower", cmap="inferno", vmin=0, vmax=0.6, interpolation="nearest")
        axes.set_title(condition, color=COLOURS[condition], fontsize=10)
        axes.set_axis_off()
    bar = figure.colorbar(shown, ax=grid, orientation="horizontal", shrink=0.5, aspect=25, pad=0.02)
    bar.set_label("signal / noise variance", color=MUTED, fontsize=8)
    bar.ax.tick_params(labelsize=7, colors=MUTED)
    bar.outline.set_visible(False)


def draw_scores(figure: SubFigure | Figure, evaluation: Path) -> None:
    """Identification of single trials, with intervals and chance."""
    scores = pd.read_parquet(evaluation / "scores.parquet")
    scores = scores[
        (scores["measure"] == "identification") & (scores["subject"] == "subj01") & (scores["stimulus_set"] == "")
    ]
    axes = figure.subplots()
    for place, (label, condition, train, test, how, colour) in enumerate(SCORES):
        of = (scores["condition"] == condition) & (scores["train"] == train) & (scores["test"] == test)
        score = scores[of & (scores["unit"] == "trial") & (scores["how"] == how)].iloc[0]
        errors = [[score["value"] - score["low"]], [score["high"] - score["value"]]]
        axes.errorbar(score["value"], -place, xerr=errors, fmt="o", color=COLOURS[colour], capsize=3, markersize=7)
        axes.text(0.004, -place + 0.22, label, color=INK, fontsize=9, bbox={"color": "white", "pad": 1})
    axes.axvline(1 / 6, color=MUTED, linestyle="--", linewidth=1)
    axes.text(1 / 6 + 0.012, -len(SCORES) + 0.42, "chance", color=MUTED, fontsize=8)
    axes.set(xlim=(0, 0.7), ylim=(-len(SCORES) + 0.35, 0.65), yticks=[])
    axes.set_xlabel("single trials identified, of six (synthetic data)", color=MUTED, fontsize=8)
    axes.tick_params(labelsize=8, colors=MUTED)
    for side in ("left", "top", "right"):
        axes.spines[side].set_visible(False)


if __name__ == "__main__":
    main()
