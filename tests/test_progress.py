"""How far a call is: told by the library, and shown by the command on a terminal, in a log and in a notebook."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from concurrent.futures import Executor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nsd_imagery
from nsd_imagery.cli import showing
from nsd_imagery.cli.pools import with_executor
from nsd_imagery.dataset.state import BuildState
from nsd_imagery.display import LETTERS, Line

READING = BuildState(3, 16, 2_000_000_000, 8_000_000_000, "subj01/nsd/04")


def on_terminal(columns: int, *command: str, env: dict[str, str] | None = None) -> str:
    """Everything that a command writes to a terminal of so many columns."""
    own = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # which would win
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**own, **(env or {})}):
        os.close(theirs)
        written = b""
        while True:
            try:
                written += (more := os.read(ours, 1 << 16))
            except OSError:  # the other end is closed
                break
            if not more:
                break
    os.close(ours)
    return written.decode().replace("\r\n", "\n")


def screen(written: str) -> list[str]:
    """The lines that a terminal shows in the end."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_line_fits_narrow_terminals_and_says_all_on_wide_ones() -> None:
    line = Line("build")
    line.pieces(READING)
    for columns in (40, 60, 110):
        assert len(line.bar(columns)) <= columns
        assert line.bar(columns).startswith("build  25% ██")
    assert line.bar(110).endswith("2.0/8.0 GB  0:00  3/16 subj01/nsd/04")
    assert "2.0/8.0 GB  0:00" in line.bar(60)
    assert line.bar(60, LETTERS[1]).isascii()


def test_the_time_that_is_left_is_told_by_the_bytes_that_were_read_since_the_start() -> None:
    line = Line("build")
    line.pieces(BuildState(2, 16, 1_000, 8_000, "kept"))
    assert line._first is not None
    line._first = (line._first[0] - 100, line._first[1])
    line.pieces(BuildState(2, 16, 2_000, 8_000, "subj01/nsd/03"))
    assert line.sentence() == "build: 25% (2.0/8.0 kB), 2/16 subj01/nsd/03; 0:00, 10:00 left"
    line.count(1, 4, "subj02")  # steps are not alike
    assert "left" not in Line("verify").sentence()


@pytest.mark.parametrize(("columns", "workers"), [(60, 2), (200, 1)])
def test_a_build_draws_one_line_that_never_wraps_and_is_gone_in_the_end(
    core_release: Path, tmp_path: Path, columns: int, workers: int
) -> None:
    command = (sys.executable, "-m", "nsd_imagery", "build", str(core_release), "--out", str(tmp_path / "d"))
    written = on_terminal(columns, *command, "--workers", str(workers))
    drawn = [part for part in written.split("\n")[0].split("\r") if part.strip()]
    assert drawn[0].startswith("build  0:00")
    assert any("% " in line and " MB  0:" in line for line in drawn)
    assert all(len(line) < columns for line in drawn)
    assert not any(line.startswith("build ") for line in screen(written))
    assert f"{tmp_path / 'd'}: built." in screen(written)


def test_what_an_evaluation_prints_is_broken_between_words_below_its_column(dataset: Path, tmp_path: Path) -> None:
    options = ("--out", str(tmp_path / "e"), "--draws", "9", "--no-report", "--subjects", "subj01", "-v")
    written = on_terminal(60, sys.executable, "-m", "nsd_imagery", "evaluate", str(dataset), *options)
    lines = [
        line for line in screen(written) if line and str(tmp_path) not in line and not line.startswith("evaluate ")
    ]
    assert [line for line in lines if len(line) > 60] == []
    first = next(line for line in lines if line.startswith("reliability"))
    begin = first.index("nsdgeneral")
    assert all(line[:begin].endswith("  ") for line in lines)
    assert not any(line.endswith(" p") for line in lines)


def test_warnings_stand_above_the_line_and_not_in_it() -> None:
    code = (
        "import logging, time\n"
        "from nsd_imagery.cli.showing import progress_line, say\n"
        "with progress_line('index') as progress:\n"
        "    progress('subj01/nsdimagery/01')\n"
        "    logging.getLogger('nsd_imagery.x').warning('first %s', 'warning')\n"
        "    time.sleep(0.5)\n"
        "    say('a worker died')\n"
        "logging.getLogger('nsd_imagery.x').warning('second warning')\n"
    )
    written = on_terminal(60, sys.executable, "-c", code)
    assert screen(written) == ["first warning", "a worker died", "second warning", ""]
    assert "subj01/nsdimagery/01" in written


