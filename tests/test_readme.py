"""The README is short, and its blocks run as they stand, one after the other, in the folder that the first makes."""

import os
from pathlib import Path

import pytest

from nsd_imagery.cli.app import cli
from pages import HOME, blocks, commands

README = HOME / "README.md"


def run(words: list[str]) -> None:
    """What a shell does with the commands of the README that are run."""
    match words:
        case ["mkdir", name]:
            Path(name).mkdir()
        case ["cd", name]:
            os.chdir(name)
        case ["nsd-imagery", *arguments]:
            try:
                cli.main(arguments, standalone_mode=False)
            except SystemExit as end:
                if end.code:
                    raise
        case _:
            pytest.fail(f"who runs {words}?")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*pin_memory.*")
def test_the_blocks_run_one_after_the_other(
    tmp_path: Path, hf_cache: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", Path(hf_cache))
    names: dict[str, object] = {}
    said = {}
    for block in blocks(README.read_text(), "bash", "python"):
        if block.note == "skip":
            continue
        if block.language == "python":
            exec(compile("\n" * block.line + block.text, "README.md", "exec"), names)
        else:
            for words in commands(block):
                run(words)
        said[block.line] = capsys.readouterr().out
    assert Path.cwd() == tmp_path / "first-steps"
    *_, evaluated, read = said.values()
    assert "the primary test" in evaluated
    assert "imagined targets read from 18, by chance 8" in read


def test_it_is_short_and_begins_with_a_picture() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 120
    assert lines[2].startswith("![")
    assert (HOME / "docs" / "picture.png").is_file()


def test_the_limits_that_find_imagery_where_there_is_none_have_the_figures_of_the_card() -> None:
    card = " ".join((HOME / "dataset_card.md").read_text().split())
    limits = " ".join((HOME / "docs" / "understand" / "experiment.md").read_text().split())
    for words in (
        "p ≤ .05 in 55 % of experiments, in 98 % with matched trials as templates, and in 3 % with templates",
        "in 79 % of experiments, one subject in 30 %, and on fithrf",
        "variance is 0.01 of the noise",
    ):
        assert words in limits
        assert words in card
