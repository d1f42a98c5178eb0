"""Figures hold the numbers they are given, draw nothing of what is null, and are the same bytes for the same input."""

import base64
import io
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

import nsd_imagery
from nsd_imagery import plot
from nsd_imagery.errors import DataError, MissingDataError, UsageError
from nsd_imagery.evaluation.opened import Opened, opened
from nsd_imagery.evaluation.plot.accuracies import identified
from nsd_imagery.evaluation.plot.ceilings import ceilings_of
from nsd_imagery.evaluation.plot.curves import drawn_of
from nsd_imagery.evaluation.plot.distances import short
from nsd_imagery.evaluation.plot.dots import Dot
from nsd_imagery.evaluation.plot.transfers import transfers_of
from nsd_imagery.evaluation.report.figures import Drawn, figures
from nsd_imagery.evaluation.report.svg import svg_of
from nsd_imagery.evaluation.run import Evaluation
from nsd_imagery.evaluation.score import GROUP, Score

pytestmark = pytest.mark.slow

DRAWS = 99
ROI = "nsdgeneral"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def found(release: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Of two subjects, one of whom has no betas of fithrf."""
    place = tmp_path_factory.mktemp("plotted")
    plain = nsd_imagery.build(release, place / "b2", betas="fithrf", conditions=["vision", "imagery"])
    return nsd_imagery.evaluate(dataset, place / "e", across=plain, draws=DRAWS)


@pytest.fixture(scope="module")
def without(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Without betas of fithrf, so that some scores are null."""
    return nsd_imagery.evaluate(dataset, tmp_path_factory.mktemp("without") / "e", subjects=1, draws=DRAWS)


@pytest.fixture(scope="module")
def whole(found: Evaluation) -> Opened:
    return opened(found)


@pytest.fixture(scope="module")
def drawn(found: Evaluation) -> list[Drawn]:
    return figures(found, "subj01")


def lines(axes: Axes, label: str) -> list[np.ndarray]:
    """(n, 2) points of the lines of a label."""
    return [np.asarray(line.get_xydata()) for line in axes.lines if line.get_label() == label]


def array_of(image: AxesImage) -> np.ma.MaskedArray:
    array = image.get_array()
    assert array is not None
    return np.ma.asarray(array)


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(match=lambda one: hasattr(one, "get_text")))


def values_in(figure: Figure) -> dict[str, list[float]]:
    """By title of the panel, values from the top down."""
    return {
        axes.get_title(): [float(line[0, 0]) for line in sorted(lines(axes, "value"), key=lambda line: line[0, 1])]
        for axes in figure.axes
        if axes.get_title()
    }


# --- scores as dots


@pytest.mark.parametrize("subject", ["subj01", GROUP])
@pytest.mark.parametrize(
    ("draw", "dots_of"),
    [(plot.identification, identified), (plot.ceiling, ceilings_of)],
    ids=["identification", "ceiling"],
)
def test_points_intervals_chance_and_references_are_those_of_the_scores(
    found: Evaluation,
    whole: Opened,
    subject: str,
    draw: Callable[..., Figure],
    dots_of: Callable[[Opened, str, list[str]], list[Dot]],
) -> None:
    figure, dots = draw(found, subject=subject), dots_of(whole, subject, [ROI])
    assert {id(dot.score) for dot in dots} <= {id(score) for score in whole.scores}
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_title()}
    assert list(panels) == list(dict.fromkeys(dot.column for dot in dots))
    for title, axes in panels.items():
        mine = [dot for dot in dots if dot.column == title]
        assert values_in(figure)[title] == [dot.score.value for dot in mine]
        ends = sorted(map(tuple, (line[:, 0].tolist() for line in lines(axes, "interval"))))
        assert ends == sorted((dot.score.low, dot.score.high) for dot in mine if dot.score.low is not None)
        beside = sorted(line[0, 0] for line in lines(axes, "reference"))
        assert beside == sorted(dot.score.reference for dot in mine if dot.beside and dot.score.reference is not None)
        if draw is plot.identification:
            assert [line[0, 0] for line in lines(axes, "chance")] == [dot.score.chance for dot in mine]
    low, high = figure.axes[0].get_xlim()
    assert all(low < value < high for many in values_in(figure).values() for value in many)


