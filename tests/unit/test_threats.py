"""Each threat to the API and the page that the design lists has a row in docs/operate/security.md with tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

#: By a word of each.
THREATS = (
    "XSS", "sandbox", "CSRF", "rebinding", "Clickjacking", "Forged", "replayed", "A right too many", "past of a job",
    "name of a token", "asked out",
    "owner or account",
    "Secrets", "Lines", "Elasticsearch", "Streams", "Large requests", "Guessing", "stolen", "out of date", "guard", "path",
    "Packages",
)  # fmt: skip


def rows() -> dict[str, list[str]]:
    """The table: a threat, and its tests."""
    text = (ROOT / "docs" / "operate" / "security.md").read_text(encoding="utf-8")
    table = text.partition("## Threats to the API and the page")[2].partition("\n## ")[0]
    found = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][2:]
    return {threat.strip(): re.findall(r"`(test_\w+\.py::test_\w+)`", tests) for threat, tests in found}


def test_each_threat_has_a_test_that_is_there() -> None:
    """One row for each, in the order of the list; a test that is skipped for good, or asserts nothing, shows nothing."""
    found = rows()
    assert [next((word for word in THREATS if word in row), row) for row in found] == list(THREATS)
    for threat, tests in found.items():
        assert tests, threat
        for named in tests:
            file, _, name = named.partition("::")
            trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").glob(f"*/{file}")]
            functions = [one for tree in trees for one in tree.body if isinstance(one, ast.FunctionDef)]
            (test,) = (one for one in functions if one.name == name)
            assert not any("skip(" in ast.unparse(one) for one in test.decorator_list), named
            asserts = [one for one in ast.walk(test) if isinstance(one, ast.Assert)]
            assert asserts or "pytest.raises(" in ast.unparse(test), named
