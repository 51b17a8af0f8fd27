"""Logging in with a browser, and what is looked at of every page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chromium import Page

#: What a page says of what went wrong in it; among it each breach of its content security policy.
TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Page.javascriptDialogOpening")

#: The code of axe-core, which looks for what keeps people out.
AXE = Path(__file__).resolve().parents[1] / ".venv-web" / "node_modules" / "axe-core" / "axe.min.js"

FAULTS = "axe.run().then(({violations}) => violations.map(({id, impact, nodes}) => [id, impact, nodes[0].html]))"

#: What somebody may have written anywhere.
HOSTILE = "<img src=x onerror=alert(1)><script>alert(1)</script>\"'><svg onload=alert(1)> javascript:alert(1)"

READY = "document.body?.dataset.ready !== undefined"
SAID = "!document.querySelector('#said').hidden"


def log_in(page: Page, name: str = "alice", password: str = "correct horse") -> None:
    """As somebody without a mouse."""
    page.wait(READY)
    assert page.js("document.activeElement.id") == "user"
    page.type(name)
    page.press("Tab")
    assert page.js("document.activeElement.id") == "password"
    page.type(password)
    page.press("Enter")


def breaches(page: Page) -> list[Any]:
    """What the browser refused to do, or a script threw."""
    logged = [one["entry"] for one in page.happened("Log.entryAdded")]
    return [*page.happened(*TROUBLE), *(one for one in logged if "Failed to load resource" not in one["text"])]


#: The least contrast of all texts in sight (WCAG 2.2, 1.4.3).
CONTRAST = """(() => {
  const light = (rgb) => {
    const part = (one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map((one) => part(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const found = getComputedStyle(one).backgroundColor;
      if (!/, 0\\)$/.test(found) && found !== 'transparent') return found;
    }
    return 'rgb(255, 255, 255)';
  };
  let worst = {ratio: 99};
  for (const one of document.querySelectorAll('body *')) {
    if (!one.checkVisibility() || !(one.textContent.trim() || one.matches('input'))) continue;
    const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < worst.ratio) worst = {ratio, what: one.outerHTML.slice(0, 200)};
  }
  return worst;
})()"""