def test_a_row_stands_beside_its_name(found: Evaluation, whole: Opened) -> None:
    axes = plot.identification(found, subject="subj02").axes[1]
    names = dict(
        zip(axes.get_yticks().tolist(), [one.get_text() for one in axes.figure.axes[0].get_yticklabels()], strict=True)
    )
    drawn = {names[float(line[0, 1])]: float(line[0, 0]) for line in lines(axes, "value")}
    assert drawn == {dot.row: dot.score.value for dot in identified(whole, "subj02", [ROI]) if dot.column == "set B"}


def test_nothing_is_drawn_of_a_score_that_is_null_and_the_figure_says_why(without: Evaluation) -> None:
    figure = plot.identification(without, subject=1)
    for axes in figure.axes[:3]:
        assert len(lines(axes, "value")) == len(lines(axes, "interval")) == len(lines(axes, "chance")) == 4
        assert [text.get_text() for text in axes.texts if text.get_text() != ROI] == ["not estimated ¹"]
    said = words(figure).replace("\n", " ")
    assert "¹ not estimated: the regularisation of fithrf_GLMdenoise_RR was chosen by" in said
    assert said.count("¹ not estimated:") == 1


def test_the_two_imagery_runs_and_the_order_confounded_form_stand_side_by_side(
    found: Evaluation, whole: Opened
) -> None:
    shown = values_in(plot.imagery_runs(found, subject="subj01"))
    for stimulus_set in "ABC":
        expected = [
            score.value
            for test, how in (("imgX_1", "raw"), ("imgX_1", "detrended"), ("imgX_2", "detrended"))
            for score in whole.scores
            if (score.subject, score.measure, score.stimulus_set) == ("subj01", "identification", stimulus_set)
            and (score.train, score.test, score.how) == ("visX", test, how)
        ]
        assert shown[f"set {stimulus_set}"] == expected


def transfers(whole: Opened) -> list[Score]:
    """Scores as transfer gives them."""
    (first,) = [
        one for one in identified(whole, "subj01", [ROI]) if (one.column, one.row) == ("set A", "within vision")
    ]
    like = replace(first.score, train="perception", how="decode", unit="trial", chance=0.5, low=None, high=None)
    scores = [
        replace(like, measure=measure, test=test, stimulus_set=name, value=0.5 + 0.01 * number, reference=0.4)
        for measure in ("two_way", "cosine")
        for number, (test, name) in enumerate(
            [
                ("perception", ""),
                *((test, name) for test in ("visX", "imgX_1", "imgX_2", "imgX") for name in ("", *"ABC")),
            ]
        )
    ]
    return [*scores, replace(like, measure="cosine", train="constant", test="visX", stimulus_set="A", value=0.4)]


@pytest.mark.parametrize("measure", ["two_way", "cosine"])
def test_transfer_is_shown_within_sets_with_the_constant_predictor_beside_cosines(whole: Opened, measure: str) -> None:
    scores = transfers(whole)
    figure = plot.transfer(scores, measure=measure, subject="subj01")
    own = {
        (one.test, one.stimulus_set): one.value for one in scores if (one.measure, one.train) == (measure, "perception")
    }
    tests = ("visX", "imgX_1", "imgX_2", "imgX")
    expected = {f"set {name}": [own[test, name] for test in tests] for name in "ABC"}
    assert values_in(figure) == {"shared1000": [own["perception", ""]], **expected}
    n_references = {len(lines(axes, "reference")) for axes in figure.axes[1:]}
    assert n_references == ({4} if measure == "cosine" else {0})
    assert ("constant predictor" in words(figure.legends[0].figure)) == (measure == "cosine")
    with pytest.raises(UsageError, match="no transfer of subj01 among these scores: it needs embeddings"):
        plot.transfer(whole, subject="subj01")
    assert not transfers_of(whole, "subj01", [ROI])


# --- curves, histograms, matrices, bars


