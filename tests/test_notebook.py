"""A notebook that is run by a real kernel: what its cells show is what somebody who works in one sees."""

import os
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CELLS = (
    "import nsd_imagery",
    "nsd_imagery.build(ROOT, 'out', roi='V1')",
    "nsd_imagery.verify('out')",
    "nsd_imagery.info('out')",
    "nsd_imagery.NSDImageryDataset('out', 1, 'imagery', roi='V1')",
    "nsd_imagery.evaluate('out', draws=199)",
    "nsd_imagery.load('out', 'subj01-imagry')",
)
IMPORT, BUILD, VERIFY, INFO, DATASET, EVALUATE, TYPO = range(len(CELLS))


@pytest.fixture(scope="module")
def outputs(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """What each cell showed, as a notebook keeps it."""
    import nbclient
    import nbformat

    folder = tmp_path_factory.mktemp("notebook")
    cells = [text.replace("ROOT", repr(str(core_release))) for text in CELLS]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    own = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    client = nbclient.NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        client.execute(env={**os.environ, **own})
    return [cell.outputs for cell in notebook.cells]


def given(outputs: list[Any]) -> Any:
    """What a cell gives, by form; after whatever else it shows."""
    assert outputs[-1].output_type == "execute_result"
    return outputs[-1].data


@pytest.mark.parametrize(("cell", "verb"), [(BUILD, "build"), (EVALUATE, "evaluate")])
def test_a_long_call_shows_a_bar_that_ends_as_one_line(outputs: list[list[Any]], cell: int, verb: str) -> None:
    shown = [one for one in outputs[cell] if one.output_type == "display_data"]
    assert [one.data["text/plain"].split(",")[0] for one in shown] == [f"{verb}: done"]


def test_an_import_and_a_short_call_show_no_bar(outputs: list[list[Any]]) -> None:
    assert outputs[IMPORT] == []
    for cell in (INFO, DATASET):
        assert "display_data" not in {one.output_type for one in outputs[cell]}


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (VERIFY, "out (dataset, synthetic): passed"),
        (INFO, "subj01-perception-V1"),
        (DATASET, "NSDImageryDataset"),
        (EVALUATE, "within vision"),
    ],
)
def test_what_a_cell_gives_is_drawn_short_and_without_a_place_in_memory(
    outputs: list[list[Any]], cell: int, says: str
) -> None:
    html = given(outputs[cell])["text/html"]
    assert says in html
    assert len(html) < 9_000
    assert " at 0x" not in html


def test_a_typo_is_answered_with_what_was_meant(outputs: list[list[Any]]) -> None:
    (error,) = outputs[TYPO]
    assert (error.output_type, error.ename) == ("error", "UsageError")
    assert "did you mean 'subj01-imagery-V1'?" in error.evalue
    assert "\n" not in error.evalue
    assert error.evalue in error.traceback[-1]
