"""The tables of docs/reference/api.md, and openapi.json beside it, are made of the code: `python tests/unit/test_api_page.py`
makes them anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from daqsched import openapi
from daqsched.operations import OPERATIONS
from daqsched.problems import CODES
from daqsched.protocol import API
from daqsched.rights.verbs import VERBS

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "api.md"
OPENAPI = PAGE.parent / "openapi.json"


def of_codes() -> Iterator[str]:
    """Why a request was not carried out."""
    yield "| `code` | status | `exit_code` | when | `next` |"
    yield "| --- | --- | --- | --- | --- |"
    for code, known in CODES.items():
        retry = "; `Retry-After`" if known.retry_s or code == "too-often" else ""
        yield f"| `{code}` | {known.status}{retry} | {known.exit_code} | {known.when} | {known.next} |"


def of_operations() -> Iterator[str]:
    """What can be asked."""
    yield "| request | right | answer |"
    yield "| --- | --- | --- |"
    for one in OPERATIONS.values():
        query = "&".join(f"{each.name}={each.sample}" for each in one.query)
        path = one.path.replace("{id}", "ID").replace("{host}", "HOST").replace("{number}", "NUMBER")
        asked = f"`{one.method} {API}{path}{'?' if query else ''}{query}`"
        yield f"| {asked} | {', '.join(f'`{verb}`' for verb in one.takes) or '-'} | {one.about} |"


def made() -> str:
    """The page with its tables as they should be: each is known by its head."""
    text = PAGE.read_text(encoding="utf-8")
    for rows in map(list, (of_codes(), of_operations())):
        head = re.escape("\n".join(rows[:2]))
        assert len(re.findall(rf"^{head}$", text, re.MULTILINE)) == 1, f"the page has one table {rows[0]}"
        table = "\n".join(rows) + "\n"
        text = re.sub(rf"^{head}\n(?:\|.*\n)*", lambda found, table=table: table, text, flags=re.MULTILINE)  # type: ignore[misc]  # a default
    return text


def test_the_tables_are_made_of_the_code() -> None:
    """Whoever adds a code has it in the documentation, or this fails."""
    assert made() == PAGE.read_text(encoding="utf-8"), "python tests/unit/test_api_page.py"


def test_the_document_is_made_of_the_code() -> None:
    """What programs are generated from."""
    same = openapi.text() == OPENAPI.read_text(encoding="utf-8")  # 10,000 lines are no help
    assert same, "python tests/unit/test_api_page.py"


def test_who_rules_know_is_no_field_of_an_answer() -> None:
    """What is kept for the engine alone, and was told empty."""
    assert "known_as" not in openapi.text()


def test_all_that_the_document_refers_to_is_in_it() -> None:
    """And every operation says its rights and what may come instead of its answer."""
    found = openapi.document()
    names = set(re.findall(r"#/components/schemas/([^\"]+)", openapi.text()))
    assert names <= set(found["components"]["schemas"])
    for path, methods in found["paths"].items():
        for method, one in methods.items():
            assert {"200", "400", "401", "403", "500", "503"} <= set(one["responses"]), (method, path)
            assert {each["verb"] for each in one["x-daqsched-rights"]} <= set(VERBS)
    identifiers = [one["operationId"] for methods in found["paths"].values() for one in methods.values()]
    assert len(set(identifiers)) == len(OPERATIONS)


if __name__ == "__main__":
    text = made()
    PAGE.write_text(text, encoding="utf-8")
    OPENAPI.write_text(openapi.text(), encoding="utf-8")
    sys.stdout.write(f"{PAGE} and {OPENAPI} are made\n")