def test_drift_curves_and_bands_are_those_of_the_exhibits(found: Evaluation, whole: Opened) -> None:
    figure = plot.drift(found, subject=GROUP)
    for axes, one in zip(figure.axes, whole.exhibits(GROUP)["rois"][ROI]["drift"], strict=True):
        assert axes.get_title(loc="left") == f"{one['first']} × {one['second']}"
        places = drawn_of(one)
        assert len(places) > 30
        expected = np.array([[one["apart"][place], one["similarity"][place]] for place in places])
        assert lines(axes, "similarity")[0] == pytest.approx(expected)
        band = axes.collections[0].get_paths()[0].vertices
        for end in ("low", "high"):
            edge = np.array([[one["apart"][place], one[end][place]] for place in places])
            assert all(np.isclose(band, point).all(axis=1).any() for point in edge)
        outside = [p for p in places if not one["low"][p] <= one["similarity"][p] <= one["high"][p]]
        assert lines(axes, "outside")[0][:, 0].tolist() == [one["apart"][place] for place in outside]


def test_null_distributions_are_those_of_the_exhibits_with_what_was_observed(
    without: Evaluation, found: Evaluation, whole: Opened
) -> None:
    figure = plot.nulls(found, subject="subj01")
    for axes, one in zip(figure.axes, whole.exhibits("subj01")["rois"][ROI]["nulls"], strict=True):
        counts, edges, _ = axes.patches[0].get_data()
        assert (counts.tolist(), edges.tolist()) == (one["counts"], one["edges"])
        assert lines(axes, "observed")[0][0, 0] == one["observed"]
        assert axes.get_title(loc="right").startswith("p 0.")
    last = plot.nulls(without, subject="subj01").axes[-1]
    assert (len(last.patches), len(last.lines)) == (0, 0)
    assert last.texts[0].get_text().startswith("not estimated: the regularisation")


def test_distances_of_both_conditions_have_one_scale_and_their_targets_names(
    found: Evaluation, whole: Opened, without: Evaluation
) -> None:
    figure = plot.rdm(found, subject="subj01")
    rows = whole.exhibits("subj01")["rois"][ROI]["rdms"]
    for number, row in enumerate(rows):
        pair = [axes.images[0] for axes in figure.axes[2 * number : 2 * number + 2]]
        for image, condition in zip(pair, ("vision", "imagery"), strict=True):
            assert array_of(image).tolist() == row[condition]
            assert [one.get_text() for one in image.axes.get_xticklabels()] == [short(name) for name in row["targets"]]
        both = np.array([row["vision"], row["imagery"]])
        assert {image.get_clim() for image in pair} == {(min(both.min(), 0.0), both.max())}
    empty = plot.rdm(without).axes[1]
    assert not empty.images
    assert empty.texts[0].get_text() == "not estimated ¹"


def test_distances_that_are_given_are_drawn_as_they_are() -> None:
    one, other = np.arange(9.0).reshape(3, 3), -np.arange(9.0).reshape(3, 3)
    figure = plot.rdm(one, other, targets=["<a>", "$b$", "c_d"])
    assert [array_of(axes.images[0]).tolist() for axes in figure.axes[:2]] == [one.tolist(), other.tolist()]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["<a>", "$b$", "c"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("bar_045.0deg_450L_43W", "bar 45°"),
        ("crs_000.0deg_450L_43W", "cross 0°"),
        ("bar_022.5deg_450L_43W", "bar 22.5°"),
        ("shared0385_nsd28752", "shared0385"),
        ("zebra", "zebra"),
    ],
)
def test_names_of_targets_fit_beside_a_figure(target: str, said: str) -> None:
    assert short(target) == said


