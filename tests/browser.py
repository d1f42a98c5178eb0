"""Pages in Chromium, as people have them: on a phone and on a desk, light and dark, and without any network."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

SCREENS = [f"{width} {scheme}" for width, scheme in product((390, 1280), ("light", "dark"))]

_CONTRAST = """() => {
  const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(node).backgroundColor);
      if (a === 1) return [r, g, b];
      if (a !== 0) throw new Error("half-transparent background");
    }
    throw new Error("no background");
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const of = node.parentElement, style = getComputedStyle(of);
    if (!node.data.trim() || ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(of.nodeName)) continue;
    if (!of.getClientRects().length || of.closest("defs, .unseen")) continue;
    const inSvg = of instanceof SVGElement, colour = parts(inSvg ? style.fill : style.color);
    if (inSvg && style.fill === "none") continue;
    let opacity = colour[3] ?? 1;
    for (let up = of; up; up = up.parentElement) opacity *= getComputedStyle(up).opacity;
    const back = behind(of), front = colour.slice(0, 3).map((one, n) => opacity * one + (1 - opacity) * back[n]);
    const [low, high] = [light(front), light(back)].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), node.data.trim().slice(0, 60), style.color]);
  }
  return found;
}"""


@dataclass
class Looked:
    """A page that is open.

    Attributes:
        page: Playwright's.
        said: Errors and warnings of the console, and what scripts raised.
        asked: Addresses beside the page's own.
    """

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open_all(self) -> None:
        """What is folded in, too."""
        self.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")

    def too_faint(self) -> list[Any]:
        """Texts whose contrast to what is behind them is under 4.5, of all that are shown."""
        texts = self.page.evaluate(_CONTRAST)
        assert len(texts) > 20
        return [one for one in texts if one[0] < 4.5]

    def sideways(self) -> int:
        """By how many pixels the body is wider than the screen."""
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def started() -> Iterator[Any]:
    """Chromium that finds no host; passes over the test where there is none, but not where tests must run."""
    program = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sync_playwright = None
    if program is None or sync_playwright is None:
        why = "needs chromium" if program is None else "needs playwright"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    alone = ["--host-resolver-rules=MAP * ~NOTFOUND", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=alone)
        yield chromium
        chromium.close()


@contextmanager
def looking(chromium: Any, path: Path, screen: str = "1280 light", **options: Any) -> Iterator[Looked]:
    """A page of a file on one of `SCREENS`."""
    width, scheme = screen.split()
    context = chromium.new_context(viewport={"width": int(width), "height": 844}, color_scheme=scheme, **options)
    looked = Looked(context.new_page())
    looked.page.on("console", lambda one: looked.said.append(f"{one.type}: {one.text}"))
    looked.page.on("pageerror", lambda error: looked.said.append(f"raised: {error}"))
    looked.page.on("dialog", lambda one: looked.said.append(f"dialog: {one.message}"))
    looked.page.on("request", lambda one: looked.asked.append(one.url))
    looked.page.goto(path.as_uri())
    looked.page.wait_for_load_state()
    looked.asked.remove(path.as_uri())
    looked.asked[:] = [url for url in looked.asked if not url.startswith("data:")]
    yield looked
    context.close()
