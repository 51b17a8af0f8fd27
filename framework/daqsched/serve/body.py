"""A request's body as a value, within the limits of `daqsched.limits`.

The decoder lets no other thread work before it is done, and a job file of 16 MB may hold a million names or objects: seconds. So
what holds jobs is first split, which makes nothing of what is in them, and then read job by job.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, Callable, TypeVar, Union, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from daqsched.errors import UserError
from daqsched.foreign import check_message
from daqsched.limits import JOB, JOBS, VALUES, brief, refusal
from daqsched.spec import JobSpec, Spec, refuse_unknown

Body = TypeVar("Body")


def read(data: bytes, kind: type[Body], understood: Callable[[Body], None] = lambda body: None) -> Body:
    """What the bytes say; raises `UserError` with the field for what is none, or beyond a limit. ``understood`` is told of it
    before its limits are looked at."""
    try:
        body = _whole(data, kind) if holds_spec(kind) else msgspec.json.decode(data, type=kind)
        understood(body)
        check_message(getattr(body, "message", ""))
    except msgspec.MsgspecError as error:
        raise UserError(
            f"not understood: {brief(str(error))}; are daqsched and its daemon of the same version?"
        ) from error
    except (RecursionError, ValueError) as error:  # nested too deep; half a character, a number of a million digits
        raise UserError(f"not understood: {brief(str(error))}") from error
    found = refusal(body)
    if found is not None:
        raise UserError(f"{found[0]}: {found[1]}")
    return body


def holds_spec(kind: type) -> bool:
    """Whether such a request carries a job file."""
    return _holds_spec(cast(Hashable, kind))


@cache
def _holds_spec(kind: Any) -> bool:
    return any(field.type is Spec for field in structs.fields(kind))


def _whole(data: bytes, kind: type[Body]) -> Body:
    found = data.count(b",")
    if found > VALUES.most:
        raise UserError(f"the request has {found:,} commas, at most {VALUES} are allowed: {VALUES.why}")
    request = _split(data, kind, "$")
    spec = _split(request.pop("spec"), Spec, "$.spec")
    jobs = msgspec.json.decode(spec.pop("jobs", b"[]"), type=list[Raw])
    if len(jobs) > JOBS.most:
        raise UserError(f"spec.jobs: has {len(jobs):,} entries, at most {JOBS.most:,.0f} are allowed")
    for field in ("variants", "parts", "logging_part"):
        if field in spec:
            raise UserError(f"spec.{field}: that is of a farm, and no job file has it")
    parts = _values(spec, Spec, "$.spec")
    if "logging" in spec:
        refuse_unknown({"logging": msgspec.json.decode(spec["logging"])})
    parts["jobs"] = tuple(_job(text, f"$.spec.jobs[{at}]") for at, text in enumerate(jobs))
    rest = _values(request, kind, "$")
    if "choices" in request:
        refuse_unknown({"jobs": (msgspec.json.decode(request["choices"]) or {}).get("jobs", ())})
    made: Callable[..., Body] = kind
    return made(spec=Spec(**parts), **rest)


def _split(data: Raw | bytes, kind: type, path: str) -> dict[str, Raw]:
    """The fields of such a struct that are there, as they are written."""
    outline = _decoded(data, _outline(kind), path)
    found = {field: getattr(outline, field) for field in outline.__struct_fields__}
    return {field: text for field, text in found.items() if text is not UNSET}


@cache
def _outline(kind: type) -> type:
    fields = [
        (field.name, Raw) if field.required else (field.name, Union[Raw, UnsetType], UNSET)
        for field in structs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=True)


def _values(texts: dict[str, Raw], kind: type, path: str) -> dict[str, Any]:
    types = _types(kind)
    return {name: _part(text, types[name], f"{path}.{name}") for name, text in texts.items()}


def _job(text: Raw, path: str) -> JobSpec:
    job: JobSpec = _part(text, JobSpec, path)
    refuse_unknown({"jobs": [msgspec.json.decode(text)]})
    return job


@cache
def _types(kind: type) -> dict[str, Any]:
    # msgspec evaluates its annotations at each question
    return {field.name: field.type for field in structs.fields(kind)}


def _part(text: Raw, kind: Any, path: str) -> Any:
    size = len(memoryview(text))
    if size > JOB.most:
        raise UserError(f"{path[2:]}: has {size:,} bytes as JSON, at most {JOB.most:,.0f} are allowed")
    return _decoded(text, kind, path)


def _decoded(data: Raw | bytes, kind: Any, path: str) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        sentence, at, where = str(error).partition(" - at `$")
        raise msgspec.ValidationError(
            f"{sentence} - at `{path}{where}" if at else f"{sentence} - at `{path}`"
        ) from error