def test_bars_are_shares_of_trials_that_were_answered_so(found: Evaluation, whole: Opened) -> None:
    figure = plot.responses(found, subject="subj01")
    names = dict(
        zip(
            figure.axes[0].get_yticks().tolist(),
            [one.get_text() for one in figure.axes[0].get_yticklabels()],
            strict=True,
        )
    )
    rows = whole.exhibits("subj01")["responses"]
    for axes, run in zip(figure.axes, ("imgX_1", "imgX_2", "visX"), strict=True):
        dark = [bar for bar in axes.containers if bar.get_label() == "dark"]
        assert len(dark) == 18
        for bar in (container.patches[0] for container in dark):
            target = names[round(bar.get_y() + bar.get_height() / 2, 6)]
            (row,) = [
                one
                for one in rows
                if one["run"] == run.replace("X", one["stimulus_set"]) and short(one["target"]) == target
            ]
            count = row["correct"] if run == "visX" else row["first"]
            assert bar.get_width() == pytest.approx(count / 8)
        pale = sum(bar.patches[0].get_width() for bar in axes.containers if bar.get_label() == "pale")
        answered = [row for row in rows if row["run"] == run.replace("X", row["stimulus_set"])]
        wide = sum(bar.patches[0].get_width() for bar in dark)
        assert 8 * (wide + pale) == pytest.approx(sum(row["first"] + row["second"] for row in answered))


def test_histograms_of_voxels_count_each_voxel_that_varies(found: Evaluation, whole: Opened) -> None:
    table = whole.voxels("subj01", ROI)
    figure = plot.snr(found, subject="subj01")
    of_label = {patch.get_label(): patch.get_data().values for patch in figure.axes[0].patches}
    for condition in ("vision", "imagery"):
        assert of_label[condition].sum() == np.count_nonzero(table[f"{condition}_noise"] > 0)
    assert "perception" not in of_label


# --- the brain


def test_each_voxel_is_drawn_at_its_i_j_k() -> None:
    rng = np.random.default_rng(5)
    places = np.unique(rng.integers(0, (9, 7, 6), (120, 3)), axis=0) + np.array([20, 30, 40])
    rng.shuffle(places)
    values = rng.normal(size=len(places))
    values[3] = np.nan
    figure = plot.brain(values, places, slices=6)
    seen = 0
    for axes in figure.axes[:-1]:
        k = int(axes.get_title().removeprefix("k = "))
        inside, shown = axes.images
        left, right, bottom, top = shown.get_extent()
        array = array_of(shown)
        assert array.shape == (top - bottom, right - left)
        for (i, j), value in ((place[:2], value) for place, value in zip(places, values, strict=True) if place[2] == k):
            at = int(j - (bottom + 0.5)), int(i - (left + 0.5))
            assert array[at] == value if np.isfinite(value) else np.ma.getmaskarray(array)[at]
            assert not np.ma.getmaskarray(inside.get_array())[at]
            seen += 1
        assert np.ma.count(inside.get_array()) == np.count_nonzero(places[:, 2] == k)
        assert shown.origin == "lower"
    assert seen == len(places)


def test_a_voxel_is_drawn_where_its_place_is_on_the_picture() -> None:
    places = np.array([[0, 0, 5], [9, 0, 5], [0, 4, 5], [9, 4, 5]])
    figure = plot.brain([1.0, 0.0, 0.0, 0.0], places, limits=(0, 1))
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    picture = np.asarray(Image.open(file).convert("RGB")).astype(int)
    box = figure.axes[0].get_window_extent()
    scale = picture.shape[1] / figure.bbox.width
    x = round((box.x0 + 0.05 * box.width) * scale)
    y = picture.shape[0] - 1 - round((box.y0 + 0.1 * box.height) * scale)
    bright, dark = picture[y, x], picture[y, round((box.x0 + 0.95 * box.width) * scale)]
    assert bright.sum() > 500 > 100 > dark.sum()


