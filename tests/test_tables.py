"""Tables as people save them again, with pandas, R or Excel: read as they were, or refused with the place."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import nsd_imagery
from nsd_imagery.errors import DataError
from nsd_imagery.sources.behaviour import read_behaviour
from nsd_imagery.sources.cache_rows import read_sessions
from nsd_imagery.sources.cache_tables import CacheTables
from nsd_imagery.sources.captions import read_captions
from nsd_imagery.sources.release_files import responses_file, stim_info_file
from nsd_imagery.sources.responses import read_responses
from nsd_imagery.sources.stim_info import read_stim_info
from nsd_imagery.sources.table import ABSENT
from nsd_imagery.sources.trial_manifest import read_table
from nsd_imagery.volumes.anatomy import read_label_table

pytestmark = pytest.mark.slow


class Table(NamedTuple):
    raw: bytes
    delimiter: str
    read: Callable[[Path], Any]
    whole: str
    """A column of whole numbers that must be there."""


@pytest.fixture(scope="module")
def cache_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 in the Guide's layout. Not to be changed."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("tables") / "cache", layout="cache", format="hdf5")


@pytest.fixture(scope="module")
def tables(core_release: Path, cache_tree: Path) -> dict[str, Table]:
    behaviour = core_release / "nsddata/bdata/nsdimagery/nsdimagery_subj01_attA.tsv"

    def entries(path: Path) -> list[dict[str, Any]]:
        """But for trial_id, any word that is another one in each line."""
        return [{**entry.values, "trial_id": None} for entry in read_table(path).entries]

    def arrays(found: object) -> dict[str, Any]:
        return {name: value for name, value in vars(found).items() if name not in ("path", "line")}

    def of(path: Path, delimiter: str, read: Callable[[Path], Any], whole: str) -> Table:
        return Table(path.read_bytes(), delimiter, read, whole)

    return {
        "behaviour": of(behaviour, "\t", lambda path: read_behaviour(path, "subj01", "attA").trials, "TRIAL"),
        "responses": of(
            responses_file(core_release, "subj01"), "\t", lambda p: arrays(read_responses(p, "subj01")), "73KID"
        ),
        "manifest": of(cache_tree / "nsd_imagery/metadata/trial_manifest_subj01.csv", ",", entries, "beta_index"),
        "stimuli": of(cache_tree / "nsd_imagery/stimuli/imagery_stimuli_info.csv", ",", entries, "nsd_id"),
        "pictures": of(stim_info_file(core_release), ",", lambda path: arrays(read_stim_info(path)), "cocoId"),
    }


def frame(table: Table) -> pd.DataFrame:
    """Each field as it stands."""
    return pd.read_csv(io.BytesIO(table.raw), sep=table.delimiter, dtype=str, keep_default_na=False)


def guessed(table: Table) -> pd.DataFrame:
    """Each column of the type that pandas takes it for: whole numbers with a value that is absent become floats."""
    return pd.read_csv(io.BytesIO(table.raw), sep=table.delimiter)


def absent_as(spelling: str) -> Callable[[Table], bytes]:
    return lambda table: guessed(table).to_csv(sep=table.delimiter, index=False, na_rep=spelling).encode()


def quoted(table: Table) -> bytes:
    return frame(table).to_csv(sep=table.delimiter, index=False, quoting=1).encode()


def excel(table: Table) -> bytes:
    """With a byte order mark, CRLF, TRUE and FALSE, #N/A, and rows of nothing but delimiters at the end."""
    text = (
        guessed(table).replace({True: "TRUE", False: "FALSE"}).to_csv(sep=table.delimiter, index=False, na_rep="#N/A")
    )
    empty = table.delimiter * (text.partition("\n")[0].count(table.delimiter))
    return b"\xef\xbb\xbf" + (text + f"{empty}\n{empty}\n\n").replace("\n", "\r\n").encode()


def index_twice(table: Table) -> bytes:
    once = guessed(table).to_csv(sep=table.delimiter)
    return pd.read_csv(io.StringIO(once), sep=table.delimiter).to_csv(sep=table.delimiter).encode()


def write_table_of_r(table: Table) -> bytes:
    """Words in quotes, NA, and row names that the first line does not name."""
    rows = guessed(table)
    rows.index += 1
    text = rows.to_csv(sep=table.delimiter, na_rep="NA", quoting=2)
    return text.replace(f'""{table.delimiter}', "", 1).encode()


def floats(table: Table) -> bytes:
    rows = guessed(table)
    numbers = rows.select_dtypes("number").columns
    return rows.astype(dict.fromkeys(numbers, float)).to_csv(sep=table.delimiter, index=False).encode()


def other_order_and_a_note_in_latin1(table: Table) -> bytes:
    rows = frame(table)
    rows.insert(0, "note", "größer")
    return in_latin1(rows[rows.columns[::-1]].to_csv(sep=table.delimiter, index=False))


