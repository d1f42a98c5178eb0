"""verify's findings as a page: what failed comes first, with what to do, and nothing of a file's name is markup."""

import re
from html import escape
from pathlib import Path
from typing import Any

import pytest

import nsd_imagery
from browser import SCREENS, looking
from nsd_imagery.checks.finding import Finding
from nsd_imagery.checks.page import page
from nsd_imagery.checks.report import Report

pytestmark = pytest.mark.slow

NASTY = """<script>alert("1")</script>'&amp;"""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    """A report of a release of which one table is cut, and its page."""
    folder = tmp_path_factory.mktemp("broken")
    root = nsd_imagery.synth(folder / "release", format="hdf5")
    table = root / "nsddata/bdata/nsdimagery/nsdimagery_subj01_visA.tsv"
    table.write_text(table.read_text()[:1000])
    return nsd_imagery.verify(root, output=folder / "report.html"), folder / "report.html"


def in_order(text: str, *words: str) -> bool:
    places = [text.index(word) for word in words]
    return places == sorted(places)


def test_what_failed_comes_first_by_kind_with_its_rows_and_what_to_do(broken: tuple[Report, Path]) -> None:
    report, path = broken
    text = path.read_text(encoding="utf-8")
    failed = report.of("fail")
    assert failed
    for one in failed:
        part = text[text.index(f"<code>{one.id}</code>") :]
        part = part[: part.index("</article>")]
        assert escape(one.proves, quote=False) in part.replace("&#39;", "'")
        assert escape(one.remedy, quote=False) in part.replace("&#39;", "'")
        assert all(row in part.replace("&#39;", "'") for row in one.offending)
    order = ("Failed", "Files: failed", f"<code>{failed[0].id}</code>", "<h2>Skipped</h2>", "<h2>Passed</h2>")
    assert in_order(text, *order)
    for outcome, count in report.counts().items():
        assert not count or f'<data value="{count}">{count}</data> {outcome}' in text


def test_the_page_has_every_finding_that_the_report_has(broken: tuple[Report, Path]) -> None:
    report, path = broken
    text = path.read_text(encoding="utf-8").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">")
    for one in report.findings:
        assert one.id in text
        assert one.scope in text
    assert {one.outcome for one in report.findings} == {"fail", "skipped", "pass"}
    for one in report.findings:
        assert one.outcome == "fail" or one.evidence in text
    assert page(report) == path.read_text(encoding="utf-8")


def test_names_that_hold_markup_are_text() -> None:
    found = [
        Finding("files.present", NASTY, NASTY, outcome, NASTY, (NASTY,), 3, NASTY)
        for outcome in ("fail", "not decidable", "skipped", "pass")
    ]
    text = page(Report(NASTY, NASTY, False, tuple(found)))
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") > 8
    assert text.count("<script>") == 1


def test_a_report_of_nothing_says_that_nothing_was_checked() -> None:
    text = page(Report("nowhere", "dataset", False, ()))
    assert "no check was made" in text
    assert re.search(r">Failed<", text)


@pytest.mark.browser
@pytest.mark.parametrize("screen", SCREENS)
def test_on_every_screen_it_is_whole_readable_and_asks_nothing(
    broken: tuple[Report, Path], chromium: Any, screen: str
) -> None:
    with looking(chromium, broken[1], screen) as looked:
        looked.open_all()
        assert looked.sideways() == 0
        assert looked.too_faint() == []
        assert (looked.said, looked.asked) == ([], [])
