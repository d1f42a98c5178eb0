"""Properties of the rows: the order of lines and files says nothing; a wrong field is caught or changes no label."""

import csv
import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nsd_imagery
from nsd_imagery.errors import DataError, MissingDataError
from nsd_imagery.experiment import RUNS, Run
from nsd_imagery.sources import cache_rows, nsd, nsdimagery
from nsd_imagery.sources import release_files as files
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.release_tables import ReleaseTables
from nsd_imagery.sources.root import find_root
from nsd_imagery.sources.session import Session
from nsd_imagery.sources.stim_info import read_stim_info

pytestmark = pytest.mark.slow

BETAS = "fithrf_GLMdenoise_RR"
MANIFEST = "nsd_imagery/metadata/trial_manifest_subj01.csv"
INFO = "nsd_imagery/stimuli/imagery_stimuli_info.csv"

few = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
many = settings(few, max_examples=100)

Reader = Callable[[Path], pa.Table]


def imagery(root: Path) -> pa.Table:
    return nsdimagery.read_session(ReleaseTables(root), "subj01", BETAS).rows


def core(root: Path) -> pa.Table:
    return pa.concat_tables(session.rows for session in nsd.read_sessions(ReleaseTables(root), "subj01", BETAS))


def cache(root: Path) -> pa.Table:
    return pa.concat_tables(session.rows for session in cache_rows.read_sessions(CacheTables(root), "subj01", BETAS))


def all_sessions(root: Path) -> list[Session]:
    whole = find_root(root, BETAS)
    return whole.sessions(whole.choose(None))


@pytest.fixture(scope="module")
def release_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with one session of NSD core, whose responses.tsv has two."""
    root = nsd_imagery.synth(tmp_path_factory.mktemp("p") / "release", format="hdf5", perception_sessions=1)
    path = files.responses_file(root, "subj01")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[: 1 + 2 * 750]))
    return root


@pytest.fixture(scope="module")
def cache_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Guide's tree; its manifest has two runs of a task each, and columns that say what the table does not."""
    root = nsd_imagery.synth(tmp_path_factory.mktemp("p") / "cache", layout="cache")
    kept = ("visB", "attB", "imgB_1", "imgB_2", "visC", "imgC_1")
    with (root / MANIFEST).open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["run_name"] in kept]
    (root / MANIFEST).write_text(as_text([{**line, "response": "1", "response_time": "0.5"} for line in lines], ","))
    return root


