"""What objects show of themselves, in Python and in a notebook: short, escaped, and never where they lie in memory."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import nsd_imagery
from nsd_imagery import markup
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.report import Report
from nsd_imagery.evaluation.headline import Line
from nsd_imagery.evaluation.run import Evaluation


@pytest.fixture(scope="module")
def objects(release: Path, dataset: Path) -> dict[str, Any]:
    """What calls of the library give."""
    imagery = nsd_imagery.NSDImageryDataset(dataset, 1, "imagery")
    preprocessor = nsd_imagery.NSDPreprocessor(zscore="training", pca=3)
    rows = nsd_imagery.load(dataset, "subj01-imagery", "test")
    return {
        "plan": nsd_imagery.plan(release, "<i>&"),
        "preview": nsd_imagery.preview(release, dataset),
        "report": nsd_imagery.verify(dataset, subjects=1),
        "info": nsd_imagery.info(dataset),
        "evaluation": Evaluation((), (Line(1, "vision → <b>", "V1", "p < .05", ()),), {}, {}, dataset, None),
        "dataset": imagery,
        "with a preprocessor": nsd_imagery.NSDImageryDataset(dataset, 1, "imagery", preprocessor),
        "view": nsd_imagery.torch_view(rows),
        "clip cache": nsd_imagery.ClipCache(release, folder=release / "truth"),
        "options": nsd_imagery.NSDPreprocessor(),
        "fitted": preprocessor.fit(imagery.trials, imagery.voxels),
        "rois": nsd_imagery.rois(release)[0],
    }


class Reader(HTMLParser):
    """The words of HTML, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def both(one: Any) -> Iterator[str]:
    html = one._repr_html_()
    reader = Reader(html)
    assert not reader.open
    yield reader.words
    if not isinstance(one, dict):
        assert len(repr(one)) < 500
        yield repr(one)


def test_everything_shows_itself_in_a_few_words_without_its_place_in_memory(objects: dict[str, Any]) -> None:
    for name, one in objects.items():
        for shown in both(one):
            assert " at 0x" not in shown, name
            assert "object" not in shown, name
            assert 10 < len(shown) < 3_000, name
    said = {name: repr(one) for name, one in objects.items()}
    assert said["dataset"].startswith(
        "<NSDImageryDataset: subject subj01, condition imagery, sessions 1, trials 288, ROI"
    )
    assert "voxels 280, preprocessor NSDPreprocessor, item" in said["with a preprocessor"]
    assert said["fitted"] == "<NSDPreprocessor: zscore training, pca 3, fitted on subj01, keeps 280 of 280 voxels>"
    assert said["options"] == "<NSDPreprocessor: fitted nothing to fit>"
    assert said["view"].startswith("<TorchView: rows 288, columns trial_id, subject, ")
    assert said["view"].endswith(", nsd_id and 24 more>")
    assert said["report"].startswith("<Report: ")
    assert " passed; " in said["report"]
    assert re.match(r"<Preview: \d of 2 pieces to do", said["preview"])
    assert "kind image" in said["clip cache"]


def test_a_notebook_is_told_what_failed_and_what_to_do(objects: dict[str, Any]) -> None:
    shards = Finding("folder.shards", "shards are whole", "subj01-<i>", "fail", "bad & old", ("a.arrow",), 1, "build")
    shown = Report("<b>", "dataset", False, (shards, *objects["report"].findings))._repr_html_()
    assert "fail  folder.shards: subj01-&lt;i&gt;: bad &amp; old" in shown
    assert "What to do: build." in shown
    assert ".to_text(verbose=True) lists them" in shown
    assert "&lt;b&gt; (dataset): FAILED" in shown


def test_a_table_of_configs_has_rows_voxels_and_what_is_missing(objects: dict[str, Any]) -> None:
    (shown,) = both(objects["info"])
    assert "subj01-imagerytest 288280" in shown
    assert "missing: subjects not built: subj03" in shown
    assert objects["info"] == dict(objects["info"])


def test_what_is_long_is_counted_and_what_is_markup_is_text() -> None:
    shown = markup.table("<script>", [("x" * 900, number) for number in range(1_000)], below=["\x1b[31m"] * 50)
    assert "&lt;script&gt;" in shown
    assert "and 980 more rows" in shown
    assert "and 30 more notes" in shown
    assert "\x1b" not in shown
    assert len(shown) < 12_000
    assert Reader(shown).words.count("…") == 22
