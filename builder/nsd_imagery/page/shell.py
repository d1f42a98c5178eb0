"""Pages from templates: everything that is not markup of ours is escaped, and nothing is asked of any network."""

from pathlib import Path
from typing import Any, Final

import jinja2

from nsd_imagery.page.numbers import number, number_p

POLICY: Final = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
"""What a browser lets a page do: nothing but what is in it."""

_HERE: Final = Path(__file__).parent


def rendered(template: Path, **contents: Any) -> str:
    """The HTML of a page.

    Args:
        template: A file beside which the others that it includes lie; it extends "base.html.jinja".
        contents: What it names. Text is escaped, `Markup` is not.

    Returns:
        The same text for the same contents.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"number": number, "number_p": number_p}
    return environment.get_template(template.name).render(policy=POLICY, **contents)
