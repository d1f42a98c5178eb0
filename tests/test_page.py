"""The page of an evaluation: all in one file, every number one of the tables', as people see it on any screen."""

import hashlib
import html.parser
import io
import json
import math
import os
import re
import subprocess
import sys
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import nsd_imagery
from browser import SCREENS, looking
from folders import files, own
from nsd_imagery.errors import BusyError, DataError, MissingDataError
from nsd_imagery.evaluation.opened import Opened, opened
from nsd_imagery.evaluation.report.brain import Voxels, sprites
from nsd_imagery.evaluation.report.figures import figures
from nsd_imagery.evaluation.report.room import room
from nsd_imagery.evaluation.score import read_scores, write_scores
from nsd_imagery.evaluation.sides import sides_of
from nsd_imagery.locks import holding

pytestmark = pytest.mark.slow

NASTY = """<script>alert("1")</script>'&amp;"""
WITHOUT_MATPLOTLIB = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")

sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def evaluation(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two subjects and ROIs, with betas for imagery across runs. Not to be changed: see `own_small`."""
    folder = tmp_path_factory.mktemp("page")
    what = {"roi": ["nsdgeneral", "early"], "conditions": ["vision", "imagery"]}
    both = [
        nsd_imagery.build(release, folder / betas, betas=betas, **what) for betas in ("fithrf_GLMdenoise_RR", "fithrf")
    ]
    return nsd_imagery.evaluate(both[0], folder / "evaluation", across=both[1], draws=99).path


@pytest.fixture(scope="module")
def seen(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one subject's vision in one ROI. Not to be changed."""
    folder = tmp_path_factory.mktemp("seen") / "nsd_imagery"
    return nsd_imagery.build(release, folder, subjects="subj01", conditions=["vision"], roi="early")


@pytest.fixture(scope="module")
def small(seen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its evaluation, with little to draw. Not to be changed."""
    return nsd_imagery.evaluate(seen, tmp_path_factory.mktemp("small") / "evaluation", draws=9).path


@pytest.fixture
def own_small(small: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; files are replaced, not written into, so links are enough."""
    return own(small, tmp_path / "evaluation")


@pytest.fixture(scope="module")
def text(evaluation: Path) -> str:
    return (evaluation / "report.html").read_text(encoding="utf-8")


class Read(html.parser.HTMLParser):
    """What stands on a page, apart by where it stands."""

    _APART = ("script", "style", "svg", "data", "code", "dl", "p", "nav")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.data: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.labels: list[str] = []
        self.json = ""
        self._within: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.labels += [said["aria-label"]] if "aria-label" in said else []
        if tag == "data":
            self.data.append((said["value"], ""))
        if tag in self._APART:
            is_map = said.get("type") == "application/json"
            self._within.append("map" if is_map else "note" if said.get("class") == "note" else tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._APART:
            self._within.pop()

    def handle_data(self, data: str) -> None:
        where = self._within[-1] if self._within else ""
        if where == "data":
            self.data[-1] = (self.data[-1][0], self.data[-1][1] + data)
        elif where == "map":
            self.json += data
        elif where == "note":
            self.labels.append(data)
        elif not {"script", "style", "svg", "code", "dl"} & set(self._within):
            self.text.append(data)


def numbers_of(evaluation: Path) -> set[float]:
    """Every number that the tables have."""
    found: set[float] = set()

    def walk(what: Any) -> None:
        if isinstance(what, dict):
            what = list(what.values())
        if isinstance(what, list):
            for one in what:
                walk(one)
        elif isinstance(what, int | float) and not isinstance(what, bool):
            found.add(float(what))

    walk(pq.ParquetFile(evaluation / "scores.parquet").read(use_threads=False).to_pylist())
    walk(json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8")))
    return found


def counted(evaluation: Path) -> set[float]:
    """What the page counts: voxels of maps, subjects in whom the primary test holds, answers."""
    about = json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))
    found = {float(len(about["subjects"]))}
    for subject in about["subjects"]:
        rows = pq.ParquetFile(evaluation / f"voxels-{subject}.parquet").read(use_threads=False).to_pylist()
        voxels = {(row["i"], row["j"], row["k"]): row for row in rows}.values()
        for name in ("vision", "imagery"):
            there = [row for row in voxels if row[f"{name}_noise"] > 0]
            n_below = sum(row[f"{name}_signal"] < 0 for row in there)
            found |= {float(len(voxels)), float(n_below), float(len(voxels) - len(there))}
    primary = [one for one in read_scores(evaluation / "scores.parquet") if one.measure == "margin"
               and (one.test, one.how, one.unit, one.stimulus_set) == ("imgX_2", "letter-free", "trial", "")
               and one.roi == "nsdgeneral" and one.subject != "group"]  # fmt: skip
    found |= {float(sum((one.p or 1) <= 0.05 for one in primary)), float(len(primary))}
    answers = [row for row in about["exhibits"]["group"]["responses"] if row["condition"] == "imagery"]
    found |= {float(sum(row[name] for row in answers)) for name in ("n_trials", "first", "second", "none")}
    return found | {share for one in about["exhibits"].values() for share in shares(one["responses"])}


def shares(rows: list[dict[str, Any]]) -> list[float]:
    """Of imagery trials that were called vivid, in each of its two runs, and of vision trials answered right."""
    of = {name: [row for row in rows if re.fullmatch(name, row["run"])] for name in ("img._1", "img._2", "vis.")}
    return [
        sum(row["correct" if name == "vis." else "first"] for row in mine) / sum(row["n_trials"] for row in mine)
        for name, mine in of.items()
        if mine
    ]


def digits(text: str) -> int:
    """Decimals of a number as it is shown."""
    mantissa, _, power = text.partition("e")
    return len(mantissa.partition(".")[2]) - int(power or 0)


def plain(text: str) -> str:
    return text.replace("−", "-").replace(",", "")


# --- numbers


@pytest.fixture(scope="module")
def known(evaluation: Path) -> np.ndarray:
    """All numbers that the page may have."""
    found = numbers_of(evaluation) | counted(evaluation)
    for subject in ("group", "subj01", "subj02"):
        for drawn in figures(opened(evaluation), subject):
            found |= {float(cell) for row in drawn.table.rows for cell in row if isinstance(cell, int | float)}
    return np.array(sorted(found))


def test_every_number_on_the_page_is_a_number_of_the_tables(known: np.ndarray, text: str) -> None:
    found = np.array([float(value) for value, _ in Read(text).data])
    assert len(found) > 500
    nearest = np.abs(found[:, None] - known[None]).min(axis=1)
    assert found[nearest > 5.01e-6 * np.abs(found)].tolist() == []


def test_every_number_is_shown_as_it_is_rounded(text: str) -> None:
    for whole, shown in Read(text).data:
        value = plain(shown)
        assert abs(float(value) - float(whole)) <= 0.501 * 10 ** -digits(value), (whole, shown)


def test_no_number_stands_outside_of_what_a_test_can_read(known: np.ndarray, text: str) -> None:
    begin, end = text.index('id="part-11"'), text.index("<footer")
    told = " ".join(Read(text[:begin] + text[end:]).text)
    assert set(re.findall(r"\b\d+\.\d+\b", told)) <= {"0.05"}
    for label in Read(text).labels:
        for number in re.findall(r"(?<!\w)[−-]?\d+\.\d+\b", label):
            value = float(plain(number))
            assert np.abs(known - value).min() <= 0.501 * 10 ** -digits(number), label


def test_the_ten_numbers_come_first_and_are_those_of_the_headline(evaluation: Path, text: str) -> None:
    assert text.index('id="part-1"') < min(text.index(f'id="part-{part}"') for part in range(2, 12))
    table = text[text.index('<table class="ten">') : text.index("</table>")]
    assert re.findall(r'<th scope="row(?:group)?"[^>]*>(\d+)</th>', table) == [str(n) for n in range(1, 11)]
    first = {float(value) for value, _ in Read(table).data}
    for line in json.loads((evaluation / "evaluation.json").read_text(encoding="utf-8"))["headline"]:
        if line["roi"] == "nsdgeneral":
            shown = [one["p" if one["measure"] == "margin" else "value"] for one in line["scores"]]
            assert {float(f"{one:.6g}") for one in shown if one is not None} <= first


def test_all_eleven_parts_are_there_and_every_figure_has_words_and_its_numbers(text: str) -> None:
    assert re.findall(r'<h2 id="part-(\d+)"', text) == [str(n) for n in range(1, 12)]
    shown = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert len(shown) > 15
    for one in shown:
        assert re.search(r'(role="img" aria-label="[^"]{20,}")', one)
        assert "</summary>" in one
        assert "<table>" in one
    for subject in ("subj01", "subj02"):
        assert f'<details class="subject" id="{subject}">' in text


def test_without_transfer_the_page_says_how_to_get_it_and_with_it_shows_it(own_small: Path) -> None:
    page = own_small / "report.html"
    assert "needs embeddings" in page.read_text(encoding="utf-8")
    scores = read_scores(own_small / "scores.parquet")
    known = next(
        one for one in scores if one.subject == "group" and one.measure == "identification" and not one.stimulus_set
    )
    more = [
        replace(known, measure=measure, condition=f"perception → {condition}", train=train, test=test, how="decode",
                value=value, unit="trial", reason="", roi="early", chance=0.5)
        for measure, train, value in (("two_way", "perception", 0.7131), ("cosine", "perception", 0.6172),
                                      ("cosine", "constant", 0.5923))
        for condition, test in (("vision", "visX"), ("imagery", "imgX_2"))
    ]  # fmt: skip
    rewrite(own_small, [*scores, *more], {})
    nsd_imagery.report(own_small)
    text = page.read_text(encoding="utf-8")
    assert "--embeddings ROOT" not in text
    table = text[text.index('<table class="ten">') : text.index("</table>")]
    assert ("0.7131", "0.71") in Read(table).data


def rewrite(evaluation: Path, scores: list[Any], change: dict[str, str]) -> None:
    """Other scores in an evaluation, as if they had been found, and other names."""
    (evaluation / "scores.parquet").unlink()
    write_scores(evaluation / "scores.parquet", scores)
    about = (evaluation / "evaluation.json").read_text(encoding="utf-8")
    for old, new in change.items():
        about = about.replace(json.dumps(old), json.dumps(new))
    about = json.loads(about)
    about["files"] = {name: hashlib.sha256((evaluation / name).read_bytes()).hexdigest() for name in about["files"]}
    (evaluation / "evaluation.json").unlink()
    (evaluation / "evaluation.json").write_text(json.dumps(about), encoding="utf-8")


# --- what lacks


def test_nothing_is_drawn_of_what_has_no_value_and_the_page_says_why(small: Path) -> None:
    text = (small / "report.html").read_text(encoding="utf-8")
    assert "is not said: " in text
    assert "not estimated: " in text
    assert set(json.loads(Read(text).json)["subj01"]["maps"]) == {"vision"}
    assert "var(--imagery" not in text[text.index("</style>") :]
    for part in re.findall(r"<tr>.*?(?=<tr>|</table>)", text, re.DOTALL):
        assert "not estimated" not in part or "<data" not in part
    assert all(math.isfinite(float(value)) for value, _ in Read(text).data)


# --- one file


def test_the_same_evaluation_gives_the_same_bytes_by_any_process(own_small: Path) -> None:
    before = files(own_small)
    assert {"report.html", "figures/subj01-identification.svg"} <= set(before)
    for name in before:
        if name == "report.html" or name.startswith("figures/"):
            (own_small / name).unlink()
    line = [sys.executable, "-m", "nsd_imagery", "report", str(own_small)]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == f"{own_small / 'report.html'}: open it in a browser\n", done.stderr
    after = files(own_small)
    assert [name for name in before if name != ".evaluate/lock" and before[name] != after.get(name)] == []


def test_ids_are_of_one_thing_each_so_that_no_figure_draws_with_another_ones(text: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_figures_are_files_of_their_own_and_those_of_an_earlier_page_go(own_small: Path) -> None:
    (own_small / "figures/subj07-rdm-early.svg").write_text("old")
    (own_small / "figures/mine.svg").write_text("mine")
    nsd_imagery.report(own_small)
    names = {path.name for path in (own_small / "figures").iterdir()}
    assert "mine.svg" in names
    assert "subj07-rdm-early.svg" not in names
    for path in (own_small / "figures").glob("group-*.svg"):
        assert "var(" not in path.read_text(encoding="utf-8")


def test_slices_of_a_map_are_a_picture_for_papers_where_something_was_estimated(small: Path, evaluation: Path) -> None:
    names = {path.name for path in (small / "figures").glob("*.png")}
    assert names == {"subj01-brain-vision.png"}
    names = {path.name for path in (evaluation / "figures").glob("*.png")}
    assert names == {f"subj0{n}-brain-{what}.png" for n in (1, 2) for what in ("vision", "imagery")}
    with Image.open(small / "figures/subj01-brain-vision.png") as picture:
        assert picture.width > 1200


# --- how much is drawn


def about_of(n_subjects: int, n_rois: int) -> Opened:
    rois = [*(f"V{n}" for n in range(2, n_rois)), "early", "nsdgeneral"][-n_rois:]
    subjects = [f"subj0{n}" for n in range(1, n_subjects + 1)]
    return Opened((), {"subjects": subjects, "rois": dict.fromkeys(subjects, rois)}, None)


def test_of_many_subjects_and_rois_few_are_drawn_and_the_primary_tests_is_one() -> None:
    for n_subjects, n_rois in ((1, 12), (3, 4), (8, 4), (8, 12)):
        shown = room(about_of(n_subjects, n_rois))
        assert [one[:2] for one in (*shown.among.values(), shown.each)] == [("nsdgeneral", "early")] * (n_subjects + 1)
        assert sum(map(len, shown.among.values())) <= 16
        assert len(shown.each) <= 3
        assert shown.is_less == (n_rois > 3, n_subjects * n_rois > 16)
    unlike = Opened((), {"rois": {"subj01": ["nsdgeneral", *"abcdefgh"], "subj02": ["z"]}}, None)
    assert room(unlike).among["subj02"] == ("z",)


def test_a_single_subject_is_drawn_once_with_the_intervals_it_has(small: Path, text: str) -> None:
    page = (small / "report.html").read_text(encoding="utf-8")
    assert "Subjects, one by one" in text
    assert "Subjects, one by one" not in page
    assert not list((small / "figures").glob("group-*"))
    table = page[page.index("Numbers of the figure: ceiling") :]
    row = re.findall(r"<tr>(.*?)\n", table[: table.index("</table>")])[1]
    assert len(Read(row).data) >= 3  # a value, and both ends of its interval
    assert "Lines are 95 % intervals" in page


def full_map(ratios: dict[str, np.ndarray]) -> dict[str, Any]:
    """Of a subject as large as real ones."""
    random = np.random.default_rng(0)
    grid = np.stack(np.unravel_index(random.choice(42 * 46 * 61, 15_724, replace=False), (42, 46, 61)), axis=1)
    return sprites(Voxels(grid, {"nsdgeneral": np.ones(len(grid), bool)}, ratios))


def test_a_full_subjects_map_is_small() -> None:
    random = np.random.default_rng(1)
    made = full_map({name: random.normal(0.05, 0.05, 15_724) for name in ("vision", "imagery", "perception")})
    assert len(json.dumps(made)) < 180_000


def gray(picture: str) -> np.ndarray:
    """The levels of a picture that is a data: URI."""
    image = Image.open(io.BytesIO(b64decode(picture.removeprefix("data:image/png;base64,"))))
    assert image.mode == "L"
    return np.asarray(image).astype(int)


def numbers_in(one: dict[str, Any], n: int) -> np.ndarray:
    """The numbers of a map, NaN where there is none."""
    high, low = np.split(gray(one["numbers"]), 2)
    level = (256 * high + low).ravel()[:n]
    return np.where(level > 0, one["low"] + (level - 1) * one["step"], np.nan)


def test_a_map_of_any_range_holds_what_is_far_out() -> None:
    numbers = numbers_in(full_map({"vision": np.linspace(-3.0, 900.0, 15_724)})["maps"]["vision"], 15_724)
    assert (numbers.min(), numbers.max()) == (pytest.approx(-3.0), pytest.approx(900.0))


# --- the map


def test_the_map_holds_the_number_the_place_and_the_rois_of_every_voxel(evaluation: Path, text: str) -> None:
    for subject, made in json.loads(Read(text).json).items():
        rows = pq.ParquetFile(evaluation / f"voxels-{subject}.parquet").read(use_threads=False).to_pylist()
        sheet = gray(made["sheet"])
        down, across = np.nonzero(sheet)
        (i0, j0, k0), (nx, ny, _) = made["origin"], made["size"]
        places = zip(across % nx + i0, ny - 1 - down % ny + j0,
                     down // ny * made["columns"] + across // nx + k0, strict=True)  # fmt: skip
        voxel_at = {place: n for n, place in enumerate(places)}
        rois: dict[int, set[str]] = {}
        for row in rows:
            rois.setdefault(voxel_at[row["i"], row["j"], row["k"]], set()).add(row["roi"])
        kinds = [set(made["kinds"][level - 1]) for level in sheet[down, across]]
        assert [rois[n] for n in range(len(kinds))] == kinds
        for condition, one in made["maps"].items():
            numbers = numbers_in(one, len(kinds))
            for row in rows:
                signal, noise = row[f"{condition}_signal"], row[f"{condition}_noise"]
                expected = signal / noise if noise > 0 else np.nan
                number = numbers[voxel_at[row["i"], row["j"], row["k"]]]
                assert number == pytest.approx(expected, abs=0.501e-4, nan_ok=True)


PLACES = np.array([10, 11, 20, 21])
HEMISPHERE = np.array(["left", "left", "right", ""], object)
X = np.array([-8.1, -6.3, 9.9, 11.7])


@pytest.mark.parametrize(
    ("hemisphere", "x", "said"),
    [
        (HEMISPHERE, X, ("L", "R", "the labels of the hemispheres")),
        (HEMISPHERE[::-1], -X, ("R", "L", "the labels of the hemispheres")),
        (np.array([""] * 4, object), X, ("L", "R", "the affine of the volumes")),
        (None, -X, ("R", "L", "the affine of the volumes")),
        (np.array([None] * 4, object), np.full(4, np.nan), None),
        (HEMISPHERE, -X, None),
        (None, None, None),
    ],
)
def test_a_side_is_called_left_where_labels_or_affine_say_so_and_they_do_not_contradict(
    hemisphere: Any, x: Any, said: Any
) -> None:
    assert sides_of(PLACES, hemisphere, x) == said


def test_the_map_says_which_side_is_left_as_the_hemispheres_of_its_voxels_do(evaluation: Path, text: str) -> None:
    for subject, made in json.loads(Read(text).json).items():
        rows = pq.ParquetFile(evaluation / f"voxels-{subject}.parquet").read(use_threads=False).to_pylist()
        left, right = ([row["i"] for row in rows if row["hemisphere"] == side] for side in ("left", "right"))
        assert max(left) < min(right)
        assert made["sides"] == ["L", "R", "the labels of the hemispheres"]


# --- in a browser


@pytest.mark.browser
def test_left_and_right_stand_above_the_slice_and_the_convention_is_named(own_small: Path, chromium: Any) -> None:
    path = own_small / "voxels-subj01.parquet"
    table = pq.ParquetFile(path).read(use_threads=False)
    flipped = pa.array([61 - i for i in table["i"].to_pylist()], pa.int32())
    for change, ends, said in ((False, "LR", "left is on the left (neurological"),
                               (True, "RL", "left is on the right (radiological")):  # fmt: skip
        if change:
            table = table.set_column(table.column_names.index("i"), table.schema.field("i"), flipped)
            x = pa.array([None] * len(table), pa.float32())
            table = table.set_column(table.column_names.index("x"), table.schema.field("x"), x)
        path.unlink(missing_ok=True)
        pq.write_table(table, path)
        rewrite(own_small, read_scores(own_small / "scores.parquet"), {})
        with looking(chromium, nsd_imagery.report(own_small)) as looked:
            looked.page.wait_for_function("document.getElementById('map-said').textContent !== ''")
            assert looked.page.locator("#map-low").inner_text() + looked.page.locator("#map-high").inner_text() == ends
            assert said in looked.page.locator("#map-sides").inner_text()


@pytest.mark.browser
@pytest.mark.parametrize("screen", SCREENS)
def test_on_every_screen_it_is_whole_readable_and_asks_nothing(evaluation: Path, chromium: Any, screen: str) -> None:
    with looking(chromium, evaluation / "report.html", screen) as looked:
        looked.page.wait_for_function("document.getElementById('map-said').textContent !== ''")
        assert looked.sideways() == 0
        looked.open_all()
        assert looked.sideways() == 0
        assert looked.too_faint() == []
        assert (looked.said, looked.asked) == ([], [])


@pytest.mark.browser
def test_every_control_is_reached_and_worked_by_keys(evaluation: Path, chromium: Any) -> None:
    with looking(chromium, evaluation / "report.html") as looked:
        page = looked.page
        page.wait_for_function("document.getElementById('map-said').textContent !== ''")
        page.evaluate("""() => {
          window.wanted = new Set([...document.querySelectorAll('a, select, input, canvas[tabindex], summary, button')]
            .filter((one) => one.checkVisibility({ contentVisibilityAuto: true })));
          document.addEventListener('focusin', (event) => window.wanted.delete(event.target));
        }""")
        n_wanted = page.evaluate("window.wanted.size")
        for _ in range(n_wanted + 40):
            page.keyboard.press("Tab")
        assert n_wanted > 20
        assert page.evaluate("[...window.wanted].map((one) => one.outerHTML.slice(0, 80))") == []
        said = page.locator("#map-said")
        page.focus("#map-canvas")
        before = said.inner_text()
        page.keyboard.press("ArrowLeft")
        moved = said.inner_text()
        assert moved != before
        page.keyboard.press("ArrowUp")
        assert said.inner_text() != moved
        slice_before = page.locator("#map-k").inner_text()
        page.keyboard.press("PageDown")
        assert int(page.locator("#map-k").inner_text()) == int(slice_before) - 1
        page.focus("#map-slice")
        page.keyboard.press("ArrowRight")
        assert page.locator("#map-k").inner_text() == slice_before
        page.select_option("#map-of", "imagery")
        page.select_option("#map-shows", "nc8")
        page.wait_for_function("document.getElementById('map-said').textContent.includes('NC(8)')")
        page.focus("summary")
        page.keyboard.press("Enter")
        assert page.evaluate("document.querySelector('summary').parentElement.open")


@pytest.mark.browser
def test_a_finger_and_a_mouse_read_the_number_of_the_voxel_under_them(evaluation: Path, chromium: Any) -> None:
    rows = pq.ParquetFile(evaluation / "voxels-subj02.parquet").read(use_threads=False).to_pylist()
    rows = [row for row in rows if row["roi"] == "nsdgeneral" and row["imagery_noise"] > 0]
    with looking(chromium, evaluation / "report.html", SCREENS[0], has_touch=True) as looked:
        page = looked.page
        page.select_option("#map-subject", "subj02")
        page.select_option("#map-of", "imagery")
        page.wait_for_function("document.getElementById('map-slice').dataset.of === 'subj02'")
        page.locator("#map-canvas").scroll_into_view_if_needed()
        made = json.loads(page.evaluate("document.getElementById('maps').textContent"))["subj02"]
        (i0, j0, _), (nx, ny, _) = made["origin"], made["size"]
        area = page.locator("#map-canvas").bounding_box()
        here = [row for row in rows if row["k"] == int(page.locator("#map-k").inner_text())]
        for n, row in enumerate(here[:6]):
            x = area["x"] + (row["i"] - i0 + 0.5) / nx * area["width"]
            y = area["y"] + (ny - 1 - (row["j"] - j0) + 0.5) / ny * area["height"]
            (page.touchscreen.tap if n % 2 else page.mouse.move)(x, y)
            said = page.locator("#map-said").inner_text()
            ratio = row["imagery_signal"] / row["imagery_noise"]
            assert said.startswith(f"i {row['i']}, j {row['j']}, k {row['k']}: signal / noise variance")
            shown = plain(re.findall(r"variance (−?[\d.]+)", said)[0])
            assert float(shown) == pytest.approx(ratio, abs=0.501 * 10 ** -digits(shown) + 1e-4)
            assert ("below 0" in said) == (ratio < 0)
            assert "nsdgeneral" in said


@pytest.mark.browser
def test_names_that_hold_markup_are_text(own_small: Path, chromium: Any) -> None:
    # Such a name is no ROI's that this package builds; but a page is made of what lies in a folder.
    scores = [
        replace(one, roi=NASTY if one.roi == "early" else one.roi) for one in read_scores(own_small / "scores.parquet")
    ]
    path = own_small / "voxels-subj01.parquet"
    table = pq.ParquetFile(path).read(use_threads=False)
    path.unlink()
    names = pa.array([NASTY] * len(table))
    pq.write_table(table.set_column(0, table.schema.field("roi"), names), path)
    rewrite(own_small, scores, {"early": NASTY})
    page = nsd_imagery.report(own_small)
    with looking(chromium, page) as looked:
        looked.page.wait_for_function("document.getElementById('map-said').textContent !== ''")
        looked.open_all()
        assert (looked.said, looked.asked) == ([], [])
        assert looked.page.evaluate("document.querySelectorAll('script').length") == 2
        assert looked.page.evaluate("document.body.innerText").count(NASTY) > 5


# --- where it is written, and where not


def test_the_command_ends_with_the_page_and_can_leave_it_out(seen: Path, tmp_path: Path) -> None:
    out = tmp_path / "my evaluation"
    done = command("evaluate", seen, "--out", out, "--draws", 9)
    assert done.stdout.splitlines()[-1] == f"{out}/report.html: the page of it all, to be opened in a browser", (
        done.stderr
    )
    page = (out / "report.html").read_bytes()
    assert "report.html" not in command("evaluate", seen, "--out", out, "--draws", 9, "--no-report").stdout
    assert (out / "report.html").read_bytes() == page
    command("evaluate", seen, "--out", out, "--draws", 8, "--no-report")
    assert not (out / "report.html").exists()
    assert list((out / "figures").glob("*")) == []
    said = json.loads(command("report", out, "--json").stdout)
    assert said["report"] == str(out / "report.html")
    assert all(Path(one).is_file() for one in said["figures"])


def command(*arguments: object, script: str = "") -> subprocess.CompletedProcess[str]:
    run = f"{script}\nfrom nsd_imagery.cli import main\nsys.exit(main())" if script else ""
    line = [sys.executable, *(["-c", run] if script else ["-m", "nsd_imagery"]), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_without_matplotlib_scores_are_written_and_one_line_says_how_to_get_the_page(
    seen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "e"
    done = command("evaluate", seen, "--out", out, "--draws", 9, script=WITHOUT_MATPLOTLIB)
    assert done.returncode == 0, done.stderr
    assert (out / "scores.parquet").is_file()
    assert not (out / "report.html").exists()
    last = done.stdout.splitlines()[-1]
    assert last.startswith("no page, which needs matplotlib: pip install ")
    assert last.endswith(f"then nsd-imagery report {out}")
    done = command("report", out, script=WITHOUT_MATPLOTLIB)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "matplotlib" in done.stderr
    assert "pip install" in done.stderr


def test_what_is_no_evaluation_or_a_mixed_one_is_one_line(own_small: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match="nsd-imagery evaluate DATASET"):
        nsd_imagery.report(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    scores = read_scores(own_small / "scores.parquet")
    (own_small / "scores.parquet").unlink()
    write_scores(own_small / "scores.parquet", scores[1:])
    with pytest.raises(DataError, match=r"scores\.parquet: is not the one that evaluation.json was written with"):
        nsd_imagery.report(own_small)


def test_no_page_is_written_while_its_evaluation_is(own_small: Path) -> None:
    with holding(own_small / ".evaluate/lock", str), pytest.raises(BusyError, match="is being written here"):
        nsd_imagery.report(own_small)
