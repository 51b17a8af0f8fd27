"""No document's text acts on a terminal: every command that shows some, of the real Elasticsearch, each field hostile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daqsched.logs.count import FIELDS as COUNTED
from daqsched_executor.contract.template import FIELDS, template
from foreign import HARMLESS, HOSTILE, look, shown
from forwarding import Index

#: Of each kind of index: lines, and lines that were refused.
DATASETS = {"": "daqsched.task", "-deadletter": "daqsched.deadletter"}


def document(text: str, dataset: str) -> dict[str, Any]:
    """One with the text in each field that can have it, by the template's own list."""
    found: dict[str, Any] = {}
    for name, kind in FIELDS.items():
        if kind["type"] in ("keyword", "text"):
            at = found
            *above, last = name.split(".")
            for part in above:
                at = at.setdefault(part, {})
            at[last] = text
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    found["event"].update(dataset=dataset, original=json.dumps({"message": text}))
    return {**found, "@timestamp": moment, "labels": {"run": text}}


@pytest.fixture(scope="module", params=[HOSTILE, HARMLESS], ids=["hostile", "harmless"])
def index(request: pytest.FixtureRequest, cluster: Any) -> Iterator[tuple[Index, str, str]]:
    """Two documents of each kind; their text, and the id of one."""
    made = Index(cluster.elasticsearch_url)
    made.ask("PUT", f"/_index_template/{made.prefix}", template(made.prefix))
    text = request.param
    names = {"": "%Y.%m.%d", "-deadletter": "%Y.%m"}
    rows = []
    for kind, dataset in DATASETS.items():
        target = f"{made.prefix}{kind}-{time.strftime(names[kind], time.gmtime())}"
        for at in range(2):
            id = f"{text.encode()[:300].decode('utf-8', 'ignore')}{at}"
            rows += [{"create": {"_index": target, "_id": id}}, document(text, dataset)]
    body = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    assert made.ask_raw("POST", "/_bulk?refresh=true", body)["errors"] is False
    yield made, text, rows[0]["create"]["_id"]
    made.remove()


WAYS = [
    "logs",
    "logs --id",
    "logs --json",
    "logs --at 0s",
    "logs --around ID --scope farm",
    "logs --new=1h",
    "logs --count --by host,job --every 10m",
    *(f"logs --count --by {name}" for name in COUNTED),
    "logs --count --by message --json",
    "deadletter list",
    "deadletter list --json",
    "deadletter replay --dry-run",
    "deadletter replay --file FILE",
    "deadletter replay",
    "logs setup",
    "logs expire --keep 30d",
]
#: How many lines each way printed, by the document's text.
COUNTS: dict[tuple[str, bool], dict[str, int]] = {}


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("way", WAYS)
def test_no_document_acts_on_a_terminal(
    way: str, terminal: bool, index: tuple[Index, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but letters and our own colours; as many lines as with harmless documents."""
    monkeypatch.setenv("COLUMNS", "30000")
    monkeypatch.setenv("TERM", "xterm-256color")
    made, text, id = index
    row = {"id": text, "index": f"{made.prefix}-x", "reason": text, "document": document(text, "daqsched.task")}
    (tmp_path / "FILE").write_text(f"{json.dumps(row)}\n")
    words = [{"FILE": str(tmp_path / "FILE"), "ID": id}.get(word, word) for word in way.split()]
    told = ["--socket", str(tmp_path / "none"), *words, "--elasticsearch", made.url, "--index", made.prefix]
    status, output = shown(told, terminal)
    assert look(output, terminal, tabs=way.startswith("logs")) == [], output.decode()
    assert "Traceback" not in output.decode() and status in (0, 2, 5), output.decode()
    counts = COUNTS.setdefault((way, terminal), {})
    counts[text] = output.count(b"\n")
    assert len(set(counts.values())) == 1 and output, output.decode()
