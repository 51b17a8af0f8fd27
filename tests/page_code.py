"""What a pure module of the page of the farm comes to, by Node.js."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WEB, PLACE = ROOT / "framework" / "web", ROOT / ".venv-web"
ESBUILD = PLACE / "node_modules" / ".bin" / "esbuild"

#: Why there may be none of it.
ABSENT = "there is no Node.js, which scripts/web says, and so no page of the farm"


def told(folder: Path, code: str, given: Any) -> Any:
    """What ``code`` makes of ``given``: TypeScript which imports by WEB/..., takes `given` and calls `tell` once."""
    asks, script = folder / "ask.ts", folder / "ask.cjs"
    begin = 'import { readFileSync } from "fs";\nconst given = JSON.parse(readFileSync(0, "utf8"));\n'
    begin += "const tell = (found: unknown): unknown => process.stdout.write(JSON.stringify(found));\n"
    asks.write_text(begin + code.replace("WEB/", f"{WEB}/"), encoding="utf-8")
    subprocess.run(
        [ESBUILD, asks, "--bundle", "--platform=node", "--log-level=error", f"--outfile={script}"],
        check=True,
        timeout=60,
    )
    done = subprocess.run(
        ["node", script],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": f"{PLACE / 'node' / 'bin'}:/usr/local/bin:/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