def test_a_map_of_an_evaluation_is_that_of_its_voxel_table(dataset: Path, found: Evaluation) -> None:
    table = pq.ParquetFile(found.path / "voxels-subj02.parquet").read(use_threads=False).to_pydict()
    signal, noise = (np.array(table[f"imagery_{what}"]) for what in ("signal", "noise"))
    ratio = np.maximum(np.divide(signal, noise, out=np.full(len(signal), np.nan), where=noise > 0), 0)
    voxels = nsd_imagery.load(dataset, "subj02-voxels", "train")
    for of, expected in (("imagery_noise_ceiling", ratio / (1 + ratio)), ("imagery_ncsnr", np.sqrt(ratio))):
        one = plot.brain(found, of=of, subject="subj02", slices=4)
        other = plot.brain(expected, voxels, slices=4)
        for mine, given in zip(one.axes[:-1], other.axes[:-1], strict=True):
            assert mine.get_title() == given.get_title()
            assert np.ma.allequal(mine.images[1].get_array(), given.images[1].get_array())
            assert mine.images[1].get_clim() == given.images[1].get_clim()
    ncsnr, frame = np.sqrt(ratio), voxels.to_pandas()
    of_frame, of_rows = plot.brain(ncsnr, frame), plot.brain(ncsnr, voxels)
    assert np.ma.allequal(array_of(of_frame.axes[0].images[1]), array_of(of_rows.axes[0].images[1]))


def test_the_first_slice_names_left_and_right_where_the_voxels_say_which_is_which(dataset: Path) -> None:
    voxels = nsd_imagery.load(dataset, "subj02-voxels", "train").to_pandas()
    values = np.ones(len(voxels))

    def ends(given: object) -> str:
        first = plot.brain(values, given, slices=4).axes[0]
        return first.get_title("left") + first.get_title("right")

    mirrored = voxels.assign(i=60 - voxels["i"], x=np.nan)
    assert [ends(voxels), ends(mirrored), ends(voxels[["i", "j", "k"]].to_numpy())] == ["LR", "RL", ""]


# --- what may be passed


def test_an_evaluation_its_folder_its_table_and_its_scores_give_the_same_figure(found: Evaluation) -> None:
    table = pq.ParquetFile(found.path / "scores.parquet").read(use_threads=False)
    sources = [
        *(found, found.path, str(found.path), found.path / "scores.parquet", list(found.scores)),
        *(table, table.to_pandas()),
    ]
    shown = [svg_of(plot.identification(source, subject="subj01"), "one") for source in sources]
    assert len(set(shown)) == 1
    assert svg_of(plot.identification(found), "one") == svg_of(plot.identification(found, subject=GROUP), "one")
    assert svg_of(plot.identification(found, subject="SUBJ01", roi="NSDgeneral"), "one") == shown[0]


