"""The user's word that they accepted NSD's terms, asked for before data of NSD moves between machines."""

import json
import os
from datetime import date
from pathlib import Path

from nsd_imagery.atomic import replace_text
from nsd_imagery.errors import AccessError

VARIABLE = "NSD_IMAGERY_ACCEPT_TERMS"
"""Environment variable that accepts for one process: batch jobs, notebooks."""

TERMS_LINK = "https://naturalscenesdataset.org"

TERMS = f"""\
The Natural Scenes Dataset, and NSD-Imagery with it, is given to people who accepted its terms.
The terms themselves are what binds you: {TERMS_LINK}
In short, as far as they bear on this command:

  * You do not pass the data on. Their words: "I will not distribute this dataset or its
    components to any other individual or entity."
  * What is made of the data (betas, trial tables, a dataset folder) is a component of it.
  * Everyone you work on it with must have accepted the terms as well, for themselves.
  * So a repository that holds it is private, and only such people are members of it.
"""

_VERSION = 1
"""Of `TERMS`; goes up when they say more than what was accepted."""


def accept_terms() -> Path:
    """Record that the user of this machine account accepted NSD's terms.

    Returns:
        The file that says so.
    """
    path = _record()
    replace_text(path, json.dumps({"version": _VERSION, "accepted": date.today().isoformat()}) + "\n")
    return path


def terms_accepted() -> str:
    """Where it is said that the terms are accepted: the environment variable or a file; empty if nowhere."""
    if os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes"):
        return VARIABLE
    path = _record()
    try:
        accepted = json.loads(path.read_text(encoding="utf-8"))["version"] >= _VERSION
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(path) if accepted else ""


def require_terms(what: str) -> None:
    """Stop unless the terms are accepted.

    Args:
        what: What is about to be done: "push", "pull", "export" or "download".

    Raises:
        AccessError: They are not.
    """
    if not terms_accepted():
        msg = (
            f"{what}: NSD's terms are not accepted here; read them: nsd-imagery terms; then nsd-imagery terms --accept "
            f"(in batch jobs and notebooks: {VARIABLE}=1)"
        )
        raise AccessError(msg)


def _record() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "nsd-imagery" / "terms.json"
