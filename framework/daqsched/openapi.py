"""The interface of the daemon as a document of OpenAPI 3.1, made of its types and its table of operations. Pure."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from daqsched.operations import OPERATIONS, Operation, Parameter, codes_of
from daqsched.problems import CODES
from daqsched.protocol import API, Problem, UnconfirmedProblem
from daqsched.rights.verbs import VERBS
from daqsched.spec import LOGGING_PARTS, PARTS

#: The first number is that of the paths, raised when something is taken away or means something else; the second is raised
#: when something is added.
VERSION = f"{API[2:]}.1"

_ABOUT = """What `daqsched serve` answers, over its Unix socket and, with `--web`, over HTTPS. docs/reference/api.md tells more.

Fields and operations may be added at any time: ignore what you do not know. An unknown field of a request is refused."""

_KINDS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "texts": {"type": "array", "items": {"type": "string"}},
    "number": {"type": "number"},
}

#: Headers that a change may have, and a question.
_CHANGES: tuple[dict[str, Any], ...] = (
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "who asks again with the same one within an hour is told the same, and nothing is done twice",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    {
        "name": "If-Match",
        "in": "header",
        "description": "digests of specs, in quotes: only where one of them is in force",
        "schema": {"type": "string"},
    },
)
_TAGGED: tuple[dict[str, Any], ...] = (
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "the `ETag` of an answer before",
        "schema": {"type": "string"},
    },
)
_TAG = {"ETag": {"description": "of all of it but `now`", "schema": {"type": "string"}}}

_BODIES = ("application/octet-stream", {"type": "string", "format": "binary"})
_DOCUMENT = ("application/json", {"type": "object"})


def document() -> dict[str, Any]:
    """The whole."""
    kinds = {
        one
        for each in OPERATIONS.values()
        for one in (each.asks, each.answer, *each.events.values())
        if one is not None
    }
    named = sorted({*kinds, Problem, UnconfirmedProblem}, key=lambda kind: kind.__name__)
    schemas, components = msgspec.json.schema_components(named, ref_template="#/components/schemas/{name}")
    of = dict(zip(named, schemas))
    for part in (*PARTS.values(), *LOGGING_PARTS.values()):  # `spec.refuse_unknown` makes it true
        if part.__name__ in components:
            components[part.__name__]["additionalProperties"] = False
    for kind in components.values():
        _settle(kind)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS.values():
        paths.setdefault(f"{API}{operation.path}", {})[operation.method.lower()] = _operation(operation, of)
    problems = {_name(status, codes): codes for one in OPERATIONS.values() for status, codes in _problems(one).items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "daqsched", "version": VERSION, "description": _ABOUT},
        "servers": [{"url": "/", "description": "the web port, or the socket"}],
        "security": [{}, {"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {name: _problem(codes, of) for name, codes in sorted(problems.items())},
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "of `daqsched token create NAME`; over HTTPS alone",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-daqsched",
                    "description": f"of POST {API}/login; over HTTPS alone",
                },
            },
        },
    }


def text() -> str:
    """The same as docs/reference/openapi.json has it."""
    return msgspec.json.format(msgspec.json.encode(document(), order="sorted"), indent=1).decode() + "\n"


def _settle(kind: dict[str, Any]) -> None:
    """As every Python and every msgspec would have it."""
    if "description" in kind:
        kind["description"] = inspect.cleandoc(kind["description"])
    for field in kind.get("properties", {}).values():
        if "anyOf" in field:
            field["anyOf"].sort(key=str)


def _operation(operation: Operation, of: dict[type, dict[str, Any]]) -> dict[str, Any]:
    inside = [one.strip("{}") for one in operation.path.split("/") if one.startswith("{")]
    media, schema = (
        ("application/json", of[operation.answer])
        if operation.answer is not None
        else _DOCUMENT
        if operation.path.endswith(".json")
        else _BODIES
    )
    tag = {"headers": _TAG} if operation.method == "GET" and operation.answer is not None else {}
    content: dict[str, Any] = {media: {"schema": schema}}
    if operation.events:
        each = [_event(name, of[kind]) for name, kind in operation.events.items()]
        content = {"text/event-stream": {"schema": {"oneOf": each}}}
    found: dict[str, Any] = {
        "operationId": (operation.method.lower() + operation.path).replace("/", "-").replace("{", "").replace("}", ""),
        "description": operation.about,
        "parameters": [
            *({"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in inside),
            *map(_parameter, operation.query),
            *(_CHANGES if operation.verbs else _TAGGED if operation.method == "GET" and operation.answer else ()),
        ],
        "responses": {
            "200": {"description": "done", "content": content, **tag},
            **({"304": {"description": "as who asks has it", **tag}} if tag else {}),
            **{
                str(status): {"$ref": f"#/components/responses/{_name(status, codes)}"}
                for status, codes in sorted(_problems(operation).items())
            },
        },
        "x-daqsched-rights": [{"verb": verb, "role": VERBS[verb].role.name} for verb in operation.takes],
    }
    if operation.asks is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": of[operation.asks]}}}
    return found


def _event(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One of a stream."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    fields = {"id": {"type": "string"}, "event": {"const": name}, "data": data}
    return {"type": "object", "properties": fields, "required": ["event", "data"]}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "schema": _KINDS[parameter.kind],
        **({"style": "form", "explode": True} if parameter.kind == "texts" else {}),
    }


def _problems(operation: Operation) -> dict[int, list[str]]:
    """What is answered else: the codes of each status."""
    found: dict[int, list[str]] = {}
    for code in codes_of(operation):
        found.setdefault(CODES[code].status, []).append(code)
    return found


def _name(status: int, codes: list[str]) -> str:
    return f"{status}.{'.'.join(codes)}"


def _problem(codes: list[str], of: dict[type, dict[str, Any]]) -> dict[str, Any]:
    kind = UnconfirmedProblem if "not-confirmed" in codes else Problem
    found: dict[str, Any] = {
        "description": "; ".join(f"`{code}`: {CODES[code].when}" for code in codes),
        "content": {"application/json": {"schema": of[kind]}},
    }
    if any(CODES[code].retry_s for code in codes) or "too-often" in codes:
        found["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return found
