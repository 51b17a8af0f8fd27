"""The page's selections mean what the command line's mean: both read the same words, and are asked about the same instances."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from daqsched.errors import UserError
from daqsched.select import selection

ROOT = Path(__file__).resolve().parents[2]
WEB, PLACE = ROOT / "framework" / "web", ROOT / ".venv-web"
ESBUILD = PLACE / "node_modules" / ".bin" / "esbuild"

JOBS = ["readout", "rcd_1", "rcd_2", "evb", "a-b", "a.b", "A", "x[1]", "^", "]"]
HOSTS = ["hlt01", "hlt02", "hlt10", "hlt1", "ctl", "rack1-2", "r.x", ""]

#: Asks each selection about each instance; null where it can't be read.
ASK = """
import { selection, SelectionError } from %s;
const { words, instances } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const told = words.map((one) => {
  try {
    const chosen = selection(one);
    return instances.map(([job, host]) => chosen(job, host));
  } catch (error) {
    if (!(error instanceof SelectionError)) throw error;
    return null;
  }
});
process.stdout.write(JSON.stringify(told));
"""

PIECES = [
    "readout", "rcd_", "*", "?", "@", "hlt", "[01-10]", "[1-2]", "0", "1", "[!1]", "[a-z]", "[z-a]", "[", "]", "-", ".", "rack",
    "ctl", "[1,2]", "[2-1]", "[x]", "^", "\\", "$", "(", "|", "A", "[]]", "[^a]", "[a-]", "[1-3,10]", "[--0]", "é",
    "\u2028", "\x07", "+",
]  # fmt: skip


def words() -> list[list[str]]:
    """Selections of words that people type, and of any pieces of such words."""
    chance = random.Random(11)
    found: list[list[str]] = [
        [], ["readout"], ["@hlt01"], ["rcd_*@hlt[01-10]"], ["*"], ["@*"], ["*@*"], ["", ], ["readout@"], ["@"], ["a" * 1001],
        ["*" * 11], ["*"] * 51, ["readout"] * 1001, ["@h[1-200000]"], ["@hlt[000000000000000000001]"], ["evb", "@ctl"],
    ]  # fmt: skip
    found += [
        ["".join(chance.choices(PIECES, k=chance.randint(1, 5))) for _ in range(chance.randint(1, 3))]
        for _ in range(3000)
    ]
    return found


@pytest.mark.skipif(
    not ESBUILD.exists(), reason="there is no Node.js, which scripts/web says, and so no page of the farm"
)
def test_a_selection_means_the_same_on_the_page(tmp_path: Path) -> None:
    """Of any words: the same instances, and the same can't be read."""
    asks = tmp_path / "ask.ts"
    asks.write_text(ASK % json.dumps(str(WEB / "selection.ts")))
    script = tmp_path / "ask.cjs"
    subprocess.run(
        [ESBUILD, asks, "--bundle", "--platform=node", "--log-level=error", f"--outfile={script}"],
        check=True,
        timeout=60,
    )
    instances = [(job, host) for job in JOBS for host in HOSTS]
    asked = words()
    path = f"{PLACE / 'node' / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["node", script],
        input=json.dumps({"words": asked, "instances": instances}),
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": path},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    wrong = []
    for one, found in zip(asked, told):
        try:
            chosen = selection(one)
        except UserError:
            expected = None
        else:
            expected = [chosen(job, host) for job, host in instances]
        if expected != found:
            wrong.append((one, expected is None, found is None))
    assert not wrong and sum(found is None for found in told) > 100 < sum(found is not None for found in told), wrong[
        :20
    ]
