"""What `verify` says in its text is what it found, no more and no less, and a damaged file fails as a file, once."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import nsd_imagery
from nsd_imagery.checks.catalogue import CHECKS
from nsd_imagery.checks.finding import Outcome
from nsd_imagery.checks.report import Report
from nsd_imagery.errors import MissingDataError, UsageError
from nsd_imagery.sources.release_files import expected_betas, expected_nsd_betas

pytestmark = pytest.mark.slow

IDS = {check.id: check for check in CHECKS}
DATA = "nsddata/bdata/nsdimagery/nsdimagery_subj01"
SPACE = "nsddata/ppdata/subj01/func1pt8mm"


def betas(subject: str, ending: str) -> str:
    return f"{expected_betas('fithrf_GLMdenoise_RR', subject)}{ending}"


MEANS = betas("subj01", ".nii.gz").replace("/betas_", "/meanbeta_")


def cut(path: Path) -> Path:
    """Half of a file, in a file of its own."""
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw[: len(raw) // 2])
    return path


def cut_betas(root: Path, *subjects: str) -> list[Path]:
    """Truncated HDF5 files, and no other format of the same betas."""
    for subject in subjects:
        (root / betas(subject, ".nii.gz")).unlink()
    return [cut(root / betas(subject, ".hdf5")) for subject in subjects]


def naming(report: Report, path: Path) -> list[str]:
    """The checks that failed with a row that names a file."""
    return [one.id for one in report.of("fail") for row in one.offending if str(path) in row]


def said_to(outcome: Outcome, text: str) -> Iterator[tuple[str, str]]:
    """The pairs of check and scope that a text says have an outcome."""
    for line in text.splitlines():
        match = re.match(rf"  {outcome}  ((?:[a-z-]+\.[a-z0-9-]+(?:, )?)+): ([^:]+)", line)
        if match:
            yield from product(match[1].split(", "), match[2].split(", "))


def test_each_of_two_truncated_beta_files_fails_a_check_of_files_once(own_release: Path) -> None:
    paths = cut_betas(own_release, "subj01", "subj02")
    report = nsd_imagery.verify(own_release)
    assert [naming(report, path) for path in paths] == [["files.betas-sound"]] * 2
    assert {one.id for one in report.of("fail")} == {"files.betas-sound"}
    text = report.to_text()
    assert all(str(path) in text for path in paths)
    assert not any("betas-sound" in check for check, _ in said_to("pass", report.to_text(verbose=True)))


def test_a_session_of_core_that_is_cut_short_leaves_the_others_to_be_checked(own_core_release: Path) -> None:
    path = cut(own_core_release / f"{expected_nsd_betas('fithrf_GLMdenoise_RR', 'subj01')}02.hdf5")
    report = nsd_imagery.verify(own_core_release)
    assert naming(report, path) == ["files.betas-sound"]
    (proven,) = [one for one in report.of("pass") if one.id == "labels.proven"]
    assert proven.evidence == "2,220 rows of 3 sessions"
    (skipped,) = [one for one in report.of("skipped") if one.id == "labels.proven"]
    assert (skipped.scope, skipped.evidence) == ("subj01 NSD core session 2", "the beta file cannot be read")
    assert "data.seen-target" in {one.id for one in report.of("pass")}


@pytest.mark.parametrize(
    ("name", "check", "deep"),
    [
        (betas("subj01", ".hdf5"), "files.betas-sound", False),
        (betas("subj01", ".nii.gz"), "files.betas-whole", True),
        (f"{DATA}_attB.tsv", "files.tables-sound", False),
        ("nsddata/experiments/nsdimagery/C_pair_list.mat", "files.tables-sound", False),
        ("nsddata/experiments/nsdimagery/designmatrixGLMsingle.mat", "files.tables-sound", False),
        (f"{SPACE}/roi/nsdgeneral.nii.gz", "files.one-grid", False),
        (f"{SPACE}/roi/streams.nii.gz", "files.one-grid", False),
        (f"{SPACE}/valid_nsdimagery.nii.gz", "files.one-grid", False),
        (MEANS, "files.one-grid", False),
        ("nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5", "files.pictures", False),
    ],
)  # fmt: skip
def test_a_file_that_is_cut_short_fails_one_check_of_files_and_no_other(
    own_release: Path, name: str, check: str, deep: bool
) -> None:
    path = cut(own_release / name)
    report = nsd_imagery.verify(own_release, deep=deep)
    assert naming(report, path) == [check]
    assert {one.id for one in report.of("fail")} == {check}


def test_files_that_are_missing_are_all_named_once_however_many_subjects_need_them(own_release: Path) -> None:
    gone = [own_release / f"{DATA}_{run}.tsv" for run in "visA attA imgA_1 visB attB imgB_1 visC".split()]
    gone.append(own_release / "nsddata/experiments/nsdimagery/B_pair_list.mat")
    for path in gone:
        path.unlink()
    report = nsd_imagery.verify(own_release)
    assert [naming(report, path) for path in gone] == [["files.present"]] * len(gone)
    assert {one.id for one in report.of("fail")} == {"files.present"}
    bucket = "s3://natural-scenes-dataset"
    assert all(f"{bucket}/{path.relative_to(own_release).as_posix()}" in report.to_text() for path in gone)


def reports_of_faults(root: Path, dataset: Path, place: Path) -> Iterator[Report]:
    yield nsd_imagery.verify(root)
    yield nsd_imagery.verify(dataset, root=root)
    cut_betas(root, "subj02")
    (root / f"{DATA}_visA.tsv").unlink()
    yield nsd_imagery.verify(root)
    folder = Path(shutil.copytree(dataset, place / "folder"))
    shutil.rmtree(folder / "subj01-vision")
    cut(next((folder / "subj02-imagery").glob("*.arrow")))
    yield nsd_imagery.verify(folder)


def test_the_text_says_of_each_check_and_scope_what_the_json_says(
    own_release: Path, dataset: Path, tmp_path: Path
) -> None:
    for report in reports_of_faults(own_release, dataset, tmp_path):
        found = json.loads(report.dumps())["findings"]
        text, brief = report.to_text(verbose=True), report.to_text()
        for outcome in ("fail", "skipped", "not decidable", "pass"):
            of_json = Counter((one["id"], one["scope"]) for one in found if one["outcome"] == outcome)
            assert Counter(said_to(outcome, text)) == of_json, outcome
        assert all(row in brief for one in found if one["outcome"] == "fail" for row in one["offending"])
        assert [line for line in text.splitlines() if not line.startswith("  pass")] == brief.splitlines()[:-1]


def test_by_default_what_passed_is_one_line_that_counts_it_by_kind(own_release: Path) -> None:
    cut_betas(own_release, "subj01")
    report = nsd_imagery.verify(own_release)
    (line,) = [line for line in report.to_text().splitlines() if line.startswith("  pass")]
    counts = Counter(one.kind for one in report.findings)
    passed = Counter(one.kind for one in report.of("pass"))
    assert passed["files"] < counts["files"]
    assert f"files {passed['files']} of {counts['files']}, " in line
    assert line.endswith(f"rows {passed['rows']}, data {passed['data']} of {counts['data']} (-v lists them)")


def test_what_passed_is_listed_with_what_was_counted_and_measured(release: Path) -> None:
    report = nsd_imagery.verify(release)
    told = report.to_text(verbose=True).splitlines()
    for one in report.of("pass"):
        assert any(one.id in line and one.scope in line and line.endswith(f": {one.evidence}") for line in told), one
    data = [one for one in report.of("pass") if one.kind == "data" and one.id != "data.mean-map"]
    assert [one.id for one in data if not re.search(r"\d\.\d", one.evidence)] == []
    assert not re.search(r"[a-z]_[a-z]+_[A-Z]", " ".join(one.evidence for one in data))


@pytest.mark.parametrize("width", [60, 200])
def test_lines_of_a_terminal_are_broken_between_words_and_never_in_a_path(own_release: Path, width: int) -> None:
    (path,) = cut_betas(own_release, "subj01")
    report = nsd_imagery.verify(own_release)
    text = report.to_text(width=width)
    assert text.split() == report.to_text().split()
    assert all(len(line) <= width or " " not in line.strip() for line in text.splitlines())
    assert all(line.startswith("  ") for line in text.splitlines()[1:])
    assert any(str(path) in line for line in text.splitlines())
    assert not re.search(r"session\n", text)


def test_a_subject_that_is_not_there_is_refused_with_those_that_are(
    release: Path, dataset: Path, tmp_path: Path
) -> None:
    indices = nsd_imagery.index(release, out=tmp_path / "indices")
    for path in (dataset, indices, indices / "imagery", indices / "imagery/full_index.parquet"):
        with pytest.raises(UsageError, match=r"no subject 'subj05' \(did you mean 'subj0\d'\?\); there are: subj01"):
            nsd_imagery.verify(path, ["subj01", "subj05"])
    with pytest.raises(MissingDataError, match="no betas of subj05"):
        nsd_imagery.verify(release, ["subj05"])


def test_an_index_of_several_subjects_is_verified_for_those_that_are_named(release: Path, tmp_path: Path) -> None:
    path = nsd_imagery.index(release, out=tmp_path / "indices") / "imagery" / "full_index.parquet"
    assert pq.read_metadata(path).num_rows == 1440
    found = {one.id: one for one in nsd_imagery.verify(path, ["subj02"], root=release).findings}
    assert found["rows.unique-ids"].evidence == found["source.labels"].evidence == "720 rows"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nsd_imagery", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_the_command_lists_what_passed_with_v_and_prints_json_alone_with_json(own_release: Path) -> None:
    cut_betas(own_release, "subj01")
    report = nsd_imagery.verify(own_release)
    brief, verbose, as_json = (run(own_release, *options) for options in ((), ("-v",), ("--json",)))
    assert brief.returncode == verbose.returncode == as_json.returncode == 1
    assert brief.stdout == f"{report.to_text()}\n"
    assert verbose.stdout == f"{report.to_text(verbose=True)}\n"
    assert as_json.stdout == report.dumps()


@pytest.mark.parametrize(
    ("name", "begin"),
    [("report.json", lambda report: report.dumps()), ("report.MD", lambda report: report.to_page())],
)
def test_output_writes_the_report_by_the_ending_of_its_name(
    own_release: Path, tmp_path: Path, name: str, begin: Callable[[Report], str]
) -> None:
    (path,) = cut_betas(own_release, "subj02")
    report = nsd_imagery.verify(own_release, output=tmp_path / name)
    assert (tmp_path / name).read_text() == begin(report)
    text = (tmp_path / name).read_text().replace("\\", "")
    assert str(path) in text
    assert name == "report.json" or IDS["files.betas-sound"].remedy in text


def test_a_report_that_could_not_be_written_is_refused_before_anything_is_read(release: Path, tmp_path: Path) -> None:
    for name in ("report.htm", "report", "report.jsn"):
        done = run(release, "--output", tmp_path / name)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "a report is written as .json, .md or .html, not as" in done.stderr
    read: list[str] = []
    with pytest.raises(MissingDataError, match="there is no folder"):
        nsd_imagery.verify(release, output=tmp_path / "nowhere" / "report.md", progress=read.append)
    assert not read
