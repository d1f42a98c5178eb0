"""The site's pages: their Python runs in its order, their commands are commands, and their links lead somewhere."""

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

import nsd_imagery
from nsd_imagery import schema
from nsd_imagery.checks.catalogue import CHECKS
from nsd_imagery.cli.app import cli
from nsd_imagery.sources import root
from pages import HOME, PAGES, anchors, blocks, commands, links, name_of

OTHER_COMMANDS = {"cd", "git", "mkdir", "hf", "python", "python3.11", "source", "export"}
NOT_ALONE = {"README.md", "add-a-source.md"}
"""Pages with tests of their own."""

with_python = [page for page in PAGES if blocks(page.read_text(), "python") and page.name not in NOT_ALONE]


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """What writes the reference pages."""
    sys.path.insert(0, str(HOME / "docs"))
    try:
        import generate

        yield generate
    finally:
        sys.path.remove(str(HOME / "docs"))


@pytest.fixture(scope="module")
def built(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pages call ./nsd_imagery. Not to be changed."""
    return nsd_imagery.build(core_release, tmp_path_factory.mktemp("pages") / "nsd_imagery")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*pin_memory.*")
@pytest.mark.parametrize("page", with_python, ids=name_of)
def test_the_python_of_a_page_runs_in_its_order(
    page: Path, own_core_release: Path, built: Path, tmp_path: Path, hf_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built, tmp_path / "nsd_imagery", copy_function=os.link)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", Path(hf_cache))
    monkeypatch.setenv("NSD_IMAGERY_ACCEPT_TERMS", "")
    names: dict[str, object] = {}
    for block in blocks(page.read_text(), "python"):
        text = block.text.replace("/data/nsd", str(own_core_release))
        code = compile("\n" * block.line + text, name_of(page), "exec")
        if block.note != "skip":
            exec(code, names)


@pytest.mark.slow
def test_a_source_is_one_module_one_test_and_a_name(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, test = blocks((HOME / "docs" / "how-to" / "add-a-source.md").read_text(), "python")
    names: dict[str, Any] = {}
    exec(compile(module.text, "flat.py", "exec"), names)
    monkeypatch.setattr(root, "_TREES", (*root._TREES, names["Flat"]))
    steps: dict[str, Any] = {}
    exec(compile(test.text, "test_flat.py", "exec"), steps)
    tests = [name for name in steps if name.startswith("test_")]
    assert len(tests) == 2
    for name in tests:
        (tmp_path / name).mkdir()
        steps[name](release, tmp_path / name)


def test_every_command_of_a_page_is_one() -> None:
    for page in PAGES:
        for block in blocks(page.read_text(), "bash"):
            for words in commands(block):
                _check_command(words, f"{name_of(page)}, line {block.line}: {' '.join(words)}")


@pytest.mark.slow
def test_every_example_of_a_command_is_a_command(generate: ModuleType) -> None:
    found = 0
    for name, text in generate.all_pages():
        for block in blocks(text, "bash"):
            for words in commands(block):
                _check_command(words, f"{name}: {' '.join(words)}")
                found += 1
    assert found > len(cli.commands)


def _check_command(words: list[str], where: str) -> None:
    """Fail unless a command of ours has these arguments and options, and any other is one that we know of."""
    project = tomllib.loads((HOME / "pyproject.toml").read_text())["project"]
    words = [word for at, word in enumerate(words) if at or not re.fullmatch(r"[A-Z_]+=\S*", word)]  # NAME=1 command
    if words[0] == "nsd-imagery":
        command = cli.commands[words[1]]
        try:
            command.make_context(words[1], list(words[2:]))
        except click.UsageError as error:
            pytest.fail(f"{where}: {error.format_message()}")
    elif words[0] == "make":
        targets = set(re.findall(r"^([a-z]+):", (HOME / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets, where
    elif words[:2] == ["pip", "install"]:
        extras = re.findall(r"\[(.*)\]", words[-1])
        assert {name for group in extras for name in group.split(",")} <= set(project["optional-dependencies"]), where
    else:
        assert words[0] in OTHER_COMMANDS, where
        scripts = [
            word for word in words[1:] if re.fullmatch(r"(examples|scripts|benchmarks|docs|tests)/[\w/]+\.py", word)
        ]
        assert all((HOME / script).is_file() for script in scripts), where


@pytest.mark.slow
def test_every_link_leads_to_a_page_that_is_there(generate: ModuleType) -> None:
    made = {HOME / "docs" / "generated" / name: text for name, text in generate.all_pages()}
    texts = {page: page.read_text() for page in PAGES} | made
    gallery = {f"plot_{path.stem[5:]}.rst" for path in (HOME / "docs" / "gallery").glob("plot_*.py")} | {"index.rst"}
    for page, text in texts.items():
        if page.suffix != ".md":
            continue
        for link in links(text):
            if link.startswith(("http://", "https://", "mailto:")):
                continue
            place, _, anchor = link.partition("#")
            target = (page.parent / place).resolve() if place else page
            where = f"{page.relative_to(HOME)}: {link}"
            if "gallery" in target.parts and "generated" in target.parts:
                assert target.name in gallery, where
                continue
            assert target in texts or target.exists(), where
            if anchor:
                assert anchor in anchors(texts.get(target) or target.read_text()) | _sections_of_checks(target), where


@pytest.mark.slow
def test_what_a_page_refers_to_by_name_has_a_page_of_the_reference(generate: ModuleType) -> None:
    known = {*generate.TYPES, *(f"nsd_imagery.{name}" for name in generate.public_names())}
    for page in PAGES:
        named = re.findall(r"\{py:\w+\}`~?([\w.]+)`", page.read_text())
        assert set(named) <= known, name_of(page)


def _sections_of_checks(page: Path) -> set[str]:
    """How the site spells the headings of the page of checks."""
    return {check.id.replace(".", "-") for check in CHECKS} if page.name == "checks.md" else set()


@pytest.mark.slow
def test_the_page_of_checks_says_of_each_what_it_proves_how_it_fails_and_what_to_do(generate: ModuleType) -> None:
    assert set(generate.HOW) == {check.id for check in CHECKS}
    page = generate.checks_page()
    sections = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert [section.partition("\n")[0].strip("`") for section in sections] == [check.id for check in CHECKS]
    for section, check in zip(sections, CHECKS, strict=True):
        assert check.proves.replace("<", "&lt;") in section
        assert check.remedy.replace("<", "&lt;") in section
        assert "Fails when" in section


@pytest.mark.slow
def test_the_reference_has_every_public_name_every_command_with_its_options_and_every_column(
    generate: ModuleType,
) -> None:
    pages = dict(generate.all_pages())
    for name in generate.public_names():
        assert f"api/{name}.rst" in pages
        assert f"api/{name}.rst)" in pages["api.md"]
    for verb, command in cli.commands.items():
        for option in (one for one in command.params if isinstance(one, click.Option)):
            assert f"`{option.opts[0]}" in pages[f"commands/{verb}.md"]
    for columns in (schema.TRIAL_COLUMNS, schema.VOXEL_COLUMNS):
        for column in columns:
            assert f"| `{column.name}` |" in pages["columns.md"]
