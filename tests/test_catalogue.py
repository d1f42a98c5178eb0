"""The catalogue of checks: what reports say is in it, all of it is in reports, and it says what to do."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

import nsd_imagery
from nsd_imagery.checks.catalogue import CHECKS
from nsd_imagery.checks.check import to_markdown
from nsd_imagery.checks.report import Finding, Report

HOME = Path(__file__).resolve().parents[1]
IDS = [check.id for check in CHECKS]
COMMAND_OR_FILE = re.compile(
    r"nsd-imagery [a-z]+|[\w*}/>-]\.(tsv|csv|mat|hdf5|nii\.gz|mgz\.ctab|json|arrow|parquet|md)\b"
)


def write_over(path: Path, text: str) -> None:
    """Other contents, and not in the file that other tests share."""
    path.unlink()
    path.write_text(text)


def damaged(root: Path) -> Path:
    """Of subj01 a labelling file, of subj02 a mask, and files that only add columns."""
    write_over(root / "nsddata/bdata/nsdimagery/nsdimagery_subj01_visA.tsv", "<html>")
    write_over(root / "nsddata/ppdata/subj02/func1pt8mm/roi/nsdgeneral.nii.gz", "<html>")
    (root / "nsddata/experiments/nsd/nsd_stim_info_merged.csv").unlink()
    (root / "nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5").unlink()
    return root


def folder_of_other_rows(dataset: Path, folder: Path) -> Path:
    """A folder whose card is of another build and whose shards are not all there."""
    shutil.copytree(dataset, folder)
    shutil.rmtree(folder / "subj01-vision")
    (folder / "README.md").write_text("# mine")
    return folder


@pytest.fixture(scope="module")
def reports(release: Path, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Report]:
    """Of a release tree, a cache tree, an index and a built folder, sound ones and damaged ones."""
    place = tmp_path_factory.mktemp("reports")
    indices = nsd_imagery.index(release, ["subj01"], out=place / "indices")
    cache = nsd_imagery.synth(place / "cache", layout="cache", format="hdf5")
    (place / "bad.parquet").write_text("<html>")
    return [
        nsd_imagery.verify(release, deep=True),
        nsd_imagery.verify(cache),
        nsd_imagery.verify(damaged(shutil.copytree(release, place / "damaged"))),
        nsd_imagery.verify(indices, root=release),
        nsd_imagery.verify(place / "bad.parquet"),
        nsd_imagery.verify(dataset, root=release, deep=True),
        nsd_imagery.verify(folder_of_other_rows(dataset, place / "folder"), root=release),
    ]


@pytest.mark.slow
def test_every_finding_is_of_a_check_of_the_catalogue_and_every_check_has_findings(reports: list[Report]) -> None:
    catalogue = {check.id: check for check in CHECKS}
    findings = [finding for report in reports for finding in report.findings]
    for finding in findings:
        check = catalogue[finding.id]
        assert (finding.proves, finding.remedy) == (check.proves, check.remedy)
    assert {finding.id for finding in findings} == set(catalogue)


@pytest.mark.slow
def test_checks_of_a_kind_stand_in_the_order_of_a_report(reports: list[Report]) -> None:
    for report in (report for report in reports if report.passed):
        met = dict.fromkeys(finding.id for finding in report.findings)
        for kind in {name.partition(".")[0] for name in met}:
            mine = [name for name in met if name.startswith(f"{kind}.")]
            assert mine == sorted(mine, key=IDS.index)


@pytest.mark.slow
def test_what_is_done_about_a_failed_check_is_said_once_after_its_rows_and_not_in_json(reports: list[Report]) -> None:
    damaged = reports[2]
    failed = [finding for finding in damaged.findings if finding.outcome == "fail"]
    lines = damaged.to_text().splitlines()
    assert len({finding.id for finding in failed}) > 2
    for finding in failed:
        said = f"      What to do: {finding.remedy}."
        assert lines.count(said) == 1
        assert lines.index(said) > max(lines.index(f"      {row}") for row in finding.offending)
    assert sum("What to do" in line for line in lines) == len({finding.id for finding in failed})
    assert "What to do" not in reports[0].to_text()
    assert not any("remedy" in finding for finding in json.loads(damaged.dumps())["findings"])


def test_a_check_that_fails_in_several_ways_says_what_to_do_after_the_last_of_them() -> None:
    check, other = CHECKS[0], CHECKS[1]
    findings = [check.judged("subj01", ["a"], ""), other.judged("subj01", ["b"], ""), check.judged("subj02", "cd", "")]
    lines = [line.strip() for line in Report("root", "release", False, tuple(findings)).to_text().splitlines()[1:]]
    assert [line for line in lines if line in "abcd" or line.startswith("What")] == [
        "a", "b", f"What to do: {other.remedy}.", "c", "d", f"What to do: {check.remedy}.",
    ]  # fmt: skip


def test_a_finding_keeps_the_first_rows_and_counts_them_all() -> None:
    finding = CHECKS[0].judged("subj01", range(7), "")
    assert (finding.outcome, finding.evidence, finding.n_offending) == ("fail", "7 contradictions", 7)
    assert finding.offending == ("0", "1", "2", "3", "4")
    assert CHECKS[0].judged("subj01", [], lambda: "all of it") == Finding(
        CHECKS[0].id, CHECKS[0].proves, "subj01", "pass", "all of it", remedy=CHECKS[0].remedy
    )


def test_every_check_has_a_name_of_its_own_and_a_remedy_that_names_a_file_or_a_command() -> None:
    assert len(set(IDS)) == len(IDS)
    kinds = [name.partition(".")[0] for name in IDS]
    assert list(dict.fromkeys(kinds)) == ["files", "labels", "rows", "data", "index", "folder", "source"]
    for check in CHECKS:
        assert len(check.remedy.split()) >= 5, check.id
        assert COMMAND_OR_FILE.search(check.remedy), check.id
        assert not check.remedy.endswith("."), check.id


def test_commands_that_remedies_name_are_commands() -> None:
    from nsd_imagery.cli.app import cli

    named = {word for check in CHECKS for word in re.findall(r"nsd-imagery (\w+)", check.remedy)}
    assert named <= set(cli.commands)


def lists_of_checks(text: str) -> Sequence[str]:
    """The tables of a page that are of checks."""
    return re.findall(r"^\| check \| what it proves \| what to do .*\n(?:\|.*\n?)+", text, re.MULTILINE)


def test_pages_that_list_the_checks_list_these() -> None:
    table = to_markdown(CHECKS)
    assert all(line.count(" | ") == 2 for line in table.splitlines()[2:])
    assert len(table.splitlines()) == len(CHECKS) + 2
    for page in [*HOME.glob("*.md"), *HOME.glob("docs/**/*.md")]:
        text = page.read_text()
        assert [found.strip() for found in lists_of_checks(text)] in ([], [table]), page
        named = re.findall(r"`((?:files|labels|rows|data|index|folder|source)\.[a-z]+(?:-[a-z]+)+)`", text)
        assert set(named) <= set(IDS), page