def in_latin1(text: str) -> bytes:
    """With the letters of one word in another encoding than the rest."""
    return text.encode().replace("größer".encode(), "größer".encode("latin-1"))


WAYS = [
    quoted, excel, index_twice, write_table_of_r, floats, other_order_and_a_note_in_latin1,
    *(absent_as(spelling) for spelling in sorted(ABSENT)),
]  # fmt: skip
NAMES = [*(way.__name__ for way in WAYS[:6]), *(f"absent is {spelling!r}" for spelling in sorted(ABSENT))]


@pytest.mark.parametrize("way", WAYS, ids=NAMES)
@pytest.mark.parametrize("name", ["behaviour", "responses", "manifest", "stimuli"])
def test_a_table_that_was_saved_again_says_the_same(
    tables: dict[str, Table], tmp_path: Path, name: str, way: Callable[[Table], bytes]
) -> None:
    same_as_released(tables[name], tmp_path, way)


@pytest.mark.parametrize("way", [excel, write_table_of_r, index_twice])
def test_so_does_the_table_of_73000_pictures(
    tables: dict[str, Table], tmp_path: Path, way: Callable[[Table], bytes]
) -> None:
    same_as_released(tables["pictures"], tmp_path, way)


def same_as_released(table: Table, tmp_path: Path, way: Callable[[Table], bytes]) -> None:
    path = tmp_path / "table"
    path.write_bytes(table.raw)
    expected = table.read(path)
    path.write_bytes(way(table))
    np.testing.assert_equal(table.read(path), expected)


def test_what_pandas_reads_as_absent_is_absent() -> None:
    text = "".join(f'"{spelling}"\n' for spelling in [*sorted(ABSENT), "x"])
    read = pd.read_csv(io.StringIO(text), header=None, skip_blank_lines=False)[0]
    assert read.isna().tolist() == [*(True for _ in ABSENT), False]


def in_line(number: int, value: str) -> Callable[[Table], bytes]:
    def change(table: Table) -> bytes:
        rows = frame(table)
        rows.loc[number - 2, table.whole] = value
        return rows.to_csv(sep=table.delimiter, index=False).encode()

    return change


def named_twice(table: Table) -> bytes:
    return table.raw.replace(b"\n", (f"{table.delimiter}{table.whole}\n").encode(), 1)


def separated_by(delimiter: str) -> Callable[[Table], bytes]:
    return lambda table: frame(table).to_csv(sep=delimiter, index=False).encode()


WRONG = {
    "1e5": (in_line(5, "1e+01"), "line 5: WHOLE is '1e[+]01', not a whole number"),
    "12.5": (in_line(7, "12.5"), "line 7: WHOLE is '12.5', not a whole number"),
    "a comma": (in_line(9, "12,0"), "line 9: WHOLE is '12,0', not a number"),
    "a word": (in_line(10, "twelve"), "line 10: WHOLE is 'twelve', not a number"),
    "latin-1": (lambda table: in_latin1(in_line(6, "größer")(table).decode()), "line 6: WHOLE is .* not UTF-8"),
    "twice": (named_twice, "twice: 'WHOLE'"),
    "semicolons": (separated_by(";"), "has semicolons between its fields, not (tabs|commas); save it again"),
    "bars": (separated_by("|"), "has bars between its fields"),
    "UTF-16": (lambda table: table.raw.decode().encode("utf-16"), "line 1: is not UTF-8, .*; save it again as UTF-8"),
    "a field too many": (lambda table: table.raw.rstrip(b"\n") + table.delimiter.encode(), "fields, line 1 has"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("name", ["behaviour", "responses", "manifest", "stimuli"])
def test_what_cannot_be_right_is_one_line_with_file_and_place(
    tables: dict[str, Table], tmp_path: Path, name: str, change: Callable[[Table], bytes], words: str
) -> None:
    refused(tables[name], tmp_path, change, words)


@pytest.mark.parametrize("wrong", ["1e5", "12.5", "semicolons"])
def test_so_it_is_in_the_table_of_73000_pictures(tables: dict[str, Table], tmp_path: Path, wrong: str) -> None:
    refused(tables["pictures"], tmp_path, *WRONG[wrong])


def refused(table: Table, tmp_path: Path, change: Callable[[Table], bytes], words: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(change(table))
    with pytest.raises(DataError, match=f"^{path}[:,].*{words.replace('WHOLE', table.whole)}") as caught:
        table.read(path)
    assert str(caught.value).isprintable()


# ---- label tables, lists of ids, JSON -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "0 Unknown\n1 V1v\n12 V1d\n",
        "\ufeff0\tUnknown\r\n1\tV1v\r\n12\tV1d\r\n\r\n",
        '"0" "Unknown"\n"1" "V1v"\n"12" "V1d"',
        '"number" "name"\n0 "Unknown"\n1 "V1v"\n12 "V1d"\n',
        "Number\tName\n0.0\tUnknown\n1.0\tV1v\n12.0\tV1d\n",
        "# a comment\n0 Unknown 0 0 0 0\n1 V1v 10 20 30 0\n12 V1d 1.0 2.0 3.0 -1\n",
    ],
)
def test_a_label_table_that_was_saved_again_says_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.ctab").write_text(text)
    assert read_label_table(tmp_path / "t.ctab") == {1: "V1v", 12: "V1d"}


def test_a_label_may_be_named_by_a_number_as_in_hcp_mmp1(tmp_path: Path) -> None:
    (tmp_path / "t.ctab").write_text("0 Unknown\n1 V1\n51 1 128 0 0 0\n52 2 1 2 3 0\n")
    assert read_label_table(tmp_path / "t.ctab") == {1: "V1", 51: "1", 52: "2"}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0 0 Unknown\n1 1 V1v\n", 1),
        ("0 Unknown\n1e0 V1v\n", 2),
        ("0 Unknown\n1.5 V1v\n", 2),
        ("0,Unknown\n1,V1v\n", 1),
        ("0;Unknown\n1;V1v\n", 1),
        ("0 Unknown\nnumber name\n1 V1v\n", 2),
        ("0 Unknown\n1 V1v\n2 V1v\n", 3),
    ],
)
def test_a_label_table_that_cannot_be_right_is_one_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "t.ctab").write_text(text)
    with pytest.raises(DataError, match=rf"t\.ctab, line {line}: "):
        read_label_table(tmp_path / "t.ctab")


