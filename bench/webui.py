"""The master's web page with a farm's state, in Debian's Chromium without a window.

    python bench/webui.py [--agents 250] [--tasks 6000]

The state is generated and served by this process; the page is the one that is shipped. What a person would notice: how long until
there is something to see, whether the list follows the scrolling, how long a letter in the filter takes, what a new answer of the
master costs while one looks on.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from chromium import Page, browser  # noqa: E402
from webui_state import Master, State, serving  # noqa: E402

SCROLLED = """(async (far) => {
  const list = document.querySelector('.list'), gaps = [];
  for (let last = performance.now(), end = last + 5000; last < end;) {
    list.scrollTop = (list.scrollTop + far) % (list.scrollHeight - list.clientHeight);
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last);
    last = now;
  }
  return gaps.slice(1);
})"""

#: Without the master's answers in between, of which the next line has the cost.
COSTS = """(async () => {
  const { load } = await import('/app/master.js'), { listPage } = await import('/app/lists.js');
  const page = listPage('tasks', () => {});
  document.getElementById('content').append(page.element);
  const took = { look: [], drawn: [], typed: [] };
  const timed = async (name, what) => {
    const began = performance.now();
    const found = await what();
    took[name].push(performance.now() - began);
    return found;
  };
  for (let round = 0; round < 5; round++) {
    const known = await timed('look', load);
    await timed('drawn', () => page.update(known, new URLSearchParams()));
    for (const q of ['r', 're', 'rea', 'readout3', 'readout3 hlt01'])
      await timed('typed', () => page.update(known, new URLSearchParams({ q })));
  }
  return took;
})()"""


def busy(page: Page) -> float:
    """Seconds that the page's thread has run: what others do on the machine is not in it."""
    metrics = page.call("Performance.getMetrics")["metrics"]
    found: float = next(one["value"] for one in metrics if one["name"] == "ThreadTime")
    return found


def measure(page: Page, where: str) -> None:
    began = time.monotonic()
    page.open(f"http://{where}/")
    page.wait("document.querySelectorAll('.space .row').length > 20")
    print(f"from nothing to the first rows         {time.monotonic() - began:8.2f} s")
    page.call("Performance.enable", timeDomain="threadTicks")
    for far, what in ((0, "while nothing moves  "), (400, "while it is scrolled ")):
        before = busy(page)
        gaps = sorted(page.js(f"{SCROLLED}({far})"))
        cost = (busy(page) - before) / len(gaps)
        print(f"a frame {what}          {statistics.median(gaps):8.1f} ms, 95 % {gaps[int(len(gaps) * 0.95)]:.1f}")
        print(f"        of which the page's thread ran {1000 * cost:8.1f} ms")
    before = busy(page)
    page.js("import('/app/master.js').then(({ load }) => load()).then(() => 0)")
    print(f"a look at the master: the page's thread {1000 * (busy(page) - before):7.1f} ms")
    took = page.js(COSTS)
    for name, what in (
        ("look", "     fetched, parsed, made rows    "),
        ("drawn", "its rows sorted and drawn          "),
        ("typed", "a letter in the filter             "),
    ):
        print(f"{what}    {min(took[name]):8.1f} ms (median {statistics.median(took[name]):.1f})")
    print(f"elements in the document               {page.js('document.querySelectorAll(`*`).length'):8}")
    print(f"heap                                   {page.js('performance.memory.usedJSHeapSize') / 1e6:8.1f} MB")


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=250)
    parser.add_argument("--tasks", type=int, default=6000)
    told = parser.parse_args()
    master = Master(State(told.agents, told.tasks))
    print(f"{told.agents} agents, {told.tasks} tasks; one look at the master is {master.bytes() / 1e6:.1f} MB of JSON")
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(master.handler()) as where,
        browser(Path(folder) / "b") as one,
    ):
        page = one.page()
        page.size(1280, 800)
        measure(page, where)


if __name__ == "__main__":
    main()
