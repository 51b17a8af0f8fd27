"""The tables of docs/reference/api.md are made of the code: `python tests/unit/test_api_page.py` makes them anew."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from daqsched.problems import CODES

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "reference" / "api.md"


def of_codes() -> Iterator[str]:
    """Why a request was not carried out."""
    yield "| `code` | status | `exit_code` | when | `next` |"
    yield "| --- | --- | --- | --- | --- |"
    for code, known in CODES.items():
        retry = "; `Retry-After`" if known.retry_s or code == "too-often" else ""
        yield f"| `{code}` | {known.status}{retry} | {known.exit_code} | {known.when} | {known.next} |"


def made() -> str:
    """The page with its tables as they should be: each is known by its head."""
    text = PAGE.read_text(encoding="utf-8")
    for rows in map(list, (of_codes(),)):
        head = re.escape("\n".join(rows[:2]))
        assert len(re.findall(rf"^{head}$", text, re.MULTILINE)) == 1, f"the page has one table {rows[0]}"
        table = "\n".join(rows) + "\n"
        text = re.sub(rf"^{head}\n(?:\|.*\n)*", lambda found, table=table: table, text, flags=re.MULTILINE)  # type: ignore[misc]  # a default
    return text


def test_the_tables_are_made_of_the_code() -> None:
    """Whoever adds a code has it in the documentation, or this fails."""
    assert made() == PAGE.read_text(encoding="utf-8"), "python tests/unit/test_api_page.py"


if __name__ == "__main__":
    text = made()
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{PAGE} is made\n")
