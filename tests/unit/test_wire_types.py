"""The types of what the daemon answers, as the page of the farm has them, are made of docs/reference/openapi.json.

python tests/unit/test_wire_types.py     make framework/web/wire.ts anew
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
OPENAPI = ROOT / "docs" / "reference" / "openapi.json"
WEB = ROOT / "framework" / "web"
MADE = WEB / "wire.ts"

#: What the page asks for; with what these have in them.
ASKED = (
    "AsideAnswer",
    "BoardAnswer",
    "BoardDelta",
    "BoardReset",
    "ControlAnswer",
    "CountLinesAnswer",
    "FollowLinesAnswer",
    "HistoryAnswer",
    "IncidentsAnswer",
    "LinesAnswer",
    "NoteAnswer",
    "RevisionAnswer",
    "RightsAnswer",
    "RolloutAnswer",
    "Selected",
    "StatusAnswer",
    "StoriesAnswer",
    "WhyAnswer",
)

_PLAIN = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_REF = "#/components/schemas/"


def name_of(schema: str) -> str:
    """`daqsched.views.why.Change` is no name in TypeScript."""
    return "".join(part[:1].upper() + part[1:] for part in schema.split(".")[-2:])


def type_of(schema: dict[str, Any]) -> str:
    """One of the document's as TypeScript writes it."""
    if "$ref" in schema:
        return name_of(schema["$ref"][len(_REF) :])
    if "anyOf" in schema:
        return " | ".join(sorted({type_of(one) for one in schema["anyOf"]}))
    if "enum" in schema:
        return " | ".join(json.dumps(one) for one in schema["enum"])
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(type_of(one) for one in schema['prefixItems'])}]"
        inner = type_of(schema["items"])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if schema.get("type") == "object":
        return f"Record<string, {type_of(schema.get('additionalProperties') or {})}>"
    return _PLAIN[schema["type"]] if "type" in schema else "unknown"


def reached(schemas: dict[str, Any]) -> Iterator[str]:
    """The names of what is asked for, and of all that is in it."""
    seen, left = set(), list(ASKED)
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left += re.findall(rf"{_REF}([\w.]+)", json.dumps(schemas[name]))
    yield from sorted(seen)


def made() -> str:
    """The file as it should be."""
    schemas = json.loads(OPENAPI.read_text(encoding="utf-8"))["components"]["schemas"]
    text = "// What the daemon answers. Made of docs/reference/openapi.json by tests/unit/test_wire_types.py; not to be edited.\n"
    for name in reached(schemas):
        schema = schemas[name]
        text += f"\nexport interface {name_of(name)} {{\n"
        for field, its in schema["properties"].items():
            text += f"  {field}{'' if field in schema.get('required', ()) else '?'}: {type_of(its)};\n"
        text += "}\n"
    return text


def test_the_types_are_made_of_the_document() -> None:
    """Whoever changes an answer has the page's types changed, or this fails; tsc tells where the page minds."""
    assert made() == MADE.read_text(encoding="utf-8"), "python tests/unit/test_wire_types.py"


def test_each_way_of_the_document_to_say_a_type_is_understood() -> None:
    """Of all that it has, also what the page does not ask for yet."""
    schemas = json.loads(OPENAPI.read_text(encoding="utf-8"))["components"]["schemas"]
    types = {type_of(field) for schema in schemas.values() for field in schema.get("properties", {}).values()}
    assert {"string", "number", "boolean", "string[]", "Record<string, string>", "null | number"} <= types
    assert type_of({"enum": ["a", 1]}) == '"a" | 1' and type_of({}) == "unknown"


if __name__ == "__main__":
    MADE.write_text(made(), encoding="utf-8")
    sys.stdout.write(f"{MADE} is made\n")
