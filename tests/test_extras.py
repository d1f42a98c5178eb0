"""What an error about an extra says to install is what this package was installed from, or the packages themselves."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from nsd_imagery.extras import how_to_install

PACKAGES = ["torch>=2.4", "transformers<6,>=5.18"]
METADATA = (
    "Metadata-Version: 2.4\nName: nsd-imagery\nVersion: 9.9\nProvides-Extra: clip\nProvides-Extra: dask\n"
    "Requires-Dist: click>=8.1\nRequires-Dist: torch>=2.4; extra == 'clip'\n"
    "Requires-Dist: distributed; extra == 'dask'\n"
    'Requires-Dist: transformers<6,>=5.18; python_version > "3.1" and extra == "clip"\n'
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    place = tmp_path / "my code [$HOME]"
    place.mkdir()
    return place


def hint(patch: pytest.MonkeyPatch, site: Path, origin: dict[str, Any] | None) -> list[str]:
    """The words of the line where this package is installed in `site`, as pip notes its origin."""
    info = site / "nsd_imagery-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(METADATA)
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    patch.syspath_prepend(site)
    return shlex.split(how_to_install("clip"))


def test_an_editable_folder_is_installed_again_with_the_extra(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    assert hint(monkeypatch, tmp_path / "site", origin) == ["pip", "install", "-e", f"{checkout}[clip]"]


@pytest.mark.parametrize(
    ("origin", "url"),
    [
        ({"url": "{folder}", "dir_info": {}}, "{folder}"),
        (
            {"url": "https://host/a.git", "vcs_info": {"vcs": "git", "commit_id": "ab12"}, "subdirectory": "sub"},
            "git+https://host/a.git@ab12#subdirectory=sub",
        ),
        ({"url": "https://host/nsd_imagery-9.9.whl", "archive_info": {}}, "https://host/nsd_imagery-9.9.whl"),
    ],
)
def test_a_folder_a_repository_or_a_file_that_it_came_from_is_named(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any], url: str
) -> None:
    origin = {**origin, "url": origin["url"].format(folder=checkout.as_uri())}
    pip, install, requirement = hint(monkeypatch, tmp_path / "site", origin)
    assert (pip, install) == ("pip", "install")
    read = Requirement(requirement)
    assert (read.name, read.extras, read.url) == ("nsd-imagery", {"clip"}, url.format(folder=checkout.as_uri()))


@pytest.mark.parametrize("origin", [None, {"url": "file:///gone/nsd", "dir_info": {"editable": True}}])
def test_from_an_index_or_a_folder_that_is_gone_the_packages_of_the_extra_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None
) -> None:
    assert hint(monkeypatch, tmp_path / "site", origin) == ["pip", "install", *PACKAGES]


def test_a_source_that_is_only_on_the_path_is_named_as_the_folder_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [])
    place = Path(__file__).resolve().parents[1]
    assert shlex.split(how_to_install("clip")) == ["pip", "install", f"{place}[clip]"]
