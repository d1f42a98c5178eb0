"""What installs an extra of this package: it is on no index, so that its name alone installs nothing."""

import json
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from nsd_imagery.shell import quoted

_NAME = "nsd-imagery"
_OF_EXTRA = re.compile(r"""\bextra\s*==\s*["']([\w.-]+)["']""")


def how_to_install(extra: str) -> str:
    """The line of a shell that adds an extra to this installation.

    It names what this package was installed from, where that is still there, else the packages of the extra.

    Args:
        extra: One of pyproject.toml's.
    """
    try:
        installed = distribution(_NAME)
    except PackageNotFoundError:  # its source is on the path, and nothing says what it needs
        return f"pip install {quoted(f'{Path(__file__).resolve().parents[2]}[{extra}]')}"
    return f"pip install {_from_origin(installed, extra) or ' '.join(map(quoted, requirements(installed, extra)))}"


def requirements(installed: Distribution, extra: str) -> list[str]:
    """The requirements of an extra, as pip takes them, without their conditions."""
    parts = (requirement.partition(";") for requirement in installed.requires or ())
    return [name.strip() for name, _, condition in parts if extra in _OF_EXTRA.findall(condition)]


def _from_origin(installed: Distribution, extra: str) -> str | None:
    """What pip wrote of where a distribution was installed from, as its argument; None from an index, or if gone."""
    said: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    url = said.get("url", "")
    is_file = url.startswith("file:")
    place = Path(unquote(urlsplit(url).path))
    if not url or (is_file and not place.exists()):
        return None
    if is_file and said.get("dir_info", {}).get("editable"):
        return f"-e {quoted(f'{place}[{extra}]')}"
    vcs = said.get("vcs_info")
    if vcs:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if said.get("subdirectory"):
        url = f"{url}#subdirectory={said['subdirectory']}"
    return quoted(f"{_NAME}[{extra}] @ {url}")
