"""Why a request was not carried out, as a code for programs: one table, for the daemon, its documentation and its OpenAPI file.

Every answer that is not 200 is a `protocol.Problem` with one of these codes; what is said besides is for people. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Optional

from daqsched.confirm import NotConfirmed
from daqsched.errors import (
    DaqschedError,
    Deposed,
    DoneBefore,
    Forgotten,
    PreconditionFailed,
    Refused,
    Unreachable,
    Unsaved,
    Unsure,
    UserError,
)
from daqsched.protocol import Problem, UnconfirmedProblem


class ProblemCode(NamedTuple):
    """What a code stands for."""

    status: int
    #: What a command ends with.
    exit_code: int
    when: str
    #: What to do.
    next: str
    #: After how many seconds the same may be asked again, where that helps (``Retry-After``); 0: it does not, or nobody knows.
    retry_s: int = 0


CODES: Mapping[str, ProblemCode] = {
    "invalid": ProblemCode(
        400,
        2,
        "not understood, an unknown field, a mistake in the spec, nothing matches the selection",
        "correct the request: the same one is refused again",
    ),
    "unauthenticated": ProblemCode(
        401, 5, "nobody is known by what the request shows", "show a token that counts, or log in again"
    ),
    "wrong-password": ProblemCode(401, 5, "name and password do not belong together", "try again with another one"),
    "untrusted": ProblemCode(
        401, 3, "between daemons: the word of a standby is not believed", "see the log of the daemon that leads"
    ),
    "refused": ProblemCode(
        403, 5, "understood, and the farm's state forbids it", "do first what the sentence says, then ask again"
    ),
    "no-right": ProblemCode(
        403, 5, "the farm's rights do not give it", "ask somebody who may; `GET /v1/rights` says what you may"
    ),
    "not-confirmed": ProblemCode(
        403,
        5,
        "more running programs would end than end unasked, or than was agreed to, or a paused rollout of somebody else's",
        "if that is meant, send the same with `stops` as in this answer",
    ),
    "foreign": ProblemCode(
        403,
        5,
        "sent by a page of another site, or not as JSON",
        "send it from the daemon's own page, as application/json",
    ),
    "not-found": ProblemCode(
        404, 1, "there is no such path", "look into `GET /v1/openapi.json`; a daemon of another version may have it"
    ),
    "wrong-method": ProblemCode(405, 1, "the path is not asked so", "use a method that `Allow` names"),
    "done-before": ProblemCode(
        409,
        5,
        "done already, for the same `Idempotency-Key`; the answer of then is lost with the daemon that gave it, or was not kept",
        "take it as done, and look at what came of it",
    ),
    "gone": ProblemCode(
        410, 3, "what an id names is not known any more: it ended, or the daemon was restarted", "begin anew"
    ),
    "changed": ProblemCode(
        412, 5, "another spec is in force than the one that the request is for", "look at what is in force, then decide"
    ),
    "too-large": ProblemCode(413, 2, "the request is larger than is taken of this caller", "send less at once"),
    "not-here": ProblemCode(
        421,
        5,
        "the name in `Host` is not this port's",
        "ask by a name of the certificate, or give the port further ones",
    ),
    "not-leading": ProblemCode(421, 3, "between daemons: this one does not lead", "ask the one that leads", 1),
    "key-reused": ProblemCode(
        422, 2, "another request had this `Idempotency-Key`", "give each request a key of its own"
    ),
    "too-often": ProblemCode(
        429,
        5,
        "too many wrong passwords, or files with values that are hidden from whoever asks",
        "wait for as long as `Retry-After` says",
    ),
    "too-many-searches": ProblemCode(
        429, 3, "so many searches of the caller's are under way already", "ask again after `Retry-After`", 2
    ),
    "header-too-large": ProblemCode(431, 2, "the header has more than 256 KiB", "select by patterns, not by names"),
    "bug": ProblemCode(
        500, 1, "a bug in daqsched", "report it with what the daemon's log says under the number of this answer"
    ),
    "failed": ProblemCode(500, 1, "what the daemon keeps can't be read", "see the sentence, and the daemon's log"),
    "unavailable": ProblemCode(
        503, 3, "store, master, agent or leader are away; nothing was done", "ask again after `Retry-After`", 5
    ),
    "unsure": ProblemCode(
        503,
        3,
        "the connection to the leader, or its store, was lost meanwhile: it may have been done",
        "look with `GET /v1/status` and `GET /v1/history` whether it was",
    ),
    "busy": ProblemCode(
        503, 3, "so many requests are under way already; nothing was done", "ask again after `Retry-After`", 1
    ),
}

#: Which code an error has, the more special ones first.
_KINDS: tuple[tuple[type[DaqschedError], str], ...] = (
    (NotConfirmed, "not-confirmed"),
    (PreconditionFailed, "changed"),
    (DoneBefore, "done-before"),
    (Refused, "refused"),
    (Forgotten, "gone"),
    (Unsure, "unsure"),
    (Unreachable, "unavailable"),
    (Deposed, "unavailable"),
    (Unsaved, "unavailable"),
    (UserError, "invalid"),
)


def code_of(error: DaqschedError) -> str:
    """The code of an error that a route raises."""
    if isinstance(error, Refused) and error.verb:
        return "no-right"
    return next((code for kind, code in _KINDS if isinstance(error, kind)), "failed")


def problem(code: str, sentence: str, error: Optional[DaqschedError] = None) -> Problem:
    """What is answered; of an ``error`` that has more to tell than its sentence with that, too."""
    found = CODES[code]
    if isinstance(error, NotConfirmed):
        return UnconfirmedProblem(
            sentence, found.exit_code, code, found.next, error.stops, error.running, error.endings, error.paused
        )
    return Problem(sentence, found.exit_code, code, found.next)


def headers(code: str) -> dict[str, str]:
    """What else an answer with this code says."""
    retry_s = CODES[code].retry_s
    return {"retry-after": str(retry_s)} if retry_s else {}
