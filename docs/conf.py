"""How the site is built (`make docs`): from the pages here, the docstrings, and what the code says of itself.

Nothing is asked of a network, neither by the build nor by the pages.
"""

import logging
import os
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "builder")]

import generate  # noqa: E402 (found by the line above)

generate.write(HERE / "generated")

# Before anything that the examples use is imported: numbers in the built pages are the same on any machine.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
logging.getLogger("nsd_imagery").setLevel(logging.WARNING)

project = "nsd-imagery"
author = "The nsd-imagery developers"
release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
exclude_patterns = ["_build", "README.md", "gallery/*", "generated/gallery/*.ipynb"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
default_role = "code"
highlight_language = "text"

myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False

nitpicky = True
# Types in signatures that have no page here stay words: those of other packages, and what is inside. What pages refer
# to by name is held against the reference by a test.
nitpick_ignore_regex = [(r"py:class", r".*"), (r"py:exc", r"BrokenExecutor")]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"/plot_",
    "write_computation_times": False,
    "show_memory": False,
    "min_reported_time": 10_000,
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "capture_repr": (),
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "furo"
html_title = "nsd-imagery"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": False}


def code_of_examples(app: object, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Indented lines before the first section of a docstring are code."""
    end = next(
        (at for at, line in enumerate(lines) if line in ("Args:", "Attributes:", "Returns:", "Raises:")), len(lines)
    )
    starts = [at for at in range(1, end) if lines[at].startswith("    ") and not lines[at - 1].strip()]
    for at in reversed(starts):
        if not lines[at - 2].endswith("::"):
            lines[at:at] = [".. code-block:: python", ""]


def setup(app: Any) -> None:
    """Before napoleon takes the sections apart."""
    app.connect("autodoc-process-docstring", code_of_examples, priority=400)