def with_file(cache_tree: Path, tmp_path: Path, name: str, text: str) -> CacheTables:
    """The tables of a tree in which one file is another."""
    for path in cache_tree.rglob("*"):
        if path.is_file():
            (tmp_path / "tree" / path.relative_to(cache_tree)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / path.relative_to(cache_tree)).hardlink_to(path)
    file = tmp_path / "tree" / name
    file.unlink(missing_ok=True)
    file.write_text(text)
    return CacheTables(tmp_path / "tree")


PRESENTED = "nsd_imagery/stimuli/presented_image_ids.txt"
SESSIONS = "nsd_imagery/metadata/subject_sessions.json"


@pytest.mark.parametrize(
    "text", ["28751\n12", "\ufeff28751\r\n12\r\n\r\n", "28751.0\n12.0\n", '"28751"\n"12"\nNA\nnan\n']
)
def test_a_list_of_ids_that_was_saved_again_says_the_same(cache_tree: Path, tmp_path: Path, text: str) -> None:
    assert with_file(cache_tree, tmp_path, PRESENTED, text).presented == {28751, 12}


@pytest.mark.parametrize("word", ["2.8751e+04", "12.5", "-1", "nsd_id", "12,28751", "1_2"])
def test_a_list_of_ids_that_cannot_be_right_is_one_line(cache_tree: Path, tmp_path: Path, word: str) -> None:
    with pytest.raises(DataError, match=rf"presented_image_ids\.txt, line 2: nsd_id is '{word.replace('+', '[+]')}', "):
        _ = with_file(cache_tree, tmp_path, PRESENTED, f"28751\n{word}\n").presented


def sessions_of(tables: CacheTables) -> int:
    return len(read_sessions(tables, "subj01", "fithrf_GLMdenoise_RR"))


@pytest.mark.parametrize(
    "said",
    ["2", "2.0", "[1]", "[1.0, 2]", '{"sessions": 1}', '{"sessions": 1.0, "dates": []}', "null", '{"sessions": null}'],
)
def test_counts_of_sessions_are_read_however_they_were_saved(cache_tree: Path, tmp_path: Path, said: str) -> None:
    assert sessions_of(with_file(cache_tree, tmp_path, SESSIONS, f'\ufeff{{"subj01": {said}}}')) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"subj01": "1"}', "sessions of subj01 is '1', but must be how many"),
        ('{"subj01": {"sessions": true}}', "sessions of subj01 is True, but must be how many"),
        ('{"subj01": {"sessions": [1, 1.5]}}', r"sessions of subj01 is \[1, 1.5\], but must be how many"),
        ('[{"subj01": 1}]', "must be like .* but is"),
        ('{"subj01": 0, "subj01": 1}', "is not JSON .*'subj01' comes twice"),
        ('{"subj01": 1', "is not JSON"),
    ],
)
def test_counts_of_sessions_that_cannot_be_right_are_one_line(
    cache_tree: Path, tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=rf"subject_sessions\.json: {words}"):
        sessions_of(with_file(cache_tree, tmp_path, SESSIONS, text))


def test_captions_of_ids_that_became_floats_are_those_of_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "captions_train2017.json"
    path.write_text('\ufeff{"annotations": [{"image_id": 12.0, "caption": "a dog"}, {"image_id": 13, "caption": "b"}]}')
    assert read_captions(path, [12]) == {12: ("a dog",)}
    path.write_text('{"annotations": [{"image_id": 12.5, "caption": "a dog"}]}')
    with pytest.raises(DataError, match="no number image_id"):
        read_captions(path, [12])
