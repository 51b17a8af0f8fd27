"""One word, one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = [ROOT / "framework" / "daqsched", ROOT / "executor" / "daqsched_executor"]

WORD = "a word of job files, and what it becomes there where it is carried out"
SIDES = "an event of the scheduler's core and one of the executor's; neither knows the other"
APART = "one in the framework, one in the executor, which is installed without it: each is the field's word there"

#: Names of classes that several modules have, and why that is no two meanings of one word where somebody reads.
SEVERAL = {
    "Check": WORD,
    "Container": WORD,
    "Rollout": WORD,
    "Stop": WORD,
    "Journal": "the system's journal, a word of job files, and the forwarder's own journal of what it plans",
    "Disconnected": SIDES,
    "Refused": f"{SIDES}; and what a command ends with where the daemon refuses",
    "Registered": SIDES,
    "Ticked": SIDES,
    "Aside": APART,
    "Change": "of an instance's state, and of a job in a plan: each is imported by the view that shows it alone",
    "Connection": APART,
    "Elastic": APART,
    "Engine": APART,
    "Entry": "of the audit file, of the kernel's table of processes, of journald's: each within its module",
    "Identity": APART,
    "Look": "a command of the executor's core, and one look at patterns of files",
    "Memory": "what a death says of memory, and a column's cache: each within its module",
    "Order": APART,
    "Outcome": "of a program that ran beside, and of a batch that was sent",
    "Place": "how far an output file is filled, and a file that was reached without following links",
    "Plan": APART,
    "Records": APART,
    "Source": APART,
    "State": "of a container as its engine says it, and of the executor's core",
    "Step": "the engine's answer to one event, and one step of `logs setup`",
}


def classes(root: Path) -> dict[str, list[str]]:
    """Where each public class is defined."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(root.parent)))
    return found


def test_a_class_has_a_name_of_its_own() -> None:
    """Who reads a name in a sentence or a stack trace knows which one it is; exceptions have a reason."""
    found: dict[str, list[str]] = defaultdict(list)
    for root in PACKAGES:
        for name, places in classes(root).items():
            found[name] += places
    again = {name: places for name, places in found.items() if len(places) > 1 and name not in SEVERAL}
    assert not again, "give one of them the field's word, or say in SEVERAL why both need it"
    assert len(found) > 300
