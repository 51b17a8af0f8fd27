"""An answer that is not 200: the same JSON wherever it is refused (`daqsched.problems` has the codes)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

import msgspec
from starlette.responses import Response

from daqsched import problems
from daqsched.errors import DaqschedError, Refused


class RefusedWith(Refused):
    """A refusal with a code of its own."""

    def __init__(self, code: str, sentence: str, headers: Optional[Mapping[str, str]] = None) -> None:
        super().__init__(sentence)
        self.code, self.headers = code, headers or {}


class Unauthenticated(DaqschedError):
    """Nobody is known behind a request; ``why`` is for the audit file."""

    exit_code = 5

    def __init__(self, sentence: str, why: str = "", name: str = "") -> None:
        super().__init__(sentence)
        self.why, self.name = why or sentence, name

    #: What its answer says besides.
    headers = {"www-authenticate": 'Bearer realm="daqsched"'}


def refused(
    code: str, sentence: str, headers: Optional[Mapping[str, str]] = None, error: Optional[DaqschedError] = None
) -> Response:
    """What is answered."""
    return Response(
        msgspec.json.encode(problems.problem(code, sentence, error)),
        problems.CODES[code].status,
        {**problems.headers(code), **(headers or {})},
        media_type="application/json",
    )


def refused_by(error: DaqschedError, sentence: str) -> Response:
    """What is answered where a route raises this; ``sentence`` is what of its text is told."""
    if isinstance(error, RefusedWith):
        return refused(error.code, sentence, error.headers)
    if isinstance(error, Unauthenticated):
        return refused("unauthenticated", sentence, error.headers)
    return refused(problems.code_of(error), sentence, error=error)