@pytest.mark.parametrize(
    ("draw", "error", "said"),
    [
        (lambda e: plot.identification(e, subject="subj03"), UsageError, "no subject 'subj03'"),
        (lambda e: plot.identification(e, subject=3), UsageError, "no subject 'subj03'"),
        (lambda e: plot.ceiling(e, roi="V1"), UsageError, "no ROI 'V1'"),
        (lambda e: plot.identification([]), UsageError, "no scores to be drawn"),
        (lambda e: plot.identification(7), UsageError, "not an evaluation, its folder, or scores: 7"),
        (lambda e: plot.identification([one for one in e.scores if one.measure == "ncsnr"]), UsageError, "no identif"),
        (lambda e: plot.drift(list(e.scores)), UsageError, "pass the folder of the evaluation"),
        (lambda e: plot.snr(list(e.scores)), UsageError, "pass the folder of the evaluation"),
        (lambda e: plot.ceiling(e.path / "nowhere"), MissingDataError, "make one: nsd-imagery evaluate DATASET --out"),
        (lambda e: plot.ceiling(e.path / "voxels-subj01.parquet"), DataError, "not a table of scores"),
        (lambda e: plot.snr(e, subject=GROUP), UsageError, "no map of subject 'group'"),
        (lambda e: plot.brain(e, of="vision_snr"), UsageError, "no map 'vision_snr' .did you mean 'vision_ncsnr'"),
        (lambda e: plot.brain(np.ones(3)), UsageError, "pass their voxels too"),
        (lambda e: plot.brain([1.0, 2.0]), UsageError, "pass their voxels too"),
        (lambda e: plot.brain(np.ones(3), np.zeros((2, 3))), DataError, "one value a voxel is needed"),
        (lambda e: plot.brain(np.ones(2), np.zeros((2, 3))), DataError, "the same i, j, k"),
        (lambda e: plot.brain(np.ones(2), np.zeros((2, 4))), UsageError, "voxels must be i, j, k"),
        (lambda e: plot.brain(np.ones(2), {"x": [1, 2]}), UsageError, "voxels must be i, j, k"),
        (lambda e: plot.brain(["a", "b"], np.eye(3)[:2]), DataError, "values must be numbers"),
        (lambda e: plot.brain(np.ones(1), np.ones((1, 3)), slices=0), UsageError, "slices: one at least"),
        (lambda e: plot.rdm(np.ones((2, 3)), np.ones((2, 3))), DataError, "must be square and alike"),
        (lambda e: plot.rdm(np.full((2, 2), np.nan), np.ones((2, 2))), DataError, "some are NaN"),
        (lambda e: plot.rdm(np.ones((2, 2)), np.ones((2, 2)), targets="abc"), DataError, "3 names for 2 targets"),
        (lambda e: plot.transfer(e, measure="cosin"), UsageError, "did you mean 'cosine'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    found: Evaluation, draw: Callable[[Evaluation], Figure], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said) as caught:
        draw(found)
    assert "\n" not in str(caught.value)


def test_an_evaluation_that_is_damaged_or_of_an_earlier_version_says_to_evaluate_again(
    found: Evaluation, tmp_path: Path
) -> None:
    for name in ("scores.parquet", "evaluation.json"):
        (tmp_path / name).write_bytes((found.path / name).read_bytes())
    text = (tmp_path / "evaluation.json").read_text(encoding="utf-8")
    (tmp_path / "evaluation.json").write_text(text.replace('"exhibits"', '"other"'))
    with pytest.raises(DataError, match="has no exhibits of subj01; run nsd-imagery evaluate again"):
        plot.drift(tmp_path, subject="subj01")
    (tmp_path / "evaluation.json").write_text(text[:-9])
    with pytest.raises(DataError, match="evaluate again"):
        plot.drift(tmp_path, subject="subj01")


# --- how they are drawn


def python(script: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_matplotlib_is_loaded_when_a_figure_is_drawn_and_pyplot_never(found: Evaluation) -> None:
    done = python(
        "import sys, nsd_imagery, nsd_imagery.plot\n"
        "from nsd_imagery import plot\n"
        "assert plot is nsd_imagery.plot and callable(nsd_imagery.plot.brain)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.ceiling(sys.argv[1])\n"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n",
        found.path,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_matplotlib_the_extra_is_named(found: Evaluation) -> None:
    done = python(
        "import sys; sys.modules['matplotlib'] = None\n"
        "from nsd_imagery import plot\n"
        "from nsd_imagery.errors import MissingExtraError\n"
        "try: plot.brain([1.0], [[1, 2, 3]])\n"
        "except MissingExtraError as error: print(error)\n"
    )
    assert done.stdout.startswith("figures need matplotlib: pip install "), done.stderr


def printed(figure: Figure) -> bytes:
    """As a notebook's own backend does."""
    file = io.BytesIO()
    figure.canvas.print_figure(file, format="png", dpi=100)
    return file.getvalue()


def test_settings_of_a_user_do_not_change_a_figure_and_are_not_changed(found: Evaluation) -> None:
    plain = svg_of(plot.identification(found, subject="subj01"), "one")
    with rc_context({"font.size": 30, "xtick.labelsize": 40, "axes.edgecolor": "red", "text.usetex": False}):
        assert svg_of(plot.identification(found, subject="subj01"), "one") == plain
        from matplotlib import rcParams

        assert (rcParams["font.size"], rcParams["xtick.labelsize"]) == (30, 40)
        other = printed(plot.drift(found))
    assert printed(plot.drift(found)) == other


def test_a_notebook_shows_a_figure_and_a_saved_one_is_fit_for_print(found: Evaluation, tmp_path: Path) -> None:
    figure = plot.ceiling(found)
    assert figure._repr_png_().startswith(b"\x89PNG")
    figure.savefig(tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width == round(3.5 * 300)
        assert picture.convert("RGB").getpixel((2, picture.height - 3)) == (255, 255, 255)
    figure.savefig(tmp_path / "one.pdf")
    assert b"/Type3" not in (tmp_path / "one.pdf").read_bytes()


# --- on the page


def test_the_page_has_every_figure_with_a_sentence_and_its_numbers(found: Evaluation, drawn: list[Drawn]) -> None:
    names = [one.name for one in drawn]
    assert names == ["ceiling", "snr", "identification", "imagery_runs", "drift", "rdm", "nulls", "responses"]
    assert "snr" not in {one.name for one in figures(found, GROUP)}
    for one in drawn:
        assert re.search(r"\d", one.label)
        assert one.table.rows
        assert {len(row) for row in one.table.rows} == {len(one.table.columns)}


def test_the_numbers_of_a_figure_are_those_of_the_table_of_scores(found: Evaluation, drawn: list[Drawn]) -> None:
    own = {(one.value, one.low, one.high, one.p) for one in found.scores if one.subject == "subj01"}
    for name in ("ceiling", "identification", "imagery_runs"):
        (table,) = [one.table for one in drawn if one.name == name]
        at = [table.columns.index(column) for column in ("value", "low", "high", "p")]
        assert {tuple(row[place] for place in at) for row in table.rows} <= own
    (said,) = [one.label for one in drawn if one.name == "nulls"]
    primary = next(
        one
        for one in found.scores
        if (one.subject, one.measure, one.how, one.stimulus_set) == ("subj01", "margin", "letter-free", "")
        and one.unit == "trial"
    )
    assert f"(primary) {primary.value:.2f}, p {primary.p:.2g}" in said


def test_svg_stands_in_a_page_without_touching_it(found: Evaluation, drawn: list[Drawn]) -> None:
    ids: list[str] = []
    for one in [*drawn, *figures(found, GROUP)]:
        root = ET.fromstring(one.svg)
        assert root.tag == f"{SVG}svg"
        assert set(root.attrib) == {"viewBox", "stroke-linejoin"}
        assert not {element.tag for element in root.iter()} & {f"{SVG}style", f"{SVG}metadata", f"{SVG}script"}
        own = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        ids += own
        assert set(re.findall(r'(?:url\(#|href="#)([^)"]+)', one.svg)) == set(own)
        assert "currentColor" in one.svg
        assert "font-family" not in one.svg
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", one.svg)
        assert all(link.startswith(("#", "data:")) for link in re.findall(r'href="([^"]*)"', one.svg))
        assert len(list(root.iter(f"{SVG}text"))) > 4
        assert len(one.svg) < 80_000
    assert len(ids) == len(set(ids))


def test_pictures_in_svg_are_the_distances_themselves(drawn: list[Drawn]) -> None:
    (one,) = [one for one in drawn if one.name == "rdm"]
    pictures = re.findall(r'href="data:image/png;base64,([^"]*)"', one.svg)
    assert [Image.open(io.BytesIO(base64.b64decode(text))).size for text in pictures] == [(6, 6)] * 6


def test_the_same_evaluation_gives_the_same_bytes_also_in_another_process(
    found: Evaluation, drawn: list[Drawn]
) -> None:
    assert figures(found.path, "subj01") == drawn
    done = python(
        "import hashlib, sys\n"
        "from nsd_imagery.evaluation.report.figures import figures\n"
        "print(hashlib.sha256(''.join(one.svg for one in figures(sys.argv[1], 'subj01')).encode()).hexdigest())\n",
        found.path,
    )
    import hashlib

    assert done.stdout.strip() == hashlib.sha256("".join(one.svg for one in drawn).encode()).hexdigest(), done.stderr


def test_names_that_hold_markup_or_dollars_are_shown_as_text(whole: Opened) -> None:
    odd = "<script>'$x^2$ & \"y\"'</script>"
    scores = [replace(one, roi=odd) for one in whole.scores if one.roi == ROI]
    text = svg_of(plot.identification(scores, subject="subj01"), "one")
    shown = ["".join(element.itertext()) for element in ET.fromstring(text).iter(f"{SVG}text")]
    assert odd in shown
    assert "<script" not in text