def as_text(lines: list[dict[str, str]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


@contextmanager
def replaced(path: Path, text: str) -> Iterator[None]:
    """A file with other contents for a while."""
    before = path.read_bytes()
    path.write_text(text, newline="")
    try:
        yield
    finally:
        path.write_bytes(before)


# The order of lines and of files.


@few
@given(seed=st.integers(0, 10**6), run=st.sampled_from(RUNS))
def test_the_order_of_lines_of_a_behaviour_file_says_nothing(release_tree: Path, seed: int, run: Run) -> None:
    assert_order_says_nothing(release_tree, files.behaviour_file(release_tree, "subj01", run.name), imagery, seed)


@few
@given(seed=st.integers(0, 10**6))
def test_the_order_of_lines_of_responses_tsv_says_nothing(release_tree: Path, seed: int) -> None:
    assert_order_says_nothing(release_tree, files.responses_file(release_tree, "subj01"), core, seed)


@few
@given(seed=st.integers(0, 10**6), name=st.sampled_from([MANIFEST, INFO]))
def test_the_order_of_lines_of_the_tables_of_the_cache_tree_says_nothing(
    cache_tree: Path, seed: int, name: str
) -> None:
    assert_order_says_nothing(cache_tree, cache_tree / name, cache, seed)


def assert_order_says_nothing(root: Path, path: Path, read: Reader, seed: int) -> None:
    before = read(root)
    with replaced(path, shuffled(path.read_text(), seed)):
        assert read(root).equals(before)


def shuffled(text: str, seed: int) -> str:
    """The same lines under the same header in another order."""
    head, *lines = text.splitlines(keepends=True)
    random.Random(seed).shuffle(lines)
    return head + "".join(lines)


@few
@given(seed=st.integers(0, 10**6), more=st.lists(st.tuples(st.integers(0, 60), st.text("abc", max_size=5)), max_size=9))
def test_of_several_captions_of_a_picture_the_order_of_lines_does_not_choose(
    cache_tree: Path, seed: int, more: list[tuple[int, str]]
) -> None:
    path, manifest = cache_tree / INFO, cache_tree / MANIFEST
    lines = read_lines(path, ",")
    lines += [{**lines[at % len(lines)], "caption": caption} for at, caption in more]
    without = [{**line, "caption": ""} for line in read_lines(manifest, ",")]
    text = as_text(lines, ",")
    with replaced(manifest, as_text(without, ",")):
        with replaced(path, text):
            before = cache(cache_tree)
        with replaced(path, shuffled(text, seed)):
            assert cache(cache_tree).equals(before)


def test_lines_of_the_stimulus_table_that_contradict_each_other_are_an_error(cache_tree: Path) -> None:
    path = cache_tree / INFO
    lines = read_lines(path, ",")
    picture = next(line for line in lines if line["nsd_id"])
    for text in (
        as_text([*lines, {**picture, "coco_id": "7"}], ","),
        as_text([{**picture, "coco_id": "7"}, *lines], ","),
    ):
        with replaced(path, text), pytest.raises(DataError, match="coco_id"):
            cache(cache_tree)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_in_which_files_were_made_and_are_listed_says_nothing(
    release_tree: Path, cache_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)

    def listing(real: Callable[..., Iterator[Path]]) -> Callable[..., Iterator[Path]]:
        return lambda *args, **kwargs: iter(rng.sample(found := list(real(*args, **kwargs)), len(found)))

    for tree in (release_tree, cache_tree):
        names = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
        root = tmp_path / tree.name
        for name in rng.sample(names, len(names)):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(tree / name, root / name)
        before = all_sessions(tree)
        with monkeypatch.context() as patched:
            for method in ("glob", "rglob", "iterdir"):
                patched.setattr(Path, method, listing(getattr(Path, method)))
            after = all_sessions(root)
        assert [session.key for session in after] == [session.key for session in before]
        assert all(one.rows.equals(other.rows) for one, other in zip(after, before, strict=True))


# One wrong field.

WEIRD = ["", " ", "NaN", "inf", "-1", "0", "1", "2", "3.5", "1e308", "99999999999", "A", "\u00e9", "_cueL.png", "True"]

BEHAVIOUR_SAYS = {"BUTTON": {"response"}, "RT": {"response_time"}}
"""What only the behaviour files say of a trial: the columns of theirs that may change a column of the rows."""

ATTENTION_SAYS = {**BEHAVIOUR_SAYS, "GROUNDTRUTH": {"target_present"}}
"""That a target was absent, which IMAGEFILE says too, may be left out."""

MANIFEST_SAYS = {
    **{name: {name} for name in ("caption", "snr_estimate", "repeat_index", "is_valid", "roi_mask_path")},
    **{name: {name} for name in ("response", "response_time", "target_present")},
    "trial_in_session": {"trial_in_session", "trial_id"},
}
"""What only the trial manifest says of a trial."""

MANIFEST_MAY_LACK = {"cue", "cue_matches"}
"""Columns of the manifest that may be blank, and are absent then."""


def read_lines(path: Path, delimiter: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text()), delimiter=delimiter))


def draw_wrong_field(data: st.DataObject, lines: list[dict[str, str]]) -> tuple[int, str, str]:
    """A line, a column, and a value that it has not: of another line, near to it, or weird."""
    at = data.draw(st.integers(0, len(lines) - 1), "line")
    column = data.draw(st.sampled_from(list(lines[0])), "column")
    old = lines[at][column]
    near = [old + "0", old[:-1], old.lower(), f"{old}.0", *(old.replace(str(n), str(n + 1), 1) for n in range(9))]
    with suppress(ValueError):
        near += [str(float(old) + step) for step in (-1, 1)]
    values = sorted({*(line[column] for line in lines), *near, *WEIRD} - {old})
    return at, column, data.draw(st.sampled_from(values), "value")


