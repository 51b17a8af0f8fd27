"""What is in a request: its body and its query, read within the limits of `daqsched.limits`."""

from __future__ import annotations

import math
from typing import Any, Optional, TypeVar, cast, get_args

from starlette.requests import Request

from daqsched import farm_parts
from daqsched.errors import UserError
from daqsched.limits import BODY, MOMENT, QUERY, SPEC_BODY, Limit, number, shown, some
from daqsched.serve.body import holds_spec, read
from daqsched.serve.http import whose
from daqsched.serve.planning import Planning
from daqsched.serve.refusals import RefusedWith
from daqsched.states import Shown
from daqsched.views.names import Kind

Body = TypeVar("Body")

#: A larger body is not looked at on the thread that answers everybody.
LARGE = 64 << 10


async def body_of(request: Request, kind: type[Body], limit: Optional[Limit] = None) -> Body:
    """The body as a value of this kind; raises `UserError` with the field for what is none, or beyond a limit."""
    most = limit or (SPEC_BODY if holds_spec(kind) else BODY)
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > most.most:
            sentence = f"the request has more than {most}: {most.why}"
            raise RefusedWith("too-large", sentence, {}) if limit is not None else UserError(sentence)

    def understood(body: Any) -> None:
        request.state.asked = body  # for the audit file, also where it is refused

    if len(data) > LARGE:
        # not two of one caller at once
        reading: Planning = request.scope["reading"]
        return await reading.do(whose(request), lambda deadline: read(bytes(data), kind, understood))
    return read(bytes(data), kind, understood)


def words_of(request: Request) -> list[str]:
    """The words of ``select``."""
    _bounded(request)
    return request.query_params.getlist("select")


def part_of(request: Request) -> Optional[str]:
    """The part of the farm that ``part`` names; None: it is not given."""
    _bounded(request)
    word = request.query_params.get("part")
    return None if word is None else farm_parts.read(word)


def name_of(request: Request) -> tuple[Kind, str]:
    """What kind of names is asked for, and how they begin; raises `UserError` for a kind that is none."""
    _bounded(request)
    kind = request.query_params.get("of", "")
    if kind not in get_args(Kind):
        raise UserError(f"of is one of {', '.join(get_args(Kind))}, not {shown(kind)}")
    return cast(Kind, kind), request.query_params.get("begin", "")


def text_of(request: Request, name: str) -> str:
    """A text of the query; empty: it is not there."""
    _bounded(request)
    return request.query_params.get(name, "")


def texts_of(request: Request, name: str) -> list[str]:
    """All texts of that name in the query."""
    _bounded(request)
    return request.query_params.getlist(name)


def states_of(request: Request) -> frozenset[str]:
    """The words of ``state``; raises `UserError` for one that is none."""
    _bounded(request)
    found = frozenset(request.query_params.getlist("state"))
    strange = found.difference(get_args(Shown))
    if strange:
        raise UserError(f"{some(sorted(strange))}: not a state; there are {', '.join(get_args(Shown))}")
    return found


def number_of(request: Request, name: str, default: float) -> float:
    """A number of the query."""
    _bounded(request)
    text = request.query_params.get(name)
    try:
        found = default if text is None else float(text)
    except ValueError as error:
        raise UserError(f"{name}={shown(text)} is not a number") from error
    wrong = number(found, MOMENT)
    if wrong:
        raise UserError(f"{name}: {wrong}")
    return found


def which_of(request: Request, name: str) -> int:
    """The number of a revision or rollout; 0: none is named."""
    return math.floor(number_of(request, name, 0.0))


def count_of(request: Request, name: str, default: int, most: int) -> int:
    """How many of something are asked for: at least one, and never more than ``most``."""
    return max(1, min(most, math.floor(number_of(request, name, default))))


def _bounded(request: Request) -> None:
    # not of `request.url`, which is built of the Host header
    if len(request.scope["query_string"]) > QUERY.most:
        raise UserError(f"the request's address has more than {QUERY}: name fewer")
