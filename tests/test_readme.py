"""The README's Python runs as it stands, in its order, on a folder built from the synthetic release."""

import re
from pathlib import Path

import pytest

import nsd_imagery
from clip import save_tiny_clip

pytestmark = pytest.mark.slow

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore:.*pin_memory.*")
def test_the_examples_run_one_after_the_other(
    own_core_release: Path, tmp_path: Path, hf_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", Path(hf_cache))
    nsd_imagery.build(own_core_release)
    nsd_imagery.embed(own_core_release, model=save_tiny_clip(tmp_path / "clip"), device="cpu")
    names: dict[str, object] = {}
    for number, block in enumerate(blocks()):
        text = block.replace("/data/nsd", str(own_core_release))
        exec(compile(text, f"README.md, block {number}", "exec"), names)
    assert len(blocks()) > 3
    assert names["subjects"] == ["subj01"]


def test_the_limits_that_find_imagery_where_there_is_none_have_the_figures_of_the_card() -> None:
    card = README.with_name("dataset_card.md").read_text()
    (limits,) = re.findall(r"^## Known limits of the data\n(.*?)^## ", README.read_text(), re.MULTILINE | re.DOTALL)
    for words in ("letter on the screen", "0.01 of the noise", "ridge fraction"):
        assert words in " ".join(limits.split())
        assert words in " ".join(card.split())
    figures = [set(re.findall(r"\d+ %", text)) for text in (limits, card)]
    assert figures == [{"55 %", "98 %", "3 %", "79 %", "30 %", "10 %"}] * 2
