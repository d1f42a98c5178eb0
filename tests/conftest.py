"""One small synthetic release a test process, and folders built from it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import browser
import hub as loopback
import nsd_imagery
from nsd_imagery.notices import warn_once

os.environ["OMP_NUM_THREADS"] = "1"  # two test processes on two cores: more threads only wait for each other
# The only hub that any test can reach; `huggingface_hub` reads these when it is imported.
HUB = loopback.start()
os.environ["HF_ENDPOINT"] = HUB.url
os.environ["HF_HUB_DISABLE_XET"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

settings.register_profile("any machine", deadline=None)  # how long an example takes is not what is tested
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _nothing_was_warned_of() -> None:
    """What one test was warned of, the next is too."""
    warn_once.cache_clear()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 and subj02, both formats. Not to be changed: see `own_release`."""
    return nsd_imagery.synth(tmp_path_factory.mktemp("synth") / "release", subjects=("subj01", "subj02"))


@pytest.fixture
def own_release(release: Path, tmp_path: Path) -> Path:
    """A copy that a test may change; files are replaced, not written into, so links are enough."""
    return Path(shutil.copytree(release, tmp_path / "release", copy_function=os.link))


@pytest.fixture(scope="session")
def dataset(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder built with all defaults. Not to be changed."""
    return nsd_imagery.build(release, tmp_path_factory.mktemp("built") / "nsd_imagery")


@pytest.fixture
def hf_cache(tmp_path: Path) -> str:
    """A cache of the datasets library for one test."""
    return str(tmp_path / "hf_cache")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> loopback.Hub:
    """An empty hub, and this process as a user "me" who is logged in to it and has accepted nothing."""
    sign_in(monkeypatch, tmp_path)
    return HUB


def sign_in(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Empty the hub, and make this process a user "me" who is logged in to it and has accepted nothing."""
    from huggingface_hub import constants

    HUB.clear()
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "hf_home" / "token"))
    for name, value in loopback.variables(HUB, home).items():
        patch.setenv(name, value)
    patch.delenv("NSD_IMAGERY_ACCEPT_TERMS", raising=False)


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[str], str]], None]:
    """Give a text file other contents without writing into the file that other tests share."""

    def rewrite(path: Path, change: Callable[[str], str]) -> None:
        text = change(path.read_text())
        path.unlink()
        path.write_text(text)

    return rewrite


@pytest.fixture(scope="session")
def core_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 with three sessions of NSD core, .hdf5. Not to be changed: see `own_core_release`."""
    folder = tmp_path_factory.mktemp("core") / "release"
    return nsd_imagery.synth(folder, format="hdf5", perception_sessions=3)


@pytest.fixture(scope="session")
def repeated_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """subj01 with as many sessions of NSD core as show enough of the shared pictures again. Not to be changed."""
    folder = tmp_path_factory.mktemp("repeated") / "release"
    return nsd_imagery.synth(folder, format="hdf5", perception_sessions=4)


@pytest.fixture
def own_core_release(core_release: Path, tmp_path: Path) -> Path:
    """A copy that a test may change, as `own_release`."""
    return Path(shutil.copytree(core_release, tmp_path / "release", copy_function=os.link))


@pytest.fixture(scope="session")
def core_dataset(core_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `core_release` in percent signal change. Not to be changed."""
    return nsd_imagery.build(core_release, tmp_path_factory.mktemp("built") / "nsd_imagery", zscore="none")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser that reaches no network; of a module, as its loop must not run beside that of others' tests."""
    with browser.started() as chromium:
        yield chromium