def changed_by(
    data: st.DataObject, root: Path, path: Path, read: Reader, before: pa.Table
) -> tuple[str, str, set[str]]:
    """The column and the value that were made wrong, and the columns of the rows that are different for it."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    lines = read_lines(path, delimiter)
    at, column, value = draw_wrong_field(data, lines)
    lines[at] = {**lines[at], column: value}
    with replaced(path, as_text(lines, delimiter)):
        try:
            after = read(root)
        except (DataError, MissingDataError):
            return column, value, set()
    return column, value, {name for name in before.column_names if not after[name].equals(before[name])}


@pytest.fixture(scope="module")
def imagery_rows(release_tree: Path) -> pa.Table:
    return imagery(release_tree)


@pytest.fixture(scope="module")
def core_rows(release_tree: Path) -> pa.Table:
    return core(release_tree)


@pytest.fixture(scope="module")
def cache_table(cache_tree: Path) -> pa.Table:
    return cache(cache_tree)


@many
@given(data=st.data(), run=st.sampled_from(RUNS))
def test_a_wrong_field_of_a_behaviour_file_is_caught_or_changes_no_label(
    release_tree: Path, imagery_rows: pa.Table, data: st.DataObject, run: Run
) -> None:
    path = files.behaviour_file(release_tree, "subj01", run.name)
    column, _, changed = changed_by(data, release_tree, path, imagery, imagery_rows)
    may_change = ATTENTION_SAYS if run.condition == "attention" else BEHAVIOUR_SAYS
    assert changed <= may_change.get(column, set())


@many
@given(data=st.data())
def test_a_wrong_field_of_responses_tsv_is_caught_or_changes_no_label(
    release_tree: Path, core_rows: pa.Table, data: st.DataObject
) -> None:
    path = files.responses_file(release_tree, "subj01")
    column, _, changed = changed_by(data, release_tree, path, core, core_rows)
    assert changed <= BEHAVIOUR_SAYS.get(column, set())


@many
@given(data=st.data())
def test_a_wrong_field_of_a_trial_manifest_is_caught_or_changes_no_label_that_another_file_says(
    cache_tree: Path, cache_table: pa.Table, data: st.DataObject
) -> None:
    column, value, changed = changed_by(data, cache_tree, cache_tree / MANIFEST, cache, cache_table)
    is_blank = column in MANIFEST_MAY_LACK and not value.strip()
    assert changed <= ({column} if is_blank else MANIFEST_SAYS.get(column, set()))


def test_a_photograph_of_another_name_is_caught_by_the_table_of_pictures(release_tree: Path) -> None:
    """The release has no second file on what visC showed; a name says its picture twice, and each is shown once."""
    path = files.behaviour_file(release_tree, "subj01", "visC")
    lines = read_lines(path, "\t")
    first, second = lines[0]["FRAMEFILE"], lines[1]["FRAMEFILE"]
    number, rest = first.split("_nsd")
    wrong = {
        f"{number}_nsd{int(rest[:5]) % 73000 + 1:05d}{rest[5:]}": "not of the shared 1,000|is number",
        f"shared{int(number[6:]) % 1000 + 1:04d}_nsd{rest}": r"whose nsdId \d+ .* is number",
        f"{second[: second.index('_cue')]}{first[first.index('_cue') :]}": "as in TRIAL 1",
    }
    for name, words in wrong.items():
        changed = [{**line, "FRAMEFILE": name} if at == 0 else line for at, line in enumerate(lines)]
        with replaced(path, as_text(changed, "\t")), pytest.raises(DataError, match=words):
            imagery(release_tree)


@pytest.mark.parametrize("said", ["True", "False"])
def test_a_shared_picture_that_not_all_subjects_were_to_see_is_an_error(
    release_tree: Path, tmp_path: Path, said: str
) -> None:
    head, *lines = files.stim_info_file(release_tree).read_text().splitlines(keepends=True)
    at = next(number for number, line in enumerate(lines) if f",{said}," in line)
    fields = next(csv.reader([lines[at]]))
    fields[next(csv.reader([head])).index("shared1000")] = {"True": "False", "False": "True"}[said]
    lines[at] = ",".join(f'"{field}"' for field in fields) + "\n"
    path = tmp_path / "nsd_stim_info_merged.csv"
    path.write_text("".join([head, *lines]))
    with pytest.raises(DataError, match=rf"shared1000 of nsdId {at} is \w+, but its columns .* say that [18] of 8 "):
        read_stim_info(path)