def test_a_log_has_a_line_each_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    line = Line("verify")
    line.count(1.5, 6, "subj01 session 1")
    log = showing._Log(line)
    shown: list[str] = []
    for passed, n_said in ((29, 0), (2, 1), (20, 1), (9, 1), (2, 2), (31, 3)):
        line._begun -= passed
        log.draw()
        log.draw()
        shown += capsys.readouterr().err.splitlines()
        assert len(shown) == n_said
    assert shown[0] == "verify: 25% (1/6), subj01 session 1; 0:31"
    assert shown[2] == "verify: 25% (1/6), subj01 session 1; 1:33"


def test_a_short_command_says_nothing_in_a_log(release: Path) -> None:
    command = [sys.executable, "-m", "nsd_imagery", "index", str(release), "--subjects", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_tell_how_much_of_each_piece_they_have_read(
    core_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nsd_imagery.dataset.waiting.PULSE", 0.001)
    monkeypatch.setattr("nsd_imagery.dataset.state.PULSE", 0)
    said: list[BuildState] = []

    def work(executor: Executor | None) -> Path:
        return nsd_imagery.build(core_release, tmp_path / "d", executor=executor, progress=said.append)

    with_executor(2, None, work)
    amounts = [state.bytes_done for state in said]
    assert amounts == sorted(amounts)
    assert any(state.bytes_done > 0 for state in said if state.n_done == 0)
    assert amounts[-1] == said[-1].n_bytes


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("is_folder", [False, True])
def test_verify_counts_its_steps(core_release: Path, core_dataset: Path, is_folder: bool, deep: bool) -> None:
    said: list[tuple[float, int, str]] = []
    path, root = (core_dataset, core_release) if is_folder else (core_release, None)
    assert nsd_imagery.verify(path, deep=deep, root=root, progress=lambda *step: said.append(step)).passed
    done, totals, names = zip(*said, strict=True)
    assert set(totals) == {int(max(done)) + 1}
    assert sorted({int(one) for one in done}) == list(range(totals[0]))
    assert list(done) == sorted(done)
    assert all(names)


class Notebook:
    """What IPython is asked for by a bar, as its kernel answers it; keeps what a cell would show in the end."""

    def __init__(self) -> None:
        self.cells: list[dict[str, str]] = []
        self.updates = 0
        self.display = SimpleNamespace(display=self._display)

    def get_ipython(self) -> Any:
        return SimpleNamespace(kernel=self)

    def _display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        self.cells.append(data)
        return SimpleNamespace(update=self._update)

    def _update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.cells[-1] = data
        self.updates += 1


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    made = Notebook()
    monkeypatch.setitem(sys.modules, "IPython", made)
    monkeypatch.setattr("nsd_imagery.notebooks._PACE", 0.001)
    return made


def test_a_call_in_a_notebook_shows_a_bar_and_leaves_one_line(
    release: Path, tmp_path: Path, notebook: Notebook
) -> None:
    nsd_imagery.build(release, tmp_path / "d", subjects=1)
    assert len(notebook.cells) == 1
    assert notebook.updates > 1
    text = notebook.cells[0]["text/plain"]
    assert text.startswith("build: done, 0:")


def test_a_call_with_a_progress_of_its_own_and_one_outside_of_notebooks_show_nothing(
    release: Path, notebook: Notebook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    nsd_imagery.verify(release, subjects=1, progress=lambda _done, _total, what: said.append(what))
    assert said
    monkeypatch.delitem(sys.modules, "IPython")
    nsd_imagery.verify(release, subjects=1)
    assert not notebook.cells
    assert capfd.readouterr() == ("", "")


def test_a_bar_ends_with_a_call_that_fails(tmp_path: Path, notebook: Notebook) -> None:
    with pytest.raises(nsd_imagery.errors.MissingDataError):
        nsd_imagery.build(tmp_path / "nowhere", tmp_path / "d")
    assert [cell["text/plain"] for cell in notebook.cells] in ([], ["build: stopped, 0:00"])
